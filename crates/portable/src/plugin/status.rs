//! How a plugin is: for eKuiper's status, for `show`, and for whoever follows its health.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use plugyard_model::{Health, HealthState};
use plugyard_sandbox::Enforced;
use plugyard_symbol::SymbolKind;
use serde::Serialize;
use serde_json::Value as Json;

use super::crew::Crew;
use super::{Exited, HISTORY, Instance, Phase, Plugin, State, Status};
use crate::manifest::folder as listed_as;
use crate::process::Worker;

/// Lines of its output that are shown of each process.
const LAST_LINES: usize = 5;

impl State {
    /// Remembers an exit that nobody had asked for.
    pub(super) fn remember(&mut self, worker: &Worker, at: i64, reason: &str) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Exited {
            at,
            pid: worker.process.pid(),
            worker: worker.number,
            reason: reason.to_owned(),
        });
    }
}

impl Plugin {
    /// The plugin's status in eKuiper's shape, ours after its three keys (HOST-10).
    pub(crate) fn status(&self) -> Json {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Document {
            ref_count: BTreeMap<String, u64>,
            status: Status,
            err_msg: String,
            pid: Option<u32>,
            started_at: Option<i64>,
            restarts: u64,
            history: Vec<Exited>,
            cpu: Option<f64>,
        }
        let state = self.state.lock().clone();
        let document = Document {
            ref_count: self.ref_count(),
            status: state.status,
            err_msg: state.error,
            pid: state.pid,
            started_at: state.started_at,
            restarts: state.restarts,
            history: state.history.into_iter().collect(),
            cpu: self.cores(),
        };
        serde_json::to_value(document).expect("a status can be written")
    }

    /// Processors that all its processes keep busy (HOST-29); `None` while they are being changed.
    fn cores(&self) -> Option<f64> {
        let lifecycle = self.lifecycle.try_lock().ok()?;
        // The sum of no floats would be a negative zero.
        let cores = lifecycle.current.all().map(|worker| worker.cores());
        Some(cores.fold(0.0, |sum, cores| sum + cores))
    }

    /// How many sources and sinks each rule uses.
    fn ref_count(&self) -> BTreeMap<String, u64> {
        let mut count = BTreeMap::new();
        for node in self
            .instances
            .lock()
            .keys()
            .filter_map(|key| key.node.as_ref())
        {
            *count.entry(node.rule_id.clone()).or_default() += 1;
        }
        count
    }

    pub(crate) fn health(&self) -> Health {
        let state = self.state.lock();
        match (&*self.phase.borrow(), state.status) {
            (Phase::Running, _) => match state.others.trouble() {
                None => Health::new(HealthState::Ready),
                Some((number, error)) => Health::because(
                    HealthState::Degraded,
                    format!("process {number} does not run: {error}"),
                ),
            },
            (Phase::Off, _) => Health::new(HealthState::Stopped),
            (Phase::Failed, _) => Health::because(HealthState::Failed, state.error.clone()),
            (Phase::Coming, Status::Error) => {
                Health::because(HealthState::Degraded, state.error.clone())
            }
            (Phase::Coming, _) => Health::new(HealthState::Starting),
        }
    }

    /// What of it runs and is used, for `show`.
    pub(crate) async fn details(&self) -> Json {
        let crew = self.lifecycle.lock().await.current.clone();
        let state = self.state.lock().clone();
        let launch = self.launch();
        let symbols = |kind| {
            launch
                .as_ref()
                .map(|it| it.manifest.symbols(kind).to_vec())
                .unwrap_or_default()
        };
        let wanted = launch.as_ref().map_or(0, |it| it.options.workers);
        let processes: Vec<Json> = (0..wanted)
            .map(|number| self.process_details(number, &crew, &state))
            .collect();
        serde_json::json!({
            "process": crew.first().map(|worker| process(worker)),
            "limits": crew.first().map(|worker| limits(worker)),
            "processes": processes,
            "isolation": self.isolation(crew.first().map(AsRef::as_ref)),
            "restarts": state.restarts,
            "history": state.history,
            "used_by": self.ref_count(),
            "failing": self.failing.shown(),
            "activity": self.activity(),
            "symbols": {
                "sources": symbols(SymbolKind::Source),
                "sinks": symbols(SymbolKind::Sink),
                "functions": symbols(SymbolKind::Function),
            },
        })
    }

