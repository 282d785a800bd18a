use super::*;
use crate::packet::wait_readable;
use crate::testing::{hex, ip_in, namespace};

fn sent(request: crate::netlink::Request) -> Vec<u8> {
    request.with_flags(4).finish(0x6b08_4b6e).unwrap()
}

#[test]
fn requests_are_what_ip_sends() {
    // `ip link set dev anabranch0 up`, link 4
    let ip = hex("20000000 1000 0500 6e4b086b 00000000 00000000 04000000 01000000 01000000");
    assert_eq!(sent(encode::set_up(4)), ip);
    // `ip link set dev anabranch0 alias 'anabranch x'`; ip ends it with a zero byte, which the kernel takes for a part of it.
    let ip = hex("2f000000 1000 0500 6e4b086b 00000000 00000000 04000000 00000000 00000000
                  0f001400 616e61627261 6e636820 78");
    let ours = sent(encode::set_alias(4, "anabranch x"));
    assert_eq!((&ours[4..], ours.len()), ([&ip[4..], &[0]].concat().as_slice(), 48));
    // `ip link add anabranch0 type ifb`, and what we say besides
    let ifb = Ifb { name: "anabranch0", address: [2, 0x61, 0x6e, 0x61, 0x62, 0x72], queue: 32 };
    let ours = hex("50000000 1000 0506 6e4b086b 00000000 00000000 00000000 00000000 00000000
                    0f000300 616e6162 72616e63 68300000 0a000100 02616e61 62720000 08000d00 20000000
                    0c001280 07000100 69666200");
    assert_eq!(sent(encode::create_ifb(&ifb)), ours);
}

#[test]
fn links_are_told_as_they_are() {
    let ns = namespace(&[
        "link add a0 type veth peer name b0",
        "link set a0 alias somebody's",
        "link set a0 up",
        "address add 10.1.0.1 peer 10.1.0.9/32 dev a0",
        "address add fd00::1/64 dev a0 nodad",
    ]);
    ns.run(|| {
        let mut links = Links::open().unwrap();
        let all = links.list().unwrap();
        assert!(all.is_sorted_by_key(|link| link.index));
        let of = |name: &str| all.iter().find(|link| link.name == name).unwrap();
        let (lo, a0, b0) = (of("lo"), of("a0"), of("b0"));
        assert!(lo.loopback && lo.up && lo.kind.is_none() && lo.addresses.contains(&"127.0.0.1".parse().unwrap()));
        assert!(a0.up && !a0.loopback && !b0.up && b0.addresses.is_empty());
        assert_eq!((a0.kind.as_deref(), a0.alias.as_deref(), a0.address.len()), (Some("veth"), Some("somebody's"), 6));
        assert_eq!(a0.qdisc.as_deref(), Some("noqueue"));
        // The address of this end, not of the other.
        let has = |address: &str| a0.addresses.contains(&address.parse().unwrap());
        assert!(has("10.1.0.1") && has("fd00::1") && !has("10.1.0.9"));

        let found = links.find("a0").unwrap().unwrap();
        assert_eq!((found.index, found.addresses.len()), (a0.index, 0));
        assert_eq!(links.find("a9").unwrap(), None);
    })
    .unwrap();
}

#[test]
fn an_ifb_is_made_marked_and_taken_away() {
    namespace(&[])
        .run(|| {
            let mut links = Links::open().unwrap();
            let ifb = Ifb { name: "i0", address: [2, 1, 2, 3, 4, 5], queue: 7 };
            links.create_ifb(&ifb).unwrap();
            assert_eq!(links.create_ifb(&ifb).unwrap_err().errno(), Some(libc::EEXIST));
            let made = links.find("i0").unwrap().unwrap();
            assert_eq!((made.kind.as_deref(), made.address.as_slice()), (Some("ifb"), [2, 1, 2, 3, 4, 5].as_slice()));
            assert_eq!((made.up, made.alias), (false, None));
            links.set_alias(made.index, "ours").unwrap();
            assert_eq!(links.set_alias(made.index, &"x".repeat(256)).unwrap_err().errno(), Some(libc::ERANGE));
            links.no_addresses(made.index).unwrap();
            links.set_up(made.index).unwrap();
            let [_, made] = links.list().unwrap().try_into().unwrap();
            assert_eq!((made.up, made.alias.as_deref(), made.addresses.len()), (true, Some("ours"), 0));
            links.delete(made.index).unwrap();
            links.delete(made.index).unwrap();
            assert_eq!(links.find("i0").unwrap(), None);
            let error = links.set_up(99).unwrap_err();
            assert_eq!(
                (error.op, error.object.as_str(), error.errno()),
                ("RTM_NEWLINK", "link 99", Some(libc::ENODEV))
            );
        })
        .unwrap();
}

#[test]
fn changes_are_noticed() {
    let ns = namespace(&[]);
    ns.run(|| {
        let mut watch = LinkWatch::open().unwrap();
        assert_eq!(watch.recv().unwrap(), None);
        ip_in(&ns, "link add a0 type veth peer name b0");
        let index = Links::open().unwrap().find("a0").unwrap().unwrap().index;
        let mut seen = |what: &str, notice: LinkNotice| {
            ip_in(&ns, what);
            wait_readable(&[&watch], std::time::Duration::from_secs(5)).unwrap();
            let told: Vec<_> = std::iter::from_fn(|| watch.recv().unwrap()).collect();
            assert!(told.contains(&notice), "{what}: {told:?}");
        };
        seen("link set a0 name wan", LinkNotice::Link(index));
        seen("address add 10.1.0.1/24 dev wan", LinkNotice::Address(index));
        seen("address delete 10.1.0.1/24 dev wan", LinkNotice::Address(index));
        seen("address add fd00::1/64 dev wan nodad", LinkNotice::Address(index));
        seen("link set wan up", LinkNotice::Link(index));
        seen("link delete wan", LinkNotice::Gone(index));
    })
    .unwrap();
}
