//! The proxies that are linked: mostly one, and two while one takes the place of another.
//!
//! Invariant: what is known of a proxy's sessions goes with its link, and with no other's.

use std::collections::HashMap;

use anabranch_sniffer::Token;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::link::{Directive, News, SessionFacts};

/// Which of them.
pub(super) type Number = u32;

/// The proxies that are linked, and what they told.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    next: Number,
    linked: Vec<(Number, mpsc::Sender<Directive>)>,
    /// By proxy and session: each counts its own.
    sessions: HashMap<(Number, u64), SessionFacts>,
    /// What holds for connections to come: who is linked later has to hear it too.
    from_accept: Option<Directive>,
}

/// Why a directive reached nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unheard {
    /// Nobody is there.
    #[error("no proxy is linked")]
    Nobody,
    /// Somebody is behind with what was wanted before.
    #[error("the link to the proxy is full")]
    Full,
}

impl Proxies {
    /// Takes one in.
    pub(super) fn enter(&mut self, to: mpsc::Sender<Directive>) -> Number {
        self.next += 1;
        // A link that has only just opened has room, or it has ended already.
        if let Some(Err(error)) = self.from_accept.map(|directive| to.try_send(directive)) {
            tracing::debug!(%error, "a new proxy does not hear what holds for connections to come");
        }
        self.linked.push((self.next, to));
        self.next
    }

    /// Forgets one, and its sessions.
    pub(super) fn leave(&mut self, number: Number) {
        self.linked.retain(|(linked, _)| *linked != number);
        self.forget(number);
        if self.linked.is_empty() {
            // Whoever comes then is told anew: what was done is not known to be done any more.
            self.from_accept = None;
        }
    }

    /// Takes in what one of them tells.
    pub(super) fn hear(&mut self, number: Number, news: News) {
        match news {
            News::Forget => self.forget(number),
            News::Session(facts) => drop(self.sessions.insert((number, facts.session), facts)),
            News::Ended(session) => drop(self.sessions.remove(&(number, session))),
        }
    }

    fn forget(&mut self, number: Number) {
        self.sessions.retain(|(of, _), _| *of != number);
    }

    /// Tells all of them: whose connection it is about does it, the others do not know it.
    ///
    /// Errors: [`Unheard`]
    pub(super) fn tell(&mut self, directive: Directive) -> Result<(), Unheard> {
        if self.linked.is_empty() {
            return Err(Unheard::Nobody);
        }
        let full =
            |(_, to): &(Number, mpsc::Sender<Directive>)| matches!(to.try_send(directive), Err(TrySendError::Full(_)));
        if self.linked.iter().filter(|one| full(one)).count() > 0 {
            return Err(Unheard::Full);
        }
        if let Directive::BoundFromAccept { .. } = directive {
            self.from_accept = Some(directive);
        }
        Ok(())
    }

    /// Whether anybody is linked.
    pub(super) fn is_any_linked(&self) -> bool {
        !self.linked.is_empty()
    }

    /// What is known of every session, by its connection's token: a token is one connection's of all in the namespace.
    pub(super) fn by_token(&self) -> impl Iterator<Item = (Token, SessionFacts)> {
        self.sessions.values().map(|session| (session.token, session.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: u64, token: u32) -> News {
        News::Session(SessionFacts {
            session: number,
            token: Token(token),
            listener: "edge".into(),
            client: "192.0.2.1:1".parse().unwrap(),
            subscriber: None,
            origin: None,
            destination: None,
        })
    }

    fn tokens(proxies: &Proxies) -> Vec<u32> {
        let mut tokens: Vec<_> = proxies.by_token().map(|(token, _)| token.0).collect();
        tokens.sort_unstable();
        tokens
    }

    #[test]
    fn each_ones_sessions_go_with_it_and_with_no_other() {
        let mut proxies = Proxies::default();
        let (to, _old) = mpsc::channel(1);
        let old = proxies.enter(to);
        let (to, _new) = mpsc::channel(1);
        let new = proxies.enter(to);
        proxies.hear(old, session(1, 10));
        proxies.hear(new, session(1, 20));
        proxies.hear(new, session(2, 21));
        assert_eq!(tokens(&proxies), [10, 20, 21]);
        proxies.hear(new, News::Ended(1));
        proxies.hear(new, News::Forget);
        assert_eq!(tokens(&proxies), [10]);
        proxies.leave(old);
        assert!(tokens(&proxies).is_empty());
        assert!(proxies.is_any_linked());
    }

    #[test]
    fn all_are_told_and_who_comes_later_hears_what_holds_for_connections_to_come() {
        let mut proxies = Proxies::default();
        let bound = Directive::BoundFromAccept { bytes: Some(7) };
        let once = Directive::BoundUnsent { token: Token(1), bytes: None };
        assert_eq!(proxies.tell(bound), Err(Unheard::Nobody));
        let (to, mut old) = mpsc::channel(2);
        let first = proxies.enter(to);
        proxies.tell(bound).unwrap();
        let (to, mut new) = mpsc::channel(2);
        let second = proxies.enter(to);
        proxies.tell(once).unwrap();
        for one in [&mut old, &mut new] {
            assert_eq!((one.try_recv(), one.try_recv()), (Ok(bound), Ok(once)));
        }
        // One that has ended is nobody's loss; one that is full is.
        drop(old);
        proxies.tell(once).unwrap();
        proxies.tell(once).unwrap();
        assert_eq!(proxies.tell(once), Err(Unheard::Full));
        proxies.leave(first);
        proxies.leave(second);
        let (to, mut next) = mpsc::channel(2);
        proxies.enter(to);
        assert!(next.try_recv().is_err(), "what holds is decided anew");
    }
}
