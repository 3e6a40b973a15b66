//! What plugin pages and plugins get of the server: signatures, tickets, results, command words, frames.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plugyard_web::signature::{Generation, sign};
use serde_json::{Map, Value as Json, json};

use crate::support::leaks::secret;
use crate::support::{sign_in_needed, wait_for};
use crate::webhooks::receiver::Receiver;
use crate::webhooks::site::Site;

/// The time of the documented vectors.
const TIME: i64 = 1_674_161_913_192;
const APP_ID: &str = "yh1OJ7WL";
const KEY: &str = "qUiEaDNQh2IpvGHOKlTMx7ujn8t1CZWX";

/// The headers of the documented vectors: nobody, an account, a user.
fn vector(signed_in: usize, signature: &str) -> Map<String, Json> {
    let all = [
        ("App-Id", APP_ID),
        ("Client-Platform-Id", "2"),
        ("Client-Version", "2.0.0"),
        ("Signature-Timestamp", "1674161913192"),
        ("Aid", "wIfu6jaF"),
        ("Aid-Token", "uoX1hk6SHUgB2MFGJwNx38dem9DA7Vsz"),
        ("Uid", "782622"),
        ("Uid-Token", "PqBpwPLJgfd1sH0X5JffYFGxTSc8RW7c"),
    ];
    let mut headers: Map<String, Json> = all[..4 + signed_in * 2]
        .iter()
        .map(|(name, value)| (format!("X-Fresns-{name}"), (*value).into()))
        .collect();
    headers.insert("X-Fresns-Signature".to_owned(), signature.into());
    headers
}

const VECTORS: [[&str; 2]; 3] = [
    [
        "17da32290c6a73ea1dd9121607e63e8f",
        "be2793e6d2a5ef528469a19a4e791110bdb07ba9726f9d1e6b5365c39eb14113",
    ],
    [
        "3ed72e2dd20304f781b69ec06c6aa584",
        "a133cdc4cf6bfbd1f01a3ef6e0a39989356fd1e6cc83709fd0242afe37b8eb2e",
    ],
    [
        "2174eaeab76fb6a3790ed4f7ebb2edfb",
        "34a9219420b05e6deaaf8ee991bcee293968a5b21cce93ba9bdc601d1f994ada",
    ],
];

/// The key of the vectors.
#[track_caller]
fn make_key(site: &Site, more: &Json) {
    let mut body = json!({ "name": "vectors", "kind": "platform", "appId": APP_ID, "secret": secret(KEY), "platformId": 2 });
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    // This answer shows the secret, and no other does.
    let (status, answer) = site.post("/v1/web/keys", &body);
    assert_eq!(status, 201, "{answer}");
}

/// The number that the check of a signed request answers.
#[track_caller]
fn checked(site: &Site, headers: &Map<String, Json>, at: i64, more: &Json) -> u64 {
    let mut body = json!({ "headers": headers, "receivedAt": at });
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    let (status, answer) = site.post("/v1/web/verify/sign", &body);
    assert_eq!(status, 200, "{answer}");
    answer["code"].as_u64().expect("a number")
}

/// Headers signed now with a key.
fn signed_now(app_id: &str, key: &str) -> Vec<(String, String)> {
    let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
    let mut headers = vec![
        ("App-Id", app_id.to_owned()),
        ("Client-Platform-Id", "2".to_owned()),
        ("Client-Version", "2.0.0".to_owned()),
        ("Signature-Timestamp", now.to_string()),
    ];
    let signature = {
        let get = |name: &str| {
            let found = headers.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.as_str())
        };
        sign(get, &key.to_owned().into(), Generation::Sha256)
    };
    headers.push(("Signature", signature));
    headers
        .into_iter()
        .map(|(name, value)| (format!("X-Fresns-{name}"), value))
        .collect()
}

