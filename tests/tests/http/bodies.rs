//! Promise: a body is streamed, however large it is; who reads slowly slows the sender and not the proxy's memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anabranch_tests::{Client, Origin, PATIENCE};

use crate::proxy;

const MIB: usize = 1024 * 1024;

/// What may be under way while nobody reads: the socket buffers of two legs on loopback, and a little of ours.
const UNDER_WAY: usize = 24 * MIB;

/// What the proxy may grow by meanwhile.
///
/// Units:   KiB
const GROWTH: u64 = 4 * 1024;

#[test]
fn an_origin_cannot_push_more_than_a_client_reads() {
    let proxy = proxy("");
    let pushed = Arc::new(AtomicUsize::new(0));
    let count = pushed.clone();
    let origin = Origin::start(move |conversation| {
        if conversation.request().is_some() {
            conversation.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 1024 * MIB));
            let taken = conversation.push(&[b'x'; 64 * 1024], 1024 * MIB, Duration::from_millis(700));
            count.store(taken, Ordering::Relaxed);
        }
    });
    // Whatever a first request costs is not counted.
    let warm = Origin::friendly();
    assert_eq!(Client::connect(proxy.address).ask(get(&warm)).status(), 200);
    let before = proxy.peak_memory();
    let mut client = Client::connect(proxy.address);
    client.send(get(&origin));
    let deadline = std::time::Instant::now() + PATIENCE;
    while pushed.load(Ordering::Relaxed) == 0 && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    let (taken, grown) = (pushed.load(Ordering::Relaxed), proxy.peak_memory() - before);
    assert!((1..UNDER_WAY).contains(&taken), "the origin could send {taken} bytes to a client that reads none");
    assert!(grown < GROWTH, "the proxy grew by {grown} KiB");
}

#[test]
fn a_client_cannot_push_more_than_an_origin_reads() {
    let proxy = proxy("");
    let origin = Origin::start(|conversation| {
        conversation.head();
        std::thread::sleep(Duration::from_secs(4));
        conversation.close();
    });
    let warm = Origin::friendly();
    assert_eq!(Client::connect(proxy.address).ask(get(&warm)).status(), 200);
    let before = proxy.peak_memory();
    let mut client = Client::connect(proxy.address);
    let length = 1024 * MIB;
    client
        .send(get(&origin).replace("GET", "PUT").replace("\r\n\r\n", &format!("\r\nContent-Length: {length}\r\n\r\n")));
    let taken = client.push(&[b'x'; 64 * 1024], length, Duration::from_millis(700));
    let grown = proxy.peak_memory() - before;
    assert!((1..UNDER_WAY).contains(&taken), "the client could send {taken} bytes to an origin that reads none");
    assert!(grown < GROWTH, "the proxy grew by {grown} KiB");
}

#[test]
fn a_large_body_arrives_as_it_was_sent() {
    let proxy = proxy("");
    let body: Vec<u8> = (0..8 * MIB).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
    let sent = body.clone();
    let origin = Origin::start(move |conversation| {
        while let Some(request) = conversation.request() {
            assert!(request.body == sent);
            conversation.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for chunk in sent.chunks(100_003) {
                conversation.say(format!("{:x}\r\n", chunk.len()));
                conversation.say(chunk);
                conversation.say("\r\n");
            }
            conversation.say("0\r\n\r\n");
        }
    });
    let mut client = Client::connect(proxy.address);
    client.send(get(&origin).replace("GET", "PUT").replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for chunk in body.chunks(70_001) {
        client.send(format!("{:x}\r\n", chunk.len()));
        client.send(chunk);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    let answer = client.answer();
    assert!(answer.body == body, "{} of {} bytes", answer.body.len(), body.len());
}

fn get(origin: &Origin) -> String {
    format!("GET http://{0}/ HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.address)
}

/// Sizes some of which end between what the sockets take at once and what the parser then still holds.
fn awkward_sizes() -> impl Iterator<Item = usize> {
    (6..18).map(|quarter| quarter * MIB / 4)
}

#[test]
fn an_answer_that_waits_for_its_reader_is_not_cut_off_by_the_time_between_requests() {
    let proxy = proxy("[timeouts]\nkeep_alive = \"1 s\"\n");
    let mut waiting: Vec<_> = awkward_sizes()
        .map(|size| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
            let origin = Origin::answering([head.into_bytes(), vec![b'x'; size]].concat());
            let mut client = Client::connect(proxy.address);
            client.send(get(&origin));
            (client, origin, size)
        })
        .collect();
    std::thread::sleep(Duration::from_secs(3));
    for (client, _, size) in &mut waiting {
        assert_eq!(client.answer().body.len(), *size);
    }
}

#[test]
fn a_client_that_never_reads_its_answer_is_reset_after_a_while() {
    let proxy = proxy("[timeouts]\nbody_idle = \"1 s\"\n");
    let origin = Origin::start(|conversation| {
        if conversation.request().is_some() {
            conversation.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 64 * MIB));
            conversation.push(&[b'x'; 64 * 1024], 64 * MIB, Duration::from_secs(8));
        }
    });
    let mut client = Client::connect(proxy.address);
    client.send(get(&origin));
    std::thread::sleep(Duration::from_secs(6));
    let (taken, end) = client.rest(PATIENCE);
    assert!(taken.len() < 64 * MIB && end == anabranch_tests::End::Reset, "{} bytes, {end:?}", taken.len());
}

#[test]
fn an_upload_that_pauses_is_not_taken_for_an_origin_that_does_not_answer() {
    let proxy = proxy("[timeouts]\nresponse_head = \"1 s\"\nbody_idle = \"20 s\"\n");
    let origin = Origin::friendly();
    let mut client = Client::connect(proxy.address);
    client.send(format!("POST http://{0}/ HTTP/1.1\r\nHost: {0}\r\nContent-Length: 10\r\n\r\nfirst", origin.address));
    std::thread::sleep(Duration::from_millis(3500));
    assert_eq!(client.ask("after").status(), 200);
}
