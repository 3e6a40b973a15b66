//! Rules with a real plugin behind them: caches, restarts, shared streams, templates.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::support::{Server, answer, plugins, python, wait_for};

/// A source that counts on where it was and a sink that acknowledges when it may, told by files.
const KEEPER: &str = r#"
import os, time
from ekuiper import plugin, PluginConfig, Source, Sink

HERE = os.environ["PLUGYARD_DATA_DIR"]

def there(name):
    return os.path.exists(os.path.join(HERE, name))

def note(name, data):
    with open(os.path.join(HERE, name), "ab", buffering=0) as file:
        file.write(data + b"\n")

class Count(Source):
    def configure(self, datasource, conf):
        if not there("device"):
            raise RuntimeError("no device")
        note("starts", b"start")
    def open(self, ctx):
        path = os.path.join(HERE, "next")
        n = int(open(path).read()) if os.path.exists(path) else 0
        while True:
            if there("enough"):
                time.sleep(0.01)
                continue
            if n == 3 and there("trouble"):
                ctx.emit_error("trouble at three")
            ctx.emit({"n": n}, {})
            n += 1
            with open(path + ".new", "w") as file:
                file.write(str(n))
            os.rename(path + ".new", path)
            time.sleep(0.005)
    def close(self, ctx):
        pass

class Gate(Sink):
    def configure(self, conf):
        self.name = conf.get("file", "got")
    def open(self, ctx):
        pass
    def collect(self, ctx, data):
        if there("closed"):
            ctx.ack_error("the gate is closed")
            return
        note(self.name, data)
        if there("slow"):
            time.sleep(0.2)
        ctx.ack_ok()
    def close(self, ctx):
        pass

if __name__ == '__main__':
    plugin.start(PluginConfig("keeper", {"count": lambda: Count()}, {"gate": lambda: Gate()}, {}))
"#;

/// A home with the plugin in it.
struct Keeper {
    directory: tempfile::TempDir,
    home: PathBuf,
}

impl Keeper {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let home = directory.path().join("home");
        let keeper = Self { directory, home };
        fs::create_dir_all(keeper.data()).expect("a directory");
        keeper
    }

    fn data(&self) -> PathBuf {
        self.home.join("plugin-data/portable/keeper")
    }

    fn install(&self, server: &Server) {
        let plugin = plugins::python(
            self.directory.path(),
            "keeper",
            KEEPER,
            &["count"],
            &["gate"],
            &[],
        );
        server.cli_ok(&["install", plugin.to_str().expect("UTF-8")]);
    }

    fn put(&self, name: &str) {
        fs::write(self.data().join(name), "").expect("a file");
    }

    fn take(&self, name: &str) {
        fs::remove_file(self.data().join(name)).expect("a file");
    }

    fn lines(&self, name: &str) -> Vec<String> {
        lines(&self.data().join(name))
    }
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn create(server: &Server, path: &str, body: &Json) {
    let created = answer(server.post(path).body(body.to_string()));
    assert_eq!(created.status, 201, "{}", created.body);
}

