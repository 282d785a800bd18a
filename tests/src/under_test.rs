//! The same program as `anabranch`, built beside the tests that start it; it ends when its standard input does.

use std::io::Read as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A test that is killed cannot clean up after itself, but the kernel closes its pipes.
    std::thread::spawn(|| {
        let mut nothing = [0; 64];
        while matches!(std::io::stdin().lock().read(&mut nothing), Ok(read) if read > 0) {}
        std::process::exit(0);
    });
    anabranch::cli::main()
}
