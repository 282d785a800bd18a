//! Memory of this process.

/// Gives free memory of the C library's allocator back to the kernel.
///
/// glibc keeps what a peak needed. Call it when a peak has passed: other threads' allocations wait meanwhile, about a
/// millisecond per 40 MiB. Elsewhere than on glibc it does nothing.
///
/// Source: malloc_trim(3).
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes no pointer and locks each arena it looks at; it may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Blocks from this size on get pages of their own.
const LARGE: libc::c_int = 1024 * 1024;

/// Lets large blocks have pages of their own, which go back to the system when they are freed.
///
/// Without this glibc raises the size from which that is so with every such block that is freed, up to 32 MiB, and what a
/// large table needed once stays with the process.
/// Source: mallopt(3), M_MMAP_THRESHOLD.
pub fn keep_large_blocks_apart() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes no pointer; it may be called at any time, here before there are other threads.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}
