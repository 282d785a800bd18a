//! `anabranch policy replay`: what policies would have done to a recorded capture.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anabranch_sniffer::pcap::{Capture, CaptureError};
use anabranch_sniffer::track::Tracker;
use anabranch_sniffer::wire;
use anabranch_throttle::intent::{Decisions, Intent};
use anabranch_throttle::policy::{Policies, Rules};
use anabranch_throttle::view::SubflowKey;
use serde_json::json;

use super::super::{complain, exit, read_config, say};
use crate::http::chain;
use crate::steer::view_of_capture;

/// How often policies are asked, by the clock of the capture.
const TICK: Duration = Duration::from_millis(100);

/// Arguments of `policy replay`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The capture: pcap or pcapng.
    #[arg(long, value_name = "FILE")]
    pcap: PathBuf,
    /// The configuration file with the paths, subscribers and policies.
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Reads the capture and says what would have changed, when, and why.
pub(in crate::cli) fn run(arguments: &Arguments) -> u8 {
    let (config, _) = match read_config(Some(&arguments.config)) {
        Ok(read) => read,
        Err(code) => return code,
    };
    let mut replay = Replay {
        policies: Policies::new(Rules::from(&config)),
        tracker: Tracker::default(),
        due: Duration::ZERO,
        begun: None,
        held: BTreeMap::new(),
        json: arguments.json,
    };
    match replay.read(&arguments.pcap) {
        Ok(()) => 0,
        Err(error) => {
            complain(&format!("anabranch: {}: {}", arguments.pcap.display(), chain(&error)));
            exit::NO_INPUT
        }
    }
}

struct Replay {
    policies: Policies,
    tracker: Tracker,
    /// When policies are asked next.
    due: Duration,
    /// When the capture began.
    begun: Option<Duration>,
    /// What was wanted when they were asked last.
    held: BTreeMap<SubflowKey, Intent>,
    json: bool,
}

impl Replay {
    fn read(&mut self, pcap: &Path) -> Result<(), CaptureError> {
        let mut capture = Capture::open(File::open(pcap).map_err(|source| CaptureError::Read { at: 0, source })?)?;
        let mut last = Duration::ZERO;
        while let Some(frame) = capture.next_frame()? {
            last = frame.at;
            self.begun.get_or_insert(frame.at);
            if frame.at >= self.due {
                self.ask(frame.at);
                self.due = frame.at + TICK;
            }
            if let Some(link) = frame.link
                && let Ok(segment) = wire::parse(link, frame.captured, frame.wire_len)
            {
                self.tracker.on_segment(&segment, segment.mptcp().filter_map(Result::ok), frame.at);
            }
        }
        self.ask(last);
        Ok(())
    }

    fn ask(&mut self, at: Duration) {
        // Only the table is of interest; events would fill up.
        while self.tracker.poll_event().is_some() {}
        let view = view_of_capture(self.tracker.connections(), at);
        let Decisions { intents, .. } = self.policies.decide(&view);
        let now: BTreeMap<_, _> = intents.into_iter().map(|intent| (intent.subflow, intent)).collect();
        for (subflow, intent) in &now {
            let before = self.held.get(subflow);
            if before.is_none_or(|before| before.policy != intent.policy || before.hold != intent.hold) {
                self.tell(at, *subflow, Some(intent));
            }
        }
        for subflow in self.held.keys().filter(|subflow| !now.contains_key(subflow)) {
            self.tell(at, *subflow, None);
        }
        self.held = now;
    }

    fn tell(&self, at: Duration, subflow: SubflowKey, intent: Option<&Intent>) {
        let at = at.saturating_sub(self.begun.unwrap_or_default());
        let (policy, wants) = (intent.map(|intent| &intent.policy), intent.map(|intent| intent.hold.to_string()));
        let evidence = intent.map(|intent| intent.evidence.as_slice()).unwrap_or_default();
        if self.json {
            let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
            let line = json!({
                "at_us": at_us, "connection": subflow.connection, "flow": subflow.flow,
                "policy": policy, "wants": wants, "evidence": evidence,
            });
            return say(&format!("{line}\n"));
        }
        let seconds = at.as_secs_f64();
        match (policy, wants) {
            (Some(policy), Some(wants)) => {
                say(&format!("{seconds:10.3} s  {subflow}: {wants}, by \"{policy}\" ({})\n", evidence.join("; ")));
            }
            _ => say(&format!("{seconds:10.3} s  {subflow}: free\n")),
        }
    }
}
