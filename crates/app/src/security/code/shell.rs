//! What shell scripts do. That they start programs is what they are for; told is only what hides which,
//! takes other rights, or leaves a process behind.

use tree_sitter::Node;

use super::{Look, unquoted};

const EVALUATION: [&str; 1] = ["eval"];
const PROCESS: [&str; 9] = [
    "sudo", "su", "doas", "chroot", "nsenter", "setsid", "nohup", "at", "crontab",
];
const NETWORK: [&str; 11] = [
    "curl", "wget", "nc", "ncat", "netcat", "telnet", "ssh", "scp", "sftp", "ftp", "socat",
];
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "zsh", "ksh", "php"];
const DECODING: [&str; 5] = ["base64", "xxd", "gunzip", "zcat", "openssl"];

pub(super) fn visit(look: &mut Look<'_>, node: Node<'_>) {
    match node.kind() {
        "command" => command(look, node),
        "pipeline" => pipeline(look, node),
        "variable_assignment" => {
            let Some(value) = node.child_by_field_name("value") else {
                return;
            };
            if matches!(value.kind(), "string" | "raw_string" | "word") {
                let name = look.field(node, "name").unwrap_or_default().to_owned();
                let text = unquoted(look.text(value)).to_owned();
                if !text.contains('$') {
                    look.named_text(value, &name, &text);
                }
            }
        }
        "declaration_command" if matches!(look.text(node).trim(), "export -p" | "declare -x") => {
            let text = look.text(node).to_owned();
            look.environment(node, &text);
        }
        _ => {}
    }
}

fn command(look: &mut Look<'_>, node: Node<'_>) {
    let Some(name) = node.child_by_field_name("name") else {
        return;
    };
    let called = look.text(name).to_owned();
    let base = base(&called).to_owned();
    let mut cursor = node.walk();
    let arguments: Vec<Node<'_>> = node
        .children_by_field_name("argument", &mut cursor)
        .collect();
    let words: Vec<String> = arguments
        .iter()
        .map(|it| look.text(*it).to_owned())
        .collect();
    let computed =
        |word: Option<&String>| word.is_some_and(|word| word.contains('$') || word.contains('`'));
    let is = |names: &[&str]| names.contains(&base.as_str());
    let run = is(&SHELLS) && words.iter().any(|word| word == "-c") && computed(words.last());
    let read = is(&["source", "."]) && computed(words.first());
    if is(&EVALUATION) || run || read {
        look.evaluation(node, &called);
    } else if is(&PROCESS) {
        look.process(node, &called);
    } else if is(&["env", "printenv"]) && words.is_empty() {
        look.environment(node, &called);
    } else if is(&NETWORK) {
        look.network(node, &called);
    } else if called.starts_with('$') {
        look.variable(node, &called);
    }
}

/// `… | base64 -d | sh`, `curl … | sh`.
fn pipeline(look: &mut Look<'_>, node: Node<'_>) {
    let mut cursor = node.walk();
    let names: Vec<String> = node
        .named_children(&mut cursor)
        .filter(|it| it.kind() == "command")
        .map(|it| base(look.field(it, "name").unwrap_or_default()).to_owned())
        .collect();
    let Some((last, before)) = names.split_last() else {
        return;
    };
    if !SHELLS.contains(&last.as_str()) {
        return;
    }
    look.evaluation(node, &format!("| {last}"));
    let decoded = before
        .iter()
        .find(|name| DECODING.contains(&name.as_str()) || NETWORK.contains(&name.as_str()));
    if let Some(inner) = decoded {
        look.decoded(node, last, inner);
    }
}

fn base(command: &str) -> &str {
    command.rsplit('/').next().unwrap_or_default()
}
