//! A bounded queue with one reader, which can drop its oldest entry or let the writer wait.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// See the module.
pub(crate) struct Queue<T> {
    state: Mutex<Entries<T>>,
    filled: Notify,
    emptied: Notify,
    length: Arc<AtomicUsize>,
}

struct Entries<T> {
    list: VecDeque<T>,
    capacity: usize,
    /// How many were ever taken out or dropped: the number of the oldest entry.
    first: u64,
    closed: bool,
}

impl<T> Queue<T> {
    /// An empty queue for so many entries; memory is taken as it fills.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(Entries {
                list: VecDeque::new(),
                capacity: capacity.max(1),
                first: 0,
                closed: false,
            }),
            filled: Notify::new(),
            emptied: Notify::new(),
            length: Arc::default(),
        }
    }

    /// How many entries wait, for metrics.
    pub(crate) fn length(&self) -> Arc<AtomicUsize> {
        self.length.clone()
    }

    /// Puts an entry in at once. Gives the number of the entry that was dropped for it, if one was.
    pub(crate) fn offer(&self, entry: T) -> Option<u64> {
        let mut state = self.state.lock();
        let dropped = state.offer(entry);
        self.noted(&state);
        drop(state);
        self.filled.notify_one();
        dropped
    }

    /// Puts several in at once, leaving `entries` empty. Gives how many were dropped and the number of the last one.
    pub(crate) fn offer_all(&self, entries: &mut Vec<T>) -> (u64, u64) {
        let mut dropped = (0, 0);
        let mut state = self.state.lock();
        for entry in entries.drain(..) {
            if let Some(number) = state.offer(entry) {
                dropped = (dropped.0 + 1, number);
            }
        }
        self.noted(&state);
        drop(state);
        self.filled.notify_one();
        dropped
    }

    /// Puts an entry in, waiting for room; whether it was taken, which a closed queue does not.
    pub(crate) async fn push(&self, entry: T) -> bool {
        let mut emptied = pin!(self.emptied.notified());
        loop {
            // Before looking, so that no room made in between is missed.
            emptied.as_mut().enable();
            {
                let mut state = self.state.lock();
                if state.closed {
                    return false;
                }
                if state.list.len() < state.capacity {
                    state.list.push_back(entry);
                    self.noted(&state);
                    break;
                }
            }
            emptied.as_mut().await;
            emptied.set(self.emptied.notified());
        }
        self.filled.notify_one();
        true
    }

    /// Takes up to `most` entries, waiting for the first. False when it is closed and empty.
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn take(&self, into: &mut Vec<T>, most: usize) -> bool {
        loop {
            {
                let mut state = self.state.lock();
                let count = state.list.len().min(most);
                if count > 0 {
                    into.extend(state.list.drain(..count));
                    state.first += count as u64;
                    self.noted(&state);
                    break;
                }
                if state.closed {
                    return false;
                }
            }
            self.filled.notified().await;
        }
        self.emptied.notify_waiters();
        true
    }

    /// Takes no more entries in; the reader gets what is there and then the end.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
        self.emptied.notify_waiters();
    }

    /// Throws away what is there; how many.
    pub(crate) fn clear(&self) -> usize {
        let mut state = self.state.lock();
        let count = state.list.len();
        state.list.clear();
        state.first += count as u64;
        self.noted(&state);
        drop(state);
        self.emptied.notify_waiters();
        count
    }

    fn noted(&self, state: &Entries<T>) {
        self.length.store(state.list.len(), Ordering::Relaxed);
    }
}

impl<T> Entries<T> {
    fn offer(&mut self, entry: T) -> Option<u64> {
        if self.closed {
            return Some(self.first + self.list.len() as u64);
        }
        let full = self.list.len() >= self.capacity;
        let dropped = full.then(|| {
            self.list.pop_front();
            self.first += 1;
            self.first - 1
        });
        self.list.push_back(entry);
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_drops_its_oldest_entry_and_says_which() {
        let queue = Queue::new(2);
        let dropped: Vec<_> = (0..5).map(|entry| queue.offer(entry)).collect();
        assert_eq!(dropped, [None, None, Some(0), Some(1), Some(2)]);
        let mut left = Vec::new();
        assert!(queue.take(&mut left, 10).await);
        assert_eq!(left, [3, 4]);
    }

    #[tokio::test]
    async fn several_at_once_are_counted_one_by_one() {
        let queue = Queue::new(2);
        assert_eq!(queue.offer_all(&mut vec![1, 2, 3, 4, 5]), (3, 2));
    }

    #[tokio::test]
    async fn a_closed_queue_is_read_to_its_end_and_takes_nothing() {
        let queue = Queue::new(2);
        queue.offer(1);
        queue.close();
        assert!(queue.offer(2).is_some());
        assert!(!queue.push(3).await);
        let mut left = Vec::new();
        assert!(queue.take(&mut left, 10).await);
        assert_eq!(left, [1]);
        assert!(!queue.take(&mut left, 10).await);
    }

    #[tokio::test]
    async fn writers_wait_for_room_and_nothing_is_lost() {
        let queue = Arc::new(Queue::new(3));
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    for number in 0..100 {
                        assert!(queue.push(writer * 100 + number).await);
                    }
                })
            })
            .collect();
        let mut got = Vec::new();
        while got.len() < 400 {
            queue.take(&mut got, 2).await;
        }
        for writer in writers {
            writer.await.unwrap();
        }
        got.sort_unstable();
        assert_eq!(got, (0..400).collect::<Vec<_>>());
    }
}
