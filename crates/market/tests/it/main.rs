//! A market and its clients: what is published is found, and what is not right is refused by its own name.

#![expect(clippy::unwrap_used, reason = "tests")]

mod attacks;
mod bucket;
mod support;

use jiff::{SignedDuration, Timestamp};
use plugyard_market::client::{offers, refresh, trust_by_keys};
use plugyard_market::{
    Channel, MarketSettings, Refusal, Repository, RepositoryError, Role, SigningKey, Trust, newest,
};
use support::{Disk, Market, now};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn later(hours: i32) -> Timestamp {
    now() + HOUR * hours
}

async fn code_of(trust: &mut Trust, disk: &Disk, at: Timestamp) -> &'static str {
    refresh(trust, disk, at)
        .await
        .map_or_else(|refusal| refusal.code(), |_| "ok")
}

#[tokio::test]
async fn what_is_published_is_found_by_who_trusts_the_key() {
    let mut market = Market::new();
    market.publish("SmtpEmail", "1.9.0");
    market.publish("SmtpEmail", "1.10.0");
    market.publish("SmtpEmail", "2.0.0-beta.1");
    let keys = market.repository.root_keys().unwrap();
    let mut trust = trust_by_keys(&market.disk(), &keys).await.unwrap();
    let catalogue = refresh(&mut trust, &market.disk(), now()).await.unwrap();
    assert_eq!(catalogue.plugins().collect::<Vec<_>>(), ["SmtpEmail"]);
    let found = offers(&catalogue, &market.disk(), "SmtpEmail", now())
        .await
        .unwrap()
        .unwrap();
    let stable = newest(&found, Channel::Stable, None).unwrap();
    assert_eq!(stable.release.version, "1.10.0");
    let beta = newest(&found, Channel::Beta, None).unwrap();
    assert_eq!(beta.release.version, "2.0.0-beta.1");
    let bytes = std::fs::read(market.path().join(&stable.path)).unwrap();
    assert_eq!(bytes.len() as u64, stable.size);
    assert_eq!(plugyard_market::Sha256::of(&bytes), stable.sha256);
    let none = offers(&catalogue, &market.disk(), "S3Storage", now()).await;
    assert_eq!(none.unwrap(), None);
}

#[tokio::test]
async fn a_version_is_published_once_and_can_be_taken_back() {
    let mut market = Market::new();
    assert!(market.publish("A", "1.0.0").new);
    assert!(!market.publish("A", "1.0.0").new);
    let before = market.repository.version().unwrap();
    let refused = market.publish_bytes("A", "1.0.0", b"other bytes");
    assert!(matches!(refused, Err(RepositoryError::VersionTaken { .. })));
    assert_eq!(market.repository.version().unwrap(), before);
    market.repository.yank("A", "1.0.0", true, now()).unwrap();
    let mut trust = market.trust();
    let catalogue = refresh(&mut trust, &market.disk(), now()).await.unwrap();
    let found = offers(&catalogue, &market.disk(), "A", now())
        .await
        .unwrap()
        .unwrap();
    assert!(found[0].release.yanked);
    assert_eq!(newest(&found, Channel::Stable, None), None);
    let unknown = market.repository.yank("A", "9.9.9", true, now());
    assert!(matches!(unknown, Err(RepositoryError::Unknown(_))));
    for (name, version) in [
        ("../A", "1.0.0"),
        ("A", "1.0"),
        ("root", "1.0.0"),
        ("", "1.0.0"),
    ] {
        let refused = market.publish_bytes(name, version, b"zip");
        assert!(
            matches!(refused, Err(RepositoryError::Unfit(_))),
            "{name} {version}"
        );
    }
}

#[tokio::test]
async fn web_47_an_older_catalogue_is_a_rollback() {
    let mut market = Market::new();
    market.publish("A", "1.0.0");
    let old = market.disk().copy();
    let mut trust = market.trust();
    assert_eq!(code_of(&mut trust, &market.disk(), now()).await, "ok");
    market.publish("A", "1.1.0");
    assert_eq!(code_of(&mut trust, &market.disk(), now()).await, "ok");
    let seen = trust.seen().clone();
    assert_eq!(
        code_of(&mut trust, &old, now()).await,
        "E_CATALOGUE_ROLLBACK"
    );
    assert_eq!(*trust.seen(), seen);
    // Also in the next process.
    let text = serde_json::to_string(&trust).unwrap();
    let mut again: Trust = serde_json::from_str(&text).unwrap();
    assert_eq!(
        code_of(&mut again, &old, now()).await,
        "E_CATALOGUE_ROLLBACK"
    );
    assert_eq!(code_of(&mut again, &market.disk(), now()).await, "ok");
}

