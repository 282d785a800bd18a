use super::*;

/// A listening socket by its port.
fn port(socket: &TcpListener) -> u16 {
    socket.local_addr().unwrap().port()
}

#[test]
fn sockets_pass_in_their_order_and_the_successor_waits_for_the_word() {
    let (mut old, new) = UnixStream::pair().unwrap();
    let sockets: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    for socket in &sockets {
        send(&old, socket.as_fd()).unwrap();
    }
    old.write_all(&[ALL]).unwrap();
    let heir = Heir(new);
    let received = heir.sockets().unwrap();
    assert_eq!(received.iter().map(port).collect::<Vec<_>>(), sockets.iter().map(port).collect::<Vec<_>>());
    let waits = std::thread::spawn(move || heir.take_over());
    let mut said = [0; 5];
    old.read_exact(&mut said).unwrap();
    assert_eq!(said[0], SERVING);
    assert_eq!(said[1..], std::process::id().to_le_bytes());
    assert!(!waits.is_finished());
    Successor { process: 0, talk: old }.appoint().unwrap();
    waits.join().unwrap().unwrap();
}

#[test]
fn a_side_that_goes_away_or_says_something_else_is_an_error() {
    let (old, new) = UnixStream::pair().unwrap();
    drop(old);
    assert!(matches!(Heir(new).sockets(), Err(Failed::Talk(_))));
    let (mut old, new) = UnixStream::pair().unwrap();
    old.write_all(b"hello").unwrap();
    assert!(matches!(Heir(new).sockets(), Err(Failed::Protocol)));
    let (mut old, new) = UnixStream::pair().unwrap();
    old.write_all(b"n").unwrap();
    assert!(matches!(Heir(new).take_over(), Err(Failed::Protocol)));
}

#[test]
fn a_program_that_is_not_there_or_ends_at_once_changes_nothing() {
    assert!(matches!(start(Path::new("/nonexistent"), &[], &[]), Err(Failed::Start { .. })));
    let begun = std::time::Instant::now();
    assert!(matches!(start(Path::new("/bin/false"), &[], &[]), Err(Failed::Talk(_))));
    assert!(begun.elapsed() < PATIENCE / 2, "an end was taken for silence");
}
