use std::net::SocketAddr;

use anabranch_sniffer::event::ConnId;
use anabranch_sniffer::{FourTuple, Token};
use proptest::prelude::*;

use super::*;

const MONTH: &str = "month UTC";

fn key(connection: ConnectionKey, port: u16) -> SubflowKey {
    let (ours, client): (SocketAddr, _) = ("10.0.0.1:3128".parse().unwrap(), SocketAddr::from(([10, 2, 0, 2], port)));
    SubflowKey { connection, flow: FourTuple::new(ours, client).unwrap() }
}

fn ours(port: u16) -> SubflowKey {
    key(ConnectionKey::Ours(Token(7)), port)
}

fn span(period: &str, start: u64, end: u64) -> Span {
    let at = Duration::from_secs;
    Span { period: period.into(), start: at(start), end: at(end), paths: vec!["lte".into()] }
}

const fn down(download: u64) -> Payload {
    Payload { download, upload: 0 }
}

struct Meters {
    usage: Usage,
    subscriber: Arc<str>,
    path: Arc<str>,
}

impl Meters {
    fn new(usage: Usage) -> Self {
        Self { usage, subscriber: "ann".into(), path: "lte".into() }
    }

    fn count(&mut self, key: SubflowKey, counts: Payload, now: u64) -> u64 {
        let payer = Payer { subscriber: &self.subscriber, path: &self.path };
        self.usage.count(key, counts, Some(payer), Duration::from_secs(now)).total()
    }

    fn used(&self, period: &str) -> u64 {
        self.usage.used(period, Payer { subscriber: &self.subscriber, path: &self.path })
    }
}

#[test]
fn what_is_delivered_counts_both_ways_and_once() {
    let mut meters = Meters::new(Usage::default());
    meters.usage.turn(vec![span(MONTH, 0, 100)]);
    assert_eq!(meters.count(ours(1), Payload { download: 100, upload: 10 }, 1), 110);
    assert_eq!(meters.count(ours(1), Payload { download: 100, upload: 10 }, 2), 0);
    // Another witness knows of less, for a while.
    assert_eq!(meters.count(ours(1), down(40), 3), 0);
    assert_eq!(meters.count(ours(1), Payload { download: 150, upload: 10 }, 4), 50);
    assert_eq!(meters.count(ours(2), down(5), 4), 5);
    assert_eq!((meters.used(MONTH), meters.used("day UTC")), (165, 0));
}

#[test]
fn only_paths_somebody_asks_for_have_accounts() {
    let mut meters = Meters::new(Usage::default());
    meters.usage.turn(vec![span(MONTH, 0, 100)]);
    meters.path = "dsl".into();
    assert_eq!(meters.count(ours(1), down(100), 1), 100);
    assert_eq!(meters.usage.accounts().count(), 0);
    assert!(meters.usage.take_changes().is_empty());
    // Asked for from now on, what went before does not count.
    let mut both = span(MONTH, 0, 100);
    both.paths.push("dsl".into());
    meters.usage.turn(vec![both]);
    meters.count(ours(1), down(130), 2);
    assert_eq!(meters.used(MONTH), 30);
}

#[test]
fn a_new_period_begins_at_nothing_and_the_old_one_is_closed() {
    let mut meters = Meters::new(Usage::default());
    meters.usage.turn(vec![span(MONTH, 0, 100), span("day UTC", 50, 60)]);
    assert_eq!(meters.usage.next_end(), Some(Duration::from_secs(60)));
    meters.count(ours(1), down(10), 1);
    meters.usage.take_changes();
    meters.usage.turn(vec![span(MONTH, 0, 100), span("day UTC", 60, 70)]);
    meters.count(ours(1), down(12), 2);
    assert_eq!((meters.used(MONTH), meters.used("day UTC")), (12, 2));
    let changes = meters.usage.take_changes();
    assert_eq!(
        changes.closed.iter().map(|account| (&*account.period, account.start)).collect::<Vec<_>>(),
        [("day UTC", 50)]
    );
    assert_eq!(changes.accounts.len(), 2);
    // A kind of period nobody asks for any more keeps its accounts: the next reload may ask again.
    meters.usage.turn(vec![span("day UTC", 60, 70)]);
    assert!(meters.usage.take_changes().is_empty());
    meters.usage.turn(vec![span(MONTH, 0, 100)]);
    assert_eq!(meters.used(MONTH), 12);
}

