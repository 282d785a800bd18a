use super::*;

#[test]
fn it_loads() {
    let mut pacer = Pacer::open().unwrap();
    let flow = Flow { local: "127.0.0.1:1".parse().unwrap(), remote: "127.0.0.1:2".parse().unwrap() };
    let started = std::time::Instant::now();
    assert_eq!(pacer.apply(&[(flow, None)]).unwrap(), 0);
    eprintln!("{:?}", started.elapsed());
}
