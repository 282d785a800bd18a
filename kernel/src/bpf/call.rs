//! The system call: each command of bpf(2) that is used here, with descriptors that close themselves.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::abi::bpf as abi;

use super::asm::Instruction;
use super::error::BpfError;
use super::program::{KEY, VALUE, Value};

/// What a program is, and where it is attached.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// As the kernel lists it.
    pub(super) name: [u8; 16],
    /// Its name for a reader.
    pub(super) words: &'static str,
    /// `enum bpf_attach_type`.
    pub(super) attach: u32,
    /// What it is attached to, for a reader.
    pub(super) to: &'static str,
}

/// Paces sockets.
pub(super) const PACING: Kind =
    Kind { name: *b"anabranch_pace\0\0", words: "the pacing program", attach: abi::TRACE_ITER, to: "bpf_iter/tcp" };

/// Gives sockets MPTCP.
pub(super) const MULTIPATH: Kind = Kind {
    name: *b"anabranch_mptcp\0",
    words: "the program that gives sockets MPTCP",
    attach: abi::MODIFY_RETURN,
    to: "update_socket_protocol",
};

/// The program's licence as the kernel wants it told: it lets programs under the GPL or such look into its structures.
const LICENSE: &CStr = c"Dual MIT/GPL";
/// Room for the verifier's log, and how much of its end is kept.
const LOG: usize = 256 * 1024;
const LOG_KEPT: usize = 2000;

/// Marks the structures that `bpf` below may hand to the kernel.
///
/// # Safety
///
/// The type is plain data without padding the kernel would read, and begins as the `union bpf_attr` of its command.
unsafe trait Attributes {}
// SAFETY: `abi::bpf` holds each against the kernel's header; all are numbers and arrays of them, laid out by C's rules.
unsafe impl Attributes for abi::MapCreate {}
// SAFETY: as above.
unsafe impl Attributes for abi::ProgLoad {}
// SAFETY: as above.
unsafe impl Attributes for abi::Batch {}
// SAFETY: as above.
unsafe impl Attributes for abi::LinkCreate {}
// SAFETY: as above.
unsafe impl Attributes for abi::IterCreate {}
// SAFETY: as above.
unsafe impl Attributes for abi::ObjPin {}

/// Calls bpf(2).
///
/// # Safety
///
/// Every address inside `attributes` is valid for what the command does with it, for the time of the call.
unsafe fn bpf<T: Attributes>(command: u32, attributes: &mut T) -> io::Result<i32> {
    let size = size_of::<T>();
    // SAFETY: the pointer and the length describe `attributes`, which is exclusively ours and outlives the call; what it
    // points to is the caller's promise.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size) };
    // Answers are descriptors or zero: they fit.
    i32::try_from(answer).ok().filter(|&answer| answer >= 0).ok_or_else(io::Error::last_os_error)
}

