//! The evaluation of one attribute: which rules run, in which order, and where it stops.

mod cross;
mod size;

use crate::checks;
use crate::date;
use crate::rule::RuleName;
use crate::set::{Compiled, Rule, RuleSet};
use crate::value::{Data, Value, is_blank};

/// The rules of other attributes, which a few rules look at.
pub trait Siblings {
    /// The rules of an attribute.
    fn rules(&self, attribute: &str) -> Option<&RuleSet>;
}

/// No other attribute has rules.
impl Siblings for () {
    fn rules(&self, _: &str) -> Option<&RuleSet> {
        None
    }
}

impl<S: std::hash::BuildHasher> Siblings for std::collections::HashMap<String, RuleSet, S> {
    fn rules(&self, attribute: &str) -> Option<&RuleSet> {
        self.get(attribute)
    }
}

impl Siblings for std::collections::BTreeMap<String, RuleSet> {
    fn rules(&self, attribute: &str) -> Option<&RuleSet> {
        self.get(attribute)
    }
}

/// What came of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// What failed, in the order of failing, each rule once.
    pub failed: Vec<Failure>,
    /// Whether a rule dropped the attribute, which was there, from the result.
    pub excluded: bool,
}

impl Verdict {
    /// Whether nothing failed.
    pub fn passes(&self) -> bool {
        self.failed.is_empty()
    }
}

/// A rule that failed, with what a message needs to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which.
    pub rule: RuleName,
    /// Its parameters as they are written.
    pub parameters: Vec<String>,
    /// What its size is counted in.
    pub kind: SizeKind,
}

/// What the size of an attribute is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SizeKind {
    /// It is a number.
    Numeric,
    /// Characters.
    #[default]
    Text,
    /// Entries.
    Array,
}

impl SizeKind {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Numeric => "numeric",
            Self::Text => "string",
            Self::Array => "array",
        }
    }
}

impl RuleSet {
    /// Evaluates the rules on one attribute of the data.
    ///
    /// `siblings` are the rules of other attributes, `now` the time in seconds since 1970 (UTC), which
    /// only words like `today` depend on. Nothing is trimmed and nothing is turned into null first.
    pub fn evaluate(
        &self,
        attribute: &str,
        data: &(impl Data + ?Sized),
        siblings: &(impl Siblings + ?Sized),
        now: i64,
    ) -> Verdict {
        let lookup = |name: &str| data.value(name);
        let rules = |name: &str| siblings.rules(name);
        Scope {
            set: self,
            attribute,
            value: resolve(&lookup, attribute),
            data: &lookup,
            siblings: &rules,
            now,
        }
        .run()
    }

    /// What the size of the attribute is counted in, from the rules alone.
    pub fn size_kind(&self) -> SizeKind {
        if self.flags.numeric {
            SizeKind::Numeric
        } else if self.flags.array_or_list {
            SizeKind::Array
        } else {
            SizeKind::Text
        }
    }
}

/// One attribute and all that its rules may look at.
struct Scope<'s> {
    set: &'s RuleSet,
    attribute: &'s str,
    value: Option<&'s Value>,
    data: &'s dyn Fn(&str) -> Option<&'s Value>,
    siblings: &'s dyn Fn(&str) -> Option<&'s RuleSet>,
    now: i64,
}

/// The value of a name in which dots lead into arrays.
fn resolve<'s>(data: &dyn Fn(&str) -> Option<&'s Value>, name: &str) -> Option<&'s Value> {
    if let Some(value) = data(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    rest.split('.')
        .try_fold(data(first)?, |value, key| value.entry(key))
}

impl<'s> Scope<'s> {
    fn run(&self) -> Verdict {
        let mut verdict = Verdict::default();
        let blank = matches!(self.value, Some(Value::Text(text)) if is_blank(text));
        let null = matches!(self.value, Some(Value::Null));
        let mut implicit_failed = false;
        for rule in self.set.rules() {
            let name = rule.name();
            if name.is_exclusion() {
                if self.excludes(rule) {
                    verdict.excluded = self.value.is_some();
                    return verdict;
                }
            } else {
                let runs = name.is_implicit()
                    || (!blank && self.value.is_some() && !(self.set.flags.nullable && null));
                let optional = self.set.flags.sometimes && self.value.is_none();
                if runs && !optional && !self.passes(rule) {
                    if !verdict.failed.iter().any(|failure| failure.rule == name) {
                        verdict.failed.push(self.failure(rule));
                    }
                    implicit_failed |= name.is_implicit();
                }
            }
            if implicit_failed || (self.set.flags.bail && !verdict.failed.is_empty()) {
                break;
            }
        }
        verdict
    }

