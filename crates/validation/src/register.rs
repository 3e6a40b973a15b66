//! What a definition's rule string must satisfy beyond what the engine can run.

use crate::date::{self, DateFormat};
use crate::decimal::Bound;
use crate::field::FieldType;
use crate::grammar::{self, Segment};
use crate::messages::Lang;
use crate::pattern;
use crate::problem::{ProblemCode, RuleProblem, codes, fill, param};
use crate::rule::{Fields, RuleName, Shape, Unsupported};
use crate::set::{Compiled, Rule, RuleSet};
use crate::value::{Value, is_blank};

/// Where a rule string stands.
#[derive(Clone, Copy)]
pub struct Context<'c> {
    /// The key of the field.
    pub key: &'c str,
    /// Its type.
    pub field: FieldType,
    /// Its `required`, when it is written; `Some(true)` puts the rule first.
    pub required: Option<bool>,
    /// The values of its options, for a select.
    pub options: &'c [&'c str],
    /// The types of all fields of the definition by key.
    pub sibling: &'c dyn Fn(&str) -> Option<FieldType>,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("key", &self.key)
            .field("field", &self.field)
            .finish_non_exhaustive()
    }
}

/// A rule string that was accepted.
#[derive(Debug, Clone)]
pub struct Registered {
    /// The effective rules: `required` first when the field says so, `numeric` added to a number that
    /// is measured, a checkbox read as boolean by its siblings.
    pub set: RuleSet,
    /// What is odd about it, in the order of the string.
    pub warnings: Vec<RuleWarning>,
}

codes! {
    /// A stable code for what is odd about a rule string.
    WarningCode {
        /// A rule stands twice.
        Duplicate "rule_duplicate"
            "rule `{rule}` stands twice" "规则“{rule}”重复";
        /// A number is measured without a rule that makes it one.
        MissingNumeric "rule_missing_numeric"
            "`{rule}` would count characters; `numeric` was added" "“{rule}”会按字符数计算，已补充 `numeric`";
        /// A date is compared without a rule that makes sure that it is one.
        DateUnguarded "rule_date_unguarded"
            "`{rule}` also accepts text that is no date; add `date` or `date_format`" "“{rule}”也会接受不是日期的文本，请加上 `date` 或 `date_format`";
        /// A parameter is both a date and a field.
        ParamAmbiguous "rule_param_ambiguous"
            "`{param}` of rule `{rule}` is a field and a date; it is taken as a date" "规则“{rule}”的参数“{param}”既是字段又是日期，将按日期处理";
        /// The least is above the most.
        BetweenEmpty "between_empty"
            "no value lies between {min} and {max}" "没有介于 {min} 与 {max} 之间的值";
        /// No value passes.
        FieldNeverValid "field_never_valid"
            "no value passes these rules" "没有任何值能通过这些规则";
        /// The field says that it is not required, the rules say that it is.
        RequiredMismatch "required_mismatch"
            "`required` is false, but the rules require a value; the rules win" "`required` 为 false，但规则要求必填；以规则为准";
        /// An option that the rules refuse.
        OptionUnreachable "option_unreachable"
            "option `{option}` is refused by rule `{rule}`" "选项“{option}”会被规则“{rule}”拒绝";
    }
}

/// Something odd about a rule string, which keeps nobody from using it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleWarning {
    /// What it is.
    pub code: WarningCode,
    /// The place of the rule between the pipes, from 0, when it concerns one rule.
    pub index: Option<usize>,
    /// What the text says, by name.
    pub params: Vec<(&'static str, String)>,
}

impl RuleWarning {
    /// A parameter of the text.
    pub fn param(&self, name: &str) -> Option<&str> {
        param(&self.params, name)
    }

    /// The text in a language.
    pub fn text(&self, lang: Lang) -> String {
        fill(self.code.template(lang), &self.params)
    }
}

