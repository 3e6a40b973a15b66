//! Plugins that share the machine's `/tmp`, as on a host without mount namespaces.
//!
//! Other tests, and other servers, may do so at the same time: every name here is one that nobody else has.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures::future::join_all;
use plugyard_model::HealthState;
use plugyard_platform::kind::{Action, Version};
use plugyard_portable::testing::{mirror, script_dir, toolbox_apart_dir};
use plugyard_portable::{IsolationMode, PortableSettings, Span};
use plugyard_symbol::Value;
use serde_json::{Value as Json, json};

use crate::calls::{bind, text};
use crate::hostile::{eventually, program, random};
use crate::support::{PATIENCE, Process, Rig, kill, message, numbers_in, python};

const SWAPS: usize = 6;

/// What nobody else on this machine has in a name.
fn tag() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("t{:x}n{number}", std::process::id())
}

fn shared(python: &str, adjust: impl FnOnce(&mut PortableSettings)) -> Rig {
    Rig::with(python, |settings| {
        settings.isolation = IsolationMode::Shared;
        settings.restart.initial = Span::millis(10);
        adjust(settings);
    })
}

/// A plugin of one test, with the names that it has there.
struct Toolbox {
    rig: Rig,
    tag: String,
    key: String,
    rule: String,
}

impl Toolbox {
    async fn new() -> Option<Self> {
        Self::with(json!({}), |_| {}).await
    }

    async fn with(options: Json, adjust: impl FnOnce(&mut PortableSettings)) -> Option<Self> {
        let rig = shared(&python()?, adjust);
        let tag = tag();
        let toolbox = Self {
            rig,
            key: format!("toolbox_{tag}"),
            rule: format!("r_{tag}"),
            tag,
        };
        toolbox
            .rig
            .install(&toolbox.version("v1", options))
            .await
            .unwrap();
        Some(toolbox)
    }

    fn version(&self, version: &str, options: Json) -> Version {
        let mut packed = self
            .rig
            .package(|at| toolbox_apart_dir(at, version, &self.tag));
        packed.options = options;
        packed
    }

    fn function(&self, name: &str) -> String {
        format!("{name}_{}", self.tag)
    }

    fn bind(&self, name: &str) -> Arc<dyn plugyard_symbol::BoundFunction> {
        bind(&self.rig, &self.function(name))
    }

    async fn details(&self) -> Json {
        let installation = self.rig.installation(&self.key).unwrap();
        self.rig.kind.details(&installation).await
    }

    async fn pids(&self) -> Vec<i32> {
        let details = self.details().await;
        let processes = details["processes"].as_array().unwrap().iter();
        processes
            .filter_map(|it| it["pid"].as_i64())
            .map(|pid| i32::try_from(pid).unwrap())
            .collect()
    }
}

/// Sockets with that in their name.
fn sockets(tag: &str) -> Vec<String> {
    let entries = fs::read_dir("/tmp").unwrap().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.contains(tag))
        .collect();
    names.sort();
    names
}

/// The directory in which a server keeps what it has in `/tmp`: one with the file that `socket` is.
fn own_directory(socket: &Path) -> std::path::PathBuf {
    use std::os::unix::fs::MetadataExt as _;
    let wanted = fs::metadata(socket).unwrap().ino();
    let entries = fs::read_dir("/tmp").unwrap().flatten();
    let owns = |path: &std::path::PathBuf| {
        let within = fs::read_dir(path).into_iter().flatten().flatten();
        within
            .filter_map(|it| it.metadata().ok())
            .any(|it| it.ino() == wanted)
    };
    entries
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().contains("/.plugyard-"))
        .find(owns)
        .expect("a directory of the server's own")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sharing_means_is_said_of_the_plugin_and_nothing_is_left_of_it() {
    let Some(toolbox) = Toolbox::new().await else {
        return;
    };
    let details = toolbox.details().await;
    let isolation = &details["isolation"];
    assert_eq!(isolation["mode"], "shared");
    assert_eq!(isolation["because"], "`portable.isolation` is `shared`");
    let weaker = isolation["weaker"].as_array().unwrap();
    assert_eq!(weaker.len(), 3, "{isolation}");
    let process = &details["processes"][0]["isolation"];
    assert_eq!(process["private_tmp"], false, "{process}");
    assert_eq!(process["seccomp"], true, "{process}");
    let answer = toolbox.bind("same").call(&[Value::Int(7)]).await.unwrap();
    assert_eq!(text(answer), "7");
    let control = format!("/tmp/plugin_{}.ipc", toolbox.key);
    let own = own_directory(Path::new(&control));
    let process = Process::of(toolbox.rig.pid(&toolbox.key));
    toolbox
        .rig
        .change(Action::Uninstall, &toolbox.key, None)
        .await
        .unwrap();
    assert!(!process.lives());
    assert_eq!(sockets(&toolbox.tag), [""; 0]);
    assert!(!own.exists(), "with the last socket its directory goes");
    toolbox.rig.end().await;
}

