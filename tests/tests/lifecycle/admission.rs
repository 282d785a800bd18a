//! Who is turned away, with what answer, and that everybody else goes on.

use std::io::Read as _;
use std::net::SocketAddr;

use crate::support::{
    Origin, Proxy, Reply, Start, Tunnel, connect, eventually, fetch, fetch_from, get, own_address, read_reply,
};

fn edge(limits: &str) -> String {
    format!("[limits]\n{limits}\n[[listener]]\nname = \"edge\"\naddress = \"127.0.0.1:0\"\n")
}

/// What a new connection is told before it has said anything; the connection has to end then.
fn turned_away(address: SocketAddr) -> Reply {
    let mut stream = connect(address);
    let reply = read_reply(&mut stream);
    assert_eq!(reply.field("connection"), Some("close"));
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "a clean end");
    reply
}

#[track_caller]
fn is_typed(reply: &Reply, status: u16, error: &str, key: &str) {
    let why = reply.field("proxy-status").unwrap_or_default();
    assert_eq!(reply.status, status, "{reply:?}");
    assert!(why.contains(&format!("error={error};")) && why.contains(key), "{why}");
}

#[test]
fn a_stranger_gets_a_typed_403() {
    let proxy = Proxy::start(&format!("{}clients = [\"{}/32\"]\n", edge(""), own_address()));
    let address = proxy.address("edge");
    is_typed(&turned_away(address), 403, "http_request_denied", "127.0.0.1 is not a client of listener edge");
    // Also one that speaks at once, and loudly: the answer arrives before the end.
    let reply = get(&mut connect(address), "http://example.com/", &format!("x: {}\r\n", "y".repeat(60_000)));
    assert_eq!(reply.status, 403);
    assert_eq!(proxy.counter("anabranch_connections_turned_away_total{reason=\"not-a-client\"}"), 2);
}

#[test]
fn the_limit_of_all_connections_is_a_503_and_permits_come_back() {
    let web = Origin::text("hello");
    let proxy = Proxy::start(&edge("connections = 2"));
    let address = proxy.address("edge");
    let held = [connect(address), connect(address)];
    eventually("both are admitted", || proxy.status()["sessions"] == 2);
    is_typed(&turned_away(address), 503, "connection_limit_reached", "limits.connections");
    drop(held);
    eventually("both are gone", || proxy.status()["sessions"] == 0);
    for _ in 0..4 {
        eventually("there is room again", || fetch(address, &web.url("/")).status == 200);
    }
}

#[test]
fn the_limit_of_one_client_is_a_429_and_leaves_the_others_alone() {
    let (web, echo) = (Origin::text("hello"), Origin::echo());
    let proxy = Proxy::start(&edge("connections_per_client = 1"));
    let address = proxy.address("edge");
    let mut tunnel = Tunnel::open(address, echo.address);
    is_typed(&turned_away(address), 429, "connection_limit_reached", "limits.connections_per_client");
    assert_eq!(fetch_from(own_address().into(), address, &web.url("/")).status, 200);
    tunnel.echo("on");
    assert!(tunnel.finish().is_empty());
    eventually("the tunnel's place is free", || fetch(address, &web.url("/")).status == 200);
}

#[test]
fn clients_are_paced() {
    let web = Origin::text("hello");
    let proxy = Proxy::start(&edge("connection_rate = 2\nrequest_rate = 1000"));
    let address = proxy.address("edge");
    let replies: Vec<_> = (0..6).map(|_| fetch(address, &web.url("/"))).collect();
    let paced = replies.iter().find(|reply| reply.status != 200).expect("six at once are more than two a second");
    is_typed(paced, 429, "connection_limit_reached", "limits.connection_rate");
    assert_eq!(fetch_from(own_address().into(), address, &web.url("/")).status, 200);

    let proxy = Proxy::start(&edge("request_rate = 2"));
    let mut stream = connect(proxy.address("edge"));
    let replies: Vec<_> = (0..6).map(|_| get(&mut stream, &web.url("/"), "")).collect();
    assert_eq!(replies[0].status, 200);
    let paced = replies.iter().find(|reply| reply.status != 200).expect("six at once are more than two a second");
    is_typed(paced, 429, "http_request_denied", "limits.request_rate");
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert_eq!(get(&mut stream, &web.url("/"), "").status, 200, "on the same connection, once it has waited");
}

#[test]
fn running_out_of_descriptors_is_survived() {
    let web = Origin::text("hello");
    let sections = format!("[process]\nworkers = 1\n{}", edge(""));
    let proxy = Start::behind(&sections, "prlimit", &["--nofile=40:40"]).run();
    let address = proxy.address("edge");
    proxy.says("raise LimitNOFILE or lower the limit");
    let mut held: Vec<_> = (0..60).map(|_| connect(address)).collect();
    eventually("it runs out", || proxy.log().contains("accept fails; backing off"));
    // Who is in already is still answered, if only that no connection can be made for him.
    let reply = get(&mut held[0], &web.url("/"), "");
    is_typed(&reply, 503, "connection_limit_reached", "");
    drop(held);
    assert_eq!(fetch(address, &web.url("/")).status, 200);
    assert!(proxy.counter("anabranch_accept_errors_total{reason=\"EMFILE\"}") > 0);
    let said = proxy.log().matches("backing off").count();
    assert!(said <= 3, "said {said} times");
}

/// The kernel's hash spreads 400 connections over eight workers by ten more or less.
#[test]
fn workers_have_about_as_many_connections_each() {
    let web = Origin::text("hello");
    let proxy = Proxy::start(&format!("[process]\nworkers = 8\n{}", edge("")));
    let address = proxy.address("edge");
    let mut held: Vec<_> = (0..400).map(|_| connect(address)).collect();
    // Those that went from worker to worker as well.
    for stream in &mut held {
        assert_eq!(get(stream, &web.url("/"), "").status, 200);
    }
    let serves = |worker| proxy.counter(&format!("anabranch_worker_sessions{{worker=\"{worker}\"}}"));
    let shares: Vec<_> = (0..8).map(serves).collect();
    assert_eq!(shares.iter().sum::<u64>(), 400, "{shares:?}");
    // Two more than the least busy has, and an eighth of one's own; two may see the same one at once.
    let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
    assert!(*most <= least + 2 + most / 8 + 2, "{shares:?}");
    drop(held);
    eventually("all are gone", || (0..8).map(serves).sum::<u64>() == 0);
}
