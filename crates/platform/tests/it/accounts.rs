//! Tokens, accounts and the audit log.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use plugyard_http::{PageQuery, Principal};
use plugyard_model::codes;
use plugyard_model::rights::Role;
use plugyard_platform::Clock;
use plugyard_platform::tokens::TokenRequest;
use plugyard_store::testing;
use secrecy::ExposeSecret as _;

use crate::support::{Bench, benches, operator};

fn owner() -> Principal {
    Principal {
        name: "owner".to_owned(),
        roles: vec![Role::Owner],
    }
}

fn request(name: &str, expires_at: Option<i64>) -> TokenRequest {
    TokenRequest {
        name: name.to_owned(),
        roles: vec![Role::Viewer],
        expires_at,
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
        let listed = bench.platform.token_list().await.unwrap();
        assert_eq!(listed.len(), 1);
        assert!(listed[0].last_used_at.is_some());
        bench.platform.token_revoke(token.token.id).await.unwrap();
        assert_eq!(bench.platform.authenticate(secret).await.unwrap(), None);
        assert!(bench.platform.token_list().await.unwrap().is_empty());
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
                .audit(&operator(), "install", &target, "ok", "r1")
                .await
                .unwrap();
        }
        let mut seen = Vec::new();
        let mut query = PageQuery {
            cursor: None,
            limit: Some(2),
        };
        loop {
            let page = bench.platform.audit_list(&query).await.unwrap();
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
