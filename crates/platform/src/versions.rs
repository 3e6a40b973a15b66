//! Versions: accepted packages of plugins, and the catalogue made of them.

mod handed_in;

use std::collections::BTreeMap;

use plugyard_http::{Cursor, Page, PageQuery};
use plugyard_model::{
    Code, Digest, Finding, InstallationId, KindId, Params, Place, PluginName, Problem, Severity,
    VersionId, codes,
};
use plugyard_store::StoreError;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait as _, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, Set,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::entity::{installation, package, version};
use crate::installations::by_name;
use crate::kind::Version;
use crate::operations::journal;
use crate::{Platform, config, failpoint};

pub(crate) use handed_in::HandedIn;

/// A version as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VersionView {
    /// Whose.
    pub plugin: PluginName,
    /// The version itself.
    #[serde(flatten)]
    pub version: Version,
    /// What was found in the package.
    #[serde(skip)]
    pub findings: Vec<Finding>,
    /// Milliseconds since 1970 (UTC).
    pub created_at: i64,
}

/// A plugin of the catalogue: everything that was taken in, installed or not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plugin {
    /// Its name.
    pub plugin: PluginName,
    /// Latest first.
    pub versions: Vec<VersionView>,
}

impl Platform {
    /// A page of the catalogue, by name.
    ///
    /// # Errors
    /// `request_invalid` for a cursor or a limit that is none; `store_unavailable`.
    pub async fn plugins(&self, page: &PageQuery) -> Result<Page<Plugin>, Problem> {
        let limit = page.limit()? as usize;
        let after: Option<PluginName> = page.cursor.as_ref().map(Cursor::position).transpose()?;
        let connection = self.database().conn();
        let names = version::Entity::find()
            .select_only()
            .columns([version::Column::Kind, version::Column::Key])
            .group_by(version::Column::Kind)
            .group_by(version::Column::Key);
        // One more than the page tells whether another follows.
        let mut names: Vec<(String, String)> =
            by_name(names, connection.get_database_backend(), after.as_ref())
                .limit(limit as u64 + 1)
                .into_tuple()
                .all(connection)
                .await
                .map_err(StoreError::from)?;
        let more = names.len() > limit;
        names.truncate(limit);
        let mut plugins = BTreeMap::<PluginName, Vec<VersionView>>::new();
        for view in versions_of(connection, &names)
            .await?
            .into_iter()
            .filter_map(view)
        {
            plugins.entry(view.plugin.clone()).or_default().push(view);
        }
        let last = names.last().filter(|_| more).and_then(|(kind, key)| {
            Some(PluginName::new(
                KindId::from(kind.clone()),
                key.parse().ok()?,
            ))
        });
        Ok(Page {
            next: last.map(|last| Cursor::at(&last)),
            items: plugins
                .into_iter()
                .map(|(plugin, versions)| Plugin { plugin, versions })
                .collect(),
        })
    }

