//! The functions of templates: Go's own, eKuiper's, and those of the sprig library that format a message.

use std::cmp::Ordering;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use plugyard_symbol::Value;

use super::print::{exponent, float, kind, text};
use super::{MAX_OUTPUT, is_true, too_long};
use crate::suggest::suggest;

/// Widest field of `printf`.
const MAX_WIDTH: usize = 1024;

/// A function of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function(&'static Entry);

#[derive(Debug)]
struct Entry {
    name: &'static str,
    least: usize,
    most: usize,
    call: fn(Vec<Value>) -> Result<Value, String>,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

const MANY: usize = usize::MAX;

macro_rules! table {
    ($($name:literal $least:tt..$most:tt $call:expr;)*) => {
        const TABLE: &[Entry] = &[$(Entry { name: $name, least: $least, most: $most, call: $call }),*];
    };
}

table! {
    "and" 1..MANY |_| Ok(Value::Null);
    "or" 1..MANY |_| Ok(Value::Null);
    "not" 1..1 |args| Ok(Value::Bool(!is_true(&args[0])));
    "len" 1..1 len;
    "index" 1..MANY index;
    "slice" 1..3 slice;
    "print" 0..MANY |args| Ok(joined(&args, "").into_value());
    "println" 0..MANY |args| Ok((joined(&args, " ") + "\n").into_value());
    "printf" 1..MANY printf;
    "html" 1..1 |args| Ok(escaped_html(&text(&args[0])).into_value());
    "js" 1..1 |args| Ok(quoted(&text(&args[0])).trim_matches('"').into());
    "urlquery" 1..1 |args| Ok(url_query(&text(&args[0])).into_value());
    "eq" 2..MANY |args| Ok(args[1..].iter().any(|it| equal(&args[0], it)).into());
    "ne" 2..2 |args| Ok((!equal(&args[0], &args[1])).into());
    "lt" 2..2 |args| compared(&args, Ordering::is_lt);
    "le" 2..2 |args| compared(&args, Ordering::is_le);
    "gt" 2..2 |args| compared(&args, Ordering::is_gt);
    "ge" 2..2 |args| compared(&args, Ordering::is_ge);
    "json" 1..1 to_json;
    "toJson" 1..1 to_json;
    "base64" 1..1 base64;
    "b64enc" 1..1 base64;
    "b64dec" 1..1 |args| {
        let bytes = BASE64.decode(text(&args[0])).map_err(|error| format!("b64dec: {error}"))?;
        Ok(String::from_utf8_lossy(&bytes).as_ref().into())
    };
    "add" 1..MANY |args| whole(&args, i64::checked_add);
    "sub" 2..2 |args| whole(&args, i64::checked_sub);
    "mul" 1..MANY |args| whole(&args, i64::checked_mul);
    "div" 2..2 |args| whole(&args, i64::checked_div);
    "mod" 2..2 |args| whole(&args, i64::checked_rem);
    "add1" 1..1 |mut args| { args.push(Value::Int(1)); whole(&args, i64::checked_add) };
    "max" 1..MANY |args| whole(&args, |a, b| Some(a.max(b)));
    "min" 1..MANY |args| whole(&args, |a, b| Some(a.min(b)));
    "addf" 1..MANY |args| fraction(&args, |a, b| a + b);
    "subf" 2..2 |args| fraction(&args, |a, b| a - b);
    "mulf" 1..MANY |args| fraction(&args, |a, b| a * b);
    "divf" 2..2 |args| fraction(&args, |a, b| a / b);
    "floor" 1..1 |args| Ok(Value::from_f64(decimal(&args[0])?.floor()));
    "ceil" 1..1 |args| Ok(Value::from_f64(decimal(&args[0])?.ceil()));
    "round" 1..2 round;
    "int" 1..1 |args| integer(&args[0]).map(Value::Int);
    "int64" 1..1 |args| integer(&args[0]).map(Value::Int);
    "float64" 1..1 |args| decimal(&args[0]).map(Value::from_f64);
    "toString" 1..1 |args| Ok(shown(&args[0]).into_value());
    "upper" 1..1 |args| Ok(shown(&args[0]).to_uppercase().into_value());
    "lower" 1..1 |args| Ok(shown(&args[0]).to_lowercase().into_value());
    "trim" 1..1 |args| Ok(shown(&args[0]).trim().into());
    "trimPrefix" 2..2 |args| { let (part, it) = pair(&args); Ok(it.strip_prefix(&part).unwrap_or(&it).into()) };
    "trimSuffix" 2..2 |args| { let (part, it) = pair(&args); Ok(it.strip_suffix(&part).unwrap_or(&it).into()) };
    "contains" 2..2 |args| { let (part, it) = pair(&args); Ok(it.contains(&part).into()) };
    "hasPrefix" 2..2 |args| { let (part, it) = pair(&args); Ok(it.starts_with(&part).into()) };
    "hasSuffix" 2..2 |args| { let (part, it) = pair(&args); Ok(it.ends_with(&part).into()) };
    "replace" 3..3 replace;
    "quote" 1..MANY |args| Ok(args.iter().map(|it| quoted(&shown(it))).collect::<Vec<_>>().join(" ").into_value());
    "squote" 1..MANY |args| Ok(args.iter().map(|it| format!("'{}'", shown(it))).collect::<Vec<_>>().join(" ").into_value());
    "join" 2..2 join;
    "first" 1..1 |args| Ok(list("first", &args[0])?.into_iter().next().unwrap_or(Value::Null));
    "last" 1..1 |args| Ok(list("last", &args[0])?.into_iter().next_back().unwrap_or(Value::Null));
    "default" 2..2 |mut args| { let it = args.remove(1); Ok(if is_true(&it) { it } else { args.remove(0) }) };
    "empty" 1..1 |args| Ok(Value::Bool(!is_true(&args[0])));
    "coalesce" 1..MANY |args| Ok(args.into_iter().find(is_true).unwrap_or(Value::Null));
    "ternary" 3..3 |mut args| Ok(args.remove(usize::from(!is_true(&args[2]))));
    "hasKey" 2..2 |args| match args[0].decoded().as_ref() {
        Value::Object(row) => Ok(row.get(&text(&args[1])).is_some().into()),
        other => Err(format!("hasKey: {} is no object", kind(other))),
    };
    "get" 2..2 |args| match args[0].decoded().as_ref() {
        Value::Object(row) => Ok(row.get(&text(&args[1])).cloned().unwrap_or_else(|| "".into())),
        other => Err(format!("get: {} is no object", kind(other))),
    };
}

impl Function {
    /// The function of that name.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        let found = TABLE.iter().find(|entry| entry.name == name);
        found.map(Self).ok_or_else(|| {
            let near = suggest(name, TABLE.iter().map(|entry| entry.name));
            format!("function \"{name}\" not defined{near}")
        })
    }

