use super::*;

fn picture() -> Plot {
    let curve = Curve::new("path <two> & more", vec![(0.0, 40.0), (5.0, 2.0), (10.0, 38.7)]);
    Plot {
        title: "limit 40 → 2".into(),
        x: "time (s)".into(),
        decades: false,
        panels: vec![Panel {
            title: "steered".into(),
            y: "Mbit/s".into(),
            curves: vec![curve, Curve::new("delivered", vec![(0.0, 80.0)]).broken()],
            marks: vec![(3.0, "limit".into()), (3.1, "again".into()), (8.0, "lifted".into())],
            levels: vec![(2.0, "limit".into())],
        }],
    }
}

#[test]
fn ticks_are_round_and_enclose_the_values() {
    let axis = Axis::over([0.0, 78.3].into_iter(), 100.0, 0.0);
    let ticks = axis.ticks();
    assert_eq!(ticks.first().map(|t| t.1.clone()), Some("0".to_owned()));
    assert_eq!(ticks.last().map(|t| t.1.clone()), Some("80".to_owned()));
    assert_eq!((axis.place(0.0), axis.place(80.0), axis.place(40.0)), (100.0, 0.0, 50.0));
    let small = Axis::over([0.0, 0.5].into_iter(), 0.0, 1.0).ticks();
    assert_eq!((small.len(), small[1].1.as_str()), (11, "0.05"));
}

#[test]
fn an_axis_without_a_spread_still_has_a_length() {
    for values in [vec![], vec![7.0], vec![f64::NAN, f64::INFINITY], vec![0.0, 0.0]] {
        let axis = Axis::over(values.iter().copied(), 0.0, 10.0);
        assert!(axis.place(7.0).is_finite() && axis.ticks().len() >= 2, "{values:?}: {axis:?}");
    }
}

#[test]
fn a_picture_holds_its_curves_marks_and_names() {
    let svg = picture().svg();
    assert_eq!((svg.matches("<polyline").count(), svg.matches("<svg").count()), (2, 1));
    for words in ["path &lt;two&gt; &amp; more", "limit 40 → 2", "steered", "lifted", "time (s)", "Mbit/s", "delivered"]
    {
        assert!(svg.contains(words), "{words} is not in {svg}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    assert!(svg.trim_end().ends_with("</svg>"));
}

#[test]
fn a_higher_value_is_drawn_further_up() {
    let svg = picture().svg();
    let points = svg.split("<polyline points=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a curve");
    let places: Vec<(f64, f64)> = points
        .split(' ')
        .map(|point| {
            point.split_once(',').map(|(x, y)| (x.parse().expect("x"), y.parse().expect("y"))).expect("a pair")
        })
        .collect();
    assert_eq!((places.len(), places[0].0), (3, LEFT));
    assert!(places[0].1 < places[1].1 && places[2].1 < places[1].1 && places[0].1 < places[2].1, "{places:?}");
}

#[test]
fn words_of_moments_close_together_stand_on_two_lines() {
    let svg = picture().svg();
    let height = |words: &str| {
        let line = svg.lines().find(|line| line.ends_with(&format!(">{words}</text>"))).expect("a text");
        line.split("y=\"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned).expect("a height")
    };
    assert_eq!(height("lifted"), format!("{:.1}", TOP + 34.0 - 5.0));
    assert_eq!(height("again"), format!("{:.1}", TOP + 34.0 + 13.0));
}

#[test]
fn an_axis_of_decades_gives_each_the_same_room() {
    let axis = Axis::decades([12.0, 15_300.0, 0.0, f64::NAN].into_iter(), 0.0, 400.0);
    assert_eq!([10.0, 100.0, 1_000.0, 100_000.0].map(|value| axis.place(value).round()), [0.0, 100.0, 200.0, 400.0]);
    assert_eq!(axis.place(0.0), 0.0, "what has no logarithm");
    let words = |axis: &Axis| axis.ticks().into_iter().map(|tick| tick.1).collect::<Vec<_>>();
    assert_eq!(words(&axis), ["10", "100", "1000", "10000", "100000"]);
    let few = Axis::decades([0.18, 33.0].into_iter(), 0.0, 300.0);
    assert_eq!(words(&few), ["0.1", "0.2", "0.5", "1", "2", "5", "10", "20", "50", "100"]);
    let none = Axis::decades(std::iter::empty(), 0.0, 1.0);
    assert!(none.place(3.0).is_finite() && none.ticks().len() >= 2);
}

#[test]
fn few_points_are_seen_and_marks_have_their_place() {
    let mut plot = picture();
    assert_eq!(plot.svg().matches("<circle").count(), 4);
    plot.panels[0].marks.push((40.0, "late".into()));
    let svg = plot.svg();
    let line = svg.lines().find(|line| line.ends_with(">late</text>")).expect("a text");
    let x: f64 =
        line.split("x=\"").nth(1).and_then(|rest| rest.split('"').next()).and_then(|x| x.parse().ok()).expect("x");
    assert!(x < WIDTH - RIGHT + 4.0, "{x}");
    let curve = |number: u32| (number.into(), 1.0);
    plot.panels[0].curves = vec![Curve::new("many", (0..13).map(curve).collect())];
    assert_eq!(plot.svg().matches("<circle").count(), 0);
}
