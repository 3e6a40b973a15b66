//! Application keys: rows of `web_keys`, each with a secret that is shown once.

use plugyard_model::{Problem, codes};
use plugyard_store::secrets::{SecretOwner, Secrets};
use plugyard_store::{SecretText, StoreError, Transaction, secrets};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Set,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::entity::app_key::{ActiveModel, Column, Entity, Model};
use crate::records;
use crate::webhooks::endpoints::{SECRET, invalid};

/// The scene that a plugin must have to own a key.
const SCENE: &str = "apiKey";
/// What ids and secrets are made of.
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Whose requests a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebKeyKind)]
pub(crate) enum KeyKind {
    /// Those of a client of the application.
    Platform,
    /// Those of one plugin.
    Plugin,
}

impl KeyKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Plugin => "plugin",
        }
    }
}

/// A new key.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewKey {
    /// How people call it, 1 to 64 characters.
    pub(crate) name: String,
    /// Whose requests it signs.
    pub(crate) kind: KeyKind,
    /// The platform whose requests it signs; any, when left out.
    pub(crate) platform_id: Option<i32>,
    /// The plugin, for the kind `plugin`; it needs the scene `apiKey`.
    pub(crate) plugin_fskey: Option<String>,
    /// An id that clients have already: letters and digits. One is made when left out.
    pub(crate) app_id: Option<String>,
    /// A secret that clients have already, 16 to 128 characters. One is made when left out.
    #[schema(value_type = Option<String>)]
    pub(crate) secret: Option<SecretText>,
}

/// All, in the order they were made.
pub(crate) async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Model>, StoreError> {
    Ok(Entity::find()
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id)
        .all(connection)
        .await?)
}

/// The one that clients call so.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    app_id: &str,
) -> Result<Option<Model>, StoreError> {
    Ok(Entity::find()
        .filter(Column::AppId.eq(app_id))
        .one(connection)
        .await?)
}

/// The same, or the problem to answer.
pub(crate) async fn known(
    connection: &impl ConnectionTrait,
    app_id: &str,
) -> Result<Model, Problem> {
    find(connection, app_id).await?.ok_or_else(|| {
        Problem::new(codes::WEB_KEY_NOT_FOUND)
            .with("key", app_id.chars().take(64).collect::<String>())
    })
}

/// Writes a new one, and gives its secret, which is not shown again.
///
/// # Errors
/// `web_field_invalid`, `web_key_exists`, `E_PLUGIN_NOT_FOUND`, `E_SCENE_NOT_SUPPORTED`.
pub(crate) async fn add(
    transaction: &Transaction,
    keeper: &Secrets,
    new: NewKey,
    by: &str,
    now: i64,
) -> Result<(Model, SecretText), Problem> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        return Err(invalid("name", "it has 1 to 64 characters"));
    }
    match (new.kind, &new.plugin_fskey) {
        (KeyKind::Platform, Some(_)) => {
            return Err(invalid(
                "pluginFskey",
                "a platform's key belongs to no plugin",
            ));
        }
        (KeyKind::Plugin, None) => {
            return Err(invalid("pluginFskey", "a plugin's key needs its plugin"));
        }
        (KeyKind::Plugin, Some(fskey)) => {
            let row = records::live(&**transaction, fskey).await?;
            if !records::scene(&row).iter().any(|scene| scene == SCENE) {
                return Err(Problem::new(codes::E_SCENE_NOT_SUPPORTED)
                    .with("fskey", fskey)
                    .with("scene", SCENE)
                    .with("reason", "scene_missing"));
            }
        }
        (KeyKind::Platform, None) => {}
    }
    let app_id = match new.app_id {
        Some(id)
            if id.len() <= 64
                && !id.is_empty()
                && id.bytes().all(|it| it.is_ascii_alphanumeric()) =>
        {
            id
        }
        Some(_) => return Err(invalid("appId", "it has 1 to 64 letters and digits")),
        None => random(8)?,
    };
    let secret = match new.secret {
        Some(secret)
            if (16..=128).contains(&secret.expose().len())
                && secret.expose().bytes().all(|it| it.is_ascii_graphic()) =>
        {
            secret
        }
        Some(_) => return Err(invalid("secret", "it has 16 to 128 printable characters")),
        None => SecretText::new(random(32)?),
    };
    if find(&**transaction, &app_id).await?.is_some() {
        return Err(Problem::new(codes::WEB_KEY_EXISTS).with("key", app_id));
    }
    let row = ActiveModel {
        id: Set(Uuid::now_v7()),
        app_id: Set(app_id),
        name: Set(name.to_owned()),
        kind: Set(new.kind.as_str().to_owned()),
        platform_id: Set(new.platform_id),
        plugin_fskey: Set(new.plugin_fskey),
        is_enabled: Set(true),
        created_by: Set(by.to_owned()),
        created_at: Set(now),
    };
    let row = row.insert(&**transaction).await.map_err(StoreError::from)?;
    keeper
        .put(transaction, SecretOwner(row.id), SECRET, &secret)
        .await?;
    Ok((row, secret))
}

/// Removes one with its secret.
pub(crate) async fn remove(transaction: &Transaction, row: &Model) -> Result<(), StoreError> {
    Entity::delete_by_id(row.id).exec(&**transaction).await?;
    secrets::forget(&**transaction, SecretOwner(row.id)).await
}

/// As it is shown: without its secret.
pub(crate) fn document(row: &Model) -> Json {
    json!({
        "appId": row.app_id,
        "name": row.name,
        "kind": row.kind,
        "platformId": row.platform_id,
        "pluginFskey": row.plugin_fskey,
        "isEnabled": row.is_enabled,
        "createdBy": row.created_by,
        "createdAt": records::rfc3339(records::time(row.created_at)),
    })
}

/// Letters and digits, each as likely as the others.
fn random(length: usize) -> Result<String, Problem> {
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 64];
    while text.len() < length {
        getrandom::fill(&mut bytes).map_err(|error| {
            tracing::error!(%error, "The machine gives no randomness");
            Problem::new(codes::INTERNAL)
        })?;
        let fair = bytes
            .iter()
            .filter(|byte| usize::from(**byte) < 256 / LETTERS.len() * LETTERS.len())
            .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
        text.extend(fair.take(length - text.len()));
    }
    Ok(text)
}
