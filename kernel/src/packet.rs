//! AF_PACKET sockets: whole frames of one interface, in and out, with the kernel's timestamps.
//!
//! What lives here: a safe wrapper over one packet socket bound to one interface, waiting on several, a ring shared with
//! the kernel, and the filter that leaves in it what tells of MPTCP. What does not: decoding.
//! Called by the lab's emulator and taps, and by whoever watches a wire.
//! Invariant: a socket never delivers a frame of another interface (it is bound before its protocol is switched on).
//! Source: packet(7).
#![allow(unsafe_code, reason = "sockaddr_ll, PACKET_* options and control messages have no safe wrapper")]

pub mod filter;
mod link;
pub mod ring;

use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Socket, Type};

pub use link::framing;

/// Why a packet socket failed: the call, the interface, the kernel's word.
#[derive(Debug, thiserror::Error)]
#[error("{call} on the packet socket of {interface} failed")]
pub struct PacketError {
    /// The call or the option's name.
    pub call: &'static str,
    /// The interface the socket belongs to.
    pub interface: String,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// One received frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the frame now in the buffer.
    pub len: usize,
    /// Bytes the frame had; more than `len` when the buffer was too small.
    pub wire_len: usize,
    /// When the kernel saw the frame; zero without [`PacketSocket::set_timestamps`].
    ///
    /// Units: time since the Unix epoch.
    pub at: Duration,
    /// Whether this machine sent the frame.
    pub outgoing: bool,
}

/// One instruction of a classic BPF program, in the order of `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Jump when true.
    pub jt: u8,
    /// Jump when false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// A packet socket bound to one interface of the namespace it was opened in.
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
    interface: String,
}

impl PacketSocket {
    /// Opens a socket for all frames of `interface`, in the calling thread's network namespace.
    ///
    /// Errors: [`PacketError`] — the interface is missing, or CAP_NET_RAW is.
    /// Kernel: CAP_NET_RAW.
    pub fn open(interface: &str) -> Result<Self, PacketError> {
        Self::open_for(interface, c(libc::ETH_P_ALL))
    }

    /// Opens a socket that receives the frames of one protocol, by its EtherType.
    ///
    /// Shape:   frames of a veth's peer that an IFB let go last are received by it, and not by one for every protocol: what the IFB
    ///          says to the taps of its own side is taken for said to the peer's (Linux v6.18 `net/core/dev.c`, `skb_skip_tc_classify`)
    /// Errors:  as [`PacketSocket::open`]
    pub fn open_for(interface: &str, protocol: u16) -> Result<Self, PacketError> {
        let (this, ifindex) = Self::unbound(interface)?;
        this.bind(ifindex, protocol)?;
        Ok(this)
    }

    /// A socket that receives nothing yet, and the number of the interface.
    fn unbound(interface: &str) -> Result<(Self, u32), PacketError> {
        let fail = |call, source| PacketError { call, interface: interface.to_owned(), source };
        // Protocol 0 receives nothing: frames start with the bind.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None).map_err(|e| fail("socket", e))?;
        let ifindex = nix::net::if_::if_nametoindex(interface).map_err(|e| fail("if_nametoindex", e.into()))?;
        socket.set_nonblocking(true).map_err(|e| fail("O_NONBLOCK", e))?;
        Ok((Self { socket, interface: interface.to_owned() }, ifindex))
    }

    /// Starts the frames of interface `ifindex` that carry `protocol`.
    fn bind(&self, ifindex: u32, protocol: u16) -> Result<(), PacketError> {
        // SAFETY: sockaddr_ll is plain data, for which all zeroes is a value.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = c(libc::AF_PACKET);
        address.sll_protocol = protocol.to_be();
        address.sll_ifindex = c(ifindex);
        // SAFETY: the pointer and the length describe `address`, which outlives the call.
        let bound = unsafe { libc::bind(self.socket.as_raw_fd(), (&raw const address).cast(), len_of(&address)) };
        if bound < 0 { Err(self.error("bind", io::Error::last_os_error())) } else { Ok(()) }
    }

