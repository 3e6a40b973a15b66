//! A second, independent plugin: our own program with the manners of eKuiper's Go SDK, which also
//! misbehaves on command.
//!
//! Its manners: it dials once, hears at most 1 MiB, ignores instance ids, never acknowledges, sends its
//! last control message again when it has to reconnect, and ends with 0 when asked to. It is *not* the Go
//! SDK, and what is shown with it is listed as imitated.
//!
//! | symbol | does |
//! |---|---|
//! | source `random` | emits `{"count": n}` every `interval` ms, `n` from `pattern.count` and `seed`; with `keep` it counts, `{"n": 0}` and on, the next number kept in that file of the data directory; with `huge` it sends a frame of 1 GiB |
//! | sink `file_sink` | appends to `{file}` in the data directory |
//! | function `echo` | its one argument |
//! | function `obey` | what the text says; see `obey` |

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use plugyard_sp::frame;
use serde_json::{Map, Value as Json, json};

/// What the Go SDK hears at most.
const HEARS: u64 = 1024 * 1024;
/// Until a function says that it is still there.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// Whether a request to end is obeyed.
static OBEDIENT: AtomicBool = AtomicBool::new(true);

/// Fills `directory` with the plugin `name`, whose program is `program`: a binary that calls [`main`].
///
/// # Errors
/// When the files cannot be written.
pub fn directory(directory: &Path, name: &str, program: &Path) -> io::Result<()> {
    directory_with(directory, name, program, &json!({}))
}

/// [`directory`] with a block `plugyard` in the manifest.
///
/// # Errors
/// When the files cannot be written.
pub fn directory_with(
    directory: &Path,
    name: &str,
    program: &Path,
    block: &Json,
) -> io::Result<()> {
    fill(directory, name, program, block, "")
}

/// [`directory`] with functions `echo_{name}` and `obey_{name}`, whose sockets nobody else has.
///
/// # Errors
/// When the files cannot be written.
pub fn directory_apart(directory: &Path, name: &str, program: &Path) -> io::Result<()> {
    fill(directory, name, program, &json!({}), &format!("_{name}"))
}

fn fill(
    directory: &Path,
    name: &str,
    program: &Path,
    block: &Json,
    suffix: &str,
) -> io::Result<()> {
    let functions = ["echo", "obey"].map(|function| format!("{function}{suffix}"));
    let manifest = json!({
        "version": "v1.0.0",
        "language": "go",
        "executable": name,
        "sources": ["random"],
        "sinks": ["file_sink"],
        "functions": functions,
        "plugyard": block,
    });
    fs::create_dir_all(directory.join("sources"))?;
    fs::write(directory.join(format!("{name}.json")), manifest.to_string())?;
    fs::write(
        directory.join("sources/random.yaml"),
        "default:\n  interval: 1000\n  seed: 1\n  pattern:\n    count: 50\next:\n  interval: 100\n",
    )?;
    // With its mode.
    fs::copy(program, directory.join(name)).map(drop)
}

/// The program. Its plugin is called as its file is.
#[expect(clippy::print_stderr, reason = "the last words of a plugin")]
pub fn main() -> ExitCode {
    let name = std::env::args_os().next().map(PathBuf::from);
    let name = name.as_deref().and_then(Path::file_name);
    let Some(name) = name.and_then(|it| it.to_str()).map(str::to_owned) else {
        return ExitCode::from(2);
    };
    thread::spawn(end_when_asked);
    let Ok(channel) = Request::dial(&format!("plugin_{name}.ipc")) else {
        eprintln!("panic: can't dial the control channel");
        return ExitCode::from(2);
    };
    match control(channel) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the control channel broke: {error}");
            ExitCode::FAILURE
        }
    }
}

/// As the Go SDK ends: with 0.
fn end_when_asked() {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        let Ok(mut asked) = signal(SignalKind::terminate()) else {
            return;
        };
        while asked.recv().await.is_some() {
            if OBEDIENT.load(Ordering::Relaxed) {
                exit(0);
            }
        }
    });
}

/// What a function does, whatever follows in its name.
fn plain(function: &str) -> &str {
    function.split('_').next().unwrap_or_default()
}

