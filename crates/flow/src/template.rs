//! `dataTemplate`: Go's template language, as far as what is sent needs it.
//!
//! Text, `{{pipelines}}` with fields, variables, literals, parentheses and functions, `if`, `else`, `with`,
//! `range`, `break`, `continue`, comments and trim marks. What has no meaning for one message (`define`,
//! `template`, `block`, methods) and functions that are not there are refused when a template is read.
//! Differences to Go: numbers of different kinds compare by their value, and integers keep every digit.
//!
//! Bounded: by the length of the text, its nesting, the steps of one message and its length.
//!
//! Entry point: [`Template`].

mod functions;
mod parse;
mod print;

use std::borrow::Cow;

use plugyard_symbol::Value;

use functions::Function;

/// Longest template, in bytes.
const MAX_TEMPLATE: usize = 64 * 1024;
/// Deepest nesting of blocks and parentheses.
const MAX_DEPTH: usize = 64;
/// Most nodes that are looked at for one message.
const MAX_STEPS: u32 = 1_000_000;
/// Longest message, in bytes.
const MAX_OUTPUT: usize = 16 * 1024 * 1024;

/// A template that was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Text(String),
    /// Prints the value, unless the pipeline declares or sets a variable.
    Print(Pipe),
    If(Vec<Arm>, Vec<Node>),
    /// As `If`, and the value is the dot inside.
    With(Vec<Arm>, Vec<Node>),
    Range {
        index: Option<String>,
        item: Option<String>,
        over: Pipe,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Break,
    Continue,
}

/// A condition and what stands below it.
#[derive(Debug, Clone, PartialEq)]
struct Arm {
    condition: Pipe,
    body: Vec<Node>,
}

/// Commands, each of which gets the value of the one before as its last argument.
#[derive(Debug, Clone, PartialEq)]
struct Pipe {
    variable: Option<Variable>,
    commands: Vec<Command>,
}

#[derive(Debug, Clone, PartialEq)]
struct Variable {
    name: String,
    /// `:=` instead of `=`.
    declared: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Command {
    head: Term,
    arguments: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    /// The dot, or a member of it.
    Field(Vec<String>),
    /// A variable, or a member of it; the empty name is what the template was given.
    Variable(String, Vec<String>),
    Literal(Value),
    Function(Function),
    Pipe(Box<Pipe>, Vec<String>),
}

/// Whether what comes next is still to be done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong and where, or which action or function is not supported.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TEMPLATE {
            return Err(format!(
                "the template has {} bytes, more than the {MAX_TEMPLATE} allowed",
                text.len()
            ));
        }
        parse::parse(text).map(|nodes| Self { nodes })
    }

    /// What it makes of a value.
    ///
    /// # Errors
    /// Why nothing could be made of it, for whoever reads the rule's status.
    pub(crate) fn render(&self, data: Value) -> Result<Vec<u8>, String> {
        let mut run = Run {
            variables: vec![(String::new(), data.clone())],
            out: String::new(),
            steps: 0,
        };
        run.nodes(&self.nodes, &data)?;
        Ok(run.out.into_bytes())
    }
}

/// One message being made.
struct Run {
    variables: Vec<(String, Value)>,
    out: String,
    steps: u32,
}

