//! Reading a template.

use plugyard_symbol::Value;

use super::functions::Function;
use super::{Arm, Command, MAX_DEPTH, Node, Pipe, Term, Variable};

/// Reads a whole template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut parser = Parser {
        pieces: pieces(text)?,
        next: 0,
        text,
        variables: vec![String::new()],
        loops: 0,
        depth: 0,
    };
    let (nodes, end) = parser.block()?;
    match end {
        None => Ok(nodes),
        Some(end) => Err(parser.wrong(end.at, format!("unexpected {{{{{}}}}}", end.word))),
    }
}

/// Text or the inside of an action.
enum Piece {
    Text(String),
    Action { at: usize, tokens: Vec<Token> },
}

#[derive(Debug, Clone, PartialEq)]
struct Token {
    kind: Kind,
    at: usize,
    /// Nothing stands between it and the one before.
    glued: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Word(String),
    /// `.name`
    Field(String),
    Dot,
    /// `$name` without the sign.
    Variable(String),
    Literal(Value),
    Bar,
    Open,
    Close,
    Comma,
    Declare,
    Assign,
}

/// What closed a block.
struct End {
    word: String,
    at: usize,
    /// What stands behind `else`.
    rest: Vec<Token>,
}

struct Parser<'a> {
    pieces: Vec<Piece>,
    next: usize,
    text: &'a str,
    /// Those that can be seen here.
    variables: Vec<String>,
    loops: usize,
    depth: usize,
}

/// What Go has and one message does not need.
const UNSUPPORTED: &[&str] = &["template", "define", "block"];

