//! What Python code does.

use tree_sitter::Node;

use super::{Look, unquoted};

const PROCESS_MODULES: [&str; 6] = [
    "subprocess",
    "pty",
    "commands",
    "popen2",
    "pexpect",
    "multiprocessing",
];
const NETWORK_MODULES: [&str; 17] = [
    "socket",
    "ssl",
    "requests",
    "urllib.request",
    "urllib3",
    "http.client",
    "http.server",
    "httpx",
    "aiohttp",
    "ftplib",
    "smtplib",
    "telnetlib",
    "poplib",
    "imaplib",
    "paramiko",
    "websockets",
    "xmlrpc.client",
];
const OS_PROCESS: [&str; 4] = ["system", "popen", "fork", "forkpty"];
const EVALUATION: [&str; 4] = ["eval", "exec", "compile", "__import__"];
const DECODING: [&str; 10] = [
    "b64decode",
    "b32decode",
    "b16decode",
    "a85decode",
    "decompress",
    "loads",
    "unhexlify",
    "fromhex",
    "decode",
    "decodebytes",
];
const CALLS: [&str; 1] = ["call"];

pub(super) fn visit(look: &mut Look<'_>, node: Node<'_>) {
    match node.kind() {
        "call" => call(look, node),
        "import_statement" | "import_from_statement" | "future_import_statement" => {
            import(look, node);
        }
        "attribute" if look.text(node) == "os.environ" => {
            let parent = node.parent();
            let one = parent.is_some_and(|parent| match parent.kind() {
                // `os.environ["X"]` and `os.environ.get("X")` read one; `X in os.environ` none.
                "subscript" | "comparison_operator" => true,
                "attribute" => ["get", "setdefault", "pop"]
                    .contains(&look.field(parent, "attribute").unwrap_or_default()),
                _ => false,
            });
            if !one {
                look.environment(node, "os.environ");
            }
        }
        "assignment" => text_for(look, node, "left", "right"),
        "pair" => text_for(look, node, "key", "value"),
        "keyword_argument" => text_for(look, node, "name", "value"),
        _ => {}
    }
}

fn call(look: &mut Look<'_>, node: Node<'_>) {
    let Some(function) = node.child_by_field_name("function") else {
        return;
    };
    let called = look.text(function).to_owned();
    let called = called.strip_prefix("builtins.").unwrap_or(&called);
    if EVALUATION.contains(&called) {
        look.evaluation(node, called);
        if let Some(inner) = look.calls_inside(node, &CALLS, &DECODING) {
            look.decoded(node, called, &inner);
        }
        return;
    }
    let module = called.split('.').next().unwrap_or_default();
    if let Some(name) = called.strip_prefix("os.") {
        let starts = ["exec", "spawn", "posix_spawn"];
        if OS_PROCESS.contains(&name) || starts.iter().any(|start| name.starts_with(start)) {
            look.process(node, called);
        }
    } else if PROCESS_MODULES.contains(&module) {
        look.process(node, called);
    } else if called == "importlib.import_module" {
        let known = node
            .child_by_field_name("arguments")
            .and_then(|it| it.named_child(0))
            .is_some_and(|it| it.kind() == "string");
        if !known {
            look.variable(node, called);
        }
    } else {
        let computed: &[&str] = match function.kind() {
            "subscript" => &["globals()", "locals()"],
            "call" => &["getattr("],
            _ => &[],
        };
        if computed.iter().any(|start| called.starts_with(start)) {
            look.variable(node, called);
        }
    }
}

fn import(look: &mut Look<'_>, node: Node<'_>) {
    let from = look.field(node, "module_name").map(str::to_owned);
    let mut cursor = node.walk();
    let names: Vec<String> = node
        .children_by_field_name("name", &mut cursor)
        .map(|name| {
            let name = name.child_by_field_name("name").unwrap_or(name);
            look.text(name).to_owned()
        })
        .collect();
    match from {
        Some(module) => {
            let os_process = |name: &String| {
                OS_PROCESS.contains(&name.as_str())
                    || ["exec", "spawn"]
                        .iter()
                        .any(|start| name.starts_with(start))
            };
            if module == "os" {
                if let Some(name) = names.iter().find(|name| os_process(name)) {
                    look.process(node, &format!("os.{name}"));
                }
                if names.iter().any(|name| name == "environ") {
                    look.environment(node, "os.environ");
                }
            } else if PROCESS_MODULES.contains(&module.as_str()) {
                look.process(node, &module);
            } else {
                network(look, node, &module);
                for name in &names {
                    network(look, node, &format!("{module}.{name}"));
                }
            }
        }
        None => {
            for name in &names {
                // What is imported whole is told where it is called.
                network(look, node, name);
            }
        }
    }
}

fn network(look: &mut Look<'_>, node: Node<'_>, module: &str) {
    let known = NETWORK_MODULES.iter().any(|known| {
        module == *known
            || module
                .strip_prefix(known)
                .is_some_and(|it| it.starts_with('.'))
    });
    if known {
        look.network(node, module);
    }
}

fn text_for(look: &mut Look<'_>, node: Node<'_>, name: &str, value: &str) {
    let Some(value) = node
        .child_by_field_name(value)
        .filter(|it| it.kind() == "string")
    else {
        return;
    };
    let name = look.field(node, name).unwrap_or_default();
    let name = unquoted(name.rsplit('.').next().unwrap_or_default()).to_owned();
    let text = unquoted(look.text(value)).to_owned();
    look.named_text(value, &name, &text);
}
