//! What the kernel of the edge has of tc, nft, links and MPTCP, as text to compare.
//!
//! Called by the experiments about who leaves what behind. Invariant: numbers that the kernel draws anew each time (handles, indices,
//! addresses drawn at random, counters, the time an element has left) are left out, and nothing else is.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::netns::Namespace;

/// Keys of JSON whose values differ between two states that are the same.
const DRAWN: [&str; 15] = [
    "handle",
    "ifindex",
    "link_index",
    "address",
    "expires",
    "bytes",
    "packets",
    "drops",
    "overlimits",
    "requeues",
    "backlog",
    "qlen",
    "tokens",
    "ctokens",
    "lended",
];
/// More of them, of a class's counters.
const COUNTED: [&str; 4] = ["borrowed", "giants", "direct_packets_stat", "version"];

/// A state: what each tool says, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dump(BTreeMap<String, Vec<String>>);

impl Dump {
    /// The state of a namespace now.
    pub(super) fn of(ns: &Namespace) -> Result<Self> {
        let mut parts = BTreeMap::new();
        let links = json(ns, "ip", &["-j", "-d", "link", "show"])?;
        let names: Vec<String> = links
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|link| Some(link["ifname"].as_str()?.to_owned()))
            .collect();
        parts.insert("ip link".to_owned(), lines(&links));
        parts.insert("tc qdisc".to_owned(), lines(&json(ns, "tc", &["-j", "qdisc", "show"])?));
        for name in names {
            for kind in ["class", "filter"] {
                parts.insert(format!("tc {kind} {name}"), words(&ns.tool("tc", [kind, "show", "dev", &name])?));
            }
        }
        parts.insert("nft".to_owned(), lines(&json(ns, "nft", &["-j", "list", "ruleset"])?["nftables"]));
        let endpoints = ns.tool("ip", ["mptcp", "endpoint", "show"])?;
        parts.insert("ip mptcp endpoint".to_owned(), endpoints.lines().map(str::to_owned).collect());
        parts.insert("ip mptcp limits".to_owned(), vec![ns.tool("ip", ["mptcp", "limits"])?]);
        parts.insert("net.mptcp".to_owned(), ns.run(sysctls)??);
        Ok(Self(parts))
    }

    /// What this one has and the other has not, and the reverse, in words; empty when they are the same.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (one, another, sign) in [(self, other, '-'), (other, self, '+')] {
            for (part, lines) in &one.0 {
                let there = another.0.get(part).map_or(&[][..], Vec::as_slice);
                let missing = lines.iter().filter(|line| !there.contains(line));
                differences.extend(
                    missing.map(|line| format!("{sign} {part}: {}", line.chars().take(300).collect::<String>())),
                );
            }
        }
        differences
    }
}

/// Subflows that are held: elements of maps whose elements time out.
pub(super) fn held(ns: &Namespace) -> Result<usize> {
    let ruleset = json(ns, "nft", &["-j", "list", "ruleset"])?;
    let maps = ruleset["nftables"].as_array().into_iter().flatten().map(|object| &object["map"]);
    // One flag is told as a word, several as a list of them.
    let leased = |map: &&Value| {
        map["flags"] == "timeout" || map["flags"].as_array().is_some_and(|all| all.contains(&"timeout".into()))
    };
    Ok(maps.filter(leased).filter_map(|map| map["elem"].as_array()).map(Vec::len).sum())
}

fn json(ns: &Namespace, tool: &str, words: &[&str]) -> Result<Value> {
    let text = ns.tool(tool, words)?;
    // What has nothing to tell tells nothing, not even an empty list.
    if text.trim().is_empty() {
        Ok(Value::Array(Vec::new()))
    } else {
        serde_json::from_str(&text).with_context(|| text)
    }
}