    /// The versions of a plugin that are here, latest first.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub async fn versions(&self, plugin: &PluginName) -> Result<Vec<VersionView>, Problem> {
        let rows = version_rows(self.database().conn(), plugin).await?;
        Ok(rows.into_iter().filter_map(view).collect())
    }

    /// A version of a plugin.
    ///
    /// # Errors
    /// `version_not_found`, also when it is another plugin's; `store_unavailable`.
    pub async fn version(&self, plugin: &PluginName, id: VersionId) -> Result<Version, Problem> {
        let not_found = || {
            Problem::new(codes::VERSION_NOT_FOUND)
                .about(plugin)
                .with("version", id)
        };
        version_fetch(self.database().conn(), id.0)
            .await?
            .and_then(view)
            .filter(|it| it.plugin == *plugin)
            .map(|it| it.version)
            .ok_or_else(not_found)
    }

    /// The version of that id, label or digest; of several with one label the latest.
    ///
    /// # Errors
    /// `version_not_found`; `store_unavailable`.
    pub async fn version_named(
        &self,
        plugin: &PluginName,
        name: &str,
    ) -> Result<VersionId, Problem> {
        let is_meant = |version: &Version| {
            version.label == name
                || version.id.to_string() == name
                || version.digest.to_string() == name
        };
        let versions = self.versions(plugin).await?;
        let found = versions.iter().find(|it| is_meant(&it.version));
        found.map(|it| it.version.id).ok_or_else(|| {
            let name: String = name.chars().take(64).collect();
            Problem::new(codes::VERSION_NOT_FOUND)
                .about(plugin)
                .with("version", name)
        })
    }

    /// Prunes versions, which nobody waits for.
    pub(crate) async fn make_room(&self, plugin: &PluginName) {
        if let Err(problem) = self.versions_prune(plugin).await {
            tracing::warn!(%problem, plugin.name = %plugin, "Cannot prune versions of `{plugin}`");
        }
    }

    pub(crate) async fn versions_of_package(
        &self,
        digest: &Digest,
    ) -> Result<Vec<VersionView>, Problem> {
        let rows = version::Entity::find()
            .filter(version::Column::Digest.eq(digest.to_string()))
            .order_by_asc(version::Column::Id)
            .all(self.database().conn())
            .await
            .map_err(StoreError::from)?;
        Ok(rows.into_iter().filter_map(view).collect())
    }

    /// The same for every plugin that has versions to spare: a prune that a crash interrupted is completed.
    pub(crate) async fn make_room_everywhere(&self) -> Result<(), StoreError> {
        let mut keep = self.0.settings.keep_versions;
        for kind in &self.0.kinds {
            keep = kind
                .keeps_versions()
                .await?
                .map_or(keep, |own| own.min(keep));
        }
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        let crowded: Vec<(String, String)> = version::Entity::find()
            .select_only()
            .columns([version::Column::Kind, version::Column::Key])
            .group_by(version::Column::Kind)
            .group_by(version::Column::Key)
            .having(version::Column::Id.count().gt(keep))
            .into_tuple()
            .all(self.database().conn())
            .await?;
        for (kind, key) in crowded {
            if let Ok(key) = key.parse() {
                self.make_room(&PluginName::new(KindId::from(kind), key))
                    .await;
            }
        }
        Ok(())
    }

    /// Takes away versions of a plugin that are neither in force, nor the one before, nor among the
    /// latest, nor handed in just now; and packages that then have no version left.
    ///
    /// What was made of a version goes first, then its row, then the package: interrupted anywhere, what is left
    /// has a row, is made again when it is needed, and goes the next time.
    async fn versions_prune(&self, plugin: &PluginName) -> Result<(), Problem> {
        // Versions come into use only under this lock, so what is to spare now stays so.
        let keeping = self.0.keeping.lock().await;
        let gone = self.versions_to_spare(plugin).await?;
        if gone.is_empty() {
            return Ok(());
        }
        if let Ok(kind) = self.kind(&plugin.kind) {
            for view in gone.iter().cloned().filter_map(view) {
                failpoint::pass();
                kind.discard(plugin, &view.version).await;
            }
        }
        failpoint::pass();
        let transaction = self.database().begin().await?;
        let mut unused = Vec::new();
        for row in gone {
            version::Entity::delete_by_id(row.id)
                .exec(&*transaction)
                .await
                .map_err(StoreError::from)?;
            let left = version::Entity::find()
                .filter(version::Column::Digest.eq(&row.digest))
                .count(&*transaction)
                .await
                .map_err(StoreError::from)?;
            if left == 0
                && let Ok(digest) = row.digest.parse()
            {
                package::Entity::delete_by_id(row.digest)
                    .exec(&*transaction)
                    .await
                    .map_err(StoreError::from)?;
                self.object_settle(&*transaction, &digest, false).await?;
                unused.push(digest);
            }
        }
        if let Some(row) = installation_of(&*transaction, plugin).await? {
            config::forget_shipped(&transaction, InstallationId(row.id)).await?;
        }
        failpoint::pass();
        transaction.commit().await?;
        failpoint::pass();
        drop(keeping);
        // Rows first: an object without a row is garbage, a row without its object would be a lie.
        if !unused.is_empty() {
            self.objects_sweep_or_later().await;
        }
        Ok(())
    }

    async fn versions_to_spare(
        &self,
        plugin: &PluginName,
    ) -> Result<Vec<version::Model>, StoreError> {
        let connection = self.database().conn();
        let installation = installation_of(connection, plugin).await?;
        let mut used: Vec<Uuid> = installation
            .into_iter()
            .flat_map(|row| {
                // The definition in force may be an older version's.
                [
                    row.current_version,
                    row.previous_version,
                    row.config_version,
                ]
            })
            .flatten()
            .collect();
        for change in journal::change_list_open(connection, plugin).await? {
            used.extend(
                [change.current, change.target]
                    .into_iter()
                    .flatten()
                    .map(|it| it.id.0),
            );
        }
        used.extend(self.0.handed_in.of(plugin).into_iter().map(|id| id.0));
        let mut rows = version_rows(connection, plugin).await?;
        let own = match self.kind(&plugin.kind) {
            Ok(kind) => kind.keeps_versions().await?,
            Err(_) => None,
        };
        let latest = rows.len().min(own.unwrap_or(self.0.settings.keep_versions));
        rows.drain(..latest);
        rows.retain(|row| !used.contains(&row.id));
        Ok(rows)
    }
}

