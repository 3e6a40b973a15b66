//! Somebody between a market and its client, or with some of its keys: each attempt is refused by its name.

use ring::signature::Ed25519KeyPair;
use serde_json::{Value as Json, json};

use plugyard_market::client::{offers, refresh};
use plugyard_market::{MarketSettings, ROOTS_MAX, Refusal, Role, Trust};

use crate::support::{Disk, Market, now};

/// The form in which documents are signed.
fn canonical(value: &Json) -> String {
    match value {
        Json::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.as_bytes().to_vec());
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("\"{name}\":{}", canonical(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        Json::String(text) => {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
        other => other.to_string(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn sha256(bytes: &[u8]) -> String {
    plugyard_market::Sha256::of(bytes).to_string()
}

/// The private keys of a role that somebody got hold of.
fn stolen(market: &Market, role: &str) -> Vec<Ed25519KeyPair> {
    let entries = std::fs::read_dir(market.path().join("keys")).unwrap();
    let mut files: Vec<_> = entries.map(|it| it.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(&format!("{role}-"))
        })
        .map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            let bytes: Vec<u8> = (0..text.len() / 2)
                .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
                .collect();
            Ed25519KeyPair::from_pkcs8(&bytes).unwrap()
        })
        .collect()
}

fn signed_by(signed: &Json, keys: &[Ed25519KeyPair]) -> Vec<u8> {
    let message = canonical(signed);
    let signatures: Vec<Json> = keys
        .iter()
        .map(|key| json!({ "keyid": "any", "sig": hex(key.sign(message.as_bytes()).as_ref()) }))
        .collect();
    serde_json::to_vec(&json!({ "signatures": signatures, "signed": signed })).unwrap()
}

/// What a document says.
fn said(disk: &Disk, file: &str) -> Json {
    let document: Json = serde_json::from_slice(&disk.get(file)).unwrap();
    document["signed"].clone()
}

/// A catalogue in which the keys of `targets`, `snapshot` and `timestamp` sign whatever they are told.
struct Forged {
    disk: Disk,
    targets: Vec<Ed25519KeyPair>,
    snapshot: Vec<Ed25519KeyPair>,
    timestamp: Vec<Ed25519KeyPair>,
}

impl Forged {
    fn of(market: &Market) -> Self {
        Self {
            disk: market.disk().copy(),
            targets: stolen(market, "targets"),
            snapshot: stolen(market, "snapshot"),
            timestamp: stolen(market, "timestamp"),
        }
    }

    /// Changes a document, and all that name it.
    fn change(&self, document: &str, change: impl FnOnce(&mut Json)) {
        self.change_all(document, Box::new(change));
    }

    fn change_all(&self, document: &str, change: Box<dyn FnOnce(&mut Json) + '_>) {
        let names = self.disk.names();
        let keys = match document {
            "snapshot" => &self.snapshot,
            "timestamp" => &self.timestamp,
            _ => &self.targets,
        };
        let file = names
            .get(document)
            .cloned()
            .unwrap_or_else(|| "timestamp.json".to_owned());
        let mut signed = said(&self.disk, &file);
        change(&mut signed);
        let bytes = signed_by(&signed, keys);
        self.disk.put(&file, &bytes);
        let name = format!("{document}.json");
        let meta = |signed: &mut Json, bytes: &[u8]| {
            signed["meta"][&name]["hashes"]["sha256"] = json!(sha256(bytes));
            signed["meta"][&name]["length"] = json!(bytes.len());
        };
        match document {
            "timestamp" => {}
            "snapshot" => self.change_all("timestamp", Box::new(|signed| meta(signed, &bytes))),
            _ => self.change_all("snapshot", Box::new(|signed| meta(signed, &bytes))),
        }
    }

    async fn refused(&self, trust: &mut Trust) -> Refusal {
        match refresh(trust, &self.disk, now()).await {
            Ok(catalogue) => offers(&catalogue, &self.disk, "A", now())
                .await
                .expect_err("it is accepted"),
            Err(refusal) => refusal,
        }
    }
}

#[tokio::test]
async fn web_47_a_held_back_catalogue_is_named_by_the_document_that_ended() {
    let mut market = Market::new();
    market.publish("A", "1.0.0");
    for document in ["timestamp", "snapshot", "targets", "A"] {
        let forged = Forged::of(&market);
        forged.change(document, |signed| {
            signed["expires"] = json!("2026-11-21T12:00:00Z");
        });
        let refusal = forged.refused(&mut market.trust()).await;
        assert_eq!(refusal.code(), "E_SIGNATURE_EXPIRED", "{refusal}");
        assert!(
            refusal
                .to_string()
                .starts_with(&format!("`{document}` expired")),
            "{refusal}"
        );
    }
}

#[tokio::test]
async fn web_47_a_single_document_does_not_go_back_either() {
    let mut market = Market::new();
    market.publish("A", "1.0.0");
    market.publish("A", "1.1.0");
    let mut trust = market.trust();
    refresh(&mut trust, &market.disk(), now()).await.unwrap();
    for (document, name) in [("A", "A.json"), ("targets", "targets.json")] {
        let forged = Forged::of(&market);
        forged.change("snapshot", |signed| {
            let version = signed["meta"][name]["version"].as_u64().unwrap();
            signed["meta"][name]["version"] = json!(version - 1);
        });
        // The forged snapshot has a number of its own, so that it is not taken for the one before.
        let next = forged.disk.names()["snapshot"].clone();
        let mut signed = said(&forged.disk, &next);
        let version = signed["version"].as_u64().unwrap() + 1;
        signed["version"] = json!(version);
        let bytes = signed_by(&signed, &forged.snapshot);
        forged.disk.put(&format!("{version}.snapshot.json"), &bytes);
        let hash = sha256(&bytes);
        forged.change("timestamp", |signed| {
            signed["version"] = json!(signed["version"].as_u64().unwrap() + 1);
            signed["meta"]["snapshot.json"] =
                json!({ "version": version, "hashes": { "sha256": hash }, "length": bytes.len() });
        });
        let refusal = forged.refused(&mut trust.clone()).await;
        assert!(
            matches!(&refusal, Refusal::Rollback { document: it, .. } if it == document),
            "{refusal}"
        );
    }
    // Nor does a plugin vanish; nor is a snapshot exchanged under its number.
    let forged = Forged::of(&market);
    forged.change("snapshot", |signed| {
        signed["meta"].as_object_mut().unwrap().remove("A.json");
    });
    let refusal = forged.refused(&mut trust.clone()).await;
    assert_eq!(refusal.code(), "E_CATALOGUE_INCONSISTENT", "{refusal}");
    assert!(
        refusal.to_string().contains("another one before"),
        "{refusal}"
    );
}

#[tokio::test]
async fn it_takes_as_many_different_keys_as_the_root_says() {
    let market = Market::with(MarketSettings {
        root_keys: 3,
        root_threshold: 2,
        ..MarketSettings::default()
    });
    let keys = stolen(&market, "root");
    assert_eq!(keys.len(), 3);
    let mut next = said(&market.disk(), "1.root.json");
    next["version"] = json!(2);
    let bytes = |count: usize, times: usize| {
        let mut document: Json = serde_json::from_slice(&signed_by(&next, &keys[..count])).unwrap();
        let signatures = vec![document["signatures"].clone(); times];
        document["signatures"] = signatures
            .iter()
            .flat_map(|it| it.as_array().unwrap().clone())
            .collect();
        serde_json::to_vec(&document).unwrap()
    };
    for (count, times, valid) in [(0, 1, 0), (1, 1, 1), (1, 5, 1)] {
        let refusal = market.trust().next_root(&bytes(count, times)).unwrap_err();
        assert!(
            matches!(refusal, Refusal::Signature { valid: it, threshold: 2, .. } if it == valid),
            "{refusal}"
        );
    }
    market.trust().next_root(&bytes(2, 1)).unwrap();
    // The same key under several ids counts once; a threshold of nobody is nobody's.
    let root = said(&market.disk(), "1.root.json");
    let id = root["roles"]["root"]["keyids"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let mut twice = root.clone();
    twice["keys"]["twin"] = root["keys"][&id].clone();
    twice["roles"]["root"] = json!({ "keyids": [id, "twin"], "threshold": 2 });
    assert!(Trust::from_root(&signed_by(&twice, &keys)).is_err());
    let mut nobody = root.clone();
    nobody["roles"]["root"]["threshold"] = json!(0);
    assert!(Trust::from_root(&signed_by(&nobody, &keys)).is_err());
    // Keys of another sort sign nothing.
    let mut other = root.clone();
    for key in other["keys"].as_object_mut().unwrap().values_mut() {
        key["keytype"] = json!("rsa");
    }
    assert!(Trust::from_root(&signed_by(&other, &keys)).is_err());
}

#[tokio::test]
async fn keys_that_were_taken_out_of_force_sign_nothing_any_more() {
    for role in [Role::Timestamp, Role::Snapshot, Role::Targets] {
        let mut market = Market::new();
        market.publish("A", "1.0.0");
        let old = Forged::of(&market);
        let mut trust = market.trust();
        refresh(&mut trust, &market.disk(), now()).await.unwrap();
        market.repository.rotate(role, now()).unwrap();
        // Who took the key before signs what is new with it.
        let new = Forged::of(&market);
        let thief = Forged {
            disk: market.disk().copy(),
            targets: old.targets,
            ..new
        };
        let thief = match role {
            Role::Timestamp => Forged {
                timestamp: old.timestamp,
                targets: new_keys(&market),
                ..thief
            },
            Role::Snapshot => Forged {
                snapshot: old.snapshot,
                targets: new_keys(&market),
                ..thief
            },
            _ => thief,
        };
        let document = match role {
            Role::Targets => "A",
            other => other.as_str(),
        };
        thief.change(document, |signed| {
            signed["expires"] = json!("2030-01-01T00:00:00Z");
        });
        let refusal = thief.refused(&mut trust).await;
        assert!(
            matches!(&refusal, Refusal::Signature { document: it, valid: 0, .. } if it == document),
            "{role:?}: {refusal}"
        );
    }
}

fn new_keys(market: &Market) -> Vec<Ed25519KeyPair> {
    stolen(market, "targets")
}

#[tokio::test]
async fn numbers_that_were_pushed_up_are_forgotten_with_the_key() {
    let mut market = Market::new();
    market.publish("A", "1.0.0");
    let forged = Forged::of(&market);
    forged.change("timestamp", |signed| {
        signed["version"] = json!(1_000_000_u64);
    });
    let mut trust = market.trust();
    refresh(&mut trust, &forged.disk, now()).await.unwrap();
    let stuck = refresh(&mut trust, &market.disk(), now())
        .await
        .unwrap_err();
    assert_eq!(stuck.code(), "E_CATALOGUE_ROLLBACK");
    market.repository.rotate(Role::Timestamp, now()).unwrap();
    refresh(&mut trust, &market.disk(), now()).await.unwrap();
}

#[tokio::test]
async fn a_document_of_another_length_is_no_document() {
    let mut market = Market::new();
    market.publish("A", "1.0.0");
    for (document, names) in [
        ("snapshot", "timestamp"),
        ("targets", "snapshot"),
        ("A", "snapshot"),
    ] {
        let forged = Forged::of(&market);
        forged.change(names, |signed| {
            signed["meta"][&format!("{document}.json")]["length"] = json!(10);
        });
        let refusal = forged.refused(&mut market.trust()).await;
        assert_eq!(refusal.code(), "E_MARKET_RESPONSE", "{document}: {refusal}");
    }
    // However long the one before says that it is.
    let forged = Forged::of(&market);
    forged.change("timestamp", |signed| {
        signed["meta"]["snapshot.json"]["length"] = json!(u64::MAX);
    });
    let snapshot = forged.disk.names()["snapshot"].clone();
    forged.disk.put(&snapshot, &vec![b' '; 5 << 20]);
    let refusal = forged.refused(&mut market.trust()).await;
    assert_eq!(refusal.code(), "E_MARKET_RESPONSE", "{refusal}");
    forged.disk.put("timestamp.json", &vec![b' '; 20 << 10]);
    let refusal = forged.refused(&mut market.trust()).await;
    assert_eq!(refusal.code(), "E_MARKET_RESPONSE", "{refusal}");
}

#[tokio::test]
async fn roots_without_end_are_followed_in_pieces() {
    let mut market = Market::new();
    market.publish("A", "1.0.0");
    let mut trust = market.trust();
    let keys = stolen(&market, "root");
    let disk = market.disk().copy();
    let mut root = said(&disk, "1.root.json");
    for version in 2..=ROOTS_MAX + 2 {
        root["version"] = json!(version);
        disk.put(&format!("{version}.root.json"), &signed_by(&root, &keys));
    }
    let refusal = refresh(&mut trust, &disk, now()).await.unwrap_err();
    assert!(
        matches!(
            refusal,
            Refusal::TooManyRoots {
                followed: ROOTS_MAX
            }
        ),
        "{refusal}"
    );
    assert_eq!(refusal.code(), "E_MARKET_RESPONSE");
    // What was followed is kept, so the next look comes to the end.
    assert_eq!(trust.seen().root, ROOTS_MAX as u64 + 1);
    refresh(&mut trust, &disk, now()).await.unwrap();
    assert_eq!(trust.seen().root, ROOTS_MAX as u64 + 2);
    // None is left out.
    root["version"] = json!(ROOTS_MAX + 4);
    disk.put(
        &format!("{}.root.json", ROOTS_MAX + 3),
        &signed_by(&root, &keys),
    );
    let refusal = refresh(&mut trust, &disk, now()).await.unwrap_err();
    assert_eq!(refusal.code(), "E_CATALOGUE_INCONSISTENT", "{refusal}");
}

#[tokio::test]
async fn a_plugin_lists_its_own_packages_alone() {
    let mut market = Market::new();
    market.publish("A", "1.0.0");
    for path in [
        "B/1.0.0.zip",
        "A/../B/1.0.0.zip",
        "A/",
        "A/.hidden",
        "/etc/passwd",
        "A/x?y",
    ] {
        let forged = Forged::of(&market);
        forged.change("A", |signed| {
            let target = signed["targets"]["A/1.0.0.zip"].clone();
            signed["targets"] = json!({ path: target });
        });
        let refusal = forged.refused(&mut market.trust()).await;
        assert_eq!(
            refusal.code(),
            "E_CATALOGUE_INCONSISTENT",
            "{path}: {refusal}"
        );
    }
    let forged = Forged::of(&market);
    forged.change("A", |signed| {
        signed["targets"]["A/1.0.0.zip"]["custom"]["fskey"] = json!("B");
    });
    let refusal = forged.refused(&mut market.trust()).await;
    assert_eq!(refusal.code(), "E_CATALOGUE_INCONSISTENT", "{refusal}");
}
