//! Command words about markets.

use async_trait::async_trait;
use plugyard_http::Principal;
use plugyard_model::Problem;
use plugyard_model::rights::Role;
use serde_json::Value as Json;

use super::take::{Wanted, Wish};
use crate::host::Web;
use crate::pages::MarketWords;

/// Answers for the market.
pub(super) struct Words(pub(super) Web);

#[async_trait]
impl MarketWords for Words {
    async fn check_versions(&self) -> Result<Json, Problem> {
        Ok(self.0.host.market_check().await?.document)
    }

    async fn download(&self, fskey: &str) -> Result<Json, Problem> {
        // Who may send command words was checked where they came in.
        let who = Principal {
            name: "command-word".to_owned(),
            roles: vec![Role::Operator],
        };
        let wanted = Wanted {
            fskey,
            market: None,
            standalone: false,
            wish: Wish::Have,
        };
        Ok(self.0.market_take(&who, wanted).await?.document())
    }
}
