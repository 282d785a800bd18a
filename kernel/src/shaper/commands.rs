//! The same as a shaper does, as lines for a shell.

use std::time::Duration;

use crate::nft::{self, Map, WatchedChain};
use crate::tc::{self, ClassOp};

use super::{ClassSpec, Direction, Flow, Join, Names, Options, ShaperError, Slot, found, open, place};
use crate::nft::Hook;

/// The lines of `ip`, `tc` and `nft` that do what a [`super::Shaper`] does, with names quoted.
#[derive(Debug, Clone, Copy)]
pub struct Commands<'a> {
    names: &'a Names,
    options: Options,
}

impl<'a> Commands<'a> {
    /// For a shaper of these names.
    #[must_use]
    pub const fn new(names: &'a Names, options: Options) -> Self {
        Self { names, options }
    }

    /// What [`super::Shaper::open`] does, where nothing was left.
    #[must_use]
    pub fn open(&self) -> Vec<String> {
        let mut lines = self.ifb(0);
        lines.extend(open::layout(self.names, self.options).commands().iter().map(|text| nft(text)));
        lines
    }

    fn ifb(&self, shard: u16) -> Vec<String> {
        let device = quote(&found::device(self.names, shard));
        vec![
            open::ifb(&device).line(),
            format!("ip link set dev {device} alias {}", quote(&found::alias(None))),
            format!("ip link set dev {device} addrgenmode none"),
            tc::htb_line(&device, shard),
            format!("ip link set dev {device} up"),
        ]
    }

    /// The IFB that a class is on.
    #[must_use]
    pub fn device(&self, slot: Slot) -> String {
        found::device(self.names, slot.shard())
    }

    /// What [`super::Shaper::set_classes`] does for one class, as one that is there already.
    #[must_use]
    pub fn class(&self, slot: Slot, spec: ClassSpec) -> String {
        tc::line(&quote(&self.device(slot)), ClassOp::Change, slot, spec)
    }

    /// What makes one class, and its IFB where it is the first there.
    #[must_use]
    pub fn new_class(&self, slot: Slot, spec: ClassSpec) -> Vec<String> {
        let (device, shard) = (self.device(slot), slot.shard());
        let first = shard > 0 && slot.0 == Slot::first(shard).0;
        let mut lines = if first { self.ifb(shard) } else { Vec::new() };
        lines.push(tc::line(&quote(&device), ClassOp::Make, slot, spec));
        lines.push(nft(&nft::ifb_command(&self.names.table, slot, &device)));
        lines
    }

    /// What [`super::Shaper::put`] does for one flow, which is in no class.
    ///
    /// Errors: [`ShaperError::Families`].
    pub fn put(&self, direction: Direction, flow: Flow, slot: Slot) -> Result<String, ShaperError> {
        self.element("add", direction, flow, Some((slot, self.options.lease)))
    }

    /// What [`super::Shaper::remove`] does for one flow, which is in a class.
    ///
    /// Errors: [`ShaperError::Families`].
    pub fn remove(&self, direction: Direction, flow: Flow) -> Result<String, ShaperError> {
        self.element("delete", direction, flow, None)
    }

    fn element(
        &self,
        verb: &str,
        direction: Direction,
        flow: Flow,
        class: Option<(Slot, Duration)>,
    ) -> Result<String, ShaperError> {
        let (map, flow): (Map, Flow) = place(direction, flow)?;
        let text = nft::element_text(flow, class);
        Ok(nft(&format!("{verb} element netdev {} {map} {{ {text} }}", self.names.table)))
    }

    /// What [`super::Shaper::arm`] does.
    #[must_use]
    pub fn arm(&self, joins: &[Join]) -> Vec<String> {
        nft::arm_commands(&self.names.table, self.options.lease, joins).iter().map(|text| nft(text)).collect()
    }

    /// What [`super::Shaper::watch`] does for one interface that was not watched.
    #[must_use]
    pub fn watch(&self, index: u32, interface: &str) -> Vec<String> {
        let chains = Hook::ALL.map(|hook| WatchedChain { hook, index, device: interface.to_owned() });
        chains.iter().flat_map(|chain| chain.commands(&self.names.table)).map(|text| nft(&text)).collect()
    }

    /// What [`super::Shaper::clear`] does.
    #[must_use]
    pub fn clear(&self) -> [String; 2] {
        let Names { table, device } = self.names;
        [nft(&format!("delete table netdev {table}")), format!("ip link delete dev {}", quote(device))]
    }
}

/// A line that has `nft` read a text.
fn nft(text: &str) -> String {
    format!("nft {}", quote(text))
}

/// A word as a shell takes it for what it is.
fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@%+=,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
