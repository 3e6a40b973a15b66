//! The guide for authors: every example in it is what it says.

use std::fs;
use std::path::Path;

use plugyard_config::{Definition, SCHEMA};
use serde_json::Value as Json;

/// What follows the language of a block, and the block.
fn examples(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for part in page.split("\n```json").skip(1) {
        let (says, rest) = part.split_once('\n').expect("a block has lines");
        let (block, _) = rest.split_once("\n```").expect("a block ends");
        found.push((says.trim().to_owned(), block.to_owned()));
    }
    found
}

fn page(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    fs::read_to_string(root.join(name)).expect("the page is there")
}

#[test]
fn every_example_is_what_the_guide_says() {
    let (english, chinese) = (page("config-json.md"), page("zh-CN/config-json.md"));
    let (english, chinese) = (examples(&english), examples(&chinese));
    assert!(english.len() > 10);
    for (says, block) in english.iter().chain(&chinese) {
        let report = Definition::read(block.as_bytes());
        let errors: Vec<_> = report.errors.iter().map(|it| it.code.as_str()).collect();
        let warnings: Vec<_> = report.warnings.iter().map(|it| it.code.as_str()).collect();
        let expected = match says.split_once(": ") {
            None => (vec![], vec![]),
            // What is refused may be odd as well.
            Some(("refused", code)) => (vec![code], warnings.clone()),
            Some(("warned", code)) => (vec![], vec![code]),
            Some(other) => panic!("{other:?}"),
        };
        assert_eq!((errors, warnings), expected, "{says}: {block}");
    }
    // The same examples in both, but for what people read.
    let shape = |examples: &[(String, String)]| {
        examples
            .iter()
            .map(|(says, block)| {
                let json = serde_json::from_str::<Json>(block).map(without_texts);
                (says.clone(), json.unwrap_or_default())
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(shape(&english), shape(&chinese));
}

fn without_texts(json: Json) -> Json {
    match json {
        Json::Object(object) => object
            .into_iter()
            .filter(|(key, _)| key != "label" && key != "description")
            .map(|(key, value)| (key, without_texts(value)))
            .collect(),
        Json::Array(items) => items.into_iter().map(without_texts).collect(),
        other => other,
    }
}

#[test]
fn the_published_schema_is_the_one_that_is_tested() {
    assert_eq!(page("plugin-config.schema.json"), SCHEMA);
}