#[test]
fn web_55_the_documented_vectors_verify_over_http_in_both_generations() {
    for site in Site::each(|_| {}) {
        make_key(&site, &json!({}));
        let plain = |headers: &_, at| checked(&site, headers, at, &json!({}));
        // Nobody told us of the account yet.
        assert_eq!(plain(&vector(1, VECTORS[1][0]), TIME), 31502);
        let login = json!({
            "aid": "wIfu6jaF", "aidToken": secret("uoX1hk6SHUgB2MFGJwNx38dem9DA7Vsz"),
            "uid": "782622", "uidToken": secret("PqBpwPLJgfd1sH0X5JffYFGxTSc8RW7c"),
        });
        assert_eq!(site.post("/v1/web/logins", &login).0, 204);
        for (signed_in, signatures) in VECTORS.iter().enumerate() {
            for signature in signatures {
                let headers = vector(signed_in, signature);
                assert_eq!(plain(&headers, TIME), 0, "{signed_in} {signature}");
                for name in headers.keys() {
                    let mut changed = headers.clone();
                    let mut value = changed[name].as_str().expect("a text").to_owned();
                    let last = value.pop();
                    value.push(if last == Some('1') { '2' } else { '1' });
                    changed.insert(name.clone(), value.into());
                    let code = plain(&changed, TIME);
                    // One digit of the time is still within ten minutes; another key, another platform.
                    let expected = match name.as_str() {
                        "X-Fresns-App-Id" => 31301,
                        "X-Fresns-Client-Platform-Id" => 31102,
                        _ => 31302,
                    };
                    assert_eq!(code, expected, "{name}");
                }
            }
        }
    }
}

#[test]
fn web_55_a_time_more_than_ten_minutes_off_is_refused_in_both_units_and_directions() {
    let site = Site::start(|_| {});
    make_key(&site, &json!({}));
    for (time, unit) in [
        ("1674161913", 1_674_161_913_000),
        ("1674161913000", 1_674_161_913_000),
    ] {
        let mut headers = vector(0, "");
        headers.insert("X-Fresns-Signature-Timestamp".to_owned(), time.into());
        let get = |name: &str| {
            headers
                .get(&format!("X-Fresns-{name}"))
                .and_then(Json::as_str)
        };
        let signature = sign(get, &KEY.to_owned().into(), Generation::Md5);
        headers.insert("X-Fresns-Signature".to_owned(), signature.into());
        for (off, expected) in [(599, 0), (-599, 0), (601, 31303), (-601, 31303)] {
            let code = checked(&site, &headers, unit + off * 1000, &json!({}));
            assert_eq!(code, expected, "{time} {off}");
        }
    }
}

#[test]
fn web_56_a_plugins_key_is_none_for_another_plugin_nor_for_the_main_program() {
    for site in Site::each(|_| {}) {
        site.enable("DemoPlugin");
        site.enable("OtherPlugin");
        make_key(
            &site,
            &json!({ "kind": "plugin", "pluginFskey": "DemoPlugin" }),
        );
        let headers = vector(0, VECTORS[0][1]);
        let check = |more: Json| checked(&site, &headers, TIME, &more);
        assert_eq!(check(json!({ "fskey": "DemoPlugin" })), 0);
        assert_eq!(check(json!({ "fskey": "OtherPlugin" })), 31304);
        assert_eq!(check(json!({})), 31304);
        assert_eq!(
            check(json!({ "fskey": "DemoPlugin", "verifyType": 1 })),
            31304
        );
        // Refused before the time is looked at: the order of the codes.
        let late = checked(
            &site,
            &headers,
            TIME + 700_000,
            &json!({ "fskey": "OtherPlugin" }),
        );
        assert_eq!(late, 31304);
        assert_eq!(
            checked(
                &site,
                &headers,
                TIME + 700_000,
                &json!({ "fskey": "DemoPlugin" })
            ),
            31303
        );
        site.server.cli_ok(&["disable", "web:DemoPlugin"]);
        assert_eq!(check(json!({ "fskey": "DemoPlugin" })), 31301);
    }
}

