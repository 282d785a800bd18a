use super::*;

#[test]
fn the_ladder_is_climbed_from_the_least_harm_up() {
    assert!(Rung::ALL.is_sorted_by(|lower, higher| lower < higher));
    assert_eq!(Rung::ALL.map(Rung::as_str), ["demote", "pace", "cap", "close"]);
}
