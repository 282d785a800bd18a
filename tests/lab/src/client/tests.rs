use super::*;

#[test]
fn gaps_keep_the_longest_and_count_stalls() {
    let start = Instant::now();
    let mut gaps = Gaps::start(start);
    for ms in [1, 2, 201, 202, 402, 410] {
        gaps.mark(start + Duration::from_millis(ms));
    }
    assert_eq!(gaps.longest, Duration::from_millis(200));
    assert_eq!(gaps.stalls, 1, "199 ms is none, 200 ms is one");
}
