//! What a peak of clients took goes back to the machine.

use std::io::Write as _;

use crate::support::{Proxy, connect, eventually};

/// Clients at once, each in the middle of a head.
const CLIENTS: usize = 500;

/// Memory of a process that no file stands behind, in KiB (proc_pid_status(5)).
fn memory(proxy: &Proxy) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a field of Linux 4.5");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn what_a_peak_of_clients_took_goes_back() {
    let limits = "connections_per_client = 1000\nconnection_rate = 10000";
    let proxy =
        Proxy::start(&format!("[limits]\n{limits}\n[[listener]]\nname = \"edge\"\naddress = \"127.0.0.1:0\"\n"));
    let before = memory(&proxy);
    let head = format!("GET http://example.com/ HTTP/1.1\r\nx: {}", "y".repeat(12_000));
    let clients: Vec<_> = std::iter::repeat_with(|| {
        let mut client = connect(proxy.address("edge"));
        client.write_all(head.as_bytes()).expect("a head that begins");
        client
    })
    .take(CLIENTS)
    .collect();
    let least = CLIENTS as u64 * head.len() as u64 / 1024;
    eventually("their heads are held", || memory(&proxy) > before + least);
    let peak = memory(&proxy);
    drop(clients);
    eventually("most of it goes back", || memory(&proxy) < before + (peak - before) / 3);
}
