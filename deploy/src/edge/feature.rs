//! What anabranch uses of the kernel, and the oldest kernel that has it.

use serde::{Deserialize, Serialize};

/// Something of the kernel's that is not everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// MPTCP sockets.
    Mptcp,
    /// A path manager made of processes.
    UserspacePathManager,
    /// MP_PRIO on one subflow, through it.
    MpPrio,
    /// One subflow closed, through it.
    SubflowDestroy,
    /// nftables that meets outgoing packets of a device.
    NftEgress,
    /// Intermediate functional blocks with a hierarchical token bucket.
    Ifb,
    /// BPF programs that visit TCP sockets and set options.
    BpfIterTcp,
    /// A BPF hook that makes MPTCP sockets of TCP ones.
    UpdateSocketProtocol,
    /// The path manager by its name.
    NamedPathManager,
}

impl Feature {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::Mptcp,
        Self::UserspacePathManager,
        Self::MpPrio,
        Self::SubflowDestroy,
        Self::NftEgress,
        Self::Ifb,
        Self::BpfIterTcp,
        Self::UpdateSocketProtocol,
        Self::NamedPathManager,
    ];

    /// The name in checks, behind `feature-`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mptcp => "mptcp",
            Self::UserspacePathManager => "userspace-path-manager",
            Self::MpPrio => "mp-prio",
            Self::SubflowDestroy => "subflow-destroy",
            Self::NftEgress => "nft-egress",
            Self::Ifb => "ifb",
            Self::BpfIterTcp => "bpf-iter-tcp",
            Self::UpdateSocketProtocol => "update-socket-protocol",
            Self::NamedPathManager => "named-path-manager",
        }
    }

    /// The first version that has it, as anabranch uses it, and the first of the kernels with long support (6.1, 6.12, 6.18).
    #[must_use]
    pub const fn since(self) -> (&'static str, &'static str) {
        match self {
            Self::Mptcp => ("5.6", "6.1"),
            Self::UserspacePathManager | Self::MpPrio | Self::SubflowDestroy => ("5.19", "6.1"),
            // The hook is of 5.16; elements that may be gone already are removed in one step since 6.3.
            Self::NftEgress => ("6.3", "6.12"),
            Self::Ifb => ("2.6", "6.1"),
            Self::BpfIterTcp => ("5.15", "6.1"),
            Self::UpdateSocketProtocol => ("6.6", "6.12"),
            Self::NamedPathManager => ("6.15", "6.18"),
        }
    }

    /// What of the kernel's configuration brings it, and a command that asks for it.
    pub(super) const fn brought_by(self) -> (&'static str, &'static str) {
        match self {
            Self::Mptcp | Self::UserspacePathManager | Self::MpPrio | Self::SubflowDestroy | Self::NamedPathManager => {
                ("CONFIG_MPTCP=y", "grep CONFIG_MPTCP= /boot/config-$(uname -r)")
            }
            Self::NftEgress => ("CONFIG_NETFILTER_EGRESS=y, nf_tables", "modprobe -a nf_tables nft_fwd_netdev"),
            Self::Ifb => ("the modules ifb and sch_htb", "modprobe -a ifb sch_htb"),
            Self::BpfIterTcp | Self::UpdateSocketProtocol => {
                ("CONFIG_DEBUG_INFO_BTF=y", "grep CONFIG_DEBUG_INFO_BTF= /boot/config-$(uname -r)")
            }
        }
    }

    /// What is lost without it.
    pub(super) const fn why(self) -> &'static str {
        match self {
            Self::Mptcp => "without it every client gets one link, not the sum",
            Self::UserspacePathManager => "only through it are single subflows given orders",
            Self::MpPrio => "it is how a subflow is demoted without a stall",
            Self::SubflowDestroy => "it is how a policy closes a subflow",
            Self::NftEgress => "it is how a capped subflow's packets find their class",
            Self::Ifb => "it carries the classes of capped subflows, so that the interface's own queue stays as it is",
            Self::BpfIterTcp => {
                "it paces single subflows at their source; without it a duty cycle of MP_PRIO takes its place"
            }
            Self::UpdateSocketProtocol => "clients on this machine get MPTCP by it; without it by a preload library",
            Self::NamedPathManager => "without it the same is said by number, in net.mptcp.pm_type",
        }
    }
}
