//! Source code: parsed, then looked through node by node.

mod javascript;
mod php;
mod python;
mod shell;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Instant;

use plugyard_model::{Code, Finding, Place, Severity, codes};
use tree_sitter::{Language, Node, ParseOptions, Parser};

use super::{Category, Outcome, Subject, TIME, tree};

/// Bytes of a source file that are looked into.
const SOURCE: u64 = 1 << 20;
/// Bytes of a call that are shown.
const SHOWN: usize = 80;

/// What the code was seen to need.
#[derive(Debug, Default)]
pub(super) struct Used {
    permissions: BTreeSet<&'static str>,
    /// Some source was not looked into.
    incomplete: bool,
}

impl Used {
    /// Whether a permission is certainly needed by nothing.
    pub(super) fn lacks(&self, permission: &str) -> bool {
        // Of the others there is no way to tell.
        let seen = ["network", "process", "environment"].contains(&permission);
        seen && !self.permissions.contains(permission) && !self.incomplete
    }
}

/// A language that can be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Php,
    JavaScript,
    Python,
    Shell,
}

impl Kind {
    /// By its name, else by the first line.
    fn of(path: &str, content: &[u8]) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or_default();
        let extension = name.rsplit_once('.').map(|(_, extension)| extension);
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("php" | "phtml" | "php5" | "php7" | "php8" | "phps" | "inc") => Some(Self::Php),
            Some("js" | "mjs" | "cjs" | "jsx") => Some(Self::JavaScript),
            Some("py" | "pyw") => Some(Self::Python),
            Some("sh" | "bash") => Some(Self::Shell),
            _ => Self::of_first_line(content),
        }
    }

    fn of_first_line(content: &[u8]) -> Option<Self> {
        if content.starts_with(b"<?php") {
            return Some(Self::Php);
        }
        let line = content
            .strip_prefix(b"#!")?
            .split(|byte| *byte == b'\n')
            .next()?;
        let line = String::from_utf8_lossy(line);
        let mut words = line.split(|c: char| c.is_whitespace() || c == '/');
        words.find_map(|word| {
            match word.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') {
                "php" => Some(Self::Php),
                "node" | "nodejs" => Some(Self::JavaScript),
                "python" => Some(Self::Python),
                "sh" | "bash" | "dash" | "zsh" | "ksh" => Some(Self::Shell),
                _ => None,
            }
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Php => "PHP",
            Self::JavaScript => "JavaScript",
            Self::Python => "Python",
            Self::Shell => "shell",
        }
    }

    fn grammar(self) -> Language {
        match self {
            Self::Php => tree_sitter_php::LANGUAGE_PHP.into(),
            Self::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
            Self::Python => tree_sitter_python::LANGUAGE.into(),
            Self::Shell => tree_sitter_bash::LANGUAGE.into(),
        }
    }
}

/// Looks into all source files.
pub(super) fn check(
    subject: &Subject<'_>,
    files: &[tree::File],
    deadline: Instant,
    outcome: &mut Outcome,
) -> Used {
    let mut used = Used::default();
    let may_reach = permitted(subject, "network");
    for file in files {
        let known_bad = &subject.settings.known_bad;
        let digest = tree::hex(&file.digest);
        if known_bad
            .iter()
            .any(|bad| bad.eq_ignore_ascii_case(&digest))
        {
            let finding = Finding::error(codes::SECURITY_KNOWN_BAD, Place::file(&file.path));
            outcome.code_security.push(finding.with("file", &file.path));
        }
        if file.size > SOURCE {
            // Its name alone tells; a large file of another kind is no source.
            if Kind::of(&file.path, b"").is_some() {
                used.incomplete = true;
                let code = codes::SECURITY_SOURCE_LARGE;
                let finding = Finding::warning(code, Place::file(&file.path));
                let finding = finding.with("file", &file.path).with("size", file.size);
                outcome.code_security.push(finding);
            }
            continue;
        }
        let Ok(content) = std::fs::read(&file.at) else {
            continue;
        };
        let Some(kind) = Kind::of(&file.path, &content) else {
            continue;
        };
        let mut look = Look {
            path: &file.path,
            source: &content,
            category: &mut outcome.code_security,
            used: &mut used,
            may_reach,
        };
        match look.run(kind, deadline) {
            Ok(Some(line)) => {
                let place = Place::file(&file.path).at(line, 1);
                let finding = Finding::warning(codes::SECURITY_SYNTAX, place);
                let finding = finding.with("file", &file.path);
                outcome.syntax.push(finding.with("language", kind.name()));
            }
            Ok(None) => {}
            Err(TimeOut) => {
                used.incomplete = true;
                let code = codes::SECURITY_TIME_OUT;
                let finding = Finding::error(code, Place::file(&file.path));
                let finding = finding.with("file", &file.path);
                outcome
                    .code_security
                    .push(finding.with("seconds", TIME.as_secs()));
                break;
            }
        }
    }
    used
}

