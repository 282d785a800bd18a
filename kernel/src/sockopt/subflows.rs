//! What a connection's own socket tells of its subflows.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use crate::abi::{self, FullInfoHeader, SubflowData};
use crate::fields::Fields;
use crate::mptcp_info::MptcpInfo;
use crate::tcp_info::TcpInfo;

use super::SockoptError;

/// Subflows asked for: the kernel's path managers make nine at most, and a closed initial one may still be listed.
const ROOM: usize = 16;

/// One subflow, by the connection's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubflowInfo {
    /// The kernel's number for it, never used twice in a connection; the initial one's is not always 1.
    pub id: u32,
    /// This end; `None` once it is closed.
    pub local: Option<SocketAddr>,
    /// The peer's end; `None` once it is closed.
    pub remote: Option<SocketAddr>,
    /// Its measurements.
    pub tcp: TcpInfo,
}

/// One connection and its subflows at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullInfo {
    /// The connection.
    pub connection: MptcpInfo,
    /// Its subflows. Shape: sixteen at most.
    pub subflows: Vec<SubflowInfo>,
    /// How many it has.
    pub total: u32,
}

/// Asks `MPTCP_FULL_INFO` of a socket; `None` if it is not an MPTCP one, or the kernel is older than the option.
///
/// Errors: [`SockoptError`] for anything else.
/// Kernel: v6.5; no capability.
pub fn mptcp_full_info(socket: BorrowedFd<'_>) -> Result<Option<FullInfo>, SockoptError> {
    let mut addresses = [[0_u8; abi::SUBFLOW_INFO_SIZE]; ROOM];
    let mut measurements = [[0_u8; abi::TCP_INFO_SIZE]; ROOM];
    let mut header = FullInfoHeader {
        size_tcpinfo_kernel: 0,
        size_tcpinfo_user: small(abi::TCP_INFO_SIZE),
        size_sfinfo_kernel: 0,
        size_sfinfo_user: small(abi::SUBFLOW_INFO_SIZE),
        num_subflows: 0,
        size_arrays_user: small(ROOM),
        subflow_info: addresses.as_mut_ptr().expose_provenance() as u64,
        tcp_info: measurements.as_mut_ptr().expose_provenance() as u64,
        mptcp_info: [0; abi::MPTCP_INFO_SIZE],
    };
    let mut length = small(size_of::<FullInfoHeader>());
    // SAFETY: `header` is writable for `length` bytes; both arrays it points to are live, ours alone, and have room for
    // `size_arrays_user` elements of the sizes it states, which bounds what the kernel writes.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            abi::SOL_MPTCP,
            abi::MPTCP_FULL_INFO,
            (&raw mut header).cast(),
            &raw mut length,
        )
    };
    if answer < 0 {
        return none_if_not_mptcp("MPTCP_FULL_INFO");
    }
    // The kernel states the distances it used, and cuts `mptcp_info` to what it has.
    let told = usize::try_from(length).unwrap_or(0).saturating_sub(size_of::<FullInfoHeader>() - abi::MPTCP_INFO_SIZE);
    let Some(connection) = MptcpInfo::parse(&header.mptcp_info[..told.min(abi::MPTCP_INFO_SIZE)]) else {
        return Ok(None);
    };
    let count = usize::try_from(header.num_subflows).unwrap_or(ROOM).min(ROOM);
    let addresses = elements(addresses.as_flattened(), header.size_sfinfo_user);
    let measurements = elements(measurements.as_flattened(), header.size_tcpinfo_user);
    let subflows = addresses.zip(measurements).take(count).filter_map(|(who, how)| {
        let ends = who.get(abi::SUBFLOW_INFO_ADDRS..)?;
        let (local, remote) = (address(ends), address(ends.get(abi::SUBFLOW_ADDRS_REMOTE..)?));
        Some(SubflowInfo { id: Fields(who).u32(0)?, local, remote, tcp: TcpInfo::parse(how)? })
    });
    Ok(Some(FullInfo { connection, subflows: subflows.collect(), total: header.num_subflows }))
}

