//! The table as text.

use super::{Figure, Part, Row, Table};
use crate::sample::Better;

impl Table {
    /// A table for a reader.
    pub fn text(&self) -> String {
        let trial = if self.quick { "; a trial: nothing to compare by" } else { "" };
        let buffers =
            self.send_buffer.map_or_else(String::new, |most| format!(", send buffers of at most {most} bytes"));
        let threads = self.threads.map_or_else(String::new, |threads| format!(", {threads} thread(s) each"));
        let mut out =
            format!("Linux {}, {} cores, {} rounds{buffers}{threads}{trial}\n\n", self.kernel, self.cores, self.rounds);
        for taking in &self.peers {
            let state = taking.absent.clone().unwrap_or_else(|| format!("MPTCP: {}", taking.mptcp));
            let version = taking.version.as_deref().unwrap_or_default();
            out.push_str(&format!("  {:<18} {state}\n", taking.peer));
            for line in [version, taking.note].into_iter().filter(|line| !line.is_empty()) {
                out.push_str(&format!("  {:<18}   {line}\n", ""));
            }
        }
        out.push_str(
            "\n  Ratios are medians over rounds of figures of one and the same round. The row `haproxy: …` is the better of its\n  \
             two configurations by that figure.\n",
        );
        for part in &self.scenarios {
            part.write(&mut out);
        }
        out
    }
}

impl Part {
    fn write(&self, out: &mut String) {
        out.push_str(&format!("\n{}\n", self.name));
        for figure in &self.figures {
            figure.write(out);
        }
        for (peer, why) in &self.excluded {
            out.push_str(&format!("    - {peer}: {why}\n"));
        }
        for words in &self.unsettled {
            out.push_str(&format!("    ~ {words}\n"));
        }
        for failure in &self.failures {
            out.push_str(&format!("    ! {failure}\n"));
        }
    }
}

impl Figure {
    fn write(&self, out: &mut String) {
        let sense = if self.metric.better == Better::Less { "less" } else { "more" };
        let title = format!("{} {} ({sense} is better)", self.metric.name, self.metric.unit);
        out.push_str(&format!(
            "  {title:<44} {:>10} {:>23} {:>3} {:>8} {:>8} {:>8}\n",
            "median", "(range)", "n", "/direct", "/best", "ours/"
        ));
        for row in &self.rows {
            row.write(self.best_peer.as_deref() == Some(&row.peer), out);
        }
    }
}

impl Row {
    fn write(&self, best: bool, out: &mut String) {
        let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let name = format!("{}{}", self.peer, if best { " *" } else { "" });
        let range = format!("({} – {})", number(self.min), number(self.max));
        out.push_str(&format!(
            "    {name:<42} {:>10} {range:>23} {:>3} {:>8} {:>8} {:>8}\n",
            number(self.median),
            self.n,
            ratio(self.to_direct),
            ratio(self.to_best),
            ratio(self.ours_to_this)
        ));
    }
}

/// A figure with as many digits as it is worth.
fn number(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.3}"),
    }
}
