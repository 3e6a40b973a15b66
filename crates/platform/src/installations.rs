//! Installations: plugins made available here.

use std::collections::HashMap;

use plugyard_http::{Cursor, Page, PageQuery};
use plugyard_model::{
    Health, HealthState, InstallationId, KindId, OperationId, PluginName, Problem, VersionId,
    Wanted, codes,
};
use plugyard_store::StoreError;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect,
    Select,
};
use serde::Serialize;
use uuid::Uuid;

use crate::Platform;
use crate::entity::{installation, operation, version};
use crate::kind::{Installation, Version};
use crate::versions::{installation_id, installation_of, view};

/// Installations read at once.
const CHUNK: usize = 500;

/// An installation as it is listed: also one that is just being made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstallationView {
    /// Its id.
    pub id: InstallationId,
    /// Its name.
    pub plugin: PluginName,
    /// What the operator wants.
    pub wanted: Wanted,
    /// How it is.
    pub health: Health,
    /// The version in force; `None` while the first is being installed.
    pub current: Option<Version>,
    /// The version before it.
    pub previous: Option<Version>,
    /// The change under way.
    pub operation: Option<OperationId>,
    /// Grows with each change.
    pub revision: u64,
    /// Milliseconds since 1970 (UTC).
    pub created_at: i64,
    /// Milliseconds since 1970 (UTC).
    pub updated_at: i64,
}

impl InstallationView {
    /// What kinds take; `None` while the first version is being installed.
    pub fn installed(&self) -> Option<Installation> {
        Some(Installation {
            id: self.id,
            plugin: self.plugin.clone(),
            wanted: self.wanted,
            current: self.current.clone()?,
            previous: self.previous.clone(),
        })
    }
}

/// Which installations to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstallationFilter {
    /// Of this kind only.
    pub kind: Option<KindId>,
    /// In this health only.
    pub health: Option<HealthState>,
}

impl Platform {
    /// Installations by name, a page of them.
    ///
    /// # Errors
    /// `request_invalid` for a cursor or limit that is none; `store_unavailable`.
    pub async fn installations(
        &self,
        filter: &InstallationFilter,
        page: &PageQuery,
    ) -> Result<Page<InstallationView>, Problem> {
        let limit = page.limit()? as usize;
        let after: Option<PluginName> = page.cursor.as_ref().map(Cursor::position).transpose()?;
        // One more than the page tells whether another follows. Health is not in the database, so that
        // those of one health are looked for in as many reads as it takes.
        let mut items: Vec<InstallationView> = Vec::new();
        let mut from = after;
        let chunk = filter.health.map_or(limit + 1, |_| CHUNK);
        while items.len() <= limit {
            let rows = self.ordered(filter, from.as_ref(), chunk).await?;
            let last = rows.len() < chunk;
            let views = self.views(rows).await?;
            from = views.last().map(|it| it.plugin.clone());
            let liked = |it: &InstallationView| {
                filter.health.is_none_or(|health| it.health.state == health)
            };
            items.extend(views.into_iter().filter(liked));
            if last || from.is_none() {
                break;
            }
        }
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items
            .last()
            .filter(|_| more)
            .map(|last| Cursor::at(&last.plugin));
        Ok(Page { items, next })
    }

    /// Rows by name.
    async fn ordered(
        &self,
        filter: &InstallationFilter,
        after: Option<&PluginName>,
        limit: usize,
    ) -> Result<Vec<installation::Model>, StoreError> {
        let connection = self.database().conn();
        let mut query = installation::Entity::find();
        if let Some(kind) = &filter.kind {
            query = query.filter(installation::Column::Kind.eq(kind.as_str()));
        }
        let rows = by_name(query, connection.get_database_backend(), after)
            .limit(limit as u64)
            .all(connection)
            .await?;
        Ok(rows)
    }

