//! Changes that go well, badly, at once, and that are stopped.

use futures::StreamExt as _;
use plugyard_http::PageQuery;
use plugyard_model::{HealthState, OperationId, StepName, Wanted, codes};
use plugyard_platform::events::{Event, codes as event_codes};
use plugyard_platform::operations::{InstallOptions, OperationFilter, OperationState, StepState};
use plugyard_platform::{ChangeRequest, OperationView, Outcome, Platform};
use sea_orm::ConnectionTrait as _;
use serde_json::json;

use crate::support::{Bench, benches, operator, plugin, world};

async fn operations(bench: &Bench) -> Vec<OperationView> {
    let page = PageQuery::default();
    bench
        .platform
        .operations(&OperationFilter::default(), &page)
        .await
        .unwrap()
        .items
}

#[tokio::test]
async fn an_installation_ends_ready_with_all_its_steps_done() {
    for bench in benches().await {
        let version = bench.installed("a").await;
        let view = bench.platform.installation("a").await.unwrap();
        assert_eq!(view.current.as_ref(), Some(&version));
        assert_eq!((view.previous, view.operation), (None, None));
        assert_eq!(view.wanted, Wanted::Running);
        assert_eq!(bench.kind.effects("a"), world(&version, &[&version]));

        let operation = operations(&bench).await.remove(0);
        assert_eq!(operation.state, OperationState::Done);
        assert!(
            operation
                .steps
                .iter()
                .all(|step| step.state == StepState::Done)
        );
        assert_eq!(operation.steps[0].output, Some(json!({ "did": "unpack" })));
        assert_eq!(operation.created_by, "tester");
        let installed = bench
            .platform
            .installation("a")
            .await
            .unwrap()
            .installed()
            .unwrap();
        assert_eq!(
            bench.platform.probe(&installed).await.state,
            HealthState::Ready
        );
        assert_eq!(
            bench.platform.health(&plugin("a")).state,
            HealthState::Ready
        );
    }
}

#[tokio::test]
async fn a_step_that_fails_is_undone_with_those_before_it_and_the_old_version_works() {
    for bench in benches().await {
        let old = bench.installed("a").await;
        for failing in ["unpack", "start", "probe", "switch"] {
            let bad = bench
                .version("a", failing, json!({ "fail": [failing] }))
                .await;
            let id = bench
                .platform
                .upgrade(&operator(), &plugin("a"), bad.id)
                .await
                .unwrap();
            let outcome = bench.platform.wait(id).await.unwrap();
            let Outcome::RolledBack(problem) = outcome else {
                panic!("{failing}: {outcome:?}")
            };
            assert_eq!(problem.code, codes::ROLLED_BACK);
            assert_eq!(problem.params["reason"], format!("{failing} went wrong"));
            assert_eq!(problem.params["previous"], "1");

            assert_eq!(bench.kind.effects("a"), world(&old, &[&old]), "{failing}");
            let view = bench.platform.installation("a").await.unwrap();
            assert_eq!(view.current.as_ref(), Some(&old));
            let operation = bench.platform.operation(id).await.unwrap();
            assert_eq!(operation.state, OperationState::RolledBack);
            let failure = operation.failure.unwrap();
            assert_eq!(failure.text, format!("\n{failing} went wrong\nsecond line"));
            let states: Vec<_> = operation.steps.iter().map(|step| step.state).collect();
            let at = operation
                .steps
                .iter()
                .position(|step| step.action == failing)
                .unwrap();
            assert_eq!(states[at], StepState::Failed);
            assert!(states[..at].iter().all(|state| *state == StepState::Undone));
            assert!(
                states[at + 1..]
                    .iter()
                    .all(|state| *state == StepState::Skipped)
            );
        }
    }
}

