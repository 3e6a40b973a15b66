//! Bearer tokens: 256 random bits, of which only the SHA-256 is kept.

use std::collections::HashMap;
use std::fmt;

use plugyard_http::Principal;
use plugyard_model::rights::{Role, narrowed};
use plugyard_model::{AccountId, Digest, Problem, TokenId, codes};
use plugyard_store::StoreError;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::Platform;
use crate::accounts::{Account, roles_from_json, roles_to_json};
use crate::entity::{account, token};
use crate::sessions::{Signature, SignedIn};

/// What every token begins with, so that scanners of leaked secrets can find it.
const PREFIX: &str = "plugyard_";
/// How often the time of last use is written, in milliseconds.
const USE_GRAIN: i64 = 60_000;

/// What a token shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// For people.
    pub name: String,
    /// What its bearer may.
    pub roles: Vec<Role>,
    /// Milliseconds since 1970 (UTC) from which it is worth nothing.
    pub expires_at: Option<i64>,
    /// The name of the account it speaks for; the caller's own unless said.
    pub account: Option<String>,
}

/// A token that was just made. Its secret cannot be had again.
#[derive(Clone)]
pub struct NewToken {
    /// What is kept of it.
    pub token: Token,
    /// The bearer's text.
    pub secret: SecretString,
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// For people.
    pub name: String,
    /// The account it speaks for.
    pub account: AccountId,
    /// That account's name.
    pub account_name: String,
    /// What its bearer may.
    pub roles: Vec<Role>,
    /// Milliseconds since 1970 (UTC).
    pub created_at: i64,
    /// From when on it is worth nothing.
    pub expires_at: Option<i64>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<i64>,
}

impl Platform {
    /// Makes a token for an account.
    ///
    /// # Errors
    /// `request_invalid` for a token that could do nothing; `account_not_found`; `role_not_held` for one
    /// that could do more than its account; `store_unavailable`.
    pub async fn token_create(
        &self,
        who: &Principal,
        request: TokenRequest,
    ) -> Result<NewToken, Problem> {
        let invalid =
            |reason: &str| Err(Problem::new(codes::REQUEST_INVALID).with("reason", reason));
        if request.roles.is_empty() {
            return invalid("a token needs at least one role");
        }
        if request.name.is_empty() || request.name.chars().count() > 200 {
            return invalid("a token's name has 1 to 200 characters");
        }
        if request.name.chars().any(char::is_control) {
            return invalid("a token's name has no control characters");
        }
        if request.expires_at.is_some_and(|at| at <= self.now()) {
            return invalid("the token would have expired already");
        }
        let account = match &request.account {
            Some(name) => self.account(name).await?,
            None => self.account_of(who).await?,
        };
        let beyond = |role: &&Role| !account.roles.iter().any(|held| held.covers(**role));
        if let Some(role) = request.roles.iter().find(beyond) {
            return Err(Problem::new(codes::ROLE_NOT_HELD)
                .with("account", &account.name)
                .with("role", role.as_str()));
        }
        Ok(self
            .token_insert(self.database().conn(), &account, request)
            .await?)
    }

    /// The tokens that are not revoked, oldest first; only those of one account if that is named.
    ///
    /// # Errors
    /// `account_not_found`; `store_unavailable`.
    pub async fn token_list(&self, account: Option<&str>) -> Result<Vec<Token>, Problem> {
        let accounts = match account {
            Some(name) => vec![self.account(name).await?],
            None => self.accounts().await?,
        };
        let names: HashMap<Uuid, String> =
            accounts.into_iter().map(|it| (it.id.0, it.name)).collect();
        let rows = token::Entity::find()
            .filter(token::Column::RevokedAt.is_null())
            .order_by_asc(token::Column::Id)
            .all(self.database().conn())
            .await
            .map_err(StoreError::from)?;
        let of_account = |row: token::Model| {
            let name = names.get(&row.account_id)?.clone();
            Some(Token::new(row, name))
        };
        Ok(rows.into_iter().filter_map(of_account).collect())
    }

    /// Takes a token's worth away, at once and for good; what was let in by it and is still open ends.
    ///
    /// A plugin's token can be revoked too: its process gets another one when it is started again.
    ///
    /// # Errors
    /// `token_not_found`; `store_unavailable`.
    pub async fn token_revoke(&self, id: TokenId) -> Result<(), Problem> {
        if self.settings().plugin_access.revoke(id.0) {
            return Ok(());
        }
        let revoked = token::Entity::update_many()
            .col_expr(token::Column::RevokedAt, self.now().into())
            .filter(token::Column::Id.eq(id.0))
            .filter(token::Column::RevokedAt.is_null())
            .exec(self.database().conn())
            .await
            .map_err(StoreError::from)?;
        if revoked.rows_affected == 0 {
            return Err(Problem::new(codes::TOKEN_NOT_FOUND).with("token", id));
        }
        self.0.sessions.end_token(id.0);
        Ok(())
    }

