//! The netlink socket: requests with their answers, and notices of multicast groups.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::abi::netlink as abi;

use super::message::{Message, Messages, Says};
use super::{NetlinkError, Request};

/// Longest datagram taken. The kernel fills a dump's datagrams up to 32 KiB.
const BUFFER: usize = 64 * 1024;
/// How often a dump is begun again because what it dumps changed meanwhile.
const DUMP_ATTEMPTS: usize = 4;
/// The kernel answers before `send` returns; a dump goes on while it is read. What takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(5);

/// The families of netlink that are spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Links, addresses, routes, queueing disciplines.
    Route,
    /// Sockets.
    SockDiag,
    /// Packet filter.
    Netfilter,
    /// Families by name.
    Generic,
}

/// What [`NetlinkSocket::receive`] found.
#[derive(Debug, Clone, Copy)]
pub enum Received<'a> {
    /// One datagram.
    Messages(Messages<'a>),
    /// Notices came faster than they were read and some are gone: what they told has to be asked for.
    Lost,
    /// Nothing is waiting.
    Nothing,
}

/// What a dump hands over.
#[derive(Debug, Clone, Copy)]
pub enum Dump<'a> {
    /// The dump begins, or begins again: what came before is void.
    Start,
    /// One entry.
    Entry(Message<'a>),
}

/// A netlink socket of the network namespace it was opened in.
///
/// Shape: one for questions, another for notices; after an error of a dump, what is left of it blocks the next one, so
/// open another socket then. Waiting is the caller's: the descriptor becomes readable.
pub struct NetlinkSocket {
    socket: Socket,
    sequence: u32,
    buffer: Box<[u8]>,
}

