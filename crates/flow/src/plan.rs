//! From a rule to what runs: the statement, the symbols it needs, and the names of its nodes.

use std::sync::Arc;

use plugyard_symbol::{
    BoundFunction, CallSite, Catalog, FunctionSymbol, NodeId, SinkRequest, SinkSymbol,
    SourceSymbol, SymbolError, SymbolKind,
};
use serde_json::{Map, Value as Json, json};

use crate::FlowError;
use crate::rule::{RuleDefinition, SinkOptions};
use crate::sql::SqlError;
use crate::sql::expr::PluginCall;
use crate::sql::select::Select;
use crate::sql::stream::StreamDefinition;
use crate::sql::translate::aggregate_refused;
use crate::suggest::suggest;

/// A sink of a plan.
pub(crate) struct SinkPlan {
    /// `{sink}_{index}`.
    pub(crate) op_id: String,
    pub(crate) symbol: Arc<dyn SinkSymbol>,
    pub(crate) properties: Map<String, Json>,
    pub(crate) options: SinkOptions,
}

/// A rule that can be started.
pub(crate) struct Plan {
    pub(crate) rule: Arc<RuleDefinition>,
    pub(crate) stream: Arc<StreamDefinition>,
    pub(crate) select: Select,
    pub(crate) source: Arc<dyn SourceSymbol>,
    /// Bound functions, by slot.
    pub(crate) calls: Vec<Arc<dyn BoundFunction>>,
    pub(crate) sinks: Vec<SinkPlan>,
}

/// The names of a rule's nodes: a source consumes index 1, each operator takes the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// The stream's name.
    pub(crate) source: String,
    /// `2_filter`, with WHERE.
    pub(crate) filter: Option<String>,
    /// `2_project` or `3_project`.
    pub(crate) project: String,
}

impl Names {
    pub(crate) fn of(select: &Select) -> Self {
        let filtered = select.filter.is_some();
        Self {
            source: select.stream.clone(),
            filter: filtered.then(|| "2_filter".to_owned()),
            project: if filtered { "3_project" } else { "2_project" }.to_owned(),
        }
    }

    fn operator(&self, call: &PluginCall) -> &str {
        match &self.filter {
            Some(filter) if call.in_filter => filter,
            _ => &self.project,
        }
    }
}

/// Reads a rule's statement.
pub(crate) fn parse_sql(sql: &str) -> Result<Select, FlowError> {
    Select::parse(sql).map_err(|error| FlowError::RuleSql {
        sql: sql.to_owned(),
        error,
    })
}

/// Plans a rule over what the catalogue has now. Functions are asked whether they take their arguments,
/// which may start plugins; what they need for that bounds the time this takes.
pub(crate) async fn plan(
    rule: Arc<RuleDefinition>,
    select: Select,
    stream: Arc<StreamDefinition>,
    catalog: &dyn Catalog,
) -> Result<Plan, FlowError> {
    check_columns(&rule, &select, &stream)?;
    let names = Names::of(&select);
    // Existence of everything first: it costs nothing and is the likelier mistake.
    let functions = find_functions(&rule, &select, catalog)?;
    let source = find_source(stream.source_type(), catalog)?;
    let node = node(&rule, &names.source);
    let checked = source.check(&node);
    checked.map_err(|error| refused("source", &node.op_id, &error))?;
    let sinks = find_sinks(&rule, catalog)?;
    for (call, function) in select.calls.iter().zip(&functions) {
        check_function(&rule, call, function.as_ref()).await?;
    }
    let calls = select
        .calls
        .iter()
        .zip(&functions)
        .map(|(call, function)| {
            function.bind(CallSite {
                node: self::node(&rule, names.operator(call)),
                func_id: call.func_id,
            })
        })
        .collect();
    Ok(Plan {
        rule,
        stream,
        select,
        source,
        calls,
        sinks,
    })
}

