//! The grammar of rule strings: segments between `|`, a name, and parameters after the first `:`.

/// One rule as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment<'s> {
    /// Its place between the pipes, from 0.
    pub(crate) index: usize,
    /// All of it.
    pub(crate) text: &'s str,
    /// What stands before the first colon.
    pub(crate) raw_name: &'s str,
    /// The name in StudlyCase.
    pub(crate) name: String,
    /// The parameters; `None` is PHP's null, the one parameter of an empty list.
    pub(crate) parameters: Vec<Option<String>>,
}

/// All rules of a string, without the empty ones.
pub(crate) fn segments(rules: &str) -> impl Iterator<Item = Segment<'_>> {
    rules.split('|').enumerate().filter_map(|(index, text)| {
        let (raw_name, rest) = match text.split_once(':') {
            Some((name, rest)) => (name, Some(rest)),
            None => (text, None),
        };
        let name = studly(raw_name);
        if name.is_empty() {
            return None;
        }
        let parameters = match rest {
            None => Vec::new(),
            Some(pattern) if is_regex(raw_name) => vec![Some(pattern.to_owned())],
            Some(list) => csv(list),
        };
        Some(Segment {
            index,
            text,
            raw_name,
            name,
            parameters,
        })
    })
}

/// Whether what follows the colon is one pattern rather than a list. Laravel looks at the raw name.
pub(crate) fn is_regex(raw_name: &str) -> bool {
    ["regex", "not_regex", "notregex"]
        .iter()
        .any(|name| raw_name.eq_ignore_ascii_case(name))
}

/// A name in StudlyCase: `required_if`, `required-if`, `requiredIf` all become `RequiredIf`.
fn studly(raw: &str) -> String {
    let mut name = String::with_capacity(raw.len());
    let trimmed = crate::value::trim(raw);
    for word in trimmed.split(|it: char| it == '-' || it == '_' || it.is_whitespace()) {
        let mut letters = word.chars();
        if let Some(first) = letters.next() {
            name.extend(first.to_uppercase());
            name.push_str(letters.as_str());
        }
    }
    match name.as_str() {
        "Int" => "Integer".to_owned(),
        "Bool" => "Boolean".to_owned(),
        _ => name,
    }
}

/// One line of comma-separated values as PHP's `str_getcsv` reads it, with `"` as quote and `\` as
/// escape. An empty line has one parameter, null.
pub(crate) fn csv(line: &str) -> Vec<Option<String>> {
    if line.is_empty() {
        return vec![None];
    }
    let mut fields = Vec::new();
    let mut rest = Some(line);
    while let Some(text) = rest {
        let (field, after) = csv_field(text);
        fields.push(Some(field));
        rest = after;
    }
    fields
}

/// One field, and what stands after its comma.
fn csv_field(text: &str) -> (String, Option<&str>) {
    let inner = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let Some(quoted) = inner.strip_prefix('"') else {
        return match text.split_once(',') {
            Some((field, after)) => (field.to_owned(), Some(after)),
            None => (without_line_end(text).to_owned(), None),
        };
    };
    if quoted.is_empty() {
        // PHP reads one byte too far here, the end mark of its own text.
        return ("\0".to_owned(), None);
    }
    let mut field = String::new();
    let mut letters = quoted.char_indices().peekable();
    let mut escaped = false;
    while let Some((at, letter)) = letters.next() {
        if escaped {
            field.push(letter);
            escaped = false;
        } else if letter == '\\' {
            field.push(letter);
            escaped = true;
        } else if letter != '"' {
            field.push(letter);
        } else if letters.next_if(|(_, next)| *next == '"').is_some() {
            field.push('"');
        } else {
            let tail = &quoted[at + 1..];
            return match tail.split_once(',') {
                Some((tail, after)) => (field + tail, Some(after)),
                None => (field + without_line_end(tail), None),
            };
        }
    }
    (field, None)
}

/// A text without the one line end that closes it.
fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_php_reads_them() {
        let cases: &[(&str, &[&str])] = &[
            ("a,b", &["a", "b"]),
            (" a, b", &[" a", " b"]),
            ("\"a,b\",c", &["a,b", "c"]),
            ("\"a\"\"b\",c", &["a\"b", "c"]),
            ("a\"b,c", &["a\"b", "c"]),
            ("\"a\"b,c", &["ab", "c"]),
            ("\"a\" ,b", &["a ", "b"]),
            (" \"a\",b", &["a", "b"]),
            ("\"a\\\"b\",c", &["a\\\"b", "c"]),
            ("a\\,b", &["a\\", "b"]),
            ("'a','b'", &["'a'", "'b'"]),
            ("a,", &["a", ""]),
            (",a", &["", "a"]),
            ("a,\"\",b", &["a", "", "b"]),
            ("\"a,b", &["a,b"]),
            ("\"a\\\\\",b", &["a\\\\", "b"]),
            ("\"a\" \"b\",c", &["a \"b\"", "c"]),
            ("a,\n", &["a", ""]),
            ("\"a\n", &["a\n"]),
            ("a,\"", &["a", "\0"]),
        ];
        for (line, expected) in cases {
            let fields: Vec<_> = csv(line).into_iter().map(Option::unwrap).collect();
            assert_eq!(&fields, expected, "{line}");
        }
        assert_eq!(csv(""), [None]);
    }

    #[test]
    fn spellings_of_a_name_are_one_name() {
        for name in [
            "required_if",
            "required-if",
            "required if",
            "requiredIf",
            "RequiredIf",
            " required_if ",
        ] {
            assert_eq!(studly(name), "RequiredIf");
        }
        assert_eq!(studly("int"), "Integer");
        assert_eq!(studly("bool"), "Boolean");
        assert_eq!(studly("REQUIRED"), "REQUIRED");
    }

    #[test]
    fn only_the_first_colon_cuts_and_every_pipe_does() {
        let all: Vec<_> = segments("date_format:H:i|regex:/^a,b$/||in:a|").collect();
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].parameters, [Some("H:i".to_owned())]);
        assert_eq!(all[1].parameters, [Some("/^a,b$/".to_owned())]);
        assert_eq!(all[2].index, 3);
    }
}
