//! Endpoints: rows of `web_webhooks`, each with a secret.

use plugyard_model::{Problem, codes};
use plugyard_store::{SecretText, StoreError, Transaction, secrets};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, Set,
};
use secrets::{SecretOwner, Secrets};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::entity::delivery;
use crate::entity::webhook::{ActiveModel, Column, Entity, Model};

/// Under which name the secret of an owner is kept.
pub(crate) const SECRET: &str = "secret";

/// All names of events, for checking what an endpoint asks for.
const EVENTS: [&str; 17] = [
    "plugin:installing",
    "plugin:installed",
    "plugin:activating",
    "plugin:activated",
    "plugin:deactivating",
    "plugin:deactivated",
    "plugin:uninstalling",
    "plugin:uninstalled",
    "theme:installing",
    "theme:installed",
    "theme:uninstalling",
    "theme:uninstalled",
    "app:handleData",
    "plugin:upgrading",
    "plugin:upgraded",
    "plugin:rolledBack",
    "plugin:quarantined",
];

/// What an event that can be refused becomes when nobody answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookOnUnreachable)]
pub(crate) enum OnUnreachable {
    /// The change goes on.
    #[default]
    Allow,
    /// The change is refused.
    Veto,
}

impl OnUnreachable {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Veto => "veto",
        }
    }
}

/// A new endpoint.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhook {
    /// How people call it: 1 to 64 characters, unique.
    pub(crate) name: String,
    /// Where events are posted; http or https.
    pub(crate) url: String,
    /// Names of events; `*` stands for all, `plugin:*` for those that begin so. All, when left out.
    #[serde(default = "everything")]
    pub(crate) events: Vec<String>,
    /// What an event that can be refused becomes when the endpoint cannot be reached.
    #[serde(default)]
    pub(crate) on_unreachable: OnUnreachable,
}

/// What of an endpoint is to be changed.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WebhookChange {
    /// Where events are posted.
    pub(crate) url: Option<String>,
    /// Names of events.
    pub(crate) events: Option<Vec<String>>,
    /// What an event that can be refused becomes when the endpoint cannot be reached.
    pub(crate) on_unreachable: Option<OnUnreachable>,
    /// Whether it is told at all. What happens while it is not is never told.
    pub(crate) enabled: Option<bool>,
}

fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

/// All, in the order they were made.
pub(crate) async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Model>, StoreError> {
    Ok(Entity::find()
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id)
        .all(connection)
        .await?)
}

/// Those that want to be told of an event.
pub(crate) async fn of_event(
    connection: &impl ConnectionTrait,
    event: &str,
) -> Result<Vec<Model>, StoreError> {
    let mut rows = all(connection).await?;
    rows.retain(|row| row.is_enabled && wants(row, event));
    Ok(rows)
}

/// The one of this id or name.
///
/// # Errors
/// `webhook_not_found`.
pub(crate) async fn find(connection: &impl ConnectionTrait, key: &str) -> Result<Model, Problem> {
    let query = match Uuid::try_parse(key) {
        Ok(id) => Entity::find_by_id(id),
        Err(_) => Entity::find().filter(Column::Name.eq(key)),
    };
    let row = query.one(connection).await.map_err(StoreError::from)?;
    row.ok_or_else(|| {
        Problem::new(codes::WEBHOOK_NOT_FOUND)
            .with("webhook", key.chars().take(64).collect::<String>())
    })
}

/// Writes a new one and its secret.
///
/// # Errors
/// `web_field_invalid`, `webhook_exists`.
pub(crate) async fn add(
    transaction: &Transaction,
    keeper: &Secrets,
    new: &NewWebhook,
    by: &str,
    now: i64,
) -> Result<(Model, SecretText), Problem> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        return Err(invalid("name", "it has 1 to 64 characters"));
    }
    if Uuid::try_parse(name).is_ok() {
        return Err(invalid("name", "it must not look like an id"));
    }
    check_url(&new.url)?;
    check_events(&new.events)?;
    let taken = Entity::find()
        .filter(Column::Name.eq(name))
        .one(&**transaction)
        .await
        .map_err(StoreError::from)?;
    if taken.is_some() {
        return Err(Problem::new(codes::WEBHOOK_EXISTS).with("webhook", name));
    }
    let secret = super::sign::fresh().map_err(|error| {
        tracing::error!(%error, "The machine gives no randomness");
        Problem::new(codes::INTERNAL)
    })?;
    let row = ActiveModel {
        id: Set(Uuid::now_v7()),
        name: Set(name.to_owned()),
        url: Set(new.url.clone()),
        events: Set(json!(new.events)),
        on_unreachable: Set(new.on_unreachable.as_str().to_owned()),
        is_enabled: Set(true),
        created_by: Set(by.to_owned()),
        created_at: Set(now),
        updated_at: Set(now),
    };
    let row = row.insert(&**transaction).await.map_err(StoreError::from)?;
    keeper
        .put(transaction, SecretOwner(row.id), SECRET, &secret)
        .await?;
    Ok((row, secret))
}

