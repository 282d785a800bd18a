//! A small assembler: instruction words with names, and jumps to labels.
//!
//! Source: Linux v6.18 `Documentation/bpf/standardization/instruction-set.rst`.

use crate::abi::bpf::{PSEUDO_MAP_FD, code};

/// One instruction (`struct bpf_insn`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    code: u8,
    /// Destination in the lower bits, source in the upper; the other way round on a big-endian machine.
    registers: u8,
    offset: i16,
    constant: i32,
}

const _: () = assert!(size_of::<Instruction>() == 8);

/// A register: `R0` has results, `R1` to `R5` arguments, `R6` to `R9` outlive calls, `FP` is the end of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Reg {
    R0 = 0,
    R1 = 1,
    R2 = 2,
    R3 = 3,
    R4 = 4,
    R5 = 5,
    R6 = 6,
    R7 = 7,
    R8 = 8,
    Fp = 10,
}

/// Where a jump goes: known once [`Assembler::label`] was called with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(pub(super) &'static str);

/// A program under construction.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    words: Vec<Instruction>,
    jumps: Vec<(usize, Label)>,
    labels: Vec<(Label, usize)>,
}

impl Assembler {
    /// `to = *(from + offset)`, of 1, 2, 4 or 8 bytes as the code says.
    pub(super) fn load(&mut self, code: u8, to: Reg, from: Reg, offset: i16) {
        self.word(code, to, from as u8, offset, 0);
    }

    /// `*(to + offset) = from`.
    pub(super) fn store(&mut self, code: u8, to: Reg, offset: i16, from: Reg) {
        self.word(code, to, from as u8, offset, 0);
    }

    /// `*(to + offset) = constant`, four bytes.
    pub(super) fn store_constant(&mut self, to: Reg, offset: i16, constant: i32) {
        self.word(code::STORE_4_CONSTANT, to, 0, offset, constant);
    }

    /// `to = from`.
    pub(super) fn copy(&mut self, to: Reg, from: Reg) {
        self.word(code::MOVE, to, from as u8, 0, 0);
    }

    /// An operation of a register and a constant.
    pub(super) fn constant(&mut self, code: u8, to: Reg, constant: i32) {
        self.word(code, to, 0, 0, constant);
    }

    /// `to <<= by`.
    pub(super) fn shift_left(&mut self, to: Reg, by: Reg) {
        self.word(code::SHIFT_LEFT, to, by as u8, 0, 0);
    }

    /// An operation of two registers; the first has what comes of it.
    pub(super) fn registers(&mut self, code: u8, to: Reg, from: Reg) {
        self.word(code, to, from as u8, 0, 0);
    }

    /// `to` is a constant of eight bytes.
    pub(super) fn wide_constant(&mut self, to: Reg, constant: u64) {
        let half = |at: u32| (constant >> at & u64::from(u32::MAX)).try_into().unwrap_or(0_u32).cast_signed();
        self.word(code::LOAD_CONSTANT_8, to, 0, 0, half(0));
        self.word(0, Reg::R0, 0, 0, half(32));
    }

    /// `to` is the map with this descriptor.
    pub(super) fn map(&mut self, to: Reg, descriptor: i32) {
        self.word(code::LOAD_CONSTANT_8, to, PSEUDO_MAP_FD, 0, descriptor);
        self.word(0, Reg::R0, 0, 0, 0);
    }

    /// Calls a helper.
    pub(super) fn call(&mut self, helper: i32) {
        self.word(code::CALL, Reg::R0, 0, 0, helper);
    }

    /// Goes to a label if the comparison of a register with a constant holds.
    pub(super) fn jump(&mut self, code: u8, of: Reg, with: i32, to: Label) {
        self.jumps.push((self.words.len(), to));
        self.word(code, of, 0, 0, with);
    }

    /// The program ends with what `R0` has.
    pub(super) fn exit(&mut self) {
        self.word(code::EXIT, Reg::R0, 0, 0, 0);
    }

    /// The next instruction is where jumps to this label go.
    pub(super) fn label(&mut self, label: Label) {
        self.labels.push((label, self.words.len()));
    }

    /// The words, every jump resolved; `None` if a label is missing or too far.
    pub(super) fn finish(mut self) -> Option<Vec<Instruction>> {
        for (at, label) in self.jumps {
            let (_, target) = self.labels.iter().find(|(known, _)| *known == label)?;
            // Counted from the instruction behind the jump.
            let distance = i16::try_from(*target).ok()?.checked_sub(i16::try_from(at).ok()?)?.checked_sub(1)?;
            self.words.get_mut(at)?.offset = distance;
        }
        Some(self.words)
    }

    fn word(&mut self, code: u8, to: Reg, from: u8, offset: i16, constant: i32) {
        let to = to as u8;
        let registers = if cfg!(target_endian = "little") { from << 4 | to } else { to << 4 | from };
        self.words.push(Instruction { code, registers, offset, constant });
    }
}

#[cfg(test)]
mod tests;
