//! What changes under way will leave behind, so that two at once cannot take away from each other what each was
//! planned with.
//!
//! A change says what it will leave behind in its first step, and is checked there against the rows and
//! against what the others said; its word holds until it is in force or taken back. One process serves a
//! database, so this is kept in memory; a change that is found committing after a crash says it again.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use plugyard_model::{OperationId, Problem, codes};
use plugyard_platform::kind::{Action, Change};
use semver::Version;
use tokio::sync::MutexGuard;

use super::Facts;
use super::requirements::{Here, World};
use crate::host::WebHost;
use crate::{records, states};

/// What a plugin will be.
#[derive(Debug, Clone)]
pub(crate) struct Promise {
    pub(super) fskey: String,
    /// `None`: not here any more.
    pub(super) after: Option<Here>,
}

/// The promises of all changes under way.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    /// Held while somebody looks whether a change is possible and makes it so.
    one: tokio::sync::Mutex<()>,
    made: Mutex<BTreeMap<OperationId, Promise>>,
}

impl Promises {
    /// Nobody else makes a promise, or changes a record that has no package, until this is dropped.
    pub(crate) async fn alone(&self) -> MutexGuard<'_, ()> {
        self.one.lock().await
    }

    /// Those of all operations but one.
    pub(crate) fn others(&self, than: Option<OperationId>) -> Vec<Promise> {
        let made = self.made.lock();
        let others = made.iter().filter(|(id, _)| Some(**id) != than);
        others.map(|(_, promise)| promise.clone()).collect()
    }

    /// An fskey of a change under way that differs from this one in nothing but the case of letters.
    pub(crate) fn twin(&self, fskey: &str) -> Option<String> {
        let made = self.made.lock();
        let twin = |it: &&Promise| it.fskey.eq_ignore_ascii_case(fskey) && it.fskey != fskey;
        made.values().find(twin).map(|it| it.fskey.clone())
    }

    /// The change says what it will leave behind.
    pub(super) fn make(&self, change: &Change, facts: &Facts) {
        let after = facts.target.as_ref().map(|target| Here {
            version: Version::parse(&target.version).ok(),
            enabled: change.wanted_after.is_on(),
            manifest: Some(target.clone()),
        });
        let promise = Promise {
            fskey: facts.fskey.clone(),
            after: after.filter(|_| change.action != Action::Uninstall),
        };
        self.made.lock().insert(change.operation, promise);
    }

    /// It is in force, or taken back.
    pub(super) fn settle(&self, id: OperationId) {
        self.made.lock().remove(&id);
    }
}

impl WebHost {
    /// Whether the change leaves everybody with what they need, also if others under way come into force.
    pub(super) async fn possible_beside(
        &self,
        change: &Change,
        facts: &Facts,
    ) -> Result<(), Problem> {
        let connection = self.database()?.conn();
        let fskey = facts.fskey.as_str();
        let about = |problem: Problem| problem.with("fskey", fskey).about(&change.plugin);
        let rows = records::all(connection).await?;
        if change.action == Action::Install || change.is_preparation() {
            let row = rows
                .iter()
                .map(|row| &row.fskey)
                .find(|other| other.eq_ignore_ascii_case(fskey) && *other != fskey)
                .cloned();
            let other = row.or_else(|| self.0.promises.twin(fskey));
            if let Some(other) = other.or(self.twin_on_disk(fskey).await) {
                let problem = Problem::new(codes::E_FSKEY_DUPLICATE).with("existing", other);
                return Err(about(problem));
            }
        }
        if change.is_preparation() {
            // Nobody needs what is not installed, and it needs nobody yet.
            return Ok(());
        }
        let states = states::all(connection).await?;
        let others = self.0.promises.others(Some(change.operation));
        let core = self.0.settings.core_version.as_ref();
        let mut world = World::new(&rows, &states, core);
        world.check_beside(&others, change, facts).map_err(about)
    }

    /// A directory of plugins or themes whose name differs from this in nothing but the case of letters: where
    /// cases are not told apart it would be the same one.
    async fn twin_on_disk(&self, fskey: &str) -> Option<String> {
        let (home, fskey) = (self.0.home.clone(), fskey.to_owned());
        let looked = tokio::task::spawn_blocking(move || {
            let directories = [home.plugins(), home.themes()];
            let entries = directories
                .iter()
                .filter_map(|it| std::fs::read_dir(it).ok());
            let mut names = entries
                .flatten()
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            names.find(|name| name.eq_ignore_ascii_case(&fskey) && *name != fskey)
        });
        looked.await.ok().flatten()
    }

    /// Makes the change's promise, if it is still possible.
    pub(super) async fn promise(&self, change: &Change, facts: &Facts) -> Result<(), Problem> {
        let _alone = self.0.promises.alone().await;
        self.possible_beside(change, facts).await?;
        self.0.promises.make(change, facts);
        Ok(())
    }
}
