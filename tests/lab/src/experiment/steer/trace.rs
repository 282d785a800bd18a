//! What was recorded on a stage, and its picture.
//!
//! Called by the experiments about steering. Invariant: every time is since the recording's beginning.

use std::time::Duration;

use super::policies::name;
use crate::client::Way;
use crate::flow::Delivered;
use crate::meter::Carried;
use crate::plot::{Curve, Panel, Plot};
use crate::report::Report;
use crate::series::Series;

/// What was recorded.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace {
    /// What each link carried, seen at the client.
    pub(super) paths: Vec<Carried>,
    /// What each flow delivered.
    pub(super) flows: Vec<Delivered>,
    /// What happened when.
    pub(super) marks: Vec<(Duration, String)>,
    /// What went wrong in words.
    pub(super) faults: Vec<String>,
    /// When the flows were told to end.
    pub(super) end: Duration,
}

impl Trace {
    /// The payload on link `link`, counted from 1.
    pub(super) fn payload(&self, link: u8, way: Way) -> &Series {
        let carried = &self.paths[usize::from(link) - 1];
        match way {
            Way::Download => &carried.received,
            Way::Upload => &carried.sent,
        }
    }

    /// The frames on link `link`, counted from 1.
    pub(super) fn frames(&self, link: u8, way: Way) -> &Series {
        let carried = &self.paths[usize::from(link) - 1];
        match way {
            Way::Download => &carried.received_frames,
            Way::Upload => &carried.sent_frames,
        }
    }

    /// The payload on all links.
    pub(super) fn total(&self, way: Way) -> Series {
        Series::sum((1..).zip(&self.paths).map(|(link, _)| self.payload(link, way)))
    }

    /// What applications read, in order.
    pub(super) fn delivered(&self) -> Series {
        Series::sum(self.flows.iter().map(|flow| &flow.series))
    }

    /// Fails the report for what went wrong and for what was not delivered whole.
    pub(super) fn tell(&self, report: &mut Report, name: &str) {
        for fault in &self.faults {
            report.fail(format!("{name}: {fault}"));
        }
        report.compared(self.flows.len());
        for (number, flow) in self.flows.iter().enumerate().filter(|(_, flow)| !flow.intact()) {
            let (came, sent) = (flow.checker.bytes, flow.sent);
            match flow.checker.first_wrong {
                Some(at) if came == sent && flow.ended.is_some() => {
                    report.altered(format!("{name}: flow {number} has a wrong byte at {at}"))
                }
                Some(at) => {
                    report.fail(format!("{name}: flow {number} has a wrong byte at {at}, and {came} of {sent} bytes"))
                }
                None => report.fail(format!("{name}: flow {number} delivered {came} of {sent} bytes")),
            }
        }
    }

    /// The panel of its picture: the rate of every link, the sum, and what was delivered.
    pub(super) fn panel(&self, title: &str, way: Way) -> Panel {
        let links = (1..).zip(&self.paths);
        let mut curves: Vec<Curve> = links
            .map(|(link, _)| Curve::new(format!("path {}", name(link)), self.payload(link, way).curve(self.end)))
            .collect();
        curves.push(Curve::new("total on the wire", self.total(way).curve(self.end)));
        curves.push(Curve::new("delivered in order", self.delivered().curve(self.end)).broken());
        let marks = self.marks.iter().map(|(at, words)| (at.as_secs_f64(), words.clone())).collect();
        Panel { title: title.into(), y: "Mbit/s, 250 ms windows".into(), curves, marks, levels: Vec::new() }
    }
}

/// A picture of panels over time.
pub(super) fn picture(title: &str, panels: Vec<Panel>) -> String {
    Plot { title: title.into(), x: "time (s)".into(), panels, ..Plot::default() }.svg()
}
