//! From PCRE's notation to that of the engine, piece by piece; what PCRE would not compile is an error.

use std::fmt::Write as _;

use super::Modifiers;
use super::class;

/// What is wrong with a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum SyntaxError {
    #[error("it ends in the middle of an escape")]
    EndOfEscape,
    #[error("`\\{0}` is no escape")]
    Escape(char),
    #[error("a quantifier follows nothing that can be repeated")]
    NothingToRepeat,
    #[error("the numbers of a quantifier are out of order or too large")]
    Quantifier,
    #[error("a parenthesis is missing")]
    Parenthesis,
    #[error("a character class is not closed")]
    Class,
    #[error("the range of a character class is out of order")]
    Range,
    #[error("a group that is referred to does not exist")]
    Reference,
    #[error("a group begins with marks that mean nothing")]
    Group,
    #[error("a look-behind must have a fixed length")]
    LookBehind,
    #[error("a character has no such number")]
    Number,
    #[error("a property or class of characters is not known")]
    Property,
    #[error("a verb in `(*…)` that steers the search or redefines line ends is not supported")]
    Verb,
    #[error("two groups have the same name")]
    DuplicateName,
}

/// What may stand in `(*…)` before everything else and changes no verdict here: the line ends and the
/// meaning of `\R` that hold anyway, and hints on how to search.
const SETTINGS: &[&str] = &[
    "LF",
    "BSR_UNICODE",
    "NO_AUTO_POSSESS",
    "NO_DOTSTAR_ANCHOR",
    "NO_JIT",
    "NO_START_OPT",
];

/// Look-arounds and atomic groups by their names.
const NAMED_GROUPS: &[(&str, &str, bool)] = &[
    ("*pla:", "(?=", false),
    ("*positive_lookahead:", "(?=", false),
    ("*nla:", "(?!", false),
    ("*negative_lookahead:", "(?!", false),
    ("*plb:", "(?<=", true),
    ("*positive_lookbehind:", "(?<=", true),
    ("*nlb:", "(?<!", true),
    ("*negative_lookbehind:", "(?<!", true),
    ("*atomic:", "(?>", false),
];

/// How many repetitions PCRE counts to.
const REPEATS: u32 = 65_535;

/// What holds inside a group.
#[derive(Debug, Clone, Copy)]
struct Scope {
    modifiers: Modifiers,
    /// What precedes it in the group around it.
    before: Content,
    /// Where the group begins in what was written.
    start: usize,
    look_behind: bool,
}

/// What a group holds so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Content {
    /// Nothing at all.
    #[default]
    Nothing,
    /// One look-around, or a group with nothing but one.
    LookAround,
    Anything,
}

struct Translator<'p> {
    rest: &'p str,
    out: String,
    modifiers: Modifiers,
    scopes: Vec<Scope>,
    /// Where the last thing begins that a quantifier can follow.
    atom: Option<usize>,
    /// What the group around holds so far.
    content: Content,
    /// Where the last group begins that holds nothing or one look-around, or is one.
    closed: Option<usize>,
    /// How many groups there are, all in all.
    groups: u32,
    opened: u32,
    /// The names of groups, and how many groups have each.
    names: Vec<(&'p str, u32)>,
}

/// Translates a pattern.
pub(super) fn translate(pattern: &str, modifiers: Modifiers) -> Result<String, SyntaxError> {
    let mut translator = Translator {
        rest: pattern,
        out: String::with_capacity(pattern.len() * 2),
        modifiers,
        scopes: Vec::new(),
        atom: None,
        content: Content::Nothing,
        closed: None,
        groups: count_groups(pattern, modifiers),
        opened: 0,
        names: Vec::new(),
    };
    translator.settings();
    translator
        .out
        .push_str(if modifiers.caseless { "(?i)" } else { "" });
    if modifiers.anchored {
        translator.out.push_str("\\A(?:");
    }
    while !translator.rest.is_empty() {
        translator.piece()?;
    }
    if !translator.scopes.is_empty() {
        return Err(SyntaxError::Parenthesis);
    }
    if modifiers.anchored {
        translator.out.push(')');
    }
    Ok(translator.out)
}

