//! The kernel's type information (BTF), as far as a program's loader needs it: numbers of functions, places of members.
//!
//! Pure: bytes in, numbers out. Invariant: whatever the bytes say, nothing is read beyond their end and nothing loops.
//! Source: Linux v6.18 `Documentation/bpf/btf.rst`.

use thiserror::Error;

use crate::abi::bpf::btf as abi;
use crate::fields::Fields;

/// Nested anonymous structures are followed so far; the kernel's are nested two deep.
const DEPTH: usize = 8;
/// Members looked at in one search; the kernel's largest structure has some hundreds.
const MEMBERS: usize = 100_000;

/// Why type information does not tell what was asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BtfError {
    /// The bytes are no type information, or end too early.
    #[error("the kernel's type information is damaged: {0}")]
    Damaged(&'static str),
    /// This kernel has no such function, structure or member.
    #[error("the kernel has no {0}")]
    Missing(String),
}

/// Type information, indexed by type number.
#[derive(Debug)]
pub(super) struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type begins in `types`; number 1 first (number 0 is `void`).
    starts: Vec<u32>,
}

/// One type's fixed part.
#[derive(Clone, Copy)]
struct Type {
    start: usize,
    name: u32,
    kind: u32,
    count: usize,
    /// Members' offsets carry a bit field's size in their upper bits.
    packed: bool,
}

impl<'a> Btf<'a> {
    /// Reads the header and finds every type.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        let of = Fields(bytes);
        if of.u16(0) != Some(abi::MAGIC) {
            return Err(BtfError::Damaged("it does not begin as it should"));
        }
        let number = |at| of.u32(at).and_then(|n| usize::try_from(n).ok());
        let part = |place, length| {
            let start = number(abi::header::LENGTH)?.checked_add(number(place)?)?;
            bytes.get(start..start.checked_add(number(length)?)?)
        };
        let types = part(abi::header::TYPES, abi::header::TYPES_LENGTH);
        let strings = part(abi::header::STRINGS, abi::header::STRINGS_LENGTH);
        let (Some(types), Some(strings)) = (types, strings) else {
            return Err(BtfError::Damaged("it ends before its header says"));
        };
        let mut this = Self { types, strings, starts: Vec::with_capacity(types.len() / (2 * abi::TYPE)) };
        let mut at = 0;
        while at < types.len() {
            let found = this.at(at).ok_or(BtfError::Damaged("a type is cut off"))?;
            let tail = abi::tail(found.kind, found.count).ok_or(BtfError::Damaged("a type is of an unknown kind"))?;
            this.starts.push(u32::try_from(at).map_err(|_| BtfError::Damaged("it is too long"))?);
            at += abi::TYPE + tail;
        }
        if at > types.len() {
            return Err(BtfError::Damaged("the last type is cut off"));
        }
        Ok(this)
    }

    /// The number of a function.
    pub(super) fn function(&self, name: &str) -> Result<u32, BtfError> {
        self.find(abi::KIND_FUNC, name)
            .map(|(number, _)| number)
            .ok_or_else(|| BtfError::Missing(format!("function {name}")))
    }

    /// Where a member begins in a structure, in bytes; members of anonymous structures and unions inside it are its own.
    pub(super) fn member(&self, structure: &str, name: &str) -> Result<u32, BtfError> {
        let (_, found) = self
            .find(abi::KIND_STRUCT, structure)
            .ok_or_else(|| BtfError::Missing(format!("structure {structure}")))?;
        let mut left = MEMBERS;
        match self.place(found, name, DEPTH, &mut left) {
            Some(bits) if bits % 8 == 0 => Ok(bits / 8),
            _ => Err(BtfError::Missing(format!("member {name} in structure {structure}"))),
        }
    }

    fn find(&self, kind: u32, name: &str) -> Option<(u32, Type)> {
        let types = self.starts.iter().filter_map(|&start| self.at(usize::try_from(start).ok()?));
        // Every start was found by `at`, so none is left out and the count is the number.
        (1..).zip(types).find(|(_, found)| found.kind == kind && self.is_named(found.name, name))
    }

    /// Where a member begins, in bits.
    fn place(&self, of: Type, name: &str, depth: usize, left: &mut usize) -> Option<u32> {
        let depth = depth.checked_sub(1)?;
        for index in 0..of.count {
            *left = left.checked_sub(1)?;
            let member = Fields(self.types.get(of.start + abi::TYPE + index * abi::MEMBER..)?);
            let (named, kind, offset) = (member.u32(0)?, member.u32(4)?, member.u32(8)?);
            let offset = if of.packed { offset & 0x00ff_ffff } else { offset };
            if self.is_named(named, name) {
                return Some(offset);
            }
            if named == 0
                && let Some(inner) =
                    self.number(kind).filter(|of| matches!(of.kind, abi::KIND_STRUCT | abi::KIND_UNION))
                && let Some(inside) = self.place(inner, name, depth, left)
            {
                return offset.checked_add(inside);
            }
        }
        None
    }

    fn number(&self, number: u32) -> Option<Type> {
        let start = self.starts.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
        self.at(usize::try_from(*start).ok()?)
    }

    fn at(&self, start: usize) -> Option<Type> {
        let of = Fields(self.types.get(start..)?);
        let (name, information, _) = (of.u32(0)?, of.u32(4)?, of.u32(8)?);
        let count = usize::try_from(information & 0xffff).ok()?;
        Some(Type { start, name, kind: information >> 24 & 0x1f, count, packed: information >> 31 == 1 })
    }

    fn is_named(&self, at: u32, name: &str) -> bool {
        let rest = usize::try_from(at).ok().and_then(|at| self.strings.get(at..)?.strip_prefix(name.as_bytes()));
        rest.is_some_and(|rest| rest.first() == Some(&0))
    }
}

#[cfg(test)]
mod tests;
