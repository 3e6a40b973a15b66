//! Definitions: out of packages, into rows, and back.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use plugyard_archive::{PackageReader, ReadError};
use plugyard_config::{Definition, Secret};
use plugyard_model::{InstallationId, PluginName, Problem, VersionId, codes};
use plugyard_store::secrets::{self, Secrets};
use plugyard_store::{SecretText, StoreError, Transaction};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, Set};
use uuid::Uuid;

use crate::entity::config_definition;
use crate::kind::Version;
use crate::{Kind, Platform, files};

/// Bytes read of a definition: one more than it may have, so that the reader says that it is too large.
const LIMIT: usize = plugyard_config::FILE_MAX + 1;
/// Definitions kept in memory.
const KEPT: usize = 1024;
/// What the names of secrets begin with that definitions were shipped with.
const SHIPPED: &str = "definition/";

/// A definition as it is stored: its secrets lie elsewhere.
#[derive(Debug, Clone)]
pub(super) struct Registered {
    pub(super) definition: Definition,
    /// The fields whose initial value is a secret.
    pub(super) shipped: Arc<[String]>,
}

/// Definitions that were read, for they never change.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<HashMap<(Uuid, Uuid), Registered>>);

impl Cache {
    fn get(&self, key: (Uuid, Uuid)) -> Option<Registered> {
        self.0.lock().get(&key).cloned()
    }

    fn put(&self, key: (Uuid, Uuid), registered: Registered) {
        let mut all = self.0.lock();
        if all.len() >= KEPT {
            all.clear();
        }
        all.insert(key, registered);
    }
}

/// The file of a package in which its definition stands, with its bytes; `None` when it has none.
pub(crate) fn read_file(
    package: &dyn PackageReader,
    file: &str,
) -> Result<Option<Vec<u8>>, ReadError> {
    match package.read(file, LIMIT as u64) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(ReadError::NotFound { .. }) => Ok(None),
        // As long as it may be and no longer: the reader of definitions says what is wrong.
        Err(ReadError::TooLarge { .. }) => Ok(Some(vec![b' '; LIMIT])),
        Err(error) => Err(error),
    }
}

impl Platform {
    /// What a version of a plugin says can be configured; `None` when it says nothing.
    ///
    /// # Errors
    /// `version_not_found`, `objects_unavailable`, `config_invalid`, `store_unavailable`.
    pub async fn config_definition(
        &self,
        plugin: &PluginName,
        version: VersionId,
    ) -> Result<Option<Definition>, Problem> {
        let version = self.version(plugin, version).await?;
        let kind = self.kind(&plugin.kind)?;
        self.definition_of(kind.as_ref(), plugin, &version).await
    }

    /// Reads the definition out of a version's package, secrets included.
    pub(super) async fn definition_of(
        &self,
        kind: &dyn Kind,
        plugin: &PluginName,
        version: &Version,
    ) -> Result<Option<Definition>, Problem> {
        if kind.config_file().is_none() {
            return Ok(None);
        }
        let package = self.0.objects.store.local_file(&version.digest).await?;
        self.definition_in(kind, plugin, &package).await
    }

    /// Reads the definition out of a package, secrets included; `None` when it has none.
    pub(crate) async fn definition_in(
        &self,
        kind: &dyn Kind,
        plugin: &PluginName,
        package: &Path,
    ) -> Result<Option<Definition>, Problem> {
        let Some(file) = kind.config_file() else {
            return Ok(None);
        };
        let unreadable = |reason: String| {
            Problem::new(codes::INPUT_UNREADABLE)
                .with("path", package.display())
                .with("reason", reason)
        };
        let package = package.to_owned();
        let read = tokio::task::spawn_blocking(move || {
            let package = files::open_package(&package).map_err(|it| it.to_string())?;
            let bytes = read_file(&package, file).map_err(|it| it.to_string())?;
            Ok(bytes.map(|bytes| Definition::read(&bytes)))
        });
        let report = read
            .await
            .unwrap_or_else(|error| Err(error.to_string()))
            .map_err(unreadable)?;
        let Some(report) = report else {
            return Ok(None);
        };
        let findings = report.findings(file);
        match report.definition {
            Some(definition) => Ok(Some(definition)),
            // It was accepted by a program with other rules.
            None => Err(Problem::new(codes::CONFIG_INVALID)
                .about(plugin)
                .with_findings(findings)),
        }
    }

