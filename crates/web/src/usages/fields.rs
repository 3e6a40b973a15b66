//! Reading what somebody sent, key by key, with everything wrong with it at once.

use plugyard_model::{Code, Finding, Place, Problem, Severity, codes, sort_findings};
use serde_json::{Map, Value as Json};

use crate::columns::{Issue, closest};

/// The member whose value stands in no answer.
const SECRET: &str = "/upgradeCode";

/// The members of an object, read one after the other.
pub(crate) struct Fields<'a> {
    body: &'a Map<String, Json>,
    pub(crate) findings: Vec<Finding>,
}

impl<'a> Fields<'a> {
    /// The members of `body`; those not among `known` are found to be wrong.
    pub(crate) fn new(body: &'a Map<String, Json>, known: &[&str]) -> Self {
        let mut fields = Self {
            body,
            findings: Vec::new(),
        };
        fields.unknown(body, "", known);
        fields
    }

    /// Whether a member is there, even if it is null.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.body.contains_key(key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Json> {
        self.body.get(key)
    }

    /// Whether something is wrong at this member.
    pub(crate) fn is_wrong(&self, key: &str) -> bool {
        let at = pointer("", key);
        let below = format!("{at}/");
        self.findings.iter().any(|finding| {
            let place = &finding.place.pointer;
            finding.severity == Severity::Error && (*place == at || place.starts_with(&below))
        })
    }

    /// Notes what is wrong at a place, with what was written there.
    pub(crate) fn note(&mut self, at: &str, issue: Issue) {
        let issue = self.quoting(at, issue);
        self.findings.push(Finding {
            code: issue.code,
            severity: issue.severity,
            place: Place::pointer("", at),
            params: issue.params,
            own_text: None,
        });
    }

    /// Adds what was written at a place to an issue that does not mention it. Secrets are not repeated, nor what
    /// stands under a key that is none: that may be a secret whose key was mistyped.
    fn quoting(&self, at: &str, issue: Issue) -> Issue {
        const SILENT: [Code; 2] = [codes::E_FIELD_UNKNOWN, codes::E_FIELD_READ_ONLY];
        if issue.params.contains_key("value") || SILENT.contains(&issue.code) || at == SECRET {
            return issue;
        }
        let key = at
            .trim_start_matches('/')
            .split('/')
            .next()
            .unwrap_or_default();
        let rest = at.get(1 + key.len()..).unwrap_or_default();
        match self.get(key).and_then(|value| value.pointer(rest)) {
            Some(Json::String(text)) => issue.with("value", text),
            Some(value) => issue.with("value", value),
            None => issue,
        }
    }

    /// Notes that a value is of another form than `expected`.
    pub(crate) fn malformed(&mut self, at: &str, expected: &str) {
        let field = at.trim_start_matches('/');
        let issue = Issue::error(codes::E_FIELD_FORMAT);
        self.note(at, issue.with("field", field).with("expected", expected));
    }

    /// Notes that a mandatory member is missing, where it is.
    pub(crate) fn require(&mut self, key: &str) {
        if !self.has(key) {
            let issue = Issue::error(codes::E_FIELD_REQUIRED);
            self.note(&pointer("", key), issue.with("field", key));
        }
    }

    /// Notes the members of an object that are not among `known`.
    pub(crate) fn unknown(&mut self, object: &Map<String, Json>, at: &str, known: &[&str]) {
        for key in object.keys().filter(|key| !known.contains(&key.as_str())) {
            let issue = Issue::error(codes::E_FIELD_UNKNOWN).with("field", key);
            let issue = match closest(key, known.iter().copied()) {
                Some(suggestion) => issue.with("suggestion", suggestion),
                None => issue,
            };
            self.note(&pointer(at, key), issue);
        }
    }

    /// A text, when one is there; null is none.
    pub(crate) fn text(&mut self, key: &str) -> Option<&'a str> {
        match self.get(key)? {
            Json::Null => None,
            Json::String(text) => Some(text),
            _ => {
                self.malformed(&pointer("", key), "string");
                None
            }
        }
    }

    /// A truth value: `true`, `false`, 1 or 0.
    pub(crate) fn flag(&mut self, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        let flag = match value {
            Json::Bool(flag) => Some(*flag),
            Json::Number(number) => match number.as_u64() {
                Some(0) => Some(false),
                Some(1) => Some(true),
                _ => None,
            },
            _ => None,
        };
        if flag.is_none() {
            self.malformed(&pointer("", key), "boolean");
        }
        flag
    }

    /// A whole number from `min` to `max`; null is none.
    pub(crate) fn number(&mut self, key: &str, min: i64, max: i64) -> Option<i64> {
        let value = self.get(key).filter(|value| !value.is_null())?;
        let at = pointer("", key);
        let Some(number) = value.as_i64() else {
            if value.is_u64() {
                self.range(&at, min, max);
            } else {
                self.malformed(&at, "integer");
            }
            return None;
        };
        if !(min..=max).contains(&number) {
            self.range(&at, min, max);
            return None;
        }
        Some(number)
    }

    /// Notes that a number is not within its bounds.
    pub(crate) fn range(&mut self, at: &str, min: i64, max: i64) {
        let issue = Issue::error(codes::E_USAGE_RANGE)
            .with("field", at.trim_start_matches('/'))
            .with("min", min)
            .with("max", max);
        self.note(at, issue);
    }

    /// Numbers, as a list or as a text with commas and nothing else between them; null and the empty text
    /// are no numbers.
    pub(crate) fn numbers(&mut self, key: &str) -> Option<Vec<u32>> {
        let value = self.get(key)?;
        let numbers = match value {
            Json::Null => Some(Vec::new()),
            Json::String(text) => numbers_of(text),
            Json::Array(items) => items.iter().map(small).collect(),
            _ => None,
        };
        if numbers.is_none() {
            self.malformed(&pointer("", key), "list of numbers");
        }
        numbers
    }

    /// Whether anything keeps the values out.
    pub(crate) fn has_errors(&self) -> bool {
        has_errors(&self.findings)
    }
}

/// Whether any of the findings is an error.
pub(crate) fn has_errors(findings: &[Finding]) -> bool {
    findings.iter().any(|it| it.severity == Severity::Error)
}

/// The problem of a request with findings.
pub(crate) fn refused(mut findings: Vec<Finding>) -> Problem {
    sort_findings(&mut findings);
    let mut errors = findings.iter().filter(|it| it.severity == Severity::Error);
    let first = errors.next().map(|it| it.code.as_str()).unwrap_or_default();
    Problem::new(codes::INPUT_INVALID)
        .with("errors", 1 + errors.count())
        .with("first", first)
        .with_findings(findings)
}

/// A JSON pointer to a member.
pub(crate) fn pointer(at: &str, key: &str) -> String {
    plugyard_model::json::pointer_join(at, key)
}

/// Numbers with one comma between two and nothing else; the empty text holds none.
pub(crate) fn numbers_of(text: &str) -> Option<Vec<u32>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let number = |part: &str| {
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse().ok())?
    };
    text.split(',').map(number).collect()
}

/// A whole number that a column of unsigned integers holds.
pub(crate) fn small(value: &Json) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}
