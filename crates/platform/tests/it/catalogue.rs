//! Finding what there is, and making room.

use plugyard_http::PageQuery;
use plugyard_model::{HealthState, codes};
use plugyard_platform::Outcome;
use plugyard_platform::installations::InstallationFilter;
use serde_json::json;

use crate::support::{benches, operator, plugin};

#[tokio::test]
async fn a_name_that_is_nearly_right_is_answered_with_what_may_be_meant() {
    for bench in benches().await {
        bench.installed("pysam").await;
        bench.installed("mirror").await;
        let problem = bench.platform.installation("pysan").await.unwrap_err();
        assert_eq!(problem.code, codes::PLUGIN_NOT_FOUND);
        assert_eq!(problem.params["similar"], "fake:pysam");
        for name in ["pysam", "fake:pysam"] {
            assert!(bench.platform.installation(name).await.is_ok());
        }
        let other = bench
            .platform
            .installation("other:pysam")
            .await
            .unwrap_err();
        assert_eq!(other.code, codes::PLUGIN_NOT_FOUND);
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
    for bench in benches().await {
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
