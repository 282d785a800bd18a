//! The race on a paused clock: which address is dialled when, and how it ends.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use tokio::time::{sleep, timeout};

use super::*;

const LIMIT: Duration = Duration::from_secs(3);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// `v6(1)` is 2600::1, `v4(1)` is 198.41.0.1.
fn v6(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2600, 0, 0, 0, 0, 0, 0, n)
}

fn v4(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 41, 0, n)
}

type Lookup<A> = (u64, Result<Vec<A>, DnsError>);

/// Two lookups that end after the given milliseconds.
fn answers((after6, found6): Lookup<Ipv6Addr>, (after4, found4): Lookup<Ipv4Addr>) -> Answers {
    let six = async move {
        sleep(ms(after6)).await;
        found6
    };
    let four = async move {
        sleep(ms(after4)).await;
        found4
    };
    Answers::new(six, four)
}

/// How a dialled address behaves.
enum Fate {
    Stands(u64),
    Refuses(u64),
    NoRoute,
    Hangs,
}

/// Counts the attempts under way; a dropped one is not under way any more.
struct Alive(Rc<Cell<usize>>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

struct Outcome {
    won: Result<Won<SocketAddr>, DialError>,
    /// Address and start of each attempt, in milliseconds.
    dialled: Vec<(IpAddr, u64)>,
    took: u64,
    most: usize,
    left: usize,
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap()
}

async fn race(answers: Answers, fate: impl Fn(IpAddr) -> Fate) -> Outcome {
    race_judged(answers, |ip| Ok(SocketAddr::new(ip, 80)), fate).await
}

async fn race_judged(
    answers: Answers,
    judge: impl Fn(IpAddr) -> Result<SocketAddr, Forbidden>,
    fate: impl Fn(IpAddr) -> Fate,
) -> Outcome {
    let begun = Instant::now();
    let (dialled, alive, most) = (RefCell::new(Vec::new()), Rc::new(Cell::new(0)), Cell::new(0));
    let won = run(
        answers,
        judge,
        |address| {
            dialled.borrow_mut().push((address.ip(), millis(begun.elapsed())));
            alive.set(alive.get() + 1);
            most.set(most.get().max(alive.get()));
            let (fate, alive) = (fate(address.ip()), Alive(Rc::clone(&alive)));
            async move {
                let _alive = alive;
                match fate {
                    Fate::Stands(after) => sleep(ms(after)).await,
                    Fate::Refuses(after) => {
                        sleep(ms(after)).await;
                        return Err(DialError::Refused);
                    }
                    Fate::NoRoute => return Err(DialError::Unreachable),
                    Fate::Hangs => std::future::pending().await,
                }
                Ok(address)
            }
        },
        LIMIT,
    );
    // A race that forgets to wake up would hang; the limit of the test is far beyond every limit of the race.
    let won = timeout(Duration::from_secs(60), won).await.expect("the race ends");
    let took = millis(begun.elapsed());
    Outcome { won, dialled: dialled.into_inner(), took, most: most.get(), left: alive.get() }
}

#[tokio::test(start_paused = true)]
async fn ipv6_goes_first_and_ipv4_follows_after_the_attempt_delay() {
    let both = answers((5, Ok(vec![v6(1)])), (5, Ok(vec![v4(1)])));
    let outcome = race(both, |ip| if ip.is_ipv6() { Fate::Hangs } else { Fate::Stands(10) }).await;
    assert_eq!(outcome.dialled, [(v6(1).into(), 5), (v4(1).into(), 255)]);
    let won = outcome.won.ok().unwrap();
    assert_eq!((won.prize, won.address), ("198.41.0.1:80".parse().unwrap(), "198.41.0.1:80".parse().unwrap()));
    assert_eq!((millis(won.dns), millis(won.connect)), (5, 260));
    assert_eq!((outcome.left, outcome.took), (0, 265), "the loser is dropped with the race");
}

#[tokio::test(start_paused = true)]
async fn a_quick_first_attempt_is_the_only_one() {
    let both = answers((0, Ok(vec![v6(1)])), (0, Ok(vec![v4(1)])));
    let outcome = race(both, |_| Fate::Stands(249)).await;
    assert_eq!(outcome.dialled, [(v6(1).into(), 0)]);
    assert!(outcome.won.is_ok());
}

#[tokio::test(start_paused = true)]
async fn ipv6_that_answers_first_does_not_wait_for_ipv4() {
    let outcome = race(answers((5, Ok(vec![v6(1)])), (2000, Ok(vec![v4(1)]))), |_| Fate::Stands(1)).await;
    assert_eq!((outcome.dialled, outcome.took), (vec![(v6(1).into(), 5)], 6));
}

#[tokio::test(start_paused = true)]
async fn ipv4_waits_for_ipv6_for_the_resolution_delay() {
    // AAAA comes within the delay, after it, and fails within it.
    let rows = [
        (Ok(vec![v6(1)]), 40, vec![(v6(1).into(), 40)]),
        (Ok(vec![v6(1)]), 400, vec![(v4(1).into(), 60)]),
        (Ok(vec![]), 20, vec![(v4(1).into(), 20)]),
        (Err(DnsError::Failure(2)), 20, vec![(v4(1).into(), 20)]),
        (Err(DnsError::Timeout), 5000, vec![(v4(1).into(), 60)]),
    ];
    for (found, after, expected) in rows {
        let outcome = race(answers((after, found), (10, Ok(vec![v4(1)]))), |_| Fate::Stands(1)).await;
        assert_eq!(outcome.dialled, expected, "AAAA after {after} ms");
        assert!(outcome.won.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_family_joins_at_the_next_start() {
    let late = answers((200, Ok(vec![v6(1)])), (0, Ok(vec![v4(1), v4(2)])));
    let outcome = race(late, |ip| if ip.is_ipv6() { Fate::Stands(1) } else { Fate::Hangs }).await;
    assert_eq!(outcome.dialled, [(v4(1).into(), 50), (v6(1).into(), 300)]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_starts_the_next_attempt_at_once() {
    let both = answers((0, Ok(vec![v6(1), v6(2)])), (0, Ok(vec![v4(1)])));
    let outcome = race(both, |ip| if ip.is_ipv6() { Fate::Refuses(7) } else { Fate::Stands(300) }).await;
    assert_eq!(outcome.dialled, [(v6(1).into(), 0), (v4(1).into(), 7), (v6(2).into(), 257)]);
    assert!(outcome.won.is_ok());
}

#[tokio::test(start_paused = true)]
async fn families_alternate_and_attempts_are_bounded() {
    let (six, four) = ((1..=6).map(v6).collect(), (1..=9).map(v4).collect());
    let outcome = race(answers((0, Ok(six)), (0, Ok(four))), |_| Fate::Hangs).await;
    let order: Vec<_> = outcome.dialled.iter().map(|(ip, _)| *ip).collect();
    let expected: Vec<IpAddr> = (1..=4_u8).flat_map(|n| [IpAddr::V6(v6(n.into())), IpAddr::V4(v4(n))]).collect();
    assert_eq!(order, expected);
    assert!(outcome.dialled.iter().enumerate().all(|(n, (_, at))| *at == 250 * n as u64), "{:?}", outcome.dialled);
    assert_eq!((outcome.most, outcome.left), (MAX_ATTEMPTS, 0));
    assert!(matches!(outcome.won, Err(DialError::TimedOut)));
    assert_eq!(outcome.took, 3000, "the limit runs from the first attempt");
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_does_not_widen_the_bound() {
    let late = answers((2500, Ok(vec![v6(1)])), (0, Ok((1..=10).map(v4).collect())));
    let outcome = race(late, |_| Fate::Hangs).await;
    assert_eq!((outcome.most, outcome.dialled.len()), (MAX_ATTEMPTS, MAX_ATTEMPTS));
}

#[tokio::test(start_paused = true)]
async fn a_freed_place_is_taken() {
    let four = (1..=10).map(v4).collect();
    let last = IpAddr::V4(v4(10));
    let outcome =
        race(
            answers((0, Ok(vec![])), (0, Ok(four))),
            |ip| {
                if ip == last { Fate::Stands(1) } else { Fate::Refuses(2400) }
            },
        )
        .await;
    assert_eq!(outcome.most, MAX_ATTEMPTS);
    assert_eq!(outcome.won.ok().map(|won| won.address.ip()), Some(last));
}

#[tokio::test(start_paused = true)]
async fn the_failure_told_is_the_one_that_says_most() {
    let fates = |ip: IpAddr| if ip.is_ipv6() { Fate::NoRoute } else { Fate::Refuses(1) };
    let refused = race(answers((0, Ok(vec![v6(1)])), (0, Ok(vec![v4(1)]))), fates).await;
    assert!(matches!(refused.won, Err(DialError::Refused)));
    let no_route = race(answers((0, Ok(vec![v6(1)])), (0, Err(DnsError::Failure(2)))), fates).await;
    assert!(matches!(no_route.won, Err(DialError::Unreachable)));
    let nothing = race(answers((0, Ok(vec![])), (9, Ok(vec![]))), fates).await;
    assert!(matches!(nothing.won, Err(DialError::NoAddress)));
    let missing = race(answers((9, Err(DnsError::NotFound)), (0, Err(DnsError::NotFound))), fates).await;
    assert!(matches!(missing.won, Err(DialError::Dns(DnsError::NotFound))));
    let half = race(answers((9, Err(DnsError::Timeout)), (0, Ok(vec![]))), fates).await;
    assert!(matches!(half.won, Err(DialError::Dns(DnsError::Timeout))));
}

#[tokio::test(start_paused = true)]
async fn forbidden_addresses_are_counted_and_never_dialled() {
    let judge = |ip: IpAddr| match ip {
        IpAddr::V6(_) => Err(Forbidden::UniqueLocal),
        IpAddr::V4(ip) if ip == v4(1) => Err(Forbidden::Private),
        ip => Ok(SocketAddr::new(ip, 80)),
    };
    let some = answers((0, Ok(vec![v6(1), v6(2)])), (0, Ok(vec![v4(1), v4(2)])));
    let outcome = race_judged(some, judge, |_| Fate::Stands(1)).await;
    assert_eq!(outcome.dialled, [(v4(2).into(), 0)]);
    assert_eq!(outcome.won.ok().map(|won| won.forbidden), Some(3));

    let all = answers((0, Ok(vec![v6(1)])), (0, Ok(vec![v4(1)])));
    let outcome = race_judged(all, judge, |_| Fate::Stands(1)).await;
    assert!(outcome.dialled.is_empty());
    assert!(matches!(outcome.won, Err(DialError::Forbidden(Forbidden::UniqueLocal))));

    let rest = answers((0, Err(DnsError::Timeout)), (0, Ok(vec![v4(1)])));
    assert!(matches!(race_judged(rest, judge, |_| Fate::Stands(1)).await.won, Err(DialError::Forbidden(_))));
}

#[tokio::test(start_paused = true)]
async fn a_mapped_answer_is_judged_and_dialled_as_ipv4() {
    let seen = RefCell::new(Vec::new());
    let judge = |ip: IpAddr| {
        seen.borrow_mut().push(ip);
        Ok(SocketAddr::new(ip, 80))
    };
    let mapped = answers((0, Ok(vec![v4(9).to_ipv6_mapped()])), (0, Ok(vec![])));
    let outcome = race_judged(mapped, judge, |_| Fate::Stands(1)).await;
    assert_eq!(outcome.dialled, [(v4(9).into(), 0)]);
    assert_eq!(seen.into_inner(), [IpAddr::V4(v4(9))]);
}
