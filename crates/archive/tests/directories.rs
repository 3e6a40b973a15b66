//! Hostile directories: the classes of hostile archives, as far as a file system can hold them.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use plugyard_archive::{Directory, Limits, PackageReader as _, Policy, ReadError, pack};
use plugyard_model::{Lang, Severity, codes};
use rustix::fs::{CWD, FileType, Mode, mkdirat, mknodat, openat};

/// Reads a directory that `make` filled: this code at this entry, and nothing of it is packed.
#[track_caller]
fn refused(code: &str, entry: &str, make: impl FnOnce(&Path)) {
    refused_by(&Policy::default(), code, entry, make);
}

#[track_caller]
fn refused_by(policy: &Policy, code: &str, entry: &str, make: impl FnOnce(&Path)) {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("ok.txt"), "fine").unwrap();
    make(home.path());
    let directory = Directory::open(home.path(), policy);
    let found: Vec<_> = directory
        .findings()
        .iter()
        .map(|f| (f.code.as_str(), f.place.file.as_str(), f.severity))
        .collect();
    assert!(
        found.contains(&(code, entry, Severity::Error)),
        "{code} at {entry:?} is not among {found:?}"
    );
    for finding in directory.findings() {
        for lang in [Lang::En, Lang::ZhCn] {
            let text = finding.text(lang);
            assert!(!text.contains('{'), "a value is missing in {text}");
        }
    }
    let mut out = io::Cursor::new(Vec::new());
    assert!(pack(home.path(), &mut out, policy).is_err());
    assert!(out.into_inner().is_empty(), "something was packed");
}

#[test]
fn links_are_not_followed_wherever_they_lead() {
    for target in ["/etc/passwd", "ok.txt", "..", "nowhere", "link"] {
        refused("archive_link", "link", |root| {
            symlink(target, root.join("link")).unwrap();
        });
    }
    refused("archive_link", "a/loop", |root| {
        fs::create_dir(root.join("a")).unwrap();
        symlink("../a", root.join("a/loop")).unwrap();
    });
}

#[test]
fn pipes_sockets_and_devices_are_neither_opened_nor_packed() {
    refused("archive_special_file", "pipe", |root| {
        let mode = Mode::RUSR | Mode::WUSR;
        // Opening one would wait for ever.
        mknodat(CWD, root.join("pipe"), FileType::Fifo, mode, 0).unwrap();
    });
    refused("archive_special_file", "socket", |root| {
        drop(UnixListener::bind(root.join("socket")).unwrap());
    });
    let probe = tempfile::tempdir().unwrap();
    let zero = rustix::fs::makedev(1, 5);
    let device = |root: &Path| {
        mknodat(
            CWD,
            root.join("zero"),
            FileType::CharacterDevice,
            Mode::RUSR,
            zero,
        )
    };
    if device(probe.path()).is_ok() {
        refused("archive_special_file", "zero", |root| device(root).unwrap());
    }
}

#[test]
fn names_that_mean_something_else_elsewhere_are_refused() {
    for (name, code, shown) in [
        ("a\\b", "archive_name_backslash", "a\\b"),
        ("..\\..\\evil", "archive_name_backslash", "..\\..\\evil"),
        ("C:x", "archive_name_drive", "C:x"),
        ("a\nb", "archive_name_control", "a\\nb"),
        ("a\u{7f}", "archive_name_control", "a\\u{7f}"),
    ] {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(name), "").unwrap();
        let directory = Directory::open(home.path(), &Policy::default());
        let found: Vec<_> = directory
            .findings()
            .iter()
            .map(|f| f.code.as_str())
            .collect();
        assert_eq!(found, [code], "{name:?} ({shown})");
        assert_eq!(directory.listing().files().count(), 0, "{name:?}");
    }
}

#[test]
fn names_in_no_known_encoding_are_refused() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join(OsStr::from_bytes(b"caf\xe9")), "").unwrap();
    let directory = Directory::open(home.path(), &Policy::default());
    assert_eq!(directory.findings()[0].code, codes::ARCHIVE_NAME_ENCODING);
}

