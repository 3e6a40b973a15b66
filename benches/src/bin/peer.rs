//! The bare plugin: a source, a sink and a function that take as little as a plugin can, so that
//! the host is what is measured.
//!
//! It is installed and started like any plugin built with the Go SDK: sockets below `/tmp`, one frame
//! written at a time. Its name is that of its file; its symbols are what it is asked for.
#![forbid(unsafe_code)]

use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};
use plugyard_benches::frames::{Line, PULL, PUSH, REQ};
use plugyard_benches::plugins::bare_message;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Rows that the source may still send where it is told to keep a window; the sink makes room.
static ROOM: (Mutex<u64>, Condvar) = (Mutex::new(0), Condvar::new());

#[derive(Deserialize)]
struct Command {
    cmd: String,
    arg: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    symbol_name: String,
    meta: Meta,
    plugin_type: String,
    #[serde(default)]
    config: Config,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    rule_id: String,
    op_id: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Config {
    /// Rows between source and sink at most; 0 for as many as there is room for.
    window: u64,
}

#[derive(Deserialize)]
struct Call<'a> {
    func: &'a str,
    #[serde(borrow)]
    arg: &'a RawValue,
}

fn main() -> Result<()> {
    let program = std::env::args().next().context("no name")?;
    let name = program.rsplit('/').next().unwrap_or_default();
    let mut running = Running::default();
    let control = dial(&format!("plugin_{name}"), REQ)?;
    answer(control, |command, result| running.obey(command, result))
}

/// What can be stopped: one source and one sink.
#[derive(Default)]
struct Running {
    source: Arc<AtomicBool>,
    acknowledgements: Option<UnixStream>,
}

/// Sends requests whose bodies are the results of what came as the reply to the request before.
fn answer(mut line: Line, mut work: impl FnMut(&[u8], &mut Vec<u8>) -> Result<()>) -> Result<()> {
    let mut id = 0x8000_0001_u32;
    let mut result = b"handshake".to_vec();
    loop {
        line.push(&[&id.to_be_bytes(), &result]);
        line.flush()?;
        let reply = line.frame()?;
        let reply = line.bytes(reply);
        if !reply.starts_with(&id.to_be_bytes()) {
            bail!("a reply to another request");
        }
        result.clear();
        work(&reply[4..], &mut result)?;
        id = id.wrapping_add(1) | 0x8000_0000;
    }
}

impl Running {
    fn obey(&mut self, command: &[u8], result: &mut Vec<u8>) -> Result<()> {
        let command: Command = serde_json::from_slice(command)?;
        let order: Order = serde_json::from_str(&command.arg)?;
        let socket = format!("{}_{}_0", order.meta.rule_id, order.meta.op_id);
        match (command.cmd.as_str(), order.plugin_type.as_str()) {
            ("start", "func") => {
                let line = dial(&format!("func_{}", order.symbol_name), REQ)?;
                thread::spawn(move || answer(line, call));
            }
            ("start", "source") => {
                let line = dial(&socket, PUSH)?;
                self.source = Arc::new(AtomicBool::new(true));
                let wanted = Arc::clone(&self.source);
                thread::spawn(move || send(line, order.config.window, &wanted));
            }
            ("start", _) => {
                let path = format!("/tmp/{socket}.ipc");
                let _ = std::fs::remove_file(&path);
                let listener = UnixListener::bind(path)?;
                let acknowledgements = dial(&format!("{socket}_ack"), PUSH)?;
                self.acknowledgements = Some(acknowledgements.stream().try_clone()?);
                thread::spawn(move || receive(&listener, &acknowledgements));
            }
            (_, "source") => {
                self.source.store(false, Ordering::Relaxed);
                ROOM.1.notify_all();
            }
            (_, "sink") => {
                if let Some(acknowledgements) = self.acknowledgements.take() {
                    acknowledgements.shutdown(Shutdown::Both)?;
                }
            }
            _ => {}
        }
        result.extend_from_slice(b"ok");
        Ok(())
    }
}

/// Gives back what it is given.
fn call(request: &[u8], result: &mut Vec<u8>) -> Result<()> {
    let call: Call<'_> = serde_json::from_slice(request)?;
    let value = match call.func {
        "Validate" => "\"\"",
        "IsAggregate" => "false",
        _ => {
            let arguments: Vec<&RawValue> = serde_json::from_str(call.arg.get())?;
            arguments.first().context("no argument")?.get()
        }
    };
    result.extend_from_slice(br#"{"state":true,"result":"#);
    result.extend_from_slice(value.as_bytes());
    result.push(b'}');
    Ok(())
}

/// Sends until it is told to stop.
fn send(mut line: Line, window: u64, wanted: &AtomicBool) -> io::Result<()> {
    let message = bare_message();
    let (room, changed) = &ROOM;
    *room.lock().unwrap_or_else(PoisonError::into_inner) = window;
    while wanted.load(Ordering::Relaxed) {
        let count = if window == 0 {
            1
        } else {
            let room = room.lock().unwrap_or_else(PoisonError::into_inner);
            let free =
                changed.wait_while(room, |room| *room == 0 && wanted.load(Ordering::Relaxed));
            std::mem::take(&mut *free.unwrap_or_else(PoisonError::into_inner))
        };
        for _ in 0..count {
            line.push(&[message.as_bytes()]);
            line.flush()?;
        }
    }
    Ok(())
}

/// Takes rows from one host after the other.
fn receive(listener: &UnixListener, _acknowledgements: &Line) -> io::Result<()> {
    let (room, changed) = &ROOM;
    loop {
        let mut line = Line::new(listener.accept()?.0, PULL)?;
        while line.frame().is_ok() {
            let mut count = 1;
            while line.buffered().is_some() {
                count += 1;
            }
            *room.lock().unwrap_or_else(PoisonError::into_inner) += count;
            changed.notify_one();
        }
    }
}

fn dial(name: &str, role: u8) -> io::Result<Line> {
    Line::new(UnixStream::connect(format!("/tmp/{name}.ipc"))?, role)
}
