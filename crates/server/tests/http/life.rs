//! The life of a plugin over HTTP: from its package to its end.

use axum::body::Body;
use axum::http::Method;
use plugyard_model::rights::Role;
use serde_json::{Value, json};

use crate::support::{World, package};

#[tokio::test]
async fn a_package_becomes_an_installation_and_goes_again() {
    for world in World::everywhere().await {
        let operator = world.with_role(Role::Operator).await;
        let taken = operator
            .upload(&package(&json!({ "name": "a", "version": "1" })))
            .await;
        let taken = taken.json();
        assert_eq!(
            (&taken["plugin"], &taken["version"]),
            (&json!("fake:a"), &json!("1"))
        );
        let sha256 = taken["sha256"].as_str().unwrap().to_owned();
        let shown = operator.get(&format!("/v1/packages/{sha256}")).await.json();
        assert_eq!(shown["versions"][0]["id"], taken["version_id"]);

        world
            .installed(&operator, &json!({ "name": "a", "version": "1" }))
            .await;
        world
            .installed(&operator, &json!({ "name": "b", "version": "1" }))
            .await;
        let page = operator.get("/v1/installations?limit=1").await.json();
        assert_eq!(page["items"][0]["plugin"], "fake:a");
        let next = page["next"].as_str().unwrap();
        let page = operator
            .get(&format!("/v1/installations?limit=1&cursor={next}"))
            .await
            .json();
        assert_eq!(
            (&page["items"][0]["key"], &page["next"]),
            (&json!("b"), &Value::Null)
        );

        for name in ["a", "fake:a", "fake%3Aa"] {
            let shown = operator.get(&format!("/v1/installations/{name}")).await;
            let json = shown.json();
            assert_eq!(json["version"]["label"], "1", "{name}");
            assert_eq!(json["health"], json!({ "state": "ready", "reason": "" }));
            assert_eq!(json["details"], json!({ "pretended": true }));
        }

        let removed = operator.delete("/v1/installations/fake:a").await;
        assert_eq!(removed.status, 202);
        let id = removed.json()["operation"].as_str().unwrap().to_owned();
        assert_eq!(removed.header("location"), format!("/v1/operations/{id}"));
        world
            .platform
            .wait(id.parse().unwrap())
            .await
            .unwrap()
            .into_result()
            .unwrap();
        let gone = operator.get("/v1/installations/fake:a").await;
        assert_eq!(
            (gone.status.as_u16(), gone.code()),
            (404, "plugin_not_found".into())
        );
    }
}

