//! What is printed parses back, and says the truth about the defaults.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::quote;
use crate::*;

fn reparsed(config: &Config) -> Result<Config, Error> {
    parse(&config.to_toml(), Path::new("printed.toml"))
}

#[test]
fn every_default_in_a_comment_is_the_default() {
    let printed = Config::default().to_toml();
    let bare = |text: &str| text.replace(['[', ']', '"'], "").trim().to_owned();
    let mut seen = 0;
    for line in printed.lines().filter(|line| !line.starts_with('#')) {
        let Some((setting, about)) = line.split_once(" # ") else { continue };
        // "default X" is a value; "default: …" is a sentence about one.
        let Some((_, default)) = about.split_once("default ") else { continue };
        let (_, value) = setting.split_once(" = ").unwrap();
        assert_eq!(bare(value), bare(default.split(':').next().unwrap()), "{line}");
        seen += 1;
    }
    assert!(seen >= 35, "only {seen} defaults are stated:\n{printed}");
}

#[test]
fn every_key_has_a_comment() {
    for line in Config::default().to_toml().lines() {
        let right = line.is_empty() || line.starts_with(['#', '[']) || line.contains(" # ");
        assert!(right, "no comment: {line}");
    }
}

fn name() -> impl Strategy<Value = Name> {
    "[^\\p{C}\\s][^\\p{Cc}]{0,20}[^\\p{C}\\s]".prop_map(|text| text.parse().unwrap())
}

fn time() -> impl Strategy<Value = Duration> {
    (1_u64..=7 * 86_400_000).prop_map(Duration::from_millis)
}

fn rate() -> impl Strategy<Value = BitRate> {
    (rate::LEAST..=rate::MOST).prop_map(|bits| BitRate::from_bits_per_second(bits).unwrap())
}

fn action() -> impl Strategy<Value = (Action, Enforce)> {
    let (per, directions) = (prop::sample::select(Per::ALL), prop::sample::select(Directions::ALL));
    let limit = (rate(), prop::option::of(0.0..1.0_f64), prop::option::of(rate()), per, directions);
    let limit = limit.prop_map(|(rate, burst, ceil, per, directions)| Action::Limit {
        rate,
        // From a packet to four minutes of the rate.
        burst: burst.and_then(|part| {
            let most = Duration::from_secs(rate.bits_per_second() * 30);
            ByteSize::from_bytes(most.mul_f64(part).as_secs().max(1600))
        }),
        ceil: ceil.filter(|ceil| *ceil >= rate),
        per,
        directions,
    });
    let enforce = prop::sample::select(Enforce::ALL);
    prop_oneof![
        (prop::option::of(rate()), time(), time())
            .prop_map(|(limit, after, hold)| (Action::Overflow { limit, after, hold }, Enforce::Steer)),
        enforce.clone().prop_map(|enforce| (Action::Backup, enforce)),
        enforce.prop_map(|enforce| (Action::Close, enforce)),
        (1_u8..=99).prop_map(|percent| (Action::Share { percent: percent.try_into().unwrap() }, Enforce::Steer)),
        // What acts on the upload of single subflows is a contract or nothing.
        limit.prop_map(|limit| (limit, Enforce::Always)),
    ]
}

prop_compose! {
    fn select()(
        subflow in prop::option::of(prop::sample::select(SubflowSelector::ALL)),
        ports in prop::collection::btree_set(1_u16.., 0..3),
        windows in prop::collection::vec(prop::sample::select(vec!["mon-fri 18:00-23:00", "22:00-06:00", "sat,sun 00:00-24:00"]), 0..3),
        used in prop::option::of((1..=u64::MAX, prop::sample::select(UsedPer::ALL))),
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/St_Johns"]),
        (loss, rtt) in (prop::option::of(1_u8..=99), prop::option::of(time())),
        destination in any::<bool>(),
    ) -> Select {
        let zone: Zone = zone.parse().unwrap();
        let windows: Vec<_> = windows.into_iter().map(|window| window.parse().unwrap()).collect();
        Select {
            subflow,
            ports: ports.into_iter().collect(),
            when: (!windows.is_empty()).then(|| Schedule::new(windows, zone.clone())),
            used: used.map(|(above, per)| Used { above: ByteSize::from_bytes(above).unwrap(), per, zone }),
            loss_above: loss.map(|loss| loss.try_into().unwrap()),
            rtt_above: rtt,
            destinations: if destination { vec!["203.0.113.0/24".parse().unwrap()] } else { Vec::new() },
            ..Select::default()
        }
    }
}

fn file() -> impl Strategy<Value = std::path::PathBuf> {
    "[a-z\"\\\\ \u{7f}\té/]{1,20}".prop_map(Into::into)
}

