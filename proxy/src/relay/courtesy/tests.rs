use super::*;

#[test]
fn what_is_much_counts_from_one_wait_to_the_next() {
    carried(40 * 1024);
    carried(40 * 1024);
    assert!(take_much());
    carried(40 * 1024);
    assert!(!take_much());
    carried(40 * 1024);
    assert!(!take_much());
    carried(80 * 1024);
    before_wait();
    assert!(!take_much());
}