#[tokio::test]
async fn a_bad_package_is_answered_with_all_its_findings() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    let refused = owner
        .header("accept-language", "zh")
        .upload(&package(&json!({})))
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (422, "package_invalid".into())
    );
    let finding = &refused.json()["findings"][0];
    assert_eq!(
        (&finding["file"], &finding["pointer"]),
        (&json!("fake.json"), &json!("/name"))
    );
    assert!(
        finding["message"].as_str().unwrap().contains("必须是"),
        "{finding}"
    );
    // Looking at it is no error.
    let looked = owner
        .header("content-type", "application/zip")
        .send(
            Method::POST,
            "/v1/packages/inspect",
            Body::from(package(&json!({}))),
        )
        .await;
    assert_eq!(looked.status, 200);
    assert_eq!(looked.json()["findings"][0]["code"], finding["code"]);
    assert_eq!(owner.get("/v1/plugins").await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_package_may_come_as_a_form() {
    let world = World::start(|_| {}).await;
    let mut body = b"--x\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n\
        --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\r\n"
        .to_vec();
    body.extend(package(&json!({ "name": "a" })));
    body.extend(b"\r\n--x--\r\n");
    let owner = world
        .owner()
        .await
        .header("content-type", "multipart/form-data; boundary=x");
    let taken = owner
        .send(Method::POST, "/v1/packages", Body::from(body.clone()))
        .await;
    assert_eq!(taken.status, 201, "{}", taken.text());
    // Cut off, it is no package, whatever of it came.
    body.truncate(body.len() - 30);
    let cut = owner
        .send(Method::POST, "/v1/packages", Body::from(body))
        .await;
    assert_eq!(
        (cut.status.as_u16(), cut.code()),
        (400, "request_invalid".into())
    );
}

#[tokio::test]
async fn only_the_local_socket_takes_paths() {
    let world = World::start(|_| {}).await;
    let file = world.socket.with_file_name("a.zip");
    std::fs::write(&file, package(&json!({ "name": "a" }))).unwrap();
    let body = json!({ "path": file });
    assert_eq!(world.local().post("/v1/packages", &body).await.status, 201);
    let far = world.owner().await.post("/v1/packages", &body).await;
    assert_eq!(
        (far.status.as_u16(), far.code()),
        (403, "path_not_local".into())
    );
    for body in [
        json!({}),
        json!({ "url": "http://a/", "path": "/a" }),
        json!({ "path": "a" }),
    ] {
        assert_eq!(
            world.local().post("/v1/packages", &body).await.status,
            400,
            "{body}"
        );
    }
}

#[tokio::test]
async fn options_make_another_version_of_the_same_bytes() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    let bytes = package(&json!({ "name": "a" }));
    let sha256 = owner.upload(&bytes).await.json()["sha256"].clone();
    let body = json!({ "package": sha256, "options": { "shellParas": ["x"] } });
    let started = owner.post("/v1/installations", &body).await.json();
    let id = started["operation"].as_str().unwrap().parse().unwrap();
    world
        .platform
        .wait(id)
        .await
        .unwrap()
        .into_result()
        .unwrap();
    let shown = owner.get("/v1/installations/a").await.json();
    assert_eq!(shown["version"]["options"], json!({ "shellParas": ["x"] }));
    assert_eq!(shown["versions"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_dry_run_says_the_steps_and_does_nothing() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    let sha256 = owner.upload(&package(&json!({ "name": "a" }))).await.json()["sha256"].clone();
    let body = json!({ "package": sha256 });
    let planned = owner.post("/v1/installations?dry_run=true", &body).await;
    assert_eq!(planned.status, 200);
    let names: Vec<Value> = planned.json()["plan"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["name"].clone())
        .collect();
    assert_eq!(names, ["start", "commit"]);
    assert_eq!(owner.get("/v1/operations").await.json()["items"], json!([]));
}

#[tokio::test]
async fn only_the_state_that_was_seen_is_changed() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    world.installed(&owner, &json!({ "name": "a" })).await;
    let seen = owner
        .get("/v1/installations/a")
        .await
        .header("etag")
        .to_owned();
    let careful = owner.header("if-match", seen);
    let done = careful
        .post("/v1/installations/a/disable", &json!({}))
        .await
        .json();
    let id = done["operation"].as_str().unwrap().parse().unwrap();
    world
        .platform
        .wait(id)
        .await
        .unwrap()
        .into_result()
        .unwrap();
    let late = careful.post("/v1/installations/a/enable", &json!({})).await;
    assert_eq!(
        (late.status.as_u16(), late.code()),
        (412, "precondition_failed".into())
    );
    assert_eq!(
        owner.get("/v1/installations/a").await.json()["wanted"],
        "stopped"
    );
}

#[tokio::test]
async fn an_operation_is_followed_and_taken_up_again_where_it_was_left() {
    for world in World::everywhere().await {
        let owner = world.owner().await;
        let manifest = json!({ "name": "a", "waits": true, "fails": "no reason\nmore" });
        let id = world.install(&owner, &manifest).await;
        let path = format!("/v1/operations/{id}/events");
        let mut events = owner.follow(&path).await;
        let mut seen = Vec::new();
        loop {
            let event = events.next().await.unwrap();
            let waiting = event.name == "log";
            seen.push(event);
            if waiting {
                break;
            }
        }
        let last = seen.last().unwrap().id;
        drop(events);
        world.fake.go_on.notify_one();

        let rest = owner
            .header("accept-language", "zh-CN")
            .header("last-event-id", last.to_string())
            .follow(&path)
            .await
            .rest()
            .await;
        assert_eq!(rest[0].id, last + 1, "{rest:?}");
        let end = rest.last().unwrap();
        assert_eq!(
            (end.name.as_str(), &end.data["state"]),
            ("end", &json!("failed"))
        );
        assert_eq!(end.data["error"]["code"], "step_failed");
        assert!(
            end.data["error"]["detail"]
                .as_str()
                .unwrap()
                .contains("步骤 start 失败")
        );

        let all = owner.follow(&path).await.rest().await;
        assert_eq!(
            all,
            [seen, rest_in_english(&owner, &path, last).await].concat()
        );
        let shown = owner.get(&format!("/v1/operations/{id}")).await.json();
        assert_eq!(shown["error_text"], "no reason\nmore");
        assert_eq!(shown["steps"][0]["state"], "failed");
    }
}

async fn rest_in_english(
    who: &crate::support::Persona,
    path: &str,
    last: u64,
) -> Vec<crate::support::Event> {
    who.header("last-event-id", last.to_string())
        .follow(path)
        .await
        .rest()
        .await
}

#[tokio::test]
async fn an_operation_can_be_cancelled_until_it_takes_effect() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    let id = world
        .install(&owner, &json!({ "name": "a", "waits": true }))
        .await;
    let mut events = owner.follow(&format!("/v1/operations/{id}/events")).await;
    while events.next().await.unwrap().name != "log" {}
    let cancel = format!("/v1/operations/{id}/cancel");
    assert_eq!(owner.post(&cancel, &json!({})).await.status, 202);
    let end = events.rest().await.pop().unwrap();
    assert_eq!(end.data["state"], "cancelled");
    let late = owner.post(&cancel, &json!({})).await;
    assert_eq!(
        (late.status.as_u16(), late.code()),
        (409, "operation_past_commit".into())
    );
}

