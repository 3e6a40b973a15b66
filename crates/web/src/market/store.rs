//! The markets that are known here, and what they offer.

use plugyard_market::{PublicKey, Trust};
use plugyard_model::{Problem, codes};
use plugyard_store::{Database, StoreError};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect as _, Set, SqlErr,
};
use serde_json::{Value as Json, json};

use super::settings;
use crate::entity::{market, offer};
use crate::site::Site;

/// Markets there may be.
const MARKETS_MAX: usize = 100;

/// How a market is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Signed catalogues.
    Own,
    /// Fresns' three calls, `v2` or `v3`.
    Fresns(&'static str),
}

impl Protocol {
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "plugyard" => Self::Own,
            "v2" => Self::Fresns("v2"),
            "v3" => Self::Fresns("v3"),
            _ => return None,
        })
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "plugyard",
            Self::Fresns(generation) => generation,
        }
    }
}

/// A market that is asked.
#[derive(Debug, Clone)]
pub(crate) struct Market {
    /// 0 for the one of the site's settings.
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) protocol: Protocol,
    pub(crate) allow_private: bool,
    pub(crate) proxy: Option<String>,
    pub(crate) send_site_headers: bool,
    pub(crate) trust: Option<Trust>,
}

/// What is told of a new market.
#[derive(Debug, Clone)]
pub(crate) struct NewMarket {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) protocol: Protocol,
    pub(crate) allow_private: bool,
    pub(crate) proxy: Option<String>,
    pub(crate) send_site_headers: Option<bool>,
    pub(crate) trust: Option<Trust>,
}

/// All markets, in the order they are asked in: the first that knows a plugin answers for it.
pub(crate) async fn markets(
    connection: &impl ConnectionTrait,
    site: &Site,
) -> Result<Vec<Market>, StoreError> {
    let rows = market::Entity::find()
        .order_by_asc(market::Column::Id)
        .all(connection)
        .await?;
    let from_settings = site.text(settings::BASE_URL).map(|url| Market {
        id: 0,
        name: "settings".to_owned(),
        url: url.trim_end_matches('/').to_owned(),
        protocol: Protocol::Fresns("v2"),
        allow_private: false,
        proxy: site.text(settings::PROXY).map(str::to_owned),
        send_site_headers: sends_headers(site),
        trust: None,
    });
    let own = rows.into_iter().filter_map(|row| {
        Some(Market {
            protocol: Protocol::from_word(&row.protocol)?,
            trust: row.trust.and_then(|it| serde_json::from_value(it).ok()),
            proxy: row
                .proxy
                .or_else(|| site.text(settings::PROXY).map(str::to_owned)),
            send_site_headers: row.send_site_headers.unwrap_or_else(|| sends_headers(site)),
            id: row.id,
            name: row.name,
            url: row.url,
            allow_private: row.allow_private,
        })
    });
    Ok(from_settings.into_iter().chain(own).collect())
}

fn sends_headers(site: &Site) -> bool {
    site.0
        .get(settings::SEND_SITE_HEADERS)
        .and_then(Json::as_bool)
        != Some(false)
}

/// The rows, as they are told.
pub(crate) async fn documents(connection: &impl ConnectionTrait) -> Result<Vec<Json>, StoreError> {
    let rows = market::Entity::find()
        .order_by_asc(market::Column::Id)
        .all(connection)
        .await?;
    Ok(rows.iter().map(document).collect())
}

/// One row, by its name.
pub(crate) async fn row(
    connection: &impl ConnectionTrait,
    name: &str,
) -> Result<market::Model, Problem> {
    let found = market::Entity::find()
        .filter(market::Column::Name.eq(name))
        .one(connection)
        .await
        .map_err(StoreError::from)?;
    found.ok_or_else(|| unknown(name))
}

pub(crate) fn unknown(name: &str) -> Problem {
    let name: String = name.chars().take(64).collect();
    Problem::new(codes::E_MARKET_UNKNOWN).with("market", name)
}

/// A market as it is told, with the highest versions seen.
pub(crate) fn document(row: &market::Model) -> Json {
    let trust: Option<Trust> = row
        .trust
        .clone()
        .and_then(|it| serde_json::from_value(it).ok());
    let keys: Option<Vec<String>> = trust.as_ref().and_then(|trust| {
        let keys = trust.root_keys().ok()?;
        Some(keys.iter().map(PublicKey::to_string).collect())
    });
    let expires = trust.as_ref().and_then(|it| it.root_expires().ok());
    json!({
        "name": row.name,
        "url": row.url,
        "protocol": row.protocol,
        "allowPrivate": row.allow_private,
        "proxy": row.proxy,
        "sendSiteHeaders": row.send_site_headers,
        "rootKeys": keys,
        "rootExpiresAt": expires.map(|it| it.to_string()),
        "seen": trust.map(|it| json!(it.seen())),
        "checkedAt": row.checked_at.map(when),
        "succeededAt": row.succeeded_at.map(when),
        "error": row.error,
        "createdAt": when(row.created_at),
    })
}

/// A time as it is told.
pub(crate) fn when(milliseconds: i64) -> String {
    crate::records::rfc3339(crate::records::time(milliseconds))
}

