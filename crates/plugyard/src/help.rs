//! `--help` and the refusals of the command line in the reader's language.
//!
//! English stands in [`cli`](crate::cli), beside what it is about; Chinese in [`chinese`], by the English
//! text. What clap itself writes around them is put into Chinese when it is written.

mod chinese;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Error;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use plugyard_model::Lang;

use crate::cli::Cli;

/// The language in which somebody who wrote these arguments is to be answered, before they are understood.
pub(crate) fn language(arguments: &[OsString]) -> Lang {
    let mut words = arguments.iter().map(|word| word.to_string_lossy());
    let mut named = None;
    while let Some(word) = words.next() {
        match word.split_once('=') {
            Some(("--lang", lang)) => named = Some(lang.to_owned()),
            None if word == "--lang" => named = words.next().map(std::borrow::Cow::into_owned),
            None if word == "--" => break,
            _ => {}
        }
    }
    let set = || std::env::var(crate::environment::LANG).ok();
    crate::commands::language(named.or_else(set).as_deref())
}

/// Every command and option, described in a language.
pub(crate) fn command(lang: Lang) -> clap::Command {
    let command = Cli::tree();
    match lang {
        Lang::En => command,
        Lang::ZhCn => translated(command),
    }
}

fn translated(command: clap::Command) -> clap::Command {
    let about = command.get_about().map(in_chinese);
    let long = command.get_long_about().map(in_chinese);
    let after = command.get_after_help().map(in_chinese);
    let mut command = command.mut_args(|argument| {
        let help = argument.get_help().map(in_chinese);
        let long = argument.get_long_help().map(in_chinese);
        let heading = argument.get_help_heading().and_then(chinese::of);
        let mut argument = argument;
        if let Some(help) = help {
            argument = argument.help(help);
        }
        if let Some(long) = long {
            argument = argument.long_help(long);
        }
        if let Some(heading) = heading {
            argument = argument.help_heading(heading);
        }
        argument
    });
    if let Some(about) = about {
        command = command.about(about);
    }
    if let Some(long) = long {
        command = command.long_about(long);
    }
    if let Some(after) = after {
        command = command.after_help(after);
    }
    command.mut_subcommands(translated)
}

/// A text in Chinese; as it stands where there is none, which a test keeps from happening.
fn in_chinese(text: &StyledStr) -> StyledStr {
    chinese::of(&text.to_string()).map_or_else(|| text.clone(), StyledStr::from)
}

/// A text of the command line in a language.
pub(crate) fn text(lang: Lang, english: &str) -> &str {
    match lang {
        Lang::En => english,
        Lang::ZhCn => chinese::of(english).unwrap_or(english),
    }
}

/// Says what clap has to say instead of going on: the help that was asked for, or why it did not understand.
pub(crate) fn end(error: &Error, lang: Lang) -> ExitCode {
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    if lang == Lang::En {
        // Nobody is there to hear it when this fails.
        let _ = error.print();
        return ExitCode::from(code);
    }
    let wants_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let styled = |terminal: bool, text: &StyledStr| {
        if terminal && wants_colour {
            text.ansi().to_string()
        } else {
            text.to_string()
        }
    };
    let _ = if error.use_stderr()
        && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    {
        let text = refusal(error).unwrap_or_else(|| worded(&error.render().to_string()));
        writeln!(std::io::stderr(), "{}", text.trim_end())
    } else if error.use_stderr() {
        let text = styled(std::io::stderr().is_terminal(), &error.render());
        write!(std::io::stderr(), "{}", worded(&text))
    } else {
        let text = styled(std::io::stdout().is_terminal(), &error.render());
        write!(std::io::stdout(), "{}", worded(&text))
    };
    ExitCode::from(code)
}

/// What clap writes around our texts, in Chinese; and the meanings of values, which it keeps to itself.
fn worded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let mut line = line.to_owned();
        for (english, chinese) in chinese::AROUND {
            if line.contains(english) {
                line = line.replace(english, chinese);
            }
        }
        if line.trim_start().starts_with("- ")
            && let Some((name, meaning)) = line.split_once(": ")
            && let Some(chinese) = chinese::of(meaning.trim())
        {
            line = format!("{name}：{chinese}\n");
        }
        out.push_str(&line);
    }
    out
}

