//! Every problem and finding code, declared once: HTTP status, exit code, and texts in two languages.
//!
//! `docs/errors.md` is generated from these tables. A code never changes its meaning; its texts may
//! improve. Texts mention parameters as `{name}`.

mod app;
mod archive;
mod command;
mod config;
mod flow;
mod pages;
mod platform;
mod portable;
mod portable_keys;
mod web;
mod web_import;
mod web_lifecycle;
mod web_market;
mod web_usages;

pub use app::*;
pub use archive::*;
pub use command::*;
pub use config::*;
pub use flow::*;
pub use pages::*;
pub use platform::*;
pub use portable::*;
pub use portable_keys::*;
pub use web::*;
pub use web_import::*;
pub use web_lifecycle::*;
pub use web_market::*;
pub use web_usages::*;

use crate::lang::render;
use crate::{Lang, Params};

/// How the command line ends, by what the user has to do next.
///
/// `130` and `143` (ended by a signal) are the shell's and not listed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// Done.
    Done = 0,
    /// Failed; nothing changed.
    Failed = 1,
    /// The command was not understood.
    Usage = 2,
    /// What was named does not exist.
    NotFound = 3,
    /// The package has errors.
    PackageErrors = 4,
    /// In conflict with what is there, or busy.
    Conflict = 5,
    /// Not signed in, or not permitted.
    NotPermitted = 6,
    /// The server cannot be reached.
    Unreachable = 7,
    /// The wait ended, the operation goes on.
    StillRunning = 8,
    /// Failed, and the previous version runs.
    RolledBack = 9,
    /// Failed, and the way back failed too.
    UndoFailed = 10,
}

impl ExitCode {
    /// The worst of several: for a command that acts on several plugins.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        const ORDER: [u8; 11] = [10, 9, 1, 6, 7, 5, 4, 3, 2, 8, 0];
        let rank = |code: Self| ORDER.iter().position(|&o| o == code as u8);
        if rank(self) <= rank(other) {
            self
        } else {
            other
        }
    }
}

/// Title, text and hint in one language.
#[derive(Debug)]
struct Words {
    title: &'static str,
    text: &'static str,
    hint: &'static str,
}

/// Everything known about a code.
#[derive(Debug)]
struct Definition {
    word: &'static str,
    status: u16,
    exit: ExitCode,
    doc: &'static str,
    en: Words,
    zh: Words,
}

/// A stable code. The constants of this module are all there are.
#[derive(Clone, Copy)]
pub struct Code(&'static Definition);

impl Code {
    /// The stable word, e.g. `plugin_not_found`.
    pub const fn as_str(self) -> &'static str {
        self.0.word
    }

    /// HTTP status of a problem with this code.
    pub const fn status(self) -> u16 {
        self.0.status
    }

    /// How a command that met it ends.
    pub const fn exit(self) -> ExitCode {
        self.0.exit
    }

    /// When it occurs, for the reference.
    pub fn doc(self) -> &'static str {
        self.0.doc.trim()
    }

    /// Same for every occurrence.
    pub const fn title(self, lang: Lang) -> &'static str {
        self.words(lang).title
    }

    /// What happened, with the parameters put in.
    pub fn text(self, lang: Lang, params: &Params) -> String {
        render(lang, self.words(lang).text, params)
    }

    /// What to do next, with the parameters put in; may be empty.
    pub fn hint(self, lang: Lang, params: &Params) -> String {
        render(lang, self.words(lang).hint, params)
    }

    /// Looks a word up.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::all().find(|code| code.as_str() == word)
    }

    /// All codes, ordered by area as declared.
    pub fn all() -> impl Iterator<Item = Self> {
        [
            platform::ALL,
            archive::ALL,
            portable::ALL,
            portable_keys::ALL,
            web::ALL,
            web_import::ALL,
            web_lifecycle::ALL,
            pages::ALL,
            web_market::ALL,
            web_usages::ALL,
            app::ALL,
            flow::ALL,
            config::ALL,
            command::ALL,
        ]
        .into_iter()
        .flatten()
        .copied()
    }

    const fn words(self, lang: Lang) -> &'static Words {
        match lang {
            Lang::En => &self.0.en,
            Lang::ZhCn => &self.0.zh,
        }
    }
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.0.word == other.0.word
    }
}

impl Eq for Code {}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Code({})", self.0.word)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.word)
    }
}

/// A word for programs as people of a language say it: a phrase, or the text of the code of that name.
/// Anything else stays as it is.
pub(crate) fn phrase(lang: Lang, word: &str, params: &Params) -> String {
    let known = config::PHRASES.iter().find(|phrase| phrase.0 == word);
    if let Some((_, en, zh)) = known {
        return match lang {
            Lang::En => (*en).to_owned(),
            Lang::ZhCn => (*zh).to_owned(),
        };
    }
    match Code::from_word(word) {
        // Texts that mention words themselves are not followed: words are foreign, and may go in circles.
        Some(code) if !code.words(lang).text.contains("{@") => code.text(lang, params),
        _ => word.to_owned(),
    }
}

