//! Who is signed in right now: so that what they hold open ends with their token.
//!
//! A stream of events outlives the moment at which its reader was let in. Whoever revokes a token or
//! changes an account therefore ends, at once, everything that was let in by it.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use plugyard_http::Principal;
use plugyard_model::TokenId;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Entries from which on those of expired tokens are looked for.
const SWEEP_FROM: usize = 1024;

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
    account: Uuid,
    expires_at: Option<i64>,
    ended: CancellationToken,
}

impl Sessions {
    /// To be taken before the database is asked about a token.
    pub(crate) fn mark(&self) -> u64 {
        self.0.lock().ends
    }

    /// What ends with the token; `None` when something ended since the mark: then the database is to be
    /// asked again.
    pub(crate) fn enter(
        &self,
        mark: u64,
        token: Uuid,
        account: Uuid,
        expires_at: Option<i64>,
        now: i64,
    ) -> Option<CancellationToken> {
        let mut table = self.0.lock();
        if table.ends != mark {
            return None;
        }
        if table.by_token.len() >= table.sweep_at.max(SWEEP_FROM) {
            let expired = |it: &Session| it.expires_at.is_some_and(|at| at <= now);
            table.by_token.retain(|_, session| !expired(session));
            table.sweep_at = table.by_token.len() * 2;
        }
        let session = table.by_token.entry(token).or_insert_with(|| Session {
            account,
            expires_at,
            ended: CancellationToken::new(),
        });
        Some(session.ended.clone())
    }

    /// After a token was revoked in the database.
    pub(crate) fn end_token(&self, token: Uuid) {
        self.end(|id, _| *id == token);
    }

    /// After an account was changed or deleted in the database.
    pub(crate) fn end_account(&self, account: Uuid) {
        self.end(|_, session| session.account == account);
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

    #[test]
    fn what_was_let_in_ends_with_its_token_or_account() {
        let sessions = Sessions::default();
        let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
        let [ann, bob] = [4, 5].map(Uuid::from_u128);
        let enter = |token, account| {
            let mark = sessions.mark();
            sessions.enter(mark, token, account, None, 0).unwrap()
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
        let (token, account) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert!(sessions.enter(mark, token, account, None, 0).is_none());
        let mark = sessions.mark();
        assert!(sessions.enter(mark, token, account, None, 0).is_some());
    }

    #[test]
    fn expired_tokens_do_not_gather() {
        let sessions = Sessions::default();
        for token in 0..10_000_u128 {
            let now = i64::try_from(token).unwrap();
            let mark = sessions.mark();
            let id = Uuid::from_u128(token);
            sessions.enter(mark, id, Uuid::nil(), Some(now + 1), now);
        }
        assert!(sessions.0.lock().by_token.len() <= SWEEP_FROM);
    }
}
