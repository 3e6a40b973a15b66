//! One plugin over all its processes: what runs of it, what uses it, and how it is.
//!
//! Everything that starts, stops or moves something goes through one lock, [`Plugin::lifecycle`], so
//! that a crash, an upgrade and a rule that stops at the same moment come one after the other. Rows
//! and calls never take it.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use indexmap::IndexMap;
use parking_lot::Mutex;
use plugyard_model::PluginName;
use plugyard_symbol::{ErrorClass, NodeId, SymbolError, SymbolKind};
use serde::Serialize;
use serde_json::Value as Json;
use tokio::sync::{MutexGuard, watch};
use tokio::time::Instant;

use crate::function::{FunctionInstance, Missed};
use crate::host::Shared;
use crate::kept::Kept;
use crate::logs::Logs;
use crate::manifest::word;
use crate::pool::Pool;
use crate::process::{Launch, Worker, seconds};
use crate::sink::{SinkInstance, SinkTimes};
use crate::source::SourceInstance;

mod adoption;
mod crew;
mod failing;
mod instance;
mod life;
mod renewal;
mod status;
mod swap;

use crew::{Crew, Others};
use failing::Failing;
pub(crate) use renewal::FunctionUse;

/// Exits that `status` remembers.
const HISTORY: usize = 10;

/// What an instance is known by (HOST-15). Functions have no meta.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct InstanceKey {
    pub(crate) kind: SymbolKind,
    pub(crate) symbol: String,
    pub(crate) node: Option<NodeId>,
}

/// Something of the plugin that is in use.
#[derive(Debug, Clone)]
pub(crate) enum Instance {
    Source(Arc<SourceInstance>),
    Sink(Arc<SinkInstance>),
    Function(Arc<FunctionInstance>),
}

/// eKuiper's words for how a plugin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// Started, no handshake yet.
    Initializing,
    /// The handshake is done.
    Running,
    /// Something went wrong; `errMsg` says what. It may be started again.
    Error,
    /// Stopped on purpose.
    Stop,
}

/// How the plugin is, for those who wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Nothing of it shall run.
    Off,
    /// It will run, or fail.
    Coming,
    Running,
    /// Nothing more is tried.
    Failed,
}

#[derive(Debug, Clone)]
struct State {
    status: Status,
    error: String,
    pid: Option<u32>,
    started_at: Option<i64>,
    restarts: u64,
    /// Restarts since it last ran for long enough, which is what the budget counts.
    in_a_row: u32,
    history: VecDeque<Exited>,
    /// The same of the processes beside the first.
    others: Others,
}

/// An exit nobody had asked for.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Exited {
    at: i64,
    pid: u32,
    /// Which of the plugin's processes, from 0.
    worker: usize,
    reason: String,
}

/// What runs, under the lock.
#[derive(Debug, Default)]
struct Lifecycle {
    /// The processes that symbols are served by.
    current: Crew,
    /// Those that were started beside them and have nothing to do yet.
    staged: Option<Crew>,
    /// Those that served before, while the change can still be taken back.
    previous: Option<Previous>,
    /// Grows with each change that somebody asked for; a restart under way notices by it that it is
    /// not wanted any more.
    epoch: u64,
}

#[derive(Debug)]
struct Previous {
    /// Empty when nothing ran.
    crew: Crew,
    launch: Option<Launch>,
}

/// One plugin.
#[derive(Debug)]
pub(crate) struct Plugin {
    pub(crate) name: PluginName,
    pub(crate) logs: Arc<Logs>,
    shared: Arc<Shared>,
    state: Mutex<State>,
    phase: watch::Sender<Phase>,
    lifecycle: tokio::sync::Mutex<Lifecycle>,
    /// What shall run; set with the symbols it serves.
    launch: Mutex<Option<Launch>>,
    instances: Mutex<IndexMap<InstanceKey, Instance>>,
    /// What does not start.
    failing: Failing,
    /// The process that is to be replaced because a sink of it was stopped, where its SDK needs that.
    worn: Mutex<Weak<Worker>>,
    /// Its replacement is being started.
    renewing: AtomicBool,
}

