//! The private keys that lie with a market.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{Repository, RepositoryError, files};
use crate::document::Role;
use crate::keys::{PublicKey, SigningKey};

/// All private keys that are at hand.
#[derive(Debug, Default)]
pub(super) struct KeyRing(BTreeMap<PublicKey, SigningKey>);

impl KeyRing {
    pub(super) fn load(directory: &Path, more: Option<&Path>) -> Result<Self, RepositoryError> {
        let own = directory.join("keys");
        let mut ring = Self::default();
        for place in std::iter::once(own.as_path()).chain(more) {
            for entry in fs::read_dir(place).map_err(files::at(place))? {
                let path = entry.map_err(files::at(place))?.path();
                if path.extension().is_none_or(|it| it != "key") {
                    continue;
                }
                let text = fs::read_to_string(&path).map_err(files::at(&path))?;
                let key =
                    SigningKey::from_text(&text).map_err(|error| RepositoryError::Damaged {
                        path: path.clone(),
                        reason: error.to_string(),
                    })?;
                ring.0.insert(key.public(), key);
            }
        }
        Ok(ring)
    }

    pub(super) fn get(&self, key: &PublicKey) -> Option<&SigningKey> {
        self.0.get(key)
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
            let path = self.directory.join("keys").join(file_of(role, &public));
            files::write(&path, key.to_text().as_bytes(), 0o600)?;
            self.keys.0.insert(public, key);
            made.push(public);
        }
        Ok(made)
    }

    /// Puts keys away that sign nothing any more, where they lie with the market.
    pub(super) fn retire(&self, role: Role, keys: &[PublicKey]) -> Result<(), RepositoryError> {
        let keys_directory = self.directory.join("keys");
        let retired = keys_directory.join("retired");
        files::make_directory(&retired, 0o700)?;
        for key in keys {
            let file = file_of(role, key);
            let from = keys_directory.join(&file);
            match fs::rename(&from, retired.join(&file)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(files::at(&from)(error));
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
