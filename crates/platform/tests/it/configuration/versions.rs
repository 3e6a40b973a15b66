//! Values while one version takes another's place, and what goes with a version.

use std::path::Path;

use plugyard_platform::config::{ConfigInput, config_file};
use plugyard_platform::kind::Version;
use plugyard_platform::{ChangeRequest, Outcome};
use serde_json::{Map, Value as Json, json};

use super::{
    KEY, SECRET, change, configured, definition, dump, file, install, plain, put, take_in, upgrade,
    wait_until,
};
use crate::support::{Bench, benches, operator, plugin};

#[tokio::test]
async fn until_a_change_takes_effect_each_version_sees_its_own_values() {
    for bench in benches().await {
        let first = configured(&bench).await;
        let platform = &bench.platform;
        let of = async |version: &Version| {
            let plain = platform.config_plain_of(&plugin(KEY), version.id).await;
            plain.unwrap()
        };
        let in_force = || {
            let directory = config_file(platform.home(), &plugin(KEY), first.id);
            let current = directory.ancestors().nth(2).unwrap().join("current");
            std::fs::read_link(current).unwrap()
        };
        let mut newer = definition();
        newer["version"] = json!("2.0.0");
        newer["fields"]["URL"]["default"] = json!("https://api2.example.com");
        newer["fields"]["EXTRA"] = json!({ "type": "text", "label": "Extra", "default": "new" });
        let second = take_in(platform, "2", Some(&newer), json!({})).await;
        for (ends_well, from) in [(false, 1), (true, 2)] {
            let gate = &bench.kind.gate;
            gate.closed_for.lock().push("start".to_owned());
            let request = ChangeRequest::Upgrade { version: second.id };
            let id = platform.change(&operator(), &plugin(KEY), request).await;
            let id = id.unwrap();
            gate.arrived.notified().await;
            // The old process and the new one run beside each other.
            let (old, new) = (of(&first).await, of(&second).await);
            assert_eq!(old.revision, from);
            assert!(!old.values.contains_key("EXTRA"));
            assert_eq!(old.values["URL"], "https://api.example.com");
            assert_eq!(new.revision, from + 1);
            assert_eq!(new.values["EXTRA"], "new");
            assert_eq!(new.values["URL"], "https://api2.example.com");
            assert_eq!(in_force(), Path::new(&first.id.to_string()));
            assert!(!plain(platform).await.contains_key("EXTRA"));
            // What is written meanwhile is for both.
            put(platform, json!({ "TIMEOUT": 60 + from }), None)
                .await
                .unwrap();
            for version in [&first, &second] {
                let told = of(version).await;
                assert_eq!(told.values["TIMEOUT"], 60 + from);
                let written = file(&bench, version).unwrap();
                assert_eq!(written, serde_json::to_value(told).unwrap());
            }
            gate.closed_for.lock().clear();
            if ends_well {
                gate.open.notify_waiters();
            } else {
                platform.cancel(id).await.unwrap();
            }
            let outcome = platform.wait(id).await.unwrap();
            assert_eq!(matches!(outcome, Outcome::Done), ends_well, "{outcome:?}");
            if !ends_well {
                wait_until(|| file(&bench, &second).is_none()).await;
                assert!(!of(&first).await.values.contains_key("EXTRA"));
            }
        }
        assert_eq!(
            of(&second).await,
            platform.config_plain(&plugin(KEY)).await.unwrap()
        );
        assert_eq!(of(&second).await.values["EXTRA"], "new");
        assert_eq!(in_force(), Path::new(&second.id.to_string()));
    }
}

#[tokio::test]
async fn a_version_without_a_definition_sees_no_values_before_it_is_in_force() {
    for bench in benches().await {
        configured(&bench).await;
        let platform = &bench.platform;
        let second = take_in(platform, "2", None, json!({})).await;
        let gate = &bench.kind.gate;
        gate.closed_for.lock().push("start".to_owned());
        let request = ChangeRequest::Upgrade { version: second.id };
        let id = platform.change(&operator(), &plugin(KEY), request).await;
        gate.arrived.notified().await;
        let told = platform.config_plain_of(&plugin(KEY), second.id).await;
        assert_eq!(told.unwrap().values, Map::new());
        gate.closed_for.lock().clear();
        gate.open.notify_waiters();
        platform
            .wait(id.unwrap())
            .await
            .unwrap()
            .into_result()
            .unwrap();
        assert_eq!(plain(platform).await, Map::new());
    }
}

#[tokio::test]
async fn secrets_of_a_definition_go_with_the_version_that_shipped_them() {
    for bench in benches().await {
        let platform = &bench.platform;
        let shipping = |label: u32| {
            let mut shipping = definition();
            shipping["version"] = json!(format!("{label}.0.0"));
            shipping["fields"]["API_KEY"]["default"] = json!(format!("{SECRET}-{label}"));
            shipping
        };
        let first = take_in(platform, "1", Some(&shipping(1)), json!({})).await;
        install(platform, &first).await;
        assert_eq!(plain(platform).await["API_KEY"], format!("{SECRET}-1"));
        let mut ids = vec![first.id.to_string()];
        for label in 2..=5 {
            let (name, shipping) = (label.to_string(), shipping(label));
            let next = take_in(platform, &name, Some(&shipping), json!({})).await;
            upgrade(platform, &next).await;
            ids.push(next.id.to_string());
        }
        // Five versions were in force, of which three are kept.
        wait_until_async(async || {
            let names = names(&bench).await;
            let left = |id: &String| names.iter().any(|name| name.contains(id));
            ids.iter().map(left).collect::<Vec<_>>() == [false, false, true, true, true]
        })
        .await;
        // What is kept still has its own.
        let to = Some(ids[3].parse().unwrap());
        let back = change(
            platform,
            ChangeRequest::Rollback { to },
            ConfigInput::default(),
        );
        back.await.into_result().unwrap();
        assert_eq!(plain(platform).await["API_KEY"], format!("{SECRET}-4"));
        put(platform, json!({ "API_KEY": "of-somebody" }), None)
            .await
            .unwrap();
        let (who, name) = (operator(), plugin(KEY));
        let reset = platform.config_reset(&who, &name, None, None).await;
        reset.unwrap();
        assert_eq!(plain(platform).await["API_KEY"], format!("{SECRET}-4"));
    }
}

/// What the secrets are called.
async fn names(bench: &Bench) -> Vec<String> {
    let rows: Json = serde_json::from_str(&dump(bench, "secrets").await).unwrap();
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row["name"].as_str().unwrap().to_owned())
        .collect()
}

async fn wait_until_async(reached: impl AsyncFn() -> bool) {
    for _ in 0..6000 {
        if reached().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("waited in vain");
}
