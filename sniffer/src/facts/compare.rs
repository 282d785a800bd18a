//! Where the witnesses disagree, and since when.

use std::time::Duration;

use super::{Disagreement, FactsTable, KernelConnection, KernelSubflow, Known, Quiet, Report, Side};
use crate::event::{ConnId, End, SubflowState, Verified};
use crate::id::FourTuple;
use crate::story::{ConnectionFacts, SubflowFacts};
use crate::track::FlowKey;

/// A disagreement that may be no more than the slower witness.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doubt {
    connection: Option<ConnId>,
    flow: FourTuple,
    about: Disagreement,
    since: Duration,
    reported: bool,
}

impl FactsTable {
    /// Compares what is said of one connection; doubts that are gone are forgotten, those that stay keep their age.
    pub(super) fn compare(&mut self, id: u64) {
        let Some(known) = self.known.get(&id) else { return };
        let mut found = Vec::new();
        self.compare_flows(known, &mut found);
        if let Some(kernel) = &known.kernel {
            compare_fallback(known, kernel, &mut found);
        }
        let now = self.now;
        let Some(known) = self.known.get_mut(&id) else { return };
        let before = std::mem::take(&mut known.doubts);
        known.doubts = found
            .into_iter()
            .map(|(connection, flow, about)| {
                let same = |doubt: &&Doubt| doubt.flow == flow && doubt.about == about;
                let fresh = Doubt { connection, flow, about, since: now, reported: false };
                before.iter().find(same).copied().unwrap_or(fresh)
            })
            .collect();
        if !known.waits && known.doubts.iter().any(|doubt| !doubt.reported) {
            known.waits = true;
            self.waiting.push_back((now, id));
        }
    }

    fn compare_flows(&self, known: &Known, found: &mut Vec<(Option<ConnId>, FourTuple, Disagreement)>) {
        let seen = || known.wire.iter().flat_map(|facts| facts.subflows.iter().map(move |one| (facts, one)));
        for (facts, subflow) in seen() {
            let alive = matches!(subflow.state, SubflowState::Established) && subflow.verified != Verified::No;
            let here = [subflow.flow.source(), subflow.flow.destination()];
            let expected = here.iter().any(|end| self.local.contains(&end.ip()));
            let key = FlowKey::of(&subflow.flow);
            // After a fallback the kernel may know it as plain TCP, which is not its path manager's any more.
            if alive && expected && facts.fallback.is_none() && !known.owned().any(|one| FlowKey::of(&one.flow) == key)
            {
                found.push((Some(facts.connection), subflow.flow, Disagreement::OnlyOnWire));
            }
        }
        for own in known.owned().filter(|own| own.established) {
            let key = FlowKey::of(&own.flow);
            match seen().find(|(_, one)| FlowKey::of(&one.flow) == key && !one.state.is_over()) {
                Some((facts, subflow)) => compare_backup(facts, subflow, own, found),
                None if self.wire_runs && !known.quiet.contains(&Quiet::of(own)) => {
                    found.push((None, own.flow, Disagreement::OnlyInKernel));
                }
                None => {}
            }
        }
    }

    /// Reports the doubts about one connection that are old enough, and lets the others wait on.
    pub(super) fn report_due(&mut self, id: u64) {
        let (now, grace) = (self.now, self.grace);
        let Some(known) = self.known.get_mut(&id) else { return };
        let token = known.kernel.as_ref().map(|kernel| kernel.token);
        let mut due = Vec::new();
        for doubt in known.doubts.iter_mut().filter(|doubt| !doubt.reported && doubt.since.saturating_add(grace) <= now)
        {
            doubt.reported = true;
            let Doubt { connection, flow, about: disagreement, .. } = *doubt;
            due.push(Report { at: now, connection, token, flow, disagreement });
        }
        known.waits = known.doubts.iter().any(|doubt| !doubt.reported);
        if known.waits {
            self.waiting.push_back((now, id));
        }
        due.into_iter().for_each(|report| self.report(report));
    }

    /// Reports what is beyond doubt.
    pub(super) fn report_event(&mut self, connection: Option<ConnId>, flow: FourTuple, disagreement: Disagreement) {
        let id = connection.and_then(|connection| self.by_connection.get(&connection));
        let token = id.and_then(|id| self.known.get(id)?.kernel.as_ref()).map(|kernel| kernel.token);
        self.report(Report { at: self.now, connection, token, flow, disagreement });
    }

    fn report(&mut self, report: Report) {
        if self.reports.len() < self.limits.disagreements {
            self.reports.push_back(report);
        } else {
            self.reports_lost += 1;
        }
    }
}

fn compare_backup(
    facts: &ConnectionFacts,
    subflow: &SubflowFacts,
    own: &KernelSubflow,
    found: &mut Vec<(Option<ConnId>, FourTuple, Disagreement)>,
) {
    // What was asked for before the watch began was not seen.
    if facts.late {
        return;
    }
    let local = if own.flow == subflow.flow { End::Client } else { End::Server };
    for (by, end, kernel) in
        [(Side::Local, local, own.backup_by_local), (Side::Remote, local.other(), own.backup_by_remote)]
    {
        let wire = subflow.backup[end];
        if let Some(kernel) = kernel.filter(|&kernel| kernel != wire) {
            found.push((Some(facts.connection), own.flow, Disagreement::BackupDiffers { by, wire, kernel }));
        }
    }
}

fn compare_fallback(
    known: &Known,
    kernel: &KernelConnection,
    found: &mut Vec<(Option<ConnId>, FourTuple, Disagreement)>,
) {
    let (Some(fallen), [facts]) = (kernel.fallback, &known.wire[..]) else { return };
    let flow = kernel.subflows.first().map(|subflow| subflow.flow);
    if let Some(flow) = flow.filter(|_| facts.fallback.is_some() != fallen) {
        found.push((Some(facts.connection), flow, Disagreement::FallbackDiffers { kernel: fallen }));
    }
}
