//! Text with meaning, and the escapes that colour it.
//!
//! What lives here: spans, lines, ANSI (ECMA-48) rendering. What does not: what is said (see `picture`).
//! Called by the picture and the screen. Pure.

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Ordinary text.
    Plain,
    /// A heading.
    Bold,
    /// What may be overlooked.
    Dim,
    /// Of the link with this index.
    Link(usize),
    /// Good news.
    Good,
    /// Bad news.
    Bad,
}

/// A line of a picture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line(Vec<(Ink, String)>);

/// Colours of links: told apart by everybody, with light and with dark backgrounds.
const LINKS: [&str; 4] = ["36", "35", "33", "94"];

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Link(index) => LINKS[index % LINKS.len()],
            Self::Good => "1;32",
            Self::Bad => "1;31",
        }
    }
}

impl Line {
    /// A line of one piece.
    pub(super) fn of(ink: Ink, text: impl Into<String>) -> Self {
        Self::default().and(ink, text)
    }

    /// The line with one more piece.
    #[must_use]
    pub(super) fn and(mut self, ink: Ink, text: impl Into<String>) -> Self {
        self.0.push((ink, text.into()));
        self
    }

    /// The line with all pieces of another.
    #[must_use]
    pub(super) fn join(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The text for a terminal, cut after `width` columns, with or without colours.
    ///
    /// Shape: every character the demo uses is one column wide.
    pub(super) fn render(&self, width: usize, colour: bool) -> String {
        let (mut out, mut left) = (String::new(), width);
        for (ink, text) in &self.0 {
            let part: String = text.chars().take(left).collect();
            left -= part.chars().count();
            match ink.code() {
                "" => out.push_str(&part),
                _ if !colour || part.is_empty() => out.push_str(&part),
                code => out.push_str(&format!("\x1b[{code}m{part}\x1b[0m")),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests;
