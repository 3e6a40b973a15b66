//! A test's own directory and launcher, and the other programs that this binary can be.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, exit};
use std::thread;
use std::time::{Duration, Instant};

use plugyard_sandbox::{Isolation, Launcher, Process, Spec};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

const PLUGIN: &str = "__test-plugin";
const SERVER: &str = "__test-server";

/// A shim must have one thread, and a test has several: so before `main`.
#[ctor::ctor(unsafe)]
fn become_another() {
    plugyard_sandbox::shim::run_if_asked();
    let args: Vec<String> = std::env::args().collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.get(1..) {
        Some([PLUGIN, rest @ ..]) => match plugin(rest) {
            Ok(()) => exit(0),
            Err(error) => {
                eprintln!("{error}");
                exit(1)
            }
        },
        Some([SERVER, run_dir, isolation]) => server(Path::new(run_dir), isolation),
        _ => {}
    }
}

/// Directories of one test, below `/tmp` as everything of it is.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir_in("/tmp").unwrap(),
        }
    }

    /// A new directory in it.
    pub(crate) fn make(&self, name: &str) -> PathBuf {
        let path = fs::canonicalize(self.dir.path()).unwrap().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) fn launcher(&self) -> Launcher {
        Launcher::new(&self.make("run")).unwrap()
    }
}

/// `sh -c script`.
pub(crate) fn sh(script: &str) -> Spec {
    let mut spec = Spec::new("sh", "/bin/sh");
    spec.args = vec!["-c".into(), script.into()];
    spec.env.insert("PATH".into(), "/usr/bin:/bin".into());
    spec
}

/// This binary as a plugin.
pub(crate) fn misbehaving(args: &[&str]) -> Spec {
    let mut spec = Spec::new("misbehaving", std::env::current_exe().unwrap());
    spec.args = [PLUGIN].iter().chain(args).map(Into::into).collect();
    spec
}

/// The Python that `cargo xtask test` prepares.
pub(crate) fn python() -> Option<PathBuf> {
    let python = std::env::var_os("PLUGYARD_TEST_PYTHON").map(PathBuf::from);
    if python.is_none() {
        println!("skipped: PLUGYARD_TEST_PYTHON is not set");
    }
    python
}

/// Everything it says on standard output until it closes it.
pub(crate) async fn output(process: &mut Process) -> String {
    let mut text = String::new();
    process
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .await
        .unwrap();
    text
}

/// Everything it says on standard error until it closes it.
pub(crate) async fn errors(process: &mut Process) -> String {
    let mut text = String::new();
    process
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .await
        .unwrap();
    text
}

/// The first line it says; it goes on after that.
pub(crate) async fn line(process: &mut Process) -> String {
    let mut line = String::new();
    let stdout = process.stdout.as_mut().unwrap();
    loop {
        match stdout.read_u8().await {
            Ok(b'\n') | Err(_) => return line,
            Ok(byte) => line.push(byte.into()),
        }
    }
}

/// Starts it, and gives what it says and how it ends.
pub(crate) async fn run(launcher: &Launcher, spec: Spec) -> (String, plugyard_sandbox::Exit) {
    let mut process = launcher.spawn(spec).await.unwrap();
    let said = output(&mut process).await;
    let complaints = errors(&mut process).await;
    let exit = process.wait().await;
    (said + &complaints, exit)
}

/// One process, not just a pid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Id {
    pub(crate) pid: u32,
    pub(crate) started: u64,
}

impl Id {
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        (fields[0] != "Z").then(|| Self {
            pid,
            started: fields[19].parse().unwrap(),
        })
    }

    pub(crate) fn lives(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// A process and all its descendants.
pub(crate) fn family(pid: u32) -> Vec<Id> {
    let mut found: Vec<Id> = Id::of(pid).into_iter().collect();
    let mut next = 0;
    while next < found.len() {
        let tasks = fs::read_dir(format!("/proc/{}/task", found[next].pid));
        for task in tasks.into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(
                children
                    .split_ascii_whitespace()
                    .filter_map(|pid| Id::of(pid.parse().unwrap())),
            );
        }
        next += 1;
    }
    found
}

/// The children of this process from which shims are forked.
pub(crate) fn starters() -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|it| it.parse().ok()) else {
            continue;
        };
        // One that has ended meanwhile is none.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((name, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let parent = rest.split(' ').nth(1).and_then(|it| it.parse().ok());
        if name.ends_with("(shim-starter") && parent == Some(std::process::id()) {
            found.push(pid);
        }
    }
    found
}

/// Waits for a condition, and fails the test if it never comes.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A server, which ends with the test however that ends.
pub(crate) struct Server(std::process::Child);

impl Server {
    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Server {
    /// Lets it do nothing more.
    pub(crate) fn stop(&self) {
        signal(self.0.id(), Signal::STOP);
    }
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    kill_process(pid, signal).unwrap();
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that started a family of processes; the pid of its shim is its first line.
pub(crate) fn start_server(run_dir: &Path, isolation: Isolation) -> (Server, u32) {
    #[expect(clippy::disallowed_methods, reason = "a server, not a plugin")]
    let mut server = Command::new(std::env::current_exe().unwrap())
        .arg(SERVER)
        .arg(run_dir)
        .arg(if isolation == Isolation::Shared {
            "shared"
        } else {
            "isolated"
        })
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = server.stdout.take();
    let server = Server(server);
    let mut said = Vec::new();
    let mut stdout = stdout.unwrap();
    let mut byte = [0];
    while stdout.read(&mut byte).unwrap() == 1 && byte != [b'\n'] {
        said.push(byte[0]);
    }
    let shim = String::from_utf8(said)
        .unwrap()
        .parse()
        .expect("the server starts its process");
    (server, shim)
}

fn server(run_dir: &Path, isolation: &str) -> ! {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let launcher = Launcher::new(run_dir).unwrap();
        let mut spec =
            sh("setsid sleep 1000 & sleep 1000 & (setsid env -i sleep 1000 &) ; echo ready; wait");
        if isolation == "shared" {
            spec.isolation = Isolation::Shared;
        }
        let mut process = launcher.spawn(spec).await.unwrap();
        assert_eq!(line(&mut process).await, "ready");
        println!("{}", process.shim_pid());
        process.wait().await
    });
    exit(1)
}

