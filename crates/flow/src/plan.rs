//! From a rule to what runs: the statement, the symbols it needs, and the names of its nodes.

use std::sync::Arc;

use plugyard_symbol::{
    BoundFunction, CallSite, Catalog, FunctionSymbol, NodeId, SinkRequest, SinkSymbol,
    SourceSymbol, SymbolError, SymbolKind,
};
use serde_json::{Map, Value as Json, json};

use crate::FlowError;
use crate::graph::{Graph, Reads};
use crate::operators::{Operators, Target};
use crate::rule::{Action, RuleDefinition, SinkOptions};
use crate::seal::SinkKey;
use crate::sql::SqlError;
use crate::sql::expr::{Place, PluginCall};
use crate::sql::select::Select;
use crate::sql::stream::StreamDefinition;
use crate::sql::translate::aggregate_refused;
use crate::suggest::suggest;
use crate::timestamp::Timestamps;

/// A sink of a plan.
pub(crate) struct SinkPlan {
    /// `{sink}_{index}`, or the name of its node.
    pub(crate) op_id: String,
    pub(crate) symbol: Arc<dyn SinkSymbol>,
    pub(crate) properties: Map<String, Json>,
    pub(crate) options: SinkOptions,
    /// What its messages are encrypted with.
    pub(crate) key: Option<SinkKey>,
}

/// A function bound to its place.
pub(crate) struct Call {
    /// Its name.
    pub(crate) name: String,
    /// The operator that it stands in.
    pub(crate) operator: String,
    /// Whether its arguments are lists.
    pub(crate) aggregate: bool,
    pub(crate) function: Arc<dyn BoundFunction>,
}

/// A rule that can be started.
pub(crate) struct Plan {
    pub(crate) rule: Arc<RuleDefinition>,
    pub(crate) stream: Arc<StreamDefinition>,
    /// The source's name in topology and metrics.
    pub(crate) source_name: String,
    /// What becomes of a row, where the rule works on one row at a time.
    pub(crate) select: Select,
    /// What becomes of rows where it does not: with a window, by event time, or a graph.
    pub(crate) operators: Option<Arc<Operators>>,
    /// By event time: where a row says when it is of.
    pub(crate) timestamps: Option<Timestamps>,
    pub(crate) source: Arc<dyn SourceSymbol>,
    /// Bound functions, by slot.
    pub(crate) calls: Vec<Call>,
    pub(crate) sinks: Vec<SinkPlan>,
}

/// What a rule says to do, read.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// The source's name in topology and metrics.
    pub(crate) source_name: String,
    /// Where its rows come from.
    pub(crate) reads: Reads,
    /// The source symbol that a graph says the stream has.
    source_type: Option<String>,
    select: Select,
    operators: Option<Operators>,
}

impl Program {
    /// Reads a rule's statement or graph.
    ///
    /// # Errors
    /// [`FlowError::RuleSql`], those of a graph, [`FlowError::RuleOptions`] for options that do not go with it.
    pub(crate) fn read(rule: &RuleDefinition) -> Result<Self, FlowError> {
        let program = match &rule.graph {
            Some(graph) => {
                let graph = Graph::read(rule, graph)?;
                Self {
                    source_name: graph.source,
                    reads: graph.reads,
                    source_type: Some(graph.source_type),
                    select: Select::nothing(),
                    operators: Some(graph.operators),
                }
            }
            None => {
                let select = parse_sql(&rule.sql)?;
                let event_time = rule.options.event_time;
                let staged = event_time || select.windowed.is_some();
                Self {
                    source_name: select.stream.clone(),
                    reads: Reads::Stream(select.stream.clone()),
                    source_type: None,
                    operators: staged
                        .then(|| Operators::of(&select, event_time, rule.actions.len())),
                    select,
                }
            }
        };
        let refused = |reason: &str| FlowError::RuleOptions {
            id: rule.id.clone(),
            reason: reason.to_owned(),
        };
        if let Some(operators) = &program.operators {
            if rule.options.concurrency > 1 {
                return Err(refused(
                    "concurrency greater than 1 is not supported with a window, a graph or event time",
                ));
            }
            if rule.options.send_meta && operators.has_window() {
                return Err(refused("sendMetaToSink cannot be applied to a window"));
            }
        }
        Ok(program)
    }

    /// The stream it reads, if it reads one.
    pub(crate) fn stream(&self) -> Option<&str> {
        match &self.reads {
            Reads::Stream(name) => Some(name),
            Reads::Own(_) => None,
        }
    }

