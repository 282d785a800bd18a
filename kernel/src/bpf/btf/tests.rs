use proptest::prelude::*;

use super::*;

/// Type information under construction.
#[derive(Default)]
struct Builder {
    types: Vec<u8>,
    strings: Vec<u8>,
}

impl Builder {
    fn new() -> Self {
        Self { types: Vec::new(), strings: vec![0] }
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = u32::try_from(self.strings.len()).unwrap();
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        at
    }

    fn words(&mut self, words: &[u32]) {
        self.types.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
    }

    /// A structure or union with members of (name, type, offset in bits).
    fn composite(&mut self, kind: u32, name: &str, packed: bool, members: &[(&str, u32, u32)]) {
        let name = self.name(name);
        let count = u32::try_from(members.len()).unwrap();
        self.words(&[name, u32::from(packed) << 31 | kind << 24 | count, 64]);
        for (member, of, offset) in members {
            let member = self.name(member);
            self.words(&[member, *of, *offset]);
        }
    }

    fn finish(&self) -> Vec<u8> {
        let length = |part: &[u8]| u32::try_from(part.len()).unwrap().to_ne_bytes();
        let mut bytes = [&abi::MAGIC.to_ne_bytes()[..], &[1, 0], &24_u32.to_ne_bytes()].concat();
        bytes.extend([0_u32.to_ne_bytes(), length(&self.types), length(&self.types), length(&self.strings)].concat());
        [bytes, self.types.clone(), self.strings.clone()].concat()
    }
}

/// A structure `sock` with a member inside a union inside a structure without names, behind types of every kind.
fn example() -> Vec<u8> {
    let mut b = Builder::new();
    let int = b.name("int");
    b.words(&[int, 1 << 24, 4, 0]); // 1: an integer
    b.words(&[0, 2 << 24, 1]); // 2: a pointer
    b.words(&[0, 3 << 24, 0, 1, 1, 4]); // 3: an array
    b.words(&[0, 6 << 24 | 2, 4, 0, 0, 0, 1]); // 4: an enumeration of two
    b.words(&[0, 13 << 24 | 1, 1, 0, 1]); // 5: a prototype with one parameter
    b.composite(abi::KIND_UNION, "", false, &[("pair", 1, 0), ("", 7, 0)]); // 6
    b.composite(abi::KIND_STRUCT, "", false, &[("port", 1, 0), ("number", 1, 16)]); // 7
    b.composite(abi::KIND_STRUCT, "sock", true, &[("first", 1, 8 << 24), ("", 6, 96), ("bit", 1, 1 << 24 | 129)]); // 8
    let name = b.name("visit");
    b.words(&[name, 12 << 24, 5]); // 9: a function
    b.words(&[name, 14 << 24, 1, 0]); // 10: a variable of the same name
    b.words(&[0, 15 << 24 | 1, 4, 10, 0, 4]); // 11: a section
    b.words(&[0, 19 << 24 | 1, 8, 0, 0, 0]); // 12: a wide enumeration of one
    let last = b.name("last");
    b.words(&[last, 12 << 24, 5]); // 13
    b.composite(abi::KIND_STRUCT, "endless", false, &[("", 14, 32)]); // 14: inside itself
    b.finish()
}

#[test]
fn functions_and_members_are_where_they_are() {
    let bytes = example();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!((btf.function("visit"), btf.function("last")), (Ok(9), Ok(13)));
    let member = |name| btf.member("sock", name);
    assert_eq!((member("first"), member("pair"), member("port"), member("number")), (Ok(0), Ok(12), Ok(12), Ok(14)));
}

#[test]
fn what_is_not_there_is_named() {
    let bytes = example();
    let btf = Btf::parse(&bytes).unwrap();
    let missing = |what: &str| BtfError::Missing(what.to_owned());
    assert_eq!(btf.function("vis"), Err(missing("function vis")));
    assert_eq!(btf.function("visitor"), Err(missing("function visitor")));
    assert_eq!(btf.function("int"), Err(missing("function int")));
    assert_eq!(btf.member("socket", "first"), Err(missing("structure socket")));
    assert_eq!(btf.member("sock", "second"), Err(missing("member second in structure sock")));
    // A bit field begins in the middle of a byte.
    assert_eq!(btf.member("sock", "bit"), Err(missing("member bit in structure sock")));
    assert_eq!(btf.member("endless", "first"), Err(missing("member first in structure endless")));
}

#[test]
fn every_truncation_is_damage() {
    let bytes = example();
    for length in 0..bytes.len() {
        assert!(matches!(Btf::parse(&bytes[..length]), Err(BtfError::Damaged(_))), "{length}");
    }
    // The same inside: the header is right, the last type ends early.
    let mut b = Builder::new();
    b.words(&[0, 4 << 24 | 2, 8, 0, 0, 0]);
    assert_eq!(Btf::parse(&b.finish()).unwrap_err(), BtfError::Damaged("the last type is cut off"));
    b.types.truncate(11);
    assert_eq!(Btf::parse(&b.finish()).unwrap_err(), BtfError::Damaged("a type is cut off"));
    let mut unknown = Builder::new();
    unknown.words(&[0, 31 << 24, 0]);
    assert_eq!(Btf::parse(&unknown.finish()).unwrap_err(), BtfError::Damaged("a type is of an unknown kind"));
}

#[test]
fn a_structure_full_of_itself_ends_the_search() {
    let mut b = Builder::new();
    b.composite(abi::KIND_STRUCT, "mirrors", false, &vec![("", 1, 0); 1000]);
    let bytes = b.finish();
    assert!(Btf::parse(&bytes).unwrap().member("mirrors", "first").is_err());
}

#[test]
fn this_kernel_has_what_the_program_needs() {
    let bytes = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
    let btf = Btf::parse(&bytes).unwrap();
    assert!(btf.function("bpf_iter_tcp").unwrap() > 0);
    // As every 64-bit kernel since 2013 has them (`struct sock_common`).
    let member = |name| btf.member("sock_common", name).unwrap();
    assert_eq!((member("skc_daddr"), member("skc_rcv_saddr")), (0, 4));
    assert_eq!((member("skc_dport"), member("skc_num"), member("skc_family"), member("skc_state")), (12, 14, 16, 18));
    // The context is one word an argument.
    assert_eq!(btf.member("bpf_iter__tcp", "sk_common"), Ok(8));
}

proptest! {
    #[test]
    fn any_bytes_are_type_information_or_not(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
        noise in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut real = example();
        for (at, byte) in changes {
            *at.get_mut(&mut real) = byte;
        }
        let cut = cut.index(real.len());
        for bytes in [&real[..], &real[..cut], &noise] {
            if let Ok(btf) = Btf::parse(bytes) {
                for name in ["first", "port", "bit", "none"] {
                    btf.member("sock", name).ok();
                    btf.member("endless", name).ok();
                    btf.function(name).ok();
                }
            }
        }
    }
}
