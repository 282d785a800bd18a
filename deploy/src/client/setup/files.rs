//! Files: where programs find the proxy, and who has the set-up done again.

use super::{Keeper, Step, Wanted};

/// What every file of ours begins with.
pub(super) const MARK: &str = "# Written by `anabranch client setup`; `anabranch client setup --undo` takes it away.\n";

/// What dhcpcd sources after a change.
pub(super) const DHCPCD: &str = "etc/dhcpcd.exit-hook";

/// What is never to go by the proxy, for it would refuse it.
const DIRECT: &str = "localhost,127.0.0.1,::1,.local";

/// A file as it is to be: its path below the root, its text, whether it is a script.
pub(super) type Whole = (&'static str, String, bool);

/// The files that are not yet as they are to be.
pub(super) fn files(wanted: &Wanted, keeper: Keeper, has: impl Fn(&str) -> Option<String>) -> Vec<Step> {
    let mut all = everywhere(wanted, keeper);
    all.extend(hooks(wanted, keeper, &has));
    let step = |(path, text, executable): Whole| {
        let former = has(path);
        (former.as_ref() != Some(&text)).then(|| Step::File {
            path: path.to_owned(),
            former,
            text,
            earlier: None,
            executable,
        })
    };
    all.into_iter().filter_map(step).collect()
}

/// What has systemd know of new units; nothing where none of the steps is one.
pub(super) fn to_be_loaded(steps: &[Step]) -> Option<String> {
    let words = "systemctl daemon-reload && systemctl restart anabranch-client.path";
    let unit = |step: &Step| matches!(step, Step::File { path, .. } if path.starts_with("etc/systemd/"));
    steps.iter().any(unit).then(|| format!("systemd knows its new units at the next boot, or after: {words}"))
}

/// Where programs find the proxy.
pub(super) fn everywhere(wanted: &Wanted, keeper: Keeper) -> Vec<Whole> {
    let mut all = vec![("etc/profile.d/anabranch.sh", profile(wanted), false)];
    if keeper != Keeper::OpenWrt {
        all.push(("etc/environment.d/60-anabranch.conf", environment(wanted), false));
    }
    if wanted.apt {
        all.push(("etc/apt/apt.conf.d/60anabranch", apt(wanted), false));
    }
    all
}

/// What has the set-up done again.
pub(super) fn hooks(wanted: &Wanted, keeper: Keeper, has: impl Fn(&str) -> Option<String>) -> Vec<Whole> {
    let mut all = Vec::new();
    match keeper {
        // Not 60-anabranch: that one is the package's.
        Keeper::OpenWrt => all.push(("etc/hotplug.d/iface/61-anabranch-client", hotplug(wanted), false)),
        Keeper::NetworkManager => all.push(("etc/NetworkManager/dispatcher.d/60-anabranch", dispatcher(wanted), true)),
        Keeper::Ifupdown => {
            all.push(("etc/network/if-up.d/anabranch", script(wanted, ""), true));
            all.push(("etc/network/if-post-down.d/anabranch", script(wanted, ""), true));
            // ifupdown does not hear of a new lease, nor of a cable; its DHCP client does.
            all.push(("etc/dhcp/dhclient-exit-hooks.d/anabranch", leased(wanted), false));
            // The one file there is: with a script of somebody else's in it, it is theirs.
            if has(DHCPCD).is_none_or(|text| text.starts_with(MARK)) {
                all.push((DHCPCD, leased(wanted), false));
            }
        }
        Keeper::Networkd => all.extend([
            ("etc/systemd/system/anabranch-client.service", service(wanted), false),
            ("etc/systemd/system/anabranch-client.timer", format!("{MARK}{TIMER}"), false),
            ("etc/systemd/system/anabranch-client.path", format!("{MARK}{PATHS}"), false),
            // What `systemctl enable` would link: a unit that another wants.
            ("etc/systemd/system/multi-user.target.d/60-anabranch-client.conf", format!("{MARK}{WANTS}"), false),
        ]),
        Keeper::Nobody => {}
    }
    all
}

/// The variables that programs read; most read the small ones only, some the large ones.
fn variables(wanted: &Wanted) -> [(&'static str, String); 6] {
    let proxy = format!("http://{}", wanted.proxy);
    let direct = DIRECT.to_owned();
    [
        ("http_proxy", proxy.clone()),
        ("https_proxy", proxy.clone()),
        ("no_proxy", direct.clone()),
        // HTTP_PROXY is left out: CGI programs take a client's header for it.
        ("HTTPS_PROXY", proxy.clone()),
        ("ALL_PROXY", proxy),
        ("NO_PROXY", direct),
    ]
}

fn profile(wanted: &Wanted) -> String {
    let lines = variables(wanted).map(|(name, value)| format!("export {name}=\"{value}\"\n"));
    format!("{MARK}{}", lines.concat())
}

fn environment(wanted: &Wanted) -> String {
    let lines = variables(wanted).map(|(name, value)| format!("{name}=\"{value}\"\n"));
    format!("{MARK}{}", lines.concat())
}

fn apt(wanted: &Wanted) -> String {
    let proxy = &wanted.proxy;
    let mark = MARK.replacen('#', "//", 1);
    format!("{mark}Acquire::http::Proxy \"http://{proxy}\";\nAcquire::https::Proxy \"http://{proxy}\";\n")
}

fn again(wanted: &Wanted) -> String {
    format!("{} client setup --again", wanted.program)
}

fn script(wanted: &Wanted, before: &str) -> String {
    // A link that came up must come up whatever becomes of this.
    format!("#!/bin/sh\n{MARK}{before}{} || :\n", again(wanted))
}

fn dispatcher(wanted: &Wanted) -> String {
    // Of another address it tells before it has given it to the kernel.
    let late = "dhcp4-change | dhcp6-change | reapply) sleep 1 ;;";
    script(wanted, &format!("case \"${{2:-}}\" in up | down) ;; {late} *) exit 0 ;; esac\n"))
}

/// Sourced by dhclient and by dhcpcd, which give the reason by the same name.
fn leased(wanted: &Wanted) -> String {
    let nothing = "PREINIT* | MEDIUM | ARPCHECK | ARPSEND | TEST | DUMP | CARRIER";
    // dhclient takes the last status for the hook's.
    format!("{MARK}case \"$reason\" in {nothing}) ;; *) {} || : ;; esac\n", again(wanted))
}

fn hotplug(wanted: &Wanted) -> String {
    // Sourced, not run: so it must not end the shell that sources it.
    format!("{MARK}case \"$ACTION\" in ifup | ifupdate | ifdown) {} || : ;; esac\n", again(wanted))
}

fn service(wanted: &Wanted) -> String {
    // No limit: a link that flaps would else end the watching for good. Without a state file there is nothing to do again.
    format!(
        "{MARK}[Unit]\nDescription=Routes and endpoints of every link for anabranch\nAfter=network.target\n\
         ConditionPathExists=/var/lib/anabranch/client-setup.json\nStartLimitIntervalSec=0\n\n[Service]\nType=oneshot\nExecStart={}\n",
        again(wanted)
    )
}

/// Not `/run/systemd/netif/state`, which is the whole machine's and stays as it is when a link gets another address.
const PATHS: &str = "[Unit]\nDescription=Watches the links for anabranch\n\n[Path]\nPathChanged=/run/systemd/netif/links\n\
Unit=anabranch-client.timer\n";

/// A second later, for networkd tells of a change in several pieces; and what changes while the service runs starts the timer again,
/// where it would be lost on the service.
const TIMER: &str = "[Unit]\nDescription=Waits for the links to settle for anabranch\nStartLimitIntervalSec=0\n\n[Timer]\n\
OnActiveSec=1s\nAccuracySec=100ms\nRemainAfterElapse=no\n";

const WANTS: &str = "[Unit]\nWants=anabranch-client.path anabranch-client.timer\n";
