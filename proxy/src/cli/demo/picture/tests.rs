use super::*;
use crate::cli::demo::stage::Witness;

fn links(text: &str) -> Links {
    text.parse().expect("reads")
}

fn text(lines: &[Line], width: usize) -> String {
    lines.iter().map(|line| line.render(width, false).trim_end().to_owned() + "\n").collect()
}

/// The first link at 30 Mbit/s throughout, the second at 15 Mbit/s from 1.5 s on, up to 3 s.
fn meter() -> Meter {
    let mut meter = Meter::new(vec![0, 0], 30_000_000);
    for n in 1..=20_u64 {
        let (first, second) = (562_500 * n, 281_250 * n.saturating_sub(10));
        meter.push(Duration::from_millis(150 * n), &[first, second], first + second);
    }
    meter
}

fn outcome(mptcp: &str) -> Outcome {
    Outcome {
        name: "test",
        bytes: 14_062_500,
        elapsed: Duration::from_secs(3),
        links: vec![30e6, 7.5e6],
        intact: true,
        witness: Some(Witness { mptcp: mptcp.into(), subflows: 2 }),
        held: None,
    }
}

const NARROW: Look = Look { width: 79, colour: false };

#[test]
fn an_act_under_way() {
    let links = links("40 Mbit/s,20 Mbit/s");
    let expected = "
    DSL   ███████████████████▍░░░░░              30.0 Mbit/s         ▆▆▆▆▆▆▆▆▆▆
    LTE   █████████▋░░░                          15.0 Mbit/s              ▆▆▆▆▆
    total ███████████████████▓▓▓▓▓▓▓▓▓▓░░░░░░░░  45.0 Mbit/s         ▄▄▄▄▄▆▆▆▆▆
     46 %  14.1 MB of 30.0 MB   3 s left
";
    assert_eq!(format!("\n{}", text(&act(&links, &meter(), None, NARROW), 79)), expected);
}

#[test]
fn an_act_that_is_over() {
    let links = links("40 Mbit/s,20 Mbit/s");
    let expected = "
    DSL   ███████████████████▍░░░░░              30.0 Mbit/s ▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆
    LTE   ████▉░░░░░░░░                           7.5 Mbit/s          ▆▆▆▆▆▆▆▆▆
    total ███████████████████▓▓▓▓▓░░░░░░░░░░░░░  37.5 Mbit/s ▄▄▄▄▄▄▄▄▄▆▆▆▆▆▆▆▆▆
    ✔ 14.1 MB in 3.0 s = 37.5 Mbit/s   every byte right, 2 subflows
";
    assert_eq!(format!("\n{}", text(&act(&links, &meter(), Some(&outcome("yes")), NARROW), 79)), expected);
}

#[test]
fn every_line_fits_whatever_the_width() {
    let links = links("500 Mbit/s 100 ms,400 Mbit/s 100 ms,300 Mbit/s 100 ms,200 Mbit/s 100 ms");
    let mut meter = Meter::new(vec![0; 4], 1_000_000_000);
    meter.push(Duration::from_secs(1), &[60_000_000; 4], 240_000_000);
    let outcomes = [Outcome { bytes: 900_000_000, links: vec![300e6; 4], ..outcome("yes") }, outcome("yes")];
    for width in 59..=120 {
        for ended in [None, Some(&outcomes[0])] {
            let mut lines = act(&links, &meter, ended, Look { width, colour: false });
            let rows = lines.len() - 1;
            for row in lines.drain(..rows) {
                let columns = row.render(usize::MAX, false).chars().count();
                assert_eq!(columns, width, "a row fills its width");
            }
        }
    }
    let mut lines = opening(&links);
    lines.extend([verdict(&outcomes[0]), in_force(&links), closing(&links, &outcomes), progress(&meter)]);
    lines.extend(super::super::ACTS.iter().map(|act| heading(1, &(act.heading)(&links))));
    for line in lines {
        let shown = line.render(usize::MAX, false);
        assert!(shown.chars().count() < 80, "{shown}");
    }
}

