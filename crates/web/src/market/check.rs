//! The upgrade check: which plugins have a newer version on a market.
//!
//! What holds afterwards as before: `is_upgrade` is 1 exactly when `upgrade_version` is set and greater than
//! `version`. A row is changed only while it still has the version that was compared.

use std::collections::{BTreeMap, BTreeSet};

use plugyard_market::Release;
use plugyard_model::Problem;
use plugyard_store::{StoreError, Transaction};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use serde_json::{Value as Json, json};

use super::ask::{self, Installed, Said};
use super::decide::{Answer, Verdict, decide};
use super::settings;
use super::store::{self, Market};
use crate::entity::{offer, plugin};
use crate::host::{WebHost, now};
use crate::lifecycle::requirements;
use crate::package::Platform;
use crate::{records, site, states};

/// How a check went.
#[derive(Debug)]
pub(crate) struct Report {
    /// Whether every market answered.
    pub(crate) complete: bool,
    pub(crate) document: Json,
}

impl WebHost {
    /// Asks all markets for newer versions of all plugins, deployed elsewhere or not.
    ///
    /// A market that cannot be asked changes no row and is in the report; the time of the latest check is
    /// stored when all could be.
    pub(crate) async fn market_check(&self) -> Result<Report, Problem> {
        let _turn = self.0.markets.checking.lock().await;
        let database = self.database()?;
        let site = self.site().await?;
        let channel = settings::channel(&site);
        let mut markets = store::markets(database.conn(), &site).await?;
        let rows = records::all(database.conn()).await?;
        let origins = origins(&store::offers(database.conn()).await?, &markets);
        let installed: Installed = rows
            .iter()
            .filter(|row| row.deleted_at.is_none())
            .map(|row| (row.fskey.clone(), row.version.clone()))
            .collect();

        let mut said: Vec<Result<BTreeMap<String, Said>, Problem>> = Vec::new();
        for market in &mut markets {
            let own: Installed = installed
                .iter()
                .filter(|(fskey, _)| origins.get(*fskey).is_none_or(|id| *id == market.id))
                .map(|(fskey, version)| (fskey.clone(), version.clone()))
                .collect();
            let way = self.way(market, &site);
            let answers = ask::versions(market, &way, &own, channel).await;
            store::asked(database, market, answers.as_ref().err(), now()).await?;
            said.push(answers);
        }

        let complete = said.iter().all(Result::is_ok);
        let checked = now();
        let transaction = database.begin().await?;
        let mut plugins = Vec::new();
        for fskey in installed.keys() {
            let chosen = choose(fskey, &origins, &markets, &said);
            let others = others(fskey, &chosen, &markets, &said);
            let mut judged = self
                .judge(&transaction, fskey, chosen, &site, checked)
                .await?;
            judged["alsoOn"] = json!(others);
            plugins.push(judged);
        }
        if complete {
            let time = json!(store::when(checked));
            site::put(&*transaction, settings::CHECKED, time, None, checked).await?;
        }
        transaction.commit().await?;

        let told: Vec<Json> = markets
            .iter()
            .zip(&said)
            .map(|(market, said)| {
                json!({
                    "name": market.name,
                    "ok": said.is_ok(),
                    "error": said.as_ref().err().map(store::error_document),
                })
            })
            .collect();
        let document = json!({
            "complete": complete,
            "checkedAt": store::when(checked),
            "markets": told,
            "plugins": plugins,
        });
        Ok(Report { complete, document })
    }

    /// Compares one plugin with what a market says, and writes what comes of it.
    async fn judge(
        &self,
        transaction: &Transaction,
        fskey: &str,
        chosen: Chosen<'_>,
        site: &site::Site,
        checked: i64,
    ) -> Result<Json, StoreError> {
        // As it is now: an upgrade may have been faster.
        let Some(row) = records::find_live(&**transaction, fskey).await? else {
            return Ok(json!({ "fskey": fskey, "state": "left", "reason": "gone" }));
        };
        let (market, said) = match chosen {
            Chosen::Says(market, said) => (market, said),
            Chosen::Nobody(reason) => {
                return Ok(json!({
                    "fskey": fskey,
                    "version": row.version,
                    "state": "left",
                    "reason": reason,
                    "upgradeVersion": row.upgrade_version,
                }));
            }
        };
        let verdict = decide(&row.version, &said.answer, settings::channel(site));
        let flag = match &verdict {
            Verdict::Leave(reason) => {
                return Ok(json!({
                    "fskey": fskey,
                    "version": row.version,
                    "state": "left",
                    "reason": reason,
                    "upgradeVersion": row.upgrade_version,
                    "market": market.name,
                }));
            }
            Verdict::Clear => None,
            Verdict::Flag(version) => Some(version.clone()),
        };
        write_flag(transaction, &row, flag.as_deref(), checked).await?;
        let mut blocked = Vec::new();
        if let (Some(version), Some(release)) = (&flag, &said.release) {
            let rows = records::all(&**transaction).await?;
            let all = states::all(&**transaction).await?;
            let core = self.0.settings.core_version.as_ref();
            let needs = needs(release);
            blocked = requirements::missing_for(&rows, &all, core, (fskey, version), &needs);
        }
        let release = said.release.as_ref().filter(|_| flag.is_some());
        let known = offer::ActiveModel {
            fskey: Set(fskey.to_owned()),
            market_id: Set(flag.as_ref().map(|_| market.id)),
            blocked_by: Set((!blocked.is_empty()).then(|| json!(blocked))),
            needs: Set(release.map(|it| json!(it.dependencies.keys().collect::<Vec<_>>()))),
            changelog_url: Set(release.and_then(|it| it.changelog_url.clone())),
            checked_at: Set(checked),
            ..Default::default()
        };
        let columns = [
            offer::Column::MarketId,
            offer::Column::BlockedBy,
            offer::Column::Needs,
            offer::Column::ChangelogUrl,
            offer::Column::CheckedAt,
        ];
        store::offered(&**transaction, known, &columns).await?;
        Ok(json!({
            "fskey": fskey,
            "version": row.version,
            "state": if flag.is_some() { "upgrade" } else { "current" },
            "upgradeVersion": flag,
            "upgradeBlockedBy": blocked,
            "market": market.name,
        }))
    }
}

