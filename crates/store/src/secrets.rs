//! Secrets in the database, unreadable without a key that is not in it.
//!
//! Each owner (an installation, as a rule) has a data key of its own, which encrypts its secrets; the
//! *master key* encrypts the data keys and lies elsewhere ([`KeySource`]). So a copy of the database
//! gives nothing away, removing an owner's data key makes its secrets unreadable in old copies of the
//! rows too, and another master key needs no secret to be touched ([`Secrets::rotate`]).
//!
//! What is encrypted is bound to its owner and its name: a row that somebody moved to another place does
//! not open there. Names, owners and lengths are not hidden. Not here: who may read a secret, and
//! protecting it from who has the key and the database both.

pub(crate) mod entity;
mod error;
mod master;
pub(crate) mod migration;
mod seal;
mod text;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use plugyard_model::InstallationId;
use sea_orm::sea_query::{LockType, OnConflict};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, Set,
};
use uuid::Uuid;

use crate::{Database, StoreError, Transaction};
use entity::{data_key, master_key, secret};
pub use error::SecretError;
pub use master::{KeyId, KeySource};
use master::{KeyRing, MasterKey};
use seal::DataKey;
pub use text::SecretText;

/// Bytes a secret may have.
pub const MAX_SECRET: usize = 64 << 10;
/// Bytes a name may have.
pub const MAX_NAME: usize = 1024;

/// Whose secret it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretOwner(pub Uuid);

impl From<InstallationId> for SecretOwner {
    fn from(id: InstallationId) -> Self {
        Self(id.0)
    }
}

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The master key in force from now on.
    pub key: KeyId,
    /// How many data keys were encrypted anew.
    pub data_keys: usize,
}

/// The secrets in a database, with the key to them. Cheap to clone.
#[derive(Clone)]
pub struct Secrets {
    database: Database,
    from: KeySource,
    ring: Arc<RwLock<KeyRing>>,
}

impl fmt::Debug for Secrets {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

impl Secrets {
    /// Finds the master key and makes sure it is the one this database needs. At the first start, when the
    /// database needs none yet, a key file that is not there is made.
    ///
    /// # Errors
    /// [`SecretError::KeyMissing`], [`SecretError::KeyWrong`] and the others about keys: nothing was
    /// changed then. [`SecretError::Store`].
    pub async fn open(database: Database, from: KeySource) -> Result<Self, SecretError> {
        let ring = from.load().await?;
        let needed = needed(database.conn()).await?;
        let first_start = needed.is_none();
        let ring = match (needed, ring, &from) {
            (Some(needed), None, _) => {
                return Err(SecretError::KeyMissing {
                    from,
                    key: Some(needed),
                });
            }
            (_, Some(ring), _) => ring,
            (None, None, KeySource::File(path)) => {
                let ring = KeyRing::of(MasterKey::generate());
                master::create(path, &ring).await?;
                ring
            }
            (None, None, _) => return Err(SecretError::KeyMissing { from, key: None }),
        };
        if first_start {
            // Another node may be first: its key is the one to have, then.
            let row = master_key::ActiveModel {
                id: Set(master_key::THE_ONE),
                key_id: Set(ring.current().id().to_string()),
                changed_at: Set(now()),
            };
            let mut first = OnConflict::column(master_key::Column::Id);
            master_key::Entity::insert(row)
                .on_conflict(first.do_nothing().to_owned())
                .exec_without_returning(database.conn())
                .await?;
        }
        let secrets = Self {
            database,
            from,
            ring: Arc::new(RwLock::new(ring)),
        };
        if let Some(needed) = self::needed(secrets.database.conn()).await? {
            secrets.master(&needed).await?;
        }
        Ok(secrets)
    }

    /// Keeps a secret under a name, in place of what was there.
    ///
    /// # Errors
    /// [`SecretError::Unstorable`] for a name or a secret that is too long; as [`get`](Self::get).
    pub async fn put(
        &self,
        transaction: &Transaction,
        owner: impl Into<SecretOwner>,
        name: &str,
        text: &SecretText,
    ) -> Result<(), SecretError> {
        let owner = owner.into();
        let refused = |reason: String| Err(SecretError::Unstorable { reason });
        if name.len() > MAX_NAME || name.contains('\0') {
            return refused(format!("a name has at most {MAX_NAME} bytes and no NUL"));
        }
        if text.expose().len() > MAX_SECRET {
            return refused(format!("a secret has at most {MAX_SECRET} bytes"));
        }
        let key = self.data_key_or_new(transaction, owner).await?;
        let row = secret::ActiveModel {
            owner: Set(owner.0),
            name: Set(name.to_owned()),
            sealed: Set(key.seal(owner, name, text)?),
            updated_at: Set(now()),
        };
        let again = OnConflict::columns([secret::Column::Owner, secret::Column::Name])
            .update_columns([secret::Column::Sealed, secret::Column::UpdatedAt])
            .to_owned();
        secret::Entity::insert(row)
            .on_conflict(again)
            .exec_without_returning(&**transaction)
            .await?;
        Ok(())
    }

