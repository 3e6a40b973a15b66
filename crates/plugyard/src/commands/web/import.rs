//! `web import`: taking over an existing plugin table.

use plugyard_model::{ExitCode, FindingDocument, Problem, Severity, codes};
use reqwest::{Method, header};
use serde_json::Value as Json;

use crate::cli::{DumpFormat, Import};
use crate::client::Client;
use crate::commands::Context;
use crate::failure::{Failure, finding_text};
use crate::output::{note, table, text_at};
use crate::words::word;

/// Longer than any dump that is taken may take to be written.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(10);

pub(super) async fn run(
    arguments: &Import,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let path = &arguments.file;
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let extension = path.extension().and_then(|it| it.to_str());
    let format = arguments.format.or(match extension {
        Some("sql") => Some(DumpFormat::Sql),
        Some("csv") => Some(DumpFormat::Csv),
        Some("json") => Some(DumpFormat::Json),
        _ => None,
    });
    let Some(format) = format else {
        let problem = Problem::new(codes::DUMP_FORMAT_UNKNOWN).with("path", path.display());
        return Err(context.problem(&problem));
    };
    let bytes = std::fs::read(path).map_err(|error| {
        context.problem(
            &Problem::new(codes::INPUT_UNREADABLE)
                .with("path", path.display())
                .with("reason", error),
        )
    })?;
    let dry_run = if arguments.dry_run { "true" } else { "false" };
    let request = client
        .request(Method::POST, "/v1/web/import")
        .query(&[
            ("format", format.word()),
            ("existing", arguments.existing.word()),
            ("dry_run", dry_run),
            ("file", &name),
        ])
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .timeout(PATIENCE)
        .body(bytes);
    let report = client.json(request).await?;
    let findings: Vec<FindingDocument> =
        serde_json::from_value(report["findings"].clone()).unwrap_or_default();
    let is_error = |finding: &FindingDocument| finding.severity == Severity::Error;
    let failed = findings.iter().any(is_error);
    let text = || {
        for finding in &findings {
            note(finding_text(finding, "", context.lang, context.terminal).trim_end());
        }
        if arguments.dry_run {
            note(word(context.lang, "nothing was written"));
        }
        let headings = ["TABLE", "READ", "ADDED", "REPLACED", "KEPT", "REFUSED"];
        let rows = ["plugins", "usages"].map(|of| row(&report, of));
        table(context.lang, &headings, rows.into())
    };
    context.printer.one(&report, &name, text);
    Ok(if failed {
        ExitCode::PackageErrors
    } else {
        ExitCode::Done
    })
}

fn row(report: &Json, of: &str) -> Vec<String> {
    let counts = &report[of];
    let numbers = ["read", "added", "replaced", "kept", "refused"];
    let numbers = numbers.map(|name| text_at(counts, &format!("/{name}")));
    std::iter::once(of.to_owned()).chain(numbers).collect()
}
