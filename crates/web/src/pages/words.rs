//! Command words: how plugins, the main program and the application call each other.
//!
//! A word of a plugin is answered by the application, which has loaded it: a signed post to the address in the
//! setting `command_words_url`. A word of the main program (`Fresns`) is answered here. Whatever goes wrong is
//! a number in the answer, never an error of the caller.

use async_trait::async_trait;
use plugyard_model::Problem;
use plugyard_store::StoreError;
use plugyard_store::jobs::Job;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::settings::WORDS_URL;
use super::{Failed, Reply, identity, items};
use crate::host::{WebHost, now};
use crate::records;
use crate::webhooks::post::PostError;

/// The main program.
const MAIN: &str = "Fresns";
/// The component that brings plugins from a market.
const MARKET: &str = "MarketManager";

/// What the market does when a command word asks for it.
#[async_trait]
pub trait MarketWords: Send + Sync {
    /// Looks for newer versions of all plugins.
    ///
    /// # Errors
    /// When the market cannot be asked.
    async fn check_versions(&self) -> Result<Json, Problem>;

    /// Begins to bring a plugin from the market.
    ///
    /// # Errors
    /// When that cannot be begun.
    async fn download(&self, fskey: &str) -> Result<Json, Problem>;
}

/// Calls a word of somebody. Errors have the numbers 21000 to 21011.
pub(crate) async fn call(
    host: &WebHost,
    fskey: &str,
    word: &str,
    body: &Json,
) -> Result<Json, Failed> {
    if !is_word(word) {
        return Err(21005.into());
    }
    let empty = Map::new();
    let members = match body {
        Json::Object(members) => members,
        Json::Null => &empty,
        _ => return Err(21005.into()),
    };
    match fskey {
        MAIN => main(host, word, members).await,
        MARKET => match word {
            "appDownload" => {
                let fskey = members
                    .get("fskey")
                    .and_then(Json::as_str)
                    .ok_or(21005_u32)?;
                let market = host.pages().market.get().ok_or(21006_u32)?;
                market.download(fskey).await.map_err(failed)
            }
            _ => Err(21002.into()),
        },
        _ => plugin(host, fskey, word, members).await,
    }
}

/// A word of the main program.
async fn main(host: &WebHost, word: &str, body: &Map<String, Json>) -> Result<Json, Failed> {
    match word {
        "checkPluginsVersions" => {
            let market = host.pages().market.get().ok_or(21006_u32)?;
            market.check_versions().await.map_err(failed)
        }
        "addCrontabItem" => items::add_schedule(host, body).await,
        "removeCrontabItem" => items::remove_schedule(host, body).await,
        "addSubscribeItem" => items::add_subscription(host, body).await,
        "removeSubscribeItem" => items::remove_subscription(host, body).await,
        "verifySign" => identity::verify_sign(host, body, now()).await,
        "verifyUrlAuthorization" => identity::verify_url_authorization(host, body, now()).await,
        _ => Err(21002.into()),
    }
}

/// A word of a plugin: the application answers.
async fn plugin(
    host: &WebHost,
    fskey: &str,
    word: &str,
    body: &Map<String, Json>,
) -> Result<Json, Failed> {
    let broken = |error: StoreError| Failed::because(21003, Problem::from(error).to_string());
    let connection = host.database().map_err(broken)?.conn();
    let row = records::find_live(connection, fskey)
        .await
        .map_err(broken)?;
    let row = row.ok_or(21001_u32)?;
    if !records::is_offered(&row) {
        return Err(21010.into());
    }
    if host.is_safe_mode() {
        return Err(Failed::because(21006, "no plugin is loaded: safe mode"));
    }
    let site = host.site().await.map_err(broken)?;
    let url = site.text(WORDS_URL).ok_or(21000_u32)?;
    let question = json!({
        "type": "command.word",
        "data": { "fskey": fskey, "word": word, "body": body },
    });
    let answer = identity::application(host, url, question.to_string().as_bytes()).await;
    let answer = answer.map_err(|reason| Failed::because(21011, reason))?;
    let answer = answer.map_err(|error| match error {
        PostError::Refused(reason) => Failed::because(21011, reason),
        PostError::TooLarge => Failed::because(21008, error.to_string()),
        PostError::Unreachable(_) | PostError::TimedOut(_) => {
            Failed::because(21004, error.to_string())
        }
    })?;
    let reply = answer
        .json()
        .and_then(|body| serde_json::from_value::<Reply>(body).ok());
    match reply {
        Some(Reply { code: 0, data, .. }) => Ok(data),
        Some(reply) => Err(Failed::because(reply.code, reply.message).with(reply.data)),
        None => Err(match answer.status {
            200..300 => 21007,
            404 => 21002,
            400 | 422 => 21005,
            403 | 405 => 21006,
            500.. => 21009,
            _ => 21003_u32,
        }
        .into()),
    }
}

/// Whether a text can be a command word.
pub(crate) fn is_word(word: &str) -> bool {
    word.len() <= 64
        && word.starts_with(|first: char| first.is_ascii_alphabetic())
        && word
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'_')
}

fn failed(problem: Problem) -> Failed {
    Failed::because(21009, problem.to_string())
}

/// Calls a word later.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CallWord {
    pub(crate) fskey: String,
    pub(crate) word: String,
    pub(crate) body: Json,
}

impl Job for CallWord {
    const NAME: &'static str = "web_call_word";
    const QUEUE: &'static str = "command_words";
    const MAX_ATTEMPTS: u32 = 5;
    type Context = WebHost;

    async fn run(&self, host: &WebHost) -> anyhow::Result<()> {
        let Err(failed) = call(host, &self.fskey, &self.word, &self.body).await else {
            return Ok(());
        };
        let reason = failed.text(plugyard_model::Lang::En);
        // Nobody answered: somebody may, later. Everything else is an answer.
        anyhow::ensure!(failed.code != 21004, "{reason}");
        tracing::warn!(
            plugin.name = self.fskey,
            "The word `{}` of `{}` was answered with {}: {reason}",
            self.word,
            self.fskey,
            failed.code,
        );
        Ok(())
    }
}
