//! Chains: the ones all interfaces share, and a base chain per interface and hook.

use crate::abi::nft::{chain as abi, msg};
use crate::abi::route::NLM_F_CREATE;
use crate::netlink::attribute::Attributes;
use crate::netlink::{Request, Step};

use super::{message, rule};

/// `NF_ACCEPT`, the policy of base chains.
const ACCEPT: u32 = 1;

/// Where packets of an interface are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Hook {
    /// As they come in.
    Ingress,
    /// As they go out.
    Egress,
}

impl Hook {
    pub(crate) const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    /// The chain that packets of all interfaces go through there.
    pub(super) const fn shared(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    const fn number(self) -> u32 {
        match self {
            Self::Ingress => abi::INGRESS,
            Self::Egress => abi::EGRESS,
        }
    }
}

/// A base chain of an interface, by its number. The kernel binds it to the name, so that goes with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WatchedChain {
    pub(crate) hook: Hook,
    pub(crate) index: u32,
    pub(crate) device: String,
}

/// A chain as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) table: String,
    pub(crate) name: String,
    /// The interface it is bound to, if it is a base chain and the interface is there.
    pub(crate) device: Option<String>,
}

impl WatchedChain {
    pub(super) fn name(&self) -> String {
        format!("{}{}", self.hook.shared(), self.index)
    }

    /// What a chain of ours says of itself; `None` if it is not of this kind. Without an interface its name is empty.
    pub(crate) fn of(chain: &Chain) -> Option<Self> {
        Hook::ALL.into_iter().find_map(|hook| {
            let index = chain.name.strip_prefix(hook.shared())?.parse().ok()?;
            Some(Self { hook, index, device: chain.device.clone().unwrap_or_default() })
        })
    }

    /// The steps that make it.
    pub(crate) fn add(&self, table: &str) -> [Step; 2] {
        let name = self.name();
        let request = new(table, &name).text(abi::TYPE, "filter").be32(abi::POLICY, ACCEPT).nest(abi::HOOK, |hook| {
            let hook = hook.be32(abi::HOOK_NUMBER, self.hook.number()).be32(abi::HOOK_PRIORITY, 0);
            hook.text(abi::HOOK_DEVICE, &self.device)
        });
        let object = format!("chain {name} of interface {} of table {table}", self.device);
        [Step::new("NFT_MSG_NEWCHAIN", object, request), rule::goto(&name, self.hook.shared()).step(table)]
    }

    /// The steps that take it away.
    pub(crate) fn delete(&self, table: &str) -> [Step; 2] {
        let name = self.name();
        let request = message(msg::DELCHAIN, 0).text(abi::TABLE, table).text(abi::NAME, &name);
        [
            rule::flush(table, &name),
            Step::new("NFT_MSG_DELCHAIN", format_args!("chain {name} of table {table}"), request),
        ]
    }

    /// The steps that make it, as `nft` reads them in a file.
    pub(crate) fn commands(&self, table: &str) -> [String; 2] {
        let (name, hook) = (self.name(), self.hook.shared());
        let said = format!("type filter hook {hook} device \"{}\" priority 0; policy accept;", self.device);
        [format!("add chain netdev {table} {name} {{ {said} }}"), rule::goto(&name, hook).command(table)]
    }
}

/// The step that makes a chain which others go to.
pub(super) fn shared(table: &str, name: &str) -> Step {
    Step::new("NFT_MSG_NEWCHAIN", format_args!("chain {name} of table {table}"), new(table, name))
}

/// The question for all chains of the family.
pub(super) fn get() -> Request {
    message(msg::GETCHAIN, 0)
}

/// Reads a chain.
pub(super) fn parse(payload: &[u8]) -> Option<Chain> {
    let said = Attributes::new(payload.get(crate::abi::nft::HEADER..)?);
    let text = |kind| Some(said.find(kind)?.text()?.to_owned());
    let device = said.find(abi::HOOK).and_then(|hook| Some(hook.nested().find(abi::HOOK_DEVICE)?.text()?.to_owned()));
    Some(Chain { table: text(abi::TABLE)?, name: text(abi::NAME)?, device })
}

fn new(table: &str, name: &str) -> Request {
    message(msg::NEWCHAIN, NLM_F_CREATE).text(abi::TABLE, table).text(abi::NAME, name)
}
