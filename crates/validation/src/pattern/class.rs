//! Classes of characters, escapes and properties.

use std::fmt::Write as _;

use fancy_regex::Regex;

use super::translate::SyntaxError;

/// Horizontal white space beyond ASCII and the no-break space.
const WIDE_SPACE: &str = "\\x{1680}\\x{180E}\\x{2000}-\\x{200A}\\x{202F}\\x{205F}\\x{3000}";

/// A character that means itself, in a class or out of it.
pub(super) fn push_literal(out: &mut String, letter: char) {
    if letter.is_ascii_alphanumeric() || !letter.is_ascii() {
        out.push(letter);
    } else {
        let _ = write!(out, "\\x{:02X}", u32::from(letter));
    }
}

/// The class of `\d`, `\w`, `\s`, `\h`, `\v` and their opposites.
pub(super) fn shorthand(letter: char, unicode: bool) -> Option<String> {
    let inner = match (letter.to_ascii_lowercase(), unicode) {
        ('d', false) => "0-9".to_owned(),
        ('d', true) => "\\p{Nd}".to_owned(),
        ('w', false) => "0-9A-Za-z_".to_owned(),
        ('w', true) => "\\p{L}\\p{N}_".to_owned(),
        ('s', false) => "\\t-\\r\\x20".to_owned(),
        ('s', true) => format!("\\t-\\r\\x20\\x{{85}}\\x{{A0}}\\p{{Z}}{WIDE_SPACE}"),
        ('h', false) => "\\t\\x20\\xA0".to_owned(),
        ('h', true) => format!("\\t\\x20\\x{{A0}}{WIDE_SPACE}"),
        ('v', false) => "\\n-\\r\\x85".to_owned(),
        ('v', true) => "\\n-\\r\\x{85}\\x{2028}\\x{2029}".to_owned(),
        _ => return None,
    };
    Some(if letter.is_ascii_uppercase() {
        format!("[^{inner}]")
    } else {
        format!("[{inner}]")
    })
}

/// What follows `\p` or `\P`.
pub(super) fn property(
    rest: &mut &str,
    negated: bool,
    unicode: bool,
) -> Result<String, SyntaxError> {
    let name = match rest.strip_prefix('{') {
        Some(after) => {
            let (name, after) = after.split_once('}').ok_or(SyntaxError::Property)?;
            *rest = after;
            name
        }
        None => {
            let length = rest.chars().next().map_or(0, char::len_utf8);
            let (name, after) = rest.split_at(length);
            *rest = after;
            name
        }
    };
    let (name, negated) = match name.strip_prefix('^') {
        Some(name) => (name, !negated),
        None => (name, negated),
    };
    let inner = match name {
        "Any" => "\\x{0}-\\x{10FFFF}".to_owned(),
        "L&" => "\\p{Lu}\\p{Ll}\\p{Lt}".to_owned(),
        "Xan" => "\\p{L}\\p{N}".to_owned(),
        "Xwd" => "\\p{L}\\p{N}_".to_owned(),
        "Xsp" | "Xps" => format!("\\t-\\r\\x20\\x{{85}}\\x{{A0}}\\p{{Z}}{WIDE_SPACE}"),
        name if !name.is_empty()
            && name
                .bytes()
                .all(|it| it.is_ascii_alphabetic() || it == b'_') =>
        {
            format!("\\p{{{name}}}")
        }
        _ => return Err(SyntaxError::Property),
    };
    let class = format!("[{}{inner}]", if negated { "^" } else { "" });
    let regex = Regex::new(&format!("\\A{class}\\z")).map_err(|_| SyntaxError::Property)?;
    if unicode {
        return Ok(class);
    }
    // Without Unicode an octet has the properties of the character of its number.
    let mut octets = String::from("[");
    let mut any = false;
    for octet in 0..=u8::MAX {
        let mut text = [0; 4];
        let text = char::from(octet).encode_utf8(&mut text);
        if regex.is_match(&*text).unwrap_or(false) {
            any = true;
            let _ = write!(octets, "\\x{octet:02X}");
        }
    }
    octets.push(']');
    Ok(if any {
        octets
    } else {
        "[^\\x00-\\xFF]".to_owned()
    })
}

/// The number of a character that an escape names, which is none of the classes.
pub(super) fn escaped(letter: char, rest: &mut &str) -> Result<u32, SyntaxError> {
    Ok(match letter {
        'a' => 0x07,
        'e' => 0x1B,
        'f' => 0x0C,
        'n' => 0x0A,
        'r' => 0x0D,
        't' => 0x09,
        '0' => octal(rest, '0'),
        'o' => {
            let (digits, after) = rest
                .strip_prefix('{')
                .and_then(|it| it.split_once('}'))
                .ok_or(SyntaxError::Number)?;
            *rest = after;
            u32::from_str_radix(digits, 8).map_err(|_| SyntaxError::Number)?
        }
        'x' => hexadecimal(rest)?,
        'c' => {
            let letter = rest
                .chars()
                .next()
                .filter(|it| it.is_ascii() && !it.is_ascii_control())
                .ok_or(SyntaxError::EndOfEscape)?;
            *rest = &rest[1..];
            u32::from(letter.to_ascii_uppercase()) ^ 0x40
        }
        other if other.is_ascii_alphanumeric() => return Err(SyntaxError::Escape(other)),
        other => u32::from(other),
    })
}

