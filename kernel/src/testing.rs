//! What several tests of this room need.

use std::process::Command;

use crate::netns::NetNs;

/// Bytes from their hexadecimal digits.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
    digits.chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// The messages of a capture, one a line; never none.
pub(crate) fn lines(text: &str) -> Vec<Vec<u8>> {
    let lines: Vec<_> = text.lines().map(hex).collect();
    assert!(!lines.is_empty());
    lines
}

/// A new network namespace with loopback up, after `ip` ran every line.
pub(crate) fn namespace(ip: &[&str]) -> NetNs {
    let ns = NetNs::new().unwrap();
    ip_in(&ns, "link set lo up");
    // A lost SYN must not turn later connections into plain TCP.
    ns.run(|| std::fs::write("/proc/sys/net/mptcp/blackhole_timeout", "0")).unwrap().unwrap();
    ip.iter().for_each(|line| ip_in(&ns, line));
    ns
}

/// Runs `ip` with the words of `line`.
pub(crate) fn ip_in(ns: &NetNs, line: &str) {
    let mut command: Command = ns.command("ip");
    assert!(command.args(line.split(' ')).status().unwrap().success(), "ip {line}");
}

/// What a program prints in a namespace; it has to succeed.
pub(crate) fn said(ns: &NetNs, line: &str) -> String {
    let mut words = line.split(' ');
    let output = ns.command(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