#[test]
fn a_disabled_key_and_a_plugin_without_the_scene_sign_nothing() {
    let site = Site::start(|_| {});
    make_key(&site, &json!({}));
    let url = format!("{}/v1/web/keys/{APP_ID}", site.server.address);
    let change = site
        .server
        .http
        .patch(&url)
        .json(&json!({ "isEnabled": false }));
    let shown = change.send().expect("an answer").text().expect("a body");
    assert!(!shown.contains(KEY), "{shown}");
    assert_eq!(
        checked(&site, &vector(0, VECTORS[0][0]), TIME, &json!({})),
        31301
    );
    let body = json!({ "name": "x", "kind": "plugin", "pluginFskey": "Nobody" });
    assert_eq!(site.post("/v1/web/keys", &body).1["code"], "E_NOT_FOUND");
    let (status, _) = site.get("/v1/web/keys");
    assert_eq!(status, 200);
}

#[test]
fn web_57_a_result_is_fetched_once_within_half_an_hour() {
    for site in Site::each(|_| {}) {
        site.enable("DemoPlugin");
        site.enable("OtherPlugin");
        let leave = |ulid: &str, content: Json| {
            let body =
                json!({ "fskey": "DemoPlugin", "ulid": ulid, "type": 9, "content": content });
            site.post("/v1/web/callbacks", &body)
        };
        let fetch = |fskey: &str, ulid: &str| {
            let path = format!("/api/v2/common/callback?fskey={fskey}&ulid={ulid}");
            let (status, answer) = site.get(&path);
            assert_eq!(status, 200, "{answer}");
            answer
        };
        let code = |fskey: &str, ulid: &str| fetch(fskey, ulid)["code"].as_u64().expect("a number");
        assert_eq!(leave("one", json!({ "cid": "c1" })).0, 201);
        assert_eq!(leave("one", json!({ "cid": "c1" })).0, 409);
        assert_eq!(leave("empty", json!("")).0, 201);
        assert_eq!(leave("old", json!(1)).0, 201);
        assert_eq!(code("Nobody", "one"), 32101);
        assert_eq!(code("OtherPlugin", "none"), 32303);
        assert_eq!(code("OtherPlugin", "empty"), 32206);
        let answer = fetch("OtherPlugin", "one");
        assert_eq!(answer["code"], 0, "{answer}");
        assert_eq!(
            answer["data"],
            json!({ "ulid": "one", "type": 9, "content": { "cid": "c1" } })
        );
        assert_eq!(code("OtherPlugin", "one"), 32204);
        let earlier = match site.database() {
            "postgres" => "created_at - interval '31 minutes'",
            _ => "datetime(created_at, '-31 minutes')",
        };
        site.sql(&format!(
            "UPDATE plugin_callbacks SET created_at = {earlier} WHERE ulid = 'old'"
        ));
        assert_eq!(code("OtherPlugin", "old"), 32203);
        site.server.cli_ok(&["disable", "web:OtherPlugin"]);
        assert_eq!(code("OtherPlugin", "one"), 32102);
    }
}

#[test]
fn web_57_of_many_who_fetch_at_once_one_succeeds() {
    for site in Site::each(|_| {}) {
        site.enable("DemoPlugin");
        for round in 0..10 {
            let body = json!({ "fskey": "DemoPlugin", "content": round });
            let (status, left) = site.post("/v1/web/callbacks", &body);
            assert_eq!(status, 201, "{left}");
            let ulid = left["ulid"].as_str().expect("a ULID");
            assert_eq!(ulid.len(), 26);
            let path = format!("/api/v2/common/callback?fskey=DemoPlugin&ulid={ulid}");
            let codes: Vec<u64> = std::thread::scope(|scope| {
                let all: Vec<_> = (0..8)
                    .map(|_| scope.spawn(|| site.get(&path).1["code"].as_u64().expect("a number")))
                    .collect();
                all.into_iter()
                    .map(|it| it.join().expect("an answer"))
                    .collect()
            });
            let good = codes.iter().filter(|code| **code == 0).count();
            assert_eq!(good, 1, "{codes:?}");
            assert!(
                codes.iter().all(|code| [0, 32204].contains(code)),
                "{codes:?}"
            );
        }
    }
}

