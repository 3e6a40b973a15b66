//! Finding what there is, and making room.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use plugyard_http::PageQuery;
use plugyard_model::{HealthState, KindId, VersionId, codes};
use plugyard_platform::installations::InstallationFilter;
use plugyard_platform::operations::InstallOptions;
use plugyard_platform::{ChangeRequest, Clock, Kind, Outcome, Platform, Settings, Source, TakeIn};
use plugyard_store::testing;
use serde_json::json;

use crate::support::{Bench, Fake, KIND, benches, operator, package, plugin};

#[tokio::test]
async fn a_name_that_is_nearly_right_is_answered_with_what_may_be_meant() {
    for bench in benches().await {
        bench.installed("pysam").await;
        bench.installed("mirror").await;
        let problem = bench.platform.installation("pysan").await.unwrap_err();
        assert_eq!(problem.code, codes::PLUGIN_NOT_FOUND);
        assert_eq!(problem.params["similar"], "`fake:pysam`");
        for name in ["pysam", "fake:pysam"] {
            assert!(bench.platform.installation(name).await.is_ok());
        }
        let other = bench
            .platform
            .installation("other:pysam")
            .await
            .unwrap_err();
        assert_eq!(other.code, codes::PLUGIN_NOT_FOUND);
        // Who knows the name asks for it alone.
        let known = bench.platform.installation_of(&plugin("pysam")).await;
        assert_eq!(known.unwrap().unwrap().plugin, plugin("pysam"));
        let unknown = bench.platform.installation_of(&plugin("pysan")).await;
        assert_eq!(unknown.unwrap(), None);
    }
}