/// Up to three octal digits, of which the first was read; 8 and 9 mean themselves.
pub(super) fn octal(rest: &mut &str, first: char) -> u32 {
    let Some(mut code) = first.to_digit(8) else {
        return u32::from(first);
    };
    for _ in 0..2 {
        let Some(digit) = rest.chars().next().and_then(|it| it.to_digit(8)) else {
            break;
        };
        code = code * 8 + digit;
        *rest = &rest[1..];
    }
    code
}

fn hexadecimal(rest: &mut &str) -> Result<u32, SyntaxError> {
    if let Some(after) = rest.strip_prefix('{') {
        let (digits, after) = after.split_once('}').ok_or(SyntaxError::Number)?;
        *rest = after;
        return u32::from_str_radix(digits, 16).map_err(|_| SyntaxError::Number);
    }
    let length = rest
        .bytes()
        .take(2)
        .take_while(u8::is_ascii_hexdigit)
        .count();
    let (digits, after) = rest.split_at(length);
    *rest = after;
    if digits.is_empty() {
        return Ok(0);
    }
    u32::from_str_radix(digits, 16).map_err(|_| SyntaxError::Number)
}

/// One thing in a class.
enum Item {
    /// A character.
    Code(u32),
    /// The number of one; without Unicode, of an octet.
    Escaped(u32),
    Class(String),
}

impl Item {
    /// What it is written with; `None` for a class.
    fn octets(&self) -> Result<Option<Vec<u8>>, SyntaxError> {
        match self {
            Self::Class(_) => Ok(None),
            Self::Escaped(code) => {
                let octet = u8::try_from(*code).map_err(|_| SyntaxError::Number)?;
                Ok(Some(vec![octet]))
            }
            Self::Code(code) => {
                let letter = char::from_u32(*code).ok_or(SyntaxError::Number)?;
                let mut octets = [0; 4];
                Ok(Some(letter.encode_utf8(&mut octets).as_bytes().to_vec()))
            }
        }
    }

    fn code(&self) -> Option<u32> {
        match self {
            Self::Code(code) | Self::Escaped(code) => Some(*code),
            Self::Class(_) => None,
        }
    }
}

/// A class after its opening bracket.
pub(super) fn translate(
    rest: &mut &str,
    unicode: bool,
    caseless: bool,
) -> Result<String, SyntaxError> {
    let negated = rest.strip_prefix('^');
    *rest = negated.unwrap_or(rest);
    // Letters, and classes, whose characters have no other case.
    let (mut out, mut classes) = (String::new(), String::new());
    let mut first = true;
    loop {
        if !first && let Some(after) = rest.strip_prefix(']') {
            *rest = after;
            return Ok(joined(&out, &classes, negated.is_some(), caseless));
        }
        first = false;
        if let Some(after) = rest.strip_prefix("\\E") {
            *rest = after;
            continue;
        }
        if let Some(after) = rest.strip_prefix("\\Q") {
            let (text, after) = after.split_once("\\E").unwrap_or((after, ""));
            *rest = after;
            for letter in text.chars() {
                push_item(&mut out, &Item::Code(u32::from(letter)), unicode)?;
            }
            continue;
        }
        let low = match item(rest, unicode, caseless)? {
            Item::Class(class) => {
                // PCRE takes a hyphen after a class for a range without a beginning.
                if rest.starts_with('-') && !rest.starts_with("-]") {
                    return Err(SyntaxError::Range);
                }
                classes.push_str(&class);
                continue;
            }
            low => low,
        };
        let range = rest
            .strip_prefix('-')
            .filter(|after| !after.starts_with(']') && !after.is_empty());
        let Some(mut after) = range else {
            push_item(&mut out, &low, unicode)?;
            continue;
        };
        let high = item(&mut after, unicode, caseless)?;
        *rest = after;
        if matches!(high, Item::Class(_)) {
            return Err(SyntaxError::Range);
        }
        push_range(&mut out, &low, &high, unicode)?;
    }
}

/// Letters and classes as one.
fn joined(letters: &str, classes: &str, negated: bool, caseless: bool) -> String {
    let not = if negated { "^" } else { "" };
    if !caseless || classes.is_empty() {
        return format!("[{not}{letters}{classes}]");
    }
    match (letters.is_empty(), negated) {
        (true, _) => format!("(?-i:[{not}{classes}])"),
        (false, false) => format!("(?:[{letters}]|(?-i:[{classes}]))"),
        (false, true) => format!("(?:(?![{letters}])(?-i:[^{classes}]))"),
    }
}

