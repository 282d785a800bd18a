use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::leg::{DELIVER, Leg, LegIo, deliver_then_reset};
use crate::origin::own::Outgoing;

/// The two legs of a tunnel.
struct Legs {
    leg: Arc<Leg>,
    io: ClientIo,
    server: OriginLeg,
}

async fn connect(listener: &TcpListener, protocol: Protocol) -> (TcpStream, TcpStream) {
    let address = listener.local_addr().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(protocol)).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    (TcpStream::from_std(socket.into()).unwrap(), listener.accept().await.unwrap().0)
}

fn listener(protocol: Protocol) -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(protocol)).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(8).unwrap();
    socket.set_nonblocking(true).unwrap();
    TcpListener::from_std(socket.into()).unwrap()
}

/// A tunnel on loopback: the client's end, the origin's end, and the legs between them.
async fn bench() -> (TcpStream, TcpStream, Legs) {
    bench_of(Protocol::MPTCP).await
}

/// The same for a client of this protocol, on a listener for MPTCP all the same.
async fn bench_of(client: Protocol) -> (TcpStream, TcpStream, Legs) {
    let protocol = client;
    let (client, accepted) = connect(&listener(Protocol::MPTCP), protocol).await;
    let (server, origin) = connect(&listener(Protocol::TCP), Protocol::TCP).await;
    let leg = Leg::new(accepted, protocol);
    let io = ClientIo::Plain(LegIo(leg.clone()));
    (client, origin, Legs { leg, io, server: tunnel_to(server) })
}

/// Our end of a connection that is used for a tunnel.
fn tunnel_to(stream: TcpStream) -> OriginLeg {
    let registration = Outgoing::new().register(stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    let mut leg = OriginLeg::new(stream, registration);
    leg.carry_anything();
    leg
}

fn limits() -> Limits {
    Limits { idle: Some(Duration::from_secs(20)), half_closed: Duration::from_secs(20), lifetime: None }
}

/// A tunnel that nothing has passed.
fn fresh() -> Relay {
    Relay {
        upload: Pump::new(Side::Client, Bytes::new()),
        download: Pump::new(Side::Server, Bytes::new()),
        watchdog: None,
        lifetime: None,
        half_closed: Duration::from_secs(1),
        failure: None,
    }
}

/// Runs a tunnel to its end as the stack does; returns the end and both counts.
async fn run(mut legs: Legs, limits: Limits, abort: CancellationToken) -> (End, (u64, u64)) {
    let carried = Carried::default();
    let mut relay = Relay::new((Bytes::new(), Bytes::new()), limits);
    let end = relay.run(&mut legs.io, &mut legs.server, &carried, &abort).await;
    match &end {
        End::Failed { side: Side::Server, .. } => legs.leg.deliver_then_reset(DELIVER, &abort).await,
        End::Failed { side: Side::Client, .. } => deliver_then_reset(legs.server.stream(), DELIVER, &abort).await,
        _ => {}
    }
    (end, carried.read())
}

/// Bytes that differ at every position of a buffer's length.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at / 251 + at) % 256).unwrap()).collect()
}

#[tokio::test]
async fn long_transfers_arrive_whole_both_ways_at_once() {
    for client in [Protocol::MPTCP, Protocol::TCP] {
        long_transfers_arrive_whole(client).await;
    }
}

async fn long_transfers_arrive_whole(client: Protocol) {
    let bytes = pattern(24 * 1024 * 1024);
    let (client, origin, legs) = bench_of(client).await;
    let (mut client_read, mut client_write) = client.into_split();
    let (mut origin_read, mut origin_write) = origin.into_split();
    let (up, down) = (bytes.clone(), bytes.clone());
    let upload = tokio::spawn(async move {
        client_write.write_all(&up).await.unwrap();
        client_write.shutdown().await.unwrap();
    });
    let download = tokio::spawn(async move {
        origin_write.write_all(&down).await.unwrap();
        origin_write.shutdown().await.unwrap();
    });
    let at_client = tokio::spawn(async move {
        let mut got = Vec::new();
        client_read.read_to_end(&mut got).await.unwrap();
        got
    });
    let at_origin = tokio::spawn(async move {
        let mut got = Vec::new();
        origin_read.read_to_end(&mut got).await.unwrap();
        got
    });
    let (end, counts) = run(legs, limits(), CancellationToken::new()).await;
    assert!(matches!(end, End::Completed), "{end:?}");
    assert_eq!(counts, (bytes.len() as u64, bytes.len() as u64));
    upload.await.unwrap();
    download.await.unwrap();
    assert!(at_client.await.unwrap() == bytes, "the download differs");
    assert!(at_origin.await.unwrap() == bytes, "the upload differs");
}

