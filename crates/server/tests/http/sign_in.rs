//! Who comes in, and how.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::Method;
use plugyard_model::rights::Role;
use plugyard_server::{Auth, Server, ServerSettings, StartError};
use serde_json::json;

use crate::support::{World, nobody, ourselves};

#[tokio::test]
async fn the_servers_own_user_is_the_owner_on_the_socket() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::start(|_| {}).await;
    let session = world.local().get("/v1/session").await.json();
    assert_eq!(session["name"], "local");
    assert_eq!(session["roles"], json!(["owner"]));
    assert_eq!(session["server"]["version"], "1.2.3-test");
    let mode = std::fs::metadata(&world.socket)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(world.anonymous().get("/v1/session").await.status, 401);
}

#[tokio::test]
async fn a_session_tells_what_its_bearer_may() {
    let world = World::start(|_| {}).await;
    let session = world
        .with_role(Role::Viewer)
        .await
        .get("/v1/session")
        .await
        .json();
    assert_eq!(
        session["rights"],
        json!(["public", "plugin.read", "flow.read", "operation.read"])
    );
}

#[tokio::test]
async fn a_plugin_is_refused_on_the_socket_whatever_token_it_has() {
    let world = World::start(|settings| settings.is_plugin = ourselves()).await;
    let owner = world.owner().await;
    let mut local = world.local();
    for token in [None, owner.token.clone()] {
        local.token = token;
        let answer = local.get("/v1/session").await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (403, "plugin_refused".into())
        );
    }
    let log = owner.get("/v1/audit").await.json();
    assert_eq!(log["items"][0]["result"], "plugin_refused");
    assert_eq!(log["items"][0]["who"], "plugin");
    // It knocked twice, and is written once.
    assert_eq!(log["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn compatible_routes_take_a_token_without_its_scheme() {
    let world = World::start(|_| {}).await;
    let viewer = world.with_role(Role::Viewer).await;
    let bare = world
        .anonymous()
        .header("authorization", viewer.token.clone().unwrap());
    assert_eq!(bare.get("/rules/r1").await.text(), "a rule");
    assert_eq!(bare.get("/v1/plugins").await.status, 401);
}

#[tokio::test]
async fn a_revoked_token_is_worth_nothing_at_once() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    let made = owner
        .post("/v1/tokens", &json!({ "name": "ci", "roles": ["viewer"] }))
        .await;
    assert_eq!(
        (made.status.as_u16(), made.header("cache-control")),
        (201, "no-store")
    );
    let mut ci = world.anonymous();
    ci.token = Some(made.json()["secret"].as_str().unwrap().to_owned());
    assert_eq!(ci.get("/v1/plugins").await.status, 200);
    let listed = owner.get("/v1/tokens").await;
    assert!(!listed.text().contains(ci.token.as_ref().unwrap().as_str()));
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(owner.delete(&format!("/v1/tokens/{id}")).await.status, 204);
    assert_eq!(ci.get("/v1/plugins").await.status, 401);
}

#[tokio::test]
async fn without_sign_in_only_this_machines_own_pages_come_in() {
    let world = World::start(|settings| settings.auth = Auth::None).await;
    let anybody = world.anonymous();
    let session = anybody.get("/v1/session").await.json();
    assert_eq!(
        (&session["name"], &session["auth"]),
        (&json!("anonymous"), &json!("none"))
    );
    assert_eq!(anybody.get("/rules/r1").await.text(), "a rule");
    for (name, value) in [
        ("host", "evil.example:9081"),
        ("origin", "http://evil.example"),
        ("origin", "null"),
    ] {
        let answer = anybody.header(name, value).get("/v1/plugins").await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (403, "origin_refused".into()),
            "{value}"
        );
        // What is public they may ask, as nobody; under a foreign name not even that.
        let answer = anybody.header(name, value).get("/v1/session").await;
        let expected = if name == "host" { 403 } else { 401 };
        assert_eq!(answer.status, expected, "{value}");
    }
    let page = anybody.header("origin", "http://localhost");
    assert_eq!(page.get("/v1/session").await.status, 200);
}

#[tokio::test]
async fn without_sign_in_a_plugin_has_no_rights() {
    let is_plugin = Arc::new(AtomicBool::new(false));
    let check = is_plugin.clone();
    let world = World::start(|settings| {
        settings.auth = Auth::None;
        settings.is_plugin =
            Arc::new(move |pid| check.load(Ordering::Relaxed) && pid == std::process::id());
    })
    .await;
    assert_eq!(world.anonymous().get("/v1/plugins").await.status, 200);
    is_plugin.store(true, Ordering::Relaxed);
    let answer = world
        .anonymous()
        .send(Method::DELETE, "/v1/installations/fake:a", Body::empty())
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (403, "plugin_refused".into())
    );
}

#[tokio::test]
async fn without_sign_in_a_plugins_token_stays_a_plugins() {
    let world = World::start(|settings| settings.auth = Auth::None).await;
    let (plugin, _pass) = world.process("fake:a");
    assert_eq!(plugin.get("/v1/plugins").await.status, 403);
}

#[tokio::test]
async fn serving_others_without_sign_in_is_refused() {
    let (world, bound) = World::bound(plugyard_store::testing::sqlite().await, |_| {}).await;
    drop(bound);
    let mut settings = ServerSettings::new("1", nobody());
    settings.auth = Auth::None;
    settings.listen = vec!["0.0.0.0:0".parse().unwrap()];
    let server = Server::new(settings, world.platform.clone(), Vec::new()).unwrap();
    let error = server.bind().await.unwrap_err();
    assert!(matches!(error, StartError::NotLoopback { .. }), "{error:?}");
}

#[tokio::test]
async fn a_living_servers_socket_is_not_taken_and_a_dead_ones_is() {
    let world = World::start(|_| {}).await;
    let server = |path: &std::path::Path| {
        let mut settings = ServerSettings::new("1", nobody());
        settings.listen = Vec::new();
        settings.socket = Some(path.to_owned());
        Server::new(settings, world.platform.clone(), Vec::new()).unwrap()
    };
    let error = server(&world.socket).bind().await.unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }), "{error:?}");
    // The file of a listener that nobody listens on.
    let left = world.socket.with_file_name("left.sock");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    let bound = server(&left).bind().await.unwrap();
    drop(bound);
    assert!(!left.exists());
    // Longer than an address of a socket may be.
    let deep = world
        .socket
        .with_file_name("d".repeat(120))
        .join("api.sock");
    std::fs::create_dir(deep.parent().unwrap()).unwrap();
    server(&deep).bind().await.unwrap();
}