#[tokio::test]
async fn web_47_an_expired_catalogue_is_not_a_bad_signature() {
    let mut market = Market::new();
    market.publish("A", "1.0.0");
    let mut trust = market.trust();
    let refusal = refresh(&mut trust, &market.disk(), later(25))
        .await
        .unwrap_err();
    assert!(
        matches!(&refusal, Refusal::Expired { document, .. } if document == "timestamp"),
        "{refusal}"
    );
    assert!(market.repository.refresh(later(25)).unwrap());
    assert_eq!(code_of(&mut trust, &market.disk(), later(25)).await, "ok");
    // Nothing to do: nothing is signed.
    assert!(!market.repository.refresh(later(26)).unwrap());
    let after_all = later(24 * 400);
    let refusal = refresh(&mut trust, &market.disk(), after_all)
        .await
        .unwrap_err();
    assert!(
        matches!(&refusal, Refusal::Expired { document, .. } if document == "root"),
        "{refusal}"
    );
    assert!(market.repository.refresh(after_all).unwrap());
    assert_eq!(code_of(&mut trust, &market.disk(), after_all).await, "ok");
    let catalogue = refresh(&mut trust, &market.disk(), after_all)
        .await
        .unwrap();
    let found = offers(&catalogue, &market.disk(), "A", after_all)
        .await
        .unwrap();
    assert_eq!(found.unwrap().len(), 1);
}

#[tokio::test]
async fn web_47_an_unknown_signer_is_refused() {
    let mut market = Market::new();
    market.publish("A", "1.0.0");
    let mut other = Market::new();
    other.publish("A", "1.0.1");
    other.publish("A", "1.0.2");
    let mut trust = market.trust();
    assert_eq!(
        code_of(&mut trust, &other.disk(), now()).await,
        "E_SIGNATURE_INVALID"
    );
    let keys = other.repository.root_keys().unwrap();
    let refusal = trust_by_keys(&market.disk(), &keys).await.unwrap_err();
    assert_eq!(refusal.code(), "E_SIGNATURE_INVALID");
    let both = [keys[0], market.repository.root_keys().unwrap()[0]];
    let refusal = trust_by_keys(&market.disk(), &both).await.unwrap_err();
    assert_eq!(refusal.code(), "E_SIGNATURE_INVALID");
}

#[tokio::test]
async fn documents_that_do_not_belong_together_are_refused() {
    let mut market = Market::new();
    market.publish("A", "1.0.0");
    let old = market.disk().copy();
    market.publish("A", "1.1.0");
    market.publish("B", "1.0.0");
    let sound = market.disk();
    let newest = sound.names();
    // Each document of the new catalogue in turn is exchanged for one that was good once.
    for (document, with) in [
        ("snapshot", "2.snapshot.json"),
        ("targets", "2.targets.json"),
        ("A", "1.A.json"),
    ] {
        let name = newest[document].clone();
        let mixed = sound.copy();
        mixed.put(&name, &old.get(with));
        let mut trust = market.trust();
        let refusal = match refresh(&mut trust, &mixed, now()).await {
            Ok(catalogue) => offers(&catalogue, &mixed, "A", now()).await.unwrap_err(),
            Err(refusal) => refusal,
        };
        assert_eq!(
            refusal.code(),
            "E_CATALOGUE_INCONSISTENT",
            "{document}: {refusal}"
        );
    }
}

