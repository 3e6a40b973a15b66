//! Reading a `config.json`: file, structure, references, rule strings, values, in this order.
//!
//! What is wrong with the file itself ends the reading with that one error; from the structure on,
//! everything wrong is gathered.

mod choices;
mod forms;
mod groups;
mod path;
mod structure;
mod suggest;
mod values;

use std::collections::HashMap;

use indexmap::IndexMap;
use plugyard_model::json::{self, Document, Position, SyntaxError, SyntaxKind};
use plugyard_model::{Severity, codes};
use plugyard_validation::{Context, FieldType};

use crate::definition::{Definition, Field, Inner};
use crate::report::{Collector, ERRORS_MAX, Issue, Report, WARNINGS_MAX, too_many_errors};
use crate::rules::{Noted, Rules};
use path::Path;
use structure::{Draft, FieldDraft};
pub(crate) use suggest::nearest;

/// Bytes of the whole file.
pub const FILE_MAX: usize = 1 << 20;

/// Arrays and objects inside each other.
pub const DEPTH_MAX: usize = 32;

/// What a definition is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be accepted: everything is checked.
    Accept,
    /// To be used again: defaults and preset values are not held against the rules.
    Restore,
}

/// Where everything wrong goes.
#[derive(Debug)]
struct Issues {
    errors: Collector,
    warnings: Collector,
}

impl Issues {
    fn error(&mut self, issue: Issue) {
        self.errors.push(issue);
    }

    fn warning(&mut self, mut issue: Issue) {
        issue.severity = Severity::Warning;
        self.warnings.push(issue);
    }
}

/// Reads a definition.
pub(crate) fn read(bytes: &[u8], purpose: Purpose) -> Report {
    let document = match file(bytes) {
        Ok(document) => document,
        Err(issue) => {
            return Report {
                definition: None,
                errors: vec![*issue],
                warnings: Vec::new(),
            };
        }
    };
    let mut issues = Issues {
        errors: Collector::new(ERRORS_MAX),
        warnings: Collector::new(WARNINGS_MAX),
    };
    let draft = structure::read(&document.root, &mut issues);
    let fields = compile(&draft, &mut issues);
    if purpose == Purpose::Accept {
        values::check(&draft, &fields, &mut issues);
    }
    let (mut errors, more) = issues.errors.finish();
    if more {
        errors.push(too_many_errors(document.root.at));
    }
    let definition = errors.is_empty().then(|| {
        Definition::new(Inner {
            version: draft.version,
            last_updated: draft.last_updated,
            description: draft.description,
            fields,
            groups: draft.groups,
        })
    });
    Report {
        definition,
        errors,
        warnings: issues.warnings.finish().0,
    }
}

/// What the file itself may have wrong, of which the first thing ends the reading.
fn file(bytes: &[u8]) -> Result<Document, Box<Issue>> {
    let options = json::Options {
        depth: DEPTH_MAX,
        size: FILE_MAX,
    };
    let start = Position {
        line: 1,
        column: 1,
        offset: 0,
    };
    // Whoever sees a byte order mark need not hear what follows from it.
    if bytes.len() <= FILE_MAX && bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(Issue::new(codes::JSON_BOM, String::new(), start).into());
    }
    let document = json::parse(bytes, options).map_err(|error| syntax(&error))?;
    if let Some(twice) = document.duplicates.iter().min_by_key(|it| it.again.offset) {
        let issue = Issue::new(
            codes::JSON_DUPLICATE_KEY,
            twice.pointer.clone(),
            twice.again,
        )
        .with("key", twice.key.as_str())
        .with("line", twice.first.line);
        return Err(issue.into());
    }
    if document.root.as_object().is_none() {
        let issue = Issue::new(codes::ROOT_TYPE, String::new(), document.root.at)
            .with("expected", "object")
            .with("actual", document.root.type_name());
        return Err(issue.into());
    }
    Ok(document)
}

/// A file that is no JSON, in the codes of definitions.
pub(crate) fn syntax(error: &SyntaxError) -> Issue {
    let issue = |code| Issue::new(code, String::new(), error.at);
    let placed = |code| {
        issue(code)
            .with("line", error.at.line)
            .with("column", error.at.column)
    };
    match error.kind {
        SyntaxKind::TooLarge { limit } => issue(codes::FILE_TOO_LARGE).with("limit", limit),
        SyntaxKind::TooDeep { limit } => placed(codes::JSON_TOO_DEEP).with("limit", limit),
        SyntaxKind::NumberRange => placed(codes::JSON_NUMBER_RANGE),
        SyntaxKind::NotUtf8 => placed(codes::JSON_ENCODING),
        SyntaxKind::UnexpectedCharacter(found) => placed(codes::JSON_SYNTAX)
            .with("kind", error.kind.code().as_str())
            .with("found", found.escape_debug().to_string()),
        kind => placed(codes::JSON_SYNTAX).with("kind", kind.code().as_str()),
    }
}

/// Registers the rules of every field, and makes fields of those that have nothing wrong so far.
fn compile(draft: &Draft<'_>, issues: &mut Issues) -> IndexMap<String, Field> {
    let mut types: HashMap<&str, FieldType> = draft
        .keys
        .iter()
        // Whatever type it was meant to have: the field is there, and rules may name it.
        .map(|key| (*key, FieldType::Text))
        .collect();
    for field in &draft.fields {
        types.extend(field.field_type.map(|field_type| (field.key, field_type)));
    }
    let mut fields = IndexMap::with_capacity(draft.fields.len());
    for field in &draft.fields {
        let Some(field_type) = field.field_type else {
            continue;
        };
        let Some(rules) = register(field, field_type, &types, issues) else {
            continue;
        };
        if field.sound {
            fields.insert(field.key.to_owned(), field.finish(field_type, rules));
        }
    }
    fields
}

/// The rules of one field; `None` when they cannot be registered.
fn register(
    field: &FieldDraft<'_>,
    field_type: FieldType,
    types: &HashMap<&str, FieldType>,
    issues: &mut Issues,
) -> Option<Rules> {
    let (text, at) = match &field.validation {
        Some((text, at)) => (*text, *at),
        None => ("", field.at),
    };
    let texts: Vec<String> = field.options.iter().map(|it| it.0.text()).collect();
    let options: Vec<&str> = texts.iter().map(String::as_str).collect();
    let context = Context {
        key: field.key,
        field: field_type,
        required: field.required.map(|it| it.0),
        options: &options,
        sibling: &|key| types.get(key).copied(),
    };
    let registration = Rules::register(text, &context);
    let issue = |noted: Noted| {
        let option = || {
            let named = noted.params.iter().find(|(name, _)| name == "option")?;
            let place = texts.iter().position(|text| named.1 == text.as_str())?;
            field.options.get(place)
        };
        let (path, at) = if noted.code == codes::REQUIRED_MISMATCH
            && let Some((_, at)) = field.required
        {
            (Path::field(field.key, "required"), at)
        } else if noted.code == codes::OPTION_UNREACHABLE
            && let Some((_, at, index)) = option()
        {
            (Path::option(field.key, *index), *at)
        } else {
            (Path::field(field.key, "validation"), at)
        };
        let issue = Issue::new(noted.code, path, at).of_field(field.key);
        let params = noted.params.into_iter();
        params.fold(issue, |issue, (name, value)| issue.with(&name, value))
    };
    for problem in registration.problems {
        issues.error(issue(problem));
    }
    for warning in registration.warnings {
        issues.warning(issue(warning));
    }
    registration.rules
}
