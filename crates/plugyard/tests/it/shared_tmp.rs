//! A machine that permits no namespaces, as an ordinary container: plugins share its `/tmp`.
//!
//! Each test runs itself again where a namespace really cannot be made: without `CAP_SYS_ADMIN`, and in a
//! user namespace that may have no others in it. Other tests use the same `/tmp`, so that every name is
//! this test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value as Json, json};

use crate::support::{Server, answer, is_alive, plugins, plugyard, python, run, wait_for};

/// Says to a test that it is already there.
const INSIDE: &str = "PLUGYARD_TEST_WITHOUT_NAMESPACES";

/// Starts its arguments where no namespace can be made.
const DENY: &str = "echo 0 > /proc/sys/user/max_user_namespaces && \
    exec setpriv --bounding-set -sys_admin --inh-caps -all \"$@\"";

fn denying(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "sh", "-c", DENY, "sh"])
        .arg(program);
    command
}

/// Runs a test again without namespaces; true where it is there already.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        for kind in ["--mount", "--user"] {
            let made = Command::new("unshare").args([kind, "true"]).output();
            assert!(
                !made.expect("unshare").status.success(),
                "{kind} is permitted"
            );
        }
        return true;
    }
    let possible = denying(Path::new("true")).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        println!("skipped: cannot forbid namespaces here");
        return false;
    }
    let mut again = denying(&std::env::current_exe().expect("this program"));
    again
        .args(["--exact", &format!("shared_tmp::{test}"), "--nocapture"])
        .env(INSIDE, "1");
    let ended = run(&mut again);
    print!("{}", ended.stdout);
    eprint!("{}", ended.stderr);
    assert_eq!(ended.code, 0, "it failed in there");
    assert!(ended.stdout.contains("1 passed"), "no test of that name");
    false
}

/// A plugin with names that nobody else on this machine has.
struct Sample {
    directory: tempfile::TempDir,
    tag: String,
}

impl Sample {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a directory"),
            tag: format!("s{:x}", std::process::id()),
        }
    }

    fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    fn name(&self) -> String {
        format!("sam_{}", self.tag)
    }

    /// A version of it, which its function tells.
    fn version(&self, version: &str) -> String {
        let Self { tag, .. } = self;
        let program = PROGRAM.replace("@TAG@", tag).replace("@VERSION@", version);
        let parent = self.directory.path().join(version);
        let (source, sink, function) = (
            format!("count_{tag}"),
            format!("print_{tag}"),
            format!("version_{tag}"),
        );
        let path = plugins::python(
            &parent,
            &self.name(),
            &program,
            &[&source],
            &[&sink],
            &[&function],
        );
        path.display().to_string()
    }

    fn create_rule(&self, server: &Server) {
        let Self { tag, .. } = self;
        let stream = format!(
            "CREATE STREAM stream_{tag} () WITH (TYPE=\"count_{tag}\", DATASOURCE=\"x\", FORMAT=\"json\")"
        );
        let stream = answer(server.post("/streams").json(&json!({ "sql": stream })));
        assert_eq!(stream.status, 201, "{stream:?}");
        let rule = answer(server.post("/rules").json(&json!({
            "id": format!("rule_{tag}"),
            "sql": format!("SELECT n, version_{tag}(n) AS version FROM stream_{tag}"),
            "actions": [{format!("print_{tag}"): {"requireAck": true}}],
        })));
        assert_eq!(rule.status, 201, "{rule:?}");
    }

    fn status(&self, server: &Server) -> Json {
        let answer = answer(server.get(&format!("/rules/rule_{}/status", self.tag)));
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str(&answer.body).expect("JSON")
    }

    /// Rows that the sink has acknowledged.
    fn rows(&self, server: &Server) -> u64 {
        let key = format!("sink_print_{}_0_0_records_out_total", self.tag);
        self.status(server)[key.as_str()].as_u64().unwrap_or(0)
    }

    fn assert_rows_flow(&self, server: &Server) {
        let before = self.rows(server);
        wait_for("more rows", || {
            let rows = self.rows(server);
            (rows > before + 5).then_some(())
        });
    }

    /// What the sink wrote down: numbers with the version that saw them.
    fn written(&self) -> Vec<(u64, String)> {
        let file = self
            .home()
            .join("plugin-data/portable")
            .join(self.name())
            .join("rows");
        let text = fs::read_to_string(&file).unwrap_or_default();
        text.lines()
            .map(|line| {
                let row: Json = serde_json::from_str(line).expect("JSON");
                let version = row[0]["version"].as_str().unwrap_or_default().to_owned();
                (row[0]["n"].as_u64().expect("a number"), version)
            })
            .collect()
    }

    /// Sockets of this sample in the machine's `/tmp`.
    fn sockets(&self) -> Vec<String> {
        let entries = fs::read_dir("/tmp").expect("/tmp").flatten();
        let mut names: Vec<_> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.contains(&self.tag) && !name.starts_with('.'))
            .collect();
        names.sort();
        names
    }

    /// The server's own directory in `/tmp`, by one of the sockets in it.
    fn own_directory(&self) -> Option<PathBuf> {
        let entries = fs::read_dir("/tmp").expect("/tmp").flatten();
        let mut own = entries
            .map(|entry| entry.path())
            .filter(|path| path.to_string_lossy().contains("/.plugyard-"));
        own.find(|path| {
            let mut within = fs::read_dir(path).into_iter().flatten().flatten();
            within.any(|it| it.file_name().to_string_lossy().contains(&self.tag))
        })
    }
}

