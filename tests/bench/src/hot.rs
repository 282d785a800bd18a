//! The hot pieces by themselves, each a given number of times: what `tests/instructions.sh` counts the instructions of.
//!
//!     hot PIECE TIMES
//!
//! What lives here: driving the pieces with what they meet every day. What does not: counting, which valgrind does from outside: what
//! a program costs at two numbers of times differs by what the piece costs. Invariant: a piece that does not do its work ends the
//! program with an error, so that nothing cheap is counted for it.

use std::time::Duration;

use anabranch::http::hot::answer_heads;
use anabranch::leg::{ClientIo, Leg, LegIo};
use anabranch::origin::leg::OriginLeg;
use anabranch::origin::own::Outgoing;
use anabranch::relay::{Carried, Limits, Relay};
use anabranch_kernel::memory::Allocator;
use anabranch_sniffer::wire::{LinkType, parse};
use anabranch_sniffer::{FourTuple, SubflowKind, Token};
use anabranch_throttle::policy::{Policies, Rules};
use anabranch_throttle::view::{Connection, ConnectionKey, Subflow, View};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use socket2::Protocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// As the proxy has it.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// A browser's request, as a proxy gets it.
const HEAD: &str = "GET http://www.example.com/styles/main.css?v=12 HTTP/1.1\r\nHost: www.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: text/css,*/*;q=0.1\r\n\
    Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nProxy-Connection: keep-alive\r\n\
    Referer: http://www.example.com/\r\nCookie: session=0123456789abcdef0123456789abcdef\r\nConnection: keep-alive\r\n\r\n";

/// Policies as an edge has them: a quota, a schedule, overflow.
const POLICIES: &str = r#"
[[path]]
name = "dsl"
client = ["10.1.0.0/16", "fd01::/16"]
line = "40 Mbit/s"
[[path]]
name = "lte"
client = ["10.2.0.0/16", "fd02::/16"]
cost = 10
[[policy]]
name = "evening"
path = "lte"
when = ["mon-fri 18:00-23:00"]
zone = "Europe/Berlin"
action = "backup"
[[policy]]
name = "overflow"
path = "lte"
action = "overflow"
"#;

/// Connections of two subflows that a view holds.
const CONNECTIONS: u32 = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let [piece, times] = words.as_slice() else { bail!("usage: hot head|relay|options|policy TIMES") };
    let times: u32 = times.parse().context("TIMES is a number")?;
    match piece.as_str() {
        "head" => heads(times).await,
        "relay" => relay_steps(times).await,
        "options" => options(times),
        "policy" => policies(times),
        other => bail!("no piece is called {other}"),
    }
}

/// A request's head: read, judged, rewritten.
async fn heads(times: u32) -> Result<()> {
    let (mut client, server) = tokio::io::duplex(64 << 10);
    let ask = async {
        let mut answer = vec![0; 4096];
        for _ in 0..times {
            client.write_all(HEAD.as_bytes()).await?;
            let got = client.read(&mut answer).await?;
            ensure!(answer[..got].starts_with(b"HTTP/1.1 204 "), "{}", String::from_utf8_lossy(&answer[..got]));
        }
        client.shutdown().await.context("cannot end")
    };
    let (served, asked) = tokio::join!(answer_heads(server, "anabranch"), ask);
    asked?;
    served.context("the server failed")
}

