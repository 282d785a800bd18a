//! The effective configuration as TOML: every key with its value, its meaning and its unit in a line above.
//!
//! Whatever is printed parses back to an equal [`Config`]. Paths are printed as they were resolved; to parse a relative one back, name
//! a file without a directory.

mod steering;

use std::fmt::Display;
use std::path::Path as FilePath;
use std::time::Duration;

use crate::unit::Timeout;
use crate::{
    Config, Control, ControlSocket, Http, Limits, Listener, Log, Origin, Pac, Process, Resolver, Sniffer, Timeouts,
};
use steering::{print_path, print_policy, print_steering, print_subscriber};

/// The text so far.
struct Printer(String);

impl Printer {
    fn section(&mut self, header: &str, about: &str) {
        let blank = if self.0.is_empty() { "" } else { "\n" };
        self.line(&format!("{blank}{header}\n# {about}"));
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// A key whose value is written without quotes.
    fn bare(&mut self, key: &str, value: impl Display, about: &str) {
        self.line(&format!("{key} = {value} # {about}"));
    }

    fn text(&mut self, key: &str, value: impl Display, about: &str) {
        self.bare(key, quote(&value.to_string()), about);
    }

    /// A key that is left out unless it is set.
    fn optional(&mut self, key: &str, value: Option<impl Display>, about: &str) {
        match value {
            Some(value) => self.text(key, value, about),
            None => self.line(&format!("# {key}: {about}")),
        }
    }

    fn time(&mut self, key: &str, time: impl Into<Option<Duration>>, about: &str) {
        let text = match time.into() {
            None => "off".to_owned(),
            // A time that no file could have said (a test can make one) is still not "off".
            Some(time) => {
                Timeout::try_from(time).map_or_else(|_| format!("{} ms", time.as_millis()), |time| time.to_string())
            }
        };
        self.text(key, text, about);
    }

    fn list<T: Display>(&mut self, key: &str, items: &[T], about: &str) {
        let items: Vec<_> = items.iter().map(|item| quote(&item.to_string())).collect();
        self.bare(key, format_args!("[{}]", items.join(", ")), about);
    }

    /// A list that may be left out.
    fn some<T: Display>(&mut self, key: &str, list: &[T], about: &str) {
        match list {
            [] => self.line(&format!("# {key}: {about}")),
            list => self.list(key, list, about),
        }
    }

    fn file(&mut self, key: &str, path: Option<&FilePath>, about: &str) {
        self.optional(key, path.map(FilePath::display), about);
    }
}

/// A TOML basic string.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

impl Config {
    /// The effective configuration as TOML, with a comment on every key.
    ///
    /// Shape:   parses back to an equal value, given a `file` without a directory; a path that is not UTF-8 is printed with `U+FFFD`
    pub fn to_toml(&self) -> String {
        let Self {
            process,
            listeners,
            limits,
            http,
            pac,
            origin,
            resolver,
            timeouts,
            log,
            control,
            sniffer,
            steering,
            paths,
            subscribers,
            policies,
        } = self;
        let mut out = Printer(String::new());
        print_process(&mut out, process);
        print_limits(&mut out, limits);
        print_http(&mut out, http);
        print_pac(&mut out, pac);
        print_origin(&mut out, origin);
        print_resolver(&mut out, resolver);
        print_timeouts(&mut out, timeouts);
        print_log(&mut out, log);
        print_control(&mut out, control);
        print_sniffer(&mut out, sniffer);
        print_steering(&mut out, steering);
        listeners.iter().for_each(|listener| print_listener(&mut out, listener));
        paths.iter().for_each(|path| print_path(&mut out, path));
        subscribers.iter().for_each(|subscriber| print_subscriber(&mut out, subscriber));
        policies.iter().for_each(|policy| print_policy(&mut out, policy));
        out.0
    }
}

fn print_process(out: &mut Printer, Process { workers, role, link }: &Process) {
    out.section("[process]", "the process as a whole");
    match workers {
        Some(workers) => out.bare("workers", workers, "threads that carry bytes; default: one per core"),
        None => out.line("# workers: threads that carry bytes; default: one per core"),
    }
    out.text("role", role, "both, proxy (carries bytes) or steer (watches and steers); default both");
    out.file("link", link.as_deref(), "the Unix socket between proxy and steer; default: beside the control socket");
}

fn print_limits(out: &mut Printer, limits: &Limits) {
    let Limits { connections, connections_per_client, connection_rate, request_rate, header_bytes, headers } = limits;
    out.section("[limits]", "how much of this machine anybody may take");
    out.bare("connections", connections, "client connections at a time; default 16384");
    out.bare("connections_per_client", connections_per_client, "of one client address; default 4096");
    out.bare("connection_rate", connection_rate, "new connections a second, of one client address; default 1000");
    out.bare("request_rate", request_rate, "new requests a second, of one client address; default 10000");
    out.text("header_bytes", header_bytes, "the longest head, 8 KiB to 1 MiB; default 64 KiB");
    out.bare("headers", headers, "the most fields of a head, 16 to 1000; default 100");
}

fn print_http(out: &mut Printer, Http { pseudonym, ports }: &Http) {
    out.section("[http]", "how the proxy speaks HTTP");
    out.text("pseudonym", pseudonym, "the name in Via and Proxy-Status; default anabranch");
    let text = ports.to_string();
    let ranges: Vec<_> = text.split(',').filter(|range| !range.is_empty()).collect();
    out.list("ports", &ranges, "ports that requests may go to, CONNECT or not; default 80, 443, 1024-65535");
}

fn print_pac(out: &mut Printer, Pac { direct_domains, direct_networks, chain }: &Pac) {
    out.section("[pac]", "what /proxy.pac and /wpad.dat of every listener tell browsers");
    out.list("direct_domains", direct_domains, "reached without the proxy, with all below them; default: none");
    out.list("direct_networks", direct_networks, "the same for addresses in URLs; default: none");
    out.some("chain", chain, "what is tried for the rest; default: the listener that served the file, then DIRECT");
}

fn print_origin(out: &mut Printer, Origin { allow, keep_alive, idle_per_key }: &Origin) {
    out.section("[origin]", "the servers that clients ask for");
    out.list("allow", allow, "destinations let through although not globally routable; default: none");
    out.time("keep_alive", *keep_alive, "how long an idle connection is kept, or off; default 1 min");
    out.bare("idle_per_key", idle_per_key, "the most idle connections to one server; default 64");
}

fn print_resolver(out: &mut Printer, Resolver { servers, cache }: &Resolver) {
    out.section("[resolver]", "how names become addresses");
    out.list("servers", servers, "name servers; default: those of the system");
    out.bare("cache", cache, "the most names remembered; default 8192");
}

fn print_timeouts(out: &mut Printer, timeouts: &Timeouts) {
    let Timeouts {
        handshake,
        request_head,
        keep_alive,
        dns,
        connect,
        response_head,
        body_idle,
        tunnel_idle,
        tunnel_lifetime,
        half_closed,
        drain,
        handover,
    } = timeouts;
    out.section("[timeouts]", "how long anything may take: ms, s, min, h or d, at most 7 d");
    out.time("handshake", *handshake, "TLS with a client; default 10 s");
    out.time("request_head", *request_head, "a request's head; default 10 s");
    out.time("keep_alive", *keep_alive, "an idle client connection; default 1 min");
    out.time("dns", *dns, "the answer to a name; default 5 s");
    out.time("connect", *connect, "the connection to a server; default 10 s");
    out.time("response_head", *response_head, "a response's head; default 2 min");
    out.time("body_idle", *body_idle, "a body without a byte; default 5 min");
    out.time("tunnel_idle", *tunnel_idle, "a tunnel without a byte, or off; default 1 h");
    out.time("tunnel_lifetime", *tunnel_lifetime, "a tunnel as a whole, or off; default off");
    out.time("half_closed", *half_closed, "a tunnel with one direction ended, without a byte; default 2 min");
    out.time("drain", *drain, "sessions still running when asked to stop; default 30 s");
    out.time("handover", *handover, "the same, once another process has taken over; default 1 h");
}

fn print_log(out: &mut Printer, Log { format, access, level }: &Log) {
    out.section("[log]", "what is written down");
    out.text("format", format, "text or json; default text");
    out.text("access", access, "off, short or full; default short");
    out.text("level", level, "error, warn, info, debug or trace; default info");
}

fn print_control(out: &mut Printer, Control { socket, group }: &Control) {
    out.section("[control]", "the Unix socket that the command line talks to");
    let about = "a path, or off; default: chosen at start";
    match socket {
        ControlSocket::Default => out.line(&format!("# socket: {about}")),
        ControlSocket::Off => out.text("socket", "off", about),
        ControlSocket::At(path) => out.file("socket", Some(path), about),
    }
    out.optional("group", group.as_ref(), "the group that may use it; default: only the own user and root");
}

fn print_sniffer(out: &mut Printer, Sniffer { kernel, interfaces, interval }: &Sniffer) {
    out.section("[sniffer]", "how connections and subflows are watched");
    out.bare("kernel", kernel, "whether this machine's kernel is a witness; default true");
    out.list("interfaces", interfaces, "whose packets are read as well; default: none");
    out.time("interval", *interval, "how often the kernel is asked, 100 ms to 1 min; default 1 s");
}

fn print_listener(out: &mut Printer, listener: &Listener) {
    let Listener {
        name,
        mode,
        address,
        ipv6_only,
        clients,
        transport,
        congestion,
        backlog,
        fast_open,
        source,
        tls,
        credentials,
    } = listener;
    out.section("[[listener]]", "where clients come in, and which");
    out.text("name", name, "default: the address");
    out.text("mode", mode, "what clients speak; default http");
    out.text("address", address, "where it listens");
    out.bare("ipv6_only", ipv6_only, "whether [::] leaves IPv4 alone; default false");
    out.list("clients", clients, "who may use it; default: this machine");
    out.text("transport", transport, "auto, mptcp or tcp; default auto: MPTCP where the kernel has it");
    out.text("congestion", congestion, "of the socket and every subflow; default cubic");
    out.bare("backlog", backlog, "the most connections that wait to be accepted; default 4096");
    match fast_open {
        Some(queue) => {
            out.bare("fast_open", queue, "the most TCP Fast Open requests that wait, or \"off\"; default off")
        }
        None => out.text("fast_open", "off", "the most TCP Fast Open requests that wait; default off"),
    }
    let v4 = source.v4.map(|v4| v4.to_string());
    let sources: Vec<_> = v4.into_iter().chain(source.v6.map(|v6| v6.to_string())).collect();
    out.list("source", &sources, "where connections to servers come from; default: the kernel's choice");
    let tls_about = "certificate chain and key in PEM; default: none, in the clear";
    match tls {
        Some(tls) => {
            let [certificate, key] = [&tls.certificate, &tls.key].map(|path| quote(&path.display().to_string()));
            out.bare("tls", format_args!("{{ certificate = {certificate}, key = {key} }}"), tls_about);
        }
        None => out.line(&format!("# tls: {tls_about}")),
    }
    out.file("credentials", credentials.as_deref(), "the file of users and password hashes; default: none asked for");
}

#[cfg(test)]
mod tests;
