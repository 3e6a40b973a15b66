//! Badges: what a plugin has to tell one user, at most one for each plugin and user.

use plugyard_model::Problem;
use plugyard_store::{Database, StoreError};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, NotSet, QueryFilter, QueryOrder, Set};
use serde_json::{Map, Value as Json, json};

use super::fields::{Fields, refused};
use crate::columns;
use crate::entity::badge::{ActiveModel, Column, Entity, Model};
use crate::host::now;
use crate::records;

/// The badges of a user, by plugin.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    user: i64,
) -> Result<Vec<Model>, StoreError> {
    let mut rows = Entity::find()
        .filter(Column::UserId.eq(user))
        .filter(Column::DeletedAt.is_null())
        .order_by_asc(Column::Id)
        .all(connection)
        .await?;
    // Databases do not agree on the order of texts.
    rows.sort_by(|a, b| a.plugin_fskey.cmp(&b.plugin_fskey));
    Ok(rows)
}

/// Sets the badge of a plugin for a user: `badgeType` 1, or 2 with a number, or 3 with a text as `badgeValue`.
pub(crate) async fn put(
    database: &Database,
    user: i64,
    fskey: &str,
    body: &Map<String, Json>,
) -> Result<(), Problem> {
    records::live(database.conn(), fskey).await?;
    let mut fields = Fields::new(body, &["badgeType", "badgeValue"]);
    fields.require("badgeType");
    let display = fields.number("badgeType", 1, 3);
    let (mut number, mut text) = (None, None);
    match display {
        Some(2) => {
            fields.require("badgeValue");
            number = fields.number("badgeValue", 0, u16::MAX.into());
            if number.is_none() && !fields.is_wrong("badgeValue") {
                fields.malformed("/badgeValue", "integer");
            }
        }
        Some(3) => {
            fields.require("badgeValue");
            match fields.text("badgeValue") {
                Some(given) => match columns::line("badgeValue", given, 1, 8) {
                    Ok(given) => text = Some(given),
                    Err(issue) => fields.note("/badgeValue", issue),
                },
                None if !fields.is_wrong("badgeValue") => {
                    fields.malformed("/badgeValue", "string");
                }
                None => {}
            }
        }
        Some(_)
            if fields
                .get("badgeValue")
                .is_some_and(|value| !value.is_null()) =>
        {
            fields.malformed("/badgeValue", "null");
        }
        None if !fields.is_wrong("badgeType") => fields.malformed("/badgeType", "integer"),
        _ => {}
    }
    let Some(display) = display.filter(|_| !fields.has_errors()) else {
        return Err(refused(fields.findings));
    };
    let now = records::time(now());
    let row = ActiveModel {
        id: NotSet,
        plugin_fskey: Set(fskey.to_owned()),
        user_id: Set(user),
        display_type: Set(i16::try_from(display).unwrap_or(1)),
        value_number: Set(number.and_then(|number| i32::try_from(number).ok())),
        value_text: Set(text),
        created_at: Set(now),
        updated_at: Set(Some(now)),
        deleted_at: Set(None),
    };
    let again = OnConflict::columns([Column::PluginFskey, Column::UserId])
        .update_columns([
            Column::DisplayType,
            Column::ValueNumber,
            Column::ValueText,
            Column::UpdatedAt,
            Column::DeletedAt,
        ])
        .to_owned();
    Entity::insert(row)
        .on_conflict(again)
        .exec_without_returning(database.conn())
        .await
        .map_err(StoreError::from)?;
    Ok(())
}

/// Takes the badge of a plugin away from a user; one that is not there is gone already.
pub(crate) async fn delete(
    connection: &impl ConnectionTrait,
    user: i64,
    fskey: &str,
) -> Result<(), StoreError> {
    Entity::delete_many()
        .filter(Column::UserId.eq(user))
        .filter(Column::PluginFskey.eq(fskey))
        .exec(connection)
        .await?;
    Ok(())
}

/// A badge as it is shown.
pub(crate) fn document(row: &Model) -> Json {
    let value = match row.display_type {
        2 => row.value_number.map(Json::from),
        3 => row.value_text.clone().map(Json::from),
        _ => None,
    };
    json!({
        "fskey": row.plugin_fskey,
        "badgeType": row.display_type,
        "badgeValue": value,
    })
}
