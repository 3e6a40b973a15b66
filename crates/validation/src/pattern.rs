//! PCRE patterns.
use crate::problem::ProblemCode;
/// How many characters a pattern may have.
pub(crate) const LONGEST: usize = 1024;
/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern { _a: () }
/// Why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    /// .
    #[error("too long")]
    TooLong,
}
impl PatternError { pub(crate) fn code(&self) -> ProblemCode { ProblemCode::RegexUnsafe } }
impl Pattern {
    pub(crate) fn compile(_t: &str) -> Result<Self, PatternError> { Ok(Self { _a: () }) }
    /// Whether it matches somewhere; `None` when the bound on steps was reached.
    pub(crate) fn matches(&self, _t: &str) -> Option<bool> { None }
}