    /// Whether it takes so many arguments.
    pub(super) fn check(self, given: usize) -> Result<(), String> {
        let Entry {
            name, least, most, ..
        } = self.0;
        if (*least..=*most).contains(&given) {
            return Ok(());
        }
        let want = match (*least, *most) {
            (least, MANY) => format!("at least {least}"),
            (least, most) if least == most => least.to_string(),
            (least, most) => format!("{least} to {most}"),
        };
        Err(format!(
            "wrong number of args for {name}: want {want} got {given}"
        ))
    }

    /// For `and` and `or`: the truth at which they have their answer.
    pub(super) fn stops_at(self) -> Option<bool> {
        match self.0.name {
            "and" => Some(false),
            "or" => Some(true),
            _ => None,
        }
    }

    pub(super) fn call(self, arguments: Vec<Value>) -> Result<Value, String> {
        self.check(arguments.len())?;
        (self.0.call)(arguments)
    }
}

trait IntoValue {
    fn into_value(self) -> Value;
}

impl IntoValue for String {
    fn into_value(self) -> Value {
        Value::Text(self.into())
    }
}

/// As sprig's functions for texts take it: nothing is an empty text.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        other => text(other),
    }
}

/// The first two, as texts.
fn pair(arguments: &[Value]) -> (String, String) {
    (shown(&arguments[0]), shown(&arguments[1]))
}

