//! What `sniff` prints: options, events, stories; as lines for people or as JSON for programs.
//!
//! Called with every frame, in order. Invariant: what is remembered of connections that ended is bounded, so that a
//! capture may be of any length.

use std::collections::{HashSet, VecDeque};
use std::io::{self, BufWriter, Write};
use std::time::Duration;

use anabranch_sniffer::event::{ConnId, Event, What};
use anabranch_sniffer::filter::{Context, Filter};
use anabranch_sniffer::pcap::Frame;
use anabranch_sniffer::show::{Secrets, Shown};
use anabranch_sniffer::story::Story;
use anabranch_sniffer::track::Tracker;
use anabranch_sniffer::wire::mptcp::{Malformed, MptcpOption, Subtype};
use anabranch_sniffer::wire::tcp::{Flags, Segment};
use anabranch_sniffer::wire::{self, NoSegment};
use serde::Serialize;

/// Options in one segment: 40 bytes hold no more of the shortest.
const MOST: usize = 13;

/// How long after its end a connection's last segments may come: its story is told then.
const AFTERMATH: Duration = Duration::from_secs(2);

/// How often the tracker looks for what has been silent for too long, by the clock of the capture.
const BEAT: Duration = Duration::from_secs(1);

/// Stories kept for the end; older ones are told at once.
const STORIES: usize = 4096;

/// What tells and how.
pub(super) struct Printer {
    out: BufWriter<io::Stdout>,
    json: bool,
    summary_only: bool,
    secrets: Secrets,
    filter: Filter,
    tracker: Tracker,
    /// When the first frame was captured.
    first: Option<Duration>,
    /// When the tracker looks again.
    due: Duration,
    counts: Counts,
    /// Connections that ended, and when: their story is due a little later.
    ended: VecDeque<(Duration, ConnId)>,
    /// Stories that wait for the end.
    stories: VecDeque<String>,
    /// Connections whose story is still to be told, and of which something passed the filter.
    passed: HashSet<ConnId>,
    gone: bool,
}

/// What passed, for the last line.
#[derive(Debug, Default, Serialize)]
struct Counts {
    frames: u64,
    segments: u64,
    options: u64,
    malformed: u64,
    not_tcp: u64,
    fragments: u64,
    truncated: u64,
    /// Frames the kernel dropped because nobody read them in time.
    dropped: u64,
    connections: u64,
    plain_flows: u64,
}

/// One option as a JSON line.
#[derive(Serialize)]
struct OptionLine<'a> {
    frame: u64,
    at_us: u64,
    source: std::net::SocketAddr,
    destination: std::net::SocketAddr,
    tcp_flags: String,
    connection: Option<ConnId>,
    #[serde(flatten)]
    option: Shown<'a>,
}

/// A malformed option as a JSON line.
#[derive(Serialize)]
struct MalformedLine {
    frame: u64,
    at_us: u64,
    source: std::net::SocketAddr,
    destination: std::net::SocketAddr,
    subtype: Option<&'static str>,
    malformed: String,
    length: u8,
}

impl Printer {
    pub(super) fn new(json: bool, summary_only: bool, secrets: Secrets, filter: Filter) -> Self {
        Self {
            out: BufWriter::with_capacity(64 * 1024, io::stdout()),
            json,
            summary_only,
            secrets,
            filter,
            tracker: Tracker::default(),
            first: None,
            due: Duration::ZERO,
            counts: Counts::default(),
            ended: VecDeque::new(),
            stories: VecDeque::new(),
            passed: HashSet::new(),
            gone: false,
        }
    }

    /// Whether nobody reads what is printed any more.
    pub(super) const fn reader_is_gone(&self) -> bool {
        self.gone
    }

    /// Looks at one frame and prints what is to be printed of it; whether it passed the filter.
    pub(super) fn frame(&mut self, frame: &Frame<'_>) -> bool {
        self.counts.frames += 1;
        self.first.get_or_insert(frame.at);
        let segment = match frame.link.map(|link| wire::parse(link, frame.captured, frame.wire_len)) {
            Some(Ok(segment)) => segment,
            Some(Err(NoSegment::Fragment)) => return self.other(|counts| &mut counts.fragments),
            Some(Err(NoSegment::Truncated(_))) => return self.other(|counts| &mut counts.truncated),
            _ => return self.other(|counts| &mut counts.not_tcp),
        };
        self.counts.segments += 1;
        let mut options = [None; MOST];
        let mut found = 0;
        for (place, option) in options.iter_mut().zip(segment.mptcp()) {
            *place = Some(option);
            found += 1;
        }
        let options = options.get(..found).unwrap_or(&[]);
        let whole = options.iter().filter_map(|option| option.and_then(Result::ok));
        self.tracker.on_segment(&segment, whole, frame.at);
        let passed = self.options(frame, &segment, options);
        self.events();
        self.aftermath(frame.at);
        // Without this a long file would be remembered whole.
        if frame.at >= self.due {
            self.due = frame.at + BEAT;
            self.tracker.handle_timeout(frame.at);
            self.events();
        }
        passed
    }

