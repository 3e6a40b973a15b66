use std::collections::BTreeMap;
use std::io::Write;

use plugyard_archive::{Entry, EntryKind, ReadError};

use super::*;

/// A package made up by hand.
struct Made {
    listing: Listing,
    files: BTreeMap<String, Vec<u8>>,
}

impl PackageReader for Made {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn findings(&self) -> &[Finding] {
        &[]
    }

    fn copy_to(&self, path: &str, _: u64, out: &mut dyn Write) -> Result<u64, ReadError> {
        let bytes = self.files.get(path).ok_or_else(|| ReadError::NotFound {
            path: path.to_owned(),
        })?;
        out.write_all(bytes).unwrap();
        Ok(bytes.len() as u64)
    }
}

/// Paths that end with `/` are directories.
fn made(files: &[(&str, &str)]) -> Made {
    let entry = |(path, content): &(&str, &str)| Entry {
        path: path.trim_end_matches('/').to_owned(),
        kind: if path.ends_with('/') {
            EntryKind::Directory
        } else {
            EntryKind::File
        },
        size: content.len() as u64,
        mode: 0o755,
    };
    Made {
        listing: Listing::of(files.iter().map(entry)),
        files: files
            .iter()
            .filter(|(path, _)| !path.ends_with('/'))
            .map(|(path, content)| ((*path).to_owned(), content.as_bytes().to_vec()))
            .collect(),
    }
}

fn words(inspection: &Inspection) -> Vec<&'static str> {
    inspection
        .findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

fn mirror(manifest: &str) -> Inspection {
    inspect(
        &made(&[
            ("mirror.json", manifest),
            ("mirror.exe", ""),
            ("sources/random.yaml", "default:\n"),
        ]),
        Some("mirror"),
    )
}

/// What eKuiper's own checks say of a manifest.
fn said(manifest: &str) -> Option<String> {
    upstream_text(&mirror(manifest).findings)
}

