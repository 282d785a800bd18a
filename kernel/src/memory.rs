//! Memory of this process.

/// The allocator of the binary: many small blocks, from many threads.
pub use mimalloc::MiMalloc as Allocator;

/// Gives back to the kernel what [`Allocator`] has held free for a second.
///
/// It does so by itself when it is asked for more; a process that has had its peak asks for nothing. Where nothing is free it costs a look.
///
/// Source: `mi_collect` and `mi_option_purge_delay` of mimalloc 3
pub fn give_back() {
    // SAFETY: mi_collect takes no pointer and may be called by any thread at any time.
    unsafe { libmimalloc_sys::mi_collect(false) }
}

/// Takes pages of the usual size only, whatever this machine's default.
///
/// A huge page is held whole for the sake of one block in it: a proxy that had just started took twice the memory with them, and carried
/// requests no faster.
///
/// Errors:  the kernel's
/// Source:  PR_SET_THP_DISABLE(2const)
pub fn take_no_huge_pages() -> std::io::Result<()> {
    Ok(rustix::thread::disable_transparent_huge_pages(true)?)
}
