//! Routing netlink: links, addresses, queueing disciplines and classes.
//!
//! Source: Linux v6.18 `include/uapi/linux/rtnetlink.h`, `include/uapi/linux/if_link.h`, `include/uapi/linux/pkt_sched.h`,
//! `include/uapi/linux/gen_stats.h`; rtnetlink(7), tc-htb(8).

use std::mem::offset_of;

/// Makes or changes a link; what a notice or a dump says of one.
pub(crate) const RTM_NEWLINK: u16 = 16;
/// Takes a link away.
pub(crate) const RTM_DELLINK: u16 = 17;
/// Asks for links.
pub(crate) const RTM_GETLINK: u16 = 18;
/// An address there is.
pub(crate) const RTM_NEWADDR: u16 = 20;
/// An address there was.
pub(crate) const RTM_DELADDR: u16 = 21;
/// Asks for addresses.
pub(crate) const RTM_GETADDR: u16 = 22;
/// Makes or changes a queueing discipline.
pub(crate) const RTM_NEWQDISC: u16 = 36;
/// Takes a queueing discipline away.
pub(crate) const RTM_DELQDISC: u16 = 37;
/// Asks for queueing disciplines.
pub(crate) const RTM_GETQDISC: u16 = 38;
/// Makes or changes a class.
pub(crate) const RTM_NEWTCLASS: u16 = 40;
/// Asks for classes.
pub(crate) const RTM_GETTCLASS: u16 = 42;

/// Fails where there is one already.
pub(crate) const NLM_F_EXCL: u16 = 0x200;
/// Makes it where there is none.
pub(crate) const NLM_F_CREATE: u16 = 0x400;

