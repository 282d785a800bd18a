use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;

use socket2::SockRef;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn never() -> Duration {
    panic!("a short absence is not looked into")
}

/// The verdict on reads of 64 KiB, `every` so often, after a wait of `dry` each, and when it came; `Keep`: none in a second.
fn judged(every: Duration, dry: Duration, stood: Duration) -> (Verdict, Duration) {
    let begun = Instant::now();
    let (mut round, mut now) = (Round::new(begun, BEGINNING), begun);
    loop {
        round.dry = (!dry.is_zero()).then_some(now + every - dry);
        now += every;
        round.took(64 << 10, now, || stood);
        match round.verdict(now) {
            Verdict::Keep if now - begun < Duration::from_secs(1) => {}
            verdict => return (verdict, now - begun),
        }
    }
}

#[test]
fn a_client_that_waits_for_its_origin_is_starving_as_soon_as_half_a_window_has_come() {
    assert_eq!(judged(3 * MS, 2 * MS, Duration::ZERO), (Verdict::Starving, 9 * MS));
}

#[test]
fn nothing_is_given_to_who_always_finds_something() {
    assert_eq!(judged(3 * MS, Duration::ZERO, Duration::ZERO).0, Verdict::Keep);
}

#[test]
fn who_takes_much_and_fast_is_left_to_the_kernel() {
    let (verdict, after) = judged(MS / 2, Duration::ZERO, Duration::ZERO);
    assert_eq!((verdict, after), (Verdict::Fast, 32 * MS));
}

#[test]
fn a_reader_that_was_away_did_not_wait_for_the_origin() {
    // It was away for 40 ms in all; nothing had come in the last 39 of them.
    assert_eq!(judged(41 * MS, 40 * MS, 39 * MS).0, Verdict::Keep);
    assert_eq!(judged(41 * MS, 40 * MS, MS).0, Verdict::Starving);
}

#[test]
fn a_silent_origin_tells_of_no_rate() {
    let begun = Instant::now();
    let mut round = Round::new(begun, BEGINNING);
    round.took(64 << 10, begun + MS, never);
    round.dry = Some(begun + MS);
    let later = begun + MS + SILENCE * 2;
    round.took(1024, later, || Duration::ZERO);
    assert_eq!((round.begun, round.read, round.waited), (later, 1024, Duration::ZERO));
}

#[test]
fn a_window_is_filled_by_the_rate_times_the_distance() {
    let begun = Instant::now();
    let mut round = Round::new(begun, 800_000);
    round.took(1_000_000, begun + 100 * MS, never);
    assert!(!round.fills_window(begun + 100 * MS, 9 * MS));
    assert!(round.fills_window(begun + 100 * MS, 10 * MS));
}

/// A connection over loopback: an origin that sends without pause until our end is gone, and our end.
fn connection() -> (std::thread::JoinHandle<()>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut origin = listener.accept().unwrap().0;
    let sender = std::thread::spawn(move || {
        let chunk = vec![0; 256 << 10];
        while origin.write_all(&chunk).is_ok() {}
    });
    (sender, ours)
}

/// The size of its receive buffer, the kernel's overhead among it.
fn buffer_of(socket: &TcpStream) -> usize {
    SockRef::from(socket).recv_buffer_size().unwrap()
}

/// Reads so much, and tells of it.
fn gulp(ours: &mut TcpStream, mut ahead: Option<&mut Ahead>, bytes: usize) {
    let (mut buffer, mut read) = (vec![0; 256 << 10], 0);
    while read < bytes {
        let taken = ours.read(&mut buffer).unwrap();
        if let Some(ahead) = &mut ahead {
            ahead.took(ours.as_fd(), taken);
        }
        read += taken;
    }
}

#[test]
fn a_client_that_was_slow_for_long_is_seen_to_starve_at_once() {
    let begun = Instant::now();
    let (mut round, mut now) = (Round::new(begun, BEGINNING), begun);
    for _ in 0..6000 {
        now += 100 * MS;
        round.took(64 << 10, now, never);
        assert_eq!(round.verdict(now), Verdict::Keep);
        round.expire(now);
    }
    let fast = now;
    loop {
        round.dry = Some(now);
        now += 100 * MS;
        round.took(64 << 10, now, || Duration::ZERO);
        if round.verdict(now) == Verdict::Starving {
            break;
        }
        round.expire(now);
        assert!(now - fast < 2 * SILENCE, "it is not seen");
    }
}

#[test]
fn who_waits_round_after_round_is_given_more_whatever_the_round_trip_was() {
    let begun = Instant::now();
    let mut round = Round::new(begun, BEGINNING);
    round.waited = 60 * MS;
    for _ in 1..THIRSTY {
        assert!(!round.is_thirsty(begun + 100 * MS));
    }
    assert!(round.is_thirsty(begun + 100 * MS));
    round.waited = 40 * MS;
    assert!(!round.is_thirsty(begun + 100 * MS));
}

#[test]
fn a_burst_does_not_make_a_buffer_grow() {
    let (sender, mut ours) = connection();
    let mut ahead = Ahead::new(ours.as_fd());
    gulp(&mut ours, Some(&mut ahead), EARLY);
    let before = buffer_of(&ours);
    assert!(before >= BEGINNING as usize, "{before}");
    gulp(&mut ours, Some(&mut ahead), 3 << 20);
    assert_eq!(buffer_of(&ours), before);
    drop(ours);
    sender.join().unwrap();
}

#[test]
fn who_is_fed_gets_twice_as_much_and_who_is_free_still_more() {
    let (sender, mut ours) = connection();
    let mut ahead = Ahead::new(ours.as_fd());
    gulp(&mut ours, Some(&mut ahead), EARLY);
    let before = buffer_of(&ours);
    ahead.feed(ours.as_fd(), Instant::now()).unwrap();
    let fed = buffer_of(&ours);
    assert!(fed > before, "{fed} after {before}");
    assert!(matches!(&ahead, Ahead::Judged(round) if round.window == 2 * BEGINNING));
    gulp(&mut ours, None, 3 << 20);
    assert_eq!(buffer_of(&ours), fed, "it is locked");
    ahead.free(ours.as_fd()).unwrap();
    assert!(buffer_of(&ours) > fed, "it is not locked any more");
    drop(ours);
    sender.join().unwrap();
}
