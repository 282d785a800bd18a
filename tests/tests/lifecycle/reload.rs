//! A reload changes what it can while everything runs, or changes nothing and says why.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::{Origin, Proxy, Scratch, Start, Tunnel, connect, eventually, fetch, fetch_from, own_address};

fn edge(clients: &str) -> String {
    format!("[[listener]]\nname = \"edge\"\naddress = \"127.0.0.1:0\"\nclients = [\"{clients}\"]\n")
}

fn at(name: &str, address: impl std::fmt::Display) -> String {
    format!("[[listener]]\nname = \"{name}\"\naddress = \"{address}\"\n")
}

#[test]
fn a_new_client_list_counts_for_new_connections_and_running_tunnels_go_on() {
    let (origin, web) = (Origin::echo(), Origin::text("hello"));
    let proxy = Proxy::start(&edge("127.0.0.0/8"));
    let address = proxy.address("edge");
    let mut tunnel = Tunnel::open(address, origin.address);
    tunnel.echo("before");
    let friend = own_address();
    proxy.reload(&edge(&format!("{friend}/32")), "applied");
    assert_eq!(proxy.address("edge"), address, "the socket was not touched");
    assert_eq!(fetch(address, &web.url("/")).status, 403);
    assert_eq!(fetch_from(friend.into(), address, &web.url("/")).status, 200);
    tunnel.echo("after");
    assert!(tunnel.finish().is_empty());
}

#[test]
fn a_changed_file_is_read_without_being_asked() {
    let web = Origin::text("hello");
    let proxy = Proxy::start(&edge("127.0.0.0/8"));
    let address = proxy.address("edge");
    assert_eq!(fetch(address, &web.url("/")).status, 200);
    // In place, byte after byte, as some editors do: half a file is never applied, or refused and then mended.
    let text = std::fs::read_to_string(proxy.dir.path("anabranch.toml")).unwrap().replace("127.0.0.0/8", "10.0.0.0/8");
    let mut file = std::fs::File::create(proxy.dir.path("anabranch.toml")).unwrap();
    for piece in text.as_bytes().chunks(50) {
        file.write_all(piece).unwrap();
    }
    drop(file);
    eventually("the change in place is applied", || fetch(address, &web.url("/")).status == 403);
    // Another file in its place.
    proxy.rewrite(&edge("127.0.0.0/8"));
    eventually("the exchanged file is applied", || fetch(address, &web.url("/")).status == 200);
}

#[test]
fn an_exchanged_link_is_a_changed_file() {
    let web = Origin::text("hello");
    let dir = std::sync::Arc::new(Scratch::new());
    let start = Start::within(dir.clone(), &edge("127.0.0.0/8"));
    // As a container platform mounts it: the file is a link into a directory that is itself a link, and that is swapped.
    let text = std::fs::read_to_string(dir.path("anabranch.toml")).unwrap();
    let link = |to: &str, at: &str| {
        drop(std::fs::remove_file(dir.path("link.new")));
        std::os::unix::fs::symlink(to, dir.path("link.new")).unwrap();
        std::fs::rename(dir.path("link.new"), dir.path(at)).unwrap();
    };
    for (version, clients) in [("v1", "127.0.0.0/8"), ("v2", "10.0.0.0/8"), ("v3", "127.0.0.0/8"), ("v4", "10.0.0.0/8")]
    {
        std::fs::create_dir(dir.path(version)).unwrap();
        dir.write(&format!("{version}/anabranch.toml"), &text.replace("127.0.0.0/8\"]\n", &format!("{clients}\"]\n")));
    }
    std::fs::remove_file(dir.path("anabranch.toml")).unwrap();
    link("v1", "now");
    link("now/anabranch.toml", "anabranch.toml");
    let proxy = start.run();
    let address = proxy.address("edge");
    assert_eq!(fetch(address, &web.url("/")).status, 200);
    link("v2/anabranch.toml", "anabranch.toml");
    eventually("the exchanged link is followed", || fetch(address, &web.url("/")).status == 403);
    link("now/anabranch.toml", "anabranch.toml");
    eventually("the link back is followed", || fetch(address, &web.url("/")).status == 200);
    link("v2", "now");
    eventually("a link on the way is followed", || fetch(address, &web.url("/")).status == 403);
    link("v3", "now");
    eventually("and once more", || fetch(address, &web.url("/")).status == 200);
    dir.replace("v3/anabranch.toml", &std::fs::read_to_string(dir.path("v4/anabranch.toml")).unwrap());
    eventually("the file behind the links is watched", || fetch(address, &web.url("/")).status == 403);
}

#[test]
fn listeners_come_go_and_move_while_their_tunnels_run() {
    let (origin, web) = (Origin::echo(), Origin::text("hello"));
    let ip = own_address();
    let (first, second, third) = (format!("{ip}:3128"), format!("{ip}:3129"), format!("{ip}:3130"));
    let proxy = Proxy::start(&at("a", &first));
    let mut tunnel = Tunnel::open(first.parse().unwrap(), origin.address);
    let reach = |address: &str| {
        let address: SocketAddr = address.parse().unwrap();
        TcpStream::connect(address).is_ok() && fetch(address, &web.url("/")).status == 200
    };

    proxy.reload(&(at("a", &first) + &at("b", &second)), "applied");
    assert!(reach(&first) && reach(&second), "added");
    let mut added = Tunnel::open(second.parse().unwrap(), origin.address);

    proxy.reload(&(at("a", &third) + &at("b", &second)), "applied");
    assert!(reach(&third) && reach(&second), "moved");
    eventually("the old address is closed", || TcpStream::connect(&first).is_err());
    assert_eq!(proxy.address("a").to_string(), third);

    proxy.reload(&at("a", &third), "applied");
    eventually("the removed listener is closed", || TcpStream::connect(&second).is_err());
    assert!(proxy.find("b").is_none() && reach(&third));

    // The same address, another socket.
    proxy.reload(&(at("a", &third) + "congestion = \"reno\"\n"), "applied");
    assert!(reach(&third), "opened again");
    tunnel.echo("still here");
    added.echo("still here");
    assert!(tunnel.finish().is_empty() && added.finish().is_empty());
}

