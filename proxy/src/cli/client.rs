//! `anabranch client`: make this machine use every link it has, and find out what is in the way.

mod act;
mod doctor;
mod look;
mod pac;
mod probe;
mod programs;
mod setup;
mod state;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

use super::{complain, exit};

/// What the doctor ends with when something is wrong.
const FAILURES: u8 = 1;

/// Arguments of `client`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make every link be used: routes, rules, endpoints, where programs find the proxy; or take that back.
    Setup(setup::Arguments),
    /// Try every link to the proxy, and say what is in the way. Ends with 1 when something is.
    Doctor(doctor::Arguments),
    /// Print the proxy auto-configuration that browsers are to be given.
    Pac(pac::Arguments),
}

/// Does what the command line says.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let done = match &arguments.command {
        Command::Setup(arguments) => setup::run(arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Pac(arguments) => pac::run(arguments),
    };
    done.unwrap_or_else(|code| code)
}

/// A proxy as it is named on the command line: `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    /// As written, without a scheme.
    text: String,
    host: String,
    port: u16,
}

impl std::str::FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let wrong = || format!("{text:?} is not HOST:PORT, such as edge.example:3128 or [2001:db8::1]:3128");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|&port| port != 0).ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let right = match bare {
            Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
            // What goes into files that shells read holds nothing that a shell would act upon.
            None => !host.is_empty() && host.chars().all(named),
        };
        if !right {
            return Err(wrong());
        }
        Ok(Self { text: text.to_owned(), host: bare.unwrap_or(host).to_owned(), port })
    }
}

impl Named {
    /// Its addresses, at most one a family: the first of each, which is what programs try first.
    fn addresses(&self) -> Result<Vec<SocketAddr>, u8> {
        let all = (self.host.as_str(), self.port).to_socket_addrs();
        let all: Vec<_> = all
            .map_err(|error| {
                complain(&format!("anabranch: {}: {error}", self.host));
                exit::UNAVAILABLE
            })?
            .collect();
        let first = |v4: bool| all.iter().copied().find(|address| address.is_ipv4() == v4);
        Ok(first(true).into_iter().chain(first(false)).collect())
    }
}

/// A link as it is named on the command line: `wwan0`, or `wwan0=192.168.8.1` with its gateway.
fn named_link(text: &str) -> Result<(String, Option<IpAddr>), String> {
    let (name, gateway) = match text.split_once('=') {
        Some((name, gateway)) => (name, Some(gateway.parse().map_err(|_| format!("{gateway:?} is not an address"))?)),
        None => (text, None),
    };
    name.parse::<anabranch_config::IfaceName>().map_err(|error| error.to_string())?;
    Ok((name.to_owned(), gateway))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_host_and_a_port_and_nothing_a_shell_would_read() {
        let of = |text: &str| text.parse::<Named>().map(|named| (named.host, named.port));
        assert_eq!(of("http://edge.example:3128/"), Ok(("edge.example".to_owned(), 3128)));
        assert_eq!(of("[2001:db8::1]:80"), Ok(("2001:db8::1".to_owned(), 80)));
        for wrong in ["edge", "edge:0", ":1", "a b:1", "$(x):1", "2001:db8::1:80", "edge:99999", "[::g]:1", "a;b:1"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_link_may_come_with_its_gateway() {
        assert_eq!(named_link("wwan0"), Ok(("wwan0".to_owned(), None)));
        assert_eq!(named_link("c1=fe80::1").unwrap().1, Some("fe80::1".parse().unwrap()));
        assert!(named_link("a/b").is_err() && named_link("c1=x").is_err());
    }
}