#[test]
fn a_subflow_out_of_sight_is_remembered_for_a_while() {
    let mut meters = Meters::new(Usage::default());
    meters.usage.turn(vec![span(MONTH, 0, 100)]);
    meters.count(ours(1), down(10), 1);
    meters.usage.take_changes();
    meters.usage.forget(Duration::from_secs(59));
    assert_eq!(meters.count(ours(1), down(11), 59), 1);
    meters.usage.take_changes();
    meters.usage.forget(Duration::from_secs(200));
    let changes = meters.usage.take_changes();
    assert_eq!(changes.gone, [ours(1)]);
    assert!(meters.usage.marks.is_empty());
}

#[test]
fn what_passes_by_leaves_no_mark_behind() {
    let mut meters = Meters::new(Usage::default());
    meters.usage.turn(vec![span(MONTH, 0, 100)]);
    meters.count(key(ConnectionKey::Passing(ConnId(3)), 9), down(10), 1);
    let changes = meters.usage.take_changes();
    assert_eq!((changes.accounts.len(), changes.marks.len()), (1, 0));
}

#[test]
fn changes_that_were_not_saved_come_again() {
    let mut meters = Meters::new(Usage::default());
    meters.usage.turn(vec![span(MONTH, 0, 100)]);
    meters.count(ours(1), down(10), 1);
    let lost = meters.usage.take_changes();
    assert!(!lost.is_empty());
    meters.count(ours(1), down(25), 2);
    meters.usage.give_back(lost);
    let again = meters.usage.take_changes();
    assert_eq!((again.accounts[0].1, again.marks[0].1), (25, down(25)));
    assert!(meters.usage.take_changes().is_empty());
}

#[test]
fn strangers_do_not_fill_the_memory() {
    let mut meters = Meters::new(Usage::default());
    meters.usage.turn(vec![span(MONTH, 0, 100)]);
    let account = |number: usize| Account {
        period: MONTH.into(),
        start: 0,
        path: "lte".into(),
        subscriber: number.to_string().into(),
    };
    let accounts = (0..MOST_ACCOUNTS).map(|number| (account(number), 1)).collect();
    meters.usage.restore(Saved { accounts, marks: Vec::new() });
    meters.usage.turn(vec![span(MONTH, 0, 100)]);
    meters.count(ours(1), down(10), 1);
    assert_eq!((meters.used(MONTH), meters.usage.uncounted()), (0, 10));
    meters.subscriber = "17".into();
    meters.count(ours(2), down(10), 1);
    assert_eq!(meters.used(MONTH), 11);
}

/// What may happen to a process that counts.
#[derive(Debug, Clone)]
enum Event {
    /// A subflow delivers.
    Deliver(u16, u16),
    /// The other witness, which knows of less, speaks for it.
    Less(u16, u16),
    Look(u16),
    Save,
    SaveFails,
    /// kill -9, and a start: what was not saved is gone; the subflows live on.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0u16..4, any::<u16>()).prop_map(|(port, bytes)| Event::Deliver(port, bytes)),
        1 => (0u16..4, any::<u16>()).prop_map(|(port, bytes)| Event::Less(port, bytes)),
        4 => (0u16..4).prop_map(Event::Look),
        2 => Just(Event::Save),
        1 => Just(Event::SaveFails),
        1 => Just(Event::Restart),
    ]
}

proptest! {
    #[test]
    fn no_byte_is_counted_twice_and_none_is_lost_over_restarts(events in prop::collection::vec(event(), 1..80)) {
        let mut meters = Meters::new(Usage::default());
        let spans = || vec![span(MONTH, 0, 100)];
        meters.usage.turn(spans());
        let (mut saved, mut counts) = (Saved::default(), [0u64; 4]);
        for event in events {
            match event {
                Event::Deliver(port, bytes) => counts[usize::from(port)] += u64::from(bytes),
                Event::Less(port, less) => {
                    meters.count(ours(port), down(counts[usize::from(port)].saturating_sub(less.into())), 1);
                }
                Event::Look(port) => {
                    meters.count(ours(port), down(counts[usize::from(port)]), 1);
                }
                Event::Save => saved.apply(&meters.usage.take_changes()),
                Event::SaveFails => {
                    let changes = meters.usage.take_changes();
                    meters.usage.give_back(changes);
                }
                Event::Restart => {
                    meters = Meters::new(Usage::default());
                    meters.usage.restore(saved.clone());
                    meters.usage.turn(spans());
                }
            }
            prop_assert!(meters.used(MONTH) <= counts.iter().sum());
        }
        for port in 0..4 {
            meters.count(ours(port), down(counts[usize::from(port)]), 1);
        }
        prop_assert_eq!(meters.used(MONTH), counts.iter().sum::<u64>());
    }
}