#[tokio::test]
async fn the_catalogue_is_listed_page_by_page_each_plugin_with_all_its_versions() {
    for bench in benches().await {
        for (key, label) in [
            ("c", "1"),
            ("B", "1"),
            ("a", "1"),
            ("a", "2"),
            ("d", "1"),
            ("e", "1"),
        ] {
            let directory = package(key, label, json!({}));
            let source = Source::Path(directory.path().to_owned());
            let taken = bench.platform.take_in(source, TakeIn::default()).await;
            taken.unwrap();
        }
        let mut query = PageQuery {
            cursor: None,
            limit: Some(2),
        };
        let (mut seen, mut pages) = (Vec::new(), 0);
        loop {
            let page = bench.platform.plugins(&query).await.unwrap();
            assert!(page.items.len() <= 2);
            pages += 1;
            for plugin in page.items {
                let labels = plugin.versions.into_iter().map(|it| it.version.label);
                seen.push((plugin.plugin.key.to_string(), labels.collect::<Vec<_>>()));
            }
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        let wanted = [
            ("B", &["1"][..]),
            ("a", &["2", "1"]),
            ("c", &["1"]),
            ("d", &["1"]),
            ("e", &["1"]),
        ];
        let wanted = wanted.map(|(key, labels)| {
            (
                key.to_owned(),
                labels.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>(),
            )
        });
        assert_eq!(seen, wanted);
        assert_eq!(pages, 3);
        query.limit = Some(501);
        let refused = bench.platform.plugins(&query).await.unwrap_err();
        assert_eq!(refused.code, codes::REQUEST_INVALID);
    }
}

#[tokio::test]
async fn installations_are_listed_page_by_page_in_the_order_of_their_names() {
    for bench in benches().await {
        for key in ["c", "B", "a", "d", "e"] {
            bench.installed(key).await;
        }
        let filter = InstallationFilter::default();
        let mut query = PageQuery {
            cursor: None,
            limit: Some(2),
        };
        let mut seen = Vec::new();
        loop {
            let page = bench.platform.installations(&filter, &query).await.unwrap();
            seen.extend(
                page.items
                    .iter()
                    .map(|it| it.plugin.key.as_str().to_owned()),
            );
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["B", "a", "c", "d", "e"]);
        let none = InstallationFilter {
            health: Some(HealthState::Failed),
            ..filter
        };
        let page = bench
            .platform
            .installations(&none, &PageQuery::default())
            .await
            .unwrap();
        assert!(page.items.is_empty());
    }
}

#[tokio::test]
async fn old_versions_go_but_never_the_current_and_the_previous() {
    for mut bench in benches().await {
        let (who, name) = (operator(), plugin("a"));
        let first = bench.installed("a").await;
        let second = bench.version("a", "2", json!({})).await;
        let id = bench
            .platform
            .upgrade(&who, &name, second.id)
            .await
            .unwrap();
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
        let mut later = Vec::new();
        for label in ["3", "4", "5", "6", "7"] {
            later.push(bench.version("a", label, json!({})).await);
        }
        let id = bench.platform.restart(&who, &name).await.unwrap();
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
        // Making room comes after the end; stopping waits for it.
        bench.platform.shut_down().await;
        let kept = bench.platform.versions(&name).await.unwrap();
        assert_eq!(kept.len(), 7, "what was just handed in may be asked for");
        bench.start_again().await;

        let kept = bench.platform.versions(&name).await.unwrap();
        let mut kept: Vec<_> = kept.into_iter().map(|it| it.version.label).collect();
        kept.sort();
        // The restart made the current version the latest of all.
        assert_eq!(kept, ["1", "2", "6", "7"]);
        assert!(bench.platform.package(&first.digest).await.is_ok());
        let gone = bench.platform.package(&later[0].digest).await.unwrap_err();
        assert_eq!(gone.code, codes::PACKAGE_NOT_FOUND);
        let objects = bench.home.path().join("objects/packages");
        assert_eq!(std::fs::read_dir(objects).unwrap().count(), 4);
    }
}

#[tokio::test]
async fn what_was_just_handed_in_waits_for_its_change() {
    for test in testing::databases().await {
        // Keeps nothing for later; and its clock goes backwards.
        let times = AtomicI64::new(1_800_000_000_000);
        let clock = Clock::new(move || times.fetch_sub(1, Ordering::SeqCst));
        let keep_versions = 0;
        let bench = Bench::with(test, |settings| Settings {
            clock,
            keep_versions,
            ..settings
        });
        let bench = bench.await;
        let (platform, who, name) = (&bench.platform, operator(), plugin("a"));
        let done = async |change| {
            let id = platform.change(&who, &name, change).await.unwrap();
            assert_eq!(platform.wait(id).await.unwrap(), Outcome::Done);
        };
        let gone = async |version: VersionId| {
            while platform.version(&name, version).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        let first = bench.installed("a").await.id;
        let second = bench.version("a", "2", json!({})).await.id;
        done(ChangeRequest::Upgrade { version: second }).await;
        // Two are handed in, by two people. The change of one ends before the other asks for theirs.
        let third = bench.version("a", "3", json!({})).await.id;
        let fourth = bench.version("a", "4", json!({})).await.id;
        done(ChangeRequest::Upgrade { version: fourth }).await;
        gone(first).await;
        done(ChangeRequest::Upgrade { version: third }).await;
        gone(second).await;
        // The same while it is taken away.
        let fifth = bench.version("a", "5", json!({})).await.id;
        done(ChangeRequest::Uninstall { keep_data: false }).await;
        gone(third).await;
        let version = fifth;
        done(ChangeRequest::Install {
            version,
            wanted: None,
        })
        .await;
    }
}

#[tokio::test]
async fn a_key_that_two_kinds_have_needs_its_kind() {
    for bench in benches().await {
        bench.installed("a").await;
        let other = KindId::from_static("other");
        let kinds: Vec<Arc<dyn Kind>> = vec![
            bench.kind.clone(),
            Fake::called(bench.home.path(), other.clone()),
        ];
        let settings = bench.platform.settings().clone();
        let platform = Platform::open(settings, kinds).await.unwrap();
        let directory = package("a", "1", json!({}));
        let source = || Source::Path(directory.path().to_owned());
        // Both recognise it; without a word the one registered first has it.
        let first = platform.take_in(source(), TakeIn::default()).await.unwrap();
        assert_eq!(first.plugin.kind, KIND);
        let hinted = TakeIn {
            kind: Some(other.clone()),
            ..TakeIn::default()
        };
        let second = platform.take_in(source(), hinted).await.unwrap();
        assert_eq!(second.plugin.kind, other);
        let id = platform
            .install(
                &operator(),
                &second.plugin,
                second.version.id,
                InstallOptions::default(),
            )
            .await
            .unwrap();
        assert_eq!(platform.wait(id).await.unwrap(), Outcome::Done);
        let problem = platform.installation("a").await.unwrap_err();
        assert_eq!(problem.code, codes::PLUGIN_AMBIGUOUS);
        assert_eq!(problem.params["candidates"], "`fake:a`, `other:a`");
        assert_eq!(
            platform.installation("other:a").await.unwrap().plugin.kind,
            other
        );
    }
}
