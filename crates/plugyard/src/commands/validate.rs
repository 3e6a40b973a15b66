//! `validate`: Laravel rules on values, case by case, without a server.

use std::io::{self, BufRead as _, BufWriter, Write as _};

use plugyard_model::{ExitCode, Lang, Problem, codes};
use plugyard_validation::{Lang as RuleLang, RuleSet, cases, explain};
use serde_json::json;

use crate::cli::{Validate, ValidateCommand};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::line;

pub(super) fn run(arguments: &Validate, context: &Context) -> Result<ExitCode, Failure> {
    let lang = match context.lang {
        Lang::En => RuleLang::En,
        Lang::ZhCn => RuleLang::ZhCn,
    };
    match &arguments.command {
        Some(ValidateCommand::Explain { rules }) => match RuleSet::parse(rules) {
            Ok(set) => {
                let sentences = explain::explain(&set, lang);
                let body = json!({ "rules": rules, "sentences": sentences });
                context.printer.one(&body, rules, || sentences.join("\n"));
                Ok(ExitCode::Done)
            }
            Err(problems) => {
                for problem in problems {
                    line(&format!(
                        "{}: {}",
                        problem.code.as_str(),
                        problem.text(lang)
                    ));
                }
                Ok(ExitCode::Failed)
            }
        },
        None => answer(lang, context),
    }
}

/// Answers every line of standard input; lines of nothing but space are passed over.
fn answer(lang: RuleLang, context: &Context) -> Result<ExitCode, Failure> {
    let unreadable = |error: io::Error| {
        context.problem(
            &Problem::new(codes::INPUT_UNREADABLE)
                .with("path", "-")
                .with("reason", error),
        )
    };
    let now = jiff::Timestamp::now().as_second();
    let mut out = BufWriter::new(io::stdout().lock());
    let mut input = io::stdin().lock();
    let mut text = Vec::new();
    loop {
        text.clear();
        if input.read_until(b'\n', &mut text).map_err(unreadable)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&text);
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let written = writeln!(out, "{}", cases::answer_text(text, lang, now));
        match written {
            Ok(()) => {}
            // Nobody reads any more.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::Done),
            Err(error) => return Err(unreadable(error)),
        }
    }
    match out.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(unreadable(error)),
        _ => Ok(ExitCode::Done),
    }
}
