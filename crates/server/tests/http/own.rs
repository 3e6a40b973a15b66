//! What a plugin's own process may ask.

use axum::http::Method;
use plugyard_model::rights::Role;
use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn a_process_sees_its_plugin_and_nothing_else() {
    for world in World::everywhere().await {
        let owner = world.owner().await;
        for name in ["a", "b"] {
            let manifest = json!({ "name": name, "version": "7" });
            world.installed(&owner, &manifest).await;
        }
        let (process, _pass) = world.process("fake:a");
        let answer = process.get("/v1/self").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!answer.header("etag").is_empty());
        let own = answer.json();
        assert_eq!(own["plugin"], "fake:a");
        assert_eq!(own["version"]["label"], "7");
        assert_eq!(own["health"]["state"], "ready");
        for path in [
            "/v1/session",
            "/v1/installations/fake:a",
            "/v1/installations/fake:b",
            "/v1/plugins",
            "/v1/events",
            "/v1/audit",
            "/rules/x",
            "/metrics",
        ] {
            let refused = process.get(path).await;
            assert_eq!(refused.status, 403, "{path}: {}", refused.text());
        }
        assert_eq!(process.delete("/v1/session").await.status, 403);
        assert_eq!(process.delete("/v1/installations/fake:a").await.status, 403);
        let refused = process.post("/batch/req", &json!([])).await;
        assert_eq!(refused.status, 403);
        // What it tried is in the log under its name.
        let log = owner.get("/v1/audit?limit=1").await.json();
        assert_eq!(log["items"][0]["who"], "plugin:fake:a");
        assert_eq!(log["items"][0]["result"], "not_permitted");
    }
}

#[tokio::test]
async fn nobody_else_is_a_plugin() {
    let world = World::start(|_| {}).await;
    for role in [Role::Owner, Role::Operator, Role::Viewer] {
        let answer = world.with_role(role).await.get("/v1/self").await;
        let refused = (answer.status.as_u16(), answer.code());
        assert_eq!(refused, (403, "not_permitted".into()), "{role:?}");
    }
    assert_eq!(world.local().get("/v1/self").await.status, 403);
    let owner = world.owner().await;
    let wanted = json!({ "name": "x", "roles": ["plugin"] });
    let answer = owner.post("/v1/tokens", &wanted).await;
    assert_eq!(answer.code(), "role_not_held");
    let wanted = json!({ "name": "x", "roles": ["plugin"] });
    let answer = owner.post("/v1/accounts", &wanted).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_token_ends_with_its_process_or_its_plugin() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    world.installed(&owner, &json!({ "name": "a" })).await;
    let (first, pass) = world.process("fake:a");
    let (second, _kept) = world.process("fake:a");
    assert_eq!(first.get("/v1/self").await.status, 200);
    drop(pass);
    assert_eq!(first.get("/v1/self").await.status, 401);
    assert_eq!(second.get("/v1/self").await.status, 200);

    // Seen when asked for, and nowhere else.
    let all = owner.get("/v1/tokens").await.json();
    assert!(!all.to_string().contains("fake:a"), "{all}");
    let all = owner.get("/v1/tokens?plugins=true").await.json();
    let listed = all["plugins"].as_array().unwrap();
    assert_eq!((listed.len(), &listed[0]["plugin"]), (1, &json!("fake:a")));

    let removed = owner.delete("/v1/installations/fake:a").await.json();
    let id = removed["operation"].as_str().unwrap().parse().unwrap();
    let outcome = world.platform.wait(id).await.unwrap();
    outcome.into_result().unwrap();
    assert_eq!(second.get("/v1/self").await.status, 401);
}

#[tokio::test]
async fn an_operator_can_take_a_processs_token() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    world.installed(&owner, &json!({ "name": "a" })).await;
    let (process, _pass) = world.process("fake:a");
    let all = owner.get("/v1/tokens?plugins=true").await.json();
    let id = all["plugins"][0]["id"].as_str().unwrap().to_owned();
    let answer = owner.delete(&format!("/v1/tokens/{id}")).await;
    assert_eq!(answer.status, 204);
    let status = process
        .status(Method::GET, "/v1/self", axum::body::Body::empty())
        .await;
    assert_eq!(status, 401);
}
