//! A DNS server of a few names on loopback, over UDP and TCP, written out by hand.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

pub(crate) const A: u16 = 1;
pub(crate) const AAAA: u16 = 28;
const CNAME: u16 = 5;

/// What the server says to one question.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Addresses(Vec<IpAddr>),
    /// A CNAME and the addresses of its target.
    Alias(&'static str, Vec<IpAddr>),
    /// A response code without answers; 0 is "exists, but has no such record".
    Code(u8),
    Silence,
    /// Truncated over UDP, whole over TCP.
    Long(Vec<IpAddr>),
    After(Duration, Box<Self>),
}

impl Reply {
    pub(crate) fn of(addresses: &[&str]) -> Self {
        Self::Addresses(addresses.iter().map(|ip| ip.parse().unwrap()).collect())
    }
}

/// The running server. Its tasks end with the runtime of the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<(String, u16)>>>,
}

type Zone = Arc<HashMap<(&'static str, u16), (Reply, u32)>>;

impl Server {
    /// Serves the given names with a TTL in seconds; whatever else is asked does not exist.
    pub(crate) async fn start(zone: impl IntoIterator<Item = (&'static str, u16, Reply, u32)>) -> Self {
        let zone: Zone =
            Arc::new(zone.into_iter().map(|(name, kind, reply, ttl)| ((name, kind), (reply, ttl))).collect());
        let asked = Arc::<Mutex<Vec<_>>>::default();
        // The TCP port may be taken for UDP; then another pair is tried.
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (tcp, Arc::new(udp));
            }
        };
        let address = tcp.local_addr().unwrap();
        tokio::spawn(serve_udp(udp, Arc::clone(&zone), Arc::clone(&asked)));
        tokio::spawn(serve_tcp(tcp, zone, Arc::clone(&asked)));
        Self { address, asked }
    }

    /// How often this was asked, over UDP and TCP.
    pub(crate) fn asked(&self, name: &str, kind: u16) -> usize {
        self.asked.lock().iter().filter(|(n, k)| n == name && *k == kind).count()
    }

    /// Every name that was asked for.
    pub(crate) fn names(&self) -> Vec<String> {
        self.asked.lock().iter().map(|(name, _)| name.clone()).collect()
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, zone: Zone, asked: Arc<Mutex<Vec<(String, u16)>>>) {
    let mut buffer = [0; 1500];
    loop {
        let (len, peer) = socket.recv_from(&mut buffer).await.unwrap();
        let (query, socket, zone, asked) = (buffer[..len].to_vec(), socket.clone(), zone.clone(), asked.clone());
        tokio::spawn(async move {
            if let Some(response) = answer(&query, &zone, &asked, false).await {
                socket.send_to(&response, peer).await.unwrap();
            }
        });
    }
}

async fn serve_tcp(listener: TcpListener, zone: Zone, asked: Arc<Mutex<Vec<(String, u16)>>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (zone, asked) = (zone.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok(len) = stream.read_u16().await {
                let mut query = vec![0; len.into()];
                stream.read_exact(&mut query).await.unwrap();
                if let Some(response) = answer(&query, &zone, &asked, true).await {
                    stream.write_u16(response.len().try_into().unwrap()).await.unwrap();
                    stream.write_all(&response).await.unwrap();
                }
            }
        });
    }
}

async fn answer(query: &[u8], zone: &Zone, asked: &Mutex<Vec<(String, u16)>>, tcp: bool) -> Option<Vec<u8>> {
    let mut at = 12;
    let mut labels = Vec::new();
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).into_owned());
        at = end;
    }
    let name = labels.join(".").to_ascii_lowercase();
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let question = &query[12..at + 5];
    asked.lock().push((name.clone(), kind));
    let found = zone.iter().find(|((n, k), _)| *n == name && *k == kind).map(|(_, found)| found.clone());
    let (mut reply, ttl) = found.unwrap_or((Reply::Code(3), 60));
    if let Reply::After(delay, inner) = reply {
        tokio::time::sleep(delay).await;
        reply = *inner;
    }
    let (mut flags, mut records) = (0x8180_u16, Vec::new());
    match reply {
        Reply::Silence => return None,
        Reply::Code(code) => flags |= u16::from(code),
        Reply::Long(_) if !tcp => flags |= 0x0200,
        Reply::Addresses(ips) | Reply::Long(ips) => records.extend(ips.iter().map(|ip| address(&[0xc0, 12], *ip, ttl))),
        Reply::Alias(target, ips) => {
            let target = encode(target);
            records.push(record(&[0xc0, 12], CNAME, ttl, &target));
            records.extend(ips.iter().map(|ip| address(&target, *ip, ttl)));
        }
        Reply::After(..) => unreachable!("a delay inside a delay"),
    }
    let mut response = query[..2].to_vec();
    for field in [flags, 1, records.len().try_into().unwrap(), 0, 0] {
        response.extend(field.to_be_bytes());
    }
    response.extend(question);
    response.extend(records.concat());
    Some(response)
}

fn encode(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

fn address(owner: &[u8], ip: IpAddr, ttl: u32) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => record(owner, A, ttl, &v4.octets()),
        IpAddr::V6(v6) => record(owner, AAAA, ttl, &v6.octets()),
    }
}

fn record(owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap();
    [owner, &kind.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &len.to_be_bytes(), data].concat()
}
