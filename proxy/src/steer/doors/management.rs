//! The namespace's path manager: taken over, and what it would have announced announced in its place.

use std::collections::HashSet;

use anabranch_config::{PathManagement, Steering};
use anabranch_kernel::mptcp_pm::{Announcement, EndpointFlags, PathManager};
use anabranch_kernel::sysctl::{self, PathManagerKind};
use anabranch_throttle::view::{ConnectionKey, View};

use super::Closed;
use crate::http::chain;
use crate::steer::Desk;

/// The namespace's path manager, taken over.
pub(super) struct Management {
    pub(super) commands: PathManager,
    /// What the in-kernel one would announce, and we do in its place.
    announced: Vec<Announcement>,
    /// What it was before.
    pub(super) former: PathManagerKind,
    greeted: HashSet<u32>,
}

impl Management {
    /// Announces to connections that are new what the in-kernel path manager would announce to them.
    pub(super) fn greet(&mut self, view: &View) {
        if self.announced.is_empty() {
            return;
        }
        let living: HashSet<u32> = view
            .connections
            .iter()
            .filter_map(|one| match one.key {
                ConnectionKey::Ours(token) => Some(token.0),
                ConnectionKey::Passing(_) => None,
            })
            .collect();
        for &token in living.difference(&self.greeted) {
            for announcement in &self.announced {
                if let Err(error) = self.commands.announce(token, *announcement) {
                    tracing::debug!(why = %chain(&error), "an address is not announced");
                }
            }
        }
        self.greeted = living;
    }
}

/// Takes the namespace's path manager over, or says why not. `noted`: what it was before a predecessor that was killed.
/// Errors: [`Closed`] — somebody else manages paths here
pub(super) fn take_over(
    steering: &Steering,
    desk: &Desk,
    noted: Option<&str>,
) -> Result<Result<Management, String>, Closed> {
    if steering.path_manager == PathManagement::Kernel {
        return Ok(Err("steering.path_manager = \"kernel\" leaves the path manager alone".to_owned()));
    }
    if !desk.kernel_tells() {
        return Ok(Err(
            "the kernel is no witness (sniffer.kernel), and without a listener nobody could join".to_owned()
        ));
    }
    if let Some(process) = sysctl::path_manager_daemon() {
        let fix = "stop it, or say steering.path_manager = \"kernel\"";
        return Err(Closed::Taken(format!("mptcpd (process {process}) manages paths here; {fix}").into()));
    }
    Ok(switch(noted))
}

/// Switches to the userspace path manager.
fn switch(noted: Option<&str>) -> Result<Management, String> {
    let mut commands = PathManager::open().map_err(|error| chain(&error))?;
    let endpoints = commands.endpoints().map_err(|error| chain(&error))?;
    let now = sysctl::path_manager().map_err(|error| chain(&error))?;
    let noted = noted.and_then(|noted| noted.parse().ok());
    let former = noted.filter(|_| now == PathManagerKind::Userspace).unwrap_or(now);
    sysctl::set_path_manager(&PathManagerKind::Userspace).map_err(|error| chain(&error))?;
    let announced = endpoints.iter().filter(|one| one.flags.contains(EndpointFlags::SIGNAL));
    let announced = announced.map(|one| Announcement { id: one.id, address: one.address, port: one.port }).collect();
    Ok(Management { commands, announced, former, greeted: HashSet::new() })
}
