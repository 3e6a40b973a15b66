//! What a definition has wrong, as values with a place, and the report made of them.

use plugyard_model::json::Position;
use plugyard_model::{Code, Finding, Lang, Params, Place, Severity, Texts, codes};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::Definition;

/// Most errors of one report; one more then says that there are others.
pub const ERRORS_MAX: usize = 200;

/// Most warnings of one report; others are left out.
pub const WARNINGS_MAX: usize = 1000;

/// Characters of a foreign text that are repeated in a parameter.
const SHOWN_MAX: usize = 255;

/// One thing that is wrong with a definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Issue {
    /// Which problem.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// JSON pointer (RFC 6901) of the place; empty for the document.
    pub path: String,
    /// The place in the text.
    pub at: Position,
    /// The key of the field it is about.
    pub field: Option<String>,
    /// What its text mentions, besides the field. Never the value of a secret.
    pub params: Map<String, Json>,
}

impl Issue {
    pub(crate) fn new(code: Code, path: String, at: Position) -> Self {
        Self {
            code,
            severity: Severity::Error,
            path,
            at,
            field: None,
            params: Map::new(),
        }
    }

    /// Adds a parameter; texts are cut, because they come from foreign bytes.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        let value = match value.into() {
            Json::String(text) if text.len() > SHOWN_MAX => {
                Json::String(text.chars().take(SHOWN_MAX).collect())
            }
            other => other,
        };
        self.params.insert(name.to_owned(), value);
        self
    }

    #[must_use]
    pub(crate) fn of_field(mut self, key: &str) -> Self {
        self.field = Some(key.to_owned());
        self
    }

    /// The text in a language.
    pub fn text(&self, lang: Lang) -> String {
        self.code.text(lang, &self.text_params())
    }

    /// The issue as every other finding of a package: `file` is its path inside the package.
    pub fn to_finding(&self, file: &str) -> Finding {
        let place = Place::pointer(file, &self.path).at(self.at.line, self.at.column);
        let finding = match self.severity {
            Severity::Error => Finding::error(self.code, place),
            _ => Finding::warning(self.code, place),
        };
        self.text_params()
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .fold(finding, |finding, (name, value)| finding.with(&name, value))
    }

    fn text_params(&self) -> Params {
        let mut params: Params = self
            .params
            .iter()
            .map(|(name, value)| (name.clone(), shown(value)))
            .collect();
        if let Some(field) = &self.field {
            params.insert("field".to_owned(), field.clone());
        }
        params
    }
}

/// A parameter as it stands in a text.
pub(crate) fn shown(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// What reading a definition came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// The definition, exactly when there are no errors.
    pub definition: Option<Definition>,
    /// What keeps the file out, by position in the file, then code; at most [`ERRORS_MAX`], and one
    /// `too_many_errors` when there are more.
    pub errors: Vec<Issue>,
    /// What the author should look at, in the same order; at most [`WARNINGS_MAX`].
    pub warnings: Vec<Issue>,
}

impl Report {
    /// Whether the file can be used.
    pub fn valid(&self) -> bool {
        self.errors.is_empty()
    }

    /// Errors and warnings as findings of a package in `file`, in the order of the report.
    pub fn findings(&self, file: &str) -> Vec<Finding> {
        self.errors
            .iter()
            .chain(&self.warnings)
            .map(|issue| issue.to_finding(file))
            .collect()
    }

    /// The report as it is sent. `file` is shown as given and should be relative to the plugin root.
    pub fn document(&self, file: &str, lang: Lang) -> ReportDocument {
        let documents = |issues: &[Issue]| {
            issues
                .iter()
                .map(|issue| IssueDocument::new(issue, lang))
                .collect()
        };
        ReportDocument {
            valid: self.valid(),
            file: file.to_owned(),
            errors: documents(&self.errors),
            warnings: documents(&self.warnings),
        }
    }
}

/// A [`Report`] as JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ConfigReport))]
pub struct ReportDocument {
    /// Whether the file can be used.
    pub valid: bool,
    /// The file, relative to the plugin root.
    pub file: String,
    /// What keeps it out.
    pub errors: Vec<IssueDocument>,
    /// What its author should look at.
    pub warnings: Vec<IssueDocument>,
}

/// An [`Issue`] as JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ConfigReportIssue))]
pub struct IssueDocument {
    /// JSON pointer of the place.
    pub path: String,
    /// Stable code.
    pub code: String,
    /// What is wrong, in the language asked for.
    pub message: String,
    /// The same in every language.
    pub messages: Messages,
    /// What the texts mention.
    pub params: Map<String, Json>,
}

impl IssueDocument {
    fn new(issue: &Issue, lang: Lang) -> Self {
        let messages = Messages {
            zh_cn: issue.text(Lang::ZhCn),
            en: issue.text(Lang::En),
        };
        Self {
            path: issue.path.clone(),
            code: issue.code.as_str().to_owned(),
            message: messages.get(lang).to_owned(),
            messages,
            params: issue.params.clone(),
        }
    }
}

/// A text in every language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ConfigMessages))]
pub struct Messages {
    /// Simplified Chinese.
    #[serde(rename = "zh-CN")]
    pub zh_cn: String,
    /// English.
    pub en: String,
}

impl Messages {
    /// The text in one language.
    pub fn get(&self, lang: Lang) -> &str {
        match lang {
            Lang::ZhCn => &self.zh_cn,
            Lang::En => &self.en,
        }
    }

    pub(crate) fn texts(&self) -> Texts {
        Texts {
            en: self.en.clone(),
            zh_cn: self.zh_cn.clone(),
        }
    }
}

/// Gathers issues in bounded memory and puts them in order.
#[derive(Debug)]
pub(crate) struct Collector {
    /// With the number under which each came, for the order among equals.
    issues: Vec<(Issue, usize)>,
    count: usize,
    max: usize,
}

impl Collector {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            issues: Vec::new(),
            count: 0,
            max,
        }
    }

    pub(crate) fn push(&mut self, issue: Issue) {
        self.issues.push((issue, self.count));
        self.count += 1;
        if self.issues.len() >= 8 * self.max {
            self.shrink();
        }
    }

    /// How many came so far.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The first ones in order, and whether there were more.
    pub(crate) fn finish(mut self) -> (Vec<Issue>, bool) {
        self.shrink();
        let more = self.count > self.max;
        (
            self.issues.into_iter().map(|(issue, _)| issue).collect(),
            more,
        )
    }

    fn shrink(&mut self) {
        self.issues.sort_by(|(a, m), (b, n)| {
            (a.at.offset, a.code.as_str(), &a.path, m).cmp(&(
                b.at.offset,
                b.code.as_str(),
                &b.path,
                n,
            ))
        });
        self.issues.truncate(self.max);
    }
}

/// The last error of a report that leaves others out.
pub(crate) fn too_many_errors(at: Position) -> Issue {
    Issue::new(codes::TOO_MANY_ERRORS, String::new(), at).with("limit", ERRORS_MAX)
}
