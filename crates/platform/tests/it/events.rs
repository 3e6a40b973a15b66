//! Following operations and everything else, live and later.

use futures::StreamExt as _;
use plugyard_platform::Outcome;
use plugyard_platform::events::{codes, plugin_topic};
use plugyard_platform::operations::InstallOptions;
use serde_json::json;

use crate::support::{benches, operator, plugin};

#[tokio::test]
async fn a_follower_sees_steps_and_lines_in_order_up_to_the_end() {
    for bench in benches().await {
        bench.installed("a").await;
        let new = bench.version("a", "2", json!({})).await;
        bench.kind.gate.closed_for.lock().push("start".to_owned());
        let id = bench
            .platform
            .upgrade(&operator(), &plugin("a"), new.id)
            .await
            .unwrap();
        bench.kind.gate.arrived.notified().await;
        let live = bench.platform.operation_events(id, None).await.unwrap();
        bench.kind.gate.open.notify_one();
        let live: Vec<_> = live.collect().await;
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);

        let numbers: Vec<_> = live.iter().map(|event| event.sequence).collect();
        assert_eq!(numbers, (1..=live.len() as u64).collect::<Vec<_>>());
        let lines: Vec<_> = live
            .iter()
            .filter(|it| it.name == "log")
            .map(|it| it.data["line"].clone())
            .collect();
        let expected = ["unpack", "start", "probe", "switch", "stop"];
        assert_eq!(lines, expected.map(|step| json!(format!("doing {step}"))));
        let first: Vec<_> = live[..3]
            .iter()
            .map(|it| (it.name.as_str(), &it.data["state"]))
            .collect();
        assert_eq!(
            first,
            [
                ("step", &json!("running")),
                ("log", &json!(null)),
                ("step", &json!("done"))
            ]
        );
        let last = live.last().unwrap();
        assert_eq!(
            (last.name.as_str(), &last.data["state"]),
            ("end", &json!("done"))
        );

        // Later, and from the middle, it is the same.
        let later: Vec<_> = bench
            .platform
            .operation_events(id, Some(4))
            .await
            .unwrap()
            .collect()
            .await;
        assert_eq!(later, live[4..]);
        let over = bench
            .platform
            .operation_events(id, Some(last.sequence))
            .await
            .unwrap();
        assert_eq!(over.count().await, 0);
    }
}

#[tokio::test]
async fn who_hears_of_the_end_finds_the_operation_ended() {
    for bench in benches().await {
        bench.installed("a").await;
        // Whether lines are being stored at the moment of the end is chance, hence several.
        for _ in 0..10 {
            let id = bench
                .platform
                .restart(&operator(), &plugin("a"))
                .await
                .unwrap();
            let mut events = bench.platform.operation_events(id, None).await.unwrap();
            while let Some(event) = events.next().await {
                if event.name == "end" {
                    break;
                }
            }
            let state = bench.platform.operation(id).await.unwrap().state;
            assert_eq!(state.as_str(), "done");
        }
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read_delays_no_operation() {
    for bench in benches().await {
        let version = bench.version("a", "1", json!({ "lines": 20_000 })).await;
        let name = plugin("a");
        let id = bench
            .platform
            .install(&operator(), &name, version.id, InstallOptions::default())
            .await;
        let id = id.unwrap();
        let _idle = bench.platform.operation_events(id, None).await.unwrap();
        let mut reader = bench.platform.operation_events(id, None).await.unwrap();
        reader.next().await.unwrap();
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
        assert!(reader.count().await > 20_000);
    }
}

#[tokio::test]
async fn a_log_that_grows_without_end_is_cut_and_says_so() {
    for bench in benches().await {
        let version = bench
            .version("a", "1", json!({ "lines": 1000, "width": 20_000 }))
            .await;
        let name = plugin("a");
        let id = bench
            .platform
            .install(&operator(), &name, version.id, InstallOptions::default())
            .await;
        let id = id.unwrap();
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
        let events: Vec<_> = bench
            .platform
            .operation_events(id, None)
            .await
            .unwrap()
            .collect()
            .await;
        let bytes: usize = events.iter().map(|it| it.data.to_string().len()).sum();
        assert!(bytes < 5 << 20, "{bytes}");
        let said = events
            .iter()
            .any(|it| it.data.to_string().contains("more lines were left out"));
        assert!(said);
    }
}

#[tokio::test]
async fn events_go_on_after_the_last_one_seen() {
    for bench in benches().await {
        let mut live = bench.platform.events(None).await.unwrap();
        bench.installed("a").await;
        let mut seen = Vec::new();
        while !seen
            .iter()
            .any(|it: &plugyard_platform::events::Event| it.code == codes::OPERATION_ENDED)
        {
            seen.push(live.next().await.unwrap());
        }
        let words: Vec<_> = seen.iter().map(|it| it.code.as_str()).collect();
        assert_eq!(words[..2], [codes::VERSION_ADDED, codes::OPERATION_STARTED]);
        assert!(words.contains(&codes::INSTALLATION_CHANGED));
        assert_eq!(seen[0].topic, plugin_topic(&plugin("a")));
        assert!(seen.windows(2).all(|pair| pair[0].id < pair[1].id));

        let again = bench.platform.events(Some(seen[0].id)).await.unwrap();
        let again: Vec<_> = again.take(seen.len() - 1).collect().await;
        assert_eq!(again, seen[1..]);
    }
}
