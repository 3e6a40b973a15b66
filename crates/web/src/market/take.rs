//! Bringing plugins from a market: found, loaded, compared with what was announced, and installed like any
//! package.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use plugyard_archive::digest_file;
use plugyard_http::Principal;
use plugyard_market::{Offer, Refusal, Sha256};
use plugyard_model::{OperationId, PluginName, Problem, Severity, codes};
use plugyard_platform::intake::{Source, TakeIn};
use plugyard_platform::operations::{ChangeRequest, Outcome};
use plugyard_store::{SecretText, StoreError};
use sea_orm::Set;
use serde_json::{Value as Json, json};

use super::ask::{self, Found};
use super::check::origins;
use super::download::{self, Downloaded, Part};
use super::settings;
use super::standalone::live;
use super::store::{self, Market};
use super::transport::problem;
use crate::columns::{self, PluginType};
use crate::entity::{offer, plugin};
use crate::host::{Web, now};
use crate::package::KIND;
use crate::{records, states};

/// A change that brings a plugin.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) operation: OperationId,
    fskey: String,
    from: Option<String>,
    to: String,
    market: String,
    market_id: i64,
}

impl Begun {
    pub(crate) fn document(&self) -> Json {
        json!({
            "operation": self.operation,
            "fskey": self.fskey,
            "from": self.from,
            "to": self.to,
            "market": self.market,
        })
    }
}

/// What came of asking for a plugin.
#[derive(Debug)]
pub(crate) enum Taken {
    /// A change that installs it.
    Begun(Begun),
    /// Nothing is installed: what the operator needs to know.
    Handed(Json),
}

impl Taken {
    pub(crate) fn document(&self) -> Json {
        match self {
            Self::Begun(begun) => begun.document(),
            Self::Handed(document) => document.clone(),
        }
    }
}

/// Which plugin is wanted, and from where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) fskey: &'a str,
    /// Else the market it came from, or the first that has it.
    pub(crate) market: Option<&'a str>,
    /// Whether it is known to be an application that is deployed on its own.
    pub(crate) standalone: bool,
    pub(crate) wish: Wish,
}

/// What is wanted of a market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To have it, in its newest version.
    Have,
    /// A newer version of what is here.
    Newer,
}

impl Web {
    /// Begins to bring a plugin, or hands an application over.
    pub(crate) async fn market_take(
        &self,
        who: &Principal,
        wanted: Wanted<'_>,
    ) -> Result<Taken, Problem> {
        let fskey = wanted.fskey;
        columns::fskey(fskey).map_err(|issue| {
            let mut problem = Problem::new(issue.code);
            problem.params = issue.params;
            problem
        })?;
        let plugin: PluginName = format!("{KIND}:{fskey}")
            .parse()
            .map_err(|_| Problem::new(codes::E_FSKEY_FORMAT).with("value", fskey))?;
        let database = self.host.database()?;
        let row = records::find(database.conn(), fskey).await?;
        let live = live(row.as_ref());
        if wanted.wish == Wish::Newer && live.is_none() {
            return Err(records::not_found(fskey));
        }
        let installed = self.platform.installation_of(&plugin).await?;
        let installed = installed.is_some_and(|view| view.current.is_some());
        let (market, found) = self.find(wanted, row.as_ref(), installed).await?;
        let from = live.map(|row| row.version.clone());
        if let (Wish::Newer, Some(from)) = (wanted.wish, &from) {
            must_be_newer(fskey, from, &found.version)?;
        }
        // One that was installed from a file all the same stays a package.
        if let Some(about) = found.standalone.as_ref().filter(|_| !installed) {
            if let (Wish::Have, Some(from)) = (wanted.wish, &from) {
                must_not_be_older(fskey, from, &found.version)?;
            }
            let code = self.market_code(&market, fskey, row.as_ref()).await?;
            let code = code.as_ref().map(SecretText::expose);
            let handed = self.hand_over(fskey, &market, &found, about, code).await?;
            return Ok(Taken::Handed(handed));
        }
        let code = self.market_code(&market, fskey, row.as_ref()).await?;
        let mut part = self
            .load(
                fskey,
                &market,
                &found,
                code.as_ref().map(SecretText::expose),
            )
            .await?;
        // It is whole: nobody has to come back to it.
        part.finish();
        let take_in = TakeIn {
            kind: Some(KIND),
            expected_key: Some(fskey.to_owned()),
            ..TakeIn::default()
        };
        self.compare(fskey, &found, part.path(), &take_in).await?;
        let intake = self
            .platform
            .take_in(Source::Path(part.path().to_owned()), take_in)
            .await?;
        if let Some(code) = &found.code {
            states::offer(database.conn(), fskey, &intake.digest, code, now()).await?;
        }
        drop(part);
        let version = intake.version.id;
        let request = if installed {
            ChangeRequest::Upgrade { version }
        } else {
            ChangeRequest::Install {
                version,
                wanted: None,
            }
        };
        let operation = self.platform.change(who, &plugin, request).await?;
        let begun = Begun {
            operation,
            fskey: fskey.to_owned(),
            from,
            to: found.version,
            market: market.name,
            market_id: market.id,
        };
        let (web, fskey, market_id) = (self.clone(), begun.fskey.clone(), begun.market_id);
        // Who asked may not wait for the end.
        self.host.0.markets.tasks.spawn(async move {
            if let Ok(Outcome::Done) = web.platform.wait(operation).await
                && let Err(error) = web.came_from(&fskey, market_id).await
            {
                tracing::error!(%error, fskey, "Where a plugin came from could not be stored");
            }
        });
        Ok(Taken::Begun(begun))
    }

