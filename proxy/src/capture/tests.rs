use std::convert::Infallible;

use super::*;

fn hold(merge: &mut Merge, ring: usize, at: u64, bytes: &[u8]) {
    let at = Duration::from_millis(at);
    merge.hold(ring, at, (LinkType::Ethernet, at, bytes, bytes.len()));
}

/// What is handed on at a time, by its first bytes.
fn released(merge: &mut Merge, now: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let none: [Option<&mut (PacketRing, LinkType)>; 0] = [];
    let mut take = |(_, _, captured, _): Seen<'_>| -> Result<(), Infallible> {
        bytes.extend_from_slice(captured);
        Ok(())
    };
    let _ = merge.take(none.into_iter(), Duration::from_millis(now), &mut take);
    bytes
}

#[test]
fn a_frame_waits_for_older_ones_and_no_longer() {
    let mut merge = Merge::default();
    hold(&mut merge, 0, 100, &[1]);
    hold(&mut merge, 0, 130, &[3]);
    hold(&mut merge, 1, 110, &[2]);
    assert_eq!(released(&mut merge, 139), [] as [u8; 0]);
    assert_eq!(merge.wait(Duration::from_secs(1)), HOLD);
    assert_eq!(released(&mut merge, 151), [1, 2]);
    assert_eq!(released(&mut merge, 170), [3]);
    assert_eq!(merge.wait(Duration::from_secs(1)), Duration::from_secs(1));
}

#[test]
fn what_is_too_much_goes_on_at_once() {
    let mut merge = Merge::default();
    (0..MOST + 2).for_each(|_| hold(&mut merge, 0, 100, &[9]));
    assert_eq!(released(&mut merge, 101).len(), 2);
    let mut rest = 0;
    let counted: Result<(), Infallible> = merge.finish(&mut |_| {
        rest += 1;
        Ok(())
    });
    counted.expect("never fails");
    assert_eq!((rest, merge.held), (MOST, 0));
}

#[test]
fn frames_of_several_rings_are_handed_on_in_the_order_of_time_with_their_own_bytes() {
    let mut merge = Merge::default();
    for round in 0..50_u8 {
        // A block of each ring, of frames of different lengths.
        let frame = |at: u8| vec![round.wrapping_mul(6).wrapping_add(at); usize::from((round + at) % 5) + 1];
        let begin = 1_000 + u64::from(round) * 10;
        for at in [0, 2, 4, 1, 3, 5] {
            hold(&mut merge, usize::from(at % 2), begin + u64::from(at), &frame(at));
        }
        let wanted: Vec<u8> = (0..6).flat_map(frame).collect();
        assert_eq!(released(&mut merge, begin + 5 + 40), wanted, "round {round}");
    }
    assert!(merge.runs.iter().all(|run| run.bytes.is_empty()), "nothing is kept of what is gone");
}

#[test]
fn a_clock_that_is_set_back_holds_nobody_up() {
    let mut merge = Merge::default();
    let frame = |at: u64, byte: &'static [u8]| (LinkType::Ethernet, Duration::from_millis(at), byte, 1);
    merge.hold(0, Duration::from_millis(1_000), frame(9_000, &[1]));
    merge.hold(0, Duration::from_millis(1_001), frame(1_001, &[2]));
    assert_eq!(released(&mut merge, 1_041), [1, 2]);
}