/// Counts on in its data directory, after each row that was taken.
const PROGRAM: &str = r#"
from ekuiper import plugin, PluginConfig, Source, Sink, Function
import os, subprocess, threading

DATA = os.environ["PLUGYARD_DATA_DIR"]
# A child that would stay: in a session of its own, which no signal to the plugin's group reaches.
CHILD = subprocess.Popen(["setsid", "sleep", "1000"])
with open(os.path.join(DATA, "child"), "w") as file:
    file.write(str(CHILD.pid))

class Count(Source):
    def __init__(self):
        self.wanted = threading.Event()
        self.ended = threading.Event()
    def configure(self, datasource, conf):
        pass
    def open(self, ctx):
        path = os.path.join(DATA, "next")
        n = int(open(path).read()) if os.path.exists(path) else 0
        while not self.wanted.wait(0.01):
            ctx.emit({"n": n}, None)
            n += 1
            with open(path + ".new", "w") as file:
                file.write(str(n))
            os.rename(path + ".new", path)
        self.ended.set()
    def close(self, ctx):
        self.wanted.set()
        self.ended.wait(5)

class Print(Sink):
    def configure(self, conf):
        pass
    def open(self, ctx):
        self.file = open(os.path.join(DATA, "rows"), "ab", buffering=0)
    def collect(self, ctx, data):
        self.file.write(data + b"\n")
        ctx.ack_ok()
    def close(self, ctx):
        pass

class Version(Function):
    def validate(self, args):
        return ""
    def exec(self, args, ctx):
        return "@VERSION@"
    def is_aggregate(self):
        return False

if __name__ == '__main__':
    plugin.start(PluginConfig("sam_@TAG@",
        {"count_@TAG@": lambda: Count()}, {"print_@TAG@": lambda: Print()}, {"version_@TAG@": lambda: Version()}))
"#;

