//! nftables over netlink: messages, attributes, flags and registers.
//!
//! Source: Linux v6.18 `include/uapi/linux/netfilter/nf_tables.h`, `include/uapi/linux/netfilter/nfnetlink.h`,
//! `include/uapi/linux/netfilter.h`; for the numbers of types and the user data, which the kernel only keeps, nftables 1.0.6
//! `include/datatype.h` and libnftnl 1.2.4 `include/libnftnl/udata.h`.

/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
/// The same, as `res_id` of a batch has it.
pub(crate) const RES_ID: u16 = SUBSYSTEM;
/// `NFNL_MSG_BATCH_BEGIN`.
pub(crate) const BATCH_BEGIN: u16 = 0x10;
/// `NFNL_MSG_BATCH_END`.
pub(crate) const BATCH_END: u16 = 0x11;
/// Size of `struct nfgenmsg`.
pub(crate) const HEADER: usize = 4;
/// `NFPROTO_NETDEV`.
pub(crate) const NETDEV: u8 = 5;
/// `NLM_F_APPEND`: a rule goes behind the others.
pub(crate) const NLM_F_APPEND: u16 = 0x800;

/// `NFT_MSG_*`, with the subsystem in front.
pub(crate) mod msg {
    const fn of(number: u16) -> u16 {
        super::SUBSYSTEM << 8 | number
    }
    pub(crate) const NEWTABLE: u16 = of(0);
    pub(crate) const GETTABLE: u16 = of(1);
    pub(crate) const DELTABLE: u16 = of(2);
    pub(crate) const NEWCHAIN: u16 = of(3);
    pub(crate) const GETCHAIN: u16 = of(4);
    pub(crate) const DELCHAIN: u16 = of(5);
    pub(crate) const NEWRULE: u16 = of(6);
    pub(crate) const DELRULE: u16 = of(8);
    pub(crate) const NEWSET: u16 = of(9);
    pub(crate) const NEWSETELEM: u16 = of(12);
    pub(crate) const GETSETELEM: u16 = of(13);
    /// Since v6.3.
    pub(crate) const DESTROYSETELEM: u16 = of(30);
}

/// `NFTA_TABLE_*`.
pub(crate) mod table {
    pub(crate) const NAME: u16 = 1;
    pub(crate) const FLAGS: u16 = 2;
    pub(crate) const USERDATA: u16 = 6;
    /// `NFTNL_UDATA_TABLE_COMMENT`, inside the user data: a type, a length, text with a zero byte.
    pub(crate) const COMMENT: u8 = 0;
}

/// `NFTA_CHAIN_*`.
pub(crate) mod chain {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const NAME: u16 = 3;
    pub(crate) const HOOK: u16 = 4;
    pub(crate) const POLICY: u16 = 5;
    pub(crate) const TYPE: u16 = 7;
    /// `NFTA_HOOK_*`, inside `HOOK`.
    pub(crate) const HOOK_NUMBER: u16 = 1;
    pub(crate) const HOOK_PRIORITY: u16 = 2;
    pub(crate) const HOOK_DEVICE: u16 = 3;
    /// `NF_NETDEV_INGRESS`, `NF_NETDEV_EGRESS` (since v5.16).
    pub(crate) const INGRESS: u32 = 0;
    pub(crate) const EGRESS: u32 = 1;
}

/// `NFTA_RULE_*`.
pub(crate) mod rule {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const CHAIN: u16 = 2;
    pub(crate) const EXPRESSIONS: u16 = 4;
}

/// `NFTA_SET_*` and `NFT_SET_*`.
pub(crate) mod set {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const NAME: u16 = 2;
    pub(crate) const FLAGS: u16 = 3;
    pub(crate) const KEY_TYPE: u16 = 4;
    pub(crate) const KEY_LENGTH: u16 = 5;
    pub(crate) const DATA_TYPE: u16 = 6;
    pub(crate) const DATA_LENGTH: u16 = 7;
    pub(crate) const DESCRIPTION: u16 = 9;
    pub(crate) const ID: u16 = 10;
    pub(crate) const TIMEOUT: u16 = 11;
    pub(crate) const USERDATA: u16 = 13;
    /// `NFTA_SET_DESC_SIZE`, inside `DESCRIPTION`.
    pub(crate) const SIZE: u16 = 1;

    pub(crate) const ANONYMOUS: u32 = 1;
    pub(crate) const CONSTANT: u32 = 2;
    pub(crate) const INTERVAL: u32 = 4;
    pub(crate) const MAP: u32 = 8;
    pub(crate) const TIMEOUTS: u32 = 0x10;
    /// `NFT_SET_EVAL`: packets may change it.
    pub(crate) const DYNAMIC: u32 = 0x20;

    /// `TYPE_*` of nft: what it prints the bytes as.
    pub(crate) const TYPE_IPV4: u32 = 7;
    pub(crate) const TYPE_IPV6: u32 = 8;
    pub(crate) const TYPE_PROTOCOL: u32 = 12;
    pub(crate) const TYPE_SERVICE: u32 = 13;
    pub(crate) const TYPE_LINK: u32 = 20;
    pub(crate) const TYPE_CLASSID: u32 = 23;
    /// `TYPE_BITS`: room for one of several parts.
    pub(crate) const TYPE_BITS: u32 = 6;
}

/// `NFTA_SET_ELEM_LIST_*` and `NFTA_SET_ELEM_*`.
pub(crate) mod element {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const SET: u16 = 2;
    pub(crate) const ELEMENTS: u16 = 3;
    pub(crate) const SET_ID: u16 = 4;
    /// `NFTA_LIST_ELEM`.
    pub(crate) const LIST: u16 = 1;
    pub(crate) const KEY: u16 = 1;
    pub(crate) const DATA: u16 = 2;
    pub(crate) const FLAGS: u16 = 3;
    pub(crate) const TIMEOUT: u16 = 4;
    pub(crate) const EXPIRATION: u16 = 5;
    /// `NFT_SET_ELEM_INTERVAL_END`: here an interval is over.
    pub(crate) const INTERVAL_END: u32 = 1;
    /// `NFTA_DATA_VALUE`.
    pub(crate) const VALUE: u16 = 1;
}

/// Attributes of expressions. A name and its data come first.
pub(crate) mod expr {
    pub(crate) const NAME: u16 = 1;
    pub(crate) const DATA: u16 = 2;
    /// `NFTA_LIST_ELEM`.
    pub(crate) const LIST: u16 = 1;
    /// `NFTA_DATA_VALUE`, `NFTA_DATA_VERDICT`.
    pub(crate) const VALUE: u16 = 1;
    pub(crate) const VERDICT: u16 = 2;
    /// `NFTA_VERDICT_CODE`, `NFTA_VERDICT_CHAIN`.
    pub(crate) const VERDICT_CODE: u16 = 1;
    pub(crate) const VERDICT_CHAIN: u16 = 2;
    /// `NF_DROP`, `NFT_RETURN`, `NFT_JUMP`, `NFT_GOTO`.
    pub(crate) const DROP: i32 = 0;
    pub(crate) const RETURN: i32 = -5;
    pub(crate) const JUMP: i32 = -3;
    pub(crate) const GOTO: i32 = -4;
    /// `NFT_REG_VERDICT`, `NFT_REG_1`, `NFT_REG_2`, `NFT_REG32_00`.
    pub(crate) const REG_VERDICT: u32 = 0;
    pub(crate) const REG_1: u32 = 1;
    pub(crate) const REG_2: u32 = 2;
    pub(crate) const REG32_00: u32 = 8;
}