/// How many groups capture.
fn count_groups(pattern: &str, modifiers: Modifiers) -> u32 {
    let bytes = pattern.as_bytes();
    let (mut at, mut count, mut class) = (0, 0, false);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if bytes.get(at + 1) == Some(&b'Q') => {
                at += pattern
                    .get(at..)
                    .and_then(|it| it.find("\\E"))
                    .unwrap_or(bytes.len());
            }
            b'\\' => at += 1,
            b'[' if !class => {
                class = true;
                at += usize::from(bytes.get(at + 1) == Some(&b'^'));
                at += usize::from(bytes.get(at + 1) == Some(&b']'));
            }
            b']' => class = false,
            b'(' if !class => {
                let after = &bytes[at + 1..];
                let named = after.starts_with(b"?P<")
                    || after.starts_with(b"?'")
                    || (after.starts_with(b"?<") && !matches!(after.get(2), Some(b'=' | b'!')));
                let plain = !after.starts_with(b"?") && !after.starts_with(b"*");
                count += u32::from(named || (plain && !modifiers.no_capture));
                // The parenthesis of a condition is none of a group.
                at += if after.starts_with(b"?(") { 2 } else { 0 };
            }
            _ => {}
        }
        at += 1;
    }
    count
}

impl<'p> Translator<'p> {
    fn take(&mut self) -> Option<char> {
        let letter = self.rest.chars().next()?;
        self.rest = &self.rest[letter.len_utf8()..];
        Some(letter)
    }

    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Everything up to a mark, which is taken too.
    fn until(&mut self, mark: char) -> Option<&'p str> {
        let (text, rest) = self.rest.split_once(mark)?;
        self.rest = rest;
        Some(text)
    }

    fn atom(&mut self, text: &str) {
        self.atom = Some(self.out.len());
        self.content = Content::Anything;
        self.out.push_str(text);
    }

    /// A place between characters, which nothing can repeat.
    fn anchor(&mut self, text: &str) {
        let before = self.content;
        self.atom(text);
        self.atom = None;
        if before == Content::Nothing {
            self.content = Content::LookAround;
        }
    }

    /// Characters of which none is the other case of another, as for PCRE.
    fn cased(&mut self, class: &str) {
        if self.modifiers.caseless {
            self.atom(&format!("(?-i:{class})"));
        } else {
            self.atom(class);
        }
    }

    /// A character that means itself; without Unicode a quantifier takes its last octet only.
    fn literal(&mut self, letter: char) {
        self.content = Content::Anything;
        if self.modifiers.unicode || letter.is_ascii() {
            self.atom = Some(self.out.len());
            class::push_literal(&mut self.out, letter);
        } else {
            let mut octets = [0; 4];
            for octet in letter.encode_utf8(&mut octets).bytes() {
                self.atom = Some(self.out.len());
                let _ = write!(self.out, "\\x{octet:02X}");
            }
        }
    }

    /// Passes over settings that begin a pattern.
    fn settings(&mut self) {
        while let Some((setting, rest)) = self
            .rest
            .strip_prefix("(*")
            .and_then(|rest| rest.split_once(')'))
        {
            let utf = self.modifiers.unicode && matches!(setting, "UTF" | "UTF8" | "UCP");
            if !utf && !SETTINGS.contains(&setting) {
                break;
            }
            self.rest = rest;
        }
    }

    fn piece(&mut self) -> Result<(), SyntaxError> {
        let Some(letter) = self.take() else {
            return Ok(());
        };
        match letter {
            '\\' => return self.escape(),
            '[' => {
                let Modifiers {
                    unicode, caseless, ..
                } = self.modifiers;
                let text = class::translate(&mut self.rest, unicode, caseless)?;
                self.atom(&text);
            }
            '(' => return self.open(),
            ')' => return self.close(),
            '|' => {
                self.out.push('|');
                self.atom = None;
                self.content = Content::Anything;
            }
            '^' => self.anchor(if self.modifiers.multiline {
                "(?:\\A|(?<=\\n)(?!\\z))"
            } else {
                "\\A"
            }),
            '$' => {
                let last = self.rest.is_empty() && self.scopes.is_empty();
                self.anchor(if self.modifiers.multiline {
                    "(?=\\n|\\z)"
                } else if self.modifiers.dollar_end {
                    "\\z"
                } else if last && !self.modifiers.anchored {
                    // Nothing follows that could miss the line feed.
                    "(?:\\n?\\z)"
                } else {
                    "(?=\\n?\\z)"
                });
            }
            '.' => self.atom(if self.modifiers.dotall {
                "(?s:.)"
            } else {
                "[^\\n]"
            }),
            '*' => return self.repeat("*", 0, None),
            '+' => return self.repeat("+", 1, None),
            '?' => return self.repeat("?", 0, Some(1)),
            '{' => {
                if let Some((length, least, most)) = quantifier(self.rest)? {
                    let text = format!("{{{}", &self.rest[..length]);
                    self.rest = &self.rest[length..];
                    return self.repeat(&text, least, most);
                }
                self.literal('{');
            }
            ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' if self.modifiers.extended => {}
            '#' if self.modifiers.extended => {
                let end = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
                self.rest = &self.rest[end..];
            }
            other => self.literal(other),
        }
        Ok(())
    }

    fn repeat(&mut self, text: &str, least: u32, most: Option<u32>) -> Result<(), SyntaxError> {
        let start = self.atom.take().ok_or(SyntaxError::NothingToRepeat)?;
        if most != Some(least) && self.scopes.iter().any(|scope| scope.look_behind) {
            return Err(SyntaxError::LookBehind);
        }
        if self.repeats_nothing(start) {
            // The engine repeats a choice, but no look-around and nothing.
            self.out.insert_str(start, "(?:");
            self.out.push_str("|(?!))");
        }
        self.content = Content::Anything;
        if self.eat("+") {
            self.out.insert_str(start, "(?>");
            self.out.push_str(text);
            self.out.push(')');
        } else {
            self.out.push_str(text);
            if self.eat("?") != self.modifiers.ungreedy {
                self.out.push('?');
            }
        }
        Ok(())
    }

    /// Whether what begins there, the last thing of its group, takes no character by its form.
    fn repeats_nothing(&self, start: usize) -> bool {
        self.closed == Some(start)
    }

    fn escape(&mut self) -> Result<(), SyntaxError> {
        let letter = self.take().ok_or(SyntaxError::EndOfEscape)?;
        let unicode = self.modifiers.unicode;
        match letter {
            'Q' => {
                let (text, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                for letter in text.chars() {
                    self.literal(letter);
                }
            }
            'E' => {}
            'A' | 'G' => self.anchor("\\A"),
            'z' => self.anchor("\\z"),
            'Z' => self.anchor("(?=\\n?\\z)"),
            'K' => self.atom("\\K"),
            'b' | 'B' if unicode => {
                let word = class::shorthand('w', true).unwrap_or_default();
                let (first, second) = if letter == 'b' {
                    ("!", "=")
                } else {
                    ("=", "!")
                };
                self.anchor(&format!(
                    "(?:(?<={word})(?{first}{word})|(?<!{word})(?{second}{word}))"
                ));
            }
            'b' | 'B' => self.anchor(if letter == 'b' { "\\b" } else { "\\B" }),
            'R' => self.atom(if unicode {
                "(?>\\r\\n|[\\n-\\r\\x{85}\\x{2028}\\x{2029}])"
            } else {
                "(?>\\r\\n|[\\n-\\r\\x85])"
            }),
            'X' => self.atom(if unicode {
                "(?>\\r\\n|\\P{M}\\p{M}*|\\p{M}+)"
            } else {
                "(?s:.)"
            }),
            // What stands in braces here would be the name of a character.
            'N' if self.rest.starts_with('{') && quantifier(&self.rest[1..])?.is_none() => {
                return Err(SyntaxError::Escape('N'));
            }
            'N' => self.atom("[^\\n]"),
            // One octet, which a text of characters cannot be taken apart into.
            'C' if !unicode => self.atom("(?s:.)"),
            'C' => return Err(SyntaxError::Escape('C')),
            'p' | 'P' => {
                let text = class::property(&mut self.rest, letter == 'P', unicode)?;
                self.cased(&text);
            }
            'g' => return self.reference_or_call(),
            'k' => {
                let close = match self.take() {
                    Some('<') => '>',
                    Some('\'') => '\'',
                    Some('{') => '}',
                    _ => return Err(SyntaxError::Reference),
                };
                let name = self.until(close).ok_or(SyntaxError::Reference)?;
                self.named(name)?;
            }
            '1'..='9' => {
                let digits: String = std::iter::once(letter)
                    .chain(self.rest.chars().take_while(char::is_ascii_digit))
                    .collect();
                let number: u32 = digits.parse().map_err(|_| SyntaxError::Reference)?;
                if number < 10 || number <= self.groups {
                    self.rest = &self.rest[digits.len() - 1..];
                    return self.numbered(number);
                }
                let code = class::octal(&mut self.rest, letter);
                self.code_point(code)?;
            }
            other => {
                if let Some(text) = class::shorthand(other, unicode) {
                    self.cased(&text);
                } else {
                    let code = class::escaped(other, &mut self.rest)?;
                    self.code_point(code)?;
                }
            }
        }
        Ok(())
    }

    fn code_point(&mut self, code: u32) -> Result<(), SyntaxError> {
        if self.modifiers.unicode {
            self.literal(char::from_u32(code).ok_or(SyntaxError::Number)?);
        } else {
            let octet = u8::try_from(code).map_err(|_| SyntaxError::Number)?;
            self.atom(&format!("\\x{octet:02X}"));
        }
        Ok(())
    }

    fn numbered(&mut self, number: u32) -> Result<(), SyntaxError> {
        if number == 0 || number > self.groups {
            return Err(SyntaxError::Reference);
        }
        // Braces keep digits that follow apart.
        self.atom(&format!("(?:\\{number})"));
        Ok(())
    }

    fn named(&mut self, name: &str) -> Result<(), SyntaxError> {
        if !is_name(name) {
            return Err(SyntaxError::Reference);
        }
        let count = self
            .names
            .iter()
            .find(|(it, _)| *it == name)
            .map_or(1, |(_, count)| *count);
        // The first of the groups with that name that matched.
        let text = (2..=count).rev().fold(
            format!("\\k<{}>", alias(name, count.max(1))),
            |otherwise, number| {
                let name = alias(name, number - 1);
                format!("(?(<{name}>)\\k<{name}>|{otherwise})")
            },
        );
        self.atom(&text);
        Ok(())
    }

    /// `\g`: a reference with braces or a bare number, a call with brackets or quotes.
    fn reference_or_call(&mut self) -> Result<(), SyntaxError> {
        let close = match self.rest.chars().next() {
            Some('{') => '}',
            Some('<') => '>',
            Some('\'') => '\'',
            _ => {
                let signed = usize::from(self.rest.starts_with(['-', '+']));
                let digits = self.rest[signed..].bytes();
                let length = signed + digits.take_while(u8::is_ascii_digit).count();
                let (number, rest) = self.rest.split_at(length);
                self.rest = rest;
                let number = self.group_number(number)?;
                return self.numbered(number);
            }
        };
        self.take();
        let name = self.until(close).ok_or(SyntaxError::Reference)?;
        if close == '}' {
            match self.group_number(name) {
                Ok(number) => self.numbered(number),
                Err(_) => self.named(name),
            }
        } else {
            self.call(name)
        }
    }

    /// A number of a group, which may count from here.
    fn group_number(&self, text: &str) -> Result<u32, SyntaxError> {
        let parse = |it: &str| it.parse::<u32>().map_err(|_| SyntaxError::Reference);
        if let Some(back) = text.strip_prefix('-') {
            let back = parse(back)?;
            return (self.opened + 1)
                .checked_sub(back)
                .filter(|it| *it > 0 && back > 0)
                .ok_or(SyntaxError::Reference);
        }
        match text.strip_prefix('+') {
            Some(on) => Ok(self.opened.saturating_add(parse(on)?)),
            None => parse(text),
        }
    }

    fn call(&mut self, name: &str) -> Result<(), SyntaxError> {
        match self.group_number(name) {
            Ok(number) if number > self.groups => return Err(SyntaxError::Reference),
            Ok(number) => self.atom(&format!("\\g<{number}>")),
            Err(_) if is_name(name) => self.atom(&format!("\\g<{name}>")),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn scope(&mut self, text: &str, look_behind: bool) {
        let start = self.out.len();
        self.scopes.push(Scope {
            modifiers: self.modifiers,
            before: std::mem::take(&mut self.content),
            start,
            look_behind,
        });
        self.out.push_str(text);
        self.atom = None;
    }

    fn open(&mut self) -> Result<(), SyntaxError> {
        if self.eat("*F)") || self.eat("*FAIL)") {
            self.out.push_str("(?!)");
            self.atom = None;
            return Ok(());
        }
        for (mark, text, look_behind) in NAMED_GROUPS {
            if self.eat(mark) {
                self.scope(text, *look_behind);
                return Ok(());
            }
        }
        if self.rest.starts_with('*') {
            return Err(SyntaxError::Verb);
        }
        if !self.eat("?") {
            if self.modifiers.no_capture {
                self.scope("(?:", false);
            } else {
                self.opened += 1;
                self.scope("(", false);
            }
            return Ok(());
        }
        for (mark, text, look_behind) in [
            (":", "(?:", false),
            ("|", "(?:", false),
            ("=", "(?=", false),
            ("!", "(?!", false),
            (">", "(?>", false),
            ("<=", "(?<=", true),
            ("<!", "(?<!", true),
        ] {
            if self.eat(mark) {
                self.scope(text, look_behind);
                return Ok(());
            }
        }
        if self.eat("#") {
            self.until(')').ok_or(SyntaxError::Parenthesis)?;
            return Ok(());
        }
        let name = if self.eat("P<") || self.eat("<") {
            Some(self.until('>'))
        } else if self.eat("'") {
            Some(self.until('\''))
        } else {
            None
        };
        if let Some(name) = name {
            let name = name.filter(|it| is_name(it)).ok_or(SyntaxError::Group)?;
            self.opened += 1;
            let text = match self.names.iter_mut().find(|(it, _)| *it == name) {
                None => {
                    self.names.push((name, 1));
                    format!("(?<{name}>")
                }
                Some(_) if !self.modifiers.duplicate_names => {
                    return Err(SyntaxError::DuplicateName);
                }
                Some((_, count)) => {
                    *count += 1;
                    format!("(?<{}>", alias(name, *count))
                }
            };
            self.scope(&text, false);
            return Ok(());
        }
        if self.eat("P=") {
            let name = self.until(')').ok_or(SyntaxError::Parenthesis)?;
            return self.named(name);
        }
        if self.eat("P>") || self.eat("&") {
            let name = self.until(')').ok_or(SyntaxError::Parenthesis)?;
            return self.call(name);
        }
        if self.eat("(") {
            return self.conditional();
        }
        if self.eat("R)") {
            return self.call("0");
        }
        let numbered = self.rest.trim_start_matches(['+', '-']);
        if numbered.starts_with(|it: char| it.is_ascii_digit()) {
            let number = self.until(')').ok_or(SyntaxError::Parenthesis)?;
            return self.call(number);
        }
        self.flags()
    }

    /// `(?(…)yes|no)`.
    fn conditional(&mut self) -> Result<(), SyntaxError> {
        if self.rest.starts_with('?') {
            // The condition is a look-around, read as a group of its own.
            self.scope("(?", false);
            return self.open();
        }
        let condition = self.until(')').ok_or(SyntaxError::Parenthesis)?;
        let name = condition.trim_matches(['<', '>', '\'']);
        if condition == "DEFINE" {
            self.scope("(?(DEFINE)", false);
            return Ok(());
        }
        let text = match self.group_number(condition) {
            Ok(number) if number == 0 || number > self.groups => {
                return Err(SyntaxError::Reference);
            }
            Ok(number) => format!("(?({number})"),
            Err(_) if is_name(name) && name != "R" => format!("(?(<{name}>)"),
            Err(_) => return Err(SyntaxError::Group),
        };
        self.scope(&text, false);
        Ok(())
    }

    /// `(?flags)` to the end of the group, or `(?flags:…)`.
    fn flags(&mut self) -> Result<(), SyntaxError> {
        let before = self.modifiers;
        let mut on = true;
        loop {
            match self.take().ok_or(SyntaxError::Parenthesis)? {
                '^' => {
                    self.modifiers.caseless = false;
                    self.modifiers.multiline = false;
                    self.modifiers.dotall = false;
                    self.modifiers.extended = false;
                    self.modifiers.no_capture = false;
                }
                '-' => on = false,
                'i' => self.modifiers.caseless = on,
                'm' => self.modifiers.multiline = on,
                's' => self.modifiers.dotall = on,
                'x' => self.modifiers.extended = on,
                'n' => self.modifiers.no_capture = on,
                'U' => self.modifiers.ungreedy = on,
                'J' => self.modifiers.duplicate_names = on,
                mark @ (')' | ':') => {
                    let case = if self.modifiers.caseless { "i" } else { "-i" };
                    if mark == ')' {
                        let _ = write!(self.out, "(?{case})");
                        self.atom = None;
                    } else {
                        let inside = self.modifiers;
                        self.modifiers = before;
                        self.scope(&format!("(?{case}:"), false);
                        self.modifiers = inside;
                    }
                    return Ok(());
                }
                _ => return Err(SyntaxError::Group),
            }
        }
    }

    fn close(&mut self) -> Result<(), SyntaxError> {
        let scope = self.scopes.pop().ok_or(SyntaxError::Parenthesis)?;
        let group = &self.out[scope.start..];
        let looks = ["(?=", "(?!", "(?<=", "(?<!"]
            .iter()
            .any(|mark| group.starts_with(mark));
        let captures = group.starts_with("(?<") || !group.starts_with("(?");
        let empty = !captures && self.content != Content::Anything;
        // The engine lets flags out of groups that capture.
        if self.modifiers.caseless != scope.modifiers.caseless {
            let case = if scope.modifiers.caseless { "i" } else { "-i" };
            let _ = write!(self.out, "(?{case})");
        }
        self.out.push(')');
        self.modifiers = scope.modifiers;
        self.atom = Some(scope.start);
        self.closed = (looks || empty).then_some(scope.start);
        self.content = match scope.before {
            Content::Nothing if looks || empty => Content::LookAround,
            _ => Content::Anything,
        };
        Ok(())
    }
}

/// What the n-th group of a name is called.
fn alias(name: &str, number: u32) -> String {
    if number == 1 {
        name.to_owned()
    } else {
        // No name of a pattern is that long.
        format!("{name:_<33}{number}")
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_')
        && name
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'_')
}

/// A quantifier of numbers, and how long it is after its brace; `None` when the brace means itself.
fn quantifier(rest: &str) -> Result<Option<(usize, u32, Option<u32>)>, SyntaxError> {
    let Some((inner, _)) = rest.split_once('}') else {
        return Ok(None);
    };
    let (least, most) = inner.split_once(',').unwrap_or((inner, inner));
    let is_number = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    let unbounded = most.is_empty() && inner.contains(',');
    if !is_number(least) || !(unbounded || is_number(most)) {
        return Ok(None);
    }
    let parse = |it: &str| {
        it.parse()
            .ok()
            .filter(|it| *it <= REPEATS)
            .ok_or(SyntaxError::Quantifier)
    };
    let least = parse(least)?;
    let most = if unbounded { None } else { Some(parse(most)?) };
    if most.is_some_and(|most| most < least) {
        return Err(SyntaxError::Quantifier);
    }
    Ok(Some((inner.len() + 1, least, most)))
}
