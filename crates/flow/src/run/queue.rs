//! A bounded queue with one reader, which can drop its oldest entries or let the writer wait. It is bounded
//! by the number of entries, and by their bytes: few large messages cost as much as many small ones.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use plugyard_symbol::{Body, Row, Tuple, Value};
use tokio::sync::Notify;

/// Bytes that the entries of one queue may hold together. One entry is always taken, however large.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// How many bytes something holds, roughly.
pub(crate) trait Weigh {
    /// See the trait.
    fn bytes(&self) -> usize;
}

/// Entries that made room for others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// How many.
    pub(crate) count: u64,
    /// The number of the last of them.
    pub(crate) last: u64,
}

/// See the module.
pub(crate) struct Queue<T> {
    state: Mutex<Entries<T>>,
    filled: Notify,
    emptied: Notify,
    /// Told when the reader has nothing to do.
    idle: Notify,
    length: Arc<AtomicUsize>,
    /// The reader has nothing to do.
    reader_waits: AtomicBool,
}

struct Entries<T> {
    list: VecDeque<T>,
    capacity: usize,
    most_bytes: usize,
    bytes: usize,
    /// How many were ever taken out or dropped: the number of the oldest entry.
    first: u64,
    closed: bool,
}

impl<T: Weigh> Queue<T> {
    /// An empty queue for so many entries; memory is taken as it fills.
    pub(crate) fn new(capacity: usize) -> Self {
        Self::bounded(capacity, MAX_BYTES)
    }

    fn bounded(capacity: usize, most_bytes: usize) -> Self {
        Self {
            state: Mutex::new(Entries {
                list: VecDeque::new(),
                capacity: capacity.max(1),
                most_bytes,
                bytes: 0,
                first: 0,
                closed: false,
            }),
            filled: Notify::new(),
            emptied: Notify::new(),
            idle: Notify::new(),
            length: Arc::default(),
            reader_waits: AtomicBool::new(true),
        }
    }

    /// How many entries wait, for metrics.
    pub(crate) fn length(&self) -> Arc<AtomicUsize> {
        self.length.clone()
    }

    /// Whether the reader has nothing to do: a look from outside, which may be over at once.
    pub(crate) fn reader_waits(&self) -> bool {
        self.reader_waits.load(Ordering::Acquire)
    }

    /// Resolves when the reader has nothing to do.
    pub(crate) async fn reader_waiting(&self) {
        loop {
            // Before looking, so that nothing in between is missed.
            let idle = self.idle.notified();
            if self.reader_waits() {
                return;
            }
            idle.await;
        }
    }

    /// Puts an entry in at once; what was dropped for it.
    pub(crate) fn offer(&self, entry: T) -> Dropped {
        let mut dropped = Dropped::default();
        let mut state = self.state.lock();
        state.offer(entry, &mut dropped);
        self.noted(&state);
        drop(state);
        self.filled.notify_one();
        dropped
    }