#[tokio::test]
async fn a_half_close_passes_through_and_the_other_way_goes_on() {
    let (mut client, mut origin, legs) = bench().await;
    let tunnel = tokio::spawn(run(legs, limits(), CancellationToken::new()));
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut got = Vec::new();
    origin.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"question");
    origin.write_all(b"answer").await.unwrap();
    origin.shutdown().await.unwrap();
    got.clear();
    client.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"answer");
    let (end, counts) = tunnel.await.unwrap();
    assert!(matches!(end, End::Completed), "{end:?}");
    assert_eq!(counts, (8, 6));
}

#[tokio::test]
async fn what_an_origin_sent_before_its_reset_still_arrives_and_the_reset_is_seen() {
    let bytes = pattern(3 * 1024 * 1024);
    let (mut client, mut origin, legs) = bench().await;
    let tunnel = tokio::spawn(run(legs, limits(), CancellationToken::new()));
    client.write_all(b"go").await.unwrap();
    origin.write_all(&bytes).await.unwrap();
    // The reset may only overtake what the origin still held: wait until all of it has left, while the client reads.
    let (mut got, mut chunk) = (Vec::new(), vec![0; 65_536]);
    while anabranch_kernel::sockopt::unacknowledged(std::os::fd::AsFd::as_fd(&origin)).unwrap() > 0 {
        let read = tokio::time::timeout(Duration::from_millis(5), client.read(&mut chunk)).await;
        got.extend_from_slice(&chunk[..read.unwrap_or(Ok(0)).unwrap()]);
    }
    SockRef::from(&origin).set_linger(Some(Duration::ZERO)).unwrap();
    drop(origin);
    let error = loop {
        match client.read(&mut chunk).await {
            Ok(0) => break None,
            Ok(read) => got.extend_from_slice(&chunk[..read]),
            Err(error) => break Some(error.kind()),
        }
    };
    assert_eq!(got.len(), bytes.len());
    assert!(got == bytes, "the bytes differ");
    assert_eq!(error, Some(io::ErrorKind::ConnectionReset), "the failure must not look like an end of stream");
    let (end, _) = tunnel.await.unwrap();
    assert!(matches!(end, End::Failed { side: Side::Server, .. }), "{end:?}");
}

#[tokio::test]
async fn a_client_reset_reaches_the_origin_behind_the_bytes_it_sent() {
    let (mut client, mut origin, legs) = bench().await;
    let tunnel = tokio::spawn(run(legs, limits(), CancellationToken::new()));
    client.write_all(b"last words").await.unwrap();
    let mut got = [0; 10];
    origin.read_exact(&mut got).await.unwrap();
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let error = origin.read(&mut got).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let (end, counts) = tunnel.await.unwrap();
    assert!(matches!(end, End::Failed { side: Side::Client, .. }), "{end:?}");
    assert_eq!(counts, (10, 0));
}

#[tokio::test]
async fn silence_ends_a_tunnel_and_so_does_its_lifetime() {
    let idle = Limits { idle: Some(Duration::from_millis(200)), ..limits() };
    let (_client, _origin, legs) = bench().await;
    let (end, _) = run(legs, idle, CancellationToken::new()).await;
    assert!(matches!(end, End::Idle), "{end:?}");
    let short = Limits { lifetime: Some(Duration::from_millis(50)), ..limits() };
    let (_client, _origin, legs) = bench().await;
    let (end, _) = run(legs, short, CancellationToken::new()).await;
    assert!(matches!(end, End::Expired), "{end:?}");
}

#[tokio::test]
async fn an_abort_ends_a_tunnel_at_once() {
    let abort = CancellationToken::new();
    let (_client, _origin, legs) = bench().await;
    let tunnel = tokio::spawn(run(legs, limits(), abort.clone()));
    tokio::time::sleep(Duration::from_millis(20)).await;
    abort.cancel();
    let (end, _) = tunnel.await.unwrap();
    assert!(matches!(end, End::Aborted), "{end:?}");
}

