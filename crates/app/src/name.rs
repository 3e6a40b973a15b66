//! How plugins of this kind may be called, and which directories of `plugins/` are theirs.

use plugyard_model::{Finding, Place, codes};

/// Longest name.
const LIMIT: usize = 64;

/// Names with a meaning of their own below `plugins/` or in the routes.
pub(crate) const RESERVED: [&str; 5] = [
    "portable",
    "portables",
    "discover",
    "rescan",
    "discovery-status",
];

/// Whether a text can be the name of a plugin: a letter, then letters, digits, `_` and `-`.
pub(crate) fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=LIMIT).contains(&bytes.len())
        && bytes[0].is_ascii_alphabetic()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Whether a name has a meaning of its own. Case does not matter, because some file systems do not tell.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(name))
}

/// What is wrong with a name.
pub(crate) fn check(name: &str) -> Option<Finding> {
    let code = if !is_name(name) {
        codes::APP_NAME_INVALID
    } else if is_reserved(name) {
        codes::PLUGIN_NAME_RESERVED
    } else {
        return None;
    };
    Some(Finding::error(code, Place::default()).with("name", name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_with_a_letter_and_end_within_64_characters() {
        for good in ["D", "DemoPlugin", "demo-plugin_2", &"x".repeat(64)] {
            assert!(is_name(good), "{good}");
            assert!(check(good).is_none(), "{good}");
        }
        for bad in [
            "",
            "2x",
            "_x",
            "-x",
            "a.b",
            "a/b",
            "..",
            "插件",
            "a b",
            &"x".repeat(65),
            &"x".repeat(300),
        ] {
            assert!(!is_name(bad), "{bad}");
            assert_eq!(check(bad).unwrap().code, codes::APP_NAME_INVALID, "{bad}");
        }
    }

    #[test]
    fn words_of_the_routes_are_reserved_in_any_case() {
        for word in [
            "discover",
            "Rescan",
            "discovery-status",
            "PORTABLE",
            "portables",
        ] {
            assert_eq!(
                check(word).unwrap().code,
                codes::PLUGIN_NAME_RESERVED,
                "{word}"
            );
        }
    }
}
