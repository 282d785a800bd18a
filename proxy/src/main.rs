//! The binary.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A request is forty small allocations, of which glibc makes 9 000 instructions and this one 4 000. Without huge pages (`no_thp`) it takes no more
/// memory.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    anabranch::cli::main()
}
