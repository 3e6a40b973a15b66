//! The table of rules for readers.

use crate::messages::Lang;

/// The table of all rules in Markdown.
pub fn table(lang: Lang) -> String { let _ = lang; String::new() }