#[test]
fn clients_and_plugins_fetch_and_leave_results_with_signed_requests() {
    let site = Site::start(sign_in_needed);
    let token = site
        .server
        .cli_ok(&["token", "create", "t", "--role", "owner"])
        .stdout;
    let token = token.trim().to_owned();
    let post = |path: &str, body: Json| {
        let request = site.server.post(path).bearer_auth(&token).json(&body);
        let answer = request.send().expect("an answer");
        (
            answer.status().as_u16(),
            answer.json::<Json>().unwrap_or_default(),
        )
    };
    site.enable("DemoPlugin");
    site.enable("OtherPlugin");
    let own = secret("DemoPluginSecret0123456789");
    let body = json!({ "name": "demo", "kind": "plugin", "pluginFskey": "DemoPlugin", "appId": "demo", "secret": own });
    assert_eq!(post("/v1/web/keys", body).0, 201);
    let clients = secret("ClientSecret0123456789");
    let body = json!({ "name": "web", "kind": "platform", "platformId": 2, "appId": "client", "secret": clients });
    assert_eq!(post("/v1/web/keys", body).0, 201);
    let ask =
        |method: reqwest::Method, path: &str, key: Option<(&str, &str)>, body: Option<Json>| {
            let url = format!("{}{path}", site.server.address);
            let mut request = site.server.http.request(method, url);
            for (name, value) in key.map(|(id, key)| signed_now(id, key)).unwrap_or_default() {
                request = request.header(name, value);
            }
            if let Some(body) = body {
                request = request.json(&body);
            }
            let answer = request.send().expect("an answer");
            (
                answer.status().as_u16(),
                answer.json::<Json>().unwrap_or_default(),
            )
        };
    let leave = |key, fskey: &str| {
        let body = json!({ "fskey": fskey, "ulid": "signed", "content": 1 });
        ask(reqwest::Method::POST, "/v1/web/callbacks", key, Some(body)).0
    };
    assert_eq!(leave(None, "DemoPlugin"), 401);
    assert_eq!(leave(Some(("client", &*clients)), "DemoPlugin"), 401);
    assert_eq!(leave(Some(("demo", &*own)), "OtherPlugin"), 401);
    assert_eq!(leave(Some(("demo", "another secret")), "DemoPlugin"), 401);
    assert_eq!(leave(Some(("demo", &*own)), "DemoPlugin"), 201);
    let fetch = |key| {
        let path = "/api/v2/common/callback?fskey=OtherPlugin&ulid=signed";
        let (status, answer) = ask(reqwest::Method::GET, path, key, None);
        assert_eq!(status, 200, "{answer}");
        answer["code"].as_u64().expect("a number")
    };
    assert_eq!(fetch(None), 31301);
    assert_eq!(fetch(Some(("demo", &*own))), 31304);
    assert_eq!(fetch(Some(("client", &*clients))), 0);
}

