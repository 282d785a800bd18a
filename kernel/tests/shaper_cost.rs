//! What shaping costs: changes a second, classes by their number, packets by the size of the maps. Prints; `--ignored` runs it.

#![allow(clippy::print_stdout, reason = "it is run for what it prints")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anabranch_kernel::link::Links;
use anabranch_kernel::netns::NetNs;
use anabranch_kernel::packet::PacketSocket;
use anabranch_kernel::shaper::{ClassSpec, Direction, Flow, Names, Options, Shaper, Slot};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

fn ip(ns: &NetNs, line: &str) {
    assert!(ns.command("ip").args(line.split(' ')).status().unwrap().success(), "ip {line}");
}

fn open() -> Shaper {
    let names = Names { table: "anabranch".to_owned(), device: "anabranch0".to_owned() };
    let options = Options { subflows: 60_000, lease: Duration::from_secs(10), adopt: false };
    Shaper::open(&names, options).unwrap()
}

fn flow(number: u32) -> Flow {
    let client = Ipv4Addr::from_bits(0x0a64_0000 + number / 50_000);
    let port = u16::try_from(10_000 + number % 50_000).unwrap();
    Flow { client: SocketAddr::from((client, port)), server: "10.1.0.1:443".parse().unwrap() }
}

fn entries(range: std::ops::Range<u32>) -> Vec<(Direction, Flow, Slot)> {
    let slot = |number| Slot(u16::try_from(number % 20_000 + 1).unwrap());
    range.map(|number| (Direction::Download, flow(number), slot(number))).collect()
}

fn spec(rate: u64) -> ClassSpec {
    ClassSpec { rate, ceil: None, burst: None }
}

fn spell(what: &str, begin: (Instant, i64)) {
    let (all, ours) = (begin.0.elapsed().as_micros(), busy() - begin.1);
    println!("{what}: {all} us, {ours} of them ours");
}

#[test]
#[ignore = "measures and prints"]
fn classes() {
    let ns = NetNs::new().unwrap();
    ns.run(|| {
        let mut shaper = open();
        for count in [10, 1_000, 5_000, 20_000_u16] {
            let classes: Vec<_> = (1..=count).map(|slot| (Slot(slot), spec(2_000_000))).collect();
            for what in ["made and set", "set again"] {
                let begin = (Instant::now(), busy());
                shaper.set_classes(&classes).unwrap();
                spell(&format!("{count:6} classes {what}"), begin);
            }
            let begin = (Instant::now(), busy());
            shaper.set_classes(&classes[..10]).unwrap();
            spell(&format!("{count:6} classes, ten set"), begin);
            let begin = (Instant::now(), busy());
            let counters = shaper.counters().unwrap().len();
            spell(&format!("{counters:6} counters read"), begin);
        }
        drop(shaper);
        let begin = (Instant::now(), busy());
        let shaper = open();
        spell("opened after a crash with these", begin);
        let begin = (Instant::now(), busy());
        shaper.clear().unwrap();
        spell("cleared with none", begin);
    })
    .unwrap();
}

#[test]
#[ignore = "measures and prints"]
fn changes() {
    let ns = NetNs::new().unwrap();
    ns.run(|| {
        let mut shaper = open();
        shaper.set_classes(&[(Slot(20_000), spec(2_000_000))]).unwrap();
        for batch in [1, 10, 100, 1_000, 20_000_u32] {
            let rounds = 20_000 / batch;
            for verb in ["put", "renew", "remove"] {
                let begin = Instant::now();
                for round in 0..rounds {
                    let entries = entries(round * batch..(round + 1) * batch);
                    match verb {
                        "remove" => {
                            let flows: Vec<_> = entries.iter().map(|&(way, flow, _)| (way, flow)).collect();
                            shaper.remove(&flows).unwrap();
                        }
                        _ => shaper.put(&entries).unwrap(),
                    }
                }
                let rate = f64::from(rounds * batch) / begin.elapsed().as_secs_f64();
                println!("{verb:7} {batch:6} at once: {rate:9.0} elements/s");
            }
        }
        shaper.clear().unwrap();
    })
    .unwrap();
}

/// A segment from the server's end of a flow to the client's.
fn segment(flow: Flow) -> Vec<u8> {
    let (SocketAddr::V4(client), SocketAddr::V4(server)) = (flow.client, flow.server) else { panic!() };
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(server.ip().octets().into_iter().chain(client.ip().octets()));
    frame.extend(server.port().to_be_bytes().into_iter().chain(client.port().to_be_bytes()));
    frame.extend([0; 8]);
    frame.extend([0x50, 0x10, 0, 0, 0, 0, 0, 0]);
    frame.resize(14 + 60, 0);
    frame
}

/// Processor time of this thread, in microseconds: others may be busy as well.
fn busy() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    let micros = |time: TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    micros(usage.user_time()) + micros(usage.system_time())
}

/// Nanoseconds that it takes to send a packet, the least of several rounds.
fn cost(socket: &PacketSocket, frames: &[Vec<u8>]) -> i64 {
    let round = |_| {
        let begin = busy();
        for frame in frames.iter().cycle().take(50_000) {
            // A full queue is a packet as well.
            socket.send(frame).unwrap();
        }
        (busy() - begin) * 1000 / 50_000
    };
    (0..15).map(round).min().unwrap()
}

#[test]
#[ignore = "measures and prints"]
fn packets() {
    let (ns, other) = (NetNs::new().unwrap(), NetNs::new().unwrap());
    ip(&ns, &format!("link add a0 type veth peer name b0 netns {}", other.path().display()));
    ip(&ns, "link set a0 up");
    ip(&other, "link set b0 up");
    ns.run(|| {
        let socket = PacketSocket::open("a0").unwrap();
        socket.set_ignore_outgoing(true).unwrap();
        let frames = |range: std::ops::Range<u32>| range.map(|number| segment(flow(number))).collect::<Vec<_>>();
        // Flows that are in no map, and some that will be.
        let (free, held) = (frames(100_000..101_000), frames(0..10));
        println!("no table: {} ns a packet", cost(&socket, &free));
        let mut shaper = open();
        shaper.set_classes(&[(Slot(20_000), spec(2_000_000))]).unwrap();
        let a0 = Links::open().unwrap().find("a0").unwrap().unwrap().index;
        shaper.watch(&[a0]).unwrap();
        println!("watched, empty map: {} ns a packet", cost(&socket, &free));
        for count in [10, 1_000, 20_000] {
            let begin = Instant::now();
            shaper.put(&entries(0..count)).unwrap();
            let free = cost(&socket, &free);
            shaper.put(&entries(0..count)).unwrap();
            let held = cost(&socket, &held);
            println!("{count:6} flows in the map: free {free} ns, in an open class {held} ns a packet");
            assert!(begin.elapsed() < Duration::from_secs(10), "the lease was over");
        }
        let sent: u64 = shaper.counters().unwrap().iter().map(|(_, stats)| u64::from(stats.packets)).sum();
        println!("{sent} packets went through classes");
        shaper.clear().unwrap();
        println!("no table again: {} ns a packet", cost(&socket, &free));
    })
    .unwrap();
}