#[tokio::test]
async fn one_changed_byte_is_noticed_in_every_document() {
    let mut market = Market::new();
    market.publish("A", "1.0.0");
    let sound = market.disk();
    for name in sound.all() {
        let changed = sound.copy();
        let text = String::from_utf8(sound.get(&name)).unwrap();
        // The year it expires in, which is signed.
        let text = text.replacen("\"expires\": \"2", "\"expires\": \"3", 1);
        changed.put(&name, text.as_bytes());
        let result = async {
            let first = changed.get("1.root.json");
            let mut trust = Trust::from_root(&first)?;
            let catalogue = refresh(&mut trust, &changed, now()).await?;
            offers(&catalogue, &changed, "A", now()).await
        }
        .await;
        if name == "root.json" || name == "1.snapshot.json" || name == "1.targets.json" {
            assert!(result.is_ok(), "{name} is not in use");
            continue;
        }
        let code = result.unwrap_err().code();
        let expect = match name.as_str() {
            "1.root.json" | "timestamp.json" => "E_SIGNATURE_INVALID",
            _ => "E_CATALOGUE_INCONSISTENT",
        };
        assert_eq!(code, expect, "{name}");
    }
}

#[tokio::test]
async fn keys_are_exchanged_and_clients_follow() {
    let mut market = Market::with(MarketSettings {
        root_keys: 3,
        root_threshold: 2,
        ..MarketSettings::default()
    });
    market.publish("A", "1.0.0");
    let mut trust = market.trust();
    let first_keys = market.repository.root_keys().unwrap();
    assert_eq!(code_of(&mut trust, &market.disk(), now()).await, "ok");
    for (step, role) in [
        Role::Root,
        Role::Timestamp,
        Role::Targets,
        Role::Snapshot,
        Role::Root,
    ]
    .into_iter()
    .enumerate()
    {
        let rotated = market.repository.rotate(role, now()).unwrap();
        assert_eq!(rotated.root, step as u64 + 2);
        let catalogue = refresh(&mut trust, &market.disk(), now()).await.unwrap();
        let found = offers(&catalogue, &market.disk(), "A", now())
            .await
            .unwrap();
        assert_eq!(found.unwrap().len(), 1, "{role:?}");
    }
    // Who was away all the time catches up, and who has only a key of before too.
    let mut away = Trust::from_root(&market.disk().get("1.root.json")).unwrap();
    assert_eq!(code_of(&mut away, &market.disk(), now()).await, "ok");
    assert_eq!(away.seen().root, 6);
    let mut by_key = trust_by_keys(&market.disk(), &first_keys[..1])
        .await
        .unwrap();
    assert_eq!(code_of(&mut by_key, &market.disk(), now()).await, "ok");
    // The keys of before sign nothing any more.
    let retired = std::fs::read_dir(market.path().join("keys/retired")).unwrap();
    assert_eq!(retired.count(), 3 + 1 + 1 + 1 + 3);
    market.publish("A", "1.0.1");
    assert_eq!(code_of(&mut trust, &market.disk(), now()).await, "ok");
}

#[tokio::test]
async fn a_root_that_the_one_before_did_not_sign_is_refused() {
    let mut market = Market::new();
    let mut trust = market.trust();
    let mut thief = Market::new();
    thief.repository.rotate(Role::Root, now()).unwrap();
    let mixed = market.disk().copy();
    mixed.put("2.root.json", &thief.disk().get("2.root.json"));
    assert_eq!(
        code_of(&mut trust, &mixed, now()).await,
        "E_SIGNATURE_INVALID"
    );
    // The same root under the next number is no next root.
    let mixed = market.disk().copy();
    mixed.put("2.root.json", &market.disk().get("1.root.json"));
    assert_eq!(
        code_of(&mut trust, &mixed, now()).await,
        "E_CATALOGUE_ROLLBACK"
    );
    market.publish("A", "1.0.0");
    assert_eq!(code_of(&mut trust, &market.disk(), now()).await, "ok");
}

#[test]
fn keys_that_lie_elsewhere_are_asked_for() {
    let mut market = Market::new();
    market.publish("A", "1.0.0");
    let away = tempfile::tempdir().unwrap();
    let keys = market.path().join("keys");
    for entry in std::fs::read_dir(&keys).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("root-") {
            std::fs::rename(&path, away.path().join(name)).unwrap();
        }
    }
    let mut without = Repository::open(&market.path(), None).unwrap();
    let refused = without.rotate(Role::Timestamp, now());
    assert!(matches!(
        refused,
        Err(RepositoryError::KeyMissing { role: "root", .. })
    ));
    // What is signed every day needs none of them.
    assert!(without.refresh(later(20)).unwrap());
    let mut with = Repository::open(&market.path(), Some(away.path())).unwrap();
    assert_eq!(with.rotate(Role::Timestamp, now()).unwrap().root, 2);
}

