//! Reading dumps, as databases and panels write them.

use serde_json::json;

use super::*;

fn columns(row: &Row) -> Json {
    json!(row.columns)
}

#[test]
fn a_dump_of_mysql_is_read_with_its_escapes_and_without_column_names() {
    let text = r#"-- MySQL dump 10.13
/*!40101 SET NAMES utf8mb4 */;
DROP TABLE IF EXISTS `plugins`;
CREATE TABLE `plugins` (
  `id` int unsigned NOT NULL AUTO_INCREMENT,
  `fskey` varchar(64) COLLATE utf8mb4_unicode_520_ci NOT NULL COMMENT 'a, (b) ''c''',
  `name` varchar(64) DEFAULT NULL,
  `scene` json DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `plugins_fskey_unique` (`fskey`)
) ENGINE=InnoDB;
INSERT INTO `users` VALUES (1,'x'),(2,'y');
INSERT INTO `plugins` VALUES (1,'Mall','It\'s; a \\ \n(mall)','[\"recharge\"]'),
(2,'Pay',NULL,_utf8mb4'[]'),(3,'Broken'),
(4,'After','名','[]');
"#;
    let dump = read(text.as_bytes(), Format::Sql, "dump.sql");
    let rows: Vec<_> = dump.rows.iter().map(columns).collect();
    assert_eq!(
        rows,
        [
            json!({ "id": 1, "fskey": "Mall", "name": "It's; a \\ \n(mall)", "scene": "[\"recharge\"]" }),
            json!({ "id": 2, "fskey": "Pay", "name": null, "scene": "[]" }),
            json!({ "id": 4, "fskey": "After", "name": "名", "scene": "[]" }),
        ]
    );
    assert_eq!(dump.ignored, BTreeMap::from([("users".to_owned(), 1)]));
    assert_eq!(dump.unreadable, 1);
    assert_eq!(dump.findings[0].code, codes::E_IMPORT_COLUMNS);
    assert_eq!(dump.findings[0].place.line, Some(14));
}

#[test]
fn a_dump_of_postgresql_is_read_from_copy_and_from_inserts() {
    let text = "SET search_path = '';
CREATE TABLE public.plugins (\n    id integer NOT NULL,\n    fskey character varying(64) NOT NULL\n);
COPY public.plugins (id, fskey, name, access_path) FROM stdin;
1\tMall\tA\\tB\\\\C\t\\N
2\tPay\t\t/pay
\\.

COPY public.users (id) FROM stdin;
1
\\.
INSERT INTO public.plugin_usages (id, name, data_sources, is_enabled) VALUES (7, 'It''s \\n', '{\"a\": 1}'::json, true);
";
    let dump = read(text.as_bytes(), Format::Sql, "dump.sql");
    let rows: Vec<_> = dump.rows.iter().map(columns).collect();
    assert_eq!(
        rows,
        [
            json!({ "id": "1", "fskey": "Mall", "name": "A\tB\\C", "access_path": null }),
            json!({ "id": "2", "fskey": "Pay", "name": "", "access_path": "/pay" }),
            json!({ "id": 7, "name": "It's \\n", "data_sources": "{\"a\": 1}", "is_enabled": true }),
        ]
    );
    assert!(dump.findings.is_empty(), "{:?}", dump.findings);
}

#[test]
fn a_dump_of_sqlite_and_prefixed_names_are_read() {
    let text = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;
CREATE TABLE IF NOT EXISTS \"fs_apps\" (\"id\" integer primary key, \"fskey\" varchar not null, \"type\" integer);
INSERT INTO fs_apps VALUES(1,'Mall',3);\nCOMMIT;\n";
    let dump = read(text.as_bytes(), Format::Sql, "dump.sql");
    assert_eq!(dump.rows[0].table, Table::Plugins);
    assert_eq!(dump.rows[0].generation, Generation::Third);
    assert_eq!(
        columns(&dump.rows[0]),
        json!({ "id": 1, "fskey": "Mall", "type": 3 })
    );
}

#[test]
fn csv_and_json_are_recognised_by_their_columns() {
    let text =
        "id,fskey,access_path,is_enabled\r\n1,Mall,\"/a,\"\"b\"\"\",1\r\n2,Pay\r\n3,Map,,0\r\n";
    let dump = read(text.as_bytes(), Format::Csv, "plugins.csv");
    let rows: Vec<_> = dump.rows.iter().map(columns).collect();
    assert_eq!(
        rows,
        [
            json!({ "id": "1", "fskey": "Mall", "access_path": "/a,\"b\"", "is_enabled": "1" }),
            json!({ "id": "3", "fskey": "Map", "is_enabled": "0" }),
        ]
    );
    assert_eq!(dump.findings[0].place.line, Some(3));

    let text = json!({
        "plugins": [{ "fskey": "Mall", "accessPath": "/mall" }, 5],
        "plugin_usages": [{ "usageType": 1, "pluginFskey": "Mall" }],
        "users": [],
    });
    let dump = read(text.to_string().as_bytes(), Format::Json, "dump.json");
    let rows: Vec<_> = dump.rows.iter().map(columns).collect();
    assert!(rows.contains(&json!({ "fskey": "Mall", "access_path": "/mall" })));
    assert!(rows.contains(&json!({ "usage_type": 1, "plugin_fskey": "Mall" })));
    assert_eq!(dump.unreadable, 1);
    assert_eq!(dump.ignored.len(), 1);
}

#[test]
fn what_is_no_dump_is_said_to_be_none() {
    let codes_of = |bytes: &[u8], format| {
        let dump = read(bytes, format, "x");
        assert!(dump.rows.is_empty());
        dump.findings.iter().map(|it| it.code).collect::<Vec<_>>()
    };
    assert_eq!(
        codes_of(b"a,b\n1,2\n", Format::Csv),
        [codes::E_IMPORT_TABLE]
    );
    assert_eq!(codes_of(b"{", Format::Json), [codes::E_IMPORT_SYNTAX]);
    assert_eq!(codes_of(b"5", Format::Json), [codes::E_IMPORT_TABLE]);
    assert_eq!(codes_of(b"ab\xff", Format::Sql), [codes::E_IMPORT_ENCODING]);
    assert_eq!(codes_of(b"", Format::Sql), [codes::E_IMPORT_EMPTY]);
    assert_eq!(codes_of(b"{}", Format::Json), [codes::E_IMPORT_EMPTY]);
}

proptest::proptest! {
    /// Whatever the bytes are, reading ends and says something or nothing.
    #[test]
    fn reading_never_panics(text in "(INSERT INTO|COPY|CREATE TABLE|VALUES|plugins|[(),;'\"`\\\\\n\t :.-]|[a-z0-9é]){0,60}") {
        for format in [Format::Sql, Format::Csv, Format::Json] {
            let _ = read(text.as_bytes(), format, "x");
        }
    }
}
