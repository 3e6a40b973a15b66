//! How answers look: languages, envelopes, pages, unknown addresses.

use axum::body::Body;
use axum::http::Method;
use plugyard_model::Code;
use serde_json::json;

use crate::support::{World, logged, raw};

#[tokio::test]
async fn problems_speak_the_readers_language() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    let answer = owner
        .header("accept-language", "fr, zh-CN;q=0.9, en;q=0.5")
        .get("/v1/installations/nobody")
        .await;
    assert_eq!(answer.header("content-language"), "zh-CN");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem = answer.json();
    assert_eq!(problem["title"], "未找到插件");
    assert_eq!(problem["instance"], "/v1/installations/nobody");
    let english = owner.get("/v1/installations/nobody").await.json();
    assert_eq!(english["title"], "Plugin not found");
    assert_eq!(english["code"], problem["code"]);
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_refused_in_their_own_envelope() {
    let world = World::start(|_| {}).await;
    let anybody = world.anonymous();
    let answer = anybody.get("/v1/unknown").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (404, "route_not_found".into())
    );
    let answer = anybody
        .send(Method::PATCH, "/v1/session", Body::empty())
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (405, "method_not_allowed".into())
    );
    assert!(
        answer.header("allow").contains("GET"),
        "{:?}",
        answer.headers
    );

    let answer = anybody.get("/rules/a/b/c").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(
        answer.text(),
        "{\"error\":1002,\"message\":\"There is nothing at `/rules/a/b/c`\"}\n"
    );
    let answer = anybody.send(Method::PATCH, "/rules/a", Body::empty()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["error"].as_u64()),
        (405, Some(1001))
    );
    let answer = anybody.get("/rules/a").await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["error"].as_u64()),
        (401, Some(1001))
    );
    assert!(answer.text().ends_with("}\n"));
}

#[tokio::test]
async fn a_panic_is_an_internal_error_with_the_requests_id_and_nothing_else() {
    let world = World::start(|_| {}).await;
    let answer = world.anonymous().get("/v1/test/panics").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (500, "internal".into())
    );
    let id = answer.header("x-request-id").to_owned();
    assert!(!id.is_empty() && answer.text().contains(&id));
    assert!(!answer.text().contains("secret-of-the-handler"));
    // The server lives on.
    assert_eq!(world.anonymous().get("/ping").await.status, 200);
}

#[tokio::test]
async fn the_root_sends_browsers_to_the_console_and_tells_clients_about_itself() {
    let world = World::start(|_| {}).await;
    let browser = world.anonymous().header("accept", "text/html,*/*");
    let answer = browser.get("/").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (302, "/ui/")
    );
    assert!(browser.get("/ui/").await.text().contains("href=\"/docs\""));
    let about = world.owner().await.get("/").await.json();
    let keys: Vec<&String> = about.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "version",
            "os",
            "arch",
            "upTimeSeconds",
            "cpuUsage",
            "memoryUsed",
            "memoryTotal"
        ]
    );
    assert_eq!(about["version"], "1.2.3-test");
    assert_eq!(world.anonymous().get("/").await.json()["error"], 1001);
    let ping = world.anonymous().get("/ping").await;
    assert_eq!((ping.status.as_u16(), ping.text()), (200, ""));
}

#[tokio::test]
async fn the_pages_load_nothing_from_other_hosts() {
    let world = World::start(|_| {}).await;
    let anybody = world.anonymous();
    for path in [
        "/docs/",
        "/docs/errors",
        "/ui/",
        "/docs/swagger-initializer.js",
    ] {
        let answer = anybody.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        for foreign in [
            "src=\"http",
            "href=\"http",
            "validator.swagger.io",
            "url: \"http",
        ] {
            assert!(!answer.text().contains(foreign), "{path} has {foreign}");
        }
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'self'"), "{path}");
    }
    assert!(anybody.get("/docs/swagger-ui-bundle.js").await.text().len() > 100_000);
}

