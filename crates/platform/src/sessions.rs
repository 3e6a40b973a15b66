//! Who is signed in right now: so that what they hold open ends with their token.
//!
//! A stream of events outlives the moment at which its reader was let in. Whoever revokes a token or
//! changes an account therefore ends, at once, everything that was let in by it.
//!
//! What the database said of a token is kept here too, so that a panel which asks all the time does not ask the
//! database for its token each time. Ending a token or changing an account forgets it; and [`FRESH`] bounds
//! for how long something done to the database behind the server's back goes unnoticed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use plugyard_http::Principal;
use plugyard_model::TokenId;
use subtle::ConstantTimeEq as _;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Entries from which on those of expired tokens are looked for.
const SWEEP_FROM: usize = 1024;
/// How long what the database said of a token holds.
const FRESH: Duration = Duration::from_secs(1);

/// Somebody who showed a token that is worth something.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who.
    pub principal: Principal,
    /// The token.
    pub token: TokenId,
    /// Cancelled when the token is revoked or its account is another one: what was let in by it ends then.
    pub ended: CancellationToken,
    /// How long the token is still worth something, when that is limited.
    pub expires_in: Option<Duration>,
}

/// The tokens that somebody signed in with since the start.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// Grows with each end, so that who looked at the database before one can tell.
    ends: u64,
    by_token: HashMap<Uuid, Session>,
    sweep_at: usize,
}

#[derive(Debug)]
struct Session {
    of: Signature,
    asked: Instant,
    ended: CancellationToken,
}

/// What the database says of a token that is worth something.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    pub(crate) token: Uuid,
    pub(crate) account: Uuid,
    /// Of its secret.
    pub(crate) hash: String,
    pub(crate) principal: Principal,
    /// Milliseconds since 1970 (UTC).
    pub(crate) expires_at: Option<i64>,
}

impl Signature {
    fn signed_in(&self, ended: CancellationToken, now: i64) -> SignedIn {
        let left = self.expires_at.map(|at| at.saturating_sub(now));
        SignedIn {
            principal: self.principal.clone(),
            token: TokenId(self.token),
            ended,
            expires_in: left.map(|left| Duration::from_millis(left.unsigned_abs())),
        }
    }

    fn is_expired(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

impl Sessions {
    /// To be taken before the database is asked about a token.
    pub(crate) fn mark(&self) -> u64 {
        self.0.lock().ends
    }

    /// Who shows this secret, when the database was asked about it just now.
    pub(crate) fn known(&self, token: Uuid, hash: &str, now: i64) -> Option<SignedIn> {
        let table = self.0.lock();
        let session = table.by_token.get(&token)?;
        let holds = bool::from(session.of.hash.as_bytes().ct_eq(hash.as_bytes()))
            && session.asked.elapsed() < FRESH
            && !session.of.is_expired(now);
        holds.then(|| session.of.signed_in(session.ended.clone(), now))
    }

    /// Takes what the database said of a token; `None` when something ended since the mark: then it is to be
    /// asked again.
    pub(crate) fn enter(&self, mark: u64, of: Signature, now: i64) -> Option<SignedIn> {
        let mut table = self.0.lock();
        if table.ends != mark {
            return None;
        }
        if table.by_token.len() >= table.sweep_at.max(SWEEP_FROM) {
            table
                .by_token
                .retain(|_, session| !session.of.is_expired(now));
            table.sweep_at = table.by_token.len() * 2;
        }
        let asked = Instant::now();
        let token = of.token;
        let ended = table
            .by_token
            .get(&token)
            .map(|session| session.ended.clone())
            .unwrap_or_default();
        let signed_in = of.signed_in(ended.clone(), now);
        table.by_token.insert(token, Session { of, asked, ended });
        Some(signed_in)
    }

    /// After a token was revoked in the database.
    pub(crate) fn end_token(&self, token: Uuid) {
        self.end(|id, _| *id == token);
    }

    /// After an account was changed or deleted in the database.
    pub(crate) fn end_account(&self, account: Uuid) {
        self.end(|_, session| session.of.account == account);
    }

    fn end(&self, which: impl Fn(&Uuid, &Session) -> bool) {
        let mut table = self.0.lock();
        table.ends += 1;
        table.by_token.retain(|id, session| {
            let ends = which(id, session);
            if ends {
                session.ended.cancel();
            }
            !ends
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(token: Uuid, account: Uuid, expires_at: Option<i64>) -> Signature {
        Signature {
            token,
            account,
            hash: "h".to_owned(),
            principal: Principal {
                name: "ann".to_owned(),
                roles: Vec::new(),
            },
            expires_at,
        }
    }

    #[test]
    fn what_was_let_in_ends_with_its_token_or_account() {
        let sessions = Sessions::default();
        let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
        let [ann, bob] = [4, 5].map(Uuid::from_u128);
        let enter = |token, account| {
            let mark = sessions.mark();
            let entered = sessions.enter(mark, signature(token, account, None), 0);
            entered.unwrap().ended
        };
        let of = [enter(one, ann), enter(two, ann), enter(three, bob)];
        let again = enter(one, ann);
        sessions.end_token(one);
        assert!(of[0].is_cancelled() && again.is_cancelled());
        assert!(!of[1].is_cancelled());
        sessions.end_account(ann);
        assert!(of[1].is_cancelled() && !of[2].is_cancelled());
    }

    #[test]
    fn who_looked_before_an_end_looks_again() {
        let sessions = Sessions::default();
        let mark = sessions.mark();
        sessions.end_token(Uuid::from_u128(1));
        let of = signature(Uuid::from_u128(1), Uuid::from_u128(2), None);
        assert!(sessions.enter(mark, of.clone(), 0).is_none());
        let mark = sessions.mark();
        assert!(sessions.enter(mark, of, 0).is_some());
    }

    #[test]
    fn what_is_known_is_known_of_one_secret_until_it_ends_or_expires() {
        let sessions = Sessions::default();
        let [token, account] = [1, 2].map(Uuid::from_u128);
        let known = |hash, now| sessions.known(token, hash, now).is_some();
        assert!(!known("h", 0));
        let enter = || {
            let of = signature(token, account, Some(10));
            sessions.enter(sessions.mark(), of, 0).unwrap()
        };
        enter();
        assert!(known("h", 9) && !known("g", 9) && !known("h", 10));
        sessions.end_token(token);
        assert!(!known("h", 9));
        enter();
        sessions.end_account(account);
        assert!(!known("h", 9));
    }

    #[test]
    fn expired_tokens_do_not_gather() {
        let sessions = Sessions::default();
        for token in 0..10_000_u128 {
            let now = i64::try_from(token).unwrap();
            let mark = sessions.mark();
            let id = Uuid::from_u128(token);
            sessions.enter(mark, signature(id, Uuid::nil(), Some(now + 1)), now);
        }
        assert!(sessions.0.lock().by_token.len() <= SWEEP_FROM);
    }
}
