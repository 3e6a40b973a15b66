//! The one place where definitions meet the rule engine: registration, messages, what rules refer to.

use plugyard_model::{Code, codes};
use plugyard_validation::{Context, EmailMode, Lang, RuleName, RuleSet};
use serde_json::{Value as Json, json};

use crate::report::Messages;

/// The rules of one field, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    set: RuleSet,
}

/// What the registration of a rule string came to.
pub(crate) struct Registration {
    /// The rules, unless there are problems.
    pub(crate) rules: Option<Rules>,
    pub(crate) problems: Vec<Noted>,
    pub(crate) warnings: Vec<Noted>,
}

/// Something to be said about a rule string.
pub(crate) struct Noted {
    pub(crate) code: Code,
    pub(crate) params: Vec<(String, Json)>,
}

impl Rules {
    /// Reads and checks the rule string of a field.
    pub(crate) fn register(text: &str, context: &Context<'_>) -> Registration {
        let mut registration = Registration {
            rules: None,
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        let segment = |index: usize| text.split('|').nth(index).unwrap_or_default().to_owned();
        match plugyard_validation::register(text, context) {
            Ok(registered) => {
                registration.rules = Some(Self {
                    set: registered.set,
                });
                registration.warnings = registered
                    .warnings
                    .into_iter()
                    .filter_map(|it| {
                        let place = it.index.map(|index| (segment(index), index));
                        noted(it.code.as_str(), place, it.params)
                    })
                    .collect();
            }
            Err(problems) => {
                registration.problems = problems
                    .into_iter()
                    .filter_map(|it| {
                        noted(it.code.as_str(), Some((it.segment, it.index)), it.params)
                    })
                    .collect();
            }
        }
        registration
    }

    pub(crate) fn set(&self) -> &RuleSet {
        &self.set
    }

    pub(crate) fn has(&self, name: RuleName) -> bool {
        self.set.contains(name)
    }

    /// The fields that the rules look at.
    pub(crate) fn references(&self) -> impl Iterator<Item = &str> {
        self.set.references()
    }
}

/// `place` is the piece between the pipes and its place among these.
fn noted(
    word: &str,
    place: Option<(String, usize)>,
    params: Vec<(&'static str, String)>,
) -> Option<Noted> {
    let code = Code::from_word(word)?;
    let mut named = Vec::new();
    if let Some((segment, index)) = place {
        named.push(("segment".to_owned(), json!(segment)));
        named.push(("index".to_owned(), json!(index)));
    }
    if code == codes::RULE_UNKNOWN {
        named.push(("suggestion".to_owned(), Json::Null));
    }
    for (name, value) in params {
        // In texts `field` is the field that has the rules.
        let name = if name == "field" { "other" } else { name };
        named.retain(|it| it.0 != name);
        named.push((name.to_owned(), json!(value)));
    }
    Some(Noted {
        code,
        params: named,
    })
}

/// The texts of a failed rule. `label` gives what people call a field.
pub(crate) fn messages<'l>(
    failure: &plugyard_validation::Failure,
    key: &str,
    label: &impl Fn(&str) -> Option<&'l str>,
) -> Messages {
    let own = label(key).unwrap_or(key);
    let others = |key: &str| label(key).map(str::to_owned);
    let say = |lang| plugyard_validation::messages::render(failure, own, &others, lang);
    Messages {
        zh_cn: say(Lang::ZhCn),
        en: say(Lang::En),
    }
}

/// Whether a text is an e-mail address as the rule `email` has it.
pub(crate) fn is_email(text: &str) -> bool {
    plugyard_validation::is_email(text, EmailMode::Rfc)
}

/// Whether a text is a URL as the rule `url` has it.
pub(crate) fn is_url(text: &str) -> bool {
    plugyard_validation::is_url(text)
}
