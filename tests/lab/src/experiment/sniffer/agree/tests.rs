use anabranch_sniffer::event::{End, Ends};
use anabranch_sniffer::facts::KernelSubflow;
use anabranch_sniffer::track::Tracker;
use anabranch_sniffer::{FourTuple, SubflowKind};

use super::super::hand::{Flow, Hand, SERVER, Talk};
use super::*;

/// A connection of two subflows as the wire tells it, and as its server's kernel would.
fn both() -> Line {
    let (mut hand, mut talk) = (Hand::new(), Talk::nth(1));
    hand.connect(&mut talk, &mut Flow::nth(64, 1));
    hand.join(&talk, &mut Flow::nth(96, 1));
    let tracker: Tracker = hand.tracker;
    let wire: Vec<_> = tracker.connections().collect();
    let mut kernel = KernelConnection::new(talk.token(End::Server));
    for subflow in &wire[0].subflows {
        let flow = subflow.flow.reversed();
        kernel.subflows.push(KernelSubflow { established: true, ..KernelSubflow::new(flow) });
    }
    Line { kernel: Some(kernel), wire }
}

const TWO: Step = step(&[], 2, 0);

#[test]
fn witnesses_that_say_the_same_agree() {
    assert_eq!(compare(&[both()], &TWO, false), None);
}

#[test]
fn saying_the_same_of_something_else_than_was_done_is_no_agreement() {
    assert!(compare(&[both()], &step(&[], 1, 0), false).is_some());
    assert!(compare(&[both()], &step(&[], 2, 1), false).is_some());
    assert!(compare(&[both(), both()], &TWO, false).is_some());
    assert!(compare(&[], &TWO, false).is_some());
}

#[test]
fn each_difference_is_seen() {
    let differs = |change: &dyn Fn(&mut Line)| {
        let mut line = both();
        change(&mut line);
        compare(&[line], &TWO, false).is_some()
    };
    assert!(differs(&|line| line.wire[0].subflows[1].state = SubflowState::Closing));
    assert!(differs(&|line| line.wire[0].subflows[1].verified = Verified::No));
    assert!(differs(&|line| line.wire[0].subflows[1].backup.server = true));
    assert!(differs(&|line| line.wire[0].tokens = Ends { client: line.wire[0].tokens.server, server: None }));
    assert!(differs(&|line| {
        let elsewhere = FourTuple::new("10.9.9.9:1".parse().unwrap(), SERVER).unwrap();
        line.wire[0].subflows[0].flow = elsewhere;
        line.wire[0].subflows[0].kind = SubflowKind::Joined;
    }));
    assert!(differs(&|line| line.kernel = None));
}

#[test]
fn a_late_watch_may_miss_the_token_but_not_name_another() {
    let mut line = both();
    line.wire[0].tokens.server = None;
    assert_eq!(compare(&[line], &TWO, true), None);
    let mut line = both();
    line.wire[0].tokens.server = line.wire[0].tokens.client;
    assert!(compare(&[line], &TWO, true).is_some());
}