    fn other(&mut self, count: impl Fn(&mut Counts) -> &mut u64) -> bool {
        *count(&mut self.counts) += 1;
        false
    }

    /// Prints the options of a segment that passes the filter.
    fn options(
        &mut self,
        frame: &Frame<'_>,
        segment: &Segment<'_>,
        options: &[Option<Result<MptcpOption<'_>, Malformed>>],
    ) -> bool {
        self.counts.options += options.len() as u64;
        self.counts.malformed += options.iter().flatten().filter(|option| option.is_err()).count() as u64;
        if options.is_empty() && self.filter.is_empty() {
            return true;
        }
        let place = self.tracker.place_of(&segment.flow);
        let connection = place.map(|(subflow, _)| subflow.connection);
        if !self.filter.is_empty() {
            let mut subtypes = [Subtype::Other(0); MOST];
            let mut count = 0;
            let named = options.iter().flatten().filter_map(|option| match option {
                Ok(option) => Some(option.subtype()),
                Err(malformed) => malformed.subtype,
            });
            for (slot, subtype) in subtypes.iter_mut().zip(named) {
                *slot = subtype;
                count += 1;
            }
            let context = Context {
                subtypes: subtypes.get(..count).unwrap_or(&[]),
                malformed: options.iter().flatten().any(Result::is_err),
                tokens: place.map_or([None; 2], |(_, tokens)| [tokens.client, tokens.server]),
                connection: connection.map(|connection| connection.0),
            };
            if !self.filter.matches(segment, &context) {
                return false;
            }
            self.passed.extend(connection);
        }
        if !self.summary_only {
            for option in options.iter().flatten() {
                self.option(frame, segment, connection, option);
            }
        }
        true
    }

    fn option(
        &mut self,
        frame: &Frame<'_>,
        segment: &Segment<'_>,
        connection: Option<ConnId>,
        option: &Result<MptcpOption<'_>, Malformed>,
    ) {
        let (source, destination) = (segment.flow.source(), segment.flow.destination());
        if self.json {
            let at_us = u64::try_from(frame.at.as_micros()).unwrap_or(u64::MAX);
            let (number, tcp_flags) = (frame.number, flags(segment.flags));
            match option {
                Ok(option) => {
                    let option = Shown { option, secrets: self.secrets };
                    self.object(&OptionLine {
                        frame: number,
                        at_us,
                        source,
                        destination,
                        tcp_flags,
                        connection,
                        option,
                    });
                }
                Err(malformed) => self.object(&MalformedLine {
                    frame: number,
                    at_us,
                    source,
                    destination,
                    subtype: malformed.subtype.map(Subtype::as_str),
                    malformed: malformed.reason.to_string(),
                    length: malformed.length,
                }),
            }
            return;
        }
        let at = Relative(frame.at.saturating_sub(self.first.unwrap_or_default()));
        let flags = flags(segment.flags);
        let head = format!("{:>7} {at} {source} > {destination} [{flags}]", frame.number);
        match option {
            Ok(option) => self.line(&format!("{head} {}", Shown { option, secrets: self.secrets })),
            Err(malformed) => self.line(&format!("{head} {malformed}")),
        }
    }

    /// Prints what the tracker made of it.
    fn events(&mut self) {
        while let Some(event) = self.tracker.poll_event() {
            match &event.what {
                What::ConnectionEstablished { .. } => self.counts.connections += 1,
                What::Fallback { connection: None, .. } => self.counts.plain_flows += 1,
                What::ConnectionClosed { connection, .. } => {
                    self.ended.push_back((event.at, *connection));
                    if self.ended.len() > STORIES {
                        self.tell_oldest();
                    }
                }
                _ => {}
            }
            if !self.summary_only && self.filter.is_empty() {
                self.event(&event);
            }
        }
    }

    fn event(&mut self, event: &Event) {
        if self.json {
            return self.object(event);
        }
        let at = Relative(event.at.saturating_sub(self.first.unwrap_or_default()));
        self.line(&format!("      * {at} {}", event.what));
    }

    fn aftermath(&mut self, now: Duration) {
        while self.ended.front().is_some_and(|(at, _)| now.saturating_sub(*at) > AFTERMATH) {
            self.tell_oldest();
        }
    }

    fn tell_oldest(&mut self) {
        let story = self.ended.pop_front().and_then(|(_, connection)| self.tracker.story(connection));
        if let Some(story) = story {
            self.tell(&story);
        }
    }

    /// JSON tells a story as soon as it is over; people are told them together, as far as they can be kept.
    fn tell(&mut self, story: &Story) {
        if !self.is_wanted(story) {
            return;
        }
        if self.json {
            #[derive(Serialize)]
            struct Summary<'a> {
                summary: &'a Story,
            }
            return self.object(&Summary { summary: story });
        }
        self.stories.push_back(story.to_string());
        if self.stories.len() > STORIES
            && let Some(oldest) = self.stories.pop_front()
        {
            self.line(oldest.trim_end());
        }
    }

