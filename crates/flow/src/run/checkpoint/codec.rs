//! What a rule has in hand, as bytes and back. Reading believes nothing: lengths are held against what is there.
//!
//! Numbers are little endian. A text is its length (4 bytes) and its bytes; a list its length and its parts; what may
//! be missing a byte that says whether it is there. A value is a byte for its kind and what belongs to that.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use plugyard_symbol::{JsonText, Row, Value};

use super::{OpenState, Snapshot, WatermarkState, WindowState};
use crate::eval::Member;
use crate::run::queue::row_bytes;

/// Deepest nesting of a value. What came as JSON is not deeper.
const MAX_DEPTH: usize = 200;

/// Why a value cannot be written.
#[derive(Debug)]
pub(super) struct TooDeep;

/// Writes everything.
pub(super) fn write(snapshot: &Snapshot, out: &mut Vec<u8>) -> Result<(), TooDeep> {
    count(snapshot.windows.len(), out);
    for window in &snapshot.windows {
        option(window.as_ref(), out, write_window)?;
    }
    option(snapshot.watermark.as_ref(), out, |watermark, out| {
        option(watermark.time, out, int)?;
        write_rows(&watermark.rows, out)
    })
}

fn write_window(window: &WindowState, out: &mut Vec<u8>) -> Result<(), TooDeep> {
    option(window.next, out, int)?;
    option(window.session, out, |(start, end), out| {
        int(start, out)?;
        int(end, out)
    })?;
    count(window.delayed.len(), out);
    for time in &window.delayed {
        int(*time, out)?;
    }
    count(window.counted, out);
    count(window.open.len(), out);
    for open in &window.open {
        bytes(open.key.as_bytes(), out);
        int(open.start, out)?;
        write_rows(&open.rows, out)?;
    }
    write_rows(&window.rows, out)
}

fn write_rows(rows: &[Arc<Member>], out: &mut Vec<u8>) -> Result<(), TooDeep> {
    count(rows.len(), out);
    for member in rows {
        int(member.at, out)?;
        option(member.meta.as_ref(), out, |meta, out| {
            bytes(meta.as_bytes(), out);
            Ok(())
        })?;
        write_row(&member.row, out, 0)?;
    }
    Ok(())
}

fn write_row(row: &Row, out: &mut Vec<u8>, depth: usize) -> Result<(), TooDeep> {
    count(row.len(), out);
    for (name, value) in row.iter() {
        bytes(name.as_bytes(), out);
        write_value(value, out, depth)?;
    }
    Ok(())
}

