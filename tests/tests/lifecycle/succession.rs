//! SIGUSR2: another process takes over; no connection is refused, none is cut off, and one that cannot start changes nothing.

use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::Protocol;

use crate::activation::passed;
use crate::support::{
    Origin, PATIENCE, Proxy, Start, Tunnel, ask, connect, eventually, fetch, get, mptcp_connect, own_address,
};

fn own() -> SocketAddr {
    SocketAddr::new(own_address().into(), 3128)
}

fn carrier(address: SocketAddr, more: &str) -> String {
    format!(
        "[process]\nrole = \"proxy\"\nworkers = 4\nlink = \"link.sock\"\n{more}[[listener]]\nname = \"edge\"\naddress = \"{address}\"\n"
    )
}

/// A process that took over; it is nobody's child, so it ends with the test by its number.
struct Successor(Pid);

impl Successor {
    fn signal(&self, signal: Signal) {
        kill(self.0, signal).expect("it runs");
    }

    fn runs(&self) -> bool {
        kill(self.0, None).is_ok()
    }

    /// Asks it to stop and waits.
    fn stop(self) {
        self.signal(Signal::SIGTERM);
        eventually("the successor ends", || !self.runs());
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        // Already gone is as good.
        kill(self.0, Signal::SIGKILL).unwrap_or_default();
    }
}

/// The `nth` process that took over, once it has: its log lines come through the pipe of its predecessor.
fn successor(proxy: &Proxy, nth: usize) -> Successor {
    let mut found = None;
    eventually("another process takes over", || {
        let log = proxy.log();
        let words: Vec<_> = log.lines().filter_map(|line| line.split_once("has taken over process=")).collect();
        found = words.get(nth).map(|(_, number)| number.trim().parse().expect("a process number"));
        found.is_some()
    });
    Successor(Pid::from_raw(found.expect("found above")))
}