#[test]
fn web_59_a_ticket_works_once_for_its_plugin_and_origin_and_not_for_long() {
    for site in Site::each(|_| {}) {
        site.enable("DemoPlugin");
        site.enable("OtherPlugin");
        let origin = "https://plug.example.net";
        let exchange = |ticket: &str, fskey: &str, origin: &str| {
            let body = json!({ "ticket": ticket, "fskey": fskey, "origin": origin });
            site.post("/v1/web/tickets/exchange", &body)
        };
        let ticket = make_ticket(&site, origin);
        assert_eq!(exchange(&ticket, "OtherPlugin", origin).0, 403);
        assert_eq!(
            exchange(&ticket, "DemoPlugin", "https://evil.example").0,
            403
        );
        let mut forged = ticket.clone();
        let last = forged.pop();
        forged.push(if last == Some('A') { 'E' } else { 'A' });
        assert_eq!(exchange(&forged, "DemoPlugin", origin).0, 403);
        let (status, answer) = exchange(&ticket, "DemoPlugin", origin);
        assert_eq!(
            (status, &answer["identity"]["uid"]),
            (200, &json!(782_622)),
            "{answer}"
        );
        let (status, answer) = exchange(&ticket, "DemoPlugin", origin);
        assert_eq!(
            (status, &answer["code"]),
            (403, &json!("ticket_refused")),
            "{answer}"
        );
        // Over: the row says so, as if two minutes had passed.
        let late = make_ticket(&site, origin);
        site.sql("UPDATE web_tickets SET expires_at = expires_at - 120000");
        assert_eq!(exchange(&late, "DemoPlugin", origin).0, 403);
        // Longer than two minutes there is none.
        let body =
            json!({ "fskey": "DemoPlugin", "origin": origin, "seconds": 121, "identity": {} });
        assert_eq!(
            site.post("/v1/web/tickets", &body).1["code"],
            "web_field_invalid"
        );
        // The command word takes it too, once.
        let ticket = make_ticket(&site, origin);
        let word = json!({ "urlAuthorization": ticket, "fskey": "DemoPlugin", "origin": origin, "userLogin": true });
        let answer = site.word("Fresns", "verifyUrlAuthorization", word.clone());
        assert_eq!(
            (&answer["code"], &answer["data"]["aid"]),
            (&json!(0), &json!("wIfu6jaF")),
            "{answer}"
        );
        assert_eq!(
            site.word("Fresns", "verifyUrlAuthorization", word)["code"],
            31000
        );
        let log = site.server.log();
        assert!(!log.contains("plt_"), "a ticket stands in the log");
    }
}

/// A ticket for a minute.
#[track_caller]
fn make_ticket(site: &Site, origin: &str) -> String {
    let body = json!({
        "fskey": "DemoPlugin", "origin": origin,
        "identity": { "aid": "wIfu6jaF", "uid": 782_622, "langTag": "en" },
    });
    let (status, answer) = site.post("/v1/web/tickets", &body);
    assert_eq!(status, 201, "{answer}");
    answer["ticket"].as_str().expect("a ticket").to_owned()
}

#[test]
fn a_credential_of_headers_is_accepted_while_the_site_says_so() {
    let site = Site::start(|_| {});
    site.enable("DemoPlugin");
    make_key(&site, &json!({}));
    let headers = Json::Object(vector(0, VECTORS[0][0]));
    let credential = STANDARD.encode(headers.to_string()).replace('=', "%3D");
    let check = |credential: &str, more: Json| {
        let mut body = json!({ "urlAuthorization": credential, "receivedAt": TIME });
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        site.post("/v1/web/verify/url-authorization", &body).1
    };
    let answer = check(&credential, json!({}));
    assert_eq!(answer["code"], 0, "{answer}");
    assert_eq!(answer["data"]["appId"], APP_ID);
    assert_eq!(answer["data"]["platformId"], 2);
    let answer = check(&credential, json!({ "accountLogin": true }));
    assert_eq!(
        (&answer["code"], &answer["data"]["version"]),
        (&json!(31501), &json!("2.0.0"))
    );
    assert_eq!(
        check(&credential, json!({ "userLogin": true }))["code"],
        31601
    );
    for bad in ["%%%", "bm8=", "W10="] {
        assert_eq!(check(bad, json!({}))["code"], 30002, "{bad}");
    }
    site.set("legacy_page_credentials", &json!(false));
    assert_eq!(check(&credential, json!({}))["code"], 31000);
}

