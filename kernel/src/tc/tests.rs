use super::*;
use crate::netlink::message::Messages;
use crate::testing::{ip_in, lines, namespace, said};

/// The attributes of a message about a queueing discipline or class.
fn attributes(message: &[u8]) -> Attributes<'_> {
    Attributes::new(&message[16 + abi::TC_HEADER..])
}

fn option(message: &[u8], kind: u16) -> Option<Vec<u8>> {
    Some(attributes(message).find(tca::OPTIONS)?.nested().find(kind)?.payload.to_vec())
}

#[test]
fn requests_are_what_tc_sends() {
    let captured = lines(include_str!("../../tests/data/tc_htb.hex"));
    let [qdisc, class, fast] = captured.as_slice() else { panic!() };
    // `tc qdisc replace dev b0 root handle ab0: htb direct_qlen 1000`, which is link 2
    let ours = add_htb(2, 0).finish(1).unwrap();
    assert_eq!(ours[16..16 + abi::TC_HEADER], qdisc[16..16 + abi::TC_HEADER]);
    assert_eq!(option(&ours, htb::INIT), option(qdisc, htb::INIT));
    assert_eq!(option(&ours, htb::DIRECT_QLEN), option(qdisc, htb::DIRECT_QLEN));

    let rates = |message: &[u8]| [htb::PARMS, htb::RATE64, htb::CEIL64].map(|kind| option(message, kind));
    // `tc class change dev anabranch0 parent ab0: classid ab0:10 htb rate 2000000bit burst 65536b ceil 4000000bit cburst 2000b quantum
    // 25000`, link 4
    let spec = ClassSpec { rate: 2_000_000, ceil: Some(4_000_000), burst: Some(65_536) };
    assert!(
        class::line("anabranch0", ClassOp::Change, Slot(1), spec)
            .ends_with("classid ab0:10 htb rate 2000000bit burst 65536b ceil 4000000bit cburst 2000b quantum 25000")
    );
    let ours = class::step(4, ClassOp::Change, Slot(1), spec).request.with_flags(4).finish(1).unwrap();
    assert_eq!((&ours[4..8], &ours[16..16 + abi::TC_HEADER]), (&class[4..8], &class[16..16 + abi::TC_HEADER]));
    assert_eq!(attributes(&ours).find(tca::KIND).unwrap().payload, b"htb\0");
    assert_eq!(rates(&ours), rates(class));
    // `tc class change dev anabranch0 parent ab0: classid ab0:10 htb rate 40000000000bit burst 20000000b ceil 40000000000bit cburst
    // 20000000b quantum 60000`
    let spec = ClassSpec { rate: 40_000_000_000, ceil: None, burst: None };
    let ours = class::step(4, ClassOp::Change, Slot(1), spec).request.finish(1).unwrap();
    assert!(option(fast, htb::RATE64).is_some());
    assert_eq!(rates(&ours), rates(fast));
}

#[test]
fn numbers_stay_in_their_range() {
    let most = ClassSpec { rate: u64::MAX, ceil: Some(u64::MAX), burst: Some(u64::MAX) };
    assert_eq!((most.quantum(), most.ceiling().0), (60_000, u64::MAX));
    let message = class::step(1, ClassOp::Make, Slot(1), most).request.finish(1).unwrap();
    assert_eq!(option(&message, htb::RATE64).unwrap(), (u64::MAX / 8).to_ne_bytes());
    let least = ClassSpec { rate: 8, ceil: Some(1), burst: Some(0) };
    // A ceiling below the rate would be none.
    assert_eq!((least.quantum(), least.burst(), least.ceiling()), (1500, 1600, (8, 1600)));
    // Without a ceiling the burst goes at once.
    let bursting = ClassSpec { rate: 1_000_000, ceil: None, burst: Some(100_000) };
    assert_eq!(bursting.ceiling(), (1_000_000, 100_000));
    assert_eq!(ClassSpec { rate: 100_000_000, ..bursting }.quantum(), 60_000);
}