impl Plugin {
    pub(crate) fn new(name: PluginName, shared: Arc<Shared>) -> Self {
        let path = shared
            .home
            .logs(&name.kind)
            .join(format!("{}.log", name.key));
        let logs = Logs::new(path, shared.settings.limits.log.unwrap_or(u64::MAX));
        Self {
            name,
            logs: Arc::new(logs),
            shared,
            state: Mutex::new(State {
                status: Status::Initializing,
                error: String::new(),
                pid: None,
                started_at: None,
                restarts: 0,
                in_a_row: 0,
                history: VecDeque::new(),
                others: Others::default(),
            }),
            phase: watch::Sender::new(Phase::Off),
            lifecycle: tokio::sync::Mutex::default(),
            launch: Mutex::default(),
            instances: Mutex::default(),
            failing: Failing::default(),
            worn: Mutex::default(),
            renewing: AtomicBool::new(false),
        }
    }

    /// What shall run, if anything.
    pub(crate) fn launch(&self) -> Option<Launch> {
        self.launch.lock().clone()
    }

    /// What eKuiper's interface was told.
    pub(crate) fn kept(&self) -> Arc<Kept> {
        Arc::clone(&self.shared.kept)
    }

    pub(crate) fn sink_times(&self) -> SinkTimes {
        let settings = &self.shared.settings;
        SinkTimes {
            send: settings.send_timeout.0,
            ack: settings.recv_timeout.0,
        }
    }

    // --- symbols in use ---------------------------------------------------------------------------

    /// A function, started on first use and kept as long as anything of the plugin runs.
    pub(crate) async fn function(
        self: &Arc<Self>,
        symbol: &str,
    ) -> Result<FunctionUse, SymbolError> {
        let key = function_key(symbol);
        if let Some(used) = self.used(&key) {
            return Ok(used);
        }
        // Begun, it is finished: a caller that gives up must not leave half a start behind.
        let plugin = Arc::clone(self);
        let started = tokio::spawn(async move { plugin.start_function(key).await });
        started
            .await
            .unwrap_or_else(|error| Err(SymbolError::io(error.to_string())))
    }

    /// A function that was started already.
    fn used(self: &Arc<Self>, key: &InstanceKey) -> Option<FunctionUse> {
        match self.instances.lock().get(key) {
            Some(Instance::Function(instance)) => Some(FunctionUse::new(self, instance)),
            _ => None,
        }
    }

    async fn start_function(
        self: &Arc<Self>,
        key: InstanceKey,
    ) -> Result<FunctionUse, SymbolError> {
        self.until_running().await?;
        let lifecycle = self.lifecycle.lock().await;
        // Somebody else may have been first.
        if let Some(used) = self.used(&key) {
            return Ok(used);
        }
        let worker = self.worker(&lifecycle)?;
        self.failing.refuse(&key)?;
        let settings = &self.shared.settings;
        let instance = Arc::new(FunctionInstance::new(&key.symbol, settings.recv_timeout.0));
        let pool = Pool::start(&key.symbol, settings, &[Arc::clone(&worker)]).await;
        self.tried(&key, &pool, &worker);
        let pool = pool?;
        lifecycle.current.assist(&pool).await;
        instance.switch(Some(pool));
        let mut instances = self.instances.lock();
        let used = FunctionUse::new(self, &instance);
        instances.insert(key, Instance::Function(instance));
        Ok(used)
    }

    /// A source, sink or function was started for somebody who is told what became of it: of a failure only
    /// that it took too long is remembered.
    fn tried<T>(&self, key: &InstanceKey, outcome: &Result<T, SymbolError>, worker: &Worker) {
        let told = |error: &SymbolError| error.class != ErrorClass::Timeout;
        if !outcome.as_ref().is_err_and(told) {
            let limit = worker.start_timeout(&key.symbol);
            let restart = &self.shared.settings.restart;
            self.failing.note(key, outcome, limit, restart);
        }
    }

    /// The outcome of a call, with what is known of the plugin when there is none.
    pub(crate) fn exchanged<T>(&self, outcome: Result<T, Missed>) -> Result<T, SymbolError> {
        let why = match outcome {
            Ok(result) => return Ok(result),
            Err(Missed::Failed(error) | Missed::Gone(error)) => return Err(error),
            Err(Missed::Late(why)) => why,
        };
        let status = serde_json::to_value(self.state.lock().status).ok();
        let status = status.as_ref().and_then(Json::as_str).unwrap_or_default();
        let error = self.first_of_error();
        let message: Vec<String> = [error]
            .into_iter()
            .filter(|error| !error.is_empty())
            .chain(why)
            .collect();
        Err(SymbolError::timeout(format!(
            "time out, plugin {} status {status}, message: {}",
            self.name.key,
            message.join("; ")
        )))
    }