/// Reads and checks the rule string of a field.
///
/// # Errors
///
/// Everything that is wrong with it, in the order of the string.
pub fn register(rules: &str, context: &Context<'_>) -> Result<Registered, Vec<RuleProblem>> {
    let mut problems = Vec::new();
    let mut read: Vec<Rule> = Vec::new();
    let segments: Vec<Segment<'_>> = grammar::segments(rules).collect();
    let mut pipe = false;
    for (at, segment) in segments.iter().enumerate() {
        if pipe {
            // What follows a pattern that was cut is the rest of the pattern.
            break;
        }
        if cut_pattern(segment, at + 1 < segments.len()) {
            problems.push(RuleProblem::new(
                ProblemCode::RegexPipe,
                segment.text,
                segment.index,
            ));
            pipe = true;
            continue;
        }
        match Rule::compile(segment) {
            Ok(rule) => {
                let before = problems.len();
                check(&rule, segment, context, &mut problems);
                if problems.len() == before {
                    read.push(rule);
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut warnings = Vec::new();
    warn(&read, context, &mut warnings);
    let has = |rules: &[Rule], name| rules.iter().any(|rule: &Rule| rule.name() == name);
    if context.required == Some(true) && !has(&read, RuleName::Required) {
        read.insert(0, added("required"));
    }
    if context.field == FieldType::Number
        && !read.iter().any(|rule| rule.name().is_numeric())
        && let Some(rule) = read.iter().find(|rule| rule.name().is_size())
    {
        warnings.push(RuleWarning {
            code: WarningCode::MissingNumeric,
            index: Some(rule.index()),
            params: vec![("rule", rule.name().snake().to_owned())],
        });
        let at = usize::from(
            read.first()
                .is_some_and(|it| it.name() == RuleName::Required),
        );
        read.insert(at, added("numeric"));
    }
    let set = RuleSet::of(read);
    warn_of_options(&set, context, &mut warnings);
    Ok(Registered {
        set: if context.field == FieldType::Checkbox {
            set.as_boolean()
        } else {
            set
        },
        warnings,
    })
}

/// A rule that the author did not write.
fn added(name: &'static str) -> Rule {
    Rule {
        name: if name == "required" {
            RuleName::Required
        } else {
            RuleName::Numeric
        },
        index: usize::MAX,
        segment: name.into(),
        parameters: Vec::new(),
        compiled: if name == "required" {
            Compiled::Plain
        } else {
            Compiled::Word(false)
        },
    }
}

/// Whether a pattern has no end, and more follows.
fn cut_pattern(segment: &Segment<'_>, more: bool) -> bool {
    more && grammar::is_regex(segment.raw_name)
        && segment
            .parameters
            .first()
            .and_then(Option::as_deref)
            .is_some_and(pattern::is_unclosed)
}

/// What a definition must not hold, though the engine could run it.
#[expect(clippy::too_many_lines, reason = "one arm for each kind of parameter")]
fn check(
    rule: &Rule,
    segment: &Segment<'_>,
    context: &Context<'_>,
    problems: &mut Vec<RuleProblem>,
) {
    let name = rule.name();
    if matches!(name, RuleName::Regex | RuleName::NotRegex) && !grammar::is_regex(segment.raw_name)
    {
        problems.push(
            RuleProblem::new(ProblemCode::Unknown, segment.text, segment.index)
                .with("rule", segment.raw_name)
                .with("suggestion", name.snake()),
        );
        return;
    }
    let mut problem = |code: ProblemCode, params: &[(&'static str, &str)]| {
        let mut found =
            RuleProblem::new(code, segment.text, segment.index).with("rule", name.snake());
        for (name, value) in params {
            found = found.with(name, value);
        }
        problems.push(found);
    };
    let fits = match name.fields() {
        Fields::All => true,
        Fields::These(types) => types.contains(&context.field),
        Fields::NeedsArray => false,
    };
    let strict = matches!(rule.compiled, Compiled::Word(true));
    let never = strict
        && match name {
            RuleName::Integer | RuleName::Numeric => context.field != FieldType::Number,
            RuleName::Boolean => true,
            _ => false,
        };
    if name.fields() == Fields::NeedsArray {
        problem(
            ProblemCode::TypeIncompatible,
            &[
                ("type", context.field.as_str()),
                ("reason", Unsupported::NeedsArray.as_str()),
            ],
        );
        return;
    }
    if !fits || never {
        problem(
            ProblemCode::TypeIncompatible,
            &[("type", context.field.as_str())],
        );
        return;
    }
    let needed = needs(name);
    let written = segment.parameters.iter().flatten().count();
    let blank_field = matches!(
        name.shape(),
        Shape::Fields | Shape::FieldThenValues | Shape::NumberOrField | Shape::DateOrField
    ) && segment
        .parameters
        .first()
        .and_then(Option::as_deref)
        .is_some_and(str::is_empty);
    // `min:` has a parameter, and it is no number.
    let numbers = matches!(name.shape(), Shape::Numbers | Shape::Counts);
    if numbers && matches!(segment.parameters.as_slice(), [None]) {
        problem(ProblemCode::ParamNotNumber, &[("param", "")]);
        return;
    }
    if written < needed || blank_field {
        problem(
            ProblemCode::ParamMissing,
            &[("needed", &needed.max(1).to_string())],
        );
        return;
    }
    match name.shape() {
        Shape::Numbers | Shape::Counts => {
            if let Some(wrong) = not_a_number(rule) {
                problem(ProblemCode::ParamNotNumber, &[("param", wrong)]);
            }
        }
        Shape::Words | Shape::DateFormats => {
            if let Some(wrong) = unknown_word(rule) {
                problem(ProblemCode::ParamInvalid, &[("param", &wrong)]);
            }
        }
        Shape::Fields | Shape::FieldThenValues | Shape::NumberOrField | Shape::DateOrField => {
            for field in rule.parameters().take(field_count(rule)) {
                if field.contains(['*', '.']) {
                    problem(
                        ProblemCode::Unsupported,
                        &[
                            ("field", field),
                            ("reason", Unsupported::NeedsArray.as_str()),
                        ],
                    );
                } else if field == context.key {
                    problem(ProblemCode::FieldSelf, &[("field", field)]);
                } else if (context.sibling)(field).is_none() {
                    problem(ProblemCode::FieldUnknown, &[("field", field)]);
                }
            }
            if name == RuleName::Confirmed && rule.parameters.is_empty() {
                let other = format!("{}_confirmation", context.key);
                if (context.sibling)(&other).is_none() {
                    problem(ProblemCode::FieldUnknown, &[("field", &other)]);
                }
            }
        }
        Shape::None | Shape::Values | Shape::Regex => {}
    }
}

/// How many parameters a definition must give.
fn needs(name: RuleName) -> usize {
    let least = match name {
        RuleName::Confirmed => 0,
        _ => match name.shape() {
            Shape::Values | Shape::Fields => 1,
            _ => 0,
        },
    };
    name.needs().max(least)
}

/// How many of the parameters are names of fields.
fn field_count(rule: &Rule) -> usize {
    match rule.name().shape() {
        Shape::Fields => usize::MAX,
        Shape::FieldThenValues => 1,
        Shape::NumberOrField => usize::from(matches!(rule.compiled, Compiled::Versus(None))),
        Shape::DateOrField => {
            usize::from(rule.parameter(0).is_some_and(|it| !is_readable_date(it)))
        }
        _ => 0,
    }
}

/// Whether a text is a date at any time.
fn is_readable_date(text: &str) -> bool {
    date::parse(text, 0).is_some()
}

/// The first parameter that must be a number and is none.
fn not_a_number(rule: &Rule) -> Option<&str> {
    match &rule.compiled {
        Compiled::Bounds(bounds) if rule.name() == RuleName::MultipleOf && bounds.is_empty() => {
            Some(rule.parameter(0).unwrap_or(""))
        }
        Compiled::Bounds(bounds) => bounds.iter().find(|it| !it.is_plain()).map(Bound::text),
        Compiled::Digits(limits) => rule
            .parameters()
            .zip(limits)
            .find(|(_, limit)| !limit.is_count())
            .map(|(text, _)| text),
        _ => None,
    }
}

/// The first parameter that is none of the words that a rule knows.
fn unknown_word(rule: &Rule) -> Option<String> {
    let other_than = |known: &[&str]| {
        rule.parameters()
            .find(|it| !known.contains(it))
            .map(str::to_owned)
    };
    match (rule.name(), &rule.compiled) {
        (RuleName::Alpha | RuleName::AlphaDash | RuleName::AlphaNum, _) => other_than(&["ascii"]),
        (RuleName::Integer | RuleName::Numeric | RuleName::Boolean, _) => other_than(&["strict"]),
        (RuleName::Email, _) => rule
            .parameters()
            .find(|it| crate::checks::EmailMode::from_word(it).is_none())
            .map(str::to_owned),
        (RuleName::Uuid, _) => rule
            .parameters()
            .find(|it| *it != "max" && !matches!(it.as_bytes(), [b'0'..=b'8']))
            .or_else(|| rule.parameters().nth(1))
            .map(str::to_owned),
        (RuleName::Url, Compiled::Schemes(schemes)) => schemes
            .iter()
            .find(|it| !is_scheme(it))
            .map(ToString::to_string),
        (RuleName::Timezone, Compiled::Zones(zones)) if !zones.is_known() => {
            rule.parameter(1).map(str::to_owned)
        }
        (RuleName::DateFormat, Compiled::Formats(formats)) => formats
            .iter()
            .find_map(DateFormat::unknown_letter)
            .map(String::from),
        _ => None,
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|it: char| it.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || b"+.-".contains(&it))
}

/// What is odd about the rules as they are written.
fn warn(rules: &[Rule], context: &Context<'_>, warnings: &mut Vec<RuleWarning>) {
    let guarded = rules
        .iter()
        .any(|rule| matches!(rule.name(), RuleName::Date | RuleName::DateFormat));
    for (at, rule) in rules.iter().enumerate() {
        let name = rule.name();
        let mut push = |code, params: Vec<(&'static str, String)>| {
            warnings.push(RuleWarning {
                code,
                index: Some(rule.index()),
                params,
            });
        };
        if rules[..at].iter().any(|it| it.name() == name) {
            push(
                WarningCode::Duplicate,
                vec![("rule", name.snake().to_owned())],
            );
        }
        if name == RuleName::Missing {
            push(WarningCode::FieldNeverValid, Vec::new());
        }
        if let (RuleName::Between | RuleName::DigitsBetween, Some(low), Some(high)) =
            (name, rule.parameter(0), rule.parameter(1))
            && is_empty(low, high)
        {
            push(
                WarningCode::BetweenEmpty,
                vec![("min", low.to_owned()), ("max", high.to_owned())],
            );
        }
        if name.is_date_comparison() {
            if !guarded {
                push(
                    WarningCode::DateUnguarded,
                    vec![("rule", name.snake().to_owned())],
                );
            }
            if let Some(parameter) = rule.parameter(0)
                && (context.sibling)(parameter).is_some()
                && is_readable_date(parameter)
            {
                push(
                    WarningCode::ParamAmbiguous,
                    vec![
                        ("rule", name.snake().to_owned()),
                        ("param", parameter.to_owned()),
                    ],
                );
            }
        }
    }
    let first = |name| rules.iter().find(|rule| rule.name() == name);
    if let (Some(min), Some(max)) = (first(RuleName::Min), first(RuleName::Max))
        && let (Some(low), Some(high)) = (min.parameter(0), max.parameter(0))
        && is_empty(low, high)
    {
        warnings.push(RuleWarning {
            code: WarningCode::BetweenEmpty,
            index: Some(min.index().max(max.index())),
            params: vec![("min", low.to_owned()), ("max", high.to_owned())],
        });
    }
    if context.required == Some(false)
        && let Some(rule) = first(RuleName::Required)
    {
        warnings.push(RuleWarning {
            code: WarningCode::RequiredMismatch,
            index: Some(rule.index()),
            params: Vec::new(),
        });
    }
    warnings.sort_by_key(|warning| warning.index);
}

fn is_empty(low: &str, high: &str) -> bool {
    match (Bound::new(low).decimal(), Bound::new(high).decimal()) {
        (Some(low), Some(high)) => low.compare(&high).is_gt(),
        _ => false,
    }
}

/// Options that the rules refuse, whatever the other fields hold.
fn warn_of_options(set: &RuleSet, context: &Context<'_>, warnings: &mut Vec<RuleWarning>) {
    if context.field != FieldType::Select || context.options.is_empty() {
        return;
    }
    let alone = RuleSet::of(
        set.rules()
            .iter()
            .filter(|rule| {
                !matches!(
                    rule.name().shape(),
                    Shape::Fields | Shape::FieldThenValues | Shape::DateOrField
                ) && !rule.name().is_exclusion()
                    && !rule.name().is_implicit()
                    && !matches!(rule.compiled, Compiled::Versus(None))
            })
            .cloned()
            .collect(),
    );
    let mut refused = 0;
    let filled = || context.options.iter().filter(|it| !is_blank(it));
    for option in filled() {
        let data = [(context.key, Value::from(*option))];
        let verdict = alone.evaluate(context.key, &data, &(), 0);
        if let Some(failure) = verdict.failed.first() {
            refused += 1;
            warnings.push(RuleWarning {
                code: WarningCode::OptionUnreachable,
                index: alone
                    .rules()
                    .iter()
                    .find(|rule| rule.name() == failure.rule)
                    .map(Rule::index),
                params: vec![
                    ("option", (*option).to_owned()),
                    ("rule", failure.rule.snake().to_owned()),
                ],
            });
        }
    }
    if refused > 0 && refused == filled().count() {
        warnings.push(RuleWarning {
            code: WarningCode::FieldNeverValid,
            index: None,
            params: Vec::new(),
        });
    }
}
