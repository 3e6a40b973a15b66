//! The task of a sink with a cache: what cannot be delivered now is kept and sent again.
//!
//! In order, which is the default, every message goes to disk first ([`pages`]) and is sent from there, one
//! after the other; after one that fails for a reason that may pass, the same is sent again after the interval.
//! With `resendAlterQueue` a message is sent as it comes, and only what fails is kept and sent besides.
//!
//! Only failures of the way (the I/O class) are worth another attempt; what the sink refuses for good is dropped.

mod pages;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use futures::FutureExt as _;
use plugyard_symbol::{ErrorClass, SinkHandle, SymbolError};
use tokio::task::spawn_blocking;
use tokio::time::sleep_until;

use super::BATCH;
use super::sink::SinkTask;
use crate::rule::{CacheOptions, Priority};
use pages::{Bounds, Kept, Pages};

/// What waits, and the counters for it.
pub(super) struct Cache<'t> {
    task: &'t SinkTask,
    options: CacheOptions,
    /// Away only while it is being used on another thread.
    pages: Option<Pages>,
    batch: Vec<Bytes>,
    /// Messages may still come.
    open: bool,
    /// No attempt before.
    retry: Option<Instant>,
    /// The number up to which messages have been counted as having come to the sink.
    counted: Option<u64>,
}

impl<'t> Cache<'t> {
    /// Opens what is left of earlier runs.
    pub(super) async fn open(
        task: &'t SinkTask,
        options: CacheOptions,
        dir: PathBuf,
    ) -> Result<Self, String> {
        let bounds = Bounds {
            memory: options.memory,
            disk: options.disk,
            page: options.page,
        };
        let place = dir.display().to_string();
        let opened = spawn_blocking(move || Pages::open(&dir, bounds)).await;
        let pages = match opened {
            Ok(Ok(pages)) => pages,
            Ok(Err(error)) => {
                return Err(format!("the cache in {place} cannot be opened: {error}"));
            }
            Err(error) => return Err(error.to_string()),
        };
        let cache = Self {
            task,
            options,
            pages: Some(pages),
            batch: Vec::with_capacity(BATCH),
            open: true,
            retry: None,
            counted: None,
        };
        cache.show();
        Ok(cache)
    }

