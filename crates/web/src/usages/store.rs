//! Rows of `plugin_usages`, read and written.

use std::collections::{BTreeMap, HashMap};

use plugyard_http::{Cursor, Page, PageQuery};
use plugyard_model::{Finding, Problem, codes};
use plugyard_store::{Database, StoreError};
use sea_orm::prelude::DateTime;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, Condition, ConnectionTrait, EntityTrait,
    IntoActiveModel as _, NotSet, QueryFilter, QueryOrder, QuerySelect, Set,
};
use serde_json::{Map, Value as Json};

use super::draft::{Draft, joined};
use super::fields::{has_errors, refused};
use crate::entity::{plugin, usage, usage_name};
use crate::host::now;
use crate::records;
use crate::site::Site;
use crate::url::Encoding;
use crate::usage::{Usage, is_content_type};

/// A usage as it is stored, and its plugin's record unless that is deleted.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) draft: Draft,
    pub(crate) plugin: Option<plugin::Model>,
    pub(crate) created_at: DateTime,
    pub(crate) updated_at: Option<DateTime>,
    pub(crate) deleted_at: Option<DateTime>,
}

/// Which usages an operator asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) usage_type: Option<u8>,
    pub(crate) plugin: Option<String>,
    pub(crate) group: Option<u32>,
    pub(crate) enabled: Option<bool>,
    /// Deleted ones too.
    pub(crate) deleted: bool,
}

/// One page of usages, in the order that each type is shown in.
pub(crate) async fn page(
    database: &Database,
    filter: &Filter,
    page: &PageQuery,
) -> Result<Page<Stored>, Problem> {
    use usage::Column;

    let limit = page.limit()?;
    let mut query = usage::Entity::find();
    if let Some(number) = filter.usage_type {
        query = query.filter(Column::UsageType.eq(i16::from(number)));
    }
    if let Some(fskey) = &filter.plugin {
        query = query.filter(Column::PluginFskey.eq(fskey.as_str()));
    }
    if let Some(group) = filter.group {
        query = query.filter(Column::GroupId.eq(i64::from(group)));
    }
    if let Some(enabled) = filter.enabled {
        query = query.filter(Column::IsEnabled.eq(i16::from(enabled)));
    }
    if !filter.deleted {
        query = query.filter(Column::DeletedAt.is_null());
    }
    if let Some(cursor) = &page.cursor {
        let (kind, rating, id): (i16, i32, i64) = cursor.position()?;
        let same = |rest: Condition| Condition::all().add(Column::UsageType.eq(kind)).add(rest);
        let later = Condition::any().add(Column::Rating.gt(rating)).add(
            Condition::all()
                .add(Column::Rating.eq(rating))
                .add(Column::Id.gt(id)),
        );
        query = query.filter(
            Condition::any()
                .add(Column::UsageType.gt(kind))
                .add(same(later)),
        );
    }
    let mut rows = query
        .order_by_asc(Column::UsageType)
        .order_by_asc(Column::Rating)
        .order_by_asc(Column::Id)
        .limit(u64::from(limit) + 1)
        .all(database.conn())
        .await
        .map_err(StoreError::from)?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|row| Cursor::at(&(row.usage_type, row.rating, row.id)));
    Ok(Page {
        items: complete(database.conn(), rows).await?,
        next,
    })
}

/// A usage that is not deleted.
pub(crate) async fn find(connection: &impl ConnectionTrait, id: i64) -> Result<Stored, Problem> {
    let row = usage::Entity::find_by_id(id)
        .filter(usage::Column::DeletedAt.is_null())
        .one(connection)
        .await
        .map_err(StoreError::from)?;
    let rows = complete(connection, row.into_iter().collect()).await?;
    rows.into_iter().next().ok_or_else(|| not_found(id))
}

