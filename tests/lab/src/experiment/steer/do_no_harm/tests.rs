use super::*;
use crate::meter::Carried;
use crate::topology::Cut;

#[test]
fn the_same_seed_gives_the_same_plan_and_seeds_differ() {
    assert_eq!(Plan::of(7), Plan::of(7));
    assert!((0..100).filter(|&seed| Plan::of(seed) == Plan::of(seed + 1)).count() == 0);
}

#[test]
fn no_plan_cuts_both_paths_or_ends_with_one_cut() {
    let (mut cuts, mut kinds) = (0, std::collections::BTreeSet::new());
    for seed in 0..500 {
        let (plan, mut cut) = (Plan::of(seed), None);
        for (number, step) in plan.steps.iter().enumerate() {
            match &step.what {
                What::Cut(link, how) => {
                    assert_eq!(cut, None, "seed {seed}: {plan}");
                    let next = plan.steps.get(number + 1).map_or(plan.end, |next| next.at);
                    assert!(next - step.at > FELT + WINDOW, "seed {seed}: {plan}");
                    cut = Some((*link, *how));
                    cuts += 1;
                }
                What::Restore(link, how) => assert_eq!(cut.take(), Some((*link, *how)), "seed {seed}: {plan}"),
                What::Apply(words, text) => {
                    kinds.extend(words.split(", ").map(|word| word.split(' ').next().unwrap_or_default().to_owned()));
                    let closes = text.contains("\"close\"");
                    assert!(!closes || plan.steps.iter().all(|step| !matches!(step.what, What::Cut(..))), "{plan}");
                }
                What::Clear => {}
            }
        }
        assert_eq!(cut, None, "seed {seed}: {plan}");
    }
    assert!(cuts > 200, "{cuts}");
    assert_eq!(kinds.len(), 5, "{kinds:?}");
}

/// A trace of 40 Mbit/s but for a dip to `rate` of 300 ms at `at`.
fn dip(at: u64, rate: u64) -> Trace {
    let mut carried = Carried::default();
    for time in (0..6_000).step_by(10) {
        let rate = if (at..at + 300).contains(&time) { rate } else { 40 };
        carried.received.add(ms(time), rate * 1_000_000 / 8 / 100);
    }
    Trace { paths: vec![carried], end: ms(6_000), ..Trace::default() }
}

#[test]
fn a_dip_counts_unless_a_cut_explains_it() {
    let plan = Plan { steps: vec![Step { at: ms(2_000), what: What::Cut(1, Cut::Down) }], end: ms(6_000) };
    assert!((judge(&plan, &dip(4_000, 10), 40e6).ratio - 0.25).abs() < 0.01);
    assert_eq!(judge(&plan, &dip(4_000, 10), 40e6).at, ms(4_000));
    assert!((judge(&plan, &dip(2_300, 0), 40e6).ratio - 1.0).abs() < 0.01, "felt from the cut");
    assert!(judge(&plan, &dip(1_500, 0), 40e6).ratio < LEAST, "before the cut");
}

#[test]
fn a_path_that_was_held_is_seen_and_one_that_was_cut_is_not_taken_for_it() {
    let apply = Step { at: ms(1_800), what: What::Apply("limit 1".into(), String::new()) };
    let cut = Step { at: ms(3_000), what: What::Cut(1, Cut::Down) };
    let plan = Plan { steps: vec![apply, cut], end: ms(6_000) };
    assert!(is_steered(&plan, &dip(2_000, 2), 40e6));
    assert!(!is_steered(&plan, &dip(3_000, 2), 40e6), "that is the cut");
    assert!(!is_steered(&plan, &dip(1_000, 2), 40e6), "that was before any policy");
}

#[test]
fn what_chance_explains_is_no_harm_and_what_it_does_not_is() {
    let plays =
        |short: usize, all: usize| -> Vec<f64> { (0..all).map(|n| if n < short { 0.0 } else { 0.97 }).collect() };
    for (ours, others, all, verdict) in [
        (1, 0, 3, Verdict::Once),
        (2, 1, 3, Verdict::Alone),
        (2, 0, 3, Verdict::Alone),
        (3, 0, 3, Verdict::Harmed),
        (4, 0, 9, Verdict::Once),
        (5, 4, 9, Verdict::Alone),
        (5, 1, 9, Verdict::Alone),
        (6, 1, 9, Verdict::Harmed),
        (9, 4, 9, Verdict::Harmed),
        (9, 9, 9, Verdict::Alone),
    ] {
        assert_eq!(Verdict::of(&plays(ours, all), &plays(others, all)), verdict, "{ours} and {others} of {all}");
    }
}