#[test]
fn every_slot_has_a_class_of_its_own() {
    let mut classes: Vec<_> = (1..=Slot::MOST).map(|slot| Slot(slot).class()).collect();
    assert!((1..=Slot::MOST).all(|slot| Slot::of(Slot(slot).class()) == Some(Slot(slot))));
    // Their last bits are those of a packet without a priority.
    assert!(classes.iter().all(|class| class & 0xf == 0 && class & 0xffff != 0));
    classes.dedup();
    assert_eq!(classes.len(), usize::from(Slot::MOST));
    assert_eq!([1, 2, 1024, 1025].map(|slot| Slot(slot).to_string()), ["ab0:10", "ab0:20", "ab0:4000", "ab1:10"]);
    assert_eq!((Slot(1).last_beside(), Slot(1025).last_beside(), Slot::first(1)), (Slot(1024), Slot(2048), Slot(1025)));
    for foreign in [0, 0x0001_0010, 0x0ab0_0000, 0x0ab0_0011, 0x0ab0_4010, 0x0aea_ffff, u32::MAX] {
        assert_eq!(Slot::of(foreign), None, "{foreign:x}");
    }
}

#[test]
fn classes_are_made_changed_and_read() {
    let ns = namespace(&["link add i0 type ifb", "link add i1 type ifb", "link set i0 up"]);
    ns.run(|| {
        let index = link::Links::open().unwrap().find("i0").unwrap().unwrap().index;
        let mut tc = TrafficControl::open().unwrap();
        let missing = tc.set_classes(index, ClassOp::Make, [(Slot(1), ClassSpec::OPEN)]).unwrap_err();
        assert_eq!(missing.object, format!("class ab0:10 of link {index}"));
        tc.delete_root(index).unwrap();
        tc.add_htb(index, 0).unwrap();
        assert_eq!(tc.add_htb(index, 0).unwrap_err().errno(), Some(libc::EEXIST));
        let root = Qdisc { kind: "htb".to_owned(), handle: 0x0ab0_0000 };
        assert!(tc.roots().unwrap().contains(&(index, root)));

        // More than go at once, and one that cannot be changed among them.
        let all = (1..=1000)
            .map(|slot| (Slot(slot), ClassSpec { rate: u64::from(slot) * 1_000_000, ceil: None, burst: None }));
        tc.set_classes(index, ClassOp::Make, all.clone()).unwrap();
        tc.set_classes(index, ClassOp::Make, all.clone()).unwrap();
        let beyond = all.map(|(slot, spec)| (Slot(slot.0 + 10), spec));
        let error = tc.set_classes(index, ClassOp::Change, beyond).unwrap_err();
        assert_eq!((error.errno(), error.object), (Some(libc::ENOENT), format!("class ab0:3e90 of link {index}")));

        let mut classes = tc.classes(index).unwrap();
        classes.sort_by_key(|class| class.slot);
        assert_eq!(classes.len(), 1000);
        // All others were changed.
        let class = &classes[999];
        assert_eq!((class.slot, class.rate, class.ceil), (Slot(1000), 990_000_000, 990_000_000));
        assert!((494_000..=495_000).contains(&class.burst), "{}", class.burst);
        let wide = ClassSpec { rate: 80_000_000_000, ceil: Some(90_000_000_000), burst: None };
        tc.set_classes(index, ClassOp::Change, [(Slot(1), wide)]).unwrap();
        let wide = tc.classes(index).unwrap().into_iter().find(|class| class.slot == Slot(1)).unwrap();
        assert_eq!((wide.rate, wide.ceil), (80_000_000_000, 90_000_000_000));
        assert_eq!(wide.stats, ClassStats::default());
        // Each has a queue as short as its link's.
        assert!(said(&ns, "tc qdisc show dev i0 invisible").contains("parent ab0:10 limit 32p"));
        // Somebody else's classes are not ours.
        said(&ns, "tc class add dev i0 parent ab0: classid ab0:5 htb rate 1mbit");
        assert_eq!(tc.classes(index).unwrap().len(), 1000);
        ip_in(&ns, "link delete i0");
        assert!(tc.classes(index).unwrap().is_empty());
    })
    .unwrap();
}

#[test]
fn cut_short_nothing_is_read() {
    let spec = ClassSpec { rate: 2_000_000, ceil: None, burst: None };
    let message = class::step(4, ClassOp::Change, Slot(1), spec).request.finish(1).unwrap();
    let payload = Messages::new(&message).next().unwrap().payload.to_vec();
    // Statistics are the kernel's to tell.
    assert!((0..=payload.len()).all(|length| class::parse(&payload[..length]).is_none()));
    assert!((0..abi::TC_HEADER).all(|length| super::root(&payload[..length]).is_none()));
}
