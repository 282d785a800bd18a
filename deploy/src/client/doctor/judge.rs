//! Evidence in, verdicts out. The order of the questions is the order in which one trouble hides another.

use std::net::IpAddr;

use super::verdict::{Culprit, Diagnosis, Verdict, mbit};
use super::{Attempt, Evidence, Large, LinkEvidence, Machine, Together};
use crate::client::view::EdgeView;

/// What is to blame, the evidence, what mends it.
type Found = (Culprit, String, String);

fn found(culprit: Culprit, evidence: impl Into<String>, mend: impl Into<String>) -> Found {
    (culprit, evidence.into(), mend.into())
}

/// Says of every link, and of all together, what is wrong.
#[must_use]
pub fn judge(evidence: &Evidence) -> Diagnosis {
    let mut verdicts = Vec::new();
    for (link, why) in &evidence.idle {
        let mend = format!("ip link set {link} up, and give it an address; or leave it out (--link)");
        verdicts.push(verdict(link.clone(), found(Culprit::LinkDown, why.clone(), mend), None));
    }
    let mut well = Vec::new();
    for link in &evidence.links {
        let subject = format!("{} from {}", link.name, link.address);
        let judged = of_link(link, evidence);
        if judged.0 == Culprit::None {
            well.push(link);
        }
        verdicts.push(verdict(subject, judged, link.rate));
    }
    for together in &evidence.together {
        verdicts.extend(of_all(together, &well, &evidence.machine));
    }
    Diagnosis::new(verdicts)
}

fn verdict(subject: String, (culprit, evidence, mend): Found, rate: Option<u64>) -> Verdict {
    Verdict { subject, culprit, evidence, mend, rate }
}

fn of_link(link: &LinkEvidence, evidence: &Evidence) -> Found {
    reach(link, &evidence.proxy)
        .or_else(|| size(link))
        .or_else(|| mptcp(link, &evidence.machine))
        .unwrap_or_else(|| found(Culprit::None, well(link), ""))
}

fn well(link: &LinkEvidence) -> String {
    let translated = link.mptcp.view().filter(|view| view.client.ip().to_canonical() != link.address);
    let translated = translated.map(|view| format!(", seen there as {}", view.client.ip().to_canonical()));
    format!("MPTCP reaches the proxy intact{}", translated.unwrap_or_default())
}

/// Whether the proxy is reached at all, by the right way.
fn reach(link: &LinkEvidence, proxy: &str) -> Option<Found> {
    let LinkEvidence { name, address, leaves_by, strict, routed, bound, .. } = link;
    let answered = |attempt: &Attempt| attempt.view().is_some();
    let rule = "anabranch client setup --apply makes the rule (ip rule add from ADDRESS lookup TABLE)";
    match leaves_by.as_deref() {
        None => {
            let words = format!("packets from {address} have no route to the proxy");
            return Some(found(Culprit::NoRoute, words, rule.replace("ADDRESS", &address.to_string())));
        }
        Some(other) if other != name => {
            let mend = rule.replace("ADDRESS", &address.to_string());
            let words = format!("packets from {address} leave by {other}: the rule for them is missing");
            // The answers do come in here; the kernel asks where it would send such packets, and drops them.
            return Some(if *strict && !(answered(routed) && answered(bound)) {
                let words = format!("{words}, and strict reverse path filtering (rp_filter 1) drops the answers");
                found(Culprit::StrictFilter, words, format!("{mend}; or sysctl -w net.ipv4.conf.{name}.rp_filter=2"))
            } else {
                found(Culprit::WrongRoute, words, mend)
            });
        }
        Some(_) => {}
    }
    if answered(routed) && answered(bound) {
        return None;
    }
    if answered(routed) {
        let words = format!("packets leave by {name}, the answers come back by another link");
        let mend = "the network between must route the address back over the link it belongs to";
        return Some(found(Culprit::Asymmetric, words, mend));
    }
    // Held to the link or not, it is the same trouble; the routed one has seen it as programs do.
    Some(unanswered(routed, *address, proxy))
}

