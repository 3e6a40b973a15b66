//! A rule string that was read and checked: patterns compiled, numbers parsed, words understood.

use crate::checks::{DigitLimit, EmailMode, EmailModes, UuidVersion};
use crate::date::DateFormat;
use crate::decimal::Bound;
use crate::grammar::{self, Segment};
use crate::pattern::Pattern;
use crate::problem::{ProblemCode, RuleProblem};
use crate::rule::{RuleName, Shape, UNSUPPORTED};
use crate::timezone::Zones;
use crate::value::is_numeric_text;

/// Rules for one attribute, ready to be evaluated.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    pub(crate) flags: Flags,
}

/// What the whole list says, wherever it is said.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one question about the list"
)]
pub(crate) struct Flags {
    pub(crate) bail: bool,
    pub(crate) nullable: bool,
    pub(crate) sometimes: bool,
    pub(crate) numeric: bool,
    pub(crate) array: bool,
    pub(crate) array_or_list: bool,
    /// Whether siblings that refer to this attribute read `true` and `false` as booleans.
    pub(crate) boolean: bool,
}

/// One rule of a set.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(crate) name: RuleName,
    pub(crate) index: usize,
    pub(crate) segment: Box<str>,
    pub(crate) parameters: Vec<Option<Box<str>>>,
    pub(crate) compiled: Compiled,
}

/// What a rule's parameters were made into.
#[derive(Debug, Clone)]
pub(crate) enum Compiled {
    Plain,
    /// `strict` or `ascii` was asked for.
    Word(bool),
    Bounds(Vec<Bound>),
    /// A bound, when the parameter is a numeric text.
    Versus(Option<Bound>),
    Digits(Vec<DigitLimit>),
    Pattern(Box<Pattern>),
    Schemes(Vec<Box<str>>),
    Email(EmailModes),
    Uuid(Option<UuidVersion>),
    Zones(Zones),
    Formats(Vec<DateFormat>),
}

impl Rule {
    /// Its name.
    pub fn name(&self) -> RuleName {
        self.name
    }

    /// Its place between the pipes, from 0; rules that were added have the place of no other rule.
    pub fn index(&self) -> usize {
        self.index
    }

    /// As it is written.
    pub fn segment(&self) -> &str {
        &self.segment
    }

    /// Its parameters; null, the one parameter of `in:`, reads as empty text.
    pub fn parameters(&self) -> impl Iterator<Item = &str> + Clone {
        self.parameters.iter().map(|it| it.as_deref().unwrap_or(""))
    }

    /// A parameter that is there and not null.
    pub(crate) fn parameter(&self, index: usize) -> Option<&str> {
        self.parameters.get(index)?.as_deref()
    }

    /// The fields that it refers to. Of dates and numbers the parameter, which may also be a value.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        let count = match self.name.shape() {
            Shape::Fields => usize::MAX,
            Shape::NumberOrField if matches!(self.compiled, Compiled::Versus(None)) => 1,
            Shape::FieldThenValues | Shape::DateOrField => 1,
            _ => 0,
        };
        self.parameters()
            .take(count)
            .map(|name| name.split_once(".*").map_or(name, |(field, _)| field))
    }
}

impl RuleSet {
    /// Reads a rule string as Laravel's validator would evaluate it: array rules included, lenient
    /// where Laravel is. What Laravel would raise an exception for is refused, and so are rules that
    /// cannot be judged here.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the string, in its order.
    pub fn parse(rules: &str) -> Result<Self, Vec<RuleProblem>> {
        let mut problems = Vec::new();
        let mut read = Vec::new();
        for segment in grammar::segments(rules) {
            match Rule::compile(&segment) {
                Ok(rule) => read.push(rule),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(Self::of(read))
        } else {
            Err(problems)
        }
    }

    pub(crate) fn of(rules: Vec<Rule>) -> Self {
        let mut set = Self {
            rules,
            flags: Flags::default(),
        };
        set.flags = set.read_flags();
        set
    }

    fn read_flags(&self) -> Flags {
        let has = |name| self.contains(name);
        Flags {
            bail: has(RuleName::Bail),
            nullable: has(RuleName::Nullable),
            sometimes: has(RuleName::Sometimes),
            numeric: self.rules.iter().any(|rule| rule.name.is_numeric()),
            array: has(RuleName::Array),
            array_or_list: has(RuleName::Array) || has(RuleName::List),
            boolean: self.flags.boolean
                || self.rules.iter().any(|rule| &*rule.segment == "boolean"),
        }
    }

    /// Its rules in order, without empty segments.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether it has a rule of this name.
    pub fn contains(&self, name: RuleName) -> bool {
        self.rules.iter().any(|rule| rule.name == name)
    }

    /// The fields that its rules refer to, some perhaps more than once.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(Rule::references)
    }

    /// The same set, read by siblings as if it had the rule `boolean`.
    #[must_use]
    pub fn as_boolean(mut self) -> Self {
        self.flags.boolean = true;
        self
    }

    /// The format of its first `date_format`.
    pub(crate) fn date_format(&self) -> Option<&DateFormat> {
        self.rules.iter().find_map(|rule| match &rule.compiled {
            Compiled::Formats(formats) => formats.first(),
            _ => None,
        })
    }
}