    pub(crate) async fn start_source(
        self: &Arc<Self>,
        instance: &Arc<SourceInstance>,
    ) -> Result<(), SymbolError> {
        instance.owner.set(self);
        self.until_running().await?;
        let lifecycle = self.lifecycle.lock().await;
        let worker = self.worker(&lifecycle)?;
        self.refuse_second(&instance.key())?;
        self.failing.refuse(&instance.key())?;
        let attachment = instance.attach(&worker, self.source_ended(instance)).await;
        self.tried(&instance.key(), &attachment, &worker);
        instance.set(Some(attachment?));
        self.instances
            .lock()
            .insert(instance.key(), Instance::Source(Arc::clone(instance)));
        Ok(())
    }

    /// Stops it, unless it belongs to another plugin by now: then there is no result.
    pub(crate) async fn stop_source(
        self: &Arc<Self>,
        instance: &Arc<SourceInstance>,
    ) -> Option<Result<(), SymbolError>> {
        let lifecycle = self.lifecycle.lock().await;
        if instance.owner.is_other(self) {
            return None;
        }
        Some(self.end_source(lifecycle, instance).await)
    }

    async fn end_source(
        self: &Arc<Self>,
        lifecycle: MutexGuard<'_, Lifecycle>,
        instance: &Arc<SourceInstance>,
    ) -> Result<(), SymbolError> {
        self.instances.lock().shift_remove(&instance.key());
        self.failing.forget(&instance.key());
        let Some(attachment) = instance.set(None) else {
            self.renew_if_worn(lifecycle).await;
            return Ok(());
        };
        let worker = Arc::clone(&attachment.worker);
        let stopped = attachment
            .detach(self.shared.settings.command_timeout.0)
            .await;
        if stopped.is_ok() {
            self.renew_if_worn(lifecycle).await;
        }
        recycle_if_stuck(&worker, stopped)
    }

    pub(crate) async fn start_sink(
        self: &Arc<Self>,
        instance: &Arc<SinkInstance>,
    ) -> Result<(), SymbolError> {
        instance.owner.set(self);
        self.until_running().await?;
        let lifecycle = self.lifecycle.lock().await;
        let worker = self.worker(&lifecycle)?;
        self.refuse_second(&instance.key())?;
        self.failing.refuse(&instance.key())?;
        let attachment = instance.attach(&worker, self.sink_ended(instance)).await;
        self.tried(&instance.key(), &attachment, &worker);
        instance.set(Some(attachment?)).await;
        self.instances
            .lock()
            .insert(instance.key(), Instance::Sink(Arc::clone(instance)));
        Ok(())
    }

    /// Stops it, unless it belongs to another plugin by now: then there is no result.
    pub(crate) async fn stop_sink(
        self: &Arc<Self>,
        instance: &Arc<SinkInstance>,
    ) -> Option<Result<(), SymbolError>> {
        let lifecycle = self.lifecycle.lock().await;
        if instance.owner.is_other(self) {
            return None;
        }
        Some(self.end_sink(lifecycle, instance).await)
    }

    async fn end_sink(
        self: &Arc<Self>,
        lifecycle: MutexGuard<'_, Lifecycle>,
        instance: &Arc<SinkInstance>,
    ) -> Result<(), SymbolError> {
        self.instances.lock().shift_remove(&instance.key());
        self.failing.forget(&instance.key());
        let Some(attachment) = instance.set(None).await else {
            self.renew_if_worn(lifecycle).await;
            return Ok(());
        };
        let worker = Arc::clone(&attachment.worker);
        let settings = &self.shared.settings;
        let stopped = attachment
            .detach(settings.stop_grace.0, settings.command_timeout.0)
            .await;
        if stopped.is_ok() {
            self.wear(&worker);
            self.renew_if_worn(lifecycle).await;
        }
        recycle_if_stuck(&worker, stopped)
    }

    fn refuse_second(&self, key: &InstanceKey) -> Result<(), SymbolError> {
        if self.instances.lock().contains_key(key) {
            return Err(SymbolError::refused(format!(
                "{} {} is running for this rule already",
                word(key.kind),
                key.symbol
            )));
        }
        Ok(())
    }

