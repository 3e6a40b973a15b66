//! Changing the process under running rules (HOST-35): the new one is started beside the old, shakes
//! hands, takes over symbol by symbol, and only then does the old one end. Until it has ended,
//! everything can go back.

use std::sync::Arc;

use plugyard_symbol::SymbolError;

use super::{Instance, Lifecycle, Phase, Plugin, Previous, Status};
use crate::function::Pool;
use crate::manifest::Handover;
use crate::process::{Launch, Worker};
use crate::sink::SinkAttachment;

/// What one instance left behind when it moved, so that it can go back.
enum Moved {
    Function(Instance, Option<Arc<Pool>>),
    Source(Instance),
    /// The old sink, which has taken everything and waits to be stopped or taken up again.
    Sink(Instance, Option<Box<SinkAttachment>>),
}

impl Plugin {
    /// Starts a process beside the one that serves.
    ///
    /// # Errors
    /// Why it did not start, for people.
    pub(crate) async fn stage(&self, launch: Launch) -> Result<u32, String> {
        self.unstage().await;
        let worker = match self.start_worker(launch).await {
            Ok(worker) => worker,
            Err(error) => {
                self.note(&error).await;
                return Err(error);
            }
        };
        let pid = worker.process.pid();
        let mut lifecycle = self.lifecycle.lock().await;
        lifecycle.staged = Some(worker);
        if lifecycle.current.is_none() {
            self.state.lock().status = Status::Initializing;
            self.phase.send_if_modified(|phase| {
                let off = *phase == Phase::Off;
                if off {
                    *phase = Phase::Coming;
                }
                off
            });
            self.tell();
        }
        Ok(pid)
    }

    /// Waits for the handshake of the process that was staged.
    ///
    /// # Errors
    /// With the last lines it wrote.
    pub(crate) async fn probe_staged(&self) -> Result<(), String> {
        let staged = self.lifecycle.lock().await.staged.clone();
        match staged {
            Some(worker) => {
                let answer = worker.handshake(self.shared.settings.init_timeout.0).await;
                if let Err(error) = &answer {
                    self.note(error).await;
                }
                answer
            }
            None => Err("there is no process to ask".to_owned()),
        }
    }

    /// Keeps the reason why the plugin does not run, when it does not.
    async fn note(&self, error: &str) {
        self.logs.host(error);
        if self.lifecycle.lock().await.current.is_none() {
            let mut state = self.state.lock();
            state.status = Status::Error;
            error.clone_into(&mut state.error);
        }
    }

    /// Ends a staged process that is not wanted.
    pub(crate) async fn unstage(&self) {
        let mut lifecycle = self.lifecycle.lock().await;
        if let Some(worker) = lifecycle.staged.take() {
            drop(lifecycle);
            worker.process.kill().await;
            lifecycle = self.lifecycle.lock().await;
        }
        let nothing = lifecycle.current.is_none() && self.launch.lock().is_none();
        if nothing {
            self.phase.send_replace(Phase::Off);
            self.tell();
        }
    }

    /// Lets the staged process take over.
    ///
    /// # Errors
    /// When a symbol that is in use does not start there: everything is back where it was, and the
    /// error names the symbol and has the plugin's words.
    pub(crate) async fn take_over(self: &Arc<Self>) -> Result<(), SymbolError> {
        let mut lifecycle = self.lifecycle.lock().await;
        let Some(new) = lifecycle.staged.take() else {
            return Err(SymbolError::io("there is no process to take over"));
        };
        let launch = self.launch();
        // What an earlier change left here cannot be gone back to any more.
        let stale = lifecycle
            .previous
            .take()
            .and_then(|previous| previous.worker);
        if let Some(worker) = stale {
            worker.stop(self.shared.settings.stop_grace.0).await;
        }
        lifecycle.epoch += 1;
        self.state.lock().in_a_row = 0;
        match self.swap(&lifecycle, &new).await {
            Ok(()) => {
                let worker = lifecycle.current.replace(Arc::clone(&new));
                lifecycle.previous = Some(Previous { worker, launch });
                self.running(&new);
                Ok(())
            }
            Err(error) => {
                // It stays staged: taking back the earlier step ends it.
                lifecycle.staged = Some(new);
                if lifecycle.current.is_none()
                    && let Some(launch) = launch
                {
                    let epoch = lifecycle.epoch;
                    drop(lifecycle);
                    self.bring_up(launch, epoch);
                }
                Err(error)
            }
        }
    }

