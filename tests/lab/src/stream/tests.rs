use super::*;

#[test]
fn a_stream_cut_anywhere_is_intact() {
    let mut checker = Checker::default();
    let total = 3 * PERIOD as u64 + 17;
    for step in [1_usize, 7, 65_536, 1 << 20].iter().cycle() {
        let left = usize::try_from(total - checker.bytes).expect("small");
        if left == 0 {
            break;
        }
        checker.push(window(checker.bytes, left.min(*step)));
    }
    assert!(checker.intact(total));
    assert!(!checker.intact(total + 1));
    assert_eq!(checker.lost(total), 0);
}

#[test]
fn a_flipped_byte_is_found_at_its_offset() {
    let mut checker = Checker::default();
    checker.push(window(0, 100));
    let mut bad = window(100, 100).to_vec();
    bad[33] ^= 1;
    checker.push(&bad);
    assert_eq!(checker.first_wrong, Some(133));
    assert_eq!(checker.lost(200), 67);
}

#[test]
fn a_slip_by_a_page_is_seen() {
    let mut checker = Checker::default();
    checker.push(window(4096, 4096));
    assert!(checker.first_wrong.is_some_and(|at| at < 8));
}