    /// Whether frames that this machine sends are left out (they are seen by default).
    ///
    /// Kernel: Linux 4.20, PACKET_IGNORE_OUTGOING.
    pub fn set_ignore_outgoing(&self, ignore: bool) -> Result<(), PacketError> {
        self.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, i32::from(ignore), "PACKET_IGNORE_OUTGOING")
    }

    /// Whether sent frames go to the driver directly, past the interface's queueing discipline.
    pub fn set_qdisc_bypass(&self, bypass: bool) -> Result<(), PacketError> {
        self.set(libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, i32::from(bypass), "PACKET_QDISC_BYPASS")
    }

    /// Whether received frames carry the kernel's nanosecond timestamp.
    pub fn set_timestamps(&self, on: bool) -> Result<(), PacketError> {
        self.set(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, i32::from(on), "SO_TIMESTAMPNS")
    }

    /// Sets both socket buffers, beyond the system's maximum where the process may.
    ///
    /// Units: bytes.
    pub fn set_buffers(&self, bytes: usize) -> Result<(), PacketError> {
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        for (force, plain, name) in
            [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, "SO_RCVBUF"), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, "SO_SNDBUF")]
        {
            self.set(libc::SOL_SOCKET, force, bytes, name)
                .or_else(|_| self.set(libc::SOL_SOCKET, plain, bytes, name))?;
        }
        Ok(())
    }

    /// Lets only frames through for which the classic BPF `program` returns non-zero.
    ///
    /// Errors: [`PacketError`] — the kernel's checker refused the program.
    pub fn set_filter(&self, program: &[Instruction]) -> Result<(), PacketError> {
        let program: Vec<_> = program.iter().map(|i| socket2::SockFilter::new(i.code, i.jt, i.jf, i.k)).collect();
        self.socket.attach_filter(&program).map_err(|e| self.error("SO_ATTACH_FILTER", e))
    }

    /// The next waiting frame, copied into `buffer`; `None` when none is waiting.
    ///
    /// Shape: one frame a call, with its link-layer header, cut to the buffer.
    pub fn recv(&self, buffer: &mut [u8]) -> Result<Option<Received>, PacketError> {
        // SAFETY: both are plain data, for which all zeroes is a value.
        let (mut from, mut header): (libc::sockaddr_ll, libc::msghdr) = unsafe { (zeroed(), zeroed()) };
        let mut parts = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // Eight-byte words, so that the control header in front is aligned; a timestamp takes 32 bytes of the 128.
        let mut control = [MaybeUninit::<u64>::uninit(); 16];
        header.msg_name = (&raw mut from).cast();
        header.msg_namelen = len_of(&from);
        header.msg_iov = &raw mut parts;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of::<[u64; 16]>();
        // SAFETY: name, part and control buffers are live, exclusively ours and as long as the header says.
        let got = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut header, libc::MSG_TRUNC) };
        let Ok(wire_len) = usize::try_from(got) else {
            let error = io::Error::last_os_error();
            // An interface that is down answers ENETDOWN once; frames flow again when it is up.
            let waiting = matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR | libc::ENETDOWN));
            return if waiting { Ok(None) } else { Err(self.error("recvmsg", error)) };
        };
        Ok(Some(Received {
            len: wire_len.min(buffer.len()),
            wire_len,
            at: timestamp(&header),
            outgoing: from.sll_pkttype == libc::PACKET_OUTGOING,
        }))
    }

    /// Sends one whole frame; `false` when the device's queue was full or down and the frame was dropped.
    pub fn send(&self, frame: &[u8]) -> Result<bool, PacketError> {
        match self.socket.send(frame) {
            Ok(_) => Ok(true),
            Err(e) => match e.raw_os_error() {
                Some(libc::EAGAIN | libc::ENOBUFS | libc::ENETDOWN | libc::ENXIO) => Ok(false),
                _ => Err(self.error("send", e)),
            },
        }
    }

    /// Frames the kernel dropped because the receive buffer was full, since the last call.
    pub fn take_drops(&self) -> Result<u32, PacketError> {
        let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut len = len_of(&statistics);
        // SAFETY: the pointer and the length describe `statistics`; the kernel writes at most that many bytes.
        let done = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut len,
            )
        };
        if done < 0 {
            Err(self.error("PACKET_STATISTICS", io::Error::last_os_error()))
        } else {
            Ok(statistics.tp_drops)
        }
    }

    fn set(&self, level: i32, option: i32, value: i32, name: &'static str) -> Result<(), PacketError> {
        // SAFETY: the pointer and the length describe `value`, which outlives the call.
        let done = unsafe {
            libc::setsockopt(self.socket.as_raw_fd(), level, option, (&raw const value).cast(), len_of(&value))
        };
        if done < 0 { Err(self.error(name, io::Error::last_os_error())) } else { Ok(()) }
    }

    fn error(&self, call: &'static str, source: io::Error) -> PacketError {
        PacketError { call, interface: self.interface.clone(), source }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Waits until one of the sockets has a frame, or `timeout` has passed.
///
/// Shape: returns early without a frame when a signal arrives.
/// Errors: the poll's own, which are programming errors.
pub fn wait_readable(sockets: &[impl AsFd], timeout: Duration) -> io::Result<()> {
    let mut polled: Vec<_> = sockets.iter().map(|s| PollFd::new(s, PollFlags::IN)).collect();
    let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
    match poll(&mut polled, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The SCM_TIMESTAMPNS message of a received header, or zero.
fn timestamp(header: &libc::msghdr) -> Duration {
    // SAFETY: the header's control buffer was filled by recvmsg, which set msg_controllen to what it wrote.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return null or a whole message inside the control buffer.
        let (level, kind) = unsafe { ((*message).cmsg_level, (*message).cmsg_type) };
        if level == libc::SOL_SOCKET && kind == libc::SCM_TIMESTAMPNS {
            // SAFETY: a message of this type carries one timespec; the read does not ask for alignment.
            let at: libc::timespec = unsafe { libc::CMSG_DATA(message).cast::<libc::timespec>().read_unaligned() };
            return Duration::new(u64::try_from(at.tv_sec).unwrap_or(0), u32::try_from(at.tv_nsec).unwrap_or(0));
        }
        // SAFETY: `message` is inside the control buffer of `header`.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    Duration::ZERO
}

/// A kernel constant in the type a structure wants; every one used here fits.
fn c<A: TryInto<B>, B: Default>(value: A) -> B {
    value.try_into().unwrap_or_default()
}

/// The size of a value as the kernel's socket calls take it.
fn len_of<T>(_: &T) -> libc::socklen_t {
    c(size_of::<T>())
}

#[cfg(test)]
mod tests;