fn permitted(subject: &Subject<'_>, permission: &str) -> bool {
    let is = |it: &String| it == permission;
    subject.manifest.permissions.iter().any(is) && subject.settings.permissions.iter().any(is)
}

struct TimeOut;

/// One source file being looked through.
struct Look<'a> {
    path: &'a str,
    source: &'a [u8],
    category: &'a mut Category,
    used: &'a mut Used,
    may_reach: bool,
}

impl Look<'_> {
    /// Says on which line it cannot be understood, when there is one.
    fn run(&mut self, kind: Kind, deadline: Instant) -> Result<Option<u32>, TimeOut> {
        let mut parser = Parser::new();
        // Fails only for a grammar made for another version of the parser, which a test would show.
        if parser.set_language(&kind.grammar()).is_err() {
            return Ok(None);
        }
        let mut in_time = |_: &tree_sitter::ParseState| {
            if Instant::now() < deadline {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        let options = ParseOptions::new().progress_callback(&mut in_time);
        let source = self.source;
        let mut input = |offset: usize, _| source.get(offset..).unwrap_or_default();
        let tree = parser
            .parse_with_options(&mut input, None, Some(options))
            .ok_or(TimeOut)?;
        let mut broken = None;
        let mut cursor = tree.walk();
        let mut seen = 0_u32;
        'walk: loop {
            let node = cursor.node();
            seen = seen.wrapping_add(1);
            if seen.is_multiple_of(4096) && Instant::now() >= deadline {
                return Err(TimeOut);
            }
            if broken.is_none() && (node.is_error() || node.is_missing()) {
                broken = Some(line(node));
            }
            if node.is_named() {
                match kind {
                    Kind::Php => php::visit(self, node),
                    Kind::JavaScript => javascript::visit(self, node),
                    Kind::Python => python::visit(self, node),
                    Kind::Shell => shell::visit(self, node),
                }
            }
            if cursor.goto_first_child() {
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    break 'walk;
                }
            }
        }
        Ok(broken)
    }

    /// The text of a node; what is no UTF-8 has none.
    fn text(&self, node: Node<'_>) -> &str {
        self.source
            .get(node.byte_range())
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }

    /// The text of a field of a node.
    fn field(&self, node: Node<'_>, name: &str) -> Option<&str> {
        node.child_by_field_name(name).map(|it| self.text(it))
    }

    fn place(&self, node: Node<'_>) -> Place {
        Place::file(self.path).at(line(node), column(node))
    }

    fn tell(&mut self, severity: Severity, code: Code, node: Node<'_>, call: &str) {
        let place = self.place(node);
        let finding = match severity {
            Severity::Error => Finding::error(code, place),
            _ => Finding::warning(code, place),
        };
        self.category.push(finding.with("call", shown(call)));
    }

    /// It starts another program.
    fn process(&mut self, node: Node<'_>, call: &str) {
        self.used.permissions.insert("process");
        self.tell(
            Severity::Error,
            codes::SECURITY_PROCESS_EXECUTION,
            node,
            call,
        );
    }

    /// It makes code of text.
    fn evaluation(&mut self, node: Node<'_>, call: &str) {
        self.tell(
            Severity::Error,
            codes::SECURITY_DYNAMIC_EVALUATION,
            node,
            call,
        );
    }

    /// It takes the whole environment.
    fn environment(&mut self, node: Node<'_>, call: &str) {
        self.used.permissions.insert("environment");
        self.tell(
            Severity::Error,
            codes::SECURITY_ENVIRONMENT_DUMP,
            node,
            call,
        );
    }

    /// It calls what a variable names.
    fn variable(&mut self, node: Node<'_>, call: &str) {
        self.tell(Severity::Warning, codes::SECURITY_VARIABLE_CALL, node, call);
    }

    /// It reaches the network.
    fn network(&mut self, node: Node<'_>, call: &str) {
        self.used.permissions.insert("network");
        if !self.may_reach {
            self.tell(
                Severity::Warning,
                codes::SECURITY_NETWORK_UNDECLARED,
                node,
                call,
            );
        }
    }

    /// It runs what it decoded.
    fn decoded(&mut self, node: Node<'_>, call: &str, inner: &str) {
        let place = self.place(node);
        let finding = Finding::warning(codes::SECURITY_DECODE_AND_RUN, place)
            .with("call", shown(call))
            .with("inner", shown(inner));
        self.category.push(finding);
    }

    /// A text that is given to a name: is it a secret?
    fn named_text(&mut self, node: Node<'_>, name: &str, text: &str) {
        if is_secret(name, text) {
            let place = self.place(node);
            let finding = Finding::warning(codes::SECURITY_SECRET_WRITTEN, place);
            self.category.push(finding.with("name", shown(name)));
        }
    }

    /// Looks for one of these names being called anywhere inside a node.
    fn calls_inside(&self, node: Node<'_>, kinds: &[&str], names: &[&str]) -> Option<String> {
        let mut cursor = node.walk();
        let mut depth = 0_u32;
        loop {
            let inner = cursor.node();
            if kinds.contains(&inner.kind()) {
                let called = self
                    .field(inner, "function")
                    .or(self.field(inner, "constructor"));
                let called = called.unwrap_or_default();
                let last = called.rsplit(['.', '\\', ':']).next().unwrap_or_default();
                if names
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(last) || *name == called)
                {
                    return Some(called.to_owned());
                }
            }
            if cursor.goto_first_child() {
                depth += 1;
                continue;
            }
            loop {
                if depth == 0 {
                    return None;
                }
                if cursor.goto_next_sibling() {
                    break;
                }
                cursor.goto_parent();
                depth -= 1;
            }
        }
    }
}

