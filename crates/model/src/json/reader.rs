//! Recursive descent over checked UTF-8; the recursion is as deep as the depth bound allows.

use std::collections::HashMap;

use super::{
    DUPLICATES_MAX, Document, Duplicate, Member, Node, Number, Object, Position, SyntaxError,
    SyntaxKind, Value, pointer_join,
};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads a document whose size was checked; `depth` is the deepest nesting allowed.
pub(super) fn read(bytes: &[u8], depth: usize) -> Result<Document, SyntaxError> {
    let bom = bytes.starts_with(BOM);
    let start = if bom { BOM.len() } else { 0 };
    let (text, invalid) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, false),
        Err(error) => (
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
            true,
        ),
    };
    let mut reader = Reader {
        text,
        pos: start,
        line: 1,
        column: 1,
        counted: start,
        limit: depth,
        path: Vec::new(),
        duplicates: Vec::new(),
    };
    if invalid {
        reader.pos = text.len();
        return Err(reader.error(SyntaxKind::NotUtf8));
    }
    reader.skip_space();
    if reader.peek().is_none() {
        return Err(reader.error(SyntaxKind::Empty));
    }
    let root = reader.value()?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(Document {
            root,
            bom,
            duplicates: reader.duplicates,
        }),
        Some(b'/' | b'#') => Err(reader.error(SyntaxKind::Comment)),
        Some(_) => Err(reader.error(SyntaxKind::TrailingData)),
    }
}

/// A step of the way to the value being read; keys are read again only when a finding needs them.
enum Step {
    Key(String),
    Index(usize),
}

struct Reader<'a> {
    text: &'a str,
    pos: usize,
    /// Line and column of `counted`, which follows `pos` when a position is asked for: linear in all.
    line: u32,
    column: u32,
    counted: usize,
    limit: usize,
    path: Vec<Step>,
    duplicates: Vec<Duplicate>,
}

