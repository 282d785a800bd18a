//! Lookups against a small server on loopback.

use std::time::Instant;

use super::*;

pub(crate) mod server;

use server::{A, AAAA, Reply, Server};

const PATIENCE: Duration = Duration::from_secs(5);

fn name(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

fn resolver(server: &Server, timeout: Duration) -> Resolver {
    Resolver::new(&[server.address], 100, timeout).unwrap()
}

fn numbered(count: u8) -> Vec<std::net::IpAddr> {
    (0..count).map(|n| [192, 0, 2, n].into()).collect()
}

#[tokio::test]
async fn both_families_are_asked_for_exactly_the_name_and_cached() {
    let server = Server::start([
        ("both.example.com", A, Reply::of(&["192.0.2.1", "192.0.2.2", "192.0.2.1"]), 60),
        ("both.example.com", AAAA, Reply::of(&["2001:db8::1"]), 60),
    ])
    .await;
    let resolver = resolver(&server, PATIENCE);
    let expected = Addresses {
        v4: vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()],
        v6: vec!["2001:db8::1".parse().unwrap()],
    };
    for _ in 0..3 {
        assert_eq!(resolver.lookup(&name("Both.Example.com.")).await.unwrap(), expected);
    }
    assert_eq!((server.asked("both.example.com", A), server.asked("both.example.com", AAAA)), (1, 1));
    assert!(server.names().iter().all(|name| name == "both.example.com"), "{:?}", server.names());
}

#[tokio::test]
async fn an_expired_answer_is_asked_again() {
    let server = Server::start([("short.example.com", A, Reply::of(&["192.0.2.1"]), 1)]).await;
    let resolver = resolver(&server, PATIENCE);
    resolver.lookup_v4(&name("short.example.com")).await.unwrap();
    resolver.lookup_v4(&name("short.example.com")).await.unwrap();
    assert_eq!(server.asked("short.example.com", A), 1);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    resolver.lookup_v4(&name("short.example.com")).await.unwrap();
    assert_eq!(server.asked("short.example.com", A), 2);
}

#[tokio::test]
async fn aliases_are_followed_and_long_answers_bounded() {
    let server = Server::start([
        ("alias.example.com", A, Reply::Alias("real.example.net", vec!["192.0.2.7".parse().unwrap()]), 60),
        ("many.example.com", A, Reply::Addresses(numbered(20)), 60),
        ("long.example.com", A, Reply::Long(numbered(12)), 60),
    ])
    .await;
    let resolver = resolver(&server, PATIENCE);
    let v4 = async |text| resolver.lookup_v4(&name(text)).await.unwrap();
    assert_eq!(v4("alias.example.com").await, ["192.0.2.7".parse::<Ipv4Addr>().unwrap()]);
    assert_eq!(v4("many.example.com").await.len(), MAX_ADDRESSES);
    assert_eq!(v4("long.example.com").await.len(), 12, "truncated over UDP, so asked again over TCP");
    assert_eq!(server.asked("long.example.com", A), 2);
}

#[tokio::test]
async fn failures_are_told_apart() {
    let server = Server::start([
        ("empty.example.com", A, Reply::Code(0), 60),
        ("empty.example.com", AAAA, Reply::Code(0), 60),
        ("broken.example.com", A, Reply::Code(2), 60),
        ("broken.example.com", AAAA, Reply::Code(2), 60),
        ("refused.example.com", A, Reply::Code(5), 60),
        ("half.example.com", A, Reply::of(&["192.0.2.1"]), 60),
        ("half.example.com", AAAA, Reply::Code(2), 60),
    ])
    .await;
    let resolver = resolver(&server, PATIENCE);
    let missing = resolver.lookup(&name("missing.example.com")).await.unwrap_err();
    assert!(matches!(missing, DnsError::NotFound), "{missing:?}");
    assert_eq!(missing.rcode(), Some(3));
    assert_eq!(resolver.lookup(&name("empty.example.com")).await.unwrap(), Addresses::default());
    let broken = resolver.lookup(&name("broken.example.com")).await.unwrap_err();
    assert!(matches!(broken, DnsError::Failure(2)), "{broken:?}");
    let refused = resolver.lookup_v4(&name("refused.example.com")).await.unwrap_err();
    assert!(matches!(refused, DnsError::Failure(5)), "{refused:?}");
    let half = resolver.lookup(&name("half.example.com")).await.unwrap();
    assert_eq!((half.v4.len(), half.v6.len()), (1, 0));
}

#[tokio::test]
async fn a_silent_server_costs_the_time_limit_and_no_more() {
    let server = Server::start([("silent.example.com", A, Reply::Silence, 60)]).await;
    let begun = Instant::now();
    let error = resolver(&server, Duration::from_millis(400)).lookup_v4(&name("silent.example.com")).await.unwrap_err();
    assert!(matches!(error, DnsError::Timeout), "{error:?}");
    assert!((300..1000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn each_family_is_handed_out_as_it_comes() {
    let late = Reply::After(Duration::from_millis(150), Box::new(Reply::of(&["2001:db8::1"])));
    let server =
        Server::start([("late.example.com", A, Reply::of(&["192.0.2.1"]), 60), ("late.example.com", AAAA, late, 60)])
            .await;
    let mut answers = resolver(&server, PATIENCE).answers(&name("late.example.com"));
    let begun = Instant::now();
    assert!(matches!(answers.next().await, Some(Answer::V4(Ok(found))) if found.len() == 1));
    assert!(begun.elapsed() < Duration::from_millis(140), "A did not wait: {:?}", begun.elapsed());
    assert!(answers.awaits_v6() && !answers.is_done());
    assert!(matches!(answers.next().await, Some(Answer::V6(Ok(found))) if found.len() == 1));
    assert!(answers.is_done() && answers.next().await.is_none());
}

#[tokio::test]
async fn a_resolver_without_a_server_is_not_built() {
    assert!(matches!(Resolver::new(&[], 1, PATIENCE), Err(ResolverError::NoServer)));
    // A server nobody listens at is an error of the lookup, well before the time limit or at it.
    let port = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let deaf = Resolver::new(&[port], 1, Duration::from_millis(500)).unwrap();
    let error = deaf.lookup(&name("any.example.com")).await.unwrap_err();
    assert!(matches!(error, DnsError::Transport(_) | DnsError::Timeout), "{error:?}");
}
