//! Routing netlink: routes, the rules that choose among tables, and what an address is like.
//!
//! Source: Linux v6.18 `include/uapi/linux/rtnetlink.h`, `include/uapi/linux/fib_rules.h`, `include/uapi/linux/if_addr.h`.

/// Makes a route; what a dump says of one.
pub(crate) const RTM_NEWROUTE: u16 = 24;
/// Takes a route away.
pub(crate) const RTM_DELROUTE: u16 = 25;
/// Asks for routes, or for the one that a packet would take.
pub(crate) const RTM_GETROUTE: u16 = 26;
/// Makes a rule; what a dump says of one.
pub(crate) const RTM_NEWRULE: u16 = 32;
/// Takes a rule away.
pub(crate) const RTM_DELRULE: u16 = 33;
/// Asks for rules.
pub(crate) const RTM_GETRULE: u16 = 34;

/// Size of `struct rtmsg`, and of `struct fib_rule_hdr`, which has the same fields at the same places.
pub(crate) const HEADER: usize = 12;
/// Offsets in both.
pub(crate) mod at {
    pub(crate) const FAMILY: usize = 0;
    pub(crate) const DST_LEN: usize = 1;
    pub(crate) const SRC_LEN: usize = 2;
    pub(crate) const TABLE: usize = 4;
    /// Of routes only.
    pub(crate) const PROTOCOL: usize = 5;
    pub(crate) const SCOPE: usize = 6;
    /// A route's type, a rule's action.
    pub(crate) const KIND: usize = 7;
    pub(crate) const FLAGS: usize = 8;
}

/// `RTA_*`.
pub(crate) mod rta {
    pub(crate) const DST: u16 = 1;
    pub(crate) const SRC: u16 = 2;
    pub(crate) const OIF: u16 = 4;
    pub(crate) const GATEWAY: u16 = 5;
    pub(crate) const PRIORITY: u16 = 6;
    pub(crate) const PREFSRC: u16 = 7;
    pub(crate) const TABLE: u16 = 15;
}

/// `FRA_*`.
pub(crate) mod fra {
    pub(crate) const DST: u16 = 1;
    pub(crate) const SRC: u16 = 2;
    pub(crate) const PRIORITY: u16 = 6;
    pub(crate) const SUPPRESS_PREFIXLEN: u16 = 14;
    pub(crate) const TABLE: u16 = 15;
    pub(crate) const PROTOCOL: u16 = 21;
}

/// `RTN_UNICAST`: a way to somewhere.
pub(crate) const UNICAST: u8 = 1;
/// `FR_ACT_TO_TBL`.
pub(crate) const TO_TABLE: u8 = 1;
/// `RTPROT_STATIC`: an administrator's.
pub(crate) const STATIC: u8 = 4;
/// `RT_SCOPE_UNIVERSE`, `RT_SCOPE_LINK`.
pub(crate) const UNIVERSE: u8 = 0;
pub(crate) const LINK: u8 = 253;
/// `RT_TABLE_UNSPEC`: the number is in the attribute.
pub(crate) const UNSPEC: u8 = 0;

/// Offsets in `struct ifaddrmsg`.
pub(crate) mod address_at {
    pub(crate) const PREFIX: usize = 1;
    pub(crate) const FLAGS: usize = 2;
    pub(crate) const SCOPE: usize = 3;
}
/// `IFA_FLAGS`.
pub(crate) const IFA_FLAGS: u16 = 8;
/// `IFA_F_TEMPORARY | IFA_F_DADFAILED | IFA_F_DEPRECATED | IFA_F_TENTATIVE` of IPv6: nothing to begin a connection from that is to
/// last. Of IPv4 the first bit is `IFA_F_SECONDARY`.
pub(crate) const PASSING: u32 = 0x01 | 0x08 | 0x20 | 0x40;
pub(crate) const SECONDARY: u32 = 0x01;

const _: () = {
    assert!(RTM_NEWROUTE == libc::RTM_NEWROUTE && RTM_DELROUTE == libc::RTM_DELROUTE);
    assert!(RTM_GETROUTE == libc::RTM_GETROUTE && RTM_GETRULE == libc::RTM_GETRULE);
    assert!(RTM_NEWRULE == libc::RTM_NEWRULE && RTM_DELRULE == libc::RTM_DELRULE);
    assert!(rta::GATEWAY == libc::RTA_GATEWAY && rta::TABLE == libc::RTA_TABLE && rta::OIF == libc::RTA_OIF);
    assert!(rta::PREFSRC == libc::RTA_PREFSRC && rta::PRIORITY == libc::RTA_PRIORITY);
    assert!(UNICAST == libc::RTN_UNICAST && STATIC == libc::RTPROT_STATIC && LINK == libc::RT_SCOPE_LINK);
};
