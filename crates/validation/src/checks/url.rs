//! URLs as Laravel's pattern takes them.

use std::net::Ipv6Addr;

use super::{is_letter, is_mark, is_number, is_symbol};

/// The URI schemes that Laravel takes without being told, in order. They are those that were
/// registered with IANA when Laravel wrote its list, and a few more.
const SCHEMES: &str = include_str!("url-schemes.txt");

/// Whether a text is a URL with one of the schemes that Laravel knows.
pub fn is_url(text: &str) -> bool {
    is_url_with(text, &[])
}

/// Whether a text is a URL with one of these schemes, or of those that Laravel knows when there are
/// none.
pub(crate) fn is_url_with(text: &str, schemes: &[Box<str>]) -> bool {
    // `$` also matches before one closing line feed.
    let text = text.strip_suffix('\n').unwrap_or(text);
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let known = if schemes.is_empty() {
        is_known(scheme)
    } else {
        schemes.iter().any(|it| same_letters(it, scheme))
    };
    if !known {
        return false;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let host = match authority.split_once('@') {
        None => authority,
        Some((user, host)) if is_userinfo(user) => host,
        Some(_) => return false,
    };
    is_host(host) && is_rest(rest)
}

fn is_known(scheme: &str) -> bool {
    SCHEMES.lines().any(|it| same_letters(it, scheme))
}

/// Equality without case. In Unicode the long s and the sign of Kelvin are cases of s and k.
fn same_letters(a: &str, b: &str) -> bool {
    let fold = |it: char| match it {
        'ſ' => 's',
        '\u{212A}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    a.chars().map(fold).eq(b.chars().map(fold))
}

fn is_ascii_letter(it: char) -> bool {
    it.is_ascii_alphabetic() || matches!(it, 'ſ' | '\u{212A}')
}

/// `user` or `user:password`, neither of them empty.
fn is_userinfo(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && escaped(part, |it| {
                is_letter(it) || is_number(it) || matches!(it, '_' | '.' | '-')
            })
    };
    match text.split_once(':') {
        None => part(text),
        Some((user, password)) => part(user) && part(password),
    }
}

/// A host with or without a port.
fn is_host(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, port)| {
            address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || is_port(port))
        });
    }
    let (name, port) = text.find(':').map_or((text, ""), |at| text.split_at(at));
    (port.is_empty() || is_port(port)) && is_name(name)
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit()))
}

/// Labels, or a single label of ASCII; one closing dot is let through.
fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|it| {
                is_letter(it)
                    || is_number(it)
                    || is_mark(it)
                    || matches!(it, '-' | '_')
                    || is_symbol(it)
            })
    };
    match name.rsplit_once('.') {
        None => {
            !name.is_empty()
                && name
                    .chars()
                    .all(|it| is_ascii_letter(it) || it.is_ascii_digit() || matches!(it, '-' | '_'))
        }
        Some((labels, last)) => {
            labels.split('.').all(label)
                && (is_punycode(last)
                    || (!last.is_empty()
                        && last
                            .chars()
                            .all(|it| is_letter(it) || is_number(it) || is_mark(it))))
        }
    }
}

fn is_punycode(label: &str) -> bool {
    label
        .get(..4)
        .is_some_and(|it| it.eq_ignore_ascii_case("xn--"))
        && label.len() > 4
        && label[4..]
            .chars()
            .all(|it| is_ascii_letter(it) || it.is_ascii_digit() || it == '-')
}

/// Path, query and fragment.
fn is_rest(text: &str) -> bool {
    let (text, fragment) = text.split_once('#').map_or((text, ""), |it| it);
    let (path, query) = text.split_once('?').map_or((text, ""), |it| it);
    escaped(path, |it| is_path(it) || it == '/')
        && escaped(query, |it| {
            is_path(it) || matches!(it, '/' | '?' | '[' | ']')
        })
        && escaped(fragment, |it| is_path(it) || matches!(it, '/' | '?'))
}

fn is_path(it: char) -> bool {
    is_letter(it)
        || is_number(it)
        || matches!(
            it,
            '-' | '.'
                | '_'
                | '~'
                | '!'
                | '$'
                | '&'
                | '\''
                | '('
                | ')'
                | '*'
                | '+'
                | ','
                | ';'
                | '='
                | ':'
                | '@'
        )
}

/// Whether every character is allowed or part of `%XX`.
fn escaped(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let fine = if letter == '%' {
            (0..2).all(|_| letters.next().is_some_and(|it| it.is_ascii_hexdigit()))
        } else {
            allowed(letter)
        };
        if !fine {
            return false;
        }
    }
    true
}