#[test]
fn the_network_is_drawn_with_client_and_edge_in_the_middle() {
    let expected = "
            ┌━━━ DSL  40 Mbit/s, 20 ms ━━━┐
   client ──┤                             ├── edge: anabranch ── origin
            └━━━ LTE  20 Mbit/s ━━━━━━━━━━┘

";
    assert_eq!(text(&opening(&links("40 Mbit/s 20 ms,20 Mbit/s"))[1..], 79), expected);
    let expected = "
            ┌━━━ DSL  3 Mbit/s ━━━┐
   client ──┼━━━ LTE  2 Mbit/s ━━━┼── edge: anabranch ── origin
            └━━━ 5G  1 Mbit/s ━━━━┘

";
    assert_eq!(text(&opening(&links("3 Mbit/s,2 Mbit/s,1 Mbit/s"))[1..], 79), expected);
    let expected = "
            ┌━━━ DSL  4 Mbit/s ━━━━━┐
            ├━━━ LTE  3 Mbit/s ━━━━━┤
   client ──┤                       ├── edge: anabranch ── origin
            ├━━━ 5G  2 Mbit/s ━━━━━━┤
            └━━━ Wi-Fi  1 Mbit/s ━━━┘

";
    assert_eq!(text(&opening(&links("4 Mbit/s,3 Mbit/s,2 Mbit/s,1 Mbit/s"))[1..], 79), expected);
}

#[test]
fn what_went_wrong_is_said() {
    let tcp = verdict(&outcome("lost-towards-client")).render(79, false);
    assert!(tcp.ends_with("no Multipath TCP: lost-towards-client"), "{tcp}");
    let broken = verdict(&Outcome { intact: false, ..outcome("yes") }).render(79, false);
    assert!(broken.starts_with("    ✘") && broken.contains("differ"), "{broken}");
}

fn held(carried: f64, lowest: f64) -> Held {
    Held {
        time: Duration::from_millis(4120),
        carried: Some(carried),
        lowest: Some(lowest),
        lowest_read: None,
        cannot: Vec::new(),
    }
}

/// The lines below the first verdict.
fn of_the_policy(held: Result<Held, String>) -> String {
    let outcome = Outcome { held: Some(held), ..outcome("yes") };
    text(&verdicts(&links("40 Mbit/s,20 Mbit/s"), &outcome)[1..], 79)
}

#[test]
fn what_a_policy_came_to_is_said() {
    let kept = of_the_policy(Ok(held(1.9e6, 39e6)));
    assert_eq!(kept, "    ✔ LTE held to 2 Mbit/s for 4.1 s: 1.9; lowest total 39.0 = 1.02 x DSL\n");
    assert!(of_the_policy(Ok(held(2.9e6, 39e6))).starts_with("    ✘"), "it carried too much");
    let short = of_the_policy(Ok(Held { carried: None, ..held(0.0, 0.0) }));
    assert!(short.starts_with("    - LTE") && short.contains("too short to measure"), "{short}");
    let without = of_the_policy(Ok(Held { cannot: vec!["pace: no BPF".into()], ..held(1.9e6, 39e6) }));
    assert!(without.ends_with("    ✘ not possible here: pace: no BPF\n"), "{without}");
    let failed = of_the_policy(Err("anabranch: nothing was applied\nmore".into()));
    assert_eq!(failed, "    ✘ not steered: anabranch: nothing was applied\n");
}

#[test]
fn the_last_line_has_the_ratio() {
    let single = Outcome { elapsed: Duration::from_millis(4500), ..outcome("yes") };
    let steered = Outcome { elapsed: Duration::from_secs(4), ..outcome("yes") };
    let line = closing(&links("40 Mbit/s,20 Mbit/s"), &[single, outcome("yes"), steered]).render(79, false);
    assert_eq!(line, " anabranch: 37.5 Mbit/s over both links = 1.50 x the best single link (25.0)");
}
