//! Plugins for tests, made with the real Python SDK: well-behaved ones and others.
//!
//! Each function fills a directory, which is then packed like any other. They are the plugins that
//! eKuiper's own tests use or describe, and the ones that do what a plugin should not.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::json;

pub mod mirror;

/// The plugin of eKuiper's end-to-end tests: source `pyjson` (emits `{"name":"pyjson","value":2021}` every
/// 200 ms), sink `print` (acknowledges), function `revert`.
///
/// # Errors
/// When the files cannot be written.
pub fn pysam_dir(directory: &Path) -> io::Result<()> {
    let manifest = json!({
        "version": "v1.0.0",
        "language": "python",
        "executable": "pysam.py",
        "sources": ["pyjson"],
        "sinks": ["print"],
        "functions": ["revert"],
    });
    write(directory, "pysam", &manifest, PYSAM)?;
    fs::write(directory.join("functions/revert.json"), REVERT_METADATA)
}

/// A plugin with a symbol for every purpose; `version` is what its function `version` answers and what
/// its manifest says.
///
/// | symbol | does |
/// |---|---|
/// | source `numbers` | counts, `interval` ms apart, the next number kept in the data directory |
/// | source `raising` | emits one row, then raises |
/// | source `errors` | reports the error `no luck`, again and again |
/// | source `blocking` | its `configure` takes 30 s; prints `configures` before |
/// | sink `notebook` | appends to `{file}` in the data directory, acknowledges |
/// | sink `nack` | rejects everything with `no room` |
/// | sink `picky` | rejects each message whose number is a multiple of 3 with `not this one` |
/// | sink `silent` | takes everything, acknowledges nothing |
/// | sink `slow_open` | needs 1 s to open |
/// | sink `fragile` | as `notebook`, but ends at a message that contains `crash` |
/// | function `version` | its version |
/// | function `revert` | a text backwards |
/// | function `fail` | raises `ValueError: as you wish` |
/// | function `sleep` | sleeps so many ms, then returns them; prints `sleeps {ms}` before and `slept {ms}` after |
/// | function `same` | its argument |
/// | function `total` | an aggregate: the sum |
/// | function `quit` | `true` ends its channel in the middle of the call, anything else comes back |
///
/// # Errors
/// When the files cannot be written.
pub fn toolbox_dir(directory: &Path, version: &str) -> io::Result<()> {
    toolbox(directory, version, "FUNCTIONS")
}

