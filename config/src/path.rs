//! `[[path]]`: an access network.

use crate::rate;
use crate::read::Section;
use crate::unit::{BitRate, IfaceName, Name, Prefix};

/// An access network: matched by client prefix, by the interface a subflow uses, or by both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// What it is called; unique.
    pub name: Name,
    /// The addresses of clients on it. Empty: any (then `interface` is given).
    pub client: Vec<Prefix>,
    /// The interface its subflows use. `None`: any (then `client` is given).
    pub interface: Option<IfaceName>,
    /// What its use costs, compared with the other paths.
    pub cost: u32,
    /// What it carries at most, all of its subscribers together. `None`: not known.
    pub capacity: Option<BitRate>,
    /// What one subscriber's line of it carries at most. `None`: learned, or the capacity where that is known.
    pub line: Option<BitRate>,
}

impl Path {
    pub(crate) fn read(section: &mut Section<'_>) -> Option<Self> {
        let name: Option<Name> = section.require("name", "a name such as \"dsl\"");
        if let Some(name) = &name {
            section.named(name.as_str());
        }
        if !section.has("client") && !section.has("interface") {
            section.refuse("client", "missing", "expected \"client\" (prefixes), \"interface\", or both");
        }
        let client = section.list::<Prefix>("client");
        if client.as_ref().is_some_and(Vec::is_empty) && section.is_empty_list("client") {
            section.refuse("client", "matches nobody", "expected at least one prefix such as \"10.1.0.0/16\"");
        }
        let interface = section.get("interface");
        let cost = section.number("cost", 0..=u32::MAX.into(), 1);
        let capacity = rate::read(section, "capacity");
        let line = rate::read(section, "line");
        if let (Some(capacity), Some(line)) = (capacity, line)
            && line > capacity
        {
            section.refuse("line", "more than the whole path carries", &format!("expected at most {capacity}"));
        }
        let client = client.unwrap_or_default();
        // Whatever matches nothing has been reported above.
        let matches = !client.is_empty() || interface.is_some();
        name.filter(|_| matches).map(|name| Self { name, client, interface, cost, capacity, line })
    }
}