/// 1 KiB through a tunnel and back.
async fn relay_steps(times: u32) -> Result<()> {
    let ((mut client, accepted), (server, mut origin)) = (pair().await?, pair().await?);
    let registration = Outgoing::new().register(server.local_addr()?, server.peer_addr()?);
    let mut server = OriginLeg::new(server, registration);
    server.carry_anything();
    let mut io = ClientIo::Plain(LegIo(Leg::new(accepted, Protocol::TCP)));
    let limits =
        Limits { idle: Some(Duration::from_secs(3600)), half_closed: Duration::from_secs(120), lifetime: None };
    let (carried, abort) = (Carried::default(), CancellationToken::new());
    let mut relay = Relay::new((Bytes::new(), Bytes::new()), limits);
    let tunnel = relay.run(&mut io, &mut server, &carried, &abort);
    let exchange = async {
        let mut piece = [7; 1024];
        for _ in 0..times {
            client.write_all(&piece).await?;
            origin.read_exact(&mut piece).await?;
            origin.write_all(&piece).await?;
            client.read_exact(&mut piece).await?;
        }
        abort.cancel();
        std::io::Result::Ok(())
    };
    let (_, exchanged) = tokio::join!(tunnel, exchange);
    exchanged?;
    let bytes = u64::from(times) * 1024;
    ensure!(carried.read() == (bytes, bytes), "{:?} of {bytes} carried", carried.read());
    Ok(())
}

async fn pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
    let (one, other) = tokio::join!(TcpStream::connect(listener.local_addr()?), listener.accept());
    let (one, other) = (one?, other?.0);
    one.set_nodelay(true)?;
    other.set_nodelay(true)?;
    Ok((one, other))
}

/// A data segment's frame: TCP options with a timestamp and a DSS of 20 bytes.
fn options(times: u32) -> Result<()> {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 1, 0, 2, 10, 1, 0, 1]);
    frame.extend([0x9c, 0x40, 0x0c, 0x38, 0, 0, 0, 7, 0, 0, 0, 9, 0xd0, 0x18, 1, 0, 0, 0, 0, 0]);
    frame.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    frame.extend([30, 20, 0x20, 0x05, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7, 0, 3, 0, 0]);
    let payload = frame.len() + 3;
    frame.extend(b"abc");
    let length = u16::try_from(payload - 14)?.to_be_bytes();
    frame[16..18].copy_from_slice(&length);
    let mut found = 0;
    for _ in 0..times {
        let frame = std::hint::black_box(frame.as_slice());
        let segment = parse(LinkType::Ethernet, frame, frame.len())?;
        for option in segment.mptcp() {
            option.map_err(|why| anyhow::anyhow!("{why:?}"))?;
            found += 1;
        }
    }
    ensure!(found == times, "{found} options in {times} frames");
    Ok(())
}

/// A tick's decisions about every connection.
fn policies(times: u32) -> Result<()> {
    let config = anabranch_config::parse(POLICIES, std::path::Path::new("hot.toml"));
    let mut policies = Policies::new(Rules::from(&config.map_err(|why| anyhow::anyhow!("{why}"))?));
    let connections = (1..=CONNECTIONS).map(connection).collect::<Result<_>>()?;
    let mut view = View { at: Duration::from_secs(1_800_000_000), connections };
    let mut wanted = 0;
    for _ in 0..times {
        view.at += Duration::from_millis(100);
        for subflow in view.connections.iter_mut().flat_map(|connection| &mut connection.subflows) {
            subflow.download += 10_000;
        }
        wanted += std::hint::black_box(policies.decide(&view)).intents.len();
    }
    ensure!(wanted > 0, "nothing is wanted of {CONNECTIONS} connections");
    Ok(())
}

fn connection(number: u32) -> Result<Connection> {
    let port = 10_000 + u16::try_from(number)?;
    let subflow = |net: u8, kind| -> Result<Subflow> {
        let client = std::net::SocketAddr::from(([10, net, 0, 2], port));
        Ok(Subflow::just_begun(FourTuple::new("10.0.0.1:3128".parse()?, client)?, kind))
    };
    Ok(Connection {
        key: ConnectionKey::Ours(Token(number)),
        listener: Some("edge".into()),
        subscriber: None,
        destination: Some("203.0.113.9:443".parse()?),
        fallback: false,
        waiting: Some(0),
        subflows: vec![subflow(1, SubflowKind::Initial)?, subflow(2, SubflowKind::Joined)?],
    })
}
