//! Findings as SARIF 2.1.0, which code hosts and editors read.

use std::fmt::Write as _;

use plugyard_model::{Code, Finding, Inspection, Lang, Params, Severity};
use serde_json::{Value as Json, json};

/// The document of several packages, each with the path that it was given by.
///
/// A file inside a package is the package's path, a slash, and its path inside, whether the package is a
/// directory or an archive. `complete` says whether every package could be opened.
pub(super) fn document(inspections: &[(String, Inspection)], lang: Lang, complete: bool) -> Json {
    let mut rules: Vec<Code> = Vec::new();
    let mut results = Vec::new();
    for (package, inspection) in inspections {
        for finding in &inspection.findings {
            let known = rules.iter().position(|code| *code == finding.code);
            let index = known.unwrap_or_else(|| {
                rules.push(finding.code);
                rules.len() - 1
            });
            results.push(result(package, finding, index, lang));
        }
    }
    let rules: Vec<Json> = rules.into_iter().map(|code| rule(code, lang)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "plugyard",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules,
            } },
            "invocations": [{ "executionSuccessful": complete }],
            "language": lang.tag(),
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// What is known of a code, whichever finding has it.
fn rule(code: Code, lang: Lang) -> Json {
    let mut rule = json!({
        "id": code.as_str(),
        "shortDescription": { "text": code.title(lang) },
        "fullDescription": { "text": code.doc() },
        "helpUri": format!(
            "{}/blob/main/docs/errors.md#{}",
            env!("CARGO_PKG_REPOSITORY"),
            code.as_str()
        ),
    });
    let hint = code.hint(lang, &Params::new());
    // Without the values of a finding, a hint that mentions some helps nobody.
    if !hint.is_empty() && !hint.contains('{') {
        rule["help"] = json!({ "text": hint });
    }
    rule
}

fn result(package: &str, finding: &Finding, index: usize, lang: Lang) -> Json {
    let place = &finding.place;
    let path = if place.file.is_empty() {
        package.to_owned()
    } else {
        format!("{package}/{}", place.file)
    };
    let mut physical = json!({ "artifactLocation": { "uri": uri(&path) } });
    if let Some(line) = place.line {
        physical["region"] = json!({
            "startLine": line,
            "startColumn": place.column.unwrap_or(1),
        });
    }
    let mut location = json!({ "physicalLocation": physical });
    if !place.pointer.is_empty() {
        location["logicalLocations"] =
            json!([{ "fullyQualifiedName": place.pointer, "kind": "member" }]);
    }
    let document = finding.document(lang);
    let text = if document.hint.is_empty() {
        document.message
    } else {
        format!("{} ({})", document.message, document.hint)
    };
    json!({
        "ruleId": finding.code.as_str(),
        "ruleIndex": index,
        "level": match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "note",
        },
        "message": { "text": text },
        "locations": [location],
        // The same finding in another revision of the file, wherever its line has moved to.
        "partialFingerprints": {
            "place/v1": format!("{}:{}:{}", finding.code, place.file, place.pointer),
        },
        "properties": { "params": finding.params },
    })
}

/// A path as a URI reference: relative paths stay relative, absolute ones become `file:`.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut uri = String::with_capacity(path.len());
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                uri.push(char::from(byte));
            }
            other => {
                let _ = write!(uri, "%{other:02X}");
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use plugyard_model::{Place, codes};

    use super::*;

    #[test]
    fn a_finding_says_file_line_column_and_pointer() {
        let place = Place::pointer("config.json", "/fields/K/type").at(3, 17);
        let findings = vec![
            Finding::error(codes::UNKNOWN_KEY, place.clone()).with("key", "x"),
            Finding::warning(codes::GROUP_UNUSED, Place::file("a b#ä.json")),
            Finding::error(codes::UNKNOWN_KEY, Place::default()),
        ];
        let inspection = Inspection::failed(None, findings);
        let document = document(&[("./demo".to_owned(), inspection)], Lang::ZhCn, true);
        let run = &document["runs"][0];
        assert_eq!(run["language"], "zh-CN");
        let ids: Vec<&str> = run["tool"]["driver"]["rules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, ["unknown_key", "group_unused"]);
        let results = run["results"].as_array().unwrap();
        let of = |uri: &str| {
            results
                .iter()
                .find(|it| it["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri)
                .unwrap_or_else(|| panic!("nothing in {uri}: {results:#?}"))
        };
        let found = of("demo/config.json");
        assert_eq!(
            found["locations"][0]["physicalLocation"]["region"],
            json!({ "startLine": 3, "startColumn": 17 })
        );
        assert_eq!(
            found["locations"][0]["logicalLocations"][0]["fullyQualifiedName"],
            "/fields/K/type"
        );
        assert_eq!(
            (&found["ruleIndex"], &found["level"]),
            (&json!(0), &json!("error"))
        );
        let text = found["message"]["text"].as_str().unwrap();
        assert!(text.starts_with("未知的键“x”"), "{text}");
        let warning = of("demo/a%20b%23%C3%A4.json");
        assert_eq!(
            (&warning["ruleIndex"], &warning["level"]),
            (&json!(1), &json!("warning"))
        );
        assert!(
            of("demo")["locations"][0]["physicalLocation"]
                .get("region")
                .is_none()
        );
    }

    #[test]
    fn absolute_paths_are_addresses_of_files() {
        assert_eq!(uri("/a/b c"), "file:///a/b%20c");
        assert_eq!(uri("a/b"), "a/b");
    }
}
