//! `check`: everything that is wrong with packages, without a server.

mod sarif;

use std::path::Path;

use plugyard_archive::PackageReader;
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
    let mut inspections = Vec::new();
    let mut complete = true;
    for path in &arguments.packages {
        let inspection = match open(path, arguments.kind.as_deref(), context) {
            Ok(package) => kinds::inspect(
                &*package,
                arguments.kind.as_deref(),
                arguments.name.as_deref(),
            )
            .map_err(|problem| context.problem(&problem))?,
            Err(failure) if arguments.packages.len() > 1 => {
                failure.print(context.terminal);
                complete = false;
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
            Format::Sarif => inspections.push((shown, inspection)),
            _ => documents.push(document(&inspection, &shown, context)),
        }
    }
    match context.printer.format {
        Format::Json | Format::Yaml => match documents.as_slice() {
            [only] if arguments.packages.len() == 1 => context.printer.document(only),
            all => context.printer.document(&all),
        },
        Format::Sarif => {
            let document = sarif::document(&inspections, context.lang, complete);
            context.printer.document(&document);
        }
        _ => {}
    }
    Ok(worst)
}

/// Opens a zip file or a directory.
pub(super) fn open(
    path: &Path,
    kind: Option<&str>,
    context: &Context,
) -> Result<Box<dyn PackageReader>, Failure> {
    kinds::open(path, kind).map_err(|error| {
        let problem = Problem::new(codes::INPUT_UNREADABLE)
            .with("path", path.display())
            .with("reason", error);
        context.problem(&problem)
    })
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
