//! Answers to requests that may be sent twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use plugyard_http::idempotency::{Answer, AnswerStore as _, Known};
use plugyard_model::Digest;
use plugyard_platform::{Clock, Settings, StoredAnswers};
use plugyard_store::testing;

use crate::support::Bench;

const HOUR: i64 = 3_600_000;

fn digest(of: u8) -> Digest {
    Digest::from_bytes([of; 32])
}

fn answer() -> Answer {
    Answer {
        status: 202,
        headers: vec![("location".to_owned(), "/v1/operations/1".to_owned())],
        body: b"{\"a\":1}".as_slice().into(),
    }
}

#[tokio::test]
async fn an_answer_is_kept_for_its_time_by_whoever_asks() {
    for database in testing::databases().await {
        let time = Arc::new(AtomicI64::new(1_000_000));
        let now = time.clone();
        let clock = Clock::new(move || now.load(Ordering::SeqCst));
        let bench = Bench::with(database, |settings| Settings { clock, ..settings }).await;
        let first = StoredAnswers::new(bench.platform.clone());
        let later = StoredAnswers::new(bench.platform.clone());
        let (key, request) = (digest(1), digest(2));
        assert_eq!(first.claim(key, request).await, Ok(Known::Claimed));
        assert_eq!(first.claim(key, request).await, Ok(Known::Pending));
        // To another server it looks as if that one had ended over it.
        assert_eq!(later.claim(key, request).await, Ok(Known::Unsettled));
        assert_eq!(later.claim(key, digest(3)).await, Ok(Known::Differs));
        // Only who claimed it may settle it.
        later.release(key).await;
        later
            .keep(
                key,
                Answer {
                    status: 500,
                    ..answer()
                },
            )
            .await;
        first.keep(key, answer()).await;
        for store in [&first, &later] {
            let known = store.claim(key, request).await;
            assert_eq!(known, Ok(Known::Answered(answer())));
        }
        // What is answered cannot be given back.
        first.release(key).await;
        time.fetch_add(24 * HOUR, Ordering::SeqCst);
        let known = later.claim(key, request).await;
        assert_eq!(known, Ok(Known::Answered(answer())));
        time.fetch_add(1, Ordering::SeqCst);
        assert_eq!(later.claim(key, request).await, Ok(Known::Claimed));
        later.release(key).await;
        assert_eq!(first.claim(key, digest(3)).await, Ok(Known::Claimed));
    }
}

#[tokio::test]
async fn of_many_who_claim_one_key_at_once_one_has_it() {
    for database in testing::databases().await {
        let bench = Bench::new(database).await;
        let store = StoredAnswers::new(bench.platform.clone());
        let claims = (0..20).map(|_| store.claim(digest(1), digest(2)));
        let known = futures::future::join_all(claims).await;
        let claimed = known.iter().filter(|it| **it == Ok(Known::Claimed));
        assert_eq!(claimed.count(), 1, "{known:?}");
    }
}
