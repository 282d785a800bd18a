//! TCP: congestion control, buffers, queues of listeners, ports towards servers.

use anabranch_config::{BitRate, Config, Role, Transport};

use super::super::{Facts, Finding, Key, Mend};
use super::list;

const AVAILABLE: &str = "net/ipv4/tcp_available_congestion_control";
const ALLOWED: &str = "net/ipv4/tcp_allowed_congestion_control";
const SOMAXCONN: &str = "net/core/somaxconn";
const FASTOPEN: &str = "net/ipv4/tcp_fastopen";
const PORTS: &str = "net/ipv4/ip_local_port_range";
const RESERVED: &str = "net/ipv4/ip_local_reserved_ports";

/// Round trips this long are to be filled.
///
/// Units: ms.
const ROUND_TRIP: u64 = 100;
/// The kernel counts its own overhead into a buffer: about half of it is window.
const OVERHEAD: u64 = 2;
/// What one client's links add up to at most where nobody said: a gigabit.
const MOST_GUESSED: u64 = 1_000_000_000;
/// The least that is a buffer at all: 80 Mbit/s at 100 ms.
const LEAST_BUFFER: u64 = 1024 * 1024;
/// No buffer is asked to be larger, whatever the lines carry: it is per connection.
const MOST_BUFFER: u64 = 64 * 1024 * 1024;
/// Fewer ports than this are soon used up by one popular server.
const FEWEST_PORTS: u64 = 1024;
/// As many as Linux has by default, or nearly so.
const PORTS_WANTED: u64 = 16_384;

pub(super) fn all(config: &Config, facts: &Facts) -> Vec<Finding> {
    let [receive, send] = [("receive-buffer", "net/ipv4/tcp_rmem"), ("send-buffer", "net/ipv4/tcp_wmem")];
    vec![
        congestion(config, facts),
        buffer(config, facts, receive),
        buffer(config, facts, send),
        backlog(config, facts),
        fast_open(config, facts),
        ports(config, facts),
    ]
}

fn congestion(config: &Config, facts: &Facts) -> Finding {
    let why = "a subflow with another congestion control than the first loses a quarter of the sum";
    let ok = |evidence: String| Finding::ok("congestion-control", evidence, why);
    let words = |path| facts.sysctl(path).unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (available, mut allowed) = (words(AVAILABLE), words(ALLOWED));
    let mut wanted: Vec<_> = config.listeners.iter().map(|listener| listener.congestion.as_str().to_owned()).collect();
    wanted.sort();
    wanted.dedup();
    let missing = wanted.iter().find(|name| !available.contains(name)).filter(|_| !available.is_empty());
    if let Some(name) = missing {
        let evidence = format!("{name} is not there; there are {}", list(&available));
        return ok(evidence).fail(Mend::Command(format!("modprobe tcp_{name}")));
    }
    let refused: Vec<_> = wanted.iter().filter(|name| !allowed.contains(name)).cloned().collect();
    if refused.is_empty() || allowed.is_empty() {
        return ok(format!("{}; allowed without a capability: {}", list(&wanted), list(&allowed)));
    }
    let evidence = format!("{} takes CAP_NET_ADMIN here; without are allowed: {}", list(&refused), list(&allowed));
    allowed.extend(refused);
    let mend = Mend::sysctl(ALLOWED, allowed.join(" "));
    // The packaged proxy holds none, whoever checks.
    let without = config.process.role == Role::Proxy || !facts.holds("CAP_NET_ADMIN");
    if without { ok(evidence).fail(mend) } else { ok(evidence).advise(mend) }
}

/// What a client's links add up to.
struct Rates {
    /// As far as somebody has said it: the sum of `line`.
    said: u64,
    /// At most: a path without a `line` gives a client no more than the whole path carries, and none more than the edge's own links do.
    most: u64,
}

fn rates(config: &Config, facts: &Facts) -> Rates {
    let fastest = facts.lines().filter_map(|link| link.megabits).max().map(|megabits| u64::from(megabits) * 1_000_000);
    let guess = fastest.unwrap_or(MOST_GUESSED).min(MOST_GUESSED);
    let sum = |rates: &mut dyn Iterator<Item = u64>| rates.fold(0, u64::saturating_add);
    let bits = BitRate::bits_per_second;
    let said = sum(&mut config.paths.iter().filter_map(|path| path.line).map(bits));
    let most = sum(&mut config.paths.iter().map(|path| path.line.or(path.capacity).map_or(guess, bits)));
    let unsaid = config.paths.iter().any(|path| path.line.is_none());
    let most = match most {
        0 => guess,
        // A line is what was said, whatever the links tell of themselves.
        most if unsaid => most.min(guess).max(said),
        most => most,
    };
    Rates { said, most }
}

