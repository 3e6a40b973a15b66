//! Applications that are deployed on their own: nothing is installed here. The market's word of the newest
//! version becomes the record, and the operator gets the archive's address.

use plugyard_market::legacy::Package;
use plugyard_market::{Refusal, Release};
use plugyard_model::{Problem, codes};
use plugyard_store::StoreError;
use sea_orm::ActiveValue::Unchanged;
use sea_orm::{ActiveModelTrait as _, EntityTrait as _, Set, SqlErr};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::ask::Found;
use super::store::{self, Market};
use super::transport::problem;
use crate::columns::{self, PluginType};
use crate::entity::offer;
use crate::entity::plugin::{ActiveModel, Entity, Model};
use crate::events::{Event, Name};
use crate::host::{Web, now};
use crate::records;

/// What a market says of an application.
#[derive(Debug, Clone, Default)]
pub(super) struct About {
    name: String,
    description: String,
    author: String,
    author_link: Option<String>,
}

impl About {
    /// Of a package in a signed catalogue, if it is an application's.
    pub(super) fn of_release(release: &Release) -> Option<Self> {
        (release.plugin_type == PluginType::Standalone as u8).then(|| Self {
            name: release.name.clone(),
            description: release.description.clone(),
            author: release.author.clone(),
            author_link: release.author_link.clone(),
        })
    }

    /// Of an answer of Fresns' protocol, if it is an application's: because one was asked for, or because its
    /// third generation says so, which counts remote applications as 3 and those to download as 4.
    pub(super) fn of_package(package: &Package, asked: bool) -> Option<Self> {
        (asked || matches!(package.plugin_type, Some(3..=5))).then(|| Self {
            name: package
                .name
                .clone()
                .unwrap_or_else(|| package.fskey.clone()),
            description: package.description.clone().unwrap_or_default(),
            author: package.author.clone().unwrap_or_default(),
            author_link: package.author_link.clone(),
        })
    }
}

impl Web {
    /// Lets the record say what the market says, and gives the address out.
    pub(super) async fn hand_over(
        &self,
        fskey: &str,
        market: &Market,
        found: &Found,
        about: &About,
        code: Option<&str>,
    ) -> Result<Json, Problem> {
        let mut columns = written(market, found, about)?;
        // Before anything is written: who may not load it has nothing of it.
        let ticketed = self.ticketed(fskey, market, found, code).await?;
        let _alone = self.host.0.promises.alone().await;
        let (at, transaction) = (now(), self.host.database()?.begin().await?);
        let rows = records::all(&*transaction).await?;
        let twin = rows
            .iter()
            .find(|row| row.fskey != fskey && row.fskey.eq_ignore_ascii_case(fskey))
            .map(|row| row.fskey.clone())
            .or_else(|| self.host.0.promises.twin(fskey));
        let duplicate = |existing: &str| {
            Problem::new(codes::E_FSKEY_DUPLICATE)
                .with("fskey", fskey)
                .with("existing", existing)
        };
        if let Some(twin) = twin {
            return Err(duplicate(&twin));
        }
        let row = rows.into_iter().find(|row| row.fskey == fskey);
        let from = live(row.as_ref()).map(|row| row.version.clone());
        columns.updated_at = Set(records::time(at));
        columns.deleted_at = Set(None);
        let stored = match row {
            Some(row) => {
                if row.deleted_at.is_some() {
                    columns.is_enabled = Set(1);
                }
                columns.id = Unchanged(row.id);
                columns.update(&*transaction).await.map(drop)
            }
            None => {
                columns.fskey = Set(fskey.to_owned());
                columns.is_enabled = Set(1);
                columns.created_at = Set(records::time(at));
                let inserted = Entity::insert(columns);
                inserted
                    .exec_without_returning(&*transaction)
                    .await
                    .map(drop)
            }
        };
        stored.map_err(|error| match error.sql_err() {
            // Another request was faster.
            Some(SqlErr::UniqueConstraintViolation(_)) => duplicate(fskey),
            _ => StoreError::from(error).into(),
        })?;
        let origin = offer::ActiveModel {
            fskey: Set(fskey.to_owned()),
            origin_id: Set(Some(market.id)),
            checked_at: Set(at),
            ..Default::default()
        };
        store::offered(&*transaction, origin, &[offer::Column::OriginId]).await?;
        let payload = json!({
            "type": PluginType::Standalone as u8,
            "name": about.name,
            "description": about.description,
            "version": found.version,
            "author": about.author,
            "authorLink": about.author_link,
            "isStandalone": true,
        });
        let change = Uuid::now_v7().to_string();
        let event = Event::new(&change, Name::AppData, fskey, payload, at);
        self.host.0.listeners.after(&event, &transaction).await?;
        transaction.commit().await?;
        Ok(json!({
            "operation": null,
            "fskey": fskey,
            "from": from,
            "to": found.version,
            "market": market.name,
            "archive": {
                "url": ticketed.as_ref().map_or(&found.address, |it| &it.address),
                "size": found.vouched.as_ref().map(|it| it.size),
                "sha256": found.vouched.as_ref().map(|it| it.sha256),
                // Who loads it from a market that gives no tickets sends the upgrade code along, in a header.
                "entitled": found.send_code && ticketed.is_none(),
                "expiresAt": ticketed.and_then(|it| it.expires_at),
            },
        }))
    }
}

/// The columns that come from the market. What it says has to fit, as everything else has.
fn written(market: &Market, found: &Found, about: &About) -> Result<ActiveModel, Problem> {
    let unfit = |issue: columns::Issue| {
        let refusal = Refusal::Malformed {
            document: market.name.clone(),
            reason: format!("{} {:?}", issue.code.as_str(), issue.params),
        };
        problem(&market.name, &refusal)
    };
    columns::version(&found.version).map_err(unfit)?;
    let link = about.author_link.as_deref().unwrap_or_default();
    let mut columns = ActiveModel {
        plugin_type: Set(PluginType::Standalone as i16),
        is_standalone: Set(1),
        name: Set(columns::name(&about.name).map_err(unfit)?),
        description: Set(columns::description(&about.description).map_err(unfit)?),
        version: Set(found.version.clone()),
        author: Set(columns::author(&about.author).map_err(unfit)?),
        author_link: Set(columns::author_link(link).map_err(unfit)?),
        is_upgrade: Set(0),
        upgrade_version: Set(None),
        ..Default::default()
    };
    if let Some(code) = &found.code {
        columns.upgrade_code = Set(Some(code.clone()));
    }
    Ok(columns)
}

/// A record that is there, and not deleted.
pub(super) fn live(row: Option<&Model>) -> Option<&Model> {
    row.filter(|row| row.deleted_at.is_none())
}
