//! A rule as a graph: `{"nodes": {…}, "topo": {"sources": […], "edges": {…}}}`, eKuiper's other way of writing
//! one. It becomes the same [`Operators`] as a statement with a window.
//!
//! There: one source (its own, or a stream), any number of sinks, and the operators of [`OPERATORS`]. Joins and
//! scripts are refused by name. By event time rows are put into order before anything else, whether a `watermark` says
//! so or not.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value as Json};
use sqlparser::ast::SelectItem;

use crate::FlowError;
use crate::operators::{Operator, Operators, Target, Work};
use crate::rule::{Action, RuleDefinition};
use crate::sql::SqlError;
use crate::sql::expr::{Expr, Place};
use crate::sql::select::{self, Item};
use crate::sql::stream::{StreamDefinition, StreamOptions, names_connection};
use crate::sql::translate::{Rows, Scope, Translator};
use crate::sql::window::{Unit, Window};
use crate::suggest::suggest;

/// Operator types that are there, and the properties of each.
const OPERATORS: &[(&str, &[&str])] = &[
    ("aggfunc", &["expr"]),
    ("filter", &["expr"]),
    ("function", &["expr"]),
    ("groupby", &["dimensions"]),
    ("orderby", &["sorts"]),
    ("pick", &["fields", "isAgg"]),
    ("switch", &["cases", "stopAtFirstMatch"]),
    ("watermark", &["emitters", "sendWatermark"]),
    ("window", &["type", "unit", "size", "interval"]),
];
/// Operator types of eKuiper that are not.
const REFUSED: &[&str] = &["join", "script"];
/// Most nodes.
const MAX_NODES: usize = 256;
/// Longest name of a node.
const MAX_NAME: usize = 128;

/// A graph, read.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    /// The source node's name.
    pub(crate) source: String,
    /// Its type: a source symbol.
    pub(crate) source_type: String,
    pub(crate) reads: Reads,
    pub(crate) operators: Operators,
}

/// Where a graph's rows come from.
#[derive(Debug, Clone)]
pub(crate) enum Reads {
    /// A stream of that name.
    Stream(String),
    /// A source of its own, told as a stream would be.
    Own(Arc<StreamDefinition>),
}

/// What passes between two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// One row at a time.
    Row,
    /// The rows of a window.
    Rows,
    /// Groups of rows.
    Groups,
}

type Nodes = Map<String, Json>;

fn wrong(text: impl Into<String>) -> FlowError {
    FlowError::Plan(text.into())
}

/// The sinks of a graph, in the order of their nodes.
///
/// # Errors
/// [`FlowError::RuleJson`] when the graph is not of the right shape.
pub(crate) fn sinks(graph: &Map<String, Json>) -> Result<Vec<Action>, FlowError> {
    let mut sinks = Vec::new();
    for (name, node) in nodes(graph)? {
        if text(node, "type") == "sink" {
            sinks.push(Action {
                name: Some(name.clone()),
                sink: text(node, "nodeType").to_owned(),
                properties: props(name, node)?.clone(),
            });
        }
    }
    if sinks.is_empty() {
        return Err(FlowError::RuleJson("`graph` has no sink".to_owned()));
    }
    Ok(sinks)
}

fn nodes(graph: &Map<String, Json>) -> Result<&Nodes, FlowError> {
    let malformed = |text: &str| FlowError::RuleJson(text.to_owned());
    for key in graph.keys() {
        if !["nodes", "topo"].contains(&key.as_str()) {
            return Err(malformed(&format!(
                "`graph.{key}` is not known; `nodes` and `topo` are"
            )));
        }
    }
    let nodes = graph
        .get("nodes")
        .and_then(Json::as_object)
        .ok_or_else(|| malformed("`graph.nodes` must be an object"))?;
    if nodes.len() > MAX_NODES {
        return Err(malformed(&format!(
            "`graph` has more than {MAX_NODES} nodes"
        )));
    }
    for (name, node) in nodes {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
            return Err(malformed(&format!(
                "node `{name}`: a name has 1 to {MAX_NAME} letters, digits, `_` and `-`"
            )));
        }
        match text(node, "type") {
            "source" | "operator" | "sink" => {}
            other => {
                return Err(malformed(&format!(
                    "unknown node type {other} of node `{name}`; source, operator and sink are"
                )));
            }
        }
        if text(node, "nodeType").is_empty() {
            return Err(malformed(&format!("node `{name}` has no `nodeType`")));
        }
    }
    Ok(nodes)
}

