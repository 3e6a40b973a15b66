//! Who can sign in, and the owner that the first start makes.

use plugyard_http::Principal;
use plugyard_model::rights::Role;
use plugyard_model::{AccountId, Problem};
use plugyard_store::StoreError;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Set};
use serde::Serialize;
use uuid::Uuid;

use crate::Platform;
use crate::entity::account;
use crate::tokens::{NewToken, TokenRequest};

/// The name of the account that the first start makes.
pub const OWNER: &str = "owner";

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
}

impl Platform {
    /// Makes the owner's account and token when there never was an owner's token: the program prints
    /// it, once. `None` at every later start.
    ///
    /// # Errors
    /// The problem `store_unavailable`.
    pub async fn first_start(&self) -> Result<Option<NewToken>, Problem> {
        if self.owner_token_exists().await? {
            return Ok(None);
        }
        let token = TokenRequest {
            name: "first start".to_owned(),
            roles: vec![Role::Owner],
            expires_at: None,
        };
        let transaction = self.database().begin().await?;
        let id = self.owner_fetch_or_insert(&*transaction).await?;
        let token = self.token_insert(&*transaction, id, token).await?;
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

    /// The account a principal speaks for; the owner's for those without one, such as the local
    /// command line.
    pub(crate) async fn account_of(&self, who: &Principal) -> Result<AccountId, StoreError> {
        let connection = self.database().conn();
        match account_fetch(connection, &who.name).await? {
            Some(id) => Ok(id),
            None => self.owner_fetch_or_insert(connection).await,
        }
    }

    async fn owner_fetch_or_insert(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<AccountId, StoreError> {
        if let Some(id) = account_fetch(connection, OWNER).await? {
            return Ok(id);
        }
        let id = AccountId(Uuid::now_v7());
        let row = account::ActiveModel {
            id: Set(id.0),
            name: Set(OWNER.to_owned()),
            roles: Set(roles_to_json(&[Role::Owner])),
            created_at: Set(self.now()),
        };
        account::Entity::insert(row)
            .exec_without_returning(connection)
            .await?;
        Ok(id)
    }
}

async fn account_fetch(
    connection: &impl ConnectionTrait,
    name: &str,
) -> Result<Option<AccountId>, StoreError> {
    let row = account::Entity::find()
        .filter(account::Column::Name.eq(name))
        .one(connection)
        .await?;
    Ok(row.map(|row| AccountId(row.id)))
}

impl From<account::Model> for Account {
    fn from(row: account::Model) -> Self {
        Self {
            id: AccountId(row.id),
            name: row.name,
            roles: roles_from_json(&row.roles),
            created_at: row.created_at,
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
