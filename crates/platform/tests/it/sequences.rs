//! Whatever is done to a plugin, in whatever order, and whichever steps fail: what is there is what the
//! rows say.

use plugyard_model::VersionId;
use plugyard_platform::{ChangeRequest, Outcome};
use plugyard_store::testing;
use proptest::prelude::*;
use serde_json::json;

use crate::support::{Bench, operator, plugin};

/// What is asked for; versions by their place among those made.
#[derive(Debug, Clone)]
enum Request {
    Install(usize),
    Upgrade(usize),
    Rollback,
    Enable,
    Disable,
    Restart,
    Uninstall,
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        2 => (0..4_usize).prop_map(Request::Install),
        4 => (0..4_usize).prop_map(Request::Upgrade),
        2 => Just(Request::Rollback),
        1 => Just(Request::Enable),
        1 => Just(Request::Disable),
        1 => Just(Request::Restart),
        1 => Just(Request::Uninstall),
    ]
}

/// Which steps of each version fail.
fn failing() -> impl Strategy<Value = Vec<Vec<&'static str>>> {
    let steps = vec![
        "plan",
        "unpack",
        "start",
        "probe",
        "switch",
        "stop",
        "start_again",
    ];
    let some = proptest::sample::subsequence(steps, 0..3);
    proptest::collection::vec(prop_oneof![2 => Just(Vec::new()), 1 => some], 4)
}

async fn check(failing: Vec<Vec<&'static str>>, requests: Vec<Request>) {
    let bench = Bench::new(testing::sqlite().await).await;
    let name = plugin("a");
    let mut versions = Vec::new();
    for (index, fail) in failing.iter().enumerate() {
        let label = index.to_string();
        versions.push(bench.version("a", &label, json!({ "fail": fail })).await);
    }
    let id = |index: usize| -> VersionId { versions[index].id };
    for request in requests {
        let before = bench.kind.effects("a");
        let change = match request {
            Request::Install(index) => ChangeRequest::Install {
                version: id(index),
                wanted: None,
            },
            Request::Upgrade(index) => ChangeRequest::Upgrade { version: id(index) },
            Request::Rollback => ChangeRequest::Rollback { to: None },
            Request::Enable => ChangeRequest::Enable,
            Request::Disable => ChangeRequest::Disable,
            Request::Restart => ChangeRequest::Restart,
            Request::Uninstall => ChangeRequest::Uninstall { keep_data: false },
        };
        let outcome = match bench.platform.change(&operator(), &name, change).await {
            Ok(id) => bench.platform.wait(id).await.unwrap(),
            Err(problem) => Outcome::Failed(problem),
        };
        let after = bench.kind.effects("a");
        assert!(
            !matches!(outcome, Outcome::UndoFailed(_)),
            "{request:?}: {outcome:?}"
        );
        if outcome != Outcome::Done {
            assert_eq!(after, before, "{request:?}: {outcome:?}");
        }
        let view = bench.platform.installation("a").await.ok();
        let current = view
            .and_then(|view| view.current)
            .map(|it| it.digest.to_string());
        assert_eq!(
            after.get("current"),
            current.as_ref(),
            "{request:?}: {outcome:?}"
        );
    }
}

/// A plugin that rested rests again when a restart fails.
#[tokio::test]
async fn a_failed_restart_of_what_rested_starts_nothing() {
    let requests = vec![Request::Install(0), Request::Disable, Request::Restart];
    check(vec![vec!["start_again"]; 4], requests).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_is_there_is_what_the_rows_say(
        failing in failing(),
        requests in proptest::collection::vec(request(), 1..10),
    ) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(check(failing, requests));
    }
}
