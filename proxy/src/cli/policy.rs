//! `anabranch policy`: what policies do, would do and have done.

use std::fmt::Write as _;
use std::path::PathBuf;

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::ask::{Arguments as Asked, send, who_steers};
use super::{complain, exit, say};

mod replay;

/// Arguments of `policy`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the policies in force: what each does, to whom, since when.
    List(Asked),
    /// Say what would happen now, in words and as the equivalent tc, nft and ip lines; nothing is done.
    Plan {
        /// A configuration file whose paths, subscribers and policies to plan with, instead of those in force.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Put the paths, subscribers and policies of a file in the place of those in force, at once and all together. A reload returns to
    /// the configuration.
    Apply {
        /// The configuration file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        asked: Asked,
    },
    /// Say why a connection or a subflow is treated as it is: the policy, the evidence, the action and its effect.
    Explain {
        /// A connection's token, or one end of a subflow (`10.2.0.2:41234`), or a client's address.
        #[arg(value_name = "WHAT")]
        what: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Take back everything policies have done, and hold no policy until a reload or `apply`.
    Clear(Asked),
    /// Say what the policies of a file would have done to a recorded capture.
    Replay(replay::Arguments),
}

/// Does what the command line says.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let done = match &arguments.command {
        Command::List(asked) => tell(asked, (Method::GET, "/policies"), Bytes::new()),
        Command::Plan { file: None, asked } => tell(asked, (Method::POST, "/policies/plan"), Bytes::new()),
        Command::Plan { file: Some(file), asked } => with_file(asked, (Method::POST, "/policies/plan"), file),
        Command::Apply { file, asked } => with_file(asked, (Method::PUT, "/policies"), file),
        Command::Clear(asked) => tell(asked, (Method::DELETE, "/policies"), Bytes::new()),
        Command::Explain { what, asked } => {
            tell(asked, (Method::GET, &format!("/policies/explain?of={}", escaped(what))), Bytes::new())
        }
        Command::Replay(arguments) => return replay::run(arguments),
    };
    done.err().unwrap_or(0)
}

fn with_file(asked: &Asked, what: (Method, &str), file: &std::path::Path) -> Result<(), u8> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        complain(&format!("anabranch: {}: {error}", file.display()));
        exit::NO_INPUT
    })?;
    // Here as well as there: what is wrong is then told with the name of the file.
    if let Err(error) = anabranch_config::parse(&text, file) {
        complain(&error.to_string());
        return Err(exit::CONFIG);
    }
    tell(asked, what, text.into())
}

/// Asks, and prints the answer: its words, or all of it.
fn tell(asked: &Asked, what: (Method, &str), body: Bytes) -> Result<(), u8> {
    let answer = send(asked, who_steers(asked), what, body)?;
    match (&answer["text"], asked.json) {
        (Value::String(text), false) => say(&format!("{}\n", text.trim_end())),
        _ => say(&format!("{answer}\n")),
    }
    Ok(())
}

/// What may stand in a query (RFC 3986 §2.1).
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".:-_".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").unwrap_or_default();
        }
    }
    out
}
