//! What statements make of rows.

use expect_test::{Expect, expect};
use plugyard_symbol::{Body, JsonText, Row, Tuple, Value};
use proptest::prelude::*;

use super::project::{Keep, project};
use super::{Scope, Slot, Stop, keeps, order, write_key};
use crate::run::encode;
use crate::sql::select::Select;

/// 2026-11-21 08:00:00 UTC.
const NOW: i64 = 1_795_248_000_000;

/// Runs a statement over rows (one JSON object per line) and shows what comes out, line by line: a row, an
/// error, or nothing where WHERE left it out. A statement that cannot be read shows why.
#[track_caller]
fn check(sql: &str, rows: &str, expect: Expect) {
    check_keeping(sql, rows, Keep::default(), expect);
}

#[track_caller]
fn check_keeping(sql: &str, rows: &str, keep: Keep, expect: Expect) {
    let outcome = match Select::parse(sql) {
        Ok(select) => rows
            .lines()
            .filter(|line| !line.trim().is_empty())
            .filter_map(|line| run(&select, line.trim(), keep))
            .collect::<Vec<_>>()
            .join("\n"),
        Err(error) => format!("refused: {error}"),
    };
    expect.assert_eq(&outcome);
}

fn run(select: &Select, line: &str, keep: Keep) -> Option<String> {
    let tuple = Tuple {
        body: Body::from_json_object(line.as_bytes().to_vec().into()).unwrap(),
        meta: Some(
            JsonText::parse(br#"{"topic":"t/1","device":{"id":7}}"#.to_vec().into()).unwrap(),
        ),
        received_at: NOW,
    };
    let row = if select.needs_all() {
        tuple.body.row().into_owned()
    } else {
        tuple.body.columns(&select.columns)
    };
    let mut slots = vec![None; select.calls.len()];
    if let Some(filter) = &select.filter {
        match complete(select, &row, &tuple, &mut slots, |scope| {
            keeps(filter, scope)
        }) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(format!("error: {error}")),
        }
    }
    Some(
        match complete(select, &row, &tuple, &mut slots, |scope| {
            project(&select.items, keep, scope)
        }) {
            Ok(row) => {
                let mut out = Vec::new();
                encode::row(&row, &mut out).unwrap();
                String::from_utf8(out).unwrap()
            }
            Err(error) => format!("error: {error}"),
        },
    )
}

