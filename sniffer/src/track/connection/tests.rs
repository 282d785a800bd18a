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
        assert_eq!((data.hole_count, data.high), (0, Some(at(260))));
        assert_eq!(data.map(at(0), 260), Some(260));
    }
}

#[test]
fn of_too_many_holes_the_oldest_is_forgotten() {
    let mut data = Data { high: Some(0), ..Data::default() };
    for n in 1..=5 {
        assert_eq!(data.map(n * 100, 50), Some(0));
    }
    assert_eq!((usize::from(data.hole_count), data.holes[0]), (HOLES, (150, 200)));
    assert_eq!(data.map(0, 100), Some(100));
    assert_eq!(data.map(450, 50), Some(0));
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
