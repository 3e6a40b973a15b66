//! Who did what, and how it ended: one row for each change that was asked for, also the refused ones.

use plugyard_http::{Cursor, Page, PageQuery, Principal};
use plugyard_model::Problem;
use plugyard_store::StoreError;
use sea_orm::{
    ActiveValue::NotSet, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};
use serde::Serialize;

use crate::Platform;
use crate::entity::audit_event;

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
}

impl Platform {
    /// Writes a row. `result` is `ok` or a problem's code.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub async fn audit(
        &self,
        who: &Principal,
        action: &str,
        target: &str,
        result: &str,
        request: &str,
    ) -> Result<(), Problem> {
        let row = audit_event::ActiveModel {
            id: NotSet,
            at: Set(self.now()),
            who: Set(cut(&who.name)),
            action: Set(cut(action)),
            target: Set(cut(target)),
            result: Set(cut(result)),
            request: Set(cut(request)),
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
    pub async fn audit_list(&self, page: &PageQuery) -> Result<Page<AuditEvent>, Problem> {
        let limit = page.limit()?;
        let mut query = audit_event::Entity::find().order_by_desc(audit_event::Column::Id);
        if let Some(cursor) = &page.cursor {
            query = query.filter(audit_event::Column::Id.lt(cursor.position::<i64>()?));
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
        }
    }
}

/// Callers choose parts of these texts, so they are bounded.
fn cut(text: &str) -> String {
    text.chars().take(512).collect()
}