    /// Its plugin calls, by slot.
    pub(crate) fn calls(&self) -> &[PluginCall] {
        match &self.operators {
            Some(operators) => &operators.calls,
            None => &self.select.calls,
        }
    }

    /// The operators' names, in the order of the topology.
    fn operator_names(&self) -> Vec<&str> {
        match &self.operators {
            Some(operators) => names(operators),
            None => Names::of(&self.select).all(),
        }
    }

    /// The operator that a call stands in.
    fn site(&self, call: &PluginCall) -> &str {
        match &self.operators {
            Some(operators) => operators.site(call),
            None => Names::of(&self.select).operator(call),
        }
    }
}

fn names(operators: &Operators) -> Vec<&str> {
    let list = operators.list.iter();
    list.map(|operator| operator.name.as_str()).collect()
}

/// The names of the operators of a rule that works on one row at a time: a source consumes index 1, each operator
/// takes the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Names {
    /// With WHERE.
    filter: Option<&'static str>,
    project: &'static str,
}

impl Names {
    fn of(select: &Select) -> Self {
        match select.filter {
            Some(_) => Self {
                filter: Some("2_filter"),
                project: "3_project",
            },
            None => Self {
                filter: None,
                project: "2_project",
            },
        }
    }

    fn all(self) -> Vec<&'static str> {
        self.filter.into_iter().chain([self.project]).collect()
    }

    fn operator(self, call: &PluginCall) -> &'static str {
        match self.filter {
            Some(filter) if call.place == Place::Filter => filter,
            _ => self.project,
        }
    }
}

/// Reads a rule's statement.
fn parse_sql(sql: &str) -> Result<Select, FlowError> {
    Select::parse(sql).map_err(|error| FlowError::RuleSql {
        sql: sql.to_owned(),
        error,
    })
}

/// Plans a rule over what the catalogue has now. Functions are asked whether they take their arguments,
/// which may start plugins; what they need for that bounds the time this takes.
pub(crate) async fn plan(
    rule: Arc<RuleDefinition>,
    program: &Program,
    stream: Arc<StreamDefinition>,
    catalog: &dyn Catalog,
) -> Result<Plan, FlowError> {
    if let Some(wanted) = &program.source_type
        && wanted != stream.source_type()
    {
        return Err(FlowError::Plan(format!(
            "parse source {} error: source type {wanted} does not match the stream type {}",
            program.source_name,
            stream.source_type()
        )));
    }
    if program.source_type.is_none() {
        check_columns(&rule, &program.select, &stream)?;
    }
    let timestamps = rule
        .options
        .event_time
        .then(|| Timestamps::read(&stream.options));
    let timestamps = timestamps.transpose().map_err(FlowError::Plan)?;
    // Existence of everything first: it costs nothing and is the likelier mistake.
    let functions = find_functions(&rule, program.calls(), catalog)?;
    let source = find_source(stream.source_type(), catalog)?;
    let node = node(&rule, &program.source_name);
    let checked = source.check(&node);
    checked.map_err(|error| refused("source", &node.op_id, &error))?;
    let sinks = find_sinks(&rule, catalog)?;
    let mut aggregates = Vec::with_capacity(functions.len());
    for (call, function) in program.calls().iter().zip(&functions) {
        let aggregate = check_function(&rule, call, function.as_ref()).await?;
        if aggregate && program.operators.is_none() {
            return Err(invalid(&rule, aggregate_refused(&call.name)));
        }
        aggregates.push(aggregate);
    }
    let mut operators = program.operators.clone();
    if let Some(operators) = &mut operators {
        if let (Some(columns), Some(timestamps)) = (&mut operators.columns, &timestamps)
            && !columns.contains(timestamps.column())
        {
            columns.push(timestamps.column().clone());
        }
        let settled = operators.settle(&aggregates);
        settled.map_err(|error| invalid(&rule, error))?;
    }
    let calls = program
        .calls()
        .iter()
        .zip(functions.iter().zip(&aggregates))
        .map(|(call, (function, aggregate))| Call {
            name: call.name.clone(),
            operator: program.site(call).to_owned(),
            aggregate: *aggregate,
            function: function.bind(CallSite {
                node: self::node(&rule, program.site(call)),
                func_id: call.func_id,
            }),
        })
        .collect();
    Ok(Plan {
        rule,
        stream,
        source_name: program.source_name.clone(),
        select: program.select.clone(),
        operators: operators.map(Arc::new),
        timestamps,
        source,
        calls,
        sinks,
    })
}

