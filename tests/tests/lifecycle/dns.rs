//! Names: resolved where the file says, judged after the lookup, and every failure told apart.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::support::{Origin, Proxy, answer_all, fetch, own_address};

/// A name server for one test: names it knows have these IPv4 addresses; `silent.test` is never answered, and what it
/// does not know does not exist.
fn name_server(names: Vec<(&'static str, Vec<Ipv4Addr>)>) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if let Some(answer) = answer(&buffer[..length], &names) {
                socket.send_to(&answer, from).unwrap();
            }
        }
    });
    address
}

/// RFC 1035 §4: the question back, with an A record for every address.
fn answer(query: &[u8], names: &[(&str, Vec<Ipv4Addr>)]) -> Option<Vec<u8>> {
    let mut name = String::new();
    let mut at = 12;
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        name.push_str(std::str::from_utf8(&query[at + 1..end]).unwrap());
        name.push('.');
        at = end;
    }
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let question = &query[12..at + 5];
    let name = name.trim_end_matches('.').to_lowercase();
    if name == "silent.test" {
        return None;
    }
    let known = names.iter().find(|(known, _)| *known == name);
    let addresses = known.map(|(_, addresses)| addresses.as_slice()).filter(|_| kind == 1).unwrap_or_default();
    let code = if known.is_some() { 0 } else { 3 };
    let mut reply = vec![query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, u8::try_from(addresses.len()).unwrap()];
    reply.extend([0, 0, 0, 0]);
    reply.extend(question);
    for address in addresses {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(address.octets());
    }
    Some(reply)
}

fn start(server: SocketAddr, allow: &str) -> (Proxy, SocketAddr) {
    let proxy = Proxy::start(&format!(
        "[origin]\nallow = [{allow}]\n[resolver]\nservers = [\"{server}\"]\n[timeouts]\ndns = \"600 ms\"\nconnect = \"3 s\"\n\
         [[listener]]\nname = \"edge\"\naddress = \"127.0.0.1:0\"\n"
    ));
    let address = proxy.address("edge");
    (proxy, address)
}

#[test]
fn names_are_resolved_where_the_file_says_and_failures_are_told_apart() {
    let web = Origin::text("hello");
    let port = web.address.port();
    let server = name_server(vec![("web.test", vec![Ipv4Addr::LOCALHOST])]);
    let (_proxy, address) = start(server, "\"127.0.0.0/8\"");
    assert_eq!(fetch(address, &format!("http://web.test:{port}/")).text(), "hello");
    assert_eq!(fetch(address, &format!("http://WEB.test:{port}/")).text(), "hello");

    let none = fetch(address, &format!("http://none.test:{port}/"));
    let why = none.field("proxy-status").unwrap();
    assert!(none.status == 502 && why.contains("error=dns_error;"), "{why}");

    let begun = Instant::now();
    let silent = fetch(address, &format!("http://silent.test:{port}/"));
    let why = silent.field("proxy-status").unwrap();
    assert!(silent.status == 504 && why.contains("error=dns_timeout;"), "{why}");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(500) && took < Duration::from_millis(1500), "{took:?}");
}

#[test]
fn a_name_that_leads_back_inside_is_refused_after_the_lookup() {
    let web = Origin::text("secret");
    let server = name_server(vec![
        ("rebind.test", vec![Ipv4Addr::LOCALHOST]),
        ("metadata.test", vec![Ipv4Addr::new(169, 254, 169, 254)]),
    ]);
    let (_proxy, address) = start(server, "");
    for name in ["rebind.test", "metadata.test"] {
        let refused = fetch(address, &format!("http://{name}:{}/", web.address.port()));
        let why = refused.field("proxy-status").unwrap();
        assert!(refused.status == 502 && why.contains("error=destination_ip_prohibited;"), "{refused:?}");
        assert!(!refused.text().contains("secret"));
    }
}

#[test]
fn the_next_address_is_tried_when_the_first_is_dead() {
    let (refusing, silent, good) = (own_address(), own_address(), own_address());
    let web = Origin::at(IpAddr::V4(good), 8080, |stream| answer_all(stream, "hello"));
    // A full queue drops what comes: an address from which nobody answers.
    let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::new(silent.into(), 8080).into()).unwrap();
    full.listen(0).unwrap();
    let filler = TcpStream::connect((silent, 8080)).unwrap();
    assert_eq!(web.address.port(), 8080);
    let server = name_server(vec![
        ("refusing.test", vec![refusing, good]),
        ("silent-first.test", vec![silent, good]),
        ("dead.test", vec![refusing]),
    ]);
    let (proxy, address) = start(server, "\"127.0.0.0/8\"");
    for name in ["refusing.test", "silent-first.test"] {
        let begun = Instant::now();
        assert_eq!(fetch(address, &format!("http://{name}:8080/")).text(), "hello", "{name}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{name} took {:?}", begun.elapsed());
    }
    assert_eq!(fetch(address, "http://dead.test:8080/").status, 502);
    drop((full, filler));
    let exit = proxy.stop();
    let good = format!(" origin={good}:8080 ");
    assert_eq!(exit.out.matches(&good).count(), 2, "the log names the address that answered: {}", exit.out);
}
