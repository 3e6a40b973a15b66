//! Commands on the control channel, byte for byte (§ "control messages" of eKuiper's protocol).

use plugyard_symbol::NodeId;
use serde::Serialize;
use serde_json::{Map, Value as Json};

/// What kind of symbol a command is about, in the protocol's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub(crate) enum PluginType {
    #[serde(rename = "source")]
    Source,
    #[serde(rename = "sink")]
    Sink,
    #[serde(rename = "func")]
    Function,
}

/// What is to be started or stopped; `stop` repeats the `arg` of the matching `start` exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    start: Vec<u8>,
    stop: Vec<u8>,
}

#[derive(Serialize)]
struct Meta<'a> {
    #[serde(rename = "ruleId")]
    rule: &'a str,
    #[serde(rename = "opId")]
    op: &'a str,
    #[serde(rename = "instanceId")]
    instance: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Arg<'a> {
    symbol_name: &'a str,
    meta: Meta<'a>,
    plugin_type: PluginType,
    #[serde(skip_serializing_if = "str::is_empty")]
    data_source: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    config: &'a Map<String, Json>,
    /// The Python SDK looks for this spelling (HOST-33); last, so that the documented keys keep their order.
    #[serde(skip_serializing_if = "str::is_empty")]
    datasource: &'a str,
}

#[derive(Serialize)]
struct Command<'a> {
    cmd: &'a str,
    arg: &'a str,
}

impl Order {
    /// The commands for one instance of a symbol.
    pub(crate) fn new(
        plugin_type: PluginType,
        symbol: &str,
        node: &NodeId,
        datasource: &str,
        config: &Map<String, Json>,
    ) -> Self {
        let arg = Arg {
            symbol_name: symbol,
            meta: Meta {
                rule: &node.rule_id,
                op: &node.op_id,
                instance: node.instance_id,
            },
            plugin_type,
            data_source: datasource,
            config,
            datasource,
        };
        let arg = serde_json::to_string(&arg).expect("text and JSON values can be written");
        let command = |cmd| {
            serde_json::to_vec(&Command { cmd, arg: &arg }).expect("two texts can be written")
        };
        Self {
            start: command("start"),
            stop: command("stop"),
        }
    }

    /// The order for a function, which has no instance of its own.
    pub(crate) fn function(symbol: &str) -> Self {
        let node = NodeId {
            rule_id: String::new(),
            op_id: String::new(),
            instance_id: 0,
        };
        Self::new(PluginType::Function, symbol, &node, "", &Map::new())
    }

    pub(crate) fn start(&self) -> &[u8] {
        &self.start
    }

    pub(crate) fn stop(&self) -> &[u8] {
        &self.stop
    }
}

/// What a plugin answered to a command.
pub(crate) fn read_reply(reply: &[u8]) -> Result<(), String> {
    if reply == b"ok" {
        return Ok(());
    }
    Err(useful_first(&String::from_utf8_lossy(reply)))
}

/// The last line of a traceback first, then the rest (HOST-20).
pub(crate) fn useful_first(text: &str) -> String {
    let text = text.trim_end();
    let Some((rest, last)) = text.rsplit_once('\n') else {
        return text.to_owned();
    };
    // A traceback of Python ends with the exception; the frames before it are for later.
    format!("{}\n{}", last.trim(), rest.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeId {
        NodeId {
            rule_id: "rule1".into(),
            op_id: "op1".into(),
            instance_id: 0,
        }
    }

    fn config(text: &str) -> Map<String, Json> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn fact_23_commands_are_exactly_the_documented_bytes() {
        let order = Order::new(
            PluginType::Sink,
            "symbol1",
            &node(),
            "",
            &config(r#"{"abc":1}"#),
        );
        assert_eq!(
            String::from_utf8(order.start().to_vec()).unwrap(),
            r#"{"cmd":"start","arg":"{\"symbolName\":\"symbol1\",\"meta\":{\"ruleId\":\"rule1\",\"opId\":\"op1\",\"instanceId\":0},\"pluginType\":\"sink\",\"config\":{\"abc\":1}}"}"#
        );
        let order = Order::new(PluginType::Sink, "symbol1", &node(), "", &Map::new());
        assert_eq!(
            String::from_utf8(order.stop().to_vec()).unwrap(),
            r#"{"cmd":"stop","arg":"{\"symbolName\":\"symbol1\",\"meta\":{\"ruleId\":\"rule1\",\"opId\":\"op1\",\"instanceId\":0},\"pluginType\":\"sink\"}"}"#
        );
        let order = Order::new(
            PluginType::Source,
            "s",
            &node(),
            "",
            &config(r#"{"z":{"y":[1,{"b":2,"a":1}]},"a":"\"q\""}"#),
        );
        let text = String::from_utf8(order.start().to_vec()).unwrap();
        assert!(
            text.contains(
                r#"\"config\":{\"z\":{\"y\":[1,{\"b\":2,\"a\":1}]},\"a\":\"\\\"q\\\"\"}"#
            ),
            "{text}"
        );
    }

    #[test]
    fn fact_23_a_function_has_an_empty_meta() {
        assert_eq!(
            String::from_utf8(Order::function("revert").start().to_vec()).unwrap(),
            r#"{"cmd":"start","arg":"{\"symbolName\":\"revert\",\"meta\":{\"ruleId\":\"\",\"opId\":\"\",\"instanceId\":0},\"pluginType\":\"func\"}"}"#
        );
    }

    #[test]
    fn host_33_the_data_source_is_sent_in_both_spellings() {
        let order = Order::new(
            PluginType::Source,
            "s",
            &node(),
            "topic",
            &config(r#"{"abc":1}"#),
        );
        let text = String::from_utf8(order.start().to_vec()).unwrap();
        assert!(
            text.ends_with(r#"\"pluginType\":\"source\",\"dataSource\":\"topic\",\"config\":{\"abc\":1},\"datasource\":\"topic\"}"}"#),
            "{text}"
        );
    }

    #[test]
    fn host_20_the_last_line_of_a_traceback_comes_first() {
        let reply =
            b"Traceback (most recent call last):\n  File \"x\", line 1\nKeyError: 'nosuch'\n";
        let text = read_reply(reply).unwrap_err();
        assert_eq!(text.lines().next(), Some("KeyError: 'nosuch'"));
        assert!(text.contains("File \"x\""));
        assert_eq!(
            read_reply(b"symbol not found"),
            Err("symbol not found".into())
        );
        assert_eq!(read_reply(b"ok"), Ok(()));
        assert!(read_reply(b"okay").is_err());
    }
}