fn line(node: Node<'_>) -> u32 {
    u32::try_from(node.start_position().row + 1).unwrap_or(u32::MAX)
}

/// In bytes: what editors count differs, and the line is what matters.
fn column(node: Node<'_>) -> u32 {
    u32::try_from(node.start_position().column + 1).unwrap_or(u32::MAX)
}

fn shown(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let mut shown: String = line.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// Whether a name says that it holds a secret, and the text looks like one rather than like a name,
/// a placeholder or a sentence.
fn is_secret(name: &str, text: &str) -> bool {
    const WORDS: [&str; 9] = [
        "password",
        "passwd",
        "secret",
        "apikey",
        "accesskey",
        "privatekey",
        "authtoken",
        "accesstoken",
        "clientsecret",
    ];
    const PLACEHOLDERS: [&str; 7] = [
        "example",
        "your",
        "change",
        "placeholder",
        "xxxx",
        "****",
        "<",
    ];
    let plain: String = name
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    let lower = text.to_lowercase();
    WORDS.iter().any(|word| plain.ends_with(word))
        && (8..=512).contains(&text.len())
        && !text.contains(char::is_whitespace)
        && text.chars().any(|c| c.is_ascii_digit())
        && !PLACEHOLDERS.iter().any(|word| lower.contains(word))
}

/// A text without the quotes around it.
fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\'', '`'])
}
