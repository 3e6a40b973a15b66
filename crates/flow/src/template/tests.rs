use proptest::prelude::*;

use super::*;

fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn render(template: &str, json: &str) -> Result<String, String> {
    let rendered = Template::parse(template)?.render(value(json))?;
    Ok(String::from_utf8(rendered).unwrap())
}

#[track_caller]
fn gives(template: &str, json: &str, expected: &str) {
    assert_eq!(
        render(template, json),
        Ok(expected.to_owned()),
        "{template}"
    );
}

#[test]
fn ekuiper_s_documented_examples_give_what_its_pages_say() {
    let one = r#"{"ab":"hello1"}"#;
    let two = r#"[{"ab":"hello1"},{"ab":"hello2"}]"#;
    gives(
        r#"{"content":{{json .}}}"#,
        one,
        r#"{"content":{"ab":"hello1"}}"#,
    );
    gives(r#"{"content":"{{.ab}}"}"#, one, r#"{"content":"hello1"}"#);
    gives(
        r#"{"content":{{json .}}}"#,
        two,
        &format!(r#"{{"content":{two}}}"#),
    );
    gives(
        r#"{"content":{{json (index . 0)}}}"#,
        two,
        &format!(r#"{{"content":{one}}}"#),
    );
    gives(
        r#"{"content":{{index . 0 "ab"}}}"#,
        two,
        r#"{"content":hello1}"#,
    );
    gives(
        "<div>results</div><ul>{{range .}}<li>{{.ab}}</li>{{end}}</ul>",
        two,
        "<div>results</div><ul><li>hello1</li><li>hello2</li></ul>",
    );
    let description = "{\"device_id\": {{.device_id}}, \"description\": \"{{if lt .t_av 30.0}}Current temperature is {{.t_av}}, it's normal.\"{{else if ge .t_av 30.0}}Current temperature is {{.t_av}}, it's high.\"{{end}}}";
    gives(
        description,
        r#"{"device_id":1,"t_av":36.25}"#,
        r#"{"device_id": 1, "description": "Current temperature is 36.25, it's high."}"#,
    );
    gives(
        description,
        r#"{"device_id":2,"t_av":27}"#,
        r#"{"device_id": 2, "description": "Current temperature is 27, it's normal."}"#,
    );
    gives(
        "{{$len := len .values}} {{$loopsize := add $len -1}} {\"device_id\": \"{{.device_id}}\", \"description\": [{{range $index, $ele := .values}} {{if le .temperature 25.0}}\"fine\"{{else if gt .temperature 25.0}}\"high\"{{end}} {{if eq $loopsize $index}}]{{else}},{{end}}{{end}}}",
        r#"{"device_id":"1","values":[{"temperature":10.5},{"temperature":20.3},{"temperature":30.3}]}"#,
        r#"  {"device_id": "1", "description": [ "fine" , "fine" , "high" ]}"#,
    );
    gives("prefix/{{.topic}}", r#"{"topic":"a/b"}"#, "prefix/a/b");
}

#[test]
fn the_language_is_go_s() {
    let data = r#"{"a":5,"b":{"c":"x<y"},"list":[3,1,2],"none":null,"f":false,"big":123456789012345678901234567890,"e":1e-7}"#;
    for (template, expected) in [
        (
            "{{.a}} {{.b.c}} {{.none}} {{.missing}}",
            "5 x<y <no value> <no value>",
        ),
        (
            "{{.big}} {{.e}} {{.list}} {{.b}}",
            "123456789012345678901234567890 1e-07 [3 1 2] map[c:x<y]",
        ),
        ("a {{- .a -}} b", "a5b"),
        ("{{/* nothing */}}x{{- /* and trim */ -}} y", "xy"),
        (
            "{{with .b}}{{.c}} {{$.a}}{{end}}{{with .none}}no{{else}}else{{end}}",
            "x<y 5else",
        ),
        (
            "{{range $i, $v := .list}}{{$i}}={{$v}};{{end}}",
            "0=3;1=1;2=2;",
        ),
        ("{{range $k, $v := .b}}{{$k}}={{$v}}{{end}}", "c=x<y"),
        ("{{range .none}}x{{else}}empty{{end}}", "empty"),
        (
            "{{range .list}}{{if eq . 1}}{{continue}}{{end}}{{.}}{{end}}",
            "32",
        ),
        (
            "{{range .list}}{{if eq . 1}}{{break}}{{end}}{{.}}{{end}}",
            "3",
        ),
        ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
        ("{{and .a .b.c}} {{or .none .a}} {{not .f}}", "x<y 5 true"),
        ("{{if and (gt .a 1) (lt .a 10)}}in{{else}}out{{end}}", "in"),
        (
            "{{eq .a 1 5}} {{ne .a 5}} {{le .a 5.0}} {{eq .b.c \"x<y\"}}",
            "true false true true",
        ),
        ("{{.b.c | printf \"%s-%q\" .a}}", "5-\"x<y\""),
        (
            "{{printf \"%05.1f|%-4d|%4s|%+d|%t|%v\" 3.14159 .a \"x\" .a .f .none}}",
            "003.1|5   |   x|+5|false|<nil>",
        ),
        (
            "{{toJson .b}} {{json .list}} {{html .b.c}} {{urlquery \"a b&c\"}}",
            "{\"c\":\"x\\u003cy\"} [3,1,2] x&lt;y a+b%26c",
        ),
        (
            "{{index .list 1}} {{index .b \"c\"}} {{slice \"hello\" 1 3}} {{len .b.c}}",
            "1 x<y el 3",
        ),
        ("{{(index .list 0)}} {{(print .a \"x\" 1 2)}}", "3 5x1 2"),
        (
            "{{upper \"ab\"}}{{trim \" c \"}}{{replace \"a\" \"b\" \"banana\"}}{{quote .b.c}}",
            "ABcbbnbnb\"x<y\"",
        ),
        (
            "{{add 1 2 3}} {{sub 5 2}} {{div 7 2}} {{mod 7 2}} {{max 1 9 3}} {{round 2.345 2}}",
            "6 3 3 1 9 2.35",
        ),
        (
            "{{default \"d\" .missing}} {{default \"d\" .a}} {{ternary \"y\" \"n\" .f}} {{coalesce .none .f .a}}",
            "d 5 n 5",
        ),
        (
            "{{join \",\" .list}} {{b64enc \"hi\"}} {{b64dec \"aGk=\"}} {{hasKey .b \"c\"}}",
            "3,1,2 aGk= hi true",
        ),
        (
            "{{`raw \"text\"`}}{{\"a\\tb\\u0041\"}}{{'A'}}{{0x1f}}{{-1.5}}",
            "raw \"text\"a\tbA6531-1.5",
        ),
        ("no action }} here", "no action }} here"),
    ] {
        gives(template, data, expected);
    }
}

#[test]
fn what_cannot_be_read_is_said_with_its_place() {
    for (template, reason) in [
        (
            "{{template \"x\"}}",
            "action template is not supported at Line: 1, Column: 3",
        ),
        (
            "a\n {{define \"x\"}}{{end}}",
            "action define is not supported at Line: 2, Column: 4",
        ),
        ("{{.a", "unclosed action at Line: 1, Column: 3"),
        ("{{if .a}}x", "{{if}} without {{end}} at Line: 1, Column: 3"),
        ("x{{end}}", "unexpected {{end}} at Line: 1, Column: 4"),
        (
            "{{uper .a}}",
            "function \"uper\" not defined, did you mean `upper`? at Line: 1, Column: 3",
        ),
        (
            "{{env \"HOME\"}}",
            "function \"env\" not defined at Line: 1, Column: 3",
        ),
        (
            "{{len}}",
            "wrong number of args for len: want 1 got 0 at Line: 1, Column: 3",
        ),
        ("{{$x}}", "undefined variable \"$x\" at Line: 1, Column: 3"),
        ("{{}}", "missing value for command at Line: 1, Column: 3"),
        (
            "{{.a 1}}",
            "can't give argument to non-function at Line: 1, Column: 6",
        ),
        (
            "{{break}}",
            "{{break}} outside {{range}} at Line: 1, Column: 3",
        ),
        (
            "{{\"x}}",
            "unterminated quoted string at Line: 1, Column: 3",
        ),
    ] {
        assert_eq!(render(template, "{}").unwrap_err(), reason, "{template}");
    }
    let deep = format!("{{{{{}1{}}}}}", "(".repeat(5000), ")".repeat(5000));
    assert!(
        Template::parse(&deep)
            .unwrap_err()
            .contains("nested more than")
    );
    let deep = "{{if 1}}".repeat(5000);
    assert!(
        Template::parse(&deep)
            .unwrap_err()
            .contains("nested more than")
    );
    assert!(Template::parse(&"x".repeat(MAX_TEMPLATE + 1)).is_err());
}

#[test]
fn what_fails_for_a_message_says_why_and_is_bounded() {
    for (template, reason) in [
        ("{{.a.b}}", "can't evaluate field b in type int64"),
        ("{{.x.y}}", "nil pointer evaluating interface {}.y"),
        (
            "{{index .l 9}}",
            "error calling index: index out of range: 9",
        ),
        (
            "{{lt .a \"x\"}}",
            "incompatible types for comparison: int64 and string",
        ),
        ("{{div 1 0}}", "the result is no integer of 64 bits"),
        (
            "{{range 1000000}}{{range 1000000}}{{end}}{{end}}",
            "the template takes more than 1000000 steps",
        ),
    ] {
        let error = render(template, r#"{"a":1,"l":[1]}"#).unwrap_err();
        assert_eq!(error, reason, "{template}");
    }
    let long = format!("{{{{range 900000}}}}{}{{{{end}}}}", "x".repeat(1000));
    assert!(render(&long, "{}").unwrap_err().contains("more than"));
}

proptest! {
    #[test]
    fn no_template_makes_it_panic(text in "[{}\\-a-c.$\"`'()|:=0-9 \n,é/*]{0,60}") {
        let _ = render(&text, r#"{"a":[{"b":1}],"c":"x"}"#);
    }

    #[test]
    fn no_action_makes_it_panic(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "{{", "}}", "if", "range", "with", "else", "end", "$x", ":=", ".a", ".", "(", ")", "|",
                "index", "printf", "\"%5.2f%d%\"", "slice", "len", "1", "-3", "json", "replace", " ", "é",
            ]),
            0..24,
        )
    ) {
        let _ = render(&parts.join(" "), r#"{"a":[{"b":1}],"c":"x"}"#);
    }
}
