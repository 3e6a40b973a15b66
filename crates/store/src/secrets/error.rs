//! What can go wrong with secrets. None of it shows a secret or a key.

use std::path::PathBuf;

use plugyard_model::{Problem, codes};
use sea_orm::DbErr;

use super::{KeyId, KeySource, SecretOwner};
use crate::StoreError;

/// A secret cannot be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// There is no master key where it should be. Making a new one would not help: it could not read
    /// what is there.
    #[error("{from} has no master key{}", needed(key.as_ref()))]
    KeyMissing {
        /// Where it should be.
        from: KeySource,
        /// The key the database needs, if it needs one already.
        key: Option<KeyId>,
    },
    /// The master key is another one than the database needs.
    #[error(
        "{from} has the master key {}, but the database needs {expected}",
        list(found)
    )]
    KeyWrong {
        /// Where the keys are from.
        from: KeySource,
        /// The key the database needs.
        expected: KeyId,
        /// The keys that are there.
        found: Vec<KeyId>,
    },
    /// Others than the server can read the key file.
    #[error("the key file `{}` is not safe: {reason}", path.display())]
    KeyExposed {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The key cannot be had from its source.
    #[error("cannot get the master key from {from}")]
    KeyUnreadable {
        /// The source.
        from: KeySource,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// What the source has is no key.
    #[error("{from} does not have a master key: {reason}")]
    KeyMalformed {
        /// The source.
        from: KeySource,
        /// Why.
        reason: String,
    },
    /// A rotation needs a new key in front of the old one.
    #[error("{from} has {key} in front, which is in force already; put a new key in front of it")]
    NoNewKey {
        /// The source.
        from: KeySource,
        /// The key in force.
        key: KeyId,
    },
    /// A row was altered, or moved from where it belongs.
    #[error("the secret `{name}` of {} is damaged", owner.0)]
    Damaged {
        /// Whose.
        owner: SecretOwner,
        /// Its name; empty for all of its owner's, when the data key is what is damaged.
        name: String,
    },
    /// A secret or a name that cannot be kept.
    #[error("the secret cannot be kept: {reason}")]
    Unstorable {
        /// Why.
        reason: String,
    },
    /// The database failed.
    #[error("the database with the secrets failed")]
    Store(#[from] StoreError),
}

impl SecretError {
    pub(super) fn damaged(owner: SecretOwner, name: &str) -> Self {
        Self::Damaged {
            owner,
            name: name.to_owned(),
        }
    }
}

impl From<DbErr> for SecretError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl From<SecretError> for Problem {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Store(error) => error.into(),
            SecretError::Unstorable { reason } => {
                Problem::new(codes::REQUEST_INVALID).with("reason", reason)
            }
            SecretError::Damaged { owner, name } => Problem::new(codes::SECRET_DAMAGED)
                .with("name", name)
                .with("owner", owner.0),
            SecretError::KeyWrong {
                from,
                expected,
                found,
            } => Problem::new(codes::MASTER_KEY_WRONG)
                .with("source", from)
                .with("expected", expected)
                .with("found", list(&found)),
            error => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "The master key cannot be used"
                );
                Problem::new(codes::MASTER_KEY_UNUSABLE).with("reason", &error)
            }
        }
    }
}

fn needed(key: Option<&KeyId>) -> String {
    key.map_or_else(String::new, |key| format!("; the database needs {key}"))
}

fn list(keys: &[KeyId]) -> String {
    let all: Vec<_> = keys.iter().map(ToString::to_string).collect();
    all.join(", ")
}
