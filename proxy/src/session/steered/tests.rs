use std::os::fd::AsFd as _;

use socket2::{Protocol, SockRef};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// An accepted leg, and the client's end of it.
async fn leg() -> (Arc<Leg>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (Leg::new(listener.accept().await.unwrap().0, Protocol::TCP), client)
}

fn unsent(leg: &Leg) -> u32 {
    SockRef::from(&leg.as_fd()).tcp_notsent_lowat().unwrap()
}

#[tokio::test]
async fn a_bound_holds_for_its_connection_and_one_from_accept_for_those_to_come() {
    let steered = Steered::new();
    let ((first, _a), (second, _b)) = (leg().await, leg().await);
    steered.enter(Token(1), &first);
    steered.obey(Directive::BoundFromAccept { bytes: Some(16_384) });
    steered.enter(Token(2), &second);
    assert_eq!((unsent(&first), unsent(&second)), (0, 16_384));
    steered.obey(Directive::BoundUnsent { token: Token(1), bytes: Some(4096) });
    assert_eq!((unsent(&first), unsent(&second)), (4096, 16_384));
    steered.release();
    assert_eq!((unsent(&first), unsent(&second)), (UNBOUND, UNBOUND));
}

#[tokio::test]
async fn connections_with_the_same_bucket_share_it_and_one_that_left_is_forgotten() {
    let steered = Steered::new();
    let ((first, _a), (second, _b)) = (leg().await, leg().await);
    steered.enter(Token(1), &first);
    steered.enter(Token(2), &second);
    for token in [Token(1), Token(2)] {
        steered.obey(Directive::Total { token, direction: Direction::Upload, bucket: Some((7, 1_000_000)) });
    }
    let bucket = steered.buckets.lock()[&7].upgrade().expect("two legs hold it");
    assert_eq!(Arc::strong_count(&bucket), 3, "both legs and this test");
    steered.obey(Directive::Total { token: Token(1), direction: Direction::Upload, bucket: None });
    assert_eq!(Arc::strong_count(&bucket), 2);
    steered.leave(Token(2), &Arc::downgrade(&first));
    assert!(steered.legs.lock().contains_key(&Token(2)), "the token is another leg's");
    steered.leave(Token(2), &Arc::downgrade(&second));
    assert!(!steered.legs.lock().contains_key(&Token(2)));
    steered.release();
    assert_eq!(Arc::strong_count(&bucket), 2, "a leg that left keeps its own until it ends");
}
