//! Who did what, and how it ended: one row for each change that was asked for, also the refused ones.

use std::time::Duration;

use plugyard_http::{Cursor, Page, PageQuery, Principal};
use plugyard_model::{PluginName, Problem};
use plugyard_store::StoreError;
use sea_orm::{
    ActiveValue::NotSet, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};
use serde::Serialize;

use crate::Platform;
use crate::entity::audit_event;

/// How often rows that are too old are looked for.
const PRUNE_EVERY: Duration = Duration::from_hours(1);

/// Something to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuditEntry<'a> {
    /// What was done, as `METHOD /path/{template}` or a word.
    pub action: &'a str,
    /// To what; never a secret.
    pub target: &'a str,
    /// The plugin it concerns.
    pub plugin: Option<&'a PluginName>,
    /// `ok`, or a problem's code.
    pub result: &'a str,
    /// Id of the request.
    pub request: &'a str,
}

/// Which rows are wanted; all of it must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// Only what concerns this plugin.
    pub plugin: Option<PluginName>,
    /// Only what this one did.
    pub who: Option<String>,
    /// Only what happened at this time or later, in milliseconds since 1970 (UTC).
    pub since: Option<i64>,
    /// Only what happened before this time.
    pub until: Option<i64>,
}

/// A row of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEvent {
    /// Grows with each.
    pub id: i64,
    /// Milliseconds since 1970 (UTC).
    pub at: i64,
    /// Who.
    pub who: String,
    /// What, as `METHOD /path/{template}` or a word.
    pub action: String,
    /// To what; never a secret.
    pub target: String,
    /// `ok`, or the code of the problem it was answered with.
    pub result: String,
    /// Id of the request, to be found in the log.
    pub request: String,
    /// The plugin it concerns, `kind:key`.
    pub plugin: Option<String>,
}

impl Platform {
    /// Writes a row.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub async fn audit(&self, who: &Principal, entry: AuditEntry<'_>) -> Result<(), Problem> {
        let row = audit_event::ActiveModel {
            id: NotSet,
            at: Set(self.now()),
            who: Set(cut(&who.name)),
            action: Set(cut(entry.action)),
            target: Set(cut(entry.target)),
            result: Set(cut(entry.result)),
            request: Set(cut(entry.request)),
            plugin: Set(entry.plugin.map(ToString::to_string)),
        };
        audit_event::Entity::insert(row)
            .exec_without_returning(self.database().conn())
            .await
            .map_err(StoreError::from)?;
        Ok(())
    }

    /// The audit log, latest first.
    ///
    /// # Errors
    /// `request_invalid` for a cursor or limit that is none; `store_unavailable`.
    pub async fn audit_list(
        &self,
        filter: &AuditFilter,
        page: &PageQuery,
    ) -> Result<Page<AuditEvent>, Problem> {
        use audit_event::Column;
        let limit = page.limit()?;
        let mut query = audit_event::Entity::find().order_by_desc(Column::Id);
        let conditions = [
            filter.since.map(|since| Column::At.gte(since)),
            filter.until.map(|until| Column::At.lt(until)),
            filter.who.as_ref().map(|who| Column::Who.eq(who)),
            filter
                .plugin
                .as_ref()
                .map(|plugin| Column::Plugin.eq(plugin.to_string())),
        ];
        for condition in conditions.into_iter().flatten() {
            query = query.filter(condition);
        }
        if let Some(cursor) = &page.cursor {
            query = query.filter(Column::Id.lt(cursor.position::<i64>()?));
        }
        let mut rows = query
            .limit(u64::from(limit) + 1)
            .all(self.database().conn())
            .await
            .map_err(StoreError::from)?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more).map(|row| Cursor::at(&row.id));
        let items = rows.into_iter().map(AuditEvent::from).collect();
        Ok(Page { items, next })
    }

    /// Deletes the rows that are older than [`Settings::audit_retention`](crate::Settings), and says
    /// how many that were.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub async fn audit_prune(&self) -> Result<u64, Problem> {
        let Some(retention) = self.settings().audit_retention else {
            return Ok(0);
        };
        let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let pruned = audit_event::Entity::delete_many()
            .filter(audit_event::Column::At.lt(self.now().saturating_sub(retention)))
            .exec(self.database().conn())
            .await
            .map_err(StoreError::from)?;
        Ok(pruned.rows_affected)
    }

    /// Prunes from now on until the platform ends.
    pub(crate) fn keep_pruning(&self) {
        let platform = self.clone();
        let closing = self.0.closing.clone();
        tokio::spawn(closing.run_until_cancelled_owned(async move {
            let mut times = tokio::time::interval(PRUNE_EVERY);
            loop {
                times.tick().await;
                match platform.audit_prune().await {
                    Ok(0) => {}
                    Ok(rows) => tracing::info!(rows, "Pruned the audit log"),
                    Err(problem) => tracing::warn!(%problem, "Cannot prune the audit log"),
                }
            }
        }));
    }
}

impl From<audit_event::Model> for AuditEvent {
    fn from(row: audit_event::Model) -> Self {
        Self {
            id: row.id,
            at: row.at,
            who: row.who,
            action: row.action,
            target: row.target,
            result: row.result,
            request: row.request,
            plugin: row.plugin,
        }
    }
}

/// Callers choose parts of these texts, so they are bounded.
fn cut(text: &str) -> String {
    text.chars().take(512).collect()
}
