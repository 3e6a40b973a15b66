//! What was read, kept in memory until something changes.
//!
//! Panels and sites that are open ask for the same over and over, and reading it costs many times what all else
//! about the request does. What is kept holds for one moment: when that is another one, all of it is forgotten.
//! [`FRESH`] bounds what nobody tells: writes that others make to the same database.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// For how long something is kept at most.
pub const FRESH: Duration = Duration::from_secs(1);

/// What was read at a moment `M`, by what was asked for.
///
/// `M` is [`Database::writes`](crate::Database::writes), or that and more. It is to be taken before reading.
#[derive(Debug)]
pub struct Remembered<M, K, V> {
    most: usize,
    table: Mutex<Table<M, K, V>>,
}

#[derive(Debug)]
struct Table<M, K, V> {
    moment: Option<M>,
    answers: HashMap<K, (Instant, V)>,
}

impl<M: PartialEq, K: Eq + Hash, V: Clone> Remembered<M, K, V> {
    /// Nothing yet, and never more than `most` answers at once.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            table: Mutex::new(Table {
                moment: None,
                answers: HashMap::new(),
            }),
        }
    }

    /// What was answered to the same at this moment.
    pub fn get(&self, now: &M, key: &K) -> Option<V> {
        let table = self.table.lock();
        if table.moment.as_ref() != Some(now) {
            return None;
        }
        let (made, answer) = table.answers.get(key)?;
        (made.elapsed() < FRESH).then(|| answer.clone())
    }

    /// Takes an answer that was read since `read_at`.
    pub fn put(&self, read_at: M, key: K, answer: V) {
        let mut table = self.table.lock();
        if table.moment.as_ref() != Some(&read_at) {
            table.answers.clear();
            table.moment = Some(read_at);
        } else if table.answers.len() >= self.most {
            table.answers.retain(|_, (made, _)| made.elapsed() < FRESH);
            if table.answers.len() >= self.most {
                return;
            }
        }
        table.answers.insert(key, (Instant::now(), answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_moment_forgets_everything() {
        let remembered = Remembered::new(8);
        remembered.put(1, "a", 10);
        remembered.put(1, "b", 20);
        assert_eq!(remembered.get(&1, &"a"), Some(10));
        assert_eq!(remembered.get(&2, &"a"), None);
        remembered.put(2, "b", 21);
        assert_eq!(remembered.get(&2, &"b"), Some(21));
        assert_eq!(remembered.get(&1, &"a"), None, "from before the change");
        assert_eq!(remembered.get(&2, &"a"), None);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let remembered = Remembered::new(2);
        for key in 0..3 {
            remembered.put((), key, key);
        }
        let kept = (0..3).filter(|key| remembered.get(&(), key).is_some());
        assert_eq!(kept.count(), 2);
    }
}
