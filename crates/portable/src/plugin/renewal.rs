//! New processes for Go plugins whose sinks were stopped (HOST-29).
//!
//! After a `stop`, the Go SDK's sink spins on its closed socket for as long as the process lives. So the
//! process is *worn* from then on, and another takes its place: when no rule uses anything of it, or, where
//! that is set, at once and under whatever rules use, by the way of an upgrade.

use std::ops::Deref;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use futures::future::try_join_all;
use tokio::sync::MutexGuard;
use tokio::time::timeout;

use super::{Instance, Lifecycle, Phase, Plugin, Status};
use crate::function::FunctionInstance;
use crate::manifest::Language;
use crate::process::Worker;
use crate::settings::RenewGo;

/// A function as one place of a rule uses it, or as one question about it does. Functions are never stopped,
/// so this is what tells one that is in use from one that was used once.
#[derive(Debug)]
pub(crate) struct FunctionUse {
    plugin: Arc<Plugin>,
    instance: Arc<FunctionInstance>,
}

impl FunctionUse {
    /// To be called under the lock of the plugin's instances, which whoever counts the uses holds as well.
    pub(super) fn new(plugin: &Arc<Plugin>, instance: &Arc<FunctionInstance>) -> Self {
        instance.uses.fetch_add(1, Ordering::AcqRel);
        Self {
            plugin: Arc::clone(plugin),
            instance: Arc::clone(instance),
        }
    }
}

impl Deref for FunctionUse {
    type Target = FunctionInstance;

    fn deref(&self) -> &FunctionInstance {
        &self.instance
    }
}

impl Drop for FunctionUse {
    fn drop(&mut self) {
        if self.instance.uses.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.plugin.look_whether_worn();
        }
    }
}

impl Plugin {
    /// A sink was stopped in that process.
    pub(super) fn wear(&self, worker: &Arc<Worker>) {
        if worker.launch.manifest.language == Language::Go {
            *self.worn.lock() = Arc::downgrade(worker);
        }
    }

