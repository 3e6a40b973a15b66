//! Operations as they are shown, and as they are stored.

use plugyard_http::{Cursor, Page, PageQuery};
use plugyard_model::{
    Code, Finding, KindId, OperationId, Params, Place, PluginName, Problem, StepName, codes,
};
use plugyard_store::StoreError;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Outcome, journal, not_found, past_commit};
use crate::Platform;
use crate::entity::{operation, operation_step};
use crate::kind::{Action, Change, Plan};

/// Where an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Under way.
    Running,
    /// The new state holds.
    Done,
    /// It failed; all is as before.
    Failed,
    /// It failed; the previous version works.
    RolledBack,
    /// It failed, and so did the way back.
    UndoFailed,
    /// It was cancelled; all is as before.
    Cancelled,
}

impl OperationState {
    const ALL: [Self; 6] = [
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::RolledBack,
        Self::UndoFailed,
        Self::Cancelled,
    ];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::UndoFailed => "undo_failed",
            Self::Cancelled => "cancelled",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == word)
    }
}

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not yet begun.
    Pending,
    /// Under way.
    Running,
    /// In effect.
    Done,
    /// It failed; what it did is taken back, unless it stands after the commit.
    Failed,
    /// Being taken back.
    Undoing,
    /// Taken back.
    Undone,
    /// Never begun, because the change ended before.
    Skipped,
}

impl StepState {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
            Self::Skipped => "skipped",
        }
    }
}

/// A step as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepView {
    /// The word people see.
    pub name: StepName,
    /// What the kind does under it.
    pub action: String,
    /// Whether it is the commit.
    pub commit: bool,
    /// Where it is.
    pub state: StepState,
    /// Milliseconds since 1970 (UTC).
    pub started_at: Option<i64>,
    /// Milliseconds since 1970 (UTC).
    pub ended_at: Option<i64>,
    /// What it said.
    pub output: Option<Json>,
    /// Why it failed, in its own words; after a failed way back, why that failed.
    pub error: Option<String>,
}

/// Why a change failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The step; `None` when the change was stopped between two.
    pub step: Option<StepName>,
    /// The step's own text, unchanged: routes that imitate other products answer with it.
    pub text: String,
    /// The step's code.
    pub code: String,
    /// The values of the code's texts.
    pub params: Params,
    /// Why the way back failed.
    pub undo: Option<String>,
    /// Whether somebody cancelled it.
    pub cancelled: bool,
}

/// An operation as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OperationView {
    /// Its id.
    pub id: OperationId,
    /// Whose.
    pub plugin: PluginName,
    /// What.
    pub action: Action,
    /// Which of the kind's own tasks, for [`Action::Perform`].
    pub task: Option<String>,
    /// Where it is.
    pub state: OperationState,
    /// In order; empty while it is being planned.
    pub steps: Vec<StepView>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The problem to answer with, when it failed.
    #[serde(skip)]
    pub problem: Option<Problem>,
    /// Who asked for it.
    pub created_by: String,
    /// Milliseconds since 1970 (UTC).
    pub created_at: i64,
    /// Milliseconds since 1970 (UTC).
    pub ended_at: Option<i64>,
}

impl OperationView {
    /// How it ended; `None` while it is under way.
    pub fn outcome(&self) -> Option<Outcome> {
        let problem = || {
            self.problem
                .clone()
                .unwrap_or_else(|| Problem::new(codes::STEP_FAILED))
        };
        Some(match self.state {
            OperationState::Running => return None,
            OperationState::Done => Outcome::Done,
            OperationState::Failed => Outcome::Failed(problem()),
            OperationState::RolledBack => Outcome::RolledBack(problem()),
            OperationState::UndoFailed => Outcome::UndoFailed(problem()),
            OperationState::Cancelled => Outcome::Cancelled(problem()),
        })
    }
}

/// Which operations to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OperationFilter {
    /// Of this plugin only.
    pub plugin: Option<PluginName>,
}

