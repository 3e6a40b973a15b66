//! Answers to requests with an `Idempotency-Key`, kept in the database: a request that is sent again after
//! the server was started anew still has one effect and one answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use plugyard_http::idempotency::{Answer, AnswerStore, Known};
use plugyard_model::{Digest, Problem};
use plugyard_store::StoreError;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use crate::Platform;
use crate::entity::answer;

/// Most answers kept, whatever their age.
const MOST: u64 = 10_000;
/// After so many new keys, what is too old or too much goes.
const PRUNE_EVERY: u64 = 100;

/// [`AnswerStore`] in the platform's database.
#[derive(Debug, Clone)]
pub struct StoredAnswers {
    platform: Platform,
    /// This process: what another one left unanswered will never be.
    server: Uuid,
    claims: Arc<AtomicU64>,
}

impl StoredAnswers {
    /// The answers of a platform. What an earlier server had claimed and not answered stays unanswered.
    pub fn new(platform: Platform) -> Self {
        Self {
            platform,
            server: Uuid::now_v7(),
            claims: Arc::default(),
        }
    }

    /// Whether the key was free and is now ours.
    async fn insert(&self, key: Digest, request: Digest) -> Result<bool, StoreError> {
        let row = answer::ActiveModel {
            key: Set(key.to_string()),
            request: Set(request.to_string()),
            server: Set(self.server),
            at: Set(self.platform.now()),
            status: NotSet,
            headers: NotSet,
            body: NotSet,
        };
        let inserted = answer::Entity::insert(row)
            .on_conflict(
                OnConflict::column(answer::Column::Key)
                    .do_nothing()
                    .to_owned(),
            )
            .exec_without_returning(self.platform.database().conn())
            .await?;
        Ok(inserted > 0)
    }

    /// The oldest time of which answers are still kept.
    fn oldest(&self) -> i64 {
        let kept = self.platform.settings().answer_retention.as_millis();
        let kept = i64::try_from(kept).unwrap_or(i64::MAX);
        self.platform.now().saturating_sub(kept)
    }

    async fn prune(&self) -> Result<(), StoreError> {
        let connection = self.platform.database().conn();
        let too_many = answer::Entity::find()
            .select_only()
            .column(answer::Column::At)
            .order_by_desc(answer::Column::At)
            .offset(MOST)
            .limit(1)
            .into_tuple::<i64>()
            .one(connection)
            .await?;
        let oldest = self.oldest().max(too_many.map_or(i64::MIN, |at| at + 1));
        answer::Entity::delete_many()
            .filter(answer::Column::At.lt(oldest))
            .exec(connection)
            .await?;
        Ok(())
    }

    fn known(&self, row: answer::Model, request: Digest) -> Known {
        if row.request != request.to_string() {
            return Known::Differs;
        }
        let status = row.status.and_then(|status| u16::try_from(status).ok());
        match status {
            Some(status) => Known::Answered(Answer {
                status,
                headers: row
                    .headers
                    .and_then(|headers| serde_json::from_value(headers).ok())
                    .unwrap_or_default(),
                body: row.body.unwrap_or_default().into(),
            }),
            _ if row.server == self.server => Known::Pending,
            _ => Known::Unsettled,
        }
    }
}

#[async_trait]
impl AnswerStore for StoredAnswers {
    async fn claim(&self, key: Digest, request: Digest) -> Result<Known, Problem> {
        let connection = self.platform.database().conn();
        loop {
            if self.insert(key, request).await? {
                let claims = self.claims.fetch_add(1, Ordering::Relaxed);
                if claims.is_multiple_of(PRUNE_EVERY) {
                    self.prune().await?;
                }
                return Ok(Known::Claimed);
            }
            let row = answer::Entity::find_by_id(key.to_string())
                .one(connection)
                .await
                .map_err(StoreError::from)?;
            match row {
                Some(row) if row.at >= self.oldest() => return Ok(self.known(row, request)),
                // Too old, or given back since we tried.
                Some(row) => {
                    answer::Entity::delete_many()
                        .filter(answer::Column::Key.eq(&row.key))
                        .filter(answer::Column::At.eq(row.at))
                        .exec(connection)
                        .await
                        .map_err(StoreError::from)?;
                }
                None => {}
            }
        }
    }

    async fn keep(&self, key: Digest, answer: Answer) {
        let row = answer::ActiveModel {
            key: Set(key.to_string()),
            status: Set(Some(answer.status.into())),
            headers: Set(serde_json::to_value(answer.headers).ok()),
            body: Set(Some(answer.body.to_vec())),
            ..Default::default()
        };
        let kept = answer::Entity::update_many()
            .set(row)
            .filter(answer::Column::Key.eq(key.to_string()))
            .filter(answer::Column::Server.eq(self.server))
            .exec(self.platform.database().conn())
            .await;
        if let Err(error) = kept {
            // Its key then stays claimed until it is too old: better than a second effect.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "Cannot keep the answer to an idempotency key");
        }
    }

    async fn release(&self, key: Digest) {
        let released = answer::Entity::delete_many()
            .filter(answer::Column::Key.eq(key.to_string()))
            .filter(answer::Column::Server.eq(self.server))
            .filter(answer::Column::Status.is_null())
            .exec(self.platform.database().conn())
            .await;
        if let Err(error) = released {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "Cannot give an idempotency key back");
        }
    }
}
