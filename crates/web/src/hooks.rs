//! Commands of the application: what only it can do, such as migrations.
//!
//! A command is a list of words from the server's own configuration. Nothing of a package reaches a shell:
//! values replace tokens inside single words and stand in the environment. Output goes to the
//! operation's log, line by line.
#![expect(
    clippy::disallowed_methods,
    reason = "a command of the operator's, not a plugin's process"
)]

use std::path::{Path, PathBuf};
use std::process::Stdio;

use plugyard_model::{Code, Params, codes};
use plugyard_platform::kind::StepError;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio_util::sync::CancellationToken;

use crate::settings::Hooks;

/// Characters of a line that are kept.
const LINE: usize = 2000;
/// Lines of one command that are logged.
const LINES: usize = 5000;

/// Which command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Hook {
    Dependencies,
    Mark,
    Migrate,
    Seed,
    Revert,
    Snapshot,
    Restore,
    Load,
    Unload,
}

impl Hook {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Dependencies => "dependencies",
            Self::Mark => "mark",
            Self::Migrate => "migrate",
            Self::Seed => "seed",
            Self::Revert => "revert",
            Self::Snapshot => "snapshot",
            Self::Restore => "restore",
            Self::Load => "load",
            Self::Unload => "unload",
        }
    }

    const fn code(self) -> Code {
        match self {
            Self::Dependencies => codes::E_DEPENDENCY_HOOK,
            Self::Mark | Self::Migrate | Self::Seed | Self::Revert => codes::E_MIGRATION,
            Self::Snapshot | Self::Restore | Self::Load | Self::Unload => codes::E_HOOK,
        }
    }
}

impl Hooks {
    /// The words of a command; empty when there is none.
    pub(crate) fn words(&self, hook: Hook) -> &[String] {
        match hook {
            Hook::Dependencies => &self.dependencies,
            Hook::Mark => &self.mark,
            Hook::Migrate => &self.migrate,
            Hook::Seed => &self.seed,
            Hook::Revert => &self.revert,
            Hook::Snapshot => &self.snapshot,
            Hook::Restore => &self.restore,
            Hook::Load => &self.load,
            Hook::Unload => &self.unload,
        }
    }

    pub(crate) fn has(&self, hook: Hook) -> bool {
        !self.words(hook).is_empty()
    }
}

/// What a command is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Subject {
    pub(crate) fskey: String,
    /// Where the plugin's files are.
    pub(crate) directory: PathBuf,
    /// The version it is about.
    pub(crate) version: String,
    /// The version before, if any.
    pub(crate) from: String,
    /// Where migrations stood.
    pub(crate) mark: String,
    /// File for data.
    pub(crate) snapshot: PathBuf,
}