/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR`, `RTNLGRP_IPV6_IFADDR`: the groups whose notices tell of links and addresses.
pub(crate) const GROUPS: [u32; 3] = [1, 5, 9];

/// Size of `struct ifinfomsg`.
pub(crate) const LINK_HEADER: usize = 16;
/// Offset of `ifi_index` in it.
pub(crate) const LINK_INDEX: usize = 4;
/// Offset of `ifi_flags` in it.
pub(crate) const LINK_FLAGS: usize = 8;
/// The link is up, as its administrator wants it.
pub(crate) const IFF_UP: u32 = 1;
/// It is a loopback.
pub(crate) const IFF_LOOPBACK: u32 = 8;
/// Size of `struct ifaddrmsg`.
pub(crate) const ADDRESS_HEADER: usize = 8;
/// Offset of `ifa_index` in it.
pub(crate) const ADDRESS_INDEX: usize = 4;
/// Size of `struct tcmsg`.
pub(crate) const TC_HEADER: usize = 20;
/// Offset of `tcm_ifindex` in it.
pub(crate) const TC_INDEX: usize = 4;
/// Offset of `tcm_handle` in it.
pub(crate) const TC_HANDLE: usize = 8;
/// Offset of `tcm_parent` in it.
pub(crate) const TC_PARENT: usize = 12;

/// `IFLA_*`.
pub(crate) mod ifla {
    pub(crate) const ADDRESS: u16 = 1;
    pub(crate) const IFNAME: u16 = 3;
    pub(crate) const QDISC: u16 = 6;
    pub(crate) const TXQLEN: u16 = 13;
    pub(crate) const LINKINFO: u16 = 18;
    pub(crate) const IFALIAS: u16 = 20;
    pub(crate) const AF_SPEC: u16 = 26;
    /// Inside `AF_SPEC`, and in it what a link gives itself for addresses (`IN6_ADDR_GEN_MODE_NONE`).
    pub(crate) const AF_INET6: u16 = 10;
    pub(crate) const INET6_ADDR_GEN_MODE: u16 = 8;
    pub(crate) const ADDR_GEN_NONE: u8 = 1;
    /// `IFLA_INFO_KIND`, inside `IFLA_LINKINFO`.
    pub(crate) const INFO_KIND: u16 = 1;
}

/// Room for a link's alias (`IFALIASZ`), the zero byte at its end included.
pub(crate) const IFALIASZ: usize = 256;

/// `IFA_ADDRESS`: on a link between two ends, the peer's.
pub(crate) const IFA_ADDRESS: u16 = 1;
/// `IFA_LOCAL`: this end's.
pub(crate) const IFA_LOCAL: u16 = 2;

/// `TCA_*`: attributes of queueing disciplines and classes.
pub(crate) mod tca {
    pub(crate) const KIND: u16 = 1;
    pub(crate) const OPTIONS: u16 = 2;
    pub(crate) const STATS2: u16 = 7;
}

/// `TC_H_ROOT`: the parent of a link's first queueing discipline.
pub(crate) const TC_H_ROOT: u32 = 0xffff_ffff;
/// `TC_H_CLSACT`: the place of `clsact` and `ingress`, beside the root.
pub(crate) const TC_H_CLSACT: u32 = 0xffff_fff1;

/// `TCA_HTB_*`.
pub(crate) mod htb {
    pub(crate) const PARMS: u16 = 1;
    pub(crate) const INIT: u16 = 2;
    pub(crate) const DIRECT_QLEN: u16 = 5;
    pub(crate) const RATE64: u16 = 6;
    pub(crate) const CEIL64: u16 = 7;
    /// Version that `struct tc_htb_glob` has to name.
    pub(crate) const VERSION: u32 = 3;
    /// Size of `struct tc_htb_opt`: two `struct tc_ratespec` and five numbers.
    pub(crate) const OPT: usize = 44;
    /// Offset of `rate` in `struct tc_ratespec`.
    pub(crate) const SPEC_RATE: usize = 8;
    /// Size of `struct tc_ratespec`, and offset of the second in `struct tc_htb_opt`.
    pub(crate) const SPEC: usize = 12;
    /// Offset of `buffer` in `struct tc_htb_opt`.
    pub(crate) const BUFFER: usize = 24;
}

/// `TCA_STATS_*`, and where the numbers are in them.
pub(crate) mod stats {
    /// `struct gnet_stats_basic`: bytes (64 bits) and packets (32 bits).
    pub(crate) const BASIC: u16 = 1;
    /// `struct gnet_stats_queue`: packets and bytes waiting, dropped, requeued, over the limit; 32 bits each.
    pub(crate) const QUEUE: u16 = 3;
}

const _: () = {
    assert!(RTM_NEWLINK == libc::RTM_NEWLINK && RTM_DELLINK == libc::RTM_DELLINK && RTM_GETLINK == libc::RTM_GETLINK);
    assert!(RTM_NEWADDR == libc::RTM_NEWADDR && RTM_DELADDR == libc::RTM_DELADDR && RTM_GETADDR == libc::RTM_GETADDR);
    assert!(RTM_NEWQDISC == libc::RTM_NEWQDISC && RTM_GETQDISC == libc::RTM_GETQDISC);
    assert!(RTM_NEWTCLASS == libc::RTM_NEWTCLASS && RTM_GETTCLASS == libc::RTM_GETTCLASS);
    assert!(NLM_F_EXCL as libc::c_int == libc::NLM_F_EXCL && NLM_F_CREATE as libc::c_int == libc::NLM_F_CREATE);
    assert!(size_of::<libc::ifinfomsg>() == LINK_HEADER);
    assert!(offset_of!(libc::ifinfomsg, ifi_index) == LINK_INDEX);
    assert!(offset_of!(libc::ifinfomsg, ifi_flags) == LINK_FLAGS);
    assert!(IFF_UP as libc::c_int == libc::IFF_UP && IFF_LOOPBACK as libc::c_int == libc::IFF_LOOPBACK);
    assert!(ifla::IFNAME == libc::IFLA_IFNAME && ifla::LINKINFO == libc::IFLA_LINKINFO);
    assert!(ifla::IFALIAS == libc::IFLA_IFALIAS && ifla::TXQLEN == libc::IFLA_TXQLEN);
    assert!(IFA_ADDRESS == libc::IFA_ADDRESS && IFA_LOCAL == libc::IFA_LOCAL);
};
