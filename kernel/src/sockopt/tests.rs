use std::net::SocketAddr;
use std::os::fd::AsFd as _;

use socket2::{Domain, Protocol, Socket, Type};

use super::*;
use crate::testing::namespace;

fn pair(client: Protocol) -> (Socket, Socket) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP)).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(1).unwrap();
    let dialled = Socket::new(Domain::IPV4, Type::STREAM, Some(client)).unwrap();
    dialled.connect(&listener.local_addr().unwrap()).unwrap();
    (dialled, listener.accept().unwrap().0)
}

#[test]
fn mptcp_info_names_the_token_and_the_subflow_of_a_live_connection() {
    let (_client, server) = pair(Protocol::MPTCP);
    let info = mptcp_info(server.as_fd()).unwrap().unwrap();
    assert_ne!(info.token, 0);
    assert!(!info.fallback);
    assert_eq!(info.subflows(), 1);
}

#[test]
fn a_plain_client_has_no_mptcp_info() {
    let (_client, server) = pair(Protocol::TCP);
    assert_eq!(mptcp_info(server.as_fd()).unwrap(), None);
}

#[test]
fn a_short_structure_of_an_old_kernel_leaves_the_newer_fields_unknown() {
    let mut old = [0_u8; 40];
    old[abi::mptcp_info::SUBFLOWS] = 2;
    old[abi::mptcp_info::FLAGS] = 1;
    old[abi::mptcp_info::TOKEN..abi::mptcp_info::TOKEN + 4].copy_from_slice(&7_u32.to_ne_bytes());
    let info = MptcpInfo::parse(&old).unwrap();
    assert_eq!((info.token, info.fallback, info.subflows()), (7, true, 3));
    assert_eq!((info.subflows_total, info.checksum, info.retransmits), (None, None, None));
    assert_eq!(MptcpInfo::parse(&old[..15]), None);
}

#[test]
fn unacknowledged_counts_what_the_peer_has_not_taken() {
    let (client, server) = pair(Protocol::MPTCP);
    server.set_nonblocking(true).unwrap();
    assert_eq!(unacknowledged(server.as_fd()).unwrap(), 0);
    // Write until the peer's window and our buffer are full: then something must be waiting.
    let chunk = [0_u8; 65_536];
    while server.send(&chunk).is_ok() {}
    assert!(unacknowledged(server.as_fd()).unwrap() > 0);
    drop(client);
}

/// What the connection's two ends say of themselves after some bytes.
fn exchanged() -> (Socket, Socket) {
    use std::io::{Read as _, Write as _};
    let (mut client, mut server) = pair(Protocol::MPTCP);
    client.write_all(&[7; 1000]).unwrap();
    server.read_exact(&mut [0; 1000]).unwrap();
    server.write_all(&[7; 10]).unwrap();
    client.read_exact(&mut [0; 10]).unwrap();
    (client, server)
}

#[test]
fn full_info_names_the_connection_and_its_subflow() {
    let (client, server) = exchanged();
    let info = mptcp_full_info(server.as_fd()).unwrap().unwrap();
    assert_eq!(info.connection.token, mptcp_info(server.as_fd()).unwrap().unwrap().token);
    assert_eq!((info.connection.bytes_received, info.connection.bytes_sent), (Some(1000), Some(10)));
    assert_eq!((info.total, info.subflows.len()), (1, 1));
    let one = info.subflows[0];
    assert_eq!(one.local, server.local_addr().unwrap().as_socket());
    assert_eq!(one.remote, client.local_addr().unwrap().as_socket());
    assert_eq!((one.tcp.bytes_received, one.tcp.bytes_sent), (Some(1000), Some(10)));
}

#[test]
fn the_older_options_agree_with_full_info() {
    let (_client, server) = exchanged();
    let full = mptcp_full_info(server.as_fd()).unwrap().unwrap().subflows[0];
    assert_eq!(subflow_addresses(server.as_fd()).unwrap().unwrap(), [(full.local.unwrap(), full.remote.unwrap())]);
    let alone = subflow_tcp_infos(server.as_fd()).unwrap().unwrap();
    assert_eq!(alone.len(), 1);
    assert_eq!((alone[0].bytes_received, alone[0].bytes_sent), (Some(1000), Some(10)));
}

#[test]
fn a_plain_client_has_no_subflows() {
    let (_client, server) = pair(Protocol::TCP);
    assert_eq!(mptcp_full_info(server.as_fd()).unwrap(), None);
    assert_eq!(subflow_addresses(server.as_fd()).unwrap(), None);
    assert_eq!(subflow_tcp_infos(server.as_fd()).unwrap(), None);
}

#[test]
fn a_closed_socket_is_an_error_with_the_options_name() {
    let file = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(mptcp_full_info(file.as_fd()).unwrap_err().name, "MPTCP_FULL_INFO");
}

#[test]
fn every_namespace_has_a_cookie_of_its_own() {
    let cookie = || netns_cookie(std::net::UdpSocket::bind("127.0.0.1:0").unwrap().as_fd()).unwrap();
    let (one, other) = (namespace(&[]), namespace(&[]));
    let (first, second) = (one.run(cookie).unwrap(), other.run(cookie).unwrap());
    assert!(first != 0 && second != 0 && first != second, "{first} {second}");
    assert_eq!(one.run(cookie).unwrap(), first);
}
