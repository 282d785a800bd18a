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

#[test]
fn a_port_is_waited_for_while_a_copy_of_its_closed_listener_is_held_elsewhere() {
    let ns = crate::Namespace::new("port").expect("creates");
    ns.run(|| {
        let first = Protocol::Tcp.listen(7200).expect("listens");
        let copy = first.try_clone().expect("copies");
        drop(first);
        let held = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(copy);
        });
        let second = Protocol::Tcp.listen(7200).expect("listens again");
        held.join().expect("lets go");
        let refused = Protocol::Tcp.listen(7200).expect_err("somebody listens");
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        drop(second);
    })
    .expect("enters");
}