impl Parser<'_> {
    /// Up to the `end` or `else` that is not its own.
    fn block(&mut self) -> Result<(Vec<Node>, Option<End>), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!(
                "blocks are nested more than {MAX_DEPTH} levels deep"
            ));
        }
        let seen = self.variables.len();
        let mut nodes = Vec::new();
        let mut end = None;
        while self.next < self.pieces.len() {
            let piece = std::mem::replace(&mut self.pieces[self.next], Piece::Text(String::new()));
            self.next += 1;
            match piece {
                Piece::Text(text) => nodes.push(Node::Text(text)),
                Piece::Action { at, tokens } => {
                    let word = match tokens.first().map(|token| &token.kind) {
                        None => return Err(self.wrong(at, "missing value for command".to_owned())),
                        Some(Kind::Word(word)) => word.clone(),
                        Some(_) => String::new(),
                    };
                    match word.as_str() {
                        "end" | "else" => {
                            let rest = tokens[1..].to_vec();
                            end = Some(End { word, at, rest });
                            break;
                        }
                        "if" | "with" => nodes.push(self.choice(&word, &tokens[1..], at)?),
                        "range" => nodes.push(self.range(&tokens[1..], at)?),
                        "break" | "continue" if self.loops == 0 => {
                            return Err(
                                self.wrong(at, format!("{{{{{word}}}}} outside {{{{range}}}}"))
                            );
                        }
                        "break" => nodes.push(Node::Break),
                        "continue" => nodes.push(Node::Continue),
                        word if UNSUPPORTED.contains(&word) => {
                            return Err(self.wrong(at, format!("action {word} is not supported")));
                        }
                        _ => nodes.push(Node::Print(self.whole_pipe(&tokens, at)?)),
                    }
                }
            }
        }
        self.variables.truncate(seen);
        self.depth -= 1;
        Ok((nodes, end))
    }

    /// `if` or `with`, with all its `else`.
    fn choice(&mut self, word: &str, tokens: &[Token], at: usize) -> Result<Node, String> {
        let seen = self.variables.len();
        let mut arms = Vec::new();
        let mut condition = self.whole_pipe(tokens, at)?;
        let otherwise = loop {
            let (body, end) = self.block()?;
            arms.push(Arm { condition, body });
            let end =
                end.ok_or_else(|| self.wrong(at, format!("{{{{{word}}}}} without {{{{end}}}}")))?;
            if end.word == "end" {
                break Vec::new();
            }
            match end.rest.first().map(|token| &token.kind) {
                None => break self.otherwise(word, at)?,
                Some(Kind::Word(again)) if again == word => {
                    condition = self.whole_pipe(&end.rest[1..], end.at)?;
                }
                Some(_) => return Err(self.wrong(end.at, "unexpected text after else".to_owned())),
            }
        };
        self.variables.truncate(seen);
        Ok(if word == "if" {
            Node::If(arms, otherwise)
        } else {
            Node::With(arms, otherwise)
        })
    }

    fn otherwise(&mut self, word: &str, at: usize) -> Result<Vec<Node>, String> {
        let (nodes, end) = self.block()?;
        match end {
            Some(end) if end.word == "end" => Ok(nodes),
            Some(end) => Err(self.wrong(end.at, "more than one {{else}}".to_owned())),
            None => Err(self.wrong(at, format!("{{{{{word}}}}} without {{{{end}}}}"))),
        }
    }

    fn range(&mut self, tokens: &[Token], at: usize) -> Result<Node, String> {
        let seen = self.variables.len();
        let kind = |index: usize| tokens.get(index).map(|token| &token.kind);
        let (names, from) = match (kind(0), kind(1), kind(2), kind(3)) {
            (
                Some(Kind::Variable(index)),
                Some(Kind::Comma),
                Some(Kind::Variable(item)),
                Some(Kind::Declare),
            ) => ((Some(index.clone()), Some(item.clone())), 4),
            (Some(Kind::Variable(item)), Some(Kind::Declare), ..) => {
                ((None, Some(item.clone())), 2)
            }
            _ => ((None, None), 0),
        };
        let over = self.whole_pipe(&tokens[from..], at)?;
        self.variables.extend(names.0.clone());
        self.variables.extend(names.1.clone());
        self.loops += 1;
        let (body, end) = self.block()?;
        self.loops -= 1;
        let end = end.ok_or_else(|| self.wrong(at, "{{range}} without {{end}}".to_owned()))?;
        let otherwise = match (end.word.as_str(), end.rest.is_empty()) {
            ("end", _) => Vec::new(),
            (_, true) => self.otherwise("range", at)?,
            (_, false) => return Err(self.wrong(end.at, "unexpected text after else".to_owned())),
        };
        self.variables.truncate(seen);
        let (index, item) = names;
        Ok(Node::Range {
            index,
            item,
            over,
            body,
            otherwise,
        })
    }

    /// A pipeline, and nothing behind it.
    fn whole_pipe(&mut self, tokens: &[Token], at: usize) -> Result<Pipe, String> {
        let mut reader = Reader {
            tokens,
            next: 0,
            at,
        };
        let pipe = self.pipe(&mut reader, 0)?;
        match reader.tokens.get(reader.next) {
            None => Ok(pipe),
            Some(token) => Err(self.wrong(token.at, "unexpected text in action".to_owned())),
        }
    }

    fn pipe(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<Pipe, String> {
        if depth > MAX_DEPTH {
            return Err(format!(
                "parentheses are nested more than {MAX_DEPTH} levels deep"
            ));
        }
        let variable = match (reader.kind(0), reader.kind(1)) {
            (Some(Kind::Variable(name)), Some(sign @ (Kind::Declare | Kind::Assign))) => {
                let variable = Variable {
                    name: name.clone(),
                    declared: *sign == Kind::Declare,
                };
                if !variable.declared && !self.variables.contains(&variable.name) {
                    return Err(self.wrong(
                        reader.at,
                        format!("undefined variable \"${}\"", variable.name),
                    ));
                }
                reader.next += 2;
                Some(variable)
            }
            _ => None,
        };
        let mut commands = Vec::new();
        loop {
            let head = self
                .term(reader, depth)?
                .ok_or_else(|| self.wrong(reader.here(), "missing value for command".to_owned()))?;
            let mut arguments = Vec::new();
            let mut argument_at = reader.here();
            while let Some(argument) = self.term(reader, depth)? {
                if !matches!(head, Term::Function(_)) {
                    return Err(self.wrong(
                        argument_at,
                        "can't give argument to non-function".to_owned(),
                    ));
                }
                arguments.push(argument);
                argument_at = reader.here();
            }
            if !commands.is_empty() && !matches!(head, Term::Function(_)) {
                return Err(
                    self.wrong(argument_at, "non executable command in pipeline".to_owned())
                );
            }
            if let Term::Function(function) = &head {
                let given = arguments.len() + usize::from(!commands.is_empty());
                function
                    .check(given)
                    .map_err(|reason| self.wrong(argument_at, reason))?;
            }
            commands.push(Command { head, arguments });
            if reader.kind(0) != Some(&Kind::Bar) {
                break;
            }
            reader.next += 1;
        }
        if let Some(variable) = &variable
            && variable.declared
        {
            self.variables.push(variable.name.clone());
        }
        Ok(Pipe { variable, commands })
    }

    fn term(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<Option<Term>, String> {
        let Some(token) = reader.tokens.get(reader.next).cloned() else {
            return Ok(None);
        };
        let term = match token.kind {
            Kind::Bar | Kind::Close | Kind::Comma | Kind::Declare | Kind::Assign => {
                return Ok(None);
            }
            Kind::Dot => {
                reader.next += 1;
                Term::Field(Vec::new())
            }
            Kind::Field(name) => {
                reader.next += 1;
                let mut path = vec![name];
                path.extend(reader.path());
                Term::Field(path)
            }
            Kind::Variable(name) => {
                if !self.variables.contains(&name) {
                    return Err(self.wrong(token.at, format!("undefined variable \"${name}\"")));
                }
                reader.next += 1;
                Term::Variable(name, reader.path())
            }
            Kind::Literal(value) => {
                reader.next += 1;
                Term::Literal(value)
            }
            Kind::Open => {
                reader.next += 1;
                let pipe = self.pipe(reader, depth + 1)?;
                if reader.kind(0) != Some(&Kind::Close) {
                    return Err(self.wrong(token.at, "unclosed left paren".to_owned()));
                }
                reader.next += 1;
                Term::Pipe(Box::new(pipe), reader.path())
            }
            Kind::Word(word) => {
                reader.next += 1;
                let function =
                    Function::named(&word).map_err(|reason| self.wrong(token.at, reason))?;
                Term::Function(function)
            }
        };
        Ok(Some(term))
    }

    fn wrong(&self, at: usize, text: String) -> String {
        place(self.text, at, &text)
    }
}

struct Reader<'t> {
    tokens: &'t [Token],
    next: usize,
    at: usize,
}

