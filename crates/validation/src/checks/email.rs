//! E-mail addresses.
use crate::rule::Unsupported;
/// How an address is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailMode {
    /// By the grammar of RFC 5322 with what obsolete mail software wrote.
    Rfc,
    /// By the same grammar, without anything that deserves a warning.
    Strict,
    /// As PHP's filter does.
    Filter,
    /// As PHP's filter does, with letters of all scripts before the `@`.
    FilterUnicode,
}
impl EmailMode {
    pub(crate) fn unavailable(word: &str) -> Option<(&str, Unsupported)> {
        match word { "dns" => Some((word, Unsupported::NeedsNetwork)), "spoof" => Some((word, Unsupported::NeedsIcu)), _ => None }
    }
}
/// Modes that must all agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EmailModes(u8);
impl EmailModes {
    pub(crate) fn new<'w>(_words: impl Iterator<Item=&'w str>) -> Self { Self(0) }
    pub(crate) fn accept(self, _text: &str) -> bool { self.0 == 1 }
}
/// Whether a text is an address in a mode.
pub fn is_email(_text: &str, _mode: EmailMode) -> bool { false }
