//! What a client trusts: the newest root it verified, and the highest versions it saw.
//!
//! Pure: bytes in, verdicts out. [`Trust`] moves forward with each document that is good, also when a later
//! one is not, so that nothing which was seen can be taken back. Order and rules are those of TUF 1.0,
//! section 5 (the client's workflow).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::document::{
    Document, Meta, PLUGIN_LIMIT, Role, Root, SNAPSHOT_LIMIT, Signers, Snapshot, TARGETS_LIMIT,
    Targets, TimestampDocument, Unverified, is_plugin_name, shown,
};
use crate::error::Refusal;
use crate::hex::Sha256;
use crate::keys::PublicKey;
use crate::release::Offer;

/// How many roots are followed in one refresh.
pub const ROOTS_MAX: usize = 256;

/// What a client remembers of a market between two looks. The caller keeps it, as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trust {
    /// The newest root, as it came.
    root: String,
    seen: Seen,
}

/// The highest versions that were seen, by document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Of `root`.
    pub root: u64,
    /// Of `timestamp`; 0 before the first.
    pub timestamp: u64,
    /// Of `snapshot`, as the newest timestamp names it.
    pub snapshot: u64,
    /// What the snapshot of that version hashes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_sha256: Option<Sha256>,
    /// Of `targets` and of the documents of plugins.
    pub documents: BTreeMap<String, u64>,
}

/// A catalogue whose `targets` are verified. The documents of single plugins are verified on demand, with
/// [`Catalogue::plugin`].
#[derive(Debug, Clone)]
pub struct Catalogue {
    targets: Targets,
    snapshot: Snapshot,
}

/// Where to load a document, and how large it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Relative to the market's address.
    pub path: String,
    /// Bytes.
    pub limit: u64,
}

impl Trust {
    /// Begins with a root that came on a way the caller trusts.
    ///
    /// # Errors
    /// When it is no root, or lacks its own signatures.
    pub fn from_root(bytes: &[u8]) -> Result<Self, Refusal> {
        let read = Unverified::<Root>::read("root", bytes)?;
        let signers = signers_of(&read.document, Role::Root);
        let root = read.verify(&signers)?;
        Self::begin(&root, bytes)
    }

    /// Begins with a root that came from anywhere, given keys that came on a way the caller trusts: each of
    /// them must be one of the root's own keys, and must have signed it.
    ///
    /// # Errors
    /// As [`from_root`](Self::from_root); the code is that of a bad signature when a key is not among them.
    pub fn from_keys(bytes: &[u8], keys: &[PublicKey]) -> Result<Self, Refusal> {
        let read = Unverified::<Root>::read("root", bytes)?;
        let signers = signers_of(&read.document, Role::Root);
        read.check(&signers)?;
        let listed = keys
            .iter()
            .filter(|key| signers.keys.contains(key))
            .copied();
        let mut trusted = Signers {
            keys: listed.collect(),
            threshold: keys.len() as u64,
        };
        trusted.keys.sort_unstable();
        trusted.keys.dedup();
        let root = read.verify(&trusted)?;
        Self::begin(&root, bytes)
    }

    fn begin(root: &Root, bytes: &[u8]) -> Result<Self, Refusal> {
        Ok(Self {
            root: text("root", bytes)?,
            seen: Seen {
                root: root.head.version,
                ..Seen::default()
            },
        })
    }

    /// The highest versions seen.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The root that is trusted, as it came.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The keys of the root.
    ///
    /// # Errors
    /// When what was stored is no root.
    pub fn root_keys(&self) -> Result<Vec<PublicKey>, Refusal> {
        Ok(signers_of(&self.read_root()?, Role::Root).keys)
    }

    /// Until when the root is good.
    ///
    /// # Errors
    /// When what was stored is no root.
    pub fn root_expires(&self) -> Result<Timestamp, Refusal> {
        Ok(self.read_root()?.head.expires)
    }

    /// Where the root after this one would be.
    #[must_use]
    pub fn next_root_path(&self) -> String {
        format!("metadata/{}.root.json", self.seen.root + 1)
    }

    /// Takes the next root: signed by enough keys of this one and of itself, one version on. When the keys
    /// of timestamp or snapshot changed, what was seen of them is forgotten: who had those keys may have
    /// signed absurdly high versions.
    ///
    /// # Errors
    /// `E_SIGNATURE_INVALID`, `E_CATALOGUE_ROLLBACK`, `E_CATALOGUE_INCONSISTENT`, `E_MARKET_RESPONSE`.
    pub fn next_root(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let name = format!("{}.root", self.seen.root + 1);
        let old = self.read_root()?;
        let read = Unverified::<Root>::read(&name, bytes)?;
        read.check(&signers_of(&old, Role::Root))?;
        let own = signers_of(&read.document, Role::Root);
        let new = read.verify(&own)?;
        if new.head.version <= self.seen.root {
            return Err(rollback(&name, new.head.version, self.seen.root));
        }
        if new.head.version != self.seen.root + 1 {
            return Err(inconsistent(
                &name,
                format!("it has version {}", new.head.version),
            ));
        }
        let changed = |role| signers_of(&old, role).keys != signers_of(&new, role).keys;
        if changed(Role::Timestamp) || changed(Role::Snapshot) {
            self.seen = Seen::default();
        }
        self.seen.root = new.head.version;
        self.root = text(&name, bytes)?;
        Ok(())
    }

