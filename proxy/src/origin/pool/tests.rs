//! The pool with real hyper connections over in-memory pipes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

use super::*;

type Body = Empty<Bytes>;

/// A pipe as hyper wants it.
struct Pipe(DuplexStream);

impl Read for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut to: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut buffer = [0; 1024];
        let len = to.remaining().min(buffer.len());
        let mut buffer = ReadBuf::new(&mut buffer[..len]);
        let result = Pin::new(&mut self.0).poll_read(cx, &mut buffer);
        to.put_slice(buffer.filled());
        result
    }
}

impl Write for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A connection that is ready, numbered so that it is recognised, and the origin's end of it.
async fn connection(number: u32) -> (Idle<Body>, DuplexStream) {
    let (ours, theirs) = duplex(4096);
    let (mut sender, task) = hyper::client::conn::http1::handshake(Pipe(ours)).await.unwrap();
    tokio::spawn(task);
    sender.ready().await.unwrap();
    (Idle { sender, address: SocketAddr::from(([127, 0, 0, 1], 80)), requests: number }, theirs)
}

fn key(host: &str) -> Key {
    Key { listener: "lab".parse().unwrap(), rules: 1, target: Target::from_connect(host).unwrap() }
}

fn pool(per_key: usize, total: usize) -> Pool<Body> {
    Pool::new(Limits { per_key, total, idle: Duration::from_secs(30) })
}