/// Declares the codes of one area:
/// `/// when` `NAME = "word", status, Exit, en: [title, text, hint], zh: [title, text, hint];`
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal, $status:literal, $exit:ident,
        en: [$en_title:literal, $en_text:literal, $en_hint:literal],
        zh: [$zh_title:literal, $zh_text:literal, $zh_hint:literal];)*) => {
        $($(#[doc = $doc])+
        pub const $name: super::Code = super::Code(&super::Definition {
            word: $word,
            status: $status,
            exit: $crate::ExitCode::$exit,
            doc: concat!($($doc),+),
            en: super::Words { title: $en_title, text: $en_text, hint: $en_hint },
            zh: super::Words { title: $zh_title, text: $zh_text, hint: $zh_hint },
        });)*
        pub(super) const ALL: &[super::Code] = &[$($name),*];
    };
}
use codes;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(template: &str) -> BTreeSet<&str> {
        template
            .split('{')
            .skip(1)
            .filter_map(|part| part.split_once('}'))
            .map(|p| p.0)
            .collect()
    }

    #[test]
    fn each_word_is_declared_once_and_both_languages_mention_the_same_values() {
        let mut seen = BTreeSet::new();
        for code in Code::all() {
            assert!(seen.insert(code.as_str()), "{code} is declared twice");
            assert!((400..600).contains(&code.status()), "{code}");
            for (en, zh) in [
                (code.0.en.text, code.0.zh.text),
                (code.0.en.hint, code.0.zh.hint),
            ] {
                assert_eq!(names(en), names(zh), "{code}");
            }
            assert!(
                !code.title(Lang::ZhCn).is_empty() && !code.title(Lang::En).is_empty(),
                "{code}"
            );
        }
    }

    /// Codes without a hint: what they say is already all that can be done about it.
    const WITHOUT_HINT: [(&str, &[&str]); 4] = [
        (
            "the text says what is allowed there",
            &[
                "file_too_large",
                "wrong_type",
                "blank",
                "too_long",
                "too_many",
                "out_of_range",
                "version_format",
                "date_format",
                "icon_format",
                "group_key_format",
                "options_empty",
                "default_type",
                "value_type",
                "type_number",
                "type_checkbox",
                "type_select",
                "type_email",
                "type_url",
                "type_string",
                "value_too_large",
                "value_nul",
                "e_scene_format",
                "e_field_length",
                "e_field_format",
                "e_usage_range",
            ],
        ),
        (
            "the text names the rule that the author wrote and what is wrong with it",
            &[
                "default_invalid",
                "value_invalid",
                "rule_unknown",
                "rule_unsupported",
                "rule_type_incompatible",
                "rule_param_missing",
                "rule_param_invalid",
                "rule_field_unknown",
                "rule_field_self",
                "rule_regex_unsafe",
                "rule_duplicate",
                "rule_failed",
                "group_unused",
                "required_mismatch",
                "option_unreachable",
                "between_empty",
                "field_never_valid",
            ],
        ),
        (
            "the text is that of an established interface, which has no hints",
            &[
                "validation_failed",
                "plugin_not_installed",
                "action_unsupported",
            ],
        ),
        (
            "it explains, and nothing is wrong; or it is part of a problem that has a hint",
            &[
                "viewer_token_signature",
                "viewer_token_time",
                "viewer_token_claims",
                "url_base_panel",
                "url_base_plugin_host",
                "url_base_system",
                "url_form",
                "url_joint",
                "url_path",
                "url_path_absolute",
                "url_parameter_verbatim",
                "url_parameter_component",
                "no_access_path",
                "no_settings_path",
            ],
        ),
    ];

    #[test]
    fn each_code_says_what_to_do_next_or_why_it_cannot() {
        let listed: BTreeSet<String> = WITHOUT_HINT
            .iter()
            .flat_map(|(_, words)| *words)
            .map(|word| (*word).to_owned())
            .collect();
        let without: BTreeSet<String> = Code::all()
            .filter(|code| code.0.en.hint.is_empty())
            .map(|code| code.as_str().to_lowercase())
            .collect();
        assert_eq!(without, listed);
        for code in Code::all() {
            let (en, zh) = (code.0.en.hint, code.0.zh.hint);
            assert_eq!(en.is_empty(), zh.is_empty(), "{code}");
        }
    }

    #[test]
    fn the_worst_exit_code_follows_its_order() {
        assert_eq!(
            ExitCode::Done.worst(ExitCode::StillRunning),
            ExitCode::StillRunning
        );
        assert_eq!(
            ExitCode::Failed.worst(ExitCode::RolledBack),
            ExitCode::RolledBack
        );
        assert_eq!(
            ExitCode::NotFound.worst(ExitCode::PackageErrors),
            ExitCode::PackageErrors
        );
    }
}
