//! The binary.

use std::process::ExitCode;

use anabranch_kernel::memory::Allocator;

/// A request is forty small blocks: of its instructions glibc's allocator took 6 800, this one takes 3 300.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    anabranch::cli::main()
}
