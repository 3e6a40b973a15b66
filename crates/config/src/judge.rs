//! Whether one value of a field stands: first the shape of its type, then its rules.

use indexmap::IndexMap;
use plugyard_model::{Code, Lang, Params, codes};
use plugyard_validation::{Data, RuleName, RuleSet, Siblings, SizeKind, Value as EngineValue};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use crate::definition::{Definition, Field};
use crate::report::{Messages, shown};
use crate::rules;
use crate::shape;
use crate::value::{Value, Values};

/// What a value that was sent or stored has wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Where it is in what was sent, as JSON pointer; empty when nothing was sent.
    pub path: String,
    /// Which problem: `rule_failed`, `type_…`, `unknown_field` and so on.
    pub code: Code,
    /// The key of the field.
    pub field: String,
    /// The rule that failed, in snake case; `type` when it is no value of the field's type.
    pub rule: Option<String>,
    /// What the texts mention. Never the value of a secret.
    pub params: Map<String, Json>,
    /// The texts.
    pub messages: Messages,
}

impl Failure {
    /// A failure with the texts of its code. Texts mention the label of the field as `{field}`.
    pub(crate) fn new(code: Code, key: &str, label: &str, params: Map<String, Json>) -> Self {
        let mut texts: Params = params
            .iter()
            .map(|(name, value)| (name.clone(), shown(value)))
            .collect();
        texts.insert("field".to_owned(), label.to_owned());
        let rule = code
            .as_str()
            .starts_with("type_")
            .then(|| "type".to_owned());
        Self {
            path: String::new(),
            code,
            field: key.to_owned(),
            rule,
            params,
            messages: Messages {
                zh_cn: code.text(Lang::ZhCn, &texts),
                en: code.text(Lang::En, &texts),
            },
        }
    }

    #[must_use]
    pub(crate) fn at(mut self, path: String) -> Self {
        self.path = path;
        self
    }

    /// The failure as it is sent.
    pub fn document(&self, lang: Lang) -> FailureDocument {
        FailureDocument {
            path: self.path.clone(),
            code: self.code.as_str().to_owned(),
            field: self.field.clone(),
            rule: self.rule.clone(),
            params: self.params.clone(),
            message: self.messages.get(lang).to_owned(),
            messages: self.messages.clone(),
        }
    }

    /// The failure as it stands among the things that keep a configuration from being complete.
    pub fn issue(&self, lang: Lang) -> ConfigIssue {
        ConfigIssue {
            key: self.field.clone(),
            rule: self
                .rule
                .clone()
                .unwrap_or_else(|| self.code.as_str().to_owned()),
            message: self.messages.get(lang).to_owned(),
        }
    }
}

/// A [`Failure`] as JSON, an element of `details`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ConfigFailure))]
pub struct FailureDocument {
    /// JSON pointer into the body that was sent.
    pub path: String,
    /// Stable code.
    pub code: String,
    /// Key of the field.
    pub field: String,
    /// The rule that failed; `type` when the value is none of the field's type.
    pub rule: Option<String>,
    /// What the texts mention.
    pub params: Map<String, Json>,
    /// The text in the language asked for.
    pub message: String,
    /// The text in every language.
    pub messages: Messages,
}

/// Why a configuration is not complete, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConfigIssue {
    /// Key of the field.
    pub key: String,
    /// The rule that fails.
    pub rule: String,
    /// The text in the language asked for.
    pub message: String,
}

/// What a value came to.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    pub(crate) broken: Vec<Broken>,
    /// Whether a rule says that the value does not count at all.
    pub(crate) excluded: bool,
}

/// One thing that a value breaks.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The shape of the type.
    Shape(Code),
    /// A rule.
    Rule(plugyard_validation::Failure),
}

impl Broken {
    /// The rule's name in snake case; `type` for a shape.
    pub(crate) fn rule(&self) -> &'static str {
        match self {
            Self::Shape(_) => "type",
            Self::Rule(failure) => failure.rule.snake(),
        }
    }

    /// What the rule was given, by name.
    pub(crate) fn params(&self) -> Map<String, Json> {
        match self {
            Self::Shape(_) => Map::new(),
            Self::Rule(failure) => parameters(failure),
        }
    }

    /// The failure of a field.
    pub(crate) fn failure(&self, key: &str, fields: &IndexMap<String, Field>) -> Failure {
        let label = |key: &str| fields.get(key).map(|field| field.label.as_str());
        let own = label(key).unwrap_or(key);
        match self {
            Self::Shape(code) => Failure::new(*code, key, own, Map::new()),
            Self::Rule(failure) => Failure {
                path: String::new(),
                code: codes::RULE_FAILED,
                field: key.to_owned(),
                rule: Some(self.rule().to_owned()),
                params: self.params(),
                messages: rules::messages(failure, key, &label),
            },
        }
    }
}

/// Values by field key, as rules see them. A field without a value is absent.
#[derive(Default)]
pub(crate) struct Seen<'a>(IndexMap<&'a str, EngineValue>);

