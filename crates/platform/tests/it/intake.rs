//! Packages that are good, bad, too large, or not what they seem.

use std::path::Path;

use plugyard_archive::build::Archive;
use plugyard_http::PageQuery;
use plugyard_model::{KindId, Problem, codes};
use plugyard_platform::intake::Inspected;
use plugyard_platform::{Intake, Platform, Settings, Source, TakeIn};
use plugyard_store::testing;
use serde_json::json;

use crate::support::{Bench, KIND, benches, package, plugin};

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let archive = files
        .iter()
        .fold(Archive::new(), |archive, (name, content)| {
            archive.file(*name, *content)
        });
    archive.build()
}

fn stream(bytes: Vec<u8>) -> Source {
    Source::Stream(Box::pin(std::io::Cursor::new(bytes)))
}

async fn take(platform: &Platform, bytes: Vec<u8>) -> Result<Intake, Problem> {
    platform.take_in(stream(bytes), TakeIn::default()).await
}

/// Nothing of a refused package may be left.
async fn assert_nothing_kept(bench: &Bench) {
    assert!(
        bench
            .platform
            .plugins(&PageQuery::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    for directory in ["staging", "objects/packages"] {
        let left = std::fs::read_dir(bench.home.path().join(directory))
            .unwrap()
            .count();
        assert_eq!(left, 0, "{directory}");
    }
}

#[tokio::test]
async fn the_same_bytes_with_the_same_options_are_one_version() {
    for bench in benches().await {
        let bytes = zip(&[("fake.json", r#"{"name":"a","version":"1.0"}"#)]);
        let first = take(&bench.platform, bytes.clone()).await.unwrap();
        assert_eq!((first.plugin.clone(), first.new), (plugin("a"), true));
        assert_eq!(first.size, bytes.len() as u64);
        let again = take(&bench.platform, bytes.clone()).await.unwrap();
        assert_eq!((again.version.id, again.new), (first.version.id, false));

        let with = |options| TakeIn {
            options,
            ..TakeIn::default()
        };
        let one = with(json!({ "x": 1, "y": { "a": 1, "b": 2 } }));
        let same = with(json!({ "y": { "b": 2, "a": 1 }, "x": 1 }));
        let other = bench
            .platform
            .take_in(stream(bytes.clone()), one)
            .await
            .unwrap();
        assert_ne!(other.version.id, first.version.id);
        let same = bench.platform.take_in(stream(bytes), same).await.unwrap();
        assert_eq!(same.version.id, other.version.id);

        let package = bench.platform.package(&first.digest).await.unwrap();
        assert_eq!(package.versions.len(), 2);
        assert_eq!(
            bench
                .platform
                .plugins(&PageQuery::default())
                .await
                .unwrap()
                .items
                .len(),
            1
        );
    }
}

#[tokio::test]
async fn a_directory_and_a_file_are_taken_in_by_their_path() {
    for bench in benches().await {
        let directory = package("a", "1", json!({}));
        let path = |path: &Path| Source::Path(path.to_owned());
        let first = bench
            .platform
            .take_in(path(directory.path()), TakeIn::default())
            .await
            .unwrap();
        let beside = tempfile::tempdir().unwrap();
        let file = beside.path().join("a.zip");
        let objects = bench.home.path().join("objects/packages");
        std::fs::copy(objects.join(first.digest.to_string()), &file).unwrap();
        let second = bench
            .platform
            .take_in(path(&file), TakeIn::default())
            .await
            .unwrap();
        assert_eq!(second.version.id, first.version.id);
        assert!(file.exists(), "the caller's file stays");
        let missing = bench
            .platform
            .take_in(path(Path::new("/no/where")), TakeIn::default())
            .await;
        assert_eq!(missing.unwrap_err().code, codes::INPUT_UNREADABLE);
    }
}

#[tokio::test]
async fn a_bad_package_is_refused_with_its_findings_and_leaves_nothing() {
    for bench in benches().await {
        let cut = zip(&[("fake.json", r#"{"name":"a"}"#)]);
        let escaping = zip(&[("fake.json", r#"{"name":"a"}"#), ("../x", "")]);
        for bytes in [
            Vec::new(),
            b"not a zip".to_vec(),
            cut[..cut.len() - 5].to_vec(),
            escaping,
            zip(&[("fake.json", "not JSON")]),
        ] {
            let problem = take(&bench.platform, bytes).await.unwrap_err();
            assert_eq!(problem.code, codes::PACKAGE_INVALID);
            assert!(!problem.findings.is_empty());
            assert_nothing_kept(&bench).await;
        }
        let nameless = zip(&[("fake.json", r#"{"name":"../a"}"#)]);
        let problem = take(&bench.platform, nameless).await.unwrap_err();
        assert_eq!(problem.code, codes::PLUGIN_NAME_INVALID);
        assert_nothing_kept(&bench).await;
    }
}

#[tokio::test]
async fn a_package_of_a_kind_that_is_not_here_is_called_by_it() {
    let devices = r#"{"name":"lamp","support_devices":[]}"#;
    let tenant = r#"{"perf":{"category":"analyst-plugin:perf","config_group":[]}}"#;
    for bench in benches().await {
        for (files, kind, sign) in [
            (vec![("DockerFile", "FROM x")], "container", "`DockerFile`"),
            (
                vec![("lamp/Dockerfile", ""), ("lamp/main.go", "")],
                "container",
                "`Dockerfile`",
            ),
            (
                vec![("config.json", devices)],
                "container",
                "`support_devices` in `config.json`",
            ),
            (
                vec![("plugins.json", tenant)],
                "tenant",
                "`config_group` in `plugins.json`",
            ),
        ] {
            let problem = take(&bench.platform, zip(&files)).await.unwrap_err();
            assert_eq!(problem.code, codes::KIND_ABSENT, "{files:?}");
            assert_eq!(problem.params["kind"], kind);
            assert_eq!(problem.params["sign"], sign);
            assert_eq!(problem.params["known"], format!("`{KIND}`"));
            assert_nothing_kept(&bench).await;
        }
        // Whoever says what it is is believed.
        let hinted = TakeIn {
            kind: Some(KIND),
            ..TakeIn::default()
        };
        let bytes = zip(&[("Dockerfile", ""), ("fake.json", r#"{"name":"a"}"#)]);
        bench.platform.take_in(stream(bytes), hinted).await.unwrap();
        for unlike in [
            vec![("docs/Dockerfile", ""), ("readme.md", "")],
            vec![("config.json", "{")],
            vec![("plugins.json", r#"{"a":{"config_group":[]},"b":1}"#)],
            vec![("plugins.json", "{}")],
        ] {
            let problem = take(&bench.platform, zip(&unlike)).await.unwrap_err();
            assert_eq!(problem.code, codes::KIND_UNKNOWN, "{unlike:?}");
        }
    }
}

#[tokio::test]
async fn a_package_of_no_kind_is_answered_with_what_was_seen() {
    for bench in benches().await {
        let bytes = zip(&[("readme.md", ""), ("src/main.c", "")]);
        let problem = take(&bench.platform, bytes.clone()).await.unwrap_err();
        assert_eq!(problem.code, codes::KIND_UNKNOWN);
        assert_eq!(problem.params["seen"], "`readme.md`, `src/`");
        let hinted = TakeIn {
            kind: Some(KIND),
            ..TakeIn::default()
        };
        let problem = bench
            .platform
            .take_in(stream(bytes.clone()), hinted)
            .await
            .unwrap_err();
        assert_eq!(problem.code, codes::PACKAGE_INVALID);
        let kind = Some(KindId::from_static("none"));
        let hinted = TakeIn {
            kind,
            ..TakeIn::default()
        };
        let problem = bench
            .platform
            .take_in(stream(bytes), hinted)
            .await
            .unwrap_err();
        assert_eq!(problem.code, codes::KIND_NOT_SERVED);
        assert_nothing_kept(&bench).await;
    }
}

#[tokio::test]
async fn a_wrapping_directory_is_noticed_and_said() {
    for bench in benches().await {
        let bytes = zip(&[("a/fake.json", r#"{"name":"a"}"#), ("a/x", "")]);
        for kind in [None, Some(KIND)] {
            let options = TakeIn {
                kind,
                ..TakeIn::default()
            };
            let problem = bench
                .platform
                .take_in(stream(bytes.clone()), options)
                .await
                .unwrap_err();
            let wrapped = problem
                .findings
                .iter()
                .find(|it| it.code == codes::PACKAGE_WRAPPED);
            assert_eq!(wrapped.unwrap().params["directory"], "a");
        }
        assert_nothing_kept(&bench).await;
    }
}

#[tokio::test]
async fn a_package_for_another_plugin_than_the_one_named_is_refused() {
    for bench in benches().await {
        let bytes = zip(&[("fake.json", r#"{"name":"a"}"#)]);
        let options = TakeIn {
            expected_key: Some("b".to_owned()),
            ..TakeIn::default()
        };
        let problem = bench
            .platform
            .take_in(stream(bytes), options)
            .await
            .unwrap_err();
        assert_eq!(problem.findings[0].code, codes::MANIFEST_NAME_MISMATCH);
    }
}

#[tokio::test]
async fn a_package_over_the_limit_is_refused_while_it_comes() {
    for test in testing::databases().await {
        let limit = plugyard_model::ByteSize(100_000);
        let change = |settings| Settings {
            package_limit: limit,
            ..settings
        };
        let bench = Bench::with(test, change).await;
        // Endless: only the limit can end it.
        let source = Source::Stream(Box::pin(tokio::io::repeat(0)));
        let problem = bench
            .platform
            .take_in(source, TakeIn::default())
            .await
            .unwrap_err();
        assert_eq!(problem.code, codes::PACKAGE_TOO_LARGE);
        assert_nothing_kept(&bench).await;
    }
}

#[tokio::test]
async fn inspecting_says_the_same_and_keeps_nothing() {
    for bench in benches().await {
        let bytes = zip(&[("fake.json", r#"{"name":"a"}"#), ("../x", "")]);
        let options = TakeIn::default();
        let inspected: Inspected = bench
            .platform
            .inspect(stream(bytes.clone()), &options)
            .await
            .unwrap();
        assert_nothing_kept(&bench).await;
        let refused = take(&bench.platform, bytes).await.unwrap_err();
        assert_eq!(inspected.inspection.findings, refused.findings);
    }
}