/// What makes a version.
pub(crate) struct NewVersion<'a> {
    pub(crate) plugin: &'a PluginName,
    pub(crate) digest: Digest,
    pub(crate) options: Json,
    pub(crate) label: String,
    pub(crate) manifest: Json,
    pub(crate) findings: &'a [Finding],
}

/// Makes the row, or finds the one with equal package and options. Says whether it is new.
pub(crate) async fn version_upsert(
    connection: &impl ConnectionTrait,
    new: NewVersion<'_>,
    now: i64,
) -> Result<(Version, bool), StoreError> {
    let options_digest = options_digest(&new.options);
    let found = version::Entity::find()
        .filter(version::Column::Kind.eq(new.plugin.kind.as_str()))
        .filter(version::Column::Key.eq(new.plugin.key.as_str()))
        .filter(version::Column::Digest.eq(new.digest.to_string()))
        .filter(version::Column::OptionsDigest.eq(&options_digest))
        .one(connection)
        .await?;
    if let Some(found) = found {
        version_touch(connection, new.plugin, found.id, now).await?;
        let version = Version {
            id: VersionId(found.id),
            digest: new.digest,
            label: found.label,
            manifest: found.manifest,
            options: found.options,
        };
        return Ok((version, false));
    }
    let version = Version {
        id: VersionId(Uuid::now_v7()),
        digest: new.digest,
        label: new.label,
        manifest: new.manifest,
        options: new.options,
    };
    let row = version::ActiveModel {
        id: Set(version.id.0),
        kind: Set(new.plugin.kind.as_str().to_owned()),
        key: Set(new.plugin.key.as_str().to_owned()),
        digest: Set(version.digest.to_string()),
        options: Set(version.options.clone()),
        options_digest: Set(options_digest),
        label: Set(version.label.clone()),
        manifest: Set(version.manifest.clone()),
        findings: Set(findings_to_json(new.findings)),
        created_at: Set(now),
        used_at: Set(used_last(connection, new.plugin, now).await?),
    };
    version::Entity::insert(row)
        .exec_without_returning(connection)
        .await?;
    Ok((version, true))
}

/// Marks a version as just used, so that it is among the last to go.
pub(crate) async fn version_touch(
    connection: &impl ConnectionTrait,
    plugin: &PluginName,
    id: Uuid,
    now: i64,
) -> Result<(), StoreError> {
    let last = used_last(connection, plugin, now).await?;
    version::Entity::update_many()
        .col_expr(version::Column::UsedAt, last.into())
        .filter(version::Column::Id.eq(id))
        .exec(connection)
        .await?;
    Ok(())
}

/// A time after every use of a version of this plugin: now, unless the clock was set back or stands still.
async fn used_last(
    connection: &impl ConnectionTrait,
    plugin: &PluginName,
    now: i64,
) -> Result<i64, StoreError> {
    let latest: Option<i64> = version::Entity::find()
        .select_only()
        .column(version::Column::UsedAt)
        .filter(version::Column::Kind.eq(plugin.kind.as_str()))
        .filter(version::Column::Key.eq(plugin.key.as_str()))
        .order_by_desc(version::Column::UsedAt)
        .into_tuple()
        .one(connection)
        .await?;
    Ok(latest.map_or(now, |latest| Ord::max(now, latest.saturating_add(1))))
}