fn write_value(value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<(), TooDeep> {
    if depth > MAX_DEPTH {
        return Err(TooDeep);
    }
    match value {
        Value::Null => out.push(0),
        Value::Bool(truth) => out.extend([1, u8::from(*truth)]),
        Value::Int(number) => {
            out.push(2);
            out.extend(number.to_le_bytes());
        }
        Value::Number(text) => {
            out.push(3);
            bytes(text.as_bytes(), out);
        }
        Value::Float(number) => {
            out.push(4);
            out.extend(number.to_le_bytes());
        }
        Value::Text(text) => {
            out.push(5);
            bytes(text.as_bytes(), out);
        }
        Value::Bytes(raw) => {
            out.push(6);
            bytes(raw, out);
        }
        Value::List(values) => {
            out.push(7);
            count(values.len(), out);
            for value in values {
                write_value(value, out, depth + 1)?;
            }
        }
        Value::Object(row) => {
            out.push(8);
            write_row(row, out, depth + 1)?;
        }
        Value::Json(text) => {
            out.push(9);
            bytes(text.as_bytes(), out);
        }
    }
    Ok(())
}

fn option<T>(
    value: Option<T>,
    out: &mut Vec<u8>,
    write: impl Fn(T, &mut Vec<u8>) -> Result<(), TooDeep>,
) -> Result<(), TooDeep> {
    out.push(u8::from(value.is_some()));
    value.map_or(Ok(()), |value| write(value, out))
}

#[expect(clippy::unnecessary_wraps, reason = "one of several ways to write")]
fn int(number: i64, out: &mut Vec<u8>) -> Result<(), TooDeep> {
    out.extend(number.to_le_bytes());
    Ok(())
}

fn count(count: usize, out: &mut Vec<u8>) {
    out.extend((count as u64).to_le_bytes());
}

pub(super) fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    count(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Reads everything; nothing when it is not what [`write()`] wrote.
pub(super) fn read(bytes: &[u8]) -> Option<Snapshot> {
    let mut reader = Reader {
        rest: bytes,
        names: HashSet::new(),
    };
    let windows = reader.list(|it| it.option(Reader::window))?;
    let watermark = reader.option(|it| {
        Some(WatermarkState {
            time: it.option(Reader::int)?,
            rows: it.rows()?,
        })
    })?;
    reader
        .rest
        .is_empty()
        .then_some(Snapshot { windows, watermark })
}

pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
    /// Names of columns, of which there are few.
    names: HashSet<Arc<str>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self {
            rest,
            names: HashSet::new(),
        }
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*first)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn int(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(u64::from_le_bytes(self.array()?)).ok()
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.count()?;
        let (first, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(first)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn json(&mut self) -> Option<JsonText> {
        JsonText::parse(Bytes::copy_from_slice(self.bytes()?)).ok()
    }

    #[expect(
        clippy::option_option,
        reason = "whether it can be read, and whether it is there"
    )]
    fn option<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    /// As many parts as it says, each of which takes at least a byte.
    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.count()?;
        if length > self.rest.len() {
            return None;
        }
        // Not at once what the file says: a part may be larger than its bytes.
        let mut list = Vec::new();
        for _ in 0..length {
            list.push(read(self)?);
        }
        Some(list)
    }

    fn window(&mut self) -> Option<WindowState> {
        Some(WindowState {
            next: self.option(Self::int)?,
            session: self.option(|it| Some((it.int()?, it.int()?)))?,
            delayed: self.list(Self::int)?,
            counted: self.count()?,
            open: self.list(|it| {
                Some(OpenState {
                    key: it.text()?.to_owned(),
                    start: it.int()?,
                    rows: it.rows()?,
                })
            })?,
            rows: self.rows()?,
        })
    }

    fn rows(&mut self) -> Option<Vec<Arc<Member>>> {
        self.list(|it| {
            let at = it.int()?;
            let meta = it.option(Self::json)?;
            let row = it.row(0)?;
            let bytes = meta.as_ref().map_or(0, |meta| meta.as_bytes().len());
            Some(Arc::new(Member {
                bytes: bytes + row_bytes(&row),
                row,
                meta,
                at,
            }))
        })
    }

    fn row(&mut self, depth: usize) -> Option<Row> {
        let columns = self.list(|it| {
            let name = it.text()?;
            let name = match it.names.get(name) {
                Some(name) => name.clone(),
                None => {
                    let name: Arc<str> = name.into();
                    it.names.insert(name.clone());
                    name
                }
            };
            Some((name, it.value(depth)?))
        })?;
        Some(columns.into_iter().collect())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        Some(match self.byte()? {
            0 => Value::Null,
            1 => Value::Bool(self.byte()? != 0),
            2 => Value::Int(self.int()?),
            3 => Value::Number(self.text()?.into()),
            4 => {
                let number = f64::from_le_bytes(self.array()?);
                Value::Float(Some(number).filter(|number| number.is_finite())?)
            }
            5 => Value::Text(self.text()?.into()),
            6 => Value::Bytes(Bytes::copy_from_slice(self.bytes()?)),
            7 => Value::List(self.list(|it| it.value(depth + 1))?),
            8 => Value::Object(self.row(depth + 1)?),
            9 => Value::Json(self.json()?),
            _ => return None,
        })
    }
}