impl NetlinkSocket {
    /// Opens a socket that gives errors in words and lets the kernel check what it is asked.
    ///
    /// Errors: the kernel has no such netlink family.
    /// Kernel: v4.20 (`NETLINK_GET_STRICT_CHK`); no capability.
    pub fn open(protocol: Protocol) -> Result<Self, NetlinkError> {
        let number = match protocol {
            Protocol::Route => libc::NETLINK_ROUTE,
            Protocol::SockDiag => libc::NETLINK_SOCK_DIAG,
            Protocol::Netfilter => libc::NETLINK_NETFILTER,
            Protocol::Generic => libc::NETLINK_GENERIC,
        };
        let fail = |op, source| NetlinkError::new(op, format_args!("{protocol:?} netlink"), source, None);
        let socket = Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(socket2::Protocol::from(number)))
            .map_err(|e| fail("socket", e))?;
        let mut this = Self::over(socket);
        for (option, name) in [
            (libc::NETLINK_EXT_ACK, "NETLINK_EXT_ACK"),
            (libc::NETLINK_CAP_ACK, "NETLINK_CAP_ACK"),
            (libc::NETLINK_GET_STRICT_CHK, "NETLINK_GET_STRICT_CHK"),
        ] {
            this.set(libc::SOL_NETLINK, option, 1).map_err(|e| fail(name, e))?;
        }
        this.bind().map_err(|e| fail("bind", e))?;
        this.socket.set_read_timeout(Some(PATIENCE)).map_err(|e| fail("SO_RCVTIMEO", e))?;
        // Answers to an earlier socket of the same number must not pass for ours.
        this.sequence = std::process::id().rotate_left(16);
        Ok(this)
    }

    /// Takes a number of the kernel's choice: a socket without one gets no notices.
    fn bind(&self) -> io::Result<()> {
        // SAFETY: sockaddr_nl is plain data, for which all zeroes is a value.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = NETLINK;
        // SAFETY: the pointer and the length describe `address`, which outlives the call.
        let bound = unsafe { libc::bind(self.socket.as_raw_fd(), (&raw const address).cast(), ADDRESS) };
        if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn over(socket: Socket) -> Self {
        Self { socket, sequence: 0, buffer: vec![0; BUFFER].into_boxed_slice() }
    }

    /// Joins a multicast group: its notices are then had from [`NetlinkSocket::receive`].
    ///
    /// Errors: the group is missing, or wants a capability.
    pub fn join(&self, group: u32) -> Result<(), NetlinkError> {
        let number = libc::c_int::try_from(group).unwrap_or(libc::c_int::MAX);
        self.set(libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, number)
            .map_err(|e| NetlinkError::new("NETLINK_ADD_MEMBERSHIP", format_args!("group {group}"), e, None))
    }

    /// Sets how much may wait to be read, beyond the system's maximum where the process may.
    ///
    /// Units: bytes, as the kernel counts them (a short notice costs it about 800).
    pub fn set_receive_buffer(&self, bytes: usize) -> Result<(), NetlinkError> {
        let number = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
        self.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, number)
            .or_else(|_| self.set(libc::SOL_SOCKET, libc::SO_RCVBUF, number))
            .map_err(|e| NetlinkError::new("SO_RCVBUF", format_args!("{bytes} bytes"), e, None))
    }

    /// Sends a request and waits for its end; every answer in between goes to `visit`.
    ///
    /// Errors: the kernel's, with its words; `EMSGSIZE` — the request grew too long; `EBADMSG` — the answer made no sense.
    pub fn request(
        &mut self,
        op: &'static str,
        object: &dyn fmt::Display,
        request: Request,
        visit: impl FnMut(Message<'_>),
    ) -> Result<(), NetlinkError> {
        let sequence = self.send(op, object, request.with_flags(abi::NLM_F_ACK))?;
        self.answers(op, object, sequence, visit).map(drop)
    }

    /// Asks for all there is, entry by entry, and begins again when it changed meanwhile.
    ///
    /// Shape: `visit` gets [`Dump::Start`] before the first entry of every attempt.
    /// Errors: as [`NetlinkSocket::request`]; `EINTR` — it changed during every one of four attempts.
    pub fn dump(
        &mut self,
        op: &'static str,
        object: &dyn fmt::Display,
        request: &Request,
        mut visit: impl FnMut(Dump<'_>),
    ) -> Result<(), NetlinkError> {
        for _ in 0..DUMP_ATTEMPTS {
            visit(Dump::Start);
            let sequence = self.send(op, object, request.clone().with_flags(abi::NLM_F_DUMP))?;
            if self.answers(op, object, sequence, |message| visit(Dump::Entry(message)))? {
                return Ok(());
            }
        }
        let words = Some("it changed whenever it was read".to_owned());
        Err(NetlinkError::new(op, object, io::Error::from_raw_os_error(libc::EINTR), words))
    }

    /// The next datagram of notices, without waiting.
    ///
    /// Errors: the socket's own, which are programming errors; losses are [`Received::Lost`].
    pub fn receive(&mut self) -> Result<Received<'_>, NetlinkError> {
        match self.read(libc::MSG_DONTWAIT) {
            Ok(length) => Ok(Received::Messages(Messages::new(&self.buffer[..length]))),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => Ok(Received::Nothing),
                // Too long for the buffer is as lost as too many for the queue.
                Some(libc::ENOBUFS | libc::EMSGSIZE) => Ok(Received::Lost),
                _ => Err(NetlinkError::new("recvfrom", "netlink notices", error, None)),
            },
        }
    }

    /// Sets how long a datagram to the kernel may be, beyond the system's maximum where the process may.
    ///
    /// Units: bytes.
    pub fn set_send_buffer(&self, bytes: usize) -> Result<(), NetlinkError> {
        let number = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
        self.set(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, number)
            .or_else(|_| self.set(libc::SOL_SOCKET, libc::SO_SNDBUF, number))
            .map_err(|e| NetlinkError::new("SO_SNDBUF", format_args!("{bytes} bytes"), e, None))
    }

    fn send(&mut self, op: &'static str, object: &dyn fmt::Display, request: Request) -> Result<u32, NetlinkError> {
        let sequence = self.sequences(1);
        let fail = |source| NetlinkError::new(op, object, source, None);
        let bytes = request.finish(sequence).ok_or_else(|| fail(io::Error::from_raw_os_error(libc::EMSGSIZE)))?;
        self.send_datagram(&bytes).map_err(fail)?;
        Ok(sequence)
    }

    /// The first of `count` numbers in a row for requests. Zero is the number of notices.
    pub(super) fn sequences(&mut self, count: usize) -> u32 {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let end = self.sequence.checked_add(count);
        let first = if end.is_some() { self.sequence + 1 } else { 1 };
        self.sequence = end.unwrap_or(count);
        first
    }

    /// Sends to the kernel, which a socket that was never connected talks to. Netlink takes a datagram whole or not at all.
    pub(super) fn send_datagram(&self, bytes: &[u8]) -> io::Result<()> {
        self.socket.send(bytes).map(drop)
    }

    /// The next datagram that is there already.
    pub(super) fn read_now(&mut self) -> io::Result<&[u8]> {
        let length = self.read(libc::MSG_DONTWAIT)?;
        Ok(&self.buffer[..length])
    }

    /// Reads the answers to one request up to its end; false if they are of different moments.
    fn answers(
        &mut self,
        op: &'static str,
        object: &dyn fmt::Display,
        sequence: u32,
        mut visit: impl FnMut(Message<'_>),
    ) -> Result<bool, NetlinkError> {
        let mut consistent = true;
        loop {
            let length = self.read(0).map_err(|e| NetlinkError::new(op, object, e, None))?;
            for message in Messages::new(&self.buffer[..length]).filter(|m| m.sequence == sequence) {
                consistent &= !message.is_interrupted();
                match message.says() {
                    Says::Data => visit(message),
                    Says::Done => return Ok(consistent),
                    Says::Failed(number, words) => {
                        let source = io::Error::from_raw_os_error(number);
                        return Err(NetlinkError::new(op, object, source, words.map(str::to_owned)));
                    }
                    Says::Nothing => {}
                }
            }
        }
    }

    /// Reads one datagram from the kernel into the buffer.
    fn read(&mut self, flags: libc::c_int) -> io::Result<usize> {
        loop {
            // SAFETY: sockaddr_nl is plain data, for which all zeroes is a value.
            let mut from: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
            let mut from_length = ADDRESS;
            // SAFETY: the buffer and the address are live, exclusively ours and as long as the lengths say.
            let got = unsafe {
                libc::recvfrom(
                    self.socket.as_raw_fd(),
                    self.buffer.as_mut_ptr().cast(),
                    self.buffer.len(),
                    flags | libc::MSG_TRUNC,
                    (&raw mut from).cast(),
                    &raw mut from_length,
                )
            };
            match usize::try_from(got) {
                // Another process may write to our address where it has the capability: only the kernel has number 0.
                Ok(_) if from.nl_pid != 0 => {}
                Ok(length) if length > self.buffer.len() => return Err(io::Error::from_raw_os_error(libc::EMSGSIZE)),
                Ok(length) => return Ok(length),
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error => return Err(error),
                },
            }
        }
    }

    fn set(&self, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
        // SAFETY: the pointer and the length describe `value`, which outlives the call.
        let done = unsafe { libc::setsockopt(self.socket.as_raw_fd(), level, option, (&raw const value).cast(), 4) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl fmt::Debug for NetlinkSocket {
    // Without the buffer's 64 KiB.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { socket, sequence, .. } = self;
        f.debug_struct("NetlinkSocket").field("socket", socket).field("sequence", sequence).finish_non_exhaustive()
    }
}

impl AsFd for NetlinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `AF_NETLINK`, and the size of its addresses, in the types they are asked for in.
const NETLINK: libc::sa_family_t = 16;
const ADDRESS: libc::socklen_t = 12;
const _: () = {
    assert!(NETLINK as libc::c_int == libc::AF_NETLINK);
    assert!(size_of::<libc::sockaddr_nl>() == ADDRESS as usize && size_of::<libc::c_int>() == 4);
};

#[cfg(test)]
mod tests;