    /// Waits, within the time a handshake may take, until the plugin runs (HOST-6).
    async fn until_running(&self) -> Result<(), SymbolError> {
        let mut phase = self.phase.subscribe();
        let settled = phase.wait_for(|phase| *phase != Phase::Coming);
        let limit = self.shared.settings.init_timeout.0;
        match tokio::time::timeout(limit, settled).await {
            Ok(Ok(phase)) if *phase == Phase::Running => Ok(()),
            Ok(_) => Err(self.not_running()),
            Err(_) => Err(SymbolError::timeout(format!(
                "plugin {} was not ready within {}: {}",
                self.name.key,
                seconds(limit),
                self.first_of_error()
            ))),
        }
    }

    fn worker(&self, lifecycle: &Lifecycle) -> Result<Arc<Worker>, SymbolError> {
        let first = lifecycle.current.first();
        first.cloned().ok_or_else(|| self.not_running())
    }

    pub(super) fn not_running(&self) -> SymbolError {
        let (key, error) = (&self.name.key, self.first_of_error());
        let reason = match (error.is_empty(), &*self.phase.borrow()) {
            (false, Phase::Failed) => format!(
                ": {error} (`plugyard logs {key}` says more, `plugyard restart {key}` tries again)"
            ),
            (false, _) => format!(": {error}"),
            (true, _) => String::new(),
        };
        SymbolError::missing(format!(
            "plugin {key} is not running successfully, please make sure it is valid{reason}"
        ))
    }

    /// The most useful line of what went wrong last: rules show it, also to those who may not see what the
    /// plugin wrote.
    fn first_of_error(&self) -> String {
        let state = self.state.lock();
        state.error.lines().next().unwrap_or_default().to_owned()
    }

    // --- symbols that end by themselves ------------------------------------------------------------