pub(crate) async fn version_fetch(
    connection: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Option<version::Model>, StoreError> {
    Ok(version::Entity::find_by_id(id).one(connection).await?)
}

/// The row as what kinds get; `None` for a row that no version of ours wrote.
pub(crate) fn view(row: version::Model) -> Option<VersionView> {
    let digest = row.digest.parse();
    let key = row.key.parse();
    let (Ok(digest), Ok(key)) = (digest, key) else {
        tracing::error!(version.id = %row.id, "A version's row cannot be read");
        return None;
    };
    Some(VersionView {
        plugin: PluginName::new(KindId::from(row.kind), key),
        version: Version {
            id: VersionId(row.id),
            digest,
            label: row.label,
            manifest: row.manifest,
            options: row.options,
        },
        findings: findings_from_json(row.findings),
        created_at: row.created_at,
    })
}

/// The row of an installation, by the plugin's name.
pub(crate) async fn installation_of(
    connection: &impl ConnectionTrait,
    plugin: &PluginName,
) -> Result<Option<installation::Model>, StoreError> {
    Ok(installation::Entity::find()
        .filter(installation::Column::Kind.eq(plugin.kind.as_str()))
        .filter(installation::Column::Key.eq(plugin.key.as_str()))
        .one(connection)
        .await?)
}

pub(crate) fn installation_id(row: &installation::Model) -> InstallationId {
    InstallationId(row.id)
}

/// The versions of these plugins, latest first.
async fn versions_of(
    connection: &impl ConnectionTrait,
    names: &[(String, String)],
) -> Result<Vec<version::Model>, StoreError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut of_kinds = BTreeMap::<&str, Vec<&str>>::new();
    for (kind, key) in names {
        of_kinds.entry(kind).or_default().push(key);
    }
    let mut these = Condition::any();
    for (kind, keys) in of_kinds {
        let of_kind = Condition::all()
            .add(version::Column::Kind.eq(kind))
            .add(version::Column::Key.is_in(keys));
        these = these.add(of_kind);
    }
    Ok(version::Entity::find()
        .filter(these)
        .order_by_desc(version::Column::UsedAt)
        .order_by_desc(version::Column::Id)
        .all(connection)
        .await?)
}

async fn version_rows(
    connection: &impl ConnectionTrait,
    plugin: &PluginName,
) -> Result<Vec<version::Model>, StoreError> {
    Ok(version::Entity::find()
        .filter(version::Column::Kind.eq(plugin.kind.as_str()))
        .filter(version::Column::Key.eq(plugin.key.as_str()))
        .order_by_desc(version::Column::UsedAt)
        .order_by_desc(version::Column::Id)
        .all(connection)
        .await?)
}

/// SHA-256 of the options with their keys in order, so that equal options are equal however written.
fn options_digest(options: &Json) -> String {
    let mut options = options.clone();
    options.sort_all_objects();
    Digest::from_bytes(Sha256::digest(options.to_string()).into()).to_string()
}

/// A finding as stored: texts come from the catalogue when it is read.
#[derive(Serialize, Deserialize)]
struct StoredFinding {
    code: String,
    severity: Severity,
    place: Place,
    params: Params,
}

fn findings_to_json(findings: &[Finding]) -> Json {
    let stored = findings.iter().map(|finding| StoredFinding {
        code: finding.code.as_str().to_owned(),
        severity: finding.severity,
        place: finding.place.clone(),
        params: finding.params.clone(),
    });
    serde_json::to_value(stored.collect::<Vec<_>>()).unwrap_or_default()
}

fn findings_from_json(json: Json) -> Vec<Finding> {
    let stored: Vec<StoredFinding> = serde_json::from_value(json).unwrap_or_default();
    stored
        .into_iter()
        .filter_map(|it| {
            Some(Finding {
                code: Code::from_word(&it.code)?,
                severity: it.severity,
                place: it.place,
                params: it.params,
                own_text: None,
            })
        })
        .collect()
}
