//! Which objects are ours to keep and to remove.
//!
//! The directory in the home is ours alone: whatever no package names there is garbage. A store that
//! `objects.url` names may hold other things, so there we remove only what we put: each object is written
//! down as in doubt before it is put and before it is removed, and is settled by whether a package
//! names it. What cannot be settled because the store is away is tried again by a [job](SweepObjects).

use std::collections::HashSet;

use plugyard_model::{Digest, Problem};
use plugyard_store::jobs::{Job, JobSettings, Queue};
use plugyard_store::{Database, ObjectError, Objects, StoreError};
use sea_orm::{ConnectionTrait, EntityTrait, Set};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::entity::{instance, object_doubt, package};
use crate::{Platform, Settings};

/// Where the objects are, and whether that is the home's own directory.
pub(crate) struct Keeper {
    pub(crate) store: Objects,
    shared: bool,
    claimed: OnceCell<()>,
}

impl Keeper {
    /// The store the settings name. Does not ask it anything yet.
    pub(crate) fn open(settings: &Settings) -> Result<Self, ObjectError> {
        let home = &settings.home;
        let Some(url) = &settings.objects else {
            return Ok(Self {
                store: Objects::local(home.objects())?,
                shared: false,
                claimed: OnceCell::new_with(Some(())),
            });
        };
        Ok(Self {
            store: Objects::open(url, &settings.s3, home.cache().join("objects"))?,
            shared: true,
            claimed: OnceCell::new(),
        })
    }

    /// Makes sure, once, that a shared store is ours.
    async fn claim(&self, database: &Database) -> Result<(), Problem> {
        let claim = async {
            let name = instance_name(database).await?;
            self.store.claim(&name.to_string()).await?;
            Ok::<_, Problem>(())
        };
        self.claimed.get_or_try_init(|| claim).await.map(drop)
    }
}

impl Platform {
    /// Says at the start that a store is another's. One that is away may come back while we run.
    pub(crate) async fn objects_claim(&self) -> Result<(), Problem> {
        match self.0.objects.claim(self.database()).await {
            Err(problem) if problem.code == plugyard_model::codes::OBJECTS_UNAVAILABLE => {
                tracing::warn!("Packages cannot be taken in or fetched until their store answers");
                Ok(())
            }
            other => other,
        }
    }

    /// Before an object is put: it is ours to remove until a package names it.
    pub(crate) async fn object_announce(&self, digest: &Digest) -> Result<(), Problem> {
        self.0.objects.claim(self.database()).await?;
        if self.0.objects.shared {
            object_doubt(self.database().conn(), digest, self.now()).await?;
        }
        Ok(())
    }

    /// In the transaction that makes or removes the package's row.
    pub(crate) async fn object_settle(
        &self,
        connection: &impl ConnectionTrait,
        digest: &Digest,
        kept: bool,
    ) -> Result<(), StoreError> {
        match (self.0.objects.shared, kept) {
            (false, _) => Ok(()),
            (true, true) => {
                object_doubt::Entity::delete_by_id(digest.to_string())
                    .exec(connection)
                    .await?;
                Ok(())
            }
            (true, false) => object_doubt(connection, digest, self.now()).await,
        }
    }

    /// Removes objects that no package's row names: a process was killed between the two, or the store was
    /// away.
    pub(crate) async fn objects_sweep(&self) -> Result<(), Problem> {
        let _keeping = self.0.keeping.lock().await;
        let connection = self.database().conn();
        let known: HashSet<String> = package::Entity::find()
            .all(connection)
            .await
            .map_err(StoreError::from)?
            .into_iter()
            .map(|row| row.digest)
            .collect();
        if !self.0.objects.shared {
            for digest in self.0.objects.store.list().await? {
                if !known.contains(&digest.to_string()) {
                    tracing::info!(%digest, "Removing an object that nothing refers to");
                    self.0.objects.store.delete(&digest).await?;
                }
            }
            return Ok(());
        }
        let doubts = object_doubt::Entity::find().all(connection).await;
        for row in doubts.map_err(StoreError::from)? {
            if !known.contains(&row.digest)
                && let Ok(digest) = row.digest.parse()
            {
                tracing::info!(%digest, "Removing an object that nothing refers to");
                self.0.objects.claim(self.database()).await?;
                self.0.objects.store.delete(&digest).await?;
            }
            object_doubt::Entity::delete_by_id(row.digest)
                .exec(connection)
                .await
                .map_err(StoreError::from)?;
        }
        Ok(())
    }

    /// The same, and by a job when it does not succeed at once.
    pub(crate) async fn objects_sweep_or_later(&self) {
        let Err(problem) = self.objects_sweep().await else {
            return;
        };
        tracing::warn!(%problem, "Objects that nothing refers to cannot be removed now");
        let asked = async {
            let transaction = self.database().begin().await?;
            let queue = Queue::new(self.database().clone(), self.job_settings());
            queue.enqueue(&transaction, &SweepObjects {}).await?;
            transaction.commit().await
        };
        if let Err(error) = asked.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "Removing objects is tried again at the next start"
            );
        }
    }

    pub(crate) fn job_settings(&self) -> JobSettings {
        let clock = self.clock().clone();
        JobSettings {
            now: std::sync::Arc::new(move || clock.now()),
            ..JobSettings::default()
        }
    }
}

/// Removes objects that no package names.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SweepObjects {}

impl Job for SweepObjects {
    const NAME: &'static str = "platform.sweep_objects";
    const DEDUPLICATE: bool = true;
    /// A store may be away for days: with the longest wait of an hour these are about four.
    const MAX_ATTEMPTS: u32 = 100;
    type Context = Platform;

    async fn run(&self, platform: &Platform) -> anyhow::Result<()> {
        let swept = platform.objects_sweep().await;
        swept.map_err(|problem| anyhow::anyhow!("{problem}"))
    }
}

/// Who this database is; decided at the first question.
pub(crate) async fn instance_name(database: &Database) -> Result<Uuid, StoreError> {
    let row = instance::ActiveModel {
        id: Set(instance::THE_ONE),
        name: Set(Uuid::now_v7()),
    };
    instance::Entity::insert(row)
        .on_conflict_do_nothing_on([instance::Column::Id])
        .exec_without_returning(database.conn())
        .await?;
    let row = instance::Entity::find_by_id(instance::THE_ONE)
        .one(database.conn())
        .await?;
    row.map(|row| row.name)
        .ok_or_else(|| StoreError::Query(sea_orm::DbErr::RecordNotFound("instance".to_owned())))
}

async fn object_doubt(
    connection: &impl ConnectionTrait,
    digest: &Digest,
    now: i64,
) -> Result<(), StoreError> {
    let row = object_doubt::ActiveModel {
        digest: Set(digest.to_string()),
        since: Set(now),
    };
    object_doubt::Entity::insert(row)
        .on_conflict_do_nothing_on([object_doubt::Column::Digest])
        .exec_without_returning(connection)
        .await?;
    Ok(())
}
