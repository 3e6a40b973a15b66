//! Hostile archives, one row per class: each is told by code and entry, and nothing of it is written.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;

use plugyard_archive::build::{Archive, Descriptor, File};
use plugyard_archive::{
    Contents, Limits, PackageReader, Policy, ReadError, UnpackError, Zip, unpack,
};
use plugyard_model::{Lang, Severity, codes};

/// Opens, expects an error of this code at this entry, and that unpacking is refused without a trace.
#[track_caller]
fn refused(archive: &Archive, code: &str, entry: &str) {
    refused_bytes(archive.build(), code, entry);
}

#[track_caller]
fn refused_bytes(bytes: Vec<u8>, code: &str, entry: &str) {
    let zip = Zip::from_bytes(bytes, &Policy::default());
    let found: Vec<_> = zip
        .findings()
        .iter()
        .map(|f| (f.code.as_str(), f.place.file.as_str(), f.severity))
        .collect();
    assert!(
        found.contains(&(code, entry, Severity::Error)),
        "{code} at {entry:?} is not among {found:?}"
    );
    for finding in zip.findings() {
        for lang in [Lang::En, Lang::ZhCn] {
            let text = finding.text(lang);
            assert!(!text.contains('{'), "a value is missing in {text}");
        }
    }
    nothing_is_written(&zip);
}

