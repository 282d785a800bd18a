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
