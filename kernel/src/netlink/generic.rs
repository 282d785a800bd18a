//! Generic netlink: families and multicast groups by name.
//!
//! Source: Linux v6.18 `net/netlink/genetlink.c`, `include/uapi/linux/genetlink.h`.

use crate::abi::netlink as abi;

use super::attribute::{Attribute, Attributes};
use super::{NetlinkError, NetlinkSocket, Request};

/// A family of generic netlink, as this boot of this kernel numbers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Its name.
    pub name: String,
    /// Its message type.
    pub id: u16,
    /// Its multicast groups, by name.
    pub groups: Vec<(String, u32)>,
}

impl Family {
    /// Asks the kernel for a family.
    ///
    /// Errors: `ENOENT` — the kernel has no such family.
    pub fn resolve(socket: &mut NetlinkSocket, name: &str) -> Result<Self, NetlinkError> {
        let mut found = None;
        let op = "CTRL_CMD_GETFAMILY";
        socket.request(op, &name, request(name), |message| {
            found = found.take().or_else(|| Self::parse(message.generic()?.1));
        })?;
        found.ok_or_else(|| NetlinkError::malformed(op, name, "the answer names no family"))
    }

    /// Reads the controller's description of a family; `None` without a name and a number.
    #[must_use]
    pub fn parse(attributes: Attributes<'_>) -> Option<Self> {
        let name = attributes.find(abi::CTRL_ATTR_FAMILY_NAME)?.text()?.to_owned();
        let id = attributes.find(abi::CTRL_ATTR_FAMILY_ID)?.u16()?;
        let groups = attributes.find(abi::CTRL_ATTR_MCAST_GROUPS).map_or_else(Attributes::default, |a| a.nested());
        let group = |one: Attribute<'_>| {
            let name = one.nested().find(abi::CTRL_ATTR_MCAST_GRP_NAME)?.text()?.to_owned();
            Some((name, one.nested().find(abi::CTRL_ATTR_MCAST_GRP_ID)?.u32()?))
        };
        Some(Self { name, id, groups: groups.filter_map(group).collect() })
    }

    /// The number of the multicast group of that name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<u32> {
        self.groups.iter().find(|(known, _)| known == name).map(|&(_, number)| number)
    }
}

/// The request that names a family.
fn request(name: &str) -> Request {
    Request::generic(abi::GENL_ID_CTRL, 0, abi::CTRL_CMD_GETFAMILY, 1).text(abi::CTRL_ATTR_FAMILY_NAME, name)
}

#[cfg(test)]
mod tests;
