use super::*;

fn of(table: &str, device: &str) -> (Names, Options) {
    let names = Names { table: table.to_owned(), device: device.to_owned() };
    (names, Options { subflows: 5000, lease: Duration::from_secs(10), adopt: false })
}

#[test]
fn names_are_quoted_wherever_they_are_said() {
    let (names, options) = of("anabranch", "a';reboot");
    let commands = Commands::new(&names, options);
    let spec = ClassSpec { rate: 1_000_000, ceil: None, burst: None };
    let quoted = r"'a'\'';reboot'";
    let class = commands.class(Slot(1), spec);
    assert!(class.starts_with(&format!("tc class change dev {quoted} parent ab0: classid ab0:10 htb rate 1000000bit")));
    assert!(commands.open()[..5].iter().all(|line| line.contains(quoted)), "{:?}", commands.open());
    assert_eq!(commands.clear()[1], format!("ip link delete dev {quoted}"));
    // As a shell reads it, the line of nft is one word.
    let line = commands.watch(3, "b'0").remove(0);
    assert_eq!(
        line,
        r#"nft 'add chain netdev anabranch ingress3 { type filter hook ingress device "b'\''0" priority 0; policy accept; }'"#
    );
}

#[test]
fn classes_beyond_the_first_device_are_on_others() {
    let (names, options) = of("anabranch", "anabranch0");
    let commands = Commands::new(&names, options);
    assert_eq!(
        [1, 1024, 1025, 5000].map(|slot| commands.device(Slot(slot))),
        ["anabranch0", "anabranch0", "anabranch0-1", "anabranch0-4"]
    );
    let lines = commands.new_class(Slot(1025), ClassSpec::OPEN);
    assert_eq!(lines[0], "ip link add anabranch0-1 address 02:61:6e:61:62:72 txqueuelen 32 type ifb");
    assert_eq!(lines[3], "tc qdisc add dev anabranch0-1 root handle ab1: htb direct_qlen 1000");
    assert_eq!(lines.last().unwrap(), "nft 'add element netdev anabranch ifbs { ab1:10 : \"anabranch0-1\" }'");
    assert_eq!(commands.new_class(Slot(1026), ClassSpec::OPEN).len(), 2);
    let (names, options) = of("anabranch", "fifteen-letters");
    assert_eq!(Commands::new(&names, options).device(Slot(5000)), "fifteen-lett-4");
}

#[test]
fn elements_are_said_as_they_are_keyed() {
    let (names, options) = of("t", "d");
    let commands = Commands::new(&names, options);
    let flow = Flow { client: "[::ffff:10.1.0.2]:1000".parse().unwrap(), server: "10.1.0.1:443".parse().unwrap() };
    assert_eq!(
        commands.put(Direction::Download, flow, Slot(2)).unwrap(),
        "nft 'add element netdev t down4 { 10.1.0.2 . 1000 . 10.1.0.1 . 443 timeout 10000ms : ab0:20 }'"
    );
    assert_eq!(
        commands.remove(Direction::Upload, flow).unwrap(),
        "nft 'delete element netdev t up4 { 10.1.0.2 . 1000 . 10.1.0.1 . 443 }'"
    );
    let odd = Flow { client: "[fd00::1]:1".parse().unwrap(), ..flow };
    assert!(matches!(commands.put(Direction::Download, odd, Slot(2)), Err(ShaperError::Families(_))));
}
