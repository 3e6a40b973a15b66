//! E-mail addresses as the mail library that Laravel uses reads them: token by token, with its
//! tolerance and its warnings.

use super::super::{is_other, is_symbol};

/// How long a part of the domain between two dots may be, in octets.
const LABEL: usize = 63;
/// How long a domain may be, in octets.
const DOMAIN: usize = 253;
/// How long what stands before the `@` may be without a warning, in octets.
const LOCAL: usize = 64;
/// How long an address may be without a warning, in octets.
const ADDRESS: usize = 254;

/// Whether an address that is taken deserves a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Warned(pub(super) bool);

/// Judges an address; `None` when it is none.
pub(super) fn judge(text: &str) -> Option<Warned> {
    let mut parser = Parser::new(text)?;
    if parser.token().kind == Kind::At {
        return None;
    }
    parser.local()?;
    parser.domain()?;
    if parser.local_length + 1 + parser.domain_length > ADDRESS {
        parser.warned = true;
    }
    Some(Warned(parser.warned))
}

/// What a token is, as far as the grammar asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Letters, digits, or a character of another script.
    Generic,
    Nul,
    Tab,
    Space,
    Quote,
    Open,
    Close,
    Comma,
    Hyphen,
    Dot,
    Slash,
    Colon,
    DoubleColon,
    Semicolon,
    Less,
    Greater,
    At,
    OpenBracket,
    Backslash,
    CloseBracket,
    Ipv6Tag,
    /// Other characters that may stand before the `@`.
    Atext,
    /// Before the first token and after the last.
    End,
}

#[derive(Debug, Clone, Copy)]
struct Token<'t> {
    kind: Kind,
    text: &'t str,
}

const END: Token<'static> = Token {
    kind: Kind::End,
    text: "",
};

struct Parser<'t> {
    tokens: Vec<Token<'t>>,
    at: usize,
    warned: bool,
    local_length: usize,
    domain_length: usize,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Option<Self> {
        Some(Self {
            tokens: tokens(text)?,
            at: 0,
            warned: false,
            local_length: 0,
            domain_length: 0,
        })
    }

    fn token(&self) -> Token<'t> {
        self.tokens.get(self.at).copied().unwrap_or(END)
    }

    fn previous(&self) -> Token<'t> {
        self.at
            .checked_sub(1)
            .and_then(|at| self.tokens.get(at))
            .copied()
            .unwrap_or(END)
    }

    fn next_is(&self, kind: Kind) -> bool {
        self.tokens
            .get(self.at + 1)
            .is_some_and(|it| it.kind == kind)
    }

    /// Whether such a token is still to come.
    fn comes(&self, kind: Kind) -> bool {
        self.tokens
            .get(self.at + 1..)
            .is_some_and(|rest| rest.iter().any(|it| it.kind == kind))
    }

    /// Goes on; says whether another token follows the one gone to.
    fn advance(&mut self) -> bool {
        if self.at < self.tokens.len() {
            self.at += 1;
        }
        self.at + 1 < self.tokens.len()
    }

    fn is_escaped(&self) -> bool {
        self.previous().kind == Kind::Backslash && self.token().kind != Kind::Generic
    }

    /// White space that may be folded; it must not stand between two words.
    fn white_space(&mut self) -> Option<()> {
        if self.is_escaped() || !matches!(self.token().kind, Kind::Space | Kind::Tab) {
            return Some(());
        }
        if self.next_is(Kind::Generic) && self.previous().kind != Kind::At {
            return None;
        }
        self.warned = true;
        Some(())
    }

    fn local(&mut self) -> Option<()> {
        while !matches!(self.token().kind, Kind::At | Kind::End) {
            if self.token().kind == Kind::Dot && self.at == 0 {
                return None;
            }
            if self.token().kind == Kind::Quote {
                self.quoted()?;
            }
            if matches!(self.token().kind, Kind::Open | Kind::Close) {
                self.comment(false)?;
            }
            match self.token().kind {
                Kind::Dot if self.next_is(Kind::Dot) || self.next_is(Kind::At) => return None,
                Kind::Backslash if self.next_is(Kind::Generic) => return None,
                Kind::Comma
                | Kind::CloseBracket
                | Kind::OpenBracket
                | Kind::Greater
                | Kind::Less
                | Kind::Colon
                | Kind::Semicolon => return None,
                _ => {}
            }
            self.white_space()?;
            self.advance();
        }
        self.local_length = self.tokens[..self.at.min(self.tokens.len())]
            .iter()
            .map(|it| it.text.len())
            .sum();
        self.warned |= self.local_length > LOCAL;
        Some(())
    }

    /// A quoted string, up to its closing quote.
    fn quoted(&mut self) -> Option<()> {
        self.quote()?;
        self.advance();
        while !matches!(self.token().kind, Kind::Quote | Kind::End) {
            if self.token().kind == Kind::Backslash && self.next_is(Kind::Quote) {
                self.advance();
            }
            self.advance();
            if !self.is_escaped() && matches!(self.token().kind, Kind::Nul | Kind::Tab) {
                return None;
            }
        }
        if self.previous().kind == Kind::Backslash {
            self.quote()
        } else {
            self.next_is(Kind::At).then_some(())
        }
    }

    /// A quote is no part of a word, and another one follows.
    fn quote(&mut self) -> Option<()> {
        if self.next_is(Kind::Generic) && self.previous().kind == Kind::Generic {
            return None;
        }
        if !self.comes(Kind::Quote) {
            return None;
        }
        self.warned = true;
        Some(())
    }

    /// A comment, with all that stands before the `@` or before the next dot.
    fn comment(&mut self, domain: bool) -> Option<()> {
        if self.token().kind == Kind::Close || !self.comes(Kind::Close) {
            return None;
        }
        self.warned = true;
        let mut open = 1_i32;
        let mut more = true;
        while more
            && if domain {
                !(open == 0 && self.next_is(Kind::Dot))
            } else {
                !self.next_is(Kind::At)
            }
        {
            if self.next_is(Kind::Open) {
                open += 1;
            }
            if self.next_is(Kind::Close) {
                open -= 1;
            }
            more = self.advance();
        }
        let end = if domain { Kind::Dot } else { Kind::At };
        (open == 0 && self.next_is(end)).then_some(())
    }

    fn domain(&mut self) -> Option<()> {
        self.advance();
        let first = self.token().kind;
        if matches!(first, Kind::Dot | Kind::Hyphen | Kind::End | Kind::At)
            || (first == Kind::Space && !self.next_is(Kind::Generic))
        {
            return None;
        }
        self.domain_labels()?;
        if matches!(self.previous().kind, Kind::Dot | Kind::Hyphen)
            || self.token().kind == Kind::Space
        {
            return None;
        }
        (self.domain_length <= DOMAIN).then_some(())
    }

    fn domain_labels(&mut self) -> Option<()> {
        let mut single = true;
        let mut comments = false;
        let mut length = 0;
        let mut label = String::new();
        loop {
            if matches!(self.token().kind, Kind::Backslash | Kind::Slash) {
                return None;
            }
            if matches!(self.token().kind, Kind::Open | Kind::Close) {
                comments = true;
                self.comment(true)?;
            }
            if self.token().kind == Kind::Dot && self.next_is(Kind::Dot) {
                return None;
            }
            if self.token().kind == Kind::OpenBracket {
                self.warned = true;
                return self.literal();
            }
            if self.token().kind == Kind::Dot {
                if is_too_long(&label) {
                    return None;
                }
                label.clear();
            }
            // The dot counts as a part of the label after it.
            label.push_str(self.token().text);
            self.white_space()?;
            length += self.token().text.len();
            if self.token().kind == Kind::Dot && self.next_is(Kind::Generic) {
                single = false;
            }
            let fine = match self.token().kind {
                Kind::Generic | Kind::Dot => true,
                Kind::Hyphen => !self.next_is(Kind::Dot),
                Kind::Open | Kind::Close => comments,
                _ => false,
            };
            if !fine {
                return None;
            }
            self.advance();
            if self.token().kind == Kind::End {
                break;
            }
        }
        if is_too_long(&label) {
            return None;
        }
        self.warned |= single;
        self.domain_length = length;
        Some(())
    }

    /// An address in brackets, whatever stands in it.
    fn literal(&mut self) -> Option<()> {
        if !self.comes(Kind::CloseBracket) {
            return None;
        }
        loop {
            if matches!(self.token().kind, Kind::Nul | Kind::Backslash)
                || self.next_is(Kind::OpenBracket)
            {
                return None;
            }
            if self.token().kind == Kind::CloseBracket || !self.advance() {
                return Some(());
            }
        }
    }
}

