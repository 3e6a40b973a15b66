//! Every command line that a page shows is one that the command line takes.

use std::path::Path;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::cli::Cli;

/// Pages that show commands of what is there; `docs/cli.md` is written from the command line itself.
const PAGES: [&str; 11] = [
    "README.md",
    "README.zh-CN.md",
    "docs/errors.md",
    "docs/operating.md",
    "docs/portable-authors.md",
    "docs/portable.md",
    "docs/security.md",
    "docs/zh-CN/operating.md",
    "docs/zh-CN/portable-authors.md",
    "docs/zh-CN/portable.md",
    "docs/zh-CN/security.md",
];

/// What stands for `<id>`, `{plugin}` and other words that a reader fills in: a name, a key and an id.
const FILLED: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// The words of a line as a shell would part them; `None` where a quote has no end.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (Some(mark), letter) if mark == letter => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// Words to be filled in, filled.
fn filled(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(['<', '{']) {
        let close = if rest[start..].starts_with('<') {
            '>'
        } else {
            '}'
        };
        let inner = rest[start + 1..].split(close).next().unwrap_or_default();
        let is_name = rest[start + 1..].contains(close)
            && !inner.is_empty()
            && inner
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter == '_');
        out.push_str(&rest[..start]);
        if is_name {
            out.push_str(match inner {
                "role" => "viewer",
                "url" => "https://plugyard.example.org",
                _ => FILLED,
            });
            rest = &rest[start + inner.len() + 2..];
        } else {
            out.push_str(&rest[start..=start]);
            rest = &rest[start + 1..];
        }
    }
    out + rest
}

/// A command as a page shows it.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    line: String,
    /// To be typed as it stands; otherwise only spoken of, perhaps without what it works on.
    whole: bool,
}

/// The commands of a page: lines of its blocks, and what stands between single backticks.
fn commands(page: &str) -> Vec<Shown> {
    let mut found = Vec::new();
    let mut block = false;
    for line in page.lines() {
        if line.starts_with("```") {
            block = !block;
        } else if block {
            found.push((line.trim(), true));
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(|text| (text, false)));
        }
    }
    // Variables set for one command stand before it.
    let ours = |(text, whole): (&str, bool)| {
        let mut rest = text;
        while let Some((first, more)) = rest.split_once(' ')
            && first.contains('=')
            && first.starts_with(|letter: char| letter.is_ascii_uppercase())
        {
            rest = more;
        }
        let line = rest.starts_with("plugyard ").then(|| filled(rest))?;
        Some(Shown { line, whole })
    };
    found.into_iter().filter_map(ours).collect()
}

#[test]
fn every_command_that_a_page_shows_is_taken() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for name in PAGES {
        let page = std::fs::read_to_string(root.join(name)).expect("the page is there");
        let shown = commands(&page);
        assert!(
            !shown.is_empty(),
            "{name} shows no command: is it read rightly?"
        );
        for Shown { line, whole } in shown {
            let words =
                words(&line).unwrap_or_else(|| panic!("{name}: `{line}`: a quote has no end"));
            match Cli::try_parse_from(&words) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::DisplayHelp => {}
                Err(error) if !whole && error.kind() == ErrorKind::MissingRequiredArgument => {}
                Err(error) => panic!("{name}: `{line}`: {error}"),
            }
        }
    }
}

#[test]
fn commands_are_found_where_they_stand() {
    let page =
        "x `plugyard show {plugin}` y `other`\n```sh\nA=\"b\" plugyard list   # all\nls\n```\n";
    let shown = |line: String, whole| Shown { line, whole };
    assert_eq!(
        commands(page),
        [
            shown(format!("plugyard show {FILLED}"), false),
            shown("plugyard list   # all".to_owned(), true),
        ]
    );
    let json = r#"rule create r --sink 'file={"path":"x"}' # why"#;
    assert_eq!(
        words(&filled(json)).expect("words"),
        ["rule", "create", "r", "--sink", r#"file={"path":"x"}"#]
    );
    assert_eq!(words("rule 'x"), None);
}