/// Stores a new usage. The findings are warnings.
pub(crate) async fn create(
    database: &Database,
    body: &Map<String, Json>,
) -> Result<(Stored, Vec<Finding>), Problem> {
    let transaction = database.begin().await?;
    let site = Site::read(&*transaction).await?;
    let mut draft = Draft::new();
    let findings = read(&*transaction, &mut draft, body, &site).await?;
    let now = records::time(now());
    let row = usage::ActiveModel {
        id: NotSet,
        usage_type: Set(i16::from(draft.usage.usage_type)),
        created_at: Set(now),
        updated_at: Set(Some(now)),
        deleted_at: Set(None),
        ..columns(&draft)
    };
    let row = row.insert(&*transaction).await.map_err(StoreError::from)?;
    put_names(&*transaction, row.id, &draft.names).await?;
    let stored = find(&*transaction, row.id).await?;
    transaction.commit().await?;
    Ok((stored, findings))
}

/// Changes a usage: what `body` does not name stays. The findings are warnings.
pub(crate) async fn change(
    database: &Database,
    id: i64,
    body: &Map<String, Json>,
) -> Result<(Stored, Vec<Finding>), Problem> {
    let transaction = database.begin().await?;
    let site = Site::read(&*transaction).await?;
    lock(&*transaction, id).await?;
    let before = find(&*transaction, id).await?;
    let mut draft = before.draft.clone();
    let findings = read(&*transaction, &mut draft, body, &site).await?;
    stays_the_sites(id, &before.draft.usage, &draft.usage)?;
    if draft == before.draft {
        return Ok((before, findings));
    }
    let row = usage::ActiveModel {
        id: Set(id),
        updated_at: Set(Some(records::time(now()))),
        ..columns(&draft)
    };
    row.update(&*transaction).await.map_err(StoreError::from)?;
    if draft.names != before.draft.names {
        put_names(&*transaction, id, &draft.names).await?;
    }
    let stored = find(&*transaction, id).await?;
    transaction.commit().await?;
    Ok((stored, findings))
}

/// Deletes a usage; its row stays.
pub(crate) async fn delete(database: &Database, id: i64) -> Result<(), Problem> {
    let transaction = database.begin().await?;
    lock(&*transaction, id).await?;
    let stored = find(&*transaction, id).await?;
    if !stored.draft.usage.can_delete {
        return Err(Problem::new(codes::E_USAGE_PROTECTED).with("id", id));
    }
    let now = records::time(now());
    let row = usage::ActiveModel {
        id: Set(id),
        updated_at: Set(Some(now)),
        deleted_at: Set(Some(now)),
        ..Default::default()
    };
    row.update(&*transaction).await.map_err(StoreError::from)?;
    transaction.commit().await?;
    Ok(())
}

/// Puts usages in this order; those of the same list that are not named come after them, as they were.
/// A list is what is shown together: the usages of a type and, for type 6, of a group.
pub(crate) async fn order(database: &Database, ids: &[i64]) -> Result<Vec<Stored>, Problem> {
    let Some(first) = ids.first() else {
        return Ok(Vec::new());
    };
    let transaction = database.begin().await?;
    let first = find(&*transaction, *first).await?.draft.usage;
    let mut query = usage::Entity::find()
        .filter(usage::Column::UsageType.eq(i16::from(first.usage_type)))
        .filter(usage::Column::DeletedAt.is_null());
    if let Some(group) = first.group_id {
        query = query.filter(usage::Column::GroupId.eq(i64::from(group)));
    }
    let mut rows: Vec<usage::Model> = query
        .order_by_asc(usage::Column::Rating)
        .order_by_asc(usage::Column::Id)
        .all(&*transaction)
        .await
        .map_err(StoreError::from)?;
    let place: HashMap<i64, usize> = ids.iter().copied().zip(0..).collect();
    for id in ids {
        if !rows.iter().any(|row| row.id == *id) {
            // Not there at all, or not in this list.
            find(&*transaction, *id).await?;
            return Err(Problem::new(codes::E_USAGE_ORDER)
                .with("id", id)
                .with("other", first.id));
        }
    }
    rows.sort_by_key(|row| place.get(&row.id).copied().unwrap_or(usize::MAX));
    let now = records::time(now());
    for (rating, row) in (1..=i32::from(u16::MAX)).zip(&mut rows) {
        if row.rating != rating {
            let mut changed = row.clone().into_active_model();
            changed.rating = Set(rating);
            changed.updated_at = Set(Some(now));
            *row = changed
                .update(&*transaction)
                .await
                .map_err(StoreError::from)?;
        }
    }
    let stored = complete(&*transaction, rows).await?;
    transaction.commit().await?;
    Ok(stored)
}

