//! What PHP code does.

use tree_sitter::Node;

use super::{Look, unquoted};

const PROCESS: [&str; 8] = [
    "exec",
    "system",
    "shell_exec",
    "passthru",
    "popen",
    "proc_open",
    "pcntl_exec",
    "expect_popen",
];
const EVALUATION: [&str; 3] = ["eval", "assert", "create_function"];
const ENVIRONMENT: [&str; 3] = ["phpinfo", "get_defined_vars", "apache_getenv"];
const NETWORK: [&str; 13] = [
    "curl_init",
    "curl_exec",
    "curl_multi_exec",
    "fsockopen",
    "pfsockopen",
    "stream_socket_client",
    "stream_socket_server",
    "socket_create",
    "socket_connect",
    "ftp_connect",
    "ftp_ssl_connect",
    "ssh2_connect",
    "mail",
];
/// They take an address as well as a file.
const OPENING: [&str; 5] = ["file_get_contents", "fopen", "file", "copy", "readfile"];
const INDIRECT: [&str; 4] = [
    "call_user_func",
    "call_user_func_array",
    "forward_static_call",
    "register_shutdown_function",
];
const DECODING: [&str; 8] = [
    "base64_decode",
    "gzinflate",
    "gzuncompress",
    "gzdecode",
    "str_rot13",
    "hex2bin",
    "convert_uudecode",
    "zlib_decode",
];
const CALLS: [&str; 1] = ["function_call_expression"];

pub(super) fn visit(look: &mut Look<'_>, node: Node<'_>) {
    match node.kind() {
        "function_call_expression" => call(look, node),
        "shell_command_expression" => {
            let text = look.text(node).to_owned();
            look.process(node, &text);
        }
        "include_expression"
        | "include_once_expression"
        | "require_expression"
        | "require_once_expression" => {
            if let Some(inner) = look.calls_inside(node, &CALLS, &DECODING) {
                let text = look.text(node).to_owned();
                look.decoded(node, &text, &inner);
            }
        }
        // `eval` and `exit` are words of the language in some versions of the grammar.
        "eval_expression" => evaluation(look, node, "eval"),
        "variable_name" if look.text(node) == "$_ENV" => {
            let parent = node.parent();
            let one = parent.is_some_and(|it| it.kind() == "subscript_expression");
            if !one {
                look.environment(node, "$_ENV");
            }
        }
        "assignment_expression" => {
            let (left, right) = (
                node.child_by_field_name("left"),
                node.child_by_field_name("right"),
            );
            text_for(look, left, right);
        }
        "const_element" | "array_element_initializer" | "property_element" => {
            let first = node.named_child(0);
            let last = u32::try_from(node.named_child_count().saturating_sub(1))
                .ok()
                .and_then(|last| node.named_child(last));
            text_for(look, first, last);
        }
        _ => {}
    }
}

fn call(look: &mut Look<'_>, node: Node<'_>) {
    let Some(function) = node.child_by_field_name("function") else {
        return;
    };
    let text = look.text(function).to_owned();
    if !matches!(function.kind(), "name" | "qualified_name" | "relative_name") {
        // A method or property that holds a function is common and fine; a bare variable says nothing.
        if matches!(function.kind(), "variable_name" | "dynamic_variable_name") {
            look.variable(node, &text);
        }
        return;
    }
    let name = text
        .rsplit('\\')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let is = |names: &[&str]| names.contains(&name.as_str());
    let arguments = node.child_by_field_name("arguments");
    let first = arguments.and_then(|it| it.named_child(0));
    if is(&PROCESS) {
        look.process(node, &name);
    } else if is(&EVALUATION) {
        evaluation(look, node, &name);
    } else if is(&ENVIRONMENT) || (name == "getenv" && first.is_none()) {
        look.environment(node, &name);
    } else if is(&NETWORK) {
        look.network(node, &name);
    } else if is(&OPENING) {
        let address = first.map(|it| unquoted(look.text(it)).to_ascii_lowercase());
        let remote = [
            "http://", "https://", "ftp://", "ssl://", "tls://", "tcp://", "udp://",
        ];
        if address.is_some_and(|it| remote.iter().any(|scheme| it.starts_with(scheme))) {
            look.network(node, &name);
        }
    } else if is(&INDIRECT) {
        let named = first
            .map(|it| look.text(it))
            .is_some_and(|it| it.starts_with('$'));
        if named {
            look.variable(node, &name);
        }
    } else if name == "define" {
        text_for(look, first, arguments.and_then(|it| it.named_child(1)));
    }
}

fn evaluation(look: &mut Look<'_>, node: Node<'_>, name: &str) {
    look.evaluation(node, name);
    if let Some(inner) = look.calls_inside(node, &CALLS, &DECODING) {
        look.decoded(node, name, &inner);
    }
}

/// A text that a variable, constant, property or key gets.
fn text_for(look: &mut Look<'_>, name: Option<Node<'_>>, value: Option<Node<'_>>) {
    let (Some(name), Some(value)) = (name, value) else {
        return;
    };
    let mut value = value;
    while matches!(value.kind(), "argument" | "array_element_initializer") {
        let Some(inner) = value.named_child(0) else {
            return;
        };
        value = inner;
    }
    if matches!(value.kind(), "string" | "encapsed_string") {
        let name = unquoted(look.text(name)).to_owned();
        let text = unquoted(look.text(value)).to_owned();
        look.named_text(value, &name, &text);
    }
}
