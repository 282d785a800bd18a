//! Where the demo is shown: a terminal redrawn in place, plain lines, or nowhere.
//!
//! What lives here: what kind of output it is, the cursor. What does not: what is shown (see `picture`).
//! Called by the demo. Invariant: a dropped screen leaves the cursor visible and below the last picture.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use super::ink::Line;
use super::picture::Look;
use crate::cli::say;

/// Wider pictures are not easier to read.
const WIDEST: usize = 120;
/// Narrower terminals get plain lines.
const NARROWEST: usize = 60;
/// Time between two plain lines.
const PLAIN_STEP: Duration = Duration::from_secs(2);

/// An output.
#[derive(Debug)]
pub(super) struct Screen {
    kind: Kind,
    /// Lines of the picture that the next one replaces.
    standing: usize,
    /// When the last plain lines were said.
    last: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Live { colour: bool },
    Plain,
    Silent,
}

impl Screen {
    /// The output that standard output is; none with `silent`. A live picture takes `rows` rows.
    pub(super) fn open(silent: bool, rows: usize) -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let kind = match (silent, size()) {
            (true, _) => Kind::Silent,
            (_, Some((width, height)))
                if width >= NARROWEST && height > rows && set("TERM").is_some_and(|term| term != "dumb") =>
            {
                say("\x1b[?25l");
                Kind::Live { colour: set("NO_COLOR").is_none() }
            }
            _ => Kind::Plain,
        };
        Self { kind, standing: 0, last: Instant::now() }
    }

    /// The room there is now, if pictures are drawn.
    pub(super) fn look(&self) -> Option<Look> {
        let Kind::Live { colour } = self.kind else { return None };
        // The last column stays free: some terminals wrap when it is written.
        let width = size().map_or(NARROWEST, |(width, _)| width).min(WIDEST) - 1;
        Some(Look { width, colour })
    }

    /// Shows lines that stay.
    pub(super) fn print(&mut self, lines: &[Line]) {
        match self.look() {
            Some(_) => {
                self.redraw(lines);
                self.standing = 0;
            }
            None if self.kind == Kind::Plain => {
                self.last = Instant::now();
                say(&lines.iter().map(|line| ascii(&line.render(usize::MAX, false)) + "\n").collect::<String>());
            }
            None => {}
        }
    }

    /// Shows a picture in the place of the one before.
    pub(super) fn redraw(&mut self, lines: &[Line]) {
        let Some(look) = self.look() else { return };
        let mut out = String::new();
        if self.standing > 0 {
            out.push_str(&format!("\x1b[{}A", self.standing));
        }
        for line in lines {
            out.push_str(&format!("\r{}\x1b[K\n", line.render(look.width, look.colour)));
        }
        say(&out);
        self.standing = lines.len();
    }

    /// Whether it is time for another plain line.
    pub(super) fn plain_due(&self) -> bool {
        self.kind == Kind::Plain && self.last.elapsed() >= PLAIN_STEP
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if matches!(self.kind, Kind::Live { .. }) {
            // The first part wipes the ^C that the terminal may have echoed.
            say("\r\x1b[K\x1b[0m\x1b[?25h");
        }
    }
}

/// Columns and rows of the terminal on standard output, if it is one.
fn size() -> Option<(usize, usize)> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&out).ok()?;
    // A terminal that does not know its size is as large as terminals were.
    let or = |size: u16, usual| if size == 0 { usual } else { usize::from(size) };
    Some((or(size.ws_col, 80), or(size.ws_row, 24)))
}

/// The text in ASCII.
fn ascii(text: &str) -> String {
    let plain = |c| match c {
        '─' | '━' => '-',
        '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┼' => '+',
        '✔' => '*',
        '✘' => '!',
        c if c.is_ascii() => c,
        _ => '?',
    };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests;