prop_compose! {
    fn steering()(
        (mode, path_manager) in (prop::sample::select(SteeringMode::ALL), prop::sample::select(PathManagement::ALL)),
        lease in 1_000_u64..=10_000,
        interval in 20_u64..=1_000,
        interfaces in prop::collection::btree_set("[a-z]{1,8}[0-9.]{1,5}", 0..3),
        table in "[A-Za-z_][A-Za-z0-9_]{0,31}",
        (subflows, adopt) in (1_u16..=60_000, any::<bool>()),
        on_stop in prop::sample::select(OnStop::ALL),
        usage in prop::option::of(file()),
    ) -> Steering {
        Steering {
            mode, path_manager, subflows, adopt, on_stop, usage,
            // Four looks in every lease.
            interval: Duration::from_millis(interval.min(lease / 4)),
            lease: Duration::from_millis(lease),
            interfaces: interfaces.iter().map(|name| name.parse().unwrap()).collect(),
            table: table.parse().unwrap(),
            device: "throttled".parse().unwrap(),
        }
    }
}

prop_compose! {
    fn listener()(
        name in name(),
        // Documentation addresses never clash with each other's wildcards; the port tells them apart.
        host in any::<u8>(),
        port in 1_u16..,
        backlog in 1_u32..1_000_000,
        transport in prop::sample::select(Transport::ALL),
        fast_open in prop::option::of(1_u32..65_536),
        sources in any::<(Option<std::net::Ipv4Addr>, bool)>(),
        tls in prop::option::of((file(), file())),
        credentials in prop::option::of(file()),
    ) -> Listener {
        let v4 = sources.0.filter(|v4| !v4.is_unspecified() && !v4.is_multicast());
        Listener {
            backlog,
            transport,
            fast_open: fast_open.and_then(std::num::NonZeroU32::new),
            source: Sources { v4, v6: sources.1.then(|| "2001:db8::1".parse().unwrap()) },
            tls: tls.map(|(certificate, key)| Tls { certificate, key }),
            credentials,
            ..Listener::new(name, ([192, 0, 2, host], port).into())
        }
    }
}

prop_compose! {
    fn config()(
        listeners in prop::collection::vec(listener(), 1..4),
        paths in prop::collection::vec(name(), 1..4),
        policies in prop::collection::vec((name(), action(), select(), time()), 0..4),
        (idle, lifetime, connect, keep_alive) in (prop::option::of(time()), prop::option::of(time()), time(), prop::option::of(time())),
        socket in prop::option::of(file()),
        workers in 0_usize..=1024,
        steering in steering(),
    ) -> Config {
        let mut config = Config { steering, ..Config::default() };
        // Names and addresses are unique in a checked configuration.
        let unique: HashMap<_, _> = listeners.into_iter().map(|listener| (listener.name.clone(), listener)).collect();
        let unique: HashMap<_, _> = unique.into_values().map(|listener| (listener.address, listener)).collect();
        config.listeners = unique.into_values().collect();
        let unique: std::collections::BTreeSet<_> = paths.into_iter().collect();
        // The last one is dearer than another: policies are about it. Nothing is more than what nobody knows.
        config.paths = unique.into_iter().chain(["the cheap one".parse().unwrap()]).enumerate().map(|(index, name)| crate::Path {
            name,
            cost: 10 - u32::try_from(index).unwrap(),
            capacity: None,
            line: None,
            client: vec![format!("10.{index}.0.0/16").parse().unwrap()],
            interface: None,
        }).collect();
        let unique: HashMap<_, _> = policies.into_iter().map(|(name, action, select, dwell)| (name, (action, select, dwell))).collect();
        config.policies = unique.into_iter().map(|(name, ((action, enforce), select, dwell))| Policy {
            name, action, enforce, dwell,
            select: Select { paths: vec![config.paths[0].name.clone()], ..select },
        }).collect();
        config.timeouts = Timeouts { tunnel_idle: idle, tunnel_lifetime: lifetime, connect, ..Timeouts::default() };
        config.origin.keep_alive = keep_alive;
        // A socket called "off" would be none.
        config.control.socket = match socket.filter(|path| path.as_os_str() != "off") {
            Some(path) => ControlSocket::At(path),
            None => ControlSocket::Off,
        };
        config.process.workers = std::num::NonZeroUsize::new(workers);
        config
    }
}

proptest! {
    #[test]
    fn whatever_is_printed_parses_back(config in config()) {
        let again = reparsed(&config);
        prop_assert_eq!(again.as_ref(), Ok(&config), "{}", config.to_toml());
    }

    #[test]
    fn any_text_survives_quoting(text in any::<String>()) {
        let table: toml::Table = format!("x = {}", quote(&text)).parse().unwrap();
        prop_assert_eq!(table["x"].as_str(), Some(text.as_str()));
    }
}
