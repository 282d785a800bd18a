//! The program that visits every TCP socket of a network namespace and sets the pace of those the map names.
//!
//! Pure: places of members in, instruction words out.
//! Source: Linux v6.18 `net/ipv4/tcp_ipv4.c` (`bpf_iter_tcp_seq_show`), `net/core/filter.c` (`bpf_sk_setsockopt`).

use crate::abi::bpf::{code, helper};
use crate::flow::{Flow, wide};
use crate::tcp_info::TcpState;

use super::asm::{Assembler, Instruction, Label, Reg};
use super::btf::{Btf, BtfError};

/// Size of a key of the map.
pub(super) const KEY: usize = 36;

/// Byte offsets inside a key: both ends, addresses as IPv6 sockets write them.
mod key {
    pub(super) const LOCAL: i16 = 0;
    pub(super) const REMOTE: i16 = 16;
    /// In host order, as the kernel keeps it.
    pub(super) const LOCAL_PORT: i16 = 32;
    /// In network order, as the kernel keeps it.
    pub(super) const REMOTE_PORT: i16 = 34;
}

/// A value of the map: what to set, and how that went.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Value {
    /// `SO_MAX_PACING_RATE`.
    pub(super) rate: u32,
    /// `TCP_NOTSENT_LOWAT`.
    pub(super) unsent: u32,
    /// `SO_KEEPALIVE`.
    pub(super) keep: u32,
    /// `TCP_KEEPIDLE`, set after it: then the kernel asks at once where nothing was heard for so long.
    pub(super) idle: u32,
    /// `TCP_KEEPCNT`, set before both.
    pub(super) count: u32,
    /// By the program: the socket was there.
    pub(super) seen: u32,
    /// By the program: what setting the rate returned.
    pub(super) rate_result: i32,
    /// By the program: what setting the unsent limit returned.
    pub(super) unsent_result: i32,
    /// By the program: what setting the options of the sign of life returned.
    pub(super) keep_result: i32,
    pub(super) idle_result: i32,
    pub(super) count_result: i32,
}

/// Size of a value of the map, and the byte offsets the program uses.
pub(super) const VALUE: usize = 44;
const RATE: i16 = 0;
const UNSENT: i16 = 4;
const KEEP: i16 = 8;
const IDLE: i16 = 12;
const COUNT: i16 = 16;
const SEEN: i16 = 20;
const RATE_RESULT: i16 = 24;
const UNSENT_RESULT: i16 = 28;
const KEEP_RESULT: i16 = 32;
const IDLE_RESULT: i16 = 36;
const COUNT_RESULT: i16 = 40;
const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Value>() == VALUE && offset_of!(Value, rate) == RATE as usize);
    assert!(offset_of!(Value, unsent) == UNSENT as usize && offset_of!(Value, seen) == SEEN as usize);
    assert!(offset_of!(Value, rate_result) == RATE_RESULT as usize);
    assert!(offset_of!(Value, unsent_result) == UNSENT_RESULT as usize);
    assert!(offset_of!(Value, keep) == KEEP as usize && offset_of!(Value, idle) == IDLE as usize);
    assert!(offset_of!(Value, keep_result) == KEEP_RESULT as usize);
    assert!(offset_of!(Value, idle_result) == IDLE_RESULT as usize);
    assert!(offset_of!(Value, count) == COUNT as usize && offset_of!(Value, count_result) == COUNT_RESULT as usize);
};

/// The key of a socket.
pub(super) fn key(flow: Flow) -> [u8; KEY] {
    let mut bytes = [0; KEY];
    bytes[..16].copy_from_slice(&wide(flow.local.ip()));
    bytes[16..32].copy_from_slice(&wide(flow.remote.ip()));
    bytes[32..34].copy_from_slice(&flow.local.port().to_ne_bytes());
    bytes[34..].copy_from_slice(&flow.remote.port().to_be_bytes());
    bytes
}

/// Where this kernel keeps what the program reads: byte offsets inside the program's context and `struct sock_common`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    /// The context's socket.
    pub(super) socket: i16,
    pub(super) state: i16,
    pub(super) family: i16,
    pub(super) local_port: i16,
    pub(super) remote_port: i16,
    pub(super) local_v4: i16,
    pub(super) remote_v4: i16,
    pub(super) local_v6: i16,
    pub(super) remote_v6: i16,
}

impl Places {
    /// As the kernel's type information has them.
    ///
    /// Errors: a kernel without `bpf_iter/tcp`, or without IPv6.
    pub(super) fn find(btf: &Btf<'_>) -> Result<Self, BtfError> {
        let place = |structure, name| {
            let offset = btf.member(structure, name)?;
            i16::try_from(offset).map_err(|_| BtfError::Damaged("a member is too far inside its structure"))
        };
        Ok(Self {
            socket: place("bpf_iter__tcp", "sk_common")?,
            state: place("sock_common", "skc_state")?,
            family: place("sock_common", "skc_family")?,
            local_port: place("sock_common", "skc_num")?,
            remote_port: place("sock_common", "skc_dport")?,
            local_v4: place("sock_common", "skc_rcv_saddr")?,
            remote_v4: place("sock_common", "skc_daddr")?,
            local_v6: place("sock_common", "skc_v6_rcv_saddr")?,
            remote_v6: place("sock_common", "skc_v6_daddr")?,
        })
    }
}

