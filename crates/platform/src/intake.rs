//! Taking packages in: streamed to staging while they are hashed, inspected, and kept only when sound.

mod absent;
mod fetch;
mod guard;
mod recognise;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use futures::StreamExt as _;
use plugyard_archive::{PackError, Policy, pack_to_file};
use plugyard_config::Definition;
use plugyard_model::{
    Digest, Finding, Inspection, KindId, Lang, Place, PluginName, Problem, Severity, VersionId,
    codes,
};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use crate::events::{self, codes as event_codes};
use crate::failpoint;
use crate::kind::Version;
use crate::packages::package_insert;
use crate::versions::{NewVersion, version_upsert};
use crate::{Kind, Platform};

pub use fetch::{leads_inside, outbound, outbound_through};
pub use recognise::{inspect, open_directory, open_zip};

/// Where a package comes from.
pub enum Source {
    /// A zip, or a directory which is packed first, on the server's own disk. Who may name paths is for
    /// the caller to decide.
    Path(PathBuf),
    /// An `http` or `https` address.
    Url(String),
    /// Bytes as they come.
    Stream(Pin<Box<dyn AsyncRead + Send>>),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            // An address may hold a password.
            Self::Url(_) => f.write_str("Url"),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// What the caller says about a package.
#[derive(Debug, Clone, PartialEq)]
pub struct TakeIn {
    /// The kind it is of; else the package itself says.
    pub kind: Option<KindId>,
    /// The key it must have; else the package's own.
    pub expected_key: Option<String>,
    /// What becomes part of the version's identity, such as `shellParas`: an object.
    pub options: Json,
}

impl Default for TakeIn {
    fn default() -> Self {
        Self {
            kind: None,
            expected_key: None,
            options: Json::Object(serde_json::Map::new()),
        }
    }
}

/// A package that was looked at and not kept.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// What it says, and what is wrong with it.
    pub inspection: Inspection,
}

/// A package that was taken in.
#[derive(Debug, Clone)]
pub struct Intake {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// What it says, and what is wrong with it, none of which keeps it out.
    pub inspection: Inspection,
    /// What it is a version of.
    pub plugin: PluginName,
    /// The version: a new one, or the one with equal bytes and options.
    pub version: Version,
    /// Whether it is new.
    pub new: bool,
}

/// A package as it would be taken in. Nothing of it is kept.
#[derive(Debug, Clone)]
pub struct Considered {
    /// The package.
    pub package: Inspected,
    /// What it is a version of.
    pub plugin: PluginName,
    /// The version: the one that is here with equal bytes and options, or as it would be.
    pub version: Version,
    /// What it says can be configured.
    pub definition: Option<Definition>,
}

/// How long the rest of a package is taken that there is no room for.
const LINGER: Duration = Duration::from_secs(5);

/// A package in staging; the file goes with it.
struct Staged {
    file: tempfile::TempPath,
    digest: Digest,
    size: u64,
}

impl Platform {
    /// Takes a package in: the object, the package's row and the version's row. The same bytes with the
    /// same options are the same version.
    ///
    /// # Errors
    /// `package_invalid` with the findings, `kind_unknown`, `kind_not_served`, `package_too_large`,
    /// `package_url_refused`, `package_fetch_failed`, `input_unreadable`, `plugin_name_invalid`,
    /// `objects_unavailable`, `store_unavailable`. Nothing is kept then.
    pub async fn take_in(&self, source: Source, options: TakeIn) -> Result<Intake, Problem> {
        let url = address(&source);
        let staged = self.stage(source).await?;
        let inspection = self.inspect_staged(&staged, &options).await?;
        let plugin = accept(&inspection)?;
        if let Some(url) = url {
            self.kind(&plugin.kind)?.may_come_from(&url)?;
        }
        let now = self.now();
        let keeping = self.0.keeping.lock().await;
        self.object_announce(&staged.digest).await?;
        let store = &self.0.objects.store;
        store.put_file(&staged.file, &staged.digest).await?;
        failpoint::pass();
        let transaction = self.database().begin().await?;
        package_insert(&*transaction, &staged.digest, staged.size, now).await?;
        let new = NewVersion {
            plugin: &plugin,
            digest: staged.digest,
            options: options.options,
            label: inspection.version.clone().unwrap_or_default(),
            manifest: inspection.manifest.clone(),
            findings: &inspection.findings,
        };
        let (version, new) = version_upsert(&*transaction, new, now).await?;
        self.object_settle(&*transaction, &staged.digest, true)
            .await?;
        failpoint::pass();
        transaction.commit().await?;
        self.0.handed_in.add(&plugin, version.id);
        failpoint::pass();
        drop(keeping);
        if new {
            self.0.events.publish(
                events::plugin_topic(&plugin),
                event_codes::VERSION_ADDED,
                [
                    ("plugin", plugin.to_string()),
                    ("version", version.id.to_string()),
                    ("digest", version.digest.to_string()),
                ],
            );
        }
        if new {
            let (platform, plugin) = (self.clone(), plugin.clone());
            self.0
                .changes
                .spawn(async move { platform.make_room(&plugin).await });
        }
        let Staged { digest, size, .. } = staged;
        Ok(Intake {
            digest,
            size,
            inspection,
            plugin,
            version,
            new,
        })
    }

