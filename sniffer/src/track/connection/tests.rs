use super::*;

#[test]
fn the_closest_number_with_a_lower_half() {
    for (short, reference, expected) in [
        (5, 0x1_0000_0000, 0x1_0000_0005),
        (0xffff_fffe, 0x1_0000_0000, 0xffff_fffe),
        (3, 0xffff_fffe, 0x1_0000_0003),
        (0x7fff_ffff, 0x1_0000_0000, 0x1_7fff_ffff),
        (2, u64::MAX - 1, 2),
        (0xffff_ffff, 1, u64::MAX),
    ] {
        assert_eq!(extend(short, reference), expected, "{short:#x} near {reference:#x}");
    }
}

#[test]
fn holes_are_filled_in_any_order() {
    // Across the end of the lower half, and of all numbers.
    for start in [1_000, 0xffff_ff9c, u64::MAX - 99] {
        let at = |offset: u64| start.wrapping_add(offset);
        let mut data = Data { high: Some(start), ..Data::default() };
        assert_eq!(data.map(at(100), 50), Some(0));
        assert_eq!(data.map(at(200), 50), Some(0));
        // The middle of the first hole, its ends, more than the second.
        assert_eq!((data.map(at(40), 20), data.reordered), (Some(0), 20));
        assert_eq!((data.map(at(0), 40), data.reordered), (Some(0), 60));
        assert_eq!((data.map(at(50), 50), data.reordered), (Some(10), 100));
        assert_eq!((data.map(at(140), 120), data.reordered), (Some(60), 150));
        assert_eq!((data.holes.count(), data.high), (0, Some(at(260))));
        assert_eq!(data.map(at(0), 260), Some(260));
    }
}

#[test]
fn of_too_many_holes_the_oldest_is_forgotten_and_nothing_false_is_said_of_it() {
    let mut data = Data { high: Some(0), ..Data::default() };
    for n in 1..=65 {
        assert_eq!(data.map(n * 100, 50), Some(0));
    }
    assert_eq!(data.holes.count(), 64);
    // It may have been the hole, or data sent again: neither is claimed.
    assert_eq!((data.map(0, 100), data.reordered), (Some(0), 0));
    assert_eq!((data.map(450, 50), data.reordered), (Some(0), 50));
    assert_eq!((data.map(450, 100), data.reordered), (Some(100), 50));
    // The mark is forgotten once numbers have gone far beyond it.
    data.map(6_550, 3 << 29);
    let high = data.high.unwrap();
    assert_eq!(data.map(high + 10, 10), Some(0));
    assert_eq!(data.map(high - 50, 50), Some(50));
}

#[test]
fn dozens_of_pieces_under_way_on_two_subflows_are_late_and_not_sent_again() {
    let mut data = Data { high: Some(0), ..Data::default() };
    let piece = |n: u64| n * 3000;
    // One subflow is thirty pieces behind the other.
    for n in 0..200 {
        assert_eq!(data.map(piece(2 * n + 60), 3000), Some(0), "{n}");
        assert_eq!(data.map(piece(2 * n + 1), 3000), Some(0), "{n}");
    }
    assert_eq!(data.reinjected, 0);
    assert!(data.reordered > 100 * 3000, "{}", data.reordered);
}

#[test]
fn numbers_seen_before_the_key_get_their_upper_half_from_it() {
    let idsn = 0x1234_5678_0000_0010;
    let mut data = Data::default();
    assert_eq!(data.widen(DataSeq::Short(0x20)), 0x20);
    assert!(data.acknowledge(DataSeq::Short(0x20)));
    assert_eq!(data.map(0x20, 0x10), Some(0));
    data.begin(idsn);
    assert_eq!((data.high, data.ack), (Some(0x1234_5678_0000_0030), Some(0x1234_5678_0000_0020)));
    assert_eq!(data.delivered(), Some(0xf));
    // Or from a long one.
    let mut data = Data::default();
    assert!(data.acknowledge(DataSeq::Short(0x20)));
    assert!(data.acknowledge(DataSeq::Long(idsn + 0x20)));
    assert_eq!(data.ack, Some(idsn + 0x20));
}

#[test]
fn acknowledgements_go_one_way() {
    let mut data = Data::default();
    data.begin(99);
    for (ack, known) in [(150, 150), (120, 150), (200, 200)] {
        assert!(data.acknowledge(DataSeq::Long(ack)));
        assert_eq!(data.ack, Some(known));
    }
    assert!(!data.acknowledge(DataSeq::Long(1 << 40)));
    data.fin = Some(199);
    assert_eq!((data.ack, data.delivered()), (Some(200), Some(99)));
}

#[test]
fn an_acknowledgement_of_what_came_before_the_data_delivers_nothing() {
    let mut data = Data::default();
    data.begin(1_000);
    assert!(data.acknowledge(DataSeq::Long(990)));
    assert_eq!(data.delivered(), Some(0));
    assert!(data.acknowledge(DataSeq::Long(1_011)));
    assert_eq!(data.delivered(), Some(10));
}
