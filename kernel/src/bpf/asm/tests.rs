use super::*;

/// The words as the kernel reads them.
fn bytes(words: &[Instruction]) -> Vec<u8> {
    words
        .iter()
        .flat_map(|word| {
            let tail = [&word.offset.to_ne_bytes()[..], &word.constant.to_ne_bytes()].concat();
            [vec![word.code, word.registers], tail].concat()
        })
        .collect()
}

#[cfg(target_endian = "little")]
#[test]
fn words_are_what_other_assemblers_make() {
    let mut a = Assembler::default();
    a.load(code::LOAD_8, Reg::R6, Reg::R1, 8); // r6 = *(u64 *)(r1 + 8)
    a.store(code::STORE_2, Reg::Fp, -8, Reg::R1); // *(u16 *)(r10 - 8) = r1
    a.store_constant(Reg::R8, 8, 1); // *(u32 *)(r8 + 8) = 1
    a.copy(Reg::R2, Reg::Fp); // r2 = r10
    a.constant(code::ADD_CONSTANT, Reg::R2, -40); // r2 += -40
    a.shift_left(Reg::R2, Reg::R1); // r2 <<= r1
    a.map(Reg::R1, 7); // r1 = map_fd 7
    a.call(49); // call bpf_setsockopt
    a.wide_constant(Reg::R2, 0x0102_0304_f506_0708); // r2 = 0x1020304f5060708 ll
    a.registers(code::XOR, Reg::R1, Reg::R2); // r1 ^= r2
    a.constant(code::AND_CONSTANT_4, Reg::R7, 15); // w7 &= 15
    a.exit();
    let expected = "7916080000000000 6b1af8ff00000000 6208080001000000 bfa2000000000000 07020000d8ffffff \
                    6f12000000000000 1811000007000000 0000000000000000 8500000031000000 \
                    18020000080706f5 0000000004030201 af21000000000000 540700000f000000 9500000000000000";
    assert_eq!(bytes(&a.finish().unwrap()), crate::testing::hex(expected));
}

#[test]
fn jumps_go_to_their_labels() {
    let (end, back) = (Label("end"), Label("back"));
    let mut a = Assembler::default();
    a.label(back);
    a.jump(code::JUMP_IF_EQUAL, Reg::R6, 0, end);
    a.exit();
    a.jump(code::JUMP, Reg::R0, 0, back);
    a.label(end);
    a.exit();
    let offsets: Vec<_> = a.finish().unwrap().iter().map(|word| word.offset).collect();
    assert_eq!(offsets, [2, 0, -3, 0]);
}

#[test]
fn a_jump_to_nowhere_is_no_program() {
    let mut a = Assembler::default();
    a.jump(code::JUMP, Reg::R0, 0, Label("nowhere"));
    assert_eq!(a.finish(), None);
}