    /// Looks at a package as [`take_in`](Self::take_in) does, and keeps nothing: for saying what a change to
    /// it would do.
    ///
    /// # Errors
    /// As [`take_in`](Self::take_in).
    pub async fn consider(&self, source: Source, options: TakeIn) -> Result<Considered, Problem> {
        let url = address(&source);
        let staged = self.stage(source).await?;
        let inspection = self.inspect_staged(&staged, &options).await?;
        let plugin = accept(&inspection)?;
        let kind = self.kind(&plugin.kind)?;
        if let Some(url) = url {
            kind.may_come_from(&url)?;
        }
        let definition = self.definition_in(kind.as_ref(), &plugin, &staged.file);
        let definition = definition.await?;
        let here = self.versions(&plugin).await?;
        let same = here
            .into_iter()
            .map(|it| it.version)
            .find(|it| it.digest == staged.digest && it.options == options.options);
        let version = same.unwrap_or_else(|| Version {
            id: VersionId(uuid::Uuid::now_v7()),
            digest: staged.digest,
            label: inspection.version.clone().unwrap_or_default(),
            manifest: inspection.manifest.clone(),
            options: options.options,
        });
        let package = Inspected {
            digest: staged.digest,
            size: staged.size,
            inspection,
        };
        Ok(Considered {
            package,
            plugin,
            version,
            definition,
        })
    }

    /// Looks at a package and keeps nothing. That it is bad is no error here.
    ///
    /// # Errors
    /// As [`take_in`](Self::take_in), for what keeps the bytes from coming.
    pub async fn inspect(&self, source: Source, options: &TakeIn) -> Result<Inspected, Problem> {
        let staged = self.stage(source).await?;
        let inspection = self.inspect_staged(&staged, options).await?;
        Ok(Inspected {
            digest: staged.digest,
            size: staged.size,
            inspection,
        })
    }

    async fn inspect_staged(
        &self,
        staged: &Staged,
        options: &TakeIn,
    ) -> Result<Inspection, Problem> {
        let kinds = self.0.kinds.clone();
        let (kind, key) = (options.kind.clone(), options.expected_key.clone());
        let path = staged.file.to_path_buf();
        blocking(&staged.file, move || {
            let package = open_zip(&kinds, &path, kind.as_ref())
                .map_err(|error| unreadable(&path, &error))?;
            inspect(&kinds, &package, kind.as_ref(), key.as_deref())
        })
        .await
    }

    async fn stage(&self, source: Source) -> Result<Staged, Problem> {
        match source {
            Source::Path(path) => self.stage_path(path).await,
            Source::Url(url) => {
                let fetched = fetch::fetch(&url, &self.0.settings);
                let body = fetched.await?;
                let failed = |reason: String| fetch::failed(&url, reason);
                let chunks = body.map(move |chunk| chunk.map_err(std::io::Error::other));
                let reader = tokio_util::io::StreamReader::new(chunks);
                let limit = self.0.settings.fetch_timeout;
                tokio::time::timeout(limit, self.stage_stream(reader, failed))
                    .await
                    .unwrap_or_else(|_| Err(fetch::failed(&url, "it took too long")))
            }
            Source::Stream(reader) => {
                let failed =
                    |reason: String| Problem::new(codes::REQUEST_INVALID).with("reason", reason);
                self.stage_stream(reader, failed).await
            }
        }
    }

    async fn stage_path(&self, path: PathBuf) -> Result<Staged, Problem> {
        let metadata = tokio::fs::metadata(&path)
            .await
            .map_err(|error| unreadable(&path, &error))?;
        if !metadata.is_dir() {
            let file = tokio::fs::File::open(&path)
                .await
                .map_err(|error| unreadable(&path, &error))?;
            let failed = |reason: String| {
                Problem::new(codes::INPUT_UNREADABLE)
                    .with("path", path.display())
                    .with("reason", reason)
            };
            return self.stage_stream(file, failed).await;
        }
        let target = self.temporary()?;
        let (directory, packed) = (path.clone(), target.to_path_buf());
        let staging = self.0.settings.home.staging();
        // Its kind is not known yet, and says more when it is.
        let policy = Policy::within(recognise::widest(&self.0.kinds));
        let report = blocking(&path, move || {
            pack_to_file(&directory, &packed, &policy).map_err(|error| {
                let findings = error.findings();
                if findings.is_empty() {
                    unpackable(&directory, &staging, &error)
                } else {
                    invalid(findings)
                }
            })
        })
        .await?;
        if report.size > self.0.settings.package_limit.0 {
            return Err(self.too_large());
        }
        Ok(Staged {
            file: target,
            digest: report.digest,
            size: report.size,
        })
    }

