//! A walk over the whole document: no operation is forgotten when rights are asked for.

use axum::body::Body;
use axum::http::Method;
use plugyard_model::rights::{Right, Role};
use plugyard_server::RIGHT_EXTENSION;
use serde_json::Value;

use crate::support::{Persona, World};

/// Whatever a path's parameters stand for, it is not there.
fn fill(path: &str) -> String {
    path.replace("{sha256}", &"0".repeat(64))
        .replace("{plugin}", "fake:nobody")
        .replace("{id}", "019a0000-0000-7000-8000-000000000000")
}

/// The status alone: some answers never end.
async fn ask(who: &Persona, method: &Method, path: &str) -> u16 {
    who.header("content-type", "application/json")
        .status(method.clone(), &fill(path), Body::from("{}"))
        .await
        .as_u16()
}

/// Every operation with its right.
async fn operations(world: &World) -> Vec<(Method, String, Right)> {
    let document = world.anonymous().get("/openapi.json").await.json();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let right = operation[RIGHT_EXTENSION].as_str().unwrap();
            let public = right == "public";
            let security = operation["security"].as_array().unwrap();
            assert_eq!(security.is_empty(), public, "{method} {path}");
            assert!(operation["operationId"].is_string(), "{method} {path}");
            let method = method.to_uppercase().parse().unwrap();
            all.push((method, path.clone(), Right::from_word(right).unwrap()));
        }
    }
    assert!(all.len() > 25, "{}", all.len());
    all
}

/// Whose answer ends the server, or waits for a test to go on.
fn is_special(path: &str) -> bool {
    path == "/stop" || path.starts_with("/v1/test/")
}

#[tokio::test]
async fn each_operation_refuses_who_lacks_its_right_and_answers_who_has_it() {
    for world in World::everywhere().await {
        let anonymous = world.anonymous();
        let mut people = Vec::new();
        let (process, _pass) = world.process("fake:a");
        people.push((Role::Plugin, process));
        for role in [Role::Viewer, Role::Author, Role::Operator, Role::Owner] {
            people.push((role, world.with_role(role).await));
        }
        for (method, path, right) in operations(&world).await {
            let what = format!("{method} {path} on {}", world.sort());
            if right == Right::Public {
                continue;
            }
            assert_eq!(ask(&anonymous, &method, &path).await, 401, "{what}");
            for (role, persona) in &people {
                if !role.may(right) {
                    let status = ask(persona, &method, &path).await;
                    assert_eq!(status, 403, "{what} as {}", persona.name);
                } else if !is_special(&path) {
                    let status = ask(persona, &method, &path).await;
                    assert!(
                        ![401, 403].contains(&status),
                        "{what} as {}: {status}",
                        persona.name
                    );
                }
            }
            let somebody = Role::ALL.iter().any(|role| role.may(right));
            assert!(somebody, "{what}: nobody may");
        }
        // Last, because it is the end.
        let owner = &people.last().unwrap().1;
        assert_eq!(ask(owner, &Method::POST, "/stop").await, 200);
    }
}

#[tokio::test]
async fn a_made_up_token_is_no_anonymous_one() {
    let world = World::start(|_| {}).await;
    let mut liar = world.anonymous();
    liar.token = Some(format!("plugyard_{}_{}", "0".repeat(32), "0".repeat(64)));
    for path in ["/v1/session", "/v1/plugins", "/healthz"] {
        assert_eq!(liar.get(path).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_route_without_a_right_is_refused_even_to_the_owner() {
    let world = World::start(|_| {}).await;
    let answer = world.owner().await.get("/v1/forgotten").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (403, "route_closed".into())
    );
}

#[tokio::test]
async fn every_change_leaves_a_row_in_the_audit_log_also_the_refused() {
    for world in World::everywhere().await {
        let (owner, viewer) = (world.owner().await, world.with_role(Role::Viewer).await);
        viewer.delete("/v1/installations/fake:a").await;
        owner.delete("/v1/installations/fake:a").await;
        world
            .installed(&owner, &serde_json::json!({ "name": "a" }))
            .await;
        let log = owner.get("/v1/audit?limit=10").await.json();
        let rows: Vec<(&str, &str)> = log["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row: &Value| {
                (
                    row["action"].as_str().unwrap(),
                    row["result"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                ("POST /v1/installations", "ok"),
                ("POST /v1/packages", "ok"),
                ("DELETE /v1/installations/{plugin}", "plugin_not_found"),
                ("DELETE /v1/installations/{plugin}", "not_permitted"),
            ],
            "{}",
            world.sort()
        );
        assert_eq!(log["items"][2]["target"], "/v1/installations/fake:a");
        assert!(!log["items"][2]["request"].as_str().unwrap().is_empty());
    }
}
