//! Scenarios 19 and 20, and what else decides what a viewer is shown.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value as Json, json};

use super::{HOST, Site, findings, on_each, on_each_with};

#[test]
fn web_19_usages_are_ordered_by_rating_then_number_over_all_of_them() {
    on_each(|site| {
        site.plugin("DemoPlugin", Some(HOST), Some("/mall"));
        for (name, rating, roles) in [
            ("1", 9, json!([])),
            ("2", 1, json!([])),
            ("3", 5, json!([])),
            ("4", 5, json!([7])),
            ("5", 5, json!([])),
        ] {
            let more = json!({ "name": name, "rating": rating, "roles": roles });
            site.offer("DemoPlugin", 9, &more);
        }
        site.viewer(1, &json!({ "roles": [7] }));
        assert_eq!(site.names(None, "type=9"), ["2", "3", "5", "1"]);
        assert_eq!(site.names(Some(1), "type=9"), ["2", "3", "4", "5", "1"]);
    });
}

#[test]
fn web_20_roles_are_members_of_a_set() {
    on_each(|site| {
        site.plugin("DemoPlugin", Some(HOST), Some("/mall"));
        let usage = site.offer("DemoPlugin", 9, &json!({ "roles": "3,7" }));
        for (viewer, roles) in [
            (1, json!([7])),
            (2, json!([37])),
            (3, json!([])),
            (4, json!([1, 3, 37])),
        ] {
            site.viewer(viewer, &json!({ "roles": roles }));
        }
        let seen = |viewer| site.names(viewer, "type=9").len();
        assert_eq!(
            [Some(1), Some(2), Some(3), Some(4), None].map(seen),
            [1, 0, 0, 1, 0]
        );
        // Every change is seen by the next request: of the viewer, and of the usage.
        site.viewer(2, &json!({ "roles": "37,3" }));
        assert_eq!(seen(Some(2)), 1);
        site.change(usage, &json!({ "roles": null }));
        assert_eq!([Some(3), None].map(seen), [1, 1]);
        site.change(usage, &json!({ "isEnabled": false }));
        assert_eq!([Some(1), None].map(seen), [0, 0]);
        // A list that nobody can read opens nothing.
        site.sql("UPDATE plugin_usages SET is_enabled = 1, roles = 'x' WHERE usage_type = 9");
        assert_eq!([Some(1), None].map(seen), [0, 0]);
        let (status, body) = site.ask(Method::GET, "/v1/viewers/99/usages?type=9", None);
        assert_eq!((status, &body["code"]), (404, &json!("viewer_not_found")));
    });
}

#[test]
fn who_is_not_signed_in_sees_what_everybody_does_but_not_three_types() {
    on_each(|site| {
        site.plugin("DemoPlugin", Some(HOST), Some("/mall"));
        for usage_type in 1..=9 {
            let more = if usage_type == 6 {
                json!({ "groupId": 1 })
            } else {
                json!({})
            };
            site.offer("DemoPlugin", usage_type, &more);
        }
        site.viewer(1, &json!({}));
        let seen = |viewer, usage_type: u8| {
            let names = site.names(viewer, &format!("type={usage_type}&group=1"));
            names.iter().any(|name| name == "DemoPlugin")
        };
        for usage_type in 1..=9 {
            assert_eq!(
                seen(None, usage_type),
                ![3, 5, 7].contains(&usage_type),
                "type {usage_type}"
            );
            assert!(seen(Some(1), usage_type), "type {usage_type}");
        }
        // Scenes are numbers of a list, not parts of a text.
        site.offer(
            "DemoPlugin",
            5,
            &json!({ "scene": [1, 3], "name": "Scenes" }),
        );
        let seen = |scene: u8| site.names(Some(1), &format!("type=5&scene={scene}"));
        assert_eq!((seen(3), seen(2)), (vec!["Scenes".to_owned()], vec![]));
        for wrong in [
            "",
            "type=0",
            "type=10",
            "type=x",
            "type=9&scene=4",
            "type=9&what=1",
        ] {
            let (status, body) = site.ask(Method::GET, &format!("/v1/usages?{wrong}"), None);
            assert_eq!(
                (status, &body["code"]),
                (400, &json!("request_invalid")),
                "{wrong}"
            );
        }
    });
}

