//! A classic BPF program that lets through what tells of MPTCP, and nothing else.
//!
//! What passes: TCP segments with SYN, FIN or RST, and those whose options are more than timestamps and selective
//! acknowledgements. A program cannot walk options, but their length and first words tell: Linux and most others write
//! timestamps, then selective acknowledgements, then MPTCP's. What is laid out otherwise passes, so that nothing is missed.
//! Of fragments only the first passes. IPv6 extension headers are not walked: what has them passes.
//! A tag that the interface took off is not looked at; up to two that are still in the frame are stepped over.
//! Source: bpf(4) of BSD, Linux v6.18 `Documentation/networking/filter.rst`; RFC 9293 §3.1, RFC 7323 App. A.

use super::Instruction;

/// What the frames of an interface begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// An Ethernet header, possibly with tags; loopback and veth have one too.
    Ethernet,
    /// The IP header, as on TUN devices.
    Ip,
}

/// Bytes of a frame that are captured without payload: Ethernet with two tags, the longest IP and TCP headers, and room
/// for extension headers.
pub const SNAP_LENGTH: u32 = 22 + 60 + 60 + 40;

/// The program for frames that begin with `framing`; it captures the headers and `payload` bytes more.
#[must_use]
pub fn mptcp(framing: Framing, payload: u32) -> Vec<Instruction> {
    let mut program = Assembler::default();
    match framing {
        Framing::Ethernet => ethernet(&mut program),
        Framing::Ip => bare_ip(&mut program),
    }
    ipv4(&mut program);
    ipv6(&mut program);
    tcp(&mut program);
    program.mark(Label::Pass);
    program.act(RET, SNAP_LENGTH.saturating_add(payload));
    program.mark(Label::Drop);
    program.act(RET, 0);
    program.assemble()
}

/// Leaves the type in A and where the IP header begins in X.
fn ethernet(program: &mut Assembler) {
    for (header, next) in [(14, Label::Tagged), (18, Label::TaggedTwice)] {
        program.act(LDX_IMM, header);
        program.act(LDH_ABS, header - 2);
        program.test(JEQ, 0x8100, next, Label::Next);
        program.test(JEQ, 0x88a8, next, Label::Type);
        program.mark(next);
    }
    program.act(LDX_IMM, 22);
    program.act(LDH_ABS, 20);
    program.mark(Label::Type);
    program.test(JEQ, 0x0800, Label::V4, Label::Next);
    program.test(JEQ, 0x86dd, Label::V6, Label::Drop);
}

fn bare_ip(program: &mut Assembler) {
    program.act(LDX_IMM, 0);
    program.act(LDB_ABS, 0);
    program.act(AND, 0xf0);
    program.test(JEQ, 0x40, Label::V4, Label::Next);
    program.test(JEQ, 0x60, Label::V6, Label::Drop);
}

/// From where the IP header begins in X to where the TCP header begins in X.
fn ipv4(program: &mut Assembler) {
    program.mark(Label::V4);
    program.act(LDB_IND, 9);
    program.test(JEQ, 6, Label::Next, Label::Drop);
    program.act(LDH_IND, 6);
    program.test(JSET, 0x1fff, Label::Drop, Label::Next);
    program.act(LDB_IND, 0);
    program.act(AND, 0x0f);
    program.act(LSH, 2);
    program.act(ADD_X, 0);
    program.act(TAX, 0);
    program.go(Label::Tcp);
}

/// The same; what has extension headers passes here, but for fragments other than the first.
fn ipv6(program: &mut Assembler) {
    program.mark(Label::V6);
    program.act(LDB_IND, 6);
    program.test(JEQ, 6, Label::V6Tcp, Label::Next);
    program.test(JEQ, 44, Label::V6Fragment, Label::Next);
    // Hop-by-hop options, routing, authentication, destination options.
    for extension in [0, 43, 51] {
        program.test(JEQ, extension, Label::Pass, Label::Next);
    }
    program.test(JEQ, 60, Label::Pass, Label::Drop);
    program.mark(Label::V6Fragment);
    program.act(LDH_IND, 42);
    program.test(JSET, 0xfff8, Label::Drop, Label::Next);
    program.act(LDB_IND, 40);
    program.test(JEQ, 6, Label::Next, Label::Pass);
    program.act(TXA, 0);
    program.act(ADD, 48);
    program.act(TAX, 0);
    program.go(Label::Tcp);
    program.mark(Label::V6Tcp);
    program.act(TXA, 0);
    program.act(ADD, 40);
    program.act(TAX, 0);
}

