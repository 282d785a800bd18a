//! What is wrong with a file, said so that the operator can mend it without looking anything up.

use std::fmt;
use std::path::PathBuf;

/// Everything that is wrong with a file.
///
/// Shape:   at least one problem, in the order of the lines
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub(crate) problems: Vec<Problem>,
}

impl Error {
    /// The problems, in the order of the lines.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

/// One thing that is wrong with a file. Displays as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named to [`parse`](crate::parse).
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1; printed where the TOML itself is broken.
    pub column: usize,
    /// The key, dotted: `listener[1].clients[0]`. Empty where the TOML itself is broken.
    pub key: String,
    /// The key as it is shown: with the name of its listener, path … where that is known.
    pub label: String,
    /// The value given, as it is written in the file, shortened and with control characters escaped.
    pub value: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What would be right: the second half of the message. May be empty where nothing can be said.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", crate::unit::shown(&self.file.display().to_string()), self.line)?;
        if self.key.is_empty() {
            write!(f, "{}:", self.column)?;
        } else {
            write!(f, " {}", self.label)?;
            if let Some(value) = &self.value {
                write!(f, " = {value}")?;
            }
            f.write_str(":")?;
        }
        write!(f, " {}", self.what)?;
        if self.expected.is_empty() { Ok(()) } else { write!(f, "; {}", self.expected) }
    }
}

impl fmt::Display for Error {
    /// One problem a line, no line end after the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Something that is allowed but that the operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What it is about: `listener "edge"`.
    pub subject: String,
    /// What to know, and what to do about it.
    pub what: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.what)
    }
}