    /// Something of it is not used any more, or time has passed: where its process is worn, it may be
    /// renewed now.
    pub(super) fn look_whether_worn(self: &Arc<Self>) {
        if self.worn.lock().strong_count() > 0
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let plugin = Arc::clone(self);
            runtime.spawn(async move {
                let lifecycle = plugin.lifecycle.lock().await;
                plugin.renew_if_worn(lifecycle).await;
            });
        }
    }

    /// Renews the process when it is worn and the settings say that it is time.
    pub(super) async fn renew_if_worn(self: &Arc<Self>, lifecycle: MutexGuard<'_, Lifecycle>) {
        let Some(worker) = self.worn.lock().upgrade() else {
            return;
        };
        if !serves(&lifecycle, &worker) {
            *self.worn.lock() = Weak::new();
            return;
        }
        // A change brings a new process by itself; should it be taken back, there is another time.
        if is_changing(&lifecycle) {
            return;
        }
        if !self.is_used() {
            self.renew(lifecycle).await;
            return;
        }
        let settings = &self.shared.settings;
        let when = worker.launch.options.renew_go.unwrap_or(settings.renew_go);
        if when == RenewGo::AtOnce && !self.renewing.swap(true, Ordering::AcqRel) {
            let (plugin, epoch) = (Arc::clone(self), lifecycle.epoch);
            tokio::spawn(async move { plugin.renew_beside(worker, epoch).await });
        }
    }

    /// Whether a rule uses anything of it, or a call is about to be made.
    fn is_used(&self) -> bool {
        self.instances
            .lock()
            .values()
            .any(|instance| match instance {
                Instance::Function(function) => function.uses.load(Ordering::Acquire) > 0,
                Instance::Source(_) | Instance::Sink(_) => true,
            })
    }

    /// Puts a new process in the place of one that nobody uses. Whoever comes meanwhile waits for it.
    async fn renew(self: &Arc<Self>, mut lifecycle: MutexGuard<'_, Lifecycle>) {
        let Some(worker) = lifecycle.current.set_first(None) else {
            return;
        };
        let epoch = lifecycle.epoch;
        {
            let mut state = self.state.lock();
            state.status = Status::Initializing;
            state.pid = None;
        }
        self.phase.send_replace(Phase::Coming);
        self.tell();
        let snapshot = self.snapshot();
        let pools: Vec<_> = snapshot
            .iter()
            .filter_map(|instance| match instance {
                Instance::Function(function) => function.pool(),
                Instance::Source(_) | Instance::Sink(_) => None,
            })
            .collect();
        self.let_go_of(&worker);
        for pool in pools {
            // A call that came at the last moment ends where it began.
            let _ = timeout(pool.deadline(), pool.quiet()).await;
        }
        self.logs.host(format!(
            "process {} is replaced: a sink of it was stopped, and nothing of it is in use",
            worker.process.pid()
        ));
        worker.stop(self.shared.settings.stop_grace.0).await;
        drop(lifecycle);
        self.bring_up(worker.launch.clone(), epoch);
    }

    /// Lets new processes take over from worn ones that are in use. What cannot move stays, with everything
    /// else, until the next sink is stopped.
    async fn renew_beside(self: Arc<Self>, worker: Arc<Worker>, epoch: u64) {
        let pid = worker.process.pid();
        self.logs.host(format!(
            "process {pid} is replaced at once: a sink of it was stopped"
        ));
        let outcome = self.take_over_from(&worker, epoch).await;
        drop(worker);
        self.renewing.store(false, Ordering::Release);
        match outcome {
            // A sink may have been stopped in the new process meanwhile.
            Ok(()) => self.look_whether_worn(),
            Err(error) => {
                *self.worn.lock() = Weak::new();
                let first = error.lines().next().unwrap_or_default();
                tracing::warn!(plugin = %self.name, pid, reason = first, "A worn process could not be replaced");
                self.logs.host(format!(
                    "process {pid} goes on, because no other could take over: {error}"
                ));
            }
        }
    }

    async fn take_over_from(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        epoch: u64,
    ) -> Result<(), String> {
        let crew = self
            .start_crew(&worker.launch)
            .await
            .map_err(|it| it.text)?;
        let settings = &self.shared.settings;
        let asking = crew
            .all()
            .map(|worker| worker.handshake(settings.init_timeout.0));
        if let Err(error) = try_join_all(asking).await {
            crew.kill().await;
            return Err(error);
        }
        let mut lifecycle = self.lifecycle.lock().await;
        let overtaken =
            lifecycle.epoch != epoch || !serves(&lifecycle, worker) || is_changing(&lifecycle);
        if overtaken {
            drop(lifecycle);
            crew.stop(settings.stop_grace.0).await;
            return Ok(());
        }
        lifecycle.epoch += 1;
        if let Err(error) = self.swap(&lifecycle, &crew).await {
            let epoch = lifecycle.epoch;
            self.bring_up_missing(&lifecycle.current, &worker.launch, epoch);
            drop(lifecycle);
            crew.kill().await;
            return Err(error.text);
        }
        let old = std::mem::replace(&mut lifecycle.current, crew);
        self.serving(&lifecycle.current);
        drop(lifecycle);
        old.stop(settings.stop_grace.0).await;
        Ok(())
    }
}

/// Whether a change is under way that brings other processes or may take them back.
fn is_changing(lifecycle: &Lifecycle) -> bool {
    // After an installation nothing is left that could be gone back to.
    let previous = lifecycle.previous.as_ref();
    lifecycle.staged.is_some() || previous.is_some_and(|it| it.crew.first().is_some())
}

/// Whether that process is the one that serves sources and sinks.
fn serves(lifecycle: &Lifecycle, worker: &Arc<Worker>) -> bool {
    let first = lifecycle.current.first();
    first.is_some_and(|it| Arc::ptr_eq(it, worker))
}
