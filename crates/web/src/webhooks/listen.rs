//! The listener that tells endpoints.

use async_trait::async_trait;
use futures::future::join_all;
use plugyard_store::{StoreError, Transaction};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, EntityTrait, Set};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::deliver::{self, WAITING};
use super::endpoints;
use crate::entity::delivery::{ActiveModel, Column, Entity, Model};
use crate::entity::webhook;
use crate::events::{Event, Listener, Veto};
use crate::host::{WebHost, now};
use crate::records;

/// Characters of a reason that are passed on.
const MAX_REASON: usize = 500;

/// Tells the endpoints of what happens.
pub(crate) struct Webhooks(pub(crate) WebHost);

#[async_trait]
impl Listener for Webhooks {
    async fn before(&self, event: &Event) -> Result<(), Veto> {
        let endpoints =
            async { endpoints::of_event(self.0.database()?.conn(), event.name.as_str()).await };
        let endpoints = endpoints.await.map_err(|error| {
            // Whoever would refuse could not be asked.
            tracing::error!(%error, "Webhooks cannot be read, so nothing is changed");
            Veto {
                who: "plugyard".to_owned(),
                reason: "the webhooks cannot be read".to_owned(),
            }
        })?;
        let verdicts = join_all(endpoints.iter().map(|it| self.ask(it, event))).await;
        verdicts.into_iter().collect()
    }

    async fn after(&self, event: &Event, transaction: &Transaction) -> Result<(), StoreError> {
        let endpoints = endpoints::of_event(&**transaction, event.name.as_str()).await?;
        for endpoint in endpoints {
            let row = row(&endpoint, event, WAITING);
            let once = OnConflict::columns([Column::WebhookId, Column::EventId])
                .do_nothing()
                .to_owned();
            Entity::insert(row)
                .on_conflict(once)
                .exec_without_returning(&**transaction)
                .await?;
            deliver::ask(&self.0, transaction, endpoint.id, &event.fskey).await?;
        }
        crate::pages::items::follow(event, transaction).await
    }
}

/// What an endpoint made of an event that can be refused.
enum Verdict {
    Passed,
    Vetoed(String),
    Unreachable(String),
}

impl Webhooks {
    /// Asks one endpoint, after what was written down for it before, where it takes that at once.
    async fn ask(&self, endpoint: &webhook::Model, event: &Event) -> Result<(), Veto> {
        let limit = self.0.settings().webhooks.deadline;
        let earlier = deliver::flush(&self.0, endpoint.id, &event.fskey, true);
        // What is late is delivered later, out of order; the answer now matters more.
        drop(tokio::time::timeout(limit, earlier).await);

        let asked = row(endpoint, event, WAITING);
        let shown = as_model(&asked);
        let mut status = None;
        let verdict = match deliver::send(&self.0, endpoint, &shown, limit).await {
            Ok(answer) => {
                status = Some(answer.status);
                judge(answer.is_success(), answer.status, answer.json())
            }
            Err(reason) => Verdict::Unreachable(reason),
        };
        let (state, reason) = match &verdict {
            Verdict::Passed => ("passed", None),
            Verdict::Vetoed(reason) => ("vetoed", Some(reason.clone())),
            Verdict::Unreachable(reason) => ("unreachable", Some(reason.clone())),
        };
        self.note(asked, state, status, reason).await;
        let reason = match verdict {
            Verdict::Passed => return Ok(()),
            Verdict::Vetoed(reason) => reason,
            Verdict::Unreachable(reason) => {
                tracing::warn!(
                    webhook = endpoint.name,
                    "The webhook `{}` could not be asked about `{}`: {reason}",
                    endpoint.name,
                    event.name.as_str(),
                );
                if endpoint.on_unreachable != endpoints::OnUnreachable::Veto.as_str() {
                    return Ok(());
                }
                reason
            }
        };
        Err(Veto {
            who: endpoint.name.clone(),
            reason,
        })
    }