impl<'a> Seen<'a> {
    /// What is stored.
    pub(crate) fn stored(values: &'a Values) -> Self {
        Self(
            values
                .iter()
                .filter_map(|(key, entry)| Some((key, entry.value.to_engine()?)))
                .collect(),
        )
    }

    pub(crate) fn put(&mut self, key: &'a str, value: EngineValue) {
        self.0.insert(key, value);
    }
}

impl<'a> FromIterator<(&'a str, EngineValue)> for Seen<'a> {
    fn from_iter<T: IntoIterator<Item = (&'a str, EngineValue)>>(values: T) -> Self {
        Self(values.into_iter().collect())
    }
}

impl Data for Seen<'_> {
    fn value(&self, name: &str) -> Option<&EngineValue> {
        self.0.get(name)
    }
}

/// The rules of every field, for those that look at them.
pub(crate) struct AllRules<'a>(pub(crate) &'a IndexMap<String, Field>);

impl Siblings for AllRules<'_> {
    fn rules(&self, attribute: &str) -> Option<&RuleSet> {
        Some(self.0.get(attribute)?.rules.set())
    }
}

/// Judges the value that `seen` has for a field.
pub(crate) fn judge(
    key: &str,
    field: &Field,
    seen: &Seen<'_>,
    fields: &IndexMap<String, Field>,
    now: i64,
) -> Judgement {
    let fault = seen.value(key).and_then(|value| shape::fault(field, value));
    if let Some(code) = fault {
        return Judgement {
            broken: vec![Broken::Shape(code)],
            excluded: false,
        };
    }
    let verdict = field
        .rules
        .set()
        .evaluate(key, seen, &AllRules(fields), now);
    Judgement {
        broken: verdict.failed.into_iter().map(Broken::Rule).collect(),
        excluded: verdict.excluded,
    }
}

impl Definition {
    /// What keeps a configuration from being complete: every rule that what is stored breaks, by field
    /// in the order of the file. Nothing means that it is complete.
    ///
    /// A field that is unset counts as absent: only rules that ask for a value fail on it. A secret that
    /// cannot be read is incomplete, whatever its rules say. `now` is the time in seconds since 1970,
    /// for rules that mention today.
    pub fn completeness(&self, values: &Values, now: i64) -> Vec<Failure> {
        let seen = Seen::stored(values);
        let mut failures = Vec::new();
        for (key, field) in self.fields() {
            if *values.value(key) == Value::Unreadable {
                let failure = Failure::new(codes::SECRET_UNREADABLE, key, &field.label, Map::new());
                failures.push(failure);
                continue;
            }
            let judgement = judge(key, field, &seen, self.fields(), now);
            let broken = judgement.broken.iter();
            failures.extend(broken.map(|broken| broken.failure(key, self.fields())));
        }
        failures
    }
}

/// The parameters of a rule by the names that Laravel's messages have for them.
fn parameters(failure: &plugyard_validation::Failure) -> Map<String, Json> {
    let given = &failure.parameters;
    let one = |name: &str| given.first().map(|value| (name.to_owned(), json!(value)));
    let two = || {
        let names = ["min", "max"].into_iter().zip(given);
        names.map(|(name, value)| (name.to_owned(), json!(value)))
    };
    let mut params: Map<String, Json> = match failure.rule {
        RuleName::Min | RuleName::MinDigits => one("min").into_iter().collect(),
        RuleName::Max | RuleName::MaxDigits => one("max").into_iter().collect(),
        RuleName::Size => one("size").into_iter().collect(),
        RuleName::Digits => one("digits").into_iter().collect(),
        RuleName::Between | RuleName::DigitsBetween | RuleName::Decimal => two().collect(),
        RuleName::Gt | RuleName::Gte | RuleName::Lt | RuleName::Lte | RuleName::MultipleOf => {
            one("value").into_iter().collect()
        }
        RuleName::After
        | RuleName::AfterOrEqual
        | RuleName::Before
        | RuleName::BeforeOrEqual
        | RuleName::DateEquals => one("date").into_iter().collect(),
        RuleName::Same | RuleName::Confirmed | RuleName::InArray => {
            one("other").into_iter().collect()
        }
        RuleName::RequiredIf
        | RuleName::RequiredUnless
        | RuleName::PresentIf
        | RuleName::PresentUnless
        | RuleName::MissingIf
        | RuleName::MissingUnless
        | RuleName::ProhibitedIf
        | RuleName::ProhibitedUnless
        | RuleName::AcceptedIf
        | RuleName::DeclinedIf => one("other")
            .into_iter()
            .chain([(
                "values".to_owned(),
                json!(given.get(1..).unwrap_or_default()),
            )])
            .collect(),
        _ if given.is_empty() => Map::new(),
        _ => Map::from_iter([("values".to_owned(), json!(given))]),
    };
    if matches!(
        failure.rule,
        RuleName::Min
            | RuleName::Max
            | RuleName::Size
            | RuleName::Between
            | RuleName::Gt
            | RuleName::Gte
            | RuleName::Lt
            | RuleName::Lte
    ) {
        let kind: SizeKind = failure.kind;
        params.insert("kind".to_owned(), json!(kind.as_str()));
    }
    params
}
