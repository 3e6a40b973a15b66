//! Who can sign in, and the owner that the first start makes.

use plugyard_http::Principal;
use plugyard_model::rights::Role;
use plugyard_model::{AccountId, Problem, codes};
use plugyard_store::StoreError;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel as _,
    QueryFilter, QueryOrder as _, QuerySelect as _,
};
use serde::Serialize;
use uuid::Uuid;

use crate::Platform;
use crate::entity::{account, token};
use crate::tokens::{NewToken, TokenRequest};

/// The name of the account that the first start makes.
pub const OWNER: &str = "owner";
/// Longest name of an account, in characters.
pub const MAX_NAME: usize = 64;
/// What the audit log calls those who have no account.
const RESERVED: &[&str] = &["anonymous", "local", "nobody", "plugin", "server"];

/// Somebody who can sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// What it is here.
    pub roles: Vec<Role>,
    /// Milliseconds since 1970 (UTC).
    pub created_at: i64,
    /// Since when it may not sign in, in milliseconds since 1970 (UTC).
    pub disabled_at: Option<i64>,
}

/// What shall be different about an account; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountChange {
    /// What it shall be here; at least one.
    pub roles: Option<Vec<Role>>,
    /// Whether its tokens shall be worth nothing until it is enabled again.
    pub disabled: Option<bool>,
}

impl Platform {
    /// Makes the owner's account and token when there never was an owner's token: the program prints
    /// it, once. `None` at every later start.
    ///
    /// # Errors
    /// The problem `store_unavailable`.
    pub async fn first_start(&self) -> Result<Option<NewToken>, Problem> {
        let others = self.accounts().await?;
        let has_owner = others
            .iter()
            .any(|it| it.name != OWNER && it.roles.contains(&Role::Owner));
        if has_owner || self.owner_token_exists().await? {
            return Ok(None);
        }
        let token = TokenRequest {
            name: "first start".to_owned(),
            roles: vec![Role::Owner],
            expires_at: None,
            account: None,
        };
        let transaction = self.database().begin().await?;
        let owner = self.owner_fetch_or_insert(&*transaction).await?;
        let token = self.token_insert(&*transaction, &owner, token).await?;
        transaction.commit().await?;
        Ok(Some(token))
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// The problem `store_unavailable`.
    pub async fn accounts(&self) -> Result<Vec<Account>, Problem> {
        let mut rows = account::Entity::find()
            .all(self.database().conn())
            .await
            .map_err(StoreError::from)?;
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(rows.into_iter().map(Account::from).collect())
    }

    /// One account.
    ///
    /// # Errors
    /// `account_not_found`; `store_unavailable`.
    pub async fn account(&self, name: &str) -> Result<Account, Problem> {
        account_fetch(self.database().conn(), name)
            .await?
            .map(Account::from)
            .ok_or_else(|| not_found(name))
    }

    /// Makes an account. It can sign in once it has a token.
    ///
    /// # Errors
    /// `request_invalid` for a name that none can have and for no roles; `account_exists`;
    /// `store_unavailable`.
    pub async fn account_create(&self, name: &str, roles: &[Role]) -> Result<Account, Problem> {
        check_name(name)?;
        check_roles(roles)?;
        let row = account::Model {
            id: Uuid::now_v7(),
            name: name.to_owned(),
            roles: roles_to_json(roles),
            created_at: self.now(),
            disabled_at: None,
        };
        let transaction = self.database().begin().await?;
        lock(&*transaction).await?;
        if account_fetch(&*transaction, name).await?.is_some() {
            return Err(Problem::new(codes::ACCOUNT_EXISTS).with("account", name));
        }
        account::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&*transaction)
            .await
            .map_err(StoreError::from)?;
        transaction.commit().await?;
        Ok(row.into())
    }

    /// Changes an account, with effect on its tokens at once: also what they hold open ends, and may be
    /// opened again by who still may.
    ///
    /// # Errors
    /// `account_not_found`; `request_invalid` for no roles; `last_owner` when nobody would be left who
    /// may everything; `store_unavailable`.
    pub async fn account_change(
        &self,
        name: &str,
        change: &AccountChange,
    ) -> Result<Account, Problem> {
        if let Some(roles) = &change.roles {
            check_roles(roles)?;
        }
        let transaction = self.database().begin().await?;
        lock(&*transaction).await?;
        let mut row = account_fetch(&*transaction, name)
            .await?
            .ok_or_else(|| not_found(name))?;
        if let Some(roles) = &change.roles {
            row.roles = roles_to_json(roles);
        }
        row.disabled_at = match (change.disabled, row.disabled_at) {
            (Some(true), None) => Some(self.now()),
            (Some(false), Some(_)) => None,
            (_, stays) => stays,
        };
        row.clone()
            .into_active_model()
            .reset_all()
            .update(&*transaction)
            .await
            .map_err(StoreError::from)?;
        owner_left(&*transaction, name).await?;
        transaction.commit().await?;
        self.0.sessions.end_account(row.id);
        Ok(row.into())
    }

