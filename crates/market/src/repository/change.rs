//! Changes of a catalogue. Each ends with a new timestamp.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;

use super::{
    Current, Repository, RepositoryError, having, metadata, offers_of, role_keys, signers,
};
use crate::document::{
    Delegation, Delegations, Document, Hashes, Meta, Role, Root, Signers, Snapshot, Target,
    Targets, TimestampDocument, Unverified, is_plugin_name, sign,
};
use crate::hex::Sha256;
use crate::keys::{Key, PublicKey};
use crate::place::{Put, hash};
use crate::release::{Offer, Release};

/// Versions of a document that are kept for clients which just read an older timestamp.
const KEPT: u64 = 8;

/// Numbers that are tried for a document when others were left behind under the next ones.
const NUMBERS: u64 = 100;

/// A package that is in the catalogue now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The package.
    pub offer: Offer,
    /// Whether it was not in before.
    pub new: bool,
}

/// Keys that were exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The version of the root that says so.
    pub root: u64,
    /// The new keys.
    pub keys: Vec<PublicKey>,
}

impl Repository {
    /// Puts a package into the catalogue. Whether it is a sound one is for the caller to look at before.
    ///
    /// # Errors
    /// [`RepositoryError::VersionTaken`] for other bytes under a version that is published; else what keeps
    /// files from being written.
    pub fn publish(
        &mut self,
        package: &Path,
        release: Release,
        now: Timestamp,
    ) -> Result<Published, RepositoryError> {
        let (fskey, version) = (&release.fskey, &release.version);
        let fit = is_plugin_name(fskey) && semver::Version::parse(version).is_ok();
        if !fit {
            return Err(RepositoryError::Unfit(format!("{fskey} {version}")));
        }
        let found = hash(package)?;
        let _lock = self.place.lock()?;
        self.again(|market| market.publish_once(package, found, &release, now))
    }

    fn publish_once(
        &mut self,
        package: &Path,
        (sha256, length): (Sha256, u64),
        release: &Release,
        now: Timestamp,
    ) -> Result<Published, RepositoryError> {
        let (fskey, version) = (&release.fskey, &release.version);
        let current = self.current()?;
        let mut document = self.plugin_or_new(&current, fskey, now)?;
        let path = format!("{fskey}/{version}.zip");
        if let Some(before) = document.targets.get(&path)
            && before.hashes.sha256 != sha256
        {
            return Err(RepositoryError::VersionTaken {
                fskey: fskey.clone(),
                version: version.clone(),
            });
        }
        let file = format!("packages/{fskey}/{sha256}.{version}.zip");
        self.place.put_file(&file, package, (sha256, length))?;
        let target = Target {
            length,
            hashes: Hashes { sha256 },
            custom: Some(release.clone()),
        };
        let new = document.targets.insert(path, target.clone()).as_ref() != Some(&target);
        if new {
            self.put_plugin(&current, fskey, document.clone(), now)?;
        }
        let offer = offers_of(document)
            .into_iter()
            .find(|offer| offer.sha256 == sha256)
            .ok_or_else(|| RepositoryError::Unknown(fskey.clone()))?;
        Ok(Published { offer, new })
    }

    /// Takes a version back, or gives it out again. The package stays for who has it.
    ///
    /// # Errors
    /// [`RepositoryError::Unknown`] when it is not published.
    pub fn yank(
        &mut self,
        fskey: &str,
        version: &str,
        yanked: bool,
        now: Timestamp,
    ) -> Result<(), RepositoryError> {
        let _lock = self.place.lock()?;
        self.again(|market| market.yank_once(fskey, version, yanked, now))
    }

    fn yank_once(
        &mut self,
        fskey: &str,
        version: &str,
        yanked: bool,
        now: Timestamp,
    ) -> Result<(), RepositoryError> {
        let current = self.current()?;
        let unknown = || RepositoryError::Unknown(format!("{fskey} {version}"));
        let mut document = self.plugin_document(&current, fskey)?;
        let release = document
            .targets
            .get_mut(&format!("{fskey}/{version}.zip"))
            .and_then(|target| target.custom.as_mut())
            .ok_or_else(unknown)?;
        if release.yanked == yanked {
            return Ok(());
        }
        release.yanked = yanked;
        self.put_plugin(&current, fskey, document, now)
    }

