//! The documents of a catalogue: those of TUF 1.0, as far as this format uses them.
//!
//! `root` says which keys sign what. `timestamp` is short-lived and names the `snapshot`, which names the
//! version of every other document. `targets` hands each plugin to a document of its own (a delegated
//! role called like the plugin), and that lists the plugin's packages.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical;
use crate::error::Refusal;
use crate::hex::{self, Sha256};
use crate::keys::{Key, PublicKey, SigningKey};
use crate::release::Release;

/// Version of the TUF specification that the documents follow.
pub(crate) const SPEC: &str = "1.0.31";

/// Signatures looked at in one document.
const SIGNATURES_MAX: usize = 64;

/// The largest `root` that is read, in bytes.
pub const ROOT_LIMIT: u64 = 512 << 10;
/// The largest `timestamp`.
pub const TIMESTAMP_LIMIT: u64 = 16 << 10;
/// The largest `snapshot`.
pub const SNAPSHOT_LIMIT: u64 = 4 << 20;
/// The largest `targets`.
pub const TARGETS_LIMIT: u64 = 8 << 20;
/// The largest document of one plugin.
pub const PLUGIN_LIMIT: u64 = 1 << 20;

/// The four documents that every catalogue has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Which keys sign what.
    Root,
    /// Which plugins there are, and their documents.
    Targets,
    /// The versions of all documents.
    Snapshot,
    /// Which snapshot is the newest.
    Timestamp,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Root, Self::Targets, Self::Snapshot, Self::Timestamp];

    /// The word of the role, in documents and file names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }
}

/// What all documents say of themselves.
pub(crate) trait Document: Serialize + DeserializeOwned {
    const TYPE: Role;
    fn head(&self) -> &Head;
    fn head_mut(&mut self) -> &mut Head;
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    #[serde(rename = "_type")]
    pub(crate) kind: String,
    pub(crate) spec_version: String,
    pub(crate) version: u64,
    pub(crate) expires: Timestamp,
}

