//! Publishing: documents and packages in a directory or a bucket, and the keys that sign them.
//!
//! ```text
//! market.json              how long documents are good
//! market.lock              held while something is changed; directories only
//! metadata/                the documents, named as clients ask for them
//! packages/{fskey}/        packages, named by hash and version
//! codes.json               which upgrade codes are good (their hashes)
//! keys/                    0700: private keys, one per file; retired/ holds those of former roots. A
//!                          directory of its own elsewhere when the rest lies in a bucket
//! ```
//!
//! A change writes new files beside the old ones and ends with the timestamp, which alone makes it visible.
//! Numbered documents are written once: what a change that was cut off, or that another was faster than, left
//! behind is skipped by the next one and removed later. The timestamp is written over the one that was read;
//! who finds another there does the change over on top of it. Whoever serves the market may read it at any
//! moment.

mod change;
mod codes;
mod keys;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::document::{
    Document, Role, RoleKeys, Root, Signers, Snapshot, Targets, TimestampDocument, Unverified,
};
use crate::error::Refusal;
use crate::keys::{Key, KeyError, PublicKey, SigningKey};
use crate::place::{self, Found, Place, Put, State};
use crate::release::Offer;

pub use change::{Published, Rotated};
pub(crate) use codes::CODES;
pub use codes::Ticket;
use keys::KeyRing;

/// What makes a place a market.
const SETTINGS: &str = "market.json";

/// How often a change is done over when others are faster.
const ATTEMPTS: u32 = 20;

/// A market, to publish in.
#[derive(Debug)]
pub struct Repository {
    place: Place,
    settings: MarketSettings,
    keys: KeyRing,
}

/// How a market signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MarketSettings {
    /// How many keys sign the root.
    pub root_keys: usize,
    /// How many of them it takes.
    pub root_threshold: u64,
    /// Seconds that a timestamp is good for: the longest that anybody can hold news back unnoticed.
    pub timestamp_seconds: u64,
    /// Seconds that a snapshot is good for.
    pub snapshot_seconds: u64,
    /// Seconds that targets and the documents of plugins are good for.
    pub targets_seconds: u64,
    /// Seconds that a root is good for.
    pub root_seconds: u64,
}

impl Default for MarketSettings {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            root_keys: 1,
            root_threshold: 1,
            timestamp_seconds: DAY,
            snapshot_seconds: 30 * DAY,
            targets_seconds: 90 * DAY,
            root_seconds: 365 * DAY,
        }
    }
}

impl MarketSettings {
    fn seconds(&self, role: Role) -> u64 {
        match role {
            Role::Root => self.root_seconds,
            Role::Targets => self.targets_seconds,
            Role::Snapshot => self.snapshot_seconds,
            Role::Timestamp => self.timestamp_seconds,
        }
    }

    fn expires(&self, role: Role, now: Timestamp) -> Timestamp {
        let span = SignedDuration::try_from(Duration::from_secs(self.seconds(role)))
            .unwrap_or(SignedDuration::MAX);
        now.checked_add(span).unwrap_or(Timestamp::MAX)
    }

    /// Whether less than half of the life of a document is left.
    fn is_late(&self, role: Role, expires: Timestamp, now: Timestamp) -> bool {
        let left = expires.as_second().saturating_sub(now.as_second());
        u64::try_from(left).map_or(true, |left| left < self.seconds(role) / 2)
    }
}

/// A market cannot be made, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// A file cannot be read or written.
    #[error("`{path}` cannot be used", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An object store does not do what it is asked.
    #[error("`{path}` cannot be used")]
    Store {
        /// What it was asked about.
        path: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// The place is a market already.
    #[error("`{0}` is a market already")]
    Exists(String),
    /// The place is no market.
    #[error("`{0}` is no market")]
    NotThere(String),
    /// Others change the market at the same time, again and again. Nothing was changed.
    #[error("others change the market at the same time; try again")]
    Overtaken,
    /// Numbers of keys that cannot work.
    #[error("{threshold} of {keys} root keys cannot be: it takes 1 to all of them, 16 at most")]
    Threshold {
        /// Keys.
        keys: usize,
        /// How many it takes.
        threshold: u64,
    },
    /// A file of the market is damaged.
    #[error("`{what}` is damaged: {reason}")]
    Damaged {
        /// Which.
        what: String,
        /// How it shows.
        reason: String,
    },
    /// A key that is needed is not at hand.
    #[error("{have} of the {need} keys that sign `{role}` are there")]
    KeyMissing {
        /// What is to be signed.
        role: &'static str,
        /// Keys there are.
        have: usize,
        /// Keys it takes.
        need: u64,
    },
    /// A key cannot be made.
    #[error("a key cannot be made")]
    Key(#[source] KeyError),
    /// The version is published with other bytes.
    #[error("`{fskey}` {version} is published already, with other bytes")]
    VersionTaken {
        /// The plugin.
        fskey: String,
        /// The version.
        version: String,
    },
    /// A version that is not semantic, or a name that is no plugin's.
    #[error(
        "`{0}` cannot be published: it needs a name of letters and digits and a semantic version"
    )]
    Unfit(String),
    /// Nothing by that name is published.
    #[error("`{0}` is not published")]
    Unknown(String),
    /// The market's own documents do not fit together.
    #[error("the market's documents are not sound")]
    Unsound(#[source] Refusal),
}