fn after(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

async fn closed(idle: &Idle<Body>) {
    while !idle.sender.is_closed() {
        tokio::task::yield_now().await;
    }
}

fn request() -> ::http::Request<Body> {
    ::http::Request::get("/").header("host", "a.example").body(Body::new()).unwrap()
}

#[tokio::test]
async fn the_last_one_in_is_the_first_one_out() {
    let (pool, now) = (pool(4, 4), Instant::now());
    let (one, two) = (connection(1).await, connection(2).await);
    pool.checkin(key("a.example:80"), one.0, now);
    pool.checkin(key("a.example:80"), two.0, now);
    let taken = |now| pool.checkout(&key("a.example:80"), now).map(|idle| idle.requests);
    assert_eq!((taken(now), taken(now), taken(now)), (Some(2), Some(1), None));
    assert!(pool.is_empty());
}

#[tokio::test]
async fn every_part_of_the_key_separates() {
    let (pool, now) = (pool(4, 4), Instant::now());
    let (one, _theirs) = connection(1).await;
    let right = key("a.example:80");
    pool.checkin(right.clone(), one, now);
    let others = [
        Key { listener: "other".parse().unwrap(), ..right.clone() },
        Key { rules: 2, ..right.clone() },
        key("b.example:80"),
        key("a.example:81"),
    ];
    for other in others {
        assert!(pool.checkout(&other, now).is_none(), "{other:?}");
    }
    assert!(pool.checkout(&right, now).is_some());
}

#[tokio::test]
async fn idle_connections_expire() {
    let (pool, start) = (pool(4, 4), Instant::now());
    let (one, two, three) = (connection(1).await, connection(2).await, connection(3).await);
    pool.checkin(key("a.example:80"), one.0, start);
    pool.checkin(key("a.example:80"), two.0, after(start, 20));
    pool.checkin(key("b.example:80"), three.0, start);
    pool.sweep(after(start, 29));
    assert_eq!(pool.len(), 3);
    pool.sweep(after(start, 30));
    assert_eq!(pool.len(), 1);
    assert!(pool.checkout(&key("a.example:80"), after(start, 50)).is_none(), "checkout looks at the age too");
    assert!(pool.is_empty());
}

#[tokio::test]
async fn closed_and_busy_connections_are_not_handed_out() {
    let (pool, now) = (pool(4, 4), Instant::now());
    let (one, two, mut three) = (connection(1).await, connection(2).await, connection(3).await);
    // One is good, two is closed while idle, three has a request under way.
    let waiting = three.0.sender.try_send_request(request());
    pool.checkin(key("a.example:80"), one.0, now);
    pool.checkin(key("a.example:80"), three.0, now);
    pool.checkin(key("a.example:80"), two.0, now);
    assert_eq!(pool.len(), 3);
    drop(two.1);
    tokio::task::yield_now().await;
    assert_eq!(pool.checkout(&key("a.example:80"), now).map(|idle| idle.requests), Some(1));
    assert!(pool.is_empty());
    drop(waiting);

    let (four, theirs) = connection(4).await;
    drop(theirs);
    closed(&four).await;
    pool.checkin(key("a.example:80"), four, now);
    assert!(pool.is_empty(), "a closed one is not taken in");
}

#[tokio::test]
async fn the_number_kept_is_bounded_for_each_key_and_in_all() {
    let (pool, start) = (pool(2, 3), Instant::now());
    let mut origins = Vec::new();
    let mut put = async |host: &str, number, now| {
        let (idle, theirs) = connection(number).await;
        origins.push(theirs);
        pool.checkin(key(host), idle, now);
    };
    for number in 1..=3 {
        put("a.example:80", number, start).await;
    }
    assert_eq!(pool.len(), 2, "the oldest of the key made room");
    put("b.example:80", 4, start).await;
    put("c.example:80", 5, start).await;
    assert_eq!(pool.len(), 3);
    put("b.example:80", 6, start).await;
    assert_eq!(pool.len(), 3);
    let taken = |host| pool.checkout(&key(host), start).map(|idle| idle.requests);
    assert_eq!((taken("c.example:80"), taken("b.example:80")), (None, Some(6)), "the newcomer went, or its own oldest");
    assert_eq!((taken("a.example:80"), taken("a.example:80")), (Some(3), Some(2)));
    // A full pool throws out the expired before it refuses.
    for (number, host) in [(7, "a.example:80"), (8, "b.example:80"), (9, "c.example:80")] {
        put(host, number, start).await;
    }
    put("d.example:80", 10, after(start, 31)).await;
    assert_eq!(
        (pool.len(), pool.checkout(&key("d.example:80"), after(start, 31)).map(|idle| idle.requests)),
        (1, Some(10))
    );
}

#[tokio::test]
async fn nothing_is_kept_where_nothing_may_be() {
    for pool in [pool(0, 4), pool(4, 0)] {
        let (one, _theirs) = connection(1).await;
        pool.checkin(key("a.example:80"), one, Instant::now());
        assert!(pool.is_empty());
    }
}

#[tokio::test]
async fn clearing_closes_every_connection() {
    let (pool, now) = (pool(4, 4), Instant::now());
    let (one, mut theirs) = connection(1).await;
    pool.checkin(key("a.example:80"), one, now);
    pool.clear();
    assert!(pool.is_empty() && pool.checkout(&key("a.example:80"), now).is_none());
    assert_eq!(theirs.read(&mut [0; 1]).await.unwrap(), 0, "the origin sees the end");
}

#[tokio::test]
async fn a_used_connection_is_ready_for_the_next_request() {
    let (pool, now) = (pool(4, 4), Instant::now());
    let (mut idle, mut theirs) = connection(0).await;
    for round in 0..3 {
        let response = idle.sender.try_send_request(request());
        let origin = async {
            let mut head = [0; 256];
            let len = theirs.read(&mut head).await.unwrap();
            assert!(head[..len].ends_with(b"\r\n\r\n"), "a small request is written at once");
            theirs.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        };
        let (response, ()) = tokio::join!(response, origin);
        assert_eq!(response.unwrap().into_body().collect().await.unwrap().to_bytes(), "ok");
        idle.sender.ready().await.unwrap();
        idle.requests += 1;
        pool.checkin(key("a.example:80"), idle, now);
        idle = pool.checkout(&key("a.example:80"), now).expect("ready again");
        assert_eq!(idle.requests, round + 1);
    }
}

/// The promise of the module documentation: hyper hands back what it has not written.
#[tokio::test]
async fn a_request_to_a_connection_that_just_closed_comes_back_unsent() {
    let (mut idle, theirs) = connection(0).await;
    drop(theirs);
    assert!(idle.sender.is_ready(), "nobody has noticed yet");
    let mut error = idle.sender.try_send_request(request()).await.unwrap_err();
    assert_eq!(error.take_message().map(|request| request.uri().path().to_owned()), Some("/".to_owned()));
}

#[test]
fn a_pool_may_be_shared() {
    fn check<T: Send + Sync>() {}
    check::<Pool<Body>>();
}
