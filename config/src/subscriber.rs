//! `[[subscriber]]`: whoever pays for a line.

use crate::read::Section;
use crate::unit::{Prefix, SubscriberId};

/// Whoever pays for a line: matched by prefix, or by the user name of its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// What it is called, also in credentials; unique.
    pub name: SubscriberId,
    /// Its addresses. Empty: known by its credentials only.
    pub client: Vec<Prefix>,
}

impl Subscriber {
    pub(crate) fn read(section: &mut Section<'_>) -> Option<Self> {
        let name: Option<SubscriberId> = section.require("name", "a name such as \"line-4711\"");
        if let Some(name) = &name {
            section.named(name.as_str());
        }
        let client = section.list("client").unwrap_or_default();
        Some(Self { name: name?, client })
    }
}
