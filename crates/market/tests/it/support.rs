//! A market in a directory of its own, and ways to read it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use async_trait::async_trait;
use jiff::Timestamp;
use plugyard_market::{
    MarketSettings, Published, Refusal, Release, Repository, RepositoryError, Transport, Trust,
};

pub(crate) fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

pub(crate) struct Market {
    directory: tempfile::TempDir,
    pub(crate) repository: Repository,
}

impl Market {
    pub(crate) fn new() -> Self {
        Self::with(MarketSettings::default())
    }

    pub(crate) fn with(settings: MarketSettings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::init(&directory.path().join("m"), settings, now()).unwrap();
        Self {
            directory,
            repository,
        }
    }

    /// One that nothing changes.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Market> = OnceLock::new();
        SHARED.get_or_init(Self::new)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("m")
    }

    pub(crate) fn publish(&mut self, fskey: &str, version: &str) -> Published {
        let bytes = format!("the zip of {fskey} {version}");
        self.publish_bytes(fskey, version, bytes.as_bytes())
            .unwrap()
    }

    pub(crate) fn publish_bytes(
        &mut self,
        fskey: &str,
        version: &str,
        bytes: &[u8],
    ) -> Result<Published, RepositoryError> {
        let file = self.directory.path().join("package.zip");
        std::fs::write(&file, bytes).unwrap();
        let release = Release {
            fskey: fskey.to_owned(),
            version: version.to_owned(),
            ..Release::default()
        };
        self.repository.publish(&file, release, now())
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::from_root(&self.repository.root().unwrap()).unwrap()
    }

    pub(crate) fn disk(&self) -> Disk {
        Disk(self.path(), None)
    }
}

/// A market's directory, read without a server.
pub(crate) struct Disk(PathBuf, Option<tempfile::TempDir>);

impl Disk {
    /// As it is now, to keep or to change.
    pub(crate) fn copy(&self) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("metadata");
        std::fs::create_dir(&to).unwrap();
        for name in self.all() {
            std::fs::write(to.join(&name), self.get(&name)).unwrap();
        }
        Self(directory.path().to_owned(), Some(directory))
    }

    pub(crate) fn all(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join("metadata")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The newest file of each document.
    pub(crate) fn names(&self) -> BTreeMap<String, String> {
        let mut found: BTreeMap<String, (u64, String)> = BTreeMap::new();
        for name in self.all() {
            let Some((version, rest)) = name.split_once('.') else {
                continue;
            };
            let Ok(version) = version.parse() else {
                continue;
            };
            let document = rest.trim_end_matches(".json").to_owned();
            let entry = found.entry(document).or_default();
            if version > entry.0 {
                *entry = (version, name);
            }
        }
        found
            .into_iter()
            .map(|(document, (_, name))| (document, name))
            .collect()
    }

    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).unwrap()
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        assert!(self.1.is_some(), "only copies are changed");
        std::fs::write(self.file(name), bytes).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.0).join("metadata").join(name)
    }
}

#[async_trait]
impl Transport for Disk {
    async fn load(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Refusal> {
        match std::fs::read(self.0.join(path)) {
            Ok(bytes) if bytes.len() as u64 > limit => Err(Refusal::Malformed {
                document: path.to_owned(),
                reason: "too large".to_owned(),
            }),
            Ok(bytes) => Ok(Some(bytes)),
            Err(_) => Ok(None),
        }
    }
}
