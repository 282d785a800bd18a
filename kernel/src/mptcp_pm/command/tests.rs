use super::*;
use crate::testing::hex;

/// The family's number in what `ip` sent.
const FAMILY: u16 = 28;

fn sent(request: Request) -> Vec<u8> {
    request.with_flags(4).finish(0x6b08_2111).unwrap()
}

fn subflow(local: &str, remote: &str) -> SubflowAddresses {
    SubflowAddresses { local: local.parse().unwrap(), remote: remote.parse().unwrap() }
}

#[test]
fn an_address_is_what_ip_sends() {
    // `ip mptcp endpoint add 10.9.0.1 port 6001 id 5 dev lo signal`
    let said = Address {
        id: Some(5),
        flags: Some(1),
        interface: Some(1),
        port: Some(6001),
        ip: Some("10.9.0.1".parse().unwrap()),
    };
    let ip = hex("48000000 1c00 0500 1121086b 00000000 01010000 34000180 05000200 05000000 08000600 01000000
                  08000700 01000000 06000500 71170000 06000100 02000000 08000300 0a090001");
    assert_eq!(sent(address(Request::generic(FAMILY, 0, 1, VERSION), attr::ADDR, said)), ip);
    // `ip mptcp endpoint add fd09::1 id 6 dev lo subflow fullmesh`
    let flags = addr_flag::SUBFLOW | addr_flag::FULLMESH;
    let said = Address { id: Some(6), flags: Some(flags), port: None, ip: Some("fd09::1".parse().unwrap()), ..said };
    let ip = hex("4c000000 1c00 0500 1121086b 00000000 01010000 38000180 05000200 06000000 08000600 0a000000
                  08000700 01000000 06000100 0a000000 14000400 fd090000 00000000 00000000 00000001");
    assert_eq!(sent(address(Request::generic(FAMILY, 0, 1, VERSION), attr::ADDR, said)), ip);
    // `ip mptcp endpoint change id 5 backup`
    let said = Address { id: Some(5), flags: Some(addr_flag::BACKUP), ..Address::default() };
    let ip = hex("28000000 1c00 0500 1121086b 00000000 07010000 14000180 05000200 05000000 08000600 04000000");
    assert_eq!(sent(address(Request::generic(FAMILY, 0, command::SET_FLAGS, VERSION), attr::ADDR, said)), ip);
}

#[test]
fn questions_are_what_ip_sends() {
    // `ip mptcp limits show`
    let ip = hex("14000000 1c00 0100 1021086b 00000000 06010000");
    assert_eq!(get_limits(FAMILY).finish(0x6b08_2110).unwrap(), ip);
    // `ip mptcp endpoint show`
    let ip = hex("14000000 1c00 0103 00000000 00000000 03010000");
    assert_eq!(get_endpoints(FAMILY).with_flags(0x300).finish(0).unwrap(), ip);
}

#[test]
fn commands_about_a_subflow_name_both_ends() {
    let ends = subflow("10.2.0.1:5001", "10.2.0.2:1234");
    // iproute2 6.1 has no words for these: header, token, then addresses as above, ports in host order.
    let head = |command: &str, length: &str| {
        hex(&format!("{length}000000 1c00 0500 1121086b 00000000 {command}010000 08000400 44332211"))
    };
    let plain = "06000500 89130000 06000100 02000000 08000300 0a020001";
    let remote = "1c000680 06000500 d2040000 06000100 02000000 08000300 0a020002";
    let backup = [head("07", "5c"), hex(&format!("24000180 08000600 04000000 {plain} {remote}"))].concat();
    assert_eq!(sent(set_flags(FAMILY, 0x1122_3344, ends, true)), backup);
    let regular = [head("07", "5c"), hex(&format!("24000180 08000600 00000000 {plain} {remote}"))].concat();
    assert_eq!(sent(set_flags(FAMILY, 0x1122_3344, ends, false)), regular);
    let destroy = [head("0b", "54"), hex(&format!("1c000180 {plain} {remote}"))].concat();
    assert_eq!(sent(subflow_destroy(FAMILY, 0x1122_3344, ends)), destroy);
    let create = [head("0a", "5c"), hex(&format!("24000180 05000200 07000000 {plain} {remote}"))].concat();
    assert_eq!(sent(subflow_create(FAMILY, 0x1122_3344, 7, ends)), create);
    let anywhere = subflow("10.2.0.1:0", "10.2.0.2:1234");
    let no_port = "05000200 07000000 06000100 02000000 08000300 0a020001";
    let create = [head("0a", "54"), hex(&format!("1c000180 {no_port} {remote}"))].concat();
    assert_eq!(sent(subflow_create(FAMILY, 0x1122_3344, 7, anywhere)), create);
}

#[test]
fn commands_about_an_address_name_its_number() {
    let announcement = Announcement { id: 3, address: "10.2.0.1".parse().unwrap(), port: None };
    let bytes = hex("40000000 1c00 0500 1121086b 00000000 08010000 08000400 44332211
                     24000180 05000200 03000000 08000600 01000000 06000100 02000000 08000300 0a020001");
    assert_eq!(sent(announce(FAMILY, 0x1122_3344, announcement)), bytes);
    let bytes = hex("24000000 1c00 0500 1121086b 00000000 09010000 08000400 44332211 05000500 03000000");
    assert_eq!(sent(remove(FAMILY, 0x1122_3344, 3)), bytes);
}
