//! The life of a plugin's process: brought up, watched over, started again, given up (HOST-11).

use std::sync::Arc;

use plugyard_platform::kind::HealthEvent;
use tokio::time::Instant;

use super::crew::Crew;
use super::{Instance, Phase, Plugin, Status};
use crate::host::Shared;
use crate::logs::now;
use crate::process::{Launch, StartError, Worker, shown};

impl Plugin {
    /// Brings it to life in the background: at the start of the server, and after an exit.
    pub(crate) fn bring_up(self: &Arc<Self>, launch: Launch, epoch: u64) {
        let plugin = Arc::clone(self);
        tokio::spawn(async move {
            while let Err(error) = plugin.try_bring_up(&launch, epoch).await {
                let first = error.lines().next().unwrap_or_default();
                tracing::warn!(plugin = %plugin.name, reason = first, "A plugin does not start");
                plugin.logs.host(format!("start failed: {error}"));
                plugin.trouble(error);
                if !plugin.wait_to_restart(epoch).await {
                    return;
                }
            }
        });
    }

    /// Waits as long as the next restart has to; false when there shall be none.
    pub(super) async fn wait_to_restart(&self, epoch: u64) -> bool {
        let attempt = {
            let mut state = self.state.lock();
            state.in_a_row += 1;
            state.in_a_row - 1
        };
        let Some(wait) = self.shared.settings.restart.wait(attempt) else {
            self.give_up(epoch).await;
            return false;
        };
        tokio::time::sleep(wait).await;
        let wanted = self.lifecycle.lock().await.epoch == epoch;
        if wanted {
            self.state.lock().restarts += 1;
        }
        wanted
    }

    /// Starts a process and makes it the current one; a change that came meanwhile wins.
    pub(super) async fn try_bring_up(
        self: &Arc<Self>,
        launch: &Launch,
        epoch: u64,
    ) -> Result<(), String> {
        let worker = self.start_worker(launch.clone(), 0).await?;
        if let Err(error) = worker.handshake(self.shared.settings.init_timeout.0).await {
            worker.kill().await;
            return Err(error);
        }
        let mut lifecycle = self.lifecycle.lock().await;
        if lifecycle.epoch != epoch {
            drop(lifecycle);
            worker.stop(self.shared.settings.stop_grace.0).await;
            return Ok(());
        }
        lifecycle.current.set_first(Some(Arc::clone(&worker)));
        self.replay(&worker, &lifecycle.current).await;
        self.running(&worker);
        Ok(())
    }

    pub(super) async fn start_worker(
        &self,
        launch: Launch,
        number: usize,
    ) -> Result<Arc<Worker>, StartError> {
        let ground = self.shared.ground().await?;
        let Shared { home, settings, .. } = &*self.shared;
        let access = self.shared.access.get();
        let pass = access.and_then(|it| it.admit(&self.name, launch.id));
        Worker::start(home, settings, ground, &self.logs, pass, launch, number).await
    }

    /// Starts everything that is in use in a new process, in the original order (HOST-15).
    pub(super) async fn replay(self: &Arc<Self>, worker: &Arc<Worker>, crew: &Crew) {
        for instance in self.snapshot() {
            if !worker
                .launch
                .manifest
                .serves(instance.kind(), instance.symbol())
            {
                let lacking = self.lacks(worker, &instance);
                instance.withdraw(&lacking);
                instance.report(self, lacking);
                continue;
            }
            // One that held the others up before comes after them.
            if !self.failing.was_late(&instance.key()) {
                let Err(error) = self.attach_again(&instance, crew).await else {
                    continue;
                };
                let text = format!("{} did not start again: {}", instance.called(), error.text);
                instance.report(self, text);
            }
            let (plugin, worker) = (Arc::clone(self), Arc::clone(worker));
            tokio::spawn(async move { plugin.start_again(&instance, &worker, false).await });
        }
    }

    pub(super) fn lacks(&self, worker: &Worker, instance: &Instance) -> String {
        let version = shown(&worker.launch.label);
        format!(
            "version {version} of plugin {} has no {}",
            self.name.key,
            instance.called()
        )
    }

    /// That process serves now: says so and watches over it.
    pub(super) fn running(self: &Arc<Self>, worker: &Arc<Worker>) {
        {
            let mut state = self.state.lock();
            state.status = Status::Running;
            state.error.clear();
            state.pid = Some(worker.process.pid());
            state.started_at = Some(worker.started_at);
        }
        *self.launch.lock() = Some(worker.launch.clone());
        self.phase.send_replace(Phase::Running);
        self.tell();
        let (plugin, worker) = (Arc::clone(self), Arc::clone(worker));
        tokio::spawn(async move { plugin.watch(worker).await });
    }

