//! Plugins that do not come to life, or do not stay there.

use std::time::Duration;

use plugyard_model::HealthState;
use plugyard_platform::kind::Action;
use plugyard_portable::testing::{
    EXITS_AT_ONCE, MISSING_MODULE, NEVER_HANDSHAKES, script_dir, toolbox_dir,
};
use plugyard_portable::{RestartSettings, Span};
use plugyard_symbol::Value;

use crate::calls::{bind, text};
use crate::support::{PATIENCE, Rig, kill, python};

/// Nothing is left of a plugin whose installation failed.
fn assert_nothing_left(rig: &Rig, key: &str) {
    let name = format!("portable:{key}").parse().unwrap();
    assert!(!rig.home.versions(&name).exists());
    assert!(!rig.home.plugin_data(&name).exists());
    assert!(!rig.home.plugins().join("portable").join(key).exists());
    assert!(rig.catalog.function(&format!("{key}_f")).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_never_shakes_hands_fails_with_its_last_words() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.init_timeout = Span::secs(6);
    });
    let version = rig.package(|at| script_dir(at, "mute", NEVER_HANDSHAKES));
    let failed = rig.install(&version).await.unwrap_err();
    assert_eq!(failed.step, "probe");
    assert_eq!(
        failed.error.text,
        "`portable:mute` did not answer its handshake within 6 s. Its last output: `here I am`"
    );
    assert_nothing_left(&rig, "mute");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_exits_fails_at_once_with_its_exit_status() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| settings.init_timeout = Span::secs(600));
    let version = rig.package(|at| script_dir(at, "gone", EXITS_AT_ONCE));
    let failed = rig.install(&version).await.unwrap_err();
    assert_eq!(
        failed.error.text,
        "`portable:gone` ended before its handshake (exit status 3). Its last output: `no reason to stay`"
    );
    let version = rig.package(|at| script_dir(at, "lost", MISSING_MODULE));
    let failed = rig.install(&version).await.unwrap_err();
    let text = failed.error.text;
    assert!(
        text.lines().next().unwrap().ends_with(
            "Its last output: `ModuleNotFoundError: No module named 'no_such_module_anywhere'`"
        ),
        "{text}"
    );
    assert_eq!(rig.status("lost")["status"], "error", "fact 25");
    assert_nothing_left(&rig, "lost");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_05_install_sh_is_bounded_and_both_streams_are_told() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.install_timeout = Span::secs(5);
    });
    let with = |script: &'static str| {
        rig.package(move |at| {
            script_dir(at, "scripted", EXITS_AT_ONCE)?;
            std::fs::write(at.join("install.sh"), script)
        })
    };
    let failed = rig
        .install(&with("echo out; echo err >&2; exit 7\n"))
        .await
        .unwrap_err();
    assert_eq!(failed.step, "build");
    assert_eq!(
        failed.error.text,
        "err:exit status 7 stdout:out\n stderr:err\n"
    );
    let failed = rig
        .install(&with("echo begun\nsleep 600 & wait\n"))
        .await
        .unwrap_err();
    assert_eq!(
        failed.error.text,
        "err:not done within 5 s stdout:begun\n stderr:"
    );
    assert_nothing_left(&rig, "scripted");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_11_a_plugin_that_keeps_crashing_fails_and_comes_back_when_asked() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.restart = RestartSettings {
            initial: Span::millis(10),
            max: Span::millis(20),
            attempts: 3,
            ..RestartSettings::default()
        };
    });
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let same = bind(&rig, "same");
    assert_eq!(text(same.call(&[Value::Int(1)]).await.unwrap()), "1");
    for n in 0..4 {
        rig.until("toolbox", HealthState::Ready).await;
        kill(rig.pid("toolbox"));
        // Its end is noticed by its status, not by its pid.
        let expected = if n == 3 {
            HealthState::Failed
        } else {
            HealthState::Degraded
        };
        rig.until("toolbox", expected).await;
    }
    let health = rig.health("toolbox").await;
    assert_eq!(health.reason, "signal: killed");
    let error = same.call(&[Value::Int(2)]).await.unwrap_err();
    assert!(
        error
            .text
            .contains(": signal: killed (`plugyard logs toolbox`"),
        "{error}"
    );
    rig.change(Action::Restart, "toolbox", None).await.unwrap();
    assert_eq!(rig.health("toolbox").await.state, HealthState::Ready);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_plugin_rests_and_an_uninstalled_one_is_gone() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let shown = rig.home.plugins().join("portable/toolbox");
    assert!(shown.join("toolbox.json").is_file());
    assert!(rig.home.etc().join("sources/numbers.yaml").is_file());
    assert!(rig.home.data().join("sources/numbers.yaml").is_file());
    let (source, inbox) = rig.source("numbers", "r").await;
    inbox.more(1).await;

    rig.change(Action::Disable, "toolbox", None).await.unwrap();
    assert_eq!(rig.health("toolbox").await.state, HealthState::Stopped);
    assert_eq!(rig.status("toolbox")["status"], "stop");
    assert!(rig.catalog.source("numbers").is_none());
    assert_eq!(inbox.exceptions(), ["plugin toolbox was stopped"]);

    rig.change(Action::Enable, "toolbox", None).await.unwrap();
    inbox.more(5).await;
    source.stop().await.unwrap();

    rig.change(Action::Uninstall, "toolbox", None)
        .await
        .unwrap();
    assert!(rig.catalog.source("numbers").is_none());
    assert!(std::fs::symlink_metadata(shown).is_err());
    assert!(std::fs::symlink_metadata(rig.home.data().join("sources/numbers.yaml")).is_err());
    assert!(
        !rig.home
            .versions(&"portable:toolbox".parse().unwrap())
            .exists()
    );
    assert!(
        rig.host.status("toolbox").is_some(),
        "its status can still be asked"
    );
    assert!(rig.host.status("never").is_none());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_06_after_a_restart_of_the_host_users_wait_for_the_plugin() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let installed = rig.installation("toolbox").unwrap();
    rig.kind.shut_down().await;
    // What a host that was killed leaves is no hindrance, and goes.
    let stale = rig.home.run().join("p/stale");
    std::fs::create_dir_all(&stale).unwrap();
    std::fs::write(stale.join("plugin_toolbox.ipc"), "").unwrap();

    let settings = plugyard_portable::PortableSettings {
        python_bin: Some(python),
        ..plugyard_portable::PortableSettings::default()
    };
    let host = plugyard_portable::PortableHost::new(settings, rig.home.clone());
    let kind = host.kind();
    kind.resume(&[installed]).await;
    // At once, though the process needs its time.
    let function = host
        .catalog()
        .function("revert")
        .expect("registered before it is ready");
    tokio::time::timeout(Duration::from_secs(20), function.validate(1))
        .await
        .unwrap()
        .unwrap();
    assert!(!stale.exists(), "HOST-9");
    kind.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_12_a_command_has_a_deadline_and_a_process_that_misses_two_is_replaced() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.command_timeout = Span::secs(2);
    });
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let before = rig.pid("toolbox");
    let inbox = std::sync::Arc::new(crate::support::Inbox::default());
    for _ in 0..2 {
        let error = rig.try_source("blocking", "r", &inbox).await.err().unwrap();
        assert_eq!(error.class, plugyard_symbol::ErrorClass::Timeout);
    }
    rig.until("toolbox", HealthState::Degraded).await;
    rig.until("toolbox", HealthState::Ready).await;
    assert_ne!(rig.pid("toolbox"), before);
    let (source, inbox) = rig.source("numbers", "r").await;
    inbox.more(3).await;
    source.stop().await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_12_a_symbol_that_does_not_start_leaves_the_others_alone_and_says_what_to_do() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.command_timeout = Span::secs(2);
        settings.restart.initial = Span::millis(10);
    });
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let (numbers, rows) = rig.source("numbers", "good").await;
    rows.more(3).await;
    let before = rig.pid("toolbox");
    let inbox = std::sync::Arc::new(crate::support::Inbox::default());
    // The first two attempts end a process that answers nothing. From then on it rests, and whoever asks for
    // it, as its rule does again and again, disturbs nobody.
    for _ in 0..2 {
        let error = rig.try_source("blocking", "r", &inbox).await.err().unwrap();
        assert!(
            error.text.contains("source blocking takes longer to start")
                && error
                    .text
                    .contains("plugyard set portable:toolbox --option"),
            "{error}"
        );
    }
    rig.until("toolbox", HealthState::Degraded).await;
    rig.until("toolbox", HealthState::Ready).await;
    let replaced = rig.pid("toolbox");
    assert_ne!(replaced, before);
    let mut refused = 0;
    for _ in 0..200 {
        let error = rig.try_source("blocking", "r", &inbox).await.err().unwrap();
        refused += u32::from(error.text.contains("it is tried again in"));
    }
    assert!(refused > 190, "only {refused} of 200 were refused at once");
    rows.more(10).await;
    let details = rig
        .kind
        .details(&rig.installation("toolbox").unwrap())
        .await;
    let failing = &details["failing"][0];
    assert_eq!(failing["symbol"], "source blocking");
    assert_eq!(failing["rule"], "r");
    assert!(failing["next_attempt_at"].is_i64(), "{failing}");
    assert!(
        failing["reason"]
            .as_str()
            .unwrap()
            .contains("start_timeouts"),
        "{failing}"
    );
    // Whoever changes something about it need not wait.
    rig.change(Action::Restart, "toolbox", None).await.unwrap();
    let details = rig
        .kind
        .details(&rig.installation("toolbox").unwrap())
        .await;
    assert_eq!(details["failing"], serde_json::json!([]));
    numbers.stop().await.unwrap();
    rig.end().await;
}

