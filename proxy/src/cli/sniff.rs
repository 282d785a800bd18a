//! `anabranch sniff`: every MPTCP option as it passes, and the story of every connection at the end.

mod input;
mod print;

use std::path::PathBuf;

use anabranch_sniffer::filter::Filter;
use anabranch_sniffer::show::Secrets;

use super::{complain, exit};
use crate::http::chain;
use print::Printer;

/// Arguments of `sniff`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Interface to watch; more than one may be named. Needs CAP_NET_RAW. Ends with Ctrl-C.
    #[arg(long, short, value_name = "NAME", required_unless_present = "pcap")]
    interface: Vec<String>,
    /// Capture to read instead, pcap or pcapng; - is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "interface")]
    pcap: Option<PathBuf>,
    /// Print one JSON object a line: options, events, and a summary of each connection.
    #[arg(long)]
    json: bool,
    /// What to print and write; all is tracked all the same. Words of pcap-filter(7), and those of MPTCP.
    #[arg(long, value_name = "EXPRESSION", default_value = "", hide_default_value = true)]
    filter: Filter,
    /// Write the frames that pass the filter to a capture file.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Print keys and HMACs. Whoever reads them can take the connections over.
    #[arg(long)]
    show_keys: bool,
    /// Print the summary alone.
    #[arg(long)]
    summary: bool,
}

const EXAMPLES: &str = "\
Examples:
  anabranch sniff --interface eth0
  anabranch sniff --interface dsl0 --interface lte0 --filter 'subtype MP_JOIN or subtype MP_PRIO'
  anabranch sniff --pcap trace.pcapng --summary
  tcpdump -i eth0 -w - tcp | anabranch sniff --pcap - --json | jq 'select(.subtype == \"ADD_ADDR\")'

Filter: [src|dst] host A | net P | port N, subtype NAME, token HEX, connection N, syn, fin, rst, malformed;
        and, or, not, ( ).";

/// Why sniffing ended before it was done.
#[derive(Debug, thiserror::Error)]
pub(super) enum SniffError {
    /// A file cannot be opened or written.
    #[error("{}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A capture cannot be read.
    #[error("{}", .path.display())]
    Capture {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: anabranch_sniffer::pcap::CaptureError,
    },
    /// An interface cannot be watched.
    #[error("cannot watch")]
    Packet(#[from] anabranch_kernel::packet::PacketError),
    /// An interface whose frames are of a kind not known here.
    #[error("{0}: neither Ethernet nor raw IP")]
    Framing(String),
    /// A signal handler, or waiting.
    #[error("{what} failed")]
    Os {
        /// The call.
        what: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Watches or reads, and prints.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let secrets = if arguments.show_keys { Secrets::Shown } else { Secrets::Hidden };
    let printer = Printer::new(arguments.json, arguments.summary, secrets, arguments.filter.clone());
    let result = match &arguments.pcap {
        Some(file) => input::read(file, printer, arguments.write.as_deref()),
        None => input::watch(&arguments.interface, printer, arguments.write.as_deref()),
    };
    match result {
        Ok(()) => 0,
        Err(error) => {
            complain(&format!("anabranch: {}", chain(&error)));
            match error {
                SniffError::File { .. } | SniffError::Capture { .. } => exit::NO_INPUT,
                SniffError::Packet(_) | SniffError::Framing(_) | SniffError::Os { .. } => exit::OS,
            }
        }
    }
}