/// A text of a node; empty where it has none.
fn text<'a>(node: &'a Json, key: &str) -> &'a str {
    node.get(key).and_then(Json::as_str).unwrap_or_default()
}

fn props<'a>(name: &str, node: &'a Json) -> Result<&'a Map<String, Json>, FlowError> {
    static NONE: LazyLock<Map<String, Json>> = LazyLock::new(Map::new);
    match node.get("props") {
        None | Some(Json::Null) => Ok(&NONE),
        Some(Json::Object(props)) => Ok(props),
        Some(_) => Err(FlowError::RuleJson(format!(
            "`props` of node `{name}` must be an object"
        ))),
    }
}

/// The edges: from which node and which of its outputs to which nodes.
type Edges = BTreeMap<String, Vec<Vec<String>>>;

impl Graph {
    /// Reads the graph of a rule.
    ///
    /// # Errors
    /// [`FlowError::RuleJson`] when it is not of the right shape, [`FlowError::Plan`] with the node when it
    /// cannot be, or asks for what is not there.
    pub(crate) fn read(
        rule: &RuleDefinition,
        graph: &Map<String, Json>,
    ) -> Result<Self, FlowError> {
        let nodes = nodes(graph)?;
        let (source, edges) = topology(graph, nodes)?;
        let node = &nodes[&source];
        let (source_type, reads) = read_source(&source, node)?;
        let order = in_order(nodes, &source, &edges)?;
        let index = |name: &str| order.iter().position(|it| it == name);
        let target = |name: &String| -> Result<Target, FlowError> {
            if let Some(index) = index(name) {
                return Ok(Target::Operator(index));
            }
            let sink = rule
                .actions
                .iter()
                .position(|action| action.name.as_deref() == Some(name));
            sink.map(Target::Sink)
                .ok_or_else(|| wrong(format!("node {name} cannot be led to")))
        };
        let outputs = |name: &str| -> Result<Vec<Vec<Target>>, FlowError> {
            let outputs = edges.get(name).into_iter().flatten();
            outputs
                .map(|names| names.iter().map(target).collect())
                .collect()
        };
        let mut kinds: Vec<Option<Kind>> = vec![None; order.len()];
        for target in outputs(&source)?.iter().flatten() {
            if let Target::Operator(first) = target {
                kinds[*first] = Some(Kind::Row);
            }
        }
        let mut translator = Translator::new(Scope {
            stream: source.clone(),
            alias: match &reads {
                Reads::Stream(name) => Some(name.clone()),
                Reads::Own(_) => None,
            },
        });
        let mut list = Vec::with_capacity(order.len());
        for (index, name) in order.iter().enumerate() {
            let outputs = outputs(name)?;
            let reader = Reader {
                name,
                node: &nodes[name.as_str()],
                comes: kinds[index].unwrap_or(Kind::Row),
                index,
            };
            let (work, gives) = reader.read(&mut translator)?;
            let cases = match &work {
                Work::Switch { cases, .. } => cases.len(),
                _ => 1,
            };
            if outputs.len() > cases {
                return Err(wrong(format!(
                    "node {name} has {cases} output, but edges from {}; only a switch has several",
                    outputs.len()
                )));
            }
            for target in outputs.iter().flatten() {
                if let Target::Operator(next) = target {
                    // Of several inputs the one that does not fit is the one to tell of.
                    kinds[*next] = kinds[*next].max(Some(gives));
                }
            }
            let mut outputs = outputs;
            outputs.resize(cases, Vec::new());
            list.push(Operator {
                name: name.clone(),
                work,
                outputs,
            });
        }
        let mut entry = outputs(&source)?;
        if entry.len() > 1 {
            return Err(wrong(format!("source {source} has several outputs")));
        }
        let mut operators = Operators {
            list,
            entry: entry.pop().unwrap_or_default(),
            columns: None,
            calls: translator.calls,
        };
        order_by_time(rule, &mut operators)?;
        Ok(Self {
            source,
            source_type,
            reads,
            operators,
        })
    }
}

