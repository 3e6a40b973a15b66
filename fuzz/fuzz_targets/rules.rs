//! Any text is read as rules or refused, and rules that are read can be evaluated on any value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugyard_validation::{Lang, RuleSet, Value, explain, schema};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (rules, value) = text.split_once('\u{1}').unwrap_or((&text, "abc"));
    if rules.len() > 4096 || value.len() > 4096 {
        return;
    }
    if let Ok(set) = RuleSet::parse(rules) {
        let _ = explain::explain(&set, Lang::En);
        let _ = schema::export(&set);
        for value in [Value::from(value), Value::Null, Value::Int(7), Value::Float(1.5)] {
            let data = [("field", value)];
            let verdict = set.evaluate("field", &data, &(), 1_790_000_000);
            assert_eq!(verdict, set.evaluate("field", &data, &(), 1_790_000_000));
        }
    }
});
