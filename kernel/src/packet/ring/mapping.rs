//! Memory shared with the kernel.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// A socket's ring, mapped until this is dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and this value is its only owner.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the first `length` bytes of what the socket offers.
    pub(super) fn of(socket: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), length, access, libc::MAP_SHARED, socket.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(at.cast()).map(|start| Self { start, length }).ok_or_else(|| io::ErrorKind::Other.into())
    }

    /// The status word at `offset`, zero beyond the mapping; what the kernel wrote before the word is visible after this.
    pub(super) fn status(&self, offset: usize) -> u32 {
        self.word(offset).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Sets the status word at `offset` to `TP_STATUS_KERNEL`, after everything we read.
    pub(super) fn give_back(&self, offset: usize) {
        if let Some(word) = self.word(offset) {
            word.store(0, Ordering::Release);
        }
    }

    /// The bytes from `start` on.
    ///
    /// Shape: none at all beyond the mapping.
    /// Safety: nobody, the kernel included, writes to them while they are borrowed.
    pub(super) unsafe fn bytes(&self, start: usize, length: usize) -> &[u8] {
        if start.checked_add(length).is_none_or(|end| end > self.length) {
            return &[];
        }
        // SAFETY: the range was just checked to be inside the mapping, which lives as long as `self`; the caller promises
        // that it does not change.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(start), length) }
    }

    fn word(&self, offset: usize) -> Option<&AtomicU32> {
        if !offset.is_multiple_of(4) || offset.checked_add(4)? > self.length {
            return None;
        }
        // SAFETY: the word is inside the mapping, aligned, and only ever accessed atomically, by us and by the kernel,
        // which shares it: bytes of a block are borrowed while the kernel leaves its status alone, and read only.
        Some(unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(offset).cast()) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is what mmap returned, and nothing borrowed from it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}
