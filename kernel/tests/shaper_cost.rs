//! What shaping costs: changes a second, classes by their number, packets by the size of the maps. Prints; `--ignored` runs it.

#![allow(clippy::print_stdout, reason = "it is run for what it prints")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anabranch_kernel::link::Links;
use anabranch_kernel::netns::NetNs;
use anabranch_kernel::shaper::{ClassSpec, Direction, Flow, Names, Options, Shaper, Slot};

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

#[test]
#[ignore = "measures and prints"]
fn changes() {
    let ns = NetNs::new().unwrap();
    ns.run(|| {
        let mut shaper = open();
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
        for count in [10, 1_000, 5_000, 20_000_u16] {
            let classes: Vec<_> = (1..=count).map(|slot| (Slot(slot), spec(2_000_000))).collect();
            for what in ["made and set", "set again"] {
                let begin = Instant::now();
                shaper.set_classes(&classes).unwrap();
                println!("{count:6} classes {what}: {:?}", begin.elapsed());
            }
            let begin = Instant::now();
            shaper.set_classes(&classes[..10]).unwrap();
            println!("{count:6} classes, ten set: {:?}", begin.elapsed());
            let begin = Instant::now();
            let counters = shaper.counters().unwrap().len();
            println!("{counters:6} counters read: {:?}", begin.elapsed());
        }
        let begin = Instant::now();
        drop(shaper);
        let shaper = open();
        println!("opened after that: {:?}", begin.elapsed());
        let begin = Instant::now();
        shaper.clear().unwrap();
        println!("cleared: {:?}", begin.elapsed());
    })
    .unwrap();
}