impl Subject {
    fn tokens(&self) -> [(&'static str, String); 6] {
        [
            ("fskey", self.fskey.clone()),
            ("directory", self.directory.display().to_string()),
            ("version", self.version.clone()),
            ("from", self.from.clone()),
            ("mark", self.mark.clone()),
            ("snapshot", self.snapshot.display().to_string()),
        ]
    }
}

/// Runs a command to its end; gives its last line of output.
///
/// # Errors
/// When it cannot be started, ends with another status than 0, takes too long or is cancelled.
pub(crate) async fn run(
    hooks: &Hooks,
    hook: Hook,
    subject: &Subject,
    home: &Path,
    log: &(dyn Fn(&str) + Send + Sync),
    cancelled: &CancellationToken,
) -> Result<String, StepError> {
    let failed = |reason: String| StepError {
        code: hook.code(),
        text: format!("the command `{}` failed: {reason}", hook.as_str()),
        params: Params::from_iter([
            ("fskey".to_owned(), subject.fskey.clone()),
            ("hook".to_owned(), hook.as_str().to_owned()),
            ("reason".to_owned(), reason),
        ]),
    };
    let tokens = subject.tokens();
    let mut words = hooks.words(hook).iter().map(|word| filled(word, &tokens));
    let Some(program) = words.next() else {
        return Ok(String::new());
    };
    let mut command = tokio::process::Command::new(&program);
    command
        .args(words)
        .current_dir(home.join(&hooks.directory))
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    for (name, value) in std::env::vars_os() {
        let passed = name.to_str().is_some_and(|name| {
            matches!(name, "PATH" | "LANG" | "HOME" | "TZ")
                || name.starts_with("LC_")
                || hooks.pass_env.iter().any(|more| more == name)
        });
        if passed {
            command.env(name, value);
        }
    }
    for (name, value) in &tokens {
        command.env(format!("PLUGYARD_{}", name.to_ascii_uppercase()), value);
    }
    command.env("PLUGYARD_HOOK", hook.as_str());
    log(&format!("{}: {program}", hook.as_str()));
    let mut child = command
        .spawn()
        .map_err(|error| failed(format!("`{program}` cannot be started: {error}")))?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let reading = async { tokio::join!(lines(out, log), lines(err, log)) };
    let ended = async {
        // What it left running may hold its output open, so its own end counts.
        let mut reading = std::pin::pin!(reading);
        let (status, read) = tokio::select! {
            status = child.wait() => (status, None),
            read = &mut reading => (child.wait().await, Some(read)),
        };
        let read = match read {
            Some(read) => read,
            None => tokio::time::timeout(std::time::Duration::from_secs(2), reading)
                .await
                .unwrap_or_default(),
        };
        (status, read)
    };
    let outcome = tokio::select! {
        ended = tokio::time::timeout(hooks.timeout, ended) => ended.map_err(|_| {
            format!("it took longer than {} s", hooks.timeout.as_secs())
        }),
        () = cancelled.cancelled() => Err("cancelled".to_owned()),
    };
    // Also what it started.
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let (status, (out, err)) = outcome.map_err(&failed)?;
    let status = status.map_err(|error| failed(error.to_string()))?;
    if status.success() {
        return Ok(out);
    }
    let words = if err.is_empty() { out } else { err };
    Err(failed(if words.is_empty() {
        format!("it ended with {status}")
    } else {
        format!("it ended with {status}: {words}")
    }))
}

/// A word with its tokens replaced, in one pass.
fn filled(word: &str, tokens: &[(&'static str, String)]) -> String {
    let mut filled = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(open) = rest.find('{') {
        let (before, tail) = rest.split_at(open);
        filled.push_str(before);
        let known = tokens.iter().find_map(|(name, value)| {
            let after = tail[1..].strip_prefix(name)?.strip_prefix('}')?;
            Some((value, after))
        });
        match known {
            Some((value, after)) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = &tail[1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// Logs what comes; gives the last line that says something.
async fn lines(from: Option<impl AsyncRead + Unpin>, log: &(dyn Fn(&str) + Send + Sync)) -> String {
    let Some(from) = from else {
        return String::new();
    };
    let (mut from, mut last, mut count) = (BufReader::new(from), String::new(), 0);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match read_line(&mut from, &mut bytes).await {
            Ok(true) => {}
            Ok(false) | Err(_) => return last,
        }
        let text: String = String::from_utf8_lossy(&bytes)
            .trim_end()
            .chars()
            .take(LINE)
            .collect();
        if text.is_empty() {
            continue;
        }
        count += 1;
        if count <= LINES {
            log(&text);
        } else if count == LINES + 1 {
            log("… more output is not kept");
        }
        last = text;
    }
}

/// One line, of which at most so many bytes are kept.
async fn read_line(
    from: &mut BufReader<impl AsyncRead + Unpin>,
    into: &mut Vec<u8>,
) -> std::io::Result<bool> {
    let mut any = false;
    loop {
        let buffer = from.fill_buf().await?;
        if buffer.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(buffer.len());
        let room = (LINE * 4).saturating_sub(into.len());
        into.extend_from_slice(&buffer[..taken.min(room)]);
        let used = end.map_or(buffer.len(), |end| end + 1);
        from.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use parking_lot::Mutex;

    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    async fn ran(hooks: &Hooks, subject: &Subject) -> (Result<String, StepError>, Vec<String>) {
        let home = tempfile::tempdir().unwrap();
        let logged = Mutex::new(Vec::new());
        let log = |text: &str| logged.lock().push(text.to_owned());
        let token = CancellationToken::new();
        let result = run(hooks, Hook::Migrate, subject, home.path(), &log, &token).await;
        (result, logged.into_inner())
    }

    #[tokio::test]
    async fn a_value_is_one_word_whatever_stands_in_it() {
        let hooks = Hooks {
            migrate: words(&["printf", "%s|", "{fskey}", "a{version}b{unknown}", "x"]),
            ..Hooks::default()
        };
        let subject = Subject {
            fskey: "$(touch /tmp/x); `id` \" '".to_owned(),
            version: "{fskey}".to_owned(),
            ..Subject::default()
        };
        let (result, log) = ran(&hooks, &subject).await;
        let said = "$(touch /tmp/x); `id` \" '|a{fskey}b{unknown}|x|";
        assert_eq!(result.unwrap(), said);
        assert_eq!(log.last().map(String::as_str), Some(said));
    }

    #[tokio::test]
    async fn a_failing_command_says_its_last_words_and_its_status() {
        let hooks = Hooks {
            migrate: words(&["sh", "-c", "echo one; echo two >&2; exit 3"]),
            ..Hooks::default()
        };
        let (result, log) = ran(&hooks, &Subject::default()).await;
        let error = result.unwrap_err();
        assert_eq!(error.code, codes::E_MIGRATION);
        assert!(error.text.contains("exit status: 3: two"), "{error}");
        assert!(log.contains(&"one".to_owned()) && log.contains(&"two".to_owned()));
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended_with_all_it_started() {
        let hooks = Hooks {
            migrate: words(&["sh", "-c", "sleep 600 & sleep 600"]),
            timeout: Duration::from_millis(200),
            ..Hooks::default()
        };
        let began = Instant::now();
        let (result, _) = ran(&hooks, &Subject::default()).await;
        assert!(result.unwrap_err().text.contains("longer than"));
        assert!(began.elapsed() < Duration::from_mins(5));
    }
}