/// Asks `MPTCP_TCPINFO`: the measurements of every subflow; `None` if the socket is not an MPTCP one.
///
/// Kernel: v5.16; no capability.
pub fn subflow_tcp_infos(socket: BorrowedFd<'_>) -> Result<Option<Vec<TcpInfo>>, SockoptError> {
    array::<{ abi::TCP_INFO_SIZE }, _>(socket, abi::MPTCP_TCPINFO, "MPTCP_TCPINFO", TcpInfo::parse)
}

/// Asks `MPTCP_SUBFLOW_ADDRS`: this end and the peer's of every subflow; `None` if the socket is not an MPTCP one.
///
/// Kernel: v5.16; no capability.
pub fn subflow_addresses(socket: BorrowedFd<'_>) -> Result<Option<Vec<(SocketAddr, SocketAddr)>>, SockoptError> {
    array::<{ abi::SUBFLOW_ADDRS_SIZE }, _>(socket, abi::MPTCP_SUBFLOW_ADDRS, "MPTCP_SUBFLOW_ADDRS", |ends| {
        Some((address(ends)?, address(ends.get(abi::SUBFLOW_ADDRS_REMOTE..)?)?))
    })
}

/// Asks for an array with one element a subflow; what `read` cannot read is left out.
fn array<const SIZE: usize, T>(
    socket: BorrowedFd<'_>,
    option: libc::c_int,
    name: &'static str,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<Option<Vec<T>>, SockoptError> {
    #[repr(C)]
    struct Answer<const SIZE: usize> {
        header: SubflowData,
        elements: [[u8; SIZE]; ROOM],
    }
    let header = SubflowData {
        size_subflow_data: small(size_of::<SubflowData>()),
        size_user: small(SIZE),
        ..SubflowData::default()
    };
    let mut answer = Answer { header, elements: [[0; SIZE]; ROOM] };
    let mut length = small(size_of::<Answer<SIZE>>());
    // SAFETY: `answer` is writable for `length` bytes and outlives the call; the kernel writes no more than `length`.
    let done = unsafe {
        libc::getsockopt(socket.as_raw_fd(), abi::SOL_MPTCP, option, (&raw mut answer).cast(), &raw mut length)
    };
    if done < 0 {
        return none_if_not_mptcp(name);
    }
    let count = usize::try_from(answer.header.num_subflows).unwrap_or(ROOM).min(ROOM);
    let elements = elements(answer.elements.as_flattened(), answer.header.size_user);
    Ok(Some(elements.take(count).filter_map(read).collect()))
}

/// The elements of an array that lie `distance` bytes apart.
fn elements(bytes: &[u8], distance: u32) -> std::slice::ChunksExact<'_, u8> {
    // A distance of zero would be no answer of any kernel; it must not be a panic either.
    bytes.chunks_exact(usize::try_from(distance).unwrap_or(usize::MAX).max(1))
}

/// The last call's error, unless it says that the socket does not speak MPTCP, or the kernel not this option.
fn none_if_not_mptcp<T>(name: &'static str) -> Result<Option<T>, SockoptError> {
    let source = io::Error::last_os_error();
    match source.raw_os_error() {
        Some(libc::EOPNOTSUPP | libc::ENOPROTOOPT) => Ok(None),
        _ => Err(SockoptError { name, source }),
    }
}

/// Reads a `struct sockaddr_in` or `sockaddr_in6`; `None` for another family, and for the blank of a closed subflow.
fn address(bytes: &[u8]) -> Option<SocketAddr> {
    let of = Fields(bytes);
    let ip: IpAddr = match libc::c_int::from(of.u16(0)?) {
        libc::AF_INET => Ipv4Addr::from(of.array::<4>(4)?).into(),
        libc::AF_INET6 => Ipv6Addr::from(of.array::<16>(8)?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, of.be16(2).filter(|&port| port != 0)?))
}

/// A size of this module as the kernel takes it; all are small.
const fn small(size: usize) -> u32 {
    assert!(size < 1 << 16);
    #[expect(clippy::cast_possible_truncation, reason = "it was just looked at")]
    let small = size as u32;
    small
}