#[test]
fn fact_01_a_manifest_without_symbols_is_refused() {
    assert_eq!(
        said(r#"{"name":"mirror","language":"go","executable":"mirror.exe"}"#).as_deref(),
        Some("invalid plugin, must define at lease one source, sink or function")
    );
}

#[test]
fn fact_02_the_name_is_checked_before_everything_else() {
    assert_eq!(
        said(r#"{"name":"wrr","version":"v1"}"#).as_deref(),
        Some("invalid plugin, expect name 'mirror' but got 'wrr'")
    );
}

#[test]
fn fact_03_sinks_alone_and_no_version_are_fine() {
    let inspection =
        mirror(r#"{"name":"mirror","language":"go","executable":"mirror.exe","sinks":["file"]}"#);
    assert!(inspection.findings.is_empty(), "{:?}", inspection.findings);
    assert_eq!(
        serde_json::to_string(&inspection.manifest).unwrap(),
        r#"{"name":"mirror","version":"","language":"go","executable":"mirror.exe","sources":null,"sinks":["file"],"functions":null}"#
    );
}

#[test]
fn fact_04_an_executable_is_needed() {
    assert_eq!(
        said(r#"{"language":"go","sources":["random"]}"#).as_deref(),
        Some("invalid plugin, missing executable")
    );
}

#[test]
fn fact_05_a_language_is_needed() {
    assert_eq!(
        said(r#"{"executable":"mirror.exe","sources":["random"]}"#).as_deref(),
        Some("invalid plugin, missing language")
    );
}

#[test]
fn fact_06_a_language_must_be_known() {
    assert_eq!(
        said(r#"{"language":"c","executable":"mirror.exe","sources":["random"]}"#).as_deref(),
        Some("invalid plugin, language 'c' is not supported")
    );
}

#[test]
fn fact_10_a_missing_manifest_counts_all_entries() {
    let one = inspect(&made(&[("mirror.exe", "")]), Some("mirror"));
    assert_eq!(
        upstream_text(&one.findings).as_deref(),
        Some("missing or invalid json file mirror.json, found 1 files in total")
    );
    let nine = made(&[
        ("functions/", ""),
        ("functions/echo.json", "{}"),
        ("mirror", ""),
        ("mirror.json", "{}"),
        ("sinks/", ""),
        ("sinks/file.json", "{}"),
        ("sources/", ""),
        ("sources/random.json", "{}"),
        ("sources/random.yaml", ""),
    ]);
    assert_eq!(
        upstream_text(&inspect(&nine, Some("other")).findings).as_deref(),
        Some("missing or invalid json file other.json, found 9 files in total")
    );
}

#[test]
fn fact_11_the_executable_is_missed_before_the_sources() {
    let package = made(&[(
        "mirror.json",
        r#"{"language":"go","executable":"mirror.exe","sources":["b","a"]}"#,
    )]);
    let inspection = inspect(&package, Some("mirror"));
    assert_eq!(
        upstream_text(&inspection.findings).as_deref(),
        Some("missing mirror.exe")
    );
    assert_eq!(
        words(&inspection),
        [
            "portable_executable_absent",
            "portable_source_yaml_absent",
            "portable_source_yaml_absent"
        ]
    );
}

#[test]
fn fact_40_metadata_of_sinks_and_functions_is_optional() {
    let inspection = mirror(
        r#"{"language":"go","executable":"mirror.exe","sources":["random"],"sinks":["file"],"functions":["echo"]}"#,
    );
    assert!(inspection.findings.is_empty(), "{:?}", inspection.findings);
}

#[test]
fn everything_wrong_is_said_at_once_and_unknown_keys_are_not_wrong() {
    let inspection = mirror(
        r#"{"name":"wrr","language":"c","sources":["a b",7,"x","x"],"sinks":"file","surprise":1}"#,
    );
    let mut found = words(&inspection);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "manifest_field_type",
            "manifest_field_type",
            "manifest_name_mismatch",
            "portable_executable_missing",
            "portable_language_unsupported",
            "portable_name_invalid",
            "portable_symbol_twice",
        ]
    );
    let at = inspection
        .findings
        .iter()
        .find(|f| f.code == codes::PORTABLE_NAME_INVALID)
        .unwrap();
    assert_eq!(
        (at.place.file.as_str(), at.place.pointer.as_str()),
        ("mirror.json", "/sources/0")
    );
    assert_eq!(at.place.line, Some(1));
}

#[test]
fn host_02_names_that_could_leave_their_directory_are_refused() {
    for bad in ["../x", "a/b", "", "a.b", "插件", &"x".repeat(65)] {
        let text = serde_json::json!({
            "language": "go", "executable": "mirror.exe", "functions": [bad]
        });
        assert_eq!(
            words(&mirror(&text.to_string())),
            ["portable_name_invalid"],
            "{bad:?}"
        );
    }
}

#[test]
fn a_program_that_cannot_be_executed_is_told_where_it_is_started_directly() {
    for (language, mode, expected) in [
        ("go", 0o644, &["portable_executable_mode"][..]),
        ("go", 0o755, &[]),
        ("python", 0o644, &[]),
    ] {
        let manifest =
            format!(r#"{{"language":"{language}","executable":"run","functions":["f"]}}"#);
        let mut package = made(&[("mirror.json", &manifest), ("run", "x")]);
        for entry in &mut package.listing.entries {
            entry.mode = mode;
        }
        let inspection = inspect(&package, Some("mirror"));
        assert_eq!(words(&inspection), expected, "{language} {mode:o}");
        assert!(!inspection.has_errors());
    }
}

#[test]
fn metadata_of_sources_and_sinks_need_a_block_about() {
    let manifest =
        r#"{"language":"go","executable":"run","sources":["s"],"sinks":["k"],"functions":["f"]}"#;
    let package = made(&[
        ("mirror.json", manifest),
        ("run", "x"),
        ("sources/s.yaml", "default:\n"),
        ("sources/s.json", "{}"),
        ("sinks/k.json", r#"{"about": {}}"#),
        ("functions/f.json", "{}"),
    ]);
    let inspection = inspect(&package, Some("mirror"));
    assert_eq!(words(&inspection), ["portable_metadata_invalid"]);
    assert_eq!(inspection.findings[0].place.file, "sources/s.json");
}

#[test]
fn a_package_of_another_kind_is_noticed() {
    let container = made(&[("Dockerfile", ""), ("config.json", "{}")]);
    assert_eq!(signs(&container.listing), Signs::None);
    assert_eq!(
        words(&inspect(&container, Some("x"))),
        ["portable_manifest_missing", "portable_other_kind"]
    );
    let web = made(&[("plugin.json", "{}")]);
    assert!(words(&inspect(&web, None)).contains(&"portable_manifest_missing"));
}

#[test]
fn the_name_is_the_manifest_that_reads_like_one() {
    let package = made(&[
        ("package.json", "{\"dependencies\":{}}"),
        (
            "demo.json",
            r#"{"language":"python","executable":"demo.py","functions":["f"]}"#,
        ),
        ("demo.py", ""),
    ]);
    let inspection = inspect(&package, None);
    assert_eq!(inspection.key.as_deref(), Some("demo"));
    assert!(inspection.findings.is_empty());
    assert_eq!(signs(&package.listing), Signs::Weak);
}

#[test]
fn the_block_of_ours_is_strict() {
    let with = |block: &str| {
        let text = format!(
            r#"{{"language":"go","executable":"mirror.exe","sources":["random"],"plugyard":{block}}}"#
        );
        mirror(&text)
    };
    let good = with(r#"{"sources":{"random":{"handover":"overlap"}}}"#);
    assert!(good.findings.is_empty(), "{:?}", good.findings);
    let manifest: Manifest = serde_json::from_value(good.manifest).unwrap();
    assert_eq!(manifest.handover("random"), Handover::Overlap);
    for (block, code) in [
        (r#"{"source":{}}"#, "portable_block_key"),
        (r#"{"sources":{"nosuch":{}}}"#, "portable_block_key"),
        (
            r#"{"sources":{"random":{"handover":"later"}}}"#,
            "portable_block_value",
        ),
        (
            r#"{"sources":{"random":{"hand":"overlap"}}}"#,
            "portable_block_key",
        ),
        (r#"{"sources":[]}"#, "manifest_field_type"),
    ] {
        assert_eq!(words(&with(block)), [code], "{block}");
    }
}

#[test]
fn environments_other_than_conda_are_refused() {
    let with = |rest: &str| {
        words(&mirror(&format!(
            r#"{{"language":"python","executable":"mirror.exe","sinks":["s"],{rest}}}"#
        )))
    };
    assert_eq!(
        with(r#""virtualEnvType":"venv""#),
        ["portable_environment_unsupported"]
    );
    assert_eq!(
        with(r#""virtualEnvType":"conda""#),
        ["portable_environment_unnamed"]
    );
    assert!(with(r#""virtualEnvType":"conda","env":"base""#).is_empty());
}

#[test]
fn broken_json_is_said_with_its_place() {
    let inspection = mirror("{\n  \"name\": \"mirror\",\n}");
    assert_eq!(words(&inspection), ["json_trailing_comma"]);
    assert_eq!(inspection.findings[0].place.line, Some(2));
    assert!(said("{").is_some());
}
