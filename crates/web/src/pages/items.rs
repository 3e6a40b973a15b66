//! Words that are called without being asked for: at times, and when something happens in the application.
//!
//! They belong to their plugin: while it is disabled nothing of it is called and nothing is shown, when it is
//! enabled again all is as before, and when it is uninstalled they are gone.

use std::time::Duration;

use plugyard_model::Problem;
use plugyard_store::{StoreError, Transaction};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};
use serde_json::{Map, Value as Json, json};

use super::Failed;
use super::service::ago;
use super::words::{CallWord, is_word};
use crate::entity::{delivery, login, schedule, subscription};
use crate::events::{Event, Name};
use crate::host::{WebHost, now};
use crate::records;
use crate::webhooks::deliver;

/// How long one sleeps at most before looking again.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// Milliseconds after which the hashes of ended tokens go.
const LOGINS_KEPT: Duration = Duration::from_hours(30 * 24);

/// The command word `addCrontabItem`: `fskey`, `cmdWord`, `cronTableFormat`. The same pair twice keeps one.
pub(crate) async fn add_schedule(host: &WebHost, body: &Map<String, Json>) -> Result<Json, Failed> {
    let (fskey, word) = pair(host, body).await?;
    let cron = text(body, "cronTableFormat")?;
    let next = next(cron, now()).map_err(|reason| Failed::because(21005, reason))?;
    let row = schedule::ActiveModel {
        fskey: Set(fskey.to_owned()),
        word: Set(word.to_owned()),
        cron: Set(cron.to_owned()),
        next_at: Set(next),
        last_at: Set(None),
        created_at: Set(now()),
    };
    let again = OnConflict::columns([schedule::Column::Fskey, schedule::Column::Word])
        .update_columns([schedule::Column::Cron, schedule::Column::NextAt])
        .to_owned();
    let written = schedule::Entity::insert(row)
        .on_conflict(again)
        .exec_without_returning(host.database().map_err(broken)?.conn());
    written.await.map_err(|error| broken(error.into()))?;
    host.pages().schedules.notify_one();
    Ok(Json::Null)
}

/// The command word `removeCrontabItem`: `fskey`, `cmdWord`. It is no error when there is none.
pub(crate) async fn remove_schedule(
    host: &WebHost,
    body: &Map<String, Json>,
) -> Result<Json, Failed> {
    let (fskey, word) = (text(body, "fskey")?, text(body, "cmdWord")?);
    let removed = schedule::Entity::delete_by_id((fskey.to_owned(), word.to_owned()))
        .exec(host.database().map_err(broken)?.conn());
    removed.await.map_err(|error| broken(error.into()))?;
    Ok(Json::Null)
}

/// The command word `addSubscribeItem`: `type`, `fskey`, `cmdWord`, and `subTableName` for changes of a table.
pub(crate) async fn add_subscription(
    host: &WebHost,
    body: &Map<String, Json>,
) -> Result<Json, Failed> {
    let (fskey, word) = pair(host, body).await?;
    let (number, subject) = happening(body)?;
    let row = subscription::ActiveModel {
        subscription_type: Set(number),
        fskey: Set(fskey.to_owned()),
        word: Set(word.to_owned()),
        subject: Set(subject.to_owned()),
        created_at: Set(now()),
    };
    let once = OnConflict::columns([
        subscription::Column::SubscriptionType,
        subscription::Column::Fskey,
        subscription::Column::Word,
        subscription::Column::Subject,
    ])
    .do_nothing()
    .to_owned();
    let written = subscription::Entity::insert(row)
        .on_conflict(once)
        .exec_without_returning(host.database().map_err(broken)?.conn());
    written.await.map_err(|error| broken(error.into()))?;
    Ok(Json::Null)
}

/// The command word `removeSubscribeItem`, with what was added.
pub(crate) async fn remove_subscription(
    host: &WebHost,
    body: &Map<String, Json>,
) -> Result<Json, Failed> {
    let (fskey, word) = (text(body, "fskey")?, text(body, "cmdWord")?);
    let (number, subject) = happening(body)?;
    let key = (
        number,
        fskey.to_owned(),
        word.to_owned(),
        subject.to_owned(),
    );
    let removed =
        subscription::Entity::delete_by_id(key).exec(host.database().map_err(broken)?.conn());
    removed.await.map_err(|error| broken(error.into()))?;
    Ok(Json::Null)
}