    async fn stage_stream(
        &self,
        reader: impl AsyncRead + Send,
        failed: impl Fn(String) -> Problem + Send,
    ) -> Result<Staged, Problem> {
        let limit = self.0.settings.package_limit.0;
        let target = self.temporary()?;
        let disk = |error: std::io::Error| unwritable(&self.0.settings.home.staging(), &error);
        let mut file = tokio::fs::File::create(&target).await.map_err(disk)?;
        let mut reader = std::pin::pin!(reader);
        let mut buffer = vec![0; 256 << 10];
        let (mut hash, mut size) = (Sha256::new(), 0_u64);
        loop {
            let read = reader.read(&mut buffer).await.map_err(|error| {
                if error.kind() == std::io::ErrorKind::FileTooLarge {
                    return self.too_large();
                }
                failed(error.to_string())
            })?;
            if read == 0 {
                break;
            }
            size += read as u64;
            if size > limit {
                return Err(self.too_large());
            }
            hash.update(&buffer[..read]);
            if let Err(error) = file.write_all(&buffer[..read]).await {
                // A client that is still sending sees no answer, but a connection that ends.
                let rest = async { while reader.read(&mut buffer).await.is_ok_and(|it| it > 0) {} };
                let _ = tokio::time::timeout(LINGER, rest).await;
                return Err(disk(error));
            }
        }
        file.flush().await.map_err(disk)?;
        drop(file);
        Ok(Staged {
            file: target,
            digest: Digest::from_bytes(hash.finalize().into()),
            size,
        })
    }

    fn too_large(&self) -> Problem {
        Problem::new(codes::PACKAGE_TOO_LARGE).with("limit", self.0.settings.package_limit)
    }

    fn temporary(&self) -> Result<tempfile::TempPath, Problem> {
        let staging = self.0.settings.home.staging();
        tempfile::Builder::new()
            .prefix("package-")
            .tempfile_in(&staging)
            .map(tempfile::NamedTempFile::into_temp_path)
            .map_err(|error| unwritable(&staging, &error))
    }
}

/// Where a package is fetched from.
fn address(source: &Source) -> Option<String> {
    match source {
        Source::Url(url) => Some(url.clone()),
        Source::Path(_) | Source::Stream(_) => None,
    }
}

/// The plugin that a sound inspection speaks of.
fn accept(inspection: &Inspection) -> Result<PluginName, Problem> {
    if inspection.has_errors() {
        let mut findings = inspection.findings.clone();
        // Alone, it is the answer itself and not one of several mistakes.
        if let [only] = findings.as_slice()
            && [codes::KIND_UNKNOWN, codes::KIND_ABSENT].contains(&only.code)
        {
            let mut problem = Problem::new(only.code);
            problem.params = only.params.clone();
            problem.findings = std::mem::take(&mut findings);
            return Err(problem);
        }
        return Err(invalid(findings));
    }
    let name_invalid = |name: &str, reason: String| {
        Problem::new(codes::PLUGIN_NAME_INVALID)
            .with("name", name)
            .with("reason", reason)
    };
    match (&inspection.kind, &inspection.key) {
        (Some(kind), Some(key)) => {
            let parsed = key
                .parse()
                .map_err(|error| name_invalid(key, format!("{error}")))?;
            Ok(PluginName::new(kind.clone(), parsed))
        }
        _ => Err(name_invalid(
            "",
            "the package does not say its name".to_owned(),
        )),
    }
}

fn invalid(findings: Vec<Finding>) -> Problem {
    let errors = findings.iter().filter(|it| it.severity == Severity::Error);
    Problem::new(codes::PACKAGE_INVALID)
        .with("errors", errors.clone().count())
        .with(
            "first",
            errors
                .clone()
                .next()
                .map_or_else(String::new, |it| it.text(Lang::En)),
        )
        .with_findings(findings)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(codes::INPUT_UNREADABLE)
        .with("path", path.display())
        .with("reason", error)
}

/// The package cannot be put by.
fn unwritable(path: &Path, error: &std::io::Error) -> Problem {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return Problem::new(codes::HOME_FULL)
            .with("path", path.display())
            .with("reason", error);
    }
    unreadable(path, error)
}

fn unpackable(path: &Path, staging: &Path, error: &PackError) -> Problem {
    let mut cause = Some(error as &dyn std::error::Error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>()
            && error.kind() == std::io::ErrorKind::StorageFull
        {
            return unwritable(staging, error);
        }
        cause = error.source();
    }
    Problem::new(codes::INPUT_UNREADABLE)
        .with("path", path.display())
        .with(
            "reason",
            std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string),
        )
}

/// Runs what reads files where it holds nobody up.
async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, path = %path.display(), "Inspecting a package failed");
            Err(Problem::new(codes::INTERNAL).with("request", "-"))
        })
}

/// What is wrong with the bytes as a whole has no place in them.
fn nowhere() -> Place {
    Place::default()
}

/// All kinds, as `inspect` takes them.
pub(crate) type Kinds = [std::sync::Arc<dyn Kind>];