/// The document of `GET /rules/{id}/topo`.
pub(crate) fn topology(rule: &RuleDefinition, select: &Select) -> Json {
    let names = Names::of(select);
    let source = format!("source_{}", names.source);
    let project = format!("op_{}", names.project);
    let mut edges = Map::new();
    match &names.filter {
        Some(filter) => {
            let filter = format!("op_{filter}");
            edges.insert(source.clone(), json!([filter]));
            edges.insert(filter, json!([project]));
        }
        None => {
            edges.insert(source.clone(), json!([project]));
        }
    }
    let mut transforms = Vec::new();
    for (index, action) in rule.actions.iter().enumerate() {
        let sink = format!("{}_{index}", action.sink);
        let transform = format!("op_{sink}_0_transform");
        let encode = format!("op_{sink}_1_encode");
        edges.insert(transform.clone(), json!([encode]));
        edges.insert(encode, json!([format!("sink_{sink}")]));
        transforms.push(transform);
    }
    edges.insert(project, json!(transforms));
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
        Some(column) => Err(FlowError::RuleSql {
            sql: rule.sql.clone(),
            error: SqlError::new(format!(
                "unknown field {column}{}",
                suggest(column, declared())
            )),
        }),
    }
}

fn find_functions(
    rule: &RuleDefinition,
    select: &Select,
    catalog: &dyn Catalog,
) -> Result<Vec<Arc<dyn FunctionSymbol>>, FlowError> {
    select
        .calls
        .iter()
        .map(|call| {
            catalog.function(&call.name).ok_or_else(|| {
                let plugins = catalog.names(SymbolKind::Function);
                let known = plugins
                    .iter()
                    .map(String::as_str)
                    .chain(crate::BUILTINS.iter().map(|builtin| builtin.name));
                FlowError::RuleSql {
                    sql: rule.sql.clone(),
                    error: SqlError::new(format!(
                        "function {} not found{}",
                        call.name,
                        suggest(&call.name, known)
                    )),
                }
            })
        })
        .collect()
}

async fn check_function(
    rule: &RuleDefinition,
    call: &PluginCall,
    function: &dyn FunctionSymbol,
) -> Result<(), FlowError> {
    let refused = |error: SqlError| FlowError::RuleSql {
        sql: rule.sql.clone(),
        error,
    };
    function.validate(call.arguments).await.map_err(|error| {
        refused(SqlError::new(format!(
            "validate function {} error: {error}",
            call.name
        )))
    })?;
    let aggregate = function.is_aggregate().await.map_err(|error| {
        refused(SqlError::new(format!(
            "function {} does not say whether it is an aggregate: {error}",
            call.name
        )))
    })?;
    if aggregate {
        return Err(refused(aggregate_refused(&call.name)));
    }
    Ok(())
}

fn find_source(name: &str, catalog: &dyn Catalog) -> Result<Arc<dyn SourceSymbol>, FlowError> {
    catalog.source(name).ok_or_else(|| {
        let known = catalog.names(SymbolKind::Source);
        FlowError::Topology(format!(
            "source type {name} not found{}",
            suggest(name, known.iter().map(String::as_str))
        ))
    })
}

fn find_sinks(rule: &RuleDefinition, catalog: &dyn Catalog) -> Result<Vec<SinkPlan>, FlowError> {
    rule.actions
        .iter()
        .enumerate()
        .map(|(index, action)| {
            let op_id = format!("{}_{index}", action.sink);
            let symbol = catalog.sink(&action.sink).ok_or_else(|| {
                let known = catalog.names(SymbolKind::Sink);
                FlowError::Topology(format!(
                    "sink {} is not defined{}",
                    action.sink,
                    suggest(&action.sink, known.iter().map(String::as_str))
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
    select: &'a Select,
) -> impl Iterator<Item = (SymbolKind, &'a str)> {
    let functions = select
        .calls
        .iter()
        .map(|call| (SymbolKind::Function, call.name.as_str()));
    let sinks = rule
        .actions
        .iter()
        .map(|action| (SymbolKind::Sink, action.sink.as_str()));
    functions.chain(sinks)
}

impl Plan {
    /// Whether a row needs the world outside before it can go on.
    pub(crate) fn awaits(&self) -> bool {
        !self.calls.is_empty()
    }
}