    /// Checks that the root, the newest there is, is not too old.
    ///
    /// # Errors
    /// `E_SIGNATURE_EXPIRED`.
    pub fn check_root(&self, now: Timestamp) -> Result<(), Refusal> {
        fresh("root", &self.read_root()?, now)
    }

    /// Takes a timestamp, and says where the snapshot is.
    ///
    /// # Errors
    /// `E_SIGNATURE_INVALID`, `E_CATALOGUE_ROLLBACK`, `E_SIGNATURE_EXPIRED`, `E_CATALOGUE_INCONSISTENT`,
    /// `E_MARKET_RESPONSE`.
    pub fn timestamp(&mut self, bytes: &[u8], now: Timestamp) -> Result<Wanted, Refusal> {
        const NAME: &str = "timestamp";
        let signers = signers_of(&self.read_root()?, Role::Timestamp);
        let read = Unverified::<TimestampDocument>::read(NAME, bytes)?.verify(&signers)?;
        if read.head.version < self.seen.timestamp {
            return Err(rollback(NAME, read.head.version, self.seen.timestamp));
        }
        let Some(meta) = read.meta.get("snapshot.json") else {
            return Err(inconsistent(NAME, "it names no snapshot"));
        };
        let Some(hashes) = &meta.hashes else {
            return Err(inconsistent(NAME, "it does not say the snapshot's hash"));
        };
        if meta.version < self.seen.snapshot {
            return Err(rollback("snapshot", meta.version, self.seen.snapshot));
        }
        if meta.version == self.seen.snapshot
            && self
                .seen
                .snapshot_sha256
                .is_some_and(|seen| seen != hashes.sha256)
        {
            return Err(inconsistent(
                NAME,
                format!("snapshot {} was another one before", meta.version),
            ));
        }
        fresh(NAME, &read, now)?;
        self.seen.timestamp = read.head.version;
        self.seen.snapshot = meta.version;
        self.seen.snapshot_sha256 = Some(hashes.sha256);
        Ok(Wanted {
            path: format!("metadata/{}.snapshot.json", meta.version),
            limit: meta.length.unwrap_or(SNAPSHOT_LIMIT).min(SNAPSHOT_LIMIT),
        })
    }

