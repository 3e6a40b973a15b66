//! Archives that mean harm, as packages of every kind and wherever a package comes in.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use zip::write::SimpleFileOptions;

use crate::support::{Server, answer, plugyard, run};

type Files = &'static [(&'static str, &'static str)];

/// Kinds and what makes a package one of that kind.
const KINDS: [(&str, Files); 3] = [
    (
        "portable",
        &[
            (
                "bad.json",
                r#"{"language": "python", "executable": "bad.py", "functions": ["bad_f"]}"#,
            ),
            ("bad.py", ""),
        ],
    ),
    (
        "app",
        &[("config.json", r#"{"version": "1.0.0", "fields": []}"#)],
    ),
    ("web", &[("plugin.json", r#"{"fskey": "Bad"}"#)]),
];

/// What an archive has besides, and the code that tells it.
const HARMS: [(&str, &str); 5] = [
    ("traversal", "archive_name_traversal"),
    ("link", "archive_link"),
    ("bomb", "archive_ratio"),
    ("prefix", "archive_prefix_data"),
    ("trailing", "archive_trailing_data"),
];

/// A zip of these files that does this harm.
fn zip(at: &Path, files: Files, harm: &str) -> PathBuf {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let plain = SimpleFileOptions::default();
    let mut add = |name: &str, content: &[u8]| {
        zip.start_file(name, plain).expect("an entry");
        zip.write_all(content).expect("its content");
    };
    for (name, content) in files {
        add(name, content.as_bytes());
    }
    match harm {
        "traversal" => add("../evil.txt", b"out"),
        "bomb" => add("bomb.bin", &vec![0; 32 << 20]),
        "link" => zip
            .add_symlink("shadow", "/etc/shadow", plain)
            .expect("a link"),
        _ => {}
    }
    let mut bytes = zip.finish().expect("an archive").into_inner();
    match harm {
        "prefix" => bytes.splice(0..0, *b"#!/bin/sh\n").for_each(drop),
        "trailing" => bytes.extend(b"more"),
        _ => {}
    }
    let path = at.join(format!("{harm}.zip"));
    std::fs::write(&path, bytes).expect("a file");
    path
}

/// What the findings say of the archive. Web plugins have words of their own for it, and name these as the cause.
fn codes(document: &Json) -> Vec<&str> {
    let findings = document["findings"].as_array().into_iter().flatten();
    findings
        .filter_map(|it| it["params"]["cause"].as_str().or(it["code"].as_str()))
        .collect()
}

fn check(directory: &Path, zip: &Path, more: &[&str]) -> (i32, Json) {
    let zip = zip.display().to_string();
    let words = [&["check", &zip, "-o", "json"], more].concat();
    let checked = run(plugyard(&directory.join("home")).args(words));
    let document = serde_json::from_str(&checked.stdout).unwrap_or_default();
    (checked.code, document)
}

#[test]
fn every_kind_refuses_them_before_anything_is_unpacked() {
    let directory = tempfile::tempdir().expect("a directory");
    for (kind, files) in KINDS {
        let sound = zip(directory.path(), files, "none");
        let (_, told) = check(directory.path(), &sound, &["--kind", kind]);
        for (harm, code) in HARMS {
            assert!(!codes(&told).contains(&code), "{kind}: {told}");
            let bad = zip(directory.path(), files, harm);
            for more in [&["--kind", kind][..], &[]] {
                let (exit, told) = check(directory.path(), &bad, more);
                assert_eq!(exit, 4, "{kind}, {harm}: {told}");
                assert!(codes(&told).contains(&code), "{kind}, {harm}: {told}");
            }
        }
        let none = directory.path().join("none.zip");
        std::fs::write(&none, "no zip at all").expect("a file");
        let (exit, told) = check(directory.path(), &none, &["--kind", kind]);
        assert_eq!(exit, 4, "{kind}: {told}");
        assert!(codes(&told).contains(&"archive_not_zip"), "{kind}: {told}");
        if kind == "portable" {
            assert_eq!(codes(&told).len(), 1, "nothing else is known: {told}");
        }
    }
}

#[test]
fn ekuipers_routes_say_what_is_wrong_with_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start();
    for (harm, words) in [
        ("traversal", "path escapes from parent"),
        ("link", "link"),
        ("bomb", "expands more than 100 times"),
    ] {
        let bad = zip(directory.path(), KINDS[0].1, harm);
        let body = json!({"name": "bad", "file": format!("file://{}", bad.display())});
        let refused = answer(server.post("/plugins/portables").json(&body));
        assert_eq!(refused.status, 400, "{harm}: {refused:?}");
        let told: Json = serde_json::from_str(&refused.body).expect("JSON");
        let message = told["message"].as_str().expect("a text");
        assert!(
            message.starts_with("portable plugin create command error: fail to install plugin: ")
                && message.contains(words),
            "{harm}: {message}"
        );
    }
    assert_eq!(answer(server.get("/plugins/portables")).body, "[]");
    assert!(!server.home.join("plugins/portable/bad").exists());
    assert!(!server.home.join("plugins/portable/evil.txt").exists());
}
