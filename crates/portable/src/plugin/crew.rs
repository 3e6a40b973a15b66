//! The processes of a plugin: the first, which serves everything, and those beside it that take part in
//! the calls of its functions (HOST-31).
//!
//! The first has the plugin's life ([`super::life`]); each of the others is watched over and started
//! again by itself, and the plugin serves on meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::{Instance, Plugin};
use crate::logs::now;
use crate::pool::Pool;
use crate::process::{Launch, StartError, Worker};

/// Processes by their number. A place is empty while its process is being started.
#[derive(Debug, Clone, Default)]
pub(super) struct Crew(Vec<Option<Arc<Worker>>>);

/// How the processes beside the first are, by number.
#[derive(Debug, Clone, Default)]
pub(super) struct Others(BTreeMap<usize, Other>);

#[derive(Debug, Clone, Default)]
pub(super) struct Other {
    pub(super) restarts: u64,
    /// Restarts since it last ran for long enough.
    in_a_row: u32,
    /// Why it does not run.
    pub(super) error: Option<String>,
}

impl FromIterator<Arc<Worker>> for Crew {
    fn from_iter<T: IntoIterator<Item = Arc<Worker>>>(workers: T) -> Self {
        Self(workers.into_iter().map(Some).collect())
    }
}

impl Crew {
    /// The process that serves sources and sinks.
    pub(super) fn first(&self) -> Option<&Arc<Worker>> {
        self.0.first()?.as_ref()
    }

    pub(super) fn set_first(&mut self, worker: Option<Arc<Worker>>) -> Option<Arc<Worker>> {
        self.set(0, worker)
    }

    fn set(&mut self, number: usize, worker: Option<Arc<Worker>>) -> Option<Arc<Worker>> {
        if self.0.len() <= number {
            self.0.resize_with(number + 1, || None);
        }
        std::mem::replace(&mut self.0[number], worker)
    }

    fn get(&self, number: usize) -> Option<&Arc<Worker>> {
        self.0.get(number)?.as_ref()
    }

    /// Those that are there.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Worker>> {
        self.0.iter().flatten()
    }

    /// Those beside the first that are there.
    pub(super) fn others(&self) -> impl Iterator<Item = &Arc<Worker>> {
        self.0.iter().skip(1).flatten()
    }

    /// Forgets those whose process has ended.
    pub(super) fn drop_ended(&mut self) {
        for place in &mut self.0 {
            place.take_if(|worker| worker.process.try_wait().is_some());
        }
    }

    /// Lets the others take part in the calls of a function. One that cannot is started again.
    pub(super) async fn assist(&self, pool: &Arc<Pool>) {
        let joining = self.others().map(|worker| async move {
            if let Err(error) = pool.join(worker).await {
                worker.recycle(&format!("cannot serve a function: {}", error.text));
            }
        });
        join_all(joining).await;
    }

    /// Ends all of them, as [`Worker::stop`] does.
    pub(super) async fn stop(self, grace: Duration) {
        join_all(self.all().map(|worker| worker.stop(grace))).await;
    }

    /// Ends all of them without a word.
    pub(super) async fn kill(self) {
        join_all(self.all().map(|worker| worker.kill())).await;
    }
}

impl Others {
    fn of(&mut self, number: usize) -> &mut Other {
        self.0.entry(number).or_default()
    }

    pub(super) fn get(&self, number: usize) -> Other {
        self.0.get(&number).cloned().unwrap_or_default()
    }

    /// A change that somebody asked for: what went wrong before does not count any more.
    pub(super) fn begin_anew(&mut self, workers: usize) {
        self.0.retain(|number, _| *number < workers);
        for other in self.0.values_mut() {
            other.in_a_row = 0;
            other.error = None;
        }
    }

    /// The first of them that does not run, and why.
    pub(super) fn trouble(&self) -> Option<(usize, &str)> {
        let troubled =
            |(number, other): (&usize, &'_ Other)| other.error.is_some().then_some(*number);
        let number = self.0.iter().find_map(troubled)?;
        Some((number, self.0.get(&number)?.error.as_deref()?))
    }
}

impl Plugin {
    /// Starts what is missing of a crew, each in the background.
    pub(super) fn bring_up_missing(self: &Arc<Self>, crew: &Crew, launch: &Launch, epoch: u64) {
        if crew.first().is_none() {
            self.bring_up(launch.clone(), epoch);
        }
        for number in 1..launch.options.workers {
            if crew.get(number).is_none() {
                self.bring_up_other(number, launch.clone(), epoch);
            }
        }
    }