/// The nodes of a sink, from the first that prepares its messages to itself.
fn stage_names(rule: &RuleDefinition, action: &Action, index: usize) -> Vec<String> {
    let sink = action.op_id(index);
    // What was stored was read before; the stages of a plain sink are the least surprising if not.
    let options = SinkOptions::parse(&action.properties, &rule.options);
    let stages = options.as_ref().map_or_else(
        |_| vec![(0, "transform"), (1, "encode")],
        |options| options.stages().collect(),
    );
    stages
        .into_iter()
        .map(|(index, stage)| format!("op_{sink}_{index}_{stage}"))
        .chain([format!("sink_{sink}")])
        .collect()
}

/// The document of `GET /rules/{id}/topo`.
pub(crate) fn topology(rule: &RuleDefinition, program: &Program) -> Json {
    let source = format!("source_{}", program.source_name);
    let sinks: Vec<_> = rule
        .actions
        .iter()
        .enumerate()
        .map(|(index, action)| stage_names(rule, action, index))
        .collect();
    let transform = |names: &Vec<String>| names[0].clone();
    let mut edges = Map::new();
    match &program.operators {
        Some(operators) => {
            let to = |target: &Target| match target {
                Target::Operator(index) => format!("op_{}", operators.list[*index].name),
                Target::Sink(index) => transform(&sinks[*index]),
            };
            let all = |targets: &[Target]| targets.iter().map(to).collect::<Vec<_>>();
            edges.insert(source.clone(), json!(all(&operators.entry)));
            for operator in &operators.list {
                let targets: Vec<_> = operator.outputs.concat();
                edges.insert(format!("op_{}", operator.name), json!(all(&targets)));
            }
        }
        None => {
            let mut from = source.clone();
            for name in program.operator_names() {
                let name = format!("op_{name}");
                edges.insert(from, json!([name]));
                from = name;
            }
            let transforms: Vec<_> = sinks.iter().map(transform).collect();
            edges.insert(from, json!(transforms));
        }
    }
    for names in &sinks {
        for pair in names.windows(2) {
            edges.insert(pair[0].clone(), json!([pair[1]]));
        }
    }
    json!({ "sources": [source], "edges": edges })
}

/// A stream that declares its columns has no others.
fn check_columns(
    rule: &RuleDefinition,
    select: &Select,
    stream: &StreamDefinition,
) -> Result<(), FlowError> {
    let declared = || stream.columns.iter().map(|column| column.name.as_str());
    if stream.columns.is_empty() {
        return Ok(());
    }
    match select
        .columns
        .iter()
        .find(|column| !declared().any(|name| name == &***column))
    {
        None => Ok(()),
        Some(column) => {
            let near = suggest(column, declared());
            let error = SqlError::new(format!("unknown field {column}{near}"));
            Err(invalid(rule, error))
        }
    }
}

fn find_functions(
    rule: &RuleDefinition,
    calls: &[PluginCall],
    catalog: &dyn Catalog,
) -> Result<Vec<Arc<dyn FunctionSymbol>>, FlowError> {
    calls
        .iter()
        .map(|call| {
            catalog.function(&call.name).ok_or_else(|| {
                let plugins = catalog.names(SymbolKind::Function);
                let known = plugins
                    .iter()
                    .map(String::as_str)
                    .chain(crate::BUILTINS.iter().map(|builtin| builtin.name))
                    .chain(crate::AGGREGATES.iter().map(|aggregate| aggregate.name));
                let near = missing(catalog, SymbolKind::Function, &call.name, known);
                let text = format!("function {} not found{near}", call.name);
                invalid(rule, SqlError::new(text))
            })
        })
        .collect()
}

/// What is said after the name of a symbol that is not there: which plugin has it that does not run, or what was
/// meant instead.
fn missing<'a>(
    catalog: &dyn Catalog,
    kind: SymbolKind,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> String {
    match catalog.absence(kind, name) {
        Some(absence) => format!(": {absence}"),
        None => suggest(name, known),
    }
}

