//! Scenarios, by what they are about; hand-built segments from `scene`.

mod addresses;
mod bounds;
mod close;
mod data;
mod fallback;
mod handshake;
mod join;
mod partial;
mod property;

use std::net::SocketAddr;

use super::scene::{Scene, Talk, Wire};
use crate::event::{End, Ends};

/// The flow most scenarios begin with.
fn first() -> Wire {
    Wire::new("10.1.0.2:40000", "10.0.0.1:3128")
}

/// A flow that joins it.
fn second() -> Wire {
    Wire::new("10.2.0.2:41000", "10.0.0.1:3128")
}

/// A connection with data both ways.
fn talking() -> (Scene, Talk, Wire) {
    let (mut scene, mut talk, mut wire) = (Scene::default(), Talk::new(7), first());
    scene.talk(&mut talk, &mut wire);
    (scene, talk, wire)
}

/// A connection with a subflow that its client joined.
fn joined() -> (Scene, Talk, Wire, Wire) {
    let (mut scene, talk, wire) = talking();
    let mut other = second();
    scene.join(&talk, &mut other, End::Client, false);
    scene.events();
    (scene, talk, wire, other)
}

/// The `n`th of many flows.
fn nth(n: u32) -> Wire {
    let [a, b, c, d] = n.to_be_bytes();
    let client = SocketAddr::from(([10, 64 | a, b, c], 1024 + u16::from(d)));
    let base = Ends { client: n.wrapping_mul(2_654_435_761), server: n };
    Wire::from_base(Ends { client, server: "10.0.0.1:3128".parse().unwrap() }, base)
}