    /// Starts the processes of a version that is to serve.
    ///
    /// # Errors
    /// Why one of them did not start; the others are ended.
    pub(super) async fn start_crew(&self, launch: &Launch) -> Result<Crew, StartError> {
        let starting = (0..launch.options.workers.max(1))
            .map(|number| self.start_worker(launch.clone(), number));
        let mut started = Vec::new();
        let mut failure = None;
        for outcome in join_all(starting).await {
            match outcome {
                Ok(worker) => started.push(worker),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let crew: Crew = started.into_iter().collect();
        match failure {
            None => Ok(crew),
            Some(error) => {
                crew.kill().await;
                Err(error)
            }
        }
    }

    fn bring_up_other(self: &Arc<Self>, number: usize, launch: Launch, epoch: u64) {
        let plugin = Arc::clone(self);
        tokio::spawn(async move {
            while let Err(error) = plugin.try_bring_up_other(number, &launch, epoch).await {
                let first = error.lines().next().unwrap_or_default();
                tracing::warn!(plugin = %plugin.name, number, reason = first, "A plugin's process does not start");
                plugin
                    .logs
                    .host(format!("start of process {number} failed: {error}"));
                plugin.state.lock().others.of(number).error = Some(error);
                plugin.tell();
                if !plugin.wait_to_restart_other(number, epoch).await {
                    return;
                }
            }
        });
    }

    async fn try_bring_up_other(
        self: &Arc<Self>,
        number: usize,
        launch: &Launch,
        epoch: u64,
    ) -> Result<(), String> {
        let worker = self.start_worker(launch.clone(), number).await?;
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
        for instance in self.snapshot() {
            let Instance::Function(function) = &instance else {
                continue;
            };
            let joined = match function.pool() {
                Some(pool) => pool.join(&worker).await,
                // The first is away, and nobody else is there.
                None => Pool::start(
                    &function.symbol,
                    &self.shared.settings,
                    &[Arc::clone(&worker)],
                )
                .await
                .map(|pool| drop(function.switch(Some(pool)))),
            };
            if let Err(error) = joined {
                self.let_go_of(&worker);
                worker.kill().await;
                return Err(format!(
                    "{} did not start: {}",
                    instance.called(),
                    error.text
                ));
            }
        }
        lifecycle.current.set(number, Some(Arc::clone(&worker)));
        self.state.lock().others.of(number).error = None;
        self.watch_other(&worker);
        self.tell();
        Ok(())
    }

    /// Waits as long as the next restart has to; false when there shall be none.
    async fn wait_to_restart_other(&self, number: usize, epoch: u64) -> bool {
        let attempt = {
            let mut state = self.state.lock();
            let other = state.others.of(number);
            other.in_a_row += 1;
            other.in_a_row - 1
        };
        let Some(wait) = self.shared.settings.restart.wait(attempt) else {
            let attempts = self.shared.settings.restart.attempts;
            self.logs.host(format!(
                "process {number} is given up after {attempts} restarts in a row"
            ));
            return false;
        };
        tokio::time::sleep(wait).await;
        let wanted = self.lifecycle.lock().await.epoch == epoch;
        if wanted {
            self.state.lock().others.of(number).restarts += 1;
        }
        wanted
    }

    /// Watches over the processes beside the first.
    pub(super) fn watch_others(self: &Arc<Self>, crew: &Crew) {
        for worker in crew.others() {
            self.watch_other(worker);
        }
    }

    /// Waits for the end of a process beside the first; one that was not asked for is made good.
    fn watch_other(self: &Arc<Self>, worker: &Arc<Worker>) {
        let (plugin, worker) = (Arc::clone(self), Arc::clone(worker));
        tokio::spawn(async move {
            let lived = tokio::time::Instant::now();
            let exit = worker.process.wait().await;
            worker.left();
            let number = worker.number;
            let mut lifecycle = plugin.lifecycle.lock().await;
            let current = lifecycle
                .current
                .get(number)
                .is_some_and(|it| Arc::ptr_eq(it, &worker));
            if !current || worker.is_ending() {
                return;
            }
            lifecycle.current.set(number, None);
            plugin.let_go_of(&worker);
            let epoch = lifecycle.epoch;
            drop(lifecycle);
            let reason = worker.epitaph(&exit);
            tracing::warn!(plugin = %plugin.name, number, %reason, "A plugin's process ended by itself");
            {
                let mut state = plugin.state.lock();
                state.remember(&worker, now(), &reason);
                let other = state.others.of(number);
                other.error = Some(reason.clone());
                if lived.elapsed() >= plugin.shared.settings.restart.reset_after.0 {
                    other.in_a_row = 0;
                }
            }
            plugin.logs.host(format!(
                "process {} ended by itself ({reason})",
                worker.process.pid()
            ));
            plugin.tell();
            if plugin.wait_to_restart_other(number, epoch).await {
                plugin.bring_up_other(number, worker.launch.clone(), epoch);
            }
        });
    }

    /// No call goes to that process any more.
    pub(super) fn let_go_of(&self, worker: &Arc<Worker>) {
        for instance in self.snapshot() {
            if let Instance::Function(function) = instance
                && let Some(pool) = function.pool()
                && pool.leave(worker) == 0
            {
                function.switch(None);
            }
        }
    }
}
