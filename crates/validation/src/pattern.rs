//! PCRE patterns as PHP writes them: delimiters, modifiers, and matching within a bound.

mod class;
mod translate;

use fancy_regex::{BytesMode, Regex, RegexBuilder};

use crate::problem::ProblemCode;

/// How many characters a pattern may have.
pub(crate) const LONGEST: usize = 1024;
/// How many steps back a match may take before it counts as none.
const STEPS: usize = 1_000_000;
/// How large a compiled pattern may become, in octets and in instructions.
const SIZE: usize = 1 << 20;
const INSTRUCTIONS: usize = 50_000;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    regex: Regex,
    unicode: bool,
}

/// Why a pattern was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    /// It has more than [`LONGEST`] characters.
    #[error("it is longer than {LONGEST} characters")]
    TooLong,
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// It begins with a letter, a digit or a backslash.
    #[error("`{0}` cannot be a delimiter")]
    Delimiter(char),
    /// The delimiter does not come again.
    #[error("its closing delimiter `{0}` is missing")]
    Unclosed(char),
    /// A letter after the closing delimiter that means nothing.
    #[error("`{0}` is no modifier")]
    Modifier(char),
    /// The pattern itself is wrong.
    #[error("{0}")]
    Syntax(String),
}

impl PatternError {
    /// The code of the problem that it is.
    pub(crate) fn code(&self) -> ProblemCode {
        match self {
            Self::TooLong => ProblemCode::RegexUnsafe,
            _ => ProblemCode::RegexInvalid,
        }
    }
}

/// What the letters after the closing delimiter ask for.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a modifier of its own"
)]
pub(crate) struct Modifiers {
    caseless: bool,
    multiline: bool,
    dotall: bool,
    extended: bool,
    unicode: bool,
    anchored: bool,
    dollar_end: bool,
    ungreedy: bool,
    no_capture: bool,
    duplicate_names: bool,
}

impl Pattern {
    /// Reads `/pattern/modifiers`.
    pub(crate) fn compile(text: &str) -> Result<Self, PatternError> {
        if text.chars().count() > LONGEST {
            return Err(PatternError::TooLong);
        }
        let (body, modifiers) = split(text)?;
        let translated = translate::translate(body, modifiers)
            .map_err(|it| PatternError::Syntax(it.to_string()))?;
        let regex = RegexBuilder::new(&translated)
            .backtrack_limit(STEPS)
            .delegate_size_limit(SIZE)
            .delegate_dfa_size_limit(SIZE)
            .max_prog_size(INSTRUCTIONS)
            .bytes_mode(if modifiers.unicode {
                BytesMode::Unicode
            } else {
                BytesMode::Ascii
            })
            .build()
            .map_err(|error| PatternError::Syntax(error.to_string()))?;
        Ok(Self {
            regex,
            unicode: modifiers.unicode,
        })
    }

    /// Whether it matches somewhere; `None` when the bound on steps was reached.
    pub(crate) fn matches(&self, text: &str) -> Option<bool> {
        if self.unicode {
            self.regex.is_match(text).ok()
        } else {
            self.regex.is_match(text.as_bytes()).ok()
        }
    }
}

/// Whether a pattern lacks its closing delimiter, as when a `|` in it has ended the rule.
pub(crate) fn is_unclosed(text: &str) -> bool {
    matches!(split(text), Err(PatternError::Unclosed(_)))
}

