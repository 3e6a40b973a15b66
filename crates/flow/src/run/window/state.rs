//! State windows: what rows say themselves is when one begins and ends. As in eKuiper,
//!
//! * with two conditions a row for which the first is true begins one, and a later row for which the second is true
//!   is the last of it;
//! * with one condition a row for which it is true begins one and ends the one before, which it is not part of;
//! * with `PARTITION BY` there is one for each of what the keys are.
//!
//! All of them together hold as much as any window. When there is no room, a window loses its own oldest rows; where
//! it has none, the row is dropped.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::super::checkpoint::OpenState;
use super::{Fired, OVERHEAD};
use crate::eval::{Member, Span};

/// See the module.
pub(super) struct States {
    /// A row that ends one begins the next.
    single: bool,
    open: HashMap<String, Open>,
    rows: usize,
    bytes: usize,
    limits: (usize, usize),
}

struct Open {
    start: i64,
    rows: VecDeque<Arc<Member>>,
}

fn size(row: &Member) -> usize {
    row.bytes.saturating_add(OVERHEAD)
}

impl States {
    pub(super) fn new(single: bool, limits: (usize, usize)) -> Self {
        Self {
            single,
            open: HashMap::new(),
            rows: 0,
            bytes: 0,
            limits,
        }
    }

    /// Whether one of that key has begun: then it is the condition of the end that counts.
    pub(super) fn is_open(&self, key: &str) -> bool {
        self.open.contains_key(key)
    }

    /// Takes a row that its condition is true for, or not. The number is of rows dropped for want of room.
    pub(super) fn push(
        &mut self,
        key: &str,
        row: Arc<Member>,
        matches: bool,
    ) -> (Option<Fired>, u64) {
        let at = row.at;
        match (self.is_open(key), matches) {
            (false, false) => (None, 0),
            (false, true) => (None, self.begin(key, row)),
            (true, false) => (None, self.put(key, row)),
            (true, true) if self.single => {
                let fired = self.end(key, at);
                (fired, self.begin(key, row))
            }
            (true, true) => {
                let dropped = self.put(key, row);
                (self.end(key, at), dropped)
            }
        }
    }

    fn begin(&mut self, key: &str, row: Arc<Member>) -> u64 {
        let open = Open {
            start: row.at,
            rows: VecDeque::new(),
        };
        self.open.insert(key.to_owned(), open);
        let dropped = self.put(key, row);
        if self.open.get(key).is_some_and(|open| open.rows.is_empty()) {
            self.open.remove(key);
        }
        dropped
    }

    fn put(&mut self, key: &str, row: Arc<Member>) -> u64 {
        let Some(open) = self.open.get_mut(key) else {
            return 0;
        };
        let bytes = size(&row);
        let (most_rows, most_bytes) = self.limits;
        let mut dropped = 0;
        while self.rows >= most_rows || self.bytes.saturating_add(bytes) > most_bytes {
            match open.rows.pop_front() {
                Some(oldest) => {
                    self.rows -= 1;
                    self.bytes -= size(&oldest);
                    dropped += 1;
                }
                // One row is always taken, however large.
                None if self.rows == 0 => break,
                None => return dropped + 1,
            }
        }
        self.rows += 1;
        self.bytes += bytes;
        open.rows.push_back(row);
        dropped
    }

    fn end(&mut self, key: &str, at: i64) -> Option<Fired> {
        let open = self.open.remove(key)?;
        self.rows -= open.rows.len();
        self.bytes -= open.rows.iter().map(|row| size(row)).sum::<usize>();
        Some(Fired {
            rows: open.rows.into(),
            span: Span::of(open.start, at),
        })
    }

    /// What they have in hand.
    pub(super) fn state(&self) -> Vec<OpenState> {
        let open = self.open.iter().map(|(key, open)| OpenState {
            key: key.clone(),
            start: open.start,
            rows: open.rows.iter().cloned().collect(),
        });
        open.collect()
    }

    /// Takes over what others for the same rule had in hand.
    pub(super) fn restore(&mut self, state: Vec<OpenState>) {
        for OpenState { key, start, rows } in state {
            let open = Open {
                start,
                rows: VecDeque::new(),
            };
            self.open.insert(key.clone(), open);
            for row in rows {
                self.put(&key, row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use plugyard_symbol::Row;

    use super::*;

    fn row(at: i64) -> Arc<Member> {
        Arc::new(Member {
            row: Row::new(),
            meta: None,
            bytes: 0,
            at,
        })
    }

    fn times(fired: &Fired) -> Vec<i64> {
        fired.rows.iter().map(|row| row.at).collect()
    }

    #[test]
    fn two_conditions_begin_and_end_and_one_does_both() {
        for (single, expected) in [
            (false, "2..4 [2, 3, 4]; 6..7 [6, 7]"),
            (true, "2..4 [2, 3]; 4..6 [4, 5]; 6..7 [6]"),
        ] {
            let mut states = States::new(single, (100, 10_000));
            let mut all = Vec::new();
            for at in 1..9 {
                let (fired, dropped) = states.push("", row(at), [2, 4, 6, 7].contains(&at));
                assert_eq!(dropped, 0);
                all.extend(fired.map(|fired| {
                    format!(
                        "{}..{} {:?}",
                        fired.span.start,
                        fired.span.end,
                        times(&fired)
                    )
                }));
            }
            assert_eq!(all.join("; "), expected);
            assert_eq!(states.is_open(""), single);
        }
    }

    #[test]
    fn each_key_has_its_own_and_together_they_are_bounded() {
        let mut states = States::new(false, (3, 10_000));
        assert_eq!(states.push("a", row(1), true).1, 0);
        assert_eq!(states.push("b", row(2), true).1, 0);
        assert_eq!(states.push("a", row(3), false).1, 0);
        // The oldest of its own makes room; without one there is none.
        assert_eq!(states.push("a", row(4), false).1, 1);
        assert_eq!(states.push("c", row(5), true).1, 1);
        assert!(!states.is_open("c"));
        let mut again = States::new(false, (3, 10_000));
        again.restore(states.state());
        for mut states in [states, again] {
            let (fired, _) = states.push("a", row(6), true);
            let fired = fired.unwrap();
            assert_eq!((times(&fired), fired.span.start), (vec![4, 6], 1));
            let (fired, dropped) = states.push("b", row(7), true);
            assert_eq!((times(&fired.unwrap()), dropped), (vec![2, 7], 0));
            assert_eq!((states.rows, states.bytes), (0, 0));
        }
    }
}