/// What is offered, for all plugins that have an upgrade.
pub(crate) async fn upgrades(host: &WebHost) -> Result<Vec<Json>, Problem> {
    let database = host.database()?;
    let site = host.site().await?;
    let markets = store::markets(database.conn(), &site).await?;
    let offers = store::offers(database.conn()).await?;
    let rows = records::all(database.conn()).await?;
    let flagged = rows
        .iter()
        .filter(|row| row.deleted_at.is_none() && row.is_upgrade == 1);
    Ok(flagged
        .map(|row| {
            let offer = offers.iter().find(|it| it.fskey == row.fskey);
            let market = offer
                .and_then(|it| it.market_id)
                .and_then(|id| markets.iter().find(|it| it.id == id));
            json!({
                "fskey": row.fskey,
                "name": row.name,
                "version": row.version,
                "upgradeVersion": row.upgrade_version,
                "upgradeBlockedBy": offer.and_then(|it| it.blocked_by.clone()).unwrap_or_else(|| json!([])),
                "changelogUrl": offer.and_then(|it| it.changelog_url.clone()),
                "market": market.map(|it| it.name.clone()),
            })
        })
        .collect())
}

/// Which market each plugin came from, as far as that market is still there.
pub(super) fn origins(offers: &[offer::Model], markets: &[Market]) -> BTreeMap<String, i64> {
    let known: BTreeSet<i64> = markets.iter().map(|it| it.id).collect();
    offers
        .iter()
        .filter_map(|it| Some((it.fskey.clone(), it.origin_id?)))
        .filter(|(_, id)| known.contains(id))
        .collect()
}

/// Who answers for a plugin.
enum Chosen<'a> {
    Says(&'a Market, &'a Said),
    Nobody(&'static str),
}

fn choose<'a>(
    fskey: &str,
    origins: &BTreeMap<String, i64>,
    markets: &'a [Market],
    said: &'a [Result<BTreeMap<String, Said>, Problem>],
) -> Chosen<'a> {
    let origin = origins.get(fskey);
    for (market, said) in markets.iter().zip(said) {
        if origin.is_some_and(|id| *id != market.id) {
            continue;
        }
        match said {
            // Another market must not answer in its place.
            Err(_) => return Chosen::Nobody("unreachable"),
            Ok(said) => match said.get(fskey) {
                Some(said) if said.answer != Answer::Unknown => {
                    return Chosen::Says(market, said);
                }
                _ => {}
            },
        }
    }
    Chosen::Nobody("unknown")
}

/// The markets that know a plugin too, and do not answer for it.
fn others<'a>(
    fskey: &str,
    chosen: &Chosen<'_>,
    markets: &'a [Market],
    said: &[Result<BTreeMap<String, Said>, Problem>],
) -> Vec<&'a str> {
    let Chosen::Says(chosen, _) = chosen else {
        return Vec::new();
    };
    let know = markets.iter().zip(said).filter(|(market, said)| {
        market.id != chosen.id
            && said.as_ref().is_ok_and(|said| {
                said.get(fskey)
                    .is_some_and(|said| said.answer != Answer::Unknown)
            })
    });
    know.map(|(market, _)| market.name.as_str()).collect()
}

/// Sets both columns, while the row has the version that was compared.
async fn write_flag(
    transaction: &Transaction,
    row: &plugin::Model,
    flag: Option<&str>,
    time: i64,
) -> Result<(), StoreError> {
    if row.upgrade_version.as_deref() == flag && (row.is_upgrade == 1) == flag.is_some() {
        return Ok(());
    }
    plugin::Entity::update_many()
        .col_expr(
            plugin::Column::IsUpgrade,
            Expr::value(i16::from(flag.is_some())),
        )
        .col_expr(
            plugin::Column::UpgradeVersion,
            Expr::value(flag.map(str::to_owned)),
        )
        .col_expr(plugin::Column::UpdatedAt, Expr::value(records::time(time)))
        .filter(plugin::Column::Id.eq(row.id))
        .filter(plugin::Column::Version.eq(&row.version))
        .filter(plugin::Column::DeletedAt.is_null())
        .exec(&**transaction)
        .await?;
    Ok(())
}

/// What a catalogue says that a version needs, as its manifest would.
fn needs(release: &Release) -> Platform {
    Platform {
        core: release.min_core.clone(),
        dependencies: release.dependencies.clone(),
        conflicts: release.conflicts.clone(),
        ..Platform::default()
    }
}
