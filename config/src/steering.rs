//! `[steering]`: how policies are carried out, and with what of the kernel's.

use std::path::PathBuf;
use std::time::Duration;

use crate::read::Section;
use crate::read::value::words;
use crate::unit::{IfaceName, TableName, Timeout};

words! {
    /// Whether policies are carried out.
    pub SteeringMode {
        /// They are.
        Act = "act",
        /// They are decided and logged; nothing is touched.
        Observe = "observe",
    }
}

words! {
    /// Whose the namespace's MPTCP path manager is. Priorities of single subflows take the userspace one.
    pub PathManagement {
        /// Taken over while a policy needs it.
        Auto = "auto",
        /// Taken over from the start, so that policies that come later find connections that obey.
        Userspace = "userspace",
        /// Left alone.
        Kernel = "kernel",
    }
}

words! {
    /// What becomes of classes and elements when the process ends in good order.
    pub OnStop {
        /// They are removed.
        Clear = "clear",
        /// They are left to a successor; elements time out with their lease.
        Keep = "keep",
    }
}

/// How policies are carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steering {
    /// Whether they are.
    pub mode: SteeringMode,
    /// Whose the path manager is.
    pub path_manager: PathManagement,
    /// How often facts are looked at and policies asked.
    pub interval: Duration,
    /// How long an element of the kernel's map lasts that nobody renews.
    pub lease: Duration,
    /// Interfaces on which clients' packets pass. Empty: every one with an address, loopback aside.
    pub interfaces: Vec<IfaceName>,
    /// The nftables table of the netdev family that is ours.
    pub table: TableName,
    /// The IFB that is ours.
    pub device: IfaceName,
    /// The most subflows under a class at once.
    pub subflows: u16,
    /// What becomes of it all at the end.
    pub on_stop: OnStop,
    /// Whether a table or a device of our names is taken over from somebody else.
    pub adopt: bool,
    /// The file in which usage survives a restart. `None`: it is kept in memory.
    pub usage: Option<PathBuf>,
}

impl Default for Steering {
    fn default() -> Self {
        Self {
            mode: SteeringMode::Act,
            path_manager: PathManagement::Auto,
            interval: Duration::from_millis(100),
            // The longest there is: a process that is killed has its throttles lifted by its companion, and this is for when both are.
            lease: Duration::from_secs(10),
            interfaces: Vec::new(),
            table: "anabranch".parse().expect("the constant is a table name"),
            device: "anabranch0".parse().expect("the constant is an interface name"),
            subflows: 20_000,
            on_stop: OnStop::Clear,
            adopt: false,
            usage: None,
        }
    }
}

impl Steering {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let interfaces = section.list::<IfaceName>("interfaces").unwrap_or_default();
        if (1..interfaces.len()).any(|n| interfaces[..n].contains(&interfaces[n])) {
            section.refuse("interfaces", "one of them twice", "expected each interface once");
        }
        let device = section.get_or("device", default.device);
        if interfaces.contains(&device) {
            section.refuse(
                "interfaces",
                "the IFB itself is among them",
                "expected interfaces on which clients' packets pass",
            );
        }
        let interval = within(section, "interval", (20, 1_000), default.interval, "expected 20 ms to 1 s");
        let lease = within(section, "lease", (1_000, 10_000), default.lease, "expected 1 s to 10 s");
        if let (Some(interval), Some(lease)) = (interval, lease)
            && interval > lease / LOOKS
        {
            let most = Timeout::try_from(lease / LOOKS).map_or_else(|_| String::new(), |most| most.to_string());
            let what =
                format!("too long for a lease of {} s: what is not renewed in time is let go", lease.as_secs_f64());
            section.refuse("interval", &what, &format!("expected at most {most}, or a longer lease"));
        }
        let usage = section.get::<PathBuf>("usage").map(|path| section.directory().join(path));
        Self {
            mode: section.get_or("mode", default.mode),
            path_manager: section.get_or("path_manager", default.path_manager),
            interval: interval.unwrap_or(default.interval),
            lease: lease.unwrap_or(default.lease),
            interfaces,
            table: section.get_or("table", default.table),
            device,
            subflows: section.number("subflows", 1..=60_000, default.subflows),
            on_stop: section.get_or("on_stop", default.on_stop),
            adopt: section.get_or("adopt", default.adopt),
            usage,
        }
    }
}

/// A lease is renewed at half its time, by a look that may be late: so many of them fit into one at least.
const LOOKS: u32 = 4;

/// A time within a range of milliseconds, or its default. `None`: another one, which is reported.
fn within(
    section: &mut Section<'_>,
    key: &'static str,
    (least, most): (u64, u64),
    default: Duration,
    expected: &str,
) -> Option<Duration> {
    let time = match section.get::<Timeout>(key) {
        Some(time) => time.get(),
        None if section.has(key) => return None,
        None => default,
    };
    if (Duration::from_millis(least)..=Duration::from_millis(most)).contains(&time) {
        return Some(time);
    }
    section.refuse(key, "out of range", expected);
    None
}
