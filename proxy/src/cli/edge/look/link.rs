//! Links, what is hooked into them, and what is under the names that are ours.

use anabranch_config::Config;
use anabranch_deploy::edge::facts::{Link, Names, Seen};
use anabranch_kernel::link::{Links, device};
use anabranch_kernel::shaper::{Found, Names as ShaperNames, Shaper, neighbours};
use anabranch_kernel::tc::TrafficControl;

use crate::http::chain;

/// The links, and which of them have a `clsact` or `ingress`.
pub(super) fn links() -> (Vec<Link>, Vec<(String, String)>) {
    let Ok(found) = Links::open().and_then(|mut links| links.list()) else { return Default::default() };
    let mut tc = TrafficControl::open().ok();
    let roots = tc.as_mut().and_then(|tc| tc.roots().ok()).unwrap_or_default();
    let hooks = tc.as_mut().and_then(|tc| tc.hooks().ok()).unwrap_or_default();
    let name = |index: u32| found.iter().find(|link| link.index == index).map(|link| link.name.clone());
    let hooks = hooks.into_iter().filter_map(|(index, kind)| Some((name(index)?, kind))).collect();
    let of = |link: &anabranch_kernel::link::Link| {
        let says = device(&link.name).unwrap_or_default();
        // One without a handle is the kernel's own choice.
        let root = roots.iter().find(|(index, qdisc)| *index == link.index && qdisc.handle != 0);
        Link {
            name: link.name.clone(),
            up: link.up,
            loopback: link.loopback,
            addresses: link.addresses.clone(),
            megabits: says.megabits,
            segmentation: says.segmentation,
            receive: says.receive,
            qdisc: root.map(|(_, qdisc)| qdisc.kind.clone()),
        }
    };
    (found.iter().map(of).collect(), hooks)
}

/// What of others is under our names, and which of their chains meet packets of an interface.
pub(super) fn names(config: &Config) -> (Seen<Names>, Vec<(String, String)>) {
    let names = ShaperNames { table: config.steering.table.to_string(), device: config.steering.device.to_string() };
    let found = Shaper::observe(&names).map(|found| foreign(&found)).map_err(|error| chain(&error));
    (found, neighbours(&names).unwrap_or_default())
}

fn foreign(found: &Found) -> Names {
    let words = |words: &Option<String>| words.as_ref().map_or_else(String::new, |words| format!(", says \"{words}\""));
    let table = found.table.as_ref().filter(|table| !table.ours);
    let device = found.device.as_ref().filter(|device| !device.ours);
    Names {
        foreign_table: table.map(|table| format!("a table without our mark{}", words(&table.comment))),
        foreign_device: device.map(|device| {
            format!("a {} without our mark{}", device.kind.as_deref().unwrap_or("device"), words(&device.alias))
        }),
    }
}
