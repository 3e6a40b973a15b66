//! A rule as it was written: its JSON read and checked as far as that goes without knowing any symbol.

mod options;

pub(crate) use options::{CacheOptions, Compression, Due, Format, Priority, SinkOptions};
pub use options::{RestartStrategy, RuleLogOptions, RuleOptions, Schedule};

use serde_json::{Map, Value as Json};

use crate::{FlowError, graph};

/// Largest rule that is read, in bytes.
const MAX_RULE: usize = 1024 * 1024;
/// A word of the routes below `/rules/`: a rule of that id could not be shown.
const RESERVED: &str = "validate";
/// Longest id.
const MAX_ID: usize = 128;

/// One entry of `actions`, or a sink of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// The name of its node, in a graph.
    pub name: Option<String>,
    /// The sink symbol.
    pub sink: String,
    /// What the rule says about it.
    pub properties: Map<String, Json>,
}

impl Action {
    /// What it is called in topology and metrics: its node's name, or its sink and place.
    pub fn op_id(&self, index: usize) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => format!("{}_{index}", self.sink),
        }
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleDefinition {
    /// Its id.
    pub id: String,
    /// What it is called; may be empty.
    pub name: String,
    /// Its version; may be empty.
    pub version: String,
    /// The statement; empty where there is a graph.
    pub sql: String,
    /// The graph, where there is no statement.
    pub graph: Option<Map<String, Json>>,
    /// Where its rows go: the entries of `actions`, or the sinks of the graph.
    pub actions: Vec<Action>,
    /// How it runs.
    pub options: RuleOptions,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether creating it starts it.
    pub triggered: bool,
    /// Whether it is gone when the program ends.
    pub temp: bool,
}

impl RuleDefinition {
    /// Reads a rule. `id` is the one the address names, if it does.
    ///
    /// # Errors
    /// [`FlowError::RuleJson`], [`FlowError::RuleId`] or [`FlowError::RuleOptions`].
    pub fn parse(json: &str, id: Option<&str>) -> Result<Self, FlowError> {
        let malformed = |text: String| FlowError::RuleJson(text);
        if json.len() > MAX_RULE {
            return Err(malformed(format!(
                "it has {} bytes, more than the {MAX_RULE} allowed",
                json.len()
            )));
        }
        let rule: Map<String, Json> =
            serde_json::from_str(json).map_err(|error| malformed(error.to_string()))?;
        let text = |key: &str| match rule.get(key) {
            None | Some(Json::Null) => Ok(String::new()),
            Some(Json::String(text)) => Ok(text.clone()),
            Some(_) => Err(malformed(format!("`{key}` must be a text"))),
        };
        let flag = |key: &str, default: bool| match rule.get(key) {
            None | Some(Json::Null) => Ok(default),
            Some(Json::Bool(truth)) => Ok(*truth),
            Some(_) => Err(malformed(format!("`{key}` must be true or false"))),
        };
        let id = rule_id(&text("id")?, id)?;
        let graph = match rule.get("graph") {
            None | Some(Json::Null) => None,
            Some(Json::Object(graph)) if graph.is_empty() => None,
            Some(Json::Object(graph)) => Some(graph.clone()),
            Some(_) => return Err(malformed("`graph` must be an object".to_owned())),
        };
        let sql = text("sql")?;
        let actions = match &graph {
            Some(_) if !sql.trim().is_empty() => {
                return Err(malformed(
                    "`sql` and `graph` cannot be used together".to_owned(),
                ));
            }
            Some(_)
                if rule
                    .get("actions")
                    .is_some_and(|actions| !is_neutral(actions)) =>
            {
                return Err(malformed(
                    "`actions` and `graph` cannot be used together: the sinks of a graph are nodes"
                        .to_owned(),
                ));
            }
            Some(graph) => graph::sinks(graph)?,
            None if sql.trim().is_empty() => {
                return Err(malformed("Missing rule SQL".to_owned()));
            }
            None => actions(rule.get("actions"))?,
        };
        Ok(Self {
            name: text("name")?,
            version: text("version")?,
            sql,
            graph,
            actions,
            options: RuleOptions::parse(rule.get("options")).map_err(|reason| {
                FlowError::RuleOptions {
                    id: id.clone(),
                    reason,
                }
            })?,
            tags: tags(rule.get("tags"))?,
            triggered: flag("triggered", true)?,
            temp: flag("temp", false)?,
            id,
        })
    }
}

/// The id of the body or the address; where both have one they must be the same.
fn rule_id(body: &str, address: Option<&str>) -> Result<String, FlowError> {
    let id = match (body, address) {
        ("", None) => return Err(FlowError::RuleId("Missing rule id".to_owned())),
        ("", Some(address)) => address,
        (body, Some(address)) if body != address => {
            return Err(FlowError::RuleId(format!(
                "the rule's id `{body}` differs from `{address}` in the address"
            )));
        }
        (body, _) => body,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !id.bytes().all(plain) {
        return Err(FlowError::RuleId(format!(
            "id '{id}' contains invalid characters: only alphanumeric, hyphens and underscores are allowed"
        )));
    }
    if id == RESERVED {
        return Err(FlowError::RuleId(format!(
            "id '{id}' is a word of the routes and cannot be a rule's"
        )));
    }
    if id.len() > MAX_ID {
        return Err(FlowError::RuleId(format!(
            "id '{id}' has more than {MAX_ID} characters"
        )));
    }
    Ok(id.to_owned())
}

fn actions(json: Option<&Json>) -> Result<Vec<Action>, FlowError> {
    let malformed = |text: String| FlowError::RuleJson(text);
    let list = match json {
        None | Some(Json::Null) => return Err(malformed("Missing rule actions".to_owned())),
        Some(Json::Array(list)) if list.is_empty() => {
            return Err(malformed("Missing rule actions".to_owned()));
        }
        Some(Json::Array(list)) => list,
        Some(_) => return Err(malformed("`actions` must be a list".to_owned())),
    };
    list.iter()
        .enumerate()
        .map(|(index, action)| {
            let single = action.as_object().filter(|action| action.len() == 1);
            let Some((sink, properties)) = single.and_then(|action| action.iter().next()) else {
                return Err(malformed(format!(
                    "`actions[{index}]` must be an object with one key, the sink"
                )));
            };
            let properties = match properties {
                Json::Null => Map::new(),
                Json::Object(properties) => properties.clone(),
                _ => {
                    return Err(malformed(format!(
                        "`actions[{index}].{sink}` must be an object"
                    )));
                }
            };
            Ok(Action {
                name: None,
                sink: sink.clone(),
                properties,
            })
        })
        .collect()
}

fn tags(json: Option<&Json>) -> Result<Vec<String>, FlowError> {
    let malformed = || FlowError::RuleJson("`tags` must be a list of texts".to_owned());
    match json {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::Array(tags)) => tags
            .iter()
            .map(|tag| tag.as_str().map(str::to_owned).ok_or_else(malformed))
            .collect(),
        Some(_) => Err(malformed()),
    }
}

/// Whether a value says nothing: what the interfaces of others send for options that are not set.
fn is_neutral(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Bool(true) => false,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => {
            text.is_empty()
                || plugyard_model::parse_duration(text).is_ok_and(|duration| duration.is_zero())
        }
        Json::Array(list) => list.is_empty(),
        Json::Object(map) => map.values().all(is_neutral),
    }
}
