//! Promise: what `anabranch sniff` says of a packet is what is on the wire, by the word of somebody else.

mod oracle;
mod story;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The captures of a real MPTCP stack that the sniffer's tests share.
pub(crate) fn captures() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sniffer/tests/pcaps");
    let entries = std::fs::read_dir(&directory).expect("the captures are part of the repository");
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "pcap"));
    found.sort();
    assert!(found.len() >= 21, "only {} captures left", found.len());
    found
}

/// Every line of `anabranch sniff --json` with these arguments.
pub(crate) fn sniff(arguments: &[&str], pcap: &Path) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_anabranch"))
        .args(["sniff", "--json"])
        .args(arguments)
        .arg("--pcap")
        .arg(pcap)
        .output()
        .expect("the program under test was built with the tests");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{}: {complaint}", pcap.display());
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
}
