use super::*;

#[test]
fn shares_sum_up_to_the_rate_and_keep_their_proportion() {
    assert_eq!(shares(&[30.0, 10.0], 80.0), [60.0, 20.0]);
    assert_eq!(shares(&[0.0, 0.0], 80.0), [0.0, 0.0], "nothing was counted: not NaN");
}

#[test]
fn the_first_act_is_plain_and_the_rest_is_ours() {
    assert!(!ACTS[0].proxied && ACTS[1..].iter().all(|act| act.proxied && act.protocol == Protocol::Mptcp));
    assert!(ACTS.iter().position(|act| act.steered) == Some(2), "the acts that are compared have no policy");
    let mut names: Vec<_> = ACTS.iter().map(|act| act.name).collect();
    names.dedup();
    assert_eq!(names.len(), ACTS.len());
}