/// What is in force.
struct Current {
    root: Root,
    timestamp: Option<TimestampDocument>,
    /// What a new timestamp has to follow.
    timestamp_state: State,
    snapshot: Option<Snapshot>,
    targets: Option<Targets>,
}

impl Repository {
    /// Makes a market of an empty or missing directory: keys, and a catalogue without plugins.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn init(
        directory: &Path,
        settings: MarketSettings,
        now: Timestamp,
    ) -> Result<Self, RepositoryError> {
        let keys = directory.join("keys");
        Self::init_at(Place::directory(directory), &keys, settings, now)
    }

    /// Makes a market of an empty place, with its private keys in the directory `keys`.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn init_at(
        place: Place,
        keys: &Path,
        settings: MarketSettings,
        now: Timestamp,
    ) -> Result<Self, RepositoryError> {
        let (count, threshold) = (settings.root_keys, settings.root_threshold);
        if !(1..=16).contains(&count) || !(1..=count as u64).contains(&threshold) {
            return Err(RepositoryError::Threshold {
                keys: count,
                threshold,
            });
        }
        if place.read(SETTINGS)?.is_some() {
            return Err(RepositoryError::Exists(place.to_string()));
        }
        if place.as_directory().is_none() && keys.join(codes::TICKETS).exists() {
            // Keys of another market: mixed up, nobody could tell them apart.
            return Err(RepositoryError::Exists(keys.display().to_string()));
        }
        place.prepare()?;
        place::make(keys, 0o700)?;
        let mut market = Self {
            keys: KeyRing::load(keys, &[])?,
            place,
            settings,
        };
        let _lock = market.place.lock()?;
        let mut roles = BTreeMap::new();
        let mut known = BTreeMap::new();
        for role in Role::ALL {
            let (count, threshold) = if role == Role::Root {
                (count, threshold)
            } else {
                (1, 1)
            };
            let made = market.make_keys(role, count)?;
            roles.insert(role.as_str().to_owned(), role_keys(&made, threshold));
            known.extend(made.iter().map(|key| (key.id(), Key::from(*key))));
        }
        let root = Root {
            head: market.head(Role::Root, 1, now),
            consistent_snapshot: true,
            keys: known,
            roles,
        };
        let taken = || RepositoryError::Exists(market.place.to_string());
        if market.place.as_directory().is_some() {
            // Somebody began to make one, and did not come to its end: nobody knows its keys yet.
            market.place.remove("metadata/1.root.json");
            market.place.remove("metadata/timestamp.json");
        }
        match market.write_root(&root, None) {
            Err(RepositoryError::Overtaken) => return Err(taken()),
            other => other?,
        }
        market.make_ticket_key()?;
        market.bring_up(now, true)?;
        // Last: a market is one when this is there.
        let text =
            serde_json::to_vec_pretty(&market.settings).map_err(|error| market.json(error))?;
        if !market.place.put(SETTINGS, &text, Put::New)? {
            return Err(RepositoryError::Exists(market.place.to_string()));
        }
        Ok(market)
    }

    /// Opens a market in a directory. Private keys are looked for in its own `keys` and in `more`, where keys
    /// of the root may be that are kept elsewhere.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn open(directory: &Path, more: Option<&Path>) -> Result<Self, RepositoryError> {
        let more: Vec<PathBuf> = more.into_iter().map(Path::to_owned).collect();
        Self::open_at(Place::directory(directory), &directory.join("keys"), &more)
    }

    /// Opens a market. Private keys are looked for in `keys`, where new ones are put, and in `more`.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn open_at(place: Place, keys: &Path, more: &[PathBuf]) -> Result<Self, RepositoryError> {
        let Some(found) = place.read(SETTINGS)? else {
            return Err(RepositoryError::NotThere(place.to_string()));
        };
        let settings =
            serde_json::from_slice(&found.bytes).map_err(|error| RepositoryError::Damaged {
                what: format!("{place}/{SETTINGS}"),
                reason: error.to_string(),
            })?;
        Ok(Self {
            keys: KeyRing::load(keys, more)?,
            place,
            settings,
        })
    }

    /// The same with the keys that lie with it now.
    pub(crate) fn reopen(&self) -> Result<Self, RepositoryError> {
        let (own, more) = self.keys.places();
        Self::open_at(self.place.clone(), own, more)
    }

    /// Where the market is.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The public keys of the root: what `--trust` takes.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn root_keys(&self) -> Result<Vec<PublicKey>, RepositoryError> {
        let root = self.current_root()?;
        Ok(signers(&root, Role::Root).keys)
    }

    /// The newest root, as it is served.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn root(&self) -> Result<Vec<u8>, RepositoryError> {
        Ok(self.must_read("root.json")?.bytes)
    }

    /// The version of the timestamp, which is that of the whole catalogue; it grows with every change.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn version(&self) -> Result<u64, RepositoryError> {
        let document: TimestampDocument = self.read_document("timestamp.json")?;
        Ok(document.head.version)
    }

    /// Everything that is published, by plugin; each plugin's packages from the oldest to the newest.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn offers(&self) -> Result<BTreeMap<String, Vec<Offer>>, RepositoryError> {
        let current = self.current()?;
        let mut found = BTreeMap::new();
        for delegation in current
            .targets
            .iter()
            .flat_map(|it| &it.delegations)
            .flat_map(|it| &it.roles)
        {
            let document = self.plugin_document(&current, &delegation.name)?;
            found.insert(delegation.name.clone(), offers_of(document));
        }
        Ok(found)
    }

    /// What is published of one plugin, from the oldest to the newest; empty when nothing is.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn offers_of(&self, fskey: &str) -> Result<Vec<Offer>, RepositoryError> {
        let current = self.current()?;
        let named = current.snapshot.as_ref().is_some_and(|it| {
            crate::document::is_plugin_name(fskey) && it.meta.contains_key(&format!("{fskey}.json"))
        });
        if !named {
            return Ok(Vec::new());
        }
        Ok(offers_of(self.plugin_document(&current, fskey)?))
    }

    /// Signs anew what has less than half of its life left, or is not signed by the keys in force. Gives
    /// whether anything was. Whoever serves a market calls this now and then.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn refresh(&mut self, now: Timestamp) -> Result<bool, RepositoryError> {
        let _lock = self.place.lock()?;
        self.again(|market| market.bring_up(now, false))
    }

    /// How long it is until [`refresh`](Self::refresh) has something to do.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn next_refresh(&self, now: Timestamp) -> Result<Duration, RepositoryError> {
        let document: TimestampDocument = self.read_document("timestamp.json")?;
        let left = document.head.expires.as_second() - now.as_second();
        let half = self.settings.seconds(Role::Timestamp) / 2;
        let until = u64::try_from(left).unwrap_or(0).saturating_sub(half);
        Ok(Duration::from_secs(until))
    }

    /// Until when the root is good: what only its keys, which may lie elsewhere, can prolong.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn root_expires(&self) -> Result<Timestamp, RepositoryError> {
        Ok(self.current_root()?.head.expires)
    }

    fn head(&self, role: Role, version: u64, now: Timestamp) -> crate::document::Head {
        crate::document::Head::new(role, version, self.settings.expires(role, now))
    }

    /// The newest root: the last that follows the one before, as clients find it. `root.json` may be behind
    /// when an exchange of keys was cut off.
    fn current_root(&self) -> Result<Root, RepositoryError> {
        let mut root: Root = self.read_document("root.json")?;
        loop {
            let file = format!("{}.root.json", root.head.version + 1);
            let Some(found) = self.place.read(&metadata(&file))? else {
                return Ok(root);
            };
            root = Unverified::<Root>::read(&file, &found.bytes)
                .map_err(RepositoryError::Unsound)?
                .document;
        }
    }

    /// What is in force, read from the timestamp on.
    fn current(&self) -> Result<Current, RepositoryError> {
        let root = self.current_root()?;
        let mut current = Current {
            root,
            timestamp: None,
            timestamp_state: State::Absent,
            snapshot: None,
            targets: None,
        };
        let Some(found) = self.place.read(&metadata("timestamp.json"))? else {
            return Ok(current);
        };
        let timestamp = Unverified::<TimestampDocument>::read("timestamp.json", &found.bytes)
            .map_err(RepositoryError::Unsound)?
            .document;
        if let Some(meta) = timestamp.meta.get("snapshot.json") {
            let snapshot: Snapshot =
                self.read_document(&format!("{}.snapshot.json", meta.version))?;
            if let Some(meta) = snapshot.meta.get("targets.json") {
                current.targets =
                    Some(self.read_document(&format!("{}.targets.json", meta.version))?);
            }
            current.snapshot = Some(snapshot);
        }
        current.timestamp = Some(timestamp);
        current.timestamp_state = found.state;
        Ok(current)
    }

    fn plugin_document(&self, current: &Current, fskey: &str) -> Result<Targets, RepositoryError> {
        let meta = current
            .snapshot
            .as_ref()
            .and_then(|it| it.meta.get(&format!("{fskey}.json")))
            .ok_or_else(|| RepositoryError::Unknown(fskey.to_owned()))?;
        self.read_document(&format!("{}.{fskey}.json", meta.version))
    }

    fn must_read(&self, file: &str) -> Result<Found, RepositoryError> {
        let path = metadata(file);
        self.place
            .read(&path)?
            .ok_or_else(|| RepositoryError::Damaged {
                what: format!("{}/{path}", self.place),
                reason: "it is not there".to_owned(),
            })
    }

    fn read_document<T: Document>(&self, file: &str) -> Result<T, RepositoryError> {
        Ok(self.read_signed(file)?.document)
    }

    fn read_signed<T: Document>(&self, file: &str) -> Result<Unverified<T>, RepositoryError> {
        let found = self.must_read(file)?;
        Unverified::read(file, &found.bytes).map_err(RepositoryError::Unsound)
    }

    /// Does a change, over again when somebody else was faster.
    fn again<T>(
        &mut self,
        mut change: impl FnMut(&mut Self) -> Result<T, RepositoryError>,
    ) -> Result<T, RepositoryError> {
        for attempt in 1..ATTEMPTS {
            match change(self) {
                Err(RepositoryError::Overtaken) => {
                    // Not all at the same moment again.
                    let [random] = codes::random::<1>()?;
                    let longest = 100 * u64::from(attempt);
                    thread::sleep(Duration::from_millis(longest * u64::from(random) / 255));
                }
                // Keys may have been exchanged since they were read.
                Err(RepositoryError::KeyMissing { .. }) if self.keys.reload()? => {}
                other => return other,
            }
        }
        change(self)
    }

    fn json(&self, error: serde_json::Error) -> RepositoryError {
        RepositoryError::Damaged {
            what: self.place.to_string(),
            reason: error.to_string(),
        }
    }
}

