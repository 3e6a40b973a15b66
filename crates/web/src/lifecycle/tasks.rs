//! Single steps of the lifecycle, each as a change of its own: assets shown and hidden, migrations, seeds,
//! dependencies, and packages that are only placed.

use plugyard_model::{Problem, codes};
use plugyard_platform::kind::{Action, Change};

use super::{Act, Facts};
use crate::hooks::Hook;
use crate::host::WebHost;
use crate::states;

/// What can be done by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Shows the assets.
    Publish,
    /// Hides the assets.
    Unpublish,
    /// Runs the migrations that have not run.
    Migrate,
    /// Takes back the migrations of the version in force.
    MigrateRollback,
    /// Takes back all migrations and runs them again.
    MigrateRefresh,
    /// Takes back all migrations.
    MigrateReset,
    /// Runs the seeds.
    Seed,
    /// Resolves what `composer.json` requires.
    ComposerUpdate,
    /// Places a package where plugins lie, and nothing else.
    Unzip,
}

impl Task {
    /// All that are done with a plugin that is installed.
    pub(crate) const ALL: [Self; 8] = [
        Self::Publish,
        Self::Unpublish,
        Self::Migrate,
        Self::MigrateRollback,
        Self::MigrateRefresh,
        Self::MigrateReset,
        Self::Seed,
        Self::ComposerUpdate,
    ];

    /// The word, as in Fresns' commands.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Unpublish => "unpublish",
            Self::Migrate => "migrate",
            Self::MigrateRollback => "migrate-rollback",
            Self::MigrateRefresh => "migrate-refresh",
            Self::MigrateReset => "migrate-reset",
            Self::Seed => "seed",
            Self::ComposerUpdate => "composer-update",
            Self::Unzip => "unzip",
        }
    }

    /// The one of a word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == word)
    }

    /// The one that a change is about.
    pub(crate) fn of(change: &Change) -> Option<Self> {
        let word = change.task.as_deref();
        let task = match word {
            Some(word) if word == Self::Unzip.as_str() => Some(Self::Unzip),
            _ => word.and_then(Self::from_word),
        };
        task.filter(|_| change.action == Action::Perform)
    }

    /// Whether data of the plugin go.
    pub(crate) const fn takes_data(self) -> bool {
        matches!(
            self,
            Self::MigrateRollback | Self::MigrateRefresh | Self::MigrateReset
        )
    }
}

impl WebHost {
    /// The steps of a task, or why it is not possible.
    pub(super) async fn performing(
        &self,
        change: &Change,
        facts: &Facts,
    ) -> Result<Vec<Act>, Problem> {
        let word = change.task.as_deref().unwrap_or_default();
        let refused = |reason: &str| {
            Problem::new(codes::E_TASK_REFUSED)
                .with("fskey", &facts.fskey)
                .with("task", word)
                .with("reason", reason)
                .about(&change.plugin)
        };
        let task = Task::of(change).ok_or_else(|| refused("task_unknown"))?;
        let needs = |hook: Hook| {
            let there = self.0.settings.hooks.has(hook);
            let hook = hook.as_str();
            there
                .then_some(())
                .ok_or_else(|| refused("task_no_command").with("hook", hook))
        };
        let shows = matches!(task, Task::Publish | Task::Unpublish);
        if facts.is_standalone() {
            return Err(refused("task_standalone"));
        }
        if task == Task::Unzip {
            return Ok(vec![Act::Place]);
        }
        if facts.is_theme() && !shows {
            return Err(refused("task_theme"));
        }
        if task.takes_data() && change.wanted_before.is_on() {
            return Err(refused("task_enabled"));
        }
        let contents = facts.target.as_ref().map(|it| it.contents);
        let contents = contents.unwrap_or_default();
        let only = |act, when: bool| when.then_some(act);
        let marks = only(Act::MarkTask, self.0.settings.hooks.has(Hook::Mark));
        let keeps = only(Act::Snapshot, self.0.settings.hooks.has(Hook::Snapshot));
        let acts = match task {
            // Decided above, without the promise of a plugin that is here.
            Task::Unzip => vec![Some(Act::Place)],
            Task::Publish => vec![Some(Act::Publish)],
            Task::Unpublish => vec![Some(Act::Unpublish)],
            Task::Migrate => {
                needs(Hook::Migrate)?;
                let runs = only(Act::Migrate, contents.migrations);
                vec![marks.filter(|_| runs.is_some()), runs]
            }
            Task::MigrateRollback => {
                needs(Hook::Revert)?;
                if contents.migrations && self.own_mark(facts).await?.is_none() {
                    return Err(refused("task_no_mark"));
                }
                vec![keeps, Some(Act::RevertOwn)]
            }
            Task::MigrateReset => {
                needs(Hook::Revert)?;
                vec![keeps, Some(Act::Clear)]
            }
            Task::MigrateRefresh => {
                needs(Hook::Revert)?;
                needs(Hook::Migrate)?;
                vec![keeps, Some(Act::Clear), Some(Act::Migrate)]
            }
            Task::Seed => {
                needs(Hook::Seed)?;
                vec![only(Act::Seed, contents.seeders)]
            }
            Task::ComposerUpdate => {
                needs(Hook::Dependencies)?;
                let foreign = facts.target.as_ref().map(|it| &it.foreign_dependencies);
                let requires = foreign.is_some_and(|it| !it.is_empty());
                vec![only(Act::Resolve, requires)]
            }
        };
        let acts = acts.into_iter().flatten();
        let acts = acts.filter(|act| contents.migrations || !is_of_migrations(*act));
        Ok(std::iter::once(Act::Begin).chain(acts).collect())
    }

    /// Where migrations stood before those of the version in force.
    pub(super) async fn own_mark(&self, facts: &Facts) -> Result<Option<String>, Problem> {
        let state = states::find(self.database()?.conn(), &facts.fskey).await?;
        let version = facts.target.as_ref().map(|it| it.version.as_str());
        let mut marks = super::steps::marks(state.migration_marks.as_ref());
        Ok(version.and_then(|version| marks.remove(version)))
    }
}

/// What a plugin without migrations has no use for.
const fn is_of_migrations(act: Act) -> bool {
    matches!(
        act,
        Act::Snapshot | Act::Clear | Act::RevertOwn | Act::Migrate
    )
}
