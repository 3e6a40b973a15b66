//! `check`: everything that is wrong with packages, without a server.

use std::path::Path;

use plugyard_archive::{Directory, PackageReader, Policy, Zip};
use plugyard_model::{ExitCode, Finding, Inspection, Problem, Severity, codes};
use serde_json::{Value as Json, json};

use crate::cli::{Check, Deny, Format};
use crate::commands::Context;
use crate::failure::{Failure, finding_text};
use crate::kinds;
use crate::output::{Terminal, line};
use crate::words::word;

pub(super) fn run(arguments: &Check, context: &Context) -> Result<ExitCode, Failure> {
    let mut worst = ExitCode::Done;
    let mut documents = Vec::new();
    for path in &arguments.packages {
        let inspection = match open(path, context) {
            Ok(package) => kinds::inspect(
                &*package,
                arguments.kind.as_deref(),
                arguments.name.as_deref(),
            )
            .map_err(|problem| context.problem(&problem))?,
            Err(failure) if arguments.packages.len() > 1 => {
                failure.print(context.terminal);
                worst = worst.worst(failure.exit());
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let refused = inspection
            .findings
            .iter()
            .any(|finding| match finding.severity {
                Severity::Error => true,
                Severity::Warning => arguments.deny == Some(Deny::Warnings),
                Severity::Info => false,
            });
        if refused {
            worst = worst.worst(ExitCode::PackageErrors);
        }
        let shown = path.display().to_string();
        match context.printer.format {
            Format::Table => print(&inspection, &shown, context),
            Format::Name => {
                if !refused {
                    line(&shown);
                }
            }
            Format::Ndjson => line(&document(&inspection, &shown, context).to_string()),
            _ => documents.push(document(&inspection, &shown, context)),
        }
    }
    match context.printer.format {
        Format::Json | Format::Yaml => match documents.as_slice() {
            [only] if arguments.packages.len() == 1 => context.printer.document(only),
            all => context.printer.document(&all),
        },
        Format::Sarif => context.printer.document(&sarif(&documents)),
        _ => {}
    }
    Ok(worst)
}

/// Opens a zip file or a directory.
pub(super) fn open(path: &Path, context: &Context) -> Result<Box<dyn PackageReader>, Failure> {
    let unreadable = |reason: String| {
        let problem = Problem::new(codes::INPUT_UNREADABLE)
            .with("path", path.display())
            .with("reason", reason);
        context.problem(&problem)
    };
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if metadata.is_dir() {
        return Ok(Box::new(Directory::open(path, &Policy::default())));
    }
    let zip = Zip::open_path(path, &Policy::default());
    Ok(Box::new(
        zip.map_err(|error| unreadable(error.to_string()))?,
    ))
}

fn print(inspection: &Inspection, path: &str, context: &Context) {
    let plain = Terminal::plain();
    for finding in &inspection.findings {
        let text = finding_text(&finding.document(context.lang), path, context.lang, plain);
        line(text.trim_end());
    }
    let count = |severity| {
        inspection
            .findings
            .iter()
            .filter(|finding: &&Finding| finding.severity == severity)
            .count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let what = match (&inspection.kind, &inspection.key) {
        (Some(kind), Some(key)) => format!("{kind}:{key}"),
        (Some(kind), None) => kind.to_string(),
        _ => "-".to_owned(),
    };
    let version = inspection.version.clone().unwrap_or_default();
    let version = if version.is_empty() {
        version
    } else {
        format!(" {version}")
    };
    let verdict = if errors + warnings == 0 {
        word(context.lang, "no errors").to_owned()
    } else {
        let (e, w) = (word(context.lang, "error"), word(context.lang, "warning"));
        format!("{e}: {errors}, {w}: {warnings}")
    };
    line(&format!("{path}: {what}{version}: {verdict}"));
}

fn document(inspection: &Inspection, path: &str, context: &Context) -> Json {
    let findings: Vec<_> = inspection
        .findings
        .iter()
        .map(|finding| finding.document(context.lang))
        .collect();
    json!({
        "path": path,
        "kind": inspection.kind,
        "key": inspection.key,
        "version": inspection.version,
        "manifest": inspection.manifest,
        "findings": findings,
    })
}

/// The findings as SARIF 2.1.0, which code hosts and editors read.
fn sarif(documents: &[Json]) -> Json {
    let results: Vec<Json> = documents
        .iter()
        .flat_map(|document| {
            let path = document["path"].as_str().unwrap_or_default();
            document["findings"]
                .as_array()
                .into_iter()
                .flatten()
                .map(move |finding| {
                    let file = finding["file"].as_str().unwrap_or_default();
                    let uri = if file.is_empty() {
                        path.to_owned()
                    } else {
                        format!("{path}/{file}")
                    };
                    let mut location = json!({ "artifactLocation": { "uri": uri } });
                    if let Some(line) = finding["line"].as_u64() {
                        location["region"] = json!({
                            "startLine": line,
                            "startColumn": finding["column"].as_u64().unwrap_or(1),
                        });
                    }
                    let level = match finding["severity"].as_str() {
                        Some("error") => "error",
                        Some("warning") => "warning",
                        _ => "note",
                    };
                    json!({
                        "ruleId": finding["code"],
                        "level": level,
                        "message": { "text": finding["message"] },
                        "locations": [{ "physicalLocation": location }],
                    })
                })
        })
        .collect();
    let mut rules: Vec<&str> = results
        .iter()
        .filter_map(|result| result["ruleId"].as_str())
        .collect();
    rules.sort_unstable();
    rules.dedup();
    let rules: Vec<Json> = rules.into_iter().map(|id| json!({ "id": id })).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "plugyard",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "results": results,
        }],
    })
}
