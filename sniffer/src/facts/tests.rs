use super::*;
use crate::event::{End, Verified};
use crate::id::{AddrId, SubflowKind};
use crate::track::scene::{ACK, RST, Scene, Talk, Wire, prio, reset};
use crate::wire::mptcp::{AddAddr, Hmac, MptcpOption};

const GRACE: Duration = Duration::from_secs(2);

/// A watched connection of a server that is here, and its table.
struct Both {
    scene: Scene,
    talk: Talk,
    wire: Wire,
    table: FactsTable,
}

impl Both {
    fn new() -> Self {
        let (mut scene, mut talk, mut wire) =
            (Scene::default(), Talk::new(7), Wire::new("10.1.0.2:40000", "10.0.0.1:3128"));
        scene.talk(&mut talk, &mut wire);
        let mut table = FactsTable::new(FactLimits::default(), GRACE);
        table.expect_wire(true);
        table.expect_kernel(["::ffff:10.0.0.1".parse().unwrap()]);
        Self { scene, talk, wire, table }
    }

    fn token(&self) -> Token {
        self.talk.token(End::Server)
    }

    /// Hands over what the wire witness has.
    fn look(&mut self) {
        let events = self.scene.events();
        for facts in self.scene.tracker.connections() {
            self.table.observe_wire(facts, self.scene.now);
        }
        events.iter().for_each(|event| self.table.on_wire(event));
    }

    fn kernel(&mut self, event: KernelEvent) {
        self.table.on_kernel(&event, self.scene.now);
    }

    fn establish(&mut self) {
        let (token, flow) = (self.token(), self.wire.flow(End::Server));
        self.kernel(KernelEvent::Created { token, flow });
        self.kernel(KernelEvent::Established { token, flow });
    }

    fn joined(&mut self, other: &Wire, backup: bool) {
        let (token, flow) = (self.token(), other.flow(End::Server));
        let (local_id, remote_id) = (Some(AddrId(0)), Some(AddrId(7)));
        self.kernel(KernelEvent::SubflowEstablished { token, flow, local_id, remote_id, backup: Some(backup) });
    }

    /// What is reported once the grace time is over, at the latest.
    fn disagreements(&mut self) -> Vec<Disagreement> {
        for _ in 0..2 {
            self.scene.now += GRACE;
            self.table.handle_timeout(self.scene.now);
        }
        std::iter::from_fn(|| self.table.poll_disagreement()).map(|report| report.disagreement).collect()
    }
}

fn second() -> Wire {
    Wire::new("10.2.0.2:41000", "10.0.0.1:3128")
}

#[test]
fn two_witnesses_of_one_connection_are_one_fact() {
    for kernel_first in [true, false] {
        let mut both = Both::new();
        let mut other = second();
        both.scene.join(&both.talk, &mut other, End::Client, false);
        if kernel_first {
            both.establish();
            both.look();
        } else {
            both.look();
            both.establish();
        }
        both.joined(&other, false);
        let facts: Vec<_> = both.table.connections().collect();
        assert_eq!((facts.len(), facts[0].wire.len()), (1, 1), "kernel first: {kernel_first}");
        let kernel = facts[0].kernel.as_ref().unwrap();
        let kinds: Vec<_> = kernel.subflows.iter().map(|subflow| subflow.kind).collect();
        assert_eq!(kinds, [Some(SubflowKind::Initial), Some(SubflowKind::Joined)]);
        assert_eq!((kernel.subflows[1].local_id, kernel.subflows[1].remote_id), (Some(AddrId(0)), Some(AddrId(7))));
        let same = facts[0].clone();
        assert_eq!(both.table.by_token(both.token()), Some(same.clone()));
        assert_eq!(both.table.by_flow(&other.flow(End::Client)), Some(same.clone()));
        assert_eq!(both.table.by_connection(same.wire[0].connection), Some(same));
        assert_eq!(both.disagreements(), []);
        assert_eq!(both.table.next_deadline(), None);
    }
}