#[tokio::test]
async fn an_idle_tunnel_holds_no_buffer() {
    let (mut client, mut origin, mut legs) = bench().await;
    let carried = Carried::default();
    let mut tunnel = fresh();
    client.write_all(b"x").await.unwrap();
    tokio::select! {
        _ = poll_fn(|cx| tunnel.poll(cx, &mut legs.io, &mut legs.server, &carried)) => panic!("the tunnel ended"),
        byte = origin.read_u8() => assert_eq!(byte.unwrap(), b'x'),
    }
    assert!(tunnel.upload.holds_nothing() && tunnel.download.holds_nothing());
}

/// A long transfer behind one that was cut off is whole, and when it rests it holds none.
#[tokio::test]
async fn a_long_transfer_is_whole_and_rests_without_a_pipe() {
    for _ in 0..3 {
        let (mut client, mut origin, legs) = bench().await;
        let tunnel = tokio::spawn(run(legs, limits(), CancellationToken::new()));
        let sender = tokio::spawn(async move { while origin.write_all(&[b'?'; 65_536]).await.is_ok() {} });
        client.read_exact(&mut vec![0; 16 * 1024 * 1024]).await.unwrap();
        // Nobody reads any more: sockets and pipe fill up.
        tokio::time::sleep(Duration::from_millis(100)).await;
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        assert!(matches!(tunnel.await.unwrap().0, End::Failed { side: Side::Client, .. }));
        sender.await.unwrap();

        let bytes = pattern(5 * 1024 * 1024);
        let (mut client, mut origin, mut legs) = bench().await;
        let carried = Carried::default();
        let mut tunnel = fresh();
        let mut got = vec![0; bytes.len()];
        let both = async { tokio::join!(origin.write_all(&bytes), client.read_exact(&mut got)) };
        tokio::select! {
            _ = poll_fn(|cx| tunnel.poll(cx, &mut legs.io, &mut legs.server, &carried)) => panic!("the tunnel ended"),
            done = both => { done.0.unwrap(); done.1.unwrap(); }
        }
        assert!(got == bytes, "the bytes differ");
        assert!(tunnel.download.is_long() && tunnel.download.holds_nothing());
        assert!(courtesy::take_much(), "others are let run");
    }
}

/// Sends so much that what follows goes by way of a pipe.
async fn make_long(from: &mut TcpStream, to: &mut TcpStream) {
    let (bytes, mut got) = (pattern(2 * 1024 * 1024), vec![0; 2 * 1024 * 1024]);
    let (sent, read) = tokio::join!(from.write_all(&bytes), to.read_exact(&mut got));
    sent.unwrap();
    read.unwrap();
    assert!(got == bytes, "the bytes differ");
}

/// splice(2) stops in front of an urgent byte, and says that nothing is there, or that the stream has ended. A read steps over it.
#[tokio::test]
async fn an_urgent_byte_holds_up_and_loses_nothing_of_a_long_transfer() {
    for up in [true, false] {
        let (mut client, mut origin, legs) = bench_of(Protocol::TCP).await;
        let tunnel = tokio::spawn(run(legs, limits(), CancellationToken::new()));
        let (from, to) = if up { (&mut client, &mut origin) } else { (&mut origin, &mut client) };
        make_long(from, to).await;
        let mut got = vec![0; 8];
        for last in [false, true] {
            from.write_all(b"before").await.unwrap();
            SockRef::from(&*from).send_out_of_band(b"!").unwrap();
            from.write_all(b"behind").await.unwrap();
            if last {
                from.shutdown().await.unwrap();
            }
            let whole = async {
                to.read_exact(&mut got[..6]).await.unwrap();
                assert_eq!(&got[..6], b"before");
                to.read_exact(&mut got[..6]).await.unwrap();
                assert_eq!(&got[..6], b"behind");
            };
            tokio::time::timeout(Duration::from_secs(5), whole).await.expect("it stands still");
            if !last {
                make_long(from, to).await;
            }
        }
        assert_eq!(to.read(&mut got).await.unwrap(), 0);
        to.shutdown().await.unwrap();
        assert!(matches!(tunnel.await.unwrap().0, End::Completed));
    }
}