/// Calls a command that answers a descriptor.
///
/// # Safety
///
/// As `bpf`; and the command answers a new descriptor.
unsafe fn open<T: Attributes>(command: u32, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let descriptor = unsafe { bpf(command, attributes)? };
    // SAFETY: the kernel just made it for us; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// A hash map from sockets' keys to values, of at most `entries`.
pub(super) fn create_map(entries: u32) -> Result<OwnedFd, BpfError> {
    let mut attributes = abi::MapCreate {
        map_type: abi::MAP_TYPE_HASH,
        key_size: length(KEY),
        value_size: length(VALUE),
        max_entries: entries,
        map_flags: abi::F_NO_PREALLOC,
        map_name: *b"anabranch_pace\0\0",
        ..Default::default()
    };
    // SAFETY: the command takes no address, and answers a descriptor.
    unsafe { open(abi::command::MAP_CREATE, &mut attributes) }
        .map_err(|source| BpfError::of("BPF_MAP_CREATE", "the map of sockets", source))
}

/// Loads a program for the kernel function of this number in its type information.
///
/// Errors: [`BpfError::Verifier`] — with the end of the verifier's log.
pub(super) fn load(kind: Kind, words: &[Instruction], function: u32) -> Result<OwnedFd, BpfError> {
    let source = match try_load(kind, words, function, None) {
        Ok(program) => return Ok(program),
        Err(source) => source,
    };
    // Only a second attempt has a log: it is long, and rarely needed.
    let mut log = vec![0_u8; LOG];
    if matches!(source.raw_os_error(), Some(libc::EPERM))
        || try_load(kind, words, function, Some(&mut log)).is_ok()
        || log.first() == Some(&0)
    {
        return Err(BpfError::of("BPF_PROG_LOAD", kind.words, source));
    }
    Err(BpfError::Verifier { log: tail(&log), source })
}

/// The end of a log, on one line.
fn tail(log: &[u8]) -> String {
    let text = log.split(|&byte| byte == 0).next().unwrap_or_default();
    let kept = text.get(text.len().saturating_sub(LOG_KEPT)..).unwrap_or_default();
    String::from_utf8_lossy(kept).trim().replace('\n', "; ")
}

fn try_load(kind: Kind, words: &[Instruction], function: u32, log: Option<&mut Vec<u8>>) -> io::Result<OwnedFd> {
    let mut attributes = abi::ProgLoad {
        prog_type: abi::PROG_TYPE_TRACING,
        insn_cnt: length(words.len()),
        insns: address(words.as_ptr()),
        license: address(LICENSE.as_ptr()),
        prog_name: kind.name,
        expected_attach_type: kind.attach,
        attach_btf_id: function,
        ..Default::default()
    };
    if let Some(log) = log {
        attributes.log_level = 1;
        attributes.log_size = length(log.len());
        attributes.log_buf = address(log.as_mut_ptr().cast_const());
    }
    // SAFETY: `insns` has `insn_cnt` instructions, `license` ends in zero, and `log_buf`, where there is one, is writable
    // for `log_size` bytes; all outlive the call. The answer is a descriptor.
    unsafe { open(abi::command::PROG_LOAD, &mut attributes) }
}

/// Binds a program to the iterator or the function it was loaded for; it is bound until the last descriptor and pin of the answer is gone.
pub(super) fn link(kind: Kind, program: &OwnedFd) -> Result<OwnedFd, BpfError> {
    let mut attributes = abi::LinkCreate { prog_fd: number(program), attach_type: kind.attach, ..Default::default() };
    // SAFETY: the command takes no address, and answers a descriptor.
    unsafe { open(abi::command::LINK_CREATE, &mut attributes) }
        .map_err(|source| BpfError::of("BPF_LINK_CREATE", kind.to, source))
}

/// Gives a link a name in a BPF file system, which keeps it.
pub(super) fn pin(link: &OwnedFd, path: &Path) -> Result<(), BpfError> {
    let fail = |source| BpfError::of("BPF_OBJ_PIN", "the link", source);
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|error| fail(error.into()))?;
    let mut attributes = abi::ObjPin { pathname: address(path.as_ptr()), bpf_fd: number(link), file_flags: 0 };
    // SAFETY: `pathname` ends in zero and outlives the call, which only reads it.
    unsafe { bpf(abi::command::OBJ_PIN, &mut attributes) }.map(drop).map_err(fail)
}

/// Begins a pass through the sockets of the calling thread's network namespace; reading it drives it.
pub(super) fn iterate(link: &OwnedFd) -> Result<OwnedFd, BpfError> {
    let mut attributes = abi::IterCreate { link_fd: number(link), flags: 0 };
    // SAFETY: the command takes no address, and answers a descriptor.
    unsafe { open(abi::command::ITER_CREATE, &mut attributes) }
        .map_err(|source| BpfError::of("BPF_ITER_CREATE", "bpf_iter/tcp", source))
}

/// Puts entries into the map; of two with one key the later stays.
///
/// Shape: as many keys as values.
pub(super) fn put(map: &OwnedFd, keys: &[[u8; KEY]], values: &[Value]) -> io::Result<()> {
    debug_assert_eq!(keys.len(), values.len());
    let mut attributes = abi::Batch {
        keys: address(keys.as_ptr()),
        values: address(values.as_ptr()),
        count: length(keys.len().min(values.len())),
        map_fd: number(map),
        ..Default::default()
    };
    // SAFETY: the map's keys and values are of the sizes of the slices' elements, `count` is within both, and both are only
    // read and outlive the call.
    unsafe { bpf(abi::command::MAP_UPDATE_BATCH, &mut attributes) }.map(drop)
}

/// Takes every entry out of the map.
///
/// Shape: `room` is at least the number of entries there can be.
pub(super) fn take(map: &OwnedFd, room: usize) -> io::Result<Vec<Value>> {
    let (mut keys, mut values) = (vec![[0_u8; KEY]; room], vec![Value::default(); room]);
    // The kernel keeps the place it came to here; all entries come at once, so it is never read.
    let mut place = 0_u32;
    let mut attributes = abi::Batch {
        out_batch: address((&raw mut place).cast_const()),
        keys: address(keys.as_mut_ptr().cast_const()),
        values: address(values.as_mut_ptr().cast_const()),
        count: length(room),
        map_fd: number(map),
        ..Default::default()
    };
    // SAFETY: both vectors are writable for `count` keys and values of the map's sizes; a hash map's place is one u32. All
    // outlive the call.
    let answer = unsafe { bpf(abi::command::MAP_LOOKUP_AND_DELETE_BATCH, &mut attributes) };
    match answer {
        // ENOENT: that was the last of the map.
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        _ => {
            values.truncate(usize::try_from(attributes.count).unwrap_or(0));
            Ok(values)
        }
    }
}

fn address<T>(of: *const T) -> u64 {
    // A pointer is never wider than 64 bits.
    of.expose_provenance() as u64
}

/// A size of ours: all are far below 4 GiB.
fn length(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

fn number(of: &OwnedFd) -> u32 {
    // An open descriptor is not negative.
    of.as_raw_fd().cast_unsigned()
}
