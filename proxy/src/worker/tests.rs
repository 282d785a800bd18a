use std::time::Duration;

use super::*;

#[test]
fn a_worker_that_carried_much_lets_others_run_before_it_waits() {
    runtime().unwrap().block_on(async {
        courtesy::carried(1 << 20);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(!courtesy::take_much());
    });
}
