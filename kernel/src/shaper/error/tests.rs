use std::io;

use super::*;

fn error(op: &'static str, object: &str, number: i32) -> ShaperError {
    NetlinkError::new(op, object, io::Error::from_raw_os_error(number), None).into()
}

#[test]
fn what_is_missing_is_named() {
    let missing = |op, object, number| match error(op, object, number) {
        ShaperError::Missing { module, .. } => module,
        other => panic!("{op} {number}: {other}"),
    };
    assert_eq!(missing("RTM_NEWLINK", "anabranch0", libc::EOPNOTSUPP), "the module ifb");
    assert_eq!(missing("RTM_NEWQDISC", "root of link 4", libc::ENOENT), "the module sch_htb");
    assert_eq!(missing("socket", "Netfilter netlink", libc::EPROTONOSUPPORT), "the module nf_tables");
    assert_eq!(missing("NFT_MSG_GETTABLE", "tables", libc::EINVAL), "the module nf_tables");
    assert_eq!(missing("NFT_MSG_NEWTABLE", "table t", libc::EOPNOTSUPP), "the module nf_tables");
    assert!(missing("NFT_MSG_NEWCHAIN", "chain egress3", libc::EOPNOTSUPP).contains("5.16"));
    assert!(missing("NFT_MSG_DESTROYSETELEM", "10.0.0.1", libc::EINVAL).contains("6.3"));
    let rule = "rule \"meta priority set x fwd to y\" in chain egress of table t";
    assert_eq!(missing("NFT_MSG_NEWRULE", rule, libc::ENOENT), "the module nft_fwd_netdev");
    let rule = "rule \"ip saddr x reject with tcp reset\" in chain join of table t";
    assert_eq!(missing("NFT_MSG_NEWRULE", rule, libc::ENOENT), "the module nft_reject_netdev");
}

#[test]
fn other_failures_are_what_they_are() {
    assert!(matches!(error("RTM_NEWLINK", "x", libc::EPERM), ShaperError::NotPermitted(_)));
    let refused = error("NFT_MSG_NEWSETELEM", "x in map down4 of table t", libc::ENFILE);
    assert!(matches!(refused, ShaperError::Refused(_)) && !refused.is_gone());
    assert!(error("RTM_NEWTCLASS", "class ab0:10 of link 4", libc::ENOENT).is_gone());
    assert!(error("RTM_NEWTCLASS", "class ab0:10 of link 4", libc::ENODEV).is_gone());
    assert!(!error("RTM_NEWQDISC", "root of link 4", libc::ENOENT).is_gone());
}