/// Reads `body` into the draft; the findings are warnings, or else the problem.
async fn read(
    connection: &impl ConnectionTrait,
    draft: &mut Draft,
    body: &Map<String, Json>,
    site: &Site,
) -> Result<Vec<Finding>, Problem> {
    let mut fields = draft.put(body, site.default_language());
    let plugin = records::find_live(connection, &draft.usage.plugin_fskey).await?;
    let scene = plugin.as_ref().map(records::scene).unwrap_or_default();
    let plugin = plugin.as_ref().map(|plugin| records::state(plugin, &scene));
    draft.check(plugin, &mut fields);
    if draft.is_stored() && !body.contains_key("pluginFskey") {
        // What became of the plugin since then is no reason to keep its usage from being hidden or moved.
        let of_plugin = [codes::E_PLUGIN_NOT_FOUND, codes::E_SCENE_NOT_SUPPORTED];
        fields.findings.retain(|it| !of_plugin.contains(&it.code));
    }
    if site.parameter_encoding() == Encoding::Component {
        // It is encoded whenever it is inserted.
        let code = codes::W_PARAMETER_NOT_URL_SAFE;
        fields.findings.retain(|it| it.code != code);
    }
    if has_errors(&fields.findings) {
        return Err(refused(fields.findings));
    }
    let mut findings = fields.findings;
    plugyard_model::sort_findings(&mut findings);
    Ok(findings)
}

/// A content type that every site has cannot be made another one, nor one that can be deleted.
fn stays_the_sites(id: i64, before: &Usage, after: &Usage) -> Result<(), Problem> {
    let fixed = !before.can_delete && is_content_type(&before.plugin_fskey);
    if fixed && (after.can_delete || after.plugin_fskey != before.plugin_fskey) {
        return Err(Problem::new(codes::E_USAGE_PROTECTED).with("id", id));
    }
    Ok(())
}

/// Keeps others from changing the row until the transaction ends, where a database lets several write.
async fn lock(connection: &impl ConnectionTrait, id: i64) -> Result<(), StoreError> {
    usage::Entity::find_by_id(id)
        .lock_exclusive()
        .one(connection)
        .await?;
    Ok(())
}

/// Names and plugins of rows: two queries, however many rows there are.
async fn complete(
    connection: &impl ConnectionTrait,
    rows: Vec<usage::Model>,
) -> Result<Vec<Stored>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids = rows.iter().map(|row| row.id);
    let mut names: HashMap<i64, BTreeMap<String, String>> = HashMap::new();
    let found = usage_name::Entity::find()
        .filter(usage_name::Column::UsageId.is_in(ids))
        .all(connection)
        .await?;
    for row in found {
        let of = names.entry(row.usage_id).or_default();
        of.insert(row.lang_tag, row.name);
    }
    let mut fskeys: Vec<&str> = rows.iter().map(|row| row.plugin_fskey.as_str()).collect();
    fskeys.sort_unstable();
    fskeys.dedup();
    let plugins: HashMap<String, plugin::Model> = plugin::Entity::find()
        .filter(plugin::Column::Fskey.is_in(fskeys))
        .filter(plugin::Column::DeletedAt.is_null())
        .all(connection)
        .await?
        .into_iter()
        .map(|row| (row.fskey.clone(), row))
        .collect();
    let stored = rows.into_iter().map(|row| {
        let plugin = plugins.get(&row.plugin_fskey).cloned();
        Stored {
            plugin: plugin.filter(|_| !is_built_in(&row)),
            created_at: row.created_at,
            updated_at: row.updated_at,
            deleted_at: row.deleted_at,
            draft: Draft {
                names: names.remove(&row.id).unwrap_or_default(),
                icon_file_id: row.icon_file_id,
                icon_file_url: row.icon_file_url.clone(),
                data_sources: row.data_sources.clone(),
                usage: usage_of(row),
            },
        }
    });
    Ok(stored.collect())
}

