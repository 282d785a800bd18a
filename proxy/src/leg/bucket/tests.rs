use std::future::poll_fn;

use super::*;

fn rate(bits: u64) -> BitRate {
    BitRate::from_bits_per_second(bits).unwrap()
}

/// What passes a gate in a second of the test's clock when somebody always wants as much.
async fn passes(gate: &Gate, wanted: usize) -> u64 {
    let (begun, mut passed) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(1) {
        let pass = poll_fn(|cx| gate.poll(cx, wanted)).await;
        let bytes = pass.bytes();
        pass.used(bytes);
        passed += bytes as u64;
    }
    passed
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_the_rate_and_at_first_what_the_bucket_holds() {
    let gate = Gate::default();
    gate.set(Some(Bucket::new(rate(8_000_000))));
    let first = passes(&gate, 65_536).await;
    assert!((1_000_000..1_120_000).contains(&first), "{first} bytes in the first second at 1 MB/s");
    let next = passes(&gate, 65_536).await;
    assert!((940_000..1_060_000).contains(&next), "{next} bytes in the next");
}

#[tokio::test(start_paused = true)]
async fn two_gates_share_one_bucket_and_a_change_of_rate_is_for_both() {
    let bucket = Bucket::new(rate(8_000_000));
    let (one, other) = (Gate::default(), Gate::default());
    one.set(Some(bucket.clone()));
    other.set(Some(bucket.clone()));
    passes(&one, 65_536).await;
    let (a, b) = tokio::join!(passes(&one, 16_384), passes(&other, 16_384));
    assert!((900_000..1_100_000).contains(&(a + b)), "{a} + {b} bytes");
    bucket.set(rate(800_000));
    let (a, b) = tokio::join!(passes(&one, 16_384), passes(&other, 16_384));
    assert!((90_000..160_000).contains(&(a + b)), "{a} + {b} bytes at a tenth of the rate");
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_and_not_used_passes_later() {
    let bucket = Bucket::new(rate(8_000));
    let gate = Gate::default();
    gate.set(Some(bucket));
    let pass = poll_fn(|cx| gate.poll(cx, 1 << 20)).await;
    let whole = pass.bytes();
    pass.used(0);
    let again = poll_fn(|cx| gate.poll(cx, 1 << 20)).await;
    assert_eq!(again.bytes(), whole, "nothing was used");
}

#[tokio::test(start_paused = true)]
async fn a_gate_without_a_bucket_lets_everything_pass_at_once_and_a_lifted_one_soon() {
    let gate = Arc::new(Gate::default());
    let begun = Instant::now();
    assert_eq!(poll_fn(|cx| gate.poll(cx, 123_456)).await.bytes(), 123_456);
    assert_eq!(begun.elapsed(), Duration::ZERO);

    gate.set(Some(Bucket::new(rate(8))));
    let first = poll_fn(|cx| gate.poll(cx, 1 << 20)).await;
    let bytes = first.bytes();
    first.used(bytes);
    // The next byte is a second away; the gate is opened before, and whoever waits in another task has to be told.
    let waits = tokio::spawn({
        let gate = gate.clone();
        async move { poll_fn(|cx| gate.poll(cx, 1 << 20)).await.bytes() }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    gate.set(None);
    let passed = tokio::time::timeout(Duration::from_secs(60), waits).await.expect("it is woken").unwrap();
    assert_eq!(passed, 1 << 20);
    assert!(begun.elapsed() <= Duration::from_millis(30) + LONGEST + Duration::from_millis(2));
}