    /// Waits for the end of a process; one that was not asked for is made good (HOST-11).
    pub(super) async fn watch(self: Arc<Self>, worker: Arc<Worker>) {
        let lived = Instant::now();
        let exit = worker.process.wait().await;
        worker.left();
        let mut lifecycle = self.lifecycle.lock().await;
        let current = lifecycle
            .current
            .first()
            .is_some_and(|it| Arc::ptr_eq(it, &worker));
        if !current || worker.is_ending() {
            return;
        }
        lifecycle.current.set_first(None);
        self.let_go_of(&worker);
        let epoch = lifecycle.epoch;
        let reason = worker.epitaph(&exit);
        let output = worker.last_output().await;
        tracing::warn!(plugin = %self.name, %reason, "A plugin's process ended by itself");
        self.logs.host(format!(
            "process {} ended by itself ({reason})",
            worker.process.pid()
        ));
        {
            let mut state = self.state.lock();
            state.remember(&worker, now(), &reason);
            state.pid = None;
            if lived.elapsed() >= self.shared.settings.restart.reset_after.0 {
                state.in_a_row = 0;
            }
        }
        self.trouble(reason.clone());
        // One line of what it wrote: whoever may see the rule need not be allowed to see everything.
        let mut lines = output.lines();
        let said = lines.next().unwrap_or_default();
        let more = match lines.next() {
            Some(_) => format!("; `plugyard logs {}` has more", self.name.key),
            None => String::new(),
        };
        let text = format!(
            "the process of plugin {} ended ({reason}).{said}{more}",
            self.name.key
        );
        for instance in self.snapshot() {
            // What else serves a function goes on.
            if !matches!(instance, Instance::Function(_)) {
                instance.let_go().await;
            }
            instance.report(&self, text.clone());
        }
        drop(lifecycle);
        if self.wait_to_restart(epoch).await {
            self.bring_up(worker.launch.clone(), epoch);
        }
    }

    pub(super) fn snapshot(&self) -> Vec<Instance> {
        self.instances.lock().values().cloned().collect()
    }

    /// Records an error; more will be tried.
    pub(super) fn trouble(&self, error: String) {
        {
            let mut state = self.state.lock();
            state.status = Status::Error;
            state.error = error;
        }
        self.phase.send_replace(Phase::Coming);
        self.tell();
    }

    /// Nothing more is tried until somebody asks for it.
    pub(super) async fn give_up(&self, epoch: u64) {
        let mut lifecycle = self.lifecycle.lock().await;
        if lifecycle.epoch != epoch {
            return;
        }
        // Those beside the first go with it.
        lifecycle.epoch += 1;
        let crew = std::mem::take(&mut lifecycle.current);
        for worker in crew.all() {
            self.let_go_of(worker);
        }
        self.phase.send_replace(Phase::Failed);
        drop(lifecycle);
        let reason = self.not_running().text;
        for instance in self.snapshot() {
            instance.withdraw(&reason);
        }
        crew.stop(self.shared.settings.stop_grace.0).await;
        let attempts = self.shared.settings.restart.attempts;
        self.logs
            .host(format!("given up after {attempts} restarts in a row"));
        self.tell();
    }

    /// Says how it is to whoever follows.
    pub(super) fn tell(&self) {
        let event = HealthEvent {
            plugin: self.name.clone(),
            health: self.health(),
        };
        // Fails when nobody follows.
        let _ = self.shared.health.send(event);
    }

    /// At the start of the server: it shall run. Returns at once; users wait until it is ready.
    pub(crate) async fn resume(self: &Arc<Self>, launch: Launch) {
        let epoch = {
            let mut lifecycle = self.lifecycle.lock().await;
            lifecycle.epoch += 1;
            lifecycle.epoch
        };
        *self.launch.lock() = Some(launch.clone());
        {
            let mut state = self.state.lock();
            state.status = Status::Initializing;
            state.in_a_row = 0;
            state.others.begin_anew(launch.options.workers);
        }
        self.failing.begin_anew();
        self.phase.send_replace(Phase::Coming);
        self.tell();
        self.bring_up_missing(&Crew::default(), &launch, epoch);
    }
}
