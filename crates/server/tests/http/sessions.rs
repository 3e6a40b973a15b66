//! What is open ends with the sign-in that opened it.

use plugyard_model::rights::Role;
use plugyard_platform::tokens::TokenRequest;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::support::{Events, Persona, Target, World};

/// Somebody of their own, with a stream that has begun.
async fn reader(world: &World, account: &str) -> (Persona, String, Events) {
    let owner = world.owner().await;
    let body = json!({ "name": account, "roles": ["operator"] });
    assert_eq!(owner.post("/v1/accounts", &body).await.status, 201);
    let body = json!({ "name": "t", "roles": ["viewer"], "account": account });
    let made = owner.post("/v1/tokens", &body).await.json();
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    let token = Some(text("secret"));
    let reader = Persona::new("reader", Target::Tcp(world.address), token);
    let events = reader.follow("/v1/events").await;
    (reader, text("id"), events)
}

/// The stream ends although the server goes on; nothing may be waited for by the clock.
async fn over(events: Events, reader: &Persona) {
    events.rest().await;
    assert_eq!(reader.get("/v1/session").await.status, 401);
}

#[tokio::test]
async fn a_revoked_token_ends_its_streams_at_once() {
    for world in World::everywhere().await {
        let (reader, id, events) = reader(&world, "ann").await;
        let owner = world.owner().await;
        let mut other = owner.follow("/v1/events").await;
        assert_eq!(owner.delete(&format!("/v1/tokens/{id}")).await.status, 204);
        over(events, &reader).await;
        // Others read on.
        world.installed(&owner, &json!({ "name": "a" })).await;
        assert!(other.next().await.is_some());
    }
}

#[tokio::test]
async fn a_disabled_and_a_deleted_account_end_theirs() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    let (ann, _, of_ann) = reader(&world, "ann").await;
    let (bob, _, of_bob) = reader(&world, "bob").await;
    let disabled = owner
        .header("content-type", "application/json")
        .send(
            axum::http::Method::PATCH,
            "/v1/accounts/ann",
            json!({ "disabled": true }).to_string().into(),
        )
        .await;
    assert_eq!(disabled.status, 200);
    over(of_ann, &ann).await;
    assert_eq!(owner.delete("/v1/accounts/bob").await.status, 204);
    over(of_bob, &bob).await;
}

#[tokio::test]
async fn an_expiring_token_ends_its_streams_when_it_expires() {
    let world = World::start(|_| {}).await;
    let who = plugyard_http::Principal {
        name: "owner".into(),
        roles: vec![Role::Owner],
    };
    let now = plugyard_platform::Clock::system().now();
    let request = TokenRequest {
        name: "short".into(),
        roles: vec![Role::Viewer],
        expires_at: Some(now + 1500),
        account: None,
    };
    let made = world.platform.token_create(&who, request).await.unwrap();
    let token = Some(made.secret.expose_secret().to_owned());
    let reader = Persona::new("short", Target::Tcp(world.address), token);
    let events = reader.follow("/v1/events").await;
    over(events, &reader).await;
}

#[tokio::test]
async fn signing_out_revokes_the_token_that_was_shown() {
    let world = World::start(|_| {}).await;
    let (reader, id, events) = reader(&world, "ann").await;
    assert_eq!(reader.delete("/v1/session").await.status, 204);
    over(events, &reader).await;
    let left = world.owner().await.get("/v1/tokens").await.json();
    let ids: Vec<&Value> = left["items"].as_array().unwrap().iter().collect();
    assert!(ids.iter().all(|token| token["id"] != json!(id)), "{left}");
    // Over the socket there is no token, and nothing to take away.
    assert_eq!(world.local().delete("/v1/session").await.status, 204);
    assert_eq!(world.local().get("/v1/session").await.status, 200);
    assert_eq!(world.anonymous().delete("/v1/session").await.status, 401);
}
