//! The binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    anabranch::cli::main()
}
