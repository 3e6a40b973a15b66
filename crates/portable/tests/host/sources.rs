//! What holds for sources whatever becomes of their rows.

use std::sync::Arc;

use plugyard_portable::testing::toolbox_dir;
use plugyard_symbol::{ErrorClass, SourceInbox, SourceRequest};
use serde_json::Map;

use crate::support::{Inbox, Rig, node, python};

async fn toolbox() -> Option<Rig> {
    let rig = Rig::new(&python()?);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    Some(rig)
}

fn request(rule: &str, op: &str, interval: f64) -> SourceRequest {
    SourceRequest {
        node: node(rule, op),
        datasource: String::new(),
        conf_key: None,
        config: Map::from_iter([("interval".to_owned(), interval.into())]),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn host_17_a_socket_path_that_a_living_instance_uses_is_refused() {
    let Some(rig) = toolbox().await else { return };
    let source = rig.catalog.source("numbers").unwrap();
    let inbox = Arc::new(Inbox::default());
    let told = || Arc::clone(&inbox) as Arc<dyn SourceInbox>;
    // Both are `/tmp/a_b_c_0.ipc` to the SDK.
    let first = source
        .start(request("a_b", "c", 1.0), told())
        .await
        .unwrap();
    inbox.more(1).await;
    let refused = source.start(request("a", "b_c", 1.0), told()).await;
    let error = refused.err().unwrap();
    assert_eq!(error.class, ErrorClass::Refused, "{error}");
    inbox.more(5).await;
    first.stop().await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_21_a_source_that_is_stopped_in_mid_flow_says_nothing_of_a_broken_channel() {
    let Some(rig) = toolbox().await else { return };
    let source = rig.catalog.source("numbers").unwrap();
    for _ in 0..5 {
        let inbox = Arc::new(Inbox::default());
        let told = Arc::clone(&inbox) as Arc<dyn SourceInbox>;
        let handle = source.start(request("r", "s", 0.1), told).await.unwrap();
        inbox.more(200).await;
        handle.stop().await.unwrap();
        assert_eq!(inbox.exceptions(), Vec::<String>::new());
    }
    let (lines, _) = rig.kind.logs(&"portable:toolbox".parse().unwrap(), 1000);
    let traces: Vec<_> = lines
        .iter()
        .filter(|line| line.text.contains("Traceback"))
        .collect();
    assert!(traces.is_empty(), "{traces:?}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_24_a_source_far_faster_than_its_rule_is_never_stalled() {
    let Some(rig) = toolbox().await else { return };
    let source = rig.catalog.source("numbers").unwrap();
    let inbox = Arc::new(Inbox::default());
    let told = Arc::clone(&inbox) as Arc<dyn SourceInbox>;
    let handle = source.start(request("r", "s", 0.001), told).await.unwrap();
    // The SDK gives up for good when a send waits for a second, so a source that goes on and on in
    // one process was never made to wait.
    inbox.more(20_000).await;
    assert_eq!(inbox.exceptions(), Vec::<String>::new());
    let metas = inbox.metas();
    assert!(metas.iter().all(|meta| *meta == metas[0]));
    handle.stop().await.unwrap();
    rig.end().await;
}
