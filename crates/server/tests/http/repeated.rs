//! Requests that come twice, and changes of what somebody else changed meanwhile.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{World, package};

async fn installable(world: &World) -> Value {
    let owner = world.owner().await;
    let package = owner.upload(&package(&json!({ "name": "a" }))).await;
    json!({ "package": package.json()["sha256"] })
}

#[tokio::test]
async fn a_key_is_remembered_by_the_next_server_on_the_same_database() {
    for mut world in World::everywhere().await {
        let body = installable(&world).await;
        let once = world.owner().await.header("idempotency-key", "k-1");
        let first = once.post("/v1/installations", &body).await;
        assert_eq!(first.status, 202, "{}", first.text());
        let id = first.json()["operation"].as_str().unwrap().to_owned();
        world.platform.wait(id.parse().unwrap()).await.unwrap();
        world.restart().await;
        let again = world.again(&once).post("/v1/installations", &body).await;
        assert_eq!(again.status, 202, "{}: {}", world.sort(), again.text());
        assert_eq!(again.json(), first.json());
        assert_eq!(again.header("location"), first.header("location"));
        let other = json!({ "package": body["package"], "wanted": "stopped" });
        let differs = world.again(&once).post("/v1/installations", &other).await;
        let refused = (differs.status.as_u16(), differs.code());
        assert_eq!(refused, (409, "idempotency_key_reused".into()));
    }
}

#[tokio::test]
async fn while_the_first_request_runs_the_second_is_told_so() {
    for mut world in World::everywhere().await {
        let once = world.owner().await.header("idempotency-key", "k-1");
        let begun = {
            let once = once.clone();
            tokio::spawn(async move { once.post("/v1/test/write", &json!({})).await })
        };
        while !world.fake.lines().contains(&"begun".to_owned()) {
            tokio::task::yield_now().await;
        }
        let second = once.post("/v1/test/write", &json!({})).await;
        let refused = (second.status.as_u16(), second.code());
        assert_eq!(
            refused,
            (409, "idempotency_key_pending".into()),
            "{}",
            world.sort()
        );
        // The server ends hard: nobody can know what came of it.
        begun.abort();
        world.restart().await;
        let third = world.again(&once).post("/v1/test/write", &json!({})).await;
        let refused = (third.status.as_u16(), third.code());
        assert_eq!(refused, (409, "idempotency_key_unsettled".into()));
    }
}

#[tokio::test]
async fn of_two_who_saw_the_same_state_one_changes_it() {
    for world in World::everywhere().await {
        let owner = world.owner().await;
        world.installed(&owner, &json!({ "name": "a" })).await;
        let path = "/v1/installations/fake:a";
        let seen = owner.get(path).await.header("etag").to_owned();
        let holding = owner.header("if-match", seen.clone());
        let send = |verb: &str| {
            let (holding, path) = (holding.clone(), format!("{path}/{verb}"));
            async move { holding.send(Method::POST, &path, Body::empty()).await }
        };
        let (one, other) = tokio::join!(send("restart"), send("disable"));
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses[0], 202, "{} {}", one.text(), other.text());
        assert!([409, 412].contains(&statuses[1]), "{statuses:?}");
        let done = if one.status == 202 { &one } else { &other };
        let id = done.json()["operation"].as_str().unwrap().to_owned();
        world.platform.wait(id.parse().unwrap()).await.unwrap();
        let late = send("restart").await;
        assert_eq!(
            (late.status.as_u16(), late.code()),
            (412, "precondition_failed".into())
        );
        let now = owner.get(path).await.header("etag").to_owned();
        assert_ne!(now, seen);
    }
}

#[tokio::test]
async fn a_token_is_made_once_however_often_it_is_asked_for_with_one_key() {
    for world in World::everywhere().await {
        let owner = world.owner().await;
        let keyed = owner.header("idempotency-key", "k");
        let body = json!({ "name": "once", "roles": ["viewer"] });
        let first = keyed.post("/v1/tokens", &body).await;
        assert_eq!(first.status, 201, "{}", first.text());
        for _ in 0..2 {
            let again = keyed.post("/v1/tokens", &body).await;
            assert_eq!(
                (again.status.as_u16(), again.code()),
                (409, "idempotency_answer_told".into())
            );
        }
        let tokens = owner.get("/v1/tokens").await.json()["items"].clone();
        let named = |token: &&Value| token["name"] == "once";
        assert_eq!(tokens.as_array().unwrap().iter().filter(named).count(), 1);
    }
}
