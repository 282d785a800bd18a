//! What is done when a process that steers dies without a word: a small child outlives it and tidies up.
//!
//! Elements of the map time out by themselves, but a subflow's pacing and its demotion belong to sockets of the proxy's, which
//! may live in another process, and under the userspace path manager nobody can join while nobody listens. The child waits on a pipe
//! for its parent's end; a parent that stopped in good order has said so before. Tidying up is what a new start does first as well.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use anabranch_config::Steering;
use anabranch_kernel::bpf::{Flow, Pacer};
use anabranch_kernel::mptcp_pm::{EndpointFlags, PathManager, SubflowAddresses};
use anabranch_kernel::shaper::{Names, Shaper};
use anabranch_kernel::sock_diag::{AddressFamily, Query, SockDiag};
use anabranch_kernel::sysctl::{self, PathManagerKind};

use super::ownership::Ownership;
use crate::http::chain;

/// What the parent says before it ends in good order.
const GOODBYE: u8 = b'.';

/// The child, seen from its parent.
#[derive(Debug)]
pub(super) struct Guard(Child);

impl Guard {
    /// Starts the child: this very program, whatever a package manager has put in its place since.
    #[allow(clippy::disallowed_types, reason = "our own program, which has to outlive us")]
    pub(super) fn start(steering: &Steering, former: Option<&PathManagerKind>) -> std::io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg("guard").arg(steering.table.as_str()).arg(steering.device.as_str());
        if let Some(former) = former {
            command.arg(former.as_str());
        }
        // A group of its own: what ends the parent from the keyboard must not end the child.
        let command = command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit());
        command.spawn().map(Self)
    }

    /// Says that everything is in order, and waits for the child.
    pub(super) fn dismiss(mut self) {
        let said = self.0.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(&[GOODBYE]));
        if let Err(error) = said.and_then(|()| self.0.wait()) {
            tracing::debug!(%error, "the guard has ended before");
        }
    }
}

/// The child's life: waits for its parent's end, and tidies up if that came without a word.
pub fn keep(table: &str, device: &str, former: Option<&str>) {
    let mut word = Vec::new();
    let ended = std::io::stdin().lock().read_to_end(&mut word);
    if ended.is_ok() && word == [GOODBYE] {
        return;
    }
    // A successor that is there already tidies up itself.
    let Ok(_ownership) = Ownership::try_claim(table) else { return };
    if let Some(former) = former.and_then(|former| former.parse().ok()) {
        restore(&former);
    }
    release_sockets(Pacer::open().ok().as_mut());
    if let Err(error) = Shaper::sweep(&Names { table: table.to_owned(), device: device.to_owned() }, false) {
        crate::cli::complain(&format!("anabranch guard: {}", chain(&error)));
    }
}

/// Gives the namespace its path manager back.
pub(super) fn restore(former: &PathManagerKind) {
    if let Err(error) = sysctl::set_path_manager(former) {
        tracing::warn!(why = %chain(&error), path_manager = %former, "the path manager cannot be given back");
    }
}

/// Takes back pacing and demotion of every subflow there is: nobody but we can pace one, and of demotions those that no
/// backup endpoint explains are ours.
pub(super) fn release_sockets(pacer: Option<&mut Pacer>) {
    let (mut paced, mut demoted) = (Vec::new(), Vec::new());
    let Ok(mut diag) = SockDiag::open() else { return };
    for family in [AddressFamily::V4, AddressFamily::V6] {
        let query = Query { family, states: super::kernel::alive(), local_port: None };
        let looked = diag.tcp(query, |socket| {
            let Some(subflow) = socket.subflow() else { return };
            let flow = Flow { local: socket.head.local, remote: socket.head.remote };
            if socket.info().is_some_and(|info| info.max_pacing_rate.is_some_and(|rate| rate != u64::MAX)) {
                paced.push((flow, None));
            }
            if subflow.flags.backup_by_us() {
                demoted.push((subflow.local_token, flow));
            }
        });
        if let Err(error) = looked {
            tracing::debug!(why = %chain(&error), "sockets cannot be looked at");
        }
    }
    if let Some(pacer) = pacer.filter(|_| !paced.is_empty())
        && let Err(error) = pacer.apply(&paced)
    {
        tracing::warn!(why = %chain(&error), "subflows stay paced");
    }
    promote(&demoted);
}

fn promote(demoted: &[(u32, Flow)]) {
    if demoted.is_empty() {
        return;
    }
    let Ok(mut manager) = PathManager::open() else { return };
    let endpoints = manager.endpoints().unwrap_or_default();
    let meant = |flow: &Flow| {
        let local = flow.local.ip().to_canonical();
        endpoints.iter().any(|one| one.address == local && one.flags.contains(EndpointFlags::BACKUP))
    };
    for (token, flow) in demoted.iter().filter(|(_, flow)| !meant(flow)) {
        let ends = SubflowAddresses { local: flow.local, remote: flow.remote };
        if let Err(error) = manager.set_flags(*token, ends, false) {
            tracing::debug!(why = %chain(&error), %flow, "a subflow stays a backup");
        }
    }
}
