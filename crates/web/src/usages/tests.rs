//! The listing against a plain model of its rules, over random rows on every database there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use plugyard_store::Database;
use plugyard_store::testing::databases;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sea_orm::ConnectionTrait as _;
use serde_json::json;

use super::listing::{For, Listings};
use crate::site::Site;
use crate::usage::{Query, UsageType, Viewer};

const PLUGINS: [&str; 4] = ["Mall", "Shop", "Off", "Gone"];
const SYSTEM: &str = "https://api.example.com";

/// A row as the table has it.
#[derive(Debug, Clone)]
struct Row {
    usage_type: u8,
    fskey: &'static str,
    scene: Option<&'static str>,
    is_group_admin: bool,
    group: Option<u32>,
    roles: Option<&'static str>,
    parameter: Option<String>,
    rating: u16,
    is_enabled: bool,
    is_deleted: bool,
    translated: BTreeSet<&'static str>,
}

#[derive(Debug, Clone)]
struct Asked {
    usage_type: u8,
    scene: Option<u8>,
    group: Option<u32>,
    roles: Option<BTreeSet<u32>>,
    administers: BTreeSet<u32>,
    language: &'static str,
}

fn row() -> impl Strategy<Value = Row> {
    let fskey = prop_oneof![
        4 => proptest::sample::select(&PLUGINS[..]),
        1 => Just("Text"),
        1 => Just("Nowhere"),
    ];
    let scene = proptest::option::of(proptest::sample::select(
        &["1", "2", "1,2", "3", "1, 2"][..],
    ));
    let roles = proptest::option::of(proptest::sample::select(
        &["", "3", "37", "3,7", "3, 7", "unreadable"][..],
    ));
    let tags =
        proptest::collection::btree_set(proptest::sample::select(&["en", "zh-Hans"][..]), 0..3);
    (
        (
            3..10_u8,
            fskey,
            scene,
            any::<bool>(),
            proptest::option::of(5..7_u32),
            roles,
        ),
        (
            proptest::option::of("[a-z{}%&=0-9]{0,4}"),
            0..4_u16,
            proptest::bool::weighted(0.9),
            proptest::bool::weighted(0.1),
            tags,
        ),
    )
        .prop_map(|(one, two)| Row {
            usage_type: one.0,
            fskey: one.1,
            scene: one.2,
            // Seldom, so that roles matter in the others.
            is_group_admin: one.3 && two.1 == 0,
            group: one.4,
            roles: one.5,
            parameter: two.0,
            rating: two.1,
            is_enabled: two.2,
            is_deleted: two.3,
            translated: two.4,
        })
}

fn asked() -> impl Strategy<Value = Asked> {
    (
        3..10_u8,
        proptest::option::weighted(0.3, 1..4_u8),
        proptest::option::of(5..7_u32),
        proptest::option::of(proptest::collection::btree_set(
            proptest::sample::select(&[3_u32, 7, 37][..]),
            0..3,
        )),
        proptest::collection::btree_set(5..7_u32, 0..2),
        proptest::sample::select(&["en", "zh-Hans", "fr"][..]),
    )
        .prop_map(
            |(usage_type, scene, group, roles, administers, language)| Asked {
                usage_type,
                scene,
                group,
                administers: if roles.is_some() {
                    administers
                } else {
                    BTreeSet::new()
                },
                roles,
                language,
            },
        )
}

/// What is shown, by the rules as they are written, one after the other: number, name and address.
fn model(rows: &[Row], asked: &Asked) -> Vec<(usize, String, Option<String>)> {
    let mut shown: Vec<(u16, usize)> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let built_in = row.usage_type == 4 && row.fskey == "Text";
        let numbers = |text: Option<&str>| -> Vec<u32> {
            let text = text.unwrap_or_default();
            text.split(',')
                .filter_map(|part| part.trim().parse().ok())
                .collect()
        };
        // 1. Type, not deleted, enabled; so is the plugin.
        if row.usage_type != asked.usage_type || row.is_deleted || !row.is_enabled {
            continue;
        }
        if !built_in && row.fskey != "Mall" && row.fskey != "Shop" {
            continue;
        }
        // 2. The scene is one of the list.
        if let Some(scene) = asked.scene
            && !numbers(row.scene).contains(&u32::from(scene))
        {
            continue;
        }
        // 3. The group whose page it is.
        if asked.usage_type == 6 && row.group != asked.group {
            continue;
        }
        // 4. The audience.
        if row.is_group_admin {
            match row.group.or(asked.group) {
                Some(group) if asked.administers.contains(&group) => {}
                _ => continue,
            }
        } else if let Some(roles) = row.roles
            && !roles.is_empty()
        {
            let held = asked.roles.clone().unwrap_or_default();
            if !numbers(Some(roles)).iter().any(|role| held.contains(role)) {
                continue;
            }
        }
        // 7. Nothing of these types without a user.
        if asked.roles.is_none() && [3, 5, 7].contains(&asked.usage_type) {
            continue;
        }
        shown.push((row.rating, index));
    }
    // 5. By rating, then by number; 6. each once.
    shown.sort_unstable();
    shown
        .into_iter()
        .map(|(_, index)| {
            let row = &rows[index];
            let tag = [asked.language, "en"]
                .into_iter()
                .find(|tag| row.translated.contains(tag));
            let name = tag.map_or_else(|| format!("name {index}"), |tag| format!("{tag} {index}"));
            let url = match row.fskey {
                "Mall" => Some(format!("{SYSTEM}/mall?id={{parameter}}&u={{uid}}")),
                "Shop" => Some("https://shop.example.net/{parameter}/{parameter}".to_owned()),
                _ => None,
            };
            let url = url.map(|url| match &row.parameter {
                Some(parameter) => url.replace("{parameter}", parameter),
                None => url,
            });
            (index, name, url)
        })
        .collect()
}