    /// With a filter, stories are told of connections of which something passed it.
    fn is_wanted(&mut self, story: &Story) -> bool {
        self.filter.is_empty() || self.passed.remove(&story.0.connection)
    }

    /// Hands on what waits, and lets the tracker's clock go on while nothing passes.
    pub(super) fn beat(&mut self, now: Duration) {
        self.tracker.handle_timeout(now);
        self.events();
        self.aftermath(now);
        self.flush();
    }

    /// Tells every story that has not been told, and what passed in all.
    pub(super) fn finish(mut self, dropped: u64) {
        self.counts.dropped = dropped;
        while !self.ended.is_empty() {
            self.tell_oldest();
        }
        let mut open: Vec<_> = self.tracker.connections().filter(|facts| facts.end.is_none()).collect();
        open.sort_by_key(|facts| facts.connection);
        for facts in open {
            self.tell(&Story(facts));
        }
        if !self.json {
            let stories = std::mem::take(&mut self.stories);
            if !self.summary_only && !stories.is_empty() {
                self.line("");
            }
            for story in &stories {
                self.line(story.trim_end());
            }
        }
        self.totals();
        self.flush();
    }

    fn totals(&mut self) {
        if self.json {
            #[derive(Serialize)]
            struct Totals<'a> {
                capture: &'a Counts,
            }
            let counts = std::mem::take(&mut self.counts);
            return self.object(&Totals { capture: &counts });
        }
        let Counts { frames, segments, options, malformed, dropped, connections, plain_flows, .. } = self.counts;
        let always = [
            (frames, "packet", "packets"),
            (segments, "TCP segment", "TCP segments"),
            (options, "MPTCP option", "MPTCP options"),
            (connections, "connection", "connections"),
            (plain_flows, "flow of plain TCP", "flows of plain TCP"),
        ];
        let sometimes = [
            (malformed, "malformed option", "malformed options"),
            (self.counts.fragments, "fragment", "fragments"),
            (self.counts.truncated, "cut off before its TCP header", "cut off before their TCP header"),
            (dropped, "dropped by the kernel", "dropped by the kernel"),
        ];
        let told = always.into_iter().chain(sometimes.into_iter().filter(|(count, ..)| *count > 0));
        let words = told.map(|(count, one, several)| format!("{count} {}", if count == 1 { one } else { several }));
        let text = words.collect::<Vec<_>>().join(", ");
        self.line(&text);
    }

    fn line(&mut self, text: &str) {
        self.gone |= writeln!(self.out, "{text}").is_err();
    }

    fn object(&mut self, object: &impl Serialize) {
        let written = serde_json::to_writer(&mut self.out, object).map_err(io::Error::from);
        self.gone |= written.and_then(|()| self.out.write_all(b"\n")).is_err();
    }

    fn flush(&mut self) {
        self.gone |= self.out.flush().is_err();
    }
}

/// The control bits as tcpdump writes them.
fn flags(flags: Flags) -> String {
    let letters = [(Flags::SYN, 'S'), (Flags::FIN, 'F'), (Flags::RST, 'R'), (Flags::PSH, 'P'), (Flags::ACK, '.')];
    letters.into_iter().filter(|(flag, _)| flags.has(*flag)).map(|(_, letter)| letter).collect()
}

/// Seconds since the first frame.
struct Relative(Duration);

impl std::fmt::Display for Relative {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>4}.{:06}", self.0.as_secs(), self.0.subsec_micros())
    }
}
