//! Names that are not UTF-8: read as the archive says, or as it most probably meant, which is then told; and all
//! that is checked of names is checked of what they come to.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use plugyard_archive::build::{Archive, File};
use plugyard_archive::{PackageReader, Policy, Zip, unpack};
use plugyard_model::{Finding, Lang, Severity};

/// 插件
const GBK_PLUGIN: &[u8] = b"\xb2\xe5\xbc\xfe";
/// 外掛程式, with second bytes below 0x80 as about half of Big5 has them.
const BIG5_PLUGIN: &[u8] = b"\xa5~\xb1\xbe\xb5{\xa6\xa1";

const UTF8: u16 = 1 << 11;

fn open(archive: &Archive) -> Zip {
    let zip = Zip::from_bytes(archive.build(), &Policy::default());
    for finding in zip.findings() {
        for lang in [Lang::En, Lang::ZhCn] {
            // Control characters are shown as `\\u{…}`.
            let text = finding.text(lang).replace("\\u{", "");
            assert!(!text.contains('{'), "a value is missing in {text}");
        }
    }
    zip
}

fn named(names: &[&[u8]]) -> Archive {
    let mut archive = Archive::new();
    for name in names {
        archive = archive.file(name.to_vec(), "content");
    }
    archive
}

fn paths(zip: &Zip) -> Vec<&str> {
    zip.listing()
        .entries
        .iter()
        .map(|entry| entry.path.as_str())
        .collect()
}

fn told(zip: &Zip) -> Vec<(&'static str, Severity)> {
    let told = |finding: &'_ Finding| (finding.code.as_str(), finding.severity);
    zip.findings().iter().map(told).collect()
}

/// The Info-ZIP Unicode path of a name, with the checksum of `of`.
fn unicode_path(of: &[u8], path: &str) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(of);
    let size = u16::try_from(5 + path.len()).unwrap();
    let mut field = b"\x75\x70".to_vec();
    field.extend(size.to_le_bytes());
    field.push(1);
    field.extend(crc.sum().to_le_bytes());
    field.extend(path.as_bytes());
    field
}

#[test]
fn a_name_in_one_code_page_is_kept_in_utf8_and_told() {
    // Trails below 0x80 are rare characters in GBK and common ones in Big5.
    let big5 = [BIG5_PLUGIN, b"/a.txt"].concat();
    let zip = open(&named(&[&big5, b"b.txt"]));
    assert_eq!(paths(&zip), ["外掛程式/a.txt", "b.txt"]);
    assert_eq!(told(&zip), [("archive_name_decoded", Severity::Warning)]);
    let finding = &zip.findings()[0];
    assert_eq!(finding.params["encoding"], "Big5");
    assert_eq!(finding.params["count"], "1");
    assert_eq!(finding.place.file, "外掛程式/a.txt");
    let home = tempfile::tempdir().unwrap();
    let to = home.path().join("to");
    unpack(&zip, &to, |entry| vec![entry.path.clone()]).unwrap();
    let written = std::fs::read_to_string(to.join("外掛程式/a.txt")).unwrap();
    assert_eq!(written, "content");

    // A second byte of 0x80 to 0xa0 is never Big5.
    let gbk = b"\x81\x80.txt";
    let zip = open(&named(&[gbk]));
    assert_eq!(paths(&zip), ["亐.txt"]);
    assert_eq!(zip.findings()[0].params["encoding"], "GBK");
    assert_eq!(told(&zip), [("archive_name_decoded", Severity::Warning)]);
}

#[test]
fn a_name_in_either_code_page_is_told_with_both_readings() {
    let zip = open(&named(&[&[GBK_PLUGIN, b".txt"].concat()]));
    assert_eq!(paths(&zip), ["插件.txt"]);
    assert_eq!(told(&zip), [("archive_name_ambiguous", Severity::Warning)]);
    let params = &zip.findings()[0].params;
    assert_eq!(params["encoding"], "GBK");
    assert_eq!(params["other_encoding"], "Big5");
    assert_eq!(params["other"], "脣璃.txt");
}

#[test]
fn one_code_page_has_to_fit_all_names() {
    // The first is either, the second only GBK: so both are.
    let zip = open(&named(&[GBK_PLUGIN, b"\x81\x80"]));
    assert_eq!(paths(&zip), ["插件", "亐"]);
    assert_eq!(told(&zip), [("archive_name_decoded", Severity::Warning)]);
    assert_eq!(zip.findings()[0].params["count"], "2");
    // Nothing fits `caf\xe9`, so nothing is guessed of the others either.
    let zip = open(&named(&[GBK_PLUGIN, b"caf\xe9"]));
    assert!(paths(&zip).is_empty());
    assert_eq!(told(&zip), [("archive_name_encoding", Severity::Error); 2]);
}

