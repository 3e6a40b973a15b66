//! The minimal loop: the least a host can do to drive a plugin.
//!
//! One thread, blocking sockets, one buffer for each direction. It does what the protocol makes unavoidable
//! (the id of a request goes back with the reply, the text of a row is cut out of its frame) and nothing
//! else: no check of JSON, no deadline, no recovery, no sandbox. A process is started for each
//! measurement, so that no keep-alive of an idle channel has to be told from an answer.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command};

use serde_json::{Value as Json, json};

use crate::frames::{Line, PULL, PUSH, REP};

/// A channel on which the plugin's requests carry the results of our commands.
#[derive(Debug)]
pub struct Dialogue(Line, [u8; 4]);

impl Dialogue {
    /// Takes the first request, which means nothing.
    fn new(line: Line) -> io::Result<Self> {
        let mut dialogue = Self(line, [0; 4]);
        dialogue.answer()?;
        Ok(dialogue)
    }

    fn ask(&mut self, parts: [&[u8]; 3]) -> io::Result<()> {
        self.0.push(&[&self.1, parts[0], parts[1], parts[2]]);
        self.0.flush()
    }

    fn answer(&mut self) -> io::Result<&[u8]> {
        let payload = self.0.frame()?;
        self.1.copy_from_slice(&self.0.bytes(payload.clone())[..4]);
        Ok(self.0.bytes(payload.start + 4..payload.end))
    }

    /// Calls a function; `argument` is JSON. What comes back is the plugin's answer, unread.
    pub fn call(&mut self, argument: &[u8]) -> io::Result<&[u8]> {
        const END: &[u8] =
            br#","{\"ruleId\":\"bench\",\"opId\":\"2_project\",\"instanceId\":0,\"funcId\":0}"]}"#;
        self.ask([br#"{"func":"Exec","arg":["#, argument, END])?;
        self.answer()
    }
}

/// A plugin process, its control channel, and its sinks' channels for acknowledgements, which must stay
/// open. The process ends when this is dropped.
#[derive(Debug)]
pub struct Host(Child, Dialogue, Vec<Line>);

impl Host {
    /// Starts the process and waits for its handshake.
    pub fn start(name: &str, program: &mut Command) -> io::Result<Self> {
        let path = format!("plugin_{name}");
        let listener = listen(&path)?;
        let child = program.spawn()?;
        let line = Line::new(listener.accept()?.0, REP)?;
        std::fs::remove_file(socket(&path))?;
        Ok(Self(child, Dialogue::new(line)?, Vec::new()))
    }

    /// Gives a start command and takes the connection that the plugin then opens at `path`.
    fn begin(&mut self, path: &str, kind: &str, symbol: &str, config: &Json) -> io::Result<Line> {
        let listener = listen(path)?;
        let named = |name| if kind == "func" { "" } else { name };
        let meta = json!({"ruleId": named("bench"), "opId": named(symbol), "instanceId": 0});
        let order =
            json!({"symbolName": symbol, "meta": meta, "pluginType": kind, "config": config});
        let order = json!({"cmd": "start", "arg": order.to_string()}).to_string();
        self.1.ask([order.as_bytes(), b"", b""])?;
        let role = if kind == "func" { REP } else { PULL };
        let line = Line::new(listener.accept()?.0, role)?;
        std::fs::remove_file(socket(path))?;
        match self.1.answer()? {
            b"ok" => Ok(line),
            other => Err(io::Error::other(
                String::from_utf8_lossy(other).into_owned(),
            )),
        }
    }

    /// Starts a function.
    pub fn function(&mut self, symbol: &str) -> io::Result<Dialogue> {
        let path = format!("func_{symbol}");
        Dialogue::new(self.begin(&path, "func", symbol, &json!({}))?)
    }

    /// Starts a source; its rows are read from the line.
    pub fn source(&mut self, symbol: &str, config: &Json) -> io::Result<Line> {
        self.begin(&format!("bench_{symbol}_0"), "source", symbol, config)
    }

    /// Starts a sink; rows are written to the line.
    pub fn sink(&mut self, symbol: &str) -> io::Result<Line> {
        let path = format!("bench_{symbol}_0");
        let acks = self.begin(&format!("{path}_ack"), "sink", symbol, &json!({}))?;
        self.2.push(acks);
        let stream = UnixStream::connect(socket(&path))?;
        std::fs::remove_file(socket(&path))?;
        Line::new(stream, PUSH)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A rule: cuts the row out of each frame, has its column computed where there is a function, and
/// passes it on; what came with one read leaves with one write. Returns how many went through.
pub fn rule(
    source: &mut Line,
    mut function: Option<&mut Dialogue>,
    sink: &mut Line,
) -> io::Result<u64> {
    let mut count = 0;
    let mut next = Some(source.frame()?);
    while let Some(payload) = next {
        let row = object(source.bytes(payload));
        match &mut function {
            None => sink.push(&[b"[", row, b"]"]),
            Some(function) => {
                let column = &row[after(row, b":")..row.len() - 1];
                let answer = function.call(column.trim_ascii_start())?;
                let result = &answer[after(answer, br#""result":"#)..answer.len() - 1];
                sink.push(&[br#"[{"data":"#, result.trim_ascii_start(), b"}]"]);
            }
        }
        count += 1;
        next = source.buffered();
    }
    sink.flush()?;
    Ok(count)
}

/// The row inside `{"message":{…},"meta":null}`.
fn object(frame: &[u8]) -> &[u8] {
    let inner = &frame[after(&frame[1..], b"{")..frame.len() - 1];
    let end = inner.iter().rposition(|byte| *byte == b'}');
    &inner[..end.map_or(0, |at| at + 1)]
}

/// Where what follows the first such text begins.
fn after(text: &[u8], such: &[u8]) -> usize {
    let found = text.windows(such.len()).position(|at| at == such);
    found.map_or(0, |at| at + such.len())
}

fn socket(name: &str) -> String {
    format!("/tmp/{name}.ipc")
}

/// Listens where the SDKs look, which is the same for every host: names have to be unique.
fn listen(name: &str) -> io::Result<UnixListener> {
    let _ = std::fs::remove_file(socket(name));
    UnixListener::bind(socket(name))
}