fn metadata(file: &str) -> String {
    format!("metadata/{file}")
}

fn signers(root: &Root, role: Role) -> Signers {
    root.roles.get(role.as_str()).map_or(
        Signers {
            keys: Vec::new(),
            threshold: 0,
        },
        |keys| Signers::of(keys, &root.keys),
    )
}

fn role_keys(keys: &[PublicKey], threshold: u64) -> RoleKeys {
    RoleKeys {
        keyids: keys.iter().map(PublicKey::id).collect(),
        threshold,
    }
}

fn offers_of(document: Targets) -> Vec<Offer> {
    let mut offers: Vec<Offer> = document
        .targets
        .into_iter()
        .filter_map(|(path, target)| {
            let release = target.custom?;
            let (fskey, file) = path.split_once('/')?;
            Some(Offer {
                version: semver::Version::parse(&release.version).ok()?,
                path: format!("packages/{fskey}/{}.{file}", target.hashes.sha256),
                size: target.length,
                sha256: target.hashes.sha256,
                release,
            })
        })
        .collect();
    offers.sort_by(|one, other| one.version.cmp(&other.version));
    offers
}

/// Keys of one kind, for whoever signs.
fn having<'a>(
    keys: &'a KeyRing,
    role: &'static str,
    signers: &Signers,
) -> Result<Vec<&'a SigningKey>, RepositoryError> {
    let found: Vec<_> = signers
        .keys
        .iter()
        .filter_map(|key| keys.get(key))
        .collect();
    if signers.threshold == 0 || (found.len() as u64) < signers.threshold {
        return Err(RepositoryError::KeyMissing {
            role,
            have: found.len(),
            need: signers.threshold,
        });
    }
    Ok(found)
}
