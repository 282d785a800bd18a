use super::*;

#[test]
fn figures_are_short() {
    for (bits, text) in [
        (0, "0 bit/s"),
        (999, "999 bit/s"),
        (64_000, "64 kbit/s"),
        (38_249_999, "38.2 Mbit/s"),
        (40_000_000, "40 Mbit/s"),
        (133_700_000, "133 Mbit/s"),
        (u64::MAX, "18446744073 Gbit/s"),
    ] {
        assert_eq!(rate(bits), text);
    }
    assert_eq!([0, 1_500, 51_200_000_000].map(bytes), ["0 B", "1.5 kB", "51.2 GB"]);
    assert_eq!([35, 1_234, 125_000].map(|millis| time(Duration::from_millis(millis))), ["35 ms", "1.2 s", "2 min"]);
    assert_eq!([31, 800, 1000].map(percent), ["3.1 %", "80 %", "100 %"]);
}