/// What it means that the proxy does not answer as it ought to.
fn unanswered(attempt: &Attempt, address: IpAddr, proxy: &str) -> Found {
    match attempt {
        Attempt::Refused => {
            let mend = "is the proxy running, and on this port? or a firewall on the way rejects it";
            found(Culprit::BlockedPort, format!("{proxy} refuses connections from here (reset)"), mend)
        }
        Attempt::NoConnection | Attempt::Skipped | Attempt::Answered { .. } => {
            let words = format!("{proxy} does not answer over this link: the SYN or its answer is dropped");
            found(Culprit::BlockedPort, words, "a firewall on the way (or at the edge) drops this port; open it")
        }
        Attempt::Impossible(why) => {
            found(Culprit::NoRoute, format!("cannot connect: {why}"), "check the routes: ip route")
        }
        Attempt::NoAnswer => {
            let words = "the connection is accepted, and then nothing is answered";
            found(Culprit::NotAnabranch, words, "is this an HTTP listener of anabranch?")
        }
        Attempt::Turned(403, words) => {
            let mend = format!("name {address} (or what it is translated to) in the listener's clients");
            found(Culprit::NotAllowed, format!("the proxy turns this address away: {words}"), mend)
        }
        Attempt::Turned(407, words) => {
            let words = format!("the proxy wants credentials: {words}");
            found(Culprit::NotAllowed, words, "give them: --user NAME:PASSWORD")
        }
        Attempt::Turned(429, words) => found(Culprit::Limited, words.clone(), "try again in a minute"),
        Attempt::Turned(status, words) => {
            let words = format!("something answers {status} where anabranch answers the doctor: {words}");
            found(Culprit::NotAnabranch, words, "is this an HTTP listener of anabranch, and not an older one?")
        }
    }
}

/// Whether segments of full size pass.
fn size(link: &LinkEvidence) -> Option<Found> {
    let (direction, fits) = match (link.large_down, link.large_up) {
        (Large::Vanish { fits }, Large::Vanish { fits: other }) => ("in both directions", fits.min(other)),
        (Large::Vanish { fits }, _) => ("towards this machine", fits),
        (_, Large::Vanish { fits }) => ("towards the proxy", fits),
        _ => return None,
    };
    let (most, mend) = match fits {
        Some(fits) => {
            let mend = format!("ip link set {} mtu {fits}; or let ICMP \"fragmentation needed\" through", link.name);
            (format!(", packets of {fits} bytes pass"), mend)
        }
        None => (String::new(), "let ICMP \"fragmentation needed\" through on the way".to_owned()),
    };
    Some(found(Culprit::Mtu, format!("large packets vanish {direction}{most}"), mend))
}

/// Whether MPTCP lasts.
fn mptcp(link: &LinkEvidence, machine: &Machine) -> Option<Found> {
    match machine.mptcp {
        None => {
            return Some(found(
                Culprit::MptcpOff,
                "this kernel has no MPTCP",
                "a kernel of 5.6 or newer built with it",
            ));
        }
        Some(false) => {
            let words = "MPTCP is switched off here (net.mptcp.enabled 0)";
            return Some(found(Culprit::MptcpOff, words, "sysctl -w net.mptcp.enabled=1"));
        }
        Some(true) => {}
    }
    let proxy =
        "a middlebox on this link does it: ask who runs it, try another port (443) or TLS, or leave the link out";
    match &link.mptcp {
        Attempt::Answered { view, .. } => lost(view, link, machine, proxy),
        // Plain TCP had been answered before.
        Attempt::NoConnection => {
            let words = "SYNs that ask for MPTCP are dropped, plain ones are answered";
            Some(found(Culprit::SynBlackholed, words, proxy))
        }
        Attempt::Turned(429, words) => Some(found(Culprit::Limited, words.clone(), "try again in a minute")),
        Attempt::Refused | Attempt::Impossible(_) | Attempt::NoAnswer | Attempt::Turned(..) | Attempt::Skipped => {
            let words = "plain TCP is answered, a connection that asks for MPTCP is not";
            Some(found(Culprit::MptcpLost, words, proxy))
        }
    }
}

fn lost(view: &EdgeView, link: &LinkEvidence, machine: &Machine, mend: &str) -> Option<Found> {
    let why = view.fallback.as_deref()?;
    Some(match (why, link.kept_at_connect) {
        ("not-offered", _) => {
            let mend = "at the edge: sysctl net.mptcp.enabled=1, and transport = \"auto\" for the listener";
            found(Culprit::NotOffered, "the proxy's listener speaks plain TCP only", mend)
        }
        ("no-mptcp-on-syn", _) if machine.gave_up => {
            let words = "this kernel does not ask for MPTCP for a while: SYNs that did were dropped";
            let mend = "sysctl -w net.mptcp.blackhole_timeout=0 makes it ask again; then find the link that drops them";
            found(Culprit::MptcpGaveUp, words, mend)
        }
        ("no-mptcp-on-syn", _) => {
            found(Culprit::SynStripped, "the SYN left with MPTCP and arrived without: options are removed", mend)
        }
        ("lost-after-syn", false) => {
            let words = "the SYN arrived with MPTCP, the answer to it came back without: options are removed";
            found(Culprit::SynAckStripped, words, mend)
        }
        ("lost-after-syn", true) => {
            let words = "the handshake has MPTCP, what follows it arrives at the proxy without: options are removed";
            found(Culprit::StrippedToEdge, words, mend)
        }
        ("lost-towards-client", _) => {
            let words = "the handshake has MPTCP, the proxy's data came back without: options are removed";
            found(Culprit::StrippedToClient, words, mend)
        }
        ("checksum", _) => {
            found(Culprit::Rewritten, "the payload is rewritten on the way: its checksum is wrong", mend)
        }
        (other, _) => found(Culprit::MptcpLost, format!("MPTCP was lost: {other}"), mend),
    })
}