#[test]
fn the_slower_witness_has_its_time() {
    let mut both = Both::new();
    both.look();
    let begin = both.scene.now;
    assert_eq!(both.table.next_deadline(), Some(begin + GRACE));
    both.table.handle_timeout(begin + GRACE - Duration::from_millis(1));
    assert_eq!(both.table.poll_disagreement(), None);
    both.scene.now = begin + GRACE - Duration::from_millis(1);
    both.establish();
    assert_eq!(both.disagreements(), []);
    // The other way round.
    let mut both = Both::new();
    both.establish();
    both.look();
    assert_eq!(both.disagreements(), []);
}

#[test]
fn what_one_witness_alone_knows_is_reported_once() {
    let mut both = Both::new();
    both.look();
    assert_eq!(both.disagreements(), [Disagreement::OnlyOnWire]);
    both.look();
    assert_eq!(both.disagreements(), []);
    // A subflow of a connection both know.
    let mut both = Both::new();
    both.establish();
    let mut other = second();
    both.scene.join(&both.talk, &mut other, End::Client, false);
    both.look();
    assert_eq!(both.disagreements(), [Disagreement::OnlyOnWire]);
    both.joined(&other, false);
    both.joined(&Wire::new("10.3.0.2:1", "10.0.0.1:3128"), false);
    assert_eq!(both.disagreements(), [Disagreement::OnlyInKernel]);
}

/// What the sockets tell of a connection of one subflow that has received so many bytes.
fn socket(both: &Both, bytes: u64) -> KernelConnection {
    let flow = both.wire.flow(End::Server);
    let subflow = KernelSubflow { established: true, bytes_received: Some(bytes), ..KernelSubflow::new(flow) };
    KernelConnection { subflows: vec![subflow], ..KernelConnection::new(both.token()) }
}

#[test]
fn who_was_there_before_is_missed_only_once_it_speaks() {
    // Found by looking: it may have begun before the watch.
    let mut both = Both::new();
    both.table.observe_kernel(socket(&both, 10), both.scene.now);
    both.table.observe_kernel(socket(&both, 10), both.scene.now);
    assert_eq!(both.disagreements(), []);
    both.table.observe_kernel(socket(&both, 11), both.scene.now);
    assert_eq!(both.disagreements(), [Disagreement::OnlyInKernel]);
    // Told of as it began, but while nobody watched.
    let mut both = Both::new();
    both.table.expect_wire(false);
    both.establish();
    both.table.expect_wire(true);
    both.table.observe_kernel(socket(&both, 10), both.scene.now);
    assert_eq!(both.disagreements(), []);
    both.table.observe_kernel(socket(&both, 11), both.scene.now);
    assert_eq!(both.disagreements(), [Disagreement::OnlyInKernel]);
    // Told of as it began, under watch: its handshake should have been seen.
    let mut both = Both::new();
    both.establish();
    both.table.observe_kernel(socket(&both, 0), both.scene.now);
    assert_eq!(both.disagreements(), [Disagreement::OnlyInKernel]);
}

#[test]
fn who_cannot_know_is_not_asked() {
    // A router: the kernel is no end of it.
    let mut both = Both::new();
    both.table.expect_kernel(["10.9.9.9".parse().unwrap()]);
    both.look();
    assert_eq!(both.disagreements(), []);
    // No capture.
    let mut both = Both::new();
    both.table.expect_wire(false);
    both.establish();
    assert_eq!(both.disagreements(), []);
    // After a fallback the kernel has a TCP socket.
    let mut both = Both::new();
    both.scene.bare_data(&mut both.wire, End::Client, 10);
    for _ in 0..5 {
        both.scene.bare_data(&mut both.wire, End::Client, 10);
    }
    both.look();
    assert_eq!(both.disagreements(), [Disagreement::OptionsStripped { reason: FallbackReason::LostTowardsServer }]);
}

