//! The task of a sink: starts it, sends what waits, stops it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use plugyard_symbol::{Connection, ErrorClass, NodeId, SinkHandle, SinkRequest, SymbolError};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::cache::Cache;
use super::source::cut_off;
use super::{BACKOFF, BATCH, SYMBOL_STOP, Shared, SinkStages, cache_name, pause};
use crate::plan::{Plan, SinkPlan};
use crate::rule::CacheOptions;

pub(super) struct SinkTask {
    pub(super) plan: Arc<Plan>,
    pub(super) index: usize,
    pub(super) stages: SinkStages,
    pub(super) shared: Arc<Shared>,
    /// The rule shall end.
    pub(super) stop: CancellationToken,
    /// The rule shall end without waiting any longer.
    pub(super) cut: CancellationToken,
}

pub(super) async fn run(task: SinkTask) {
    if let Some(options) = task.plan().options.cache.clone()
        && let Some(dir) = task.shared.places.cache_of(&task.plan.rule.id)
    {
        let dir = dir.join(cache_name(&task.plan().op_id));
        task.run_with_cache(options, dir).await;
        return;
    }
    let Some(mut handle) = task.start().await else {
        task.count_undelivered(0);
        return;
    };
    task.stages.sink.started();
    task.shared.symbol_started();
    let mut under_way = 0;
    let cut_short = tokio::select! {
        () = task.deliver(handle.as_mut(), &mut under_way) => false,
        () = task.cut.cancelled() => true,
    };
    if cut_short {
        task.count_undelivered(under_way);
    }
    task.stop_symbol(handle).await;
}

impl SinkTask {
    fn plan(&self) -> &SinkPlan {
        &self.plan.sinks[self.index]
    }

    /// As [`run`], with a cache between the queue and the sink.
    async fn run_with_cache(&self, options: CacheOptions, dir: PathBuf) {
        let mut cache = match Cache::open(self, options, dir).await {
            Ok(cache) => cache,
            Err(reason) => {
                self.shared.fail(format!("{}: {reason}", self.plan().op_id));
                self.count_undelivered(0);
                return;
            }
        };
        let handle = tokio::select! {
            handle = cache.keep_while(self.start()) => handle,
            () = self.cut.cancelled() => None,
        };
        match handle {
            None => {
                tokio::select! {
                    () = cache.keep_rest() => {}
                    () = self.cut.cancelled() => {}
                }
            }
            Some(mut handle) => {
                self.stages.sink.started();
                self.shared.symbol_started();
                tokio::select! {
                    () = cache.deliver(handle.as_mut()) => {}
                    // What is under way now is sent again by the next run.
                    () = self.cut.cancelled() => {}
                }
                self.stop_symbol(handle).await;
            }
        }
        cache.close().await;
    }

    async fn stop_symbol(&self, handle: Box<dyn SinkHandle>) {
        let sink = &self.stages.sink;
        match timeout(SYMBOL_STOP, handle.stop()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => sink.failed(error.text),
            Err(_) => sink.failed(format!(
                "the sink did not stop within {} s",
                SYMBOL_STOP.as_secs()
            )),
        }
    }

    async fn start(&self) -> Option<Box<dyn SinkHandle>> {
        let node = &self.stages.sink;
        let mut delay = BACKOFF.0;
        loop {
            node.trying();
            let error = tokio::select! {
                result = self.plan().symbol.start(self.request(), node.clone()) => match result {
                    Ok(handle) => return Some(handle),
                    Err(error) => error,
                },
                () = cut_off(&self.stop) => return None,
            };
            node.failed(error.text.clone());
            node.link_changed(Connection::Disconnected(error.text.clone()));
            if error.class == ErrorClass::Refused {
                self.shared
                    .fail(format!("{}: {}", self.plan().op_id, error.text));
                return None;
            }
            if !pause(&mut delay, &self.stop).await {
                return None;
            }
        }
    }

    fn request(&self) -> SinkRequest {
        SinkRequest {
            node: NodeId {
                rule_id: self.plan.rule.id.clone(),
                op_id: self.plan().op_id.clone(),
                instance_id: 0,
            },
            properties: self.plan().properties.clone(),
        }
    }

    /// Sends until the queue is closed and empty, and counts each result when it is known: an acknowledgement may
    /// take long. `under_way` tells how many of the last lot have no result yet.
    async fn deliver(&self, handle: &mut dyn SinkHandle, under_way: &mut u64) {
        let node = &self.stages.sink;
        let mut batch: Vec<Bytes> = Vec::with_capacity(BATCH);
        while self.stages.queue.take(&mut batch, BATCH).await {
            let count = batch.len() as u64;
            *under_way = count;
            node.came_in(count);
            let mut began = Instant::now();
            let mut told = |results: Vec<Result<(), SymbolError>>| {
                let known = results.len() as u64;
                node.worked(known, began.elapsed());
                began = Instant::now();
                let mut delivered = 0;
                for result in results {
                    match result {
                        Ok(()) => delivered += 1,
                        Err(error) => node.failed(error.text),
                    }
                }
                node.went_out(delivered);
                *under_way = under_way.saturating_sub(known);
            };
            if count == 1
                && let Some(message) = batch.pop()
            {
                told(vec![handle.send(message).await]);
            } else {
                let lot = std::mem::take(&mut batch);
                handle.send_each(lot, &mut told).await;
            }
            *under_way = 0;
            if count == BATCH as u64 {
                // There is more: let others have their turn.
                tokio::task::yield_now().await;
            }
        }
    }

    /// What was on its way to a sink that was cut off.
    fn count_undelivered(&self, under_way: u64) {
        self.stages.queue.close();
        let lost = under_way + self.stages.queue.clear() as u64;
        self.stages
            .sink
            .failed_times(lost, format!("rule stopped, {lost} messages not delivered"));
    }
}