    /// Takes a take-over back. Without effect when there was none.
    ///
    /// # Errors
    /// When a symbol does not start in the old process any more.
    pub(crate) async fn give_back(self: &Arc<Self>) -> Result<(), SymbolError> {
        let mut lifecycle = self.lifecycle.lock().await;
        let Some(previous) = lifecycle.previous.take() else {
            return Ok(());
        };
        lifecycle.epoch += 1;
        let epoch = lifecycle.epoch;
        let Some(old) = previous.worker.filter(|it| it.process.try_wait().is_none()) else {
            // Nothing ran before, or it ended meanwhile.
            let worker = lifecycle.current.take();
            for instance in self.snapshot() {
                instance.let_go().await;
            }
            self.launch.lock().clone_from(&previous.launch);
            lifecycle.staged = worker;
            match previous.launch {
                Some(launch) => {
                    self.trouble("the earlier process is gone".to_owned());
                    drop(lifecycle);
                    self.bring_up(launch, epoch);
                }
                None => {
                    self.phase.send_replace(Phase::Off);
                    self.tell();
                }
            }
            return Ok(());
        };
        let swapped = self.swap(&lifecycle, &old).await;
        lifecycle.staged = lifecycle.current.replace(Arc::clone(&old));
        self.running(&old);
        swapped
    }

    /// Ends the process that served before; the change holds.
    pub(crate) async fn retire_previous(&self) {
        let previous = self.lifecycle.lock().await.previous.take();
        if let Some(worker) = previous.and_then(|previous| previous.worker) {
            worker.stop(self.shared.settings.stop_grace.0).await;
        }
    }

    /// Nothing of it shall run any more. What uses it is told `reason` and waits for it to come back.
    pub(crate) async fn shut(self: &Arc<Self>, reason: Option<&str>) {
        let mut lifecycle = self.lifecycle.lock().await;
        lifecycle.epoch += 1;
        let workers = [
            lifecycle.staged.take(),
            lifecycle
                .previous
                .take()
                .and_then(|previous| previous.worker),
            lifecycle.current.take(),
        ];
        let settings = &self.shared.settings;
        for instance in self.snapshot() {
            match &instance {
                Instance::Source(it) => {
                    if let Some(attachment) = it.set(None) {
                        // Whatever does not end by itself ends with its process.
                        let _ = attachment.detach(settings.stop_grace.0).await;
                    }
                }
                Instance::Sink(it) => {
                    if let Some(attachment) = it.set(None).await {
                        let grace = settings.stop_grace.0;
                        let _ = attachment.detach(grace, grace).await;
                    }
                }
                Instance::Function(it) => drop(it.switch(None)),
            }
            if let Some(reason) = reason {
                instance.report(self, reason.to_owned());
            }
        }
        for worker in workers.into_iter().flatten() {
            worker.stop(settings.stop_grace.0).await;
        }
        *self.launch.lock() = None;
        {
            let mut state = self.state.lock();
            state.status = Status::Stop;
            state.error.clear();
            state.pid = None;
        }
        self.phase.send_replace(Phase::Off);
        self.tell();
    }

    /// Moves everything in use from the current process, if there is one, to `new`.
    async fn swap(
        self: &Arc<Self>,
        lifecycle: &Lifecycle,
        new: &Arc<Worker>,
    ) -> Result<(), SymbolError> {
        let old = lifecycle
            .current
            .as_ref()
            .filter(|it| it.process.try_wait().is_none());
        let (mut instances, dropped): (Vec<_>, Vec<_>) =
            self.snapshot().into_iter().partition(|instance| {
                new.launch
                    .manifest
                    .serves(instance.kind(), instance.symbol())
            });
        // What only adds comes first, so that a failure there has moved nothing that pauses.
        instances.sort_by_key(|instance| match instance {
            Instance::Function(_) => 0,
            Instance::Source(it) => match new.launch.manifest.handover(&it.symbol) {
                Handover::Overlap => 1,
                Handover::Exclusive => 2,
            },
            Instance::Sink(_) => 3,
        });
        let mut moved = Vec::with_capacity(instances.len());
        for instance in instances {
            match self.relocate(&instance, old, new).await {
                Ok(step) => moved.push(step),
                Err(error) => {
                    for step in moved.into_iter().rev() {
                        self.return_to(step, old).await;
                    }
                    return Err(SymbolError {
                        class: error.class,
                        text: format!(
                            "{} did not start in the new version: {}",
                            instance.called(),
                            error.text
                        ),
                    });
                }
            }
        }
        for instance in dropped {
            let limit = self.shared.settings.command_timeout.0;
            instance.cut_off(limit).await;
            instance.let_go().await;
            instance.report(self, self.lacks(new, &instance));
        }
        for step in moved {
            self.finish(step).await;
        }
        Ok(())
    }

