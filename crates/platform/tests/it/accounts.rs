//! Tokens, accounts and the audit log.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use plugyard_http::{PageQuery, Principal};
use plugyard_model::codes;
use plugyard_model::rights::Role;
use plugyard_platform::Clock;
use plugyard_platform::accounts::AccountChange;
use plugyard_platform::audit::{AuditEntry, AuditFilter};
use plugyard_platform::tokens::TokenRequest;
use plugyard_store::testing;
use secrecy::ExposeSecret as _;

use crate::support::{Bench, benches, operator, plugin};

fn owner() -> Principal {
    Principal {
        name: "owner".to_owned(),
        roles: vec![Role::Owner],
    }
}

fn entry(target: &str) -> AuditEntry<'_> {
    AuditEntry {
        action: "install",
        target,
        result: "ok",
        request: "r1",
        plugin: None,
    }
}

fn request(name: &str, expires_at: Option<i64>) -> TokenRequest {
    TokenRequest {
        name: name.to_owned(),
        roles: vec![Role::Viewer],
        expires_at,
        account: None,
    }
}

#[tokio::test]
async fn the_first_start_makes_an_owner_and_later_ones_do_not() {
    for bench in benches().await {
        // Somebody without an account made a token before: that is no owner's.
        bench
            .platform
            .token_create(&operator(), request("early", None))
            .await
            .unwrap();
        let token = bench.platform.first_start().await.unwrap().unwrap();
        let who = bench
            .platform
            .authenticate(token.secret.expose_secret())
            .await
            .unwrap();
        assert_eq!(who, Some(owner()));
        assert!(bench.platform.first_start().await.unwrap().is_none());
        assert!(bench.reopen().await.first_start().await.unwrap().is_none());
        bench.platform.token_revoke(token.token.id).await.unwrap();
        assert!(bench.platform.first_start().await.unwrap().is_none());
        assert_eq!(bench.platform.accounts().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn only_the_exact_token_signs_in() {
    for bench in benches().await {
        let token = bench
            .platform
            .token_create(&owner(), request("t", None))
            .await
            .unwrap();
        let secret = token.secret.expose_secret().to_owned();
        let who = bench.platform.authenticate(&secret).await.unwrap().unwrap();
        assert_eq!(who.roles, [Role::Viewer]);
        let mut last = secret.clone();
        let end = if last.ends_with('0') { "1" } else { "0" };
        last.replace_range(secret.len() - 1.., end);
        for wrong in [
            "",
            "plugyard_",
            "plugyard__",
            &secret[1..],
            &secret[..secret.len() - 1],
            &last,
        ] {
            assert_eq!(
                bench.platform.authenticate(wrong).await.unwrap(),
                None,
                "{wrong}"
            );
        }
    }
}

#[tokio::test]
async fn a_revoked_token_is_worth_nothing_and_listed_no_more() {
    for bench in benches().await {
        let token = bench
            .platform
            .token_create(&owner(), request("t", None))
            .await
            .unwrap();
        let secret = token.secret.expose_secret();
        assert!(bench.platform.authenticate(secret).await.unwrap().is_some());
        let listed = bench.platform.token_list(None).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert!(listed[0].last_used_at.is_some());
        bench.platform.token_revoke(token.token.id).await.unwrap();
        assert_eq!(bench.platform.authenticate(secret).await.unwrap(), None);
        assert!(bench.platform.token_list(None).await.unwrap().is_empty());
        let again = bench
            .platform
            .token_revoke(token.token.id)
            .await
            .unwrap_err();
        assert_eq!(again.code, codes::TOKEN_NOT_FOUND);
    }
}

#[tokio::test]
async fn a_token_ends_when_its_time_has_come() {
    for test in testing::databases().await {
        let time = Arc::new(AtomicI64::new(1_000_000));
        let now = time.clone();
        let clock = Clock::new(move || now.load(Ordering::SeqCst));
        let bench = Bench::with(test, |settings| plugyard_platform::Settings {
            clock,
            ..settings
        })
        .await;
        let past = bench
            .platform
            .token_create(&owner(), request("t", Some(1_000_000)))
            .await;
        assert_eq!(past.unwrap_err().code, codes::REQUEST_INVALID);
        let token = bench
            .platform
            .token_create(&owner(), request("t", Some(1_000_500)))
            .await;
        let secret = token.unwrap().secret;
        time.store(1_000_499, Ordering::SeqCst);
        assert!(
            bench
                .platform
                .authenticate(secret.expose_secret())
                .await
                .unwrap()
                .is_some()
        );
        time.store(1_000_500, Ordering::SeqCst);
        assert!(
            bench
                .platform
                .authenticate(secret.expose_secret())
                .await
                .unwrap()
                .is_none()
        );
    }
}

#[tokio::test]
async fn the_secret_of_a_token_is_nowhere() {
    let test = testing::sqlite().await;
    let file = test.address.strip_prefix("sqlite:").unwrap().to_owned();
    let bench = Bench::new(test).await;
    let token = bench.platform.first_start().await.unwrap().unwrap();
    let bearer = token.secret.expose_secret();
    let secret = bearer.rsplit('_').next().unwrap();
    assert!(!format!("{token:?}").contains(secret));
    bench.platform.authenticate(bearer).await.unwrap();
    for name in [file.clone(), format!("{file}-wal")] {
        let bytes = std::fs::read(&name).unwrap();
        let found = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "the secret stands in {name}");
    }
}

#[tokio::test]
async fn the_audit_log_tells_latest_first_and_page_by_page() {
    for bench in benches().await {
        for index in 0..5 {
            let target = format!("fake:p{index}");
            bench
                .platform
                .audit(&operator(), entry(&target))
                .await
                .unwrap();
        }
        let mut seen = Vec::new();
        let mut query = PageQuery {
            cursor: None,
            limit: Some(2),
        };
        loop {
            let page = bench
                .platform
                .audit_list(&AuditFilter::default(), &query)
                .await
                .unwrap();
            assert!(page.items.len() <= 2);
            seen.extend(page.items.into_iter().map(|it| it.target));
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        assert_eq!(
            seen,
            ["fake:p4", "fake:p3", "fake:p2", "fake:p1", "fake:p0"]
        );
    }
}

/// A platform whose clock the test sets.
async fn timed(
    test: testing::TestDatabase,
    retention: std::time::Duration,
) -> (Bench, Arc<AtomicI64>) {
    let time = Arc::new(AtomicI64::new(0));
    let now = time.clone();
    let clock = Clock::new(move || now.load(Ordering::SeqCst));
    let bench = Bench::with(test, |settings| plugyard_platform::Settings {
        clock,
        audit_retention: Some(retention),
        ..settings
    })
    .await;
    (bench, time)
}

async fn times(bench: &Bench, filter: &AuditFilter) -> Vec<i64> {
    let query = PageQuery::default();
    let page = bench.platform.audit_list(filter, &query).await;
    page.unwrap().items.iter().map(|it| it.at).collect()
}

#[tokio::test]
async fn the_audit_log_is_asked_for_a_plugin_a_person_or_a_time() {
    for test in testing::databases().await {
        let (bench, time) = timed(test, std::time::Duration::from_secs(1)).await;
        let (a, b) = (plugin("a"), plugin("b"));
        for (at, who, plugin) in [
            (1, operator(), Some(&a)),
            (2, owner(), Some(&b)),
            (3, owner(), Some(&a)),
            (4, operator(), None),
        ] {
            time.store(at, Ordering::SeqCst);
            let entry = AuditEntry {
                plugin,
                ..entry("it")
            };
            bench.platform.audit(&who, entry).await.unwrap();
        }
        let of_a = AuditFilter {
            plugin: Some(a),
            ..AuditFilter::default()
        };
        let of_owner = AuditFilter {
            who: Some("owner".to_owned()),
            ..AuditFilter::default()
        };
        let between = AuditFilter {
            since: Some(2),
            until: Some(4),
            ..AuditFilter::default()
        };
        let all_of_it = AuditFilter {
            who: Some("owner".to_owned()),
            since: Some(2),
            ..of_a.clone()
        };
        assert_eq!(times(&bench, &AuditFilter::default()).await, [4, 3, 2, 1]);
        assert_eq!(times(&bench, &of_a).await, [3, 1]);
        assert_eq!(times(&bench, &of_owner).await, [3, 2]);
        assert_eq!(times(&bench, &between).await, [3, 2]);
        assert_eq!(times(&bench, &all_of_it).await, [3]);
    }
}

#[tokio::test]
async fn rows_of_the_audit_log_go_when_their_time_is_over() {
    for test in testing::databases().await {
        let (bench, time) = timed(test, std::time::Duration::from_secs(1)).await;
        for at in [1_000, 2_000, 3_000] {
            time.store(at, Ordering::SeqCst);
            bench.platform.audit(&owner(), entry("it")).await.unwrap();
        }
        assert_eq!(bench.platform.audit_prune().await.unwrap(), 1);
        let left = times(&bench, &AuditFilter::default()).await;
        assert_eq!(left, [3_000, 2_000]);
    }
}

#[tokio::test]
async fn a_token_is_worth_what_its_account_is_now() {
    for bench in benches().await {
        let platform = &bench.platform;
        platform.first_start().await.unwrap();
        let made = platform.account_create("ada", &[Role::Operator]).await;
        assert_eq!(made.unwrap().roles, [Role::Operator]);
        let asked = |role| TokenRequest {
            roles: vec![role],
            account: Some("ada".to_owned()),
            ..request("t", None)
        };
        let beyond = platform.token_create(&owner(), asked(Role::Owner)).await;
        assert_eq!(beyond.unwrap_err().code, codes::ROLE_NOT_HELD);
        let token = platform.token_create(&owner(), asked(Role::Operator)).await;
        let secret = token.unwrap().secret;
        let now = async || {
            let who = platform.authenticate(secret.expose_secret()).await;
            who.unwrap().map(|who| (who.name, who.roles))
        };
        let ada = |role| Some(("ada".to_owned(), vec![role]));
        let change = async |roles: Option<Vec<Role>>, disabled| {
            let change = AccountChange { roles, disabled };
            platform.account_change("ada", &change).await.unwrap();
        };
        assert_eq!(now().await, ada(Role::Operator));
        change(Some(vec![Role::Viewer]), None).await;
        assert_eq!(now().await, ada(Role::Viewer));
        // It never becomes more than it was made for.
        change(Some(vec![Role::Owner]), None).await;
        assert_eq!(now().await, ada(Role::Operator));
        change(None, Some(true)).await;
        assert_eq!(now().await, None);
        assert_eq!(platform.token_list(Some("ada")).await.unwrap().len(), 1);
        change(None, Some(false)).await;
        assert_eq!(now().await, ada(Role::Operator));
        platform.account_delete("ada").await.unwrap();
        assert_eq!(now().await, None);
        let gone = platform.token_list(Some("ada")).await.unwrap_err();
        assert_eq!(gone.code, codes::ACCOUNT_NOT_FOUND);
        assert_eq!(platform.token_list(None).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn there_is_always_an_owner_who_can_sign_in() {
    for bench in benches().await {
        let platform = &bench.platform;
        platform.first_start().await.unwrap();
        let refused = async |name: &str| {
            for (roles, disabled) in [(Some(vec![Role::Viewer]), None), (None, Some(true))] {
                let change = AccountChange { roles, disabled };
                let problem = platform.account_change(name, &change).await.unwrap_err();
                assert_eq!(problem.code, codes::LAST_OWNER);
            }
            let problem = platform.account_delete(name).await.unwrap_err();
            assert_eq!(problem.code, codes::LAST_OWNER);
        };
        refused("owner").await;
        let ada = platform.account_create("ada", &[Role::Owner]).await;
        platform.account_delete("owner").await.unwrap();
        refused("ada").await;
        // Whoever is at the machine speaks for the owner that is left, and no other comes back.
        let local = Principal {
            name: "local".to_owned(),
            roles: vec![Role::Owner],
        };
        let token = platform.token_create(&local, request("t", None)).await;
        assert_eq!(token.unwrap().token.account_name, "ada");
        assert!(platform.first_start().await.unwrap().is_none());
        assert_eq!(platform.accounts().await.unwrap(), [ada.unwrap()]);
    }
}

#[tokio::test]
async fn two_owners_cannot_delete_each_other_at_once() {
    for bench in benches().await {
        let platform = &bench.platform;
        for name in ["ada", "bea"] {
            platform.account_create(name, &[Role::Owner]).await.unwrap();
        }
        let (one, other) = tokio::join!(
            platform.account_delete("ada"),
            platform.account_delete("bea"),
        );
        assert_ne!(one.is_ok(), other.is_ok(), "{one:?} {other:?}");
        assert_eq!(platform.accounts().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn names_of_accounts_are_plain_and_each_is_there_once() {
    for bench in benches().await {
        let create = async |name: &str, roles: &[Role]| {
            let made = bench.platform.account_create(name, roles).await;
            made.map(|it| it.name).map_err(|problem| problem.code)
        };
        let viewer = &[Role::Viewer];
        let longest = "a".repeat(64);
        for name in ["ada", "a.b-c_d@e", "0", &longest] {
            assert_eq!(create(name, viewer).await, Ok(name.to_owned()));
            assert_eq!(create(name, viewer).await, Err(codes::ACCOUNT_EXISTS));
        }
        let long = "a".repeat(65);
        for name in ["", "Ada", "-a", "a b", "a/b", "ä", "local", "nobody", &long] {
            let refused = create(name, viewer).await;
            assert_eq!(refused, Err(codes::REQUEST_INVALID), "{name}");
        }
        for roles in [&[][..], &[Role::Plugin]] {
            assert_eq!(create("x", roles).await, Err(codes::REQUEST_INVALID));
        }
        let missing = bench.platform.account("x").await.unwrap_err();
        assert_eq!(missing.code, codes::ACCOUNT_NOT_FOUND);
    }
}