#[tokio::test]
async fn the_list_of_codes_has_each_in_both_languages() {
    let world = World::start(|_| {}).await;
    let page = world.anonymous().get("/docs/errors").await;
    for code in Code::all() {
        assert!(page.text().contains(&format!("id=\"{code}\"")), "{code}");
    }
    assert!(page.text().contains("未找到插件") && page.text().contains("Plugin not found"));
}

#[tokio::test]
async fn the_same_key_has_one_effect() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    let package = owner
        .upload(&crate::support::package(&json!({ "name": "a" })))
        .await;
    let body = json!({ "package": package.json()["sha256"] });
    let once = owner.header("idempotency-key", "k-1");
    let (first, second) = (
        once.post("/v1/installations", &body).await,
        once.post("/v1/installations", &body).await,
    );
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (202, 202));
    assert_eq!(first.json(), second.json());
    assert_eq!(first.header("location"), second.header("location"));
    let operations = owner.get("/v1/operations").await.json();
    assert_eq!(operations["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn metrics_count_by_template() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    world.installed(&owner, &json!({ "name": "a" })).await;
    owner.get("/v1/installations/fake:a").await;
    owner.get("/made/up").await;
    let text = owner.get("/metrics").await;
    for line in [
        r#"plugyard_http_requests_total{route="/v1/installations/{plugin}",method="GET",status="200"} 1"#,
        r#"plugyard_http_requests_total{route="(none)",method="GET",status="404"} 1"#,
        r#"plugyard_plugins{kind="fake",wanted="running",health="ready"} 1"#,
        r#"plugyard_build_info{version="1.2.3-test"} 1"#,
        "plugyard_ready 1",
    ] {
        assert!(
            text.text().lines().any(|l| l == line),
            "{line}\n{}",
            text.text()
        );
    }
    assert!(!text.text().contains("fake:a"));
}

#[tokio::test]
async fn a_request_is_one_line_in_the_log_without_its_secrets() {
    let world = World::start(|_| {}).await;
    let owner = world.owner().await;
    let secret = owner.token.clone().unwrap();
    let secret = secret.rsplit('_').next().unwrap();
    let answer = owner
        .get(&format!("/v1/installations/nobody?token={secret}"))
        .await;
    let id = answer.header("x-request-id").to_owned();
    let made = owner
        .post("/v1/tokens", &json!({ "name": "x", "roles": ["viewer"] }))
        .await
        .json();
    let new = made["secret"]
        .as_str()
        .unwrap()
        .rsplit('_')
        .next()
        .unwrap()
        .to_owned();

    let text = logged();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(&id) && line.contains(" INFO "))
        .collect();
    let [line] = lines[..] else {
        panic!("{lines:?}")
    };
    for part in [
        "GET /v1/installations/{plugin} answered 404",
        "http.status=404",
        "user.name=\"owner\"",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!text.contains(secret) && !text.contains(&new));
}

#[tokio::test]
async fn what_no_database_can_store_is_a_mistake_of_the_request() {
    for world in World::everywhere().await {
        let owner = world.owner().await;
        for path in [
            "/v1/installations/a%00b",
            "/v1/installations?kind=%00",
            "/v1/operations?plugin=fake%3Aa%00",
            "/v1/audit?user=%00",
            "/v1/accounts/a%00",
        ] {
            let answer = owner.get(path).await;
            assert_eq!(
                answer.status,
                400,
                "{} {path}: {}",
                world.sort(),
                answer.text()
            );
            assert_eq!(answer.code(), "request_invalid", "{path}");
        }
        for (name, status) in [
            ("a\0b", 400),
            ("a\u{1b}[31m", 400),
            (r"a\u0000", 201),
            ("名称", 201),
        ] {
            let body = json!({ "name": name, "roles": ["viewer"] });
            let answer = owner.post("/v1/tokens", &body).await;
            assert_eq!(answer.status, status, "{name:?}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_request_for_two_hosts_is_refused() {
    let world = World::start(|_| {}).await;
    let ask = async |hosts: &str| {
        let request = format!("GET /healthz HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        let answer = raw(world.address, request.as_bytes()).await;
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(ask("Host: a\r\n").await, "200");
    assert_eq!(ask("Host: a\r\nHost: b\r\n").await, "400");
}
