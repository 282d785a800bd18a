//! `[log]`: what is written down.

use crate::read::Section;
use crate::read::value::words;

words! {
    /// How a line of the log is written.
    pub LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

words! {
    /// What is written at the end of a session.
    pub Access {
        /// Nothing.
        Off = "off",
        /// One line: who, where to, outcome, bytes, time.
        Short = "short",
        /// The same with what is known of the subflows and of each request.
        Full = "full",
    }
}

words! {
    /// The least important line that is still written.
    pub Level {
        /// What needs somebody.
        Error = "error",
        /// What somebody should know.
        Warn = "warn",
        /// What happens once a session or more rarely.
        Info = "info",
        /// What happens within a session.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

/// What is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How a line is written.
    pub format: LogFormat,
    /// What is written at the end of a session.
    pub access: Access,
    /// The least important line that is still written.
    pub level: Level,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, access: Access::Short, level: Level::Info }
    }
}

impl Log {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            format: section.get_or("format", default.format),
            access: section.get_or("access", default.access),
            level: section.get_or("level", default.level),
        }
    }
}