    /// The secret of that name, read through `connection`: `&*transaction`, or the database's own.
    ///
    /// # Errors
    /// [`SecretError::Damaged`] for a row that was altered or moved; [`SecretError::KeyWrong`] when the
    /// master key was rotated elsewhere and the new one is not to be had here; [`SecretError::Store`].
    pub async fn get(
        &self,
        connection: &impl ConnectionTrait,
        owner: impl Into<SecretOwner>,
        name: &str,
    ) -> Result<Option<SecretText>, SecretError> {
        let owner = owner.into();
        let row = secret::Entity::find_by_id((owner.0, name.to_owned()))
            .one(connection)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let key = self
            .data_key(connection, owner)
            .await?
            .ok_or_else(|| SecretError::damaged(owner, name))?;
        key.open(owner, name, &row.sealed).map(Some)
    }

    /// The names of an owner's secrets, sorted.
    ///
    /// # Errors
    /// [`SecretError::Store`].
    pub async fn names(
        &self,
        connection: &impl ConnectionTrait,
        owner: impl Into<SecretOwner>,
    ) -> Result<Vec<String>, SecretError> {
        Ok(names(connection, owner).await?)
    }

    /// Removes a secret; says whether it was there.
    ///
    /// # Errors
    /// [`SecretError::Store`].
    pub async fn delete(
        &self,
        connection: &impl ConnectionTrait,
        owner: impl Into<SecretOwner>,
        name: &str,
    ) -> Result<bool, SecretError> {
        let done = secret::Entity::delete_by_id((owner.into().0, name.to_owned()))
            .exec(connection)
            .await?;
        Ok(done.rows_affected > 0)
    }

    /// Puts another master key in force and encrypts all data keys with it, all or none.
    ///
    /// A key file gets a new key in front, and loses the old ones at the end; broken off in between it
    /// holds both, and the next rotation finishes. A variable or a command must give the new key in front of
    /// the old one already; the old one may go afterwards. Other nodes read their source again when they
    /// meet a key they do not know.
    ///
    /// # Errors
    /// [`SecretError::NoNewKey`]; as [`open`](Self::open): the old key stays in force and stays known.
    pub async fn rotate(&self) -> Result<Rotation, SecretError> {
        let transaction = self.database.begin().await?;
        // One rotation at a time, and nobody makes a data key meanwhile.
        let row = master_key::Entity::find_by_id(master_key::THE_ONE)
            .lock(LockType::Update)
            .one(&*transaction)
            .await?;
        let loaded = self.from.load().await?;
        let missing = |key| SecretError::KeyMissing {
            from: self.from.clone(),
            key,
        };
        let row = row.ok_or_else(|| missing(None))?;
        let old_id = KeyId::stored(&row.key_id);
        let mut ring = loaded.ok_or_else(|| missing(Some(old_id.clone())))?;
        let old = ring
            .find(&old_id)
            .ok_or_else(|| self.wrong(&old_id, &ring))?;
        if *ring.current().id() == old_id {
            let KeySource::File(path) = &self.from else {
                return Err(SecretError::NoNewKey {
                    from: self.from.clone(),
                    key: old_id,
                });
            };
            ring = ring.with_current(MasterKey::generate());
            master::replace(path, &ring).await?;
        }
        let new = ring.current().clone();

        let rows = data_key::Entity::find().all(&*transaction).await?;
        for row in &rows {
            let owner = SecretOwner(row.owner);
            let wrapped = old.unwrap(owner, &row.wrapped)?.wrap(&new, owner)?;
            let changed = data_key::ActiveModel {
                owner: Set(row.owner),
                key_id: Set(new.id().to_string()),
                wrapped: Set(wrapped),
                ..Default::default()
            };
            data_key::Entity::update_many()
                .set(changed)
                .filter(data_key::Column::Owner.eq(row.owner))
                .exec(&*transaction)
                .await?;
        }
        let mut row = row.into_active_model();
        row.key_id = Set(new.id().to_string());
        row.changed_at = Set(now());
        row.update(&*transaction).await?;
        transaction.commit().await?;

        if let KeySource::File(path) = &self.from {
            ring = KeyRing::of(new.clone());
            master::replace(path, &ring).await?;
        }
        self.keep(ring);
        Ok(Rotation {
            key: new.id().clone(),
            data_keys: rows.len(),
        })
    }

    async fn data_key(
        &self,
        connection: &impl ConnectionTrait,
        owner: SecretOwner,
    ) -> Result<Option<DataKey>, SecretError> {
        let row = data_key::Entity::find_by_id(owner.0)
            .one(connection)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let master = self.master(&KeyId::stored(&row.key_id)).await?;
        master.unwrap(owner, &row.wrapped).map(Some)
    }