/// States of sockets that are whole and connected: what is none of these is a listener, or not a full socket.
fn states() -> i32 {
    use TcpState::{CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, SynReceived, SynSent};
    let all = [Established, SynSent, SynReceived, FinWait1, FinWait2, CloseWait, LastAck, Closing];
    all.into_iter().fold(0, |set, state| set | 1 << state as u8)
}

const OUT: Label = Label("out");
const IPV4: Label = Label("ipv4");
const LOOK: Label = Label("look");

/// Where the key is on the stack; the verifier wants it aligned to four bytes.
const ON_STACK: i16 = -40;

/// The words of the program; `None` only if it were too long for its own jumps.
pub(super) fn program(at: Places, map: i32) -> Option<Vec<Instruction>> {
    use Reg::{Fp, R0, R1, R2, R6, R7, R8};
    let mut asm = Assembler::default();
    let a = &mut asm;
    // The context's socket; none at the end of the pass.
    a.load(code::LOAD_8, R6, R1, at.socket);
    a.jump(code::JUMP_IF_EQUAL, R6, 0, OUT);
    // Leave listeners alone, and what is not a full socket: TIME-WAIT and requests.
    a.load(code::LOAD_1, R1, R6, at.state);
    a.jump(code::JUMP_IF_GREATER, R1, 31, OUT);
    a.constant(code::MOVE_CONSTANT, R2, 1);
    a.shift_left(R2, R1);
    a.constant(code::AND_CONSTANT, R2, states());
    a.jump(code::JUMP_IF_EQUAL, R2, 0, OUT);
    // The key's ports, each in the order the kernel keeps it in.
    a.load(code::LOAD_2, R1, R6, at.local_port);
    a.store(code::STORE_2, Fp, ON_STACK + key::LOCAL_PORT, R1);
    a.load(code::LOAD_2, R1, R6, at.remote_port);
    a.store(code::STORE_2, Fp, ON_STACK + key::REMOTE_PORT, R1);
    // The key's addresses.
    a.load(code::LOAD_2, R7, R6, at.family);
    a.jump(code::JUMP_IF_EQUAL, R7, libc::AF_INET, IPV4);
    a.jump(code::JUMP_IF_NOT_EQUAL, R7, libc::AF_INET6, OUT);
    for (to, from) in [(key::LOCAL, at.local_v6), (key::REMOTE, at.remote_v6)] {
        for word in [0, 4, 8, 12] {
            a.load(code::LOAD_4, R1, R6, from + word);
            a.store(code::STORE_4, Fp, ON_STACK + to + word, R1);
        }
    }
    a.jump(code::JUMP, R0, 0, LOOK);
    a.label(IPV4);
    for (to, from) in [(key::LOCAL, at.local_v4), (key::REMOTE, at.remote_v4)] {
        // As an IPv6 socket would write it: ::ffff:a.b.c.d.
        a.store_constant(Fp, ON_STACK + to, 0);
        a.store_constant(Fp, ON_STACK + to + 4, 0);
        a.store_constant(Fp, ON_STACK + to + 8, i32::from_ne_bytes([0, 0, 0xff, 0xff]));
        a.load(code::LOAD_4, R1, R6, from);
        a.store(code::STORE_4, Fp, ON_STACK + to + 12, R1);
    }
    // Is it one of those asked for?
    a.label(LOOK);
    a.map(R1, map);
    a.copy(R2, Fp);
    a.constant(code::ADD_CONSTANT, R2, ON_STACK.into());
    a.call(helper::MAP_LOOKUP_ELEM);
    a.jump(code::JUMP_IF_EQUAL, R0, 0, OUT);
    // Set the options from the map's value, and leave there how that went.
    a.copy(R8, R0);
    set(a, libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE, RATE, RATE_RESULT);
    set(a, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, UNSENT, UNSENT_RESULT);
    set(a, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, COUNT, COUNT_RESULT);
    set(a, libc::SOL_SOCKET, libc::SO_KEEPALIVE, KEEP, KEEP_RESULT);
    set(a, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, IDLE, IDLE_RESULT);
    a.store_constant(R8, SEEN, 1);
    a.label(OUT);
    // Zero: go on to the next socket.
    a.constant(code::MOVE_CONSTANT, R0, 0);
    a.exit();
    asm.finish()
}

/// `bpf_setsockopt` on the socket in `R6`, with an option of four bytes at `from` in the map's value in `R8`.
fn set(a: &mut Assembler, level: i32, option: i32, from: i16, result: i16) {
    use Reg::{R0, R1, R2, R3, R4, R5, R6, R8};
    a.copy(R1, R6);
    a.constant(code::MOVE_CONSTANT, R2, level);
    a.constant(code::MOVE_CONSTANT, R3, option);
    a.copy(R4, R8);
    a.constant(code::ADD_CONSTANT, R4, from.into());
    a.constant(code::MOVE_CONSTANT, R5, 4);
    a.call(helper::SETSOCKOPT);
    a.store(code::STORE_4, R8, result, R0);
}

#[cfg(test)]
mod tests;