    /// What to do when that source ends while its process lives.
    fn source_ended(
        self: &Arc<Self>,
        instance: &Arc<SourceInstance>,
    ) -> impl FnOnce() + Send + 'static {
        let (plugin, instance) = (Arc::downgrade(self), Arc::downgrade(instance));
        move || {
            let (Some(plugin), Some(instance)) = (plugin.upgrade(), instance.upgrade()) else {
                return;
            };
            tokio::spawn(async move { plugin.revive(&Instance::Source(instance)).await });
        }
    }

    /// What to do when that sink ends while its process lives.
    fn sink_ended(
        self: &Arc<Self>,
        instance: &Arc<SinkInstance>,
    ) -> impl Fn() + Send + Sync + 'static {
        let (plugin, instance) = (Arc::downgrade(self), Arc::downgrade(instance));
        let told = std::sync::atomic::AtomicBool::new(false);
        move || {
            let (Some(plugin), Some(instance)) = (plugin.upgrade(), instance.upgrade()) else {
                return;
            };
            // Both its channels end, but it is one end.
            if !told.swap(true, std::sync::atomic::Ordering::AcqRel) {
                tokio::spawn(async move { plugin.revive(&Instance::Sink(instance)).await });
            }
        }
    }

    /// Starts a source or sink again until it runs, is not wanted any more, or its process ended, in
    /// which case the restart of the process brings it back (HOST-25, HOST-28). The pauses between grow.
    async fn revive(self: &Arc<Self>, instance: &Instance) {
        if matches!(instance, Instance::Sink(_)) {
            // Where its process ended, that is noticed meanwhile.
            tokio::time::sleep(self.shared.settings.restart.pause(0)).await;
        }
        let worker = {
            let lifecycle = self.lifecycle.lock().await;
            match lifecycle.current.first() {
                Some(worker)
                    if self.is_wanted_in(instance, worker) && instance.is_in(worker).await =>
                {
                    Arc::clone(worker)
                }
                _ => return,
            }
        };
        instance.report(
            self,
            format!(
                "{} of plugin {} ended by itself",
                instance.called(),
                self.name.key
            ),
        );
        self.start_again(instance, &worker, true).await;
    }

    /// Starts what is in use, but not served, until it is, as [`revive`](Self::revive) does; `attached` while
    /// something is left of it that is to be closed.
    async fn start_again(
        self: &Arc<Self>,
        instance: &Instance,
        worker: &Arc<Worker>,
        mut attached: bool,
    ) {
        let began = Instant::now();
        let restart = self.shared.settings.restart;
        let key = instance.key();
        let mut attempts = 0;
        loop {
            let pause = match instance.relapses() {
                Some(relapses) => relapses.pause(&restart),
                None => restart.pause(attempts),
            };
            attempts += 1;
            let pause = pause.max(self.failing.pause(&key));
            if !pause.is_zero() {
                self.logs.host(format!(
                    "{} is started again in {}",
                    instance.called(),
                    seconds(pause)
                ));
                tokio::time::sleep(pause).await;
            }
            let lifecycle = self.lifecycle.lock().await;
            let current = lifecycle.current.first();
            if !current.is_some_and(|it| Arc::ptr_eq(it, worker))
                || !self.is_wanted_in(instance, worker)
                // Somebody else was first, or moved it.
                || instance.is_in(worker).await != attached
            {
                return;
            }
            // The Python SDK has forgotten it and says `ok`; what of it is left is closed by this.
            instance
                .cut_off(self.shared.settings.command_timeout.0)
                .await;
            if attached && matches!(instance, Instance::Sink(_)) {
                self.wear(worker);
            }
            attached = false;
            match self.attach_again(instance, &lifecycle.current).await {
                Ok(()) => {
                    self.logs.host(format!(
                        "{} was started again after {}",
                        instance.called(),
                        seconds(began.elapsed())
                    ));
                    self.renew_if_worn(lifecycle).await;
                    return;
                }
                Err(error) => instance.report(self, error.text),
            }
        }
    }

    /// As [`attach`](Self::attach), for what is in use already: what becomes of it is remembered, and one that
    /// took too long before is left alone for a while.
    async fn attach_again(
        self: &Arc<Self>,
        instance: &Instance,
        crew: &Crew,
    ) -> Result<(), SymbolError> {
        let key = instance.key();
        self.failing.refuse(&key)?;
        let attached = self.attach(instance, crew).await;
        let limit = crew.first().map(|it| it.start_timeout(&key.symbol));
        let restart = &self.shared.settings.restart;
        self.failing
            .note(&key, &attached, limit.unwrap_or_default(), restart);
        attached
    }

    /// Whether it is in use and that process lives.
    fn is_wanted_in(&self, instance: &Instance, worker: &Worker) -> bool {
        let wanted = self.instances.lock().contains_key(&instance.key());
        wanted && worker.process.try_wait().is_none()
    }

    /// Starts an instance in the processes it is to run in and puts it to work there.
    async fn attach(self: &Arc<Self>, instance: &Instance, crew: &Crew) -> Result<(), SymbolError> {
        let first = crew.first().ok_or_else(|| self.not_running())?;
        match instance {
            Instance::Source(source) => {
                let attachment = source.attach(first, self.source_ended(source)).await?;
                source.set(Some(attachment));
            }
            Instance::Sink(sink) => {
                let attachment = sink.attach(first, self.sink_ended(sink)).await?;
                sink.set(Some(attachment)).await;
            }
            Instance::Function(function) => match function.pool() {
                // Other processes have served it while the first was away.
                Some(pool) => pool.join(first).await?,
                None => {
                    let pool = Pool::start(
                        &function.symbol,
                        &self.shared.settings,
                        &[Arc::clone(first)],
                    )
                    .await?;
                    crew.assist(&pool).await;
                    function.switch(Some(pool));
                }
            },
        }
        Ok(())
    }

    /// Takes in what idle function channels received, and notes how much goes through each symbol.
    pub(crate) fn tend(self: &Arc<Self>) {
        self.failing.tend();
        self.look_whether_worn();
        for instance in self.instances.lock().values() {
            instance.tally().rate();
            if let Instance::Function(function) = instance
                && let Some(pool) = function.pool()
            {
                pool.tend();
            }
        }
    }
}

/// What a function is known by.
fn function_key(symbol: &str) -> InstanceKey {
    InstanceKey {
        kind: SymbolKind::Function,
        symbol: symbol.to_owned(),
        node: None,
    }
}

/// A symbol that cannot be stopped ends with its process (HOST-40), which is started again with
/// everything else that runs in it.
fn recycle_if_stuck(worker: &Worker, stopped: Result<(), SymbolError>) -> Result<(), SymbolError> {
    if let Err(error) = &stopped
        && error.class == ErrorClass::Timeout
    {
        worker.recycle(&error.text);
        return Ok(());
    }
    stopped
}
