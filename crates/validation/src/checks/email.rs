//! E-mail addresses in the four ways that Laravel judges them.

mod filter;
mod rfc;

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
    /// The mode of a word; Laravel takes every word that it does not know for `rfc`.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "rfc" => Self::Rfc,
            "strict" => Self::Strict,
            "filter" => Self::Filter,
            "filter_unicode" => Self::FilterUnicode,
            _ => return None,
        })
    }

    /// Words of Laravel's that cannot be judged here.
    pub(crate) fn unavailable(word: &str) -> Option<(&str, Unsupported)> {
        match word {
            "dns" => Some((word, Unsupported::NeedsNetwork)),
            "spoof" => Some((word, Unsupported::NeedsIcu)),
            _ => None,
        }
    }
}

/// Modes that must all agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set of four")]
pub(crate) struct EmailModes {
    rfc: bool,
    strict: bool,
    filter: bool,
    filter_unicode: bool,
}

impl EmailModes {
    pub(crate) fn new<'w>(words: impl Iterator<Item = &'w str>) -> Self {
        let mut modes = Self {
            rfc: false,
            strict: false,
            filter: false,
            filter_unicode: false,
        };
        let mut any = false;
        for word in words {
            any = true;
            match EmailMode::from_word(word).unwrap_or(EmailMode::Rfc) {
                EmailMode::Rfc => modes.rfc = true,
                EmailMode::Strict => modes.strict = true,
                EmailMode::Filter => modes.filter = true,
                EmailMode::FilterUnicode => modes.filter_unicode = true,
            }
        }
        modes.rfc |= !any;
        modes
    }

    pub(crate) fn accept(self, text: &str) -> bool {
        let asked = |wanted: bool, mode| !wanted || is_email(text, mode);
        asked(self.filter, EmailMode::Filter)
            && asked(self.filter_unicode, EmailMode::FilterUnicode)
            && asked(self.rfc && !self.strict, EmailMode::Rfc)
            && asked(self.strict, EmailMode::Strict)
    }
}

/// Whether a text is an address in a mode. Line ends never are part of one.
pub fn is_email(text: &str, mode: EmailMode) -> bool {
    if text.contains(['\r', '\n']) {
        return false;
    }
    match mode {
        EmailMode::Rfc => rfc::judge(text).is_some(),
        EmailMode::Strict => rfc::judge(text) == Some(rfc::Warned(false)),
        EmailMode::Filter => filter::accepts(text, false),
        EmailMode::FilterUnicode => filter::accepts(text, true),
    }
}
