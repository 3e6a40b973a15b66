//! Who looks: what the application told about its users, or says in a token of theirs.
//!
//! There is no directory of users here. The application tells what the rules of usages need to know, the roles
//! somebody holds and the groups they administer, with `PUT /v1/viewers/{id}`, or signs it into a
//! token ([`token`]) that it hands to its client.

pub(crate) mod token;

use std::collections::BTreeSet;

use plugyard_model::{Problem, codes};
use plugyard_store::{Database, StoreError};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, EntityTrait, Set};
use serde_json::{Map, Value as Json, json};

use crate::columns::Issue;
use crate::entity::viewer::{ActiveModel, Column, Entity, Model};
use crate::host::now;
use crate::records;
use crate::usage::Viewer;
use crate::usages::draft::is_language_tag;
use crate::usages::fields::{Fields, refused, small};
use crate::usages::store::NOBODYS;

/// Most roles, and most groups, of one viewer.
const NUMBERS_MAX: usize = 10_000;

/// Somebody who is signed in with the application, or nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The application's own number of the user; none for who is not signed in.
    pub(crate) user: Option<i64>,
    /// What decides what they see.
    pub(crate) viewer: Viewer,
    /// Groups they belong to. No rule asks for them; they are kept for the application.
    pub(crate) groups: BTreeSet<u32>,
    pub(crate) language: Option<String>,
}

/// What was told about a viewer.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    id: i64,
) -> Result<Option<(Known, i64)>, StoreError> {
    let row = Entity::find_by_id(id).one(connection).await?;
    Ok(row.map(|row| {
        let at = row.updated_at;
        (known(row), at)
    }))
}

/// The same, or the problem to answer.
pub(crate) async fn get(
    connection: &impl ConnectionTrait,
    id: i64,
) -> Result<(Known, i64), Problem> {
    find(connection, id).await?.ok_or_else(|| not_found(id))
}

/// Keeps what the application tells about a viewer, in place of what it told before.
pub(crate) async fn put(
    database: &Database,
    id: i64,
    body: &Map<String, Json>,
) -> Result<(), Problem> {
    if id < 1 {
        return Err(not_found(id));
    }
    let mut fields = Fields::new(body, &["roles", "groups", "administeredGroups", "language"]);
    let lists = ["roles", "groups", "administeredGroups"].map(|key| {
        let numbers = fields.numbers(key).unwrap_or_default();
        if numbers.len() > NUMBERS_MAX {
            let issue = Issue::error(codes::E_FIELD_LENGTH)
                .with("field", key)
                .with("actual", numbers.len())
                .with("min", 0)
                .with("limit", NUMBERS_MAX);
            fields.note(&format!("/{key}"), issue);
        }
        if numbers.contains(&NOBODYS) {
            fields.range(&format!("/{key}"), 0, i64::from(NOBODYS) - 1);
        }
        numbers.into_iter().collect::<BTreeSet<u32>>()
    });
    let language = fields.text("language").filter(|tag| !tag.is_empty());
    if language.is_some_and(|tag| !is_language_tag(tag)) {
        fields.malformed("/language", "language tag");
    }
    if fields.has_errors() {
        return Err(refused(fields.findings));
    }
    let [roles, groups, administers] = lists.map(|numbers| json!(numbers));
    let row = ActiveModel {
        id: Set(id),
        roles: Set(roles),
        groups: Set(groups),
        administered_groups: Set(administers),
        lang_tag: Set(language.map(str::to_owned)),
        updated_at: Set(now()),
    };
    let again = OnConflict::column(Column::Id)
        .update_columns([
            Column::Roles,
            Column::Groups,
            Column::AdministeredGroups,
            Column::LangTag,
            Column::UpdatedAt,
        ])
        .to_owned();
    Entity::insert(row)
        .on_conflict(again)
        .exec_without_returning(database.conn())
        .await
        .map_err(StoreError::from)?;
    Ok(())
}

/// Forgets a viewer; their badges stay, which are the plugins'.
pub(crate) async fn delete(connection: &impl ConnectionTrait, id: i64) -> Result<(), Problem> {
    let gone = Entity::delete_by_id(id)
        .exec(connection)
        .await
        .map_err(StoreError::from)?;
    if gone.rows_affected == 0 {
        return Err(not_found(id));
    }
    Ok(())
}

/// A viewer as the application sees them.
pub(crate) fn document(id: i64, known: &Known, updated_at: i64) -> Json {
    json!({
        "id": id,
        "roles": known.viewer.roles,
        "groups": known.groups,
        "administeredGroups": known.viewer.administers,
        "language": known.language,
        "updatedAt": records::rfc3339(records::time(updated_at)),
    })
}

fn known(row: Model) -> Known {
    let numbers = |list: &Json| -> BTreeSet<u32> {
        let items = list.as_array().into_iter().flatten();
        items.filter_map(small).collect()
    };
    Known {
        user: Some(row.id),
        viewer: Viewer {
            roles: Some(numbers(&row.roles)),
            administers: numbers(&row.administered_groups),
        },
        groups: numbers(&row.groups),
        language: row.lang_tag,
    }
}

fn not_found(id: i64) -> Problem {
    Problem::new(codes::VIEWER_NOT_FOUND).with("id", id)
}
