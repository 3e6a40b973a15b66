//! How a command ends badly: a problem, said as `error:` and `hint:`, and an exit code.

use std::fmt::Write as _;
use std::io::Write as _;

use plugyard_model::{
    Code, ExitCode, FindingDocument, Lang, Problem, ProblemDocument, Severity, codes,
};
use serde_json::Value as Json;

use crate::output::Terminal;
use crate::words::word;

/// Why a command could not do what it should.
#[derive(Debug)]
pub(crate) struct Failure {
    document: Box<ProblemDocument>,
    exit: ExitCode,
    lang: Lang,
}

impl Failure {
    /// A problem met on this side.
    pub(crate) fn local(problem: &Problem, lang: Lang) -> Self {
        let document = Box::new(problem.document(lang, ""));
        Self {
            document,
            exit: problem.code.exit(),
            lang,
        }
    }

    /// What a server answered with. Texts are the server's, in the language it was asked for.
    pub(crate) fn answered(status: u16, body: &[u8], lang: Lang) -> Self {
        if let Ok(document) = serde_json::from_slice::<ProblemDocument>(body) {
            return Self::of_document(document, lang);
        }
        // The compatible routes for streams and rules answer in their own envelope.
        let text = String::from_utf8_lossy(body);
        let message = serde_json::from_slice::<Json>(body)
            .ok()
            .and_then(|body| Some(body.get("message")?.as_str()?.to_owned()))
            .unwrap_or_else(|| text.trim().to_owned());
        let code = match status {
            401 => codes::NOT_SIGNED_IN,
            404 => codes::FLOW_NOT_FOUND,
            // eKuiper answers 400 to almost everything and tells cases apart by words.
            _ if message.contains("is not found") || message.ends_with(" not found") => {
                codes::FLOW_NOT_FOUND
            }
            _ if message.contains("already exists") || message.contains("has been referenced") => {
                codes::FLOW_CONFLICT
            }
            500.. => codes::ANSWER_UNREADABLE,
            _ => codes::FLOW_REFUSED,
        };
        let mut failure = Self::local(
            &Problem::new(code)
                .with("message", &message)
                .with("reason", format!("HTTP {status} {message}")),
            lang,
        );
        if status == 403 {
            failure.exit = ExitCode::NotPermitted;
        }
        failure
    }

    /// A problem document, as a server sends it or as it stands in an operation.
    pub(crate) fn of_document(document: ProblemDocument, lang: Lang) -> Self {
        let exit = Code::from_word(&document.code).map_or_else(
            || match document.status {
                400 => ExitCode::Usage,
                401 | 403 => ExitCode::NotPermitted,
                404 => ExitCode::NotFound,
                409 | 412 => ExitCode::Conflict,
                _ => ExitCode::Failed,
            },
            Code::exit,
        );
        Self {
            document: Box::new(document),
            exit,
            lang,
        }
    }

    /// The code of the problem, when it is one of ours.
    pub(crate) fn code(&self) -> Option<Code> {
        Code::from_word(&self.document.code)
    }

    /// How the command ends.
    pub(crate) const fn exit(&self) -> ExitCode {
        self.exit
    }

    /// Says it on standard error.
    pub(crate) fn print(&self, terminal: Terminal) {
        let mut err = std::io::stderr().lock();
        let label = terminal.paint("1;31", word(self.lang, "error"));
        let _ = writeln!(err, "{label}: {}", self.document.detail);
        for finding in &self.document.findings {
            let _ = write!(err, "{}", finding_text(finding, "", self.lang, terminal));
        }
        if !self.document.hint.is_empty() {
            let label = terminal.paint("1;36", word(self.lang, "hint"));
            let _ = writeln!(err, "{label}: {}", self.document.hint);
        }
    }
}

/// A finding with its place and hint, several lines.
pub(crate) fn finding_text(
    finding: &FindingDocument,
    package: &str,
    lang: Lang,
    terminal: Terminal,
) -> String {
    let (colour, label) = match finding.severity {
        Severity::Error => ("1;31", "error"),
        Severity::Warning => ("1;33", "warning"),
        Severity::Info => ("1;34", "info"),
    };
    let label = terminal.paint(colour, word(lang, label));
    let mut text = format!("{label}[{}]: {}\n", finding.code, finding.message);
    let mut place = package.to_owned();
    if !finding.place.file.is_empty() {
        if !place.is_empty() {
            place.push_str(": ");
        }
        place.push_str(&finding.place.file);
    }
    if let Some(line) = finding.place.line {
        let _ = write!(place, ":{line}:{}", finding.place.column.unwrap_or(1));
    }
    let pointer = &finding.place.pointer;
    if place.is_empty() {
        // Into what was sent, as a rule: there is no file.
        place.clone_from(pointer);
    } else if !pointer.is_empty() {
        let _ = write!(place, " ({pointer})");
    }
    if !place.is_empty() {
        let _ = writeln!(text, "  --> {place}");
    }
    if !finding.hint.is_empty() {
        let label = terminal.paint("1;36", word(lang, "hint"));
        let _ = writeln!(text, "  {label}: {}", finding.hint);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_document_decides_the_exit_code_by_its_code() {
        let problem = Problem::new(codes::ROLLED_BACK).with("step", "probe");
        let body = serde_json::to_vec(&problem.document(Lang::En, "")).unwrap();
        let failure = Failure::answered(422, &body, Lang::En);
        assert_eq!(failure.exit(), ExitCode::RolledBack);
        assert_eq!(failure.document.code, "rolled_back");
    }

    #[test]
    fn a_newer_servers_code_is_judged_by_its_status() {
        let mut document = Problem::new(codes::INTERNAL).document(Lang::En, "");
        document.code = "something_new".to_owned();
        document.status = 409;
        assert_eq!(
            Failure::of_document(document, Lang::En).exit(),
            ExitCode::Conflict
        );
    }

    #[test]
    fn the_compatible_envelope_is_told_apart_by_status_and_words() {
        let exit = |status, message: &str| {
            let body = serde_json::json!({"error": 1000, "message": message}).to_string();
            Failure::answered(status, body.as_bytes(), Lang::En).exit()
        };
        assert_eq!(
            exit(404, "Describe rule error: Rule r is not found."),
            ExitCode::NotFound
        );
        assert_eq!(
            exit(400, "Delete rule error: rule r not found"),
            ExitCode::NotFound
        );
        assert_eq!(
            exit(400, "Create stream fails: Item s already exists."),
            ExitCode::Conflict
        );
        assert_eq!(exit(400, "Parse SQL error"), ExitCode::Failed);
        assert_eq!(exit(403, "no"), ExitCode::NotPermitted);
        assert_eq!(exit(401, "no"), ExitCode::NotPermitted);
    }
}