/// A path as both SDKs have it compiled in.
fn socket(name: &str) -> PathBuf {
    Path::new("/tmp").join(name)
}

/// Exchanges the headers of a connection.
fn greet(mut stream: UnixStream, role: u16) -> io::Result<UnixStream> {
    let [high, low] = role.to_be_bytes();
    stream.write_all(&[0, b'S', b'P', 0, high, low, 0, 0])?;
    let mut theirs = [0; 8];
    stream.read_exact(&mut theirs)?;
    match theirs {
        [0, b'S', b'P', 0, ..] => Ok(stream),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn send(stream: &mut UnixStream, payload: &[u8]) -> io::Result<()> {
    let mut bytes = frame::header(payload.len()).to_vec();
    bytes.extend_from_slice(payload);
    stream.write_all(&bytes)
}

/// The next frame; one that is too long is an error, after which the connection is dropped.
fn receive(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut header = [0; 9];
    stream.read_exact(&mut header[..1])?;
    // Begun, it is read to its end.
    let waited = stream.read_timeout()?;
    stream.set_read_timeout(None)?;
    stream.read_exact(&mut header[1..])?;
    let mut length = [0; 8];
    length.copy_from_slice(&header[1..]);
    let length = u64::from_be_bytes(length);
    if length > HEARS {
        return Err(io::Error::other("a message over 1 MiB"));
    }
    let mut payload = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    stream.read_exact(&mut payload)?;
    stream.set_read_timeout(waited)?;
    Ok(payload)
}

/// The requesting end of a control or function channel.
struct Request {
    stream: UnixStream,
    id: u32,
}

impl Request {
    fn dial(name: &str) -> io::Result<Self> {
        let stream = greet(UnixStream::connect(socket(name))?, 0x30)?;
        Ok(Self {
            stream,
            id: 0x8000_0000 | std::process::id(),
        })
    }

    fn send(&mut self, body: &[u8]) -> io::Result<()> {
        self.id = 0x8000_0000 | self.id.wrapping_add(1);
        self.send_again(body)
    }

    /// Under the id of the request before.
    fn send_again(&mut self, body: &[u8]) -> io::Result<()> {
        let mut payload = self.id.to_be_bytes().to_vec();
        payload.extend_from_slice(body);
        send(&mut self.stream, &payload)
    }

    /// The reply to the latest request; others are nobody's.
    fn receive(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let mut payload = receive(&mut self.stream)?;
            if payload.get(..4) == Some(&self.id.to_be_bytes()[..]) {
                return Ok(payload.split_off(4));
            }
        }
    }
}

/// A source or sink that runs.
struct Running {
    wanted: Arc<AtomicBool>,
    socket: Option<PathBuf>,
    /// What a stop waits for: the emission under way.
    emitting: Option<thread::JoinHandle<()>>,
}

/// Everything that runs, by rule, operator and symbol.
type Table = Map<String, Json>;

fn control(mut channel: Request) -> io::Result<()> {
    let mut running = std::collections::BTreeMap::<String, Running>::new();
    let mut answer = "handshake".to_owned();
    loop {
        channel.send(answer.as_bytes())?;
        let command = channel.receive()?;
        answer = match command_answer(&command, &mut running) {
            Ok(()) => "ok".to_owned(),
            Err(text) => text,
        };
    }
}

fn command_answer(
    command: &[u8],
    running: &mut std::collections::BTreeMap<String, Running>,
) -> Result<(), String> {
    let command: Json = serde_json::from_slice(command).map_err(|error| error.to_string())?;
    let text = |value: &Json, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let arg: Json =
        serde_json::from_str(&text(&command, "arg")).map_err(|error| error.to_string())?;
    let (symbol, kind) = (text(&arg, "symbolName"), text(&arg, "pluginType"));
    let known = matches!(
        (kind.as_str(), symbol.as_str()),
        ("source", "random") | ("sink", "file_sink")
    ) || (kind == "func" && matches!(plain(&symbol), "echo" | "obey"));
    let (rule, op) = (text(&arg["meta"], "ruleId"), text(&arg["meta"], "opId"));
    let key = format!("{rule}_{op}_0_{symbol}");
    match text(&command, "cmd").as_str() {
        "start" if !known => Err("symbol not found".to_owned()),
        "start" => {
            let key = if kind == "func" { symbol.clone() } else { key };
            if running.contains_key(&key) {
                return Ok(());
            }
            if kind != "func" && (rule.is_empty() || op.is_empty()) {
                return Err(format!("invalid arg {arg}, ruleId and opId are required"));
            }
            let config = arg["config"].as_object().cloned().unwrap_or_default();
            let channel = format!("{rule}_{op}_0.ipc");
            let started = match kind.as_str() {
                "source" => source(&channel, &config)?,
                "sink" => sink(&channel, &config)?,
                _ => function(&symbol)?,
            };
            running.insert(key, started);
            Ok(())
        }
        "stop" => {
            let stopped = running.remove(&key);
            let stopped = stopped.ok_or_else(|| format!("symbol {key} not found"))?;
            stopped.wanted.store(false, Ordering::Relaxed);
            if let Some(socket) = stopped.socket {
                let _ = fs::remove_file(socket);
            }
            if let Some(emitting) = stopped.emitting {
                let _ = emitting.join();
            }
            Ok(())
        }
        other => Err(format!("invalid command received: {other}")),
    }
}

/// `random` reads its settings as eKuiper's example does, in its order and words.
fn source(channel: &str, config: &Table) -> Result<Running, String> {
    let positive = |name: &str| {
        let got = config.get(name).and_then(Json::as_f64).unwrap_or(0.0);
        if got > 0.0 {
            return Ok(got);
        }
        Err(format!(
            "source `random` property `{name}` must be a positive integer but got {got}"
        ))
    };
    let interval = Duration::from_secs_f64(positive("interval")? / 1000.0);
    let seed = positive("seed")?;
    let pattern = config.get("pattern").and_then(Json::as_object).cloned();
    let pattern = pattern.ok_or("source `random` property `pattern` is required")?;
    let mut stream = UnixStream::connect(socket(channel))
        .and_then(|stream| greet(stream, 0x50))
        .map_err(|error| format!("can't dial on push socket: {error}"))?;
    // As long as the Go SDK tries.
    let limited = stream.set_write_timeout(Some(Duration::from_secs(1)));
    limited.map_err(|error| error.to_string())?;
    let mut kept = match config.get("keep").and_then(Json::as_str) {
        Some(name) => Some(Kept::open(name).map_err(|error| error.to_string())?),
        None => None,
    };
    let huge = config.get("huge") == Some(&Json::Bool(true));
    let wanted = Arc::new(AtomicBool::new(true));
    let go_on = Arc::clone(&wanted);
    let emitting = thread::spawn(move || {
        if huge {
            let _ = stream.write_all(&frame::header(1024 * 1024 * 1024));
            while stream.write_all(&[7; 4096]).is_ok() {}
            return;
        }
        let mut step = 0_u32;
        while go_on.load(Ordering::Relaxed) {
            if let Some(kept) = &mut kept {
                let message = json!({"message": {"n": kept.next}, "meta": null}).to_string();
                if send(&mut stream, message.as_bytes()).is_err() || kept.count().is_err() {
                    return;
                }
                thread::sleep(interval);
                continue;
            }
            // With a seed of 1 there is nothing to choose.
            let chosen = f64::from(step) % seed;
            step = step.wrapping_add(7);
            let row: Table = pattern
                .iter()
                .map(|(name, base)| {
                    let n = base.as_f64().unwrap_or_default() + chosen;
                    #[expect(clippy::cast_possible_truncation, reason = "small whole numbers")]
                    (name.clone(), json!(n as i64))
                })
                .collect();
            let message = json!({"message": row, "meta": null}).to_string();
            if send(&mut stream, message.as_bytes()).is_err() {
                return;
            }
            thread::sleep(interval);
        }
    });
    Ok(Running {
        wanted,
        socket: None,
        emitting: Some(emitting),
    })
}

/// The next number of a source that counts over its ends.
struct Kept {
    file: File,
    next: u64,
}

impl Kept {
    fn open(name: &str) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(data().join(name))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let next = text.trim().parse().unwrap_or_default();
        Ok(Self { file, next })
    }

    fn count(&mut self) -> io::Result<()> {
        self.next += 1;
        let text = format!("{:20}", self.next);
        std::os::unix::fs::FileExt::write_all_at(&self.file, text.as_bytes(), 0)
    }
}