impl Reader<'_> {
    fn value(&mut self) -> Result<Node, SyntaxError> {
        let at = self.position();
        let value = match self.peek() {
            None => return Err(self.error(SyntaxKind::UnexpectedEnd)),
            Some(b'{') => self.object()?,
            Some(b'[') => self.array()?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'+' | b'.' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            Some(_) => return Err(self.unexpected()),
        };
        Ok(Node { value, at })
    }

    fn array(&mut self) -> Result<Value, SyntaxError> {
        self.enter()?;
        let mut items = Vec::new();
        if self.first_or_close(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            self.path.push(Step::Index(items.len()));
            items.push(self.value()?);
            self.path.pop();
            if self.next_or_close(b']')? {
                return Ok(Value::Array(items));
            }
        }
    }

    fn object(&mut self) -> Result<Value, SyntaxError> {
        self.enter()?;
        let mut members: Vec<Member> = Vec::new();
        if !self.first_or_close(b'}') {
            loop {
                let key_at = self.position();
                match self.peek() {
                    Some(b'"') => {}
                    None => return Err(self.error(SyntaxKind::UnexpectedEnd)),
                    Some(_) => return Err(self.unexpected()),
                }
                let key = self.string()?;
                self.skip_space();
                self.expect(b':')?;
                self.skip_space();
                self.path.push(Step::Key(key));
                let node = self.value()?;
                let Some(Step::Key(key)) = self.path.pop() else {
                    unreachable!("what was pushed is popped");
                };
                members.push(Member { key, key_at, node });
                if self.next_or_close(b'}')? {
                    break;
                }
            }
        }
        self.note_duplicates(&members);
        Ok(Value::Object(Object { members }))
    }

    /// Steps over an opening bracket, unless that is one too deep.
    fn enter(&mut self) -> Result<(), SyntaxError> {
        if self.path.len() >= self.limit {
            let limit = self.limit;
            return Err(self.error(SyntaxKind::TooDeep { limit }));
        }
        self.pos += 1;
        self.skip_space();
        Ok(())
    }

    /// Whether an array or object is empty; then its closing bracket is consumed.
    fn first_or_close(&mut self, close: u8) -> bool {
        let empty = self.peek() == Some(close);
        self.pos += usize::from(empty);
        empty
    }

    /// After an element: consumes a comma (`false`) or the closing bracket (`true`).
    fn next_or_close(&mut self, close: u8) -> Result<bool, SyntaxError> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                let comma = self.pos;
                self.pos += 1;
                self.skip_space();
                if matches!(self.peek(), Some(b']' | b'}')) {
                    self.pos = comma;
                    return Err(self.error(SyntaxKind::TrailingComma));
                }
                Ok(false)
            }
            Some(c) if c == close => {
                self.pos += 1;
                Ok(true)
            }
            None => Err(self.error(SyntaxKind::UnexpectedEnd)),
            Some(_) => Err(self.unexpected()),
        }
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        self.pos += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.pos..];
            let plain = rest
                .bytes()
                .position(|b| b == b'"' || b == b'\\' || b < 0x20)
                .unwrap_or(rest.len());
            out.push_str(&rest[..plain]);
            self.pos += plain;
            match self.peek() {
                None => return Err(self.error(SyntaxKind::UnexpectedEnd)),
                Some(b'"') => {
                    self.pos += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.error(SyntaxKind::ControlCharacter)),
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let start = self.pos;
        self.pos += 1;
        let c = match self.peek() {
            None => return Err(self.error(SyntaxKind::UnexpectedEnd)),
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(start),
            Some(_) => return Err(self.error_from(start, SyntaxKind::BadEscape)),
        };
        self.pos += 1;
        Ok(c)
    }

    /// At the `u` of an escape that began at `start`.
    fn unicode_escape(&mut self, start: usize) -> Result<char, SyntaxError> {
        let first = self.hex4(start)?;
        let code = if (0xd800..0xdc00).contains(&first) {
            if !self.text[self.pos..].starts_with("\\u") {
                return Err(self.error_from(start, SyntaxKind::LoneSurrogate));
            }
            self.pos += 1;
            let second = self.hex4(start)?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(self.error_from(start, SyntaxKind::LoneSurrogate));
            }
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.error_from(start, SyntaxKind::LoneSurrogate))
    }

    /// Four hexadecimal digits behind the `u` at the present position.
    fn hex4(&mut self, start: usize) -> Result<u32, SyntaxError> {
        self.pos += 1;
        let digits = self.text.as_bytes().get(self.pos..self.pos + 4);
        let Some(digits) = digits else {
            return Err(self.error_from(start, SyntaxKind::UnexpectedEnd));
        };
        let code = digits
            .iter()
            .try_fold(0, |sum, &digit| {
                Some(sum * 16 + char::from(digit).to_digit(16)?)
            })
            .ok_or_else(|| self.error_from(start, SyntaxKind::BadEscape))?;
        self.pos += 4;
        Ok(code)
    }

    fn number(&mut self) -> Result<Number, SyntaxError> {
        let start = self.pos;
        self.pos += usize::from(self.peek() == Some(b'-'));
        let whole = self.digits();
        let leading_zero = whole > 1 && self.text.as_bytes()[self.pos - whole] == b'0';
        let mut bad = whole == 0 || leading_zero;
        if !bad && self.peek() == Some(b'.') {
            self.pos += 1;
            bad = self.digits() == 0;
        }
        if !bad && matches!(self.peek(), Some(b'e' | b'E')) {
            self.pos += 1;
            self.pos += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            bad = self.digits() == 0;
        }
        if bad {
            return Err(self.error_from(start, SyntaxKind::BadNumber));
        }
        let text = &self.text[start..self.pos];
        if text.parse::<f64>().is_ok_and(f64::is_finite) {
            Ok(Number(text.into()))
        } else {
            Err(self.error_from(start, SyntaxKind::NumberRange))
        }
    }

    /// Steps over digits and counts them.
    fn digits(&mut self) -> usize {
        let rest = &self.text.as_bytes()[self.pos..];
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        self.pos += count;
        count
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, SyntaxError> {
        for expected in word.bytes() {
            self.expect(expected)?;
        }
        Ok(value)
    }

    fn expect(&mut self, expected: u8) -> Result<(), SyntaxError> {
        match self.peek() {
            Some(c) if c == expected => {
                self.pos += 1;
                Ok(())
            }
            None => Err(self.error(SyntaxKind::UnexpectedEnd)),
            Some(_) => Err(self.unexpected()),
        }
    }

    fn skip_space(&mut self) {
        let rest = &self.text.as_bytes()[self.pos..];
        self.pos += rest
            .iter()
            .take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'))
            .count();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.pos).copied()
    }

    fn note_duplicates(&mut self, members: &[Member]) {
        let mut seen: HashMap<&str, Position> = HashMap::with_capacity(members.len());
        for member in members {
            let Some(&first) = seen.get(member.key.as_str()) else {
                seen.insert(&member.key, member.key_at);
                continue;
            };
            if self.duplicates.len() == DUPLICATES_MAX {
                return;
            }
            self.duplicates.push(Duplicate {
                pointer: pointer_join(&self.pointer(), &member.key),
                key: member.key.clone(),
                first,
                again: member.key_at,
            });
        }
    }

    /// The way to the value being read.
    fn pointer(&self) -> String {
        self.path
            .iter()
            .fold(String::new(), |pointer, step| match step {
                Step::Key(key) => pointer_join(&pointer, key),
                Step::Index(index) => pointer_join(&pointer, &index.to_string()),
            })
    }

    fn unexpected(&mut self) -> SyntaxError {
        let found = self.text[self.pos..].chars().next().unwrap_or_default();
        self.error(match found {
            '/' | '#' => SyntaxKind::Comment,
            found => SyntaxKind::UnexpectedCharacter(found),
        })
    }

    fn error(&mut self, kind: SyntaxKind) -> SyntaxError {
        SyntaxError {
            kind,
            at: self.position(),
        }
    }

    /// An error that began before the present position.
    fn error_from(&mut self, start: usize, kind: SyntaxKind) -> SyntaxError {
        self.pos = start;
        self.error(kind)
    }

    /// Where `pos` is. Errors may step back, but never behind the value they began in.
    fn position(&mut self) -> Position {
        debug_assert!(self.counted <= self.pos, "positions are asked for in order");
        for c in self.text[self.counted..self.pos].chars() {
            if c == '\n' {
                self.line = self.line.saturating_add(1);
                self.column = 1;
            } else {
                self.column = self.column.saturating_add(1);
            }
        }
        self.counted = self.pos;
        Position {
            line: self.line,
            column: self.column,
            offset: u32::try_from(self.pos).unwrap_or(u32::MAX),
        }
    }
}
