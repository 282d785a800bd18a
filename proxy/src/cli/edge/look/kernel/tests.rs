use std::io;

use super::*;

#[test]
fn only_one_that_may_not_is_told_to_try_with_more_rights() {
    let refused =
        || BpfError::NotPermitted { op: "BPF_PROG_LOAD", source: io::Error::from_raw_os_error(nix::libc::EPERM) };
    let Trial::Untried(why) = bpf(Err(refused()), false) else { panic!("tried without the capabilities") };
    assert!(why.contains("CAP_BPF"), "{why}");
    let Trial::Refused(how) = bpf(Err(refused()), true) else { panic!("the capabilities are there") };
    assert!(how.starts_with("BPF_PROG_LOAD: ") && !how.contains("CAP_BPF"), "{how}");
}
