//! Results that plugins leave to be fetched: rows of `plugin_callbacks`.

use plugyard_model::{Problem, codes};
use plugyard_store::StoreError;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::time::Duration;
use uuid::Uuid;

use super::Failed;
use super::service::ago;
use crate::entity::callback::{ActiveModel, Column, Entity, Model};
use crate::host::{WebHost, now};
use crate::records;
use crate::webhooks::endpoints::invalid;

/// How long a result can be fetched.
const VALID: Duration = Duration::from_mins(30);
/// How long it stays in the table, for looking into what happened.
const KEPT: Duration = Duration::from_hours(7 * 24);
/// The types that are documented.
const TYPES: std::ops::RangeInclusive<i32> = 1..=18;

/// A result to be left.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewCallback {
    /// The plugin that made it.
    pub(crate) fskey: String,
    /// What the client asks for; one is made when left out. 1 to 64 letters, digits, `-` and `_`.
    pub(crate) ulid: Option<String>,
    /// 1 custom, 2 reload, 3 token, … 18 comment configuration; 1 when left out.
    #[serde(rename = "type")]
    pub(crate) callback_type: Option<i32>,
    /// The result.
    pub(crate) content: Json,
    /// The account it is about.
    pub(crate) account_id: Option<i64>,
    /// The user it is about.
    pub(crate) user_id: Option<i64>,
}

/// Leaves one; gives its ULID.
///
/// # Errors
/// `web_field_invalid`, `callback_exists`, `E_PLUGIN_NOT_FOUND`.
pub(crate) async fn store(host: &WebHost, new: NewCallback) -> Result<Model, Problem> {
    let connection = host.database()?.conn();
    let plugin = records::live(connection, &new.fskey).await?;
    if !records::is_offered(&plugin) {
        return Err(invalid("fskey", "the plugin is disabled"));
    }
    let word = |it: u8| it.is_ascii_alphanumeric() || it == b'-' || it == b'_';
    let ulid = match new.ulid {
        Some(ulid) if (1..=64).contains(&ulid.len()) && ulid.bytes().all(word) => ulid,
        Some(_) => {
            return Err(invalid(
                "ulid",
                "it has 1 to 64 letters, digits, `-` and `_`",
            ));
        }
        None => ulid(Uuid::now_v7()),
    };
    let callback_type = new.callback_type.unwrap_or(1);
    if !TYPES.contains(&callback_type) {
        return Err(invalid("type", "it is 1 to 18"));
    }
    if new.account_id.is_some_and(|it| it < 0) || new.user_id.is_some_and(|it| it < 0) {
        return Err(invalid("accountId", "ids are not negative"));
    }
    let taken = Entity::find()
        .filter(Column::Ulid.eq(&ulid))
        .one(connection)
        .await
        .map_err(StoreError::from)?;
    if taken.is_some() {
        return Err(Problem::new(codes::CALLBACK_EXISTS).with("ulid", ulid));
    }
    let row = ActiveModel {
        plugin_fskey: Set(new.fskey),
        account_id: Set(new.account_id),
        user_id: Set(new.user_id),
        ulid: Set(ulid),
        callback_type: Set(callback_type),
        content: Set(Some(new.content).filter(|content| !content.is_null())),
        is_used: Set(0),
        created_at: Set(records::time(now())),
        ..Default::default()
    };
    Ok(row.insert(connection).await.map_err(StoreError::from)?)
}

/// Fetches one for the plugin `fskey`, once, within half an hour. The errors come in this order: plugin unknown
/// 32101, disabled 32102, no such result 32303, used 32204, empty 32206, too old 32203.
pub(crate) async fn fetch(host: &WebHost, fskey: &str, ulid: &str) -> Result<Json, Failed> {
    let broken = |error: StoreError| Failed::because(31000, Problem::from(error).to_string());
    let connection = host.database().map_err(broken)?.conn();
    let plugin = records::find_live(connection, fskey)
        .await
        .map_err(broken)?;
    let plugin = plugin.ok_or(32101_u32)?;
    if !records::is_offered(&plugin) {
        return Err(32102.into());
    }
    let row = Entity::find()
        .filter(Column::Ulid.eq(ulid))
        .filter(Column::DeletedAt.is_null())
        .one(connection)
        .await
        .map_err(|error| broken(error.into()))?
        .ok_or(32303_u32)?;
    if row.is_used != 0 {
        return Err(32204.into());
    }
    let content = row
        .content
        .filter(|content| !is_empty(content))
        .ok_or(32206_u32)?;
    if row.created_at < records::time(ago(VALID)) {
        return Err(32203.into());
    }
    // Of two at once one changes the row.
    let marked = Entity::update_many()
        .col_expr(Column::IsUsed, Expr::value(1_i16))
        .col_expr(Column::UsedPluginFskey, Expr::value(fskey))
        .col_expr(Column::UpdatedAt, Expr::value(records::time(now())))
        .filter(Column::Id.eq(row.id))
        .filter(Column::IsUsed.eq(0_i16))
        .exec(connection)
        .await
        .map_err(|error| broken(error.into()))?;
    if marked.rows_affected != 1 {
        return Err(32204.into());
    }
    Ok(json!({ "ulid": row.ulid, "type": row.callback_type, "content": content }))
}

/// Removes old ones.
pub(crate) async fn clean(host: &WebHost) -> Result<(), StoreError> {
    Entity::delete_many()
        .filter(Column::CreatedAt.lt(records::time(ago(KEPT))))
        .exec(host.database()?.conn())
        .await?;
    Ok(())
}

fn is_empty(content: &Json) -> bool {
    match content {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(members) => members.is_empty(),
        Json::Bool(_) | Json::Number(_) => false,
    }
}

/// 128 bits in Crockford's base 32, as ULIDs are written; those of a UUIDv7 sort by time too.
fn ulid(id: Uuid) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let bits = id.as_u128();
    (0..26_u32)
        .rev()
        .map(|digit| char::from(DIGITS[((bits >> (digit * 5)) & 31) as usize]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulids_have_26_digits_and_sort_by_time() {
        let of = |millis: u128| ulid(Uuid::from_u128(millis << 80));
        // The example of the ULID specification: 01ARZ3NDEK is this time.
        assert!(of(1_469_922_850_259).starts_with("01ARZ3NDEK"));
        assert!(of(1) < of(2) && of(1).len() == 26);
        assert_eq!(ulid(Uuid::max()), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    }
}