/// [`toolbox_dir`] as `toolbox_{tag}`, its functions as `{name}_{tag}`: names of sockets that nobody else on the
/// machine has.
///
/// # Errors
/// When the files cannot be written.
pub fn toolbox_apart_dir(directory: &Path, version: &str, tag: &str) -> io::Result<()> {
    let functions = format!("{{name + '_{tag}': make for name, make in FUNCTIONS.items()}}");
    toolbox(directory, version, &functions)?;
    let name = format!("toolbox_{tag}");
    let manifest = fs::read(directory.join("toolbox.json"))?;
    let mut manifest: serde_json::Value = serde_json::from_slice(&manifest)?;
    for function in manifest["functions"].as_array_mut().into_iter().flatten() {
        let apart = format!("{}_{tag}", function.as_str().unwrap_or_default());
        *function = apart.into();
    }
    fs::remove_file(directory.join("toolbox.json"))?;
    fs::write(directory.join(format!("{name}.json")), manifest.to_string())?;
    let script = directory.join("toolbox.py");
    let text = fs::read_to_string(&script)?;
    fs::write(
        &script,
        text.replace(r#""toolbox""#, &format!(r#""{name}""#)),
    )
}

/// [`toolbox_dir`] whose process does not know the function `version` that its manifest promises.
///
/// # Errors
/// When the files cannot be written.
pub fn toolbox_lacking_dir(directory: &Path, version: &str) -> io::Result<()> {
    toolbox(
        directory,
        version,
        "{name: make for name, make in FUNCTIONS.items() if name != 'version'}",
    )
}

fn toolbox(directory: &Path, version: &str, functions: &str) -> io::Result<()> {
    let manifest = json!({
        "version": version,
        "language": "python",
        "executable": "toolbox.py",
        "sources": ["numbers", "raising", "errors", "blocking"],
        "sinks": ["notebook", "nack", "picky", "silent", "slow_open", "fragile", "forgetful"],
        "functions": ["version", "revert", "fail", "sleep", "same", "total", "quit"],
    });
    let script = TOOLBOX
        .replace("@VERSION@", version)
        .replace("@FUNCTIONS@", functions);
    write(directory, "toolbox", &manifest, &script)?;
    fs::write(
        directory.join("sources/numbers.yaml"),
        "default:\n  interval: 2\nFast:\n  interval: 1\n",
    )
}

/// A plugin `{name}` with one function `{name}_f` whose process is `script`: for processes that do not
/// behave.
///
/// # Errors
/// When the files cannot be written.
pub fn script_dir(directory: &Path, name: &str, script: &str) -> io::Result<()> {
    let manifest = json!({
        "version": "broken",
        "language": "python",
        "executable": format!("{name}.py"),
        "functions": [format!("{name}_f")],
    });
    write(directory, name, &manifest, script)
}

/// A process that runs and never says a word to the host.
pub const NEVER_HANDSHAKES: &str = "import time\nprint('here I am')\ntime.sleep(600)\n";
/// A process that ends at once.
pub const EXITS_AT_ONCE: &str = "import sys\nprint('no reason to stay')\nsys.exit(3)\n";
/// A process that imports what is not there.
pub const MISSING_MODULE: &str = "import no_such_module_anywhere\n";

/// Writes manifest, script, and an empty configuration for each source.
fn write(
    directory: &Path,
    name: &str,
    manifest: &serde_json::Value,
    script: &str,
) -> io::Result<()> {
    for folder in ["sources", "sinks", "functions"] {
        fs::create_dir_all(directory.join(folder))?;
    }
    fs::write(directory.join(format!("{name}.json")), manifest.to_string())?;
    fs::write(directory.join(format!("{name}.py")), script)?;
    let sources = manifest
        .get("sources")
        .and_then(serde_json::Value::as_array);
    for source in sources
        .into_iter()
        .flatten()
        .filter_map(serde_json::Value::as_str)
    {
        fs::write(
            directory.join(format!("sources/{source}.yaml")),
            "default:\n",
        )?;
    }
    Ok(())
}

const PYSAM: &str = r#"
import time

from ekuiper import Context, Function, PluginConfig, Sink, Source, plugin


class PyJson(Source):
    def configure(self, datasource, conf):
        pass

    def open(self, ctx: Context):
        while True:
            ctx.emit({"name": "pyjson", "value": 2021}, None)
            time.sleep(0.2)

    def close(self, ctx):
        pass


class PrintSink(Sink):
    def configure(self, conf):
        pass

    def open(self, ctx):
        pass

    def collect(self, ctx, data):
        print("receive: ", data)
        ctx.ack_ok()

    def close(self, ctx):
        pass


class Revert(Function):
    def validate(self, args):
        return "" if len(args) == 1 else "revert function only supports 1 parameter but got %d" % len(args)

    def exec(self, args, ctx):
        return args[0][::-1]

    def is_aggregate(self):
        return False


if __name__ == "__main__":
    plugin.start(PluginConfig("pysam", {"pyjson": PyJson}, {"print": PrintSink}, {"revert": Revert}))
"#;

const REVERT_METADATA: &str = r#"{"about":{"trial":false},"name":"revert","functions":[{"name":"revert","example":"revert(name)","hint":{"en_US":"backwards","zh_CN":"反转"},"args":[{"name":"text","optional":false,"type":"string"}]}]}"#;

const TOOLBOX: &str = r#"
import json
import os
import threading
import time

from ekuiper import Context, Function, PluginConfig, Sink, Source, plugin

DATA = os.environ["PLUGYARD_DATA_DIR"]


class Numbers(Source):
    def __init__(self):
        self.wanted = threading.Event()
        self.ended = threading.Event()
        self.begun = False

    def configure(self, datasource, conf):
        if conf.get("interval", 1) <= 0:
            raise ValueError("interval must be positive but got %s" % conf["interval"])
        self.interval = conf.get("interval", 1) / 1000

    def open(self, ctx):
        self.begun = True
        file = os.open(os.path.join(DATA, "numbers"), os.O_RDWR | os.O_CREAT)
        n = int(os.pread(file, 20, 0) or b"0")
        while not self.wanted.is_set():
            ctx.emit({"n": n, "by": "@VERSION@"}, {"pid": os.getpid()})
            n += 1
            os.pwrite(file, b"%20d" % n, 0)
            self.wanted.wait(self.interval)
        os.close(file)
        self.ended.set()

    def close(self, ctx):
        self.wanted.set()
        if self.begun:
            self.ended.wait(5)


class Raising(Source):
    def configure(self, datasource, conf):
        pass

    def open(self, ctx):
        ctx.emit({"once": True}, None)
        raise RuntimeError("that was all")

    def close(self, ctx):
        pass


class Errors(Source):
    def __init__(self):
        self.wanted = threading.Event()

    def configure(self, datasource, conf):
        pass

    def open(self, ctx):
        while not self.wanted.wait(0.02):
            ctx.emit_error("no luck")

    def close(self, ctx):
        self.wanted.set()


class Blocking(Errors):
    def configure(self, datasource, conf):
        print("configures", flush=True)
        time.sleep(30)


class Quiet(Sink):
    def configure(self, conf):
        self.conf = conf

    def open(self, ctx):
        pass

    def collect(self, ctx, data):
        pass

    def close(self, ctx):
        pass


class Notebook(Quiet):
    def open(self, ctx):
        self.file = open(os.path.join(DATA, self.conf.get("file", "notebook")), "ab", buffering=0)

    def collect(self, ctx, data):
        self.file.write(data + b"\n")
        ctx.ack_ok()


class Nack(Quiet):
    def collect(self, ctx, data):
        ctx.ack_error("no room")


class Picky(Quiet):
    def collect(self, ctx, data):
        if json.loads(data)[0]["n"] % 3:
            ctx.ack_ok()
        else:
            ctx.ack_error("not this one")


class SlowOpen(Notebook):
    def open(self, ctx):
        time.sleep(1)
        Notebook.open(self, ctx)


class Fragile(Notebook):
    def collect(self, ctx, data):
        if b"crash" in data:
            raise RuntimeError("as told")
        Notebook.collect(self, ctx, data)


class Forgetful(Notebook):
    forgot = False

    def collect(self, ctx, data):
        if Forgetful.forgot:
            Notebook.collect(self, ctx, data)
        Forgetful.forgot = True


class Tool(Function):
    def __init__(self, run, aggregate=False):
        self.run = run
        self.aggregate = aggregate

    def validate(self, args):
        return "" if len(args) <= 1 else "one parameter at most but got %d" % len(args)

    def exec(self, args, ctx):
        return self.run(*args)

    def is_aggregate(self):
        return self.aggregate


def fail(*_):
    raise ValueError("as you wish")


def quit(end):
    if end is True:
        raise SystemExit
    return end


def sleep(millis):
    print(f"sleeps {millis}", flush=True)
    time.sleep(millis / 1000)
    print(f"slept {millis}", flush=True)
    return millis


FUNCTIONS = {
    "version": lambda: Tool(lambda *_: "@VERSION@"),
    "revert": lambda: Tool(lambda text: text[::-1]),
    "fail": lambda: Tool(fail),
    "sleep": lambda: Tool(sleep),
    "same": lambda: Tool(lambda value=None: value),
    "total": lambda: Tool(sum, True),
    "quit": lambda: Tool(quit),
}

if __name__ == "__main__":
    plugin.start(
        PluginConfig(
            "toolbox",
            {"numbers": Numbers, "raising": Raising, "errors": Errors, "blocking": Blocking},
            {"notebook": Notebook, "nack": Nack, "picky": Picky, "silent": Quiet, "slow_open": SlowOpen, "fragile": Fragile, "forgetful": Forgetful},
            @FUNCTIONS@,
        )
    )
"#;
