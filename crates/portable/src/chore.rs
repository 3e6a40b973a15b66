//! Programs that are run once while a version is built: in a sandbox, within a time, their output in the
//! operation's log.

use std::time::Duration;

use plugyard_sandbox::{ExitStatus, Launcher, Spec};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::sync::CancellationToken;

use crate::process::{describe, seconds};
use crate::versions::with_cause;

/// Bytes of each stream that are kept for an error.
const OUTPUT_LIMIT: usize = 32 * 1024;

/// Takes lines for the operation's log.
pub(crate) type Log<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// How a chore ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` when it succeeded, else how it ended: `exit status 1`, `not done within 300 s`, `cancelled`.
    pub(crate) failure: Option<String>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program to its end, and not longer than `limit`; its children go with it.
///
/// # Errors
/// When it cannot be started.
pub(crate) async fn run(
    launcher: &Launcher,
    spec: Spec,
    limit: Duration,
    log: Log<'_>,
    cancelled: &CancellationToken,
) -> Result<Ended, String> {
    let spawned = launcher.spawn(spec).await;
    let mut process = spawned.map_err(|error| with_cause(&error))?;
    let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
    let ending = async {
        tokio::select! {
            exit = process.wait() => {
                (exit.status != ExitStatus::Code(0)).then(|| describe(&exit))
            }
            () = tokio::time::sleep(limit) => {
                process.kill().await;
                Some(format!("not done within {}", seconds(limit)))
            }
            () = cancelled.cancelled() => {
                process.kill().await;
                Some("cancelled".to_owned())
            }
        }
    };
    let (failure, stdout, stderr) =
        tokio::join!(ending, capture(stdout, log), capture(stderr, log));
    Ok(Ended {
        failure,
        stdout,
        stderr,
    })
}

async fn capture(pipe: Option<impl AsyncRead + Unpin>, log: Log<'_>) -> String {
    let Some(mut pipe) = pipe else {
        return String::new();
    };
    let (mut kept, mut line, mut chunk) = (Vec::new(), Vec::new(), vec![0; 4096]);
    while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
        let room = OUTPUT_LIMIT.saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..read.min(room)]);
        for &byte in &chunk[..read] {
            if byte == b'\n' {
                log(&String::from_utf8_lossy(&line));
                line.clear();
            } else if line.len() < OUTPUT_LIMIT {
                line.push(byte);
            }
        }
    }
    if !line.is_empty() {
        log(&String::from_utf8_lossy(&line));
    }
    String::from_utf8_lossy(&kept).into_owned()
}