#[test]
fn a_market_is_made_once_and_with_numbers_that_work() {
    let directory = tempfile::tempdir().unwrap();
    for (keys, threshold) in [(0, 1), (1, 0), (1, 2), (17, 1)] {
        let settings = MarketSettings {
            root_keys: keys,
            root_threshold: threshold,
            ..MarketSettings::default()
        };
        let refused = Repository::init(directory.path(), settings, now());
        assert!(matches!(refused, Err(RepositoryError::Threshold { .. })));
    }
    let none = Repository::open(directory.path(), None);
    assert!(matches!(none, Err(RepositoryError::NotThere(_))));
    Repository::init(directory.path(), MarketSettings::default(), now()).unwrap();
    let again = Repository::init(directory.path(), MarketSettings::default(), now());
    assert!(matches!(again, Err(RepositoryError::Exists(_))));
}

#[test]
fn a_change_that_was_cut_off_is_done_over() {
    let mut market = Market::new();
    market.publish("A", "1.0.0");
    let before = market.disk().copy();
    market.publish("A", "1.1.0");
    // As if the power went before the timestamp was in place.
    std::fs::write(
        market.path().join("metadata/timestamp.json"),
        before.get("timestamp.json"),
    )
    .unwrap();
    let mut again = Repository::open(&market.path(), None).unwrap();
    assert_eq!(again.offers_of("A").unwrap().len(), 1);
    again.refresh(now()).unwrap();
    market.publish("A", "1.2.0");
    let versions: Vec<String> = again
        .offers_of("A")
        .unwrap()
        .into_iter()
        .map(|offer| offer.release.version)
        .collect();
    assert_eq!(versions, ["1.0.0", "1.2.0"]);
}

#[test]
fn codes_and_tickets_are_good_for_what_they_were_made_for() {
    let mut market = Market::new();
    let code = market.repository.code_issue("A").unwrap();
    assert!(code.len() <= 32 && code.bytes().all(|it| it.is_ascii_alphanumeric()));
    assert!(market.repository.code_is_good("A", &code).unwrap());
    assert!(!market.repository.code_is_good("B", &code).unwrap());
    assert!(!market.repository.code_is_good("A", "").unwrap());
    let stored = std::fs::read_to_string(market.path().join("codes.json")).unwrap();
    assert!(!stored.contains(&code));
    assert!(market.repository.code_revoke("A", &code).unwrap());
    assert!(!market.repository.code_is_good("A", &code).unwrap());

    let tickets = market.repository.tickets().unwrap();
    let ticket = tickets.issue("packages/A/x", now());
    assert!(tickets.admits("packages/A/x", &ticket, now()));
    assert!(!tickets.admits("packages/A/y", &ticket, now()));
    assert!(!tickets.admits("packages/A/x", &ticket, later(1)));
    let longer = ticket.replacen(ticket.split('.').next().unwrap(), "99999999999", 1);
    assert!(!tickets.admits("packages/A/x", &longer, now()));
    assert!(!tickets.admits("packages/A/x", "", now()));
}

#[test]
fn private_keys_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let market = Market::new();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&market.path().join("keys")), 0o700);
    for entry in std::fs::read_dir(market.path().join("keys")).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    let key = SigningKey::generate().unwrap();
    assert!(!format!("{key:?}").contains(&key.to_text()));
    assert_eq!(
        SigningKey::from_text(&key.to_text()).unwrap().public(),
        key.public()
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    /// Foreign bytes are refused in words, and change nothing.
    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let market = Market::shared();
        let mut trust = market.trust();
        let before = serde_json::to_string(&trust).unwrap();
        proptest::prop_assert!(Trust::from_root(&bytes).is_err());
        proptest::prop_assert!(trust.next_root(&bytes).is_err());
        proptest::prop_assert!(trust.timestamp(&bytes, now()).is_err());
        proptest::prop_assert!(trust.snapshot(&bytes, now()).is_err());
        proptest::prop_assert_eq!(before, serde_json::to_string(&trust).unwrap());
    }
}