/// Remembers a market.
pub(crate) async fn add(
    database: &Database,
    new: NewMarket,
    now: i64,
) -> Result<market::Model, Problem> {
    let known = market::Entity::find()
        .all(database.conn())
        .await
        .map_err(StoreError::from)?;
    let taken = |name: &str| Problem::new(codes::E_MARKET_EXISTS).with("market", name);
    if let Some(same) = known
        .iter()
        .find(|it| it.name == new.name || it.url == new.url)
    {
        return Err(taken(&same.name));
    }
    if known.len() >= MARKETS_MAX {
        return Err(Problem::new(codes::E_MARKET_INVALID)
            .with("field", "url")
            .with("reason", format!("there are {MARKETS_MAX} markets already")));
    }
    let row = market::ActiveModel {
        name: Set(new.name.clone()),
        url: Set(new.url),
        protocol: Set(new.protocol.as_str().to_owned()),
        allow_private: Set(new.allow_private),
        proxy: Set(new.proxy),
        send_site_headers: Set(new.send_site_headers),
        trust: Set(stored(new.trust.as_ref())),
        created_at: Set(now),
        ..Default::default()
    };
    row.insert(database.conn()).await.map_err(|error| {
        match error.sql_err() {
            // Another request was faster.
            Some(SqlErr::UniqueConstraintViolation(_)) => taken(&new.name),
            _ => StoreError::from(error).into(),
        }
    })
}

/// Forgets a market; plugins that came from there stay, and any market may answer for them.
pub(crate) async fn remove(database: &Database, name: &str) -> Result<(), Problem> {
    let row = row(database.conn(), name).await?;
    let transaction = database.begin().await?;
    market::Entity::delete_by_id(row.id)
        .exec(&*transaction)
        .await
        .map_err(StoreError::from)?;
    offer::Entity::update_many()
        .col_expr(
            offer::Column::OriginId,
            sea_orm::sea_query::Expr::value(None::<i64>),
        )
        .filter(offer::Column::OriginId.eq(row.id))
        .exec(&*transaction)
        .await
        .map_err(StoreError::from)?;
    super::codes::forget(&transaction, row.id).await?;
    transaction.commit().await?;
    Ok(())
}

/// Notes how asking a market went, and what is trusted now.
pub(crate) async fn asked(
    database: &Database,
    market: &Market,
    error: Option<&Problem>,
    now: i64,
) -> Result<(), StoreError> {
    if market.id == 0 {
        return Ok(());
    }
    let mut row = market::ActiveModel {
        id: Set(market.id),
        checked_at: Set(Some(now)),
        error: Set(error.map(error_document)),
        ..Default::default()
    };
    if error.is_none() {
        row.succeeded_at = Set(Some(now));
    }
    market::Entity::update_many()
        .set(row)
        .filter(market::Column::Id.eq(market.id))
        .exec(database.conn())
        .await?;
    trusted(database, market).await
}

/// Stores what is trusted. Never goes back: what another request stored meanwhile and is further stays.
pub(crate) async fn trusted(database: &Database, market: &Market) -> Result<(), StoreError> {
    let Some(trust) = &market.trust else {
        return Ok(());
    };
    let transaction = database.begin().await?;
    let rows = market::Entity::find_by_id(market.id);
    let rows = match transaction.get_database_backend() {
        DbBackend::Postgres => rows.lock_exclusive(),
        _ => rows,
    };
    let Some(row) = rows.one(&*transaction).await? else {
        return Ok(());
    };
    let further = row
        .trust
        .and_then(|it| serde_json::from_value::<Trust>(it).ok())
        .is_some_and(|there| order(&there) > order(trust));
    if further {
        return Ok(());
    }
    let row = market::ActiveModel {
        trust: Set(stored(Some(trust))),
        ..Default::default()
    };
    market::Entity::update_many()
        .set(row)
        .filter(market::Column::Id.eq(market.id))
        .exec(&*transaction)
        .await?;
    transaction.commit().await
}

/// How far somebody has come with a market. A new root may make the other versions begin again.
fn order(trust: &Trust) -> (u64, u64, u64) {
    let seen = trust.seen();
    (seen.root, seen.timestamp, seen.snapshot)
}

fn stored(trust: Option<&Trust>) -> Option<Json> {
    trust.and_then(|it| serde_json::to_value(it).ok())
}

/// A problem as it is kept and told.
pub(crate) fn error_document(problem: &Problem) -> Json {
    json!({
        "code": problem.code.as_str(),
        "params": problem.params,
        "detail": problem.detail(plugyard_model::Lang::En),
    })
}

/// What is known of all plugins.
pub(crate) async fn offers(
    connection: &impl ConnectionTrait,
) -> Result<Vec<offer::Model>, StoreError> {
    Ok(offer::Entity::find().all(connection).await?)
}

/// Notes what a market offers for a plugin.
pub(crate) async fn offered(
    connection: &impl ConnectionTrait,
    row: offer::ActiveModel,
    columns: &[offer::Column],
) -> Result<(), StoreError> {
    let again = OnConflict::column(offer::Column::Fskey)
        .update_columns(columns.iter().copied())
        .to_owned();
    offer::Entity::insert(row)
        .on_conflict(again)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}
