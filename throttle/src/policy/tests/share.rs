//! Shares, in a world of many connections.

use super::world::*;
use crate::intent::{Hold, Scope};
use crate::policy::rules::Act;

const DSL: &str = "10.1.0.2";
const LTE: &str = "10.2.0.2";

#[test]
fn each_connection_has_its_share_and_no_other_path_is_held() {
    let mut world = World::new(rules(paths(), vec![rule("third", &[1], Act::Share { percent: 30 })]));
    let one = world.connect(&[DSL, LTE]);
    let two = world.connect(&["10.1.0.3", "10.2.0.3"]);
    for conn in [one, two] {
        world.conns[conn].download.demand = 100 * MBIT;
    }
    let rates = world.rates(20);
    assert!(
        (280..=320).contains(&world.share(LTE).saturating_mul(2)),
        "{} of 150 per mille, {rates:?}",
        world.share(LTE)
    );
    assert_eq!(rates[&ip(DSL)], 400, "the other path carries what it can");
    let Some(Hold::Rate { download: Some((class, _)), upload: None }) = world.hold(one, LTE) else {
        panic!("{:?}", world.intent(one, LTE));
    };
    assert_eq!(class.scope, Scope::Connection(world.conns[one].view.key));
    assert!(world.hold(one, DSL).is_none());
    // Nothing else is left: nothing to share with, in that very tick.
    world.subflow(one, DSL).timeouts = 1;
    world.tick(5);
    assert!(world.hold(one, LTE).is_none() && world.hold(two, "10.2.0.3").is_some());
    world.subflow(one, DSL).timeouts = 0;
    world.run(1);
    assert!(world.hold(one, LTE).is_some());
    // Idle: let go.
    world.conns[one].download.demand = 0;
    world.run(8);
    assert!(world.hold(one, LTE).is_none());
}