    /// Exchanges all keys of a role. A new root says so, signed by enough keys of the old one and its own;
    /// clients follow by themselves.
    ///
    /// # Errors
    /// [`RepositoryError::KeyMissing`] when keys of the root are elsewhere.
    pub fn rotate(&mut self, role: Role, now: Timestamp) -> Result<Rotated, RepositoryError> {
        let _lock = self.place.lock()?;
        let (rotated, before) = self.again(|market| market.write_rotated(role, now))?;
        self.again(|market| market.bring_up(now, true))?;
        self.retire(role, &before)?;
        Ok(rotated)
    }

    /// Writes a root with new keys of a role. Gives the keys of before, too.
    fn write_rotated(
        &mut self,
        role: Role,
        now: Timestamp,
    ) -> Result<(Rotated, Vec<PublicKey>), RepositoryError> {
        let old = self.current_root()?;
        // Before keys are made that nothing would name.
        having(&self.keys, Role::Root.as_str(), &signers(&old, Role::Root))?;
        let before = signers(&old, role);
        let count = if role == Role::Root {
            self.settings.root_keys
        } else {
            1
        };
        let made = self.make_keys(role, count)?;
        let mut root = old.clone();
        root.head = self.head(Role::Root, old.head.version + 1, now);
        root.roles.insert(
            role.as_str().to_owned(),
            role_keys(&made, before.threshold.max(1)),
        );
        root.keys
            .extend(made.iter().map(|key| (key.id(), Key::from(*key))));
        let used: Vec<String> = root
            .roles
            .values()
            .flat_map(|keys| keys.keyids.clone())
            .collect();
        root.keys.retain(|id, _| used.contains(id));
        if let Err(error) = self.write_root(&root, Some(&old)) {
            if matches!(error, RepositoryError::Overtaken) {
                self.unmake_keys(role, &made);
            }
            return Err(error);
        }
        let rotated = Rotated {
            root: root.head.version,
            keys: made,
        };
        Ok((rotated, before.keys))
    }

    /// Writes a root, signed by the keys that both it and the one before ask for.
    pub(super) fn write_root(
        &self,
        root: &Root,
        before: Option<&Root>,
    ) -> Result<(), RepositoryError> {
        let role = Role::Root.as_str();
        let own = signers(root, Role::Root);
        let mut keys = having(&self.keys, role, &own)?;
        if let Some(before) = before {
            let old = signers(before, Role::Root);
            let more = having(&self.keys, role, &old)?;
            keys.extend(
                more.into_iter()
                    .filter(|key| !own.keys.contains(&key.public())),
            );
        }
        let bytes = sign(root, keys).map_err(|error| self.json(error))?;
        let numbered = format!("{}.root.json", root.head.version);
        if !self.place.put(&metadata(&numbered), &bytes, Put::New)? {
            return Err(RepositoryError::Overtaken);
        }
        self.name_root(&bytes)
    }

    /// Lets `root.json` be this root.
    fn name_root(&self, bytes: &[u8]) -> Result<(), RepositoryError> {
        self.place
            .put(&metadata("root.json"), bytes, Put::Any)
            .map(drop)
    }