    async fn relocate(
        self: &Arc<Self>,
        instance: &Instance,
        old: Option<&Arc<Worker>>,
        new: &Arc<Worker>,
    ) -> Result<Moved, SymbolError> {
        let settings = &self.shared.settings;
        match instance {
            Instance::Function(function) => {
                let pool = function.attach(new).await?;
                Ok(Moved::Function(
                    instance.clone(),
                    function.switch(Some(pool)),
                ))
            }
            Instance::Source(source) => {
                if new.launch.manifest.handover(&source.symbol) == Handover::Overlap {
                    let attachment = source.attach(new, self.source_ended(source)).await?;
                    if let Some(before) = source.set(Some(attachment)) {
                        // Should it go on, it is cut off here and ends with its process.
                        let _ = before.detach(settings.command_timeout.0).await;
                    }
                    return Ok(Moved::Source(instance.clone()));
                }
                if let Some(before) = source.set(None) {
                    let _ = before.detach(settings.command_timeout.0).await;
                }
                match source.attach(new, self.source_ended(source)).await {
                    Ok(attachment) => {
                        source.set(Some(attachment));
                        Ok(Moved::Source(instance.clone()))
                    }
                    Err(error) => {
                        self.return_to(Moved::Source(instance.clone()), old).await;
                        Err(error)
                    }
                }
            }
            Instance::Sink(sink) => {
                let mut before = sink.set(None).await;
                if let Some(before) = &mut before {
                    before.quiesce(settings.stop_grace.0).await;
                }
                match sink.attach(new, self.sink_ended(sink)).await {
                    Ok(attachment) => {
                        sink.set(Some(attachment)).await;
                        Ok(Moved::Sink(instance.clone(), before.map(Box::new)))
                    }
                    Err(error) => {
                        self.return_to(Moved::Sink(instance.clone(), before.map(Box::new)), old)
                            .await;
                        Err(error)
                    }
                }
            }
        }
    }

    /// Puts an instance back where it was.
    async fn return_to(self: &Arc<Self>, step: Moved, old: Option<&Arc<Worker>>) {
        let limit = self.shared.settings.command_timeout.0;
        let (instance, back) = match step {
            Moved::Function(instance, pool) => {
                if let Instance::Function(function) = &instance {
                    function.switch(pool);
                }
                return;
            }
            Moved::Source(instance) => {
                instance.cut_off(limit).await;
                let back = match old {
                    Some(old) => self.attach(&instance, old).await,
                    None => Ok(()),
                };
                (instance, back)
            }
            Moved::Sink(instance, before) => {
                instance.cut_off(limit).await;
                let back = match (before, &instance) {
                    (Some(mut before), Instance::Sink(sink)) => match before.redial().await {
                        Ok(()) => {
                            sink.set(Some(*before)).await;
                            Ok(())
                        }
                        Err(error) => Err(error),
                    },
                    _ => Ok(()),
                };
                (instance, back)
            }
        };
        if let Err(error) = back {
            instance.report(
                self,
                format!("{} could not go back: {error}", instance.called()),
            );
            if let Some(old) = old {
                // Its restart brings everything back that is in use.
                old.recycle("did not take a symbol back");
            }
        }
    }

    /// The move holds: what the instance left in the old process is ended there.
    async fn finish(&self, step: Moved) {
        let settings = &self.shared.settings;
        match step {
            Moved::Function(_, Some(pool)) => {
                // Calls that were under way end where they began.
                let _ = tokio::time::timeout(settings.recv_timeout.0, pool.quiet()).await;
            }
            Moved::Sink(_, Some(before)) => {
                // Whatever does not end by itself ends with its process.
                let _ = before
                    .detach(settings.stop_grace.0, settings.stop_grace.0)
                    .await;
            }
            Moved::Function(_, None) | Moved::Sink(_, None) | Moved::Source(_) => {}
        }
    }
}
