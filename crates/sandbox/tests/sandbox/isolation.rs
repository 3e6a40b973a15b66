//! What a process sees, and what it does not.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use plugyard_sandbox::{Isolation, Launcher, SpawnError, Spec, User, is_plugin_peer, shim_of};

use crate::support::*;

/// Starts nothing where it cannot be isolated.
macro_rules! isolated {
    ($spec:expr) => {{
        let mut spec = $spec;
        spec.isolation = Isolation::Required;
        spec
    }};
}

/// The reason why isolation is not to be had here.
async fn cannot_isolate(place: &Place) -> bool {
    match place.launcher().spawn(isolated!(sh("true"))).await {
        Err(SpawnError::Isolation { reason }) => {
            println!("skipped: {reason}");
            true
        }
        started => {
            started.unwrap().wait().await;
            false
        }
    }
}

fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: not root");
    }
    root
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_of_the_host_is_in_the_private_tmp_and_the_other_way_round() {
    let place = Place::new();
    if cannot_isolate(&place).await {
        return;
    }
    let launcher = place.launcher();
    let tmp = place.make("tmp");
    let listener = UnixListener::bind(tmp.join("host.sock")).unwrap();
    let mut spec = isolated!(misbehaving(&["connect", "/tmp/host.sock"]));
    spec.private_tmp = Some(tmp.clone());
    let process = launcher.spawn(spec).await.unwrap();
    assert!(process.isolation().private_tmp);
    let mut said = String::new();
    listener
        .accept()
        .unwrap()
        .0
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(said, "from the plugin");
    assert!(process.wait().await.status.success());

    let mut spec = isolated!(misbehaving(&["listen", "/tmp/plugin.sock"]));
    spec.private_tmp = Some(tmp.clone());
    let mut process = launcher.spawn(spec).await.unwrap();
    assert_eq!(line(&mut process).await, "ready");
    UnixStream::connect(tmp.join("plugin.sock"))
        .unwrap()
        .write_all(b"from the host")
        .unwrap();
    assert_eq!(line(&mut process).await, "from the host");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_use_the_same_name_in_tmp() {
    let place = Place::new();
    if cannot_isolate(&place).await {
        return;
    }
    let launcher = place.launcher();
    let mut processes = Vec::new();
    for name in ["one", "two"] {
        let mut spec = isolated!(misbehaving(&["listen", "/tmp/x.sock"]));
        spec.private_tmp = Some(place.make(name));
        let mut process = launcher.spawn(spec).await.unwrap();
        assert_eq!(line(&mut process).await, "ready");
        processes.push((name, process));
    }
    for (name, mut process) in processes {
        let socket = place.make(name).join("x.sock");
        UnixStream::connect(socket)
            .unwrap()
            .write_all(name.as_bytes())
            .unwrap();
        assert_eq!(line(&mut process).await, name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_below_tmp_stays_visible_in_the_private_tmp() {
    let place = Place::new();
    if cannot_isolate(&place).await {
        return;
    }
    let version = place.make("home/versions/1");
    let data = place.make("home/data");
    let configuration = place.make("home/etc").join("values.json");
    fs::write(version.join("said"), "version").unwrap();
    fs::write(&configuration, "values").unwrap();
    fs::write(place.make("home").join("neighbour"), "secret").unwrap();
    let script = format!(
        "cat said {values}; echo new > {data}/file; echo x > said; ls -A /tmp; cat {home}/neighbour",
        values = configuration.display(),
        data = data.display(),
        home = place.make("home").display(),
    );
    let mut spec = isolated!(sh(&script));
    spec.cwd = version.clone();
    // Below what it makes room for, as a server's own directories are.
    spec.private_tmp = Some(place.make("home/run/1"));
    spec.readable = vec![configuration];
    spec.writable = vec![data.clone()];
    let (said, _) = run(&place.launcher(), spec).await;
    assert!(said.starts_with("versionvalues"), "{said}");
    assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "new\n");
    assert_eq!(
        fs::read_to_string(version.join("said")).unwrap(),
        "version",
        "{said}"
    );
    assert!(!said.contains("secret"), "{said}");
    let first = place.dir.path().file_name().unwrap().to_str().unwrap();
    assert_eq!(
        said["versionvalues".len()..].lines().next(),
        Some(first),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_environment_starts_with_a_private_tmp() {
    let Some(python) = python() else { return };
    let place = Place::new();
    let version = place.make("home/versions/1");
    fs::write(
        version.join("main.py"),
        "import pynng, ekuiper, sys; print(sys.prefix)",
    )
    .unwrap();
    let mut spec = Spec::new("python", &python);
    spec.args = vec!["main.py".into()];
    spec.cwd = version;
    spec.private_tmp = Some(place.make("home/run/1"));
    spec.hidden = vec![place.make("home/run"), place.make("home/keys")];
    spec.limits.memory = None;
    let (said, exit) = run(&place.launcher(), spec).await;
    let prefix = python.parent().unwrap().parent().unwrap();
    assert_eq!(said.trim(), prefix.to_str().unwrap());
    assert!(exit.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_leads_to_something_shown_leads_there_inside() {
    let place = Place::new();
    if cannot_isolate(&place).await {
        return;
    }
    let version = place.make("versions/1");
    fs::write(version.join("said"), "version").unwrap();
    let current = place.make(".").join("current");
    symlink(&version, &current).unwrap();
    let mut spec = isolated!(sh(&format!("cat {}/said", current.display())));
    spec.private_tmp = Some(place.make("tmp"));
    spec.readable = vec![current];
    assert_eq!(run(&place.launcher(), spec).await.0, "version");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_hidden_looks_empty_and_cannot_be_uncovered() {
    let place = Place::new();
    if cannot_isolate(&place).await {
        return;
    }
    let keys = place.make("home/keys");
    fs::write(keys.join("master"), "secret").unwrap();
    let file = place.make("home").join("plugyard.db");
    fs::write(&file, "secret").unwrap();
    let kept = place.make("home/keys/deeper");
    fs::write(kept.join("said"), "kept").unwrap();
    let script = format!(
        "ls {keys}; cat {kept}/said {db}; touch {keys}/x; umount {keys}; umount {db}; cat {db} {keys}/master",
        keys = keys.display(),
        kept = kept.display(),
        db = file.display(),
    );
    let mut spec = isolated!(sh(&script));
    spec.env
        .insert("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into());
    spec.readable = vec![place.make("home"), kept];
    spec.hidden = vec![keys.clone(), file, place.make(".").join("not there")];
    let (said, _) = run(&place.launcher(), spec).await;
    assert!(said.starts_with("deeper\nkept"), "{said}");
    assert!(!said.contains("secret"), "{said}");
    assert!(!keys.join("x").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_planted_in_tmp_is_not_followed_when_mounting() {
    let place = Place::new();
    if cannot_isolate(&place).await {
        return;
    }
    let (tmp, victim, shown) = (place.make("tmp"), place.make("victim"), place.make("shown"));
    let first = place.dir.path().file_name().unwrap();
    symlink(&victim, tmp.join(first)).unwrap();
    let mut spec = isolated!(sh("true"));
    spec.private_tmp = Some(tmp);
    spec.readable = vec![shown];
    let error = place.launcher().spawn(spec).await.unwrap_err();
    assert!(matches!(error, SpawnError::Setup { .. }), "{error:?}");
    assert_eq!(fs::read_dir(victim).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_sees_only_its_own_processes() {
    let place = Place::new();
    if cannot_isolate(&place).await {
        return;
    }
    let (said, _) = run(&place.launcher(), isolated!(sh("echo /proc/[0-9]*"))).await;
    assert_eq!(said.trim(), "/proc/1 /proc/2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_outside_are_neither_read_nor_written() {
    let place = Place::new();
    // Not below /tmp, where everybody may write.
    let Ok(outside) = tempfile::tempdir_in("/var/tmp") else {
        println!("skipped: /var/tmp cannot be written");
        return;
    };
    let outside = outside.path();
    for name in ["none", "readable", "writable"] {
        fs::create_dir(outside.join(name)).unwrap();
        fs::write(outside.join(name).join("file"), format!("{name}\n")).unwrap();
    }
    let script = "for d in none readable writable; do cat $D/$d/file; echo x > $D/$d/new; done";
    let mut spec = sh(script);
    spec.env.insert("D".into(), outside.into());
    spec.readable = vec![outside.join("readable")];
    spec.writable = vec![outside.join("writable")];
    let mut process = place.launcher().spawn(spec).await.unwrap();
    if process.isolation().landlock.is_none() {
        println!("skipped: this kernel has no Landlock");
        return;
    }
    assert_eq!(output(&mut process).await, "readable\nwritable\n");
    assert!(!outside.join("none/new").exists());
    assert!(!outside.join("readable/new").exists());
    assert!(outside.join("writable/new").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileges_cannot_be_gained_and_roots_are_dropped() {
    let place = Place::new();
    let script = "grep -E 'NoNewPrivs|Cap(Prm|Bnd)' /proc/self/status";
    let (said, _) = run(&place.launcher(), sh(script)).await;
    let value = |key: &str| {
        let line = said.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(value("NoNewPrivs"), "1");
    let forbidden: u64 = [12, 13, 16, 17, 18, 19, 21, 22, 23, 24, 27, 38, 39]
        .iter()
        .map(|bit| 1 << bit)
        .sum();
    for key in ["CapPrm", "CapBnd"] {
        if key == "CapBnd" && !root() {
            break;
        }
        let held = u64::from_str_radix(&value(key), 16).unwrap();
        assert_eq!(held & forbidden, 0, "{key} {held:x}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roots_plugin_changes_neither_the_kernel_nor_its_own_limits() {
    let place = Place::new();
    if !root() || cannot_isolate(&place).await {
        return;
    }
    let script = "for f in /sys/fs/cgroup/pids/cgroup.procs /sys/fs/cgroup/cgroup.procs \
                  /proc/sys/kernel/core_pattern; do \
                  if [ -e $f ] && (echo $$ > $f) 2>/dev/null; then echo wrote $f; fi; done; \
                  mount -t tmpfs x /mnt 2>/dev/null && echo mounted; \
                  mknod /tmp/device b 8 0 2>/dev/null && echo made; true";
    let mut spec = isolated!(sh(script));
    spec.private_tmp = Some(place.make("tmp"));
    spec.env
        .insert("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into());
    assert_eq!(run(&place.launcher(), spec).await.0, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roots_plugin_reads_neither_disks_nor_secrets_of_the_machine() {
    let place = Place::new();
    if !root() || cannot_isolate(&place).await {
        return;
    }
    // Opening a disk or the text of a console does nothing to it, which is not so of every device.
    let script = "for f in /dev/*; do case $f in /dev/vcs*|/dev/kmsg) ;; *) [ -b $f ] || continue;; esac; \
                  (: < $f) 2>/dev/null && echo opened $f; done; \
                  cat /etc/shadow /etc/gshadow /etc/ssh/ssh_host_*_key; ls /etc/ssl/private; \
                  echo end; cat /etc/passwd > /dev/null && echo the rest can be read";
    let mut process = place.launcher().spawn(isolated!(sh(script))).await.unwrap();
    if process.isolation().landlock.is_none() {
        println!("skipped: this kernel has no Landlock");
        return;
    }
    assert_eq!(output(&mut process).await, "end\nthe rest can be read\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_user_is_that_user_and_ends_like_everybody() {
    if !root() {
        return;
    }
    let place = Place::new();
    let mut spec = sh("echo $(id -u) $(id -g) $(id -G); sleep 1000 & wait");
    spec.user = Some(User {
        uid: 65534,
        gid: 65534,
    });
    let mut process = place.launcher().spawn(spec).await.unwrap();
    assert_eq!(line(&mut process).await, "65534 65534 65534");
    let family = family(process.shim_pid());
    process.kill().await;
    assert!(!family.iter().any(|id| id.lives()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_namespaces_what_is_missing_is_said_or_refused() {
    let place = Place::new();
    let mut spec = sh("true");
    spec.isolation = Isolation::Shared;
    spec.private_tmp = Some(place.make("tmp"));
    spec.hidden = vec![place.make("keys")];
    let process = place.launcher().spawn(spec).await.unwrap();
    let isolated = process.isolation();
    assert!(!isolated.private_tmp && !isolated.hidden && !isolated.pid_namespace);
    assert!(
        isolated.missing.iter().any(|what| what.contains("/tmp")),
        "{isolated:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_is_known_at_a_socket() {
    let place = Place::new();
    let launcher = place.launcher();
    assert!(!is_plugin_peer(std::process::id()));
    #[expect(
        clippy::disallowed_methods,
        reason = "a person's program, not a plugin"
    )]
    let mut person = std::process::Command::new("/bin/sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    assert!(!is_plugin_peer(person.id()));
    for isolation in [Isolation::BestEffort, Isolation::Shared] {
        let script = "setsid sleep 1000 >/dev/null & echo ready; wait";
        let mut process = launcher
            .spawn(Spec {
                isolation,
                ..sh(script)
            })
            .await
            .unwrap();
        assert_eq!(line(&mut process).await, "ready");
        let family = family(process.shim_pid());
        assert!(family.len() >= 3);
        for id in &family {
            assert!(is_plugin_peer(id.pid), "{isolation:?} {id:?}");
        }
        assert!(is_plugin_peer(process.pid()));
        process.kill().await;
    }
    person.kill().unwrap();
    person.wait().unwrap();
    assert!(
        is_plugin_peer(person.id()),
        "who has ended is trusted no more"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_of_a_plugin_without_namespaces_is_known_although_it_lost_its_shim() {
    let place = Place::new();
    // Where no control group ends it, and it hides its mark.
    let launcher = Launcher::without_cgroups(&place.make("run")).unwrap();
    let mut process = launcher
        .spawn(Spec {
            isolation: Isolation::Shared,
            ..sh("(setsid env -i sleep 1000 >/dev/null 2>&1 &) ; echo ready; sleep 1000")
        })
        .await
        .unwrap();
    assert_eq!(line(&mut process).await, "ready");
    let shim = process.shim_pid();
    let is_hidden = |id: &Id| {
        let command = fs::read(format!("/proc/{}/cmdline", id.pid)).unwrap_or_default();
        let environment = fs::read(format!("/proc/{}/environ", id.pid)).unwrap_or_default();
        command.starts_with(b"sleep") && environment.is_empty()
    };
    eventually("it is hidden", || family(shim).iter().any(is_hidden));
    let orphan = family(shim).into_iter().find(is_hidden).unwrap();
    assert_eq!(shim_of(orphan.pid), Some(shim));
    signal(shim, rustix::process::Signal::KILL);
    process.wait().await;
    assert!(orphan.lives() && shim_of(orphan.pid).is_none());
    assert!(is_plugin_peer(orphan.pid), "a plugin is never the owner");
    assert!(!is_plugin_peer(std::process::id()));
    signal(orphan.pid, rustix::process::Signal::KILL);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_is_known_before_the_program_runs() {
    let place = Place::new();
    let (tell, told) = std::sync::mpsc::channel();
    let announce = move |shim| tell.send(shim).unwrap();
    let spec = Spec {
        isolation: Isolation::Shared,
        ..sh("sleep 1000 & echo ready; wait")
    };
    let launcher = place.launcher();
    let mut process = launcher.spawn_announced(spec, announce).await.unwrap();
    assert_eq!(told.try_recv(), Ok(process.shim_pid()));
    assert_eq!(line(&mut process).await, "ready");
    for id in family(process.shim_pid()) {
        assert_eq!(shim_of(id.pid), Some(process.shim_pid()), "{id:?}");
    }
    assert_eq!(shim_of(std::process::id()), None);
    process.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_directory_for_sockets_nothing_but_sockets_is_made() {
    let place = Place::new();
    let directory = place.make("meeting");
    let scratch = place.make("meeting/scratch");
    let other = directory.join("other");
    fs::write(&other, "somebody's").unwrap();
    let stale = directory.join("stale");
    drop(UnixListener::bind(&stale).unwrap());
    let spec = |args: &[&str]| Spec {
        isolation: Isolation::Shared,
        socket_dirs: vec!["/tmp".into()],
        readable: vec![std::env::current_exe().unwrap()],
        writable: vec![scratch.clone()],
        ..misbehaving(args)
    };
    let text = |path: &Path| path.display().to_string();
    let launcher = place.launcher();
    let socket = directory.join("socket");
    let mut process = launcher
        .spawn(spec(&["listen", &text(&socket)]))
        .await
        .unwrap();
    if process.isolation().landlock.is_none() {
        println!("skipped: there is no Landlock here");
        return;
    }
    assert_eq!(line(&mut process).await, "ready");
    UnixStream::connect(&socket)
        .unwrap()
        .write_all(b"hello")
        .unwrap();
    assert_eq!(line(&mut process).await, "hello");
    for path in [&directory.join("file"), &other] {
        let (said, _) = run(&launcher, spec(&["write", &text(path), "1"])).await;
        assert!(said.contains("denied"), "{said}");
    }
    let script = format!(
        "cat {0}; rm {0}; rm {1}; ls {2}; mkdir {2}/d; echo ok > {3}/f && cat {3}/f",
        text(&other),
        text(&stale),
        text(&directory),
        text(&scratch)
    );
    let spec = Spec {
        isolation: Isolation::Shared,
        socket_dirs: vec!["/tmp".into()],
        writable: vec![scratch.clone()],
        ..sh(&script)
    };
    let (said, _) = run(&launcher, spec).await;
    assert_eq!(said.matches("denied").count(), 5, "{said}");
    assert!(said.starts_with("ok\n"), "{said}");
    assert!(other.exists() && stale.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_host_report_agrees_with_what_a_process_gets() {
    let place = Place::new();
    let launcher = place.launcher();
    let report = launcher.host().await;
    let isolated = report.isolation.clone().unwrap();
    let process = launcher.spawn(sh("sleep 1000")).await.unwrap();
    assert_eq!(process.isolation().pid_namespace, isolated.pid_namespace);
    assert_eq!(process.isolation().landlock, isolated.landlock);
    assert_eq!(process.isolation().seccomp, isolated.seccomp);
    assert_eq!(process.isolation().missing, isolated.missing);
    assert_eq!(*process.enforcement(), report.enforcement);
    assert!(report.pidfd);
    println!("{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_change_the_machine_are_refused_and_others_are_not() {
    let place = Place::new();
    for isolation in [Isolation::BestEffort, Isolation::Shared] {
        let mut spec = misbehaving(&["call"]);
        spec.isolation = isolation;
        let mut process = place.launcher().spawn(spec).await.unwrap();
        assert!(process.isolation().seccomp, "{:?}", process.isolation());
        let said = output(&mut process).await;
        assert!(process.wait().await.status.success(), "{said}");
        for line in said.lines().take(13) {
            let refused = if line.starts_with("clone3") {
                "clone3 ENOSYS".to_owned()
            } else {
                format!("{} EPERM", line.split(' ').next().unwrap())
            };
            assert_eq!(line, refused, "{said}");
        }
        let rest: Vec<_> = said.lines().skip(13).collect();
        assert_eq!(rest, ["getpid permitted", "thread", "child"], "{said}");
    }
}
