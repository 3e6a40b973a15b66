//! Limits, for real.

use std::fs;
use std::path::PathBuf;

use plugyard_sandbox::{ExitStatus, How, Launcher, Limits, Process, Resource, Spec};

use crate::support::*;

const MIB: u64 = 1024 * 1024;

fn limited(limits: Limits, args: &[&str]) -> Spec {
    Spec {
        limits,
        ..misbehaving(args)
    }
}

fn not_by_kernel(process: &Process, how: How) -> bool {
    if how != How::Kernel {
        println!("skipped: no control group: {:?}", process.enforcement());
    }
    how != How::Kernel
}

/// The control groups of a process that are ours.
fn groups(process: &Process) -> Vec<PathBuf> {
    let list = fs::read_to_string(format!("/proc/{}/cgroup", process.pid())).unwrap();
    list.lines()
        .filter(|line| line.contains("/plugyard-"))
        .map(|line| {
            line.splitn(3, ':')
                .skip(1)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .map(|line| {
            let root = match line[0].as_str() {
                "" => "unified",
                controllers => controllers,
            };
            PathBuf::from(format!("/sys/fs/cgroup/{root}{}", line[1]))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_over_the_limit_ends_the_process() {
    let place = Place::new();
    let limits = Limits {
        memory: Some(64 * MIB),
        ..Limits::NONE
    };
    let process = place
        .launcher()
        .spawn(limited(limits, &["allocate", "2000"]))
        .await
        .unwrap();
    if not_by_kernel(&process, process.enforcement().memory.how) {
        return;
    }
    let exit = process.wait().await;
    assert_eq!(exit.status, ExitStatus::Signal(libc::SIGKILL));
    assert_eq!(exit.over, Some(Resource::Memory));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_of_python_over_the_limit_ends_it() {
    let Some(python) = python() else { return };
    let place = Place::new();
    let mut spec = Spec::new("python", python);
    spec.args = vec![
        "-c".into(),
        "a = [bytearray(1 << 20) for _ in range(2000)]".into(),
    ];
    spec.limits = Limits {
        memory: Some(64 * MIB),
        ..Limits::NONE
    };
    let mut process = place.launcher().spawn(spec).await.unwrap();
    if not_by_kernel(&process, process.enforcement().memory.how) {
        // A data segment that may not grow is no less of an end.
        assert!(errors(&mut process).await.contains("MemoryError"));
        return;
    }
    let exit = process.wait().await;
    assert_eq!(exit.status, ExitStatus::Signal(libc::SIGKILL));
    assert_eq!(exit.over, Some(Resource::Memory));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_over_the_limit_are_refused() {
    let place = Place::new();
    let limits = Limits {
        pids: Some(20),
        ..Limits::NONE
    };
    let mut process = place
        .launcher()
        .spawn(limited(limits, &["fork"]))
        .await
        .unwrap();
    if not_by_kernel(&process, process.enforcement().pids.how) {
        return;
    }
    assert_eq!(line(&mut process).await, "19");
    process.wait().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_over_the_limit_are_refused() {
    let place = Place::new();
    let limits = Limits {
        files: Some(50),
        ..Limits::NONE
    };
    let mut process = place
        .launcher()
        .spawn(limited(limits, &["open"]))
        .await
        .unwrap();
    assert_eq!(process.enforcement().files.how, How::Kernel);
    assert_eq!(line(&mut process).await, "47");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processor_time_over_the_limit_is_held_back() {
    let place = Place::new();
    let limits = Limits {
        cpu: Some(0.1),
        ..Limits::NONE
    };
    let process = place
        .launcher()
        .spawn(limited(limits, &["spin"]))
        .await
        .unwrap();
    if not_by_kernel(&process, process.enforcement().cpu.how) {
        return;
    }
    let groups = groups(&process);
    eventually("it is held back", || {
        groups.iter().any(|group| {
            let stat = fs::read_to_string(group.join("cpu.stat")).unwrap_or_default();
            stat.lines()
                .filter_map(|line| line.strip_prefix("nr_throttled "))
                .any(|count| count != "0")
        })
    });
    eventually("its time is counted", || {
        !process.usage().cpu_time.is_zero()
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_is_what_is_used() {
    let place = Place::new();
    let run_dir = place.make("run");
    for launcher in [
        Launcher::new(&run_dir).unwrap(),
        Launcher::without_cgroups(&run_dir).unwrap(),
    ] {
        let spec = limited(Limits::NONE, &["allocate", "50"]);
        let mut process = launcher.spawn(spec).await.unwrap();
        assert_eq!(line(&mut process).await, "allocated");
        let usage = process.usage();
        assert!(
            usage.memory >= 50 * MIB && usage.memory < 200 * MIB,
            "{usage:?}"
        );
        assert_eq!(usage.pids, 1, "{usage:?}");
        assert_eq!(usage.disk, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_groups_go_with_their_process() {
    let place = Place::new();
    let process = place
        .launcher()
        .spawn(sh("sleep 1000 & wait"))
        .await
        .unwrap();
    let groups = groups(&process);
    if groups.is_empty() {
        println!("skipped: no control group");
        return;
    }
    assert!(groups.iter().all(|group| group.is_dir()), "{groups:?}");
    process.kill().await;
    assert!(!groups.iter().any(|group| group.exists()), "{groups:?}");
    drop(process);
    // With the launcher goes the directory above, as soon as the last task has let go of it.
    eventually("nothing is left", || {
        !groups.iter().any(|group| group.parent().unwrap().exists())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_control_groups_the_memory_of_the_family_is_looked_at() {
    let place = Place::new();
    let launcher = Launcher::without_cgroups(&place.make("run")).unwrap();
    let limits = Limits {
        memory: Some(100 * MIB),
        ..Limits::NONE
    };
    let process = launcher
        .spawn(limited(limits, &["family", "4", "50"]))
        .await
        .unwrap();
    assert_eq!(process.enforcement().memory.how, How::Sampled);
    let exit = process.wait().await;
    assert_eq!(
        (exit.status, exit.over),
        (ExitStatus::Signal(libc::SIGKILL), Some(Resource::Memory))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_control_groups_a_single_process_cannot_grow_over_the_limit() {
    let place = Place::new();
    let launcher = Launcher::without_cgroups(&place.make("run")).unwrap();
    let limits = Limits {
        memory: Some(64 * MIB),
        ..Limits::NONE
    };
    let (said, exit) = run(&launcher, limited(limits, &["allocate", "2000"])).await;
    assert!(!said.contains("allocated"));
    assert!(!exit.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_control_groups_the_number_of_processes_is_looked_at() {
    let place = Place::new();
    let launcher = Launcher::without_cgroups(&place.make("run")).unwrap();
    let limits = Limits {
        pids: Some(10),
        ..Limits::NONE
    };
    let process = launcher
        .spawn(limited(limits, &["family", "20", "1"]))
        .await
        .unwrap();
    assert_eq!(process.enforcement().pids.how, How::Sampled);
    assert_eq!(process.enforcement().cpu.how, How::Unlimited);
    let exit = process.wait().await;
    assert_eq!(
        (exit.status, exit.over),
        (ExitStatus::Signal(libc::SIGKILL), Some(Resource::Pids))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_is_measured_and_too_much_of_it_ends_the_process() {
    let place = Place::new();
    let launcher = place.launcher();
    let data = place.make("data");
    let file = data.join("file");
    let mut spec = limited(
        Limits {
            disk: Some(5 * MIB),
            ..Limits::NONE
        },
        &["write", file.to_str().unwrap(), "3"],
    );
    spec.writable = vec![data];
    let process = launcher.spawn(spec.clone()).await.unwrap();
    assert_eq!(process.enforcement().disk.how, How::Sampled);
    eventually("it is measured", || {
        process.usage().disk.is_some_and(|disk| disk >= 3 * MIB)
    });
    process.kill().await;

    *spec.args.last_mut().unwrap() = "8".into();
    let exit = launcher.spawn(spec).await.unwrap().wait().await;
    assert_eq!(
        (exit.status, exit.over),
        (ExitStatus::Signal(libc::SIGKILL), Some(Resource::Disk))
    );
}