    fn failure(&self, rule: &Rule) -> Failure {
        let measured_as_number = matches!(rule.compiled, Compiled::Versus(_))
            && self.value.is_some_and(Value::is_numeric);
        Failure {
            rule: rule.name(),
            parameters: rule.parameters().map(str::to_owned).collect(),
            kind: if measured_as_number {
                SizeKind::Numeric
            } else {
                self.set.size_kind()
            },
        }
    }

    /// The value that a name has; absent is null.
    fn get(&self, name: &str) -> &'s Value {
        resolve(self.data, name).unwrap_or(&Value::Null)
    }

    fn has(&self, name: &str) -> bool {
        resolve(self.data, name).is_some()
    }

    fn rules_of(&self, name: &str) -> Option<&RuleSet> {
        if name == self.attribute {
            Some(self.set)
        } else {
            (self.siblings)(name)
        }
    }

    /// Evaluates a rule that runs.
    fn passes(&self, rule: &Rule) -> bool {
        let value = self.value.unwrap_or(&Value::Null);
        match rule.name() {
            RuleName::Bail | RuleName::Nullable | RuleName::Sometimes | RuleName::Distinct => true,
            RuleName::Min
            | RuleName::Max
            | RuleName::Size
            | RuleName::Between
            | RuleName::Gt
            | RuleName::Gte
            | RuleName::Lt
            | RuleName::Lte
            | RuleName::MultipleOf => self.size_passes(rule, value),
            RuleName::After
            | RuleName::AfterOrEqual
            | RuleName::Before
            | RuleName::BeforeOrEqual
            | RuleName::DateEquals => self.date_passes(rule, value),
            name => self
                .cross_passes(name, rule, value)
                .unwrap_or_else(|| self.value_passes(name, rule, value)),
        }
    }

    /// Rules that look at the value alone.
    fn value_passes(&self, name: RuleName, rule: &Rule, value: &Value) -> bool {
        match (name, &rule.compiled) {
            (RuleName::Accepted, _) => cross::is_accepted(value),
            (RuleName::Declined, _) => cross::is_declined(value),
            (RuleName::String, _) => matches!(value, Value::Text(_)),
            (RuleName::Integer, Compiled::Word(strict)) => checks::is_integer(value, *strict),
            (RuleName::Numeric, Compiled::Word(strict)) => {
                value.is_numeric() && !(*strict && matches!(value, Value::Text(_)))
            }
            (RuleName::Boolean, Compiled::Word(strict)) => checks::is_boolean(value, *strict),
            (RuleName::Decimal, Compiled::Digits(limits)) => checks::is_decimal(value, limits),
            (RuleName::Digits, Compiled::Digits(limits)) => checks::digits(value)
                .is_some_and(|count| limits.first().is_some_and(|it| it.equals(count))),
            (RuleName::MinDigits, Compiled::Digits(limits)) => checks::digits(value)
                .is_some_and(|count| limits.first().is_some_and(|it| it.at_most(count))),
            (RuleName::MaxDigits, Compiled::Digits(limits)) => checks::digits(value)
                .is_some_and(|count| limits.first().is_some_and(|it| it.at_least(count))),
            (RuleName::DigitsBetween, Compiled::Digits(limits)) => checks::digits(value)
                .is_some_and(|count| {
                    matches!(limits.as_slice(), [low, high, ..]
                        if low.at_most(count) && high.at_least(count))
                }),
            (RuleName::Array, _) => {
                value.is_array()
                    && (rule.parameters.is_empty() || checks::has_only_keys(value, rule))
            }
            (RuleName::ArrayKeys, _) => value.is_array() && checks::has_only_keys(value, rule),
            (RuleName::List, _) => checks::is_list(value),
            (RuleName::RequiredArrayKeys, _) => {
                value.is_array() && rule.parameters().all(|key| value.has_key(key))
            }
            (RuleName::InArrayKeys, _) => {
                value.is_array() && rule.parameters().any(|key| value.has_key(key))
            }
            (RuleName::Contains, _) => {
                value.is_array()
                    && (0..rule.parameters.len()).all(|at| checks::contains(value, rule, at))
            }
            (RuleName::DoesntContain, _) => {
                value.is_array()
                    && !(0..rule.parameters.len()).any(|at| checks::contains(value, rule, at))
            }
            (RuleName::In, _) => checks::is_in(value, rule, self.set.flags.array),
            (RuleName::NotIn, _) => !checks::is_in(value, rule, self.set.flags.array),
            (RuleName::Regex, Compiled::Pattern(pattern)) => checks::string_or_number(value)
                .is_some_and(|text| pattern.matches(&text) == Some(true)),
            (RuleName::NotRegex, Compiled::Pattern(pattern)) => checks::string_or_number(value)
                .is_some_and(|text| pattern.matches(&text) == Some(false)),
            (RuleName::Url, Compiled::Schemes(schemes)) => {
                matches!(value, Value::Text(text) if checks::is_url_with(text, schemes))
            }
            (RuleName::Email, Compiled::Email(modes)) => {
                matches!(value, Value::Text(text) if modes.accept(text))
            }
            (RuleName::Uuid, Compiled::Uuid(version)) => {
                matches!(value, Value::Text(text) if checks::is_uuid(text, *version))
            }
            (RuleName::Timezone, Compiled::Zones(zones)) => {
                matches!(value, Value::Text(text) if zones.contain(text))
            }
            (RuleName::Date, _) => {
                checks::string_or_number(value).is_some_and(|text| date::is_date(&text, self.now))
            }
            (RuleName::DateFormat, Compiled::Formats(formats)) => checks::string_or_number(value)
                .is_some_and(|text| {
                    let mut formats = formats.iter();
                    formats.any(|format| format.accepts(value, &text, self.now))
                }),
            (RuleName::Alpha, Compiled::Word(ascii)) => {
                matches!(value, Value::Text(text) if checks::is_alpha(text, *ascii))
            }
            (RuleName::AlphaNum, Compiled::Word(ascii)) => checks::string_or_number(value)
                .is_some_and(|text| checks::is_alpha_num(&text, *ascii)),
            (RuleName::AlphaDash, Compiled::Word(ascii)) => checks::string_or_number(value)
                .is_some_and(|text| checks::is_alpha_dash(&text, *ascii)),
            (RuleName::StartsWith, _) => {
                checks::has_affix(value, rule, |text, affix| text.starts_with(affix)) == Some(true)
            }
            (RuleName::EndsWith, _) => {
                checks::has_affix(value, rule, |text, affix| text.ends_with(affix)) == Some(true)
            }
            (RuleName::DoesntStartWith, _) => {
                checks::has_affix(value, rule, |text, affix| text.starts_with(affix)) == Some(false)
            }
            (RuleName::DoesntEndWith, _) => {
                checks::has_affix(value, rule, |text, affix| text.ends_with(affix)) == Some(false)
            }
            (name, _) => checks::plain(name, value),
        }
    }

    fn date_passes(&self, rule: &Rule, value: &Value) -> bool {
        if checks::string_or_number(value).is_none() {
            return false;
        }
        let parameter = rule.parameter(0).unwrap_or("");
        let order = date::Comparison::of(rule.name());
        match self.set.date_format() {
            Some(format) => {
                let theirs = self
                    .rules_of(parameter)
                    .and_then(RuleSet::date_format)
                    .unwrap_or(format);
                let left = format.or_parse_value(value, self.now);
                let right = match theirs.or_parse(parameter, self.now) {
                    Some(instant) => Some(instant),
                    None => match self.get(parameter) {
                        Value::Null => return true,
                        other => theirs.or_parse_value(other, self.now),
                    },
                };
                match (left, right) {
                    (Some(left), Some(right)) => order.holds(left.cmp(&right)),
                    _ => false,
                }
            }
            None => {
                let timestamp =
                    |value: &Value| date::parse_value(value, self.now).map(|it| it.seconds);
                let right = date::parse(parameter, self.now)
                    .map(|it| it.seconds)
                    .or_else(|| timestamp(self.get(parameter)));
                order.holds_of_timestamps(timestamp(value), right)
            }
        }
    }
}
