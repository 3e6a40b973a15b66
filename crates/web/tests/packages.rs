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
    let limits = package::PackageLimits::default();
    let mut inspection = package::inspect(&package, expected, &limits);
    // Of the cover image there is a test of its own.
    let findings = &mut inspection.findings;
    findings.retain(|finding| !finding.code.as_str().starts_with("W_COVER"));
    inspection
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
            ("E_TYPE_RANGE", "/type"),
            ("E_FIELD_FORMAT", "/name"),
            ("E_SCENE_FORMAT", "/scene"),
            ("E_FIELD_FORMAT", "/isStandalone"),
            ("E_FIELD_FORMAT", "/providers/0"),
            ("E_FIELD_FORMAT", "/autoloadFiles/0"),
            ("E_FIELD_FORMAT", "/platform"),
            ("W_MANIFEST_UNKNOWN_KEY", "/settingPath"),
        ]
    );
    let unknown = inspection
        .findings
        .iter()
        .find(|finding| finding.params.contains_key("suggestion"));
    assert_eq!(unknown.unwrap().params["suggestion"], "settingsPath");
    // Each says what was written, and what belongs there.
    let texts: Vec<String> = inspection
        .findings
        .iter()
        .map(|it| it.text(Lang::En))
        .collect();
    assert!(texts[5].contains("without `..`"), "{texts:#?}");
    for (at, value) in [(0, "\"1\""), (1, "3"), (3, "yes"), (4, "1"), (5, "../x")] {
        assert_eq!(inspection.findings[at].params["value"], value, "{at}");
    }
}

#[test]
fn a_theme_has_a_manifest_of_its_own_name() {
    let text = GOOD.replace("\"name\"", "\"type\": 4, \"name\"");
    let inspection = inspect(&[("plugin.json", &text)], None);
    assert_eq!(said(&inspection), [("E_TYPE_RANGE", "/type")]);
    let finding = &inspection.findings[0];
    let said = finding.text(Lang::En);
    assert_eq!(said, "`type` is 4; it is one of 1, 2, 3, 5");
    let hint = finding.code.hint(Lang::En, &finding.params);
    assert!(hint.contains("theme.json"), "{hint}");
}

#[test]
fn a_manifest_that_is_too_large_is_beyond_a_limit() {
    let text = GOOD.replace("Demo\"", &format!("{}\"", "x".repeat(300_000)));
    let inspection = inspect(&[("plugin.json", &text)], None);
    assert_eq!(said(&inspection), [("E_PACKAGE_LIMIT", "")]);
}

#[test]
fn fields_of_a_theme_say_what_belongs_there() {
    let text = r#"{"fskey": "FancyTheme", "name": "x", "description": "", "author": "me", "version": "1.0.0",
        "functions": true, "functionKeys": [
            {"itemKey": "a", "itemType": "strin"}, {"itemKey": "a", "itemType": "string"}, {"itemType": "string"}, 5
        ]}"#;
    let inspection = inspect(&[("theme.json", text)], None);
    assert_eq!(
        said(&inspection),
        [
            ("E_FIELD_FORMAT", "/functionKeys/0/itemType"),
            ("E_FIELD_DUPLICATE", "/functionKeys/1/itemKey"),
            ("E_FIELD_REQUIRED", "/functionKeys/2/itemKey"),
            ("E_FIELD_FORMAT", "/functionKeys/3/"),
        ]
    );
    let said = inspection.findings[0].text(Lang::En);
    assert!(said.contains("string | number"), "{said}");
}

#[test]
fn a_standalone_plugin_with_a_page_needs_a_host_which_is_said() {
    let text = GOOD.replace("\"name\"", "\"isStandalone\": true, \"name\"");
    assert_eq!(
        said(&inspect(&[("plugin.json", &text)], None)),
        [("W_STANDALONE_WITHOUT_HOST", "/accessPath")]
    );
}

#[test]
fn what_means_nothing_here_is_kept_as_it_is() {
    let text = GOOD.replace(
        "\"author\": \"me\"",
        r#""author": "me", "aliases": {"Mall": "Plugins\\DemoPlugin\\Mall"}, "funding": {"url": ["x", 1]}"#,
    );
    let inspection = inspect(&[("plugin.json", &text)], None);
    assert_eq!(said(&inspection), [("W_MANIFEST_UNKNOWN_KEY", "/funding")]);
    let manifest = &inspection.manifest;
    assert_eq!(manifest["aliases"]["Mall"], r"Plugins\DemoPlugin\Mall");
    assert_eq!(manifest["more"]["funding"]["url"][1], 1);
    let read: package::Manifest = serde_json::from_value(manifest.clone()).unwrap();
    assert_eq!(read.more.len(), 1);
    let wrong = GOOD.replace("\"author\"", "\"aliases\": {\"a\": 1}, \"author\"");
    let inspection = inspect(&[("plugin.json", &wrong)], None);
    assert_eq!(said(&inspection), [("E_FIELD_FORMAT", "/aliases")]);
}