/// Plays the plugin: `none` has no value, `fail` fails, anything else tells how it was called.
fn complete<T>(
    select: &Select,
    row: &Row,
    tuple: &Tuple,
    slots: &mut [Slot],
    evaluate: impl Fn(&Scope<'_>) -> Result<T, Stop>,
) -> Result<T, String> {
    loop {
        let scope = Scope {
            row,
            meta: tuple.meta.as_ref(),
            at: tuple.received_at,
            now: NOW,
            rule_id: "rule1",
            slots,
            window: None,
            group: None,
        };
        match evaluate(&scope) {
            Ok(value) => return Ok(value),
            Err(Stop::Error(text)) => return Err(text),
            Err(Stop::Members(_)) => return Err("members".to_owned()),
            Err(Stop::Call(slot, arguments)) => {
                let call = &select.calls[slot];
                slots[slot] = Some(match call.name.as_str() {
                    "none" => None,
                    "fail" => return Err(format!("{} failed", call.func_id)),
                    name => {
                        let arguments = serde_json::to_string(&arguments).unwrap();
                        let text = format!("{name}#{}{arguments}", call.func_id);
                        Some(Value::from(text.as_str()))
                    }
                });
            }
        }
    }
}

#[test]
fn columns_aliases_and_everything() {
    let rows = r#"{"b":1,"a":"x","deep":{"z":[1,2],"y":null}}"#;
    check(
        "SELECT * FROM s",
        rows,
        expect![[r#"{"a":"x","b":1,"deep":{"y":null,"z":[1,2]}}"#]],
    );
    check(
        "SELECT a, b AS c FROM s",
        rows,
        expect![[r#"{"a":"x","c":1}"#]],
    );
    check(
        "select s.a, t.b from s as t where s.b = 1",
        rows,
        expect![[r#"{"a":"x","b":1}"#]],
    );
    check(
        "SELECT *, b + 1 AS b FROM s",
        rows,
        expect![[r#"{"a":"x","b":2,"deep":{"y":null,"z":[1,2]}}"#]],
    );
    check(
        "SELECT * EXCEPT(deep, b) FROM s",
        rows,
        expect![[r#"{"a":"x"}"#]],
    );
    check(
        "SELECT b + 1, b + 2, upper(a), deep->z FROM s;",
        rows,
        expect![[r#"{"kuiper_field_0":2,"kuiper_field_1":3,"upper":"X","z":[1,2]}"#]],
    );
    check(
        "SELECT `a`, 'q' AS `odd name`, \"d\" AS d FROM `s` -- why not",
        rows,
        expect![[r#"{"a":"x","d":"d","odd name":"q"}"#]],
    );
    check(
        "SELECT deep->z[1] AS second, deep->z[-1] AS last, deep->\"y\" AS y FROM s",
        rows,
        expect![[r#"{"last":2,"second":2}"#]],
    );
}

#[test]
fn names_that_are_keywords_elsewhere_are_columns_here() {
    check(
        "SELECT timestamp, interval, value, `select`, date, key FROM s WHERE time > 1",
        r#"{"timestamp":1,"interval":2,"value":3,"select":4,"time":5,"date":6,"key":7}"#,
        expect![[r#"{"date":6,"interval":2,"key":7,"select":4,"timestamp":1,"value":3}"#]],
    );
}

#[test]
fn missing_and_null_columns_are_left_out_unless_kept() {
    let rows = r#"{"a":null}"#;
    check(
        "SELECT a, b, 1 AS one FROM s",
        rows,
        expect![[r#"{"one":1}"#]],
    );
    check_keeping(
        "SELECT a, b, none() AS n, 1 AS one FROM s",
        rows,
        Keep {
            nil: true,
            meta: true,
        },
        expect![[r#"{"__meta":{"device":{"id":7},"topic":"t/1"},"a":null,"b":null,"one":1}"#]],
    );
}

#[test]
fn host_23_arithmetic_is_exact_on_integers() {
    check(
        "SELECT a + 1 AS plus, a * a AS times, -a AS minus, a / 2 AS half, a % 10 AS rest FROM s",
        r#"
        {"a":7}
        {"a":9007199254740993}
        {"a":9223372036854775807}
        {"a":1.5}
        {"a":null}
        "#,
        expect![[r#"
            {"half":3.5,"minus":-7,"plus":8,"rest":7,"times":49}
            {"half":4503599627370496,"minus":-9007199254740993,"plus":9007199254740994,"rest":3,"times":81129638414606699710187514626049}
            {"half":4611686018427388000,"minus":-9223372036854775807,"plus":9223372036854775808,"rest":7,"times":85070591730234615847396907784232501249}
            {"half":0.75,"minus":-1.5,"plus":2.5,"rest":1.5,"times":2.25}
            {}"#]],
    );
}

#[test]
fn division_gives_integers_where_it_divides() {
    check(
        "SELECT a / b AS q FROM s",
        r#"
        {"a":6,"b":3}
        {"a":7,"b":2}
        {"a":1,"b":0}
        {"a":1.0,"b":0.0}
        "#,
        expect![[r#"
            {"q":2}
            {"q":3.5}
            error: divided by zero
            error: divided by zero"#]],
    );
}

#[test]
fn precedence_is_the_usual() {
    check(
        "SELECT 1 + 2 * 3 AS a, (1 + 2) * 3 AS b, -2 + 5 AS c, NOT false AND false AS d, 1 < 2 OR fail() AS e FROM s",
        "{}",
        expect![[r#"{"a":7,"b":9,"c":3,"d":false,"e":true}"#]],
    );
}

#[test]
fn comparisons_with_null_and_other_kinds() {
    check(
        "SELECT a = b AS eq, a != b AS ne, a < b AS lt, a >= b AS ge FROM s",
        r#"
        {"a":1,"b":1.0}
        {"a":9007199254740993,"b":9007199254740992.0}
        {"a":18446744073709551615,"b":18446744073709551614}
        {"a":"x","b":"y"}
        {"a":null,"b":null}
        {"a":1}
        {"a":1,"b":"1"}
        {"a":[1],"b":[1]}
        "#,
        expect![[r#"
            {"eq":true,"ge":true,"lt":false,"ne":false}
            {"eq":false,"ge":true,"lt":false,"ne":true}
            {"eq":false,"ge":true,"lt":false,"ne":true}
            {"eq":false,"ge":false,"lt":true,"ne":true}
            {"eq":true,"ge":true,"lt":false,"ne":false}
            {"eq":false,"ge":false,"lt":false,"ne":true}
            error: invalid operation bigint(1) = string(1)
            error: invalid operation array = array"#]],
    );
}

#[test]
fn where_keeps_only_what_is_true() {
    check(
        "SELECT a FROM s WHERE a > 1 AND (b OR c IS NULL)",
        r#"
        {"a":1,"b":true}
        {"a":2,"b":true}
        {"a":3,"b":false,"c":1}
        {"a":4,"c":null}
        {"a":5,"b":null,"c":1}
        {"b":true}
        {"a":6,"b":"yes"}
        "#,
        expect![[r#"
            {"a":2}
            {"a":4}
            error: OR needs true or false, got string(yes)"#]],
    );
}

#[test]
fn between_in_like_case() {
    check(
        "SELECT a BETWEEN 1 AND 3 AS between_, a IN (1, 5, 'x') AS in_, t LIKE 'a%_z' AS like_, t NOT LIKE '%q%' AS unlike,
            CASE WHEN a > 4 THEN 'big' WHEN a > 2 THEN 'mid' ELSE 'small' END AS size,
            CASE a WHEN 'x' THEN 0 WHEN 5 THEN 1 END AS is_five, a IS NOT NULL AS there, (a = 1) IS TRUE AS one
         FROM s",
        r#"
        {"a":1,"t":"abz"}
        {"a":5,"t":"az"}
        {"a":3,"t":"q"}
        "#,
        expect![[r#"
            {"between_":true,"in_":true,"like_":true,"one":true,"size":"small","there":true,"unlike":true}
            {"between_":false,"in_":true,"is_five":1,"like_":false,"one":false,"size":"big","there":true,"unlike":true}
            {"between_":true,"in_":false,"like_":false,"one":false,"size":"mid","there":true,"unlike":false}"#]],
    );
}

#[test]
fn functions_of_numbers() {
    check(
        "SELECT abs(a) AS abs, ceil(a) AS ceil, FLOOR(a) AS floor, round(a) AS round, sign(a) AS sign,
            sqrt(a * a) AS sqrt, power(a, 2) AS power, mod(7, 4) AS mod FROM s",
        r#"
        {"a":-2.5}
        {"a":3}
        {"a":"x"}
        "#,
        expect![[r#"
            {"abs":2.5,"ceil":-2,"floor":-3,"mod":3,"power":6.25,"round":-3,"sign":-1,"sqrt":2.5}
            {"abs":3,"ceil":3,"floor":3,"mod":3,"power":9,"round":3,"sign":1,"sqrt":3}
            error: abs needs a number, got string(x)"#]],
    );
}

#[test]
fn functions_of_texts() {
    check(
        "SELECT upper(t) AS up, lower(t) AS low, length(t) AS len, trim(t) AS trim, concat(t, 1, true, x, '!') AS cat,
            substring(t, 1, 3) AS sub, indexof(t, '度') AS at, startswith(t, '温') AS starts, endswith(t, 'z') AS ends,
            split_value('a/b/c', '/', 1) AS part, coalesce(x, t) AS first FROM s",
        r#"{"t":"温度Ab "}"#,
        expect![[r#"{"at":1,"cat":"温度Ab 1true!","ends":false,"first":"温度Ab ","len":5,"low":"温度ab ","part":"b","starts":true,"sub":"度A","trim":"温度Ab","up":"温度AB "}"#]],
    );
}

#[test]
fn casts_in_both_spellings() {
    check(
        "SELECT cast(a, \"bigint\") AS i, CAST(a AS float) AS f, cast(a, \"string\") AS s, cast(a, 'boolean') AS b FROM s",
        r#"
        {"a":"1"}
        {"a":0}
        {"a":2.7}
        {"a":"x"}
        "#,
        expect![[r#"
            {"b":true,"f":1,"i":1,"s":"1"}
            {"b":false,"f":0,"i":0,"s":"0"}
            {"b":true,"f":2.7,"i":2,"s":"2.7"}
            error: cannot cast string(x) to bigint"#]],
    );
}

#[test]
fn time_rule_meta_and_json() {
    check(
        "SELECT now() AS now, tstamp() AS ms, rule_id() AS rule, meta(topic) AS topic, meta(\"topic\") AS again,
            meta(s.device->id) AS id, meta(nothing) AS nothing, parse_json(j)->a AS a, to_json(o) AS o, isnull(x) AS isnull FROM s",
        r#"{"j":"{\"a\":[1]}","o":{"k":1}}"#,
        expect![[r#"{"a":[1],"again":"t/1","id":7,"isnull":true,"ms":1795248000000,"now":"2026-11-21 08:00:00","o":"{\"k\":1}","rule":"rule1","topic":"t/1"}"#]],
    );
}

#[test]
fn plugin_calls_are_made_in_order_and_only_where_needed() {
    let rows = r#"
        {"a":1,"s":"x"}
        {"a":2,"s":{"o":[1]}}
        "#;
    check(
        "SELECT f(a, s) AS r FROM s",
        rows,
        expect![[r#"
        {"r":"f#0[1,\"x\"]"}
        {"r":"f#0[2,{\"o\":[1]}]"}"#]],
    );
    check(
        "SELECT f(g(a), upper('k')) AS r, h() FROM s",
        r#"{"a":1}"#,
        expect![[r#"{"h":"h#3[]","r":"f#2[\"g#0[1]\",\"K\"]"}"#]],
    );
    check(
        "SELECT CASE WHEN a = 1 THEN 'cheap' ELSE fail(a) END AS r FROM s",
        rows,
        expect![[r#"
        {"r":"cheap"}
        error: 0 failed"#]],
    );
    check(
        "SELECT none(a) AS r, concat(none(a), 'x') AS c FROM s WHERE a = 1 OR fail() = 1",
        r#"{"a":1}"#,
        expect![[r#"{"c":"x"}"#]],
    );
    check(
        "SELECT a FROM s WHERE f(a) LIKE 'f#0[1%'",
        rows,
        expect![[r#"{"a":1}"#]],
    );
}

#[test]
fn built_in_names_win_whatever_their_case_and_plugin_names_are_exact() {
    let calls = |sql| {
        let select = Select::parse(sql).unwrap();
        let names: Vec<_> = select.calls.into_iter().map(|call| call.name).collect();
        names
    };
    assert_eq!(
        calls("SELECT UPPER(a), Revert(a), revert(a) FROM s"),
        ["Revert", "revert"]
    );
}

#[test]
fn host_30_an_aggregate_without_a_window_is_refused() {
    check(
        "SELECT count(*) FROM s",
        "",
        expect![
            "refused: aggregate function count needs a window: an aggregate without a window is refused"
        ],
    );
    check(
        "SELECT a FROM s WHERE AVG(a) > 1",
        "",
        expect![
            "refused: aggregate function AVG needs a window: an aggregate without a window is refused"
        ],
    );
}

#[test]
fn what_rules_cannot_do_is_refused_by_name() {
    for (sql, expect) in [
        (
            "SELECT a FROM s GROUP BY TUMBLINGWINDOW(ss, 10), COUNTWINDOW(3)",
            expect!["refused: Expected: one window in GROUP BY, found two"],
        ),
        (
            "SELECT a FROM s GROUP BY a",
            expect![
                "refused: GROUP BY needs a window: without one a rule works on one row at a time"
            ],
        ),
        (
            "SELECT tumblingwindow(ss, 1) FROM s",
            expect!["refused: window tumblingwindow belongs after GROUP BY"],
        ),
        (
            "SELECT a FROM s INNER JOIN t ON s.a = t.a",
            expect!["refused: JOIN is not supported"],
        ),
        (
            "SELECT a FROM s, t",
            expect!["refused: several streams in FROM are not supported"],
        ),
        (
            "SELECT a FROM (SELECT b FROM s)",
            expect!["refused: Expected: the name of a stream after FROM, found: (SELECT b FROM s)"],
        ),
        (
            "SELECT a FROM s ORDER BY a",
            expect![
                "refused: ORDER BY needs a window: without one a rule works on one row at a time"
            ],
        ),
        (
            "SELECT a FROM s LIMIT 3",
            expect!["refused: LIMIT needs a window: without one a rule works on one row at a time"],
        ),
        (
            "SELECT DISTINCT a FROM s",
            expect!["refused: SELECT DISTINCT is not supported"],
        ),
        (
            "SELECT a FROM s UNION SELECT a FROM s",
            expect!["refused: UNION is not supported"],
        ),
        (
            "SELECT lag(a) FROM s",
            expect!["refused: function lag is not supported"],
        ),
        (
            "SELECT a FROM s WHERE a IN (SELECT 1)",
            expect!["refused: the expression `a IN (SELECT 1)` is not supported"],
        ),
        (
            "SELECT t.a FROM s",
            expect!["refused: stream t is not in FROM; the statement reads s"],
        ),
        (
            "SELECT a.b.c FROM s",
            expect![
                "refused: Expected: stream.column; members of an object are written column->member"
            ],
        ),
        (
            "SELECT a",
            expect!["refused: Expected: FROM and the name of a stream"],
        ),
        (
            "SELECT upper() FROM s",
            expect!["refused: Expect 1 arguments but found 0 in function upper"],
        ),
        (
            "SELECT a || b FROM s",
            expect!["refused: operator || is not supported"],
        ),
    ] {
        check(sql, "", expect);
    }
}

#[test]
fn mistakes_are_answered_with_place_and_expectation() {
    for (sql, expect) in [
        (
            "SELEC a FROM s",
            expect![
                "refused: Expected: SELECT, VALUES, or a subquery in the query body, found: SELEC at Line: 1, Column: 1"
            ],
        ),
        (
            "SELECT a FROM s WHERE",
            expect!["refused: Expected: an expression, found: the end of the statement"],
        ),
        (
            "SELECT a,, b FROM s",
            expect!["refused: Expected: an expression, found: , at Line: 1, Column: 10"],
        ),
        (
            "SELECT a FROM s WHERE a = 'x",
            expect!["refused: Unterminated string literal at Line: 1, Column: 27"],
        ),
        (
            "SELECT a FROM s\nWHERE (a = 1",
            expect!["refused: Expected: ), found: the end of the statement"],
        ),
        (
            "SELECT a FROM s extra words",
            expect!["refused: Expected: end of statement, found: words at Line: 1, Column: 23"],
        ),
        (
            "",
            expect![
                "refused: Expected: SELECT, VALUES, or a subquery in the query body, found: the end of the statement"
            ],
        ),
    ] {
        check(sql, "", expect);
    }
}

/// Expressions of every shape, also ones that make no sense.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "a",
        "b",
        "c->x",
        "l[0]",
        "l[a]",
        "1",
        "-1",
        "0",
        "2.5",
        "9223372036854775807",
        "'t'",
        "NULL",
        "true",
        "170141183460469231731687303715884105727",
        "1e300",
        "''",
        "'%'",
        "meta(*)",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let operator = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "=", "!=", "<", "<=", ">", ">=", "AND", "OR", "LIKE",
        ]);
        let builtin = prop::sample::select(crate::BUILTINS.iter().collect::<Vec<_>>());
        prop_oneof![
            (inner.clone(), operator, inner.clone())
                .prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            (builtin, prop::collection::vec(inner.clone(), 3)).prop_map(|(function, arguments)| {
                let count = function.max.min(arguments.len());
                format!("{}({})", function.name, arguments[..count].join(", "))
            }),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("CASE WHEN {a} THEN {b} ELSE {c} END")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} BETWEEN {b} AND {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(- {a} IN ({b}, 1))")),
            inner.prop_map(|a| format!("(NOT ({a}) IS NULL)")),
        ]
    })
}

fn row() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        "null",
        "true",
        "0",
        "-9223372036854775808",
        "9223372036854775807",
        "18446744073709551615",
        "1.5",
        "-1e308",
        "\"\"",
        "\"温度\"",
        "[1,null]",
        "[]",
        "{\"x\":1}",
        "1e999",
        "123456789012345678901234567890123456789012345",
    ]);
    (value.clone(), value.clone(), value.clone(), value)
        .prop_map(|(a, b, c, l)| format!(r#"{{"a":{a},"b":{b},"c":{c},"l":{l}}}"#))
}

proptest! {
    #[test]
    fn no_expression_makes_the_evaluation_panic(expr in expression(), row in row()) {
        let sql = format!("SELECT {expr} AS r, f({expr}) AS f FROM s WHERE {expr} OR true");
        let select = Select::parse(&sql).unwrap();
        if let Some(out) = run(&select, &row, Keep::default()) {
            prop_assert!(out.starts_with('{') || out.starts_with("error: "), "{}", out);
        }
    }
}

#[test]
fn what_is_the_same_is_one_group_and_what_differs_is_not() {
    let key = |json: &str| {
        let mut text = String::new();
        let value = JsonText::parse(json.as_bytes().to_vec().into()).unwrap();
        write_key(&Value::Json(value), &mut text);
        text
    };
    for (left, right) in [
        ("1", "1.0"),
        ("0", "-0.0"),
        ("100", "1e2"),
        ("null", " null "),
    ] {
        assert_eq!(key(left), key(right), "{left} and {right}");
    }
    for (left, right) in [
        ("1", r#""1""#),
        ("1", "true"),
        ("null", r#""null""#),
        ("9007199254740993", "9007199254740992"),
        ("0.1", "0.2"),
        ("[1]", "1"),
    ] {
        assert_ne!(key(left), key(right), "{left} and {right}");
    }
    // One key after another cannot be taken for two others.
    assert_ne!(
        key(r#""a""#) + &key(r#""b""#),
        key(r#""a;3:b""#) + &key(r#""""#)
    );
}

#[test]
fn any_values_have_an_order() {
    let sorted = [
        Value::Null,
        Value::Bool(false),
        Value::Bool(true),
        Value::Float(-1.5),
        Value::Int(2),
        Value::from("10"),
        Value::from("9"),
        Value::List(Vec::new()),
    ];
    for (left, small) in sorted.iter().enumerate() {
        for (right, large) in sorted.iter().enumerate() {
            assert_eq!(order(small, large), left.cmp(&right), "{small:?} {large:?}");
        }
    }
}
