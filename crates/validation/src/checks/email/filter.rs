//! E-mail addresses as PHP's filter takes them.

use std::net::Ipv4Addr;

use super::super::{is_letter, is_number};

/// Whether PHP's filter takes an address, with letters of all scripts or of ASCII only.
pub(super) fn accepts(text: &str, unicode: bool) -> bool {
    if text.len() > 320 || (!unicode && !text.is_ascii()) {
        return false;
    }
    let Some((length, at)) = local(text, unicode) else {
        return false;
    };
    let domain = &text[at + 1..];
    let domain_length = if unicode {
        domain.chars().count()
    } else {
        domain.len()
    };
    length <= 64 && length + 1 + domain_length < 255 && is_domain(domain)
}

/// The part before the `@`: its length in characters, of quoted parts without quotes and with pairs of
/// `\` counted once, and where the `@` stands.
fn local(text: &str, unicode: bool) -> Option<(usize, usize)> {
    let mut letters = text.char_indices().peekable();
    let mut length = 0;
    loop {
        if letters.next_if(|(_, it)| *it == '"').is_some() {
            loop {
                let (_, letter) = letters.next()?;
                match letter {
                    '"' => break,
                    '\\' => {
                        letters.next().filter(|(_, it)| it.is_ascii())?;
                    }
                    '\x01'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '!'..='\x7f' => {}
                    other if unicode && (is_letter(other) || is_number(other)) => {}
                    _ => return None,
                }
                length += 1;
            }
        } else {
            let start = length;
            while letters.next_if(|(_, it)| is_atom(*it, unicode)).is_some() {
                length += 1;
            }
            if length == start {
                return None;
            }
        }
        match letters.next()? {
            (_, '.') => length += 1,
            (at, '@') => return Some((length, at)),
            _ => return None,
        }
    }
}

fn is_atom(letter: char, unicode: bool) -> bool {
    matches!(letter, '!' | '#'..='\'' | '*' | '+' | '-' | '/'..='9' | '=' | '?' | '^'..='~')
        || letter.is_ascii_uppercase()
        || (unicode && (is_letter(letter) || is_number(letter)))
}

fn is_domain(domain: &str) -> bool {
    if let Some(literal) = domain.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        return is_literal(literal);
    }
    let letter = |it: char| it.is_ascii_alphabetic() || matches!(it, 'ſ' | '\u{212A}');
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().count() < 64
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|it| letter(it) || it.is_ascii_digit() || it == '-')
    };
    let Some((_, last)) = domain.rsplit_once('.') else {
        return false;
    };
    domain.split('.').all(label) && last.starts_with(letter) && domain.split('.').count() <= 127
}

/// An address in brackets: IPv4, or `IPv6:` and an address that may end in IPv4.
fn is_literal(literal: &str) -> bool {
    let tagged = literal
        .get(..5)
        .is_some_and(|tag| tag.eq_ignore_ascii_case("IPv6:"));
    if !tagged {
        return literal.parse::<Ipv4Addr>().is_ok();
    }
    let address = &literal[5..];
    if !address.contains('.') {
        return groups(address, 8);
    }
    let Some((groups_before, v4)) = address.rsplit_once(':') else {
        return false;
    };
    if v4.parse::<Ipv4Addr>().is_err() {
        return false;
    }
    // `a::1.2.3.4` ends in the marks of its gap.
    if groups_before.ends_with(':') {
        groups(&format!("{groups_before}:"), 6)
    } else {
        groups(groups_before, 6)
    }
}

/// So many groups of hexadecimal digits, or fewer around one `::`.
fn groups(text: &str, count: usize) -> bool {
    let all = |text: &str| -> Option<usize> {
        if text.is_empty() {
            return Some(0);
        }
        text.split(':').try_fold(0, |sum, group| {
            ((1..=4).contains(&group.len()) && group.bytes().all(|it| it.is_ascii_hexdigit()))
                .then_some(sum + 1)
        })
    };
    match text.split_once("::") {
        None => all(text) == Some(count),
        Some((left, right)) => {
            matches!((all(left), all(right)), (Some(left), Some(right)) if left + right < count)
        }
    }
}
