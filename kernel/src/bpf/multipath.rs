//! MPTCP for programs that ask for TCP: a program of the kind `fmod_ret` at `update_socket_protocol`, through which socket(2) goes.
//!
//! What lives here: that program, its loading, its pin. What does not: for whom it is wanted. Called by a client's set-up.
//! Invariant: only sockets of the one network namespace are changed, none of the excepted programs, and only TCP over IPv4 or IPv6;
//! whatever else is asked for goes to the next such program, and to the kernel, as it was. Sockets that the kernel makes (subflows
//! among them) and those that are accepted do not come by.
//!
//! Source: Linux v6.18 `net/socket.c` (`__sys_socket`), `net/mptcp/bpf.c`, `kernel/bpf/trampoline.c`; bpf(2).

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount, umount};
use nix::sys::statfs::{FsType, statfs};
use thiserror::Error;

use super::asm::{Assembler, Instruction, Label, Reg};
use super::btf::{Btf, BtfError};
use super::{BpfError, call, type_information};
use crate::abi::bpf::{code, helper};

/// The function that the program answers for.
const FUNCTION: &str = "update_socket_protocol";
/// `BPF_FS_MAGIC`.
const BPF_FS: FsType = FsType(0xcafe_4a11);
/// Length of a process's name with its end (`TASK_COMM_LEN`).
const NAME: usize = 16;
/// The bits of a socket's type that are none of `SOCK_NONBLOCK` and `SOCK_CLOEXEC` (`SOCK_TYPE_MASK`).
const TYPE: i32 = 0xf;

/// Gives the TCP sockets of a network namespace MPTCP, while it or its pin is there.
///
/// Shape: dropped without a pin, it ends: also when the process is killed. Sockets that have MPTCP by then keep it.
#[derive(Debug)]
pub struct Multipath {
    link: OwnedFd,
}

impl Multipath {
    /// Loads the program and attaches it.
    ///
    /// Shape: `namespace` is the cookie of the network namespace meant ([`crate::sockopt::netns_cookie`]; none has 0). `except` are
    /// the names of processes, as `/proc/PID/comm` has them, whose sockets stay as they ask for; of a longer name the first 15
    /// bytes count.
    /// Errors: [`BpfError`] — what is missing, in the kernel or among the capabilities.
    /// Kernel: v6.6, built with MPTCP, `CONFIG_DEBUG_INFO_BTF` and the BPF compiler; CAP_BPF and CAP_PERFMON.
    pub fn attach(namespace: u64, except: &[impl AsRef<str>]) -> Result<Self, BpfError> {
        let bytes = type_information()?;
        let btf = Btf::parse(&bytes).map_err(BpfError::NoHook)?;
        let function = btf.function(FUNCTION).map_err(BpfError::NoHook)?;
        let places = Places::find(&btf).map_err(BpfError::NoHook)?;
        let names: Vec<_> = except.iter().map(|one| name(one.as_ref())).collect();
        let words = program(places, namespace, &names).ok_or(BpfError::NoHook(BtfError::Damaged(
            "members are too far apart, or too many programs are excepted",
        )))?;
        let program = call::load(call::MULTIPATH, &words, function)?;
        Ok(Self { link: call::link(call::MULTIPATH, &program)? })
    }

    /// Gives it a name in a BPF file system: it lasts until that is removed, the file system unmounted everywhere, or the machine
    /// started again. A former one of the name is replaced; for a moment both are there.
    ///
    /// Errors: [`PinError`] — the directory is not there, or not in such a file system.
    pub fn pin(&self, path: &Path) -> Result<(), PinError> {
        // Names with dots the file system keeps for itself.
        let mut new = path.as_os_str().to_owned();
        new.push("-new");
        let new = Path::new(&new);
        // What an attempt that was killed has left.
        drop(std::fs::remove_file(new));
        call::pin(&self.link, new)?;
        std::fs::rename(new, path).map_err(|source| {
            drop(std::fs::remove_file(new));
            PinError::File(source)
        })
    }
}

