//! What is read of `CREATE STREAM`, and that no text can do harm.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::json;

use super::select::Select;
use super::stream::StreamDefinition;

#[track_caller]
fn refused(sql: &str, expect: Expect) {
    expect.assert_eq(&StreamDefinition::parse(sql).unwrap_err().to_string());
}

#[test]
fn a_stream_with_all_kinds_of_columns() {
    let sql = "create stream demo (a bigint, b FLOAT, c array(string), d struct(x boolean, y array(struct(z bytea))), `e f` datetime)
        with (datasource = 'topic/1', TYPE=\"pyjson\", Conf_Key=\"k\", extra='{\"interval\": 20}', strict_validation=true, RETAIN_SIZE=3);";
    let stream = StreamDefinition::parse(sql).unwrap();
    assert_eq!(
        stream.describe("…"),
        json!({
            "Name": "demo",
            "StreamFields": [
                {"FieldType": "bigint", "Name": "a"},
                {"FieldType": "float", "Name": "b"},
                {"FieldType": {"Type": "array", "ElementType": "string"}, "Name": "c"},
                {"FieldType": {"Type": "struct", "Fields": [
                    {"FieldType": "boolean", "Name": "x"},
                    {"FieldType": {"Type": "array", "ElementType": {"Type": "struct", "Fields": [
                        {"FieldType": "bytea", "Name": "z"}]}}, "Name": "y"},
                ]}, "Name": "d"},
                {"FieldType": "datetime", "Name": "e f"},
            ],
            "Options": {
                "datasource": "topic/1", "confKey": "k", "type": "pyjson",
                "extra": "{\"interval\": 20}", "strictValidation": true, "retainSize": 3,
            },
            "StreamType": 0,
            "Statement": "…",
        })
    );
    assert_eq!(
        stream.schema()["d"]["properties"]["y"]["items"]["type"],
        json!("struct")
    );
}

#[test]
fn a_source_is_configured_with_extra_and_then_the_fixed_keys() {
    let sql = r#"CREATE STREAM s () WITH (TYPE="x", DATASOURCE="d", FORMAT="JSON", EXTRA="{\"a\":1,\"format\":\"mine\"}")"#;
    let config = StreamDefinition::parse(sql).unwrap().source_config();
    assert_eq!(
        serde_json::to_string(&config).unwrap(),
        r#"{"a":1,"format":"json","key":"","datasource":"d","schemaId":"","delimiter":"","retainSize":0,"strictValidation":false,"timestamp":"","timestampFormat":""}"#
    );
}

#[test]
fn a_bare_stream_has_the_established_defaults() {
    let stream = StreamDefinition::parse("CREATE STREAM s ()").unwrap();
    assert_eq!((stream.source_type(), stream.format()), ("mqtt", "json"));
}

#[test]
fn mistakes_are_answered_with_place_and_expectation() {
    refused(
        "",
        expect!["Expected: CREATE, found: the end of the statement at Line: 1, Column: 1"],
    );
    refused(
        "CREATE TABLE t ()",
        expect!["tables are not supported at Line: 1, Column: 8"],
    );
    refused(
        "CREATE STREAM",
        expect![
            "Expected: the name of the stream, found: the end of the statement at Line: 1, Column: 14"
        ],
    );
    refused(
        "CREATE STREAM `../x` ()",
        expect![
            "`../x` cannot be the name of a stream: only letters, digits, `_` and `-` are allowed at Line: 1, Column: 15"
        ],
    );
    refused(
        "CREATE STREAM s",
        expect!["Expected: (, found: the end of the statement at Line: 1, Column: 16"],
    );
    refused(
        "CREATE STREAM s (a int)",
        expect![
            "Expected: a type (bigint, float, string, datetime, boolean, bytea, array(…) or struct(…)), found: int at Line: 1, Column: 20"
        ],
    );
    refused(
        "CREATE STREAM s (a bigint a float)",
        expect!["Expected: , or ), found: a at Line: 1, Column: 27"],
    );
    refused(
        "CREATE STREAM s (a bigint, a float)",
        expect!["column a is declared twice at Line: 1, Column: 28"],
    );
    refused(
        "CREATE STREAM s () WITH (TYP=\"x\")",
        expect!["unknown option TYP, did you mean `TYPE`? at Line: 1, Column: 26"],
    );
    refused(
        "CREATE STREAM s () WITH (TYPE=x)",
        expect!["Expected: a quoted value, found: x at Line: 1, Column: 31"],
    );
    refused(
        "CREATE STREAM s () WITH (TYPE='x', type='y')",
        expect!["option TYPE is set twice at Line: 1, Column: 36"],
    );
    refused(
        "CREATE STREAM s () WITH (SHARED='maybe')",
        expect!["Expected: true or false for option SHARED, found: maybe at Line: 1, Column: 26"],
    );
    refused(
        "CREATE STREAM s () WITH (KIND='lookup')",
        expect!["option KIND=lookup is not supported at Line: 1, Column: 26"],
    );
    refused(
        "CREATE STREAM s () WITH (EXTRA='[1]')",
        expect![
            "option EXTRA is no JSON object: invalid type: sequence, expected a map at line 1 column 0 at Line: 1, Column: 26"
        ],
    );
    refused(
        "CREATE STREAM s () WITH (RETAIN_SIZE='-1')",
        expect!["Expected: a number for option RETAIN_SIZE, found: -1 at Line: 1, Column: 26"],
    );
    refused(
        "CREATE STREAM s () AND",
        expect!["Expected: WITH or the end of the statement, found: AND at Line: 1, Column: 20"],
    );
}

/// With half the stack that a worker of the server has.
#[test]
fn what_is_too_long_or_too_deep_is_refused_and_not_followed() {
    std::thread::Builder::new()
        .stack_size(1024 * 1024)
        .spawn(refuse_deep_statements)
        .unwrap()
        .join()
        .unwrap();
}

fn refuse_deep_statements() {
    Select::parse(&format!("SELECT {}1 FROM s", "a+".repeat(100))).unwrap();
    let long = format!("SELECT {} FROM s", "a".repeat(super::MAX_STATEMENT));
    assert!(Select::parse(&long).is_err());
    for deep in [
        format!("SELECT {}1{} FROM s", "(".repeat(8000), ")".repeat(8000)),
        format!("SELECT {}1 FROM s", "1+".repeat(8000)),
        format!("SELECT {}1 FROM s", "-".repeat(8000)),
        format!("SELECT {}1 FROM s", "NOT ".repeat(8000)),
        format!("SELECT a{} FROM s", "->b".repeat(4000)),
        format!("SELECT a{} FROM s", "->b".repeat(950)),
        format!("SELECT {}1 FROM s", "1+".repeat(950)),
        format!("SELECT a{} FROM s", " IS NULL".repeat(950)),
        format!("SELECT a{} FROM s", " = 1 OR a".repeat(450)),
        format!("SELECT a FROM s{}", " UNION SELECT a FROM s".repeat(300)),
        format!("SELECT a{} FROM s", "[0]".repeat(2000)),
        format!(
            "SELECT {}a{} FROM s",
            "upper(".repeat(4000),
            ")".repeat(4000)
        ),
        format!("SELECT meta(a{}) FROM s", "->b".repeat(4000)),
        format!("SELECT {} END FROM s", "CASE WHEN a THEN ".repeat(2000)),
        // Names that stand for deep or long expressions, and conditions of windows.
        format!(
            "SELECT {}1 AS b FROM s GROUP BY COUNTWINDOW(2) HAVING {}b{} > 1",
            "a+".repeat(100),
            "a+(".repeat(35),
            ")".repeat(35)
        ),
        format!(
            "SELECT a IN ({}1) AS b FROM s GROUP BY COUNTWINDOW(2) ORDER BY {}b",
            "a,".repeat(3000),
            "b,".repeat(2000)
        ),
        format!(
            "SELECT a FROM s GROUP BY SLIDINGWINDOW(ss, 1) OVER (WHEN {}a",
            "(".repeat(4000)
        ),
    ] {
        let error = Select::parse(&deep).unwrap_err().to_string();
        assert!(error.len() < 300, "{error}");
    }
    let deepest = format!(
        "SELECT {}1 AS b FROM s GROUP BY COUNTWINDOW(2) HAVING b > 1",
        "a+".repeat(100)
    );
    Select::parse(&deepest).unwrap();
    let deep = format!("CREATE STREAM s (a {}", "array(".repeat(5000));
    assert!(StreamDefinition::parse(&deep).is_err());
}

/// Texts that look like statements, and some that do not.
fn statement() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "SELECT",
        "FROM",
        "WHERE",
        "CREATE",
        "STREAM",
        "WITH",
        "AS",
        "AND",
        "OR",
        "NOT",
        "IN",
        "LIKE",
        "BETWEEN",
        "CASE",
        "WHEN",
        "THEN",
        "END",
        "IS",
        "NULL",
        "CAST",
        "meta",
        "array",
        "struct",
        "bigint",
        "a",
        "s",
        "`b`",
        "'t'",
        "\"u\"",
        "1",
        "1.5",
        "(",
        ")",
        "[",
        "]",
        ",",
        ".",
        "*",
        "+",
        "-",
        "/",
        "->",
        "=",
        "<",
        "!=",
        ";",
        "EXCEPT",
        "OVER",
        "GROUP",
        "BY",
        "FILTER",
        "HAVING",
        "ORDER",
        "DESC",
        "LIMIT",
        "TUMBLINGWINDOW",
        "SLIDINGWINDOW",
        "COUNTWINDOW",
        "ss",
        "count",
        "sum",
        "window_start",
        "\\",
        "'",
        "--",
        "/*",
        "$",
        "🦀",
        "0x",
        ":",
        "::",
    ]);
    prop_oneof![
        prop::collection::vec(words, 0..40).prop_map(|words| words.join(" ")),
        ".{0,80}",
        "(SELECT|CREATE STREAM) .{0,60}",
    ]
}

proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(sql in statement()) {
        let _ = Select::parse(&sql);
        let _ = StreamDefinition::parse(&sql);
    }
}