#[test]
fn without_namespaces_a_plugin_lives_its_whole_life_and_leaves_nothing() {
    if python().is_none()
        || !inside("without_namespaces_a_plugin_lives_its_whole_life_and_leaves_nothing")
    {
        return;
    }
    let sample = Sample::new();
    let name = sample.name();
    let mut server = Server::start_in(&sample.home(), |_| {});
    server.cli_ok(&["install", &sample.version("v1")]);
    assert!(
        server.log().contains("max_user_namespaces"),
        "{}",
        server.log()
    );
    let shown = server.shown(&name);
    let isolation = &shown["details"]["isolation"];
    assert_eq!(isolation["mode"], "shared", "{isolation}");
    let because = isolation["because"].as_str().unwrap();
    assert!(because.contains("user.max_user_namespaces"), "{because}");
    let text = server.cli_ok(&["show", &name]).stdout;
    assert!(text.contains("one server alone"), "{text}");
    sample.create_rule(&server);
    sample.assert_rows_flow(&server);

    // Changes under load: everything that was sent is there once, in order.
    server.cli_ok(&["upgrade", &name, &sample.version("v2")]);
    sample.assert_rows_flow(&server);
    server.cli_ok(&["restart", &name]);
    sample.assert_rows_flow(&server);
    let rule = format!("/rules/rule_{}", sample.tag);
    assert_eq!(answer(server.post(&format!("{rule}/stop"))).status, 200);
    let written = sample.written();
    let numbers: Vec<_> = written.iter().map(|(n, _)| *n).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    let versions: Vec<_> = written
        .iter()
        .map(|(_, version)| version.as_str())
        .collect();
    assert_eq!((versions[0], *versions.last().unwrap()), ("v1", "v2"));
    assert_eq!(answer(server.post(&format!("{rule}/start"))).status, 200);
    sample.assert_rows_flow(&server);

    // Killed, it leaves sockets, and no process for longer than a moment.
    let data = sample.home().join("plugin-data/portable").join(&name);
    let child: u32 = fs::read_to_string(data.join("child"))
        .unwrap()
        .parse()
        .unwrap();
    let pid = server.plugin_pid(&name);
    assert!(is_alive(pid) && is_alive(child));
    let own = sample.own_directory().expect("a directory for sockets");
    server.kill();
    wait_for("the plugin and its child to end with the server", || {
        (!is_alive(pid) && !is_alive(child)).then_some(())
    });
    drop(server);
    assert!(!sample.sockets().is_empty());

    // The next one takes them over and goes on.
    let mut server = Server::start_in(&sample.home(), |_| {});
    sample.assert_rows_flow(&server);
    let pid = server.plugin_pid(&name);
    server.cli_ok(&["disable", &name]);
    assert!(!is_alive(pid));
    wait_for("only the rule's sockets", || {
        let left = sample.sockets();
        (!left.contains(&format!("plugin_{name}.ipc"))).then_some(())
    });
    server.cli_ok(&["enable", &name]);
    sample.assert_rows_flow(&server);
    assert_eq!(answer(server.delete(&rule)).status, 200);
    server.cli_ok(&["uninstall", &name, "--yes"]);
    wait_for("nothing of it", || {
        sample.sockets().is_empty().then_some(())
    });
    assert!(server.terminate().success(), "{}", server.log());
    assert!(!own.exists(), "{}", own.display());
}

#[test]
fn without_namespaces_a_second_server_is_told_whose_a_plugin_is() {
    if python().is_none() || !inside("without_namespaces_a_second_server_is_told_whose_a_plugin_is")
    {
        return;
    }
    let sample = Sample::new();
    let name = sample.name();
    let one = Server::start_in(&sample.home(), |_| {});
    let two = Server::start();
    let package = sample.version("v1");
    one.cli_ok(&["install", &package]);
    let refused = two.cli(&["install", &package]);
    assert_ne!(refused.code, 0, "{refused:?}");
    let holder = format!("process {} (plugyard)", one.pid());
    for word in ["cannot be had", &format!("/tmp/plugin_{name}.ipc"), &holder] {
        assert!(refused.stderr.contains(word), "{word}: {refused:?}");
    }
    assert_eq!(two.cli(&["show", &name]).code, 3);
    one.cli_ok(&["uninstall", &name, "--yes"]);
    two.cli_ok(&["install", &package]);
}

#[test]
fn without_namespaces_the_setting_that_wants_them_says_what_to_do() {
    if python().is_none()
        || !inside("without_namespaces_the_setting_that_wants_them_says_what_to_do")
    {
        return;
    }
    let sample = Sample::new();
    let setting = ("PLUGYARD__PORTABLE__ISOLATION", "namespaces");
    let server = Server::start_in(&sample.home(), |command| {
        command.env(setting.0, setting.1);
    });
    let refused = server.cli(&["install", &sample.version("v1")]);
    assert_ne!(refused.code, 0, "{refused:?}");
    for word in [
        "permits no namespaces",
        "portable.isolation",
        "plugyard doctor",
    ] {
        assert!(refused.stderr.contains(word), "{word}: {refused:?}");
    }
    let doctor = |setting: (&str, &str)| {
        let mut command = plugyard(&sample.home());
        let ended = run(command
            .args(["doctor", "-o", "json"])
            .env(setting.0, setting.1));
        let report: Json = serde_json::from_str(&ended.stdout).expect("JSON");
        let checks = report["checks"].as_array().unwrap().clone();
        let check = checks
            .into_iter()
            .find(|it| it["check"] == "portable plugins");
        (ended.code, check.expect("a check")["result"].clone())
    };
    assert_eq!(doctor(setting), (1, json!("missing")));
    let (_, auto) = doctor((setting.0, "auto"));
    assert_eq!(auto, "weak");
    assert_eq!(sample.sockets(), [""; 0]);
}