#[test]
fn a_row_shows_names_in_the_language_asked_for_icons_and_badges() {
    on_each(|site| {
        site.plugin("DemoPlugin", Some(HOST), Some("/mall?id={parameter}"));
        site.offer("DemoPlugin", 3, &json!({
            "name": { "en": "Mall", "zh-Hans": "商城" }, "parameter": "7", "editorToolbar": true, "editorNumber": 4,
            "iconFileUrl": "https://i.example/1.png", "scene": [1],
        }));
        site.viewer(1, &json!({ "language": "zh-Hans" }));
        site.viewer(2, &json!({}));
        assert_eq!(
            site.shown(Some(2), "type=3"),
            [json!({
                "fskey": "DemoPlugin", "name": "Mall", "icon": "https://i.example/1.png",
                "url": "https://plug.example.net/mall?id=7", "badgeType": null, "badgeValue": null,
                "editorToolbar": true, "editorNumber": 4,
                "pluginRating": {
                    "postByAll": [], "postByFollow": [], "postByNearby": [],
                    "commentByAll": [], "commentByFollow": [], "commentByNearby": [],
                },
            })]
        );
        assert_eq!(site.names(Some(1), "type=3"), ["商城"]);
        assert_eq!(site.names(Some(1), "type=3&lang=en"), ["Mall"]);
        assert_eq!(site.names(Some(2), "type=3&lang=zh-Hans"), ["商城"]);
        // Only exactly that language; else the site's own.
        assert_eq!(site.names(Some(2), "type=3&lang=zh"), ["Mall"]);
        site.set("default_language", &json!("zh-Hans"));
        assert_eq!(site.names(Some(2), "type=3&lang=fr"), ["商城"]);

        let badge =
            |body: Json| site.ask(Method::PUT, "/v1/viewers/2/badges/DemoPlugin", Some(&body));
        let shown = |viewer| {
            let row = site.shown(Some(viewer), "type=3").remove(0);
            (row["badgeType"].clone(), row["badgeValue"].clone())
        };
        for (body, value) in [
            (json!({ "badgeType": 1 }), Json::Null),
            (json!({ "badgeType": 2, "badgeValue": 12 }), json!(12)),
            (
                json!({ "badgeType": 3, "badgeValue": "新的消息新的消息" }),
                json!("新的消息新的消息"),
            ),
        ] {
            assert_eq!(badge(body.clone()).0, 204);
            assert_eq!(shown(2), (body["badgeType"].clone(), value));
            assert_eq!(shown(1), (Json::Null, Json::Null));
        }
        for (body, code) in [
            (json!({}), "E_FIELD_REQUIRED"),
            (json!({ "badgeType": 4 }), "E_USAGE_RANGE"),
            (json!({ "badgeType": 2 }), "E_FIELD_REQUIRED"),
            (
                json!({ "badgeType": 2, "badgeValue": "x" }),
                "E_FIELD_FORMAT",
            ),
            (
                json!({ "badgeType": 3, "badgeValue": "123456789" }),
                "E_FIELD_LENGTH",
            ),
            (json!({ "badgeType": 1, "badgeValue": 1 }), "E_FIELD_FORMAT"),
        ] {
            let (status, answer) = badge(body.clone());
            assert_eq!(
                (status, findings(&answer)[0].0.as_str()),
                (422, code),
                "{body}"
            );
        }
        assert_eq!(
            site.get("/v1/viewers/2/badges")["items"]
                .as_array()
                .map(Vec::len),
            Some(1)
        );
        assert_eq!(
            site.ask(Method::DELETE, "/v1/viewers/2/badges/DemoPlugin", None)
                .0,
            204
        );
        assert_eq!(shown(2), (Json::Null, Json::Null));
        assert_eq!(
            site.ask(
                Method::PUT,
                "/v1/viewers/2/badges/Nowhere",
                Some(&json!({ "badgeType": 1 }))
            )
            .0,
            404
        );
    });
}

#[test]
fn a_viewer_is_what_the_application_told_last() {
    on_each(|site| {
        site.viewer(7, &json!({ "roles": [3, 1, 3], "groups": [9], "administeredGroups": "5,6", "language": "en" }));
        let told = site.get("/v1/viewers/7");
        assert_eq!(told["roles"], json!([1, 3]));
        assert_eq!(
            (
                &told["groups"],
                &told["administeredGroups"],
                &told["language"]
            ),
            (&json!([9]), &json!([5, 6]), &json!("en"))
        );
        site.viewer(7, &json!({}));
        assert_eq!(site.get("/v1/viewers/7")["roles"], json!([]));
        for (body, place) in [
            (json!({ "roles": "x" }), "/roles"),
            (json!({ "roles": [u32::MAX] }), "/roles"),
            (json!({ "language": "not a tag" }), "/language"),
            (json!({ "role": [1] }), "/role"),
        ] {
            let (status, answer) = site.ask(Method::PUT, "/v1/viewers/7", Some(&body));
            assert_eq!(
                (status, findings(&answer)[0].1.as_str()),
                (422, place),
                "{body}"
            );
        }
        assert_eq!(
            site.ask(Method::PUT, "/v1/viewers/0", Some(&json!({}))).0,
            404
        );
        assert_eq!(site.ask(Method::DELETE, "/v1/viewers/7", None).0, 204);
        assert_eq!(site.ask(Method::DELETE, "/v1/viewers/7", None).0, 404);
        assert_eq!(site.ask(Method::GET, "/v1/viewers/7", None).0, 404);
    });
}

const SECRET: &[u8] = b"the application's own key, for viewers";
const SEED: [u8; 32] = [7; 32];