impl Reader<'_> {
    fn kind(&self, ahead: usize) -> Option<&Kind> {
        self.tokens.get(self.next + ahead).map(|token| &token.kind)
    }

    fn here(&self) -> usize {
        self.tokens.get(self.next).map_or(self.at, |token| token.at)
    }

    /// Members that stand right behind.
    fn path(&mut self) -> Vec<String> {
        let mut path = Vec::new();
        while let Some(Token {
            kind: Kind::Field(name),
            glued: true,
            ..
        }) = self.tokens.get(self.next)
        {
            path.push(name.clone());
            self.next += 1;
        }
        path
    }
}

fn place(text: &str, at: usize, what: &str) -> String {
    let before = &text[..at.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    format!("{what} at Line: {line}, Column: {column}")
}

/// Takes a template apart at its actions.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut trim = false;
    while let Some(found) = text[at..].find("{{") {
        let open = at + found;
        let mut inside = open + 2;
        let trims = text[inside..].starts_with('-')
            && text[inside + 1..].starts_with(|it: char| it.is_whitespace());
        push_text(&mut pieces, &text[at..open], trim, trims);
        if trims {
            inside += 1;
        }
        let body = text[inside..].trim_start();
        let start = text.len() - body.len();
        if body.starts_with("/*") {
            let close = text[start..].find("*/").map(|end| start + end + 2);
            let close = close.ok_or_else(|| place(text, open, "unclosed comment"))?;
            let rest = text[close..].trim_start();
            let skipped = text.len() - rest.len();
            trim = rest.starts_with("-}}") && skipped > close;
            let rest = if trim { &rest[1..] } else { rest };
            if !rest.starts_with("}}") {
                return Err(place(text, open, "comment ends before closing delimiter"));
            }
            at = text.len() - rest.len() + 2;
            continue;
        }
        let (tokens, end, trims) =
            tokens(text, start).map_err(|(at, what)| place(text, at, &what))?;
        pieces.push(Piece::Action { at: start, tokens });
        (at, trim) = (end, trims);
    }
    push_text(&mut pieces, &text[at..], trim, false);
    Ok(pieces)
}

