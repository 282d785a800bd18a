use super::*;

/// Hands out its bytes one at a time, as a hostile network may.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
        buffer[0] = *first;
        self.0 = rest;
        Ok(1)
    }
}

#[test]
fn a_head_is_read_whole_or_in_drops_and_the_body_kept() {
    let bytes = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 12\r\n\r\nbody";
    let whole = Head::read(&mut &bytes[..], Vec::new()).expect("reads").expect("a head");
    assert_eq!((whole.status(), whole.content_length(), &whole.rest[..]), (200, Some(12), &b"body"[..]));
    let drops = Head::read(&mut Dribble(bytes), Vec::new()).expect("reads").expect("a head");
    assert_eq!((drops.text, drops.rest), (whole.text, Vec::new()));
}

#[test]
fn an_early_end_is_told_apart_from_a_torn_head() {
    assert!(Head::read(&mut &b""[..], Vec::new()).expect("reads").is_none());
    assert!(Head::read(&mut &b"GET / HT"[..], Vec::new()).is_err());
}
