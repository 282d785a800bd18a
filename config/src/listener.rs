//! `[[listener]]`: where clients come in, and which.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use crate::read::Section;
use crate::read::value::{FromToml, OrOff, words};
use crate::unit::{Congestion, Invalid, Name, Prefix};

words! {
    /// What a client of the listener speaks.
    pub Mode {
        /// HTTP/1.1 to a proxy: absolute-form requests and CONNECT.
        Http = "http",
    }
}

words! {
    /// What the listening socket speaks.
    pub Transport {
        /// MPTCP where the kernel has it, else TCP.
        Auto = "auto",
        /// MPTCP, or the process does not start. A client that speaks only TCP is served all the same.
        Mptcp = "mptcp",
        /// TCP only.
        Tcp = "tcp",
    }
}

/// The addresses that connections to servers come from. `None`: the kernel's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sources {
    /// For servers reached over IPv4.
    pub v4: Option<Ipv4Addr>,
    /// For servers reached over IPv6.
    pub v6: Option<Ipv6Addr>,
}

/// The files that make a listener speak TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain in PEM, the listener's own certificate first.
    pub certificate: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
}

/// Where clients come in, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// What it is called; unique.
    pub name: Name,
    /// What its clients speak.
    pub mode: Mode,
    /// Where it listens. Port 0: the kernel's choice.
    pub address: SocketAddr,
    /// Whether an IPv6 wildcard leaves IPv4 alone.
    pub ipv6_only: bool,
    /// Who may use it. Never empty.
    pub clients: Vec<Prefix>,
    /// What the socket speaks.
    pub transport: Transport,
    /// The congestion control of the socket and of every subflow it accepts.
    pub congestion: Congestion,
    /// The most connections that wait to be accepted. The kernel cuts it to `net.core.somaxconn`.
    pub backlog: u32,
    /// The most TCP Fast Open requests that wait. `None`: Fast Open is off.
    pub fast_open: Option<NonZeroU32>,
    /// Where connections to servers come from.
    pub source: Sources,
    /// TLS towards the clients. `None`: in the clear.
    pub tls: Option<Tls>,
    /// The file of users and password hashes. `None`: no credentials are asked for.
    pub credentials: Option<PathBuf>,
}

impl Listener {
    /// A listener with a name, an address and otherwise the defaults.
    pub fn new(name: Name, address: SocketAddr) -> Self {
        Self {
            name,
            mode: Mode::Http,
            address,
            ipv6_only: false,
            clients: vec![Prefix::LOOPBACK_V4, Prefix::LOOPBACK_V6],
            transport: Transport::Auto,
            // Left to the kernel's default, a joined subflow can differ from the first and a quarter of the sum is lost.
            congestion: "cubic".parse().expect("\"cubic\" is a name the kernel can have"),
            backlog: 4096,
            fast_open: None,
            source: Sources::default(),
            tls: None,
            credentials: None,
        }
    }

    /// The listeners of a file that names none: loopback only, on both families.
    pub fn defaults() -> Vec<Self> {
        let listener = |name: &str, ip: IpAddr| {
            Self::new(name.parse().expect("a short word is a name"), SocketAddr::new(ip, 3128))
        };
        vec![listener("loopback4", Ipv4Addr::LOCALHOST.into()), listener("loopback6", Ipv6Addr::LOCALHOST.into())]
    }

    /// `None` if not even the address is right (and that is reported).
    pub(crate) fn read(section: &mut Section<'_>) -> Option<Self> {
        let name: Option<Name> = section.get("name");
        if let Some(name) = &name {
            section.named(name.as_str());
        }
        let unnamed = !section.has("name");
        let address = section.require::<SocketAddr>("address", "an address such as \"[::]:3128\"");
        // Every key is read before anything is given up, so that every problem is reported.
        let placeholder = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let fallback = || address.map(|address| address.to_string().parse().expect("an address is a name"));
        let named = name.or_else(|| if unnamed { fallback() } else { None });
        let default = Self::new("?".parse().expect("\"?\" is a name"), address.unwrap_or(placeholder));
        let mut listener = Self {
            mode: section.get_or("mode", default.mode),
            ipv6_only: section.get_or("ipv6_only", default.ipv6_only),
            transport: section.get_or("transport", default.transport),
            congestion: section.get_or("congestion", default.congestion),
            backlog: section.number("backlog", 1..=1_048_576, default.backlog),
            fast_open: section.get::<OrOff<Queue>>("fast_open").and_then(OrOff::into_option).map(|queue| queue.0),
            source: read_sources(section),
            tls: read_tls(section),
            credentials: section.get::<PathBuf>("credentials").map(|path| section.directory().join(path)),
            clients: section.list("clients").unwrap_or(default.clients),
            name: default.name,
            address: default.address,
        };
        if section.is_empty_list("clients") {
            section.refuse(
                "clients",
                "nobody could use the listener",
                "expected at least one prefix such as \"10.0.0.0/8\"",
            );
        }
        if listener.ipv6_only && address.is_some_and(|address| address.is_ipv4()) {
            section.refuse("ipv6_only", "the address is IPv4", "expected an IPv6 address, or no \"ipv6_only\"");
        }
        if let Some(ip) = address.map(|address| address.ip()) {
            if ip.to_canonical() != ip {
                let fix = format!(
                    "expected the IPv4 address itself: \"{}\"",
                    SocketAddr::new(ip.to_canonical(), listener.address.port())
                );
                section.refuse("address", "IPv4-mapped IPv6 address", &fix);
            } else if ip.is_multicast() {
                section.refuse(
                    "address",
                    "a multicast address",
                    "expected an address of this machine such as \"[::]:3128\"",
                );
            }
        }
        listener.name = named?;
        address.is_some().then_some(listener)
    }
}

/// The length of the Fast Open queue.
struct Queue(NonZeroU32);

impl FromToml for Queue {
    const PLURAL: &'static str = "numbers";

    fn from_toml(value: &toml::de::DeValue<'_>) -> Result<Self, Invalid> {
        let number = crate::read::value::integer(value).and_then(|number| u16::try_from(number).ok());
        let queue = number.and_then(|number| NonZeroU32::new(number.into()));
        queue.map(Self).ok_or_else(|| Invalid::new("not a queue length", "a whole number from 1 to 65535"))
    }
}

fn read_sources(section: &mut Section<'_>) -> Sources {
    let mut sources = Sources::default();
    for address in section.one_or_list::<IpAddr>("source").unwrap_or_default() {
        let taken = match address {
            IpAddr::V4(v4) => sources.v4.replace(v4).is_some(),
            IpAddr::V6(v6) => sources.v6.replace(v6).is_some(),
        };
        if taken {
            section.refuse("source", "two addresses of one family", "expected at most one IPv4 and one IPv6 address");
        }
        if address.is_unspecified()
            || address.is_multicast()
            || matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
        {
            section.refuse("source", "not an address of this machine", "expected a unicast address, or no \"source\"");
        }
    }
    sources
}

fn read_tls(section: &mut Section<'_>) -> Option<Tls> {
    let mut tls = section.inner("tls", "tls = { certificate = \"edge.pem\", key = \"edge.key\" }")?;
    let certificate = tls.require::<PathBuf>("certificate", "the path of a certificate chain in PEM");
    let key = tls.require::<PathBuf>("key", "the path of a private key in PEM");
    let directory = tls.directory();
    Some(Tls { certificate: directory.join(certificate?), key: directory.join(key?) })
}
