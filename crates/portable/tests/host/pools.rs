//! Several processes, channels and acknowledgements at a time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use plugyard_model::HealthState;
use plugyard_platform::kind::{Installation, Version};
use plugyard_portable::Span;
use plugyard_portable::testing::toolbox_dir;
use plugyard_symbol::{BoundFunction, Value};
use serde_json::{Value as Json, json};

use crate::calls::{bind, text};
use crate::support::{Rig, kill, message, numbers_in, python};

fn toolbox(rig: &Rig, version: &str, options: Json) -> Version {
    let mut packed = rig.package(|at| toolbox_dir(at, version));
    packed.options = options;
    packed
}

/// The pids of the plugin's processes, by number.
async fn workers(rig: &Rig) -> Vec<Option<i32>> {
    let installation: Installation = rig.installation("toolbox").unwrap();
    let details = rig.kind.details(&installation).await;
    let processes = details["processes"].as_array().unwrap();
    let pid = |process: &Json| process["pid"].as_i64();
    processes
        .iter()
        .map(|worker| pid(worker).map(|pid| i32::try_from(pid).unwrap()))
        .collect()
}

/// Calls that are all under way at once, each at its own process or channel.
async fn all_at_once(function: &Arc<dyn BoundFunction>, count: usize) {
    let calls = (0..count).map(|_| function.call(&[Value::Int(1500)]));
    for answer in join_all(calls).await {
        assert_eq!(text(answer.unwrap()), "1500");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn host_31_workers_share_the_calls_and_one_that_ends_is_made_good() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.recv_timeout = Span::secs(20);
    });
    // A deadline that sleeps one after the other would not keep.
    let options = json!({"workers": 3, "call_timeouts": {"sleep": "4s"}});
    rig.install(&toolbox(&rig, "v1", options)).await.unwrap();
    let pids = workers(&rig).await;
    assert_eq!(pids.iter().flatten().collect::<BTreeSet<_>>().len(), 3);
    let (sleep, same) = (bind(&rig, "sleep"), bind(&rig, "same"));
    all_at_once(&sleep, 3).await;
    assert_eq!(text(same.call(&[Value::Int(1)]).await.unwrap()), "1");

    // One beside the first ends: calls go on without a pause, and it comes back.
    kill(pids[1].unwrap());
    rig.until("toolbox", HealthState::Degraded).await;
    for n in 0..20 {
        assert_eq!(
            text(same.call(&[Value::Int(n)]).await.unwrap()),
            n.to_string()
        );
    }
    rig.until("toolbox", HealthState::Ready).await;
    let again = workers(&rig).await;
    assert_eq!((again[0], again[2]), (pids[0], pids[2]));
    assert_ne!(again[1], pids[1]);
    all_at_once(&sleep, 3).await;

    // The first ends, which has the sources besides: calls go on with the others.
    let (source, inbox) = rig.source("numbers", "r").await;
    inbox.more(3).await;
    kill(pids[0].unwrap());
    inbox
        .until("told", |inbox| !inbox.exceptions().is_empty())
        .await;
    for n in 0..20 {
        assert_eq!(
            text(same.call(&[Value::Int(n)]).await.unwrap()),
            n.to_string()
        );
    }
    inbox.more(3).await;
    rig.until("toolbox", HealthState::Ready).await;
    assert!(workers(&rig).await.iter().all(Option::is_some));
    let history = rig.status("toolbox")["history"].clone();
    assert_eq!(
        (&history[0]["worker"], &history[1]["worker"]),
        (&json!(1), &json!(0))
    );
    source.stop().await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_35_a_pool_changes_as_one_and_may_change_its_size() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&toolbox(&rig, "v1", json!({"workers": 2})))
        .await
        .unwrap();
    let version = bind(&rig, "version");
    let (ended, end) = tokio::sync::watch::channel(false);
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (version, end) = (Arc::clone(&version), end.clone());
            tokio::spawn(async move {
                let mut answers = Vec::new();
                while !*end.borrow() {
                    answers.push(text(version.call(&[]).await.unwrap()));
                }
                answers
            })
        })
        .collect();
    let before = workers(&rig).await;
    for (n, size) in [(2, 3), (3, 1), (4, 2)] {
        let next = toolbox(&rig, &format!("v{n}"), json!({"workers": size}));
        rig.upgrade(&next).await.unwrap();
        let now = workers(&rig).await;
        assert_eq!(now.len(), size);
        assert!(now.iter().all(|pid| pid.is_some() && !before.contains(pid)));
    }
    ended.send_replace(true);
    for caller in callers {
        let mut answers = caller.await.unwrap();
        answers.dedup();
        assert_eq!(answers, [r#""v1""#, r#""v2""#, r#""v3""#, r#""v4""#]);
    }
    // Nothing of the earlier ones is left.
    for pid in before.into_iter().flatten() {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_31_a_function_may_have_several_channels_in_one_process() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&toolbox(
        &rig,
        "v1",
        json!({"function_channels": 4, "call_timeout": 4500}),
    ))
    .await
    .unwrap();
    // One after the other they would take longer than a call may.
    all_at_once(&bind(&rig, "sleep"), 4).await;
    let error = bind(&rig, "sleep").call(&[Value::Int(9000)]).await;
    assert!(error.unwrap_err().text.starts_with("time out"), "HOST-32");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_27_messages_are_under_way_before_their_acknowledgements_and_keep_their_order() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.recv_timeout = Span::secs(3);
    });
    rig.install(&toolbox(&rig, "v1", json!({"acks_under_way": 8})))
        .await
        .unwrap();
    let (mut sink, observer) = rig.sink("notebook", "r", json!({"requireAck": true})).await;
    for round in 0..5 {
        let messages = (0..40).map(|n| message(round * 40 + n)).collect();
        for outcome in sink.send_many(messages).await {
            outcome.unwrap();
        }
    }
    sink.stop().await.unwrap();
    let numbers = numbers_in(&rig.data("toolbox", "notebook"));
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());

    // Each has the answer that belongs to it.
    let (mut sink, _) = rig.sink("picky", "r", json!({"requireAck": true})).await;
    let outcomes = sink.send_many((0..20).map(message).collect()).await;
    for (n, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(()) => assert!(n % 3 != 0, "{n}"),
            Err(error) => assert_eq!((n % 3, error.text.as_str()), (0, "not this one")),
        }
    }
    sink.stop().await.unwrap();

    // Those that nobody answers fail together, not one after the other.
    let (mut sink, _) = rig.sink("silent", "r", json!({"requireAck": true})).await;
    let sending = sink.send_many((0..8).map(message).collect());
    let outcomes = tokio::time::timeout(Duration::from_secs(20), sending)
        .await
        .expect("one after the other they would take 24 s");
    assert!(outcomes.iter().all(Result::is_err));
    sink.stop().await.unwrap();
    assert!(observer.exceptions().is_empty());
    rig.end().await;
}