/// Whether a label is longer than DNS allows, in its ASCII form.
fn is_too_long(label: &str) -> bool {
    if label.is_ascii() {
        return label.len() > LABEL;
    }
    let lower = label.trim_start_matches('.').to_lowercase();
    match idna::punycode::encode_str(&lower) {
        Some(encoded) => "xn--".len() + encoded.len() > LABEL,
        None => true,
    }
}

/// The tokens of a text; `None` when one of its characters is never allowed.
fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_ascii_alphabetic() {
            let letters = run(rest, |it| it.is_ascii_alphabetic());
            letters + usize::from(rest[letters..].starts_with(['4', '6']))
        } else if first.is_ascii_digit() {
            run(rest, |it| it.is_ascii_digit())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        tokens.push(Token {
            kind: kind(token, first)?,
            text: token,
        });
        rest = after;
    }
    Some(tokens)
}

fn run(text: &str, holds: impl Fn(char) -> bool) -> usize {
    text.find(|it| !holds(it)).unwrap_or(text.len())
}

fn kind(token: &str, first: char) -> Option<Kind> {
    Some(match first {
        _ if token == "IPv6" => Kind::Ipv6Tag,
        _ if token == "::" => Kind::DoubleColon,
        '\0' => Kind::Nul,
        '\t' => Kind::Tab,
        ' ' => Kind::Space,
        '"' => Kind::Quote,
        '(' => Kind::Open,
        ')' => Kind::Close,
        ',' => Kind::Comma,
        '-' => Kind::Hyphen,
        '.' => Kind::Dot,
        '/' => Kind::Slash,
        ':' => Kind::Colon,
        ';' => Kind::Semicolon,
        '<' => Kind::Less,
        '>' => Kind::Greater,
        '@' => Kind::At,
        '[' => Kind::OpenBracket,
        '\\' => Kind::Backslash,
        ']' => Kind::CloseBracket,
        '{' | '}' | '\'' | '`' | '*' | '!' | '&' | '^' | '$' | '%' | '~' | '|' | '_' | '='
        | '+' | '?' | '#' | '¿' | '¡' => Kind::Atext,
        other if is_symbol(other) || is_other(other) => return None,
        _ => Kind::Generic,
    })
}
