use super::*;

fn line() -> Line {
    Line::of(Ink::Plain, "ab").and(Ink::Link(1), "██").join(Line::of(Ink::Good, "cd"))
}

#[test]
fn colours_surround_pieces_and_end_with_them() {
    assert_eq!(line().render(80, true), "ab\x1b[35m██\x1b[0m\x1b[1;32mcd\x1b[0m");
    assert_eq!(line().render(80, false), "ab██cd");
}

#[test]
fn columns_are_cut_but_never_an_escape() {
    assert_eq!(line().render(3, true), "ab\x1b[35m█\x1b[0m");
    assert_eq!(line().render(3, false), "ab█");
    assert_eq!(line().render(0, true), "");
}