/// The pattern between its delimiters, and its modifiers.
fn split(text: &str) -> Result<(&str, Modifiers), PatternError> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let open = text.chars().next().ok_or(PatternError::Empty)?;
    if open.is_ascii_alphanumeric() || matches!(open, '\\' | '\0') || !open.is_ascii() {
        return Err(PatternError::Delimiter(open));
    }
    let close = match open {
        '(' => ')',
        '[' => ']',
        '{' => '}',
        '<' => '>',
        other => other,
    };
    let inner = &text[1..];
    let mut depth = 1_usize;
    let mut escaped = false;
    let end = inner.char_indices().find_map(|(at, letter)| {
        if escaped {
            escaped = false;
        } else if letter == '\\' {
            escaped = true;
        } else if letter == close {
            depth -= 1;
        } else if letter == open {
            depth += 1;
        }
        (depth == 0).then_some(at)
    });
    let end = end.ok_or(PatternError::Unclosed(close))?;
    let mut modifiers = Modifiers::default();
    for letter in inner[end + 1..].chars() {
        match letter {
            'i' => modifiers.caseless = true,
            'm' => modifiers.multiline = true,
            's' => modifiers.dotall = true,
            'x' => modifiers.extended = true,
            'u' => modifiers.unicode = true,
            'A' => modifiers.anchored = true,
            'D' => modifiers.dollar_end = true,
            'U' => modifiers.ungreedy = true,
            'n' => modifiers.no_capture = true,
            'J' => modifiers.duplicate_names = true,
            'S' | 'X' | ' ' | '\n' | '\r' => {}
            other => return Err(PatternError::Modifier(other)),
        }
    }
    Ok((&inner[..end], modifiers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let compiled =
            Pattern::compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        for text in matching {
            assert_eq!(compiled.matches(text), Some(true), "{pattern} {text:?}");
        }
        for text in others {
            assert_eq!(compiled.matches(text), Some(false), "{pattern} {text:?}");
        }
    }

    #[test]
    fn delimiters_and_modifiers_are_php_s() {
        check("#^a/b$#", &["a/b"], &["a"]);
        check("{^a{2}$}", &["aa"], &["a"]);
        check("(^(a)b$)i", &["AB"], &["a"]);
        check("  ~a~", &["xax"], &[]);
        check("/^a b$/x", &["ab"], &["a b"]);
        check("/^a.b$/s", &["a\nb"], &[]);
        check("/^a.b$/", &["axb"], &["a\nb"]);
        check("/^b$/m", &["a\nb\nc"], &["ab"]);
        check("/^a$/", &["a", "a\n"], &["a\n\n"]);
        check("/^a$/D", &["a"], &["a\n"]);
        check("/b/A", &["bc"], &["abc"]);
        check("/^a+?$/U", &["aaa"], &[]);
    }

    #[test]
    fn without_u_a_pattern_sees_octets() {
        check("/^.{6}$/", &["中文"], &["中"]);
        check("/^.{2}$/u", &["中文"], &["中"]);
        check("/^\\w+$/", &["abc_1"], &["中"]);
        check("/^\\w+$/u", &["中"], &["-"]);
        check("/^\\d$/u", &["３"], &["a"]);
        check("/^[中]$/u", &["中"], &["文"]);
        check("/^中+$/", &["中"], &["中中"]);
        check("/^\\p{Han}+$/u", &["中文"], &["a"]);
        check("/é/i", &["é"], &["É"]);
        check("/é/iu", &["É"], &[]);
        check("/^[\\xC3][\\xA0-\\xBF]$/", &["é"], &["e"]);
    }

    #[test]
    fn what_backtracking_engines_have_works() {
        check("/^(.)\\1$/", &["aa"], &["ab"]);
        check("/(?<=a)b/", &["ab"], &["cb"]);
        check("/^(?!bad).*$/", &["good"], &["bad"]);
        check("/^a++b$/", &["aab"], &["aa"]);
        check("/^(?:a{1,2}+)a$/", &["aaa"], &["aa"]);
        check("/^(?<x>a)(?P=x)\\k<x>\\k{x}\\g{x}$/", &["aaaaa"], &["aaaa"]);
        check("/^(a(?1)?b)$/", &["ab", "aabb"], &["aab"]);
        check("/^(?>a+)b/", &["aab"], &["aaa"]);
        check("/^(?:(a)|b)(?(1)c|d)$/", &["ac", "bd"], &["ad", "bc"]);
        check("/^\\Qa.b\\E$/", &["a.b"], &["axb"]);
        check("/^[[:alpha:][:digit:]_-]+$/", &["a-1_"], &["a b"]);
        check("/^[^\\]a-c]+$/", &["xyz"], &["a", "]"]);
        check("/^a{,2}$/", &["a{,2}"], &["aa"]);
        check("/\\bfoo\\b/u", &["a foo b"], &["afoo"]);
        check("/^\\x41\\x{42}\\103\\cA?$/", &["ABC"], &[]);
        check("/^\\R$/", &["\r\n", "\n"], &["a"]);
        check("/^(?i:a)b$/", &["Ab"], &["AB"]);
        check("/^(?x) a # c\n b$/", &["ab"], &["a b"]);
        check("/^\\C{3}$/", &["abc", "中"], &["ab"]);
        check("/(*NO_JIT)(*LF)^a$/", &["a"], &["b"]);
        check("/(*UTF8)(*UCP)^\\w$/u", &["中"], &["-"]);
        check("/^(*pla:a)\\w(*nlb:ab)b$/", &["ab"], &["bb"]);
        check("/^a(*FAIL)/", &[], &["a"]);
        check(
            "/^(?:(?<n>a)x)?(?:(?<n>b)y)?\\k<n>$/J",
            &["axa", "byb", "axbya"],
            &["axb", "axbyb"],
        );
    }

    #[test]
    fn broken_patterns_are_refused() {
        for pattern in [
            "",
            "abc",
            "\\a\\",
            "/a",
            "/a/q",
            "/[/",
            "/(/",
            "/)/",
            "/a**/",
            "/*a/",
            "/a{2,1}/",
            "/[z-a]/",
            "/\\/",
            "/(?<=a+)b/",
            "/\\p{Nope}/u",
            "/(?P<1>a)/",
            "/\\2(a)/",
            "/\\y/",
            "//é",
            "/(?<n>a)(?<n>b)/",
            "/a(*SKIP)b/",
            "/(*CRLF)a$/",
            "/\\C/u",
        ] {
            assert!(Pattern::compile(pattern).is_err(), "{pattern}");
        }
        assert!(is_unclosed("/^(a"));
        assert_eq!(
            Pattern::compile(&format!("/{}/", "a".repeat(1023))).err(),
            Some(PatternError::TooLong)
        );
    }

    #[test]
    fn a_match_that_takes_too_many_steps_is_undecided() {
        for pattern in ["/^((?=a)a+)+$/", "/^(?:(a+)\\1?)+$/", "/^(?:(a)|a\\1?)+$/"] {
            let compiled = Pattern::compile(pattern).unwrap();
            assert_eq!(
                compiled.matches(&format!("{}!", "a".repeat(40))),
                None,
                "{pattern}"
            );
        }
    }
}
