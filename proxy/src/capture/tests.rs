use std::convert::Infallible;

use super::*;

fn hold(merge: &mut Merge, ring: usize, at: u64, bytes: &[u8]) {
    merge.hold(ring, (LinkType::Ethernet, Duration::from_millis(at), bytes, bytes.len()));
}

/// What is handed on at a time, by its first bytes.
fn released(merge: &mut Merge, now: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let none: [&mut (PacketRing, LinkType); 0] = [];
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
    let mut wanted = Vec::new();
    for round in 0..50_u8 {
        for at in 0..6_u64 {
            // Two rings in turn, frames of different lengths, the second ring's blocks later than the first's.
            let frame = vec![round.wrapping_mul(6).wrapping_add(u8::try_from(at).unwrap()); usize::from(round % 5) + 1];
            wanted.extend_from_slice(&frame);
            let ring = usize::try_from(at % 2).unwrap();
            hold(&mut merge, ring, 1_000 + u64::from(round) * 10 + at, &frame);
        }
        let got = released(&mut merge, 1_000 + u64::from(round) * 10 + 5 + 40);
        assert_eq!(got, wanted, "round {round}");
        wanted.clear();
    }
    assert!(merge.runs.iter().all(|run| run.bytes.is_empty()), "nothing is kept of what is gone");
}