    /// Takes the snapshot that the timestamp named, and says where the targets are.
    ///
    /// # Errors
    /// As [`timestamp`](Self::timestamp).
    pub fn snapshot(
        &mut self,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(Verified, Wanted), Refusal> {
        const NAME: &str = "snapshot";
        let hash = Sha256::of(bytes);
        if self.seen.snapshot_sha256 != Some(hash) {
            return Err(inconsistent(
                NAME,
                "its hash is not the one that the timestamp names",
            ));
        }
        let signers = signers_of(&self.read_root()?, Role::Snapshot);
        let read = Unverified::<Snapshot>::read(NAME, bytes)?.verify(&signers)?;
        if read.head.version != self.seen.snapshot {
            return Err(inconsistent(
                NAME,
                format!(
                    "it has version {}, and the timestamp names {}",
                    read.head.version, self.seen.snapshot
                ),
            ));
        }
        for (document, seen) in &self.seen.documents {
            match read.meta.get(&format!("{document}.json")) {
                None => {
                    return Err(inconsistent(
                        NAME,
                        format!("`{document}` was there before and is missing"),
                    ));
                }
                Some(meta) if meta.version < *seen => {
                    return Err(rollback(document, meta.version, *seen));
                }
                Some(_) => {}
            }
        }
        fresh(NAME, &read, now)?;
        for (file, meta) in &read.meta {
            let Some(document) = file.strip_suffix(".json") else {
                continue;
            };
            if document == "targets" || is_plugin_name(document) {
                self.seen
                    .documents
                    .insert(document.to_owned(), meta.version);
            }
        }
        let wanted = wanted(&read, "targets", TARGETS_LIMIT)?;
        Ok((Verified(read), wanted))
    }

    /// Takes the targets that the snapshot named.
    ///
    /// # Errors
    /// As [`timestamp`](Self::timestamp).
    pub fn targets(
        &self,
        snapshot: Verified,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Catalogue, Refusal> {
        const NAME: &str = "targets";
        let Verified(snapshot) = snapshot;
        let signers = signers_of(&self.read_root()?, Role::Targets);
        let targets = named(&snapshot, NAME, bytes, &signers, now)?;
        Ok(Catalogue { targets, snapshot })
    }

    fn read_root(&self) -> Result<Root, Refusal> {
        // It was verified when it came.
        Ok(Unverified::<Root>::read("root", self.root.as_bytes())?.document)
    }
}

/// A snapshot that was verified.
#[derive(Debug, Clone)]
pub struct Verified(Snapshot);

impl Catalogue {
    /// The plugins that the catalogue has.
    pub fn plugins(&self) -> impl Iterator<Item = &str> {
        let delegations = self.targets.delegations.iter();
        delegations.flat_map(|it| it.roles.iter().map(|role| role.name.as_str()))
    }

    /// Where the document of a plugin is; `None` when the market does not have the plugin.
    ///
    /// # Errors
    /// `E_CATALOGUE_INCONSISTENT` when the snapshot does not name a plugin that the targets name.
    pub fn wanted(&self, plugin: &str) -> Result<Option<Wanted>, Refusal> {
        if !is_plugin_name(plugin) || !self.plugins().any(|it| it == plugin) {
            return Ok(None);
        }
        wanted(&self.snapshot, plugin, PLUGIN_LIMIT).map(Some)
    }

    /// The packages of a plugin, given its document. Packages whose version cannot be read are left out.
    ///
    /// # Errors
    /// As [`Trust::timestamp`]; also when a package lies outside the plugin's own directory, or says it is
    /// another plugin's.
    pub fn plugin(
        &self,
        plugin: &str,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Vec<Offer>, Refusal> {
        let nobody = || inconsistent(plugin, "the targets do not name it");
        let delegations = self.targets.delegations.as_ref().ok_or_else(nobody)?;
        let role = delegations
            .roles
            .iter()
            .find(|role| role.name == plugin)
            .ok_or_else(nobody)?;
        let signers = Signers::of(&role.signers, &delegations.keys);
        let document = named(&self.snapshot, plugin, bytes, &signers, now)?;
        let own = format!("{plugin}/");
        let mut offers = Vec::new();
        for (path, target) in document.targets {
            let file = path.strip_prefix(&own).filter(|file| {
                role.paths.contains(&format!("{own}*"))
                    && !file.is_empty()
                    && file.bytes().all(is_file_byte)
                    && !file.starts_with('.')
            });
            let Some(file) = file else {
                return Err(inconsistent(
                    plugin,
                    format!("`{}` is not the plugin's", shown(&path)),
                ));
            };
            let Some(release) = target.custom else {
                continue;
            };
            if release.fskey != plugin {
                return Err(inconsistent(
                    plugin,
                    format!("it lists a package of `{}`", shown(&release.fskey)),
                ));
            }
            let Ok(version) = semver::Version::parse(&release.version) else {
                continue;
            };
            offers.push(Offer {
                version,
                path: format!("packages/{own}{}.{file}", target.hashes.sha256),
                size: target.length,
                sha256: target.hashes.sha256,
                release,
            });
        }
        Ok(offers)
    }
}

fn is_file_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+')
}

fn wanted(snapshot: &Snapshot, document: &str, limit: u64) -> Result<Wanted, Refusal> {
    let meta = meta(snapshot, document)?;
    Ok(Wanted {
        path: format!("metadata/{}.{document}.json", meta.version),
        limit: meta.length.unwrap_or(limit).min(limit),
    })
}

fn meta<'a>(snapshot: &'a Snapshot, document: &str) -> Result<&'a Meta, Refusal> {
    snapshot
        .meta
        .get(&format!("{document}.json"))
        .ok_or_else(|| inconsistent("snapshot", format!("it does not name `{document}`")))
}

/// A document that the snapshot names: exactly that one.
fn named(
    snapshot: &Snapshot,
    name: &str,
    bytes: &[u8],
    signers: &Signers,
    now: Timestamp,
) -> Result<Targets, Refusal> {
    let meta = meta(snapshot, name)?;
    if let Some(hashes) = &meta.hashes
        && hashes.sha256 != Sha256::of(bytes)
    {
        return Err(inconsistent(
            name,
            "its hash is not the one that the snapshot names",
        ));
    }
    let read = Unverified::<Targets>::read(name, bytes)?.verify(signers)?;
    if read.head.version != meta.version {
        return Err(inconsistent(
            name,
            format!(
                "it has version {}, and the snapshot names {}",
                read.head.version, meta.version
            ),
        ));
    }
    fresh(name, &read, now)?;
    Ok(read)
}

fn fresh<T: Document>(name: &str, document: &T, now: Timestamp) -> Result<(), Refusal> {
    let expires = document.head().expires;
    if expires <= now {
        return Err(Refusal::Expired {
            document: name.to_owned(),
            expires,
        });
    }
    Ok(())
}

fn signers_of(root: &Root, role: Role) -> Signers {
    match root.roles.get(role.as_str()) {
        Some(keys) => Signers::of(keys, &root.keys),
        // Nobody may sign, so nothing is accepted.
        None => Signers {
            keys: Vec::new(),
            threshold: 0,
        },
    }
}

fn rollback(document: &str, version: u64, seen: u64) -> Refusal {
    Refusal::Rollback {
        document: document.to_owned(),
        version,
        seen,
    }
}

fn inconsistent(document: &str, reason: impl Into<String>) -> Refusal {
    Refusal::Inconsistent {
        document: document.to_owned(),
        reason: reason.into(),
    }
}

fn text(name: &str, bytes: &[u8]) -> Result<String, Refusal> {
    String::from_utf8(bytes.to_vec()).map_err(|error| Refusal::Malformed {
        document: name.to_owned(),
        reason: error.to_string(),
    })
}
