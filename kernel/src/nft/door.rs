//! The door: transactions, and what there is.

use crate::abi::nft as abi;
use crate::netlink::{Dump, NetlinkError, NetlinkSocket, Protocol, Request, Step};

use super::element::Element;
use super::{Chain, Map, Table, chain, element, table};

/// Longest transaction: more than 60 000 elements renewed at once.
const SEND_BUFFER: usize = 32 * 1024 * 1024;
/// Room for the errors of a transaction.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// nftables of the network namespace it was opened in.
#[derive(Debug)]
pub(crate) struct Nftables {
    socket: NetlinkSocket,
}

impl Nftables {
    /// Opens the door.
    pub(crate) fn open() -> Result<Self, NetlinkError> {
        let socket = NetlinkSocket::open(Protocol::Netfilter)?;
        socket.set_send_buffer(SEND_BUFFER)?;
        socket.set_receive_buffer(RECEIVE_BUFFER)?;
        Ok(Self { socket })
    }

    /// Carries steps out as one transaction: all of them, or none.
    ///
    /// Errors: the first step that failed.
    pub(crate) fn apply(&mut self, steps: Vec<Step>) -> Result<(), NetlinkError> {
        let mut first = None;
        let (begin, end) = (border(abi::BATCH_BEGIN), border(abi::BATCH_END));
        self.socket.batch(Some(begin), steps, Some(end), |_, error| {
            first.get_or_insert(error);
        })?;
        first.map_or(Ok(()), Err)
    }

    /// The tables of the family `netdev`.
    pub(crate) fn tables(&mut self) -> Result<Vec<Table>, NetlinkError> {
        self.all("NFT_MSG_GETTABLE", "tables", &table::get(), table::parse)
    }

    /// The chains of a table.
    pub(crate) fn chains(&mut self, table: &str) -> Result<Vec<Chain>, NetlinkError> {
        let mut chains = self.all("NFT_MSG_GETCHAIN", "chains", &chain::get(), chain::parse)?;
        chains.retain(|chain: &Chain| chain.table == table);
        Ok(chains)
    }

    /// The chains of other tables that are bound to an interface.
    pub(crate) fn chains_beside(&mut self, table: &str) -> Result<Vec<Chain>, NetlinkError> {
        let mut chains = self.all("NFT_MSG_GETCHAIN", "chains", &chain::get(), chain::parse)?;
        chains.retain(|chain: &Chain| chain.table != table && chain.device.is_some());
        Ok(chains)
    }

    /// What is in a map.
    pub(crate) fn elements(&mut self, table: &str, map: Map) -> Result<Vec<Element>, NetlinkError> {
        self.all("NFT_MSG_GETSETELEM", map.name(), &element::get(table, map), element::parse)
    }

    fn all<T, I: IntoIterator<Item = T>>(
        &mut self,
        op: &'static str,
        object: &str,
        request: &Request,
        parse: impl Fn(&[u8]) -> I,
    ) -> Result<Vec<T>, NetlinkError> {
        let mut found = Vec::new();
        self.socket.dump(op, &object, request, |dump| match dump {
            Dump::Start => found.clear(),
            Dump::Entry(message) => found.extend(parse(message.payload)),
        })?;
        Ok(found)
    }
}

/// The beginning or the end of a transaction.
fn border(kind: u16) -> Request {
    let [high, low] = abi::RES_ID.to_be_bytes();
    Request::new(kind, 0).fixed(&[0, 0, high, low])
}
