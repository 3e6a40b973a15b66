//! Defaults and preset values held against the rules of their fields.

use indexmap::IndexMap;
use plugyard_model::json::Position;
use plugyard_model::{Code, codes};
use plugyard_validation::{FieldType, Value as EngineValue, is_blank};

use super::Issues;
use super::path::Path;
use super::structure::{Draft, FieldDraft};
use crate::definition::Field;
use crate::judge::{Seen, judge};
use crate::report::Issue;
use crate::shape;

/// Any time does: a definition must not be valid today and invalid tomorrow, so rules that mention today
/// are held against this one only. It is 2024-01-01 00:00:00 UTC.
const SOME_DAY: i64 = 1_704_067_200;

/// Checks what every sound field begins with.
pub(super) fn check(draft: &Draft<'_>, fields: &IndexMap<String, Field>, issues: &mut Issues) {
    let sound = || {
        draft
            .fields
            .iter()
            .filter_map(|it| Some((it, fields.get(it.key)?)))
    };
    let mut seen: Seen<'_> = sound()
        .filter_map(|(written, field)| {
            let (value, _) = written.preset.as_ref().or(written.default.as_ref())?;
            Some((written.key, as_seen(field.field_type, value)))
        })
        .collect();
    for (written, field) in sound() {
        secret(written, field, issues);
        // The preset value is what the others see, so the default is judged in its place afterwards.
        if let Some((_, at)) = &written.preset {
            let place = (codes::VALUE_INVALID, Path::value(written.key), *at);
            broken(written.key, field, &seen, fields, place, issues);
        }
        if let Some((default, at)) = &written.default
            && !matches!(default, EngineValue::Text(text) if is_blank(text))
        {
            let place = (
                codes::DEFAULT_INVALID,
                Path::field(written.key, "default"),
                *at,
            );
            let before = written.preset.as_ref().map(|it| it.0.clone());
            if before.is_some() {
                seen.put(written.key, as_seen(field.field_type, default));
            }
            broken(written.key, field, &seen, fields, place, issues);
            if let Some(preset) = before {
                seen.put(written.key, as_seen(field.field_type, &preset));
            }
        }
    }
}

/// A value of the file as rules see it.
fn as_seen(field_type: FieldType, value: &EngineValue) -> EngineValue {
    match (field_type, shape::checkbox(value)) {
        (FieldType::Checkbox, Some(on)) => EngineValue::from(if on { "1" } else { "0" }),
        _ => value.clone(),
    }
}

fn broken(
    key: &str,
    field: &Field,
    seen: &Seen<'_>,
    fields: &IndexMap<String, Field>,
    (code, path, at): (Code, String, Position),
    issues: &mut Issues,
) {
    for broken in judge(key, field, seen, fields, SOME_DAY).broken {
        // Whatever keeps a type from its value was told with the structure, but for addresses.
        let mut issue = Issue::new(code, path.clone(), at)
            .with("rule", broken.rule())
            .of_field(key);
        for (name, value) in broken.params() {
            issue = issue.with(&name, value);
        }
        issues.error(issue);
    }
}

fn secret(written: &FieldDraft<'_>, field: &Field, issues: &mut Issues) {
    if !field.is_secret() {
        return;
    }
    let shipped = [
        (&written.default, Path::field(written.key, "default")),
        (&written.preset, Path::value(written.key)),
    ];
    for (value, path) in shipped {
        if let Some((value, at)) = value
            && !matches!(value, EngineValue::Text(text) if is_blank(text))
        {
            issues.warning(Issue::new(codes::PASSWORD_DEFAULT, path, *at).of_field(written.key));
        }
    }
}
