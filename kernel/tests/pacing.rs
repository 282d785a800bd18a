//! One subflow of a busy MPTCP connection, paced and released from outside.

mod pair;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anabranch_kernel::bpf::{BpfError, Flow, Pace, Pacer};
use anabranch_kernel::mptcp_pm::{Events, PathManager, SubflowAddresses};
use anabranch_kernel::sock_diag::{AddressFamily, Query, SockDiag, States, SubflowKind};
use anabranch_kernel::sockopt::mptcp_info;
use anabranch_kernel::tcp_info::{TcpInfo, TcpState};
use pair::{Pair, ip, sysctl, wait_for};
use socket2::{Protocol, Socket};

/// What a link carries, and what the paced subflow may; bytes/s.
const LINK: u64 = 40_000_000 / 8;
const CAP: u64 = 2_000_000 / 8;
/// The payload's share of it, as frames are counted.
const PACE: Pace = Pace { bytes_per_s: CAP * 94 / 100, unsent: 4096, probe: false };
/// How long rates are given to settle, and are then measured.
const SETTLE: Duration = Duration::from_millis(500);
const WINDOW_MS: u64 = 700;

/// A pacer; `None` in a user namespace of our own, where the kernel must have refused it for that reason.
fn pacer() -> Option<Pacer> {
    let initial = fs::read_to_string("/proc/self/uid_map").unwrap().split_whitespace().eq(["0", "0", "4294967295"]);
    match Pacer::open() {
        Err(BpfError::NotPermitted { .. }) if !initial => None,
        opened => Some(opened.unwrap()),
    }
}

/// The subflows of the one connection, as its server has them: initial, then joined.
fn subflows(diag: &mut SockDiag, family: AddressFamily) -> [Flow; 2] {
    let query = Query { family, states: States::of(TcpState::Established), local_port: Some(5001) };
    wait_for("second subflow", || {
        let (mut initial, mut joined) = (None, None);
        diag.tcp(query, |socket| {
            let flow = Flow { local: socket.head.local, remote: socket.head.remote };
            match socket.subflow().and_then(|subflow| subflow.flags.kind()) {
                Some(SubflowKind::Initial) => initial = Some(flow),
                Some(SubflowKind::Joined) => joined = Some(flow),
                None => {}
            }
        })
        .unwrap();
        Some([initial?, joined?])
    })
}

/// Bytes acknowledged on a subflow, and the most it may be paced at.
fn progress(diag: &mut SockDiag, flow: Flow) -> (u64, u64) {
    let look = |info: TcpInfo| (info.bytes_acked.unwrap(), info.max_pacing_rate.unwrap());
    diag.tcp_exact(flow, |socket| look(socket.info().unwrap())).unwrap().unwrap()
}

/// How fast each subflow is, once it has settled; bytes/s.
fn rates(diag: &mut SockDiag, flows: [Flow; 2]) -> [u64; 2] {
    wait(SETTLE);
    let before = flows.map(|flow| progress(diag, flow).0);
    wait(Duration::from_millis(WINDOW_MS));
    let after = flows.map(|flow| progress(diag, flow).0);
    [0, 1].map(|which| (after[which] - before[which]) * 1000 / WINDOW_MS)
}

#[allow(clippy::disallowed_methods, reason = "what is measured is what happens in this time")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}

/// Ends both ends of a connection when it goes, also by a panic.
struct End<'a>(&'a Socket, &'a Socket);

impl Drop for End<'_> {
    fn drop(&mut self) {
        for end in [self.0, self.1] {
            // The peer may have ended it already.
            end.shutdown(std::net::Shutdown::Both).ok();
        }
    }
}

/// Keeps the connection busy from the server to the client while `work` runs.
fn busy(client: &Socket, server: &Socket, work: impl FnOnce()) {
    std::thread::scope(|scope| {
        let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let _end = End(client, server);
        scope.spawn(move || while from.write_all(&[7; 65_536]).is_ok() {});
        scope.spawn(move || while to.read(&mut [0; 65_536]).is_ok_and(|bytes| bytes > 0) {});
        work();
    });
}

/// How a busy subflow is brought to its pace.
#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    /// As a backup, on which nothing new is sent; that takes the userspace path manager.
    Demoted,
    /// By and by.
    InSteps,
}

/// What the server steers with.
struct Server<'a> {
    pair: &'a Pair,
    diag: SockDiag,
    manager: PathManager,
    pacer: Pacer,
    token: u32,
    connection: &'a Socket,
}

impl Server<'_> {
    fn apply(&mut self, flow: Flow, pace: Option<Pace>) -> usize {
        let Self { pair, pacer, .. } = self;
        pair.server.run(|| pacer.apply(&[(flow, pace)])).unwrap().unwrap()
    }

    /// Paces a subflow in steps, without a word to the peer: first it may hold little unsent, and when its backlog has gone,
    /// its rate is halved until it is there. At once, a busy connection would wait for it.
    fn pace_in_steps(&mut self, flow: Flow) {
        let slow = |bytes_per_s| Some(Pace { bytes_per_s, ..PACE });
        assert_eq!(self.apply(flow, slow(u64::MAX)), 1);
        wait_for("short backlog", || {
            let unsent = self.diag.tcp_exact(flow, |socket| socket.info().unwrap().notsent_bytes.unwrap());
            (unsent.unwrap().unwrap() < 32 * 1024).then_some(())
        });
        for divisor in [2, 4, 8, 16] {
            assert_eq!(self.apply(flow, slow(LINK / divisor)), 1);
            wait(Duration::from_millis(50));
        }
        assert_eq!(self.apply(flow, Some(PACE)), 1);
    }

    /// Paces a subflow once what was given to it has gone: a busy connection would wait for the backlog.
    fn pace_demoted(&mut self, flow: Flow) {
        let ends = SubflowAddresses { local: flow.local, remote: flow.remote };
        self.manager.set_flags(self.token, ends, true).unwrap();
        wait_for("drained subflow", || {
            let queued = self.diag.tcp_exact(flow, |socket| socket.head.send_queue).unwrap().unwrap();
            (queued == 0).then_some(())
        });
        assert_eq!(self.apply(flow, Some(PACE)), 1);
        self.manager.set_flags(self.token, ends, false).unwrap();
    }
}

