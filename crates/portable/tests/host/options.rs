//! What is set for one installation: limits, variables, deadlines.

use plugyard_platform::kind::Version;
use plugyard_portable::Span;
use plugyard_portable::testing::{mirror, toolbox_dir};
use plugyard_symbol::{ErrorClass, Value};
use serde_json::{Value as Json, json};

use crate::calls::{bind, text};
use crate::hostile::{obey, program, rig};
use crate::support::{Rig, python};

/// The version in force with other options.
fn with(rig: &Rig, key: &str, options: Json) -> Version {
    let mut version = rig.installation(key).unwrap().current;
    version.options = options;
    version
}

async fn limit(rig: &Rig, key: &str, name: &str) -> Json {
    let details = rig.kind.details(&rig.installation(key).unwrap()).await;
    details["limits"][name].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_variables_are_changed_on_the_same_files() {
    let rig = rig().await;
    let versions = rig.home.versions(&"portable:mirror".parse().unwrap());
    let directories = || {
        let entries = std::fs::read_dir(&versions).unwrap().flatten();
        entries.filter(|entry| entry.path().is_dir()).count()
    };
    assert_eq!(directories(), 1);
    let pid = rig.pid("mirror");
    let version = with(
        &rig,
        "mirror",
        json!({"limits": {"memory": "64MiB", "pids": "none"}}),
    );
    rig.upgrade(&version).await.unwrap();
    assert_ne!(rig.pid("mirror"), pid);
    assert_eq!(directories(), 1, "nothing on disk depends on limits");
    let memory = limit(&rig, "mirror", "memory").await;
    assert_eq!(memory["limit"], 64 << 20);
    assert!(
        ["kernel", "sampled"].contains(&memory["enforced"].as_str().unwrap()),
        "{memory}"
    );
    let pids = limit(&rig, "mirror", "pids").await;
    assert_eq!(
        (&pids["limit"], &pids["enforced"]),
        (&Json::Null, &json!("unlimited"))
    );

    let version = with(&rig, "mirror", json!({"env": {"MODE": "fast"}}));
    rig.upgrade(&version).await.unwrap();
    assert_eq!(obey(&rig, "variable MODE").await, "fast");
    assert_eq!(limit(&rig, "mirror", "memory").await["limit"], 512 << 20);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_gets_less_when_it_asks_and_never_more() {
    let rig = Rig::new("python3");
    let block = json!({"limits": {"memory": "128MiB", "pids": 100_000}});
    let version = rig.package(|at| mirror::directory_with(at, "mirror", &program(), &block));
    rig.install(&version).await.unwrap();
    assert_eq!(limit(&rig, "mirror", "memory").await["limit"], 128 << 20);
    assert_eq!(limit(&rig, "mirror", "pids").await["limit"], 512);
    // Who installs it may give more.
    let version = with(&rig, "mirror", json!({"limits": {"pids": 600}}));
    rig.upgrade(&version).await.unwrap();
    assert_eq!(limit(&rig, "mirror", "pids").await["limit"], 600);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_cannot_be_are_refused_before_anything_begins() {
    let rig = rig().await;
    let pid = rig.pid("mirror");
    for (options, told) in [
        (json!({"limits": {"ram": 1}}), "limits"),
        (json!({"workers": 0}), "workers"),
        (
            json!({"call_timeouts": {"nosuch": "1s"}}),
            "call_timeouts.nosuch",
        ),
        (
            json!({"start_timeouts": {"nosuch": "1s"}}),
            "start_timeouts.nosuch",
        ),
        (json!({"renew_go": "now"}), "renew_go"),
        (json!({"colour": "red"}), "colour"),
    ] {
        let failed = rig
            .upgrade(&with(&rig, "mirror", options))
            .await
            .unwrap_err();
        assert_eq!(failed.step, "plan");
        assert_eq!(failed.error.code.as_str(), "portable_option_invalid");
        assert_eq!(failed.error.params["option"], told);
    }
    assert_eq!(rig.pid("mirror"), pid);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_32_the_deadline_of_calls_is_set_for_plugins_and_for_functions() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.recv_timeout = Span::millis(300);
    });
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let call = async |millis: i64| bind(&rig, "sleep").call(&[Value::from(millis)]).await;
    assert_eq!(call(5000).await.unwrap_err().class, ErrorClass::Timeout);
    // For the plugin; for the function, which counts more; and by the plugin itself.
    for options in [
        json!({"call_timeout": "60s"}),
        json!({"call_timeout": 1, "call_timeouts": {"sleep": "60s"}}),
    ] {
        rig.upgrade(&with(&rig, "toolbox", options)).await.unwrap();
        assert_eq!(text(call(600).await.unwrap()), "600");
    }
    rig.upgrade(&with(
        &rig,
        "toolbox",
        json!({"call_timeouts": {"sleep": "200ms"}}),
    ))
    .await
    .unwrap();
    assert_eq!(call(5000).await.unwrap_err().class, ErrorClass::Timeout);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_32_a_plugin_says_how_long_its_functions_may_take() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.recv_timeout = Span::millis(300);
    });
    let version = rig.package(|at| {
        toolbox_dir(at, "v1")?;
        let manifest = std::fs::read_to_string(at.join("toolbox.json"))?;
        let mut manifest: Json = serde_json::from_str(&manifest)?;
        manifest["plugyard"] = json!({"functions": {"sleep": {"call_timeout": "1m"}}});
        std::fs::write(at.join("toolbox.json"), manifest.to_string())
    });
    rig.install(&version).await.unwrap();
    let answer = bind(&rig, "sleep").call(&[Value::from(600)]).await.unwrap();
    assert_eq!(text(answer), "600");
    rig.end().await;
}