#[test]
fn web_60_words_of_plugins_are_answered_by_the_application() {
    for site in Site::each(|_| {}) {
        let application = Receiver::answering(|post, _| {
            let body = post.json();
            let word = body["data"]["word"].as_str().unwrap_or_default().to_owned();
            Some(match word.as_str() {
                "double" => {
                    let number = body["data"]["body"]["number"].as_i64().unwrap_or(0);
                    (
                        200,
                        json!({ "code": 0, "message": "ok", "data": { "number": number * 2 } })
                            .to_string(),
                    )
                }
                "refuse" => (
                    200,
                    json!({ "code": 35_201, "message": "too long", "data": null }).to_string(),
                ),
                "odd" => (200, json!([1]).to_string()),
                "broken" => (500, String::new()),
                "silent" => return None,
                _ => (404, String::new()),
            })
        });
        let code = |fskey: &str, word: &str| site.word(fskey, word, json!({}))["code"].as_u64();
        site.enable("DemoPlugin");
        assert_eq!(code("DemoPlugin", "double"), Some(21000));
        assert_eq!(code("Missing", "double"), Some(21001));
        assert_eq!(code("Fresns", "unheardOf"), Some(21002));
        let (status, made) = site.post("/v1/web/application/secret", &json!({}));
        assert_eq!(status, 201, "{made}");
        let key = made["secret"].as_str().expect("a secret").to_owned();
        site.set("command_words_url", &json!(application.url()));
        let answer = site.word("DemoPlugin", "double", json!({ "number": 21 }));
        assert_eq!(
            answer,
            json!({ "code": 0, "message": "ok", "data": { "number": 42 } })
        );
        let post = application.posts().pop().expect("a post");
        assert!(post.is_signed_with(&key), "{post:?}");
        assert_eq!(
            (post.kind().as_str(), &post.json()["data"]["fskey"]),
            ("command.word", &json!("DemoPlugin"))
        );
        let answer = site.word("DemoPlugin", "refuse", json!({}));
        assert_eq!(
            (&answer["code"], &answer["message"]),
            (&json!(35_201), &json!("too long"))
        );
        assert_eq!(code("DemoPlugin", "unknown"), Some(21002));
        assert_eq!(code("DemoPlugin", "odd"), Some(21007));
        assert_eq!(code("DemoPlugin", "broken"), Some(21009));
        assert_eq!(code("DemoPlugin", "silent"), Some(21004));
        assert_eq!(code("DemoPlugin", "no word"), Some(21005));
        site.server.cli_ok(&["disable", "web:DemoPlugin"]);
        let before = application.posts().len();
        assert_eq!(code("DemoPlugin", "double"), Some(21010));
        assert_eq!(
            application.posts().len(),
            before,
            "nobody is asked about a disabled plugin"
        );
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn what_a_plugin_subscribed_to_is_told_while_it_works() {
    for site in Site::each(|_| {}) {
        let application = Receiver::answering(|_, _| {
            Some((
                200,
                json!({ "code": 0, "message": "ok", "data": null }).to_string(),
            ))
        });
        site.enable("DemoPlugin");
        site.post("/v1/web/application/secret", &json!({}));
        site.set("command_words_url", &json!(application.url()));
        let code = |word: &str, body: Json| {
            site.word("Fresns", word, body)["code"]
                .as_u64()
                .expect("a number")
        };
        let posts = json!({ "type": 1, "fskey": "DemoPlugin", "cmdWord": "onPost", "subTableName": "posts" });
        assert_eq!(code("addSubscribeItem", posts.clone()), 0);
        assert_eq!(code("addSubscribeItem", posts.clone()), 0);
        assert_eq!(
            code(
                "addSubscribeItem",
                json!({ "type": 1, "fskey": "DemoPlugin", "cmdWord": "onPost" })
            ),
            21005
        );
        assert_eq!(
            code(
                "addSubscribeItem",
                json!({ "type": 5, "fskey": "DemoPlugin", "cmdWord": "x" })
            ),
            21005
        );
        assert_eq!(
            code(
                "addSubscribeItem",
                json!({ "type": 3, "fskey": "Missing", "cmdWord": "x" })
            ),
            21001
        );
        let happens = |table: &str| {
            let body = json!({ "type": 1, "subTableName": table, "data": { "id": 7 } });
            let (status, answer) = site.post("/v1/web/activities", &body);
            assert_eq!(status, 202, "{answer}");
            answer["called"].as_u64().expect("a number")
        };
        assert_eq!(happens("comments"), 0);
        assert_eq!(happens("posts"), 1);
        let post = application.wait_for(1).remove(0).json();
        assert_eq!(
            (&post["data"]["word"], &post["data"]["body"]["id"]),
            (&json!("onPost"), &json!(7))
        );
        // Every minute, in time for this test as little as for anybody: what counts is that it is kept once.
        let every = |cron: &str| json!({ "fskey": "DemoPlugin", "cmdWord": "tick", "cronTableFormat": cron });
        assert_eq!(code("addCrontabItem", every("0 4 * * *")), 0);
        assert_eq!(code("addCrontabItem", every("0 5 * * *")), 0);
        assert_eq!(code("addCrontabItem", every("often")), 21005);
        let items = || site.get("/v1/web/items").1;
        let shown = items();
        assert_eq!(
            shown["schedules"].as_array().map(Vec::len),
            Some(1),
            "{shown}"
        );
        assert_eq!(shown["schedules"][0]["cronTableFormat"], "0 5 * * *");
        assert_eq!(
            shown["subscriptions"].as_array().map(Vec::len),
            Some(1),
            "{shown}"
        );
        site.server.cli_ok(&["disable", "web:DemoPlugin"]);
        wait_for("nothing", || {
            (items() == json!({ "schedules": [], "subscriptions": [] })).then_some(())
        });
        assert_eq!(happens("posts"), 0);
        site.server.cli_ok(&["enable", "web:DemoPlugin"]);
        wait_for("them again", || (items() == shown).then_some(()));
        // One that is due is called, by the word's own name.
        site.sql("UPDATE web_schedules SET next_at = 0");
        assert_eq!(code("addSubscribeItem", posts), 0);
        assert_eq!(
            code(
                "removeCrontabItem",
                json!({ "fskey": "DemoPlugin", "cmdWord": "other" })
            ),
            0
        );
        site.word(
            "Fresns",
            "addCrontabItem",
            json!({ "fskey": "DemoPlugin", "cmdWord": "later", "cronTableFormat": "0 3 1 1 *" }),
        );
        application.wait(1, |it| it.json()["data"]["word"] == "tick");
        assert_eq!(code("removeCrontabItem", every("")), 0);
        assert_eq!(
            code(
                "removeSubscribeItem",
                json!({ "type": 1, "fskey": "DemoPlugin", "cmdWord": "onPost", "subTableName": "posts" })
            ),
            0
        );
        assert_eq!(happens("posts"), 0);
    }
}

#[test]
fn pages_are_opened_in_frames_that_keep_them_apart() {
    let site = Site::start(|_| {});
    site.enable("DemoPlugin");
    site.set("system_url", &json!("https://api.example.com"));
    site.set("client_origins", &json!(["https://app.example.com"]));
    let (status, frame) =
        site.get("/v1/web/plugins/DemoPlugin/frame?client=https://app.example.com");
    assert_eq!(status, 200, "{frame}");
    assert_eq!(
        frame["headers"]["Content-Security-Policy"],
        "frame-ancestors https://app.example.com"
    );
    assert_eq!(frame["headers"]["Referrer-Policy"], "no-referrer");
    let sandbox = |client: &str| {
        let (_, frame) = site.get(&format!("/v1/web/plugins/DemoPlugin/frame?client={client}"));
        frame["attributes"]["sandbox"]
            .as_str()
            .expect("a text")
            .to_owned()
    };
    assert!(sandbox("https://app.example.com").contains("allow-same-origin"));
    assert!(!sandbox("https://api.example.com").contains("allow-same-origin"));
    let (_, settings) = site.get("/v1/web/plugins/DemoPlugin/settings-frame");
    assert_eq!(settings["url"], "https://api.example.com/settings");
    let bridge = site.server.get("/web/bridge.js").send().expect("an answer");
    assert!(
        bridge.headers()["content-type"]
            .to_str()
            .expect("text")
            .starts_with("text/javascript")
    );
    let script = bridge.text().expect("a body");
    assert!(
        script.contains(r#"["https://app.example.com"]"#),
        "{script}"
    );
    let page = site
        .server
        .get("/web/bridge/page")
        .send()
        .expect("an answer");
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(policy.contains("frame-ancestors 'self'"), "{policy}");
    assert_eq!(page.headers()["referrer-policy"], "no-referrer");
    let logged = site
        .server
        .get("/web/bridge/page?a=plt_query_of_a_launch")
        .send()
        .expect("an answer");
    assert!(logged.status().is_success());
    assert!(!site.server.log().contains("query_of_a_launch"));
}

#[test]
fn a_settings_page_opens_for_operators_only() {
    let site = Site::start(sign_in_needed);
    site.enable("DemoPlugin");
    let token = |role: &str| {
        let words = ["token", "create", role, "--role", role];
        site.server.cli_ok(&words).stdout.trim().to_owned()
    };
    let status = |token: &str, path: &str| {
        let request = site.server.get(path).bearer_auth(token);
        request.send().expect("an answer").status().as_u16()
    };
    let (viewer, operator) = (token("viewer"), token("operator"));
    let path = "/v1/web/plugins/DemoPlugin/settings-frame";
    assert_eq!(status(&viewer, path), 403);
    // There is no address of the site yet, which is another matter.
    assert_eq!(status(&operator, path), 422);
}

/// A program that ends with the test.
struct Child(std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a program is there; says so when it is not.
fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        println!("skipped: there is no {program}; `cargo xtask test` installs it");
    }
    there
}

#[test]
fn web_58_a_visitor_opens_a_page_in_a_real_browser_and_its_message_arrives() {
    if !has("node") || !has("chromium") {
        return;
    }
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/web");
    let site = Site::start(|_| {});
    site.server
        .cli_ok(&["install", &format!("{example}/DemoMall")]);
    site.server.cli_ok(&["enable", "web:DemoMall"]);
    let key = json!({ "name": "mall", "kind": "plugin", "pluginFskey": "DemoMall" });
    let (status, key) = site.post("/v1/web/keys", &key);
    assert_eq!(status, 201, "{key}");
    let text = |value: &Json| value.as_str().expect("a text").to_owned();
    let (_, application) = site.post("/v1/web/application/secret", &json!({}));

    let mut child = Command::new("node")
        .arg(format!("{example}/site.mjs"))
        .env("PLUGYARD_API", &site.server.address)
        .env(
            "MALL_KEY",
            format!("{}:{}", text(&key["appId"]), text(&key["secret"])),
        )
        .env("APP_SECRET", text(&application["secret"]))
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts");
    let stdout = child.stdout.take().expect("piped");
    let _child = Child(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let origins: Json = serde_json::from_str(&line).expect("where both are");
    let (client, mall) = (text(&origins["site"]), text(&origins["mall"]));

    let url = format!("{}/v1/web/plugins/DemoMall", site.server.address);
    let host = site
        .server
        .http
        .patch(url)
        .json(&json!({ "pluginHost": mall }));
    assert_eq!(host.send().expect("an answer").status(), 200);
    site.set("client_origins", &json!([client]));
    site.set(
        "command_words_url",
        &json!(format!("{client}/plugyard/words")),
    );
    let usage =
        json!({ "usageType": 9, "pluginFskey": "DemoMall", "name": "Tea", "parameter": "tea" });
    let (status, made) = site.post("/v1/web/usages", &usage);
    assert_eq!(status, 201, "{made}");
    let price = site.word("DemoMall", "price", json!({ "thing": "tea" }));
    assert_eq!(price["data"]["cents"], 250, "{price}");

    let journey = Command::new("node")
        .arg(format!("{example}/tests/journey.mjs"))
        .args([&client, &site.server.address])
        .output()
        .expect("node starts");
    let said = String::from_utf8_lossy(&journey.stdout).into_owned();
    let errors = String::from_utf8_lossy(&journey.stderr);
    assert!(journey.status.success(), "{said}\n{errors}");
    assert_eq!(
        said,
        "offered: Tea\nbought: tea\nticket: once\nbridge: works\n"
    );
    assert!(
        !site.server.log().contains("plt_"),
        "a ticket stands in the log"
    );
}
