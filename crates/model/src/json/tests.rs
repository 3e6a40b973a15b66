use proptest::prelude::*;

use super::*;
use crate::Lang;

fn read(text: &str) -> Result<Document, SyntaxError> {
    parse(text.as_bytes(), Options::default())
}

fn at(line: u32, column: u32, offset: u32) -> Position {
    Position {
        line,
        column,
        offset,
    }
}

#[test]
fn keys_and_values_know_their_places() {
    let document = read("{\n  \"名\": [1, true],\n  \"b\": {\"c/d\": null}\n}").unwrap();
    let list = document.root.get("名").unwrap();
    assert_eq!(list.at, at(2, 8, 11));
    assert_eq!(list.as_array().unwrap()[1].at, at(2, 12, 15));
    let member = &document.root.as_object().unwrap().members[1];
    assert_eq!(member.key_at, at(3, 3, 24));
    assert!(document.root.pointer("/b/c~1d").unwrap().is_null());
    assert!(document.root.pointer("/名/01").is_none());
    assert_eq!(list.place("x.json", "/名").line, Some(2));
}

#[test]
fn duplicates_are_reported_with_both_places_and_the_last_counts() {
    let document = read("{\"a\": [0, {\"k\": 1, \"\\u006b\": 2}]}").unwrap();
    let [duplicate] = &document.duplicates[..] else {
        panic!("{:?}", document.duplicates);
    };
    assert_eq!(duplicate.pointer, "/a/1/k");
    assert_eq!((duplicate.first.column, duplicate.again.column), (12, 20));
    assert_eq!(
        document
            .root
            .pointer("/a/1/k")
            .unwrap()
            .as_number()
            .unwrap()
            .as_i64(),
        Some(2)
    );
    let finding = &document.findings("m.json")[0];
    assert_eq!(finding.code, codes::JSON_DUPLICATE_KEY);
    assert_eq!(finding.place.column, Some(20));
}

#[test]
fn integers_stay_exact() {
    let document = read("[123456789012345678901234567890, -0, 1.50]").unwrap();
    let items = document.root.as_array().unwrap();
    let number = |i: usize| items[i].as_number().unwrap();
    assert_eq!(number(0).as_text(), "123456789012345678901234567890");
    assert!(number(0).is_integer() && number(0).as_i64().is_none());
    assert_eq!(number(2).as_text(), "1.50");
    assert!(!number(2).is_integer());
}

#[test]
fn a_byte_order_mark_is_a_warning_and_no_column() {
    let document = read("\u{feff}[1]").unwrap();
    assert!(document.bom);
    assert_eq!(document.root.at, at(1, 1, 3));
    assert_eq!(document.findings("a")[0].code, codes::JSON_BOM);
}

