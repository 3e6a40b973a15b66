use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::Request as HttpRequest;
use axum::routing::post;
use axum::{Router, middleware};
use parking_lot::Mutex;
use tower::ServiceExt;

use super::*;

/// A route that counts how often it really ran.
fn app() -> Router {
    let runs = Arc::new(AtomicU32::new(0));
    let count = move || runs.fetch_add(1, Ordering::SeqCst).to_string();
    let (plain, secret, broken) = (count.clone(), count.clone(), count);
    let store: Arc<dyn AnswerStore> = Arc::new(Memory::default());
    Router::new()
        .route("/", post(async move || (StatusCode::ACCEPTED, plain())))
        .route(
            "/secret",
            post(async move || ([("cache-control", "no-store")], secret())),
        )
        .route(
            "/broken",
            post(async move || (StatusCode::BAD_GATEWAY, broken())),
        )
        .layer(middleware::from_fn_with_state(store, replay))
}

async fn send(app: &Router, path: &str, who: &str, key: &str, body: &'static str) -> (u16, String) {
    let request = HttpRequest::post(path)
        .header("idempotency-key", key)
        .header("content-type", "application/json")
        .extension(Principal {
            name: who.into(),
            roles: vec![],
        })
        .body(Body::from(body))
        .unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_and_has_no_second_effect() {
    let app = app();
    let first = send(&app, "/", "ann", "k", "{}").await;
    assert_eq!(first, (202, "0".into()));
    assert_eq!(send(&app, "/", "ann", "k", "{}").await, first);
    assert_eq!(send(&app, "/", "ann", "l", "{}").await, (202, "1".into()));
}

#[tokio::test]
async fn a_key_belongs_to_its_caller_and_its_request() {
    let app = app();
    send(&app, "/", "ann", "k", "{}").await;
    assert_eq!(send(&app, "/", "bob", "k", "{}").await, (202, "1".into()));
    let (status, body) = send(&app, "/", "ann", "k", "[]").await;
    assert_eq!(status, 409);
    assert!(body.contains("idempotency_key_reused"), "{body}");
    assert_eq!(send(&app, "/", "ann", &"k".repeat(256), "{}").await.0, 400);
}

#[tokio::test]
async fn failures_are_repeated_and_what_told_a_secret_is_neither_done_nor_told_again() {
    let app = app();
    assert_eq!(send(&app, "/secret", "ann", "k", "{}").await.1, "0");
    tokio::task::yield_now().await;
    assert_eq!(send(&app, "/broken", "ann", "l", "{}").await.1, "1");
    tokio::task::yield_now().await;
    assert_eq!(send(&app, "/secret", "ann", "k", "{}").await.0, 409);
    assert_eq!(send(&app, "/broken", "ann", "l", "{}").await.1, "2");
    assert_eq!(send(&app, "/secret", "ann", "m", "{}").await.1, "3");
}

/// A second request while the first one runs; and one whose first one's server ended.
#[tokio::test]
async fn nothing_is_worked_on_twice_at_once() {
    let store = Memory::default();
    let key = digest([&b"k"[..]]);
    let request = digest([]);
    let claim = || store.claim(key, request);
    assert_eq!(claim().await, Ok(Known::Claimed));
    assert_eq!(claim().await, Ok(Known::Pending));
    let known = store.claim(key, digest([&b"other"[..]])).await;
    assert_eq!(known, Ok(Known::Differs));
    store.release(key).await;
    assert_eq!(claim().await, Ok(Known::Claimed));
}

/// The least a store does.
#[derive(Default)]
struct Memory(Mutex<HashMap<Digest, (Digest, Option<Answer>)>>);

#[async_trait]
impl AnswerStore for Memory {
    async fn claim(&self, key: Digest, request: Digest) -> Result<Known, Problem> {
        let mut entries = self.0.lock();
        Ok(match entries.get(&key) {
            Some((first, _)) if *first != request => Known::Differs,
            Some((_, Some(answer))) => Known::Answered(answer.clone()),
            Some((_, None)) => Known::Pending,
            None => {
                entries.insert(key, (request, None));
                Known::Claimed
            }
        })
    }

    async fn keep(&self, key: Digest, answer: Answer) {
        if let Some(entry) = self.0.lock().get_mut(&key) {
            entry.1 = Some(answer);
        }
    }

    async fn release(&self, key: Digest) {
        self.0.lock().remove(&key);
    }
}
