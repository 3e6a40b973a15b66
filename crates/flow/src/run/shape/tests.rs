use std::io::Read as _;

use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use serde_json::{Value as Json, json};

use super::*;
use crate::rule::RuleOptions;

fn options(properties: Json) -> Recipe {
    let properties = properties.as_object().unwrap();
    let options = SinkOptions::parse(properties, &RuleOptions::default()).unwrap();
    Recipe { options, key: None }
}

fn rows(json: &[&str]) -> Vec<Body> {
    let body = |text: &&str| Body::from_json_object(Bytes::from((*text).to_owned())).unwrap();
    json.iter().map(body).collect()
}

fn made(properties: Json, json: &[&str]) -> Vec<Result<String, Failure>> {
    let made = make(&options(properties), rows(json), true);
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    made.messages.into_iter().map(|it| it.map(text)).collect()
}

#[track_caller]
fn gives(properties: Json, json: &[&str], expected: &[&str]) {
    let made: Vec<_> = made(properties, json)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(made, expected);
}

const TELE: &str = r#"{"tele":{"humidity":80.2,"temperature":31.2,"id":1},"id":1}"#;

#[test]
fn template_then_data_field_then_fields() {
    gives(
        json!({"dataField": "tele"}),
        &[TELE],
        &[r#"{"humidity":80.2,"id":1,"temperature":31.2}"#],
    );
    gives(
        json!({"dataField": "tele", "fields": ["humidity", "temperature"], "sendSingle": true}),
        &[TELE],
        &[r#"{"humidity":80.2,"temperature":31.2}"#],
    );
    gives(
        json!({"dataTemplate": "{\"x\":{{json .tele}},\"y\":2}", "dataField": "x", "excludeFields": ["id"], "sendSingle": true}),
        &[TELE],
        &[r#"{"humidity":80.2,"temperature":31.2}"#],
    );
    gives(
        json!({"dataTemplate": "{{range .}}{{.a}};{{end}}"}),
        &[r#"{"a":1}"#, r#"{"a":12345678901234567890}"#],
        &["1;12345678901234567890;"],
    );
    gives(
        json!({"dataTemplate": "<{{.a}}>", "sendSingle": true}),
        &[r#"{"a":"x"}"#, r#"{"a":"y"}"#],
        &["<x>", "<y>"],
    );
}

#[test]
fn what_a_template_cannot_do_fails_that_message_alone() {
    let made = made(
        json!({"dataTemplate": "{{.a.b}}", "sendSingle": true}),
        &[r#"{"a":1}"#, r#"{"a":{"b":2}}"#],
    );
    assert_eq!(
        made,
        [
            Err(Failure::Transform(
                "fail to encode data with dataTemplate for error can't evaluate field b in type int64".to_owned()
            )),
            Ok("2".to_owned())
        ]
    );
    let made = super::tests::made(
        json!({"dataTemplate": "no json", "dataField": "x"}),
        &["{}"],
    );
    assert!(matches!(&made[0], Err(Failure::Transform(text))
        if text.starts_with("fail to decode data after applying dataTemplate for error ")));
}

#[test]
fn lines_have_the_columns_by_name_or_as_asked_for() {
    let two = [r#"{"b":2,"a":1.50}"#, r#"{"a":"x,y","b":"say \"hi\""}"#];
    gives(
        json!({"format": "delimited", "hasHeader": true}),
        &two,
        &["a,b\n1.5,2\n\"x,y\",\"say \"\"hi\"\"\""],
    );
    gives(
        json!({"format": "delimited", "hasHeader": true, "sendSingle": true, "delimiter": ";"}),
        &two,
        &["a;b\n1.5;2\n", "x,y;\"say \"\"hi\"\"\"\n"],
    );
    gives(
        json!({"format": "delimited", "fields": ["b", "none", "a"]}),
        &[r#"{"b":null,"a":{"c":[true]},"d":1}"#],
        &[",,\"{\"\"c\"\":[true]}\""],
    );
    assert!(matches!(
        &made(
            json!({"format": "delimited", "dataField": "a"}),
            &[r#"{"a":1}"#]
        )[0],
        Err(Failure::Encode(_))
    ));
}

#[test]
fn rows_without_columns_are_left_out_where_that_is_wanted() {
    gives(
        json!({"omitIfEmpty": true, "batchSize": 9}),
        &["{}", r#"{"a":1}"#],
        &[r#"[{"a":1}]"#],
    );
    gives(json!({"omitIfEmpty": true, "batchSize": 9}), &["{}"], &[]);
    gives(
        json!({"omitIfEmpty": true, "batchSize": 9, "fields": ["b"]}),
        &[r#"{"a":1}"#, r#"{"b":1}"#],
        &[r#"[{"b":1}]"#],
    );
}

#[test]
fn what_is_packed_comes_out_as_it_was() {
    let long = format!(r#"{{"a":"{}"}}"#, "abc".repeat(1000));
    for (name, unpack) in [
        (
            "gzip",
            (|bytes, out| GzDecoder::new(bytes).read_to_string(out))
                as fn(&[u8], &mut String) -> std::io::Result<usize>,
        ),
        ("zlib", |bytes, out| {
            ZlibDecoder::new(bytes).read_to_string(out)
        }),
        ("flate", |bytes, out| {
            DeflateDecoder::new(bytes).read_to_string(out)
        }),
    ] {
        let made = make(
            &options(json!({"compression": name, "sendSingle": true})),
            rows(&[&long]),
            true,
        );
        let packed = made.messages[0].as_ref().unwrap();
        assert!(packed.len() < 200, "{name}");
        let mut text = String::new();
        unpack(packed, &mut text).unwrap();
        assert_eq!(text, long, "{name}");
    }
}

#[test]
fn an_encrypted_message_is_packed_first_and_opens_with_the_key() {
    let key = SinkKey::from_base64("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=").unwrap();
    let mut recipe = options(
        json!({"encryption": "aes", "encProps": {"mode": "gcm"}, "compression": "gzip", "sendSingle": true}),
    );
    recipe.key = Some(key.clone());
    let row = r#"{"a":"secret words"}"#;
    let made = make(&recipe, rows(&[row, row]), true);
    assert_eq!(made.messages.len(), 2);
    for message in made.messages {
        let packed = key.open(&message.unwrap());
        let mut text = String::new();
        GzDecoder::new(&packed[..])
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, row);
    }
}
