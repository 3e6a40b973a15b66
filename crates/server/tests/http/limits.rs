//! What a client cannot do to the server.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Method;
use plugyard_model::ByteSize;
use plugyard_server::StartError;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{World, package, raw};

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let world = World::start(|settings| settings.limits.body = ByteSize(1000)).await;
    let owner = world.owner().await;
    let body = json!({ "name": "x".repeat(1000), "roles": ["viewer"] });
    let answer = owner.post("/v1/tokens", &body).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (413, "request_too_large".into())
    );
    assert!(answer.text().contains("1000"));
    // Packages have a limit of their own.
    let numbers = (0..500_u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let filling: Vec<u64> = numbers.collect();
    let package = package(&json!({ "name": "a", "filling": filling }));
    assert!(package.len() > 1000, "{}", package.len());
    assert_eq!(owner.upload(&package).await.status, 201);
    // In a form too.
    let mut form =
        b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\r\n"
            .to_vec();
    form.extend(&package);
    form.extend(b"\r\n--x--\r\n");
    let taken = owner
        .header("content-type", "multipart/form-data; boundary=x")
        .send(Method::POST, "/v1/packages", Body::from(form))
        .await;
    assert_eq!(taken.status, 201, "{}", taken.text());
}

#[tokio::test]
async fn a_package_that_says_it_is_too_large_is_not_read() {
    let world = World::start(|_| {}).await;
    let token = world.owner().await.token.unwrap();
    let head = format!(
        "POST /v1/packages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/zip\r\n\
         Authorization: Bearer {token}\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n"
    );
    let answer = raw(world.address, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("package_too_large"), "{answer}");
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let world = World::start(|settings| {
        settings.limits.header_timeout = Duration::from_millis(50);
    })
    .await;
    // Returns because the server closes: the client never would.
    let answer = raw(world.address, b"GET /ping HTTP/1.1\r\nHost: local").await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
    assert_eq!(world.anonymous().get("/ping").await.status, 200);
}

