use super::*;

#[test]
fn one_process_has_a_number_and_two_have_numbers() {
    let running = |pid| Running { pid, listeners: Vec::new() };
    assert_eq!(numbers(&[running(7)]), "process 7");
    assert_eq!(numbers(&[running(7), running(9)]), "processes 7 and 9");
}

#[test]
fn limits_are_read_as_systemd_writes_them() {
    for (text, limit) in [
        ("[Service]\nLimitNOFILE=1048576\n", Some(1_048_576)),
        ("[Service]\n  LimitNOFILE=1024:524288\n", Some(524_288)),
        ("LimitNOFILE=5\nLimitNOFILE=infinity\n", Some(u64::MAX)),
        ("[Service]\n#LimitNOFILE=7\nLimitNPROC=9\n", None),
        ("LimitNOFILE=many\n", None),
    ] {
        assert_eq!(limit_in(text), limit, "{text}");
    }
}

#[test]
fn what_lies_beside_a_unit_counts_more_than_the_unit_and_the_last_name_most() {
    let root = std::env::temp_dir().join(format!("anabranch-units-{}", std::process::id()));
    let write = |path: &str, limit: u32| {
        let file = root.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, format!("[Service]\nLimitNOFILE={limit}\n")).unwrap();
    };
    let limit = || descriptors(&[], &root);
    let own = getrlimit(Resource::RLIMIT_NOFILE).unwrap().1;
    assert_eq!((limit().whose.as_str(), limit().hard), ("this process", own));
    write("usr/lib/systemd/system/anabranch-proxy.service", 1);
    assert_eq!((limit().whose.as_str(), limit().hard), ("anabranch-proxy.service", 1));
    write("usr/lib/systemd/system/anabranch-proxy.service.d/70.conf", 3);
    write("etc/systemd/system/anabranch-proxy.service.d/60.conf", 2);
    assert_eq!(limit().hard, 3);
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn this_process_is_who_it_is_without_another() {
    let found = capabilities(&[]);
    assert_eq!(found.whose, "this process");
    assert!(found.held.iter().all(|name| CAPABILITIES.iter().any(|(_, known)| known == name)));
    assert_eq!(may_try(), found.held.iter().any(|name| name == "CAP_NET_ADMIN"));
}
