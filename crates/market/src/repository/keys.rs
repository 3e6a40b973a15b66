//! The private keys that lie with a market.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Repository, RepositoryError};
use crate::document::Role;
use crate::keys::{PublicKey, SigningKey};
use crate::place::{at, make, write_file};

/// All private keys that are at hand, and where new ones go.
#[derive(Debug)]
pub(super) struct KeyRing {
    own: PathBuf,
    more: Vec<PathBuf>,
    keys: BTreeMap<PublicKey, SigningKey>,
}

impl KeyRing {
    pub(super) fn load(own: &Path, more: &[PathBuf]) -> Result<Self, RepositoryError> {
        let mut ring = Self {
            own: own.to_owned(),
            more: more.to_vec(),
            keys: BTreeMap::new(),
        };
        for place in std::iter::once(own).chain(more.iter().map(PathBuf::as_path)) {
            for entry in fs::read_dir(place).map_err(at(place))? {
                let path = entry.map_err(at(place))?.path();
                if path.extension().is_none_or(|it| it != "key") {
                    continue;
                }
                let text = match fs::read_to_string(&path) {
                    Ok(text) => text,
                    // Put away since it was listed.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(at(&path)(error)),
                };
                let key =
                    SigningKey::from_text(&text).map_err(|error| RepositoryError::Damaged {
                        what: path.display().to_string(),
                        reason: error.to_string(),
                    })?;
                ring.keys.insert(key.public(), key);
            }
        }
        Ok(ring)
    }

    pub(super) fn get(&self, key: &PublicKey) -> Option<&SigningKey> {
        self.keys.get(key)
    }

    /// Looks again. Gives whether there are others now.
    pub(super) fn reload(&mut self) -> Result<bool, RepositoryError> {
        let fresh = Self::load(&self.own, &self.more)?;
        let others = !fresh.keys.keys().eq(self.keys.keys());
        *self = fresh;
        Ok(others)
    }

    /// Where they were looked for: their own place, and others.
    pub(super) fn places(&self) -> (&Path, &[PathBuf]) {
        (&self.own, &self.more)
    }

    /// A file beside the keys that are at hand.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.own.join(name)
    }
}

impl Repository {
    /// New keys for a role, written before anything says that they are in force.
    pub(super) fn make_keys(
        &mut self,
        role: Role,
        count: usize,
    ) -> Result<Vec<PublicKey>, RepositoryError> {
        let mut made = Vec::with_capacity(count);
        for _ in 0..count {
            let key = SigningKey::generate().map_err(RepositoryError::Key)?;
            let public = key.public();
            let path = self.keys.file(&file_of(role, &public));
            write_file(&path, key.to_text().as_bytes(), 0o600)?;
            self.keys.keys.insert(public, key);
            made.push(public);
        }
        Ok(made)
    }

    /// Takes keys away that were made and never came into force.
    pub(super) fn unmake_keys(&mut self, role: Role, keys: &[PublicKey]) {
        for key in keys {
            self.keys.keys.remove(key);
            // One that stays is in nobody's way.
            let _ = fs::remove_file(self.keys.file(&file_of(role, key)));
        }
    }

    /// Puts keys away that sign nothing any more, where they lie with the market.
    pub(super) fn retire(&self, role: Role, keys: &[PublicKey]) -> Result<(), RepositoryError> {
        let retired = self.keys.file("retired");
        make(&retired, 0o700)?;
        for key in keys {
            let file = file_of(role, key);
            let from = self.keys.file(&file);
            match fs::rename(&from, retired.join(&file)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(at(&from)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn file_of(role: Role, key: &PublicKey) -> String {
    format!("{}-{}.key", role.as_str(), &key.to_string()[..12])
}
