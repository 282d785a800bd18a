use std::convert::Infallible;

use super::*;

fn held(at: u64, byte: u8) -> Held {
    Held { at: Duration::from_millis(at), link: LinkType::Ethernet, captured: Box::new([byte]), wire_len: 1 }
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
    merge.held.extend([held(100, 1), held(110, 2), held(130, 3)]);
    assert_eq!(released(&mut merge, 139), [] as [u8; 0]);
    assert_eq!(merge.wait(Duration::from_secs(1)), HOLD);
    assert_eq!(released(&mut merge, 151), [1, 2]);
    assert_eq!(released(&mut merge, 170), [3]);
    assert_eq!(merge.wait(Duration::from_secs(1)), Duration::from_secs(1));
}

#[test]
fn what_is_too_much_goes_on_at_once() {
    let mut merge = Merge::default();
    merge.held.extend((0..MOST + 2).map(|_| held(100, 9)));
    assert_eq!(released(&mut merge, 101).len(), 2);
    let mut rest = 0;
    let counted: Result<(), Infallible> = merge.finish(&mut |_| {
        rest += 1;
        Ok(())
    });
    counted.expect("never fails");
    assert_eq!((rest, merge.held.len()), (MOST, 0));
}