/// Sees to it that by event time rows are put into order before anything else, and only then.
fn order_by_time(rule: &RuleDefinition, operators: &mut Operators) -> Result<(), FlowError> {
    let marks = |operator: &&Operator| matches!(operator.work, Work::Watermark);
    let Some(operator) = operators.list.iter().find(marks) else {
        if rule.options.event_time {
            let taken = |name: &str| operators.list.iter().any(|it| it.name == name);
            let mut name = "watermark".to_owned();
            while taken(&name) {
                name.push('_');
            }
            operators.order_first(name);
        }
        return Ok(());
    };
    let wrong = |text: &str| {
        let name = &operator.name;
        Err(wrong(format!("parse watermark {name} error: {text}")))
    };
    if !rule.options.event_time {
        return wrong("it needs the option isEventTime");
    }
    if operators.entry != [Target::Operator(0)] || !marks(&&operators.list[0]) {
        return wrong("it must be all that the source leads to");
    }
    if operators.list.iter().filter(marks).count() > 1 {
        return wrong("there is another one");
    }
    Ok(())
}

/// The source and the edges, all of whose ends are there.
fn topology(graph: &Map<String, Json>, nodes: &Nodes) -> Result<(String, Edges), FlowError> {
    let malformed = |text: &str| FlowError::RuleJson(text.to_owned());
    let topo = graph.get("topo").and_then(Json::as_object);
    let topo = topo.ok_or_else(|| malformed("`graph.topo` must be an object"))?;
    let sources = topo.get("sources").and_then(Json::as_array);
    let sources = sources.ok_or_else(|| malformed("`graph.topo.sources` must be a list"))?;
    let source = match &sources[..] {
        [Json::String(source)] => source.clone(),
        [] => return Err(malformed("`graph.topo.sources` is empty")),
        [_] => return Err(malformed("`graph.topo.sources` must be a list of names")),
        _ => return Err(wrong("several sources in a graph are not supported")),
    };
    match nodes.get(&source) {
        None => return Err(wrong(format!("source node {source} not defined"))),
        Some(node) if text(node, "type") != "source" => {
            return Err(wrong(format!("source {source} is not a source type node")));
        }
        Some(_) => {}
    }
    let given = topo.get("edges").and_then(Json::as_object);
    let given = given.ok_or_else(|| malformed("`graph.topo.edges` must be an object"))?;
    let mut edges = Edges::new();
    for (from, to) in given {
        if !nodes.contains_key(from) {
            return Err(wrong(format!("node {from} is not defined")));
        }
        let shape = || {
            FlowError::RuleJson(format!(
                "`graph.topo.edges.{from}` must be a list of names, or of such lists for a switch"
            ))
        };
        let mut outputs = vec![Vec::new()];
        let list = to.as_array().ok_or_else(shape)?;
        for (index, entry) in list.iter().enumerate() {
            match entry {
                Json::String(name) => outputs[0].push(name.clone()),
                Json::Array(names) => {
                    let names: Option<Vec<_>> = names
                        .iter()
                        .map(|name| name.as_str().map(str::to_owned))
                        .collect();
                    outputs.resize(outputs.len().max(index + 1), Vec::new());
                    outputs[index].extend(names.ok_or_else(shape)?);
                }
                _ => return Err(shape()),
            }
        }
        if let Some(name) = outputs.iter().flatten().find(|it| !nodes.contains_key(*it)) {
            return Err(wrong(format!("node {name} is not defined")));
        }
        edges.insert(from.clone(), outputs);
    }
    Ok((source, edges))
}