    /// Waits for something and keeps meanwhile what comes.
    pub(super) async fn keep_while<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                more = self.task.stages.queue.take(&mut self.batch, BATCH), if self.open => {
                    self.open = more;
                    self.keep_batch().await;
                }
            }
        }
    }

    /// Keeps what still comes until nothing can come any more.
    pub(super) async fn keep_rest(&mut self) {
        while self.open {
            self.open = self.task.stages.queue.take(&mut self.batch, BATCH).await;
            self.keep_batch().await;
        }
    }

    /// Sends until nothing comes any more and nothing can be sent.
    pub(super) async fn deliver(&mut self, handle: &mut dyn SinkHandle) {
        match self.options.apart {
            None => self.deliver_in_order(handle).await,
            Some(priority) => self.deliver_apart(handle, priority).await,
        }
    }

    /// The rule has ended.
    pub(super) async fn close(mut self) {
        let clean = self.options.clean_at_stop;
        let lost = self
            .using(move |pages| {
                if clean {
                    let lost = pages.len() as u64;
                    return (lost, pages.clear().err().map(|error| error.to_string()));
                }
                (pages.settle(), None)
            })
            .await;
        let Some((lost, error)) = lost else { return };
        let sink = &self.task.stages.sink;
        let text = match (clean, error) {
            (true, None) => format!("rule stopped, {lost} messages cleaned from the cache"),
            (true, Some(error)) => format!("the cache cannot be cleaned: {error}"),
            (false, _) => format!("rule stopped, {lost} messages could not be kept"),
        };
        sink.failed_times(lost, text);
        if clean {
            self.task.stages.kept.store(0, Ordering::Relaxed);
        }
    }

    async fn deliver_in_order(&mut self, handle: &mut dyn SinkHandle) {
        loop {
            let stopping = self.task.stop.is_cancelled();
            if self.retry.is_some() {
                if stopping {
                    // The next run sends it.
                    self.keep_rest().await;
                    return;
                }
                self.wait().await;
                continue;
            }
            let Some((number, message)) = self.oldest().await else {
                if !self.open {
                    return;
                }
                self.open = self.task.stages.queue.take(&mut self.batch, BATCH).await;
                self.keep_batch().await;
                continue;
            };
            self.count_in(number);
            let began = Instant::now();
            let result = self.keep_while(handle.send(message)).await;
            self.task.stages.sink.worked(1, began.elapsed());
            self.settle(number, result);
        }
    }

    /// What became of a message that was kept.
    fn settle(&mut self, number: u64, result: Result<(), SymbolError>) {
        match result {
            Ok(()) => {
                self.done(number);
                self.task.stages.sink.went_out(1);
            }
            Err(error) => {
                if may_pass(&error) {
                    self.retry = Some(Instant::now() + self.options.resend);
                } else {
                    self.done(number);
                }
                self.task.stages.sink.failed(error.text);
            }
        }
    }

    async fn deliver_apart(&mut self, handle: &mut dyn SinkHandle, priority: Priority) {
        let mut kept_is_next = priority != Priority::New;
        loop {
            let stopping = self.task.stop.is_cancelled();
            if self.retry.is_some_and(|retry| retry <= Instant::now()) {
                self.retry = None;
            }
            let mut live = Vec::new();
            let kept_ready = self.retry.is_none() && self.len() > 0 && !(stopping && self.open);
            if self.open && !(kept_ready && kept_is_next) {
                // What comes now, if something is there; where nothing is to be sent, when something is.
                let queue = self.task.stages.queue.clone();
                if kept_ready {
                    if let Some(more) = queue.take(&mut live, 1).now_or_never() {
                        self.open = more;
                    }
                } else {
                    let until = self.retry;
                    tokio::select! {
                        more = queue.take(&mut live, 1) => self.open = more,
                        () = sleep_until(until.unwrap_or_else(Instant::now).into()), if until.is_some() => continue,
                    }
                }
            }
            if let Some(message) = live.pop() {
                self.send_live(handle, message).await;
                kept_is_next = priority != Priority::New;
            } else if kept_ready && let Some((number, message)) = self.oldest().await {
                self.count_in(number);
                let began = Instant::now();
                let result = handle.send(message).await;
                self.task.stages.sink.worked(1, began.elapsed());
                self.settle(number, result);
                kept_is_next = priority == Priority::Kept;
            } else if !self.open {
                return;
            }
        }
    }

    async fn send_live(&mut self, handle: &mut dyn SinkHandle, message: Bytes) {
        let sink = &self.task.stages.sink;
        let cache = self.task.stages.cache.as_ref();
        if let Some(cache) = cache {
            cache.came_in(1);
            cache.worked(1, std::time::Duration::ZERO);
            cache.went_out(1);
        }
        sink.came_in(1);
        let began = Instant::now();
        let result = handle.send(message.clone()).await;
        sink.worked(1, began.elapsed());
        match result {
            Ok(()) => sink.went_out(1),
            Err(error) => {
                let again = may_pass(&error);
                sink.failed(error.text);
                if again {
                    self.retry = Some(Instant::now() + self.options.resend);
                    let kept = self.using(|pages| pages.add(vec![message])).await;
                    self.count_kept(kept);
                }
            }
        }
    }

    /// Until the next attempt, or until the rule shall stop; keeps meanwhile what comes.
    async fn wait(&mut self) {
        let Some(retry) = self.retry else { return };
        let stop = self.task.stop.clone();
        self.keep_while(async {
            tokio::select! {
                () = sleep_until(retry.into()) => {}
                () = stop.cancelled() => {}
            }
        })
        .await;
        if Instant::now() >= retry {
            self.retry = None;
        }
    }

    async fn keep_batch(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let count = self.batch.len() as u64;
        let messages = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        let began = Instant::now();
        let kept = self.using(|pages| pages.add(messages)).await;
        if let Some(cache) = &self.task.stages.cache {
            cache.came_in(count);
            cache.worked(count, began.elapsed());
            cache.went_out(count);
        }
        self.count_kept(kept);
    }

    fn count_kept(&self, kept: Option<Kept>) {
        let Some(Kept { dropped, trouble }) = kept else {
            return;
        };
        let Some(cache) = &self.task.stages.cache else {
            return;
        };
        match trouble {
            Some(trouble) => {
                let text = format!("the cache cannot write, {dropped} messages dropped: {trouble}");
                cache.lost(dropped, text);
            }
            None if dropped > 0 => {
                cache.lost(
                    dropped,
                    format!("the cache is full, {dropped} oldest messages dropped"),
                );
            }
            None => {}
        }
    }

    async fn oldest(&mut self) -> Option<(u64, Bytes)> {
        let must_read = self.pages.as_ref().is_some_and(Pages::must_read);
        if !must_read {
            return self.pages.as_mut()?.oldest();
        }
        let (oldest, damaged) = self
            .using(|pages| {
                let oldest = pages.oldest();
                (oldest, pages.damaged())
            })
            .await?;
        if let Some(cache) = &self.task.stages.cache
            && damaged > 0
        {
            cache.lost(
                damaged,
                format!("the cache is damaged, {damaged} messages lost"),
            );
        }
        oldest
    }

    /// One place in one file is written, which waits for nothing but memory.
    fn done(&mut self, number: u64) {
        if let Some(pages) = &mut self.pages {
            pages.done(number);
        }
        self.show();
    }

    /// A message comes to the sink once, however often it is sent.
    fn count_in(&mut self, number: u64) {
        if self.counted.is_none_or(|counted| counted < number) {
            self.counted = Some(number);
            self.task.stages.sink.came_in(1);
        }
    }

    fn len(&self) -> usize {
        self.pages.as_ref().map_or(0, Pages::len)
    }

    fn show(&self) {
        self.task.stages.kept.store(self.len(), Ordering::Relaxed);
    }

    /// Uses the pages where blocking is allowed.
    async fn using<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Pages) -> T + Send + 'static,
    ) -> Option<T> {
        let mut pages = self.pages.take()?;
        let done = spawn_blocking(move || {
            let result = work(&mut pages);
            (pages, result)
        })
        .await;
        let (pages, result) = done.ok()?;
        self.pages = Some(pages);
        self.show();
        Some(result)
    }
}

/// Whether another attempt may go better.
fn may_pass(error: &SymbolError) -> bool {
    match error.class {
        ErrorClass::Io | ErrorClass::Timeout | ErrorClass::Missing => true,
        ErrorClass::Refused => false,
    }
}