fn stream(server: &Server, options: &str) {
    let sql = format!(r#"CREATE STREAM numbers () WITH (TYPE="count"{options})"#);
    create(server, "/streams", &json!({ "sql": sql }));
}

fn status(server: &Server, rule: &str) -> Json {
    let status = answer(server.get(&format!("/v2/rules/{rule}/status")));
    serde_json::from_str(&status.body).expect("JSON")
}

fn runs(server: &Server, rule: &str) {
    wait_for("the rule to run", || {
        (status(server, rule)["status"] == "running").then_some(())
    });
}

#[test]
fn a_sink_s_cache_survives_a_kill_of_the_server_and_delivers_everything_in_order() {
    if python().is_none() {
        return;
    }
    let keeper = Keeper::new();
    for name in ["device", "closed"] {
        keeper.put(name);
    }
    let mut server = Server::start_in(&keeper.home, |_| {});
    keeper.install(&server);
    stream(&server, "");
    create(
        &server,
        "/rules",
        &json!({"id":"kept","sql":"SELECT n FROM numbers","actions":[{"gate":{
            "requireAck":true,"sendSingle":true,"enableCache":true,"resendInterval":50,
            "memoryCacheThreshold":8,"bufferPageSize":16}}]}),
    );
    let kept = |server: &Server| status(server, "kept")["sink_gate_0_0_buffer_length"].as_u64();
    wait_for("rows to be kept", || (kept(&server)? >= 100).then_some(()));
    keeper.put("enough");
    // Nothing more comes, and all that came is kept.
    let sent = wait_for("the last row to be kept", || {
        let status = status(&server, "kept");
        let sent: u64 = fs::read_to_string(keeper.data().join("next"))
            .ok()?
            .parse()
            .ok()?;
        let is_kept = status["sink_gate_0_0_buffer_length"] == sent
            && status["source_numbers_0_records_in_total"] == sent;
        is_kept.then_some(sent)
    });
    assert_eq!(
        status(&server, "kept")["sink_gate_0_0_records_out_total"],
        0
    );
    server.kill();
    drop(server);
    assert_eq!(keeper.lines("got").len(), 0);

    let server = Server::start_in(&keeper.home, |_| {});
    runs(&server, "kept");
    wait_for("an attempt to fail", || {
        let exception = &status(&server, "kept")["sink_gate_0_0_last_exception"];
        exception
            .as_str()?
            .contains("the gate is closed")
            .then_some(())
    });
    keeper.take("closed");
    let expected: Vec<String> = (0..sent).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    wait_for("everything to arrive", || {
        (keeper.lines("got").len() >= expected.len()).then_some(())
    });
    assert_eq!(keeper.lines("got"), expected);
    assert_eq!(kept(&server), Some(0));
}

#[test]
fn host_22_with_send_error_a_sink_gets_what_the_source_reports_in_its_turn() {
    if python().is_none() {
        return;
    }
    let keeper = Keeper::new();
    for name in ["device", "trouble"] {
        keeper.put(name);
    }
    let server = Server::start_in(&keeper.home, |_| {});
    keeper.install(&server);
    stream(&server, "");
    create(
        &server,
        "/rules",
        &json!({"id":"told","sql":"SELECT n FROM numbers","actions":[{"gate":{"sendSingle":true}}],
            "options":{"sendError":true}}),
    );
    wait_for("rows to arrive", || {
        (keeper.lines("got").len() >= 5).then_some(())
    });
    let expected = [
        r#"{"n":0}"#,
        r#"{"n":1}"#,
        r#"{"n":2}"#,
        r#"{"error":"trouble at three"}"#,
        r#"{"n":3}"#,
    ];
    assert_eq!(keeper.lines("got")[..5], expected);
    let status = status(&server, "told");
    assert_eq!(status["source_numbers_0_exceptions_total"], 1);
    let last = &status["source_numbers_0_last_exception"];
    assert_eq!(last, "trouble at three");
}

#[test]
fn each_message_that_a_slow_sink_acknowledges_is_counted_at_once() {
    if python().is_none() {
        return;
    }
    let keeper = Keeper::new();
    for name in ["device", "slow"] {
        keeper.put(name);
    }
    let server = Server::start_in(&keeper.home, |_| {});
    keeper.install(&server);
    stream(&server, "");
    create(
        &server,
        "/rules",
        &json!({"id":"slow","sql":"SELECT n FROM numbers","actions":[{"gate":{"requireAck":true}}]}),
    );
    // In the time of each there come many more, so that together they would take ever longer.
    let mut seen = BTreeSet::new();
    wait_for("the counter to move with each of them", || {
        let status = status(&server, "slow");
        seen.insert(status["sink_gate_0_0_records_out_total"].as_u64()?);
        (seen.len() > 10).then_some(())
    });
    keeper.take("slow");
}

#[test]
fn a_rule_comes_back_by_itself_when_its_plugin_can_serve_it_again() {
    if python().is_none() {
        return;
    }
    let keeper = Keeper::new();
    let server = Server::start_in(&keeper.home, |_| {});
    keeper.install(&server);
    stream(&server, "");
    create(
        &server,
        "/rules",
        &json!({"id":"again","sql":"SELECT n FROM numbers","actions":[{"gate":{}}],
            "options":{"restartStrategy":{"attempts":50,"delay":100,"multiplier":1},"logFilename":"again.log"}}),
    );
    let stopped = wait_for("the rule to fail", || {
        let status = status(&server, "again");
        (status["status"] == "stopped by error").then_some(status)
    });
    let message = stopped["message"].as_str().expect("a text");
    assert!(message.contains("no device"), "{message}");
    keeper.put("device");
    runs(&server, "again");
    wait_for("rows to arrive", || {
        (!keeper.lines("got").is_empty()).then_some(())
    });
    let log = lines(&keeper.home.join("logs/rules/again.log"));
    for told in ["stopped by error: ", " running"] {
        assert!(log.iter().any(|line| line.contains(told)), "{log:?}");
    }
}

#[test]
fn a_shared_stream_starts_one_source_for_two_rules() {
    if python().is_none() {
        return;
    }
    let keeper = Keeper::new();
    keeper.put("device");
    let server = Server::start_in(&keeper.home, |_| {});
    keeper.install(&server);
    stream(&server, r#", SHARED="true""#);
    for id in ["one", "two"] {
        create(
            &server,
            "/rules",
            &json!({"id":id,"sql":"SELECT n FROM numbers","actions":[{"gate":{
                "file":id,"sendSingle":true,"dataTemplate":"{{if ge .n 0}}{{.n}}{{end}}"}}]}),
        );
    }
    wait_for("rows at both", || {
        (keeper.lines("one").len() > 5 && keeper.lines("two").len() > 5).then_some(())
    });
    assert_eq!(keeper.lines("starts"), ["start"]);
    let stopped = answer(server.post("/rules/one/stop"));
    assert_eq!(stopped.body, "Rule one was stopped.");
    let so_far = keeper.lines("two").len();
    wait_for("more rows at the other", || {
        (keeper.lines("two").len() > so_far + 5).then_some(())
    });
    assert_eq!(keeper.lines("starts"), ["start"]);
    // Each row came once, in order.
    let numbers: Vec<u64> = keeper
        .lines("two")
        .iter()
        .map(|line| line.parse().expect("a number"))
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{numbers:?}"
    );
}
