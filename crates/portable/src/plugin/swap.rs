//! Changing the processes under running rules (HOST-35): the new ones are started beside the old, shake
//! hands, take over symbol by symbol, and only then do the old ones end. Until they have ended,
//! everything can go back.

use std::sync::Arc;
use std::time::Duration;

use plugyard_symbol::SymbolError;

use super::crew::Crew;
use super::{Instance, Lifecycle, Phase, Plugin, Previous, Status};
use crate::manifest::Handover;
use crate::pool::Pool;
use crate::process::{Launch, StartError, Worker};
use crate::sink::SinkAttachment;

/// How long the old one of an overlapping source goes on at most while the new one has no row.
const OVERLAP: Duration = Duration::from_secs(1);

/// What one instance left behind when it moved, so that it can go back.
enum Moved {
    Function(Instance, Option<Arc<Pool>>),
    Source(Instance),
    /// The old sink, which has taken everything and waits to be stopped or taken up again.
    Sink(Instance, Option<Box<SinkAttachment>>),
}

impl Plugin {
    /// Starts the processes of a version beside those that serve; gives the pid of the first.
    ///
    /// # Errors
    /// Why one did not start, for people.
    pub(crate) async fn stage(&self, launch: Launch) -> Result<u32, StartError> {
        self.unstage().await;
        let crew = match self.start_crew(&launch).await {
            Ok(crew) => crew,
            Err(error) => {
                self.note(&error.text).await;
                return Err(error);
            }
        };
        let pid = crew.first().map_or(0, |worker| worker.process.pid());
        let mut lifecycle = self.lifecycle.lock().await;
        lifecycle.staged = Some(crew);
        if lifecycle.current.first().is_none() {
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

    /// Waits for the handshakes of the processes that were staged.
    ///
    /// # Errors
    /// With the last lines that one of them wrote.
    pub(crate) async fn probe_staged(&self) -> Result<(), String> {
        let Some(staged) = self.lifecycle.lock().await.staged.clone() else {
            return Err("there is no process to ask".to_owned());
        };
        let patience = self.shared.settings.init_timeout.0;
        let asking = staged.all().map(|worker| worker.handshake(patience));
        let answer = futures::future::try_join_all(asking).await.map(drop);
        if let Err(error) = &answer {
            self.note(error).await;
        }
        answer
    }

    /// Keeps the reason why the plugin does not run, when it does not.
    async fn note(&self, error: &str) {
        self.logs.host(error);
        if self.lifecycle.lock().await.current.first().is_none() {
            let mut state = self.state.lock();
            state.status = Status::Error;
            error.clone_into(&mut state.error);
        }
    }

    /// Ends staged processes that are not wanted.
    pub(crate) async fn unstage(&self) {
        let mut lifecycle = self.lifecycle.lock().await;
        if let Some(crew) = lifecycle.staged.take() {
            drop(lifecycle);
            crew.kill().await;
            lifecycle = self.lifecycle.lock().await;
        }
        let nothing = lifecycle.current.first().is_none() && self.launch.lock().is_none();
        if nothing {
            self.phase.send_replace(Phase::Off);
            self.tell();
        }
    }

    /// Lets the staged processes take over.
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
        if let Some(stale) = lifecycle.previous.take() {
            stale.crew.stop(self.shared.settings.stop_grace.0).await;
        }
        lifecycle.epoch += 1;
        {
            let mut state = self.state.lock();
            state.in_a_row = 0;
            state.others.begin_anew(usize::MAX);
        }
        self.failing.begin_anew();
        match self.swap(&lifecycle, &new).await {
            Ok(()) => {
                let crew = std::mem::replace(&mut lifecycle.current, new);
                lifecycle.previous = Some(Previous { crew, launch });
                self.serving(&lifecycle.current);
                Ok(())
            }
            Err(error) => {
                // They stay staged: taking back the earlier step ends them.
                lifecycle.staged = Some(new);
                if let Some(launch) = launch {
                    let epoch = lifecycle.epoch;
                    self.bring_up_missing(&lifecycle.current, &launch, epoch);
                }
                Err(error)
            }
        }
    }

    /// Those processes serve now.
    pub(super) fn serving(self: &Arc<Self>, crew: &Crew) {
        let Some(first) = crew.first() else { return };
        self.state
            .lock()
            .others
            .begin_anew(first.launch.options.workers);
        self.running(first);
        self.watch_others(crew);
    }

    /// Takes a take-over back. Without effect when there was none.
    ///
    /// # Errors
    /// When a symbol does not start in the old processes any more.
    pub(crate) async fn give_back(self: &Arc<Self>) -> Result<(), SymbolError> {
        let mut lifecycle = self.lifecycle.lock().await;
        let Some(mut previous) = lifecycle.previous.take() else {
            return Ok(());
        };
        lifecycle.epoch += 1;
        let epoch = lifecycle.epoch;
        previous.crew.drop_ended();
        let old = previous.crew;
        if old.first().is_none() {
            // Nothing ran before, or it ended meanwhile.
            old.stop(self.shared.settings.stop_grace.0).await;
            for instance in self.snapshot() {
                instance.let_go().await;
            }
            self.launch.lock().clone_from(&previous.launch);
            lifecycle.staged = Some(std::mem::take(&mut lifecycle.current));
            match previous.launch {
                Some(launch) => {
                    self.trouble("the earlier process is gone".to_owned());
                    self.bring_up_missing(&lifecycle.current, &launch, epoch);
                }
                None => {
                    let reason = format!("plugin {} was not installed", self.name.key);
                    for instance in self.snapshot() {
                        instance.withdraw(&reason);
                        instance.report(self, reason.clone());
                    }
                    self.phase.send_replace(Phase::Off);
                    self.tell();
                }
            }
            return Ok(());
        }
        let swapped = self.swap(&lifecycle, &old).await;
        lifecycle.staged = Some(std::mem::replace(&mut lifecycle.current, old));
        self.serving(&lifecycle.current);
        if let Some(launch) = previous.launch {
            self.bring_up_missing(&lifecycle.current, &launch, epoch);
        }
        swapped
    }

    /// Ends the processes that served before; the change holds.
    pub(crate) async fn retire_previous(&self) {
        let previous = self.lifecycle.lock().await.previous.take();
        if let Some(previous) = previous {
            let grace = self.shared.settings.stop_grace.0;
            previous.crew.stop(grace).await;
        }
    }

    /// Nothing of it shall run any more. What uses it is told `reason` and waits for it to come back.
    pub(crate) async fn shut(self: &Arc<Self>, reason: Option<&str>) {
        let mut lifecycle = self.lifecycle.lock().await;
        lifecycle.epoch += 1;
        let crews = [
            lifecycle.staged.take().unwrap_or_default(),
            lifecycle
                .previous
                .take()
                .map_or_else(Crew::default, |previous| previous.crew),
            std::mem::take(&mut lifecycle.current),
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
                instance.withdraw(reason);
                instance.report(self, reason.to_owned());
            }
        }
        let stopping = crews
            .into_iter()
            .map(|crew| crew.stop(settings.stop_grace.0));
        futures::future::join_all(stopping).await;
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

    /// Moves everything in use from the current processes, as far as there are any, to `crew`.
    pub(super) async fn swap(
        self: &Arc<Self>,
        lifecycle: &Lifecycle,
        crew: &Crew,
    ) -> Result<(), SymbolError> {
        let Some(new) = crew.first() else {
            return Err(SymbolError::io("there is no process to take over"));
        };
        let mut old = lifecycle.current.clone();
        old.drop_ended();
        let old = Some(&old).filter(|old| old.first().is_some());
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
            match self.relocate(&instance, old, crew).await {
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
            let lacking = self.lacks(new, &instance);
            instance.withdraw(&lacking);
            instance.report(self, lacking);
        }
        for step in moved {
            self.finish(step).await;
        }
        Ok(())
    }

    async fn relocate(
        self: &Arc<Self>,
        instance: &Instance,
        old: Option<&Crew>,
        crew: &Crew,
    ) -> Result<Moved, SymbolError> {
        let settings = &self.shared.settings;
        let all: Vec<Arc<Worker>> = crew.all().cloned().collect();
        let new = &all[0];
        match instance {
            Instance::Function(function) => {
                let pool = Pool::start(&function.symbol, settings, &all).await?;
                Ok(Moved::Function(
                    instance.clone(),
                    function.switch(Some(pool)),
                ))
            }
            Instance::Source(source) => {
                if new.launch.manifest.handover(&source.symbol) == Handover::Overlap {
                    let attachment = source.attach(new, self.source_ended(source)).await?;
                    let begun = attachment.begun();
                    if let Some(before) = source.set(Some(attachment)) {
                        // One that has nothing to say yet leaves no gap.
                        let _ = tokio::time::timeout(OVERLAP, begun).await;
                        // Should it go on, it is cut off here and ends with its process.
                        let _ = before.detach(settings.command_timeout.0).await;
                    }
                    return Ok(Moved::Source(instance.clone()));
                }
                // Each row waits for what is done from here on.
                let prepared = source.prepare(new)?;
                if let Some(before) = source.set(None) {
                    let _ = before.detach(settings.command_timeout.0).await;
                }
                match source.begin(prepared, self.source_ended(source)).await {
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
                // Started while the old one still takes rows: they wait only until it has taken the last.
                let attachment = match sink.attach(new, self.sink_ended(sink)).await {
                    Ok(attachment) => attachment,
                    Err(error) => {
                        sink.stays().await;
                        return Err(error);
                    }
                };
                let mut before = sink.set(None).await;
                if let Some(before) = &mut before {
                    before.quiesce(settings.stop_grace.0).await;
                }
                sink.set(Some(attachment)).await;
                Ok(Moved::Sink(instance.clone(), before.map(Box::new)))
            }
        }
    }

    /// Puts an instance back where it was.
    async fn return_to(self: &Arc<Self>, step: Moved, old: Option<&Crew>) {
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
            if let Some(old) = old.and_then(Crew::first) {
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