/// Why a command line was not understood; `None` for what clap words in a way of its own.
fn refusal(error: &Error) -> Option<String> {
    let context = |kind| {
        error.get(kind).map(|value| match value {
            ContextValue::Strings(several) => several.join("`、`"),
            other => other.to_string(),
        })
    };
    let argument = || context(ContextKind::InvalidArg);
    let reason = match error.kind() {
        ErrorKind::UnknownArgument => format!("没有参数 `{}`", argument()?),
        ErrorKind::InvalidSubcommand => {
            format!("没有命令 `{}`", context(ContextKind::InvalidSubcommand)?)
        }
        ErrorKind::MissingSubcommand => "缺少子命令".to_owned(),
        ErrorKind::MissingRequiredArgument => format!("缺少必需的参数：`{}`", argument()?),
        ErrorKind::ArgumentConflict => match context(ContextKind::PriorArg) {
            Some(prior) if Some(&prior) != argument().as_ref() => {
                format!("参数 `{}` 不能与 `{prior}` 同时使用", argument()?)
            }
            _ => format!("参数 `{}` 只能出现一次", argument()?),
        },
        ErrorKind::InvalidValue => match context(ContextKind::InvalidValue) {
            Some(value) if !value.is_empty() => {
                format!("参数 `{}` 不接受值 `{value}`", argument()?)
            }
            _ => format!("参数 `{}` 需要一个值", argument()?),
        },
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map(ToString::to_string);
            format!(
                "参数 `{}` 的值 `{}` 无效：{}",
                argument()?,
                context(ContextKind::InvalidValue)?,
                why.as_deref().map_or("", |why| text(Lang::ZhCn, why))
            )
        }
        _ => return None,
    };
    let mut out = format!("错误：{reason}\n");
    if let Some(valid) = context(ContextKind::ValidValue) {
        let _ = writeln!(out, "  可选值：`{valid}`");
    }
    for kind in [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedValue,
    ] {
        if let Some(near) = context(kind) {
            let _ = writeln!(out, "  提示：是否指 `{near}`？");
        }
    }
    if let Some(usage) = context(ContextKind::Usage) {
        let _ = writeln!(out, "\n{}", worded(&usage));
    }
    out.push_str("\n更多信息请使用 `--help`。\n");
    Some(out)
}

#[cfg(test)]
mod tests {
    use clap::builder::PossibleValue;

    use super::*;

    /// Every text of the tree that a user may see.
    fn texts(command: &clap::Command, into: &mut Vec<String>) {
        let own = [
            command.get_about(),
            command.get_long_about(),
            command.get_after_help(),
        ];
        into.extend(own.into_iter().flatten().map(ToString::to_string));
        for argument in command.get_arguments().filter(|it| !it.is_hide_set()) {
            let own = [argument.get_help(), argument.get_long_help()];
            into.extend(own.into_iter().flatten().map(ToString::to_string));
            into.extend(argument.get_help_heading().map(ToOwned::to_owned));
            let meanings = argument.get_possible_values();
            let shown = meanings.iter().filter(|it| !it.is_hide_set());
            let meanings = shown.filter_map(PossibleValue::get_help);
            into.extend(meanings.map(ToString::to_string));
        }
        for sub in command.get_subcommands().filter(|it| !it.is_hide_set()) {
            texts(sub, into);
        }
    }

    #[test]
    fn every_text_of_the_command_line_is_there_in_chinese() {
        let mut all = Vec::new();
        texts(&Cli::tree(), &mut all);
        assert!(all.len() > 150, "{}", all.len());
        let mut missing: Vec<_> = all
            .iter()
            .filter(|text| chinese::of(text).is_none())
            .collect();
        missing.sort();
        missing.dedup();
        assert!(missing.is_empty(), "add to help/chinese.rs: {missing:#?}");
    }

    #[test]
    fn the_help_of_every_command_is_chinese_throughout() {
        fn walk(command: &mut clap::Command, seen: &mut usize) {
            let help = worded(&command.render_long_help().to_string());
            for english in [
                "Usage:",
                "Options:",
                "Commands:",
                "Arguments:",
                "Print ",
                "[default:",
                "[possible",
                "[env:",
                "[alias",
                "Possible values:",
                "Global options",
                "see more",
            ] {
                let name = command.get_name();
                assert!(
                    !help.contains(english),
                    "{english} in the help of {name}:\n{help}"
                );
            }
            *seen += 1;
            for sub in command.get_subcommands_mut() {
                if !sub.is_hide_set() {
                    walk(sub, seen);
                }
            }
        }
        let mut command = command(Lang::ZhCn);
        command.build();
        let mut seen = 0;
        walk(&mut command, &mut seen);
        assert!(seen > 60, "{seen}");
    }

    #[test]
    fn what_is_not_understood_is_said_in_chinese() {
        let refused = |words: &[&str]| {
            let words = ["plugyard"].iter().chain(words);
            let error = command(Lang::ZhCn).try_get_matches_from(words).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
            refusal(&error).unwrap()
        };
        for (words, wanted) in [
            (&["list", "--knid", "a"][..], "没有参数 `--knid`"),
            (&["instal", "a"], "没有命令 `instal`"),
            (&["install"], "缺少必需的参数：`<PACKAGE>`"),
            (&["list", "-o", "xml"], "不接受值 `xml`"),
            (&["list", "--kind"], "需要一个值"),
            (&["install", "a", "--no-wait", "--dry-run"], "不能与"),
            (&["install", "a", "--timeout", "x"], "的值 `x` 无效"),
        ] {
            let text = refused(words);
            assert!(
                text.starts_with("错误：") && text.contains(wanted),
                "{text}"
            );
            assert!(text.contains("--help") && !text.contains("Usage"), "{text}");
        }
        let near = refused(&["instal", "a"]);
        assert!(
            near.contains("是否指 `") && near.contains("`install`"),
            "{near}"
        );
    }

    #[test]
    fn the_language_is_known_before_the_rest_is_understood() {
        let of = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(Into::into).collect();
            language(&words)
        };
        assert_eq!(
            of(&["plugyard", "--lang", "zh-CN", "--nonsense"]),
            Lang::ZhCn
        );
        assert_eq!(of(&["plugyard", "x", "--lang=zh"]), Lang::ZhCn);
        assert_eq!(of(&["plugyard", "--lang=zh", "--lang", "en"]), Lang::En);
    }
}