/// A process that knocks on the sockets of a plugin, and who may.
#[tokio::test(flavor = "multi_thread")]
async fn host_08_nobody_but_the_plugin_is_let_in_to_its_sockets_in_a_shared_tmp() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(toolbox) = Toolbox::new().await else {
        return;
    };
    let Toolbox { rig, key, rule, .. } = &toolbox;
    let same = toolbox.bind("same");
    assert_eq!(text(same.call(&[Value::Int(1)]).await.unwrap()), "1");
    let (source, inbox) = rig.source("numbers", rule).await;
    let (mut sink, _) = rig.sink("notebook", rule, json!({})).await;
    // Another plugin of this very server, which is no descendant of the first.
    let foreign = format!("foreign_{}", toolbox.tag);
    let other = rig.package(|at| mirror::directory_apart(at, &foreign, &program()));
    // Its source and sink would have names that the first one's have.
    let failed = rig.install(&other).await;
    failed.unwrap();
    let obey = bind(rig, &format!("obey_{foreign}"));
    for (name, protocol) in [
        (format!("plugin_{key}.ipc"), 0x30),
        (format!("func_{}.ipc", toolbox.function("same")), 0x30),
        (format!("{rule}_stream_0.ipc"), 0x50),
        (format!("{rule}_notebook_0_0_ack.ipc"), 0x50),
    ] {
        let path = Path::new("/tmp").join(&name);
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
        // A process of the same user; this one is no plugin.
        let said = tokio::task::spawn_blocking(move || {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let _ = stream.write_all(&[0, b'S', b'P', 0, 0, protocol, 0, 0]);
            let _ = stream.write_all(b"\x01\0\0\0\0\0\0\0\x06\x80\0\0\x01ok");
            let mut said = Vec::new();
            match stream.read_to_end(&mut said) {
                Ok(_) => said.len(),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => said.len(),
                Err(error) => panic!("it was let in: {error}"),
            }
        });
        assert!(said.await.unwrap() <= 8, "{name}");
        let command = format!("connect /tmp/{name}");
        let said = obey.call(&[Value::from(command.as_str())]).await.unwrap();
        assert_eq!(text(said), r#""connected""#);
    }
    // The plugin does not notice.
    assert_eq!(text(same.call(&[Value::Int(2)]).await.unwrap()), "2");
    let version = toolbox.bind("version").call(&[]).await.unwrap();
    assert_eq!(text(version), r#""v1""#);
    inbox.more(5).await;
    assert!(inbox.exceptions().is_empty(), "{:?}", inbox.exceptions());
    sink.send(message(0)).await.unwrap();
    sink.stop().await.unwrap();
    source.stop().await.unwrap();
    toolbox.rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_35_swaps_in_a_shared_tmp_lose_and_double_nothing() {
    let Some(toolbox) = Toolbox::new().await else {
        return;
    };
    let Toolbox { rig, key, rule, .. } = &toolbox;
    let (source, inbox) = rig.source("numbers", rule).await;
    let acknowledged = json!({"requireAck": true});
    let (mut sink, observer) = rig.sink("notebook", rule, acknowledged).await;
    let same = toolbox.bind("same");
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    let calling = tokio::spawn(async move {
        let mut calls = 0;
        while !end.load(Ordering::Relaxed) {
            let answer = same.call(&[Value::Int(calls)]).await.unwrap();
            assert_eq!(text(answer), calls.to_string());
            calls += 1;
        }
        calls
    });
    let end = Arc::clone(&ended);
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        while !end.load(Ordering::Relaxed) {
            sink.send(message(sent)).await.unwrap();
            sent += 1;
        }
        sink.stop().await.unwrap();
        sent
    });
    for n in 0..SWAPS {
        inbox.more(5).await;
        if n % 2 == 0 {
            let version = toolbox.version(&format!("v{n}"), json!({}));
            rig.upgrade(&version).await.unwrap();
        } else {
            rig.change(Action::Restart, key, None).await.unwrap();
        }
    }
    inbox.more(5).await;
    ended.store(true, Ordering::Relaxed);
    assert!(calling.await.unwrap() > SWAPS.try_into().unwrap());
    let sent = sending.await.unwrap();
    source.stop().await.unwrap();
    let rows: Vec<_> = inbox
        .rows()
        .iter()
        .map(|row| row["n"].as_u64().unwrap())
        .collect();
    assert_eq!(rows, (0..rows.len() as u64).collect::<Vec<_>>());
    let written = numbers_in(&rig.data(key, "notebook"));
    assert_eq!(written, (0..sent as u64).collect::<Vec<_>>());
    assert!(inbox.exceptions().is_empty(), "{:?}", inbox.exceptions());
    assert!(observer.exceptions().is_empty());
    let version = toolbox.bind("version").call(&[]).await.unwrap();
    assert_eq!(text(version), r#""v4""#);
    toolbox.rig.end().await;
    assert_eq!(sockets(&toolbox.tag), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn host_11_a_killed_plugin_recovers_in_a_shared_tmp() {
    let Some(toolbox) = Toolbox::new().await else {
        return;
    };
    let Toolbox { rig, key, rule, .. } = &toolbox;
    let (source, inbox) = rig.source("numbers", rule).await;
    let (mut sink, _) = rig
        .sink("notebook", rule, json!({"requireAck": true}))
        .await;
    let same = toolbox.bind("same");
    for n in 0..3 {
        inbox.more(5).await;
        kill(rig.pid(key));
        inbox
            .until("told", |inbox| inbox.exceptions().len() > n)
            .await;
        rig.until(key, HealthState::Ready).await;
        let number = i64::try_from(n).unwrap();
        let answer = same.call(&[Value::Int(number)]).await.unwrap();
        assert_eq!(text(answer), n.to_string());
        sink.send(message(n)).await.unwrap();
        inbox.more(5).await;
    }
    source.stop().await.unwrap();
    sink.stop().await.unwrap();
    assert_eq!(numbers_in(&rig.data(key, "notebook")), [0, 1, 2]);
    toolbox.rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_31_workers_share_the_calls_in_a_shared_tmp() {
    let long = |settings: &mut PortableSettings| settings.recv_timeout = Span::millis(20_000);
    let Some(toolbox) = Toolbox::with(json!({"workers": 3}), long).await else {
        return;
    };
    let pids = toolbox.pids().await;
    assert_eq!(pids.iter().collect::<BTreeSet<_>>().len(), 3);
    let sleep = toolbox.bind("sleep");
    let all_at_once = async || {
        let calls = (0..3).map(|_| sleep.call(&[Value::Int(300)]));
        for answer in join_all(calls).await {
            assert_eq!(text(answer.unwrap()), "300");
        }
    };
    all_at_once().await;
    let plugin = format!("portable:{}", toolbox.key).parse().unwrap();
    let (lines, _) = toolbox.rig.kind.logs(&plugin, usize::MAX);
    let slept = lines.iter().filter(|line| line.text == "slept 300");
    let slept: BTreeSet<_> = slept.map(|line| line.pid.cast_signed()).collect();
    assert_eq!(slept, pids.iter().copied().collect(), "each had one");
    kill(pids[1]);
    toolbox.rig.until(&toolbox.key, HealthState::Degraded).await;
    toolbox.rig.until(&toolbox.key, HealthState::Ready).await;
    all_at_once().await;
    toolbox.rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_35_sinks_that_are_no_python_are_swapped_in_a_shared_tmp() {
    let name = format!("mirror_{}", tag());
    let rig = shared("python3", |_| {});
    let version = rig.package(|at| mirror::directory_apart(at, &name, &program()));
    rig.install(&version).await.unwrap();
    let config = json!({"interval": 2, "keep": "numbers"});
    let (source, inbox) = random(&rig, &name, &config).await.unwrap();
    let properties = json!({"file": "notebook"});
    let (mut sink, observer) = rig.sink("file_sink", &name, properties).await;
    let mut sent = 0;
    for _ in 0..SWAPS {
        for _ in 0..20 {
            sink.send(message(sent)).await.unwrap();
            sent += 1;
        }
        inbox.more(5).await;
        rig.change(Action::Restart, &name, None).await.unwrap();
    }
    sink.send(message(sent)).await.unwrap();
    sink.stop().await.unwrap();
    source.stop().await.unwrap();
    let written = numbers_in(&rig.data(&name, "notebook"));
    assert_eq!(written, (0..=sent as u64).collect::<Vec<_>>());
    let rows = inbox.rows();
    let rows: Vec<_> = rows.iter().map(|row| row["n"].as_u64().unwrap()).collect();
    assert_eq!(rows, (0..rows.len() as u64).collect::<Vec<_>>());
    assert!(observer.exceptions().is_empty());
    rig.end().await;
    // The end of its last sink called for a new process (HOST-29), which may have been on its way.
    eventually("its sockets are gone", || sockets(&name).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_or_function_of_another_server_is_refused_until_it_is_gone() {
    let name = format!("mirror_{}", tag());
    let (one, two) = (shared("python3", |_| {}), shared("python3", |_| {}));
    let pack = |rig: &Rig| rig.package(|at| mirror::directory_apart(at, &name, &program()));
    one.install(&pack(&one)).await.unwrap();
    let version = pack(&two);
    let failed = two.install(&version).await.unwrap_err();
    assert_eq!(failed.step, "start");
    assert_eq!(failed.error.code.as_str(), "portable_socket_taken");
    assert_eq!(
        failed.error.params["path"],
        format!("/tmp/plugin_{name}.ipc")
    );
    // The socket's owner is this process, which both servers are.
    let me = format!("process {}", std::process::id());
    assert!(failed.error.params["holder"].contains(&me), "{failed:?}");
    assert!(two.installation(&name).is_none());

    // Another plugin with a function of the same name.
    let other = format!("other_{name}");
    let alike = two.package(|at| {
        mirror::directory_apart(at, &other, &program())?;
        let file = at.join(format!("{other}.json"));
        let mut manifest: Json = serde_json::from_slice(&fs::read(&file)?)?;
        manifest["functions"] = json!([format!("echo_{name}")]);
        fs::write(file, manifest.to_string())
    });
    let failed = two.install(&alike).await.unwrap_err();
    assert_eq!(failed.error.code.as_str(), "portable_socket_taken");
    assert_eq!(
        failed.error.params["path"],
        format!("/tmp/func_echo_{name}.ipc")
    );
    assert_eq!(sockets(&other), [""; 0]);

    // A rule of the same name finds its sockets taken, and says by whom.
    let config = json!({"interval": 10});
    let (source, _inbox) = random(&one, &name, &config).await.unwrap();
    let third = format!("third_{name}");
    let version_of_third = two.package(|at| mirror::directory_apart(at, &third, &program()));
    two.install(&version_of_third).await.unwrap();
    let error = random(&two, &name, &config).await.err().unwrap();
    assert!(error.text.contains(&me), "{error}");
    source.stop().await.unwrap();
    let (source, _inbox) = random(&two, &name, &config).await.unwrap();
    source.stop().await.unwrap();
    two.change(Action::Uninstall, &third, None).await.unwrap();

    one.change(Action::Uninstall, &name, None).await.unwrap();
    two.install(&version).await.unwrap();
    two.end().await;
    one.end().await;
    assert_eq!(sockets(&name), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_nobody_listens_on_makes_way_and_a_live_one_does_not() {
    let name = format!("mirror_{}", tag());
    let rig = shared("python3", |_| {});
    let version = rig.package(|at| mirror::directory_apart(at, &name, &program()));
    let path = format!("/tmp/plugin_{name}.ipc");
    let live = UnixListener::bind(&path).unwrap();
    let failed = rig.install(&version).await.unwrap_err();
    assert_eq!(failed.error.code.as_str(), "portable_socket_taken");
    assert!(Path::new(&path).exists(), "it is somebody else's");
    drop(live);
    rig.install(&version).await.unwrap();
    // So it is with a sink's.
    let stale = format!("/tmp/{name}_file_sink_0_0.ipc");
    let live = UnixListener::bind(&stale).unwrap();
    let properties = json!({"file": "notebook"});
    let refused = rig.try_sink("file_sink", &name, properties.clone()).await;
    assert!(refused.err().unwrap().text.contains("listens there"));
    drop(live);
    let (mut sink, _) = rig.sink("file_sink", &name, properties).await;
    sink.send(message(0)).await.unwrap();
    sink.stop().await.unwrap();
    assert_eq!(numbers_in(&rig.data(&name, "notebook")), [0]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_plugin_gets_nothing_in_a_shared_tmp_where_there_is_landlock() {
    let name = format!("mirror_{}", tag());
    let rig = shared("python3", |settings| {
        settings.stop_grace = Span::millis(200);
    });
    let version = rig.package(|at| mirror::directory_apart(at, &name, &program()));
    rig.install(&version).await.unwrap();
    let details = rig.kind.details(&rig.installation(&name).unwrap()).await;
    if details["processes"][0]["isolation"]["landlock"].is_null() {
        println!("skipped: there is no Landlock here");
        return rig.end().await;
    }
    let home = rig.home.root().to_owned();
    fs::write(rig.home.keys().join("master.key"), "secret").unwrap();
    fs::write(home.join("plugyard.db"), "secret").unwrap();
    let control = format!("/tmp/plugin_{name}.ipc");
    let own = own_directory(Path::new(&control));
    let beside = format!("/tmp/beside_{name}");
    fs::write(&beside, "somebody's").unwrap();
    let obey = bind(&rig, &format!("obey_{name}"));
    let obey = async |command: &str| match obey.call(&[Value::from(command)]).await {
        Ok(value) => serde_json::from_str(&text(value)).unwrap(),
        Err(error) => format!("error: {}", error.text),
    };
    for command in [
        format!("read {}/master.key", rig.home.keys().display()),
        format!("read {}/plugyard.db", home.display()),
        format!("list {}", rig.home.run().display()),
        format!("write {}/x", home.display()),
        format!("list {}", own.display()),
        format!("read {beside}"),
        format!("write {beside}"),
        format!("write /tmp/new_{name}"),
        "list /tmp".to_owned(),
        format!("read /proc/{}/environ", std::process::id()),
        "write /etc/x".to_owned(),
    ] {
        let said = obey(&command).await;
        assert!(said.starts_with("error: "), "`{command}`: {said}");
    }
    let scratch: String = obey("variable TMPDIR").await;
    assert!(Path::new(&scratch).starts_with(&own), "{scratch}");
    assert_eq!(obey(&format!("write {scratch}/x")).await, "written");
    fs::remove_file(&beside).unwrap();
    // What it started in a session of its own goes with it.
    obey("fork").await;
    let pid = rig.pid(&name);
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let grandchildren: Vec<_> = children
        .unwrap_or_default()
        .split_whitespace()
        .map(|pid| Process::of(pid.parse().unwrap()))
        .collect();
    rig.change(Action::Disable, &name, None).await.unwrap();
    assert!(grandchildren.iter().all(|child| !child.lives()));
    eventually("nothing of it is kept", || !Path::new(&scratch).exists()).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn install_scripts_run_in_a_shared_tmp_with_a_directory_of_their_own() {
    let Some(python) = python() else { return };
    let name = format!("scripted_{}", tag());
    let rig = shared(&python, |settings| {
        settings.init_timeout = Span::millis(1);
    });
    let script = "set -e\necho made > \"$TMPDIR/file\"\ncp \"$TMPDIR/file\" made\necho \"in $TMPDIR\"\nexit 3\n";
    let version = rig.package(|at| {
        script_dir(at, &name, "")?;
        fs::write(at.join("install.sh"), script)
    });
    let failed = rig.install(&version).await.unwrap_err();
    assert_eq!(failed.step, "build");
    let staging = rig.home.staging().display().to_string();
    let text = &failed.error.text;
    assert!(
        text.contains("err:exit status 3") && text.contains(&format!("in {staging}")),
        "{text}"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_for_plugins_that_share_a_tmp() {
    let name = format!("mirror_{}", tag());
    let rig = shared("python3", |settings| {
        settings.recv_timeout = Span::secs(60);
    });
    let mut version = rig.package(|at| mirror::directory_apart(at, &name, &program()));
    version.options = json!({"limits": {"memory": "64MiB"}});
    rig.install(&version).await.unwrap();
    let obey = bind(&rig, &format!("obey_{name}"));
    assert!(obey.call(&[Value::from("eat")]).await.is_err());
    let told = async {
        loop {
            let status = rig.status(&name);
            let last = status["history"].as_array().unwrap().last().cloned();
            if let Some(last) = last {
                return last["reason"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await.unwrap();
    assert!(told.contains("over its limit of memory"), "{told}");
    rig.until(&name, HealthState::Ready).await;
    rig.end().await;
}