/// A read stops there too, and has not emptied the socket.
#[tokio::test]
async fn an_urgent_byte_that_came_with_what_is_behind_it_holds_up_nothing() {
    for up in [true, false] {
        let (mut client, mut origin, legs) = bench_of(Protocol::TCP).await;
        let (from, to) = if up { (&mut client, &mut origin) } else { (&mut origin, &mut client) };
        from.write_all(b"before").await.unwrap();
        SockRef::from(&*from).send_out_of_band(b"!").unwrap();
        from.write_all(b"behind").await.unwrap();
        // So that all of it is told at once.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let tunnel = tokio::spawn(run(legs, limits(), CancellationToken::new()));
        let mut got = [0; 12];
        let whole = tokio::time::timeout(Duration::from_secs(5), to.read_exact(&mut got)).await;
        whole.expect("it stands still").unwrap();
        assert_eq!(&got, b"beforebehind");
        tunnel.abort();
    }
}

/// A client of Multipath TCP is read once for what one wake has brought: the next look waits for the kernel's word, and gets it.
#[tokio::test]
async fn a_read_that_left_room_is_the_last_until_more_comes() {
    let (mut client, _origin, legs) = bench().await;
    let mut io = LegIo(legs.leg.clone());
    let mut got = [0; 64];
    for _ in 0..3 {
        client.write_all(b"some").await.unwrap();
        assert_eq!(io.read(&mut got).await.unwrap(), 4);
        // A socket that counts as ready would be asked, and say that there is nothing.
        assert!(poll_fn(|cx| Poll::Ready(legs.leg.stream().poll_read_ready(cx).is_pending())).await);
    }
    client.shutdown().await.unwrap();
    assert_eq!(io.read(&mut got).await.unwrap(), 0);
}

/// What a client of plain TCP sent before its reset, by way of a pipe, still arrives, and the reset is seen.
#[tokio::test]
async fn a_long_upload_rests_without_a_pipe_and_its_reset_is_seen() {
    let (mut client, mut origin, mut legs) = bench_of(Protocol::TCP).await;
    let carried = Carried::default();
    let mut tunnel = fresh();
    tokio::select! {
        _ = poll_fn(|cx| tunnel.poll(cx, &mut legs.io, &mut legs.server, &carried)) => panic!("the tunnel ended"),
        () = async { make_long(&mut client, &mut origin).await; make_long(&mut client, &mut origin).await } => {}
    }
    assert!(tunnel.upload.is_long() && tunnel.upload.holds_nothing());
    let spliced = tunnel.upload.copied() < carried.read().0;
    assert!(spliced, "all of {} was copied", carried.read().0);
    assert!(courtesy::take_much(), "others are let run");
    tokio::select! {
        _ = poll_fn(|cx| tunnel.poll(cx, &mut legs.io, &mut legs.server, &carried)) => panic!("the tunnel ended"),
        () = async { client.write_all(b"?").await.unwrap(); origin.read_exact(&mut [0]).await.unwrap(); } => {}
    }
    assert!(!courtesy::take_much(), "what is counted already is not counted again");
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let end = poll_fn(|cx| tunnel.poll(cx, &mut legs.io, &mut legs.server, &carried)).await;
    assert!(matches!(end, End::Failed { side: Side::Client, .. }), "{end:?}");
}

#[tokio::test]
async fn a_slow_client_gets_all_of_what_an_origin_sent_before_it_ended() {
    let bytes = pattern(2_500_000);
    let (mut client, mut origin, legs) = bench().await;
    let short = Limits { half_closed: Duration::from_millis(300), ..limits() };
    let tunnel = tokio::spawn(run(legs, short, CancellationToken::new()));
    let sent = bytes.clone();
    let origin = tokio::spawn(async move {
        origin.write_all(&sent).await.unwrap();
        origin.shutdown().await.unwrap();
        origin
    });
    let (mut got, mut chunk) = (Vec::new(), vec![0; 65_536]);
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        match client.read(&mut chunk).await.unwrap() {
            0 => break,
            read => got.extend_from_slice(&chunk[..read]),
        }
    }
    assert!(got == bytes, "{} of {} bytes", got.len(), bytes.len());
    drop((client, origin.await.unwrap()));
    drop(tunnel.await.unwrap());
}

#[tokio::test]
async fn a_delivery_that_is_cancelled_still_ends_in_a_reset() {
    let (mut client, _origin, legs) = bench().await;
    // More than the client's window takes, so that something stays unacknowledged.
    while legs.leg.stream().try_write(&[b'x'; 65_536]).is_ok() {}
    let abort = CancellationToken::new();
    assert!(
        tokio::time::timeout(Duration::from_millis(50), legs.leg.deliver_then_reset(DELIVER, &abort)).await.is_err()
    );
    drop(legs);
    let mut sink = Vec::new();
    assert_eq!(client.read_to_end(&mut sink).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}