/// Something happened in the application: every plugin that wanted to know is called, soon. Says how many.
///
/// # Errors
/// `web_field_invalid`.
pub(crate) async fn happened(
    host: &WebHost,
    number: i16,
    subject: &str,
    data: &Json,
) -> Result<usize, Problem> {
    let transaction = host.database()?.begin().await?;
    let rows = subscription::Entity::find()
        .filter(subscription::Column::SubscriptionType.eq(number))
        .filter(subscription::Column::Subject.eq(subject))
        .order_by_asc(subscription::Column::Fskey)
        .all(&*transaction)
        .await
        .map_err(StoreError::from)?;
    let mut called = 0;
    for row in rows {
        if !is_active(host, &*transaction, &row.fskey).await? {
            continue;
        }
        let call = CallWord {
            fskey: row.fskey,
            word: row.word,
            body: data.clone(),
        };
        host.queue()?.enqueue(&transaction, &call).await?;
        called += 1;
    }
    transaction.commit().await?;
    Ok(called)
}

/// What is scheduled and subscribed for plugins that work.
pub(crate) async fn list(host: &WebHost) -> Result<Json, StoreError> {
    let connection = host.database()?.conn();
    let schedules = schedule::Entity::find()
        .order_by_asc(schedule::Column::Fskey)
        .order_by_asc(schedule::Column::Word)
        .all(connection)
        .await?;
    let subscriptions = subscription::Entity::find()
        .order_by_asc(subscription::Column::Fskey)
        .order_by_asc(subscription::Column::Word)
        .all(connection)
        .await?;
    let (mut timed, mut told) = (Vec::new(), Vec::new());
    for row in schedules {
        if is_offered(connection, &row.fskey).await? {
            timed.push(json!({
                "fskey": row.fskey,
                "cmdWord": row.word,
                "cronTableFormat": row.cron,
                "nextAt": records::rfc3339(records::time(row.next_at)),
                "lastAt": row.last_at.map(|at| records::rfc3339(records::time(at))),
            }));
        }
    }
    for row in subscriptions {
        if is_offered(connection, &row.fskey).await? {
            let table = Some(row.subject).filter(|subject| !subject.is_empty());
            told.push(json!({
                "type": row.subscription_type,
                "fskey": row.fskey,
                "cmdWord": row.word,
                "subTableName": table,
            }));
        }
    }
    Ok(json!({ "schedules": timed, "subscriptions": told }))
}