/// The operators so that none comes before one that leads to it.
fn in_order(nodes: &Nodes, source: &str, edges: &Edges) -> Result<Vec<String>, FlowError> {
    let mut inputs: BTreeMap<&str, usize> = BTreeMap::new();
    for name in edges.values().flatten().flatten() {
        *inputs.entry(name).or_default() += 1;
    }
    for (name, node) in nodes {
        let (kind, count) = (text(node, "type"), inputs.get(name.as_str()).copied());
        let leads = edges
            .get(name)
            .is_some_and(|outputs| outputs.iter().any(|output| !output.is_empty()));
        match kind {
            "source" if name != source => {
                return Err(wrong(format!("source {name} is not among `topo.sources`")));
            }
            "source" if count.is_some() => {
                return Err(wrong(format!("source {name} has an input")));
            }
            "sink" if leads => return Err(wrong(format!("sink {name} has edge"))),
            "source" | "operator" if !leads => {
                return Err(wrong(format!("no edge defined for {kind} node {name}")));
            }
            "operator" | "sink" if count.is_none() => {
                return Err(wrong(format!("{kind} {name} has no input")));
            }
            "operator"
                if count > Some(1) && !text(node, "nodeType").eq_ignore_ascii_case("window") =>
            {
                return Err(wrong(format!(
                    "operator {name} of type {} does not allow multiple inputs",
                    text(node, "nodeType")
                )));
            }
            _ => {}
        }
    }
    let mut order = Vec::new();
    let mut ready = VecDeque::from([source]);
    while let Some(name) = ready.pop_front() {
        for next in edges.get(name).into_iter().flatten().flatten() {
            let Some(left) = inputs.get_mut(next.as_str()) else {
                continue;
            };
            *left -= 1;
            if *left == 0 && text(&nodes[next.as_str()], "type") == "operator" {
                order.push(next.clone());
                ready.push_back(next);
            }
        }
    }
    match inputs.iter().find(|(_, left)| **left > 0) {
        Some((name, _)) => Err(wrong(format!(
            "node {name} is part of a circle, or cannot be reached from {source}"
        ))),
        None => Ok(order),
    }
}

/// The source symbol, and where it is told how to start.
fn read_source(name: &str, node: &Json) -> Result<(String, Reads), FlowError> {
    let kind = text(node, "nodeType").to_owned();
    let props = props(name, node)?;
    match props.get("sourceType").and_then(Json::as_str) {
        None | Some("" | "stream") => {}
        Some(other) => {
            return Err(wrong(format!(
                "source {name}: source type {other} not supported"
            )));
        }
    }
    match props.get("sourceName") {
        None | Some(Json::Null) => {}
        Some(Json::String(stream)) if stream.is_empty() => {}
        Some(Json::String(stream)) => return Ok((kind, Reads::Stream(stream.clone()))),
        Some(_) => return Err(wrong(format!("source {name}: `sourceName` must be a text"))),
    }
    let options = own_options(name, &kind, props)?;
    let stream = StreamDefinition {
        name: name.to_owned(),
        columns: Vec::new(),
        options,
    };
    Ok((kind, Reads::Own(Arc::new(stream))))
}

/// What a source node says, as the options of a stream: those that a stream knows, and the rest as EXTRA.
fn own_options(
    name: &str,
    kind: &str,
    props: &Map<String, Json>,
) -> Result<StreamOptions, FlowError> {
    let mut options = StreamOptions {
        source_type: kind.to_owned(),
        ..StreamOptions::default()
    };
    let mut extra = Map::new();
    for (key, value) in props {
        let plain = key.to_lowercase().replace('_', "");
        let place = match plain.as_str() {
            "sourcetype" | "sourcename" => continue,
            "datasource" => &mut options.datasource,
            "format" => &mut options.format,
            "confkey" => &mut options.conf_key,
            "key" => &mut options.key,
            "schemaid" => &mut options.schema_id,
            "delimiter" => &mut options.delimiter,
            "timestamp" => &mut options.timestamp,
            "timestampformat" => &mut options.timestamp_format,
            "shared" | "strictvalidation" => {
                if value != &Json::Bool(false) && !value.is_null() {
                    return Err(wrong(format!(
                        "source {name}: `{key}` is not supported; use a stream"
                    )));
                }
                continue;
            }
            "type" if value.as_str() == Some(kind) => continue,
            "type" => {
                return Err(wrong(format!(
                    "source {name}: `type` differs from `nodeType`"
                )));
            }
            _ => {
                extra.insert(key.clone(), value.clone());
                continue;
            }
        };
        let Json::String(value) = value else {
            return Err(wrong(format!("source {name}: `{key}` must be a text")));
        };
        place.clone_from(value);
    }
    if names_connection(&extra) {
        return Err(wrong(format!(
            "source {name}: property connectionSelector is not supported"
        )));
    }
    if !extra.is_empty() {
        let text = Json::Object(extra.clone()).to_string();
        options.extra = Some((extra, text));
    }
    Ok(options)
}

/// Reads one operator.
struct Reader<'a> {
    name: &'a str,
    node: &'a Json,
    /// What comes in.
    comes: Kind,
    index: usize,
}

