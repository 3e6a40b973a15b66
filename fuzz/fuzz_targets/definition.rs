//! Definitions of configuration and values sent for them: reading never panics and says the same twice; what is
//! accepted reads back, plans nothing against itself, and shows no secret. The bytes are a definition, and behind a
//! line `--` the body of a request.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plugyard_config::{Body, Definition, ERRORS_MAX, Values, WARNINGS_MAX, plan_upgrade};
use plugyard_model::Lang;

const NOW: i64 = 1_767_323_045;

/// What is sent for a definition that was accepted, and what follows from it.
fn values(definition: &Definition, bytes: &[u8]) {
    let initial = definition.initial_values();
    definition.completeness(&initial, NOW);
    assert!(plan_upgrade(definition, definition, &initial, NOW).is_empty());
    let Ok(body) = Body::read(bytes, definition) else { return };
    let stored: Values = match definition.submit(&initial, &body, NOW) {
        Ok(accepted) => {
            assert_eq!(accepted.updated.len() + accepted.unchanged.len(), body.keys().count());
            accepted.values
        }
        Err(rejected) => {
            let document = rejected.document(Lang::En);
            assert_eq!(document.details.len(), rejected.failures.len());
            assert!(!rejected.failures.is_empty());
            return;
        }
    };
    let view = definition.view("p", 1, &stored, NOW, Lang::ZhCn);
    assert_eq!(view.fields.len(), definition.fields().len());
    let plan = plan_upgrade(definition, definition, &stored, NOW);
    assert_eq!(plan.values, stored);
    definition.reset(&stored, None).expect("every field can be reset");
}

fuzz_target!(|bytes: &[u8]| {
    let parted = bytes.windows(4).position(|window| window == b"\n--\n");
    let (file, body) = match parted {
        Some(at) => (&bytes[..at], &bytes[at + 4..]),
        None => (bytes, &b"{}"[..]),
    };
    let report = Definition::read(file);
    let again = Definition::read(file);
    assert_eq!((&report.errors, &report.warnings), (&again.errors, &again.warnings));
    assert_eq!(report.definition.is_some(), report.errors.is_empty());
    assert!(report.errors.len() <= ERRORS_MAX + 1 && report.warnings.len() <= WARNINGS_MAX);
    for issue in report.errors.iter().chain(&report.warnings) {
        assert!(issue.at.offset as usize <= file.len());
        assert!(!issue.text(Lang::En).is_empty() && !issue.text(Lang::ZhCn).is_empty());
    }
    let Some(definition) = report.definition else { return };
    let stored = definition.to_json();
    let back = Definition::stored(&stored).expect("what was accepted reads back");
    let back = back.with_shipped_secrets(definition.shipped_secrets());
    assert_eq!(back, definition);
    assert_eq!(back.initial_values(), definition.initial_values());
    values(&definition, body);
});
