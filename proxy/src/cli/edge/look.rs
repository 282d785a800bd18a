//! Looking at the machine: what is there, and nothing about what ought to be.
//!
//! Changes nothing. What cannot be seen is told with the reason, and the rest goes on.

mod door;
mod kernel;
mod link;
mod process;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anabranch_config::Config;
use anabranch_deploy::edge::Facts;
use anabranch_deploy::edge::facts::{Clock, Dns};

use crate::door::servers;
use crate::http::authority::DnsName;
use crate::http::chain;
use crate::origin::resolve::{DnsError, Resolver};

/// Where to look.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    /// What `/` is for files.
    pub(super) root: &'a Path,
    /// Where the configuration is, or is to be.
    pub(super) config: &'a Path,
    /// What name servers are asked for.
    pub(super) name: &'a str,
}

/// Everything there is to be found.
///
/// Errors: the name is none.
pub(super) async fn facts(config: &Config, places: Places<'_>) -> Result<Facts, String> {
    let name = DnsName::parse(places.name).map_err(|error| format!("{}: {error}", places.name))?;
    let running = process::running(config).await;
    let (links, hooks) = link::links();
    let (names, chains) = link::names(config);
    Ok(Facts {
        config_file: places.config.display().to_string(),
        options: Vec::new(),
        root: nix::unistd::geteuid().is_root(),
        kernel: kernel::release(),
        features: kernel::features(process::may_try(), process::may_load()),
        sysctls: kernel::sysctls(links.iter().map(|link| link.name.as_str())),
        event_listeners: anabranch_kernel::mptcp_pm::listeners().map_err(|error| chain(&error)),
        daemon: anabranch_kernel::sysctl::path_manager_daemon(),
        subflow_limit: kernel::subflow_limit(),
        descriptors: process::descriptors(&running, places.root),
        capabilities: process::capabilities(&running),
        clock: clock(),
        listeners: door::try_all(config, &running, &links),
        dns: dns(config, &name).await,
        links,
        hooks,
        names,
        chains,
    })
}

fn clock() -> Clock {
    let seconds = |time: std::time::Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let unix_seconds = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => seconds(since),
        Err(before) => -seconds(before.duration()),
    };
    let synchronised = anabranch_kernel::clock::is_synchronised().map_err(|error| error.to_string());
    Clock { unix_seconds, synchronised }
}

/// Asks as the proxy does: its servers, its time limit.
async fn dns(config: &Config, name: &DnsName) -> Dns {
    let servers = servers(config);
    let answer = match Resolver::new(&servers, 0, config.timeouts.dns) {
        Err(error) => Err(chain(&error)),
        Ok(resolver) => match resolver.lookup(name).await {
            Ok(found) => {
                let first =
                    found.v4.first().map(ToString::to_string).or_else(|| found.v6.first().map(ToString::to_string));
                Ok(first.unwrap_or_else(|| "without an address".to_owned()))
            }
            // Which names there are is not the question.
            Err(DnsError::NotFound) => Ok("not there, they say".to_owned()),
            Err(error) => Err(chain(&error)),
        },
    };
    Dns { servers, name: name.as_str().to_owned(), answer }
}