#[test]
fn what_claims_to_be_utf8_or_is_no_pair_is_not_guessed() {
    for (name, flags) in [
        (GBK_PLUGIN, UTF8),
        (b"\xb2".as_slice(), 0),
        (b"\xb2\xe5\xff\xfe", 0),
        // GB 18030 has characters of four bytes; old archives do not.
        (b"\x81\x30\x81\x30", 0),
        // Characters for private use.
        (b"\xa1\x80", 0),
    ] {
        let file = File::new(name, "").with(|file| file.flags = flags);
        let zip = open(&Archive::new().entry(file));
        assert_eq!(
            told(&zip),
            [("archive_name_encoding", Severity::Error)],
            "{name:?}"
        );
    }
    // UTF-8 without the flag is what it is.
    let zip = open(&named(&["插件.txt".as_bytes()]));
    assert_eq!(paths(&zip), ["插件.txt"]);
    assert!(told(&zip).is_empty());
    // Two readers would go two ways where the headers disagree on it.
    let file = File::new(GBK_PLUGIN, "").with(|file| file.local_flags = Some(UTF8));
    let zip = open(&Archive::new().entry(file));
    assert!(told(&zip).contains(&("archive_header_mismatch", Severity::Error)));
}

#[test]
fn names_are_checked_as_what_they_come_to() {
    // 許功蓋 in Big5 hold the byte of a backslash each.
    let zip = open(&named(&[b"\xb3\x5c\xa5\x5c\xbb\x5c.txt", BIG5_PLUGIN]));
    assert!(!zip.has_errors(), "{:?}", zip.findings());
    assert_eq!(paths(&zip), ["許功蓋.txt", "外掛程式"]);

    // The same name in two spellings; a lone backslash, and `..`, beside a name that is read.
    let twice = Archive::new()
        .file(GBK_PLUGIN, "1")
        .entry(File::new("插件", "2").with(|file| file.flags = UTF8));
    assert!(told(&open(&twice)).contains(&("archive_duplicate", Severity::Error)));
    for (name, code) in [
        ([GBK_PLUGIN, b"/../../x"].concat(), "archive_name_traversal"),
        ([b"/", GBK_PLUGIN].concat(), "archive_name_absolute"),
        ([GBK_PLUGIN, b"\\x"].concat(), "archive_name_backslash"),
        ([b"C:", GBK_PLUGIN].concat(), "archive_name_drive"),
        ([GBK_PLUGIN, b"\x01"].concat(), "archive_name_control"),
    ] {
        let zip = open(&named(&[&name]));
        assert!(
            told(&zip).contains(&(code, Severity::Error)),
            "{code}: {:?}",
            zip.findings()
        );
    }
}

#[test]
fn a_unicode_path_that_was_made_for_the_name_wins() {
    let entry = |name: &[u8], path: Vec<u8>| {
        Archive::new().entry(File::new(name, "content").with(|file| file.extra = path))
    };
    // Also over names that are no encoding of anything, and over a code page.
    for name in [b"caf\x82.txt".as_slice(), GBK_PLUGIN, b"#U63d2.txt"] {
        let zip = open(&entry(name, unicode_path(name, "sub/caf\u{e9}.txt")));
        assert_eq!(paths(&zip), ["sub/caf\u{e9}.txt"]);
        assert!(told(&zip).is_empty(), "{:?}", zip.findings());
        assert_eq!(zip.read("sub/caf\u{e9}.txt", 100).unwrap(), b"content");
    }
    // It is a name like any other.
    let zip = open(&entry(b"x", unicode_path(b"x", "../x")));
    assert_eq!(told(&zip), [("archive_name_traversal", Severity::Error)]);
    let zip = open(&entry(b"x", unicode_path(b"x", "y")).file("y", ""));
    assert_eq!(told(&zip), [("archive_duplicate", Severity::Error)]);
    // Made for another name, of another version of the field, twice, or beside a name that is UTF-8 itself.
    for (path, flags) in [
        (unicode_path(b"other", "y"), 0),
        (
            {
                let mut path = unicode_path(b"x", "y");
                path[4] = 2;
                path
            },
            0,
        ),
        (
            [unicode_path(b"x", "y"), unicode_path(b"x", "z")].concat(),
            0,
        ),
        (unicode_path(b"x", "y"), UTF8),
    ] {
        let file = File::new("x", "").with(|file| (file.extra, file.flags) = (path, flags));
        let zip = open(&Archive::new().entry(file));
        let told = told(&zip);
        assert!(
            told.contains(&("archive_header_mismatch", Severity::Error)),
            "{told:?}"
        );
    }
    // One that says the same changes nothing.
    let zip = open(&entry(b"x", unicode_path(b"x", "x")));
    assert!(told(&zip).is_empty() && paths(&zip) == ["x"]);
}
