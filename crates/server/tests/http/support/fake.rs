//! A kind whose plugins do nothing but what their manifest says of their installation.
//!
//! `fake.json`: `{"name", "version", "fails": "reason", "waits": true}`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use parking_lot::Mutex;
use plugyard_archive::{Listing, PackageReader};
use plugyard_model::{
    Finding, Health, HealthState, Inspection, KindId, Params, Place, PluginName, StepName, codes,
};
use plugyard_platform::Kind;
use plugyard_platform::kind::{
    Action, Change, HealthEvent, Installation, KindError, Likeness, LogLine, Plan, StepCx,
    StepError, StepOutput, StepSpec,
};
use serde_json::{Value, json};
use tokio::sync::{Notify, broadcast};

/// The pretended kind.
pub(crate) struct Fake {
    /// Lets one waiting step go on.
    pub(crate) go_on: Arc<Notify>,
    /// Whether coming back at start waits for `go_on`, too.
    pub(crate) slow_start: AtomicBool,
    lines: Mutex<Vec<LogLine>>,
    live: broadcast::Sender<LogLine>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            go_on: Arc::new(Notify::new()),
            slow_start: AtomicBool::new(false),
            lines: Mutex::default(),
            live: broadcast::Sender::new(16),
        }
    }
}

impl Fake {
    /// What was written.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines
            .lock()
            .iter()
            .map(|line| line.text.clone())
            .collect()
    }

    /// Writes a line into the log of every plugin.
    pub(crate) fn write(&self, text: &str) {
        let mut lines = self.lines.lock();
        let line = LogLine {
            sequence: lines.len() as u64 + 1,
            time: 0,
            stream: "stdout".into(),
            pid: 1,
            text: text.into(),
        };
        lines.push(line.clone());
        _ = self.live.send(line);
    }
}

fn step(name: StepName, input: Value, commit: bool) -> StepSpec {
    StepSpec {
        name,
        action: name.as_str().to_owned(),
        input,
        commit,
    }
}

#[async_trait]
impl Kind for Fake {
    fn id(&self) -> KindId {
        KindId::from_static("fake")
    }

    fn recognise(&self, names: &Listing) -> Likeness {
        if names.has_file("fake.json") {
            Likeness::Yes
        } else {
            Likeness::No
        }
    }

    fn inspect(&self, package: &dyn PackageReader, _: Option<&str>) -> Inspection {
        let manifest = package.read("fake.json", 1 << 20).unwrap_or_default();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap_or_default();
        let text = |key: &str| manifest[key].as_str().map(str::to_owned);
        if text("name").is_none() {
            let place = Place::pointer("fake.json", "/name").at(1, 1);
            let finding = Finding::error(codes::MANIFEST_FIELD_TYPE, place)
                .with("field", "name")
                .with("expected", "a string");
            return Inspection::failed(Some(self.id()), vec![finding]);
        }
        Inspection {
            kind: Some(self.id()),
            key: text("name"),
            version: text("version"),
            manifest,
            findings: Vec::new(),
        }
    }

    async fn plan(&self, change: &Change) -> Result<Plan, KindError> {
        let manifest = change
            .target
            .as_ref()
            .map_or(Value::Null, |version| version.manifest.clone());
        let first = match change.action {
            Action::Uninstall | Action::Disable => step(StepName::Stop, Value::Null, false),
            _ => step(StepName::Start, manifest, false),
        };
        Ok(Plan {
            steps: vec![first, step(StepName::Commit, Value::Null, true)],
        })
    }

    async fn run(&self, step: &StepSpec, cx: &StepCx) -> Result<StepOutput, StepError> {
        if step.input["waits"] == true {
            (cx.log)("waiting");
            tokio::select! {
                () = self.go_on.notified() => {}
                () = cx.cancelled.cancelled() => {}
            }
        }
        match step.input["fails"].as_str() {
            Some(reason) => Err(StepError {
                code: codes::STEP_FAILED,
                text: reason.to_owned(),
                params: Params::new(),
            }),
            None => Ok(json!({})),
        }
    }

    async fn undo(&self, _: &StepSpec, _: &StepCx) -> Result<(), StepError> {
        Ok(())
    }

    async fn resume(&self, _: &[Installation]) {
        if self.slow_start.load(Ordering::Relaxed) {
            self.go_on.notified().await;
        }
    }

    async fn shut_down(&self) {}

    async fn probe(&self, _: &Installation) -> Health {
        Health::new(HealthState::Ready)
    }

    fn watch(&self) -> BoxStream<'static, HealthEvent> {
        stream::pending().boxed()
    }

    async fn details(&self, _: &Installation) -> Value {
        json!({ "pretended": true })
    }

    fn logs(&self, _: &PluginName, tail: usize) -> (Vec<LogLine>, BoxStream<'static, LogLine>) {
        let lines = self.lines.lock();
        let live = stream::unfold(self.live.subscribe(), |mut live| async move {
            live.recv().await.ok().map(|line| (line, live))
        });
        let from = lines.len().saturating_sub(tail);
        (lines[from..].to_vec(), live.boxed())
    }
}