    /// The definition that was registered for a version of an installation.
    pub(super) async fn definition_fetch(
        &self,
        connection: &impl ConnectionTrait,
        installation: Uuid,
        version: Uuid,
    ) -> Result<Option<Registered>, StoreError> {
        let key = (installation, version);
        if let Some(found) = self.0.config_cache.get(key) {
            return Ok(Some(found));
        }
        let row = config_definition::Entity::find_by_id(key)
            .one(connection)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let json = serde_json::from_str(&row.definition);
        let definition = json.ok().and_then(|it| Definition::stored(&it).ok());
        let Some(definition) = definition else {
            tracing::error!(%installation, %version, "A stored definition cannot be read");
            return Ok(None);
        };
        let shipped: Vec<String> = serde_json::from_value(row.shipped).unwrap_or_default();
        let registered = Registered {
            definition,
            shipped: shipped.into(),
        };
        self.0.config_cache.put(key, registered.clone());
        Ok(Some(registered))
    }
}

/// Registers a definition for a version. One that is there stays: it is the same.
pub(super) async fn register(
    transaction: &Transaction,
    secrets: Option<&Secrets>,
    installation: InstallationId,
    version: VersionId,
    definition: &Definition,
    now: i64,
) -> Result<(), Problem> {
    let shipped = definition.shipped_secrets();
    for (key, secret) in &shipped {
        if let Some(secrets) = secrets {
            let text = SecretText::new(secret.expose());
            let name = shipped_name(version.0, key);
            secrets.put(transaction, installation, &name, &text).await?;
        }
    }
    let keys: Vec<_> = shipped.into_iter().map(|(key, _)| key).collect();
    let row = config_definition::ActiveModel {
        installation_id: Set(installation.0),
        version_id: Set(version.0),
        definition: Set(definition.to_json().to_string()),
        shipped: Set(serde_json::json!(keys)),
        created_at: Set(now),
    };
    config_definition::Entity::insert(row)
        .on_conflict_do_nothing_on([
            config_definition::Column::InstallationId,
            config_definition::Column::VersionId,
        ])
        .exec_without_returning(&**transaction)
        .await
        .map_err(StoreError::from)?;
    Ok(())
}

/// Forgets the secrets that definitions were shipped with which are not registered any more: their versions
/// are gone, so that nothing begins with them again.
pub(crate) async fn forget_shipped(
    transaction: &Transaction,
    installation: InstallationId,
) -> Result<(), StoreError> {
    let kept: Vec<Uuid> = config_definition::Entity::find()
        .select_only()
        .column(config_definition::Column::VersionId)
        .filter(config_definition::Column::InstallationId.eq(installation.0))
        .into_tuple()
        .all(&**transaction)
        .await?;
    let is_over = |name: &str| {
        shipped_version(name)
            .is_some_and(|version| !kept.iter().any(|it| it.to_string() == version))
    };
    secrets::forget_named(&**transaction, installation, is_over).await
}

/// The definition with the secrets that it was shipped with, for what begins anew with initial values. One
/// that cannot be decrypted is left out: its field begins unset.
pub(super) async fn complete(
    connection: &impl ConnectionTrait,
    secrets: Option<&Secrets>,
    installation: Uuid,
    version: Uuid,
    registered: &Registered,
) -> Result<Definition, Problem> {
    let mut shipped = Vec::new();
    for key in registered.shipped.iter() {
        let Some(secrets) = secrets else { break };
        let owner = InstallationId(installation);
        let name = shipped_name(version, key);
        match secrets.get(connection, owner, &name).await {
            Ok(Some(text)) => shipped.push((key.clone(), Secret::new(text.expose()))),
            Ok(None) => {}
            Err(plugyard_store::secrets::SecretError::Store(error)) => return Err(error.into()),
            Err(error) => tracing::warn!(%error, "A secret of a definition cannot be read"),
        }
    }
    Ok(registered.definition.with_shipped_secrets(shipped))
}

fn shipped_name(version: Uuid, key: &str) -> String {
    format!("{SHIPPED}{version}/{key}")
}

/// The version in the name of a secret that a definition was shipped with.
fn shipped_version(name: &str) -> Option<&str> {
    let (version, _) = name.strip_prefix(SHIPPED)?.split_once('/')?;
    Some(version)
}