fn sink(channel: &str, config: &Table) -> Result<Running, String> {
    let file = config.get("file").and_then(Json::as_str).unwrap_or("sink");
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(data().join(file))
        .map_err(|error| error.to_string())?;
    let path = socket(channel);
    let listener = UnixListener::bind(&path).map_err(|error| error.to_string())?;
    if let Some(elsewhere) = config.get("elsewhere").and_then(Json::as_str) {
        // Whoever looks for the socket shall find another.
        fs::remove_file(&path)
            .and_then(|()| std::os::unix::fs::symlink(elsewhere, &path))
            .map_err(|error| error.to_string())?;
    }
    let wanted = Arc::new(AtomicBool::new(true));
    let go_on = Arc::clone(&wanted);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream.and_then(|stream| greet(stream, 0x51)) else {
                continue;
            };
            while let Ok(message) = receive(&mut stream) {
                if file
                    .write_all(&message)
                    .and_then(|()| file.write_all(b"\n"))
                    .is_err()
                {
                    return;
                }
            }
            if !go_on.load(Ordering::Relaxed) {
                return;
            }
        }
    });
    Ok(Running {
        wanted,
        socket: Some(path),
        emitting: None,
    })
}

fn function(symbol: &str) -> Result<Running, String> {
    let mut channel = Request::dial(&format!("func_{symbol}.ipc"))
        .map_err(|error| format!("can't dial on req socket: {error}"))?;
    let limited = channel.stream.set_read_timeout(Some(KEEPALIVE));
    limited.map_err(|error| error.to_string())?;
    let symbol = symbol.to_owned();
    thread::spawn(move || {
        let mut answer = "handshake".to_owned();
        loop {
            if channel.send(answer.as_bytes()).is_err() {
                return;
            }
            answer = match channel.receive() {
                Ok(call) => exec(&symbol, &call, &mut channel),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    "handshake".to_owned()
                }
                Err(_) => return,
            };
        }
    });
    Ok(Running {
        wanted: Arc::new(AtomicBool::new(true)),
        socket: None,
        emitting: None,
    })
}