#[test]
fn backups_have_to_agree_by_end() {
    let mut both = Both::new();
    let mut other = second();
    both.scene.join(&both.talk, &mut other, End::Client, true);
    both.establish();
    both.joined(&other, true);
    both.look();
    assert_eq!(both.disagreements(), []);
    // The client's MP_PRIO is seen on the wire, and the kernel does not say so.
    both.scene.send(&mut other, End::Client, ACK, 0, &[prio(false)]);
    both.look();
    let differs = Disagreement::BackupDiffers { by: Side::Remote, wire: false, kernel: true };
    assert_eq!(both.disagreements(), [differs]);
    let (token, flow) = (both.token(), other.flow(End::Server));
    both.kernel(KernelEvent::Priority { token, flow, backup: false });
    assert_eq!(both.disagreements(), []);
    // This end's.
    let mut says = both.table.by_token(token).unwrap().kernel.unwrap();
    says.subflows[1].backup_by_local = Some(true);
    both.table.observe_kernel(says, both.scene.now);
    let differs = Disagreement::BackupDiffers { by: Side::Local, wire: false, kernel: true };
    assert_eq!(both.disagreements(), [differs]);
}

#[test]
fn fallbacks_have_to_agree() {
    let mut both = Both::new();
    both.establish();
    both.look();
    let mut says = both.table.by_token(both.token()).unwrap().kernel.unwrap();
    for (fallback, found) in
        [(None, vec![]), (Some(false), vec![]), (Some(true), vec![Disagreement::FallbackDiffers { kernel: true }])]
    {
        says.fallback = fallback;
        both.table.observe_kernel(says.clone(), both.scene.now);
        assert_eq!(both.disagreements(), found, "{fallback:?}");
    }
}