    /// Brings all plugins to their newest versions, each for itself, those first that others need. Gives what
    /// became of each.
    pub(crate) async fn market_upgrade_all(&self, who: &Principal) -> Result<Json, Problem> {
        let mut items = Vec::new();
        let mut failed = 0;
        for row in self.flagged_in_order().await? {
            let item = self.upgrade_one(who, &row).await;
            let done = item["state"] == "upgraded" || item["state"] == "handedOver";
            failed += usize::from(!done);
            items.push(item);
        }
        Ok(json!({ "items": items, "failed": failed }))
    }

    async fn upgrade_one(&self, who: &Principal, row: &plugin::Model) -> Json {
        let item = |state: &str,
                    to: Option<&str>,
                    operation: Option<OperationId>,
                    error: Option<&Problem>| {
            json!({
                "fskey": row.fskey,
                "from": row.version,
                "to": to,
                "state": state,
                "operation": operation,
                "error": error.map(store::error_document),
            })
        };
        let announced = row.upgrade_version.as_deref();
        let wanted = Wanted {
            fskey: &row.fskey,
            market: None,
            standalone: false,
            wish: Wish::Newer,
        };
        let begun = match self.market_take(who, wanted).await {
            Ok(Taken::Begun(begun)) => begun,
            Ok(Taken::Handed(document)) => {
                let mut item = item("handedOver", document["to"].as_str(), None, None);
                item["archive"] = document["archive"].clone();
                return item;
            }
            Err(problem) => {
                let state = if problem.code == codes::E_REQUIREMENTS {
                    "blocked"
                } else {
                    "failed"
                };
                return item(state, announced, None, Some(&problem));
            }
        };
        let (to, operation) = (Some(begun.to.as_str()), Some(begun.operation));
        match self.platform.wait(begun.operation).await {
            Ok(Outcome::Done) => item("upgraded", to, operation, None),
            Ok(Outcome::RolledBack(problem)) => item("rolledBack", to, operation, Some(&problem)),
            Ok(
                Outcome::Failed(problem)
                | Outcome::UndoFailed(problem)
                | Outcome::Cancelled(problem),
            )
            | Err(problem) => item("failed", to, operation, Some(&problem)),
        }
    }

    /// The plugins that have an upgrade, those first that others of them need.
    async fn flagged_in_order(&self) -> Result<Vec<plugin::Model>, Problem> {
        let database = self.host.database()?;
        let rows = records::all(database.conn()).await?;
        let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for state in states::all(database.conn()).await? {
            if let Some(manifest) = states::manifest(&state) {
                let names = manifest.platform.dependencies.into_keys();
                needs.entry(state.fskey).or_default().extend(names);
            }
        }
        for offer in store::offers(database.conn()).await? {
            let names: Vec<String> = offer
                .needs
                .and_then(|it| serde_json::from_value(it).ok())
                .unwrap_or_default();
            needs.entry(offer.fskey).or_default().extend(names);
        }
        let flagged: BTreeMap<String, plugin::Model> = rows
            .into_iter()
            .filter(|row| row.deleted_at.is_none() && row.is_upgrade == 1)
            .map(|row| (row.fskey.clone(), row))
            .collect();
        Ok(ordered(&flagged, &needs))
    }

