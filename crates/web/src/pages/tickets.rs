//! Launch tickets: who opened a page, for the plugin's own server, once.
//!
//! A ticket says nothing by itself and goes where a credential would: into the page's address. The plugin's server
//! exchanges it for the identity that the application put in. It is bound to the plugin and to the origin
//! the page was opened at, lives at most two minutes, and is gone with the exchange. Only a hash of it is
//! kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plugyard_model::{Digest, Problem, codes};
use plugyard_store::StoreError;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::settings::origin_of;
use crate::entity::ticket::{ActiveModel, Column, Entity};
use crate::host::{WebHost, now};
use crate::records;
use crate::webhooks::endpoints::invalid;

/// What tickets begin with.
const PREFIX: &str = "plt_";
/// Bytes of the part by which it is found, and of the part that must fit.
const PARTS: (usize, usize) = (12, 32);
/// The longest life, in seconds.
pub(crate) const LONGEST: u32 = 120;
/// Bytes of an identity.
const MAX_IDENTITY: usize = 4096;

/// A ticket to be made.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewTicket {
    /// The plugin whose page is opened.
    pub(crate) fskey: String,
    /// Who opens it: what the exchange answers, e.g. `{"aid": "…", "uid": 1, "langTag": "en"}`. At most 4 KiB.
    #[schema(value_type = Object)]
    pub(crate) identity: Map<String, Json>,
    /// The origin the page is opened at; that of the plugin's address, when left out.
    pub(crate) origin: Option<String>,
    /// How many seconds it lives, 1 to 120; 60, when left out.
    pub(crate) seconds: Option<u32>,
}

/// A ticket.
pub(crate) struct Ticket {
    pub(crate) text: String,
    pub(crate) origin: String,
    pub(crate) expires_at: i64,
}

/// Makes one.
///
/// # Errors
/// `web_field_invalid`, `E_PLUGIN_NOT_FOUND`.
pub(crate) async fn make(host: &WebHost, new: NewTicket) -> Result<Ticket, Problem> {
    let connection = host.database()?.conn();
    let plugin = records::live(connection, &new.fskey).await?;
    if !records::is_offered(&plugin) {
        return Err(invalid("fskey", "the plugin is disabled"));
    }
    let origin = match &new.origin {
        Some(given) => origin_of(given).filter(|origin| origin == given),
        None => {
            let site = host.site().await?;
            let address = crate::url::access_url(&site.addresses(&plugin));
            address.ok().and_then(|url| origin_of(&url))
        }
    };
    let origin = origin.filter(|origin| origin.len() <= 255).ok_or_else(|| {
        invalid(
            "origin",
            "it is no origin such as `https://plugins.example.net`",
        )
    })?;
    let seconds = new.seconds.unwrap_or(60);
    if !(1..=LONGEST).contains(&seconds) {
        return Err(invalid("seconds", format!("it is 1 to {LONGEST}")));
    }
    let identity = Json::Object(new.identity);
    if identity.to_string().len() > MAX_IDENTITY {
        return Err(invalid(
            "identity",
            format!("it has more than {MAX_IDENTITY} bytes"),
        ));
    }
    let mut bytes = [0_u8; PARTS.0 + PARTS.1];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "The machine gives no randomness");
        Problem::new(codes::INTERNAL)
    })?;
    let (selector, verifier) = bytes.split_at(PARTS.0);
    let expires_at = now().saturating_add(i64::from(seconds) * 1000);
    let row = ActiveModel {
        selector: Set(URL_SAFE_NO_PAD.encode(selector)),
        verifier: Set(hashed(verifier)),
        fskey: Set(new.fskey),
        origin: Set(origin.clone()),
        identity: Set(identity),
        created_at: Set(now()),
        expires_at: Set(expires_at),
    };
    row.insert(connection).await.map_err(StoreError::from)?;
    Ok(Ticket {
        text: format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)),
        origin,
        expires_at,
    })
}

/// Whether a credential is a ticket rather than the headers.
pub(crate) fn is_ticket(credential: &str) -> bool {
    credential.starts_with(PREFIX)
}

/// Exchanges a ticket for what was put in; `None` when it is not good for this, whyever. Where it does not fit it
/// stays: who shows it to the wrong plugin must not be able to take it from the right one.
pub(crate) async fn exchange(
    host: &WebHost,
    ticket: &str,
    fskey: &str,
    origin: &str,
) -> Result<Option<Json>, Problem> {
    let bytes = ticket
        .strip_prefix(PREFIX)
        .filter(|text| text.len() <= 128)
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .filter(|bytes| bytes.len() == PARTS.0 + PARTS.1);
    let Some(bytes) = bytes else { return Ok(None) };
    let (selector, verifier) = bytes.split_at(PARTS.0);
    let selector = URL_SAFE_NO_PAD.encode(selector);
    let connection = host.database()?.conn();
    let row = Entity::find_by_id(&selector)
        .one(connection)
        .await
        .map_err(StoreError::from)?;
    let Some(row) = row else { return Ok(None) };
    let fits = row.verifier.as_bytes().ct_eq(hashed(verifier).as_bytes())
        & row.fskey.as_bytes().ct_eq(fskey.as_bytes())
        & row.origin.as_bytes().ct_eq(origin.as_bytes());
    if !bool::from(fits) || now() >= row.expires_at {
        return Ok(None);
    }
    // A plugin that was disabled meanwhile learns nothing any more.
    let plugin = records::find_live(connection, fskey).await?;
    if !plugin.is_some_and(|plugin| records::is_offered(&plugin)) {
        return Ok(None);
    }
    // Of two at once one removes it.
    let removed = Entity::delete_by_id(&selector)
        .exec(connection)
        .await
        .map_err(StoreError::from)?;
    Ok((removed.rows_affected == 1).then_some(row.identity))
}

/// Removes those that are over.
pub(crate) async fn clean(host: &WebHost) -> Result<(), StoreError> {
    Entity::delete_many()
        .filter(Column::ExpiresAt.lt(now()))
        .exec(host.database()?.conn())
        .await?;
    Ok(())
}

/// As the application gets it.
pub(crate) fn document(ticket: &Ticket) -> Json {
    json!({
        "ticket": ticket.text,
        "origin": ticket.origin,
        "expiresAt": records::rfc3339(records::time(ticket.expires_at)),
    })
}

fn hashed(verifier: &[u8]) -> String {
    Digest::from_bytes(Sha256::digest(verifier).into()).to_string()
}