#[test]
fn forgeries_are_reported_at_once() {
    let mut both = Both::new();
    both.establish();
    both.look();
    let forged = AddAddr { hmac: Some(Hmac([0; 8])), ..both.talk.add_addr(End::Server, 5, "10.9.0.1", None) };
    both.scene.send(&mut both.wire, End::Server, ACK, 0, &[MptcpOption::AddAddr(forged)]);
    both.look();
    let report = both.table.poll_disagreement().unwrap();
    assert_eq!((report.disagreement, report.token), (Disagreement::SpoofedAddAddr, Some(both.token())));
    let json = serde_json::to_string(&report).unwrap();
    assert!(json.contains(r#""disagreement":"spoofed-add-addr""#), "{json}");
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

#[test]
fn the_kernel_knows_that_subflows_found_running_are_one_connection() {
    let mut both = Both::new();
    both.scene = Scene::default();
    let mut other = second();
    both.scene.data(&mut both.talk, &mut both.wire, End::Client, 10);
    both.scene.data(&mut both.talk, &mut other, End::Client, 10);
    both.look();
    assert_eq!(both.table.connections().count(), 2);
    both.establish();
    both.joined(&other, true);
    let facts: Vec<_> = both.table.connections().collect();
    assert_eq!((facts.len(), facts[0].wire.len()), (1, 2));
    assert!(facts[0].wire.iter().all(|facts| facts.late && facts.subflows[0].verified == Verified::Unknown));
    assert_eq!(both.disagreements(), [], "not even on the backup, which was asked for before");
    // And after the merge both are still found, and forgotten.
    both.scene.send(&mut other, End::Client, RST, 0, &[reset(0)]);
    both.look();
    assert_eq!(both.disagreements(), [Disagreement::OnlyInKernel]);
}

#[test]
fn a_flow_that_is_used_again_is_another_connection() {
    let mut both = Both::new();
    both.look();
    // Another token on the same addresses and ports: the kernel speaks of the next one already.
    let (token, flow) = (Talk::new(99).token(End::Server), both.wire.flow(End::Server));
    both.kernel(KernelEvent::Established { token, flow });
    assert_eq!(both.table.connections().count(), 2);
    assert_eq!(both.table.by_token(token).unwrap().wire, []);
}

#[test]
fn what_ended_is_forgotten() {
    for kernel_first in [true, false] {
        let mut both = Both::new();
        both.establish();
        both.look();
        let token = both.token();
        let scene = &mut both.scene;
        scene.end_data(&mut both.talk, &mut both.wire);
        scene.finish(&mut both.wire);
        if kernel_first {
            both.kernel(KernelEvent::Closed { token });
            both.look();
        } else {
            both.look();
            both.kernel(KernelEvent::Closed { token });
        }
        assert_eq!(both.disagreements(), []);
        let table = &both.table;
        let left = (table.known.len(), table.by_token.len(), table.by_flow.len(), table.by_connection.len());
        assert_eq!(left, (0, 0, 0, 0), "kernel first: {kernel_first}");
    }
}

#[test]
fn the_table_is_bounded() {
    let limits = FactLimits { connections: 3, subflows_per_connection: 4, disagreements: 2 };
    let mut table = FactsTable::new(limits, GRACE);
    table.expect_wire(true);
    let now = Duration::from_secs(100);
    for n in 0..10u16 {
        let mut connection = KernelConnection::new(Token(n.into()));
        for port in 0..10 {
            let local = ([10, 0, 0, 1], 3128).into();
            let flow = FourTuple::new(local, ([10, 1, 0, 2], 1000 * (n + 1) + port).into()).unwrap();
            let subflow = KernelSubflow { established: true, bytes_sent: Some(0), ..KernelSubflow::new(flow) };
            connection.subflows.push(subflow);
        }
        table.observe_kernel(connection.clone(), now);
        if n < 3 {
            // Those there is room for are missed once they carry something.
            connection.subflows.iter_mut().for_each(|subflow| subflow.bytes_sent = Some(1));
            table.observe_kernel(connection, now);
        }
        let flow = FourTuple::new(([10, 0, 0, 1], 3128).into(), ([10, 1, 0, 3], n).into()).unwrap();
        table.on_kernel(&KernelEvent::Priority { token: Token(n.into()), flow, backup: true }, now);
    }
    assert_eq!((table.connections().count(), table.by_flow.len()), (3, 12));
    assert_eq!(table.waiting.len(), 3);
    table.handle_timeout(now + GRACE);
    assert_eq!(std::iter::from_fn(|| table.poll_disagreement()).count(), 2);
    assert_eq!(table.lost(), (10, 7));
}

#[test]
fn a_doubt_does_not_borrow_the_age_of_another() {
    let mut both = Both::new();
    both.look();
    both.scene.now += GRACE / 2;
    let mut other = second();
    both.scene.join(&both.talk, &mut other, End::Client, false);
    both.look();
    both.table.handle_timeout(both.scene.now + GRACE / 2);
    let flows: Vec<_> = std::iter::from_fn(|| both.table.poll_disagreement()).map(|report| report.flow).collect();
    assert_eq!(flows, [both.wire.flow(End::Client)]);
    assert_eq!(both.disagreements(), [Disagreement::OnlyOnWire]);
}

#[test]
fn the_kernels_next_connection_on_a_flow_is_not_its_last() {
    let mut both = Both::new();
    both.establish();
    let (token, flow) = (Talk::new(99).token(End::Server), both.wire.flow(End::Server));
    both.kernel(KernelEvent::Established { token, flow });
    let tokens = [both.token(), token].map(|token| both.table.by_token(token).unwrap().kernel.unwrap().token);
    assert_eq!(tokens, [both.token(), token]);
    // The end of the one before does not take the flow from it.
    let before = both.token();
    both.kernel(KernelEvent::Closed { token: before });
    assert_eq!(both.table.by_flow(&flow).unwrap().kernel.unwrap().token, token);
}

#[test]
fn the_end_of_time_is_borne() {
    let mut both = Both::new();
    both.scene.now = Duration::MAX;
    both.look();
    assert_eq!(both.table.next_deadline(), Some(Duration::MAX));
    both.table.handle_timeout(Duration::MAX);
    let report = both.table.poll_disagreement().map(|report| report.disagreement);
    assert_eq!(report, Some(Disagreement::OnlyOnWire));
}
