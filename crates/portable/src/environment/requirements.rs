//! `requirements.txt` as far as a check can read it without running pip.

use plugyard_archive::PackageReader;
use plugyard_model::{Finding, Place, Severity, codes};

use crate::manifest::{Language, Manifest};

/// The file, at the root of a package.
pub(crate) const FILE: &str = "requirements.txt";
/// Where a package has the wheels themselves.
pub(crate) const WHEELS: &str = "wheels/";
/// Longest file that is read.
pub(crate) const LIMIT: u64 = 1 << 20;

/// One line that asks for something.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    /// A package by name.
    Package { name: String, exact: bool },
    /// Something that pip understands and that depends on where it is run.
    Elsewhere(&'a str),
}

/// Whether a package's environment is made from its `requirements.txt`.
pub(crate) fn is_managed(manifest: &Manifest) -> bool {
    manifest.language == Language::Python && manifest.virtual_env_type.is_none()
}

/// What is noticed about the requirements of a package.
pub(crate) fn check(package: &dyn PackageReader, manifest: &Manifest, findings: &mut Vec<Finding>) {
    let names = package.listing();
    let wheels: Vec<&str> = names
        .files()
        .filter_map(|entry| entry.path.strip_prefix(WHEELS))
        .collect();
    if !names.has_file(FILE) {
        if wheels.iter().any(|name| is_wheel(name)) {
            findings.push(Finding::warning(
                codes::PORTABLE_WHEELS_UNUSED,
                Place::file(WHEELS),
            ));
        }
        return;
    }
    if !is_managed(manifest) {
        let reason = match manifest.language {
            Language::Go => "`language` is `go`",
            Language::Python => "the environment is conda's",
        };
        findings.push(
            Finding::warning(codes::PORTABLE_REQUIREMENTS_UNUSED, Place::file(FILE))
                .with("reason", reason),
        );
        return;
    }
    let bytes = match package.read(FILE, LIMIT) {
        Ok(bytes) => bytes,
        Err(error) => {
            findings.push(error.to_finding());
            return;
        }
    };
    let Ok(text) = String::from_utf8(bytes) else {
        findings.push(elsewhere(1, "…", "the file is not UTF-8"));
        return;
    };
    for (number, line) in lines(&text) {
        match line {
            Line::Elsewhere(line) => findings.push(elsewhere(
                number,
                line,
                "only packages by name are found the same way everywhere",
            )),
            Line::Package { name, exact } => {
                if !wheels.is_empty() && !wheels.iter().any(|wheel| distribution(wheel) == name) {
                    findings.push(
                        Finding::warning(codes::PORTABLE_WHEEL_MISSING, at(number))
                            .with("name", &name),
                    );
                }
                if !exact && wheels.is_empty() {
                    let mut open = Finding::warning(codes::PORTABLE_REQUIREMENT_OPEN, at(number));
                    open.severity = Severity::Info;
                    findings.push(open.with("name", name));
                }
            }
        }
    }
}

fn at(line: u32) -> Place {
    Place {
        line: Some(line),
        ..Place::file(FILE)
    }
}

fn elsewhere(number: u32, line: &str, reason: &str) -> Finding {
    Finding::warning(codes::PORTABLE_REQUIREMENT_ELSEWHERE, at(number))
        .with("line", line)
        .with("reason", reason)
}

/// The lines that ask for something, with their numbers from 1.
fn lines(text: &str) -> Vec<(u32, Line<'_>)> {
    let mut found = Vec::new();
    let mut continued = false;
    for (number, line) in (1..).zip(text.lines()) {
        let goes_on = line.trim_end().ends_with('\\');
        let line = line.trim().trim_end_matches('\\');
        let line = line.split(" #").next().unwrap_or_default().trim();
        let begins = !std::mem::replace(&mut continued, goes_on);
        if begins && !line.is_empty() && !line.starts_with('#') {
            found.push((number, read(line)));
        }
    }
    found
}

fn read(line: &str) -> Line<'_> {
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let rest = rest.trim_start();
    let is_path = is_wheel(name) || rest.starts_with(['/', ':', '+', '@']);
    if !is_name || is_path {
        return Line::Elsewhere(line);
    }
    let wanted = rest.split([';', ' ']).next().unwrap_or_default();
    let wanted = wanted.rsplit(']').next().unwrap_or_default();
    Line::Package {
        name: normal(name),
        exact: (wanted.starts_with("==") || rest.contains("]==")) && !wanted.contains('*'),
    }
}

fn is_wheel(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".whl")
}

/// The package of a wheel's file name, in normal form.
fn distribution(wheel: &str) -> String {
    normal(wheel.split('-').next().unwrap_or_default())
}

/// Names are equal whatever their case and whatever stands between their words.
fn normal(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            c => normal.push(c.to_ascii_lowercase()),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_packages_or_lead_elsewhere() {
        let text = "# what we need\n\nNumPy==1.2.3  # exact\nfoo_bar.baz>=2\nx[extra]==1; python_version > '3'\n\
                    a==1 \\\n  --hash=sha256:00\n-r other.txt\ngit+https://x/y\n./local\nb @ https://x/b.whl\ndir/c.whl\nd==1.*\n";
        let read: Vec<_> = lines(text)
            .into_iter()
            .map(|(number, line)| match line {
                Line::Package { name, exact } => format!("{number} {name} {exact}"),
                Line::Elsewhere(line) => format!("{number} {line}"),
            })
            .collect();
        assert_eq!(
            read,
            [
                "3 numpy true",
                "4 foo-bar-baz false",
                "5 x true",
                "6 a true",
                "8 -r other.txt",
                "9 git+https://x/y",
                "10 ./local",
                "11 b @ https://x/b.whl",
                "12 dir/c.whl",
                "13 d false",
            ]
        );
    }

    #[test]
    fn wheels_belong_to_packages() {
        assert_eq!(distribution("Foo_Bar-1.0-py3-none-any.whl"), "foo-bar");
        assert!(is_wheel("a.WHL") && !is_wheel("a.tar.gz"));
    }
}
