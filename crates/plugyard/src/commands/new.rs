//! `new`: the directory of a plugin to begin with.

use std::path::{Path, PathBuf};

use plugyard_model::{ExitCode, Problem, codes};
use serde_json::json;

use crate::cli::New;
use crate::commands::Context;
use crate::failure::Failure;

/// The word in the files below that stands for the plugin's name.
const NAME: &str = "hello";

/// The files of a portable plugin in Python: where they go, and what is in them. They are a plugin of
/// their own, with the name [`NAME`].
const FILES: &[(&str, &str)] = &[
    (
        "hello.json",
        include_str!("../../../../examples/portable/hello/hello.json"),
    ),
    (
        "main.py",
        include_str!("../../../../examples/portable/hello/main.py"),
    ),
    (
        "sources/hello_ticks.yaml",
        include_str!("../../../../examples/portable/hello/sources/hello_ticks.yaml"),
    ),
    (
        "sources/hello_ticks.json",
        include_str!("../../../../examples/portable/hello/sources/hello_ticks.json"),
    ),
    (
        "sinks/hello_notebook.json",
        include_str!("../../../../examples/portable/hello/sinks/hello_notebook.json"),
    ),
    (
        "functions/hello_greet.json",
        include_str!("../../../../examples/portable/hello/functions/hello_greet.json"),
    ),
    (
        "tests/test_plugin.py",
        include_str!("../../../../examples/portable/hello/tests/test_plugin.py"),
    ),
    (
        "README.md",
        include_str!("../../../../examples/portable/hello/README.md"),
    ),
];

pub(super) fn run(arguments: &New, context: &Context) -> Result<ExitCode, Failure> {
    let name = &arguments.name;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins || name.len() > 40 || !name.chars().all(is_word) {
        let problem = Problem::new(codes::PORTABLE_NEW_NAME)
            .with("name", name)
            .with("limit", 40);
        return Err(context.problem(&problem));
    }
    let directory = arguments.to.clone().unwrap_or_else(|| PathBuf::from(name));
    let unwritable = |path: &Path, reason: String| {
        let problem = Problem::new(codes::OUTPUT_UNWRITABLE)
            .with("path", path.display())
            .with("reason", reason);
        context.problem(&problem)
    };
    let occupied = std::fs::read_dir(&directory).is_ok_and(|mut entries| entries.next().is_some());
    if occupied || directory.is_file() {
        return Err(unwritable(
            &directory,
            "it is there already, and not empty".to_owned(),
        ));
    }
    let mut files = Vec::new();
    for (path, text) in FILES {
        let path = path.replace(NAME, name);
        let target = directory.join(&path);
        let parent = target.parent().unwrap_or(&directory);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&target, text.replace(NAME, name)))
            .map_err(|error| unwritable(&target, error.to_string()))?;
        files.push(path);
    }
    let shown = directory.display().to_string();
    let body = json!({ "path": shown, "kind": arguments.kind, "key": name, "files": files });
    context.printer.one(&body, &shown, || {
        format!("{shown}\nplugyard dev {shown}\nplugyard install {shown}")
    });
    Ok(ExitCode::Done)
}
