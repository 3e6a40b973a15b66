//! The one strict JSON reader for every document that somebody else wrote.
//!
//! It accepts what RFC 8259 accepts and nothing else (no comments, no trailing commas), and keeps what
//! other readers throw away and findings need: where each key and value stands, keys that occur twice,
//! numbers exactly as they are written. Documents of our own go through `serde_json` directly.
//!
//! Entry point: [`parse`]. Depth and size are bounded by [`Options`], so that foreign bytes can neither
//! exhaust the stack nor the memory.

mod node;
mod reader;

pub use node::{Member, Node, Number, Object, Value};

use crate::codes::{self, Code};
use crate::{Finding, Place};

/// The deepest nesting that [`Options::depth`] can allow; deeper wishes count as this.
pub const DEPTH_MAX: usize = 128;

/// Duplicate keys remembered per document; more than these do not help anybody.
const DUPLICATES_MAX: usize = 100;

/// Bounds of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Nested arrays and objects, 1 to [`DEPTH_MAX`]; default 64.
    pub depth: usize,
    /// Bytes of the whole document; default 1 MiB, at most 4 GiB.
    pub size: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            depth: 64,
            size: 1 << 20,
        }
    }
}

/// A place in a document. A byte order mark counts as a byte, not as a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Bytes before it.
    pub offset: u32,
}

impl Position {
    const START: Self = Self {
        line: 1,
        column: 1,
        offset: 0,
    };
}

/// A document that could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The outermost value.
    pub root: Node,
    /// Whether the document begins with a byte order mark.
    pub bom: bool,
    /// Keys that occur more than once in one object, in document order, at most 100 of them.
    pub duplicates: Vec<Duplicate>,
}

/// A key that the same object already has. [`Node::get`] answers the last one, as most readers do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// JSON pointer of the member.
    pub pointer: String,
    /// The key.
    pub key: String,
    /// Where the key stood first.
    pub first: Position,
    /// Where it stands again.
    pub again: Position,
}

impl Duplicate {
    /// The duplicate as an error in `file`.
    pub fn to_finding(&self, file: &str) -> Finding {
        let place = Place::pointer(file, &self.pointer).at(self.again.line, self.again.column);
        Finding::error(codes::JSON_DUPLICATE_KEY, place)
            .with("key", &self.key)
            .with("line", self.first.line)
    }
}

impl Document {
    /// What the document itself has wrong: a warning for a byte order mark, an error for each duplicate.
    ///
    /// A kind whose format allows either takes [`bom`](Self::bom) and
    /// [`duplicates`](Self::duplicates) instead.
    pub fn findings(&self, file: &str) -> Vec<Finding> {
        let bom = self
            .bom
            .then(|| Finding::warning(codes::JSON_BOM, Place::file(file).at(1, 1)));
        let duplicates = self.duplicates.iter().map(|d| d.to_finding(file));
        bom.into_iter().chain(duplicates).collect()
    }
}

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at line {}, column {}", at.line, at.column)]
pub struct SyntaxError {
    /// What is wrong.
    pub kind: SyntaxKind,
    /// Where it begins.
    pub at: Position,
}

impl SyntaxError {
    /// The error as a finding in `file`.
    pub fn to_finding(&self, file: &str) -> Finding {
        let place = Place::file(file).at(self.at.line, self.at.column);
        let finding = Finding::error(self.kind.code(), place);
        match self.kind {
            SyntaxKind::UnexpectedCharacter(found) => {
                finding.with("found", found.escape_debug().collect::<String>())
            }
            SyntaxKind::TooDeep { limit } | SyntaxKind::TooLarge { limit } => {
                finding.with("limit", limit)
            }
            _ => finding,
        }
    }
}

/// The kinds of syntax error; each has a code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxKind {
    /// Nothing but white space.
    #[error("the document is empty")]
    Empty,
    /// The document ends inside a value.
    #[error("the document ends too early")]
    UnexpectedEnd,
    /// A character that cannot stand here.
    #[error("unexpected character {0:?}")]
    UnexpectedCharacter(char),
    /// A comma before `]` or `}`.
    #[error("a comma before the closing bracket")]
    TrailingComma,
    /// Something follows the outermost value.
    #[error("something follows the end of the document")]
    TrailingData,
    /// A comment, which JSON does not have.
    #[error("a comment")]
    Comment,
    /// A raw control character in a string.
    #[error("a raw control character in a string")]
    ControlCharacter,
    /// A backslash sequence that JSON does not have.
    #[error("an unknown escape")]
    BadEscape,
    /// Half of a UTF-16 surrogate pair.
    #[error("half of a surrogate pair")]
    LoneSurrogate,
    /// Something like `01`, `1.` or `+1`.
    #[error("a malformed number")]
    BadNumber,
    /// A number beyond the range of double precision.
    #[error("a number out of range")]
    NumberRange,
    /// Bytes that are not UTF-8.
    #[error("bytes that are not UTF-8")]
    NotUtf8,
    /// Nested deeper than allowed.
    #[error("nested deeper than {limit}")]
    TooDeep {
        /// The depth allowed.
        limit: usize,
    },
    /// Larger than allowed.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// The bytes allowed.
        limit: usize,
    },
}

impl SyntaxKind {
    /// The code of findings of this kind.
    pub const fn code(self) -> Code {
        match self {
            Self::Empty => codes::JSON_EMPTY,
            Self::UnexpectedEnd => codes::JSON_UNEXPECTED_END,
            Self::UnexpectedCharacter(_) => codes::JSON_UNEXPECTED_CHARACTER,
            Self::TrailingComma => codes::JSON_TRAILING_COMMA,
            Self::TrailingData => codes::JSON_TRAILING_DATA,
            Self::Comment => codes::JSON_COMMENT,
            Self::ControlCharacter => codes::JSON_CONTROL_CHARACTER,
            Self::BadEscape => codes::JSON_BAD_ESCAPE,
            Self::LoneSurrogate => codes::JSON_LONE_SURROGATE,
            Self::BadNumber => codes::JSON_BAD_NUMBER,
            Self::NumberRange => codes::JSON_NUMBER_RANGE,
            Self::NotUtf8 => codes::JSON_NOT_UTF8,
            Self::TooDeep { .. } => codes::JSON_TOO_DEEP,
            Self::TooLarge { .. } => codes::JSON_TOO_LARGE,
        }
    }
}

/// Reads one document.
///
/// # Errors
///
/// The first thing that makes it unreadable: a syntax error, invalid UTF-8, or a bound of `options`.
pub fn parse(bytes: &[u8], options: Options) -> Result<Document, SyntaxError> {
    let limit = options.size.min(u32::MAX as usize);
    if bytes.len() > limit {
        return Err(SyntaxError {
            kind: SyntaxKind::TooLarge { limit },
            at: Position::START,
        });
    }
    reader::read(bytes, options.depth.clamp(1, DEPTH_MAX))
}

/// Appends a key or index to a JSON pointer, escaped as RFC 6901 says.
pub fn pointer_join(pointer: &str, key: &str) -> String {
    let mut joined = String::with_capacity(pointer.len() + key.len() + 1);
    joined.push_str(pointer);
    joined.push('/');
    for c in key.chars() {
        match c {
            '~' => joined.push_str("~0"),
            '/' => joined.push_str("~1"),
            c => joined.push(c),
        }
    }
    joined
}

#[cfg(test)]
mod tests;