impl Reader<'_> {
    /// Its work and what it gives.
    fn read(&self, translator: &mut Translator) -> Result<(Work, Kind), FlowError> {
        let kind = text(self.node, "nodeType").to_lowercase();
        if REFUSED.contains(&kind.as_str()) {
            return Err(self.wrong(format!("operator type {kind} is not supported")));
        }
        let Some((_, known)) = OPERATORS.iter().find(|(name, _)| *name == kind) else {
            let names = OPERATORS.iter().map(|(name, _)| *name);
            return Err(self.wrong(format!(
                "unknown operator type {kind}{}",
                suggest(&kind, names)
            )));
        };
        for key in props(self.name, self.node)?.keys() {
            if !known.contains(&key.as_str()) {
                return Err(self.wrong(format!(
                    "unknown property {key}{}",
                    suggest(key, known.iter().copied())
                )));
            }
        }
        let needs = match kind.as_str() {
            "watermark" | "window" => &[Kind::Row][..],
            "groupby" => &[Kind::Rows],
            "aggfunc" | "orderby" => &[Kind::Rows, Kind::Groups],
            _ => &[Kind::Row, Kind::Rows, Kind::Groups],
        };
        if !needs.contains(&self.comes) {
            return Err(self.wrong(match kind.as_str() {
                "window" => "a window cannot stand behind another".to_owned(),
                "watermark" => "it cannot stand behind a window".to_owned(),
                "groupby" if self.comes == Kind::Groups => {
                    "the rows are in groups already".to_owned()
                }
                _ => format!("{kind} needs the rows of a window"),
            }));
        }
        let about = match (self.comes, kind.as_str()) {
            (Kind::Row, _) => Rows::One,
            (Kind::Groups, _) | (Kind::Rows, "aggfunc" | "orderby" | "pick") => Rows::Group,
            (Kind::Rows, _) => Rows::OneOfWindow,
        };
        translator.enter(Place::Node(self.index), about);
        self.work(&kind, translator)
    }

    fn work(&self, kind: &str, translator: &mut Translator) -> Result<(Work, Kind), FlowError> {
        let same = self.comes;
        Ok(match kind {
            "filter" => {
                let condition = self.expression(self.text("expr")?, translator)?;
                if same == Kind::Groups {
                    (Work::Having(condition), same)
                } else {
                    (Work::Filter(condition), same)
                }
            }
            "function" | "aggfunc" => {
                let (name, expr) = match self.item(self.text("expr")?, translator)? {
                    Item::Column { name, expr } => (name, expr),
                    Item::All { .. } => return Err(self.wrong("`expr` must be an expression")),
                };
                if kind == "aggfunc" {
                    (Work::Aggregate { name, expr }, Kind::Groups)
                } else {
                    (Work::Column { name, expr }, same)
                }
            }
            "pick" => {
                let items: Vec<Item> = self
                    .texts("fields")?
                    .into_iter()
                    .map(|field| self.item(field, translator))
                    .collect::<Result<_, _>>()?;
                let mut together = self.flag("isAgg")?;
                for item in &items {
                    if let Item::Column { expr, .. } = item {
                        together |= expr.clone().has_aggregate();
                    }
                }
                let gives = match same {
                    Kind::Rows if together => Kind::Groups,
                    same => same,
                };
                let work = Work::Project {
                    items,
                    together,
                    limit: None,
                };
                (work, gives)
            }
            "watermark" => (Work::Watermark, same),
            "groupby" => (
                Work::Group(self.expressions("dimensions", translator)?),
                Kind::Groups,
            ),
            "orderby" => (Work::Order(self.sorts(translator)?), same),
            "switch" => (
                Work::Switch {
                    cases: self.expressions("cases", translator)?,
                    first_only: self.flag("stopAtFirstMatch")?,
                },
                same,
            ),
            _ => (
                Work::Window {
                    window: self.window()?,
                    trigger: None,
                    state: None,
                },
                Kind::Rows,
            ),
        })
    }

    fn window(&self) -> Result<Window, FlowError> {
        let name = self.text("type")?;
        let unit = match self.prop("unit") {
            None => None,
            Some(unit) => Some(unit.as_str().and_then(Unit::find).ok_or_else(|| {
                self.wrong(format!("unknown unit {unit}; ms, ss, mi, hh and dd are"))
            })?),
        };
        let number = |key: &str| match self.prop(key) {
            None => Ok(None),
            Some(number) => match number.as_i64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.wrong(format!("`{key}` must be a whole number"))),
            },
        };
        let (size, interval) = (number("size")?, number("interval")?);
        let mut numbers: Vec<i64> = size.into_iter().collect();
        let lower = name.to_lowercase();
        // Where a window has no second number, what says the same is let pass.
        let fixed = ["tumblingwindow", "slidingwindow"].contains(&lower.as_str());
        match interval {
            Some(0) | None => {}
            same if fixed && same == size => {}
            Some(_) if fixed => {
                return Err(self.wrong(format!("`interval` of a {lower} must equal `size`")));
            }
            Some(interval) => numbers.push(interval),
        }
        if lower == "statewindow" {
            return Err(self.wrong(format!("window type {name} is not supported in a graph")));
        }
        if !crate::sql::window::is_window(name) {
            return Err(self.wrong(format!("unknown window type {name}")));
        }
        // eKuiper takes a unit for rows, too, and makes nothing of it.
        let unit = unit.filter(|_| lower != "countwindow");
        Window::new(&lower, unit, &numbers).map_err(|text| self.wrong(text))
    }

    fn sorts(&self, translator: &mut Translator) -> Result<Vec<(Expr, bool)>, FlowError> {
        let wrong = || {
            self.wrong("`sorts` must be a list of objects with `field` and `order` (asc or desc)")
        };
        let sorts = self
            .prop("sorts")
            .and_then(Json::as_array)
            .ok_or_else(wrong)?;
        if sorts.is_empty() {
            return Err(wrong());
        }
        sorts
            .iter()
            .map(|sort| {
                let descending = match (sort.get("order"), sort.get("desc")) {
                    (Some(Json::String(order)), None) if order.eq_ignore_ascii_case("desc") => true,
                    (Some(Json::String(order)), None) if order.eq_ignore_ascii_case("asc") => false,
                    (None, Some(Json::Bool(descending))) => *descending,
                    (None, None) => false,
                    _ => return Err(wrong()),
                };
                let field = sort.get("field").and_then(Json::as_str).ok_or_else(wrong)?;
                Ok((self.expression(field, translator)?, descending))
            })
            .collect()
    }

    fn prop(&self, key: &str) -> Option<&Json> {
        self.node
            .get("props")?
            .get(key)
            .filter(|value| !value.is_null())
    }

    fn flag(&self, key: &str) -> Result<bool, FlowError> {
        match self.prop(key) {
            None => Ok(false),
            Some(Json::Bool(truth)) => Ok(*truth),
            Some(_) => Err(self.wrong(format!("`{key}` must be true or false"))),
        }
    }

    fn text(&self, key: &str) -> Result<&str, FlowError> {
        self.prop(key)
            .and_then(Json::as_str)
            .ok_or_else(|| self.wrong(format!("no {key}")))
    }

    fn texts(&self, key: &str) -> Result<Vec<&str>, FlowError> {
        let texts: Option<Vec<_>> = self
            .prop(key)
            .and_then(Json::as_array)
            .map(|list| list.iter().map(Json::as_str).collect())
            .unwrap_or_default();
        match texts {
            Some(texts) if !texts.is_empty() => Ok(texts),
            _ => Err(self.wrong(format!("`{key}` must be a list of texts"))),
        }
    }

    fn expressions(&self, key: &str, translator: &mut Translator) -> Result<Vec<Expr>, FlowError> {
        let texts = self.texts(key)?;
        texts
            .into_iter()
            .map(|text| self.expression(text, translator))
            .collect()
    }

    fn expression(&self, text: &str, translator: &mut Translator) -> Result<Expr, FlowError> {
        select::parse_text(text)
            .and_then(|expr| translator.expr(&expr))
            .map_err(|error| self.sql(text, &error))
    }

    fn item(&self, text: &str, translator: &mut Translator) -> Result<Item, FlowError> {
        select::parse_item(text)
            .and_then(|item: SelectItem| select::translate_item(translator, item))
            .map_err(|error| self.sql(text, &error))
    }

    fn sql(&self, text: &str, error: &SqlError) -> FlowError {
        let text: String = text.chars().take(100).collect();
        self.wrong(format!("`{text}`: {error}"))
    }

    fn wrong(&self, text: impl std::fmt::Display) -> FlowError {
        let kind = text_of(self.node);
        wrong(format!("parse {kind} {} error: {text}", self.name))
    }
}

fn text_of(node: &Json) -> &str {
    text(node, "nodeType")
}