/// What one connection over all links of a family has to say about each that did not join, and about the sum.
fn of_all(together: &Together, well: &[&LinkEvidence], machine: &Machine) -> Vec<Verdict> {
    let same = |link: &&&LinkEvidence| link.address.is_ipv4() == together.first.is_ipv4();
    let links: Vec<_> = well.iter().filter(same).collect();
    let used = |address: IpAddr| address == together.first || together.joined.contains(&address);
    let mut verdicts = Vec::new();
    for link in links.iter().filter(|link| !used(link.address)) {
        let subject = format!("{} joining from {}", link.name, link.address);
        verdicts.push(verdict(subject, of_join(link, together, machine), None));
    }
    let count = links.iter().filter(|link| used(link.address)).count();
    // Of rates that were not measured there is no sum.
    let sum: Option<u64> = links.iter().filter(|link| used(link.address)).map(|link| link.rate).sum();
    let sum = sum.map(|sum| format!(", alone they sum up to {}", mbit(sum))).unwrap_or_default();
    let family = if together.first.is_ipv4() { "IPv4" } else { "IPv6" };
    let kept = together.view.as_ref().map_or(&[][..], |view| &view.subflows);
    let kept = kept.iter().filter(|subflow| subflow.backup == Some(true)).count();
    let kept = if kept > 0 { format!("; the proxy holds {kept} back (a policy)") } else { String::new() };
    let words = match count {
        0 | 1 => format!("one link is used over {family}: nothing to add up"),
        n => format!("{n} links in one connection over {family}{sum}{kept}"),
    };
    if verdicts.is_empty() || count > 1 {
        verdicts.push(verdict(format!("together over {family}"), found(Culprit::None, words, ""), together.rate));
    }
    verdicts
}

fn of_join(link: &LinkEvidence, together: &Together, machine: &Machine) -> Found {
    let setup = "anabranch client setup --apply does it";
    let kernels = machine.path_manager.as_deref().is_none_or(|manager| manager == "kernel");
    if kernels && machine.subflows == Some(0) {
        let words = "this machine allows no subflow beside the first (limits: subflows 0)";
        return found(Culprit::OwnLimit, words, format!("ip mptcp limits set subflows 8; {setup}"));
    }
    if kernels && !link.endpoint {
        let words = format!("no endpoint makes subflows from {}", link.address);
        let mend = format!("ip mptcp endpoint add {} dev {} subflow; {setup}", link.address, link.name);
        return found(Culprit::NoEndpoint, words, mend);
    }
    if kernels && machine.subflows.is_some_and(|most| together.joined.len() >= most as usize) {
        let words = format!("this machine allows no more than {} subflows beside the first", together.joined.len());
        return found(Culprit::OwnLimit, words, format!("ip mptcp limits set subflows 8; {setup}"));
    }
    if together.waiting.contains(&link.address) {
        let words = "the SYN that joins is not answered, a connection of its own is";
        return found(Culprit::JoinSilent, words, "a middlebox on this link drops MP_JOIN; ask who runs it");
    }
    let view = together.view.as_ref();
    if view.is_some_and(|view| view.subflow_limit.is_some_and(|most| together.joined.len() >= most as usize)) {
        let most = view.and_then(|view| view.subflow_limit).unwrap_or_default();
        let words = format!("the proxy allows {most} subflows beside the first");
        return found(Culprit::EdgeLimit, words, "at the edge: ip mptcp limits set subflows 8");
    }
    if !kernels {
        let words = "a program manages paths here (net.mptcp.path_manager userspace), and made no subflow";
        return found(Culprit::OwnManager, words, "sysctl -w net.mptcp.path_manager=kernel, or ask mptcpd");
    }
    let words = match view.and_then(|view| view.path_manager.as_deref()) {
        Some("userspace") => "the proxy refuses to be joined; its path manager is a program: does it run?",
        _ => "the proxy refuses to be joined, though a connection of its own passes this link",
    };
    found(Culprit::JoinRefused, words, "at the edge: anabranch edge check")
}
