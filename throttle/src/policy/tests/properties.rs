//! What holds whatever happens.

use std::collections::BTreeSet;
use std::time::Duration;

use anabranch_config::Per;
use proptest::prelude::*;

use super::world::*;
use crate::intent::Hold;
use crate::policy::Policies;
use crate::policy::rules::{Act, Rule, Rules, Thresholds};
use crate::view::View;

const ADDRESSES: [&str; 6] = ["10.1.0.2", "10.1.0.3", "10.2.0.2", "10.2.0.3", "10.3.0.2", "10.9.0.2"];

fn act() -> impl Strategy<Value = Act> {
    let per = prop_oneof![Just(Per::Policy), Just(Per::Subscriber), Just(Per::Connection), Just(Per::Subflow)];
    prop_oneof![
        Just(Act::Backup),
        Just(Act::Close),
        (1u8..=99).prop_map(|percent| Act::Share { percent }),
        Just(overflow()),
        (1u64..50).prop_map(|rate| Act::Overflow {
            limit: Some(mbit(rate)),
            after: Duration::from_secs(1),
            hold: Duration::from_secs(5)
        }),
        (1u64..50, per, any::<bool>()).prop_map(|(rate, per, both)| {
            let Act::Limit { ceiling, .. } = limit(rate, per) else { unreachable!() };
            Act::Limit { ceiling, per, download: true, upload: both }
        }),
    ]
}

fn policy() -> impl Strategy<Value = Rule> {
    let paths = prop_oneof![4 => prop::collection::vec(0usize..3, 1..3), 1 => Just(Vec::new())];
    let gauges = (prop::option::of(1u64..900), prop::option::of(1_000u64..200_000), prop::option::of(1u64..300));
    let kind = prop::option::of(prop_oneof![
        Just(anabranch_sniffer::SubflowKind::Initial),
        Just(anabranch_sniffer::SubflowKind::Joined)
    ]);
    (paths, act(), prop::option::weighted(0.2, gauges), kind).prop_map(|(paths, act, gauges, kind)| {
        let act = if paths.is_empty() { limit(3, Per::Subscriber) } else { act };
        let (load, rtt, loss) = gauges.unwrap_or_default();
        Rule { gauges: Thresholds { load, rtt, loss }, kind, ..rule("", &paths, act) }
    })
}

fn any_rules() -> impl Strategy<Value = Rules> {
    prop::collection::vec(policy(), 0..5).prop_map(|mut policies| {
        for (number, policy) in policies.iter_mut().enumerate() {
            policy.name = number.to_string().into();
        }
        let mut all = paths();
        all[1].capacity = Some(20 * MBIT);
        all.push(path("wifi", "10.3.0.0/16", 5, None));
        rules(all, policies)
    })
}