fn joined(arguments: &[Value], between: &str) -> String {
    // Go's Print sets a space between two that are no texts.
    let mut out = String::new();
    for (index, argument) in arguments.iter().enumerate() {
        let texts = index > 0
            && (matches!(argument, Value::Text(_))
                || matches!(arguments[index - 1], Value::Text(_)));
        if index > 0 {
            out.push_str(if between.is_empty() && !texts {
                " "
            } else {
                between
            });
        }
        out.push_str(&match argument {
            Value::Null => "<nil>".to_owned(),
            other => text(other),
        });
    }
    out
}

fn len(arguments: Vec<Value>) -> Result<Value, String> {
    let length = match arguments[0].decoded().as_ref() {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(values) => values.len(),
        Value::Object(row) => row.len(),
        other => return Err(format!("error calling len: len of type {}", kind(other))),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(arguments: Vec<Value>) -> Result<Value, String> {
    let mut at = arguments[0].clone();
    for key in &arguments[1..] {
        at = match (at.decoded().as_ref(), key) {
            (Value::List(values), Value::Int(place)) => usize::try_from(*place)
                .ok()
                .and_then(|place| values.get(place).cloned())
                .ok_or_else(|| format!("error calling index: index out of range: {place}"))?,
            (Value::Object(row), Value::Text(name)) => {
                row.get(name).cloned().unwrap_or(Value::Null)
            }
            (Value::Null, _) => return Err("error calling index: index of untyped nil".to_owned()),
            (other, _) => {
                return Err(format!(
                    "error calling index: cannot index {} with type {}",
                    kind(other),
                    kind(key)
                ));
            }
        };
    }
    Ok(at)
}

fn slice(arguments: Vec<Value>) -> Result<Value, String> {
    let bound = |index: usize, default: usize| match arguments.get(index) {
        None => Ok(default),
        Some(value) => usize::try_from(integer(value)?)
            .map_err(|_| "error calling slice: index out of range".to_owned()),
    };
    let wrong = || "error calling slice: index out of range".to_owned();
    match arguments[0].decoded().as_ref() {
        Value::Text(text) => {
            let (from, to) = (bound(1, 0)?, bound(2, text.len())?);
            text.get(from..to).map(Into::into).ok_or_else(wrong)
        }
        Value::List(values) => {
            let (from, to) = (bound(1, 0)?, bound(2, values.len())?);
            values
                .get(from..to)
                .map(|part| Value::List(part.to_vec()))
                .ok_or_else(wrong)
        }
        other => Err(format!(
            "error calling slice: can't slice item of type {}",
            kind(other)
        )),
    }
}

fn to_json(arguments: Vec<Value>) -> Result<Value, String> {
    let mut out = Vec::new();
    crate::run::encode::json(&arguments[0], &mut out).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&out).as_ref().into())
}

fn base64(arguments: Vec<Value>) -> Result<Value, String> {
    Ok(match &arguments[0] {
        Value::Bytes(bytes) => BASE64.encode(bytes),
        // eKuiper's own function takes what is no text as JSON.
        structured @ (Value::List(_) | Value::Object(_) | Value::Json(_)) => {
            let mut out = Vec::new();
            crate::run::encode::json(structured, &mut out).map_err(|error| error.to_string())?;
            BASE64.encode(out)
        }
        other => BASE64.encode(shown(other)),
    }
    .into_value())
}