/// Why there is no pin.
#[derive(Debug, Error)]
pub enum PinError {
    /// The kernel refused it.
    #[error(transparent)]
    Bpf(#[from] BpfError),
    /// The name could not be given.
    #[error("the pin could not be renamed")]
    File(#[source] io::Error),
}

/// Whether a BPF file system is mounted at a directory.
#[must_use]
pub fn fs_mounted(at: &Path) -> bool {
    statfs(at).is_ok_and(|found| found.filesystem_type() == BPF_FS)
}

/// Mounts a BPF file system at a directory, as systemd does at `/sys/fs/bpf`.
///
/// Errors: as mount(2). Kernel: CAP_SYS_ADMIN.
pub fn mount_fs(at: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    Ok(mount(Some("bpf"), at, Some("bpf"), flags, Some("mode=700"))?)
}

/// Unmounts it, and says whether it did: one with other pins in it is in use and stays, as does what is no BPF file system.
///
/// Errors: as umount(2).
pub fn unmount_fs(at: &Path) -> io::Result<bool> {
    if !fs_mounted(at) || std::fs::read_dir(at)?.next().is_some() {
        return Ok(false);
    }
    match umount(at) {
        Ok(()) => Ok(true),
        Err(Errno::EBUSY) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Where this kernel keeps what the program reads: byte offsets inside the structures of the running task.
#[derive(Debug, Clone, Copy)]
struct Places {
    /// In `struct task_struct`, as the next two.
    namespaces: i16,
    leader: i16,
    name: i16,
    /// In `struct nsproxy`.
    network: i16,
    /// In `struct net`.
    cookie: i16,
}

impl Places {
    fn find(btf: &Btf<'_>) -> Result<Self, BtfError> {
        let place = |structure, name| {
            let offset = btf.member(structure, name)?;
            i16::try_from(offset).map_err(|_| BtfError::Damaged("a member is too far inside its structure"))
        };
        Ok(Self {
            namespaces: place("task_struct", "nsproxy")?,
            leader: place("task_struct", "group_leader")?,
            name: place("task_struct", "comm")?,
            network: place("nsproxy", "net_ns")?,
            cookie: place("net", "net_cookie")?,
        })
    }
}

/// A process's name as the kernel keeps it: cut off, and filled up with zeros.
fn name(of: &str) -> [u64; 2] {
    let mut bytes = [0; NAME];
    for (to, from) in bytes[..NAME - 1].iter_mut().zip(of.bytes()) {
        *to = from;
    }
    let (first, last) = bytes.split_at(8);
    [first, last].map(|half| u64::from_ne_bytes(half.try_into().unwrap_or_default()))
}

const STREAM: Label = Label("stream");
const TCP: Label = Label("tcp");
const OUT: Label = Label("out");

/// The words of the program; `None` if it were too long for its own jumps.
fn program(at: Places, namespace: u64, except: &[[u64; 2]]) -> Option<Vec<Instruction>> {
    use Reg::{R0, R1, R2, R6, R7, R8};
    let mut asm = Assembler::default();
    let a = &mut asm;
    // Each argument is a number in the lower half of eight bytes: family, type, protocol.
    a.load(code::LOAD_8, R7, R1, 0);
    a.jump(code::JUMP_IF_EQUAL_4, R7, libc::AF_INET, STREAM);
    a.jump(code::JUMP_IF_NOT_EQUAL_4, R7, libc::AF_INET6, OUT);
    a.label(STREAM);
    a.load(code::LOAD_8, R7, R1, 8);
    a.constant(code::AND_CONSTANT_4, R7, TYPE);
    a.jump(code::JUMP_IF_NOT_EQUAL_4, R7, libc::SOCK_STREAM, OUT);
    a.load(code::LOAD_8, R7, R1, 16);
    a.jump(code::JUMP_IF_EQUAL_4, R7, 0, TCP);
    a.jump(code::JUMP_IF_NOT_EQUAL_4, R7, libc::IPPROTO_TCP, OUT);
    a.label(TCP);
    // In the namespace?
    a.call(helper::GET_CURRENT_TASK_BTF);
    a.copy(R6, R0);
    a.load(code::LOAD_8, R1, R6, at.namespaces);
    a.load(code::LOAD_8, R1, R1, at.network);
    a.load(code::LOAD_8, R1, R1, at.cookie);
    a.wide_constant(R2, namespace);
    a.registers(code::XOR, R1, R2);
    a.jump(code::JUMP_IF_NOT_EQUAL, R1, 0, OUT);
    // Excepted? The process's name: a thread may have one of its own.
    a.load(code::LOAD_8, R6, R6, at.leader);
    a.load(code::LOAD_8, R7, R6, at.name);
    a.load(code::LOAD_8, R8, R6, at.name.checked_add(8)?);
    for [first, last] in except {
        a.wide_constant(R1, *first);
        a.registers(code::XOR, R1, R7);
        a.wide_constant(R2, *last);
        a.registers(code::XOR, R2, R8);
        a.registers(code::OR, R1, R2);
        a.jump(code::JUMP_IF_EQUAL, R1, 0, OUT);
    }
    a.constant(code::MOVE_CONSTANT, R0, libc::IPPROTO_MPTCP);
    a.exit();
    a.label(OUT);
    // Zero: whoever comes next decides.
    a.constant(code::MOVE_CONSTANT, R0, 0);
    a.exit();
    asm.finish()
}

#[cfg(test)]
mod tests;