/// Whether a function is an aggregate, if it takes its arguments.
async fn check_function(
    rule: &RuleDefinition,
    call: &PluginCall,
    function: &dyn FunctionSymbol,
) -> Result<bool, FlowError> {
    let refused = |error: String| invalid(rule, SqlError::new(error));
    let name = &call.name;
    let valid = function.validate(call.arguments).await;
    valid.map_err(|error| refused(format!("validate function {name} error: {error}")))?;
    let aggregate = function.is_aggregate().await;
    aggregate.map_err(|error| {
        refused(format!(
            "function {name} does not say whether it is an aggregate: {error}"
        ))
    })
}

/// What is wrong with a rule's statement or graph.
fn invalid(rule: &RuleDefinition, error: SqlError) -> FlowError {
    if rule.graph.is_some() {
        return FlowError::Plan(format!("parse graph error: {error}"));
    }
    FlowError::RuleSql {
        sql: rule.sql.clone(),
        error,
    }
}

fn find_source(name: &str, catalog: &dyn Catalog) -> Result<Arc<dyn SourceSymbol>, FlowError> {
    catalog.source(name).ok_or_else(|| {
        let known = catalog.names(SymbolKind::Source);
        FlowError::Topology(format!(
            "source type {name} not found{}",
            missing(
                catalog,
                SymbolKind::Source,
                name,
                known.iter().map(String::as_str)
            )
        ))
    })
}

fn find_sinks(rule: &RuleDefinition, catalog: &dyn Catalog) -> Result<Vec<SinkPlan>, FlowError> {
    rule.actions
        .iter()
        .enumerate()
        .map(|(index, action)| {
            let op_id = action.op_id(index);
            let symbol = catalog.sink(&action.sink).ok_or_else(|| {
                let known = catalog.names(SymbolKind::Sink);
                FlowError::Topology(format!(
                    "sink {} is not defined{}",
                    action.sink,
                    missing(
                        catalog,
                        SymbolKind::Sink,
                        &action.sink,
                        known.iter().map(String::as_str)
                    )
                ))
            })?;
            let options = SinkOptions::parse(&action.properties, &rule.options)
                .map_err(|reason| FlowError::Topology(format!("sink {op_id}: {reason}")))?;
            let request = SinkRequest {
                node: node(rule, &op_id),
                properties: action.properties.clone(),
            };
            let checked = symbol.check(&request);
            checked.map_err(|error| refused("sink", &op_id, &error))?;
            Ok(SinkPlan {
                op_id,
                symbol,
                properties: request.properties,
                options,
                key: None,
            })
        })
        .collect()
}

/// A node of a rule.
fn node(rule: &RuleDefinition, op_id: &str) -> NodeId {
    NodeId {
        rule_id: rule.id.clone(),
        op_id: op_id.to_owned(),
        instance_id: 0,
    }
}

fn refused(what: &str, op_id: &str, error: &SymbolError) -> FlowError {
    FlowError::Topology(format!("{what} {op_id}: {}", error.text))
}

/// The functions, source and sinks a rule names, whether they exist or not.
pub(crate) fn symbols<'a>(
    rule: &'a RuleDefinition,
    program: &'a Program,
) -> impl Iterator<Item = (SymbolKind, &'a str)> {
    let functions = program
        .calls()
        .iter()
        .map(|call| (SymbolKind::Function, call.name.as_str()));
    let sinks = rule
        .actions
        .iter()
        .map(|action| (SymbolKind::Sink, action.sink.as_str()));
    let source = program
        .source_type
        .iter()
        .map(|source| (SymbolKind::Source, source.as_str()));
    functions.chain(sinks).chain(source)
}

impl Plan {
    /// Gives the server's key to the sinks that want their messages encrypted.
    ///
    /// # Errors
    /// [`FlowError::Topology`] with the sink, where the server has none.
    pub(crate) fn encrypt_with(&mut self, key: Option<&SinkKey>) -> Result<(), FlowError> {
        for sink in self.sinks.iter_mut().filter(|it| it.options.encrypted) {
            let key = key.ok_or_else(|| {
                FlowError::Topology(format!(
                    "sink {}: AES key is not defined; `rules.aes_key` of the server says where it is",
                    sink.op_id
                ))
            })?;
            sink.key = Some(key.clone());
        }
        Ok(())
    }

    /// Whether a row needs the world outside before it can go on.
    pub(crate) fn awaits(&self) -> bool {
        !self.calls.is_empty()
    }

    /// The operators' names, in the order of the topology.
    pub(crate) fn operator_names(&self) -> Vec<&str> {
        match &self.operators {
            Some(operators) => names(operators),
            None => Names::of(&self.select).all(),
        }
    }
}