    /// Signs anew what needs it; with `force`, at least the timestamp. Gives whether anything was signed.
    pub(super) fn bring_up(
        &mut self,
        now: Timestamp,
        force: bool,
    ) -> Result<bool, RepositoryError> {
        let mut current = self.current()?;
        let newest = self.must_read(&format!("{}.root.json", current.root.head.version))?;
        if self.root()? != newest.bytes {
            // An exchange of keys that was cut off.
            self.name_root(&newest.bytes)?;
        }
        let root_is_late = self
            .settings
            .is_late(Role::Root, current.root.head.expires, now);
        if root_is_late {
            let mut next = current.root.clone();
            next.head = self.head(Role::Root, next.head.version + 1, now);
            match self.write_root(&next, Some(&current.root)) {
                Ok(()) => current.root = next,
                // They may lie elsewhere; whoever serves says in time that the root ends.
                Err(RepositoryError::KeyMissing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let targets_signers = signers(&current.root, Role::Targets);
        let mut meta = current
            .snapshot
            .as_ref()
            .map_or_else(BTreeMap::new, |snapshot| snapshot.meta.clone());
        let mut changed = false;

        let mut targets = match current.targets.take() {
            Some(targets) => targets,
            None => Targets {
                head: self.head(Role::Targets, 0, now),
                targets: BTreeMap::new(),
                delegations: Some(Delegations::default()),
            },
        };
        let names: Vec<String> = targets
            .delegations
            .iter()
            .flat_map(|it| it.roles.iter().map(|role| role.name.clone()))
            .collect();
        for name in names {
            let version = meta.get(&format!("{name}.json")).map_or(0, |it| it.version);
            let file = format!("{version}.{name}.json");
            let read: Unverified<Targets> = self.read_signed(&file)?;
            let stale = read.check(&targets_signers).is_err()
                || self
                    .settings
                    .is_late(Role::Targets, read.document.head.expires, now);
            if stale {
                let mut document = read.document;
                document.head = self.head(Role::Targets, version + 1, now);
                self.put(&name, &mut document, &targets_signers, &mut meta)?;
                changed = true;
            }
        }
        let version = targets.head.version;
        let stale = version == 0
            || self
                .settings
                .is_late(Role::Targets, targets.head.expires, now)
            || self
                .read_signed::<Targets>(&format!("{version}.targets.json"))?
                .check(&targets_signers)
                .is_err();
        if stale {
            targets.head = self.head(Role::Targets, version + 1, now);
            delegate_to(&mut targets, &targets_signers);
            self.put("targets", &mut targets, &targets_signers, &mut meta)?;
            changed = true;
        }
        self.close(&current, meta, changed, force, now)
    }

    /// Writes snapshot and timestamp, as far as they are needed.
    fn close(
        &self,
        current: &Current,
        meta: BTreeMap<String, Meta>,
        mut changed: bool,
        force: bool,
        now: Timestamp,
    ) -> Result<bool, RepositoryError> {
        let snapshot_signers = signers(&current.root, Role::Snapshot);
        let before = current.snapshot.as_ref().map(|it| it.head.clone());
        let version = before.as_ref().map_or(0, |head| head.version);
        if let Some(head) = &before {
            changed |= self.settings.is_late(Role::Snapshot, head.expires, now)
                || self
                    .read_signed::<Snapshot>(&format!("{version}.snapshot.json"))?
                    .check(&snapshot_signers)
                    .is_err();
        }
        let mut named = BTreeMap::new();
        let version = if changed || before.is_none() {
            let mut snapshot = Snapshot {
                head: self.head(Role::Snapshot, version + 1, now),
                meta,
            };
            self.put("snapshot", &mut snapshot, &snapshot_signers, &mut named)?
        } else {
            if let Some(timestamp) = &current.timestamp {
                named.clone_from(&timestamp.meta);
            }
            version
        };
        let timestamp_signers = signers(&current.root, Role::Timestamp);
        let mut late = true;
        if let Some(before) = &current.timestamp {
            late = self
                .settings
                .is_late(Role::Timestamp, before.head.expires, now)
                || self
                    .read_signed::<TimestampDocument>("timestamp.json")?
                    .check(&timestamp_signers)
                    .is_err();
        }
        if !(changed || force || late) {
            return Ok(false);
        }
        let before = current.timestamp.as_ref().map_or(0, |it| it.head.version);
        let timestamp = TimestampDocument {
            head: self.head(Role::Timestamp, before + 1, now),
            meta: named,
        };
        let keys = having(&self.keys, Role::Timestamp.as_str(), &timestamp_signers)?;
        let bytes = sign(&timestamp, keys).map_err(|error| self.json(error))?;
        let path = metadata("timestamp.json");
        let over = Put::Over(&current.timestamp_state);
        if !self.place.put(&path, &bytes, over)? {
            return Err(RepositoryError::Overtaken);
        }
        if changed {
            self.prune("snapshot", version);
        }
        Ok(true)
    }

    /// Writes a plugin's document, and all that names it.
    fn put_plugin(
        &mut self,
        current: &Current,
        fskey: &str,
        mut document: Targets,
        now: Timestamp,
    ) -> Result<(), RepositoryError> {
        let signers = signers(&current.root, Role::Targets);
        let mut meta = current
            .snapshot
            .as_ref()
            .map_or_else(BTreeMap::new, |snapshot| snapshot.meta.clone());
        document.head = self.head(Role::Targets, document.head.version + 1, now);
        let version = self.put(fskey, &mut document, &signers, &mut meta)?;
        let mut targets = current.targets.clone().unwrap_or_else(|| Targets {
            head: self.head(Role::Targets, 0, now),
            targets: BTreeMap::new(),
            delegations: None,
        });
        let roles = &mut targets.delegations.get_or_insert_default().roles;
        if !roles.iter().any(|role| role.name == fskey) {
            roles.push(Delegation {
                name: fskey.to_owned(),
                signers: role_keys(&signers.keys, signers.threshold),
                paths: vec![format!("{fskey}/*")],
                terminating: true,
            });
            roles.sort_by(|one, other| one.name.cmp(&other.name));
            delegate_to(&mut targets, &signers);
            targets.head = self.head(Role::Targets, targets.head.version + 1, now);
            self.put("targets", &mut targets, &signers, &mut meta)?;
        }
        self.close(current, meta, true, true, now)?;
        self.prune(fskey, version);
        self.prune("targets", targets.head.version);
        Ok(())
    }

    /// Writes a document under its version, or the next one that is free, and what names it. Gives the version.
    fn put<T: Document>(
        &self,
        name: &str,
        document: &mut T,
        signers: &Signers,
        meta: &mut BTreeMap<String, Meta>,
    ) -> Result<u64, RepositoryError> {
        let keys = having(&self.keys, T::TYPE.as_str(), signers)?;
        for _ in 0..NUMBERS {
            let version = document.head().version;
            let bytes = sign(document, keys.iter().copied()).map_err(|error| self.json(error))?;
            let path = metadata(&format!("{version}.{name}.json"));
            if self.place.put(&path, &bytes, Put::New)? {
                let named = Meta {
                    version,
                    length: Some(bytes.len() as u64),
                    hashes: Some(Hashes {
                        sha256: Sha256::of(&bytes),
                    }),
                };
                meta.insert(format!("{name}.json"), named);
                return Ok(version);
            }
            document.head_mut().version = version + 1;
        }
        Err(RepositoryError::Overtaken)
    }

    fn plugin_or_new(
        &self,
        current: &Current,
        fskey: &str,
        now: Timestamp,
    ) -> Result<Targets, RepositoryError> {
        match self.plugin_document(current, fskey) {
            Err(RepositoryError::Unknown(_)) => Ok(Targets {
                head: self.head(Role::Targets, 0, now),
                targets: BTreeMap::new(),
                delegations: None,
            }),
            other => other,
        }
    }

    /// Removes versions that nobody reads any more. That it fails is no harm.
    fn prune(&self, name: &str, current: u64) {
        let Some(oldest) = current.checked_sub(KEPT).filter(|it| *it > 0) else {
            return;
        };
        let Ok(files) = self.place.names("metadata") else {
            return;
        };
        for file in files {
            let version = file
                .strip_suffix(&format!(".{name}.json"))
                .and_then(|number| number.parse::<u64>().ok());
            if version.is_some_and(|it| it <= oldest) {
                self.place.remove(&metadata(&file));
            }
        }
    }
}

/// Lets all plugins' documents be signed by the same keys as the targets.
fn delegate_to(targets: &mut Targets, signers: &Signers) {
    let delegations = targets.delegations.get_or_insert_default();
    delegations.keys = signers
        .keys
        .iter()
        .map(|key| (key.id(), Key::from(*key)))
        .collect();
    for role in &mut delegations.roles {
        role.signers = role_keys(&signers.keys, signers.threshold);
    }
}