#[test]
fn a_requirement_that_cannot_be_read_is_not_passed_over() {
    let text = GOOD.replace(
        r#""platform": {"core": ">=1.4.0, <2.0.0", "dependencies": {"SmtpEmail": "^2.0.0"}}"#,
        r#""platform": {
            "core": 1, "dependencies": {"SmtpEmail": 2, "bad name": "*", "S3Storage": "soon"},
            "conflicts": ["OldMailer"], "healthPath": "https://elsewhere.example/", "compatibleSince": "2",
            "reversibleMigrations": "no", "healthpath": "/x"
        }"#,
    );
    let inspection = inspect(&[("plugin.json", &text)], None);
    assert_eq!(
        said(&inspection),
        [
            ("E_FIELD_FORMAT", "/platform/core"),
            ("E_FIELD_FORMAT", "/platform/dependencies/SmtpEmail"),
            ("E_FSKEY_FORMAT", "/platform/dependencies/bad name"),
            ("E_FIELD_FORMAT", "/platform/dependencies/S3Storage"),
            ("E_FIELD_FORMAT", "/platform/conflicts"),
            ("E_PATH_ABSOLUTE", "/platform/healthPath"),
            ("E_VERSION_FORMAT", "/platform/compatibleSince"),
            ("E_FIELD_FORMAT", "/platform/reversibleMigrations"),
            ("W_MANIFEST_UNKNOWN_KEY", "/platform/healthpath"),
        ]
    );
    for none in ["null", "{}", r#"{"core": null, "dependencies": null}"#] {
        let text = GOOD.replace(
            r#"{"core": ">=1.4.0, <2.0.0", "dependencies": {"SmtpEmail": "^2.0.0"}}"#,
            none,
        );
        assert_eq!(
            said(&inspect(&[("plugin.json", &text)], None)),
            [],
            "{none}"
        );
    }
}

#[test]
fn two_candidates_at_one_depth_are_no_one_package() {
    let found = |files: &[&str]| {
        let files: Vec<(&str, &str)> = files.iter().map(|file| (*file, GOOD)).collect();
        let inspection = inspect(&files, None);
        let codes: Vec<&str> = inspection
            .findings
            .iter()
            .map(|it| it.code.as_str())
            .collect();
        codes.join(" ")
    };
    assert_eq!(found(&["plugin.json", "theme.json"]), "E_PACKAGE_AMBIGUOUS");
    assert_eq!(
        found(&["a/plugin.json", "a/theme.json"]),
        "E_PACKAGE_AMBIGUOUS"
    );
    assert_eq!(
        found(&["a/plugin.json", "b/plugin.json"]),
        "E_PACKAGE_AMBIGUOUS"
    );
    assert_eq!(
        found(&["a/plugin.json", "b/other.json"]),
        "E_PACKAGE_NO_MANIFEST"
    );
    assert_eq!(found(&["a/b/plugin.json"]), "E_PACKAGE_NO_MANIFEST");
    assert_eq!(found(&["Plugin.json"]), "E_PACKAGE_NO_MANIFEST");
    // The one at the root counts, whatever lies deeper.
    assert_eq!(found(&["plugin.json", "examples/plugin.json"]), "");
    assert_eq!(
        found(&["a/plugin.json", "__MACOSX/plugin.json", ".DS_Store"]),
        ""
    );
}

#[test]
fn choices_of_a_themes_field_are_labels_and_values() {
    let theme = |options: &str| {
        let text = format!(
            r#"{{"fskey": "FancyTheme", "name": "x", "description": "", "author": "me", "version": "1.0.0",
                "functions": true, "functionKeys": [{{"itemKey": "a", "itemType": "string", "options": {options}}}]}}"#
        );
        inspect(&[("theme.json", &text)], None)
    };
    let good = theme(r#"[{"label": "Red", "value": "r"}, {"value": 2}]"#);
    assert_eq!(said(&good), []);
    assert_eq!(
        good.manifest["function_keys"][0]["options"][1]["label"],
        "2"
    );
    for bad in [
        r#"{"a": 1}"#,
        "[1]",
        r#"[{"label": "x"}]"#,
        r#"[{"value": []}]"#,
        r#"[{"label": 1, "value": 1}]"#,
    ] {
        assert_eq!(
            said(&theme(bad)),
            [("E_FIELD_FORMAT", "/functionKeys/0/options")],
            "{bad}"
        );
    }
}