impl Platform {
    /// One operation.
    ///
    /// # Errors
    /// `operation_not_found`; `store_unavailable`.
    pub async fn operation(&self, id: OperationId) -> Result<OperationView, Problem> {
        let row = journal::operation_fetch(self.database().conn(), id)
            .await?
            .ok_or_else(|| not_found(id))?;
        self.operation_views(vec![row])
            .await?
            .pop()
            .ok_or_else(|| not_found(id))
    }

    /// Operations, latest first.
    ///
    /// # Errors
    /// `request_invalid` for a cursor or limit that is none; `store_unavailable`.
    pub async fn operations(
        &self,
        filter: &OperationFilter,
        page: &PageQuery,
    ) -> Result<Page<OperationView>, Problem> {
        let limit = page.limit()?;
        let mut query = operation::Entity::find().order_by_desc(operation::Column::Id);
        if let Some(plugin) = &filter.plugin {
            query = query
                .filter(operation::Column::Kind.eq(plugin.kind.as_str()))
                .filter(operation::Column::Key.eq(plugin.key.as_str()));
        }
        if let Some(cursor) = &page.cursor {
            let before: OperationId = cursor.position()?;
            query = query.filter(operation::Column::Id.lt(before.0));
        }
        let mut rows = query
            .limit(u64::from(limit) + 1)
            .all(self.database().conn())
            .await
            .map_err(StoreError::from)?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows
            .last()
            .filter(|_| more)
            .map(|row| Cursor::at(&OperationId(row.id)));
        Ok(Page {
            items: self.operation_views(rows).await?,
            next,
        })
    }

    /// The operations on plugins of a kind whose way back failed and was not settled since, latest first.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub async fn unresolved_operations(
        &self,
        kind: &KindId,
    ) -> Result<Vec<OperationView>, Problem> {
        let rows = journal::operation_unresolved_of(self.database().conn(), kind).await?;
        Ok(self.operation_views(rows).await?)
    }

    /// Waits until an operation has ended, and says how.
    ///
    /// # Errors
    /// `operation_not_found`; `store_unavailable` or `step_store_full`, also when the operation was set aside
    /// because the database does not answer or has no room: it is brought to its end when that is over.
    pub async fn wait(&self, id: OperationId) -> Result<Outcome, Problem> {
        self.planned(id).await;
        // Only its receiver is held: an operation that is given up is dropped, which wakes it.
        let outcome = self
            .0
            .running
            .lock()
            .get(&id)
            .map(|running| running.outcome.subscribe());
        if let Some(mut outcome) = outcome
            && let Ok(outcome) = outcome.wait_for(Option::is_some).await
            && let Some(outcome) = outcome.clone()
        {
            return Ok(outcome);
        }
        let view = self.operation(id).await?;
        let waits = || view.problem.clone();
        view.outcome()
            .ok_or_else(|| waits().unwrap_or_else(|| Problem::new(codes::STORE_UNAVAILABLE)))
    }

    /// Asks an operation to go back. It ends as cancelled when it got there.
    ///
    /// # Errors
    /// `operation_past_commit` when it has taken effect or ended; `operation_not_found`;
    /// `store_unavailable`.
    pub async fn cancel(&self, id: OperationId) -> Result<(), Problem> {
        self.planned(id).await;
        let running = self.0.running.lock().get(&id).cloned();
        match running {
            Some(running) => running.cancel(),
            None => Err(past_commit(
                id,
                &self.operation(id).await?.plugin,
                "has ended",
            )),
        }
    }

    /// Waits while an operation that can be seen already is still being planned.
    async fn planned(&self, id: OperationId) {
        let planning = self.0.planning.lock().get(&id).cloned();
        if let Some(over) = planning {
            over.cancelled().await;
        }
    }

    async fn operation_views(
        &self,
        rows: Vec<operation::Model>,
    ) -> Result<Vec<OperationView>, StoreError> {
        let steps = operation_step::Entity::find()
            .filter(operation_step::Column::OperationId.is_in(rows.iter().map(|row| row.id)))
            .order_by_asc(operation_step::Column::Position)
            .all(self.database().conn())
            .await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let own: Vec<_> = steps
                    .iter()
                    .filter(|step| step.operation_id == row.id)
                    .cloned()
                    .collect();
                let mut view = view(row, own)?;
                if view.ended_at.is_none()
                    && let Some(aside) = self.0.aside.lock().get(&view.id)
                {
                    view.problem = aside.waits.clone();
                }
                Some(view)
            })
            .collect())
    }
}

