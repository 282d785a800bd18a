//! The spike behind `docs/decisions/0001-runtime.md`: one multi-thread tokio runtime against one current-thread
//! runtime per core, on the three loads a converter carries (new connections, small exchanges, bulk).
//!
//! `cargo run --release --example runtime_spike` runs both sides interleaved and prints CPU of the relay process only.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a measuring program talks to its operator")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};

const ROUNDS: usize = 7;

fn listener(port: u16) -> anyhow::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_congestion(b"cubic")?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    socket.listen(4096)?;
    Ok(TcpListener::from_std(socket.into())?)
}

async fn serve(port: u16, origin: SocketAddr) -> anyhow::Result<()> {
    let listener = listener(port)?;
    loop {
        let (mut client, _) = listener.accept().await?;
        tokio::spawn(async move {
            client.set_nodelay(true)?;
            let mut head = [0_u8; 16];
            client.read_exact(&mut head).await?;
            let mut server = TcpStream::connect(origin).await?;
            server.set_nodelay(true)?;
            client.write_all(b"ok").await?;
            copy_bidirectional_with_sizes(&mut client, &mut server, 65_536, 65_536).await.map(drop)
        });
    }
}

fn relay(flavour: &str, port: u16, origin: SocketAddr) -> anyhow::Result<()> {
    if flavour == "shared" {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        return runtime.block_on(async move { tokio::spawn(serve(port, origin)).await? });
    }
    let workers: Vec<_> = (0..2)
        .map(|_| {
            std::thread::spawn(move || -> anyhow::Result<()> {
                tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(port, origin))
            })
        })
        .collect();
    for worker in workers {
        worker.join().map_err(|_| anyhow::anyhow!("worker panicked"))??;
    }
    Ok(())
}

/// Echoes 1 KiB for 1 KiB; a first byte `b'B'` asks for 256 MiB instead.
fn origin() -> anyhow::Result<SocketAddr> {
    let listener = StdListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || -> std::io::Result<()> {
                let mut stream = stream;
                stream.set_nodelay(true)?;
                let mut buffer = vec![0_u8; 262_144];
                loop {
                    stream.read_exact(&mut buffer[..1024])?;
                    if buffer[0] == b'B' {
                        (0..1024).try_for_each(|_| stream.write_all(&buffer))?;
                    } else {
                        stream.write_all(&buffer[..1024])?;
                    }
                }
            });
        }
    });
    Ok(address)
}

fn open(port: u16) -> anyhow::Result<StdStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP))?;
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    socket.set_tcp_nodelay(true)?;
    let mut stream: StdStream = socket.into();
    stream.write_all(&[0; 16])?;
    stream.read_exact(&mut [0; 2])?;
    Ok(stream)
}

fn exchange(stream: &mut StdStream) -> std::io::Result<()> {
    stream.write_all(&[b'A'; 1024])?;
    stream.read_exact(&mut [0; 1024])
}

fn in_parallel(threads: usize, work: impl Fn() -> anyhow::Result<Vec<Duration>> + Sync) -> Vec<Duration> {
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        handles.into_iter().flat_map(|handle| handle.join().ok().and_then(Result::ok).unwrap_or_default()).collect()
    })
}

fn load(name: &str, port: u16) -> Vec<Duration> {
    match name {
        "connections" => in_parallel(8, || {
            (0..250)
                .map(|_| {
                    let start = Instant::now();
                    exchange(&mut open(port)?)?;
                    Ok(start.elapsed())
                })
                .collect()
        }),
        "exchanges" => in_parallel(32, || {
            let mut stream = open(port)?;
            (0..500)
                .map(|_| {
                    let start = Instant::now();
                    exchange(&mut stream)?;
                    Ok(start.elapsed())
                })
                .collect()
        }),
        _ => in_parallel(4, || {
            let mut stream = open(port)?;
            let start = Instant::now();
            stream.write_all(&[b'B'; 1024])?;
            let (mut left, mut buffer) = (268_435_456_usize, vec![0; 262_144]);
            while left > 0 {
                left -= stream.read(&mut buffer)?;
            }
            Ok(vec![start.elapsed()])
        }),
    }
}

fn cpu_of(child: &Child) -> anyhow::Result<f64> {
    let mut total = 0.0;
    for task in std::fs::read_dir(format!("/proc/{}/task", child.id()))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        total += text.split(' ').next().unwrap_or("0").parse::<f64>()? / 1e9;
    }
    Ok(total)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.len() == 4 {
        return relay(&arguments[1], arguments[2].parse()?, arguments[3].parse()?);
    }
    let origin = origin()?.to_string();
    let flavours = [("shared", 42_001_u16), ("per-core", 42_002)];
    let mut relays = Vec::new();
    for (flavour, port) in flavours {
        relays.push(Command::new(&arguments[0]).args([flavour, &port.to_string(), &origin]).spawn()?);
    }
    #[allow(clippy::disallowed_methods, reason = "the main thread of a measurement carries no connection")]
    std::thread::sleep(Duration::from_millis(300));
    for load_name in ["connections", "exchanges", "bulk"] {
        let mut cpu = [vec![], vec![]];
        let mut p50 = [vec![], vec![]];
        let mut p99 = [vec![], vec![]];
        for round in 0..ROUNDS {
            for turn in 0..2 {
                let side = (round + turn) % 2;
                let before = cpu_of(&relays[side])?;
                let mut times = load(load_name, flavours[side].1);
                cpu[side].push((cpu_of(&relays[side])? - before) * 1e6 / times.len() as f64);
                times.sort();
                p50[side].push(times[times.len() / 2].as_secs_f64() * 1e6);
                p99[side].push(times[times.len() * 99 / 100].as_secs_f64() * 1e6);
            }
        }
        let mut ratio: Vec<f64> = cpu[1].iter().zip(&cpu[0]).map(|(per_core, shared)| per_core / shared).collect();
        for side in 0..2 {
            println!(
                "{load_name:12} {:9} cpu {:9.1} us/unit   p50 {:9.0} us   p99 {:9.0} us",
                flavours[side].0,
                median(&mut cpu[side]),
                median(&mut p50[side]),
                median(&mut p99[side])
            );
        }
        println!("{load_name:12} per-core / shared cpu, median of paired rounds: {:.2}", median(&mut ratio));
    }
    for mut child in relays {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}
