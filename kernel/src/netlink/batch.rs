//! Several requests in one datagram.
//!
//! The kernel answers before `send` returns, and answers an error to every request that failed; so only the last one is asked for
//! an acknowledgement, and one pass over the answers tells of them all.

use std::fmt;
use std::io;

use crate::abi::netlink as abi;

use super::message::{Messages, Says};
use super::{NetlinkError, NetlinkSocket, Request};

/// A request, with what it is for those who read of its failure.
#[derive(Debug, Clone)]
pub struct Step {
    /// The operation, as the kernel's headers name it.
    pub op: &'static str,
    /// What it is done to.
    pub object: String,
    /// The request.
    pub request: Request,
}

impl Step {
    /// One step.
    #[must_use]
    pub fn new(op: &'static str, object: impl fmt::Display, request: Request) -> Self {
        Self { op, object: object.to_string(), request }
    }
}

impl NetlinkSocket {
    /// Sends `head`, `steps` and `tail` as one datagram, and hands over the failures in the order of the steps, by their number.
    ///
    /// Shape: nothing is sent without steps. Whether steps after a failed one are carried out is the family's to say.
    /// Errors: the datagram as a whole was refused, or there is no acknowledgement; `ENOBUFS` — more failed than there was room
    /// to tell.
    pub fn batch(
        &mut self,
        head: Option<Request>,
        steps: Vec<Step>,
        tail: Option<Request>,
        mut failed: impl FnMut(usize, NetlinkError),
    ) -> Result<(), NetlinkError> {
        let Some(last) = steps.len().checked_sub(1) else { return Ok(()) };
        let names: Vec<_> = steps.iter().map(|step| (step.op, step.object.clone())).collect();
        let (op, object) = names[last].clone();
        let fail = |source| NetlinkError::new(op, &object, source, None);

        let first = self.sequences(names.len() + 2);
        let mut datagram = Vec::new();
        let with_ack = |(at, step): (usize, Step)| {
            if at == last { step.request.with_flags(abi::NLM_F_ACK) } else { step.request }
        };
        let steps = steps.into_iter().enumerate().map(with_ack);
        // The head has the first number whether or not there is one: a step's is its own plus one.
        let requests = (head.into_iter().map(|head| (first, head))).chain((first + 1..).zip(steps));
        let end = first.saturating_add(u32::try_from(names.len() + 1).unwrap_or(u32::MAX));
        for (sequence, request) in requests.chain(tail.map(|tail| (end, tail))) {
            let bytes = request.finish(sequence).ok_or_else(|| fail(io::Error::from_raw_os_error(libc::EMSGSIZE)))?;
            datagram.extend_from_slice(&bytes);
        }
        self.send_datagram(&datagram).map_err(fail)?;
        self.verdicts(first, last, |at, number, words| {
            let source = io::Error::from_raw_os_error(number);
            let (op, object) = at.and_then(|at| names.get(at).cloned()).unwrap_or_else(|| (op, object.clone()));
            failed(at.unwrap_or(0), NetlinkError::new(op, object, source, words.map(str::to_owned)));
        })
        .map_err(fail)
    }

    /// Reads what was answered to the steps behind the number `first`, up to an answer to the last of them. An answer to the head, or
    /// to no step, is about the whole: `None`.
    fn verdicts(
        &mut self,
        first: u32,
        last: usize,
        mut failed: impl FnMut(Option<usize>, i32, Option<&str>),
    ) -> io::Result<()> {
        loop {
            let datagram = match self.read_now() {
                Ok(datagram) => datagram,
                // The kernel has answered by now, or will not.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::from_raw_os_error(libc::EBADMSG));
                }
                Err(error) => return Err(error),
            };
            for message in Messages::new(datagram) {
                let Some(at) = message.sequence.checked_sub(first).and_then(|n| usize::try_from(n).ok()) else {
                    continue;
                };
                let step = at.checked_sub(1).filter(|&step| step <= last);
                match message.says() {
                    Says::Failed(number, words) => failed(step, number, words),
                    Says::Done => {}
                    Says::Data | Says::Nothing => continue,
                }
                if step.is_none_or(|step| step == last) {
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