async fn store(database: &Database, rows: &[Row]) {
    let mut sql = "DELETE FROM plugin_usages; DELETE FROM plugin_usage_names;".to_owned();
    let text = |text: Option<&str>| match text {
        Some(text) => format!("'{text}'"),
        None => "NULL".to_owned(),
    };
    for (index, row) in rows.iter().enumerate() {
        let id = index + 1;
        write!(
            sql,
            "INSERT INTO plugin_usages (id, usage_type, plugin_fskey, name, scene, is_group_admin, \
             group_id, roles, parameter, rating, is_enabled, deleted_at) VALUES \
             ({id}, {}, '{}', 'name {index}', {}, {}, {}, {}, {}, {}, {}, {});",
            row.usage_type,
            row.fskey,
            text(row.scene),
            u8::from(row.is_group_admin),
            row.group
                .map_or("NULL".to_owned(), |group| group.to_string()),
            text(row.roles),
            text(row.parameter.as_deref()),
            row.rating,
            u8::from(row.is_enabled),
            text(row.is_deleted.then_some("2026-01-01 00:00:00")),
        )
        .unwrap();
        for tag in &row.translated {
            write!(
                sql,
                "INSERT INTO plugin_usage_names (usage_id, lang_tag, name) VALUES ({id}, '{tag}', '{tag} {index}');"
            )
            .unwrap();
        }
    }
    database.conn().execute_unprepared(&sql).await.unwrap();
}

#[tokio::test]
async fn the_listing_is_that_of_a_plain_model() {
    for test in databases().await {
        let database = &test.database;
        database.migrate(crate::migrations()).await.unwrap();
        let sql = "INSERT INTO plugins (fskey, type, name, description, version, author, plugin_host, \
                   access_path, is_enabled, updated_at, deleted_at) VALUES \
                   ('Mall', 1, 'Mall', '', '1.0.0', 'Ann', NULL, '/mall?id={parameter}&u={uid}', 1, '2026-01-01 00:00:00', NULL), \
                   ('Shop', 1, 'Shop', '', '1.0.0', 'Ann', 'https://shop.example.net', '/{parameter}/{parameter}', 1, '2026-01-01 00:00:00', NULL), \
                   ('Off', 1, 'Off', '', '1.0.0', 'Ann', NULL, '/off', 0, '2026-01-01 00:00:00', NULL), \
                   ('Gone', 1, 'Gone', '', '1.0.0', 'Ann', NULL, '/gone', 1, '2026-01-01 00:00:00', '2026-02-01 00:00:00')";
        database.conn().execute_unprepared(sql).await.unwrap();
        let site = Site(BTreeMap::from([("system_url".to_owned(), json!(SYSTEM))]));
        let mut runner = TestRunner::deterministic();
        let mut seen = 0;
        for _ in 0..40 {
            let rows = proptest::collection::vec(row(), 0..100)
                .new_tree(&mut runner)
                .unwrap()
                .current();
            store(database, &rows).await;
            let listings = Listings::default();
            for _ in 0..20 {
                let asked = asked().new_tree(&mut runner).unwrap().current();
                let viewer = Viewer {
                    roles: asked.roles.clone(),
                    administers: asked.administers.clone(),
                };
                let query = Query {
                    usage_type: UsageType::from_number(asked.usage_type.into()).unwrap(),
                    scene: asked.scene,
                    group: asked.group,
                    viewer: &viewer,
                };
                let whom = For {
                    user: Some(1),
                    language: asked.language,
                };
                let listed = listings.list(database, &site, query, whom).await.unwrap();
                let listed: Vec<_> = listed.into_iter().map(|it| (it.name, it.url)).collect();
                let expected: Vec<_> = model(&rows, &asked)
                    .into_iter()
                    .map(|(_, name, url)| (name, url))
                    .collect();
                assert_eq!(listed, expected, "{asked:?} of {rows:?} on {}", test.sort);
                seen += expected.len();
            }
        }
        assert!(seen > 300, "the rows showed next to nothing: {seen}");
    }
}
