//! Does steps, and takes them back.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use anabranch_deploy::client::seen::Net;
use anabranch_deploy::client::setup::{BPF_FS, Step, pin};
use anabranch_kernel::bpf::{self, BpfError, Multipath, PinError};
use anabranch_kernel::link::Links;
use anabranch_kernel::mptcp_pm::{Endpoint, EndpointFlags, Limits, MptcpPmError, PathManager};
use anabranch_kernel::netlink::NetlinkError;
use anabranch_kernel::route::{self, Family, Route, Routes, Rule};
use nix::libc;
use thiserror::Error;

use super::state;

/// Why a step could not be done.
#[derive(Debug, Error)]
pub(super) enum ActError {
    /// A route, a rule or a link.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// An endpoint or a limit.
    #[error(transparent)]
    Paths(#[from] MptcpPmError),
    /// The program that gives sockets MPTCP.
    #[error(transparent)]
    Bpf(#[from] BpfError),
    /// Its pin.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// A file or a sysctl.
    #[error("{0}")]
    File(String, #[source] io::Error),
    /// The link has gone meanwhile.
    #[error("there is no link {0} any more")]
    NoLink(String),
}

/// Does one step; directories that had to be made are added to `made`.
pub(super) fn apply(root: &Path, step: &Step, made: &mut Vec<String>) -> Result<(), ActError> {
    match step {
        Step::Sysctl { key, value, .. } => sysctl(key, value),
        Step::Route { .. } => Ok(Routes::open()?.add_route(&the_route(step)?)?),
        Step::Rule { from, table, priority } => Ok(Routes::open()?.add_rule(&the_rule(*from, *table, *priority))?),
        Step::Limits { set, .. } => limits(*set),
        Step::Endpoint { address, link } => {
            let flags = EndpointFlags::SUBFLOW;
            let endpoint = Endpoint { id: 0, address: *address, port: None, flags, interface: Some(index(link)?) };
            Ok(PathManager::open()?.add_endpoint(&endpoint)?)
        }
        Step::BpfFs => {
            let at = root.join(BPF_FS);
            bpf::mount_fs(&at).map_err(|error| ActError::File(at.display().to_string(), error))
        }
        Step::Programs { namespace, except, .. } => attach(root, *namespace, except),
        Step::File { path, text, executable, .. } => {
            let whole = root.join(path);
            let fail = |error| ActError::File(whole.display().to_string(), error);
            made.extend(state::make_way(root, path).map_err(fail)?);
            state::write_file(&whole, text, *executable).map_err(fail)
        }
    }
}

/// Takes one step back; what is gone already is well. What somebody has changed since stays, and is told.
pub(super) fn undo(root: &Path, step: &Step) -> Result<Option<String>, ActError> {
    match step {
        Step::Sysctl { key, former, value } => {
            let now = fs::read_to_string(place(key)).unwrap_or_default();
            if now.trim() != value {
                return Ok(
                    (now.trim() != former).then(|| format!("{key} is {}: somebody has set it since", now.trim()))
                );
            }
            sysctl(key, former)?;
        }
        Step::Route { .. } => match the_route(step) {
            // With the link went its routes.
            Err(ActError::NoLink(_)) => {}
            route => gone(Routes::open()?.delete_route(&route?))?,
        },
        Step::Rule { from, table, priority } => {
            gone(Routes::open()?.delete_rule(&the_rule(*from, *table, *priority)))?;
        }
        Step::Limits { former, set } => {
            let now = PathManager::open()?.limits()?;
            if (now.subflows, now.add_addr_accepted) == *set {
                limits(*former)?;
            } else if (now.subflows, now.add_addr_accepted) != *former {
                return Ok(Some("the limits of the path manager have been set since: left as they are".to_owned()));
            }
        }
        Step::Endpoint { address, .. } => {
            let mut manager = PathManager::open()?;
            let ours = |endpoint: &Endpoint| endpoint.address == *address && endpoint.flags == EndpointFlags::SUBFLOW;
            for endpoint in manager.endpoints()?.into_iter().filter(ours) {
                manager.delete_endpoint(&endpoint)?;
            }
        }
        Step::BpfFs => {
            let at = root.join(BPF_FS);
            // With pins of somebody else's in it, it is in use.
            bpf::unmount_fs(&at).map_err(|error| ActError::File(at.display().to_string(), error))?;
        }
        // The one that is there stays until this one takes its place; or for good, where that fails.
        Step::Programs { namespace, former: Some(former), .. } => attach(root, *namespace, former)?,
        Step::Programs { namespace, former: None, .. } => {
            let path = root.join(pin(*namespace));
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(ActError::File(path.display().to_string(), error));
                }
                _ => drop(path.parent().map(fs::remove_dir)),
            }
        }
        Step::File { path, former, text, earlier, .. } => {
            let ours = [Some(text), earlier.as_ref()];
            return undo_file(&root.join(path), former.as_deref(), ours);
        }
    }
    Ok(None)
}

fn attach(root: &Path, namespace: u64, except: &[String]) -> Result<(), ActError> {
    let path = root.join(pin(namespace));
    let parent = path.parent().unwrap_or(root);
    fs::create_dir_all(parent).map_err(|error| ActError::File(parent.display().to_string(), error))?;
    Ok(Multipath::attach(namespace, except)?.pin(&path)?)
}

fn undo_file(path: &Path, former: Option<&str>, ours: [Option<&String>; 2]) -> Result<Option<String>, ActError> {
    let fail = |error| ActError::File(path.display().to_string(), error);
    let now = match fs::read_to_string(path) {
        Ok(now) => Some(now),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(fail(error)),
    };
    if now.as_deref() == former {
        return Ok(None);
    }
    if !ours.contains(&now.as_ref()) {
        return Ok(Some(format!("{} has been changed since: left as it is", path.display())));
    }
    match former {
        Some(former) => state::write_file(path, former, false).map_err(fail)?,
        None => fs::remove_file(path).map_err(fail)?,
    }
    Ok(None)
}

fn gone(done: Result<(), NetlinkError>) -> Result<(), ActError> {
    match done {
        Err(error) if matches!(error.errno(), Some(libc::ESRCH | libc::ENOENT | libc::ENODEV)) => Ok(()),
        done => Ok(done?),
    }
}

fn place(key: &str) -> String {
    format!("/proc/sys/{}", key.replace('.', "/"))
}

fn sysctl(key: &str, value: &str) -> Result<(), ActError> {
    fs::write(place(key), value).map_err(|error| ActError::File(place(key), error))
}

fn limits((subflows, add_addr_accepted): (u32, u32)) -> Result<(), ActError> {
    Ok(PathManager::open()?.set_limits(Limits { subflows, add_addr_accepted })?)
}

fn index(name: &str) -> Result<u32, ActError> {
    let link = Links::open()?.find(name)?;
    link.map(|link| link.index).ok_or_else(|| ActError::NoLink(name.to_owned()))
}

fn the_route(step: &Step) -> Result<Route, ActError> {
    let Step::Route { table, to, gateway, source, link } = step else {
        return Err(ActError::NoLink(String::new()));
    };
    let Net { address, length } = *to;
    Ok(Route {
        table: *table,
        to: route::Net { address, length },
        gateway: *gateway,
        interface: Some(index(link)?),
        source: *source,
        metric: None,
        unicast: true,
    })
}

fn the_rule(from: IpAddr, table: u32, priority: u32) -> Rule {
    let length = if from.is_ipv4() { 32 } else { 128 };
    let from = route::Net { address: from, length };
    Rule { family: Family::of(from.address), priority, from: Some(from), table, plain: true }
}
