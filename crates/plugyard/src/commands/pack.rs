//! `pack`: a package out of a directory.

use plugyard_archive::{PackError, pack_to_file};
use plugyard_model::{ExitCode, Problem, Severity, codes};
use serde_json::json;

use crate::cli::Pack;
use crate::commands::{Context, check};
use crate::failure::{Failure, finding_text};
use crate::kinds;
use crate::output::note;

pub(super) fn run(arguments: &Pack, context: &Context) -> Result<ExitCode, Failure> {
    let directory = &arguments.directory;
    if !directory.is_dir() {
        let reason = match std::fs::metadata(directory) {
            Ok(_) => "it is not a directory".to_owned(),
            Err(error) => error.to_string(),
        };
        let problem = Problem::new(codes::INPUT_UNREADABLE)
            .with("path", directory.display())
            .with("reason", reason);
        return Err(context.problem(&problem));
    }
    let package = check::open(directory, None, context)?;
    let inspection =
        kinds::inspect(&*package, None, None).map_err(|problem| context.problem(&problem))?;
    let errors: Vec<_> = inspection
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .collect();
    if let Some(first) = errors.first()
        && !arguments.force
    {
        let problem = Problem::new(codes::PACKAGE_INVALID)
            .with("errors", errors.len())
            .with("first", first.text(context.lang))
            .with_findings(inspection.findings.clone());
        return Err(context.problem(&problem));
    }
    for finding in &inspection.findings {
        let shown = directory.display().to_string();
        let text = finding_text(
            &finding.document(context.lang),
            &shown,
            context.lang,
            context.terminal,
        );
        note(text.trim_end());
    }
    let name = inspection.key.clone().or_else(|| {
        let name = directory
            .canonicalize()
            .ok()?
            .file_name()?
            .to_str()?
            .to_owned();
        Some(name)
    });
    let file = arguments
        .to
        .clone()
        .unwrap_or_else(|| format!("{}.zip", name.as_deref().unwrap_or("plugin")).into());
    let report = pack_to_file(directory, &file, &kinds::policy(inspection.kind.as_ref())).map_err(
        |error| {
            let findings = error.findings();
            let problem = match &error {
                PackError::Write(source) | PackError::File { source, .. } => {
                    Problem::new(codes::OUTPUT_UNWRITABLE)
                        .with("path", file.display())
                        .with("reason", source)
                }
                _ => Problem::new(codes::PACKAGE_INVALID)
                    .with("errors", findings.len())
                    .with(
                        "first",
                        findings
                            .first()
                            .map(|finding| finding.text(context.lang))
                            .unwrap_or_default(),
                    )
                    .with_findings(findings),
            };
            context.problem(&problem)
        },
    )?;
    let shown = file.display().to_string();
    let body = json!({
        "path": shown,
        "sha256": report.digest,
        "size": report.size,
        "entries": report.entries,
        "kind": inspection.kind,
        "key": inspection.key,
        "version": inspection.version,
    });
    context.printer.one(&body, &shown, || {
        format!(
            "{shown} sha256:{} ({} bytes, {} entries)",
            report.digest, report.size, report.entries
        )
    });
    Ok(ExitCode::Done)
}
