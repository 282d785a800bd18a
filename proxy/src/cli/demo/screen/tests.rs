use super::*;
use crate::cli::demo::{ink::Ink, links::Links, picture};

#[test]
fn plain_text_is_ascii_and_loses_nothing_it_knows() {
    let links: Links = "4 Mbit/s,3 Mbit/s,2 Mbit/s,1 Mbit/s".parse().expect("reads");
    let text: String = picture::opening(&links).iter().map(|line| ascii(&line.render(usize::MAX, false))).collect();
    assert!(text.is_ascii() && !text.contains('?'), "{text}");
    assert_eq!(ascii("✔ ✘ é"), "* ! ?");
}

#[test]
fn a_silent_screen_draws_nothing() {
    let mut screen = Screen::open(true, 0);
    assert_eq!(screen.kind, Kind::Silent);
    assert_eq!(screen.look(), None);
    screen.redraw(&[Line::of(Ink::Plain, "x")]);
    assert_eq!((screen.standing, screen.plain_due()), (0, false));
}