/// Changes one.
///
/// # Errors
/// `web_field_invalid`.
pub(crate) async fn change(
    connection: &impl ConnectionTrait,
    row: Model,
    change: &WebhookChange,
    now: i64,
) -> Result<Model, Problem> {
    let mut row = row.into_active_model();
    if let Some(url) = &change.url {
        check_url(url)?;
        row.url = Set(url.clone());
    }
    if let Some(events) = &change.events {
        check_events(events)?;
        row.events = Set(json!(events));
    }
    if let Some(word) = change.on_unreachable {
        row.on_unreachable = Set(word.as_str().to_owned());
    }
    if let Some(enabled) = change.enabled {
        row.is_enabled = Set(enabled);
    }
    row.updated_at = Set(now);
    Ok(row.update(connection).await.map_err(StoreError::from)?)
}

/// Removes one with its secret and its deliveries.
pub(crate) async fn remove(transaction: &Transaction, row: &Model) -> Result<(), StoreError> {
    delivery::Entity::delete_many()
        .filter(delivery::Column::WebhookId.eq(row.id))
        .exec(&**transaction)
        .await?;
    Entity::delete_by_id(row.id).exec(&**transaction).await?;
    secrets::forget(&**transaction, SecretOwner(row.id)).await
}

/// As it is shown.
pub(crate) fn document(row: &Model) -> Json {
    json!({
        "id": row.id,
        "name": row.name,
        "url": shown(&row.url),
        "events": row.events,
        "on_unreachable": row.on_unreachable,
        "enabled": row.is_enabled,
        "created_by": row.created_by,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    })
}

/// An address without user, password and query, where secrets stand.
fn shown(url: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(url) else {
        return String::new();
    };
    // Both fail only for addresses that have no host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if url.query().is_some() {
        url.set_query(Some("…"));
    }
    url.to_string()
}

fn wants(row: &Model, event: &str) -> bool {
    row.events
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .any(|wanted| matches(wanted, event))
}

fn matches(wanted: &str, event: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(start) => event.starts_with(start),
        None => wanted == event,
    }
}

/// An address that can be posted to.
pub(crate) fn check_url(url: &str) -> Result<(), Problem> {
    let parsed = reqwest::Url::parse(url).ok();
    match parsed {
        Some(parsed) if matches!(parsed.scheme(), "http" | "https") && url.len() <= 2048 => Ok(()),
        _ => Err(invalid(
            "url",
            "it is no address that begins with `http://` or `https://`",
        )),
    }
}

fn check_events(events: &[String]) -> Result<(), Problem> {
    if events.is_empty() || events.len() > 64 {
        return Err(invalid("events", "it names 1 to 64 events"));
    }
    match events
        .iter()
        .find(|wanted| !EVENTS.iter().any(|event| matches(wanted, event)))
    {
        Some(unknown) => Err(invalid(
            "events",
            format!(
                "there is no event `{}`",
                unknown.chars().take(64).collect::<String>()
            ),
        )),
        None => Ok(()),
    }
}

/// A field of a request that cannot be used.
pub(crate) fn invalid(field: &str, reason: impl ToString) -> Problem {
    Problem::new(codes::WEB_FIELD_INVALID)
        .with("field", field)
        .with("reason", reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Name;

    #[test]
    fn the_list_of_events_is_that_of_the_kind() {
        for event in EVENTS {
            let name: Result<Name, _> = serde_json::from_value(json!(event));
            assert!(name.is_ok(), "{event}");
        }
    }

    #[test]
    fn patterns_stand_for_what_begins_so() {
        assert!(matches("*", "plugin:installed"));
        assert!(matches("plugin:*", "plugin:installed"));
        assert!(!matches("plugin:*", "theme:installed"));
        assert!(!matches("plugin:install", "plugin:installed"));
        assert!(check_events(&["plugin:instaled".to_owned()]).is_err());
        assert!(check_events(&["app:*".to_owned()]).is_ok());
    }

    #[test]
    fn an_address_is_shown_without_what_could_be_a_secret() {
        assert_eq!(
            shown("https://u:p@hooks.example/x?token=t"),
            "https://hooks.example/x?%E2%80%A6"
        );
        assert!(check_url("ftp://x.example").is_err());
    }
}