fn buffer(config: &Config, facts: &Facts, (name, path): (&str, &str)) -> Finding {
    let key = Key::new(path);
    let ok =
        |evidence: String| Finding::ok(name, evidence, "a connection fills its links only as far as its buffers reach");
    let said = facts.sysctl(path).unwrap_or_default();
    let numbers: Vec<u64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let &[least, default, most] = &numbers[..] else {
        return ok(format!("{key} cannot be read")).advise(Mend::Command(format!("sysctl {key}")));
    };
    let rates = rates(config, facts);
    let needed = |rate: u64| (rate / 8 * ROUND_TRIP / 1000 * OVERHEAD).clamp(LEAST_BUFFER, MOST_BUFFER);
    let wanted = needed(rates.most);
    let reach = u128::from(most / OVERHEAD) * 8 * 1000 / u128::from(ROUND_TRIP) / 1_000_000;
    let whose = if rates.said == rates.most { "the configured lines carry" } else { "a client may have" };
    let evidence = format!(
        "{key} goes up to {most}: {reach} Mbit/s at {ROUND_TRIP} ms; {whose} {} Mbit/s together",
        rates.most.div_ceil(1_000_000)
    );
    let value = wanted.next_multiple_of(LEAST_BUFFER);
    let mend = Mend::sysctl(path, format!("{least} {} {value}", default.min(value)));
    if most >= wanted {
        ok(evidence)
    } else if most < needed(rates.said) {
        ok(evidence).fail(mend)
    } else {
        ok(evidence).advise(mend)
    }
}

fn backlog(config: &Config, facts: &Facts) -> Finding {
    let wanted = config.listeners.iter().map(|listener| u64::from(listener.backlog)).max().unwrap_or_default();
    let ok = |evidence: String| {
        Finding::ok(
            "backlog",
            evidence,
            "connections that come in a burst and find no place wait for a second, and more",
        )
    };
    match facts.number(SOMAXCONN) {
        Some(most) if most < wanted => ok(format!("net.core.somaxconn = {most}, listeners ask for {wanted}"))
            .advise(Mend::sysctl(SOMAXCONN, wanted)),
        Some(most) => ok(format!("net.core.somaxconn = {most}, listeners ask for {wanted}")),
        None => ok("net.core.somaxconn cannot be read".to_owned()),
    }
}

fn fast_open(config: &Config, facts: &Facts) -> Finding {
    let wanted = config.listeners.iter().any(|listener| listener.fast_open.is_some());
    let ok = |evidence: String| {
        Finding::ok("fast-open", evidence, "a listener takes data in the SYN only where the kernel's servers may")
    };
    let value = facts.number(FASTOPEN).unwrap_or_default();
    match (wanted, value & 2) {
        (false, _) => ok("no listener asks for it".to_owned()),
        (true, 0) => ok(format!("net.ipv4.tcp_fastopen = {value}")).fail(Mend::sysctl(FASTOPEN, value | 2)),
        (true, _) => ok(format!("net.ipv4.tcp_fastopen = {value}")),
    }
}

fn ports(config: &Config, facts: &Facts) -> Finding {
    let ok = |evidence: String| {
        Finding::ok("port-range", evidence, "every connection to the same server takes a port of its own")
    };
    let said = facts.sysctl(PORTS).unwrap_or_default();
    let ends: Vec<u64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let &[first, last] = &ends[..] else {
        return ok("net.ipv4.ip_local_port_range cannot be read".to_owned());
    };
    let count = (last + 1).saturating_sub(first);
    let wanted = PORTS_WANTED.min(config.limits.connections.into());
    let evidence = format!("{first} to {last}: {count} connections to one server and port");
    let mend = || Mend::sysctl(PORTS, "16384 60999");
    if count < FEWEST_PORTS.min(wanted) {
        return ok(evidence).fail(mend());
    }
    if count < wanted {
        return ok(evidence).advise(mend());
    }
    // A port a connection happens to leave from is one a listener cannot have at its next start.
    let reserved = facts.sysctl(RESERVED).unwrap_or_default();
    let inside =
        config.listeners.iter().filter(|listener| listener.transport != Transport::Tcp || listener.address.port() > 0);
    let exposed: Vec<u16> = inside
        .map(|listener| listener.address.port())
        .filter(|&port| (first..=last).contains(&port.into()) && !is_reserved(reserved, port))
        .collect();
    if exposed.is_empty() {
        return ok(evidence);
    }
    let all = reserved.split(',').map(str::to_owned).filter(|word| !word.is_empty());
    let all: Vec<_> = all.chain(exposed.iter().map(ToString::to_string)).collect();
    ok(format!("{evidence}; among them a listener's own: {}", list(&exposed)))
        .advise(Mend::sysctl(RESERVED, all.join(",")))
}

/// Whether a list such as `3128,8000-8080` names a port.
fn is_reserved(listed: &str, port: u16) -> bool {
    listed.split(',').any(|word| {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let ends = (first.trim().parse::<u16>(), last.trim().parse::<u16>());
        matches!(ends, (Ok(first), Ok(last)) if (first..=last).contains(&port))
    })
}
