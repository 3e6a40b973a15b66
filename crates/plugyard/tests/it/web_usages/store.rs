//! Scenarios 21 to 25: what can be stored of a usage, and what cannot.

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::{HOST, Site, findings, on_each};

#[track_caller]
fn refused(site: &Site, usage_type: u8, more: &Json, code: &str, pointer: &str) {
    let (status, body) = site.try_offer("DemoPlugin", usage_type, more);
    assert_eq!(
        (status, &body["code"]),
        (422, &json!("input_invalid")),
        "{more}: {body}"
    );
    assert_eq!(
        findings(&body),
        [(code.to_owned(), pointer.to_owned())],
        "{more}"
    );
}

#[test]
fn web_21_a_usage_for_group_administrators_has_no_roles() {
    on_each(|site| {
        site.plugin("DemoPlugin", Some(HOST), Some("/mall"));
        let usage = site.offer(
            "DemoPlugin",
            6,
            &json!({ "groupId": 5, "isGroupAdmin": true, "roles": [3, 7] }),
        );
        let stored = site.get(&format!("/v1/web/usages/{usage}"));
        assert_eq!(stored["roles"], json!([]));
        site.sql(&format!(
            "UPDATE plugin_usages SET group_id = 5 WHERE id = {usage} AND roles IS NULL"
        ));
        site.viewer(1, &json!({ "administeredGroups": [5] }));
        site.viewer(
            2,
            &json!({ "administeredGroups": [6], "groups": [5], "roles": [3] }),
        );
        let seen = |viewer, group: u32| site.names(viewer, &format!("type=6&group={group}")).len();
        assert_eq!(
            [
                seen(Some(1), 5),
                seen(Some(2), 5),
                seen(None, 5),
                seen(Some(1), 6)
            ],
            [1, 0, 0, 0]
        );
        // On the manage menu the group is the one that is asked about.
        site.offer("DemoPlugin", 5, &json!({ "isGroupAdmin": true }));
        let seen = |viewer, query: &str| site.names(viewer, &format!("type=5{query}")).len();
        assert_eq!(
            [
                seen(Some(1), "&group=5"),
                seen(Some(1), "&group=6"),
                seen(Some(1), ""),
                seen(Some(2), "&group=5")
            ],
            [1, 0, 0, 0]
        );
    });
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn web_22_columns_have_their_types_ranges_and_form() {
    on_each(|site| {
        site.plugin("DemoPlugin", Some(HOST), Some("/mall"));
        refused(site, 6, &json!({}), "E_FIELD_REQUIRED", "/groupId");
        refused(
            site,
            3,
            &json!({ "editorNumber": 0 }),
            "E_USAGE_RANGE",
            "/editorNumber",
        );
        refused(
            site,
            3,
            &json!({ "editorNumber": 11 }),
            "E_USAGE_RANGE",
            "/editorNumber",
        );
        refused(site, 3, &json!({ "scene": "3" }), "E_USAGE_RANGE", "/scene");
        refused(
            site,
            3,
            &json!({ "scene": "1, 2" }),
            "E_FIELD_FORMAT",
            "/scene",
        );
        refused(
            site,
            3,
            &json!({ "scene": "2,1" }),
            "E_USAGE_RANGE",
            "/scene",
        );
        refused(
            site,
            3,
            &json!({ "scene": [1, 1] }),
            "E_USAGE_RANGE",
            "/scene",
        );
        refused(
            site,
            9,
            &json!({ "scene": [1] }),
            "E_USAGE_COLUMN_NOT_APPLICABLE",
            "/scene",
        );
        refused(
            site,
            1,
            &json!({ "roles": "3" }),
            "E_USAGE_COLUMN_NOT_APPLICABLE",
            "/roles",
        );
        refused(
            site,
            9,
            &json!({ "groupId": 3 }),
            "E_USAGE_COLUMN_NOT_APPLICABLE",
            "/groupId",
        );
        refused(
            site,
            9,
            &json!({ "editorToolbar": 1 }),
            "E_USAGE_COLUMN_NOT_APPLICABLE",
            "/editorToolbar",
        );
        refused(
            site,
            9,
            &json!({ "isGroupAdmin": true }),
            "E_USAGE_COLUMN_NOT_APPLICABLE",
            "/isGroupAdmin",
        );
        refused(
            site,
            9,
            &json!({ "dataSources": { "postByAll": { "pluginFskey": "" } } }),
            "E_USAGE_COLUMN_NOT_APPLICABLE",
            "/dataSources",
        );
        refused(
            site,
            9,
            &json!({ "rating": 65_536 }),
            "E_USAGE_RANGE",
            "/rating",
        );
        refused(
            site,
            9,
            &json!({ "rating": "1" }),
            "E_FIELD_FORMAT",
            "/rating",
        );
        refused(
            site,
            9,
            &json!({ "isEnabled": 2 }),
            "E_FIELD_FORMAT",
            "/isEnabled",
        );
        refused(
            site,
            9,
            &json!({ "roles": "3, 7" }),
            "E_FIELD_FORMAT",
            "/roles",
        );
        refused(
            site,
            9,
            &json!({ "roles": [3, 3] }),
            "E_FIELD_DUPLICATE",
            "/roles",
        );
        refused(
            site,
            9,
            &json!({ "parameter": "a\nb" }),
            "E_FIELD_FORMAT",
            "/parameter",
        );
        refused(
            site,
            9,
            &json!({ "parameter": "x".repeat(129) }),
            "E_FIELD_LENGTH",
            "/parameter",
        );
        refused(
            site,
            9,
            &json!({ "iconFileUrl": "ftp://x" }),
            "E_HOST_SCHEME",
            "/iconFileUrl",
        );
        refused(site, 9, &json!({ "name": "" }), "E_FIELD_LENGTH", "/name");
        refused(
            site,
            9,
            &json!({ "name": { "fr": "x" } }),
            "E_FIELD_REQUIRED",
            "/name",
        );
        refused(
            site,
            9,
            &json!({ "names": { "zh-Hans": "x".repeat(129) } }),
            "E_FIELD_LENGTH",
            "/names/zh-Hans",
        );
        refused(
            site,
            9,
            &json!({ "raiting": 1 }),
            "E_FIELD_UNKNOWN",
            "/raiting",
        );
        refused(site, 10, &json!({}), "E_TYPE_RANGE", "/usageType");
        // Defaults are taken where a column does not apply.
        let usage = site.offer("DemoPlugin", 9, &json!({
            "scene": null, "editorToolbar": 0, "editorNumber": null, "dataSources": null, "isGroupAdmin": false,
            "groupId": null, "roles": [], "iconFileUrl": "",
        }));
        let stored = site.get(&format!("/v1/web/usages/{usage}"));
        assert_eq!(
            (
                &stored["rating"],
                &stored["parameter"],
                &stored["canDelete"]
            ),
            (&json!(9), &Json::Null, &json!(true))
        );
        // Everything at once, and nothing is stored.
        let wrong = json!({ "pluginFskey": "Nowhere", "usageType": 3, "name": " ", "scene": "9", "roles": {}, "x": 1 });
        let (status, body) = site.ask(Method::POST, "/v1/web/usages", Some(&wrong));
        assert_eq!(status, 422);
        let found = findings(&body);
        let codes: Vec<&str> = found.iter().map(|(code, _)| code.as_str()).collect();
        assert_eq!(
            codes,
            [
                "E_FIELD_LENGTH",
                "E_NOT_FOUND",
                "E_FIELD_FORMAT",
                "E_USAGE_RANGE",
                "E_FIELD_UNKNOWN"
            ]
        );
        assert_eq!(site.get("/v1/web/usages?type=3")["items"], json!([]));
        // What is missing is named.
        let (_, body) = site.ask(Method::POST, "/v1/web/usages", Some(&json!({})));
        let found = findings(&body);
        let places: Vec<&str> = found.iter().map(|(_, place)| place.as_str()).collect();
        assert_eq!(places, ["/name", "/pluginFskey", "/usageType"]);
    });
}

#[test]
fn web_23_a_seeded_content_type_cannot_be_deleted() {
    on_each(|site| {
        let seeded = site.get("/v1/web/usages?type=4");
        let items = seeded["items"].as_array().expect("a list");
        let names: Vec<&Json> = items.iter().map(|it| &it["pluginFskey"]).collect();
        assert_eq!(
            names,
            ["All", "Text", "Image", "Video", "Audio", "Document"]
        );
        for (item, rating) in items.iter().zip(1..) {
            assert_eq!(
                (&item["rating"], &item["scene"]),
                (&json!(rating), &json!([1, 2]))
            );
            assert_eq!(
                (&item["canDelete"], &item["url"]),
                (&json!(false), &Json::Null)
            );
            let (status, body) = site.ask(
                Method::DELETE,
                &format!("/v1/web/usages/{}", item["id"]),
                None,
            );
            assert_eq!((status, &body["code"]), (409, &json!("E_USAGE_PROTECTED")));
        }
        assert_eq!(site.names(None, "type=4&scene=2").len(), 6);
        // Nor in two steps, nor by making it another plugin's.
        site.plugin("DemoPlugin", Some(HOST), Some("/mall"));
        let first = format!("/v1/web/usages/{}", items[0]["id"]);
        for change in [
            json!({ "canDelete": true }),
            json!({ "pluginFskey": "DemoPlugin" }),
        ] {
            let (status, body) = site.ask(Method::PATCH, &first, Some(&change));
            let told = (status, &body["code"]);
            assert_eq!(told, (409, &json!("E_USAGE_PROTECTED")), "{change}");
        }
        // One that can be: gone for people, kept for operators who ask.
        let usage = site.offer("DemoPlugin", 4, &json!({ "scene": "1" }));
        assert_eq!(site.names(None, "type=4&scene=1").len(), 7);
        let (status, _) = site.ask(Method::DELETE, &format!("/v1/web/usages/{usage}"), None);
        assert_eq!(status, 204);
        assert_eq!(site.names(None, "type=4&scene=1").len(), 6);
        let (status, _) = site.ask(Method::GET, &format!("/v1/web/usages/{usage}"), None);
        assert_eq!(status, 404);
        let (status, _) = site.ask(Method::DELETE, &format!("/v1/web/usages/{usage}"), None);
        assert_eq!(status, 404);
        let deleted = site.get("/v1/web/usages?type=4&plugin=DemoPlugin&include=deleted");
        assert!(deleted["items"][0]["deletedAt"].is_string(), "{deleted}");
    });
}

#[test]
fn web_24_two_usages_of_one_name_are_both_listed() {
    on_each(|site| {
        site.plugin("One", Some(HOST), Some("/one"));
        site.plugin("Two", Some(HOST), Some("/two"));
        for plugin in ["One", "Two"] {
            site.offer(plugin, 9, &json!({ "name": "Same" }));
        }
        let shown = site.shown(None, "type=9");
        let plugins: Vec<&Json> = shown.iter().map(|it| &it["fskey"]).collect();
        assert_eq!(plugins, ["One", "Two"]);
        assert_eq!(site.names(None, "type=9"), ["Same", "Same"]);
    });
}

#[test]
fn web_25_a_usage_needs_a_plugin_that_exists_and_has_the_scene() {
    on_each(|site| {
        site.plugin("DemoPlugin", Some(HOST), Some("/mall"));
        site.sql("UPDATE plugins SET scene = '[\"editor\"]' WHERE fskey = 'DemoPlugin'");
        for usage_type in 1..=9 {
            let more = json!(if usage_type == 6 {
                json!({ "groupId": 1 })
            } else {
                json!({})
            });
            refused(
                site,
                usage_type,
                &more,
                "E_SCENE_NOT_SUPPORTED",
                "/pluginFskey",
            );
        }
        let (status, body) = site.try_offer("Nowhere", 9, &json!({}));
        assert_eq!(
            (status, findings(&body)),
            (
                422,
                vec![("E_NOT_FOUND".to_owned(), "/pluginFskey".to_owned())]
            )
        );
        // Letters' cases count.
        assert_eq!(site.try_offer("demoplugin", 9, &json!({})).0, 422);
        // A deleted plugin is none; a disabled one can be offered already.
        site.sql("UPDATE plugins SET scene = '[\"extendChannel\"]', is_enabled = 0 WHERE fskey = 'DemoPlugin'");
        site.offer("DemoPlugin", 9, &json!({}));
        site.sql(
            "UPDATE plugins SET deleted_at = '2026-01-01 00:00:00' WHERE fskey = 'DemoPlugin'",
        );
        assert_eq!(site.try_offer("DemoPlugin", 9, &json!({})).0, 422);
        // Built-in content types need no plugin, and only content types do so.
        site.offer("Text", 4, &json!({ "name": "Plain" }));
        assert_eq!(site.try_offer("Text", 9, &json!({})).0, 422);
    });
}

#[test]
fn a_usage_is_changed_key_by_key_and_keeps_its_type() {
    on_each(|site| {
        site.plugin("DemoPlugin", Some(HOST), Some("/mall?{parameter}"));
        let usage = site.offer("DemoPlugin", 9, &json!({
            "name": { "en": "Mall", "zh-Hans": "商城" }, "parameter": "50%", "roles": "7,3", "iconFileUrl": "https://i.example/1.png",
        }));
        let path = format!("/v1/web/usages/{usage}");
        let before = site.get(&path);
        assert_eq!(
            (&before["name"], &before["names"]),
            (&json!("Mall"), &json!({ "zh-Hans": "商城" }))
        );
        assert_eq!(
            (&before["roles"], &before["icon"]),
            (&json!([7, 3]), &json!("https://i.example/1.png"))
        );
        // A warning is told with what was stored.
        let answer = site.change(usage, &json!({ "rating": 2 }));
        assert_eq!(answer["findings"][0]["code"], "W_PARAMETER_NOT_URL_SAFE");
        assert_eq!(
            (&answer["rating"], &answer["parameter"]),
            (&json!(2), &json!("50%"))
        );
        // What is encoded when it is inserted needs none.
        let encoding = |word: &str| {
            let body = json!({ "plugin_usages.parameter_encoding": word });
            let (status, _) = site.ask(Method::PATCH, "/v1/web/settings", Some(&body));
            assert_eq!(status, 200);
        };
        encoding("component");
        assert_eq!(
            site.change(usage, &json!({ "rating": 2 }))["findings"],
            json!([])
        );
        encoding("verbatim");
        // The empty text is a value, null is none.
        assert_eq!(
            site.change(usage, &json!({ "parameter": "" }))["url"],
            "https://plug.example.net/mall?"
        );
        assert_eq!(
            site.change(usage, &json!({ "parameter": null }))["url"],
            "https://plug.example.net/mall?{parameter}"
        );
        let answer = site.change(
            usage,
            &json!({ "name": "Shop", "names": { "fr": "Boutique" }, "roles": null }),
        );
        assert_eq!(
            (&answer["name"], &answer["names"], &answer["roles"]),
            (&json!("Shop"), &json!({ "fr": "Boutique" }), &json!([]))
        );
        let (status, body) = site.ask(
            Method::PATCH,
            &path,
            Some(&json!({ "usageType": 8, "rating": 1 })),
        );
        assert_eq!(
            (status, findings(&body)),
            (
                422,
                vec![("E_USAGE_TYPE_FIXED".to_owned(), "/usageType".to_owned())]
            )
        );
        assert_eq!(site.get(&path)["rating"], 2);
        // The file's number wins once it is known where files lie.
        site.change(usage, &json!({ "iconFileId": 12 }));
        assert_eq!(site.get(&path)["icon"], "https://i.example/1.png");
        site.set(
            "plugin_usages.file_url",
            &json!("https://files.example/{fileId}"),
        );
        assert_eq!(site.get(&path)["icon"], "https://files.example/12");
        let (status, body) = site.ask(Method::PATCH, "/v1/web/usages/999", Some(&json!({})));
        assert_eq!((status, &body["code"]), (404, &json!("usage_not_found")));
    });
}

#[test]
fn a_usage_whose_plugin_went_can_still_be_hidden() {
    on_each(|site| {
        site.plugin("DemoPlugin", Some(HOST), Some("/mall"));
        let usage = site.offer("DemoPlugin", 9, &json!({}));
        for (column, code) in [
            ("scene = '[]'", "E_SCENE_NOT_SUPPORTED"),
            ("deleted_at = '2026-01-01 00:00:00'", "E_NOT_FOUND"),
        ] {
            site.sql(&format!(
                "UPDATE plugins SET {column} WHERE fskey = 'DemoPlugin'"
            ));
            let answer = site.change(usage, &json!({ "isEnabled": false, "rating": 3 }));
            assert_eq!(answer["isEnabled"], false);
            // Who chooses it anew is told that it is none.
            let path = format!("/v1/web/usages/{usage}");
            let again = json!({ "pluginFskey": "DemoPlugin" });
            let (status, body) = site.ask(Method::PATCH, &path, Some(&again));
            assert_eq!(
                (status, findings(&body)),
                (422, vec![(code.to_owned(), "/pluginFskey".to_owned())])
            );
        }
    });
}

#[test]
fn an_order_is_that_of_one_list() {
    on_each(|site| {
        site.plugin("DemoPlugin", Some(HOST), Some("/mall"));
        let ids: Vec<i64> = (0..4)
            .map(|n| site.offer("DemoPlugin", 9, &json!({ "name": format!("N{n}") })))
            .collect();
        let other = site.offer("DemoPlugin", 8, &json!({}));
        let order = |ids: &[i64]| {
            site.ask(
                Method::PUT,
                "/v1/web/usages/order",
                Some(&json!({ "ids": ids })),
            )
        };
        let (status, body) = order(&[ids[3], ids[1]]);
        assert_eq!(status, 200, "{body}");
        assert_eq!(site.names(None, "type=9"), ["N3", "N1", "N0", "N2"]);
        assert_eq!(order(&ids).0, 200);
        assert_eq!(site.names(None, "type=9"), ["N0", "N1", "N2", "N3"]);
        for (wrong, status, code) in [
            (vec![ids[2], other], 422, "E_USAGE_ORDER"),
            (vec![ids[2], 999], 404, "usage_not_found"),
            (vec![ids[2], ids[2]], 400, "request_invalid"),
            (vec![], 400, "request_invalid"),
        ] {
            let (answered, body) = order(&wrong);
            assert_eq!(
                (answered, &body["code"]),
                (status, &json!(code)),
                "{wrong:?}"
            );
        }
        assert_eq!(site.names(None, "type=9"), ["N0", "N1", "N2", "N3"]);
        // Page by page it is the same order.
        let first = site.get("/v1/web/usages?type=9&limit=3");
        let next = first["next"].as_str().expect("a cursor");
        let rest = site.get(&format!("/v1/web/usages?type=9&limit=3&cursor={next}"));
        assert_eq!(
            (
                first["items"].as_array().map(Vec::len),
                &rest["items"][0]["name"]
            ),
            (Some(3), &json!("N3"))
        );
        assert_eq!(rest["next"], Json::Null);
    });
}

#[test]
fn a_content_type_says_who_answers_and_how_answers_are_sorted() {
    on_each(|site| {
        site.plugin("Data", Some(HOST), None);
        let rating = |id: i64| json!({ "id": id, "intro": [{ "langTag": "en", "title": "New", "description": "latest" }] });
        let sources = |ratings: Json| json!({ "dataSources": { "postByAll": { "pluginFskey": "Data", "pluginRating": ratings } } });
        let text = site.get("/v1/web/usages?type=4")["items"][1]["id"]
            .as_i64()
            .expect("a number");
        site.change(text, &sources(json!([rating(1), rating(2)])));
        let lists = |lang: &str| {
            site.shown(None, &format!("type=4&lang={lang}"))[1]["pluginRating"].clone()
        };
        assert_eq!(
            lists("en")["postByAll"][0],
            json!({ "id": 1, "title": "New", "description": "latest" })
        );
        assert_eq!(
            lists("fr")["postByAll"][1],
            json!({ "id": 2, "title": null, "description": null })
        );
        assert_eq!(lists("en")["commentByNearby"], json!([]));
        let path = format!("/v1/web/usages/{text}/data-sources");
        let who = |name: &str| site.get(&format!("{path}/{name}"));
        assert_eq!(
            who("postByFollow"),
            json!({ "plugin": null, "command": "getPostByFollow", "reason": null })
        );
        assert_eq!(who("postByAll")["reason"], "scene_not_supported");
        site.sql("UPDATE plugins SET scene = '[\"extendData\"]' WHERE fskey = 'Data'");
        assert_eq!(
            who("postByAll"),
            json!({ "plugin": "Data", "command": "getPostByAll", "reason": null })
        );
        site.sql("UPDATE plugins SET is_enabled = 0 WHERE fskey = 'Data'");
        assert_eq!(
            who("postByAll"),
            json!({ "plugin": null, "command": "getPostByAll", "reason": "plugin_disabled" })
        );
        assert!(
            site.server.log().contains("answers in place of a plugin"),
            "{}",
            site.server.log()
        );
        let path = format!("/v1/web/usages/{text}");
        for (wrong, code, pointer) in [
            (
                sources(json!([rating(1), rating(1)])),
                "E_FIELD_DUPLICATE",
                "/dataSources/postByAll/pluginRating/1/id",
            ),
            (
                sources(json!([{ "intro": [] }])),
                "E_FIELD_FORMAT",
                "/dataSources/postByAll/pluginRating/0/id",
            ),
            (
                json!({ "dataSources": { "postByall": {} } }),
                "E_FIELD_UNKNOWN",
                "/dataSources/postByall",
            ),
            (
                json!({ "dataSources": [] }),
                "E_FIELD_FORMAT",
                "/dataSources",
            ),
        ] {
            let (status, body) = site.ask(Method::PATCH, &path, Some(&wrong));
            assert_eq!(
                (status, findings(&body)),
                (422, vec![(code.to_owned(), pointer.to_owned())]),
                "{wrong}"
            );
        }
    });
}
