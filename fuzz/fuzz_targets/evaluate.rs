//! Any JSON value can be judged by any of the rules that read text: dates, addresses, numbers.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use plugyard_validation::{RuleSet, Value};

static RULES: LazyLock<Vec<RuleSet>> = LazyLock::new(|| {
    [
        "date", "after:2024-01-01", "before:next monday", "date_format:Y-m-d H:i:s,U,D d M y e",
        "date_format:d/m/Y|after:01/02/2024", "email", "email:strict", "email:filter", "email:filter_unicode",
        "url", "json", "timezone", "uuid:4", "ip", "mac_address", "base64", "decimal:0,2", "multiple_of:0.3",
        "numeric|between:-1e3,1/3", "integer|gt:other", "in:1,\"a,b\"", "lowercase|alpha_dash", "contains:1",
        "regex:/^(?:(a)|b)+\\1$/u", "same:other|in_array:other.*",
    ]
    .iter()
    .filter_map(|rules| RuleSet::parse(rules).ok())
    .collect()
});

fuzz_target!(|data: &[u8]| {
    let value = serde_json::from_slice(data).map_or_else(
        |_| Value::Text(String::from_utf8_lossy(data).into_owned()),
        |json| Value::from_json(&json),
    );
    let data = [("field", value.clone()), ("other", value)];
    for rules in RULES.iter() {
        let _ = rules.evaluate("field", &data, &(), 1_790_000_000);
    }
});