#[track_caller]
fn nothing_is_written(zip: &Zip) {
    let home = tempfile::tempdir().unwrap();
    let into = home.path().join("a/b/into");
    let refused = unpack(zip, &into, |entry| vec![entry.path.clone()]);
    assert!(
        matches!(refused, Err(UnpackError::Refused { .. })),
        "{refused:?}"
    );
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

fn one(file: File) -> Archive {
    Archive::new().file("ok.txt", "fine").entry(file)
}

#[test]
fn what_is_no_archive() {
    refused_bytes(Vec::new(), "archive_not_zip", "");
    refused_bytes(
        b"\x89PNG\r\n\x1a\n and so on".repeat(9),
        "archive_not_zip",
        "",
    );
    let sound = Archive::new().file("a", "content").build();
    for length in 4..sound.len() {
        refused_bytes(sound[..length].to_vec(), "archive_damaged", "");
    }
}

#[test]
fn the_end_must_be_one() {
    let inner = Archive::new().file("hidden", "x").build();
    let commented = Archive::new().file("a", "x").with(|a| a.comment = inner);
    refused(&commented, "archive_end_ambiguous", "");
    let loose = Archive::new().file("a", "x").with(|a| {
        a.comment = [b"PK\x05\x06".as_slice(), &[0; 40]].concat();
    });
    refused(&loose, "archive_end_ambiguous", "");
    let sound = Archive::new()
        .file("a", "x")
        .with(|a| a.comment = b"by hand".to_vec());
    assert_eq!(
        Zip::from_bytes(sound.build(), &Policy::default()).findings(),
        []
    );
    refused(&sound.with(|a| a.disk = 1), "archive_multi_disk", "");
    let counted = Archive::new()
        .file("a", "x")
        .file("b", "x")
        .with(|a| a.count = Some(1));
    refused(&counted, "archive_damaged", "");
    let counted = Archive::new().file("a", "x").with(|a| a.count = Some(2));
    refused(&counted, "archive_damaged", "");
}

#[test]
fn every_byte_must_belong_to_something() {
    let base = || Archive::new().file("a", "x").file("b", "y");
    let shifted = base().with(|a| a.prefix = b"#!/bin/sh\n".to_vec());
    refused(&shifted, "archive_prefix_data", "");
    let counted = Archive::new().entry(File::new("a", "x").with(|f| f.gap = b"MZ".to_vec()));
    refused(&counted, "archive_prefix_data", "");
    refused(
        &base().with(|a| a.trailing = b"more".to_vec()),
        "archive_trailing_data",
        "",
    );
    refused(
        &base().with(|a| a.gap = b"more".to_vec()),
        "archive_stray_bytes",
        "",
    );
    let between = base().entry(File::new("c", "z").with(|f| f.gap = vec![0; 7]));
    refused(&between, "archive_stray_bytes", "");
    let empty = Archive::new().with(|a| a.prefix = b"junk".to_vec());
    refused(&empty, "archive_prefix_data", "");
}

#[test]
fn entries_must_not_overlap() {
    let twice = one(File::new("again", "fine").with(|f| {
        f.offset = Some(0);
        f.local_name = Some(b"ok.txt".to_vec());
    }));
    refused(&twice, "archive_overlap", "again");
    refused(&twice, "archive_overlap", "ok.txt");
    // One entry's content holds another's header: the shape of a bomb of overlapping files.
    let kernel = Archive::new()
        .entry(File::new("kernel", "x").stored())
        .build();
    let quoted = Archive::new()
        .entry(File::new("outer", &kernel[..40]).stored())
        .entry(
            File::new("kernel", "x")
                .stored()
                .with(|f| f.offset = Some(35)),
        );
    refused(&quoted, "archive_overlap", "outer");
    refused(&quoted, "archive_overlap", "kernel");
}

#[test]
fn both_headers_must_agree() {
    let differ = |change: fn(&mut File)| one(File::new("x", "content").with(change));
    let code = "archive_header_mismatch";
    refused(&differ(|f| f.local_name = Some(b"y".to_vec())), code, "x");
    refused(&differ(|f| f.local_method = Some(0)), code, "x");
    refused(&differ(|f| f.local_flags = Some(1)), code, "x");
    refused(&differ(|f| f.local_crc = Some(7)), code, "x");
    refused(&differ(|f| f.local_crc = Some(0)), code, "x");
    refused(&differ(|f| f.local_size = Some(6)), code, "x");
    refused(&differ(|f| f.local_size = Some(0)), code, "x");
    refused(
        &differ(|f| f.descriptor = Some(Descriptor::Wrong)),
        code,
        "x",
    );
    refused(
        &differ(|f| f.flags = 1 << 3),
        "archive_header_mismatch",
        "x",
    );
    let streamed = File::new("x", "content")
        .streamed()
        .with(|f| f.local_size = Some(6));
    refused(&one(streamed), code, "x");
    // A stale Unicode path would be another name to those who do not look at its checksum.
    let field = [b"\x75\x70\x07\0\x01\0\0\0\0".as_slice(), b"zz"].concat();
    refused(
        &one(File::new("x", "").with(|f| f.extra = field)),
        code,
        "x",
    );
    let nowhere = File::new("x", "content").with(|f| f.offset = Some(3));
    refused(&one(nowhere), "archive_damaged", "x");
}

#[test]
fn names_must_stay_inside() {
    let name = |name: &str| one(File::new(name, "evil"));
    for upwards in ["../../evil", "..", "a/../../evil", "sources/../a", "a/.."] {
        refused(&name(upwards), "archive_name_traversal", upwards);
    }
    for absolute in ["/etc/x", "//host/x"] {
        refused(&name(absolute), "archive_name_absolute", absolute);
    }
    refused(&name("C:x"), "archive_name_drive", "C:x");
    refused(&name("c:/x"), "archive_name_drive", "c:/x");
    refused(&name("a\\..\\b"), "archive_name_backslash", "a\\..\\b");
    refused(&name("a\0b"), "archive_name_control", "a\\u{0}b");
    refused(&name("a\nb"), "archive_name_control", "a\\nb");
    refused(&name(""), "archive_name_empty", "");
    refused(&name("."), "archive_type_conflict", ".");
    refused(
        &one(File::new(b"caf\xe9.txt".to_vec(), "")),
        "archive_name_encoding",
        "caf\u{fffd}.txt",
    );
    let long = "n".repeat(256);
    refused(&name(&long), "archive_name_too_long", &long);
    let long = "n/".repeat(512) + "n";
    refused(&name(&long), "archive_name_too_long", &long[..1024]);
    let deep = "d/".repeat(64) + "f";
    refused(&name(&deep), "archive_name_too_deep", &deep);

    let zip = Zip::from_bytes(name("../x").build(), &Policy::default());
    let text = zip.findings()[0].text(Lang::En);
    assert!(text.contains("path escapes from parent"), "{text}");
}

#[test]
fn only_files_and_directories() {
    let typed = |mode: u32| one(File::new("x", "target").with(|f| f.mode = mode));
    refused(&typed(0o120_777), "archive_link", "x");
    for special in [0o060_600, 0o020_600, 0o010_600, 0o140_600] {
        refused(&typed(special), "archive_special_file", "x");
    }
    refused(&typed(0o040_755), "archive_type_conflict", "x");
    refused(&one(File::new("x/", "")), "archive_type_conflict", "x/");
    let filled = File::directory("x").with(|f| f.content = b"hidden".to_vec());
    refused(&one(filled), "archive_type_conflict", "x/");
    let dos = File::new("x", "").with(|f| (f.made_by, f.mode, f.dos_attributes) = (0, 0, 0x10));
    refused(&one(dos), "archive_type_conflict", "x");
}

#[test]
fn names_must_be_different_to_every_file_system() {
    let pair = |a: &str, b: &str| Archive::new().file(a, "1").file(b, "2");
    refused(
        &pair("config.json", "config.json"),
        "archive_duplicate",
        "config.json",
    );
    refused(&pair("a/b", "a//./b"), "archive_duplicate", "a/b");
    refused(
        &pair("caf\u{e9}", "cafe\u{301}"),
        "archive_duplicate_unicode",
        "cafe\u{301}",
    );
    refused(
        &pair("\u{e9}/a", "e\u{301}/b"),
        "archive_duplicate_unicode",
        "e\u{301}",
    );
    refused(
        &pair("lib", "lib/x.py"),
        "archive_file_as_directory",
        "lib/x.py",
    );
    refused(&pair("a/b/c", "a"), "archive_file_as_directory", "a/b/c");
    let both = Archive::new().file("a", "").directory("a");
    refused(&both, "archive_duplicate", "a");
}

#[test]
fn a_difference_in_case_is_as_bad_as_the_policy_says() {
    let bytes = Archive::new()
        .file("A.txt", "1")
        .file("a.txt", "2")
        .file("Ü/x", "3")
        .file("ü/y", "4")
        .build();
    for severity in [Severity::Warning, Severity::Error] {
        let policy = Policy {
            case_collision: severity,
            ..Policy::default()
        };
        let zip = Zip::from_bytes(bytes.clone(), &policy);
        let found: Vec<_> = zip
            .findings()
            .iter()
            .map(|f| {
                (
                    f.code,
                    f.place.file.as_str(),
                    f.params["other"].as_str(),
                    f.severity,
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                (codes::ARCHIVE_CASE_COLLISION, "a.txt", "A.txt", severity),
                (codes::ARCHIVE_CASE_COLLISION, "ü", "Ü", severity),
            ]
        );
        assert_eq!(zip.has_errors(), severity == Severity::Error);
    }
}

#[test]
fn content_that_cannot_or_may_not_be_read() {
    refused(
        &one(File::new("x", "s").with(|f| f.flags = 1)),
        "archive_encrypted",
        "x",
    );
    refused(
        &one(File::new("x", "s").with(|f| f.flags = 1 << 6)),
        "archive_encrypted",
        "x",
    );
    for method in [1, 9, 12, 14, 93, 99] {
        let file = File::new("x", "s").with(|f| f.method = method);
        refused(&one(file), "archive_method_unsupported", "x");
    }
    refused(
        &one(File::new("x", "content").with(|f| f.crc = Some(7))),
        "archive_checksum_mismatch",
        "x",
    );
    refused(
        &one(File::new("x", "content").with(|f| f.size = Some(8))),
        "archive_size_mismatch",
        "x",
    );
    refused(
        &one(File::new("x", "content").with(|f| f.size = Some(6))),
        "archive_size_mismatch",
        "x",
    );
    refused(
        &one(File::new("x", "content")
            .stored()
            .with(|f| f.size = Some(6))),
        "archive_size_mismatch",
        "x",
    );
    let garbage = File::new("x", "content").with(|f| f.packed = Some(vec![0xff; 20]));
    refused(&one(garbage), "archive_data_corrupt", "x");
    // An honest stream with something hidden behind its end.
    let hidden = File::new("x", "").with(|f| f.packed = Some(b"\x03\x00hidden".to_vec()));
    refused(&one(hidden), "archive_data_corrupt", "x");
}

#[test]
fn forged_sizes_are_met_while_reading() {
    let quick = Policy {
        contents: Contents::WhenRead,
        ..Policy::default()
    };
    let bomb = File::new("x", vec![0; 4 << 20]).with(|f| f.size = Some(100));
    let zip = Zip::from_bytes(one(bomb).build(), &quick);
    assert_eq!(zip.findings(), []);
    let mut out = Vec::new();
    let error = zip.copy_to("x", 1 << 20, &mut out).unwrap_err();
    assert!(
        matches!(error, ReadError::SizeMismatch { size: 100, .. }),
        "{error:?}"
    );
    assert!(out.len() <= 100, "{} bytes came out", out.len());

    let home = tempfile::tempdir().unwrap();
    let error = unpack(&zip, home.path(), |entry| vec![entry.path.clone()]).unwrap_err();
    assert_eq!(error.findings()[0].code, codes::ARCHIVE_SIZE_MISMATCH);
    assert_eq!(names(home.path()), ["ok.txt"], "no half file is left");
}

#[test]
fn bombs_are_refused_by_their_headers() {
    let limits = Limits {
        entries: 3,
        total: 4000,
        entry: 3000,
        ..Limits::default()
    };
    let open = |archive: &Archive| {
        let policy = Policy {
            limits,
            ..Policy::default()
        };
        let zip = Zip::from_bytes(archive.build(), &policy);
        nothing_is_written(&zip);
        let found = zip
            .findings()
            .iter()
            .map(|f| (f.code, f.place.file.clone()));
        found.collect::<Vec<_>>()
    };
    let large = Archive::new().file("large", vec![7; 3001]);
    assert_eq!(
        open(&large),
        [(codes::ARCHIVE_ENTRY_TOO_LARGE, "large".into())]
    );
    let many = (0..4).fold(Archive::new(), |a, i| a.file(format!("{i}"), ""));
    assert_eq!(
        open(&many),
        [(codes::ARCHIVE_TOO_MANY_ENTRIES, String::new())]
    );
    let sum = (0..2).fold(Archive::new(), |a, i| a.file(format!("{i}"), vec![7; 2500]));
    assert_eq!(
        open(&sum),
        [(codes::ARCHIVE_TOTAL_TOO_LARGE, String::new())]
    );

    refused(
        &one(File::new("zeros", vec![0; 2 << 20])),
        "archive_ratio",
        "zeros",
    );
    let spread = (0..20).fold(Archive::new(), |a, i| {
        a.file(format!("{i}"), vec![0; 1 << 20])
    });
    refused(&spread, "archive_ratio", "");
    let wide = Policy {
        limits: Limits {
            directory: 40,
            ..Limits::default()
        },
        ..Policy::default()
    };
    let zip = Zip::from_bytes(Archive::new().file("a", "").build(), &wide);
    assert_eq!(zip.findings()[0].code, codes::ARCHIVE_DIRECTORY_TOO_LARGE);
    nothing_is_written(&zip);
}

#[test]
fn findings_of_one_code_are_bounded_and_counted() {
    let many = (0..50).fold(Archive::new(), |a, i| a.file(format!("../{i}"), ""));
    let zip = Zip::from_bytes(many.build(), &Policy::default());
    assert_eq!(zip.findings().len(), 21);
    assert_eq!(zip.findings()[0].code, codes::ARCHIVE_FINDINGS_OMITTED);
    assert_eq!(zip.findings()[0].params["count"], "30");
    assert_eq!(zip.listing().declared(), 50);
}

#[test]
fn a_refused_entry_is_not_read_and_the_others_are() {
    let zip = Zip::from_bytes(
        one(File::new("x", "s").with(|f| f.crc = Some(1))).build(),
        &Policy::default(),
    );
    assert_eq!(zip.read("ok.txt", 100).unwrap(), b"fine");
    let error = zip.read("x", 100).unwrap_err();
    assert_eq!(error.to_finding(), zip.findings()[0]);
    assert!(matches!(
        zip.read("ok.txt", 3),
        Err(ReadError::TooLarge { size: 4, .. })
    ));
    assert!(matches!(
        zip.read("gone", 3),
        Err(ReadError::NotFound { .. })
    ));
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn directories_that_only_names_imply_are_bounded() {
    let policy = Policy {
        limits: Limits {
            entries: 10,
            ..Limits::default()
        },
        ..Policy::default()
    };
    let deep = |count: usize| {
        let entries = (0..count).fold(Archive::new(), |a, i| {
            a.file(format!("{i}/{}f", "d/".repeat(8)), "")
        });
        Zip::from_bytes(entries.build(), &policy)
    };
    assert_eq!(deep(2).findings(), []);
    let zip = deep(3);
    assert_eq!(zip.findings()[0].code, codes::ARCHIVE_TOO_MANY_ENTRIES);
    nothing_is_written(&zip);
}
