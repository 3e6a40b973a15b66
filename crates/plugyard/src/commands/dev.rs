//! `dev`: one plugin, served to its author.

use std::io::Write as _;
use std::sync::Arc;

use plugyard_model::{ExitCode, Problem, Severity, codes};
use plugyard_portable::Manifest;
use plugyard_portable::dev::{DevSettings, Direction, Frame, serve};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Dev, Format};
use crate::commands::{Context, check};
use crate::failure::{Failure, finding_text};
use crate::kinds;
use crate::output::note;

/// Where the SDKs look for their sockets; compiled into them.
const SOCKETS: &str = "/tmp";

pub(super) async fn run(arguments: &Dev, context: &Context) -> Result<ExitCode, Failure> {
    let manifest = manifest(arguments, context)?;
    let failed = |reason: String| {
        let problem = Problem::new(codes::PORTABLE_DEV_FAILED).with("reason", reason);
        context.problem(&problem)
    };
    let directory = std::fs::canonicalize(&arguments.directory)
        .map_err(|error| failed(format!("{}: {error}", arguments.directory.display())))?;
    let scratch = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
    let data = match &arguments.data {
        Some(data) => {
            std::fs::create_dir_all(data).map_err(|error| failed(error.to_string()))?;
            std::path::absolute(data).map_err(|error| failed(error.to_string()))?
        }
        None => scratch.path().to_owned(),
    };
    let settings = DevSettings {
        directory,
        listen: arguments.listen,
        start: !arguments.by_hand,
        python: arguments.python.clone().unwrap_or_else(python),
        data,
        sockets: SOCKETS.into(),
    };
    let format = context.printer.format;
    let show = Arc::new(move |frame: &Frame| print(frame, format));
    let mut terminated = signal(SignalKind::terminate()).map_err(|it| failed(it.to_string()))?;
    let end = async {
        tokio::select! {
            // Ends the same way when the signal cannot be waited for.
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated.recv() => {}
        }
    };
    serve(settings, manifest, show, end)
        .await
        .map_err(|error| {
            let cause = std::error::Error::source(&error).map(|it| format!(": {it}"));
            failed(format!("{error}{}", cause.unwrap_or_default()))
        })?;
    Ok(ExitCode::Done)
}

/// What the directory's manifest says; everything wrong with it is said first.
fn manifest(arguments: &Dev, context: &Context) -> Result<Manifest, Failure> {
    let package = check::open(&arguments.directory, None, context)?;
    let inspection = kinds::inspect(&*package, Some("portable"), None)
        .map_err(|problem| context.problem(&problem))?;
    let mut errors = inspection
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    if let Some(first) = errors.next() {
        let problem = Problem::new(codes::PACKAGE_INVALID)
            .with("errors", 1 + errors.count())
            .with("first", first.text(context.lang))
            .with_findings(inspection.findings.clone());
        return Err(context.problem(&problem));
    }
    for finding in &inspection.findings {
        let shown = arguments.directory.display().to_string();
        let document = finding.document(context.lang);
        let text = finding_text(&document, &shown, context.lang, context.terminal);
        note(text.trim_end());
    }
    serde_json::from_value(inspection.manifest)
        .map_err(|_| context.problem(&Problem::new(codes::INTERNAL)))
}

fn print(frame: &Frame, format: Format) {
    let mut out = std::io::stdout().lock();
    // Whoever reads no more has seen enough.
    let _ = match format {
        Format::Table => match (frame.direction, frame.channel.as_str()) {
            (Direction::Note, "dev") => writeln!(out, "* {}", frame.text),
            (Direction::Note, "stdout" | "stderr") => writeln!(out, "  {}", frame.text),
            _ => writeln!(out, "{frame}"),
        },
        _ => serde_json::to_string(frame).map_or(Ok(()), |text| writeln!(out, "{text}")),
    };
    let _ = out.flush();
}

/// As the server finds it.
fn python() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |name: &&str| std::env::split_paths(&path).any(|it| it.join(name).is_file());
    let found = ["python3", "python"].into_iter().find(there);
    found.unwrap_or("python3").to_owned()
}