    /// Deletes an account and its tokens. What it did stays in the audit log.
    ///
    /// # Errors
    /// `account_not_found`; `last_owner`; `store_unavailable`.
    pub async fn account_delete(&self, name: &str) -> Result<(), Problem> {
        let transaction = self.database().begin().await?;
        lock(&*transaction).await?;
        let row = account_fetch(&*transaction, name)
            .await?
            .ok_or_else(|| not_found(name))?;
        token::Entity::delete_many()
            .filter(token::Column::AccountId.eq(row.id))
            .exec(&*transaction)
            .await
            .map_err(StoreError::from)?;
        account::Entity::delete_by_id(row.id)
            .exec(&*transaction)
            .await
            .map_err(StoreError::from)?;
        owner_left(&*transaction, name).await?;
        transaction.commit().await?;
        self.0.sessions.end_account(row.id);
        Ok(())
    }

    /// The account a principal speaks for; an owner's for those without one, such as the local command
    /// line.
    pub(crate) async fn account_of(&self, who: &Principal) -> Result<Account, StoreError> {
        let connection = self.database().conn();
        match account_fetch(connection, &who.name).await? {
            Some(row) => Ok(row.into()),
            None => self.owner_fetch_or_insert(connection).await,
        }
    }

    /// The account that the first start made; when that is gone, the oldest owner's.
    async fn owner_fetch_or_insert(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<Account, StoreError> {
        let owners = owners(connection).await?;
        let first = owners.iter().find(|it| it.name == OWNER);
        if let Some(owner) = first.or(owners.first()) {
            return Ok(owner.clone());
        }
        let row = account::Model {
            id: Uuid::now_v7(),
            name: OWNER.to_owned(),
            roles: roles_to_json(&[Role::Owner]),
            created_at: self.now(),
            disabled_at: None,
        };
        account::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(connection)
            .await?;
        Ok(row.into())
    }
}

async fn account_fetch(
    connection: &impl ConnectionTrait,
    name: &str,
) -> Result<Option<account::Model>, StoreError> {
    Ok(account::Entity::find()
        .filter(account::Column::Name.eq(name))
        .one(connection)
        .await?)
}

/// The enabled owners, oldest first.
async fn owners(connection: &impl ConnectionTrait) -> Result<Vec<Account>, StoreError> {
    let rows = account::Entity::find()
        .filter(account::Column::DisabledAt.is_null())
        .order_by_asc(account::Column::Id)
        .all(connection)
        .await?;
    let mut accounts: Vec<_> = rows.into_iter().map(Account::from).collect();
    accounts.retain(|it| it.roles.contains(&Role::Owner));
    Ok(accounts)
}

/// Two owners who take each other's role away at the same moment go one after the other. (SQLite
/// has one writer anyway.)
async fn lock(transaction: &impl ConnectionTrait) -> Result<(), StoreError> {
    account::Entity::find()
        .lock_exclusive()
        .all(transaction)
        .await?;
    Ok(())
}

async fn owner_left(transaction: &impl ConnectionTrait, name: &str) -> Result<(), Problem> {
    if owners(transaction).await?.is_empty() {
        return Err(Problem::new(codes::LAST_OWNER).with("account", name));
    }
    Ok(())
}

/// Names stand in addresses and in the log: lower case, so that no two look alike.
fn check_name(name: &str) -> Result<(), Problem> {
    let sound = name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-@".contains(c));
    let reason = if !sound {
        "an account's name has 1 to 64 lower-case letters, digits and any of `._-@`, and begins with a letter or digit"
    } else if RESERVED.contains(&name) {
        "this name stands for callers without an account"
    } else {
        return Ok(());
    };
    Err(Problem::new(codes::REQUEST_INVALID).with("reason", reason))
}

fn check_roles(roles: &[Role]) -> Result<(), Problem> {
    let reason = if roles.is_empty() {
        "an account needs at least one role"
    } else if roles.contains(&Role::Plugin) {
        "the role `plugin` is for plugins' own processes"
    } else {
        return Ok(());
    };
    Err(Problem::new(codes::REQUEST_INVALID).with("reason", reason))
}

fn not_found(name: &str) -> Problem {
    let name: String = name.chars().take(MAX_NAME).collect();
    Problem::new(codes::ACCOUNT_NOT_FOUND).with("account", name)
}

impl From<account::Model> for Account {
    fn from(row: account::Model) -> Self {
        Self {
            id: AccountId(row.id),
            name: row.name,
            roles: roles_from_json(&row.roles),
            created_at: row.created_at,
            disabled_at: row.disabled_at,
        }
    }
}

pub(crate) fn roles_to_json(roles: &[Role]) -> serde_json::Value {
    roles.iter().map(|role| role.as_str()).collect()
}

/// Words that are no role, from a newer version perhaps, give no rights.
pub(crate) fn roles_from_json(roles: &serde_json::Value) -> Vec<Role> {
    let words = roles.as_array().map_or(&[][..], Vec::as_slice);
    words
        .iter()
        .filter_map(|word| Role::from_word(word.as_str()?))
        .collect()
}
