use super::*;

#[test]
fn one_message_names_every_tool_and_each_package_once() {
    let message = missing(false, |name| name == "ip").expect("tools are missing");
    for part in ["tc, ethtool, unshare\n", "apt-get install iproute2 ethtool util-linux\n", "dnf install iproute-tc"] {
        assert!(message.contains(part), "{message}");
    }
    let message = missing(true, |_| false).expect("tools are missing");
    assert!(message.contains("not installed: ip, tc, ethtool\n"), "root needs no unshare: {message}");
    assert!(message.contains("apt-get install iproute2 ethtool\n"), "one package, said once: {message}");
    assert_eq!(missing(true, |name| name != "unshare"), None);
}

#[test]
fn the_system_places_come_last_and_only_once() {
    let whole = with_system_places(&"/usr/bin:/usr/sbin".into()).expect("two are lacking");
    assert_eq!(whole, "/usr/bin:/usr/sbin:/usr/local/sbin:/sbin");
    assert_eq!(with_system_places(&whole), None, "else the program would start itself for ever");
    assert_eq!(with_system_places(&"".into()).and_then(|whole| with_system_places(&whole)), None);
}
