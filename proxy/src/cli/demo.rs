//! `anabranch demo`: what two links add up to, and a policy at work, shown on this machine in private network namespaces.
//!
//! What lives here: the command line and the order of events. What does not: the network (see `stage`), the acts
//! (see `act`), the picture (see `picture`). Called by the command line.
//! Invariant: nothing outside the namespaces made here is changed, and however it ends, nothing stays: namespaces end
//! with their descriptors, the proxy with this process, and the cursor comes back.

mod act;
mod download;
mod draw;
mod ink;
mod links;
mod machine;
mod meter;
mod picture;
mod report;
mod rule;
mod screen;
mod stage;

use std::sync::atomic::{AtomicBool, Ordering};

use anabranch_config::ByteSize;
use anyhow::Result;

use super::{complain, exit, say};
use act::{ACTS, Outcome};
use ink::{Ink, Line};
use links::Links;
use screen::Screen;
use stage::Stage;

/// What `--links` is without being said: common speeds, and round trips as they are.
const LINKS: &str = "40 Mbit/s 20 ms,20 Mbit/s 50 ms";
/// A download takes about so long over the best link alone: long enough to be seen.
const SECONDS: u64 = 12;
/// And with `--quick`.
const QUICK: u64 = 4;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print exactly one JSON object, and nothing while it runs.
    #[arg(long)]
    json: bool,
    /// A smaller download: done in a few seconds, slow start and all.
    #[arg(long)]
    quick: bool,
    /// How much to download, such as "60 MB"; by default what the best link carries in 12 s.
    #[arg(long, value_name = "SIZE")]
    size: Option<ByteSize>,
    /// Two to four links, each a rate and, if wanted, a round trip.
    #[arg(long, value_name = "LINKS", default_value = LINKS)]
    links: Links,
}

/// Plays the demo.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let failed = |code: u8, error: &anyhow::Error| {
        complain(&format!("anabranch demo: {error:#}"));
        code
    };
    let prepared = machine::prepare().and_then(|()| machine::watch_interrupts());
    let stop = match prepared {
        Ok(stop) => stop,
        Err(error) => return failed(exit::OS, &error),
    };
    let Arguments { json, quick, size, links } = arguments;
    let seconds = if *quick { QUICK } else { SECONDS };
    let bytes = size.map_or_else(|| links.best().rate.bits_per_second() / 8 * seconds, ByteSize::bytes);
    let mut screen = Screen::open(*json, links.len() + 5);
    let played = play(links, bytes, &stop, &mut screen);
    // Before anything else is said: the cursor comes back.
    drop(screen);
    match played {
        Ok(outcomes) => {
            if *json {
                say(&format!("{}\n", report::report(links, &outcomes)));
            }
            if outcomes.iter().all(|outcome| outcome.intact) { 0 } else { exit::SOFTWARE }
        }
        Err(_) if stop.load(Ordering::Relaxed) => {
            complain("anabranch demo: interrupted; nothing is left behind");
            exit::INTERRUPTED
        }
        Err(Failure::Stage(error)) => {
            let advice = advice(&error);
            failed(exit::OS, &error.context(advice))
        }
        Err(Failure::Act(error)) => failed(exit::SOFTWARE, &error),
    }
}

/// What did not work, and what may help.
fn advice(error: &anyhow::Error) -> &'static str {
    let create = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(anabranch_kernel::netns::NetNsError::Create(_)))
    };
    if error.chain().any(create) {
        "this root may not make namespaces (a container needs CAP_SYS_ADMIN and CAP_NET_ADMIN)"
    } else {
        "cannot build the network"
    }
}

/// What broke.
enum Failure {
    /// The machine does not let us build.
    Stage(anyhow::Error),
    /// What was built does not do what it should.
    Act(anyhow::Error),
}

/// Builds the network and plays all acts in it.
fn play(links: &Links, bytes: u64, stop: &AtomicBool, screen: &mut Screen) -> Result<Vec<Outcome>, Failure> {
    screen.print(&picture::opening(links));
    screen.redraw(&[Line::of(Ink::Dim, " building it in private network namespaces ...")]);
    let stage = Stage::build(links).map_err(Failure::Stage)?;
    let mut outcomes = Vec::new();
    for (number, act) in (1..).zip(ACTS) {
        screen.print(&[picture::heading(number, &(act.heading)(links))]);
        let watch = &mut |meter: &meter::Meter, held: bool| {
            let policy = if held { picture::in_force(links) } else { Line::default() };
            if let Some(look) = screen.look() {
                let mut lines = picture::act(links, meter, None, look);
                let last = lines.pop().unwrap_or_default();
                lines.push(last.join(policy));
                screen.redraw(&lines);
            } else if screen.plain_due() {
                screen.print(&[picture::progress(meter).join(picture::rates(links, meter)).join(policy)]);
            }
        };
        let (outcome, meter) = act.play(&stage, bytes, stop, watch).map_err(Failure::Act)?;
        match screen.look() {
            Some(look) => screen.print(&picture::act(links, &meter, Some(&outcome), look)),
            None => screen.print(&picture::verdicts(links, &outcome)),
        }
        screen.print(&[Line::default()]);
        outcomes.push(outcome);
    }
    screen.print(&[picture::closing(links, &outcomes)]);
    Ok(outcomes)
}
