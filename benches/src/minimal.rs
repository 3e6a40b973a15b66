//! The minimal loop: the least a host can do to drive a plugin.
//!
//! One thread, blocking sockets of the standard library, one buffer for each direction of a connection.
//! It accepts, exchanges headers, and moves frames. It does what the protocol makes unavoidable (the id
//! of a request goes back with the reply, the text of a row is cut out of its frame) and nothing
//! else: no check of JSON, no deadline, no recovery, no peer credentials, no sandbox.
//!
//! A process is started for each measurement, so that no keep-alive of an idle channel has to be
//! told from an answer.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command};

use serde_json::{Map, Value as Json, json};

use crate::frames::{Line, PULL, PUSH, REP};

/// A channel on which the plugin's requests carry the results of our commands.
#[derive(Debug)]
pub struct Dialogue {
    line: Line,
    token: [u8; 4],
}

impl Dialogue {
    /// Takes the connection and the first request, which means nothing.
    fn accept(listener: &UnixListener) -> io::Result<Self> {
        let line = Line::new(listener.accept()?.0, REP)?;
        let mut dialogue = Self {
            line,
            token: [0; 4],
        };
        dialogue.answer()?;
        Ok(dialogue)
    }

    fn ask(&mut self, parts: &[&[u8]; 3]) -> io::Result<()> {
        let token = self.token;
        self.line.push(&[&token, parts[0], parts[1], parts[2]]);
        self.line.flush()
    }

    fn answer(&mut self) -> io::Result<&[u8]> {
        let payload = self.line.frame()?;
        self.token
            .copy_from_slice(&self.line.bytes(payload.clone())[..4]);
        Ok(self.line.bytes(payload.start + 4..payload.end))
    }

    /// Calls a function; `argument` is JSON. What comes back is the plugin's answer, unread.
    pub fn call(&mut self, argument: &[u8]) -> io::Result<&[u8]> {
        const END: &[u8] =
            br#","{\"ruleId\":\"bench\",\"opId\":\"2_project\",\"instanceId\":0,\"funcId\":0}"]}"#;
        self.ask(&[br#"{"func":"Exec","arg":["#, argument, END])?;
        self.answer()
    }
}

/// A plugin process and its control channel. It ends when this is dropped.
#[derive(Debug)]
pub struct Host {
    child: Child,
    control: Dialogue,
    /// Open as long as the plugin runs; a sink that acknowledges nothing writes nothing into it.
    acknowledgements: Vec<Line>,
}

impl Host {
    /// Starts the process and waits for its handshake.
    pub fn start(name: &str, program: &mut Command) -> io::Result<Self> {
        let listener = listen(&format!("plugin_{name}"))?;
        let child = program.spawn()?;
        let control = Dialogue::accept(&listener)?;
        std::fs::remove_file(socket(&format!("plugin_{name}")))?;
        Ok(Self {
            child,
            control,
            acknowledgements: Vec::new(),
        })
    }

    /// Gives a start command and takes the connection that the plugin then opens.
    fn begin<T>(
        &mut self,
        path: &str,
        kind: &str,
        symbol: &str,
        config: &Map<String, Json>,
        accept: impl FnOnce(&UnixListener) -> io::Result<T>,
    ) -> io::Result<T> {
        let listener = listen(path)?;
        let (rule, op) = if kind == "func" {
            ("", "")
        } else {
            ("bench", symbol)
        };
        let meta = json!({"ruleId": rule, "opId": op, "instanceId": 0});
        let order =
            json!({"symbolName": symbol, "meta": meta, "pluginType": kind, "config": config});
        let order = json!({"cmd": "start", "arg": order.to_string()}).to_string();
        self.control.ask(&[order.as_bytes(), b"", b""])?;
        let opened = accept(&listener)?;
        std::fs::remove_file(socket(path))?;
        match self.control.answer()? {
            b"ok" => Ok(opened),
            other => Err(io::Error::other(
                String::from_utf8_lossy(other).into_owned(),
            )),
        }
    }

    /// Starts a function.
    pub fn function(&mut self, symbol: &str) -> io::Result<Dialogue> {
        let accept = |listener: &UnixListener| Line::new(listener.accept()?.0, REP);
        let path = format!("func_{symbol}");
        let line = self.begin(&path, "func", symbol, &Map::new(), accept)?;
        let token = [0; 4];
        let mut dialogue = Dialogue { line, token };
        dialogue.answer()?;
        Ok(dialogue)
    }

    /// Starts a source; its rows are read from the line.
    pub fn source(&mut self, symbol: &str, config: &Map<String, Json>) -> io::Result<Line> {
        let accept = |listener: &UnixListener| Line::new(listener.accept()?.0, PULL);
        self.begin(
            &format!("bench_{symbol}_0"),
            "source",
            symbol,
            config,
            accept,
        )
    }

    /// Starts a sink; rows are written to the line.
    pub fn sink(&mut self, symbol: &str) -> io::Result<Line> {
        let accept = |listener: &UnixListener| Line::new(listener.accept()?.0, PULL);
        let path = format!("bench_{symbol}_0");
        let acknowledgements =
            self.begin(&format!("{path}_ack"), "sink", symbol, &Map::new(), accept)?;
        self.acknowledgements.push(acknowledgements);
        let stream = UnixStream::connect(socket(&path))?;
        std::fs::remove_file(socket(&path))?;
        Line::new(stream, PUSH)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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
                let column = row
                    .iter()
                    .position(|byte| *byte == b':')
                    .map_or(0, |at| at + 1);
                let answer = function.call(row[column..row.len() - 1].trim_ascii_start())?;
                let result = answer
                    .windows(8)
                    .position(|at| at == b"\"result\"")
                    .map_or(0, |at| at + 9);
                let result = answer[result..answer.len() - 1].trim_ascii_start();
                sink.push(&[br#"[{"data":"#, result, b"}]"]);
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
    let from = frame
        .iter()
        .skip(1)
        .position(|byte| *byte == b'{')
        .map_or(0, |at| at + 1);
    let inner = &frame[from..frame.len() - 1];
    &inner[..inner
        .iter()
        .rposition(|byte| *byte == b'}')
        .map_or(0, |at| at + 1)]
}

fn socket(name: &str) -> String {
    format!("/tmp/{name}.ipc")
}

/// Listens where the SDKs look, which is the same for every host: names have to be unique.
fn listen(name: &str) -> io::Result<UnixListener> {
    let _ = std::fs::remove_file(socket(name));
    UnixListener::bind(socket(name))
}
