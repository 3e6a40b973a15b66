//! Handlers: who carries out the actions and reads the data tables of a plugin.
//!
//! A handler is a process in a sandbox that gets one JSON object per line on its standard input and answers
//! with one per line on its standard output, or an address that gets the same object by POST. A question
//! has an `id` that the answer repeats; answers may come in any order.
//!
//! ```text
//! → {"id":1,"type":"action","action":"sync","config_key":"KEY","params":{},"lang":"zh-CN","config":{…}}
//! ← {"id":1,"success":true,"message":"3 templates","data":[…]}
//! → {"id":2,"type":"table","table":"templates","page":1,"page_size":20,"search":null,
//!    "sort_field":null,"sort_order":"asc","filters":{},"lang":"zh-CN","config":{…}}
//! ← {"id":2,"data":[…],"total":41}
//! ← {"id":2,"error":{"code":"unknown_table","message":"…"}}
//! ```
//!
//! `config` holds the plugin's own values, secrets in clear, and only goes to a process.

mod address;
mod process;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use plugyard_model::{PluginName, Problem, codes};
use plugyard_platform::Home;
use plugyard_platform::kind::Version;
use serde_json::{Map, Value as Json};
use tokio::sync::OnceCell;

use crate::logs::Log;
use crate::manifest::Handler;
use crate::settings::AppSettings;
use process::Running;

/// What a question is made of, but for its id.
pub(crate) type Question = Map<String, Json>;

/// Why a handler gave no answer that can be passed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HandlerError {
    /// It cannot be started or reached, ended, or wrote what is no answer.
    #[error("{0}")]
    Failed(String),
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs())]
    TimeOut(Duration),
}

impl HandlerError {
    pub(crate) fn problem(&self, plugin: &PluginName) -> Problem {
        match self {
            Self::Failed(reason) => Problem::new(codes::HANDLER_FAILED).with("reason", reason),
            Self::TimeOut(limit) => {
                Problem::new(codes::HANDLER_TIMEOUT).with("seconds", limit.as_secs())
            }
        }
        .about(plugin)
    }
}

/// What a process is started from.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) plugin: PluginName,
    pub(crate) version: Version,
    pub(crate) directory: PathBuf,
    pub(crate) words: Vec<String>,
}

/// The handlers of all plugins. Each plugin has its own, so that none can hold up another.
pub(crate) struct Handlers {
    pub(crate) home: Home,
    pub(crate) settings: AppSettings,
    access: OnceCell<plugyard_platform::PluginAccess>,
    shim: Option<PathBuf>,
    launcher: OnceCell<plugyard_sandbox::Launcher>,
    slots: Mutex<HashMap<PluginName, Arc<Slot>>>,
}

/// The handler of one plugin.
#[derive(Default)]
struct Slot {
    /// Held while it is started or ended.
    running: tokio::sync::Mutex<Option<Arc<Running>>>,
    log: Arc<Log>,
}

impl Handlers {
    pub(crate) fn new(home: Home, settings: AppSettings, shim: Option<PathBuf>) -> Self {
        Self {
            home,
            settings,
            access: OnceCell::new(),
            shim,
            launcher: OnceCell::new(),
            slots: Mutex::default(),
        }
    }

    /// Where processes get a token of their own from.
    pub(crate) fn set_access(&self, access: plugyard_platform::PluginAccess) {
        // Told once, when everything is put together.
        let _ = self.access.set(access);
    }

    /// What a plugin's handler wrote.
    pub(crate) fn log(&self, plugin: &PluginName) -> Arc<Log> {
        Arc::clone(&self.slot(plugin).log)
    }

    /// Asks a plugin's handler, which is started when it does not run.
    ///
    /// # Errors
    /// [`HandlerError`].
    pub(crate) async fn ask(
        &self,
        handler: &Handler,
        launch: impl FnOnce(Vec<String>) -> Launch,
        question: Question,
        plain: Question,
    ) -> Result<Question, HandlerError> {
        let limit = Duration::from_secs(self.settings.handler_timeout.clamp(1, 300));
        let words = match handler {
            Handler::Url(url) => {
                let asked = address::ask(url, &self.settings, question);
                return tokio::time::timeout(limit, asked)
                    .await
                    .unwrap_or(Err(HandlerError::TimeOut(limit)));
            }
            Handler::Command(words) => words.clone(),
        };
        let launch = launch(words);
        let slot = self.slot(&launch.plugin);
        let mut question = question;
        question.extend(plain);
        let asked = async {
            let running = self.running(&slot, &launch).await?;
            running.ask(question).await
        };
        match tokio::time::timeout(limit, asked).await {
            Ok(answer) => answer,
            Err(_) => {
                // It may be stuck for good; the next question gets a new one.
                self.stop(&launch.plugin).await;
                Err(HandlerError::TimeOut(limit))
            }
        }
    }

    /// Ends a plugin's process: asked to by the end of its input and a signal, then killed.
    pub(crate) async fn stop(&self, plugin: &PluginName) {
        let slot = self.slots.lock().get(plugin).cloned();
        if let Some(slot) = slot
            && let Some(running) = slot.running.lock().await.take()
        {
            running.stop().await;
        }
    }

    /// Ends all.
    pub(crate) async fn stop_all(&self) {
        let plugins: Vec<_> = self.slots.lock().keys().cloned().collect();
        futures::future::join_all(plugins.iter().map(|plugin| self.stop(plugin))).await;
    }

    /// The process of a plugin's handler, when it runs.
    pub(crate) async fn pid(&self, plugin: &PluginName) -> Option<u32> {
        let slot = self.slots.lock().get(plugin).cloned()?;
        let running = slot.running.lock().await;
        running
            .as_ref()
            .filter(|it| it.is_alive())
            .map(|it| it.pid())
    }

    async fn running(&self, slot: &Slot, launch: &Launch) -> Result<Arc<Running>, HandlerError> {
        let mut running = slot.running.lock().await;
        if let Some(here) = running.as_ref() {
            if here.is_alive() && here.version == launch.version.id {
                return Ok(Arc::clone(here));
            }
            here.stop().await;
        }
        let launcher = self.launcher().await.map_err(HandlerError::Failed)?;
        let access = self.access.get();
        let log = Arc::clone(&slot.log);
        let started = Running::start(self, launcher, access, launch, log).await?;
        let started = Arc::new(started);
        *running = Some(Arc::clone(&started));
        Ok(started)
    }

    /// Made on first use; before that, what an earlier server left running is ended.
    async fn launcher(&self) -> Result<&plugyard_sandbox::Launcher, String> {
        let make = || async {
            let (directory, shim) = (self.home.run().join("app"), self.shim.clone());
            let make = move || {
                std::fs::create_dir_all(&directory)?;
                plugyard_sandbox::reap_leftovers(&directory)?;
                match shim {
                    Some(shim) => plugyard_sandbox::Launcher::with_shim(&directory, shim),
                    None => plugyard_sandbox::Launcher::new(&directory),
                }
            };
            tokio::task::spawn_blocking(make)
                .await
                .map_err(|error| error.to_string())?
                .map_err(|error| format!("no process can be started: {error}"))
        };
        self.launcher.get_or_try_init(make).await
    }

    fn slot(&self, plugin: &PluginName) -> Arc<Slot> {
        Arc::clone(self.slots.lock().entry(plugin.clone()).or_default())
    }
}