fn token(header: &Json, claims: &Json, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |json: &Json| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn shared(claims: &Json, secret: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    token(
        &json!({ "alg": "HS256", "typ": "JWT" }),
        claims,
        |message| hmac::sign(&key, message).as_ref().to_vec(),
    )
}

fn public(claims: &Json, seed: &[u8; 32]) -> String {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("a key");
    token(&json!({ "alg": "EdDSA" }), claims, |message| {
        pair.sign(message).as_ref().to_vec()
    })
}

fn seconds(from_now: i64) -> i64 {
    let now = std::time::UNIX_EPOCH.elapsed().expect("a time").as_secs();
    i64::try_from(now).expect("a time") + from_now
}

fn listed(site: &Site, token: &str) -> (u16, Json) {
    let request = site
        .server
        .get("/v1/usages?type=9")
        .header("plugyard-viewer", token);
    let answer = request.send().expect("an answer");
    (answer.status().as_u16(), answer.json().expect("JSON"))
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one way of being wrong after the other"
)]
fn a_token_says_who_a_viewer_is() {
    let keys = tempfile::tempdir().expect("a directory");
    let file = keys.path().join("viewers.key");
    std::fs::write(&file, [SECRET, b"\n"].concat()).expect("a key");
    let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).expect("a key");
    let public_key = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let prepare = |command: &mut std::process::Command| {
        command.env("PLUGYARD__WEB__VIEWER_KEY_FILE", &file);
        command.env("PLUGYARD__WEB__VIEWER_PUBLIC_KEY", &public_key);
    };
    on_each_with(prepare, |site| {
        site.plugin("DemoPlugin", Some(HOST), Some("/mall"));
        site.offer(
            "DemoPlugin",
            9,
            &json!({ "name": { "en": "Mall", "fr": "Boutique" }, "roles": [7] }),
        );
        let claims = |roles: Json| json!({ "sub": "42", "exp": seconds(600), "roles": roles, "language": "fr" });
        for token in [
            shared(&claims(json!([7])), SECRET),
            public(&claims(json!([7])), &SEED),
        ] {
            let (status, body) = listed(site, &token);
            assert_eq!(
                (status, &body[0]["name"]),
                (200, &json!("Boutique")),
                "{body}"
            );
        }
        assert_eq!(
            listed(site, &shared(&claims(json!([37])), SECRET)),
            (200, json!([]))
        );
        let good = shared(&claims(json!([7])), SECRET);
        let unsigned = token(&json!({ "alg": "none" }), &claims(json!([7])), |_| {
            Vec::new()
        });
        // The public key is no secret: a token "signed" with it must not pass.
        let confused = shared(&claims(json!([7])), pair.public_key().as_ref());
        for (bad, reason) in [
            (
                shared(&claims(json!([7])), b"another key that is long enough too"),
                "signature",
            ),
            (public(&claims(json!([7])), &[8; 32]), "signature"),
            (good[..good.len() - 2].to_owned(), "signature"),
            (unsigned, "signature"),
            (confused, "signature"),
            ("nonsense".to_owned(), "signature"),
            (
                shared(&json!({ "sub": "42", "exp": seconds(-600) }), SECRET),
                "expired",
            ),
            (
                shared(
                    &json!({ "sub": "42", "exp": seconds(600), "nbf": seconds(300) }),
                    SECRET,
                ),
                "expired",
            ),
            (shared(&json!({ "sub": "42" }), SECRET), "`exp`"),
            (shared(&json!({ "exp": seconds(600) }), SECRET), "`sub`"),
            (
                shared(&json!({ "sub": 42, "exp": seconds(600) }), SECRET),
                "`sub`",
            ),
            (
                shared(&json!({ "sub": "ann", "exp": seconds(600) }), SECRET),
                "`sub`",
            ),
            (
                shared(
                    &json!({ "sub": "42", "exp": seconds(600), "nbf": "later" }),
                    SECRET,
                ),
                "type",
            ),
            (
                shared(
                    &json!({ "sub": "42", "exp": seconds(600), "roles": "7" }),
                    SECRET,
                ),
                "type",
            ),
        ] {
            let (status, body) = listed(site, &bad);
            assert_eq!(
                (status, &body["code"]),
                (401, &json!("viewer_token_invalid")),
                "{bad}"
            );
            assert!(
                body["detail"]
                    .as_str()
                    .is_some_and(|it| it.contains(reason)),
                "{reason}: {body}"
            );
        }
        // Another key holds from the next request on.
        std::fs::write(&file, "short").expect("a key");
        let (status, body) = listed(site, &good);
        assert_eq!(
            (status, &body["code"]),
            (401, &json!("viewer_token_invalid"))
        );
        std::fs::write(&file, [SECRET, b"\n"].concat()).expect("a key");
        assert_eq!(listed(site, &good).0, 200);
    });
    // Without keys no token is any good.
    on_each(|site| {
        let (status, body) = listed(
            site,
            &shared(&json!({ "sub": "42", "exp": seconds(600) }), SECRET),
        );
        assert_eq!(
            (status, &body["code"]),
            (401, &json!("viewer_token_invalid"))
        );
    });
}
