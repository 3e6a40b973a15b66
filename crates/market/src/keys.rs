//! Ed25519 keys.

use std::fmt;
use std::str::FromStr;

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::canonical;
use crate::hex::{self, Sha256};

/// The public half of a key: whom to trust.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// A text that is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a public key is 64 lower-case hexadecimal digits")]
pub struct ParseKeyError;

impl PublicKey {
    /// The id under which documents refer to the key.
    #[must_use]
    pub fn id(&self) -> String {
        let key = serde_json::to_value(Key::from(*self)).unwrap_or_else(|_| json!(null));
        // A key has no numbers at all.
        let bytes = canonical::to_bytes(&key).unwrap_or_default();
        Sha256::of(&bytes).to_string()
    }

    /// Whether the signature of `message` is this key's.
    #[must_use]
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(message, signature)
            .is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        hex::decode(text)
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(ParseKeyError)
    }
}

/// A key as documents write it. Keys of other types are carried, and never count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) keytype: String,
    pub(crate) keyval: KeyValue,
    pub(crate) scheme: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyValue {
    pub(crate) public: String,
}

impl Key {
    pub(crate) fn public(&self) -> Option<PublicKey> {
        (self.keytype == "ed25519" && self.scheme == "ed25519")
            .then(|| self.keyval.public.parse().ok())
            .flatten()
    }
}

impl From<PublicKey> for Key {
    fn from(key: PublicKey) -> Self {
        Self {
            keytype: "ed25519".to_owned(),
            keyval: KeyValue {
                public: key.to_string(),
            },
            scheme: "ed25519".to_owned(),
        }
    }
}

/// A whole key, which can sign. It shows its public half only.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    document: Vec<u8>,
}

/// A key could not be made, or what should be one is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The system gives no random bytes.
    #[error("no random bytes for a key")]
    Random,
    /// The text of a key file is no private key.
    #[error("no private Ed25519 key (PKCS #8 in hexadecimal digits)")]
    Malformed,
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate() -> Result<Self, KeyError> {
        let document =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Random)?;
        Self::from_pkcs8(document.as_ref().to_vec())
    }

    /// The key of a key file: PKCS #8 version 2 in hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        Self::from_pkcs8(hex::decode(text.trim()).ok_or(KeyError::Malformed)?)
    }

    /// What a key file holds. Whoever reads it can sign.
    #[must_use]
    pub fn to_text(&self) -> String {
        hex::encode(&self.document)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    pub(crate) fn sign(&self, message: &[u8]) -> String {
        hex::encode(self.pair.sign(message).as_ref())
    }

    fn from_pkcs8(document: Vec<u8>) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(&document).map_err(|_| KeyError::Malformed)?;
        Ok(Self { pair, document })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}
