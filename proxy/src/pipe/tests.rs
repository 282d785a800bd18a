use std::io::Write as _;
use std::os::unix::net::UnixStream;

use super::*;

/// What one connection left in a pipe is never another's.
#[test]
fn one_with_bytes_in_it_goes_to_nobody() {
    let (mut near, far) = UnixStream::pair().unwrap();
    near.write_all(b"mine").unwrap();
    let mut pipe = Pipe::take().unwrap();
    assert_eq!(pipe.fill(far.as_fd(), SIZE).unwrap(), 4);
    pipe.give_back();
    let next = Pipe::take().unwrap();
    assert_eq!(next.held(), 0);
    // An empty one is kept.
    let made = MADE.get();
    next.give_back();
    assert_eq!((Pipe::take().unwrap().held(), MADE.get()), (0, made));
}
