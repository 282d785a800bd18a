//! A name server that knows a few names and says NXDOMAIN to all others.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

/// A running name server. Its thread ends with the process; nobody asks it after the test.
#[derive(Debug)]
pub struct NameServer {
    /// Where it listens.
    pub address: SocketAddr,
}

impl NameServer {
    /// Starts a name server with these A records.
    ///
    /// Panics:  when there is no loopback.
    #[must_use]
    pub fn start(records: &[(&str, Ipv4Addr)]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let address = socket.local_addr().expect("bound");
        let records: Vec<_> = records.iter().map(|(name, ip)| ((*name).to_owned(), *ip)).collect();
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                if let Some(answer) = answer(&query[..length], &records) {
                    drop(socket.send_to(&answer, from));
                }
            }
        });
        Self { address }
    }
}

/// The answer to a query of one question (RFC 1035 §4.1).
fn answer(query: &[u8], records: &[(String, Ipv4Addr)]) -> Option<Vec<u8>> {
    let mut name = String::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        let label = query.get(at..at + length)?;
        name.push_str(&String::from_utf8_lossy(label).to_ascii_lowercase());
        name.push('.');
        at += length;
    }
    let question = query.get(12..at + 4)?;
    let known = records.iter().find(|(known, _)| name.strip_suffix('.') == Some(known));
    let address = known.filter(|_| question[question.len() - 4..question.len() - 2] == [0, 1]);
    let mut answer = query[..2].to_vec();
    // A response, recursion available; NXDOMAIN where the name is unknown.
    answer.extend([0x81, if known.is_some() { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    answer.extend(question);
    if let Some((_, ip)) = address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(ip.octets());
    }
    Some(answer)
}
