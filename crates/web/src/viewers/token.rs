//! Viewers' tokens: what the application says of one of its users, signed (JWT, RFC 7519).
//!
//! `HS256` with a secret that the application shares with this server, or `EdDSA` with a key of which
//! this server knows the public half only. Which algorithm is right is decided by the keys that are
//! configured, never by the token alone. Claims: `sub` (the user's number, as a
//! text) and `exp` are mandatory; `nbf`,
//! `roles`, `groups`, `administeredGroups` and `language` are optional.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, decode, decode_header};
use plugyard_model::{Code, Problem, codes};
use ring::{hmac, signature as ed};
use secrecy::{ExposeSecret as _, SecretSlice};
use serde::Deserialize;

use super::Known;
use crate::usage::Viewer;
use crate::usages::draft::is_language_tag;
use crate::usages::store::NOBODYS;

/// The header that a viewer's token comes in.
pub(crate) const HEADER: &str = "plugyard-viewer";

/// Shortest secret, in bytes: as long as what it is hashed to.
const SECRET_MIN: usize = 32;
/// Longest token that is looked at.
const TOKEN_MAX: usize = 16 << 10;
/// How far the application's clock may be from ours, in seconds.
const LEEWAY: u64 = 60;

/// Where the keys are that tokens are checked with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    /// A file with the secret; space around it does not count.
    pub(crate) secret: Option<PathBuf>,
    /// The public half of an Ed25519 key, in base64url.
    pub(crate) public: Option<String>,
}

/// A viewer's claims. A claim of another type than these is an error, whatever the library makes of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    sub: String,
    #[serde(rename = "exp")]
    _exp: i64,
    #[serde(rename = "nbf", default)]
    _nbf: Option<i64>,
    #[serde(default)]
    roles: BTreeSet<u32>,
    #[serde(default)]
    groups: BTreeSet<u32>,
    #[serde(default)]
    administered_groups: BTreeSet<u32>,
    #[serde(default)]
    language: Option<String>,
}

impl Keys {
    /// The viewer of a token.
    pub(crate) async fn viewer(&self, token: &str) -> Result<Known, Problem> {
        if token.len() > TOKEN_MAX {
            return Err(refused(codes::VIEWER_TOKEN_CLAIMS));
        }
        let header = decode_header(token).map_err(|_| refused(codes::VIEWER_TOKEN_SIGNATURE))?;
        let key = match header.alg {
            Algorithm::HS256 => self.secret().await?,
            Algorithm::EdDSA => self.public_key()?,
            _ => return Err(refused(codes::VIEWER_TOKEN_SIGNATURE)),
        };
        // Installing it twice is harmless: it is the only one in this process.
        let _ = PROVIDER.install_default();
        let mut validation = Validation::new(header.alg);
        validation.set_required_spec_claims(&["exp", "sub"]);
        validation.validate_nbf = true;
        validation.validate_aud = false;
        validation.leeway = LEEWAY;
        let claims: Claims = decode(token, &key, &validation)
            .map_err(|error| refused(reason(error.kind())))?
            .claims;
        claims
            .viewer()
            .ok_or_else(|| refused(codes::VIEWER_TOKEN_CLAIMS))
    }

    async fn secret(&self) -> Result<DecodingKey, Problem> {
        let file = self.secret.as_ref().ok_or_else(no_key)?;
        // Read anew, so that a new key counts from the next request on.
        let bytes = tokio::fs::read(file).await.map_err(|error| {
            tracing::error!(%error, file = %file.display(), "The key for viewers' tokens cannot be read");
            no_key()
        })?;
        let bytes = SecretSlice::from(bytes);
        let secret = bytes.expose_secret().trim_ascii();
        if secret.len() < SECRET_MIN {
            tracing::error!(file = %file.display(), "The key for viewers' tokens is shorter than {SECRET_MIN} bytes");
            return Err(no_key());
        }
        Ok(DecodingKey::from_secret(secret))
    }

    fn public_key(&self) -> Result<DecodingKey, Problem> {
        let key = self.public.as_deref().ok_or_else(no_key)?;
        DecodingKey::from_ed_components(key.trim_end_matches('=')).map_err(|error| {
            tracing::error!(%error, "`web.viewer_public_key` is no Ed25519 key in base64url");
            no_key()
        })
    }
}

impl Claims {
    fn viewer(self) -> Option<Known> {
        let user: i64 = self.sub.parse().ok()?;
        let language = self.language.filter(|tag| !tag.is_empty());
        let is_fine = user > 0
            && language.as_deref().is_none_or(is_language_tag)
            && !self.roles.contains(&NOBODYS);
        is_fine.then_some(Known {
            user: Some(user),
            viewer: Viewer {
                roles: Some(self.roles),
                administers: self.administered_groups,
            },
            groups: self.groups,
            language,
        })
    }
}

fn refused(reason: Code) -> Problem {
    Problem::new(codes::VIEWER_TOKEN_INVALID).with("reason", reason.as_str())
}

fn no_key() -> Problem {
    refused(codes::VIEWER_TOKEN_NO_KEY)
}

fn reason(kind: &ErrorKind) -> Code {
    match kind {
        ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => codes::VIEWER_TOKEN_TIME,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::Json(_) | ErrorKind::Utf8(_) => {
            codes::VIEWER_TOKEN_CLAIMS
        }
        _ => codes::VIEWER_TOKEN_SIGNATURE,
    }
}

/// The algorithms, on the cryptography that the rest of this product uses. Nothing is ever signed here.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: |algorithm, key| {
        let bytes = key.try_get_as_bytes()?;
        match (algorithm, key.family()) {
            (Algorithm::HS256, AlgorithmFamily::Hmac) => {
                Ok(Box::new(Shared(hmac::Key::new(hmac::HMAC_SHA256, bytes))))
            }
            (Algorithm::EdDSA, AlgorithmFamily::Ed) => Ok(Box::new(Public(
                ed::UnparsedPublicKey::new(&ed::ED25519, bytes.to_vec()),
            ))),
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        }
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct Shared(hmac::Key);

impl Verifier<Vec<u8>> for Shared {
    fn verify(&self, message: &[u8], tag: &Vec<u8>) -> Result<(), signature::Error> {
        hmac::verify(&self.0, message, tag).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Shared {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

struct Public(ed::UnparsedPublicKey<Vec<u8>>);

impl Verifier<Vec<u8>> for Public {
    fn verify(&self, message: &[u8], tag: &Vec<u8>) -> Result<(), signature::Error> {
        self.0
            .verify(message, tag)
            .map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Public {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}