#[test]
fn connections_that_wait_on_a_listener_that_is_exchanged_are_served() {
    let web = Origin::text("hello");
    let ip = own_address();
    let address: SocketAddr = format!("{ip}:3128").parse().unwrap();
    let proxy = Proxy::start(&at("a", address));
    let (busy, served) = (AtomicBool::new(true), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let knock = || {
            while busy.load(Ordering::Relaxed) {
                // Panics on a reset or a refused connection.
                assert_eq!(fetch(address, &web.url("/")).status, 200);
                served.fetch_add(1, Ordering::Relaxed);
            }
        };
        let clients = [scope.spawn(knock), scope.spawn(knock)];
        // Until enough ran against them: on a busy machine ten reloads can be over before that.
        for round in 0..500 {
            let congestion = if round % 2 == 0 { "reno" } else { "cubic" };
            proxy.reload(&format!("{}congestion = \"{congestion}\"\n", at("a", address)), "applied");
            let enough = round >= 9 && served.load(Ordering::Relaxed) > 10;
            if enough || clients.iter().any(std::thread::ScopedJoinHandle::is_finished) {
                break;
            }
        }
        busy.store(false, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().expect("every connection is served"));
        let served = served.load(Ordering::Relaxed);
        assert!(served > 10, "only {served} requests ran against the reloads");
    });
    // And the new options are on the accepted sockets of every worker.
    proxy.reload(&format!("{}congestion = \"reno\"\n", at("a", address)), "applied");
    let kept: Vec<_> = (0..16).map(|_| connect(address)).collect();
    let source = format!("src {address}");
    let sockets = std::process::Command::new("ss").args(["-tinH", "state", "established", &source]).output().unwrap();
    let sockets = String::from_utf8(sockets.stdout).unwrap();
    assert_eq!(sockets.matches(" reno ").count(), kept.len(), "{sockets}");
}

#[test]
fn what_cannot_be_applied_changes_nothing_and_says_why() {
    let (origin, web) = (Origin::echo(), Origin::text("hello"));
    let taken = TcpListener::bind((own_address(), 3128)).unwrap();
    let taken = taken.local_addr().unwrap();
    let proxy = Proxy::start(&edge("127.0.0.0/8"));
    let address = proxy.address("edge");
    let mut tunnel = Tunnel::open(address, origin.address);
    let good = edge("10.0.0.0/8");
    let cases = [
        ("[limits\n".to_owned() + &good, "anabranch.toml:", "unclosed table"),
        (format!("[limits]\nconections = 5\n{good}"), "anabranch.toml:8: limits.conections", "unknown key"),
        (format!("{good}tls = {{ certificate = \"no.pem\", key = \"no.key\" }}\n"), "no.pem", "listener edge"),
        (format!("{good}credentials = \"nobody\"\n"), "nobody", "listener edge"),
        (good.clone() + &at("b", taken), "bind", "listener b on 127."),
        (good.clone() + &at("b", "192.0.2.1:3128"), "bind", "listener b on 192.0.2.1:3128"),
        (format!("[process]\nworkers = 3\n{good}"), "need a restart: process.workers", ""),
        (format!("[log]\nformat = \"json\"\nlevel = \"warn\"\n{good}"), "need a restart: log.format, log.level", ""),
    ];
    for (file, first, second) in &cases {
        let before = proxy.log().len();
        proxy.reload(file, "refused");
        eventually(&format!("{first} and {second} are named\n{file}\n{}", proxy.log()), || {
            let said = &proxy.log()[before..];
            said.contains("reload refused; nothing has changed") && said.contains(first) && said.contains(second)
        });
        assert_eq!(proxy.find("b"), None, "nothing half done: {file}");
        assert_eq!(fetch(address, &web.url("/")).status, 200, "the old clients: {file}");
        tunnel.echo("on");
    }
    assert_eq!(proxy.reloads("applied"), 0);
    std::fs::remove_file(proxy.dir.path("anabranch.toml")).unwrap();
    proxy.hang_up("refused");
    proxy.says("the configuration cannot be read");
    // And out of it again.
    proxy.reload(&good, "applied");
    assert_eq!(fetch(address, &web.url("/")).status, 403);
    tunnel.echo("on");
}

#[test]
fn control_keys_are_named_as_needing_a_restart() {
    let proxy = Proxy::start(&edge("127.0.0.0/8"));
    let text = std::fs::read_to_string(proxy.dir.path("anabranch.toml")).unwrap();
    let moved = text.replace("socket = \"control.sock\"", "socket = \"elsewhere.sock\"\ngroup = \"root\"");
    proxy.dir.replace("anabranch.toml", &moved);
    proxy.hang_up("refused");
    proxy.says("need a restart: control.socket, control.group");
    assert!(!proxy.dir.path("elsewhere.sock").exists());
}

#[test]
fn an_unchanged_file_reads_only_what_it_names() {
    let proxy = Proxy::start(&edge("127.0.0.0/8"));
    proxy.hang_up("unchanged");
    proxy.says("configuration unchanged");
    assert_eq!(proxy.reloads("applied") + proxy.reloads("refused"), 0);
}