impl Run {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, String> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, String> {
        self.step()?;
        match node {
            Node::Text(text) => self.write(text)?,
            Node::Print(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.variable.is_none() {
                    self.write(&print::text(&value))?;
                }
            }
            Node::If(arms, otherwise) => return self.choose(arms, otherwise, dot, false),
            Node::With(arms, otherwise) => return self.choose(arms, otherwise, dot, true),
            Node::Range {
                index,
                item,
                over,
                body,
                otherwise,
            } => {
                let over = self.pipe(over, dot)?;
                let names = (index.as_deref(), item.as_deref());
                return self.range(&over, names, body, otherwise, dot);
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn choose(
        &mut self,
        arms: &[Arm],
        otherwise: &[Node],
        dot: &Value,
        with: bool,
    ) -> Result<Flow, String> {
        let outside = self.variables.len();
        for arm in arms {
            let value = self.pipe(&arm.condition, dot)?;
            if is_true(&value) {
                let flow = self.nodes(&arm.body, if with { &value } else { dot });
                self.variables.truncate(outside);
                return flow;
            }
        }
        let flow = self.nodes(otherwise, dot);
        self.variables.truncate(outside);
        flow
    }

    fn range(
        &mut self,
        over: &Value,
        (index, item): (Option<&str>, Option<&str>),
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<Flow, String> {
        let entries = entries(over)?;
        if entries.is_empty() {
            return self.nodes(otherwise, dot);
        }
        let outside = self.variables.len();
        for (key, value) in entries {
            self.step()?;
            if let Some(index) = index {
                self.variables.push((index.to_owned(), key));
            }
            if let Some(item) = item {
                self.variables.push((item.to_owned(), value.clone()));
            }
            let flow = self.nodes(body, &value)?;
            self.variables.truncate(outside);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, String> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, last, dot)?);
        }
        let value = last.unwrap_or(Value::Null);
        if let Some(variable) = &pipe.variable {
            if variable.declared {
                self.variables.push((variable.name.clone(), value.clone()));
            } else {
                let found = self.variables.iter_mut().rev();
                if let Some(entry) = found.into_iter().find(|(name, _)| *name == variable.name) {
                    entry.1 = value.clone();
                }
            }
        }
        Ok(value)
    }

    fn command(
        &mut self,
        command: &Command,
        last: Option<Value>,
        dot: &Value,
    ) -> Result<Value, String> {
        self.step()?;
        let Term::Function(function) = &command.head else {
            return self.term(&command.head, dot);
        };
        if let Some(wanted) = function.stops_at() {
            // What comes after the answer is not evaluated.
            let mut value = Value::Null;
            for argument in &command.arguments {
                value = self.term(argument, dot)?;
                if is_true(&value) == wanted {
                    return Ok(value);
                }
            }
            return Ok(last.unwrap_or(value));
        }
        let mut arguments = Vec::with_capacity(command.arguments.len() + 1);
        for argument in &command.arguments {
            arguments.push(self.term(argument, dot)?);
        }
        arguments.extend(last);
        function.call(arguments)
    }

    fn term(&mut self, term: &Term, dot: &Value) -> Result<Value, String> {
        self.step()?;
        match term {
            Term::Field(path) => member(dot, path),
            Term::Variable(name, path) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                member(found.map_or(&Value::Null, |(_, value)| value), path)
            }
            Term::Literal(value) => Ok(value.clone()),
            Term::Function(function) => function.call(Vec::new()),
            Term::Pipe(pipe, path) => {
                let value = self.pipe(pipe, dot)?;
                member(&value, path)
            }
        }
    }

    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(format!("the template takes more than {MAX_STEPS} steps"));
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<(), String> {
        if self.out.len() + text.len() > MAX_OUTPUT {
            return Err(too_long());
        }
        self.out.push_str(text);
        Ok(())
    }
}

fn too_long() -> String {
    format!("the template gives more than {MAX_OUTPUT} bytes")
}

/// A member of a member of a value.
fn member(value: &Value, path: &[String]) -> Result<Value, String> {
    let mut at = Cow::Borrowed(value);
    for (index, name) in path.iter().enumerate() {
        let next = match at.decoded().as_ref() {
            Value::Object(row) => row.get(name).cloned().unwrap_or(Value::Null),
            Value::Null if index > 0 => {
                return Err(format!("nil pointer evaluating interface {{}}.{name}"));
            }
            Value::Null => Value::Null,
            other => {
                let kind = print::kind(other);
                return Err(format!("can't evaluate field {name} in type {kind}"));
            }
        };
        at = Cow::Owned(next);
    }
    Ok(at.into_owned())
}

/// What `range` goes over: a list with its places, an object with its names in order, a number of times.
fn entries(value: &Value) -> Result<Vec<(Value, Value)>, String> {
    let place = |index: usize| Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
    match value.decoded().as_ref() {
        Value::Null => Ok(Vec::new()),
        Value::List(values) => {
            let values = values.iter().cloned().enumerate();
            Ok(values.map(|(index, value)| (place(index), value)).collect())
        }
        Value::Object(row) => {
            let mut sorted: Vec<_> = row.iter().collect();
            sorted.sort_by(|a, b| a.0.cmp(b.0));
            let entries = sorted.into_iter();
            Ok(entries
                .map(|(name, value)| (Value::Text(name.clone()), value.clone()))
                .collect())
        }
        Value::Int(times @ 0..=1_000_000) => {
            Ok((0..*times).map(|time| (time.into(), time.into())).collect())
        }
        other => Err(format!("range can't iterate over {}", print::text(other))),
    }
}

/// What counts as true: what is neither nothing nor zero nor empty.
fn is_true(value: &Value) -> bool {
    match value.decoded().as_ref() {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Int(number) => *number != 0,
        Value::Float(number) => *number != 0.0,
        Value::Text(text) => !text.is_empty(),
        Value::Bytes(bytes) => !bytes.is_empty(),
        Value::List(values) => !values.is_empty(),
        Value::Object(row) => !row.is_empty(),
        Value::Number(_) | Value::Json(_) => true,
    }
}

#[cfg(test)]
mod tests;