    /// How it is kept apart from others, and what that means where it shares `/tmp` with them.
    fn isolation(&self, worker: Option<&Worker>) -> Json {
        let Some(reason) = self.shared.why_sharing() else {
            return serde_json::json!({ "mode": "namespaces" });
        };
        let landlock = worker.map(|it| it.process.isolation().landlock.is_some());
        let files = match landlock {
            Some(false) => Some(
                "without Landlock it can read and write what the server's user can, its keys and database included",
            ),
            Some(true) => Some(
                "in `/tmp` it can make sockets and no files; `TMPDIR` names a directory of its own",
            ),
            None => None,
        };
        let weaker: Vec<_> = [
            "sockets have the names that its SDK fixes in the machine's `/tmp`: one server alone can run a plugin, function or rule of a name",
            "it sees the processes of the machine; a child that it frees from its first process and its control group may outlive it",
        ]
        .into_iter()
        .chain(files)
        .collect();
        serde_json::json!({ "mode": "shared", "because": reason, "weaker": weaker })
    }

    /// What goes through its symbols: of each in use, how often it is, rows or calls so far, and each second.
    fn activity(&self) -> BTreeMap<&'static str, BTreeMap<String, Activity>> {
        let mut all: BTreeMap<_, BTreeMap<String, Activity>> = BTreeMap::new();
        for instance in self.instances.lock().values() {
            let symbols = all.entry(listed_as(instance.kind())).or_default();
            let activity = symbols.entry(instance.symbol().to_owned()).or_default();
            let tally = instance.tally();
            activity.uses += match instance {
                Instance::Function(it) => it.uses.load(Ordering::Acquire) as u64,
                Instance::Source(_) | Instance::Sink(_) => 1,
            };
            activity.count += tally.count();
            activity.per_second += tally.rate();
        }
        all
    }

    /// One of its processes, whether it runs or not.
    fn process_details(&self, number: usize, crew: &Crew, state: &State) -> Json {
        let worker = crew.all().find(|worker| worker.number == number);
        let other = state.others.get(number);
        let (restarts, error) = match number {
            0 => (
                state.restarts,
                (!state.error.is_empty()).then(|| state.error.clone()),
            ),
            _ => (other.restarts, other.error),
        };
        let pid = worker.map(|worker| worker.process.pid());
        serde_json::json!({
            "worker": number,
            "pid": pid,
            "started_at": worker.map(|worker| worker.started_at),
            "isolation": worker.map(|worker| worker.process.isolation()),
            "limits": worker.map(|worker| limits(worker)),
            "restarts": restarts,
            "error": error,
            "last_lines": pid.map(|pid| self.logs.last_of(pid, LAST_LINES)),
        })
    }
}

/// What goes through a symbol.
#[derive(Debug, Default, Serialize)]
struct Activity {
    /// Places of rules that use it; of a function, those that have called it.
    uses: u64,
    /// Rows, messages or answered calls since the plugin's symbols were put to use.
    count: u64,
    per_second: f64,
}

/// For each limit its figure, what is used of it, and who keeps it.
fn limits(worker: &Worker) -> Json {
    let limits = &worker.launch.limits;
    let used = worker.process.usage();
    let kept = worker.process.enforcement();
    let row = |limit: Json, used: Option<Json>, kept: &Enforced| {
        serde_json::json!({
            "limit": limit,
            "used": used,
            "enforced": kept.how,
            "by": kept.by,
        })
    };
    serde_json::json!({
        "cpu": row(limits.cpu.into(), Some(worker.cores().into()), &kept.cpu),
        "memory": row(limits.memory.into(), Some(used.memory.into()), &kept.memory),
        "pids": row(limits.pids.into(), Some(used.pids.into()), &kept.pids),
        "files": row(limits.files.into(), None, &kept.files),
        "disk": row(limits.disk.into(), used.disk.map(Json::from), &kept.disk),
        // The sandbox leaves this one to whoever keeps the output, which is us.
        "log": serde_json::json!({
            "limit": limits.log,
            "enforced": "host",
            "by": "the oldest lines make room",
        }),
    })
}

fn process(worker: &Worker) -> Json {
    serde_json::json!({
        "pid": worker.process.pid(),
        "started_at": worker.started_at,
        "isolation": worker.process.isolation(),
    })
}