fn exec(symbol: &str, call: &[u8], channel: &mut Request) -> String {
    let call: Json = serde_json::from_slice(call).unwrap_or_default();
    let arguments = call["arg"].as_array().cloned().unwrap_or_default();
    let answer = match (call["func"].as_str().unwrap_or_default(), plain(symbol)) {
        ("Validate", _) if arguments.len() != 1 => Err(format!(
            "{symbol} function only supports 1 parameter but got {}",
            arguments.len()
        )),
        ("Validate", _) => Ok(json!("")),
        ("IsAggregate", _) => return json!({"state": true, "result": false}).to_string(),
        ("Exec", "echo") => Ok(arguments.first().cloned().unwrap_or_default()),
        ("Exec", _) => {
            let command = arguments.first().and_then(Json::as_str);
            obey(command.unwrap_or_default(), channel).map(Json::from)
        }
        (other, _) => Err(format!("invalid func {other}")),
    };
    let (state, result) = match answer {
        Ok(result) => (true, result),
        Err(text) => (false, Json::from(text)),
    };
    json!({"state": state, "result": result}).to_string()
}

/// Does what no plugin should.
///
/// | command | |
/// |---|---|
/// | `exit`, `abort` | ends with 3, or by a signal, in the middle of the call |
/// | `silent` | never answers |
/// | `again` | answers under the id of its last request, for ever |
/// | `short` | sends a frame without a request id, then answers |
/// | `gigabyte` | announces a frame of 1 GiB and sends a little of it |
/// | `flood` | writes 32 MiB of output, half of it without an end of line |
/// | `eat` | takes memory until something stops it |
/// | `fill` | writes to its data directory until something stops it |
/// | `fork` | starts a child in a session of its own that would stay for 1000 s |
/// | `stubborn` | does not end when asked from now on |
/// | `connect PATH`, `read PATH`, `list PATH`, `write PATH` | tries that |
/// | `get ADDRESS PATH` | the first line of what a server answers |
/// | `variables`, `variable NAME` | the names of its environment, one of its values |
/// | `processes` | how many processes it sees |
/// | `hold` | memory it was given, never given back, 8 MiB |
#[expect(clippy::too_many_lines, reason = "one arm for each command")]
fn obey(command: &str, channel: &mut Request) -> Result<String, String> {
    let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
    let told = |error: io::Error| error.to_string();
    match word {
        "exit" => exit(3),
        "leave" => exit(0),
        "abort" => std::process::abort(),
        "silent" => loop {
            thread::sleep(KEEPALIVE);
        },
        "again" => loop {
            let sent = channel.send_again(br#"{"state":true,"result":"again"}"#);
            sent.and_then(|()| channel.receive().map(drop))
                .map_err(told)?;
        },
        "short" => {
            send(&mut channel.stream, &[1, 2, 3]).map_err(told)?;
            Ok("short".to_owned())
        }
        "gigabyte" => {
            let header = frame::header(1024 * 1024 * 1024);
            channel.stream.write_all(&header).map_err(told)?;
            loop {
                channel.stream.write_all(&[7; 4096]).map_err(told)?;
            }
        }
        "flood" => {
            let mut out = io::stdout().lock();
            for _ in 0..16 * 1024 {
                out.write_all(&[b'x'; 1023]).map_err(told)?;
                out.write_all(b"\n").map_err(told)?;
            }
            for _ in 0..16 {
                out.write_all(&vec![b'y'; 1024 * 1024]).map_err(told)?;
            }
            out.write_all(b"\nflooded\n").map_err(told)?;
            out.flush().map_err(told)?;
            Ok("flooded".to_owned())
        }
        "eat" => loop {
            Box::leak(vec![7_u8; 1024 * 1024].into_boxed_slice());
        },
        "hold" => {
            Box::leak(vec![7_u8; 8 * 1024 * 1024].into_boxed_slice());
            Ok("held".to_owned())
        }
        "fill" => {
            let mut file = File::create(data().join("full")).map_err(told)?;
            loop {
                file.write_all(&vec![7; 1024 * 1024]).map_err(told)?;
            }
        }
        "fork" => {
            #[expect(clippy::disallowed_methods, reason = "a plugin starting what it likes")]
            let child = std::process::Command::new("/usr/bin/setsid")
                .args(["/bin/sleep", "1000"])
                .spawn();
            child.map_err(told).map(|child| child.id().to_string())
        }
        "stubborn" => {
            OBEDIENT.store(false, Ordering::Relaxed);
            Ok("stubborn".to_owned())
        }
        "connect" => UnixStream::connect(rest)
            .map_err(told)
            .map(|_| "connected".to_owned()),
        "get" => {
            let (address, path) = rest.split_once(' ').unwrap_or((rest, "/"));
            let mut stream = std::net::TcpStream::connect(address).map_err(told)?;
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).map_err(told)?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map_err(told)?;
            Ok(answer.lines().next().unwrap_or_default().to_owned())
        }
        "read" => fs::read(rest)
            .map_err(told)
            .map(|bytes| format!("{} bytes", bytes.len())),
        "list" => {
            let mut names: Vec<String> = fs::read_dir(rest)
                .map_err(told)?
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            Ok(names.join(" "))
        }
        "write" => fs::write(rest, "x")
            .map_err(told)
            .map(|()| "written".to_owned()),
        "variables" => {
            let mut names: Vec<String> = std::env::vars_os()
                .map(|(name, _)| name.to_string_lossy().into_owned())
                .collect();
            names.sort();
            Ok(names.join(" "))
        }
        "variable" => std::env::var(rest).map_err(|error| error.to_string()),
        "processes" => {
            let entries = fs::read_dir("/proc").map_err(told)?.flatten();
            let numbers =
                entries.filter(|it| it.file_name().to_string_lossy().parse::<u32>().is_ok());
            Ok(numbers.count().to_string())
        }
        other => Err(format!("there is no `{other}`")),
    }
}

/// What it may keep.
fn data() -> PathBuf {
    std::env::var_os("PLUGYARD_DATA_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from)
}