/// One line for each part of a list, without what is drawn anew.
fn lines(list: &Value) -> Vec<String> {
    let mut lines: Vec<String> = list
        .as_array()
        .into_iter()
        .flatten()
        .filter(|part| part.get("metainfo").is_none())
        .map(|part| bare(part).to_string())
        .collect();
    lines.sort();
    lines
}

/// Lines of words: what tc cannot tell as JSON.
fn words(text: &str) -> Vec<String> {
    let line = |line: &str| {
        line.split_whitespace().map(|word| if is_drawn(word) { "drawn" } else { word }).collect::<Vec<_>>().join(" ")
    };
    let mut lines: Vec<String> = text.lines().map(line).filter(|line| !line.is_empty()).collect();
    lines.sort();
    lines
}

fn bare(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, value)| {
                let key = key.as_str();
                // A qdisc's own handle is a name that its owner chose; that of an nft object is a number the kernel drew.
                let chosen = key == "handle" && value.is_string();
                chosen || !(DRAWN.contains(&key) || COUNTED.contains(&key))
            });
            Value::Object(kept.map(|(key, value)| (key.clone(), bare(value))).collect())
        }
        Value::Array(all) => Value::Array(all.iter().map(bare).collect()),
        Value::String(text) if is_drawn(text) => Value::String("drawn".into()),
        other => other.clone(),
    }
}

/// Whether a text is the handle of a qdisc for which nobody chose one: the kernel draws them from 8000: on.
fn is_drawn(text: &str) -> bool {
    let major = text.strip_suffix(':').and_then(|major| u32::from_str_radix(major, 16).ok());
    major.is_some_and(|major| major >= 0x8000)
}

fn sysctls() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/sys/net/mptcp").context("/proc/sys/net/mptcp")? {
        let entry = entry?;
        // Some can only be written.
        if let Ok(value) = fs::read_to_string(entry.path()) {
            found.push(format!("{} = {}", entry.file_name().display(), value.trim()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_anew_is_left_out_and_nothing_else() {
        let ns = Namespace::new("dumped").expect("makes");
        let before = Dump::of(&ns).expect("dumps");
        let table = "table netdev t {\n map m { type ipv4_addr : classid; flags timeout,dynamic; timeout 9s; elements = { 10.0.0.1 : 7:1 } }\n \
                     map n { type classid : iface_index; elements = { 7:1 : \"i0\" } }\n}\n";
        let make = || {
            ns.ip("link add i0 type ifb").expect("adds");
            ns.tc("qdisc add dev i0 root handle 7: htb").expect("adds");
            ns.tc("class add dev i0 parent 7: classid 7:1 htb rate 1mbit").expect("adds");
            ns.tc("qdisc add dev i0 parent 7:1 pfifo limit 5").expect("adds");
            ns.nft(table).expect("loads");
            Dump::of(&ns).expect("dumps")
        };
        let first = make();
        assert_eq!(held(&ns).expect("counts"), 1, "the other one is held by nobody");
        let found = before.differences(&first);
        assert!(found.iter().all(|line| line.starts_with('+')), "{found:#?}");
        for part in ["ip link", "tc qdisc", "tc class i0", "nft"] {
            assert!(found.iter().any(|line| line.starts_with(&format!("+ {part}: "))), "{part}: {found:#?}");
        }
        ns.ip("link del i0").expect("deletes");
        ns.nft("delete table netdev t\n").expect("deletes");
        assert_eq!(Dump::of(&ns).expect("dumps").differences(&before), Vec::<String>::new());
        // Made again, everything has other handles and another index, and is the same.
        assert_eq!(make().differences(&first), Vec::<String>::new());
        ns.tc("class change dev i0 parent 7: classid 7:1 htb rate 2mbit").expect("changes");
        ns.sysctl("net.mptcp.add_addr_timeout", "7").expect("sets");
        assert_eq!(
            Dump::of(&ns).expect("dumps").differences(&first).len(),
            4,
            "a rate and a sysctl, each once there and once here"
        );
    }
}
