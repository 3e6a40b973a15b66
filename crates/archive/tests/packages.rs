//! Sound packages: whoever made them, they read, unpack and pack as they should.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use plugyard_archive::build::{Archive, Descriptor, File};
use plugyard_archive::{
    Directory, Entry, EntryKind, PackError, PackageReader, Policy, Root, UnpackError, Zip,
    digest_file, pack, pack_to_file, unpack,
};
use plugyard_model::codes;
use proptest::prelude::*;
use tempfile::tempdir;

fn open(archive: &Archive) -> Zip {
    Zip::from_bytes(archive.build(), &Policy::default())
}

fn whole(entry: &Entry) -> Vec<String> {
    vec![entry.path.clone()]
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A small plugin on disk, with every oddity that a package may have.
fn plugin(root: &Path) {
    fs::create_dir_all(root.join("sources/empty")).unwrap();
    fs::create_dir_all(root.join("__pycache__")).unwrap();
    fs::create_dir_all(root.join(".git/objects")).unwrap();
    fs::write(root.join("__pycache__/main.pyc"), "junk").unwrap();
    fs::write(root.join("mirror.json"), "{}").unwrap();
    fs::write(root.join("main.py"), "print(1)\n".repeat(99)).unwrap();
    fs::set_permissions(root.join("main.py"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(root.join("sources/random.yaml"), "default:\n").unwrap();
    fs::write(root.join("sources-插件"), "").unwrap();
}

#[test]
fn every_honest_form_of_a_zip_reads_the_same() {
    let content = "content ".repeat(100);
    let descriptor = |form| File::new("x", &*content).with(|f| f.descriptor = Some(form));
    let forms = [
        File::new("x", &*content),
        File::new("x", &*content).stored(),
        File::new("./x", &*content),
        File::new("x", &*content).with(|f| (f.made_by, f.mode) = (0, 0)),
        File::new("x", &*content).with(|f| f.mode = 0o644),
        File::new("x", &*content).with(|f| f.zip64 = true),
        File::new("x", &*content).stored().streamed(),
        descriptor(Descriptor::Signed),
        descriptor(Descriptor::Bare),
        descriptor(Descriptor::Wide),
        descriptor(Descriptor::Wide).with(|f| f.zip64 = true),
    ];
    for form in forms {
        for zip64 in [false, true] {
            let archive = Archive::new().entry(form.clone()).file("y", "after");
            let zip = open(&archive.with(|a| a.zip64 = zip64));
            assert_eq!(zip.findings(), [], "{form:?}");
            assert_eq!(zip.listing().find("x").unwrap().mode, 0o644);
            assert_eq!(zip.read("x", 1 << 20).unwrap(), content.as_bytes());
        }
    }
    assert_eq!(open(&Archive::new()).findings(), []);
    let root = open(&Archive::new().directory(".").file("./a", ""));
    assert_eq!(root.findings(), []);
    assert_eq!(root.listing().entries.len(), 1);
}

#[test]
fn archives_of_python_read_well() {
    const SCRIPT: &str = r#"
import sys, zipfile
class Pipe:
    def __init__(self, f): self.f = f
    def write(self, b): return self.f.write(b)
    def flush(self): self.f.flush()
target, streamed, method, force = sys.argv[1], sys.argv[2] == "1", int(sys.argv[3]), sys.argv[4] == "1"
with open(target, "wb") as f:
    with zipfile.ZipFile(Pipe(f) if streamed else f, "w", method) as z:
        if not streamed:
            z.mkdir("sources") if hasattr(z, "mkdir") else z.writestr("sources/", "")
        with z.open("sources/random.yaml", "w", force_zip64=force) as e: e.write(b"default:\n" * 50)
        z.writestr("插件.json", "{}")
        z.writestr("empty", "")
"#;
    let python = std::env::var("PLUGYARD_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let home = tempdir().unwrap();
    for streamed in ["0", "1"] {
        for method in ["0", "8"] {
            for force in ["0", "1"] {
                let target = home.path().join("made.zip");
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a tool of the test, not a plugin"
                )]
                let made = Command::new(&python)
                    .args(["-c", SCRIPT])
                    .arg(&target)
                    .args([streamed, method, force])
                    .output();
                let made = match made {
                    Ok(made) => made,
                    Err(error) => {
                        println!("skipped: no Python to make archives with ({error})");
                        return;
                    }
                };
                assert!(
                    made.status.success(),
                    "{}",
                    String::from_utf8_lossy(&made.stderr)
                );
                let zip = Zip::open_path(&target, &Policy::default()).unwrap();
                assert_eq!(zip.findings(), [], "{streamed} {method} {force}");
                let content = zip.read("sources/random.yaml", 1000).unwrap();
                assert_eq!(content, b"default:\n".repeat(50));
                assert!(zip.listing().has_file("插件.json"));
                let into = home.path().join(format!("{streamed}{method}{force}"));
                assert_eq!(unpack(&zip, &into, whole).unwrap().files, 3);
                assert_eq!(fs::read(into.join("empty")).unwrap(), b"");
            }
        }
    }
}

#[test]
fn our_archives_are_read_by_python() {
    let home = tempdir().unwrap();
    let directory = home.path().join("in");
    plugin(&directory);
    let target = home.path().join("out.zip");
    pack_to_file(&directory, &target, &Policy::default()).unwrap();
    let python = std::env::var("PLUGYARD_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    #[expect(clippy::disallowed_methods, reason = "a tool of the test, not a plugin")]
    let listed = Command::new(&python)
        .args(["-c", "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\nprint(*z.namelist(), sep='|')"])
        .arg(&target)
        .env("PYTHONIOENCODING", "utf-8")
        .output();
    match listed {
        Ok(listed) => assert_eq!(
            String::from_utf8_lossy(&listed.stdout).trim(),
            "main.py|mirror.json|sources/|sources-插件|sources/empty/|sources/random.yaml",
            "{}",
            String::from_utf8_lossy(&listed.stderr)
        ),
        Err(error) => println!("skipped: no Python to read archives with ({error})"),
    }
}

#[test]
fn fact_16_files_and_directories_are_made_and_nothing_escapes() {
    let home = tempdir().unwrap();
    let into = home.path().join("missing/target");
    let zip = open(
        &Archive::new()
            .file("a.txt", "a")
            .file("sub/deep/b.txt", "b")
            .directory("empty"),
    );
    let report = unpack(&zip, &into, whole).unwrap();
    assert_eq!((report.files, report.directories, report.bytes), (2, 1, 2));
    assert_eq!(fs::read(into.join("a.txt")).unwrap(), b"a");
    assert_eq!(fs::read(into.join("sub/deep/b.txt")).unwrap(), b"b");
    assert!(into.join("empty").is_dir());

    let outside = open(&Archive::new().file("../outside.txt", "x"));
    let error = unpack(&outside, &into, whole).unwrap_err();
    let text = error.findings()[0].text(plugyard_model::Lang::En);
    assert!(text.contains("path escapes from parent"), "{text}");
    assert!(!home.path().join("missing/outside.txt").exists());

    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(
        unpack(&zip, &file, whole),
        Err(UnpackError::Root { .. })
    ));
    // A place where not even root may write.
    let error = unpack(&zip, "/proc/self", whole).unwrap_err();
    assert!(matches!(error, UnpackError::Write { .. }), "{error:?}");
    assert_eq!(error.findings(), []);
}

#[test]
fn host_04_parents_are_made_without_directory_entries() {
    let zip = open(&Archive::new().file("ekuiper/runtime/__init__.py", "import os\n"));
    let into = tempdir().unwrap();
    unpack(&zip, into.path(), whole).unwrap();
    assert!(into.path().join("ekuiper/runtime/__init__.py").is_file());
    assert_eq!(mode(into.path().join("ekuiper")), 0o755);
}

#[test]
fn permissions_are_the_packages_without_what_is_dangerous() {
    let with_mode = |name: &str, mode: u32| File::new(name, "").with(|f| f.mode = 0o100_000 | mode);
    let archive = Archive::new()
        .entry(with_mode("run", 0o755))
        .entry(with_mode("private", 0o600))
        .entry(with_mode("suid", 0o6777))
        .entry(with_mode("locked", 0o044))
        .entry(File::new("dos", "").with(|f| (f.made_by, f.mode) = (0, 0)))
        .entry(File::directory("shared").with(|f| f.mode = 0o041_777));
    let into = tempdir().unwrap();
    unpack(&open(&archive), into.path(), whole).unwrap();
    let expected = [
        ("run", 0o755),
        ("private", 0o600),
        ("suid", 0o755),
        ("locked", 0o644),
        ("dos", 0o644),
        ("shared", 0o755),
    ];
    for (name, bits) in expected {
        assert_eq!(mode(into.path().join(name)), bits, "{name}");
    }
}

#[test]
fn existing_files_are_replaced_and_links_never_followed() {
    let zip = open(&Archive::new().file("a", "new").file("d/b", "new"));
    let home = tempdir().unwrap();
    let (into, outside) = (home.path().join("into"), home.path().join("outside"));
    fs::create_dir_all(&into).unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("a"), "old").unwrap();
    symlink(outside.join("a"), into.join("a")).unwrap();
    unpack(&zip, &into, whole).unwrap();
    assert!(
        fs::symlink_metadata(into.join("a")).unwrap().is_file(),
        "the link itself is replaced"
    );
    assert_eq!(fs::read(into.join("a")).unwrap(), b"new");
    assert_eq!(fs::read(outside.join("a")).unwrap(), b"old");

    fs::remove_dir_all(into.join("d")).unwrap();
    symlink(&outside, into.join("d")).unwrap();
    let error = unpack(&zip, &into, whole).unwrap_err();
    assert!(
        matches!(&error, UnpackError::Write { path, .. } if path == "d/b"),
        "{error:?}"
    );
    assert!(!outside.join("b").exists());
}

#[test]
fn entries_go_where_the_caller_says_but_not_outside() {
    let zip = open(
        &Archive::new()
            .file("sources/x.yaml", "x")
            .file("main.py", "m"),
    );
    let home = tempdir().unwrap();
    let root = Root::create(home.path().join("etc")).unwrap();
    let entry = zip.listing().find("sources/x.yaml").unwrap();
    assert_eq!(root.write(&zip, entry, "sources/x.yaml").unwrap(), 1);
    root.sync(["", "sources"]).unwrap();
    assert_eq!(
        fs::read(home.path().join("etc/sources/x.yaml")).unwrap(),
        b"x"
    );
    for bad in ["../x", "/x", "a/../../x", "", "a\\b"] {
        let error = root.write(&zip, entry, bad).unwrap_err();
        assert!(matches!(error, UnpackError::Target { .. }), "{bad}");
    }
    let report = unpack(&zip, home.path().join("both"), |entry| {
        if entry.path.starts_with("sources/") {
            vec![
                format!("etc/{}", entry.path),
                format!("data/{}", entry.path),
            ]
        } else {
            Vec::new()
        }
    });
    assert_eq!(report.unwrap().files, 2);
    assert!(home.path().join("both/data/sources/x.yaml").is_file());
    assert!(!home.path().join("both/main.py").exists());
}

#[test]
fn packing_gives_the_same_bytes_whatever_the_disk_says() {
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    plugin(one.path());
    plugin(two.path());
    // Other times, other permissions that say the same, other junk.
    fs::set_permissions(
        two.path().join("mirror.json"),
        fs::Permissions::from_mode(0o660),
    )
    .unwrap();
    fs::write(two.path().join(".DS_Store"), "junk").unwrap();
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
    fs::File::open(two.path().join("main.py"))
        .unwrap()
        .set_modified(old)
        .unwrap();

    let out = tempdir().unwrap();
    let (a, b) = (out.path().join("a.zip"), out.path().join("b.zip"));
    let report = pack_to_file(one.path(), &a, &Policy::default()).unwrap();
    pack_to_file(two.path(), &b, &Policy::default()).unwrap();
    assert_eq!(fs::read(&a).unwrap(), fs::read(&b).unwrap());
    assert_eq!(digest_file(&a).unwrap(), (report.digest, report.size));
    assert_eq!(
        fs::read_dir(out.path()).unwrap().count(),
        2,
        "no part is left"
    );
}

#[test]
fn an_archive_that_lies_in_its_directory_is_not_packed_into_itself() {
    let (inside, outside) = (tempdir().unwrap(), tempdir().unwrap());
    plugin(inside.path());
    let target = inside.path().join("mirror.zip");
    let elsewhere = outside.path().join("mirror.zip");
    let expected = pack_to_file(inside.path(), &elsewhere, &Policy::default()).unwrap();
    for _ in 0..2 {
        let report = pack_to_file(inside.path(), &target, &Policy::default()).unwrap();
        assert_eq!(report, expected);
    }
    // A file of that name in another place is content.
    fs::create_dir(inside.path().join("data")).unwrap();
    fs::write(inside.path().join("data/mirror.zip"), "content").unwrap();
    pack_to_file(inside.path(), &target, &Policy::default()).unwrap();
    let zip = Zip::open_path(&target, &Policy::default()).unwrap();
    assert!(zip.listing().has_file("data/mirror.zip"));
    assert!(!zip.listing().has_file("mirror.zip"));
}

/// What the archive of [`plugin`] was when this was written: a new version of a library, or another
/// machine, must not change it in silence.
#[test]
fn packing_gives_the_same_bytes_everywhere() {
    let home = tempdir().unwrap();
    plugin(home.path());
    let mut out = std::io::Cursor::new(Vec::new());
    let report = pack(home.path(), &mut out, &Policy::default()).unwrap();
    assert_eq!(report.entries, 6);
    assert_eq!(report.size, out.get_ref().len() as u64);
    assert_eq!(
        report.digest.to_string(),
        "6bc8bb9d8d0be32b68923b7d13595853b704d0d1400133df5c41ca964bfaecb3"
    );
}

#[test]
fn a_directory_and_its_archive_read_the_same() {
    let home = tempdir().unwrap();
    plugin(home.path());
    let directory = Directory::open(home.path(), &Policy::default());
    let mut out = std::io::Cursor::new(Vec::new());
    pack(home.path(), &mut out, &Policy::default()).unwrap();
    let zip = Zip::from_bytes(out.into_inner(), &Policy::default());
    assert_eq!(zip.findings(), directory.findings());
    assert_eq!(zip.listing().entries, directory.listing().entries);
    assert_eq!(zip.listing().find("main.py").unwrap().mode, 0o755);
    for file in zip.listing().files() {
        assert_eq!(
            zip.read(&file.path, 1 << 20).unwrap(),
            directory.read(&file.path, 1 << 20).unwrap()
        );
    }
}

#[test]
fn a_directory_is_held_to_the_rules_of_archives() {
    let home = tempdir().unwrap();
    let root = home.path();
    fs::create_dir(root.join("Lib")).unwrap();
    fs::create_dir(root.join("lib")).unwrap();
    symlink("/etc/passwd", root.join("link")).unwrap();
    fs::write(root.join("a\\b"), "").unwrap();
    fs::write(root.join("caf\u{e9}"), "").unwrap();
    fs::write(root.join("cafe\u{301}"), "").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let directory = Directory::open(root, &Policy::default());
    let found: Vec<_> = directory
        .findings()
        .iter()
        .map(|f| (f.code, &*f.place.file))
        .collect();
    let expected = [
        (codes::ARCHIVE_NAME_BACKSLASH, "a\\b"),
        (codes::ARCHIVE_DUPLICATE_UNICODE, "caf\u{e9}"),
        (codes::ARCHIVE_CASE_COLLISION, "lib"),
        (codes::ARCHIVE_LINK, "link"),
        (codes::ARCHIVE_SPECIAL_FILE, "socket"),
    ];
    assert_eq!(found, expected);

    let same = Archive::new()
        .directory("Lib")
        .directory("lib")
        .entry(File::new("link", "/etc/passwd").with(|f| f.mode = 0o120_777))
        .file("a\\b", "")
        .file("cafe\u{301}", "")
        .file("caf\u{e9}", "")
        .entry(File::new("socket", "").with(|f| f.mode = 0o140_755));
    assert_eq!(open(&same).findings(), directory.findings());

    let target = home.path().with_extension("zip");
    let refused = pack_to_file(root, &target, &Policy::default()).unwrap_err();
    assert!(matches!(&refused, PackError::Refused { findings } if findings.len() == 4));
    assert!(!target.exists());
}

#[test]
fn a_directory_that_no_server_would_take_packed_is_not_packed() {
    let home = tempdir().unwrap();
    fs::write(home.path().join("zeros"), vec![0; 2 << 20]).unwrap();
    let mut out = std::io::Cursor::new(Vec::new());
    let refused = pack(home.path(), &mut out, &Policy::default()).unwrap_err();
    assert_eq!(refused.findings()[0].code, codes::ARCHIVE_RATIO);
    let missing = Directory::open(home.path().join("gone"), &Policy::default());
    assert_eq!(missing.findings()[0].code, codes::ARCHIVE_UNREADABLE);
}

#[test]
fn a_file_that_changes_under_our_hands_is_noticed() {
    let home = tempdir().unwrap();
    let path = home.path().join("a");
    fs::write(&path, "one").unwrap();
    let directory = Directory::open(home.path(), &Policy::default());
    for other in ["more", "le"] {
        fs::write(&path, other).unwrap();
        let error = directory.read("a", 100).unwrap_err();
        assert_eq!(error.to_finding().code, codes::ARCHIVE_SIZE_MISMATCH);
    }
    fs::remove_file(&path).unwrap();
    symlink("/etc/hostname", &path).unwrap();
    assert_eq!(
        directory.read("a", 100).unwrap_err().to_finding().code,
        codes::ARCHIVE_UNREADABLE
    );
}

#[test]
fn the_listing_answers_by_name() {
    let zip = open(
        &Archive::new()
            .file("b", "22")
            .directory("a")
            .file("a/c", "333"),
    );
    let listing = zip.listing();
    assert_eq!(
        listing.root_names().into_iter().collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(listing.root_files().count(), 1);
    assert_eq!(listing.find("a").unwrap().kind, EntryKind::Directory);
    assert!(listing.has_file("a/c") && !listing.has_file("a") && listing.find("c").is_none());
    assert_eq!((listing.declared(), listing.total_size()), (3, 5));
    let order: Vec<_> = listing.entries.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(order, ["b", "a", "a/c"]);
}

fn sound() -> Vec<u8> {
    Archive::new()
        .file("mirror.json", "{\"language\": \"python\"}")
        .directory("sources")
        .entry(File::new("sources/random.yaml", "default:\n".repeat(20)).streamed())
        .entry(File::new("lib/x.py", "import os\n").stored())
        .entry(File::new("wide", "zip64").with(|f| f.zip64 = true))
        .build()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_mutated_archive_never_panics_and_never_writes_outside(
        edits in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<u8>(), 0..6u8, any::<prop::sample::Index>()),
            1..6,
        ),
    ) {
        let mut bytes = sound();
        for (index, byte, how, second) in edits {
            let (at, other) = (index.index(bytes.len()), second.index(bytes.len()));
            match how {
                0 => bytes.insert(at, byte),
                1 if bytes.len() > 1 => { bytes.remove(at); }
                2 => bytes.truncate(at.max(1)),
                3 => bytes.swap(at, other),
                4 => bytes[at] ^= 1 << (byte % 8),
                _ => bytes[at] = byte,
            }
        }
        let zip = Zip::from_bytes(bytes.clone(), &Policy::default());
        let again = Zip::from_bytes(bytes, &Policy::default());
        prop_assert_eq!(zip.findings(), again.findings());
        for entry in &zip.listing().entries {
            let _ = zip.read(&entry.path, 1 << 20);
        }
        let home = tempdir().unwrap();
        let unpacked = unpack(&zip, home.path().join("in"), whole);
        if zip.has_errors() {
            prop_assert!(unpacked.is_err());
            prop_assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
        } else {
            // Checked on opening: what was accepted unpacks.
            prop_assert!(unpacked.is_ok(), "{:?}", unpacked);
            prop_assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
        }
    }
}
