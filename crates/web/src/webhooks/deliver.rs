//! Delivering what was written down: in order for each plugin and endpoint.

use std::time::Duration;

use plugyard_store::StoreError;
use plugyard_store::jobs::Job;
use plugyard_store::secrets::SecretOwner;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, Set,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::endpoints::SECRET;
use super::post::{Post, post};
use crate::entity::delivery::{Column, Entity, Model};
use crate::entity::webhook;
use crate::host::{WebHost, now};

/// Waits for its turn, or for its next attempt.
pub(crate) const WAITING: &str = "waiting";
/// Taken by the endpoint.
pub(crate) const DELIVERED: &str = "delivered";
/// Given up.
pub(crate) const DEAD: &str = "dead";

/// How soon one looks again whether others have finished with the same endpoint.
const SOON: i64 = 250;

/// Delivers what waits for one endpoint of one plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Deliver {
    pub(crate) webhook: Uuid,
    pub(crate) fskey: String,
}

impl Job for Deliver {
    const NAME: &'static str = "web_deliver";
    const QUEUE: &'static str = "webhooks";
    const DEDUPLICATE: bool = true;
    type Context = WebHost;

    async fn run(&self, host: &WebHost) -> anyhow::Result<()> {
        let at = match flush(host, self.webhook, &self.fskey, false).await? {
            Flushed::All => return Ok(()),
            Flushed::Later(at) => at,
            Flushed::Busy => now().saturating_add(SOON),
        };
        let transaction = host.database()?.begin().await?;
        host.queue()?.enqueue_at(&transaction, self, at).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// How far one came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing waits any more.
    All,
    /// The first one is to be tried again then.
    Later(i64),
    /// Somebody else delivers for this plugin, or enough do for this endpoint.
    Busy,
}

/// Delivers one after the other until nothing waits or one fails. With `now_or_never` the first one is tried even if
/// its pause is not over.
pub(crate) async fn flush(
    host: &WebHost,
    webhook: Uuid,
    fskey: &str,
    now_or_never: bool,
) -> Result<Flushed, StoreError> {
    let Some(_turn) = host.pages().turns.take(webhook, fskey) else {
        return Ok(Flushed::Busy);
    };
    let connection = host.database()?.conn();
    let mut hurry = now_or_never;
    loop {
        let endpoint = webhook::Entity::find_by_id(webhook).one(connection).await?;
        // What waits for a disabled one goes on when it is enabled again.
        let Some(endpoint) = endpoint.filter(|it| it.is_enabled) else {
            return Ok(Flushed::All);
        };
        let first = Entity::find()
            .filter(Column::WebhookId.eq(webhook))
            .filter(Column::Fskey.eq(fskey))
            .filter(Column::State.eq(WAITING))
            .order_by_asc(Column::Seq)
            .limit(1)
            .one(connection)
            .await?;
        let Some(first) = first else {
            return Ok(Flushed::All);
        };
        if first.next_at > now() && !hurry {
            return Ok(Flushed::Later(first.next_at));
        }
        hurry = false;
        if let Some(later) = attempt(host, &endpoint, first).await? {
            return Ok(Flushed::Later(later));
        }
    }
}

/// One attempt. Says when the next one is due; `None` when this delivery is over.
async fn attempt(
    host: &WebHost,
    endpoint: &webhook::Model,
    delivery: Model,
) -> Result<Option<i64>, StoreError> {
    let settings = &host.settings().webhooks;
    let (status, error) = match send(host, endpoint, &delivery, settings.timeout).await {
        Ok(answer) if answer.is_success() => (Some(answer.status), None),
        Ok(answer) => (
            Some(answer.status),
            Some(format!("it answered {}", answer.status)),
        ),
        Err(reason) => (None, Some(reason)),
    };
    let attempts = delivery.attempts.saturating_add(1);
    let ended = now();
    let mut later = None;
    let state = match &error {
        None => DELIVERED,
        Some(reason) => {
            let tries = u32::try_from(attempts).unwrap_or(u32::MAX);
            if tries >= settings.max_attempts.clamp(1, 100) {
                tracing::warn!(
                    webhook = endpoint.name,
                    event = delivery.event,
                    "The event `{}` of `{}` is a dead letter: {reason}",
                    delivery.event,
                    delivery.fskey,
                );
                DEAD
            } else {
                let wait = pause(settings.first_wait, settings.longest_wait, tries);
                let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                later = Some(ended.saturating_add(wait));
                WAITING
            }
        }
    };
    if status == Some(410) {
        // Whoever was there is gone for good.
        webhook::Entity::update_many()
            .col_expr(webhook::Column::IsEnabled, Expr::value(false))
            .filter(webhook::Column::Id.eq(endpoint.id))
            .exec(host.database()?.conn())
            .await?;
        tracing::warn!(
            webhook = endpoint.name,
            "The webhook `{}` says it is gone; it is disabled",
            endpoint.name
        );
    }
    let mut row = delivery.into_active_model();
    row.state = Set(state.to_owned());
    row.attempts = Set(attempts);
    row.status = Set(status.map(i32::from));
    row.error = Set(error);
    row.next_at = Set(later.unwrap_or(ended));
    row.ended_at = Set((state != WAITING).then_some(ended));
    row.update(host.database()?.conn()).await?;
    Ok(later)
}

/// Sends a delivery once, or says why it cannot be sent.
pub(crate) async fn send(
    host: &WebHost,
    endpoint: &webhook::Model,
    delivery: &Model,
    limit: Duration,
) -> Result<super::post::Answer, String> {
    let secrets = host
        .secrets()
        .await
        .map_err(|problem| problem.to_string())?;
    let connection = host.database().map_err(|error| error.to_string())?.conn();
    let secret = secrets
        .get(connection, SecretOwner(endpoint.id), SECRET)
        .await
        .map_err(|error| error.to_string())?
        .ok_or_else(|| "its secret is not there".to_owned())?;
    post(&Post {
        url: &endpoint.url,
        allow_private: host.settings().webhooks.allow_private,
        secret: &secret,
        id: &format!("msg_{}", delivery.id.simple()),
        body: delivery.body.as_bytes(),
        limit,
        now: now(),
    })
    .await
    .map_err(|error| error.to_string())
}

/// Asks for the job that delivers for this pair.
pub(crate) async fn ask(
    host: &WebHost,
    transaction: &plugyard_store::Transaction,
    webhook: Uuid,
    fskey: &str,
) -> Result<(), StoreError> {
    let job = Deliver {
        webhook,
        fskey: fskey.to_owned(),
    };
    host.queue()?.enqueue(transaction, &job).await.map(drop)
}

/// Asks for every pair for which something waits: after a start, after an endpoint was enabled again, and now
/// and then, should a job have been lost.
pub(crate) async fn ask_for_all(host: &WebHost, only: Option<Uuid>) -> Result<(), StoreError> {
    let transaction = host.database()?.begin().await?;
    let mut pairs = Entity::find()
        .select_only()
        .column(Column::WebhookId)
        .column(Column::Fskey)
        .filter(Column::State.eq(WAITING))
        .distinct();
    if let Some(webhook) = only {
        pairs = pairs.filter(Column::WebhookId.eq(webhook));
    }
    let pairs: Vec<(Uuid, String)> = pairs.into_tuple().all(&*transaction).await?;
    for (webhook, fskey) in pairs {
        ask(host, &transaction, webhook, &fskey).await?;
    }
    transaction.commit().await
}

/// Doubles with each failed attempt up to `longest`, and lies by chance between half and all of that, so that
/// deliveries that failed together do not come back together.
fn pause(first: Duration, longest: Duration, failed: u32) -> Duration {
    let doubled = 2_u32
        .checked_pow(failed.saturating_sub(1))
        .and_then(|factor| first.checked_mul(factor))
        .map_or(longest, |wait| wait.min(longest));
    let chance = getrandom::u32().map_or(0.5, |chance| f64::from(chance) / f64::from(u32::MAX));
    doubled.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let (first, longest) = (Duration::from_secs(5), Duration::from_mins(1));
        for (failed, full) in [(1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (u32::MAX, 60)] {
            let full = Duration::from_secs(full);
            let wait = pause(first, longest, failed);
            assert!(wait >= full / 2 && wait <= full, "{failed}: {wait:?}");
        }
    }
}
