//! What JavaScript code does.

use tree_sitter::Node;

use super::{Look, unquoted};

const PROCESS_MODULES: [&str; 4] = ["child_process", "cluster", "worker_threads", "execa"];
const NETWORK_MODULES: [&str; 13] = [
    "http",
    "https",
    "http2",
    "net",
    "tls",
    "dgram",
    "axios",
    "node-fetch",
    "undici",
    "got",
    "request",
    "ws",
    "nodemailer",
];
const PROCESS: [&str; 5] = ["execSync", "execFileSync", "spawnSync", "execFile", "spawn"];
const NETWORK: [&str; 2] = ["fetch", "sendBeacon"];
const NETWORK_CLASSES: [&str; 4] = ["XMLHttpRequest", "WebSocket", "EventSource", "WebTransport"];
const VM: [&str; 5] = [
    "runInNewContext",
    "runInThisContext",
    "runInContext",
    "compileFunction",
    "execScript",
];
const DECODING: [&str; 4] = ["atob", "unescape", "Buffer.from", "inflateSync"];
const CALLS: [&str; 2] = ["call_expression", "new_expression"];

pub(super) fn visit(look: &mut Look<'_>, node: Node<'_>) {
    match node.kind() {
        "call_expression" => call(look, node),
        "new_expression" => {
            let class = look
                .field(node, "constructor")
                .unwrap_or_default()
                .to_owned();
            if class == "Function" || class.ends_with(".Function") {
                evaluation(look, node, "Function");
            } else if class.ends_with("Script") && class.contains("vm") {
                evaluation(look, node, &class);
            } else if NETWORK_CLASSES.contains(&class.as_str()) {
                look.network(node, &class);
            }
        }
        "import_statement" => {
            let module = look.field(node, "source").map(|it| unquoted(it).to_owned());
            if let Some(module) = module {
                imported(look, node, &module);
            }
        }
        "member_expression" if look.text(node) == "process.env" => {
            let one = node.parent().is_some_and(|parent| {
                matches!(parent.kind(), "member_expression" | "subscript_expression")
            });
            if !one {
                look.environment(node, "process.env");
            }
        }
        "variable_declarator" => text_for(look, node, "name", "value"),
        "assignment_expression" => text_for(look, node, "left", "right"),
        "pair" => text_for(look, node, "key", "value"),
        _ => {}
    }
}

fn call(look: &mut Look<'_>, node: Node<'_>) {
    let called = look.field(node, "function").unwrap_or_default().to_owned();
    let arguments = node.child_by_field_name("arguments");
    let first = arguments.and_then(|it| it.named_child(0));
    let text = first.map(|it| unquoted(look.text(it)).to_owned());
    let is_text = first.is_some_and(|it| matches!(it.kind(), "string" | "template_string"));
    let last = called.rsplit('.').next().unwrap_or_default();
    match called.as_str() {
        "eval" | "window.eval" | "globalThis.eval" | "global.eval" | "Function" => {
            evaluation(look, node, &called);
        }
        "require" | "import" => match text {
            Some(module) if is_text => imported(look, node, &module),
            Some(_) => look.variable(node, &called),
            None => {}
        },
        "setTimeout" | "setInterval" | "setImmediate" if is_text => evaluation(look, node, &called),
        _ if PROCESS.contains(&last) || called.contains("child_process") => {
            look.process(node, &called);
        }
        _ if VM.contains(&last) => evaluation(look, node, &called),
        _ if NETWORK.contains(&last) => look.network(node, &called),
        _ => {}
    }
}

fn imported(look: &mut Look<'_>, node: Node<'_>, module: &str) {
    let name = module.strip_prefix("node:").unwrap_or(module);
    if PROCESS_MODULES.contains(&name) {
        look.process(node, module);
    } else if NETWORK_MODULES.contains(&name) {
        look.network(node, module);
    } else if name == "vm" {
        look.evaluation(node, module);
    }
}

fn evaluation(look: &mut Look<'_>, node: Node<'_>, name: &str) {
    look.evaluation(node, name);
    if let Some(inner) = look.calls_inside(node, &CALLS, &DECODING) {
        look.decoded(node, name, &inner);
    }
}

fn text_for(look: &mut Look<'_>, node: Node<'_>, name: &str, value: &str) {
    let Some(value) = node.child_by_field_name(value) else {
        return;
    };
    if matches!(value.kind(), "string" | "template_string") {
        let name = unquoted(look.field(node, name).unwrap_or_default()).to_owned();
        let name = name.rsplit('.').next().unwrap_or_default().to_owned();
        let text = unquoted(look.text(value)).to_owned();
        look.named_text(value, &name, &text);
    }
}
