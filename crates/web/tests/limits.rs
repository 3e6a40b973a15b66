//! How large a package may be: what is just allowed, and what is just too much.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;

use flate2::{Compress, Compression, FlushCompress};
use plugyard_archive::build::{Archive, File};
use plugyard_archive::{Limits, PackageReader as _};
use plugyard_platform::{Home, open_directory, open_zip};
use plugyard_web::WebHost;

const MANIFEST: &str =
    r#"{"fskey": "Demo", "name": "Demo", "description": "", "author": "me", "version": "1.0.0"}"#;

/// The errors that a package has, with the cause and the limit.
fn errors(archive: &Archive) -> Vec<(String, String, String)> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("demo.zip");
    fs::write(&file, archive.build()).unwrap();
    let kinds = [WebHost::offline(Home::new(".")).kind()];
    let package = open_zip(&kinds, &file, None).unwrap();
    let inspection = plugyard_platform::inspect(&kinds, &package, None, None).unwrap();
    let findings = inspection.findings.iter();
    let errors = findings.filter(|it| it.severity == plugyard_model::Severity::Error);
    let param =
        |it: &plugyard_model::Finding, name: &str| it.params.get(name).cloned().unwrap_or_default();
    errors
        .map(|it| (it.code.to_string(), param(it, "cause"), param(it, "limit")))
        .collect()
}

fn beyond(cause: &str, limit: &str) -> Vec<(String, String, String)> {
    vec![(
        "E_PACKAGE_LIMIT".to_owned(),
        cause.to_owned(),
        limit.to_owned(),
    )]
}

fn plugin() -> Archive {
    Archive::new().file("plugin.json", MANIFEST)
}

#[test]
fn fifty_thousand_entries_are_a_package_and_one_more_is_not() {
    let mut archive = plugin();
    for index in 1..50_000 {
        archive = archive.entry(File::new(format!("app/views/{index}.php"), "").stored());
    }
    assert_eq!(errors(&archive), []);
    let archive = archive.entry(File::new("one-more", "").stored());
    let found = errors(&archive);
    assert_eq!(found[..1], beyond("archive_too_many_entries", "50000"));
}

/// A file of zeros with `plain` of them not packed.
fn zeros(packed: &[u8], size: usize, plain: u16) -> File {
    // A block that is stored comes first: it makes content and packed bytes equally longer.
    let head = [&[0][..], &plain.to_le_bytes(), &(!plain).to_le_bytes()].concat();
    let body = vec![0; usize::from(plain)];
    let packed = [&head, &body, packed].concat();
    let content = vec![0; size + usize::from(plain)];
    File::new("zeros", content).with(|file| file.packed = Some(packed))
}

#[test]
fn a_file_expands_a_hundred_times_and_not_more() {
    const SIZE: usize = 2 << 20;
    let mut packed = Vec::with_capacity(SIZE);
    Compress::new(Compression::best(), false)
        .compress_vec(&vec![0; SIZE], &mut packed, FlushCompress::Finish)
        .unwrap();
    // The least for which `SIZE + plain <= 100 * (5 + plain + packed)`.
    let plain = (SIZE - 500 - 100 * packed.len()).div_ceil(99);
    let plain = u16::try_from(plain).unwrap();
    assert_eq!(errors(&plugin().entry(zeros(&packed, SIZE, plain))), []);
    assert_eq!(
        errors(&plugin().entry(zeros(&packed, SIZE, plain - 1))),
        beyond("archive_ratio", "100")
    );
    // Below a mebibyte it says nothing.
    assert_eq!(errors(&plugin().file("small", vec![0; 1 << 20])), []);
}

#[test]
fn what_packages_of_this_kind_may_be_is_no_other_kinds_business() {
    let kinds = [WebHost::offline(Home::new(".")).kind()];
    let limits = kinds[0].limits();
    // No file has a limit of its own.
    assert_eq!((limits.total, limits.entry), (512 << 20, 512 << 20));
    let directory = tempfile::tempdir().unwrap();
    for index in 0..10_001 {
        fs::write(directory.path().join(index.to_string()), "").unwrap();
    }
    let found = |kinds| {
        let package = open_directory(kinds, directory.path(), None);
        let findings = package.findings().iter();
        findings.map(|it| it.code.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(found(&kinds), ["archive_too_many_entries"]);
    fs::write(directory.path().join("plugin.json"), MANIFEST).unwrap();
    assert_eq!(found(&kinds), [""; 0]);
    assert_eq!(Limits::default().entries, 10_000);
}