impl Rule {
    /// Compiles one segment with what Laravel itself would refuse to run.
    #[expect(clippy::too_many_lines, reason = "one arm for each kind of parameter")]
    pub(crate) fn compile(segment: &Segment<'_>) -> Result<Self, RuleProblem> {
        let problem = |code| RuleProblem::new(code, segment.text, segment.index);
        let Some(name) = RuleName::from_studly(&segment.name) else {
            return Err(unknown(segment));
        };
        let mut refused = None;
        if segment.parameters.len() < name.needs() {
            return Err(problem(ProblemCode::ParamMissing)
                .with("rule", name.snake())
                .with("needed", name.needs()));
        }
        // A field without a name would mean all of the data to Laravel.
        if matches!(name.shape(), Shape::Fields | Shape::FieldThenValues)
            && segment.parameters.iter().any(Option::is_none)
        {
            return Err(problem(ProblemCode::ParamMissing)
                .with("rule", name.snake())
                .with("needed", name.needs().max(1)));
        }
        let texts = || segment.parameters.iter().flatten().map(String::as_str);
        let first = segment.parameters.first().and_then(Option::as_deref);
        let compiled = match name {
            RuleName::Integer | RuleName::Numeric | RuleName::Boolean => {
                Compiled::Word(first == Some("strict"))
            }
            RuleName::Alpha | RuleName::AlphaDash | RuleName::AlphaNum => {
                Compiled::Word(first == Some("ascii"))
            }
            RuleName::Min | RuleName::Max | RuleName::Size | RuleName::Between => Compiled::Bounds(
                segment
                    .parameters
                    .iter()
                    .map(|it| Bound::new(it.as_deref().unwrap_or("")))
                    .collect(),
            ),
            RuleName::MultipleOf => Compiled::Bounds(
                first
                    .filter(|it| is_numeric_text(it))
                    .map(Bound::new)
                    .into_iter()
                    .collect(),
            ),
            RuleName::Gt | RuleName::Gte | RuleName::Lt | RuleName::Lte => {
                Compiled::Versus(first.filter(|it| is_numeric_text(it)).map(Bound::new))
            }
            RuleName::Decimal
            | RuleName::Digits
            | RuleName::DigitsBetween
            | RuleName::MinDigits
            | RuleName::MaxDigits => Compiled::Digits(
                segment
                    .parameters
                    .iter()
                    .map(|it| DigitLimit::new(it.as_deref().unwrap_or("")))
                    .collect(),
            ),
            RuleName::Regex | RuleName::NotRegex => match Pattern::compile(first.unwrap_or("")) {
                Ok(pattern) => Compiled::Pattern(Box::new(pattern)),
                // A name such as `not-regex` had its pattern cut at the commas: it fails when it runs.
                Err(_) if !grammar::is_regex(segment.raw_name) => Compiled::Plain,
                Err(error) => {
                    refused = Some(
                        problem(error.code())
                            .with("rule", name.snake())
                            .with("reason", &error)
                            .with("limit", crate::pattern::LONGEST),
                    );
                    Compiled::Plain
                }
            },
            RuleName::Url => Compiled::Schemes(
                texts()
                    .map(|it| it.chars().filter(|it| !it.is_whitespace()).collect())
                    .collect(),
            ),
            RuleName::Email => {
                if let Some((word, reason)) = texts().find_map(EmailMode::unavailable) {
                    refused = Some(
                        problem(ProblemCode::Unsupported)
                            .with("rule", format!("email:{word}"))
                            .with("reason", reason.as_str()),
                    );
                }
                Compiled::Email(EmailModes::new(texts()))
            }
            RuleName::Uuid => Compiled::Uuid(match segment.parameters.as_slice() {
                [one] => Some(UuidVersion::new(one.as_deref().unwrap_or(""))),
                _ => None,
            }),
            RuleName::Timezone => {
                match Zones::new(first, segment.parameters.get(1).and_then(Option::as_deref)) {
                    Ok(zones) => Compiled::Zones(zones),
                    Err(word) => {
                        refused = Some(
                            problem(ProblemCode::ParamInvalid)
                                .with("rule", name.snake())
                                .with("param", word),
                        );
                        Compiled::Plain
                    }
                }
            }
            RuleName::DateFormat => Compiled::Formats(
                segment
                    .parameters
                    .iter()
                    .map(|it| DateFormat::new(it.as_deref().unwrap_or("")))
                    .collect(),
            ),
            _ => Compiled::Plain,
        };
        match refused {
            Some(problem) => Err(problem),
            None => Ok(Self {
                name,
                index: segment.index,
                segment: segment.text.into(),
                parameters: segment
                    .parameters
                    .iter()
                    .map(|it| it.as_deref().map(Into::into))
                    .collect(),
                compiled,
            }),
        }
    }
}

/// A rule that there is not, or not here.
fn unknown(segment: &Segment<'_>) -> RuleProblem {
    let problem = |code| RuleProblem::new(code, segment.text, segment.index);
    if let Some((_, snake, reason)) = UNSUPPORTED.iter().find(|(it, _, _)| *it == segment.name) {
        return problem(ProblemCode::Unsupported)
            .with("rule", snake)
            .with("reason", reason.as_str());
    }
    let written = crate::value::trim(segment.raw_name);
    let lower = written.to_lowercase();
    let all = RuleName::ALL
        .iter()
        .map(|name| name.snake())
        .chain(["int", "bool"])
        .chain(UNSUPPORTED.iter().map(|(_, snake, _)| *snake));
    let distance = |name: &str| {
        strsim::damerau_levenshtein(&lower, name)
            .min(strsim::damerau_levenshtein(&lower, &name.replace('_', "")))
    };
    let nearest = if lower.len() > 64 {
        None
    } else {
        all.map(|name| (distance(name), name))
            .filter(|(distance, _)| *distance <= 2)
            .min()
    };
    let found = problem(ProblemCode::Unknown).with("rule", written);
    match nearest {
        Some((_, name)) => found.with("suggestion", name),
        None => found,
    }
}