fn one_of_two(family: AddressFamily, at: &str, endpoint: &str, how: How) {
    let Some(pacer) = pacer() else { return };
    let pair = Pair::new();
    if how == How::Demoted {
        sysctl(&pair.server, "mptcp/path_manager", "userspace");
    }
    // Without a listener every join is refused under the userspace path manager.
    let _events = pair.server.run(Events::open).unwrap().unwrap();
    ip(&pair.client, &format!("mptcp endpoint add {endpoint} dev c2 subflow"));
    for link in ["s1", "s2"] {
        let shape = format!("qdisc add dev {link} root tbf rate {LINK}bps burst 32kb latency 30ms");
        assert!(pair.server.command("tc").args(shape.split(' ')).status().unwrap().success());
    }
    let listener = pair.listen(at, Protocol::MPTCP);
    listener.set_tcp_congestion(b"cubic").unwrap();
    let (client, server) = pair.connect_at(&listener, dial(at), Protocol::MPTCP);
    let token = mptcp_info(server.as_fd()).unwrap().unwrap().token;
    let diag = pair.server.run(SockDiag::open).unwrap().unwrap();
    let manager = pair.server.run(PathManager::open).unwrap().unwrap();
    let mut steer = Server { pair: &pair, diag, manager, pacer, token, connection: &server };
    busy(&client, &server, || {
        let flows = subflows(&mut steer.diag, family);
        for paced in [1, 0] {
            // On links of microseconds MPTCP itself stands still for 200 ms now and then (`lab stalls`).
            assert!((0..3).any(|_| either(&mut steer, flows, paced, how)), "{paced}, {how:?}: always at a cost");
        }
    });
}

/// One subflow is paced while the other goes on, then released; whether the way there cost nothing that the free link alone would have
/// carried.
fn either(steer: &mut Server<'_>, flows: [Flow; 2], paced: usize, how: How) -> bool {
    let free = 1 - paced;
    // What goes wrong here goes wrong by an order of magnitude; the machine may be busy with other things.
    let near = |rate: u64| rate > LINK * 4 / 10;
    // A subflow of nobody.
    assert_eq!(steer.apply(Flow { remote: flows[free].local, ..flows[paced] }, Some(PACE)), 0);
    // The more the connection holds unsent, the more of it waits for its slow subflow.
    steer.connection.set_tcp_notsent_lowat(8192).unwrap();
    let before = flows.map(|flow| progress(&mut steer.diag, flow).0);
    let began = Instant::now();
    match how {
        How::Demoted => steer.pace_demoted(flows[paced]),
        How::InSteps => steer.pace_in_steps(flows[paced]),
    }
    wait(Duration::from_millis(250));
    let bytes: u64 = [0, 1].map(|which| progress(&mut steer.diag, flows[which]).0 - before[which]).iter().sum();
    let smooth = near(bytes * 1000 / u64::try_from(began.elapsed().as_millis()).unwrap());
    assert_eq!(progress(&mut steer.diag, flows[paced]).1, PACE.bytes_per_s);
    assert_eq!(progress(&mut steer.diag, flows[free]).1, u64::MAX);
    let rate = rates(&mut steer.diag, flows);
    assert!(rate[paced] <= CAP && rate[paced] > CAP / 4 && near(rate[free]), "{paced} paced: {rate:?}");
    assert_eq!(steer.apply(flows[paced], None), 1);
    steer.connection.set_tcp_notsent_lowat(u32::MAX).unwrap();
    assert_eq!(progress(&mut steer.diag, flows[paced]).1, u64::MAX);
    let rate = rates(&mut steer.diag, flows);
    assert!(near(rate[0]) && near(rate[1]), "{paced} released: {rate:?}");
    smooth
}

/// Where a listener at `at` is dialled.
fn dial(at: &str) -> SocketAddr {
    at.replace("[::]", "10.1.0.1").parse().unwrap()
}

#[test]
fn either_subflow_over_ipv4() {
    one_of_two(AddressFamily::V4, "10.1.0.1:5001", "10.2.0.2", How::Demoted);
}

#[test]
fn either_subflow_over_ipv6() {
    one_of_two(AddressFamily::V6, "[fd01::1]:5001", "fd02::2", How::Demoted);
}

#[test]
fn either_subflow_over_ipv4_on_ipv6_sockets() {
    one_of_two(AddressFamily::V6, "[::]:5001", "10.2.0.2", How::Demoted);
}

#[test]
fn either_subflow_in_steps_without_the_path_manager() {
    one_of_two(AddressFamily::V4, "10.1.0.1:5001", "10.2.0.2", How::InSteps);
}