    /// Puts several in at once; what was dropped for them.
    pub(crate) fn offer_all(&self, entries: impl Iterator<Item = T>) -> Dropped {
        let mut dropped = Dropped::default();
        let mut state = self.state.lock();
        for entry in entries {
            state.offer(entry, &mut dropped);
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
                if state.has_room(entry.bytes()) {
                    state.put(entry);
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

    /// Puts several in, in order, waiting for room; how many were not taken, which a closed queue does not.
    pub(crate) async fn push_all(&self, entries: impl Iterator<Item = T>) -> usize {
        let mut entries = entries.peekable();
        let mut emptied = pin!(self.emptied.notified());
        loop {
            // Before looking, so that no room made in between is missed.
            emptied.as_mut().enable();
            {
                let mut state = self.state.lock();
                if state.closed {
                    return entries.count();
                }
                while let Some(entry) = entries.next_if(|entry| state.has_room(entry.bytes())) {
                    state.put(entry);
                }
                self.noted(&state);
            }
            self.filled.notify_one();
            if entries.peek().is_none() {
                return 0;
            }
            emptied.as_mut().await;
            emptied.set(self.emptied.notified());
        }
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
                    let before = into.len();
                    into.extend(state.list.drain(..count));
                    state.first += count as u64;
                    let taken: usize = into[before..].iter().map(Weigh::bytes).sum();
                    state.bytes = state.bytes.saturating_sub(taken);
                    self.noted(&state);
                    break;
                }
                if state.closed {
                    return false;
                }
            }
            self.reader_waits.store(true, Ordering::Release);
            self.idle.notify_waiters();
            self.filled.notified().await;
        }
        self.reader_waits.store(false, Ordering::Relaxed);
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
        state.bytes = 0;
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

impl<T: Weigh> Entries<T> {
    fn has_room(&self, bytes: usize) -> bool {
        self.list.is_empty()
            || (self.list.len() < self.capacity && bytes <= self.most_bytes - self.bytes)
    }

    fn put(&mut self, entry: T) {
        // An entry above the limit is taken where it is alone.
        self.bytes = (self.bytes + entry.bytes()).min(self.most_bytes);
        self.list.push_back(entry);
    }

    fn offer(&mut self, entry: T, dropped: &mut Dropped) {
        if self.closed {
            dropped.count += 1;
            dropped.last = self.first + self.list.len() as u64;
            return;
        }
        let bytes = entry.bytes();
        while !self.has_room(bytes)
            && let Some(oldest) = self.list.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(oldest.bytes());
            dropped.count += 1;
            dropped.last = self.first;
            self.first += 1;
        }
        self.put(entry);
    }
}

impl Weigh for Bytes {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl Weigh for Tuple {
    fn bytes(&self) -> usize {
        let meta = self.meta.as_ref().map_or(0, |meta| meta.as_bytes().len());
        self.body.bytes() + meta
    }
}

impl Weigh for Body {
    fn bytes(&self) -> usize {
        match self {
            Self::Json(text) => text.as_bytes().len(),
            Self::Row(row) => row_bytes(row),
        }
    }
}

impl<T: Weigh> Weigh for Vec<T> {
    fn bytes(&self) -> usize {
        self.iter().map(Weigh::bytes).sum()
    }
}

/// How many bytes the columns of a row hold, roughly.
pub(super) fn row_bytes(row: &Row) -> usize {
    row.iter()
        .map(|(name, value)| name.len() + value_bytes(value))
        .sum()
}

/// How many bytes a value holds, roughly.
pub(super) fn value_bytes(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
            Value::Number(text) | Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(values) => values.iter().map(value_bytes).sum(),
            Value::Object(row) => row_bytes(row),
            Value::Json(text) => text.as_bytes().len(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for usize {
        fn bytes(&self) -> usize {
            1
        }
    }

    fn dropped(count: u64, last: u64) -> Dropped {
        Dropped { count, last }
    }

    #[tokio::test]
    async fn a_full_queue_drops_its_oldest_entry_and_says_which() {
        let queue = Queue::new(2);
        let given: Vec<_> = (0_usize..5).map(|entry| queue.offer(entry)).collect();
        let none = Dropped::default();
        assert_eq!(
            given,
            [none, none, dropped(1, 0), dropped(1, 1), dropped(1, 2)]
        );
        let mut left = Vec::new();
        assert!(queue.take(&mut left, 10).await);
        assert_eq!(left, [3, 4]);
    }

    #[tokio::test]
    async fn several_at_once_are_counted_one_by_one() {
        let queue = Queue::new(2);
        assert_eq!(
            queue.offer_all([1_usize, 2, 3, 4, 5].into_iter()),
            dropped(3, 2)
        );
    }

    #[tokio::test]
    async fn bytes_count_as_well_as_entries() {
        let queue = Queue::bounded(100, 10);
        let of = |length| Bytes::from(vec![0; length]);
        assert_eq!(
            queue.offer_all([of(4), of(4)].into_iter()),
            Dropped::default()
        );
        assert_eq!(queue.offer(of(3)), dropped(1, 0));
        // Two have to go for one, and one above the limit is taken alone.
        assert_eq!(queue.offer(of(9)), dropped(2, 2));
        assert_eq!(queue.offer(of(50)), dropped(1, 3));
        assert_eq!(queue.offer(of(1)), dropped(1, 4));
        let mut left = Vec::new();
        assert!(queue.take(&mut left, 10).await);
        assert_eq!(left, [of(1)]);
        // Room is made by what is taken out.
        assert!(queue.push(of(10)).await);
        let mut waiting = pin!(queue.push(of(1)));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        left.clear();
        assert!(queue.take(&mut left, 10).await);
        assert!(waiting.await);
    }

    #[tokio::test]
    async fn a_closed_queue_is_read_to_its_end_and_takes_nothing() {
        let queue = Queue::new(2);
        queue.offer(1_usize);
        queue.close();
        assert_eq!(queue.offer(2).count, 1);
        assert!(!queue.push(3).await);
        let mut left = Vec::new();
        assert!(queue.take(&mut left, 10).await);
        assert_eq!(left, [1]);
        assert!(!queue.take(&mut left, 10).await);
    }

    #[tokio::test]
    async fn who_waits_for_an_idle_reader_is_told_when_it_is() {
        let queue = Queue::new(2);
        let mut taken = Vec::new();
        queue.offer(1_usize);
        assert!(queue.take(&mut taken, 10).await);
        let mut waiting = pin!(queue.reader_waiting());
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        let mut reading = pin!(queue.take(&mut taken, 10));
        assert!(futures::poll!(reading.as_mut()).is_pending());
        waiting.await;
    }

    #[tokio::test]
    async fn several_wait_for_room_in_order() {
        let queue = Arc::new(Queue::new(3));
        let writer = {
            let queue = queue.clone();
            tokio::spawn(async move { queue.push_all(0_usize..100).await })
        };
        let mut got = Vec::new();
        while got.len() < 100 {
            queue.take(&mut got, 2).await;
        }
        assert_eq!(writer.await.unwrap(), 0);
        assert_eq!(got, (0..100).collect::<Vec<_>>());
        queue.close();
        assert_eq!(queue.push_all([1, 2].into_iter()).await, 2);
    }

    #[tokio::test]
    async fn writers_wait_for_room_and_nothing_is_lost() {
        let queue = Arc::new(Queue::new(3));
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    for number in 0_usize..100 {
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