    /// The market that has a plugin, and its package there.
    async fn find(
        &self,
        wanted: Wanted<'_>,
        row: Option<&plugin::Model>,
        installed: bool,
    ) -> Result<(Market, Found), Problem> {
        let (fskey, named) = (wanted.fskey, wanted.market);
        let database = self.host.database()?;
        let site = self.host.site().await?;
        let channel = settings::channel(&site);
        let mut markets = store::markets(database.conn(), &site).await?;
        let origin = origins(&store::offers(database.conn()).await?, &markets)
            .get(fskey)
            .copied();
        if let Some(name) = named {
            markets.retain(|it| it.name == name);
            if markets.is_empty() {
                return Err(store::unknown(name));
            }
        } else if let Some(origin) = origin {
            markets.retain(|it| it.id == origin);
        }
        let known = row.is_some_and(|it| it.plugin_type == PluginType::Standalone as i16);
        let here = ask::Here {
            version: row.map(|row| row.version.as_str()),
            code: None,
            standalone: (wanted.standalone || known) && !installed,
        };
        let mut refused = None;
        for mut market in markets {
            let way = self.host.way(&market, &site);
            let code = self.market_code(&market, fskey, row).await?;
            let here = ask::Here {
                code: code.as_ref().map(SecretText::expose),
                ..here
            };
            let found = ask::find(&mut market, &way, fskey, here, channel).await;
            // What was seen is remembered, whatever came of it.
            store::trusted(database, &market).await?;
            match found {
                Ok(Some(found)) => return Ok((market, found)),
                Ok(None) => {}
                // Fresns' markets refuse what they do not know. Anything else ends the search: another
                // market must not answer in place of one that is kept from answering.
                Err(problem) if problem.code == codes::E_MARKET_REFUSED => refused = Some(problem),
                Err(problem) => return Err(problem),
            }
        }
        Err(refused.unwrap_or_else(|| Problem::new(codes::E_NOT_ON_MARKET).with("fskey", fskey)))
    }

    /// Loads a package, and compares its bytes with what the catalogue says of them.
    async fn load(
        &self,
        fskey: &str,
        market: &Market,
        found: &Found,
        code: Option<&str>,
    ) -> Result<Part, Problem> {
        let site = self.host.site().await?;
        let way = self.host.way(market, &site);
        let own = self.platform.settings().package_limit;
        let too_large = || Problem::new(codes::PACKAGE_TOO_LARGE).with("limit", own);
        let vouched = found.vouched.as_ref();
        if vouched.is_some_and(|offer| offer.size > own.0) {
            return Err(too_large());
        }
        let wanted = download::Wanted {
            address: &found.address,
            code: code.filter(|_| found.send_code),
            size: vouched.map(|offer| offer.size),
            limit: vouched.map_or(own.0, |offer| offer.size),
            patience: self.host.0.settings.download_timeout,
        };
        let directory = self.platform.home().downloads();
        let mut part = self
            .host
            .0
            .markets
            .parts
            .open(
                &directory,
                (&market.name, fskey, &found.version),
                vouched.map(|offer| &offer.sha256),
                self.parts_limit(),
            )
            .map_err(|error| {
                Problem::new(codes::INPUT_UNREADABLE)
                    .with("path", directory.display())
                    .with("reason", error)
            })?;
        loop {
            let downloaded = way
                .download(wanted, &mut part)
                .await
                .map_err(|refusal| problem(&market.name, &refusal))?;
            let refusal = match (downloaded, vouched) {
                (Downloaded::Whole, None) => return Ok(part),
                (Downloaded::Whole, Some(offer)) => match other_bytes(offer, part.path()).await {
                    None => return Ok(part),
                    Some(refusal) => refusal,
                },
                (Downloaded::Forbidden, _) => {
                    return Err(Problem::new(codes::E_UPGRADE_CODE)
                        .with("market", &market.name)
                        .with("fskey", fskey));
                }
                (Downloaded::TooLarge, None) => {
                    part.finish();
                    return Err(too_large());
                }
                (Downloaded::TooLarge, Some(offer)) => Refusal::PackageLength {
                    path: offer.path.clone(),
                    expected_size: offer.size,
                },
            };
            // What was here of an earlier attempt may be to blame.
            let again = part.continued;
            part.clear();
            if !again {
                part.finish();
                return Err(problem(&market.name, &refusal));
            }
        }
    }

