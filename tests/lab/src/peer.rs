//! Other proxies as values, and ours: how each is started, and what it can do at all. For the bench and for `lab conversion`.
//!
//! What lives here: the list; a new peer is an entry and a template beside `peers/`. What does not: starting one (`process`), who
//! is compared with whom. Called by the bench and by the experiment `conversion`.
//! Invariant: a template's placeholders are `{port}`, `{origin}`, `{oport}`, `{dir}`, `{threads}`, `{files}`, `{user}`, and those
//! that an entry adds of its own.

mod build;
mod process;
mod tree;

pub use build::Built;
pub use process::{Place, Running, Unusable, version};
pub use tree::Tree;

/// Somebody who is measured.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its name in the table.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it can do.
    pub serves: Serves,
    /// What a reader must know of it.
    pub note: &'static str,
    /// Whether it runs in a network of its own, because it acts on every connection of the one it is in.
    pub alone: bool,
}

/// What somebody who is measured is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No proxy: the edge's kernel forwards, and the client speaks to the origin itself.
    Direct,
    /// anabranch.
    Ours(Recipe),
    /// The least that can be done.
    Floor,
    /// A proxy that somebody could use instead.
    Rival(Recipe),
}

/// What a proxy can do of what is asked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serves {
    /// CONNECT.
    pub tunnels: bool,
    /// Absolute-form requests.
    pub requests: bool,
    /// More than one request on a connection.
    pub keep_alive: bool,
}

/// How a proxy is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    /// The program; anabranch's is found as the lab finds it.
    pub program: &'static str,
    /// Its arguments, with placeholders.
    pub arguments: &'static str,
    /// Its files in `{dir}`: name and template.
    pub files: &'static [(&'static str, &'static str)],
    /// Placeholders of its own.
    pub words: &'static [(&'static str, &'static str)],
    /// The user it runs as, if it will not be root.
    pub user: Option<&'static str>,
    /// Where its listener's MPTCP comes from.
    pub mptcp: Mptcp,
    /// What makes it tell its version.
    pub version: &'static str,
}

/// Where a listener's MPTCP comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mptcp {
    /// The program's own.
    Own,
    /// From outside: `listen.c`, or mptcpize where there is no compiler.
    Lent,
}

const ALL: Serves = Serves { tunnels: true, requests: true, keep_alive: true };

const fn ours(words: &'static [(&'static str, &'static str)]) -> Kind {
    Kind::Ours(Recipe {
        program: "anabranch",
        arguments: "run --config {dir}/anabranch.toml",
        files: &[("anabranch.toml", include_str!("../peers/anabranch.toml"))],
        words,
        user: None,
        mptcp: Mptcp::Own,
        version: "--version",
    })
}

const fn haproxy(files: &'static [(&'static str, &'static str)]) -> Kind {
    Kind::Rival(Recipe {
        program: "haproxy",
        arguments: "-db -f {dir}/haproxy.cfg",
        files,
        words: &[],
        user: None,
        mptcp: Mptcp::Lent,
        version: "-v",
    })
}

/// Everybody.
pub const PEERS: &[Peer] = &[
    Peer {
        name: "direct",
        kind: Kind::Direct,
        serves: ALL,
        note: "the edge's kernel forwards; nobody converts",
        alone: false,
    },
    Peer {
        name: "anabranch",
        kind: ours(&[("witness", "false"), ("interfaces", ""), ("more", "")]),
        serves: ALL,
        note: "without the sniffer",
        alone: false,
    },
    Peer {
        name: "anabranch+sniffer",
        kind: ours(&[
            ("witness", "true"),
            ("interfaces", "\"p1\", \"p2\""),
            ("more", include_str!("../peers/steering.toml")),
        ]),
        serves: ALL,
        note: "both witnesses and a policy on; in a network of its own, for it acts on all of one",
        alone: true,
    },
    Peer {
        name: "floor",
        kind: Kind::Floor,
        serves: Serves { requests: false, ..ALL },
        note: "the least that converts: one thread of C, CONNECT only, no policy",
        alone: false,
    },
    Peer {
        name: "haproxy-bulk",
        kind: haproxy(&[("haproxy.cfg", include_str!("../peers/haproxy-bulk.cfg"))]),
        serves: ALL,
        note: "no forward proxy: CONNECT passes through to an origin that answers it",
        alone: false,
    },
    Peer {
        name: "haproxy-latency",
        kind: haproxy(&[("haproxy.cfg", include_str!("../peers/haproxy-latency.cfg"))]),
        serves: ALL,
        note: "as haproxy-bulk, tuned for short exchanges",
        alone: false,
    },
    Peer {
        name: "squid",
        kind: Kind::Rival(Recipe {
            program: "squid",
            arguments: "--foreground -n bench{port} -f {dir}/squid.conf",
            files: &[("squid.conf", include_str!("../peers/squid.conf"))],
            words: &[],
            // As root it would drop its rights itself, and with them the preload.
            user: Some("proxy"),
            mptcp: Mptcp::Lent,
            version: "-v",
        }),
        serves: ALL,
        note: "",
        alone: false,
    },
    Peer {
        name: "trafficserver",
        kind: Kind::Rival(Recipe {
            program: "traffic_server",
            arguments: "--run-root={dir}/runroot.yaml",
            files: &[
                ("records.config", include_str!("../peers/records.config")),
                ("ip_allow.yaml", include_str!("../peers/ip_allow.yaml")),
                ("runroot.yaml", include_str!("../peers/runroot.yaml")),
                ("storage.config", "{dir} 16M\n"),
            ],
            words: &[],
            user: Some("trafficserver"),
            mptcp: Mptcp::Lent,
            version: "--version",
        }),
        serves: ALL,
        note: "",
        alone: false,
    },
    Peer {
        name: "nginx",
        kind: Kind::Rival(Recipe {
            program: "nginx",
            arguments: "-e {dir}/error.log -c {dir}/nginx.conf",
            files: &[("nginx.conf", include_str!("../peers/nginx.conf"))],
            words: &[],
            user: None,
            mptcp: Mptcp::Lent,
            version: "-v",
        }),
        serves: Serves { tunnels: false, ..ALL },
        note: "no forward proxy: one fixed origin, no CONNECT",
        alone: false,
    },
    Peer {
        name: "tinyproxy",
        kind: Kind::Rival(Recipe {
            program: "tinyproxy",
            arguments: "-d -c {dir}/tinyproxy.conf",
            files: &[("tinyproxy.conf", include_str!("../peers/tinyproxy.conf"))],
            words: &[],
            user: None,
            mptcp: Mptcp::Lent,
            version: "-v",
        }),
        serves: Serves { keep_alive: false, ..ALL },
        note: "one request a connection",
        alone: false,
    },
];

impl Peer {
    /// Whether it is a peer of ours: neither we, nor the kernel, nor the floor.
    pub fn is_rival(&self) -> bool {
        matches!(self.kind, Kind::Rival(_))
    }
}