/// Judges the TCP header at X.
fn tcp(program: &mut Assembler) {
    // Options that are nothing but padding and: timestamps, or selective acknowledgements of one to four ranges.
    const TIMESTAMPS: u32 = 0x0101_080a;
    const RANGES: [u32; 4] = [0x0101_050a, 0x0101_0512, 0x0101_051a, 0x0101_0522];
    program.mark(Label::Tcp);
    program.act(LDB_IND, 13);
    program.test(JSET, 0x07, Label::Pass, Label::Next);
    program.act(LDB_IND, 12);
    program.act(AND, 0xf0);
    program.test(JEQ, length_of(20), Label::Drop, Label::Next);
    program.act(ST, 0);
    program.act(LD_IND, 20);
    program.test(JEQ, TIMESTAMPS, Label::Stamped, Label::Next);
    for (words, length) in RANGES.into_iter().zip([32, 40, 48, 56]) {
        one_kind(program, words, length_of(length));
    }
    program.go(Label::Pass);
    program.mark(Label::Stamped);
    program.act(LD_MEM, 0);
    program.test(JEQ, length_of(32), Label::Drop, Label::Next);
    // The header is longer than 32 bytes here, so this word is there.
    program.act(LD_IND, 32);
    for (words, length) in RANGES.into_iter().zip([44, 52, 60]) {
        one_kind(program, words, length_of(length));
    }
    program.go(Label::Pass);
}

/// A header's length as its own byte states it: in words, in the upper half.
const fn length_of(bytes: u32) -> u32 {
    bytes << 2
}

/// Drops, if A is `words` and the header has exactly `length`; passes, if it has another. Leaves A alone otherwise.
fn one_kind(program: &mut Assembler, words: u32, length: u32) {
    program.test(JEQ, words, Label::Next, Label::Skip(3));
    program.act(LD_MEM, 0);
    program.test(JEQ, length, Label::Drop, Label::Next);
    program.go(Label::Pass);
}

const LD_IND: u16 = 0x40;
const LDH_IND: u16 = 0x48;
const LDB_IND: u16 = 0x50;
const LDH_ABS: u16 = 0x28;
const LDB_ABS: u16 = 0x30;
const LD_MEM: u16 = 0x60;
const LDX_IMM: u16 = 0x01;
const ST: u16 = 0x02;
const ADD: u16 = 0x04;
const ADD_X: u16 = 0x0c;
const LSH: u16 = 0x64;
const AND: u16 = 0x54;
const JA: u16 = 0x05;
const JEQ: u16 = 0x15;
const JSET: u16 = 0x45;
const RET: u16 = 0x06;
const TAX: u16 = 0x07;
const TXA: u16 = 0x87;

/// Somewhere to jump to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    /// The next instruction.
    Next,
    /// As many instructions further on.
    Skip(u8),
    Tagged,
    TaggedTwice,
    Type,
    V4,
    V6,
    V6Fragment,
    V6Tcp,
    Tcp,
    Stamped,
    Pass,
    Drop,
}

/// Instructions whose jumps still name labels.
#[derive(Debug, Default)]
struct Assembler {
    steps: Vec<(u16, u32, Label, Label)>,
    marks: Vec<(Label, usize)>,
}

impl Assembler {
    fn act(&mut self, code: u16, k: u32) {
        self.steps.push((code, k, Label::Next, Label::Next));
    }

    fn test(&mut self, code: u16, k: u32, yes: Label, no: Label) {
        self.steps.push((code, k, yes, no));
    }

    fn go(&mut self, to: Label) {
        self.steps.push((JA, 0, to, Label::Next));
    }

    fn mark(&mut self, label: Label) {
        self.marks.push((label, self.steps.len()));
    }

    fn assemble(self) -> Vec<Instruction> {
        let distance = |from: usize, to: Label| match to {
            Label::Next => 0,
            Label::Skip(count) => count,
            label => {
                let at = self.marks.iter().find(|&&(known, _)| known == label).map_or(from + 1, |&(_, at)| at);
                // Jumps go forward, and the whole program is shorter than a jump may be; the tests run all of it.
                u8::try_from(at.saturating_sub(from + 1)).unwrap_or(u8::MAX)
            }
        };
        let steps = self.steps.iter().enumerate();
        let finished = steps.map(|(at, &(code, k, yes, no))| match code {
            JA => Instruction { code, jt: 0, jf: 0, k: distance(at, yes).into() },
            _ => Instruction { code, jt: distance(at, yes), jf: distance(at, no), k },
        });
        finished.collect()
    }
}

#[cfg(test)]
mod tests;
