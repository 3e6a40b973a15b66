//! Values as a document, out of one installation and into another.
//!
//! Secrets are left out, or sealed for a recipient: encrypted so that only the server (or the person) with
//! the other half of the recipient's key can open them (libsodium's sealed boxes: X25519 and
//! XSalsa20-Poly1305). Each Plugyard has such a key of its own, made when it is first asked for.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_box::aead::OsRng;
use crypto_box::{PublicKey, SecretKey};
use plugyard_config::{Body, Value};
use plugyard_http::Principal;
use plugyard_model::{PluginName, Problem, codes};
use plugyard_store::SecretText;
use plugyard_store::secrets::{SecretOwner, Secrets};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::ConfigRefusal;
use super::write::{Decision, Terms, Written};
use crate::Platform;
use crate::objects::instance_name;

/// The first word of an export, and all this version reads.
const FORMAT: &str = "plugyard-config-1";
const PREFIX: &str = "plugyard-recipient-1:";
/// What the database calls its half of the key.
const OWN_KEY: &str = "recipient";

/// Who may open what is sealed: the public half of a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(PublicKey);

/// A text that names no recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a recipient is `plugyard-recipient-1:` and 32 bytes in base64")]
pub struct ParseRecipientError;

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0.as_bytes()))
    }
}

impl FromStr for Recipient {
    type Err = ParseRecipientError;

    fn from_str(text: &str) -> Result<Self, ParseRecipientError> {
        let bytes = text.trim().strip_prefix(PREFIX);
        let bytes = bytes.and_then(|it| STANDARD.decode(it).ok());
        let bytes = bytes.and_then(|it| <[u8; 32]>::try_from(it).ok());
        bytes
            .map(|it| Self(PublicKey::from_bytes(it)))
            .ok_or(ParseRecipientError)
    }
}

/// The values of an installation as a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// `plugyard-config-1`.
    pub format: String,
    /// Whose values they are; another plugin may take them all the same.
    pub plugin: String,
    /// The version of the definition.
    pub version: String,
    /// The revision they are of.
    pub revision: u64,
    /// Every field that is set and no secret.
    pub values: Map<String, Json>,
    /// The secrets that are set: not in here, or sealed.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// The secrets with their values, for one recipient only: base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
}

impl Platform {
    /// The values that are set, with secrets sealed for a recipient or left out.
    ///
    /// # Errors
    /// `config_not_registered`, `plugin_not_found`, `store_unavailable`; `secret_store_unavailable` when
    /// secrets are asked for and one cannot be read.
    pub async fn config_export(
        &self,
        plugin: &PluginName,
        recipient: Option<&Recipient>,
    ) -> Result<Export, Problem> {
        let config = self.config_registered(plugin).await?;
        let (mut values, mut secrets, mut clear) = (Map::new(), Vec::new(), Map::new());
        for key in config.definition.fields().keys() {
            match config.values.value(key) {
                Value::Null => {}
                Value::Secret(secret) => {
                    secrets.push(key.clone());
                    clear.insert(key.clone(), Json::from(secret.expose()));
                }
                Value::Unreadable if recipient.is_some() => return Err(super::rows::no_key()),
                Value::Unreadable => secrets.push(key.clone()),
                value => drop(values.insert(key.clone(), value.to_json())),
            }
        }
        let sealed = recipient.filter(|_| !clear.is_empty()).map(|recipient| {
            let text = SecretText::new(Json::Object(clear).to_string());
            let sealed = recipient.0.seal(&mut OsRng, text.expose().as_bytes());
            sealed.map(|bytes| STANDARD.encode(bytes))
        });
        let sealed = sealed.transpose().map_err(|_| {
            Problem::new(codes::CONFIG_EXPORT_INVALID).with("reason", "it cannot be sealed")
        })?;
        Ok(Export {
            format: FORMAT.to_owned(),
            plugin: plugin.to_string(),
            version: config.definition.version().to_string(),
            revision: config.revision,
            values,
            secrets,
            sealed,
        })
    }

    /// Takes the values of an export in, as if somebody had submitted them: all or none.
    ///
    /// # Errors
    /// As [`config_put`](Self::config_put); `config_export_invalid` for what is no export, or is sealed for
    /// somebody else.
    pub async fn config_import(
        &self,
        who: &Principal,
        plugin: &PluginName,
        export: Export,
        terms: impl Into<Terms>,
    ) -> Result<Written, ConfigRefusal> {
        if export.format != FORMAT {
            let reason = format!("its format is `{}`, not `{FORMAT}`", export.format);
            return Err(invalid(&reason).into());
        }
        let mut values = export.values;
        if let Some(sealed) = &export.sealed {
            values.extend(self.unseal(sealed).await?);
        }
        let body = Body::flat(values);
        let now = self.seconds();
        self.config_write(who, plugin, "import", terms.into(), |state, _| {
            let accepted = state.definition().submit(&state.values, &body, now);
            let accepted = accepted.map_err(ConfigRefusal::Rejected)?;
            Ok(Decision {
                values: accepted.values,
                updated: accepted.updated,
                unchanged: accepted.unchanged,
            })
        })
        .await
    }

    /// Whom an export for this server is sealed for. Made at the first question.
    ///
    /// # Errors
    /// `secret_store_unavailable`, `store_unavailable`.
    pub async fn config_recipient(&self) -> Result<Recipient, Problem> {
        Ok(Recipient(self.own_key().await?.public_key()))
    }

    async fn unseal(&self, sealed: &str) -> Result<Map<String, Json>, Problem> {
        let bytes = STANDARD
            .decode(sealed)
            .map_err(|_| invalid("what is sealed is no base64"))?;
        let foreign = || invalid("its secrets are sealed for another recipient, or were altered");
        let secrets = self.secrets().await?;
        let owner = SecretOwner(instance_name(self.database()).await?);
        let key = own_key_stored(self.database().conn(), &secrets, owner).await?;
        // Nothing can be sealed for a key that there never was.
        let key = key.ok_or_else(foreign)?;
        let clear = key.unseal(&bytes).map_err(|_| foreign())?;
        let clear = SecretText::new(String::from_utf8(clear).unwrap_or_default());
        serde_json::from_str(clear.expose()).map_err(|_| invalid("what is sealed cannot be read"))
    }

    async fn own_key(&self) -> Result<SecretKey, Problem> {
        let secrets = self.secrets().await?;
        let owner = SecretOwner(instance_name(self.database()).await?);
        let transaction = self.database().begin().await?;
        if let Some(key) = own_key_stored(&*transaction, &secrets, owner).await? {
            return Ok(key);
        }
        let key = SecretKey::generate(&mut OsRng);
        let text = SecretText::new(STANDARD.encode(key.to_bytes()));
        secrets.put(&transaction, owner, OWN_KEY, &text).await?;
        transaction.commit().await?;
        Ok(key)
    }
}

async fn own_key_stored(
    connection: &impl ConnectionTrait,
    secrets: &Secrets,
    owner: SecretOwner,
) -> Result<Option<SecretKey>, Problem> {
    let stored = secrets.get(connection, owner, OWN_KEY).await?;
    let bytes = stored.and_then(|it| STANDARD.decode(it.expose()).ok());
    let bytes = bytes.and_then(|it| <[u8; 32]>::try_from(it).ok());
    Ok(bytes.map(SecretKey::from_bytes))
}

fn invalid(reason: &str) -> Problem {
    Problem::new(codes::CONFIG_EXPORT_INVALID).with("reason", reason)
}