impl Head {
    pub(crate) fn new(role: Role, version: u64, expires: Timestamp) -> Self {
        Self {
            kind: role.as_str().to_owned(),
            spec_version: SPEC.to_owned(),
            version,
            // Documents of TUF have whole seconds.
            expires: Timestamp::from_second(expires.as_second()).unwrap_or(expires),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Root {
    #[serde(flatten)]
    pub(crate) head: Head,
    pub(crate) consistent_snapshot: bool,
    pub(crate) keys: BTreeMap<String, Key>,
    pub(crate) roles: BTreeMap<String, RoleKeys>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoleKeys {
    pub(crate) keyids: Vec<String>,
    pub(crate) threshold: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TimestampDocument {
    #[serde(flatten)]
    pub(crate) head: Head,
    pub(crate) meta: BTreeMap<String, Meta>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    #[serde(flatten)]
    pub(crate) head: Head,
    pub(crate) meta: BTreeMap<String, Meta>,
}

/// What a document says of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub(crate) version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) length: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hashes: Option<Hashes>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hashes {
    pub(crate) sha256: Sha256,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Targets {
    #[serde(flatten)]
    pub(crate) head: Head,
    #[expect(clippy::struct_field_names, reason = "the word of the format")]
    pub(crate) targets: BTreeMap<String, Target>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delegations: Option<Delegations>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) length: u64,
    pub(crate) hashes: Hashes,
    #[serde(default)]
    pub(crate) custom: Option<Release>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delegations {
    pub(crate) keys: BTreeMap<String, Key>,
    pub(crate) roles: Vec<Delegation>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delegation {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) signers: RoleKeys,
    #[serde(default)]
    pub(crate) paths: Vec<String>,
    pub(crate) terminating: bool,
}

macro_rules! documents {
    ($($document:ty => $role:ident),*) => {
        $(impl Document for $document {
            const TYPE: Role = Role::$role;
            fn head(&self) -> &Head {
                &self.head
            }
            fn head_mut(&mut self) -> &mut Head {
                &mut self.head
            }
        })*
    };
}

documents!(Root => Root, TimestampDocument => Timestamp, Snapshot => Snapshot, Targets => Targets);

/// A document around what is signed.
#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    signatures: Vec<Signature>,
    signed: Value,
}

#[derive(Debug, Serialize, Deserialize)]
struct Signature {
    keyid: String,
    sig: String,
}

/// Who may sign a document, and how many of them must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signers {
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) threshold: u64,
}

impl Signers {
    /// The signers of a role; each key counts once, under whatever ids it stands.
    pub(crate) fn of(role: &RoleKeys, keys: &BTreeMap<String, Key>) -> Self {
        let mut found: Vec<PublicKey> = role
            .keyids
            .iter()
            .filter_map(|id| keys.get(id).and_then(Key::public))
            .collect();
        found.sort_unstable();
        found.dedup();
        Self {
            keys: found,
            threshold: role.threshold,
        }
    }
}

/// A document that was read, and whose signatures are yet to be checked.
pub(crate) struct Unverified<T> {
    name: String,
    pub(crate) document: T,
    message: Vec<u8>,
    signatures: Vec<Vec<u8>>,
}

impl<T: Document> Unverified<T> {
    /// Reads a document; `name` is how it is called in errors.
    pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = |reason: String| Refusal::Malformed {
            document: name.to_owned(),
            reason,
        };
        let envelope: Envelope =
            serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        let message =
            canonical::to_bytes(&envelope.signed).map_err(|error| malformed(error.to_string()))?;
        let document: T = serde_json::from_value(envelope.signed)
            .map_err(|error| malformed(error.to_string()))?;
        let head = document.head();
        if head.kind != T::TYPE.as_str() {
            return Err(malformed(format!("it is a `{}`", shown(&head.kind))));
        }
        if !head.spec_version.starts_with("1.") {
            return Err(malformed(format!(
                "it follows version {} of TUF, not 1",
                shown(&head.spec_version)
            )));
        }
        if head.version == 0 {
            return Err(malformed("its version is 0".to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            document,
            message,
            signatures: envelope
                .signatures
                .iter()
                .take(SIGNATURES_MAX)
                .filter_map(|it| hex::decode(&it.sig))
                .collect(),
        })
    }

    /// Checks that enough of the signers signed it.
    pub(crate) fn check(&self, signers: &Signers) -> Result<(), Refusal> {
        let valid = signers
            .keys
            .iter()
            .filter(|key| {
                self.signatures
                    .iter()
                    .any(|signature| key.signed(&self.message, signature))
            })
            .count();
        // A threshold of 0 would accept everything.
        if signers.threshold == 0 || (valid as u64) < signers.threshold {
            return Err(Refusal::Signature {
                document: self.name.clone(),
                valid,
                threshold: signers.threshold.max(1),
            });
        }
        Ok(())
    }

    /// Checks, and gives the document out.
    pub(crate) fn verify(self, signers: &Signers) -> Result<T, Refusal> {
        self.check(signers)?;
        Ok(self.document)
    }
}

/// Writes a document with these signatures.
pub(crate) fn sign<'a, T: Document>(
    document: &T,
    keys: impl IntoIterator<Item = &'a SigningKey>,
) -> Result<Vec<u8>, serde_json::Error> {
    let signed = serde_json::to_value(document)?;
    let message = canonical::to_bytes(&signed).map_err(serde::ser::Error::custom)?;
    let signatures = keys
        .into_iter()
        .map(|key| Signature {
            keyid: key.public().id(),
            sig: key.sign(&message),
        })
        .collect();
    serde_json::to_vec_pretty(&Envelope { signatures, signed })
}

/// A foreign word for an error's text.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .filter(|it| !it.is_control())
        .take(80)
        .collect()
}

/// Whether a name can be a plugin's: a letter, then letters and digits, 64 at most. So it is a file name
/// everywhere, and no pattern.
#[must_use]
pub fn is_plugin_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= 64
        && bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.iter().all(u8::is_ascii_alphanumeric)
        && Role::ALL.iter().all(|role| role.as_str() != text)
}
