//! What is written is read again; what is damaged never is.

use plugyard_symbol::{JsonText, Row, Value};
use proptest::prelude::*;

use super::super::metrics::NodeKind;
use super::*;
use crate::clock::SystemClock;

fn member(at: i64, value: Value) -> Arc<Member> {
    let row = Row::from_iter([("n".into(), value), ("other".into(), Value::Null)]);
    Arc::new(Member {
        row,
        meta: (at % 2 == 0).then(|| JsonText::parse(br#"{"t":[1,2]}"#.to_vec().into()).unwrap()),
        bytes: 0,
        at,
    })
}

fn sample(value: &Value) -> Snapshot {
    Snapshot {
        windows: vec![
            None,
            Some(WindowState {
                rows: vec![member(1, value.clone()), member(2, value.clone())],
                next: Some(-5),
                session: Some((3, i64::MAX)),
                delayed: vec![7, 8],
                counted: 9,
                open: vec![OpenState {
                    key: "k".to_owned(),
                    start: 6,
                    rows: vec![member(3, value.clone())],
                }],
            }),
        ],
        watermark: Some(WatermarkState {
            time: None,
            rows: vec![member(4, value.clone())],
        }),
    }
}

/// All of it but the rows' own estimate of their bytes.
fn shown(snapshot: &Snapshot) -> String {
    let text = format!("{snapshot:?}");
    let parts = text.split("bytes: ");
    parts
        .map(|part| part.trim_start_matches(|it: char| it.is_ascii_digit()))
        .collect()
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        "[1-9][0-9]{20,30}".prop_map(|text| Value::Number(text.as_str().into())),
        (-1e300..1e300).prop_map(Value::Float),
        ".{0,20}".prop_map(|text| Value::Text(text.as_str().into())),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|raw| Value::Bytes(raw.into())),
        Just(Value::Json(
            JsonText::parse(br#"{"a":[1.50]}"#.to_vec().into()).unwrap()
        )),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::vec(("[a-c]", inner), 0..4).prop_map(|columns| {
                let columns = columns.into_iter();
                Value::Object(
                    columns
                        .map(|(name, value)| (name.as_str().into(), value))
                        .collect(),
                )
            }),
        ]
    })
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    codec::write(&sample(value), &mut out).unwrap();
    out
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(value in value()) {
        let read = codec::read(&encoded(&value)).unwrap();
        prop_assert_eq!(shown(&read), shown(&sample(&value)));
    }

    #[test]
    fn no_bytes_make_it_panic(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = encoded(&value);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = codec::read(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        let _ = codec::read(&bytes);
        let _ = codec::read(&bytes[at.min(bytes.len())..]);
    }
}

#[test]
fn a_length_that_is_not_there_takes_no_memory() {
    let mut bytes = vec![0xff; 7];
    bytes.push(0x7f);
    assert!(codec::read(&bytes).is_none());
    let deep = (0..500).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    assert!(codec::write(&sample(&deep), &mut Vec::new()).is_err());
}

fn shelf(dir: &Path, meaning: &str) -> Shelf {
    let options = RuleOptions {
        qos: 1,
        ..RuleOptions::default()
    };
    Shelf {
        dir: dir.to_owned(),
        meaning: meaning.to_owned(),
        status: Status::of(&options).unwrap(),
        node: Arc::new(Node::new(NodeKind::Operator, "w", Arc::new(SystemClock))),
    }
}

#[test]
fn what_cannot_be_written_leaves_the_last_good_one_and_is_told() {
    let home = tempfile::tempdir().unwrap();
    let shelf = shelf(home.path(), "a");
    shelf.save(100, &sample(&Value::Int(1)));
    // As when the disk is full: nothing new can be written.
    fs::create_dir(home.path().join(NEW)).unwrap();
    shelf.save(200, &sample(&Value::Int(2)));
    assert_eq!(shelf.node.exceptions(), 1);
    let (text, _) = shelf.node.last_exception();
    assert!(text.starts_with("checkpoint not written: "), "{text}");
    assert_eq!(shelf.status.saved_at.load(Ordering::Relaxed), 100);
    assert_eq!(*shelf.status.error.lock(), text);
    let restored = shelf.restore().unwrap();
    assert_eq!(shown(&restored), shown(&sample(&Value::Int(1))));
    assert_eq!(shelf.status.restored.load(Ordering::Relaxed), 100);
    fs::remove_dir(home.path().join(NEW)).unwrap();
    shelf.save(300, &sample(&Value::Int(3)));
    assert!(shelf.status.error.lock().is_empty());
}

#[test]
fn one_of_another_statement_is_not_used_and_a_damaged_one_is_set_aside() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(FILE);
    assert!(shelf(home.path(), "a").restore().is_none());
    shelf(home.path(), "a").save(1, &sample(&Value::Null));
    let other = shelf(home.path(), "b");
    assert!(other.restore().is_none());
    assert_eq!(other.node.exceptions(), 0);
    let whole = fs::read(&path).unwrap();
    for (bytes, reason) in [
        (&whole[..10], "it is no checkpoint"),
        (&whole[..whole.len() - 1], "it is damaged"),
        (&b"{}"[..], "it is no checkpoint"),
    ] {
        fs::write(&path, bytes).unwrap();
        let shelf = shelf(home.path(), "a");
        assert!(shelf.restore().is_none());
        assert_eq!(
            shelf.node.last_exception().0,
            format!("checkpoint not read and set aside: {reason}")
        );
        assert!(!path.exists());
        assert_eq!(fs::read(home.path().join(BROKEN)).unwrap(), bytes);
    }
    // A sum that is right does not make sense of what is none.
    let mut body = Vec::new();
    codec::bytes(b"a", &mut body);
    body.extend([0; 9]);
    body.extend(b"rest");
    let bytes = [MAGIC, &crc(&body).to_le_bytes(), &body].concat();
    fs::write(&path, bytes).unwrap();
    let shelf = shelf(home.path(), "a");
    assert!(shelf.restore().is_none());
    let (text, _) = shelf.node.last_exception();
    assert!(text.ends_with("its rows are damaged"), "{text}");
}
