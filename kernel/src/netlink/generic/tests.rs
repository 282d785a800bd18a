use super::*;
use crate::netlink::Protocol;
use crate::netlink::message::Messages;
use crate::testing::hex;

#[test]
fn the_controllers_answer_is_read() {
    // As Linux 6.18 answered.
    let bytes = hex(include_str!("../../../tests/data/genl_family.hex"));
    let (command, attributes) = Messages::new(&bytes).next().unwrap().generic().unwrap();
    assert_eq!(command, 1);
    let family = Family::parse(attributes).unwrap();
    assert_eq!((family.name.as_str(), family.id), ("mptcp_pm", 28));
    assert_eq!((family.group("mptcp_pm_cmds"), family.group("mptcp_pm_events")), (Some(8), Some(9)));
    assert_eq!(family.group("mptcp_pm"), None);
}

#[test]
fn the_controller_knows_itself_and_refuses_the_unknown() {
    let mut socket = NetlinkSocket::open(Protocol::Generic).unwrap();
    let family = Family::resolve(&mut socket, "nlctrl").unwrap();
    assert_eq!(family.id, 16);
    assert!(family.group("notify").is_some());
    let error = Family::resolve(&mut socket, "no_such_family").unwrap_err();
    assert_eq!(error.errno(), Some(libc::ENOENT));
    assert!(!error.is_not_permitted());
    assert_eq!((error.op, error.object.as_str()), ("CTRL_CMD_GETFAMILY", "no_such_family"));
}
