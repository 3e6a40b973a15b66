//! The status file: what tells the application which plugins to load.
//!
//! The table is what counts; the file is written after each change, whole or not at all. Other members of it
//! (`name`, `version`, `license`, `homepage`, which are the application's) stay as they are.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use plugyard_store::StoreError;
use serde_json::{Map, Value as Json, json};

use crate::columns::PluginType;
use crate::entity::plugin::Model;
use crate::host::WebHost;
use crate::records;

/// Why the file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StatusFileError {
    #[error("the records cannot be read")]
    Store(#[from] StoreError),
    #[error("`{}` cannot be used: {reason}", path.display())]
    File { path: PathBuf, reason: String },
}

/// Whether the file speaks of a record: not of themes, nor of what is not loaded here.
pub(crate) fn is_listed(row: &Model) -> bool {
    row.deleted_at.is_none()
        && row.is_standalone == 0
        && i64::from(row.plugin_type) != PluginType::Theme as i64
        && i64::from(row.plugin_type) != PluginType::Standalone as i64
}

/// What the file should say of plugins.
pub(crate) fn expected(rows: &[Model], safe_mode: bool) -> BTreeMap<String, bool> {
    rows.iter()
        .filter(|row| is_listed(row))
        .map(|row| (row.fskey.clone(), row.is_enabled == 1 && !safe_mode))
        .collect()
}

impl WebHost {
    /// Where it is.
    pub(crate) fn status_path(&self) -> PathBuf {
        self.0.home.root().join(&self.0.settings.status_file)
    }

    /// Writes the file anew.
    pub(crate) async fn export_status(&self) -> Result<(), StatusFileError> {
        let _one = self.0.exporting.lock().await;
        let rows = records::all(self.database()?.conn()).await?;
        let plugins = expected(&rows, self.0.safe_mode);
        let path = self.status_path();
        let written = tokio::task::spawn_blocking(move || {
            let failed = |error: std::io::Error| StatusFileError::File {
                path: path.clone(),
                reason: error.to_string(),
            };
            let before = std::fs::read(&path).unwrap_or_default();
            let mut document = match serde_json::from_slice(&before) {
                Ok(Json::Object(document)) => document,
                _ => Map::from_iter([
                    ("name".to_owned(), json!("plugyard")),
                    ("version".to_owned(), json!(env!("CARGO_PKG_VERSION"))),
                    ("license".to_owned(), json!(env!("CARGO_PKG_LICENSE"))),
                    ("homepage".to_owned(), json!(env!("CARGO_PKG_REPOSITORY"))),
                ]),
            };
            document.insert("plugins".to_owned(), json!(plugins));
            let mut text = serde_json::to_vec_pretty(&document)
                .map_err(|error| failed(std::io::Error::other(error)))?;
            text.push(b'\n');
            if text == before {
                return Ok(());
            }
            let directory = path.parent().unwrap_or(&path);
            std::fs::create_dir_all(directory).map_err(failed)?;
            let write = || -> std::io::Result<()> {
                let mut file = tempfile::NamedTempFile::new_in(directory)?;
                file.write_all(&text)?;
                file.as_file().sync_all()?;
                // As readable as files of its kind are: the application may be another user's.
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
                std::fs::set_permissions(file.path(), mode)?;
                file.persist(&path)?;
                std::fs::File::open(directory)?.sync_all()
            };
            write().map_err(failed)
        });
        written.await.unwrap_or_else(|error| {
            Err(StatusFileError::File {
                path: self.status_path(),
                reason: error.to_string(),
            })
        })
    }

    /// What the file says of plugins now.
    pub(crate) async fn status(&self) -> Result<BTreeMap<String, bool>, StatusFileError> {
        #[derive(serde::Deserialize)]
        struct Document {
            #[serde(default)]
            plugins: BTreeMap<String, bool>,
        }
        let path = self.status_path();
        let failed = |reason: String| StatusFileError::File {
            path: path.clone(),
            reason,
        };
        let bytes = tokio::fs::read(&path)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let document: Document =
            serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
        Ok(document.plugins)
    }
}
