//! What gives programs MPTCP that know nothing of it.

use std::fs;
use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anabranch_deploy::client::seen::Hook;
use anabranch_deploy::client::setup::{BPF_FS, Journal, Step, pin};
use anabranch_kernel::bpf::{BpfError, Multipath, fs_mounted, has_function};
use anabranch_kernel::sockopt::netns_cookie;
use socket2::{Domain, Protocol, Type};

use crate::http::chain;

/// How long a process's name is, as the kernel has it.
const NAME: usize = 15;

/// The names of programs that get what they ask for: those that were named, and our own. The proxy's connections to origins are plain
/// TCP, and the doctor compares both.
pub(super) fn excepted(program: &Path, named: &[String]) -> Vec<String> {
    let own = program.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut all: Vec<String> = vec!["anabranch".to_owned()];
    for name in own.iter().chain(named) {
        // Of a name cut off within a character the door to the kernel cuts the rest.
        let name = name.get(..NAME).unwrap_or(name).to_owned();
        if !name.is_empty() && !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

/// Whether BPF can do it here: tried by attaching a program for a namespace that there is not, where we may.
pub(super) fn look(root: &Path, journal: Option<&Journal>) -> Hook {
    let place = root.join(BPF_FS);
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !known.lines().any(|line| line.trim_end().ends_with("\tbpf")) || !place.is_dir() {
        return Hook::Not(format!("there is no {} to pin a program in", place.display()));
    }
    let socket = match UdpSocket::bind("127.0.0.1:0").or_else(|_| UdpSocket::bind("[::1]:0")) {
        Ok(socket) => socket,
        Err(error) => return Hook::Not(chain(&error)),
    };
    let namespace = match netns_cookie(socket.as_fd()) {
        Ok(namespace) => namespace,
        Err(error) => return Hook::Not(chain(&error)),
    };
    // The program answers for both families: where MPTCP has no IPv6 (CONFIG_MPTCP_IPV6), programs would lose it.
    let mptcp = socket2::Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::MPTCP));
    if mptcp.is_err_and(|error| error.raw_os_error() == Some(nix::libc::EPROTONOSUPPORT)) {
        return Hook::Not("the kernel has no MPTCP over IPv6 (CONFIG_MPTCP_IPV6)".to_owned());
    }
    let tried = match Multipath::attach(0, &[] as &[&str]) {
        Ok(_) => true,
        Err(BpfError::NotPermitted { .. }) if !nix::unistd::geteuid().is_root() => {
            match has_function("update_socket_protocol") {
                Ok(true) => false,
                Ok(false) => return Hook::Not("the kernel has no update_socket_protocol: it is of 6.6".to_owned()),
                Err(error) => return Hook::Not(chain(&error)),
            }
        }
        Err(error) => return Hook::Not(chain(&error)),
    };
    let pinned = root.join(pin(namespace)).exists();
    let attached = journal.filter(|_| pinned).and_then(|journal| {
        journal.steps.iter().find_map(|step| match step {
            Step::Programs { namespace: of, except, .. } if *of == namespace => Some(except.clone()),
            _ => None,
        })
    });
    let passing = is_machines(&place) == Some(false);
    Hook::Bpf { namespace, tried, mounted: fs_mounted(&place), passing, attached }
}

/// Whether what is mounted at a place, or would be, is what the machine's first process has there; `None` where that cannot be seen.
fn is_machines(place: &Path) -> Option<bool> {
    let first = Path::new("/proc/1/root").join(place.strip_prefix("/").ok()?);
    if fs_mounted(place) {
        return Some(fs::metadata(place).ok()?.dev() == fs::metadata(first).ok()?.dev());
    }
    let mounts = |process: &str| fs::read_link(format!("/proc/{process}/ns/mnt")).ok();
    Some(mounts("self")? == mounts("1")?)
}

/// Forgets programs whose pins are gone, where pins can be seen: among mounts of its own a command would miss those of the machine.
pub(super) fn forget(root: &Path, journal: &mut Journal) {
    let place = root.join(BPF_FS);
    if fs_mounted(&place) && is_machines(&place) == Some(true) {
        journal.forget_programs(|namespace| root.join(pin(namespace)).exists());
    }
}

/// Whether a program is.
pub(super) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain([Path::new("/usr/bin").to_owned()]).any(|place| place.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_programs_are_always_excepted_and_no_name_is_there_twice() {
        let of = |program: &str, named: &[&str]| {
            excepted(Path::new(program), &named.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(of("/usr/bin/anabranch", &[]), ["anabranch"]);
        let all = of("/opt/anabranch-of-today-1.2", &["sshd", "anabranch", "a-name-that-is-too-long"]);
        assert_eq!(all, ["anabranch", "anabranch-of-to", "sshd", "a-name-that-is-"]);
    }
}
