//! The `bpf` system call: commands, their attributes, instruction codes and helper numbers.
//!
//! Source: Linux v6.18 `include/uapi/linux/bpf.h`, `include/uapi/linux/btf.h`; bpf(2).

/// Commands.
pub(crate) mod command {
    pub(crate) const MAP_CREATE: u32 = 0;
    pub(crate) const PROG_LOAD: u32 = 5;
    pub(crate) const OBJ_PIN: u32 = 6;
    /// Since v5.6, as the next.
    pub(crate) const MAP_LOOKUP_AND_DELETE_BATCH: u32 = 25;
    pub(crate) const MAP_UPDATE_BATCH: u32 = 26;
    /// Since v5.8 with `TRACE_ITER`, as the next.
    pub(crate) const LINK_CREATE: u32 = 28;
    pub(crate) const ITER_CREATE: u32 = 33;
}

/// `BPF_MAP_TYPE_HASH`.
pub(crate) const MAP_TYPE_HASH: u32 = 1;
/// `BPF_F_NO_PREALLOC`: memory for an entry is taken when it comes.
pub(crate) const F_NO_PREALLOC: u32 = 1;
/// `BPF_PROG_TYPE_TRACING`.
pub(crate) const PROG_TYPE_TRACING: u32 = 26;
/// `BPF_MODIFY_RETURN`.
pub(crate) const MODIFY_RETURN: u32 = 26;
/// `BPF_TRACE_ITER`.
pub(crate) const TRACE_ITER: u32 = 28;
/// `BPF_PSEUDO_MAP_FD`: the constant is the descriptor of a map.
pub(crate) const PSEUDO_MAP_FD: u8 = 1;

/// Helpers a program may call.
pub(crate) mod helper {
    pub(crate) const MAP_LOOKUP_ELEM: i32 = 1;
    /// In `bpf_iter/tcp` since v5.15.
    pub(crate) const SETSOCKOPT: i32 = 49;
    /// Since v5.11.
    pub(crate) const GET_CURRENT_TASK_BTF: i32 = 158;
}

/// Instruction codes: operation, size or comparison, and kind of source, as they are used here.
pub(crate) mod code {
    /// `BPF_LDX | BPF_MEM` of one, two, four and eight bytes.
    pub(crate) const LOAD_1: u8 = 0x71;
    pub(crate) const LOAD_2: u8 = 0x69;
    pub(crate) const LOAD_4: u8 = 0x61;
    pub(crate) const LOAD_8: u8 = 0x79;
    /// `BPF_STX | BPF_MEM`.
    pub(crate) const STORE_2: u8 = 0x6b;
    pub(crate) const STORE_4: u8 = 0x63;
    /// `BPF_ST | BPF_MEM`: a constant.
    pub(crate) const STORE_4_CONSTANT: u8 = 0x62;
    /// `BPF_LD | BPF_IMM | BPF_DW`: two words long.
    pub(crate) const LOAD_CONSTANT_8: u8 = 0x18;
    /// `BPF_ALU64`.
    pub(crate) const MOVE: u8 = 0xbf;
    pub(crate) const MOVE_CONSTANT: u8 = 0xb7;
    pub(crate) const ADD_CONSTANT: u8 = 0x07;
    pub(crate) const SHIFT_LEFT: u8 = 0x6f;
    pub(crate) const AND_CONSTANT: u8 = 0x57;
    pub(crate) const OR: u8 = 0x4f;
    pub(crate) const XOR: u8 = 0xaf;
    /// `BPF_ALU`: of the lower 32 bits.
    pub(crate) const AND_CONSTANT_4: u8 = 0x54;
    /// `BPF_JMP`.
    pub(crate) const JUMP: u8 = 0x05;
    pub(crate) const JUMP_IF_EQUAL: u8 = 0x15;
    pub(crate) const JUMP_IF_NOT_EQUAL: u8 = 0x55;
    pub(crate) const JUMP_IF_GREATER: u8 = 0x25;
    /// `BPF_JMP32`: looks at the lower 32 bits.
    pub(crate) const JUMP_IF_EQUAL_4: u8 = 0x16;
    pub(crate) const JUMP_IF_NOT_EQUAL_4: u8 = 0x56;
    pub(crate) const CALL: u8 = 0x85;
    pub(crate) const EXIT: u8 = 0x95;
}