fn push_text(pieces: &mut Vec<Piece>, text: &str, from_start: bool, to_end: bool) {
    let text = if from_start { text.trim_start() } else { text };
    let text = if to_end { text.trim_end() } else { text };
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

type Wrong = (usize, String);

/// The words of an action up to its end; where it ended, and whether space behind it goes.
fn tokens(text: &str, start: usize) -> Result<(Vec<Token>, usize, bool), Wrong> {
    let mut tokens = Vec::new();
    let mut at = start;
    let mut glued = false;
    loop {
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else {
            return Err((start, "unclosed action".to_owned()));
        };
        if rest.starts_with("}}") {
            return Ok((tokens, at + 2, false));
        }
        if first.is_whitespace() {
            if rest.trim_start().starts_with("-}}") {
                return Ok((tokens, text.len() - rest.trim_start().len() + 3, true));
            }
            at += first.len_utf8();
            glued = false;
            continue;
        }
        let (kind, length) = token(rest).map_err(|what| (at, what))?;
        tokens.push(Token { kind, at, glued });
        at += length;
        glued = true;
    }
}

fn token(rest: &str) -> Result<(Kind, usize), String> {
    let word = |from: usize| {
        let length = rest[from..]
            .find(|it: char| !(it.is_alphanumeric() || it == '_'))
            .unwrap_or(rest.len() - from);
        &rest[from..from + length]
    };
    let first = rest.chars().next().unwrap_or_default();
    let digit_at = |index: usize| rest.as_bytes().get(index).is_some_and(u8::is_ascii_digit);
    Ok(match first {
        '|' => (Kind::Bar, 1),
        '(' => (Kind::Open, 1),
        ')' => (Kind::Close, 1),
        ',' => (Kind::Comma, 1),
        ':' if rest.starts_with(":=") => (Kind::Declare, 2),
        '=' => (Kind::Assign, 1),
        '"' => string(rest)?,
        '`' => {
            let end = rest[1..]
                .find('`')
                .ok_or("unterminated raw quoted string")?;
            (Kind::Literal(rest[1..=end].into()), end + 2)
        }
        '\'' => {
            let mut letters = rest[1..].chars();
            match (letters.next(), letters.next()) {
                (Some(letter), Some('\'')) if letter != '\\' => (
                    Kind::Literal(Value::Int(u32::from(letter).into())),
                    letter.len_utf8() + 2,
                ),
                _ => return Err("unterminated character constant".to_owned()),
            }
        }
        '$' => {
            let name = word(1);
            (Kind::Variable(name.to_owned()), 1 + name.len())
        }
        '.' if !digit_at(1) => match word(1) {
            "" => (Kind::Dot, 1),
            name => (Kind::Field(name.to_owned()), 1 + name.len()),
        },
        '0'..='9' | '.' => number(rest)?,
        '-' | '+' if digit_at(1) || rest[1..].starts_with('.') => number(rest)?,
        _ => match word(0) {
            "" => return Err(format!("unexpected {first:?} in action")),
            "true" => (Kind::Literal(Value::Bool(true)), 4),
            "false" => (Kind::Literal(Value::Bool(false)), 5),
            "nil" => (Kind::Literal(Value::Null), 3),
            name => (Kind::Word(name.to_owned()), name.len()),
        },
    })
}

fn number(rest: &str) -> Result<(Kind, usize), String> {
    let mut previous = ' ';
    let length = rest
        .find(|it: char| {
            let sign = matches!(it, '+' | '-') && matches!(previous, ' ' | 'e' | 'E');
            previous = it;
            !(sign || it.is_ascii_alphanumeric() || matches!(it, '.' | '_'))
        })
        .unwrap_or(rest.len());
    let written = &rest[..length];
    let plain = written.replace('_', "");
    let value = if let Ok(number) = plain.parse::<i64>() {
        Value::Int(number)
    } else if let Some(hex) = plain.strip_prefix("0x") {
        let number = i64::from_str_radix(hex, 16);
        Value::Int(number.map_err(|_| format!("bad number syntax: \"{written}\""))?)
    } else {
        match plain.parse::<f64>() {
            Ok(number) if number.is_finite() => Value::Float(number),
            _ => return Err(format!("bad number syntax: \"{written}\"")),
        }
    };
    Ok((Kind::Literal(value), length))
}

/// A quoted text with Go's escapes.
fn string(rest: &str) -> Result<(Kind, usize), String> {
    let unterminated = || "unterminated quoted string".to_owned();
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((Kind::Literal(text.as_str().into()), at + 1)),
            '\n' => return Err(unterminated()),
            '\\' => {
                let (_, escape) = letters.next().ok_or_else(unterminated)?;
                let digits = match escape {
                    'n' => Err('\n'),
                    't' => Err('\t'),
                    'r' => Err('\r'),
                    '"' | '\\' | '\'' | '/' => Err(escape),
                    'x' => Ok(2),
                    'u' => Ok(4),
                    _ => return Err(format!("unknown escape \\{escape} in quoted string")),
                };
                match digits {
                    Err(letter) => text.push(letter),
                    Ok(count) => {
                        let mut code = 0;
                        for _ in 0..count {
                            let (_, digit) = letters.next().ok_or_else(unterminated)?;
                            let digit = digit.to_digit(16).ok_or("bad escape in quoted string")?;
                            code = code * 16 + digit;
                        }
                        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                }
            }
            _ => text.push(letter),
        }
    }
    Err(unterminated())
}