/// A toolbox whose source `blocking` takes so long to start.
fn slow_dir(at: &std::path::Path, seconds: &str) -> std::io::Result<()> {
    toolbox_dir(at, "v1")?;
    let script = std::fs::read_to_string(at.join("toolbox.py"))?;
    let slow = script.replace("time.sleep(30)", &format!("time.sleep({seconds})"));
    assert_ne!(slow, script);
    std::fs::write(at.join("toolbox.py"), slow)
}

#[tokio::test(flavor = "multi_thread")]
async fn host_12_a_command_fails_at_once_when_its_process_is_gone() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        // Nobody would wait for this.
        settings.command_timeout = Span::secs(3600);
    });
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let inbox = std::sync::Arc::new(crate::support::Inbox::default());
    let end = async {
        rig.until_said("toolbox", "configures").await;
        kill(rig.pid("toolbox"));
    };
    let started = tokio::time::timeout(PATIENCE, async {
        tokio::join!(rig.try_source("blocking", "r", &inbox), end).0
    });
    let error = started.await.expect("it ends with its process").err();
    assert_eq!(error.unwrap().class, plugyard_symbol::ErrorClass::Io);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_12_a_source_that_needs_longer_to_start_is_given_longer() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.command_timeout = Span::secs(2);
    });
    let slow = rig.package(|at| slow_dir(at, "3"));
    rig.install(&slow).await.unwrap();
    for options in [
        serde_json::json!({"start_timeout": "60s"}),
        serde_json::json!({"start_timeout": "1ms", "start_timeouts": {"blocking": "60s"}}),
    ] {
        let mut version = rig.installation("toolbox").unwrap().current;
        version.options = options;
        rig.upgrade(&version).await.unwrap();
        let pid = rig.pid("toolbox");
        let (source, inbox) = rig.source("blocking", "r").await;
        inbox
            .until("it reports", |inbox| !inbox.exceptions().is_empty())
            .await;
        assert_eq!(inbox.exceptions()[0], "no luck");
        assert_eq!(rig.pid("toolbox"), pid);
        source.stop().await.unwrap();
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_12_what_waits_for_a_slow_start_is_not_taken_for_a_hang() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.command_timeout = Span::secs(5);
    });
    let slow = rig.package(|at| slow_dir(at, "8"));
    rig.install(&slow).await.unwrap();
    let mut version = rig.installation("toolbox").unwrap().current;
    version.options = serde_json::json!({"start_timeouts": {"blocking": "60s"}});
    rig.upgrade(&version).await.unwrap();
    let pid = rig.pid("toolbox");
    // The others have their own time, which begins when the slow one has ended.
    let (slow, other, third) = tokio::join!(
        rig.source("blocking", "slow"),
        rig.source("numbers", "other"),
        rig.sink("notebook", "third", serde_json::json!({})),
    );
    other.1.more(1).await;
    assert_eq!(rig.pid("toolbox"), pid);
    assert_eq!(rig.status("toolbox")["history"], serde_json::json!([]));
    slow.0.stop().await.unwrap();
    other.0.stop().await.unwrap();
    third.0.stop().await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_15_a_symbol_that_does_not_start_again_is_tried_until_it_does() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.restart.initial = Span::millis(10);
        settings.restart.max = Span::millis(50);
    });
    // It starts when a file is there.
    let moody = rig.package(|at| {
        toolbox_dir(at, "v1")?;
        let script = std::fs::read_to_string(at.join("toolbox.py"))?;
        let moody = script.replace(
            "        time.sleep(30)\n",
            "        open(os.path.join(DATA, 'mood')).close()\n",
        );
        assert_ne!(moody, script);
        std::fs::write(at.join("toolbox.py"), moody)
    });
    rig.install(&moody).await.unwrap();
    let mood = rig.data("toolbox", "mood");
    std::fs::write(&mood, "").unwrap();
    let (source, inbox) = rig.source("blocking", "r").await;
    inbox
        .until("it reports", |inbox| !inbox.exceptions().is_empty())
        .await;
    std::fs::remove_file(&mood).unwrap();
    kill(rig.pid("toolbox"));
    let missing = |text: &String| text.contains("No such file or directory");
    inbox
        .until("it failed, twice", |inbox| {
            inbox.exceptions().iter().filter(|it| missing(it)).count() > 1
        })
        .await;
    let details = rig
        .kind
        .details(&rig.installation("toolbox").unwrap())
        .await;
    assert_eq!(details["failing"][0]["symbol"], "source blocking");
    assert_eq!(rig.health("toolbox").await.state, HealthState::Ready);
    std::fs::write(&mood, "").unwrap();
    inbox
        .until("it reports again", |inbox| {
            inbox.exceptions().last().is_some_and(|it| it == "no luck")
        })
        .await;
    source.stop().await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_13_a_process_that_ignores_the_request_to_end_is_ended_after_the_grace() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| settings.stop_grace = Span::millis(300));
    let deaf = rig.package(|at| {
        toolbox_dir(at, "deaf")?;
        let script = std::fs::read_to_string(at.join("toolbox.py"))?;
        let ignore = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n";
        std::fs::write(at.join("toolbox.py"), format!("{ignore}{script}"))
    });
    rig.install(&deaf).await.unwrap();
    let pid = rig.pid("toolbox");
    rig.change(Action::Disable, "toolbox", None).await.unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    let (lines, _) = rig.kind.logs(&"portable:toolbox".parse().unwrap(), 1);
    assert_eq!(
        lines[0].text,
        format!("process {pid} stopped (signal: killed)")
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_25_a_status_goes_from_initializing_to_running_to_error_and_to_stop() {
    let Some(python) = python() else { return };
    let rig = std::sync::Arc::new(Rig::with(&python, |settings| {
        settings.init_timeout = Span::secs(6);
        settings.restart.initial = Span::millis(300);
    }));
    let mute = rig.package(|at| script_dir(at, "mute", NEVER_HANDSHAKES));
    let installing = {
        let rig = std::sync::Arc::clone(&rig);
        tokio::spawn(async move { rig.install(&mute).await })
    };
    let started = async {
        while rig
            .host
            .status("mute")
            .is_none_or(|status| status["status"] != "initializing")
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), started)
        .await
        .unwrap();
    installing.await.unwrap().unwrap_err();
    let status = rig.status("mute");
    assert_eq!(status["status"], "error");
    assert!(
        status["errMsg"]
            .as_str()
            .unwrap()
            .contains("did not answer its handshake")
    );

    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let words = |rig: &Rig| {
        let status = rig.status("toolbox");
        (
            status["status"].as_str().unwrap().to_owned(),
            status["errMsg"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(words(&rig), ("running".into(), String::new()));
    kill(rig.pid("toolbox"));
    rig.until("toolbox", HealthState::Degraded).await;
    assert_eq!(words(&rig), ("error".into(), "signal: killed".into()));
    rig.until("toolbox", HealthState::Ready).await;
    assert_eq!(words(&rig), ("running".into(), String::new()));
    rig.change(Action::Disable, "toolbox", None).await.unwrap();
    assert_eq!(words(&rig), ("stop".into(), String::new()));
    rig.kind.shut_down().await;
}
