//! What is on the screen, line by line.
//!
//! What lives here: layout and words. What does not: cursor and escapes (see `screen`), glyphs (see `draw`).
//! Called by the demo. Pure: a picture is a function of what it shows and of the width.

use std::time::Duration;

use super::act::Outcome;
use super::draw;
use super::ink::{Ink, Line};
use super::links::Links;
use super::meter::Meter;
use super::rule::{Held, Rule};

/// Columns of ` 38.1 Mbit/s` and its margins.
const RATE: usize = 13;
/// Columns of a name and its margins.
const NAME: usize = 10;
/// A sparkline's step.
const STEP: Duration = Duration::from_millis(300);

/// How much room there is, and whether links can be told apart by colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// Columns.
    pub(super) width: usize,
    /// Whether there are colours.
    pub(super) colour: bool,
}

/// The title, and the network as it is built.
pub(super) fn opening(links: &Links) -> Vec<Line> {
    let both = if links.len() == 2 { "both" } else { "all" };
    let mut lines = vec![
        Line::of(Ink::Bold, " anabranch demo")
            .and(Ink::Dim, format!("   one download: over one link, over {both}, and steered")),
        Line::default(),
    ];
    lines.extend(diagram(links));
    lines.push(Line::default());
    lines
}

/// Client and edge with the links between them.
fn diagram(links: &Links) -> Vec<Line> {
    let label = |link: &super::links::AccessLink| format!(" {}  {} ", link.name, link.words());
    let longest = links.iter().map(|link| label(link).chars().count()).max().unwrap_or(0);
    let count = links.len();
    let mut rows: Vec<Option<usize>> = (0..count).map(Some).collect();
    // The client's own row lies in the middle: on a link's row, or between two.
    let middle = count / 2;
    if count.is_multiple_of(2) {
        rows.insert(middle, None);
    }
    let height = rows.len();
    let row = |(at, link): (usize, Option<usize>)| {
        let (left, right) = match (at, at == middle, link.is_some()) {
            (0, ..) => ('┌', '┐'),
            (at, ..) if at + 1 == height => ('└', '┘'),
            (_, true, true) => ('┼', '┼'),
            (_, true, false) => ('┤', '├'),
            _ => ('├', '┤'),
        };
        let (before, after) = if at == middle {
            ("   client ──", "── edge: anabranch ── origin")
        } else {
            ("            ", "")
        };
        let line = Line::of(Ink::Plain, format!("{before}{left}"));
        let line = match link.and_then(|index| links.iter().nth(index).map(|link| (index, label(link)))) {
            Some((index, text)) => {
                let rest = "━".repeat(longest - text.chars().count());
                line.and(Ink::Link(index), "━━━").and(Ink::Bold, text).and(Ink::Link(index), rest + "━━━")
            }
            None => line.and(Ink::Plain, " ".repeat(longest + 6)),
        };
        line.and(Ink::Plain, format!("{right}{after}"))
    };
    rows.into_iter().enumerate().map(row).collect()
}

/// The heading of act `number`, counted from 1.
pub(super) fn heading(number: usize, text: &str) -> Line {
    Line::of(Ink::Bold, format!(" {number}  {text}"))
}

/// The picture of an act: a row for each link, one for the sum, and how far it is.
pub(super) fn act(links: &Links, meter: &Meter, outcome: Option<&Outcome>, look: Look) -> Vec<Line> {
    let room = look.width.saturating_sub(NAME + RATE);
    // A third of the room is the past's, if that leaves it worth looking at.
    let past = if room >= 24 { room / 3 } else { 0 };
    let columns = Columns { bar: room - past - usize::from(past > 0), past };
    let rates = outcome.map_or_else(|| meter.now(), |outcome| outcome.links.clone());
    let cells = u32::try_from(columns.past).unwrap_or(0);
    let steps = if outcome.is_some() { meter.whole(cells) } else { meter.last(cells, STEP) };
    let capacities: Vec<_> = links.iter().map(|link| capacity(link.rate.bits_per_second())).collect();
    let full: f64 = capacities.iter().sum();
    let mut lines = Vec::new();
    for (index, (link, (rate, capacity))) in links.iter().zip(rates.iter().zip(&capacities)).enumerate() {
        let (bar, track) = draw::bar(*rate, *capacity, full, columns.bar);
        let fill = bar.chars().count() + track.chars().count();
        let past = draw::spark(steps.iter().map(|step| step[index]), *capacity);
        lines.push(
            Line::of(Ink::Plain, format!("    {:<6}", link.name))
                .and(Ink::Link(index), bar)
                .and(Ink::Dim, track + &" ".repeat(columns.bar.saturating_sub(fill)))
                .join(columns.tail(*rate, Ink::Plain, past, Ink::Link(index))),
        );
    }
    let sum = rates.iter().sum();
    let past = draw::spark(steps.iter().map(|step| step.iter().sum()), full);
    lines.push(Line::of(Ink::Plain, "    total ").join(stacked(&rates, full, columns.bar, look)).join(columns.tail(
        sum,
        Ink::Bold,
        past,
        Ink::Plain,
    )));
    match outcome {
        Some(outcome) => lines.extend(verdicts(links, outcome)),
        None => lines.push(progress(meter)),
    }
    lines
}

/// How a row's room is divided.
#[derive(Debug, Clone, Copy)]
struct Columns {
    bar: usize,
    past: usize,
}

impl Columns {
    /// The rate, and the past beside it, newest at the right.
    fn tail(self, rate: f64, ink: Ink, past: String, past_ink: Ink) -> Line {
        let line = Line::of(ink, format!("{:>6}", mbit(rate))).and(Ink::Dim, " Mbit/s");
        let blank = self.past.saturating_sub(past.chars().count());
        if self.past > 0 { line.and(Ink::Plain, " ".repeat(blank + 1)).and(past_ink, past) } else { line }
    }
}