#[test]
fn each_kind_of_error_has_its_place() {
    use SyntaxKind as K;
    let table: &[(&[u8], K, (u32, u32))] = &[
        (b"", K::Empty, (1, 1)),
        (b" \n\t ", K::Empty, (2, 3)),
        (b"{\"a\"", K::UnexpectedEnd, (1, 5)),
        (b"\"abc", K::UnexpectedEnd, (1, 5)),
        (b"tru", K::UnexpectedEnd, (1, 4)),
        (b"{'a': 1}", K::UnexpectedCharacter('\''), (1, 2)),
        (b"{\"a\" 1}", K::UnexpectedCharacter('1'), (1, 6)),
        (b"[1 2]", K::UnexpectedCharacter('2'), (1, 4)),
        (b"[1}", K::UnexpectedCharacter('}'), (1, 3)),
        (b"[1,\n]", K::TrailingComma, (1, 3)),
        (b"{\"a\":1,}", K::TrailingComma, (1, 7)),
        (b"{} x", K::TrailingData, (1, 4)),
        (b"{ // x\n}", K::Comment, (1, 3)),
        (b"{} /* x */", K::Comment, (1, 4)),
        (b"\"a\nb\"", K::ControlCharacter, (1, 3)),
        (b"\"a\\x\"", K::BadEscape, (1, 3)),
        (b"\"\\u12g4\"", K::BadEscape, (1, 2)),
        (b"\"\\ud800\"", K::LoneSurrogate, (1, 2)),
        (b"\"\\ud800\\u0041\"", K::LoneSurrogate, (1, 2)),
        (b"\"\\udc00\"", K::LoneSurrogate, (1, 2)),
        (b"01", K::BadNumber, (1, 1)),
        (b"[+1]", K::BadNumber, (1, 2)),
        (b"-", K::BadNumber, (1, 1)),
        (b"1.e2", K::BadNumber, (1, 1)),
        (b"1e400", K::NumberRange, (1, 1)),
        (b"[\"\xff\"]", K::NotUtf8, (1, 3)),
    ];
    for (text, kind, (line, column)) in table {
        let error = parse(text, Options::default()).unwrap_err();
        let shown = String::from_utf8_lossy(text);
        assert_eq!(error.kind, *kind, "{shown}");
        assert_eq!(
            (error.at.line, error.at.column),
            (*line, *column),
            "{shown}"
        );
        let finding = error.to_finding("a.json");
        assert_eq!(finding.code, kind.code());
        assert!(
            !finding.text(Lang::En).contains('{'),
            "{}",
            finding.text(Lang::En)
        );
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(read(&nested(64)).is_ok());
    assert_eq!(
        read(&nested(65)).unwrap_err().kind,
        SyntaxKind::TooDeep { limit: 64 }
    );
    let wish = Options {
        depth: usize::MAX,
        ..Options::default()
    };
    let error = parse("{\"a\":".repeat(100_000).as_bytes(), wish).unwrap_err();
    assert_eq!(error.kind, SyntaxKind::TooDeep { limit: DEPTH_MAX });
    let small = Options {
        size: 3,
        ..Options::default()
    };
    assert!(parse(b"[1]", small).is_ok());
    assert_eq!(
        parse(b"[10]", small).unwrap_err().kind,
        SyntaxKind::TooLarge { limit: 3 }
    );
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|m| m.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// Both readers must agree on acceptance and value.
fn check_against_serde(bytes: &[u8]) {
    let theirs = serde_json::from_slice::<serde_json::Value>(bytes);
    let wide = Options {
        depth: DEPTH_MAX - 1,
        ..Options::default()
    };
    match (parse(bytes, wide), theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours.root.to_serde(), theirs),
        (Ok(ours), Err(error)) => assert!(ours.bom, "only we accept: {error}"),
        (Err(error), Ok(_)) => panic!("only serde_json accepts: {error}"),
        (Err(_), Err(_)) => {}
    }
}

proptest! {
    #[test]
    fn documents_of_serde_json_are_read_the_same(value in any_json(), pretty: bool) {
        let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
        let bytes = text.unwrap();
        prop_assert!(parse(&bytes, Options::default()).is_ok());
        check_against_serde(&bytes);
    }

    #[test]
    fn damaged_documents_are_judged_the_same(
        value in any_json(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..4),
    ) {
        let mut bytes = serde_json::to_vec(&value).unwrap();
        for (index, byte, how) in edits {
            let at = index.index(bytes.len() + 1);
            match how {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => { bytes.remove(at); }
                _ if at < bytes.len() => bytes[at] = byte,
                _ => bytes.push(byte),
            }
        }
        check_against_serde(&bytes);
    }

    #[test]
    fn token_soup_is_judged_the_same(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"a\"", "\"b\"", "1", "-", "0", ".5", "e3", "E-2", "true",
                "null", "fals", " ", "\n", "\\u", "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "//", "1e309",
            ]),
            0..12,
        ),
    ) {
        check_against_serde(tokens.concat().as_bytes());
    }
}
