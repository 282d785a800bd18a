use super::*;

#[test]
fn median_of_odd_even_and_none() {
    assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    assert_eq!(median(&[]), None);
}

#[test]
fn percentile_by_nearest_rank() {
    let sample: Vec<f64> = (1..=200).rev().map(f64::from).collect();
    assert_eq!(percentile(&sample, 0.5), Some(100.0));
    assert_eq!(percentile(&sample, 0.99), Some(198.0));
    assert_eq!(percentile(&sample, 1.0), Some(200.0));
    assert_eq!(percentile(&sample, 0.0), Some(1.0));
    assert_eq!(percentile(&[], 0.5), None);
}

#[test]
fn ends_and_rounding() {
    assert_eq!(lowest([2.0, -1.0, 3.0]), Some(-1.0));
    assert_eq!(highest([2.0, -1.0, 3.0]), Some(3.0));
    assert_eq!(lowest([]), None);
    assert_eq!(round(0.97654, 3), 0.977);
}

#[test]
fn the_middle_of_a_sample_that_scatters_is_less_certain() {
    assert_eq!(standard_error(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).map(|e| round(e, 3)), Some(0.756));
    assert_eq!(standard_error(&[1.0, 1.0]), Some(0.0));
    assert_eq!((standard_error(&[1.0]), standard_error(&[])), (None, None));
}