    /// Keeps what was answered for the list of deliveries.
    async fn note(
        &self,
        mut row: ActiveModel,
        state: &str,
        status: Option<u16>,
        reason: Option<String>,
    ) {
        row.state = Set(state.to_owned());
        row.attempts = Set(1);
        row.status = Set(status.map(i32::from));
        row.error = Set(reason);
        row.ended_at = Set(Some(now()));
        // Every asking is one of its own: a change may be asked about again.
        row.event_id = Set(format!(
            "{}#{}",
            row.event_id.as_ref(),
            Uuid::new_v4().simple()
        ));
        let written = async {
            row.insert(self.0.database()?.conn()).await?;
            Ok::<_, StoreError>(())
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, "The answer of a webhook cannot be written down");
        }
    }
}

/// A delivery of an event.
fn row(endpoint: &webhook::Model, event: &Event, state: &str) -> ActiveModel {
    let body = json!({
        "type": event.name.as_str(),
        "timestamp": records::rfc3339(records::time(event.at)),
        "data": event.payload,
    });
    ActiveModel {
        id: Set(Uuid::now_v7()),
        webhook_id: Set(endpoint.id),
        event_id: Set(event.id.clone()),
        event: Set(event.name.as_str().to_owned()),
        fskey: Set(event.fskey.clone()),
        body: Set(body.to_string()),
        state: Set(state.to_owned()),
        attempts: Set(0),
        next_at: Set(now()),
        created_at: Set(now()),
        ..Default::default()
    }
}

/// The same for sending, before it has a place in the order.
fn as_model(row: &ActiveModel) -> Model {
    Model {
        seq: 0,
        id: *row.id.as_ref(),
        webhook_id: *row.webhook_id.as_ref(),
        event_id: row.event_id.as_ref().clone(),
        event: row.event.as_ref().clone(),
        fskey: row.fskey.as_ref().clone(),
        body: row.body.as_ref().clone(),
        state: row.state.as_ref().clone(),
        attempts: 0,
        next_at: 0,
        status: None,
        error: None,
        created_at: 0,
        ended_at: None,
    }
}

/// Any status but 2xx refuses, and so does `veto` in the body unless it is false, null or empty.
fn judge(success: bool, status: u16, body: Option<Json>) -> Verdict {
    let body = body.unwrap_or_default();
    let text = |key: &str| {
        let text = body.get(key)?.as_str()?.trim();
        (!text.is_empty()).then(|| text.chars().take(MAX_REASON).collect::<String>())
    };
    let refused = match body.get("veto") {
        None | Some(Json::Null | Json::Bool(false)) => false,
        Some(Json::String(reason)) => !reason.trim().is_empty(),
        Some(_) => true,
    };
    if success && !refused {
        return Verdict::Passed;
    }
    let reason = text("veto")
        .or_else(|| text("reason"))
        .or_else(|| text("message"))
        .unwrap_or_else(|| format!("it answered {status}"));
    Verdict::Vetoed(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(success: bool, body: Json) -> Option<String> {
        match judge(success, if success { 200 } else { 409 }, Some(body)) {
            Verdict::Passed => None,
            Verdict::Vetoed(reason) | Verdict::Unreachable(reason) => Some(reason),
        }
    }

    #[test]
    fn a_status_or_a_veto_refuses_and_says_why() {
        assert_eq!(reason(true, Json::Null), None);
        assert_eq!(reason(true, json!({ "veto": false })), None);
        assert_eq!(reason(true, json!({ "veto": "" })), None);
        let why = Some("not today".to_owned());
        assert_eq!(reason(true, json!({ "veto": "not today" })), why);
        assert_eq!(
            reason(true, json!({ "veto": true, "reason": "not today" })),
            why
        );
        assert_eq!(reason(false, json!({ "message": "not today" })), why);
        assert_eq!(reason(false, json!([])), Some("it answered 409".to_owned()));
    }
}
