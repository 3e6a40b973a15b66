//! The plugin test server (HOST-38): serves one plugin to its author, without rules and without a sandbox,
//! and shows every frame that passes.
//!
//! It listens on the SDKs' own names in the real `/tmp`, so that a plugin started by hand, perhaps in a
//! debugger, finds it, and takes any peer of the same user; a path on which somebody listens already is
//! refused. Symbols are started and stopped over HTTP as with eKuiper's tool of the same purpose, whose
//! routes, bodies and rows to try with these are.
//!
//! What it deliberately does not do: limits, isolation, installing of requirements, more than one
//! instance of a symbol. That is what installing the plugin is for.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::logs::now;
use crate::manifest::Manifest;

mod http;
mod process;
mod session;

/// Frames that [`Transcript`] remembers.
const REMEMBERED: usize = 1000;
/// Bytes of a frame that are shown.
const SHOWN: usize = 4096;

/// What to serve, and how.
#[derive(Debug, Clone)]
pub struct DevSettings {
    /// The plugin's directory.
    pub directory: PathBuf,
    /// Where its author's requests come to; loopback only.
    pub listen: SocketAddr,
    /// Whether the plugin is started here, and started again when its files change; otherwise it is waited
    /// for.
    pub start: bool,
    /// Interpreter of a plugin in Python: a path or a name in `PATH`.
    pub python: String,
    /// What a plugin that is started here may keep.
    pub data: PathBuf,
    /// Where the SDKs look for sockets: `/tmp`.
    pub sockets: PathBuf,
}

/// Something that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// Milliseconds since 1970 (UTC).
    pub at: i64,
    /// `control`, the name of a data or function socket, `stdout`, `stderr`, or `dev` for what the server says.
    pub channel: String,
    /// Which way it went.
    pub direction: Direction,
    /// The bytes as text, cut at 4 KiB.
    pub text: String,
}

/// Which way something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To the plugin.
    Out,
    /// From the plugin.
    In,
    /// Said about it.
    Note,
}

impl fmt::Display for Frame {
    /// `control → {"cmd":…}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = match self.direction {
            Direction::Out => "→",
            Direction::In => "←",
            Direction::Note => "*",
        };
        write!(f, "{} {arrow} {}", self.channel, self.text)
    }
}

/// Why the test server cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// Whoever can reach the address can run the plugin.
    #[error(
        "{address} can be reached from other machines; choose an address such as 127.0.0.1:33333"
    )]
    NotLoopback {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The socket cannot be had, for example because another server serves the plugin.
    #[error("cannot listen on {}", path.display())]
    Socket {
        /// Where the SDK looks for it.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// Takes frames as they pass; must not take long.
pub type Show = Arc<dyn Fn(&Frame) + Send + Sync>;

/// All that was seen.
pub(crate) struct Transcript {
    show: Show,
    latest: Mutex<VecDeque<Frame>>,
}

impl Transcript {
    pub(crate) fn frame(&self, channel: &str, direction: Direction, bytes: &[u8]) {
        let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned();
        if bytes.len() > SHOWN {
            // Writing to a text cannot fail.
            let _ = write!(text, " … ({} bytes)", bytes.len());
        }
        let frame = Frame {
            at: now(),
            channel: channel.to_owned(),
            direction,
            text,
        };
        let mut latest = self.latest.lock();
        // Shown under the lock, so that both have the same order.
        (self.show)(&frame);
        if latest.len() == REMEMBERED {
            latest.pop_front();
        }
        latest.push_back(frame);
    }

    pub(crate) fn note(&self, text: impl AsRef<str>) {
        self.frame("dev", Direction::Note, text.as_ref().as_bytes());
    }

    fn latest(&self) -> Vec<Frame> {
        self.latest.lock().iter().cloned().collect()
    }
}

/// Serves until `shutdown` is done.
///
/// # Errors
/// When it cannot begin: each [`DevError`].
pub async fn serve(
    settings: DevSettings,
    manifest: Manifest,
    show: Show,
    shutdown: impl Future<Output = ()>,
) -> Result<(), DevError> {
    let address = settings.listen;
    if !address.ip().is_loopback() {
        return Err(DevError::NotLoopback { address });
    }
    let listen = |source| DevError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    let transcript = Arc::new(Transcript {
        show,
        latest: Mutex::default(),
    });
    let session = session::Session::open(&settings.sockets, manifest, Arc::clone(&transcript))?;
    transcript.note(format!("listening on http://{bound}"));
    let serving = axum::serve(listener, http::router(Arc::clone(&session)));
    tokio::select! {
        ended = serving.into_future() => ended.map_err(listen)?,
        () = session.follow() => {}
        () = process::supervise(&settings, session.manifest(), &transcript), if settings.start => {}
        () = shutdown => {}
    }
    session.close().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_shown_cut_and_remembered_within_a_bound() {
        let shown = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&shown);
        let transcript = Transcript {
            show: Arc::new(move |frame: &Frame| keep.lock().push(frame.to_string())),
            latest: Mutex::default(),
        };
        transcript.frame("control", Direction::Out, b"{}");
        transcript.frame("control", Direction::In, b"ok");
        transcript.note("hello");
        transcript.frame("x.ipc", Direction::In, &vec![b'a'; SHOWN + 1]);
        let shown = shown.lock().clone();
        assert_eq!(shown[..3], ["control → {}", "control ← ok", "dev * hello"]);
        assert!(shown[3].ends_with("a … (4097 bytes)"));
        for _ in 0..REMEMBERED {
            transcript.note("more");
        }
        assert_eq!(transcript.latest().len(), REMEMBERED);
    }
}
