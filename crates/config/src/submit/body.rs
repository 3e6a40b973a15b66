//! The forms in which values are sent: flat, or wrapped in `values` or `config`.

use std::fmt;

use plugyard_model::json::{self, SyntaxKind, pointer_join};
use plugyard_model::{Problem, codes};
use serde_json::{Map, Value as Json};

use crate::Definition;
use crate::read::syntax;
use crate::report::shown;

/// Bytes of a whole body.
pub const BODY_MAX: usize = 1 << 20;

/// Arrays and objects inside each other.
const DEPTH_MAX: usize = 32;

/// Values as they were sent, none of them checked yet.
#[derive(Clone, Default)]
pub struct Body {
    wrapper: Option<&'static str>,
    entries: Vec<(String, Json)>,
    revision: Option<u64>,
}

/// Why a body cannot be understood at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is larger than 1 MiB.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The bytes allowed.
        limit: usize,
    },
    /// It is no JSON, or has a key twice.
    #[error("the body is no JSON: {0}")]
    Syntax(Problem),
    /// It is no JSON object.
    #[error("the body is no JSON object")]
    NotObject,
    /// What stands in `values` or `config` is no JSON object.
    #[error("`{0}` is no JSON object")]
    WrappedNotObject(&'static str),
    /// `revision` is no number that a revision can have.
    #[error("`revision` is no revision")]
    Revision,
}

impl From<&BodyError> for Problem {
    fn from(error: &BodyError) -> Self {
        match error {
            BodyError::TooLarge { limit } => {
                Self::new(codes::REQUEST_TOO_LARGE).with("limit", format!("{limit} B"))
            }
            BodyError::Syntax(problem) => problem.clone(),
            BodyError::NotObject | BodyError::WrappedNotObject(_) => Self::new(codes::BAD_JSON),
            BodyError::Revision => {
                Self::new(codes::REQUEST_INVALID).with("reason", "`revision` is a whole number")
            }
        }
    }
}

impl Body {
    /// Reads the bytes of a request.
    ///
    /// It is flat when every key is a field's. Otherwise it is wrapped when its only keys are one of
    /// `values` and `config`, and perhaps `revision`. Otherwise it is flat, with keys that no field has.
    ///
    /// # Errors
    /// When it is no JSON object of at most 1 MiB, or has a key twice.
    pub fn read(bytes: &[u8], definition: &Definition) -> Result<Self, BodyError> {
        Self::of(read_object(bytes)?, definition)
    }

    /// Takes an object apart as [`read`](Self::read) does.
    ///
    /// # Errors
    /// When what stands in a wrapper is no object, or `revision` is none.
    pub fn of(mut object: Map<String, Json>, definition: &Definition) -> Result<Self, BodyError> {
        let flat = object.keys().all(|key| definition.field(key).is_some());
        let wrapper = ["values", "config"]
            .into_iter()
            .find(|wrapper| object.contains_key(*wrapper));
        let others = |wrapper: &str| object.keys().any(|key| key != wrapper && key != "revision");
        let Some(wrapper) = wrapper.filter(|wrapper| !flat && !others(wrapper)) else {
            return Ok(Self::flat(object));
        };
        let revision = match object.get("revision") {
            None | Some(Json::Null) => None,
            Some(revision) => Some(revision.as_u64().ok_or(BodyError::Revision)?),
        };
        match object.remove(wrapper) {
            Some(Json::Object(values)) => Ok(Self {
                wrapper: Some(wrapper),
                entries: values.into_iter().collect(),
                revision,
            }),
            _ => Err(BodyError::WrappedNotObject(wrapper)),
        }
    }

    /// Values without a wrapper, whatever their keys.
    pub fn flat(values: Map<String, Json>) -> Self {
        Self {
            wrapper: None,
            entries: values.into_iter().collect(),
            revision: None,
        }
    }

    /// The revision that the sender saw, when the body says so.
    pub fn revision(&self) -> Option<u64> {
        self.revision
    }

    /// Whether nothing was sent.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The keys that were sent.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(key, _)| key.as_str())
    }

    pub(super) fn entries(&self) -> &[(String, Json)] {
        &self.entries
    }

    /// The pointer of the object that holds the values.
    pub(super) fn root(&self) -> &'static str {
        match self.wrapper {
            None => "",
            Some("config") => "/config",
            Some(_) => "/values",
        }
    }

    /// The pointer of a value.
    pub(super) fn pointer(&self, key: &str) -> String {
        pointer_join(self.root(), key)
    }
}

/// Reads the bytes of a request that must be one object, as [`Body::read`] does.
///
/// # Errors
/// When it is no JSON object of at most 1 MiB, or has a key twice.
pub fn read_object(bytes: &[u8]) -> Result<Map<String, Json>, BodyError> {
    let options = json::Options {
        depth: DEPTH_MAX,
        size: BODY_MAX,
    };
    let document = json::parse(bytes, options).map_err(|error| match error.kind {
        SyntaxKind::TooLarge { limit } => BodyError::TooLarge { limit },
        _ => BodyError::Syntax(unread(&syntax(&error))),
    })?;
    if let Some(twice) = document.duplicates.first() {
        let (pointer, again) = (twice.pointer.clone(), twice.again);
        let issue = crate::Issue::new(codes::JSON_DUPLICATE_KEY, pointer, again);
        let issue = issue.with("key", twice.key.as_str());
        return Err(BodyError::Syntax(unread(&issue)));
    }
    match document.root.to_serde() {
        Json::Object(object) => Ok(object),
        _ => Err(BodyError::NotObject),
    }
}

/// What is wrong with the text of a body, and where.
fn unread(issue: &crate::Issue) -> Problem {
    let mut problem = Problem::new(codes::BAD_JSON);
    for (name, value) in &issue.params {
        problem = problem.with(name, shown(value));
    }
    if !problem.params.contains_key("kind") {
        problem = problem.with("kind", issue.code);
    }
    problem
        .with("line", issue.at.line)
        .with("column", issue.at.column)
}

/// Keys only: values may be secrets.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("wrapper", &self.wrapper)
            .field("keys", &self.keys().collect::<Vec<_>>())
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}
