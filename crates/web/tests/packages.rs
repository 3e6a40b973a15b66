//! What is said of packages.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;

use plugyard_archive::{Directory, Policy};
use plugyard_model::{Inspection, Lang};
use plugyard_web::package;

fn inspect(files: &[(&str, &str)], expected: Option<&str>) -> Inspection {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let package = Directory::open(directory.path(), &Policy::default());
    package::inspect(&package, expected)
}

fn said(inspection: &Inspection) -> Vec<(&'static str, &str)> {
    let findings = inspection.findings.iter();
    findings
        .map(|finding| (finding.code.as_str(), finding.place.pointer.as_str()))
        .collect()
}

const GOOD: &str = r#"{
    "fskey": "DemoPlugin", "name": "Demo", "description": "", "author": "me", "version": "1.2.3",
    "scene": ["extendChannel"], "accessPath": "/demo?id={parameter}",
    "platform": {"core": ">=1.4.0, <2.0.0", "dependencies": {"SmtpEmail": "^2.0.0"}}
}"#;

#[test]
fn a_plugin_is_read_from_the_root_and_from_one_directory_around_it() {
    for name in ["plugin.json", "demo-plugin-main/plugin.json"] {
        let inspection = inspect(&[(name, GOOD), ("__MACOSX/x", "")], Some("DemoPlugin"));
        assert_eq!(said(&inspection), [], "{name}");
        assert_eq!(inspection.key.as_deref(), Some("DemoPlugin"));
        assert_eq!(inspection.version.as_deref(), Some("1.2.3"));
        assert_eq!(inspection.manifest["access_path"], "/demo?id={parameter}");
        assert_eq!(
            inspection.manifest["platform"]["dependencies"]["SmtpEmail"],
            "^2.0.0"
        );
    }
}

#[test]
fn aliases_count_and_the_key_wins_over_its_alias() {
    let text = GOOD.replace(
        "\"author\": \"me\"",
        "\"developer\": \"other\", \"website\": \"https://a.example\"",
    );
    let inspection = inspect(&[("plugin.json", &text)], None);
    assert_eq!(inspection.manifest["author"], "other");
    assert_eq!(inspection.manifest["author_link"], "https://a.example");
    let both = GOOD.replace(
        "\"author\": \"me\"",
        "\"developer\": \"other\", \"author\": \"me\"",
    );
    assert_eq!(
        inspect(&[("plugin.json", &both)], None).manifest["author"],
        "me"
    );
}

#[test]
fn web_28_an_fskey_that_leads_elsewhere_is_refused() {
    let text = GOOD.replace("DemoPlugin", "../../public");
    assert_eq!(
        said(&inspect(&[("plugin.json", &text)], None)),
        [("E_FSKEY_FORMAT", "/fskey")]
    );
}

#[test]
fn web_29_another_plugins_package_is_refused() {
    let inspection = inspect(&[("plugin.json", GOOD)], Some("SmtpEmail"));
    assert_eq!(said(&inspection), [("E_FSKEY_MISMATCH", "/fskey")]);
}

#[test]
fn web_30_everything_wrong_is_said_at_once() {
    let text = r#"{"fskey": "demo", "name": "Demo", "description": ""}"#;
    let inspection = inspect(&[("plugin.json", text)], None);
    assert_eq!(
        said(&inspection),
        [
            ("E_FIELD_REQUIRED", ""),
            ("E_FIELD_REQUIRED", ""),
            ("E_FSKEY_FORMAT", "/fskey"),
        ]
    );
    let fields: Vec<_> = inspection
        .findings
        .iter()
        .filter_map(|finding| finding.params.get("field"))
        .collect();
    assert_eq!(fields, ["author", "version"]);
    assert!(inspection.manifest.is_null());
}

#[test]
fn web_31_comments_and_duplicate_keys_are_refused_with_their_place_and_a_mark_is_not() {
    let comment = GOOD.replace("\"name\"", "// the name\n \"name\"");
    let inspection = inspect(&[("plugin.json", &comment)], None);
    assert_eq!(said(&inspection), [("E_MANIFEST_SYNTAX", "")]);
    assert_eq!(inspection.findings[0].place.line, Some(2));
    let text = inspection.findings[0].text(Lang::En);
    assert!(
        text.starts_with("Line 2, column 28 is not valid JSON"),
        "{text}"
    );
    let duplicate = GOOD.replace("\"name\"", "\"author\": \"x\", \"name\"");
    assert_eq!(
        said(&inspect(&[("plugin.json", &duplicate)], None)),
        [("E_MANIFEST_DUPLICATE_KEY", "/author")]
    );
    let mark = format!("\u{feff}{GOOD}");
    assert_eq!(said(&inspect(&[("plugin.json", &mark)], None)), []);
}

#[test]
fn web_37_a_theme_is_of_type_four() {
    let text = r#"{"fskey": "MyTheme", "name": "T", "description": "", "author": "me", "version": "1.0.0", "functions": true}"#;
    let inspection = inspect(&[("theme.json", text)], None);
    assert_eq!(said(&inspection), []);
    assert_eq!(inspection.manifest["type"], 4);
    assert_eq!(inspection.manifest["settings_path"], "MyTheme");
    let as_plugin = GOOD.replace("\"name\"", "\"type\": 4, \"name\"");
    assert_eq!(
        said(&inspect(&[("plugin.json", &as_plugin)], None)),
        [("E_TYPE_RANGE", "/type")]
    );
}

#[test]
fn a_package_has_exactly_one_manifest() {
    assert_eq!(
        said(&inspect(&[("a.txt", "")], None)),
        [("E_PACKAGE_NO_MANIFEST", "")]
    );
    let both = inspect(&[("plugin.json", GOOD), ("theme.json", "{}")], None);
    assert_eq!(said(&both), [("E_PACKAGE_AMBIGUOUS", "")]);
}

#[test]
fn values_of_other_types_and_unknown_keys_are_named() {
    let text = r#"{"fskey": "DemoPlugin", "type": "1", "name": 3, "description": "", "author": "me", "version": "1.0.0",
        "scene": {"a": 1}, "isStandalone": "yes", "providers": [1], "autoloadFiles": ["../x"], "platform": [], "settingPath": "/x"}"#;
    let inspection = inspect(&[("plugin.json", text)], None);
    assert_eq!(
        said(&inspection),
        [
            ("E_FIELD_FORMAT", "/autoloadFiles"),
            ("E_FIELD_FORMAT", "/isStandalone"),
            ("E_FIELD_FORMAT", "/name"),
            ("E_FIELD_FORMAT", "/platform"),
            ("E_FIELD_FORMAT", "/providers"),
            ("E_SCENE_FORMAT", "/scene"),
            ("W_MANIFEST_UNKNOWN_KEY", "/settingPath"),
            ("E_TYPE_RANGE", "/type"),
        ]
    );
    let unknown = inspection
        .findings
        .iter()
        .find(|finding| finding.params.contains_key("suggestion"));
    assert_eq!(unknown.unwrap().params["suggestion"], "settingsPath");
}

#[test]
fn a_standalone_plugin_with_a_page_needs_a_host_which_is_said() {
    let text = GOOD.replace("\"name\"", "\"isStandalone\": true, \"name\"");
    assert_eq!(
        said(&inspect(&[("plugin.json", &text)], None)),
        [("W_STANDALONE_WITHOUT_HOST", "/accessPath")]
    );
}