fn replace(arguments: Vec<Value>) -> Result<Value, String> {
    let (from, to) = pair(&arguments);
    let it = shown(&arguments[2]);
    let grown = it
        .len()
        .saturating_add(it.matches(&*from).count().saturating_mul(to.len()));
    if grown > MAX_OUTPUT {
        return Err(too_long());
    }
    Ok(it.replace(&from, &to).into_value())
}

fn join(arguments: Vec<Value>) -> Result<Value, String> {
    let between = shown(&arguments[0]);
    let parts: Vec<String> = list("join", &arguments[1])?.iter().map(shown).collect();
    if parts.len().saturating_mul(between.len()) > MAX_OUTPUT {
        return Err(too_long());
    }
    Ok(parts.join(&between).into_value())
}

fn list(name: &str, value: &Value) -> Result<Vec<Value>, String> {
    match value.decoded().into_owned() {
        Value::List(values) => Ok(values),
        other => Err(format!("{name}: {} is no list", kind(&other))),
    }
}

fn round(arguments: Vec<Value>) -> Result<Value, String> {
    let places = arguments.get(1).map_or(Ok(0), integer)?.clamp(0, 15);
    let factor = 10_f64.powi(places as i32);
    Ok(Value::from_f64(
        (decimal(&arguments[0])? * factor).round() / factor,
    ))
}

/// A number as sprig's functions for integers take it: a fraction is cut off, a text read.
fn integer(value: &Value) -> Result<i64, String> {
    let number = match value {
        Value::Int(number) => return Ok(*number),
        Value::Bool(truth) => return Ok(i64::from(*truth)),
        Value::Null => return Ok(0),
        Value::Float(number) => *number,
        Value::Text(text) | Value::Number(text) => match text.trim().parse::<i64>() {
            Ok(number) => return Ok(number),
            Err(_) => text.trim().parse().unwrap_or(0.0),
        },
        other => return Err(format!("{} is no number", kind(other))),
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "to the nearest that there is"
    )]
    let number = number as i64;
    Ok(number)
}

fn decimal(value: &Value) -> Result<f64, String> {
    #[expect(clippy::cast_precision_loss, reason = "what floats are")]
    match value {
        Value::Int(number) => Ok(*number as f64),
        Value::Float(number) => Ok(*number),
        Value::Text(text) | Value::Number(text) => Ok(text.trim().parse().unwrap_or(0.0)),
        Value::Null => Ok(0.0),
        other => Err(format!("{} is no number", kind(other))),
    }
}

fn whole(arguments: &[Value], each: fn(i64, i64) -> Option<i64>) -> Result<Value, String> {
    let mut numbers = arguments.iter().map(integer);
    let mut result = numbers.next().unwrap_or(Ok(0))?;
    for number in numbers {
        result = each(result, number?).ok_or("the result is no integer of 64 bits")?;
    }
    Ok(Value::Int(result))
}

fn fraction(arguments: &[Value], each: fn(f64, f64) -> f64) -> Result<Value, String> {
    let mut numbers = arguments.iter().map(decimal);
    let mut result = numbers.next().unwrap_or(Ok(0.0))?;
    for number in numbers {
        result = each(result, number?);
    }
    Ok(Value::from_f64(result))
}

fn equal(a: &Value, b: &Value) -> bool {
    let (a, b) = (a.decoded(), b.decoded());
    match order(&a, &b) {
        Ok(order) => order.is_eq(),
        Err(_) => a == b,
    }
}

fn compared(arguments: &[Value], wanted: fn(Ordering) -> bool) -> Result<Value, String> {
    order(&arguments[0].decoded(), &arguments[1].decoded()).map(|order| wanted(order).into())
}

fn order(a: &Value, b: &Value) -> Result<Ordering, String> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Ok(a.cmp(b)),
        (
            Value::Int(_) | Value::Float(_) | Value::Number(_),
            Value::Int(_) | Value::Float(_) | Value::Number(_),
        ) => decimal(a)?
            .partial_cmp(&decimal(b)?)
            .ok_or_else(|| "invalid type for comparison".to_owned()),
        _ => Err(format!(
            "incompatible types for comparison: {} and {}",
            kind(a),
            kind(b)
        )),
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