    async fn data_key_or_new(
        &self,
        transaction: &Transaction,
        owner: SecretOwner,
    ) -> Result<DataKey, SecretError> {
        if let Some(key) = self.data_key(&**transaction, owner).await? {
            return Ok(key);
        }
        // With the key in force, not the one first in the ring, and not while it is being rotated:
        // otherwise this data key would miss the rotation and be lost with the old master key.
        let row = master_key::Entity::find_by_id(master_key::THE_ONE)
            .lock(LockType::Share)
            .one(&**transaction)
            .await?;
        let needed = row.ok_or_else(|| SecretError::KeyMissing {
            from: self.from.clone(),
            key: None,
        })?;
        let master = self.master(&KeyId::stored(&needed.key_id)).await?;
        let row = data_key::ActiveModel {
            owner: Set(owner.0),
            key_id: Set(master.id().to_string()),
            wrapped: Set(DataKey::generate().wrap(&master, owner)?),
            created_at: Set(now()),
        };
        let mut first = OnConflict::column(data_key::Column::Owner);
        data_key::Entity::insert(row)
            .on_conflict(first.do_nothing().to_owned())
            .exec_without_returning(&**transaction)
            .await?;
        // Ours, or that of another transaction that was first.
        self.data_key(&**transaction, owner)
            .await?
            .ok_or_else(|| SecretError::damaged(owner, ""))
    }

    /// A master key by its id; one not known yet may have come since the source was last read.
    async fn master(&self, id: &KeyId) -> Result<MasterKey, SecretError> {
        let known = self
            .ring
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .find(id);
        if let Some(key) = known {
            return Ok(key);
        }
        let ring = self
            .from
            .load()
            .await?
            .ok_or_else(|| SecretError::KeyMissing {
                from: self.from.clone(),
                key: Some(id.clone()),
            })?;
        let key = ring.find(id).ok_or_else(|| self.wrong(id, &ring))?;
        self.keep(ring);
        Ok(key)
    }

    fn wrong(&self, expected: &KeyId, ring: &KeyRing) -> SecretError {
        SecretError::KeyWrong {
            from: self.from.clone(),
            expected: expected.clone(),
            found: ring.ids(),
        }
    }

    fn keep(&self, ring: KeyRing) {
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
    }
}

/// The names of an owner's secrets, sorted. Needs no master key.
///
/// # Errors
/// [`StoreError::Query`].
pub async fn names(
    connection: &impl ConnectionTrait,
    owner: impl Into<SecretOwner>,
) -> Result<Vec<String>, StoreError> {
    let names = secret::Entity::find()
        .select_only()
        .column(secret::Column::Name)
        .filter(secret::Column::Owner.eq(owner.into().0))
        .order_by_asc(secret::Column::Name)
        .into_tuple()
        .all(connection)
        .await?;
    Ok(names)
}

/// Removes an owner's secrets and its data key: what copies of the rows lie around elsewhere without the
/// key row stay unreadable for good. Needs no master key.
///
/// # Errors
/// [`StoreError::Query`].
pub async fn forget(
    connection: &impl ConnectionTrait,
    owner: impl Into<SecretOwner>,
) -> Result<(), StoreError> {
    data_key::Entity::delete_by_id(owner.into().0)
        .exec(connection)
        .await?;
    Ok(())
}

/// Removes those of an owner's secrets whose names are meant. Needs no master key.
///
/// # Errors
/// [`StoreError::Query`].
pub async fn forget_named(
    connection: &impl ConnectionTrait,
    owner: impl Into<SecretOwner>,
    meant: impl Fn(&str) -> bool,
) -> Result<(), StoreError> {
    let owner: SecretOwner = owner.into();
    let names = names(connection, owner).await?;
    for name in names.into_iter().filter(|name| meant(name)) {
        secret::Entity::delete_by_id((owner.0, name))
            .exec(connection)
            .await?;
    }
    Ok(())
}

/// The id of the master key that a database needs; `None` when it has no secrets.
///
/// # Errors
/// [`StoreError::Query`].
pub async fn key_needed(connection: &impl ConnectionTrait) -> Result<Option<KeyId>, StoreError> {
    let any = data_key::Entity::find().one(connection).await?;
    if any.is_none() {
        return Ok(None);
    }
    let row = master_key::Entity::find_by_id(master_key::THE_ONE)
        .one(connection)
        .await?;
    Ok(row.map(|row| KeyId::stored(&row.key_id)))
}

/// The id of the master key that the database was begun with.
async fn needed(connection: &impl ConnectionTrait) -> Result<Option<KeyId>, SecretError> {
    let row = master_key::Entity::find_by_id(master_key::THE_ONE)
        .one(connection)
        .await?;
    Ok(row.map(|row| KeyId::stored(&row.key_id)))
}

/// Only for people who look at the rows: nothing is decided by it.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}