    /// Whether the package is the plugin and the version that were announced.
    async fn compare(
        &self,
        fskey: &str,
        found: &Found,
        file: &Path,
        take_in: &TakeIn,
    ) -> Result<(), Problem> {
        let looked = self
            .platform
            .inspect(Source::Path(file.to_path_buf()), take_in)
            .await?;
        let findings = &looked.inspection.findings;
        if let Some(mismatch) = findings
            .iter()
            .find(|it| it.severity == Severity::Error && it.code == codes::E_FSKEY_MISMATCH)
        {
            let mut problem = Problem::new(codes::E_FSKEY_MISMATCH);
            problem.params = mismatch.params.clone();
            return Err(problem.with_findings(findings.clone()));
        }
        match &looked.inspection.version {
            Some(actual) if *actual != found.version => {
                Err(Problem::new(codes::E_VERSION_MISMATCH)
                    .with("fskey", fskey)
                    .with("actual", actual)
                    .with("expected", &found.version))
            }
            // What else is wrong with it is said when it is taken in.
            _ => Ok(()),
        }
    }

    /// Bytes that packages which came in part may take together.
    pub(super) fn parts_limit(&self) -> u64 {
        self.platform.settings().package_limit.0.saturating_mul(2)
    }

    async fn came_from(&self, fskey: &str, market: i64) -> Result<(), StoreError> {
        let row = offer::ActiveModel {
            fskey: Set(fskey.to_owned()),
            origin_id: Set(Some(market)),
            checked_at: Set(now()),
            ..Default::default()
        };
        let connection = self.host.database()?.conn();
        store::offered(connection, row, &[offer::Column::OriginId]).await
    }
}

fn must_be_newer(fskey: &str, from: &str, to: &str) -> Result<(), Problem> {
    let none = || {
        Problem::new(codes::E_NO_UPGRADE)
            .with("fskey", fskey)
            .with("version", from)
    };
    let (Ok(here), Ok(there)) = (semver::Version::parse(from), semver::Version::parse(to)) else {
        return Err(none());
    };
    if there.cmp_precedence(&here).is_gt() {
        Ok(())
    } else {
        Err(none())
    }
}

fn must_not_be_older(fskey: &str, from: &str, to: &str) -> Result<(), Problem> {
    let (Ok(here), Ok(there)) = (semver::Version::parse(from), semver::Version::parse(to)) else {
        return Ok(());
    };
    if there.cmp_precedence(&here).is_lt() {
        return Err(Problem::new(codes::E_DOWNGRADE)
            .with("fskey", fskey)
            .with("from", from)
            .with("to", to));
    }
    Ok(())
}

async fn hashed(file: &Path) -> Option<(u64, Sha256)> {
    let file = file.to_path_buf();
    let work = move || {
        let (digest, size) = digest_file(&file).ok()?;
        Some((size, Sha256::from_bytes(*digest.as_bytes())))
    };
    tokio::task::spawn_blocking(work).await.ok().flatten()
}

/// Why a file is not the package of the catalogue; `None` when it is.
async fn other_bytes(offer: &Offer, file: &Path) -> Option<Refusal> {
    let (size, hash) = hashed(file).await.unwrap_or((0, Sha256::of(&[])));
    (size != offer.size || hash != offer.sha256).then(|| Refusal::PackageHash {
        path: offer.path.clone(),
        size,
        hash,
        expected_size: offer.size,
        expected: offer.sha256,
    })
}

/// Those first that others need; circles are cut where they are met.
fn ordered(
    flagged: &BTreeMap<String, plugin::Model>,
    needs: &BTreeMap<String, BTreeSet<String>>,
) -> Vec<plugin::Model> {
    fn visit(
        fskey: &str,
        flagged: &BTreeMap<String, plugin::Model>,
        needs: &BTreeMap<String, BTreeSet<String>>,
        seen: &mut BTreeSet<String>,
        order: &mut Vec<plugin::Model>,
    ) {
        if !seen.insert(fskey.to_owned()) {
            return;
        }
        // Also through plugins that have no upgrade themselves.
        for name in needs.get(fskey).into_iter().flatten() {
            visit(name, flagged, needs, seen, order);
        }
        order.extend(flagged.get(fskey).cloned());
    }
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    for fskey in flagged.keys() {
        visit(fskey, flagged, needs, &mut seen, &mut order);
    }
    order
}
