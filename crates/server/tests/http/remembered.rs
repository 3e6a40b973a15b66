//! Lists come from memory while nothing changes; nobody may notice.

use axum::http::Method;
use plugyard_model::rights::Role;
use serde_json::{Value, json};

use crate::support::{Persona, World};

/// The names in a list of installations.
async fn listed(who: &Persona) -> Vec<String> {
    let items = who.get("/v1/installations").await.json()["items"].clone();
    let items = items.as_array().unwrap().clone();
    let name = |item: &Value| item["plugin"].as_str().unwrap().to_owned();
    items.iter().map(name).collect()
}

#[tokio::test]
async fn each_change_is_in_the_next_answer() {
    for world in World::everywhere().await {
        let owner = world.owner().await;
        assert!(listed(&owner).await.is_empty());
        for name in ["a", "b", "c"] {
            world.installed(&owner, &json!({ "name": name })).await;
            let names = listed(&owner).await;
            assert_eq!(names.last(), Some(&format!("fake:{name}")), "{names:?}");
            // What is remembered is the same as what is read.
            assert_eq!(listed(&owner).await, listed(&owner).await);
            let operations = owner.get("/v1/operations").await.json();
            assert_eq!(operations["items"][0]["plugin"], format!("fake:{name}"));
            assert_eq!(operations["items"][0]["state"], "done");
        }
        let shown = owner.get("/v1/installations/fake:a").await;
        assert_eq!(shown.json()["wanted"], "running");
        let answer = owner
            .post("/v1/installations/fake:a/disable", &json!({}))
            .await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let id = answer.json()["operation"].as_str().unwrap().to_owned();
        world.platform.wait(id.parse().unwrap()).await.unwrap();
        let after = owner.get("/v1/installations/fake:a").await;
        assert_eq!(after.json()["wanted"], "stopped");
        assert_ne!(shown.headers["etag"], after.headers["etag"]);
    }
}

#[tokio::test]
async fn what_is_remembered_is_for_those_only_who_may_read_it() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    world.installed(&owner, &json!({ "name": "a" })).await;
    for path in [
        "/v1/installations",
        "/v1/installations/fake:a",
        "/v1/operations",
    ] {
        assert_eq!(owner.get(path).await.status, 200, "{path}");
        assert_eq!(world.anonymous().get(path).await.status, 401, "{path}");
        let (process, _pass) = world.process("fake:a");
        assert_eq!(process.get(path).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn a_token_that_was_just_used_is_refused_by_the_request_after_its_end() {
    for world in World::everywhere().await {
        let owner = world.owner().await;
        for _ in 0..20 {
            let body = json!({ "name": "t", "roles": ["viewer"] });
            let made = owner.post("/v1/tokens", &body).await.json();
            let token = Some(made["secret"].as_str().unwrap().to_owned());
            let target = crate::support::Target::Tcp(world.address);
            let viewer = Persona::new("viewer", target, token);
            assert_eq!(viewer.get("/v1/session").await.status, 200);
            assert_eq!(viewer.get("/v1/session").await.status, 200);
            let path = format!("/v1/tokens/{}", made["id"].as_str().unwrap());
            assert_eq!(owner.delete(&path).await.status, 204);
            assert_eq!(viewer.get("/v1/session").await.status, 401);
        }
        // An account's roles too: what a token may is what its account may now.
        let body = json!({ "name": "ann", "roles": ["operator"] });
        assert_eq!(owner.post("/v1/accounts", &body).await.status, 201);
        let body = json!({ "name": "t", "roles": ["operator"], "account": "ann" });
        let made = owner.post("/v1/tokens", &body).await.json();
        let token = Some(made["secret"].as_str().unwrap().to_owned());
        let ann = Persona::new("ann", crate::support::Target::Tcp(world.address), token);
        let roles = async || ann.get("/v1/session").await.json()["roles"].clone();
        assert_eq!(roles().await, json!(["operator"]));
        let body = json!({ "roles": ["viewer"] }).to_string();
        let changed = owner
            .header("content-type", "application/json")
            .send(Method::PATCH, "/v1/accounts/ann", body.into())
            .await;
        assert_eq!(changed.status, 200);
        assert_eq!(roles().await, json!(["viewer"]));
    }
}

#[tokio::test]
async fn a_plugin_whose_kind_is_not_served_is_shown_and_says_so() {
    let mut world = World::start(|_| {}).await;
    let owner = world.owner().await;
    world.installed(&owner, &json!({ "name": "a" })).await;
    world.restart_with(Vec::new()).await;
    let viewer = world.with_role(Role::Viewer).await;
    let shown = viewer.get("/v1/installations/fake:a").await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    let shown = shown.json();
    assert_eq!(shown["details"], json!({}));
    assert_eq!(shown["health"]["state"], "failed");
    assert!(
        shown["health"]["reason"]
            .as_str()
            .unwrap()
            .contains("`fake`"),
        "{shown}"
    );
    assert_eq!(shown["versions"].as_array().unwrap().len(), 1);
    assert_eq!(listed(&viewer).await.len(), 1);
}
