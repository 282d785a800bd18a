//! Files: where programs find the proxy, and who has the set-up done again.

use super::{Keeper, Step, Wanted};

/// What every file of ours begins with.
const MARK: &str = "# Written by `anabranch client setup`; `anabranch client setup --undo` takes it away.\n";

/// What is never to go by the proxy, for it would refuse it.
const DIRECT: &str = "localhost,127.0.0.1,::1,.local";

/// The files that are not yet as they are to be.
pub(super) fn files(wanted: &Wanted, keeper: Keeper, has: impl Fn(&str) -> Option<String>) -> Vec<Step> {
    let mut all = vec![("etc/profile.d/anabranch.sh", profile(wanted), false)];
    if keeper != Keeper::OpenWrt {
        all.push(("etc/environment.d/60-anabranch.conf", environment(wanted), false));
    }
    if wanted.apt {
        all.push(("etc/apt/apt.conf.d/60anabranch", apt(wanted), false));
    }
    match keeper {
        Keeper::OpenWrt => all.push(("etc/hotplug.d/iface/60-anabranch", hotplug(wanted), false)),
        Keeper::NetworkManager => all.push(("etc/NetworkManager/dispatcher.d/60-anabranch", dispatcher(wanted), true)),
        Keeper::Ifupdown => all.push(("etc/network/if-up.d/anabranch", script(wanted, ""), true)),
        Keeper::Networkd => all.extend([
            ("etc/systemd/system/anabranch-client.service", service(wanted), false),
            ("etc/systemd/system/anabranch-client.path", PATH_UNIT.to_owned(), false),
            // What `systemctl enable` would link: a unit that another wants.
            ("etc/systemd/system/multi-user.target.d/60-anabranch-client.conf", format!("{MARK}{WANTS}"), false),
        ]),
        Keeper::Nobody => {}
    }
    let step = |(path, text, executable): (&str, String, bool)| {
        let former = has(path);
        (former.as_ref() != Some(&text)).then(|| Step::File { path: path.to_owned(), former, text, executable })
    };
    all.into_iter().filter_map(step).collect()
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
    let before = "case \"${2:-}\" in up | down | dhcp4-change | dhcp6-change | reapply) ;; *) exit 0 ;; esac\n";
    script(wanted, before)
}

fn hotplug(wanted: &Wanted) -> String {
    // Sourced, not run: so it must not end the shell that sources it.
    format!("{MARK}case \"$ACTION\" in ifup | ifupdate | ifdown) {} || : ;; esac\n", again(wanted))
}

fn service(wanted: &Wanted) -> String {
    format!(
        "{MARK}[Unit]\nDescription=Routes and endpoints of every link for anabranch\nAfter=network.target\n\n[Service]\nType=oneshot\n\
         ExecStart={}\n",
        again(wanted)
    )
}

const PATH_UNIT: &str = "# Written by `anabranch client setup`; `anabranch client setup --undo` takes it away.\n[Unit]\n\
Description=Watches the links for anabranch\n\n[Path]\nPathChanged=/run/systemd/netif/state\n";

const WANTS: &str = "[Unit]\nWants=anabranch-client.path anabranch-client.service\n";
