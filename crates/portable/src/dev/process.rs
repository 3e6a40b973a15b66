//! The plugin's process under test: started, shown, and started again when its files change.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::{DevSettings, Direction, Transcript};
use crate::manifest::{Language, Manifest};
use crate::process::ARGUMENT;

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// From the request to end until the end is made.
const GRACE: Duration = Duration::from_secs(2);
/// Files looked at; a plugin has fewer.
const FILES: usize = 20_000;

/// What the files are like, as far as their times and sizes tell.
type Snapshot = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// Keeps the plugin running. Never ends.
pub(super) async fn supervise(
    settings: &DevSettings,
    manifest: &Manifest,
    transcript: &Transcript,
) {
    let mut files = look(settings.directory.clone()).await;
    loop {
        let started = start(settings, manifest);
        let mut child = match started {
            Ok(child) => child,
            Err(error) => {
                transcript.note(format!("the plugin cannot be started: {error}"));
                files = changed(&settings.directory, files).await;
                continue;
            }
        };
        let pid = child.id();
        let told = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
        transcript.note(format!("started the plugin{told}"));
        let group = Group(pid.and_then(|pid| Pid::from_raw(pid.cast_signed())));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let output = async {
            tokio::join!(
                drain("stdout", stdout, transcript),
                drain("stderr", stderr, transcript)
            );
        };
        tokio::pin!(output);
        let change = changed(&settings.directory, files.clone());
        tokio::pin!(change);
        let mut silent = false;
        loop {
            tokio::select! {
                () = &mut output, if !silent => silent = true,
                now = &mut change => {
                    files = now;
                    transcript.note("files changed: the plugin is started again");
                    group.signal(Signal::TERM);
                    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
                        group.signal(Signal::KILL);
                        let _ = child.wait().await;
                    }
                    break;
                }
                ended = child.wait() => {
                    let _ = tokio::time::timeout(GRACE, &mut output).await;
                    let how = ended.map_or_else(|error| error.to_string(), |it| it.to_string());
                    transcript.note(format!("the plugin ended ({how}); it is started again when a file changes"));
                    files = change.await;
                    break;
                }
            }
        }
    }
}

/// The process with all that it starts; ended when dropped.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            // Fails when there is nobody left.
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

fn start(settings: &DevSettings, manifest: &Manifest) -> std::io::Result<Child> {
    let executable = settings.directory.join(&manifest.executable);
    #[expect(
        clippy::disallowed_methods,
        reason = "the author's own plugin, run as the author would run it"
    )]
    let mut command = match manifest.language {
        Language::Go => Command::new(&executable),
        Language::Python => {
            let mut command = Command::new(&settings.python);
            command.arg("-u").arg(&executable);
            command
        }
    };
    command
        .arg(ARGUMENT)
        .current_dir(executable.parent().unwrap_or(&settings.directory))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PLUGYARD_PLUGIN", format!("portable:{}", manifest.name))
        .env("PLUGYARD_DATA_DIR", &settings.data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

async fn drain(channel: &str, pipe: Option<impl AsyncRead + Unpin>, transcript: &Transcript) {
    let Some(pipe) = pipe else { return };
    let mut lines = BufReader::new(pipe).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        transcript.frame(channel, Direction::Note, &line);
    }
}

/// Waits until the files are no longer what they were, and until they stay what they became.
async fn changed(directory: &Path, before: Snapshot) -> Snapshot {
    let mut last = before.clone();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = look(directory.to_owned()).await;
        if now != before && now == last {
            return now;
        }
        last = now;
    }
}

async fn look(directory: PathBuf) -> Snapshot {
    let looked = tokio::task::spawn_blocking(move || {
        let mut files = Snapshot::new();
        walk(&directory, &mut files);
        files
    });
    looked.await.unwrap_or_default()
}

/// Everything but what editors and interpreters write by themselves.
fn walk(directory: &Path, files: &mut Snapshot) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let passing = name.starts_with('.') || name.ends_with('~') || name == "__pycache__";
        if passing || files.len() >= FILES {
            continue;
        }
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() {
            walk(&entry.path(), files);
        } else {
            files.insert(entry.path(), (metadata.modified().ok(), metadata.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_interpreters_and_editors_write_is_no_change() {
        let directory = tempfile::tempdir().unwrap();
        let look = || {
            let mut files = Snapshot::new();
            walk(directory.path(), &mut files);
            files
        };
        fs::create_dir_all(directory.path().join("lib/__pycache__")).unwrap();
        fs::write(directory.path().join("lib/a.py"), "1").unwrap();
        let before = look();
        fs::write(directory.path().join("lib/__pycache__/a.pyc"), "1").unwrap();
        fs::write(directory.path().join(".a.py.swp"), "1").unwrap();
        fs::write(directory.path().join("a.py~"), "1").unwrap();
        assert_eq!(look(), before);
        fs::write(directory.path().join("lib/a.py"), "12").unwrap();
        assert_ne!(look(), before);
    }
}