#[test]
fn names_that_other_systems_take_for_one_are_refused() {
    refused("archive_duplicate_unicode", "caf\u{e9}", |root| {
        fs::write(root.join("caf\u{e9}"), "").unwrap();
        fs::write(root.join("cafe\u{301}"), "").unwrap();
    });
    let strict = Policy {
        case_collision: Severity::Error,
        ..Policy::default()
    };
    refused_by(&strict, "archive_case_collision", "lib", |root| {
        fs::write(root.join("Lib"), "").unwrap();
        fs::write(root.join("lib"), "").unwrap();
    });
}

#[test]
fn a_directory_deeper_than_any_path_can_name_is_bounded() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("ok.txt"), "fine").unwrap();
    // By handles: as a path it would be longer than the system takes.
    let mut at = openat(
        CWD,
        home.path(),
        rustix::fs::OFlags::DIRECTORY,
        Mode::empty(),
    )
    .unwrap();
    let name = "d".repeat(100);
    for _ in 0..100 {
        mkdirat(&at, &name, Mode::RWXU).unwrap();
        at = openat(&at, &name, rustix::fs::OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    let directory = Directory::open(home.path(), &Policy::default());
    let found: Vec<_> = directory.findings().iter().map(|f| f.code).collect();
    assert_eq!(found, [codes::ARCHIVE_NAME_TOO_LONG]);
    let shallow = Policy {
        limits: Limits {
            depth: 3,
            ..Limits::default()
        },
        ..Policy::default()
    };
    let directory = Directory::open(home.path(), &shallow);
    let found: Vec<_> = directory.findings().iter().map(|f| f.code).collect();
    assert_eq!(found, [codes::ARCHIVE_NAME_TOO_DEEP]);
}

#[test]
fn directories_over_the_limits_are_refused_without_being_read() {
    let few = Policy {
        limits: Limits {
            entries: 3,
            ..Limits::default()
        },
        ..Policy::default()
    };
    refused_by(&few, "archive_too_many_entries", "", |root| {
        for index in 0..10 {
            fs::write(root.join(index.to_string()), "").unwrap();
        }
    });
    // Files that only say they are large take no room, and no time.
    let large = |path: &Path, size| File::create(path).unwrap().set_len(size).unwrap();
    refused("archive_entry_too_large", "large", |root| {
        large(&root.join("large"), 1 << 40);
    });
    refused("archive_total_too_large", "", |root| {
        for index in 0..3 {
            large(&root.join(index.to_string()), 200 << 20);
        }
    });
}

#[test]
fn a_file_that_is_exchanged_while_it_is_read_is_noticed() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a");
    fs::write(&path, "one").unwrap();
    let directory = Directory::open(home.path(), &Policy::default());
    let exchange: [(&str, &dyn Fn()); 4] = [
        ("longer", &|| fs::write(&path, "three").unwrap()),
        ("shorter", &|| fs::write(&path, "o").unwrap()),
        ("a link", &|| symlink("/etc/passwd", &path).unwrap()),
        ("a pipe", &|| {
            mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }),
    ];
    for (what, exchange) in exchange {
        let _ = fs::remove_file(&path);
        exchange();
        let error = directory.read("a", 100).unwrap_err();
        assert!(
            matches!(
                error,
                ReadError::SizeMismatch { .. } | ReadError::Input { .. }
            ),
            "{what}: {error:?}"
        );
    }
}

#[test]
fn a_file_is_read_only_where_it_is_one_and_lies_there() {
    let directory = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir(root.join("sources")).unwrap();
    fs::write(root.join("sources/a.yaml"), "twelve bytes").unwrap();
    fs::write(outside.path().join("a.yaml"), "another's").unwrap();
    symlink(
        outside.path().join("a.yaml"),
        root.join("sources/link.yaml"),
    )
    .unwrap();
    symlink(outside.path(), root.join("sinks")).unwrap();
    mknodat(
        CWD,
        root.join("sources/pipe.yaml"),
        FileType::Fifo,
        Mode::RWXU,
        0,
    )
    .unwrap();
    let read = |path: &str, limit| plugyard_archive::read_file(root, path, limit);
    assert_eq!(read("sources/a.yaml", 12).unwrap(), b"twelve bytes");
    for (path, limit) in [
        ("sources/a.yaml", 11),
        ("sources/link.yaml", 100),
        ("sinks/a.yaml", 100),
        ("sources/pipe.yaml", 100),
        ("sources", 100),
        ("sources/none.yaml", 100),
    ] {
        assert!(read(path, limit).is_err(), "{path}");
    }
}
