//! "Did you mean".

/// `, did you mean x?`-like tail for a name that is not among `known`; empty when nothing is near.
pub(crate) fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |near| format!(", did you mean `{near}`?"))
}

/// The known name nearest to a mistyped one.
fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const NEAR: f64 = 0.6;
    let lower = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| {
            let score = strsim::normalized_damerau_levenshtein(&lower, &candidate.to_lowercase());
            (score, candidate)
        })
        .filter(|(score, _)| *score >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_offered_and_a_far_one_is_not() {
        let known = ["pyjson", "print", "revert"];
        assert_eq!(suggest("revrt", known), ", did you mean `revert`?");
        assert_eq!(suggest("PyJson", known), ", did you mean `pyjson`?");
        assert_eq!(suggest("kafka", known), "");
    }
}
