//! The text of policies, as an operator would write it.
//!
//! Called by the experiments about steering. Invariant: link `i` is the path [`name`]`(i)`, dearer the higher its number.

use crate::link::Link;

/// What the steering of every experiment starts with: connections obey from their first, though policies come later.
pub(super) const STEERING: &str = "[steering]\npath_manager = \"userspace\"\n";

/// The path of link `link`.
pub(super) fn name(link: u8) -> &'static str {
    ["none", "one", "two", "three", "four"].get(usize::from(link)).copied().unwrap_or("beyond")
}

/// A `[[path]]` for every link.
pub(super) fn paths(links: &[Link]) -> String {
    let mut text = String::new();
    for (number, link) in (1..).zip(links) {
        let cost = if number == 1 { 1 } else { u16::from(number) * 10 };
        text.push_str(&format!(
            "[[path]]\nname = \"{}\"\nclient = [\"10.{number}.0.0/24\", \"fd00:{number}::/64\"]\ncost = {cost}\n",
            name(number)
        ));
        if let Some(rate) = link.rate {
            text.push_str(&format!("capacity = \"{} Mbit/s\"\n", rate / 1_000_000));
        }
    }
    text
}

/// A `[[policy]]` about the path of link `link`, with the other keys as lines of TOML.
pub(super) fn policy(link: u8, action: &str, keys: &str) -> String {
    let path = name(link);
    format!("[[policy]]\nname = \"{action} on {path}\"\npath = \"{path}\"\naction = \"{action}\"\n{keys}\n")
}

/// Holds the path of link `link` to so many Mbit/s.
pub(super) fn limit(link: u8, mbit: u64) -> String {
    policy(link, "limit", &format!("rate = \"{mbit} Mbit/s\""))
}

/// Holds all that a subscriber sends to so many Mbit/s.
pub(super) fn total_upload(mbit: u64) -> String {
    format!("[[policy]]\nname = \"total\"\naction = \"limit\"\nrate = \"{mbit} Mbit/s\"\ndirection = \"upload\"\n")
}