/// `union bpf_attr` of `BPF_MAP_CREATE`, as far as it is used.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct MapCreate {
    pub(crate) map_type: u32,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) map_flags: u32,
    pub(crate) inner_map_fd: u32,
    pub(crate) numa_node: u32,
    pub(crate) map_name: [u8; 16],
}

/// `union bpf_attr` of `BPF_PROG_LOAD`, up to `attach_btf_id` and what fills its last eight bytes.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct ProgLoad {
    pub(crate) prog_type: u32,
    pub(crate) insn_cnt: u32,
    pub(crate) insns: u64,
    pub(crate) license: u64,
    pub(crate) log_level: u32,
    pub(crate) log_size: u32,
    pub(crate) log_buf: u64,
    pub(crate) kern_version: u32,
    pub(crate) prog_flags: u32,
    pub(crate) prog_name: [u8; 16],
    pub(crate) prog_ifindex: u32,
    pub(crate) expected_attach_type: u32,
    pub(crate) prog_btf_fd: u32,
    pub(crate) func_info_rec_size: u32,
    pub(crate) func_info: u64,
    pub(crate) func_info_cnt: u32,
    pub(crate) line_info_rec_size: u32,
    pub(crate) line_info: u64,
    pub(crate) line_info_cnt: u32,
    pub(crate) attach_btf_id: u32,
    pub(crate) attach_prog_fd: u32,
    pub(crate) core_relo_cnt: u32,
}

/// `union bpf_attr` of the batch commands on maps.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) in_batch: u64,
    pub(crate) out_batch: u64,
    pub(crate) keys: u64,
    pub(crate) values: u64,
    pub(crate) count: u32,
    pub(crate) map_fd: u32,
    pub(crate) elem_flags: u64,
    pub(crate) flags: u64,
}

/// `union bpf_attr` of `BPF_LINK_CREATE`, without what single attach types add.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct LinkCreate {
    pub(crate) prog_fd: u32,
    pub(crate) target_fd: u32,
    pub(crate) attach_type: u32,
    pub(crate) flags: u32,
}

/// `union bpf_attr` of `BPF_ITER_CREATE`.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct IterCreate {
    pub(crate) link_fd: u32,
    pub(crate) flags: u32,
}

/// `union bpf_attr` of `BPF_OBJ_PIN`, as far as it is used.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct ObjPin {
    pub(crate) pathname: u64,
    pub(crate) bpf_fd: u32,
    pub(crate) file_flags: u32,
}

const _: () = {
    assert!(size_of::<ObjPin>() == 16);
    assert!(size_of::<MapCreate>() == 44);
    assert!(size_of::<ProgLoad>() == 120);
    assert!(std::mem::offset_of!(ProgLoad, attach_btf_id) == 108);
    assert!(size_of::<Batch>() == 56);
    assert!(size_of::<LinkCreate>() == 16 && size_of::<IterCreate>() == 8);
};

/// The kernel's type information (BTF).
pub(crate) mod btf {
    /// First two bytes, in host order.
    pub(crate) const MAGIC: u16 = 0xeb9f;
    /// Byte offsets inside `struct btf_header`; places are counted from the header's end.
    pub(crate) mod header {
        pub(crate) const LENGTH: usize = 4;
        pub(crate) const TYPES: usize = 8;
        pub(crate) const TYPES_LENGTH: usize = 12;
        pub(crate) const STRINGS: usize = 16;
        pub(crate) const STRINGS_LENGTH: usize = 20;
    }
    /// Size of `struct btf_type`: name, information, size or type.
    pub(crate) const TYPE: usize = 12;
    /// Size of `struct btf_member`: name, type, offset in bits.
    pub(crate) const MEMBER: usize = 12;

    pub(crate) const KIND_STRUCT: u32 = 4;
    pub(crate) const KIND_UNION: u32 = 5;
    pub(crate) const KIND_FUNC: u32 = 12;

    /// Bytes behind a `struct btf_type` of this kind with `count` entries; `None` for a kind not known here.
    pub(crate) fn tail(kind: u32, count: usize) -> Option<usize> {
        Some(match kind {
            // Pointer, forward, typedef, volatile, const, restrict, function, float, type tag.
            2 | 7..=12 | 16 | 18 => 0,
            // Integer, variable, declaration tag.
            1 | 14 | 17 => 4,
            // Array.
            3 => 12,
            // Enumeration, function prototype.
            6 | 13 => 8 * count,
            // Structure, union, data section, 64 bit enumeration.
            4 | 5 | 15 | 19 => 12 * count,
            _ => return None,
        })
    }
}