fn is_built_in(row: &usage::Model) -> bool {
    row.usage_type == 4 && is_content_type(&row.plugin_fskey)
}

/// A row as the rules see it. Rows from elsewhere may hold what no write of ours would: numbers that are out
/// of bounds become the nearest, lists are read as far as they are numbers.
pub(super) fn usage_of(row: usage::Model) -> Usage {
    Usage {
        id: u32::try_from(row.id).unwrap_or(u32::MAX),
        usage_type: u8::try_from(row.usage_type).unwrap_or_default(),
        plugin_fskey: row.plugin_fskey,
        name: row.name,
        scene: scenes(row.scene.as_deref()),
        editor_toolbar: row.editor_toolbar == 1,
        editor_number: row
            .editor_number
            .and_then(|number| u8::try_from(number).ok()),
        is_group_admin: row.is_group_admin == 1,
        group_id: row.group_id.and_then(|group| u32::try_from(group).ok()),
        is_enabled: row.is_enabled == 1,
        roles: roles(row.roles.as_deref()),
        parameter: row.parameter,
        rating: rating(row.rating),
        can_delete: row.can_delete == 1,
    }
}

/// The numbers in a column's text.
pub(super) fn scenes(text: Option<&str>) -> Vec<u8> {
    let parts = text.unwrap_or_default().split(',');
    parts.filter_map(|part| part.trim().parse().ok()).collect()
}

/// The roles in a column's text. Where there is a text and no role in it, the role is one that nobody holds: a
/// list that cannot be read must not open what it was to close.
pub(super) fn roles(text: Option<&str>) -> Vec<u32> {
    let text = text.unwrap_or_default().trim();
    if text.is_empty() {
        return Vec::new();
    }
    let roles: Vec<u32> = text
        .split(',')
        .filter_map(|part| part.trim().parse().ok())
        .collect();
    if roles.is_empty() {
        vec![NOBODYS]
    } else {
        roles
    }
}

/// A role that no viewer can be given.
pub(crate) const NOBODYS: u32 = u32::MAX;

pub(super) fn rating(number: i32) -> u16 {
    u16::try_from(number.max(0)).unwrap_or(u16::MAX)
}

/// The columns that a draft decides.
pub(crate) fn columns(draft: &Draft) -> usage::ActiveModel {
    let usage = &draft.usage;
    let list = |text: String| (!text.is_empty()).then_some(text);
    usage::ActiveModel {
        plugin_fskey: Set(usage.plugin_fskey.clone()),
        name: Set(usage.name.clone()),
        icon_file_id: Set(draft.icon_file_id),
        icon_file_url: Set(draft.icon_file_url.clone()),
        scene: Set(list(joined(&usage.scene))),
        editor_toolbar: Set(usage.editor_toolbar.into()),
        editor_number: Set(usage.editor_number.map(Into::into)),
        data_sources: Set(draft.data_sources.clone()),
        is_group_admin: Set(usage.is_group_admin.into()),
        group_id: Set(usage.group_id.map(Into::into)),
        roles: Set(list(joined(&usage.roles))),
        parameter: Set(usage.parameter.clone()),
        rating: Set(usage.rating.into()),
        can_delete: Set(usage.can_delete.into()),
        is_enabled: Set(usage.is_enabled.into()),
        ..Default::default()
    }
}

/// Replaces the names in other languages.
pub(crate) async fn put_names(
    connection: &impl ConnectionTrait,
    id: i64,
    names: &BTreeMap<String, String>,
) -> Result<(), StoreError> {
    usage_name::Entity::delete_many()
        .filter(usage_name::Column::UsageId.eq(id))
        .exec(connection)
        .await?;
    if names.is_empty() {
        return Ok(());
    }
    let rows = names.iter().map(|(tag, name)| usage_name::ActiveModel {
        usage_id: Set(id),
        lang_tag: Set(tag.clone()),
        name: Set(name.clone()),
    });
    usage_name::Entity::insert_many(rows)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// There is no such usage.
pub(crate) fn not_found(id: i64) -> Problem {
    Problem::new(codes::USAGE_NOT_FOUND).with("id", id)
}
