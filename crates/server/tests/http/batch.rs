//! Several requests in one.

use plugyard_model::rights::Role;
use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn each_request_of_a_batch_is_answered_as_if_it_had_come_alone() {
    let world = World::start(|_| {}).await;
    let viewer = world.with_role(Role::Viewer).await;
    let answer = viewer
        .post(
            "/batch/req",
            &json!([
                { "method": "get", "path": "/rules/r1" },
                { "method": "GET", "path": "/ping" },
                { "method": "POST", "path": "/stop", "body": "" },
                { "method": "GET", "path": "/rules/a/b" },
                { "method": "GET", "path": "/v1/installations" },
                { "method": "POST", "path": "/batch/req", "body": [] },
                { "method": "G T", "path": "/ping" },
                { "method": "GET", "path": "http://elsewhere/ping" },
            ]),
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answers = answer.json();
    let codes: Vec<_> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["code"].as_u64().unwrap())
        .collect();
    assert_eq!(codes, [200, 200, 403, 404, 404, 400, 400, 400]);
    assert_eq!(answers[0]["response"], "a rule");
    let refused = answers[2]["response"].as_str().unwrap();
    assert!(refused.starts_with("{\"error\":1001,"), "{refused}");
    // The refused change is in the log like any other, and the server still there.
    let log = world.owner().await.get("/v1/audit?limit=3").await.json();
    let rows = log["items"].as_array().unwrap();
    let stop = rows.iter().find(|row| row["action"] == "POST /stop");
    assert_eq!(stop.unwrap()["result"], "not_permitted");
    assert_eq!(world.anonymous().get("/ping").await.status, 200);
}

#[tokio::test]
async fn a_batch_has_bounds_and_a_form() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    let ping = json!({ "method": "GET", "path": "/ping" });
    for (body, what) in [
        (json!(vec![ping.clone(); 101]), "at most 100"),
        (json!({ "method": "GET" }), "Invalid body"),
        (json!([{ "path": "/ping" }]), "Invalid body"),
    ] {
        let answer = owner.post("/batch/req", &body).await;
        assert_eq!(answer.status, 400, "{what}");
        assert!(answer.text().contains(what), "{}", answer.text());
    }
    let all = owner.post("/batch/req", &json!(vec![ping; 100])).await;
    assert_eq!(all.json().as_array().unwrap().len(), 100);
    assert_eq!(owner.post("/batch/req", &json!([])).await.json(), json!([]));
}