/// Calls words when they are due, until dropped. One that was due while the server was away is called once.
pub(crate) async fn follow_schedules(host: &WebHost) {
    loop {
        let pause = match call_due(host, now()).await {
            Ok(next) => {
                let wait = next.map_or(i64::MAX, |next| next.saturating_sub(now()));
                Duration::from_millis(u64::try_from(wait).unwrap_or(0)).min(LONGEST_SLEEP)
            }
            Err(error) => {
                tracing::warn!(%error, "Schedules cannot be read; they are tried again");
                LONGEST_SLEEP
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = host.pages().schedules.notified() => {}
        }
    }
}

/// Has all that is due called, and says when the next one is.
async fn call_due(host: &WebHost, at: i64) -> Result<Option<i64>, StoreError> {
    let transaction = host.database()?.begin().await?;
    let due = schedule::Entity::find()
        .filter(schedule::Column::NextAt.lte(at))
        .all(&*transaction)
        .await?;
    for row in due {
        let Ok(next) = next(&row.cron, at) else {
            continue;
        };
        let moved = schedule::Entity::update_many()
            .col_expr(schedule::Column::NextAt, Expr::value(next))
            .filter(schedule::Column::Fskey.eq(&row.fskey))
            .filter(schedule::Column::Word.eq(&row.word))
            .filter(schedule::Column::NextAt.eq(row.next_at));
        if moved.exec(&*transaction).await?.rows_affected == 0
            || !is_active(host, &*transaction, &row.fskey).await?
        {
            continue;
        }
        schedule::Entity::update_many()
            .col_expr(schedule::Column::LastAt, Expr::value(at))
            .filter(schedule::Column::Fskey.eq(&row.fskey))
            .filter(schedule::Column::Word.eq(&row.word))
            .exec(&*transaction)
            .await?;
        let call = CallWord {
            fskey: row.fskey,
            word: row.word,
            body: json!({}),
        };
        host.queue()?.enqueue(&transaction, &call).await?;
    }
    let next: Option<Option<i64>> = schedule::Entity::find()
        .select_only()
        .column_as(schedule::Column::NextAt.min(), "next")
        .into_tuple()
        .one(&*transaction)
        .await?;
    transaction.commit().await?;
    Ok(next.flatten())
}

/// What events of plugins do to their items.
pub(crate) async fn follow(event: &Event, transaction: &Transaction) -> Result<(), StoreError> {
    if event.name != Name::Uninstalled {
        return Ok(());
    }
    schedule::Entity::delete_many()
        .filter(schedule::Column::Fskey.eq(&event.fskey))
        .exec(&**transaction)
        .await?;
    subscription::Entity::delete_many()
        .filter(subscription::Column::Fskey.eq(&event.fskey))
        .exec(&**transaction)
        .await?;
    Ok(())
}

/// Removes deliveries that ended long ago, and tokens that did. Dead letters stay four times as long.
pub(crate) async fn clean(host: &WebHost) -> Result<(), StoreError> {
    use delivery::Column;
    let connection = host.database()?.conn();
    let keep = host.settings().webhooks.keep;
    for (dead, span) in [(false, keep), (true, keep.saturating_mul(4))] {
        let state = if dead {
            Column::State.eq(deliver::DEAD)
        } else {
            Column::State.is_not_in([deliver::DEAD, deliver::WAITING])
        };
        delivery::Entity::delete_many()
            .filter(state)
            .filter(Column::EndedAt.lt(ago(span)))
            .exec(connection)
            .await?;
    }
    login::Entity::delete_many()
        .filter(login::Column::ExpiresAt.lt(ago(LOGINS_KEPT)))
        .exec(connection)
        .await?;
    Ok(())
}

/// When a crontab's line is due next after `at`, in UTC.
fn next(cron: &str, at: i64) -> Result<i64, String> {
    if cron.len() > 128 || cron.split_whitespace().count() != 5 {
        return Err("`cronTableFormat` has five fields, as in a crontab".to_owned());
    }
    let wrong = |error: cronexpr::Error| format!("`cronTableFormat`: {error}");
    let line = cronexpr::parse_crontab(&format!("{cron} UTC")).map_err(wrong)?;
    let from = cronexpr::MakeTimestamp::from_millisecond(at).map_err(wrong)?;
    let next = line.find_next(from).map_err(wrong)?;
    Ok(next.timestamp().as_millisecond())
}

/// Whether a plugin is there and enabled.
async fn is_offered(connection: &impl ConnectionTrait, fskey: &str) -> Result<bool, StoreError> {
    let row = records::find_live(connection, fskey).await?;
    Ok(row.is_some_and(|row| records::is_offered(&row)))
}

/// Whether it is loaded, too.
async fn is_active(
    host: &WebHost,
    connection: &impl ConnectionTrait,
    fskey: &str,
) -> Result<bool, StoreError> {
    Ok(!host.is_safe_mode() && is_offered(connection, fskey).await?)
}

/// The plugin, which must exist, and a word of it.
async fn pair<'b>(
    host: &WebHost,
    body: &'b Map<String, Json>,
) -> Result<(&'b str, &'b str), Failed> {
    let (fskey, word) = (text(body, "fskey")?, text(body, "cmdWord")?);
    if !is_word(word) {
        return Err(21005.into());
    }
    let connection = host.database().map_err(broken)?.conn();
    let row = records::find_live(connection, fskey)
        .await
        .map_err(broken)?;
    row.map(|_| (fskey, word)).ok_or_else(|| 21001.into())
}

/// What somebody wants to know of.
fn happening(body: &Map<String, Json>) -> Result<(i16, &str), Failed> {
    let number = body.get("type").and_then(Json::as_i64).unwrap_or(0);
    match number {
        1 => {
            let table = text(body, "subTableName").or_else(|_| text(body, "tableName"))?;
            (table.len() <= 64)
                .then_some((1, table))
                .ok_or_else(|| 21005.into())
        }
        2 => Ok((2, "")),
        3 => Ok((3, "")),
        4 => Ok((4, "")),
        _ => Err(21005.into()),
    }
}

fn text<'b>(body: &'b Map<String, Json>, key: &str) -> Result<&'b str, Failed> {
    body.get(key)
        .and_then(Json::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| 21005.into())
}

fn broken(error: StoreError) -> Failed {
    Failed::because(21003, Problem::from(error).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_crontab_says_when() {
        // 2026-01-01T00:00:30Z
        let at = 1_767_225_630_000;
        assert_eq!(next("* * * * *", at), Ok(1_767_225_660_000));
        assert_eq!(next("0 4 * * *", at), Ok(1_767_225_600_000 + 4 * 3_600_000));
        for bad in [
            "",
            "* * * *",
            "61 * * * *",
            "* * * * * *",
            "* * * * Europe/Berlin",
            "@daily",
        ] {
            assert!(next(bad, at).is_err(), "{bad}");
        }
    }
}
