//! The generic netlink family of the MPTCP path managers.
//!
//! Source: Linux v6.18 `include/uapi/linux/mptcp_pm.h`, `include/uapi/linux/mptcp.h`.

/// Name of the family.
pub(crate) const FAMILY: &str = "mptcp_pm";
/// Its version, in every request.
pub(crate) const VERSION: u8 = 1;
/// Name of the multicast group that carries events; joining it takes CAP_NET_ADMIN.
pub(crate) const EVENTS: &str = "mptcp_pm_events";

/// `enum mptcp_event_type`: what an event's generic header says happened.
pub(crate) mod event {
    pub(crate) const CREATED: u8 = 1;
    pub(crate) const ESTABLISHED: u8 = 2;
    pub(crate) const CLOSED: u8 = 3;
    pub(crate) const ANNOUNCED: u8 = 6;
    pub(crate) const REMOVED: u8 = 7;
    pub(crate) const SUB_ESTABLISHED: u8 = 10;
    pub(crate) const SUB_CLOSED: u8 = 11;
    pub(crate) const SUB_PRIORITY: u8 = 13;
    pub(crate) const LISTENER_CREATED: u8 = 15;
    pub(crate) const LISTENER_CLOSED: u8 = 16;
}

/// `enum mptcp_event_attr`: the attributes of events. Ports are in network order here.
pub(crate) mod event_attr {
    pub(crate) const TOKEN: u16 = 1;
    pub(crate) const LOC_ID: u16 = 3;
    pub(crate) const REM_ID: u16 = 4;
    pub(crate) const SADDR4: u16 = 5;
    pub(crate) const SADDR6: u16 = 6;
    pub(crate) const DADDR4: u16 = 7;
    pub(crate) const DADDR6: u16 = 8;
    pub(crate) const SPORT: u16 = 9;
    pub(crate) const DPORT: u16 = 10;
    pub(crate) const BACKUP: u16 = 11;
    pub(crate) const ERROR: u16 = 12;
    pub(crate) const FLAGS: u16 = 13;
    pub(crate) const TIMEOUT: u16 = 14;
    pub(crate) const IF_IDX: u16 = 15;
    pub(crate) const RESET_REASON: u16 = 16;
    pub(crate) const RESET_FLAGS: u16 = 17;
    pub(crate) const SERVER_SIDE: u16 = 18;
}

/// `MPTCP_PM_EV_FLAG_DENY_JOIN_ID0`: the peer wants no joins to its initial address (RFC 8684 §3.1, flag C).
pub(crate) const EV_FLAG_DENY_JOIN_ID0: u16 = 1 << 0;
/// `MPTCP_PM_EV_FLAG_SERVER_SIDE`: this end accepted the connection.
pub(crate) const EV_FLAG_SERVER_SIDE: u16 = 1 << 1;

/// `MPTCP_PM_CMD_*`.
pub(crate) mod command {
    pub(crate) const ADD_ADDR: u8 = 1;
    pub(crate) const DEL_ADDR: u8 = 2;
    pub(crate) const GET_ADDR: u8 = 3;
    pub(crate) const SET_LIMITS: u8 = 5;
    pub(crate) const GET_LIMITS: u8 = 6;
    pub(crate) const SET_FLAGS: u8 = 7;
    pub(crate) const ANNOUNCE: u8 = 8;
    pub(crate) const REMOVE: u8 = 9;
    pub(crate) const SUBFLOW_CREATE: u8 = 10;
    pub(crate) const SUBFLOW_DESTROY: u8 = 11;
}

/// `MPTCP_PM_ATTR_*`: the attributes of requests and of their answers.
pub(crate) mod attr {
    pub(crate) const ADDR: u16 = 1;
    pub(crate) const RCV_ADD_ADDRS: u16 = 2;
    pub(crate) const SUBFLOWS: u16 = 3;
    pub(crate) const TOKEN: u16 = 4;
    pub(crate) const LOC_ID: u16 = 5;
    pub(crate) const ADDR_REMOTE: u16 = 6;
}

/// `MPTCP_PM_ADDR_ATTR_*`: what an address is made of. Ports are in host order here.
pub(crate) mod addr_attr {
    pub(crate) const FAMILY: u16 = 1;
    pub(crate) const ID: u16 = 2;
    pub(crate) const ADDR4: u16 = 3;
    pub(crate) const ADDR6: u16 = 4;
    pub(crate) const PORT: u16 = 5;
    pub(crate) const FLAGS: u16 = 6;
    pub(crate) const IF_IDX: u16 = 7;
}

/// `MPTCP_PM_ADDR_FLAG_*`.
pub(crate) mod addr_flag {
    pub(crate) const SIGNAL: u32 = 1 << 0;
    pub(crate) const SUBFLOW: u32 = 1 << 1;
    pub(crate) const BACKUP: u32 = 1 << 2;
    pub(crate) const FULLMESH: u32 = 1 << 3;
    pub(crate) const IMPLICIT: u32 = 1 << 4;
    /// Since v6.18.
    pub(crate) const LAMINAR: u32 = 1 << 5;
}