#[tokio::test]
async fn what_happens_is_told_to_who_watches() {
    let world = World::start(|_| {}).await;
    let viewer = world.with_role(Role::Viewer).await;
    let mut events = viewer.follow("/v1/events?topics=plugins/fake:a").await;
    let owner = world.owner().await;
    world.installed(&owner, &json!({ "name": "b" })).await;
    world.installed(&owner, &json!({ "name": "a" })).await;
    let first = events.next().await.unwrap();
    assert_eq!(first.data["topic"], "plugins/fake:a", "{first:?}");
    let second = events.next().await.unwrap();
    drop(events);
    let mut again = viewer
        .header("last-event-id", first.id.to_string())
        .follow("/v1/events?topics=plugins/fake:a")
        .await;
    assert_eq!(again.next().await.unwrap(), second);
}

#[tokio::test]
async fn logs_are_read_and_followed() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    world.installed(&owner, &json!({ "name": "a" })).await;
    for text in ["one", "two", "three"] {
        world.fake.write(text);
    }
    let path = "/v1/installations/a/logs";
    let read = owner.get(&format!("{path}?tail=2")).await.json();
    assert_eq!(
        (&read["lines"][0]["text"], &read["lines"][1]["text"]),
        (&json!("two"), &json!("three"))
    );
    let mut live = owner
        .header("accept", "text/event-stream")
        .header("last-event-id", "2")
        .follow(&format!("{path}?tail=1"))
        .await;
    assert_eq!(live.next().await.unwrap().data["text"], "three");
    world.fake.write("four");
    let four = live.next().await.unwrap();
    assert_eq!((four.id, &four.data["text"]), (4, &json!("four")));
}