#[tokio::test]
async fn a_head_without_measure_is_refused() {
    let world = World::start(|_| {}).await;
    let head = format!(
        "GET /ping HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(200_000)
    );
    let answer = raw(world.address, head.as_bytes()).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_body_that_stands_still_ends_the_request() {
    let world = World::start(|settings| {
        settings.limits.body_timeout = Duration::from_millis(50);
    })
    .await;
    let stuck = Body::from_stream(futures::StreamExt::chain(
        futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"PK"))]),
        futures::stream::pending(),
    ));
    let answer = world
        .owner()
        .await
        .header("content-type", "application/zip")
        .send(Method::POST, "/v1/packages", stuck)
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (400, "request_invalid".into())
    );
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered() {
    let world = World::start(|settings| {
        settings.limits.deadline = Duration::from_millis(50);
        settings.limits.slow_deadline = Duration::from_millis(100);
    })
    .await;
    for path in ["/v1/test/stuck", "/v1/test/patient"] {
        let answer = world.anonymous().get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (503, "deadline_exceeded".into()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn more_requests_than_allowed_are_told_to_come_back() {
    let world = World::start(|settings| settings.limits.requests = 1).await;
    let mut stuck = TcpStream::connect(world.address).await.unwrap();
    stuck
        .write_all(b"GET /v1/test/stuck HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    // Until the first one is inside, there is room for another.
    let answer = loop {
        let answer = world.anonymous().get("/v1/session").await;
        if answer.status != 401 {
            break answer;
        }
    };
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (503, "server_busy".into())
    );
    assert_eq!(answer.header("retry-after"), "1");
    drop(stuck);
    while world.anonymous().get("/v1/session").await.status == 503 {}
}

#[tokio::test]
async fn a_client_that_takes_nothing_loses_its_place() {
    let world = World::start(|settings| {
        settings.limits.body_timeout = Duration::from_millis(50);
    })
    .await;
    let owner = world.owner().await;
    let mut greedy = TcpStream::connect(world.address).await.unwrap();
    // More than all buffers between the two can hold.
    let request = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n";
    greedy
        .write_all(request.repeat(50).as_bytes())
        .await
        .unwrap();
    // One connection is the one that asks.
    let only_ours = "plugyard_http_connections{listener=\"tcp\"} 1\n";
    let answered = "route=\"/docs/{*rest}\",method=\"GET\",status=\"200\"";
    let done = async || {
        let metrics = owner.get("/metrics").await;
        metrics.text().contains(answered) && metrics.text().contains(only_ours)
    };
    while !done().await {}
}

#[tokio::test]
async fn a_change_goes_on_when_its_client_hangs_up() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    let token = owner.token.clone().unwrap();
    let head = format!(
        "POST /v1/test/write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    let mut client = TcpStream::connect(world.address).await.unwrap();
    client.write_all(head.as_bytes()).await.unwrap();
    while world.fake.lines() != ["begun"] {
        tokio::task::yield_now().await;
    }
    drop(client);
    // The server has noticed when the connection is gone from its metrics.
    let counted = || async { owner.get("/metrics").await.text().to_owned() };
    while !counted()
        .await
        .contains("plugyard_http_connections{listener=\"tcp\"} 1")
    {}
    world.fake.go_on.notify_one();
    while world.fake.lines() != ["begun", "done"] {
        tokio::task::yield_now().await;
    }
    let row = loop {
        let log = owner.get("/v1/audit").await.json();
        if let Some(row) = log["items"].get(0) {
            break row.clone();
        }
    };
    assert_eq!(
        (&row["action"], &row["result"]),
        (&json!("POST /v1/test/write"), &json!("ok"))
    );
}

#[tokio::test]
async fn a_watcher_who_does_not_read_holds_nobody_up() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    world.installed(&owner, &json!({ "name": "a" })).await;
    let lazy = owner.follow("/v1/installations/a/logs?follow=true").await;
    for _ in 0..10_000 {
        world.fake.write(&"x".repeat(1000));
    }
    assert_eq!(owner.get("/ping").await.status, 200);
    // What this source does with a reader that stays behind is end its stream; the reader comes
    // back and goes on where it was.
    let seen = lazy.rest().await.last().map_or(0, |event| event.id);
    let mut back = owner
        .header("last-event-id", seen.to_string())
        .follow("/v1/installations/a/logs?follow=true")
        .await;
    assert!(back.next().await.unwrap().id > seen);
}

#[tokio::test]
async fn a_stopping_server_ends_streams_and_idle_connections() {
    let mut world = World::start(|_| {}).await;
    let owner = world.owner().await;
    let events = owner.follow("/v1/events").await;
    let mut idle = TcpStream::connect(world.address).await.unwrap();
    let answer = owner.post("/stop", &json!({})).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text()),
        (200, "stop success")
    );
    assert!(events.rest().await.is_empty());
    world.stopped().await;
    assert_eq!(idle.read(&mut [0; 8]).await.unwrap_or(0), 0);
    assert!(!world.socket.exists());
    assert!(TcpStream::connect(world.address).await.is_err());
}

#[tokio::test]
async fn a_stopping_server_cuts_what_does_not_end_in_its_grace() {
    let mut world =
        World::start(|settings| settings.limits.grace = Duration::from_millis(50)).await;
    let mut stuck = TcpStream::connect(world.address).await.unwrap();
    stuck
        .write_all(b"GET /v1/test/stuck HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let busy = || async { world.owner().await.get("/metrics").await.text().to_owned() };
    while !busy().await.contains("plugyard_http_requests_in_flight 2") {}
    world.stopper.cancel();
    world.stopped().await;
    assert_eq!(stuck.read(&mut [0; 8]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn before_recovery_is_done_only_probes_are_answered() {
    let (world, bound) = World::bound(plugyard_store::testing::sqlite().await, |_| {}).await;
    world.fake.slow_start.store(true, Ordering::Relaxed);
    let anybody = world.anonymous();
    let fake = world.fake.clone();
    let ((), world) = tokio::join!(
        async {
            assert_eq!(anybody.get("/healthz").await.status, 200);
            for path in ["/readyz", "/v1/session", "/rules/a"] {
                assert_eq!(anybody.get(path).await.status, 503, "{path}");
            }
            let answer = anybody.get("/v1/session").await;
            assert_eq!(answer.code(), "server_starting");
            assert_eq!(answer.header("retry-after"), "1");
            fake.go_on.notify_one();
        },
        world.run(bound),
    );
    assert_eq!(world.anonymous().get("/v1/session").await.status, 401);
}

#[tokio::test]
async fn a_server_that_cannot_recover_ends() {
    let (world, bound) = World::bound(plugyard_store::testing::sqlite().await, |_| {}).await;
    world.platform.settings().database.close().await.unwrap();
    let failed = bound.run(std::future::pending()).await;
    assert!(matches!(failed, Err(StartError::Recover(_))), "{failed:?}");
}
