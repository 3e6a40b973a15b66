//! What can go wrong at a symbol.

/// What the caller should make of a [`SymbolError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Nobody provides the symbol now; it may come back.
    Missing,
    /// The symbol refused its configuration or a value: trying again gives the same.
    Refused,
    /// A transport or the other side failed: worth trying again (eKuiper's I/O class, code 1003).
    Io,
    /// No answer within the time allowed.
    Timeout,
}

/// A failure of a source, sink or function, in the words of whoever provides it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct SymbolError {
    /// What to make of it.
    pub class: ErrorClass,
    /// What happened, naming the plugin; first line is the useful one (HOST-20).
    pub text: String,
}

impl SymbolError {
    /// Nobody provides the symbol.
    pub fn missing(text: impl Into<String>) -> Self {
        Self {
            class: ErrorClass::Missing,
            text: text.into(),
        }
    }

    /// The symbol refused.
    pub fn refused(text: impl Into<String>) -> Self {
        Self {
            class: ErrorClass::Refused,
            text: text.into(),
        }
    }

    /// The way there failed.
    pub fn io(text: impl Into<String>) -> Self {
        Self {
            class: ErrorClass::Io,
            text: text.into(),
        }
    }

    /// No answer in time.
    pub fn timeout(text: impl Into<String>) -> Self {
        Self {
            class: ErrorClass::Timeout,
            text: text.into(),
        }
    }
}