/// What may happen between two looks.
#[derive(Debug, Clone)]
enum Event {
    Connect(usize, usize),
    Join(usize, usize),
    Close(usize, usize),
    End(usize),
    Demand(usize, u64, u64),
    Timeouts(usize, usize, u32),
    Rtt(usize, usize, u64),
    Backup(usize, usize, bool),
    Doubt(usize, usize),
    /// Nobody knows of waiting data.
    Blind(usize),
    /// A counter falls back.
    Reset(usize, usize),
    Clock(u64, bool),
    Replace(Rules),
    Run(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let (conn, sub, address) = (0usize..4, 0usize..4, 0usize..6);
    prop_oneof![
        2 => (address.clone(), address.clone()).prop_map(|(one, two)| Event::Connect(one, two)),
        2 => (conn.clone(), address).prop_map(|(conn, address)| Event::Join(conn, address)),
        1 => (conn.clone(), sub.clone()).prop_map(|(conn, sub)| Event::Close(conn, sub)),
        1 => conn.clone().prop_map(Event::End),
        4 => (conn.clone(), 0u64..200, 0u64..100).prop_map(|(conn, down, up)| Event::Demand(conn, down, up)),
        1 => (conn.clone(), sub.clone(), 0u32..3).prop_map(|(conn, sub, count)| Event::Timeouts(conn, sub, count)),
        1 => (conn.clone(), sub.clone(), 0u64..400).prop_map(|(conn, sub, millis)| Event::Rtt(conn, sub, millis)),
        1 => (conn.clone(), sub.clone(), any::<bool>()).prop_map(|(conn, sub, is)| Event::Backup(conn, sub, is)),
        1 => (conn.clone(), sub.clone()).prop_map(|(conn, sub)| Event::Doubt(conn, sub)),
        1 => conn.clone().prop_map(Event::Blind),
        1 => (conn, sub).prop_map(|(conn, sub)| Event::Reset(conn, sub)),
        1 => (0u64..100_000, any::<bool>()).prop_map(|(seconds, back)| Event::Clock(seconds, back)),
        1 => any_rules().prop_map(Event::Replace),
        6 => (1u64..400).prop_map(Event::Run),
    ]
}

fn happen(world: &mut World, event: Event) {
    let count = world.conns.len();
    let subflow = |world: &mut World, conn: usize, sub: usize, change: &dyn Fn(&mut crate::view::Subflow)| {
        if let Some(conn) = world.conns.get_mut(conn)
            && let Some(subflow) = conn.view.subflows.get_mut(sub)
        {
            change(subflow);
        }
    };
    match event {
        Event::Connect(one, two) if count < 4 => {
            world.connect(&[ADDRESSES[one], ADDRESSES[two]]);
        }
        Event::Join(conn, address) if conn < count => world.join(conn, ADDRESSES[address]),
        Event::Close(conn, sub) if conn < count && sub < world.conns[conn].view.subflows.len() => {
            world.conns[conn].view.subflows.remove(sub);
        }
        Event::End(conn) if conn < count => world.conns[conn].view.subflows.clear(),
        Event::Demand(conn, down, up) if conn < count => {
            (world.conns[conn].download.demand, world.conns[conn].upload.demand) = (down * MBIT, up * MBIT);
        }
        Event::Timeouts(conn, sub, timeouts) => subflow(world, conn, sub, &|one| one.timeouts = timeouts),
        Event::Rtt(conn, sub, millis) => {
            subflow(world, conn, sub, &|one| one.rtt = Some(Duration::from_millis(millis)))
        }
        Event::Backup(conn, sub, is) => subflow(world, conn, sub, &|one| one.backup_by_client = is),
        Event::Doubt(conn, sub) => subflow(world, conn, sub, &|one| one.verified = !one.verified),
        Event::Blind(conn) if conn < count => world.conns[conn].view.waiting = None,
        Event::Reset(conn, sub) => subflow(world, conn, sub, &|one| (one.download, one.sent) = (0, 0)),
        Event::Clock(seconds, back) => {
            let by = Duration::from_secs(seconds);
            world.at = if back { world.at.saturating_sub(by) } else { world.at + by };
        }
        Event::Replace(rules) => world.policies.replace(rules),
        Event::Run(millis) => world.tick(millis),
        _ => {}
    }
}

fn check(world: &World, view: &View) -> Result<(), TestCaseError> {
    let decisions = &world.decisions;
    let mut seen = BTreeSet::new();
    for intent in &decisions.intents {
        prop_assert!(seen.insert(intent.subflow), "two intents for one subflow");
        let connection = view.connections.iter().find(|connection| connection.key == intent.subflow.connection);
        let subflow = connection.and_then(|one| one.subflows.iter().find(|one| one.flow == intent.subflow.flow));
        let Some(subflow) = subflow else {
            return Err(TestCaseError::fail("an intent for what is not there"));
        };
        prop_assert!(subflow.verified && subflow.established && !connection.unwrap().fallback);
        prop_assert!(!intent.evidence.is_empty());
        if let Hold::Rate { download, upload } = &intent.hold {
            prop_assert!(download.is_some() || upload.is_some());
        }
    }
    prop_assert!(decisions.intents.is_sorted_by_key(|intent| intent.subflow));
    let mut seen = BTreeSet::new();
    for total in &decisions.totals {
        prop_assert!(seen.insert((total.connection, total.class.direction)), "two totals one way");
    }
    for arming in &decisions.arming {
        prop_assert!(!arming.prefixes.is_empty());
    }
    if let Some(next) = world.policies.next_change(world.at) {
        prop_assert!(next > world.at);
    }
    for line in world.policies.lines() {
        prop_assert!(line.held <= line.subflows);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn decisions_are_well_formed_whatever_happens(first in any_rules(), events in prop::collection::vec(event(), 1..60)) {
        let mut world = World::new(first);
        for event in events {
            happen(&mut world, event);
            // Two subflows of one connection are never one flow.
            for conn in &world.conns {
                let flows: BTreeSet<_> = conn.view.subflows.iter().map(|subflow| subflow.flow).collect();
                prop_assert_eq!(flows.len(), conn.view.subflows.len());
            }
            world.decide();
            check(&world, &world.view())?;
        }
    }

    /// No connection is left with nothing but what overflow holds back.
    #[test]
    fn overflow_never_holds_the_last_way(events in prop::collection::vec(event(), 1..60)) {
        let mut all = paths();
        all.push(path("wifi", "10.3.0.0/16", 5, None));
        let mut world = World::new(rules(all, vec![rule("spare", &[0, 1, 2], overflow())]));
        for event in events {
            if !matches!(event, Event::Replace(_)) {
                happen(&mut world, event);
            }
            world.decide();
            for conn in &world.conns {
                let mut usable = conn.view.keyed().filter(|(_, one)| one.is_live() && one.verified && !one.backup_by_client);
                let held = |key| world.decisions.intents.iter().any(|intent| intent.subflow == key);
                if usable.next().is_some() {
                    let mut usable = conn.view.keyed().filter(|(_, one)| one.is_live() && one.verified && !one.backup_by_client);
                    prop_assert!(usable.any(|(key, _)| !held(key)));
                }
            }
        }
    }

    /// The same facts again: the same decision, however often.
    #[test]
    fn what_is_constant_is_decided_the_same(first in any_rules(), events in prop::collection::vec(event(), 1..30)) {
        let mut world = World::new(first);
        for event in events {
            happen(&mut world, event);
        }
        // Whatever takes its time has had it, and nothing moves any more.
        for conn in &mut world.conns {
            (conn.download, conn.upload) = (Flow::default(), Flow::default());
        }
        for _ in 0..700 {
            world.wake(500);
        }
        let settled = world.decisions.clone();
        world.changes = 0;
        for _ in 0..20 {
            world.wake(100);
        }
        prop_assert_eq!(world.changes, 0);
        prop_assert_eq!(&world.decisions.arming, &settled.arming);
        prop_assert_eq!(&world.decisions.totals.len(), &settled.totals.len());
    }

    /// Everything ends, and nothing of it is remembered.
    #[test]
    fn memory_is_bounded_by_what_is_there(first in any_rules(), events in prop::collection::vec(event(), 1..40)) {
        let mut world = World::new(first);
        for event in events {
            happen(&mut world, event);
        }
        world.conns.clear();
        for _ in 0..1_000 {
            world.wake(1_000);
        }
        let Policies { connections, lines, doors, shares, .. } = &world.policies;
        prop_assert_eq!((connections.len(), lines.len(), doors.len(), shares.len()), (0, 0, 0, 0));
    }
}
