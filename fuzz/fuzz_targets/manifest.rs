//! Manifests of portable plugins, in a package around them: inspection never panics, says the same twice, and
//! whoever has no errors has a manifest. The first byte says whether the bytes are one manifest or a list of files.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plugyard_archive::build::Archive;
use plugyard_archive::{Policy, Zip};
use plugyard_model::{Lang, Severity};
use plugyard_portable::package;

/// What a manifest may need beside it, so that the fuzzer need not find names that belong together.
const BESIDE: [(&str, &str); 5] = [
    ("a.py", "print()"),
    ("sources/s.yaml", "default:\n"),
    ("sources/s.json", "{}"),
    ("sinks/k.json", "{}"),
    ("functions/f.json", "{}"),
];

/// Files are parted by NUL: name, content, name, content …
fn archive(how: u8, bytes: &[u8]) -> Archive {
    let beside = BESIDE.iter().fold(Archive::new(), |archive, (name, content)| archive.file(*name, *content));
    if how % 2 == 0 {
        return beside.file("a.json", bytes);
    }
    let parts: Vec<&[u8]> = bytes.split(|byte| *byte == 0).take(64).collect();
    parts.chunks(2).fold(Archive::new(), |archive, pair| {
        archive.file(pair[0], *pair.get(1).unwrap_or(&&b""[..]))
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((how, rest)) = bytes.split_first() else { return };
    let zip = Zip::from_bytes(archive(*how, rest).build(), &Policy::default());
    package::signs(plugyard_archive::PackageReader::listing(&zip));
    for expected in [Some("a"), None] {
        let inspection = package::inspect(&zip, expected);
        assert_eq!(inspection.findings, package::inspect(&zip, expected).findings);
        let wrong = inspection.findings.iter().any(|finding| finding.severity == Severity::Error);
        assert_eq!(package::upstream_text(&inspection.findings).is_some(), wrong);
        assert!(wrong || inspection.manifest.is_object(), "neither findings nor a manifest");
        for finding in &inspection.findings {
            assert!(!finding.text(Lang::En).is_empty() && !finding.text(Lang::ZhCn).is_empty());
        }
    }
});
