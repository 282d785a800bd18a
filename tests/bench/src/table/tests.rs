//! Ratios pair rounds, the better configuration counts, and nothing absent becomes zero.

use super::*;

const CPU: Metric = Metric::less("CPU", "s/GB");
const RATE: Metric = Metric::more("rate", "Mbit/s");

fn run(peer: &'static str, round: usize, cpu: f64, rate: f64) -> Measured {
    let figures = [("CPU", cpu), ("rate", rate)].into_iter().filter(|(_, value)| *value != 0.0);
    Measured { scenario: 0, peer, round, result: Ok(figures.collect()) }
}

fn failed(peer: &'static str, round: usize) -> Measured {
    Measured { scenario: 0, peer, round, result: Err("it broke".into()) }
}

fn rounds() -> Vec<Measured> {
    vec![
        run("direct", 0, 0.0, 100.0),
        run("anabranch", 0, 0.4, 50.0),
        run("haproxy-bulk", 0, 0.2, 80.0),
        run("haproxy-latency", 0, 0.8, 90.0),
        run("squid", 0, 1.0, 10.0),
        run("direct", 1, 0.0, 1000.0),
        run("anabranch", 1, 0.5, 900.0),
        failed("haproxy-bulk", 1),
        run("haproxy-latency", 1, 1.0, 800.0),
        run("squid", 1, 2.0, 20.0),
    ]
}

fn figure_of(metric: &Metric) -> Figure {
    let runs = rounds();
    figure(metric, &runs.iter().collect::<Vec<_>>(), 2)
}

fn row<'a>(figure: &'a Figure, peer: &str) -> &'a Row {
    figure.rows.iter().find(|row| row.peer == peer).unwrap_or_else(|| panic!("no {peer} in {figure:?}"))
}

#[test]
fn ratios_are_of_the_same_round() {
    let rate = figure_of(&RATE);
    // 0.5 and 0.9; of the medians it would be 475 / 550.
    assert_eq!(row(&rate, "anabranch").to_direct, Some(0.7));
    assert_eq!(row(&rate, "direct").to_direct, Some(1.0));
    assert_eq!(row(&rate, "squid").ours_to_this, Some(25.0));
}

#[test]
fn a_round_that_failed_has_no_part() {
    let cpu = figure_of(&CPU);
    let bulk = row(&cpu, "haproxy-bulk");
    assert_eq!((bulk.n, bulk.median, bulk.values.as_slice()), (1, Some(0.2), &[Some(0.2), None][..]));
    assert_eq!(row(&cpu, "anabranch").to_best, Some(2.0), "of the first round alone");
    // The kernel's own forwarding is nobody's processor time.
    assert!(cpu.rows.iter().all(|row| row.peer != "direct" && row.to_direct.is_none()));
}

#[test]
fn the_better_configuration_counts_and_direct_is_no_peer() {
    let (cpu, rate) = (figure_of(&CPU), figure_of(&RATE));
    assert_eq!(cpu.best_peer.as_deref(), Some("haproxy-bulk"));
    assert_eq!(rate.best_peer.as_deref(), Some("haproxy-latency"));
    assert_eq!(row(&cpu, "haproxy: bulk").median, Some(0.2));
    assert_eq!(row(&rate, "haproxy: latency").median, Some(445.0));
}

#[test]
fn what_is_measured_against_nothing_has_no_ratio() {
    assert_eq!(ratio(&vec![Some(1.0), Some(3.0)], &vec![Some(0.0), Some(2.0)]), Some(1.5));
    assert_eq!(ratio(&vec![Some(1.0)], &vec![Some(0.0)]), None);
    assert_eq!(ratio(&vec![None], &vec![Some(1.0)]), None);
}

#[test]
fn the_text_names_who_is_missing_and_what_failed() {
    let mut scenario = crate::scenario::all().remove(0);
    scenario.metrics = const { &[CPU, RATE] };
    let name = scenario.name.clone();
    let absent = Some("MISSING: squid is not installed".to_owned());
    let taking = vec![Taking { peer: "squid", version: None, mptcp: "-".into(), absent, note: "" }];
    let excluded = vec![(name, "nginx", "no CONNECT".to_owned())];
    let unsettled = vec![(0, "squid", 1, "no calm".to_owned())];
    let outcome = Outcome { scenarios: vec![scenario], taking, measured: rounds(), unsettled, excluded };
    let table = of(&outcome, &Options { rounds: 2, ..Options::default() });
    let text = table.text();
    for part in [
        "MISSING: squid",
        "- nginx: no CONNECT",
        "! haproxy-bulk, round 2: it broke",
        "~ squid, round 2: no calm",
        "haproxy-bulk *",
        "0.700",
    ] {
        assert!(text.contains(part) || part == "0.700" && text.contains("0.70 "), "{part} in\n{text}");
    }
    assert!(!table.is_empty());
    assert_eq!(table.plot().panels.len(), 1);
    assert_eq!(table.plot().panels[0].curves.len(), 4, "the better of two is drawn once");
}
