//! Starting, signalling, ending.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use plugyard_sandbox::{ExitStatus, Isolation, Launcher, SpawnError, Spec};
use rustix::process::Signal;

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_program_is_an_error_of_spawn() {
    let place = Place::new();
    let error = place
        .launcher()
        .spawn(Spec::new("x", "/no/such/program"))
        .await
        .unwrap_err();
    let SpawnError::Program { program, source } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(program.to_str(), Some("/no/such/program"));
    assert_eq!(source.kind(), ErrorKind::NotFound);
    assert!(
        error
            .os_error()
            .unwrap()
            .to_string()
            .contains("No such file or directory")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_may_not_be_executed_is_an_error_of_spawn() {
    let place = Place::new();
    let program = place.make("bin").join("program");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    let error = place
        .launcher()
        .spawn(Spec::new("x", &program))
        .await
        .unwrap_err();
    assert_eq!(
        error.os_error().unwrap().kind(),
        ErrorKind::PermissionDenied,
        "{error:?}"
    );
    assert!(matches!(error, SpawnError::Program { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_working_directory_and_a_missing_path_are_told_apart() {
    let place = Place::new();
    let launcher = place.launcher();
    let mut spec = sh("true");
    spec.cwd = "/no/such/directory".into();
    let error = launcher.spawn(spec).await.unwrap_err();
    assert!(
        matches!(error, SpawnError::WorkingDirectory { .. }),
        "{error:?}"
    );

    let mut spec = sh("true");
    spec.private_tmp = Some(place.make("tmp"));
    spec.readable = vec!["/no/such/path".into()];
    let error = launcher.spawn(spec).await;
    if let Ok(process) = &error {
        assert!(!process.isolation().mount_namespace);
        println!("skipped: this host permits no mount namespace");
        return;
    }
    assert!(matches!(error, Err(SpawnError::Path { .. })), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_start_leaves_no_record_and_no_process() {
    let place = Place::new();
    let launcher = place.launcher();
    launcher
        .spawn(Spec::new("x", "/no/such/program"))
        .await
        .unwrap_err();
    assert_eq!(fs::read_dir(place.make("run")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shim_that_is_none_is_an_error_of_spawn() {
    let place = Place::new();
    let launcher = Launcher::with_shim(&place.make("run"), "/bin/true".into()).unwrap();
    let error = launcher.spawn(sh("true")).await.unwrap_err();
    assert!(matches!(error, SpawnError::Shim { .. }), "{error:?}");
    let launcher = Launcher::with_shim(&place.make("run"), "/no/such/shim".into()).unwrap();
    let error = launcher.spawn(sh("true")).await.unwrap_err();
    assert!(matches!(error, SpawnError::Shim { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_starter_that_is_gone_is_replaced_and_what_it_started_stays() {
    let place = Place::new();
    let launcher = place.launcher();
    let polite = "trap 'echo told; exit 0' TERM; echo one; while :; do sleep 0.05; done";
    let mut before = launcher.spawn(sh(polite)).await.unwrap();
    assert_eq!(line(&mut before).await, "one");
    let starters = starters();
    assert!(!starters.is_empty());
    for starter in starters {
        signal(starter, Signal::KILL);
    }
    let mut next = launcher.spawn(sh("echo two")).await.unwrap();
    assert_eq!(output(&mut next).await, "two\n");
    before.signal(libc::SIGTERM).unwrap();
    assert_eq!(line(&mut before).await, "told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_code_and_signal_come_through() {
    let place = Place::new();
    let launcher = place.launcher();
    for isolation in [Isolation::BestEffort, Isolation::Shared] {
        for (script, status) in [
            ("exit 0", ExitStatus::Code(0)),
            ("exit 137", ExitStatus::Code(137)),
            ("kill -TERM $$", ExitStatus::Signal(libc::SIGTERM)),
            ("kill -KILL $$", ExitStatus::Signal(libc::SIGKILL)),
            ("kill -SEGV $$", ExitStatus::Signal(libc::SIGSEGV)),
        ] {
            let spec = Spec {
                isolation,
                ..sh(script)
            };
            let exit = run(&launcher, spec).await.1;
            assert_eq!(
                (exit.status, exit.over),
                (status, None),
                "{script} {isolation:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_and_errors_are_read_and_input_is_empty() {
    let place = Place::new();
    let mut process = place
        .launcher()
        .spawn(sh("echo out; echo err >&2; cat; echo end"))
        .await
        .unwrap();
    assert_eq!(output(&mut process).await, "out\nend\n");
    assert_eq!(errors(&mut process).await, "err\n");
    assert!(process.wait().await.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_is_exactly_what_was_given() {
    let place = Place::new();
    let mut spec = Spec::new("env", "/usr/bin/env");
    spec.env.insert("A".into(), "1".into());
    spec.env.insert("名".into(), "a b\nc".into());
    assert_eq!(run(&place.launcher(), spec).await.0, "A=1\n名=a b\nc\n");
    let nothing = Spec::new("env", "/usr/bin/env");
    assert_eq!(run(&place.launcher(), nothing).await.0, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_descriptor_and_no_signal_disposition_is_inherited() {
    let place = Place::new();
    let script = "ls /proc/$$/fd; grep -E 'Sig(Blk|Ign)' /proc/$$/status | cut -f2";
    let (said, _) = run(&place.launcher(), sh(script)).await;
    let words: Vec<_> = said.split_whitespace().collect();
    let ["0", "1", "2", blocked, ignored] = words[..] else {
        panic!("{said}")
    };
    let bits = |mask| u64::from_str_radix(mask, 16).unwrap();
    // The two real-time signals that the C library keeps for itself cannot be set back.
    assert_eq!(
        (bits(blocked), bits(ignored) & !(0b11 << 31)),
        (0, 0),
        "{said}"
    );
}

#[test]
fn a_specification_shows_no_value_of_the_environment() {
    let mut spec = sh("true");
    spec.env.insert("TOKEN".into(), "s3cret".into());
    let shown = format!("{spec:?}");
    assert!(
        shown.contains("TOKEN") && !shown.contains("s3cret"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_09_children_end_with_the_main_process() {
    let place = Place::new();
    let launcher = place.launcher();
    for isolation in [Isolation::BestEffort, Isolation::Shared] {
        let script =
            "setsid sleep 1000 >/dev/null 2>&1 & (sleep 1000 &) ; echo ready; sleep 1000 & wait";
        let mut process = launcher
            .spawn(Spec {
                isolation,
                ..sh(script)
            })
            .await
            .unwrap();
        assert_eq!(line(&mut process).await, "ready");
        let shim = process.shim_pid();
        eventually("all are started", || family(shim).len() >= 5);
        let family = family(shim);
        process.signal(libc::SIGTERM).unwrap();
        let exit = process.wait().await;
        assert_eq!(exit.status, ExitStatus::Signal(libc::SIGTERM));
        let left: Vec<_> = family.into_iter().filter(|id| id.lives()).collect();
        assert!(left.is_empty(), "{isolation:?}: {left:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_09_everything_ends_with_the_shim() {
    let place = Place::new();
    // With control groups, and where what is left has to be found otherwise.
    let bare = Launcher::without_cgroups(&place.make("bare")).unwrap();
    for (launcher, isolation) in [
        (place.launcher(), Isolation::BestEffort),
        (place.launcher(), Isolation::Shared),
        (bare, Isolation::Shared),
    ] {
        let mut process = launcher
            .spawn(Spec {
                isolation,
                ..sh("setsid sleep 1000 & sleep 1000 & (sleep 1000 &); echo ready; wait")
            })
            .await
            .unwrap();
        assert_eq!(line(&mut process).await, "ready");
        let shim = process.shim_pid();
        eventually("all are started", || family(shim).len() >= 5);
        let family = family(shim);
        kill(shim);
        assert_eq!(
            process.wait().await.status,
            ExitStatus::Signal(libc::SIGKILL)
        );
        eventually("all have ended", || !family.iter().any(|id| id.lives()));
    }
}

#[test]
fn host_09_everything_ends_with_a_killed_server() {
    for isolation in [Isolation::BestEffort, Isolation::Shared] {
        let place = Place::new();
        let run_dir = place.make("run");
        let (mut server, shim) = start_server(&run_dir, isolation);
        eventually("all are started", || family(shim).len() >= 5);
        let family = family(shim);
        server.kill();
        // Long before anybody starts a server again.
        eventually("all have ended", || !family.iter().any(|id| id.lives()));
        plugyard_sandbox::reap_leftovers(&run_dir).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_13_a_polite_process_ends_in_its_own_way() {
    let place = Place::new();
    let script = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let mut process = place.launcher().spawn(sh(script)).await.unwrap();
    assert_eq!(line(&mut process).await, "ready");
    let exit = process.stop(Duration::from_mins(1)).await;
    assert_eq!(exit.status, ExitStatus::Code(5));
    assert_eq!(output(&mut process).await, "bye\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_13_a_process_that_ignores_sigterm_is_killed_with_its_children() {
    let place = Place::new();
    let launcher = place.launcher();
    for isolation in [Isolation::BestEffort, Isolation::Shared] {
        let script = "trap '' TERM; setsid sleep 1000 & echo ready; while :; do sleep 1000; done";
        let mut process = launcher
            .spawn(Spec {
                isolation,
                ..sh(script)
            })
            .await
            .unwrap();
        assert_eq!(line(&mut process).await, "ready");
        let family = family(process.shim_pid());
        let exit = process.stop(Duration::from_millis(50)).await;
        assert_eq!(
            exit.status,
            ExitStatus::Signal(libc::SIGKILL),
            "{isolation:?}"
        );
        eventually("all have ended", || !family.iter().any(|id| id.lives()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_reaches_the_process_group() {
    let place = Place::new();
    let script = "trap 'echo usr1; exit 0' USR1; echo ready; while :; do sleep 0.01; done";
    let mut process = place.launcher().spawn(sh(script)).await.unwrap();
    assert_eq!(line(&mut process).await, "ready");
    process.signal(libc::SIGUSR1).unwrap();
    // The sleep in the same group is ended by it.
    assert!(output(&mut process).await.starts_with("usr1\n"));
    assert!(process.signal(12345).is_err());
    process.wait().await;
    process.signal(libc::SIGUSR1).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_process_ends() {
    let place = Place::new();
    let launcher = place.launcher();
    for isolation in [Isolation::BestEffort, Isolation::Shared] {
        let mut process = launcher
            .spawn(Spec {
                isolation,
                ..sh("sleep 1000 & echo ready; wait")
            })
            .await
            .unwrap();
        assert_eq!(line(&mut process).await, "ready");
        let family = family(process.shim_pid());
        drop(process);
        while family.iter().any(|id| id.lives()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_start_at_once_and_each_gets_its_own_end() {
    let place = Place::new();
    let launcher = place.launcher();
    let started: Vec<_> = (0..40)
        .map(|code| {
            let launcher = launcher.clone();
            tokio::spawn(async move { run(&launcher, sh(&format!("exit {code}"))).await.1.status })
        })
        .collect();
    for (code, started) in started.into_iter().enumerate() {
        let code = i32::try_from(code).unwrap();
        assert_eq!(started.await.unwrap(), ExitStatus::Code(code));
    }
    assert_eq!(fs::read_dir(place.make("run")).unwrap().count(), 0);
}

/// By its number, and nothing else by it.
fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