/// `None` for a row that no version of ours wrote.
fn view(row: operation::Model, steps: Vec<operation_step::Model>) -> Option<OperationView> {
    let plugin = PluginName::new(KindId::from(row.kind), row.key.parse().ok()?);
    let change: Change = serde_json::from_value(row.change).ok()?;
    let plan: Plan = match row.plan {
        Some(plan) => serde_json::from_value(plan).ok()?,
        None => Plan { steps: Vec::new() },
    };
    let state = OperationState::from_word(&row.state)?;
    let failure: Option<Failure> = row.failure.and_then(|it| serde_json::from_value(it).ok());
    let ended = row.ended_at.is_some();
    let steps = plan
        .steps
        .into_iter()
        .zip(steps)
        .map(|(spec, step)| StepView {
            name: spec.name,
            action: spec.action,
            commit: spec.commit,
            state: step_state(&step, ended),
            started_at: step.started_at,
            ended_at: step.ended_at,
            output: step.output,
            error: step.error,
        });
    Some(OperationView {
        id: OperationId(row.id),
        steps: steps.collect(),
        problem: failure
            .as_ref()
            .map(|failure| problem(state, failure, &change)),
        plugin,
        action: change.action,
        task: change.task,
        state,
        failure,
        created_by: row.created_by,
        created_at: row.created_at,
        ended_at: row.ended_at,
    })
}

fn step_state(step: &operation_step::Model, ended: bool) -> StepState {
    match (step.state.as_str(), step.undo.as_deref()) {
        // What failed stays visible as what failed.
        ("failed", _) => StepState::Failed,
        (_, Some("undone")) => StepState::Undone,
        (_, Some("running")) => StepState::Undoing,
        (_, Some(_)) => StepState::Failed,
        ("running", None) => StepState::Running,
        ("done", None) => StepState::Done,
        _ if ended => StepState::Skipped,
        _ => StepState::Pending,
    }
}

/// The problem that a failed operation is answered with.
pub(super) fn problem(state: OperationState, failure: &Failure, change: &Change) -> Problem {
    let step_code = Code::from_word(&failure.code).unwrap_or(codes::STEP_FAILED);
    let code = match state {
        OperationState::RolledBack => codes::ROLLED_BACK,
        OperationState::UndoFailed => codes::UNDO_FAILED,
        OperationState::Cancelled => codes::OPERATION_CANCELLED,
        _ => step_code,
    };
    let mut problem = Problem::new(code).about(&change.plugin);
    for (name, value) in &failure.params {
        problem = problem.with(name, value);
    }
    let own = failure.params.get("reason");
    let words = own.unwrap_or(&failure.text);
    let first_line = words.lines().find(|line| !line.trim().is_empty());
    let first_line = first_line.unwrap_or_default().trim();
    // Told by its own code, a failure has its own words for what that code leaves open.
    let reason = match own {
        Some(own) if code == step_code => own.as_str(),
        _ => first_line,
    };
    if code != step_code && words.trim().contains('\n') {
        // There is more to say than goes into the sentence about the change: what a program wrote, say.
        let mut whole = Finding::error(step_code, Place::default())
            .with("plugin", &change.plugin)
            .with("reason", words.trim_end());
        for (name, value) in &failure.params {
            whole = whole.with(name, value.trim_end());
        }
        problem = problem.with_findings(vec![whole]);
    }
    let previous = change
        .current
        .as_ref()
        .map(|version| match version.label.as_str() {
            "" => version.digest.short(),
            label => label.to_owned(),
        });
    problem
        .about(&change.plugin)
        .with("step", failure.step.map_or("-", StepName::as_str))
        .with("reason", reason)
        .with("undo", failure.undo.as_deref().unwrap_or_default())
        .with("previous", previous.unwrap_or_default())
        .with("operation", change.operation)
}