#[test]
fn another_process_takes_over_and_no_connection_is_lost() {
    let (echo, web) = (Origin::echo(), Origin::text("hello"));
    let address = own();
    let proxy = Proxy::start(&carrier(address, ""));
    let (stop, fetched) = (AtomicBool::new(false), AtomicU32::new(0));
    let (_second, last, mut tunnels) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(fetch(address, &web.url("/")).text(), "hello", "after {fetched:?} requests");
                fetched.fetch_add(1, Ordering::Relaxed);
            }
        });
        let begun = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let open = || [Tunnel::open(address, echo.address), Tunnel::over(mptcp_connect(address), echo.address)];
            let mut tunnels = Vec::from(open());
            tunnels.iter_mut().for_each(|tunnel| tunnel.echo("through the first"));
            proxy.signal(Signal::SIGUSR2);
            let second = successor(&proxy, 0);
            // Whoever asks now asks the new one.
            eventually("the control socket is the successor's", || proxy.status()["sessions"].as_u64() < Some(2));
            tunnels.extend(open());
            second.signal(Signal::SIGUSR2);
            let third = successor(&proxy, 1);
            tunnels.iter_mut().for_each(|tunnel| tunnel.echo("as if nothing had happened"));
            let before = fetched.load(Ordering::Relaxed);
            eventually("requests go on", || fetched.load(Ordering::Relaxed) > before + 20);
            (second, third, tunnels)
        }));
        stop.store(true, Ordering::Relaxed);
        begun.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    tunnels.drain(..).for_each(|tunnel| assert!(tunnel.finish().is_empty()));
    eventually("both predecessors end", || proxy.log().matches("drained: every session finished").count() == 2);
    assert_eq!(fetch(address, &web.url("/")).text(), "hello");
    last.stop();
    assert!(std::net::TcpStream::connect(address).is_err());
    assert!(!proxy.control().exists(), "the last one takes its socket's file away");
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn who_had_connected_and_not_asked_yet_is_served() {
    let web = Origin::text("hello");
    let address = own();
    let proxy = Proxy::start(&carrier(address, ""));
    let mut fresh = [connect(address), mptcp_connect(address)];
    let mut kept = connect(address);
    assert_eq!(get(&mut kept, &web.url("/"), "").text(), "hello");
    eventually("all are counted", || proxy.status()["sessions"] == 3);
    proxy.signal(Signal::SIGUSR2);
    let next = successor(&proxy, 0);
    eventually("the first one drains", || proxy.log().contains("draining sessions=3"));
    for stream in fresh.iter_mut().chain([&mut kept]) {
        assert_eq!(get(stream, &web.url("/"), "").text(), "hello");
    }
    // An end was asked for: idle connections go at once.
    proxy.signal(Signal::SIGTERM);
    assert_eq!(kept.read(&mut [0; 1]).unwrap(), 0);
    next.stop();
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn a_successor_that_cannot_start_changes_nothing() {
    let web = Origin::text("hello");
    let address = own();
    let proxy = Proxy::start(&carrier(address, ""));
    proxy.rewrite("[limits]\nconections = 1\n");
    proxy.signal(Signal::SIGUSR2);
    proxy.says("no successor; everything stays as it was");
    proxy.says("limits.conections: unknown key");
    for _ in 0..20 {
        assert_eq!(fetch(address, &web.url("/")).text(), "hello");
    }
    assert_eq!(proxy.counter("anabranch_connections_accepted_total{reason=\"no-mptcp-on-syn\"}"), 20);
    proxy.rewrite(&carrier(address, ""));
    proxy.signal(Signal::SIGUSR2);
    let next = successor(&proxy, 0);
    assert_eq!(fetch(address, &web.url("/")).text(), "hello");
    next.stop();
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn the_successor_reads_the_file_anew() {
    let web = Origin::text("hello");
    let (stays, goes, comes) = (own(), own(), own());
    let also = |address| format!("[[listener]]\nname = \"other\"\naddress = \"{address}\"\n");
    let proxy = Proxy::start(&(carrier(stays, "") + &also(goes)));
    // Fewer workers than there are sockets: none may be left to nobody.
    proxy.rewrite(&(carrier(stays, "").replace("workers = 4", "workers = 1") + &also(comes)));
    proxy.signal(Signal::SIGUSR2);
    let next = successor(&proxy, 0);
    for _ in 0..40 {
        assert_eq!(fetch(stays, &web.url("/")).text(), "hello");
    }
    assert_eq!(fetch(comes, &web.url("/")).text(), "hello");
    eventually("what is no listener any more is closed", || std::net::TcpStream::connect(goes).is_err());
    next.stop();
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn a_socket_of_the_service_managers_is_passed_on() {
    let web = Origin::text("hello");
    let address = own();
    let proxy = passed(Protocol::MPTCP, address, &carrier(address, "")).run();
    proxy.signal(Signal::SIGUSR2);
    let next = successor(&proxy, 0);
    for _ in 0..20 {
        assert_eq!(fetch(address, &web.url("/")).text(), "hello");
    }
    assert_eq!(proxy.status()["listeners"][0]["transport"], "mptcp");
    next.stop();
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn the_service_manager_hears_who_the_main_process_is_and_that_it_lives() {
    let address = own();
    let mut start = Start::new(&carrier(address, ""));
    let path = start.dir.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    start.command().env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000");
    let proxy = start.run();
    let mut buffer = [0; 256];
    let mut told = || {
        let length = manager.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned()
    };
    let mut next = |skip: &str| loop {
        let word = told();
        if word != skip {
            return word;
        }
    };
    assert_eq!(next(""), "READY=1");
    assert_eq!(next(""), "WATCHDOG=1");
    proxy.signal(Signal::SIGUSR2);
    let main = next("WATCHDOG=1");
    let heir = successor(&proxy, 0);
    assert_eq!(main, format!("MAINPID={}", heir.0));
    assert_eq!(next("WATCHDOG=1"), "READY=1", "no word of stopping: the service goes on");
    assert_eq!(next(""), "WATCHDOG=1");
    heir.stop();
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn who_has_handed_over_is_asked_to_stop_for_the_first_time_yet() {
    let echo = Origin::echo();
    let address = own();
    let proxy = Proxy::start(&carrier(address, "[timeouts]\ndrain = \"700 ms\"\n"));
    let mut tunnel = Tunnel::open(address, echo.address);
    tunnel.echo("before");
    proxy.signal(Signal::SIGUSR2);
    let next = successor(&proxy, 0);
    std::thread::sleep(Duration::from_millis(1000));
    tunnel.echo("longer than a stop would have let it live");
    proxy.signal(Signal::SIGTERM);
    let asked = Instant::now();
    tunnel.echo("and not cut off at once");
    eventually("it is cut off in the end", || proxy.log().contains("sessions were cut off"));
    assert!(asked.elapsed() >= Duration::from_millis(600), "{:?}", asked.elapsed());
    drop(connect(address));
    next.stop();
    drop(proxy.wait());
}

#[test]
fn who_steers_knows_the_sessions_of_both_while_one_finishes() {
    let echo = Origin::echo();
    let address = own();
    let proxy = Proxy::start(&carrier(address, ""));
    let link = proxy.dir.path("link.sock");
    let steer = Proxy::start(&format!("[process]\nrole = \"steer\"\nlink = \"{}\"\n", link.display()));
    let known = |of: &Tunnel| {
        let client = of.0.local_addr().unwrap().to_string();
        let (_, body) = ask(&steer.control(), "GET", "/connections");
        let lines: serde_json::Value = serde_json::from_str(&body).unwrap();
        lines.as_array().unwrap().iter().any(|line| line["client"] == *client && line["session"] == 1)
    };
    let mut old = Tunnel::over(mptcp_connect(address), echo.address);
    old.echo("through the first");
    proxy.signal(Signal::SIGUSR2);
    let next = successor(&proxy, 0);
    let mut new = Tunnel::over(mptcp_connect(address), echo.address);
    new.echo("through the second");
    eventually("both are known, each the first session of its proxy", || known(&old) && known(&new));
    old.finish();
    eventually("what the first told goes with it", || steer.log().contains("the proxy is gone"));
    assert!(known(&new), "and nothing else");
    new.finish();
    next.stop();
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn a_process_that_steers_hands_nothing_over() {
    let web = Origin::text("hello");
    let address = own();
    let proxy = Proxy::start(&format!("[[listener]]\nname = \"edge\"\naddress = \"{address}\"\n"));
    proxy.signal(Signal::SIGUSR2);
    proxy.says("only --role proxy hands over to another process");
    assert_eq!(fetch(address, &web.url("/")).text(), "hello");
    assert_eq!(proxy.stop().code(), Some(0));
}