fn item(rest: &mut &str, unicode: bool, caseless: bool) -> Result<Item, SyntaxError> {
    if let Some(after) = rest.strip_prefix("[:")
        && let Some((name, after)) = after.split_once(":]")
        && name
            .trim_start_matches('^')
            .bytes()
            .all(|it| it.is_ascii_lowercase())
    {
        *rest = after;
        return posix(name, unicode, caseless).map(Item::Class);
    }
    let letter = rest.chars().next().ok_or(SyntaxError::Class)?;
    *rest = &rest[letter.len_utf8()..];
    if letter != '\\' {
        return Ok(Item::Code(u32::from(letter)));
    }
    let escape = rest.chars().next().ok_or(SyntaxError::EndOfEscape)?;
    *rest = &rest[escape.len_utf8()..];
    match escape {
        'b' => Ok(Item::Escaped(0x08)),
        'p' | 'P' => property(rest, escape == 'P', unicode).map(Item::Class),
        '1'..='7' => Ok(Item::Escaped(octal(rest, escape))),
        'B' | 'R' | 'X' | 'N' => Err(SyntaxError::Escape(escape)),
        other => match shorthand(other, unicode) {
            Some(class) => Ok(Item::Class(class)),
            None if other.is_ascii() => escaped(other, rest).map(Item::Escaped),
            None => Ok(Item::Code(u32::from(other))),
        },
    }
}

/// A class such as `[:alpha:]`, between its colons.
fn posix(name: &str, unicode: bool, caseless: bool) -> Result<String, SyntaxError> {
    let (name, negated) = match name.strip_prefix('^') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let name = match name {
        "lower" | "upper" if caseless => "alpha",
        name => name,
    };
    let inner = match (name, unicode) {
        ("alpha", true) => "\\p{L}",
        ("alpha", false) => "A-Za-z",
        ("lower", true) => "\\p{Ll}",
        ("lower", false) => "a-z",
        ("upper", true) => "\\p{Lu}",
        ("upper", false) => "A-Z",
        ("alnum", true) => "\\p{L}\\p{N}",
        ("alnum", false) => "0-9A-Za-z",
        ("digit", true) => "\\p{Nd}",
        ("digit", false) => "0-9",
        ("word", true) => "\\p{L}\\p{N}_",
        ("word", false) => "0-9A-Za-z_",
        ("space", true) => "\\t-\\r\\x20\\x{85}\\x{A0}\\p{Z}",
        ("space", false) => "\\t-\\r\\x20",
        ("blank", true) => "\\t\\x20\\x{A0}\\p{Zs}",
        ("blank", false) => "\\t\\x20",
        ("cntrl", true) => "\\p{Cc}",
        ("cntrl", false) => "\\x00-\\x1F\\x7F",
        ("graph", true) => "\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Cf}",
        ("graph", false) => "!-~",
        ("print", true) => "\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Cf}\\p{Zs}",
        ("print", false) => "\\x20-~",
        ("punct", true) => "\\p{P}$+<=>\\^`|~",
        ("punct", false) => "!-/:-@\\[-`\\{-~",
        ("ascii", _) => "\\x00-\\x7F",
        ("xdigit", _) => "0-9A-Fa-f",
        _ => return Err(SyntaxError::Property),
    };
    Ok(format!("[{}{inner}]", if negated { "^" } else { "" }))
}

fn push_item(out: &mut String, item: &Item, unicode: bool) -> Result<(), SyntaxError> {
    if unicode {
        let code = item.code().ok_or(SyntaxError::Range)?;
        push_literal(out, char::from_u32(code).ok_or(SyntaxError::Number)?);
        return Ok(());
    }
    // Without Unicode a character is the octets that it is written with.
    for octet in item.octets()?.ok_or(SyntaxError::Range)? {
        let _ = write!(out, "\\x{octet:02X}");
    }
    Ok(())
}

fn push_range(out: &mut String, low: &Item, high: &Item, unicode: bool) -> Result<(), SyntaxError> {
    if unicode {
        if low.code() > high.code() {
            return Err(SyntaxError::Range);
        }
        push_item(out, low, true)?;
        out.push('-');
        return push_item(out, high, true);
    }
    let low = low.octets()?.ok_or(SyntaxError::Range)?;
    let high = high.octets()?.ok_or(SyntaxError::Range)?;
    // The range stands between the last octet of the one and the first of the other.
    let (from, before) = low.split_last().ok_or(SyntaxError::Range)?;
    let (to, after) = high.split_first().ok_or(SyntaxError::Range)?;
    if from > to {
        return Err(SyntaxError::Range);
    }
    for octet in before {
        let _ = write!(out, "\\x{octet:02X}");
    }
    let _ = write!(out, "\\x{from:02X}-\\x{to:02X}");
    for octet in after {
        let _ = write!(out, "\\x{octet:02X}");
    }
    Ok(())
}
