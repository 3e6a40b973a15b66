//! Codes that entitle this installation to packages of a market: kept encrypted, sent to that market alone.
//!
//! A plugin that is here may have one in its record, which came from the market or from the operator; one that is
//! not here yet has none there. What is kept here goes before what the record says.

use plugyard_market::Refusal;
use plugyard_model::{Problem, codes};
use plugyard_store::secrets::{self, SecretOwner};
use plugyard_store::{SecretText, StoreError, Transaction};
use reqwest::StatusCode;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use uuid::Uuid;

use super::ask::{Found, is_code};
use super::store::{self, Market};
use super::transport::problem;
use crate::columns;
use crate::entity::plugin;
use crate::host::Web;

/// The header that carries a code to a market of our protocol.
pub(super) const HEADER: &str = "x-plugyard-upgrade-code";

/// The longest answer to a question for a ticket.
const ANSWER: u64 = 4096;

/// Whose the codes of a market are.
fn owner(market: i64) -> SecretOwner {
    const MARKETS: u128 = 0x706c_7567_7961_7264_0000_0000_0000_0000;
    SecretOwner(Uuid::from_u128(MARKETS | u128::from(market.unsigned_abs())))
}

/// Forgets all codes of a market.
pub(super) async fn forget(transaction: &Transaction, market: i64) -> Result<(), StoreError> {
    secrets::forget(&**transaction, owner(market)).await
}

/// The address of a package with a ticket in it, which anybody may load it with for a while.
#[derive(Debug)]
pub(super) struct Ticketed {
    pub(super) address: String,
    /// RFC 3339.
    pub(super) expires_at: Option<String>,
}

/// What a market answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ticket {
    ticket: String,
    expires_at: Option<String>,
}

impl Web {
    /// The plugins that there is a code for.
    pub(crate) async fn market_codes(&self, name: &str) -> Result<Vec<String>, Problem> {
        let connection = self.host.database()?.conn();
        let market = store::row(connection, name).await?;
        let secrets = self.platform.secrets().await?;
        let mut names = secrets.names(connection, owner(market.id)).await?;
        names.sort();
        Ok(names)
    }

    /// Keeps a code.
    pub(crate) async fn market_code_put(
        &self,
        name: &str,
        fskey: &str,
        code: &SecretText,
    ) -> Result<(), Problem> {
        columns::fskey(fskey).map_err(|issue| {
            let mut problem = Problem::new(issue.code);
            problem.params = issue.params;
            problem
        })?;
        if !is_code(code.expose()) {
            let reason = "a code is 1 to 32 printable characters of ASCII without spaces";
            return Err(Problem::new(codes::E_MARKET_INVALID)
                .with("field", "code")
                .with("reason", reason));
        }
        let database = self.host.database()?;
        let market = store::row(database.conn(), name).await?;
        let secrets = self.platform.secrets().await?;
        let transaction = database.begin().await?;
        secrets
            .put(&transaction, owner(market.id), fskey, code)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Forgets a code.
    pub(crate) async fn market_code_forget(&self, name: &str, fskey: &str) -> Result<(), Problem> {
        let connection = self.host.database()?.conn();
        let market = store::row(connection, name).await?;
        let secrets = self.platform.secrets().await?;
        secrets.delete(connection, owner(market.id), fskey).await?;
        Ok(())
    }

    /// The code to show to a market: the one that is kept for it, else the one of the record.
    pub(super) async fn market_code(
        &self,
        market: &Market,
        fskey: &str,
        row: Option<&plugin::Model>,
    ) -> Result<Option<SecretText>, Problem> {
        let of_record = row.and_then(|row| row.upgrade_code.as_deref());
        let of_record = of_record.map(SecretText::new);
        if market.id == 0 {
            return Ok(of_record);
        }
        let connection = self.host.database()?.conn();
        let kept = match self.platform.secrets().await {
            Ok(secrets) => secrets.get(connection, owner(market.id), fskey).await?,
            // Without the key of the secrets most plugins can still be had.
            Err(problem) => {
                tracing::warn!(%problem, "Codes of markets cannot be read");
                None
            }
        };
        Ok(kept.or(of_record))
    }

    /// Exchanges the code for an address that whoever deploys the application can open. `None` where no code is
    /// needed, or the market gives no tickets.
    pub(super) async fn ticketed(
        &self,
        fskey: &str,
        market: &Market,
        found: &Found,
        code: Option<&str>,
    ) -> Result<Option<Ticketed>, Problem> {
        let Some(offer) = found.vouched.as_ref().filter(|_| found.send_code) else {
            return Ok(None);
        };
        let not_entitled = || {
            Problem::new(codes::E_UPGRADE_CODE)
                .with("market", &market.name)
                .with("fskey", fskey)
        };
        let mut value = code
            .and_then(|code| HeaderValue::from_str(code).ok())
            .ok_or_else(not_entitled)?;
        value.set_sensitive(true);
        let mut way = self.host.way(market, &self.host.site().await?);
        way.headers.insert(HEADER, value);
        let address = format!("{}/tickets/{}", way.base, offer.path);
        let refused = |refusal: Refusal| problem(&market.name, &refusal);
        let Some(bytes) = way
            .read_unless(&address, ANSWER, StatusCode::FORBIDDEN)
            .await
            .map_err(refused)?
        else {
            return Ok(None);
        };
        let bytes = bytes.ok_or_else(not_entitled)?;
        let ticket: Ticket = serde_json::from_slice(&bytes).map_err(|error| {
            let refusal = Refusal::Malformed {
                document: "ticket".to_owned(),
                reason: error.to_string(),
            };
            problem(&market.name, &refusal)
        })?;
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("ticket", &ticket.ticket)
            .finish();
        Ok(Some(Ticketed {
            address: format!("{}?{query}", found.address),
            expires_at: ticket.expires_at,
        }))
    }
}
