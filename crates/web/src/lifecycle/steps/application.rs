//! What the application has to say and to do: its commands, and whether it stays healthy.

use plugyard_model::codes;
use plugyard_platform::kind::{StepCx, StepError, StepOutput};
use plugyard_store::StoreError;
use serde_json::json;

use super::before;
use super::data::snapshot;
use super::error::{failure, params, stored};
use crate::hooks::{self, Hook, Subject};
use crate::host::{WebHost, now};
use crate::lifecycle::Facts;
use crate::package::Manifest;
use crate::{health, records, states};

/// Why a plugin that is watched does not stay.
const CRASHED: &str = "the application said that loading it ended it";

impl WebHost {
    /// Dependencies are the application's as a whole, so one at a time.
    pub(super) async fn resolve(&self, cx: &StepCx, facts: &Facts) -> Result<(), StepError> {
        let _one = self.0.resolving.lock().await;
        self.hook(cx, Hook::Dependencies, facts, "").await
    }

    pub(super) async fn unload(&self, cx: &StepCx, facts: &Facts) -> Result<(), StepError> {
        self.hook(cx, Hook::Unload, &before(facts), "").await
    }

    /// Asks the application until it said yes, and watches for a while whether it stays so. Where it cannot be
    /// asked it is only watched: the application says when loading the plugin ended it.
    pub(super) async fn healthy(
        &self,
        cx: &StepCx,
        facts: &Facts,
    ) -> Result<StepOutput, StepError> {
        let asks = |it: &Manifest| it.platform.health_path.is_some();
        let address = self.health_address(facts).await.map_err(stored)?;
        if address.is_none() && facts.target.as_ref().is_some_and(asks) {
            let reason = "neither `plugin_host` nor `system_url` says where to ask";
            return Err(unhealthy(facts, reason.to_owned()));
        }
        let settings = &self.0.settings;
        let began = now();
        let watched = async {
            let Some(address) = address.as_deref() else {
                (cx.log)(&format!("watching for {:?}", settings.observation));
                tokio::time::sleep(settings.observation).await;
                return Ok(());
            };
            (cx.log)(&format!("asking {address}"));
            health::tried(settings, address).await?;
            (cx.log)(&format!(
                "it answers; watching for {:?}",
                settings.observation
            ));
            health::observed(settings, address, &*cx.log).await
        };
        let said = tokio::select! {
            said = watched => said,
            reason = self.crash(&facts.fskey, began) => Err(reason),
            () = cx.cancelled.cancelled() => Err("cancelled".to_owned()),
        };
        said.map_err(|reason| unhealthy(facts, reason))?;
        if self.crashed_since(&facts.fskey, began).await {
            return Err(unhealthy(facts, CRASHED.to_owned()));
        }
        Ok(json!({ "address": address }))
    }

    /// Waits for the application to say that loading the plugin ended it.
    async fn crash(&self, fskey: &str, began: i64) -> String {
        loop {
            tokio::time::sleep(health::PAUSE).await;
            if self.crashed_since(fskey, began).await {
                return CRASHED.to_owned();
            }
        }
    }

    /// Whether it said so since then. A database that does not answer is asked again, here or by the commit.
    async fn crashed_since(&self, fskey: &str, began: i64) -> bool {
        let Ok(database) = self.database() else {
            return false;
        };
        let state = states::find(database.conn(), fskey).await;
        state.is_ok_and(|state| records::crashes(&state).iter().any(|at| *at >= began))
    }

    /// Where the plugin's health is asked for; `None` without a base address or a path.
    pub(crate) async fn health_address(&self, facts: &Facts) -> Result<Option<String>, StoreError> {
        let manifest = facts.target.as_ref().or(facts.current.as_ref());
        let Some(path) = manifest.and_then(|it| it.platform.health_path.as_deref()) else {
            return Ok(None);
        };
        let row = records::find(self.database()?.conn(), &facts.fskey).await?;
        let host = row
            .and_then(|row| row.plugin_host)
            .filter(|it| !it.is_empty());
        let base = match host {
            Some(host) => Some(host),
            None => self.site().await?.system_url().map(str::to_owned),
        };
        Ok(base.map(|base| health::address(&base, path)))
    }

    pub(super) async fn hook(
        &self,
        cx: &StepCx,
        hook: Hook,
        facts: &Facts,
        mark: &str,
    ) -> Result<(), StepError> {
        self.hook_says(cx, hook, facts, mark).await.map(drop)
    }

    pub(super) async fn hook_says(
        &self,
        cx: &StepCx,
        hook: Hook,
        facts: &Facts,
        mark: &str,
    ) -> Result<String, StepError> {
        let version = |it: Option<&Manifest>| it.map(|it| it.version.clone()).unwrap_or_default();
        let manifest = facts.target.as_ref().or(facts.current.as_ref());
        let subject = Subject {
            fskey: facts.fskey.clone(),
            directory: self.shown(facts),
            version: version(manifest),
            from: cx
                .change
                .current
                .as_ref()
                .map(|it| it.label.clone())
                .unwrap_or_default(),
            mark: mark.to_owned(),
            snapshot: snapshot(&self.0.home, &cx.change),
        };
        // A way back is not cut short by what ended the way there.
        let never = tokio_util::sync::CancellationToken::new();
        let cancelled = match cx.reason {
            Some(_) => &never,
            None => &cx.cancelled,
        };
        let (settings, home) = (&self.0.settings.hooks, self.0.home.root());
        hooks::run(settings, hook, &subject, home, &*cx.log, cancelled).await
    }

    /// Logs what does not keep the way back from being gone.
    #[expect(clippy::unused_self, reason = "reads as the others do")]
    pub(super) fn gently(&self, cx: &StepCx, outcome: Result<(), StepError>) {
        if let Err(error) = outcome {
            (cx.log)(&format!("warning: {}", error.text));
        }
    }
}

fn unhealthy(facts: &Facts, reason: String) -> StepError {
    let version = facts.target.as_ref().map_or("", |it| &it.version);
    StepError {
        params: params([
            ("fskey", facts.fskey.as_str()),
            ("version", version),
            ("reason", &reason),
        ]),
        ..failure(codes::E_HEALTH, reason)
    }
}