fn plugin(args: &[&str]) -> io::Result<()> {
    match args {
        ["connect", path] => {
            let mut stream = UnixStream::connect(path)?;
            stream.write_all(b"from the plugin")?;
        }
        ["listen", path] => {
            let listener = UnixListener::bind(path)?;
            say("ready");
            let mut said = String::new();
            listener.accept()?.0.read_to_string(&mut said)?;
            say(&said);
        }
        ["allocate", mib] => {
            allocate(mib);
            say("allocated");
            sleep();
        }
        // Each of them allows itself little.
        ["family", children, mib] => {
            #[expect(clippy::disallowed_methods, reason = "a plugin starting what it likes")]
            let _children: Vec<_> = (0..children.parse().unwrap())
                .map(|_| {
                    Command::new(std::env::current_exe().unwrap())
                        .args([PLUGIN, "allocate", mib])
                        .stdout(Stdio::null())
                        .spawn()
                })
                .collect::<io::Result<_>>()?;
            sleep();
        }
        ["fork"] => {
            #[expect(clippy::disallowed_methods, reason = "a plugin starting what it likes")]
            let started = (0..1000)
                .take_while(|_| Command::new("/bin/sleep").arg("1000").spawn().is_ok())
                .count();
            say(&started.to_string());
        }
        ["open"] => {
            let files: Vec<File> = (0..100_000)
                .map_while(|_| File::open("/dev/null").ok())
                .collect();
            say(&files.len().to_string());
        }
        ["write", path, mib] => {
            let mut file = File::create(path)?;
            for _ in 0..mib.parse().unwrap() {
                file.write_all(&vec![7; 1024 * 1024])?;
            }
            say("written");
            sleep();
        }
        ["call"] => calls(),
        ["spin"] => loop {
            std::hint::black_box(0);
        },
        other => panic!("unknown plugin {other:?}"),
    }
    Ok(())
}

/// Tries what no plugin has any business with, and says for each how the kernel answered.
#[expect(unsafe_code, reason = "calls that no safe interface has")]
fn calls() {
    type Call = (&'static str, libc::c_long, [libc::c_long; 5]);
    let traceme = libc::c_long::from(libc::PTRACE_TRACEME);
    let namespace = |flag: libc::c_int| libc::c_long::from(flag);
    let calls: [Call; 14] = [
        ("mount", libc::SYS_mount, [0; 5]),
        ("umount2", libc::SYS_umount2, [0; 5]),
        (
            "unshare",
            libc::SYS_unshare,
            [namespace(libc::CLONE_NEWUSER), 0, 0, 0, 0],
        ),
        ("setns", libc::SYS_setns, [-1, 0, 0, 0, 0]),
        (
            "clone",
            libc::SYS_clone,
            [namespace(libc::CLONE_NEWUSER | libc::SIGCHLD), 0, 0, 0, 0],
        ),
        ("clone3", libc::SYS_clone3, [0; 5]),
        ("ptrace", libc::SYS_ptrace, [traceme, 0, 0, 0, 0]),
        (
            "process_vm_readv",
            libc::SYS_process_vm_readv,
            [1, 0, 0, 0, 0],
        ),
        ("bpf", libc::SYS_bpf, [0; 5]),
        ("keyctl", libc::SYS_keyctl, [0; 5]),
        ("finit_module", libc::SYS_finit_module, [-1, 0, 0, 0, 0]),
        ("kexec_load", libc::SYS_kexec_load, [0; 5]),
        ("io_uring_setup", libc::SYS_io_uring_setup, [0; 5]),
        ("getpid", libc::SYS_getpid, [0; 5]),
    ];
    for (name, number, [a, b, c, d, e]) in calls {
        // SAFETY: each of these fails at its arguments, is refused, or changes only this process,
        // which ends after them; a child that `clone` should make after all ends here.
        let result = unsafe { libc::syscall(number, a, b, c, d, e) };
        if result == 0 {
            exit(0);
        }
        let error = io::Error::last_os_error().raw_os_error();
        let answer = match error.filter(|_| result < 0) {
            None => "permitted",
            Some(libc::EPERM) => "EPERM",
            Some(libc::ENOSYS) => "ENOSYS",
            Some(_) => "other",
        };
        say(&format!("{name} {answer}"));
    }
    // Ordinary work goes on: threads, processes, files.
    thread::spawn(|| say("thread")).join().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a plugin starting what it likes")]
    let child = Command::new("/bin/echo").arg("child").status();
    assert!(child.unwrap().success());
}

/// Memory that is really there, a little at a time, so that a limit is met on the way.
fn allocate(mib: &str) {
    for _ in 0..mib.parse::<usize>().unwrap() {
        Box::leak(vec![7_u8; 1024 * 1024].into_boxed_slice());
    }
}

fn say(text: &str) {
    println!("{text}");
    io::stdout().flush().unwrap();
}

fn sleep() {
    thread::sleep(Duration::from_secs(1000));
}