    /// All installations of a kind, by name.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub async fn installations_of(&self, kind: &KindId) -> Result<Vec<InstallationView>, Problem> {
        let rows = installation::Entity::find()
            .filter(installation::Column::Kind.eq(kind.as_str()))
            .all(self.database().conn())
            .await
            .map_err(StoreError::from)?;
        let mut views = self.views(rows).await?;
        views.sort_by(|a, b| a.plugin.cmp(&b.plugin));
        Ok(views)
    }

    /// One installation, by its full name or by a key that only one kind has.
    ///
    /// # Errors
    /// `plugin_not_found`, whose parameter `similar` lists names that are nearly the same;
    /// `plugin_ambiguous`; `store_unavailable`.
    pub async fn installation(&self, name: &str) -> Result<InstallationView, Problem> {
        let full = |row: &installation::Model| format!("{}:{}", row.kind, row.key);
        // By the index: a list of ten thousand is only read for names that may have been meant.
        let (kind, key) = name.split_once(':').unzip();
        let mut named = installation::Entity::find()
            .filter(installation::Column::Key.eq(key.unwrap_or(name)))
            .order_by_asc(installation::Column::Kind);
        if let Some(kind) = kind {
            named = named.filter(installation::Column::Kind.eq(kind));
        }
        let mut found = named
            .all(self.database().conn())
            .await
            .map_err(StoreError::from)?;
        match found.len() {
            0 => Err(Problem::new(codes::PLUGIN_NOT_FOUND)
                .with("plugin", name)
                .with("similar", similar(name, self.names().await?.into_iter()))),
            1 => {
                let view = self.views(vec![found.remove(0)]).await?.pop();
                view.ok_or_else(|| Problem::new(codes::PLUGIN_NOT_FOUND).with("plugin", name))
            }
            _ => {
                let candidates: Vec<_> =
                    found.iter().map(|row| format!("`{}`", full(row))).collect();
                Err(Problem::new(codes::PLUGIN_AMBIGUOUS)
                    .with("plugin", name)
                    .with("candidates", candidates.join(", ")))
            }
        }
    }

    /// The installation of this name, if there is one. For who does not ask on somebody's behalf that may have
    /// misspelt the name: nothing is read but the one row.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub async fn installation_of(
        &self,
        plugin: &PluginName,
    ) -> Result<Option<InstallationView>, Problem> {
        let row = installation_of(self.database().conn(), plugin).await?;
        match row {
            Some(row) => Ok(self.views(vec![row]).await?.pop()),
            None => Ok(None),
        }
    }

    /// The full names of all installations.
    async fn names(&self) -> Result<Vec<String>, StoreError> {
        let names: Vec<(String, String)> = installation::Entity::find()
            .select_only()
            .columns([installation::Column::Kind, installation::Column::Key])
            .into_tuple()
            .all(self.database().conn())
            .await?;
        Ok(names
            .into_iter()
            .map(|(kind, key)| format!("{kind}:{key}"))
            .collect())
    }

    /// Every installation that has a version in force.
    pub(crate) async fn installed(&self) -> Result<Vec<Installation>, StoreError> {
        let rows = installation::Entity::find()
            .all(self.database().conn())
            .await?;
        Ok(self
            .views(rows)
            .await?
            .iter()
            .filter_map(InstallationView::installed)
            .collect())
    }

    async fn views(
        &self,
        rows: Vec<installation::Model>,
    ) -> Result<Vec<InstallationView>, StoreError> {
        let connection = self.database().conn();
        let mut versions: HashMap<Uuid, Version> = HashMap::new();
        // A statement takes a bounded number of values.
        for rows in rows.chunks(CHUNK) {
            let ids = rows
                .iter()
                .flat_map(|row| [row.current_version, row.previous_version])
                .flatten();
            let found = version::Entity::find()
                .filter(version::Column::Id.is_in(ids))
                .all(connection)
                .await?;
            let views = found.into_iter().filter_map(view);
            versions.extend(views.map(|it| (it.version.id.0, it.version)));
        }
        let running: HashMap<Uuid, OperationId> = operation::Entity::find()
            .filter(operation::Column::EndedAt.is_null())
            .all(connection)
            .await?
            .into_iter()
            .map(|row| (row.installation_id, OperationId(row.id)))
            .collect();
        let version = |id: Option<Uuid>| id.and_then(|id| versions.get(&id).cloned());
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let plugin = PluginName::new(KindId::from(row.kind.clone()), row.key.parse().ok()?);
                Some(InstallationView {
                    id: installation_id(&row),
                    wanted: Wanted::from_word(&row.wanted)?,
                    health: self.health(&plugin),
                    plugin,
                    current: version(row.current_version),
                    previous: version(row.previous_version),
                    operation: running.get(&row.id).copied(),
                    revision: row.revision.unsigned_abs(),
                    created_at: row.created_at,
                    updated_at: row.updated_at,
                })
            })
            .collect())
    }
}

/// Rows with the columns `kind` and `key` in the order of names, from behind one of them: that of their bytes,
/// whatever the database's own is.
pub(crate) fn by_name<E: EntityTrait>(
    query: Select<E>,
    backend: DbBackend,
    after: Option<&PluginName>,
) -> Select<E> {
    let collation = match backend {
        DbBackend::Sqlite => "BINARY",
        _ => "\"C\"",
    };
    let by_bytes = |column: &str| Expr::cust(format!("\"{column}\" COLLATE {collation}"));
    let mut query = query;
    if let Some(after) = after {
        let (kind, key) = (after.kind.as_str(), after.key.as_str());
        let behind = Condition::any().add(by_bytes("kind").gt(kind)).add(
            Condition::all()
                .add(by_bytes("kind").eq(kind))
                .add(by_bytes("key").gt(key)),
        );
        query = query.filter(behind);
    }
    query
        .order_by(by_bytes("kind"), Order::Asc)
        .order_by(by_bytes("key"), Order::Asc)
}

/// Names that may have been meant, nearest first, at most three.
fn similar(name: &str, names: impl Iterator<Item = String>) -> String {
    let length = name.chars().count();
    let limit = 1 + length / 4;
    let distance = |other: &str| {
        // As many letters as one has more than the other are one step each.
        let apart = length.abs_diff(other.chars().count());
        let distance = || strsim::damerau_levenshtein(name, other);
        (apart <= limit)
            .then(distance)
            .filter(|steps| *steps <= limit)
    };
    let mut near: Vec<_> = names
        .filter_map(|full| {
            let key = full.split_once(':').map_or(full.as_str(), |(_, key)| key);
            let nearest = [distance(key), distance(&full)].into_iter().flatten().min();
            nearest.map(|steps| (steps, full))
        })
        .collect();
    near.sort();
    let near: Vec<_> = near
        .into_iter()
        .take(3)
        .map(|(_, full)| format!("`{full}`"))
        .collect();
    near.join(", ")
}

/// A version by id, when there is one.
pub(crate) fn version_id(version: Option<&Version>) -> Option<VersionId> {
    version.map(|version| version.id)
}