    /// Whose token this is; as [`sign_in`](Self::sign_in), for who holds nothing open.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub async fn authenticate(&self, text: &str) -> Result<Option<Principal>, Problem> {
        Ok(self.sign_in(text).await?.map(|it| it.principal))
    }

    /// Whose token this is; `None` for one that is unknown, expired or revoked, or whose account is
    /// disabled. It is worth no more than its account is now.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub async fn sign_in(&self, text: &str) -> Result<Option<SignedIn>, Problem> {
        let Some((id, secret)) = split(text) else {
            return Ok(None);
        };
        if let Some(plugin) = self.settings().plugin_access.sign_in(id, &secret) {
            return Ok(Some(plugin));
        }
        let hash = hash(&secret);
        if let Some(known) = self.0.sessions.known(id, &hash, self.now()) {
            return Ok(Some(known));
        }
        loop {
            let mark = self.0.sessions.mark();
            let Some((row, account)) = self.token_fetch(id, &hash).await? else {
                return Ok(None);
            };
            let now = self.now();
            let signature = Signature {
                token: row.id,
                account: row.account_id,
                hash: row.hash.clone(),
                principal: Principal {
                    name: account.name,
                    roles: narrowed(
                        &roles_from_json(&row.roles),
                        &roles_from_json(&account.roles),
                    ),
                },
                expires_at: row.expires_at,
            };
            let entered = self.0.sessions.enter(mark, signature, now);
            let Some(signed_in) = entered else { continue };
            self.token_used(&row, now).await?;
            return Ok(Some(signed_in));
        }
    }

    /// The row of a token that is worth something, and its account's.
    async fn token_fetch(
        &self,
        id: Uuid,
        hash: &str,
    ) -> Result<Option<(token::Model, account::Model)>, StoreError> {
        let found = token::Entity::find_by_id(id)
            .filter(token::Column::RevokedAt.is_null())
            .filter(
                Condition::any()
                    .add(token::Column::ExpiresAt.is_null())
                    .add(token::Column::ExpiresAt.gt(self.now())),
            )
            .one(self.database().conn())
            .await?;
        let Some(row) = found else { return Ok(None) };
        if !bool::from(hash.as_bytes().ct_eq(row.hash.as_bytes())) {
            return Ok(None);
        }
        let account = account::Entity::find_by_id(row.account_id)
            .filter(account::Column::DisabledAt.is_null())
            .one(self.database().conn())
            .await?;
        Ok(account.map(|account| (row, account)))
    }

    async fn token_used(&self, row: &token::Model, now: i64) -> Result<(), StoreError> {
        if row.last_used_at.is_some_and(|last| now - last < USE_GRAIN) {
            return Ok(());
        }
        // Not by the row itself, which somebody may delete meanwhile.
        token::Entity::update_many()
            .col_expr(token::Column::LastUsedAt, now.into())
            .filter(token::Column::Id.eq(row.id))
            .exec(self.database().conn())
            .await?;
        Ok(())
    }

    /// Whether an owner's token was ever made, revoked ones included: losing one is no way to get another.
    pub(crate) async fn owner_token_exists(&self) -> Result<bool, StoreError> {
        let rows = token::Entity::find().all(self.database().conn()).await?;
        Ok(rows
            .iter()
            .any(|row| roles_from_json(&row.roles).contains(&Role::Owner)))
    }

    pub(crate) async fn token_insert(
        &self,
        connection: &impl ConnectionTrait,
        account: &Account,
        request: TokenRequest,
    ) -> Result<NewToken, StoreError> {
        let id = TokenId(Uuid::now_v7());
        let secret = random_secret();
        let row = token::Model {
            id: id.0,
            account_id: account.id.0,
            name: request.name,
            hash: hash(&secret),
            roles: roles_to_json(&request.roles),
            created_at: self.now(),
            expires_at: request.expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        token::Entity::insert(token::ActiveModel::from(row.clone()))
            .exec_without_returning(connection)
            .await?;
        Ok(NewToken {
            token: Token::new(row, account.name.clone()),
            secret: written(id.0, &secret),
        })
    }
}

impl Token {
    fn new(row: token::Model, account_name: String) -> Self {
        Self {
            account_name,
            id: TokenId(row.id),
            name: row.name,
            account: AccountId(row.account_id),
            roles: roles_from_json(&row.roles),
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
        }
    }
}

/// The id finds the row, so that the secret is only ever compared with one hash.
pub(crate) fn split(text: &str) -> Option<(Uuid, SecretString)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    (id.len() == 32 && secret.len() == 64).then_some(())?;
    Some((Uuid::try_parse(id).ok()?, secret.into()))
}

/// A token as its bearer sends it.
pub(crate) fn written(id: Uuid, secret: &SecretString) -> SecretString {
    format!("{PREFIX}{}_{}", id.simple(), secret.expose_secret()).into()
}

pub(crate) fn hash(secret: &SecretString) -> String {
    let hash = Sha256::digest(secret.expose_secret());
    Digest::from_bytes(hash.into()).to_string()
}

pub(crate) fn random_secret() -> SecretString {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system gives random numbers");
    Digest::from_bytes(bytes).to_string().into()
}