#[tokio::test]
async fn a_first_installation_that_fails_leaves_nothing() {
    for bench in benches().await {
        let bad = bench.version("a", "1", json!({ "fail": ["start"] })).await;
        let name = plugin("a");
        let id = bench
            .platform
            .install(&operator(), &name, bad.id, InstallOptions::default())
            .await;
        let id = id.unwrap();
        let outcome = bench.platform.wait(id).await.unwrap();
        assert!(matches!(&outcome, Outcome::Failed(problem) if problem.code == codes::STEP_FAILED));
        assert!(bench.kind.effects("a").is_empty());
        let gone = bench.platform.installation("a").await.unwrap_err();
        assert_eq!(gone.code, codes::PLUGIN_NOT_FOUND);
        assert_eq!(
            bench.platform.operation(id).await.unwrap().outcome(),
            Some(outcome)
        );
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_planned_claims_nothing() {
    for bench in benches().await {
        let bad = bench.version("a", "1", json!({ "fail": ["plan"] })).await;
        let request = ChangeRequest::Install {
            version: bad.id,
            wanted: None,
        };
        let result = bench
            .platform
            .change(&operator(), &plugin("a"), request)
            .await;
        assert_eq!(result.unwrap_err().code, codes::STEP_FAILED);
        assert!(bench.platform.installation("a").await.is_err());
        assert!(operations(&bench).await.is_empty());
        bench.installed("a").await;
    }
}

#[tokio::test]
async fn a_step_after_the_commit_cannot_fail_the_change() {
    for bench in benches().await {
        bench.installed("a").await;
        let new = bench.version("a", "2", json!({ "fail": ["stop"] })).await;
        let id = bench
            .platform
            .upgrade(&operator(), &plugin("a"), new.id)
            .await
            .unwrap();
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
        let operation = bench.platform.operation(id).await.unwrap();
        let last = operation.steps.last().unwrap();
        assert_eq!((last.name, last.state), (StepName::Stop, StepState::Failed));
        assert!(last.error.as_ref().unwrap().contains("stop went wrong"));
    }
}

#[tokio::test]
async fn a_panic_in_a_kind_is_a_failed_step() {
    for bench in benches().await {
        let old = bench.installed("a").await;
        let bad = bench.version("a", "2", json!({ "panic": ["start"] })).await;
        let id = bench
            .platform
            .upgrade(&operator(), &plugin("a"), bad.id)
            .await
            .unwrap();
        assert!(matches!(
            bench.platform.wait(id).await.unwrap(),
            Outcome::RolledBack(_)
        ));
        assert_eq!(bench.kind.effects("a"), world(&old, &[&old]));
    }
}

#[tokio::test]
async fn a_second_change_is_refused_at_once_while_other_plugins_go_on() {
    for bench in benches().await {
        bench.installed("a").await;
        let new = bench.version("a", "2", json!({})).await;
        bench.kind.gate.closed_for.lock().push("unpack".to_owned());
        let id = bench
            .platform
            .upgrade(&operator(), &plugin("a"), new.id)
            .await
            .unwrap();
        bench.kind.gate.arrived.notified().await;
        bench.kind.gate.closed_for.lock().clear();

        let second = bench
            .platform
            .restart(&operator(), &plugin("a"))
            .await
            .unwrap_err();
        assert_eq!(second.code, codes::OPERATION_IN_PROGRESS);
        assert_eq!(second.params["operation"], id.to_string());
        let view = bench.platform.installation("a").await.unwrap();
        assert_eq!(view.operation, Some(id));
        bench.installed("b").await;

        bench.kind.gate.open.notify_one();
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
    }
}

#[tokio::test]
async fn whoever_finds_a_change_that_is_still_being_planned_can_wait_for_it() {
    for bench in benches().await {
        bench.installed("a").await;
        let new = bench.version("a", "2", json!({})).await;
        bench.kind.gate.closed_for.lock().push("plan".to_owned());
        let platform = bench.platform.clone();
        let upgrading = tokio::spawn(async move {
            let (who, plugin) = (operator(), plugin("a"));
            platform.upgrade(&who, &plugin, new.id).await.unwrap()
        });
        bench.kind.gate.arrived.notified().await;
        bench.kind.gate.closed_for.lock().clear();

        let second = bench.platform.restart(&operator(), &plugin("a")).await;
        let id: OperationId = second.unwrap_err().params["operation"].parse().unwrap();
        let outcome = {
            let waiting = bench.platform.wait(id);
            tokio::pin!(waiting);
            assert!(futures::poll!(&mut waiting).is_pending());
            bench.kind.gate.open.notify_one();
            waiting.await.unwrap()
        };
        assert_eq!(outcome, Outcome::Done, "{}", bench.test.sort);
        assert_eq!(upgrading.await.unwrap(), id);
    }
}

#[tokio::test]
async fn of_many_changes_begun_at_once_one_goes_and_the_others_are_refused() {
    for bench in benches().await {
        bench.installed("a").await;
        bench
            .kind
            .gate
            .closed_for
            .lock()
            .push("start_again".to_owned());
        let requests = (0..10).map(|_| {
            let platform = bench.platform.clone();
            tokio::spawn(async move { platform.restart(&operator(), &plugin("a")).await })
        });
        let mut begun = Vec::new();
        for request in requests.collect::<Vec<_>>() {
            match request.await.unwrap() {
                Ok(id) => begun.push(id),
                Err(problem) => assert_eq!(problem.code, codes::OPERATION_IN_PROGRESS),
            }
        }
        assert_eq!(begun.len(), 1, "{}", bench.test.sort);
        bench.kind.gate.open.notify_one();
        assert_eq!(bench.platform.wait(begun[0]).await.unwrap(), Outcome::Done);
    }
}

#[tokio::test]
async fn a_cancelled_change_goes_back_and_a_finished_one_cannot_be_cancelled() {
    for bench in benches().await {
        let old = bench.installed("a").await;
        let new = bench.version("a", "2", json!({})).await;
        bench.kind.gate.closed_for.lock().push("start".to_owned());
        let id = bench
            .platform
            .upgrade(&operator(), &plugin("a"), new.id)
            .await
            .unwrap();
        bench.kind.gate.arrived.notified().await;
        bench.platform.cancel(id).await.unwrap();
        let outcome = bench.platform.wait(id).await.unwrap();
        assert!(
            matches!(&outcome, Outcome::Cancelled(it) if it.code == codes::OPERATION_CANCELLED)
        );
        assert_eq!(bench.kind.effects("a"), world(&old, &[&old]));
        let late = bench.platform.cancel(id).await.unwrap_err();
        assert_eq!(late.code, codes::OPERATION_PAST_COMMIT);
    }
}

#[tokio::test]
async fn a_change_past_its_commit_cannot_be_cancelled() {
    for bench in benches().await {
        bench.installed("a").await;
        let new = bench.version("a", "2", json!({})).await;
        bench.kind.gate.closed_for.lock().push("stop".to_owned());
        let id = bench
            .platform
            .upgrade(&operator(), &plugin("a"), new.id)
            .await
            .unwrap();
        bench.kind.gate.arrived.notified().await;
        let late = bench.platform.cancel(id).await.unwrap_err();
        assert_eq!(late.code, codes::OPERATION_PAST_COMMIT);
        bench.kind.gate.open.notify_one();
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
    }
}

#[tokio::test]
async fn what_could_not_be_undone_is_undone_at_the_next_start_or_before_the_next_change() {
    for bench in benches().await {
        let old = bench.installed("a").await;
        for by_restart in [true, false] {
            let label = format!("2 {by_restart}");
            let bad = bench
                .version("a", &label, json!({ "fail": ["probe"] }))
                .await;
            *bench.kind.broken_undo.lock() = Some("start".to_owned());
            let id = bench
                .platform
                .upgrade(&operator(), &plugin("a"), bad.id)
                .await
                .unwrap();
            let outcome = bench.platform.wait(id).await.unwrap();
            let Outcome::UndoFailed(problem) = outcome else {
                panic!("{outcome:?}")
            };
            assert_eq!(problem.params["undo"], "cannot go back");

            let refused = bench
                .platform
                .restart(&operator(), &plugin("a"))
                .await
                .unwrap_err();
            assert_eq!(refused.code, codes::UNDO_FAILED);
            *bench.kind.broken_undo.lock() = None;
            if by_restart {
                bench.reopen().await;
            } else {
                let id = bench
                    .platform
                    .restart(&operator(), &plugin("a"))
                    .await
                    .unwrap();
                assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
            }
            assert_eq!(bench.kind.effects("a"), world(&old, &[&old]));
            let state = bench.platform.operation(id).await.unwrap().state;
            assert_eq!(state, OperationState::RolledBack);
        }
    }
}

#[tokio::test]
async fn a_plugin_whose_way_back_fails_can_still_be_taken_away() {
    for bench in benches().await {
        let bad = bench.version("a", "1", json!({ "fail": ["probe"] })).await;
        *bench.kind.broken_undo.lock() = Some("start".to_owned());
        let name = plugin("a");
        let id = bench
            .platform
            .install(&operator(), &name, bad.id, InstallOptions::default())
            .await;
        let outcome = bench.platform.wait(id.unwrap()).await.unwrap();
        assert!(matches!(outcome, Outcome::UndoFailed(_)));
        let id = bench
            .platform
            .uninstall(&operator(), &name, false)
            .await
            .unwrap();
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
        assert!(bench.kind.effects("a").is_empty());
        *bench.kind.broken_undo.lock() = None;
        bench.installed("a").await;
    }
}

#[tokio::test]
async fn versions_are_exchanged_and_remembered() {
    for bench in benches().await {
        let first = bench.installed("a").await;
        let second = bench.version("a", "2", json!({})).await;
        let (who, name) = (operator(), plugin("a"));
        let versions = async || {
            let view = bench.platform.installation("a").await.unwrap();
            (view.current.map(|it| it.id), view.previous.map(|it| it.id))
        };
        let nothing = bench
            .platform
            .rollback(&who, &name, None)
            .await
            .unwrap_err();
        assert_eq!(nothing.code, codes::NO_PREVIOUS_VERSION);

        let id = bench
            .platform
            .upgrade(&who, &name, second.id)
            .await
            .unwrap();
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
        assert_eq!(versions().await, (Some(second.id), Some(first.id)));

        // The same version again is a restart, and changes neither.
        let id = bench
            .platform
            .upgrade(&who, &name, second.id)
            .await
            .unwrap();
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
        assert_eq!(versions().await, (Some(second.id), Some(first.id)));

        let id = bench.platform.rollback(&who, &name, None).await.unwrap();
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
        assert_eq!(versions().await, (Some(first.id), Some(second.id)));
        assert_eq!(bench.kind.effects("a"), world(&first, &[&first, &second]));
    }
}

#[tokio::test]
async fn what_is_wanted_is_kept_and_a_dry_run_changes_nothing() {
    for bench in benches().await {
        let version = bench.installed("a").await;
        let (who, name) = (operator(), plugin("a"));
        let plan = bench
            .platform
            .plan_only(&name, ChangeRequest::Disable)
            .await
            .unwrap();
        assert_eq!(plan.steps.len(), 2);
        let before = bench.platform.installation("a").await.unwrap();
        assert_eq!(before.wanted, Wanted::Running);

        let id = bench.platform.disable(&who, &name).await.unwrap();
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
        let view = bench.platform.installation("a").await.unwrap();
        assert_eq!(view.wanted, Wanted::Stopped);
        assert!(view.revision > before.revision);

        let id = bench.platform.enable(&who, &name).await.unwrap();
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
        assert_eq!(bench.kind.effects("a"), world(&version, &[&version]));

        let id = bench.platform.uninstall(&who, &name, false).await.unwrap();
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
        assert!(bench.platform.installation("a").await.is_err());
        let gone = bench
            .platform
            .uninstall(&who, &name, false)
            .await
            .unwrap_err();
        assert_eq!(gone.code, codes::PLUGIN_NOT_FOUND);
    }
}

#[tokio::test]
async fn a_stopping_server_takes_back_what_is_under_way() {
    for bench in benches().await {
        let old = bench.installed("a").await;
        let new = bench.version("a", "2", json!({})).await;
        bench.kind.gate.closed_for.lock().push("start".to_owned());
        let id = bench
            .platform
            .upgrade(&operator(), &plugin("a"), new.id)
            .await
            .unwrap();
        bench.kind.gate.arrived.notified().await;
        bench.platform.shut_down().await;
        assert_eq!(bench.kind.effects("a"), world(&old, &[&old]));
        let state = bench.platform.operation(id).await.unwrap().state;
        assert_eq!(state, OperationState::Cancelled);
        let refused = bench
            .platform
            .restart(&operator(), &plugin("a"))
            .await
            .unwrap_err();
        assert_eq!(refused.code, codes::SHUTTING_DOWN);
    }
}

#[tokio::test]
async fn a_change_whose_database_goes_away_is_taken_up_when_it_is_back() {
    for test in plugyard_store::testing::databases().await {
        let store_patience = std::time::Duration::from_millis(100);
        let change = |settings| plugyard_platform::Settings {
            store_patience,
            ..settings
        };
        let bench = Bench::with(test, change).await;
        let old = bench.installed("a").await;
        let new = bench.version("a", "2", json!({})).await;
        bench.kind.gate.closed_for.lock().push("start".to_owned());
        let id = bench
            .platform
            .upgrade(&operator(), &plugin("a"), new.id)
            .await
            .unwrap();
        bench.kind.gate.arrived.notified().await;
        bench.kind.gate.closed_for.lock().clear();

        let sql = async |text: &str| {
            bench
                .test
                .database
                .conn()
                .execute_unprepared(text)
                .await
                .unwrap();
        };
        sql("ALTER TABLE operation_steps RENAME TO gone").await;
        let waiting = tokio::spawn({
            let platform = bench.platform.clone();
            async move { platform.wait(id).await }
        });
        bench.kind.gate.open.notify_one();
        // Nobody waits for ever; and the plugin stays claimed.
        assert_eq!(
            waiting.await.unwrap().unwrap_err().code,
            codes::STORE_UNAVAILABLE
        );
        let busy = bench
            .platform
            .restart(&operator(), &plugin("a"))
            .await
            .unwrap_err();
        assert_eq!(busy.code, codes::OPERATION_IN_PROGRESS);

        sql("ALTER TABLE gone RENAME TO operation_steps").await;
        let mut events = bench.platform.events(Some(0)).await.unwrap();
        let ended = |event: &Event| {
            event.code == event_codes::OPERATION_ENDED
                && event.params["operation"] == id.to_string()
        };
        while !ended(&events.next().await.unwrap()) {}
        let state = bench.platform.operation(id).await.unwrap().state;
        assert_eq!(state, OperationState::RolledBack);
        assert_eq!(bench.kind.effects("a"), world(&old, &[&old]));
    }
}

#[tokio::test]
async fn a_recovery_that_takes_long_keeps_no_other_plugin_waiting() {
    for bench in benches().await {
        let slow = bench.installed("slow").await;
        bench.installed("other").await;
        let bad = bench
            .version("slow", "2", json!({ "fail": ["probe"] }))
            .await;
        *bench.kind.broken_undo.lock() = Some("start".to_owned());
        let id = bench
            .platform
            .upgrade(&operator(), &plugin("slow"), bad.id)
            .await
            .unwrap();
        let outcome = bench.platform.wait(id).await.unwrap();
        assert!(matches!(outcome, Outcome::UndoFailed(_)));
        *bench.kind.broken_undo.lock() = None;
        *bench.kind.slow_undo.lock() = Some("start".to_owned());
        bench.kind.resumed.lock().clear();

        let mut settings = bench.platform.settings().clone();
        settings.recovery_patience = std::time::Duration::from_millis(50);
        let platform = Platform::open(settings, vec![bench.kind.clone()])
            .await
            .unwrap();
        platform.recover().await.unwrap();
        assert_eq!(*bench.kind.resumed.lock(), ["other"]);

        bench.kind.gate.open.notify_one();
        while !bench.kind.resumed.lock().contains(&"slow".to_owned()) {
            bench.kind.came_back.notified().await;
        }
        assert_eq!(bench.kind.effects("slow"), world(&slow, &[&slow]));
    }
}

#[tokio::test]
async fn an_uninstallation_begun_over_a_failed_way_back_settles_it_for_good() {
    for bench in benches().await {
        bench.installed("a").await;
        let bad = bench.version("a", "2", json!({ "fail": ["probe"] })).await;
        *bench.kind.broken_undo.lock() = Some("start".to_owned());
        let id = bench
            .platform
            .upgrade(&operator(), &plugin("a"), bad.id)
            .await
            .unwrap();
        let outcome = bench.platform.wait(id).await.unwrap();
        assert!(matches!(outcome, Outcome::UndoFailed(_)));
        let id = bench
            .platform
            .uninstall(&operator(), &plugin("a"), false)
            .await
            .unwrap();
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
        *bench.kind.broken_undo.lock() = None;
        // Nothing of the old way back is tried on what is gone.
        bench.reopen().await;
        assert!(bench.kind.effects("a").is_empty());
    }
}

#[tokio::test]
async fn what_was_unpacked_and_is_gone_is_made_again_at_the_start() {
    for bench in benches().await {
        let version = bench.installed("a").await;
        let before = bench.kind.effects("a");
        let resting = bench.installed("resting").await;
        let id = bench
            .platform
            .disable(&operator(), &plugin("resting"))
            .await
            .unwrap();
        bench.platform.wait(id).await.unwrap();
        for (key, version) in [("a", &version), ("resting", &resting)] {
            let unpacked = format!("effects/{key}/unpacked/{}", version.digest);
            std::fs::remove_file(bench.home.path().join(unpacked)).unwrap();
        }
        let platform = bench.reopen().await;
        let filter = OperationFilter {
            plugin: Some(plugin("a")),
        };
        let page = PageQuery::default();
        let latest = platform.operations(&filter, &page).await.unwrap().items;
        let operation = &latest[0];
        assert_eq!(operation.created_by, "server");
        assert_eq!(platform.wait(operation.id).await.unwrap(), Outcome::Done);
        assert_eq!(bench.kind.effects("a"), before);
        // What rests is made again when it is let work.
        let effects = bench.kind.effects("resting");
        assert_eq!(effects.keys().collect::<Vec<_>>(), ["current"]);
        let id = platform
            .enable(&operator(), &plugin("resting"))
            .await
            .unwrap();
        assert_eq!(platform.wait(id).await.unwrap(), Outcome::Done);
        assert_eq!(bench.kind.effects("resting"), world(&resting, &[&resting]));
    }
}