fn escaped_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

fn url_query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(byte.into());
            }
            b' ' => out.push('+'),
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// Go's `Sprintf` with the verbs that values have.
fn printf(arguments: Vec<Value>) -> Result<Value, String> {
    let format = shown(&arguments[0]);
    let mut values = arguments[1..].iter();
    let mut out = String::new();
    let mut letters = format.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let (mut minus, mut zero, mut plus) = (false, false, false);
        while let Some(flag) = letters.next_if(|it| matches!(it, '-' | '0' | '+' | ' ' | '#')) {
            minus |= flag == '-';
            zero |= flag == '0';
            plus |= flag == '+';
        }
        let mut digits = || {
            let mut number = None;
            while let Some(digit) = letters.peek().and_then(|it| it.to_digit(10)) {
                letters.next();
                number = Some((number.unwrap_or(0) * 10 + digit as usize).min(MAX_WIDTH));
            }
            number
        };
        let width = digits().unwrap_or(0);
        let mut precision = None;
        if letters.next_if_eq(&'.').is_some() {
            let mut number = 0;
            while let Some(digit) = letters.peek().and_then(|it| it.to_digit(10)) {
                letters.next();
                number = (number * 10 + digit as usize).min(MAX_WIDTH);
            }
            precision = Some(number);
        }
        let Some(verb) = letters.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let shown = match values.next() {
            None => format!("%!{verb}(MISSING)"),
            Some(value) => formatted(verb, precision, plus, value),
        };
        let missing = width.saturating_sub(shown.chars().count());
        if minus {
            let _ = write!(out, "{shown}{:missing$}", "");
        } else if zero {
            let digits = shown.trim_start_matches(['-', '+']);
            let sign = &shown[..shown.len() - digits.len()];
            let _ = write!(out, "{sign}{}{digits}", "0".repeat(missing));
        } else {
            let _ = write!(out, "{:missing$}{shown}", "");
        }
        if out.len() > MAX_OUTPUT {
            return Err(too_long());
        }
    }
    Ok(out.into_value())
}

fn formatted(verb: char, precision: Option<usize>, plus: bool, value: &Value) -> String {
    let value = value.decoded();
    let number = decimal(&value);
    let places = precision.unwrap_or(6);
    let mut shown = match (verb, value.as_ref(), number) {
        ('v', Value::Null, _) => "<nil>".to_owned(),
        ('v' | 's', value, _) => match precision {
            Some(most) => text(value).chars().take(most).collect(),
            None => text(value),
        },
        ('q', value, _) => quoted(&text(value)),
        ('t', Value::Bool(truth), _) => truth.to_string(),
        ('d', Value::Int(number), _) => number.to_string(),
        ('d', Value::Number(number), _) => number.to_string(),
        ('x', Value::Int(number), _) => format!("{number:x}"),
        ('X', Value::Int(number), _) => format!("{number:X}"),
        ('x', Value::Text(text), _) => text.bytes().fold(String::new(), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        }),
        ('f' | 'F', Value::Int(_) | Value::Float(_) | Value::Number(_), Ok(number)) => {
            format!("{number:.places$}")
        }
        ('e', Value::Int(_) | Value::Float(_) | Value::Number(_), Ok(number)) => {
            exponent(&format!("{number:.places$e}"))
        }
        ('g', Value::Float(number), _) => float(*number),
        ('g', value @ Value::Int(_), _) => text(value),
        (verb, value, _) => format!("%!{verb}({}={})", kind(value), text(value)),
    };
    if plus && !shown.starts_with(['-', '%']) && matches!(verb, 'd' | 'f' | 'F' | 'e' | 'g') {
        shown.insert(0, '+');
    }
    shown
}