/// The first bytes of a PNG of this size.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    bytes.extend([8, 6, 0, 0, 0]);
    bytes
}

/// What is said of a cover image, in English.
fn of_cover(manifest: &str, text: &str, cover: Option<(&str, &[u8])>) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(manifest);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
    if let Some((path, bytes)) = cover {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let package = Directory::open(directory.path(), &Policy::default());
    let inspection = package::inspect(&package, None, &package::PackageLimits::default());
    assert!(!inspection.has_errors(), "{:?}", inspection.findings);
    let findings = inspection.findings.iter();
    findings
        .filter(|finding| finding.code.as_str().starts_with("W_COVER"))
        .map(|finding| finding.text(Lang::En))
        .collect()
}

#[test]
fn a_cover_image_is_square_and_at_its_place() {
    const PLACE: &str = "resources/assets/fresns.png";
    let theme = GOOD
        .replace("\"scene\": [\"extendChannel\"], \"accessPath\": \"/demo?id={parameter}\",", "")
        .replace("\"platform\": {\"core\": \">=1.4.0, <2.0.0\", \"dependencies\": {\"SmtpEmail\": \"^2.0.0\"}}", "\"functions\": false");
    let good = png(512, 512);
    let good = good.as_slice();
    assert!(of_cover("plugin.json", GOOD, Some((PLACE, good))).is_empty());
    let wrapped = format!("demo-main/{PLACE}");
    assert!(of_cover("demo-main/plugin.json", GOOD, Some((&wrapped, good))).is_empty());
    assert!(of_cover("theme.json", &theme, Some(("assets/fresns.png", good))).is_empty());
    // What is deployed elsewhere has its files there.
    let elsewhere = GOOD.replace("\"fskey\"", "\"type\": 5, \"fskey\"");
    assert!(of_cover("plugin.json", &elsewhere, None).is_empty());

    let missing = of_cover("plugin.json", GOOD, None);
    assert!(
        missing.len() == 1 && missing[0].contains(PLACE),
        "{missing:?}"
    );
    let elsewhere = of_cover("plugin.json", GOOD, Some(("fresns.png", good)));
    assert!(
        elsewhere.len() == 1 && elsewhere[0].contains(PLACE),
        "{elsewhere:?}"
    );
    let missing = of_cover("theme.json", &theme, None);
    assert!(missing[0].contains("assets/fresns.png"), "{missing:?}");
    for (bytes, word) in [
        (png(512, 511), "512 × 511"),
        (png(0, 0), "0 × 0"),
        (b"GIF89a".to_vec(), "another format"),
        (png(1, 1)[..20].to_vec(), "another format"),
        (Vec::new(), "another format"),
    ] {
        let said = of_cover("plugin.json", GOOD, Some((PLACE, &bytes)));
        assert!(
            said.len() == 1 && said[0].contains(word),
            "{word}: {said:?}"
        );
    }
}

#[test]
fn names_of_packages_are_bounded() {
    let long = format!("app/{}/{}.php", "n".repeat(120), "n".repeat(112));
    let deep = "d/".repeat(31) + "f";
    assert_eq!((long.len(), deep.split('/').count()), (241, 32));
    let inspection = inspect(
        &[("plugin.json", GOOD), (&long[1..], ""), (&deep, "")],
        None,
    );
    assert_eq!(said(&inspection), []);
    let deeper = format!("d/{deep}");
    let inspection = inspect(&[("plugin.json", GOOD), (&long, ""), (&deeper, "")], None);
    let found: Vec<_> = inspection
        .findings
        .iter()
        .filter(|it| it.code.as_str() == "E_PACKAGE_LIMIT")
        .collect();
    assert_eq!(found.len(), 2, "{found:?}");
    for (finding, place, limit) in [(found[0], &long, "240"), (found[1], &deeper, "32")] {
        assert_eq!(
            (&finding.place.file, finding.params["limit"].as_str()),
            (place, limit)
        );
    }
}
