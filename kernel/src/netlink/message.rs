//! Messages (`struct nlmsghdr`): what a datagram from the kernel is made of, and what each message says.

use crate::abi::netlink as abi;

use super::attribute::Attributes;

/// One message of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type: of netlink itself below 16, of the family above.
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// The number of the request it answers; zero in a notice.
    pub sequence: u32,
    /// What follows the header, without padding.
    pub payload: &'a [u8],
}

/// The messages of one datagram, in their order; ends at the first that claims more bytes than there are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

/// What a message says to somebody who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says<'a> {
    /// It carries something of the family.
    Data,
    /// The dump, or the request, has come to its end.
    Done,
    /// It failed with this error number, and possibly these words.
    Failed(i32, Option<&'a str>),
    /// Nothing: it is to be passed over.
    Nothing,
}

impl<'a> Messages<'a> {
    /// Reads one datagram.
    #[must_use]
    pub fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let header: &[u8; abi::HEADER] = self.rest.first_chunk()?;
        let &[l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = header;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        let Some(payload) = self.rest.get(abi::HEADER..length) else {
            self.rest = &[];
            return None;
        };
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            payload,
        })
    }
}

impl<'a> Message<'a> {
    /// What the message says to somebody who waits for an answer.
    ///
    /// Shape: a payload too short for its type is an error of `EBADMSG`.
    #[must_use]
    pub fn says(&self) -> Says<'a> {
        match self.kind {
            abi::NLMSG_ERROR => match self.error_number() {
                Some(0) => Says::Done,
                // The kernel answers negative numbers.
                Some(number) => Says::Failed(number.checked_neg().unwrap_or(libc::EBADMSG), self.words(true)),
                None => Says::Failed(libc::EBADMSG, None),
            },
            // The end of a dump carries an error number as well, when the dump failed half way.
            abi::NLMSG_DONE => match self.error_number() {
                Some(number) if number < 0 => {
                    Says::Failed(number.checked_neg().unwrap_or(libc::EBADMSG), self.words(false))
                }
                _ => Says::Done,
            },
            kind if kind < abi::GENL_ID_CTRL => Says::Nothing,
            _ => Says::Data,
        }
    }

    /// The command in the generic header and what follows it, when this is a message of a generic family.
    #[must_use]
    pub fn generic(&self) -> Option<(u8, Attributes<'a>)> {
        let command = *self.payload.first()?;
        Some((command, Attributes::new(self.payload.get(abi::GENERIC_HEADER..)?)))
    }

    /// Whether what is dumped changed while it was dumped.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.flags & abi::NLM_F_DUMP_INTR != 0
    }

    fn error_number(&self) -> Option<i32> {
        self.payload.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes))
    }

    /// The kernel's words, behind the error number and, in an `NLMSG_ERROR`, the original message or its header.
    fn words(&self, with_original: bool) -> Option<&'a str> {
        if self.flags & abi::NLM_F_ACK_TLVS == 0 {
            return None;
        }
        let mut at = abi::ERROR_ORIGINAL;
        if with_original {
            let original = u32::from_ne_bytes(*self.payload.get(at..)?.first_chunk()?);
            let capped = self.flags & abi::NLM_F_CAPPED != 0;
            let length =
                if capped { abi::HEADER } else { usize::try_from(original).ok()?.checked_next_multiple_of(4)? };
            at = at.checked_add(length)?;
        }
        Attributes::new(self.payload.get(at..)?).find(abi::NLMSGERR_ATTR_MSG)?.text()
    }
}

#[cfg(test)]
mod tests;
