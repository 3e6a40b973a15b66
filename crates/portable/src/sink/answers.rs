//! What becomes of several messages, told to whoever sent them as soon as it is known.

use plugyard_symbol::SymbolError;

/// Whether a message was taken (acknowledged, where that was asked for).
pub(super) type Outcome = Result<(), SymbolError>;

/// See the module.
pub(super) struct Answers<'t> {
    told: &'t mut (dyn FnMut(Vec<Outcome>) + Send),
    known: usize,
    last_failed: bool,
}

impl<'t> Answers<'t> {
    pub(super) fn new(told: &'t mut (dyn FnMut(Vec<Outcome>) + Send)) -> Self {
        Self {
            told,
            known: 0,
            last_failed: false,
        }
    }

    /// Of how many messages, counted from the first, it has been told.
    pub(super) fn known(&self) -> usize {
        self.known
    }

    /// Whether the last of them was not taken.
    pub(super) fn last_failed(&self) -> bool {
        self.last_failed
    }

    /// Tells of the next ones.
    pub(super) fn tell(&mut self, outcomes: Vec<Outcome>) {
        let Some(last) = outcomes.last() else { return };
        self.last_failed = last.is_err();
        self.known += outcomes.len();
        (self.told)(outcomes);
    }

    /// Tells that the next `count` were not taken, for that reason.
    pub(super) fn tell_failed(&mut self, count: usize, error: SymbolError) {
        self.tell(vec![Err(error); count]);
    }
}
