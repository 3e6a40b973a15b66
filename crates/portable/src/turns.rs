//! Who waits and who is next: rules take turns, and within a rule the first comes first (HOST-31).
//!
//! A rule that has a hundred calls waiting delays another by one of them, not by all.

use std::collections::VecDeque;

/// Waiters by rule.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    /// The rule whose turn is next is in front. None of the lists is empty.
    rules: VecDeque<(String, VecDeque<T>)>,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self {
            rules: VecDeque::new(),
        }
    }
}

impl<T> Turns<T> {
    /// Puts a waiter behind those of its rule.
    pub(crate) fn wait(&mut self, rule: &str, waiter: T) {
        match self.rules.iter_mut().find(|(name, _)| name == rule) {
            Some((_, waiters)) => waiters.push_back(waiter),
            None => self
                .rules
                .push_back((rule.to_owned(), VecDeque::from([waiter]))),
        }
    }

    /// Takes out who is next.
    pub(crate) fn next(&mut self) -> Option<T> {
        let (rule, mut waiters) = self.rules.pop_front()?;
        let next = waiters.pop_front();
        if !waiters.is_empty() {
            self.rules.push_back((rule, waiters));
        }
        next
    }

    /// Forgets those of whom this does not hold.
    pub(crate) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        for (_, waiters) in &mut self.rules {
            waiters.retain(&keep);
        }
        self.rules.retain(|(_, waiters)| !waiters.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_31_rules_take_turns_whoever_has_more_waiting() {
        let mut turns = Turns::default();
        for n in 0..4 {
            turns.wait("many", format!("many {n}"));
        }
        turns.wait("one", "one 0".to_owned());
        turns.wait("two", "two 0".to_owned());
        turns.wait("two", "two 1".to_owned());
        turns.retain(|waiter| waiter != "many 1");
        let order: Vec<String> = std::iter::from_fn(|| turns.next()).collect();
        assert_eq!(
            order,
            ["many 0", "one 0", "two 0", "many 2", "two 1", "many 3"]
        );
        turns.wait("many", "again".to_owned());
        turns.retain(|_| false);
        assert_eq!(turns.next(), None);
    }
}
