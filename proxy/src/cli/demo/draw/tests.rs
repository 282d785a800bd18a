use super::*;

#[test]
fn a_bar_has_eighths_and_its_track_goes_on_from_there() {
    let drawn = |value| {
        let (bar, track) = bar(value, 8.0, 16.0, 8);
        bar + &track
    };
    assert_eq!(drawn(0.0), "░░░░");
    assert_eq!(drawn(4.0), "██░░");
    assert_eq!(drawn(4.25), "██▏░", "the begun cell is no track");
    assert_eq!(drawn(5.0), "██▌░");
    assert_eq!(drawn(7.75), "███▉");
    assert_eq!(drawn(8.0), "████");
    assert_eq!(drawn(10.0), "█████", "over the limit, but still on the scale");
    assert_eq!(drawn(99.0), "████████", "never wider than it may be");
    assert_eq!(drawn(-1.0), "░░░░");
    assert_eq!(drawn(f64::NAN), "░░░░");
}

#[test]
fn a_stack_is_as_long_as_its_sum() {
    assert_eq!(stack(&[4.0, 2.0], 8.0, 8), (vec![4, 2], 2));
    assert_eq!(stack(&[0.4, 0.4, 0.4], 8.0, 8), (vec![0, 1, 0], 7), "rounded at its ends, not in its parts");
    assert_eq!(stack(&[8.0, 8.0], 8.0, 8), (vec![8, 0], 0));
    assert_eq!(stack(&[], 8.0, 8), (vec![], 8));
}

#[test]
fn a_spark_tells_nothing_from_little_and_little_from_much() {
    assert_eq!(spark([0.0, 0.1, 1.0, 2.0, 4.0, 7.0, 8.0, 9.0], 8.0), " ▁▁▂▄▇██");
}