/// One bar of all links, each in its colour; without colours, in shades.
fn stacked(rates: &[f64], full: f64, width: usize, look: Look) -> Line {
    let (cells, track) = draw::stack(rates, full, width);
    let part = |line: Line, (index, cells): (usize, usize)| {
        let glyph = if look.colour { "█" } else { ["█", "▓", "▒", "▓"][index % 4] };
        line.and(Ink::Link(index), glyph.repeat(cells))
    };
    cells.into_iter().enumerate().fold(Line::default(), part).and(Ink::Dim, "░".repeat(track))
}

/// How far it is.
pub(super) fn progress(meter: &Meter) -> Line {
    let (got, asked) = meter.progress();
    let percent = got * 100 / asked.max(1);
    let line = Line::of(Ink::Plain, format!("    {percent:>3} %  {} of {}", megabytes(got), megabytes(asked)));
    match meter.left() {
        Some(left) => line.and(Ink::Dim, format!("   {} s left", left.as_secs() + 1)),
        None => line,
    }
}

/// What each link carries now, in a line without bars.
pub(super) fn rates(links: &Links, meter: &Meter) -> Line {
    let now = meter.now();
    let of = |(link, rate): (&super::links::AccessLink, &f64)| format!("{} {}", link.name, mbit(*rate));
    let each: Vec<_> = links.iter().zip(&now).map(of).collect();
    Line::of(Ink::Plain, format!("   {}, total {} Mbit/s", each.join(", "), mbit(now.iter().sum())))
}

/// What is said of a policy in force.
pub(super) fn in_force(links: &Links) -> Line {
    let Rule { link, rate, .. } = Rule::of(links);
    Line::of(Ink::Bold, format!("   policy: {link} at most {rate}"))
}

/// How an act ended, and what its policy came to.
pub(super) fn verdicts(links: &Links, outcome: &Outcome) -> Vec<Line> {
    let mut lines = vec![verdict(outcome)];
    match &outcome.held {
        Some(Ok(held)) => lines.extend(steered(&Rule::of(links), held)),
        Some(Err(why)) => lines.extend(blamed("not steered", why)),
        None => {}
    }
    lines
}

/// What a policy came to.
fn steered(rule: &Rule, held: &Held) -> Vec<Line> {
    let Rule { link, rate, free, .. } = rule;
    let (mark, ink) = match rule.kept(held) {
        Some(true) => ("✔", Ink::Good),
        Some(false) => ("✘", Ink::Bad),
        None => ("-", Ink::Dim),
    };
    let line = Line::of(ink, format!("    {mark} "))
        .and(Ink::Plain, format!("{link} held to {rate} for {:.1} s: ", held.time.as_secs_f64()));
    let line = match (held.carried, held.lowest) {
        (Some(carried), Some(lowest)) => line
            .and(Ink::Bold, mbit(carried))
            .and(Ink::Plain, format!("; lowest total {} = ", mbit(lowest)))
            .and(Ink::Bold, format!("{:.2} x {free}", rule.floor(lowest))),
        _ => line.and(Ink::Dim, "too short to measure"),
    };
    let mut lines = vec![line];
    lines.extend(held.cannot.iter().flat_map(|why| blamed("not possible here", why)));
    lines
}

/// What failed, and why: the first line of it.
fn blamed(what: &str, why: &str) -> Option<Line> {
    let why = why.lines().next()?;
    Some(Line::of(Ink::Bad, format!("    ✘ {what}: ")).and(Ink::Plain, why))
}

/// How an act ended.
fn verdict(outcome: &Outcome) -> Line {
    let Outcome { bytes, elapsed, intact, witness, .. } = outcome;
    let (mark, ink) = if *intact { ("✔", Ink::Good) } else { ("✘", Ink::Bad) };
    let line = Line::of(ink, format!("    {mark} "))
        .and(Ink::Plain, format!("{} in {:.1} s = ", megabytes(*bytes), elapsed.as_secs_f64()))
        .and(Ink::Bold, format!("{} Mbit/s", mbit(outcome.rate())));
    match witness {
        _ if !intact => line.and(Ink::Bad, "   bytes differ from those sent"),
        Some(witness) if witness.mptcp != "yes" => {
            line.and(Ink::Bad, format!("   no Multipath TCP: {}", witness.mptcp))
        }
        Some(witness) => line.and(Ink::Dim, format!("   every byte right, {} subflows", witness.subflows)),
        None => line.and(Ink::Dim, "   every byte right"),
    }
}

/// The last line: the second act against the first.
pub(super) fn closing(links: &Links, outcomes: &[Outcome]) -> Line {
    let [single, multi, ..] = outcomes else { return Line::default() };
    let ratio = multi.rate() / single.rate();
    let over = if links.len() == 2 { "both links".to_owned() } else { format!("all {} links", links.len()) };
    Line::of(Ink::Bold, " anabranch: ")
        .and(Ink::Plain, format!("{} Mbit/s over {over} = ", mbit(multi.rate())))
        .and(if ratio > 1.0 { Ink::Good } else { Ink::Bad }, format!("{ratio:.2} x"))
        .and(Ink::Plain, format!(" the best single link ({})", mbit(single.rate())))
}

/// A rate in Mbit/s.
pub(super) fn mbit(rate: f64) -> String {
    format!("{:.1}", rate / 1e6)
}

/// What a link of `rate` on the wire carries of payload.
#[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
fn capacity(rate: u64) -> f64 {
    rate as f64 * 1448.0 / 1514.0
}

#[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests;
