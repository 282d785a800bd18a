//! What a policy will want is what it wants once there is something to hold.

use super::world::*;
use crate::intent::{Direction, Hold, Scope};
use crate::policy::{Example, Made, Policies};
use crate::view::ConnectionKey;

const PLACES: &str = r#"
[[listener]]
name = "edge"
address = "127.0.0.1:3128"
[[path]]
name = "dsl"
client = ["10.1.0.0/16"]
[[path]]
name = "lte"
client = ["10.2.0.0/16"]
cost = 10
[[path]]
name = "six"
client = ["fd02::/64"]
[[path]]
name = "wire"
interface = "ppp0"
"#;

fn example(policy: &str, of: Made) -> Option<Example> {
    let rules = configured(&format!("{PLACES}[[policy]]\nname = \"it\"\n{policy}"));
    Policies::new(rules).example("it", of, std::time::Duration::from_secs(1))
}

fn hold(policy: &str) -> Hold {
    example(policy, Made::Ours).unwrap().decisions.intents.remove(0).hold
}

#[test]
fn each_action_is_what_it_does() {
    assert_eq!(hold("path = \"lte\"\naction = \"backup\"\n"), Hold::Backup);
    assert_eq!(hold("path = \"lte\"\naction = \"overflow\"\n"), Hold::Backup);
    assert_eq!(hold("path = \"lte\"\naction = \"close\"\n"), Hold::Closed);
    let rates = [
        ("limit\"\nrate = \"2 Mbit/s\"\n", [true, false]),
        ("limit\"\nrate = \"2 Mbit/s\"\ndirection = \"both\"\nenforce = \"always\"\n", [true, true]),
        ("overflow\"\nlimit = \"2 Mbit/s\"\n", [true, false]),
    ];
    for (action, ways) in rates {
        let Hold::Rate { download, upload } = hold(&format!("path = \"lte\"\naction = \"{action}")) else {
            panic!("{action}")
        };
        assert_eq!([download.is_some(), upload.is_some()], ways, "{action}");
        let (class, ceiling) = download.unwrap();
        assert_eq!((ceiling.rate, class.scope), (mbit(2), Scope::Subscriber("10.2.0.1".into())), "{action}");
    }
    assert!(example("path = \"lte\"\naction = \"share\"\npercent = 30\n", Made::Ours).is_none());
}

#[test]
fn a_limit_without_a_path_is_one_of_the_whole() {
    let example = example("action = \"limit\"\nrate = \"5 Mbit/s\"\ndirection = \"upload\"\n", Made::Ours).unwrap();
    assert!(example.decisions.intents.is_empty());
    let [total] = &example.decisions.totals[..] else { panic!("{example:?}") };
    assert_eq!((total.ceiling.rate, total.class.direction), (mbit(5), Direction::Upload));
    assert_eq!(total.connection, example.view.connections[0].key);
}

#[test]
fn its_addresses_are_the_paths_where_that_has_any() {
    for (path, client, server) in [
        ("lte", "10.2.0.1:50000", "192.0.2.1:3128"),
        ("six", "[fd02::]:50000", "[2001:db8::1]:3128"),
        ("wire", "198.51.100.2:50000", "192.0.2.1:3128"),
    ] {
        let made = example(&format!("path = \"{path}\"\naction = \"backup\"\n"), Made::Passing).unwrap();
        let flow = made.subflow.flow;
        assert_eq!((flow.destination().to_string(), flow.source().to_string()), (client.into(), server.into()));
        assert!(matches!(made.subflow.connection, ConnectionKey::Passing(_)));
        assert_eq!(made.view.connections[0].subflows.len(), 2);
    }
}
