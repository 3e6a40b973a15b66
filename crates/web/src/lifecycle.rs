//! A change of a plugin as steps: what is done, in which order, and what takes each back.
//!
//! Everything that can fail stands before the commit; the commit itself writes rows only
//! ([`commit`]). The way back runs in the server, outside any code of a plugin, and does not need the failed
//! version to be loadable.

pub(crate) mod commit;
pub(crate) mod promises;
pub(crate) mod requirements;
mod steps;
pub(crate) mod tasks;

use plugyard_model::{Problem, StepName, codes};
use plugyard_platform::files;
use plugyard_platform::kind::{Action, Change, Installation, Plan, StepSpec, Version};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

pub(crate) use self::requirements::{dependants, dependants_in_order};
use crate::columns::{self, PluginType};
use crate::entity::plugin::Model;
use crate::events::Name;
use crate::hooks::Hook;
use crate::host::WebHost;
use crate::package::Manifest;
use crate::records;
use crate::site::{self, Site};

/// The option that says of a change whether its seeds run; they do unless it says no.
pub(crate) const SEED: &str = "seed";

/// What is done under the platform's words for steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Act {
    /// Nothing; taken back last, it writes down why the change failed and tells that it went back.
    Begin,
    /// The files in force are those that were installed.
    Check,
    /// Listeners may refuse.
    Announce,
    /// The application lets go of it.
    Unload,
    /// The version on disk, whole.
    Unpack,
    /// Nothing; taken back after the files are, it resolves dependencies as they were.
    ResolveAgain,
    /// Migrations of the version in force are taken back, to go to an older one.
    Revert,
    /// A package lies where plugins do, as files of the operator's.
    Place,
    /// The link leads to the version.
    Link,
    /// Dependencies are resolved.
    Resolve,
    /// Where migrations stand is written down.
    Mark,
    /// The same, for a task that runs migrations by themselves.
    MarkTask,
    /// Migrations run.
    Migrate,
    /// Seeds run.
    Seed,
    /// Assets are seen.
    Publish,
    /// The application loads it.
    Load,
    /// The application says that it works.
    Health,
    /// Data are written to a file.
    Snapshot,
    /// All migrations are taken back.
    Clear,
    /// The migrations of the version in force are taken back.
    RevertOwn,
    /// Assets are no longer seen.
    Unpublish,
    /// The link goes.
    Unlink,
    /// Rows change.
    Record,
    /// The application is told what to load.
    Export,
}

impl Act {
    const fn step(self) -> StepName {
        match self {
            Self::Begin | Self::Check | Self::Announce => StepName::Verify,
            Self::Unload => StepName::Stop,
            Self::Unpack | Self::Place => StepName::Unpack,
            Self::ResolveAgain | Self::Resolve => StepName::Build,
            Self::Revert
            | Self::Mark
            | Self::MarkTask
            | Self::Migrate
            | Self::Seed
            | Self::Snapshot
            | Self::Clear
            | Self::RevertOwn => StepName::Migrate,
            Self::Link | Self::Publish | Self::Export => StepName::Ready,
            Self::Load => StepName::Start,
            Self::Health => StepName::Probe,
            Self::Unpublish | Self::Unlink => StepName::Remove,
            Self::Record => StepName::Commit,
        }
    }

    fn spec(self, input: &Input) -> StepSpec {
        let word = serde_json::to_value(self).ok();
        StepSpec {
            name: self.step(),
            action: word
                .and_then(|word| word.as_str().map(str::to_owned))
                .unwrap_or_default(),
            input: match self {
                Self::Begin | Self::Announce | Self::Unpack | Self::Place | Self::Migrate => {
                    serde_json::to_value(input).unwrap_or_default()
                }
                _ => json!({}),
            },
            commit: self == Self::Record,
        }
    }

    pub(crate) fn of(step: &StepSpec) -> Option<Self> {
        serde_json::from_value(Json::from(step.action.as_str())).ok()
    }
}

/// What steps know from when they were planned.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Input {
    /// The version was not on disk, so that taking the step back removes it.
    fresh: bool,
    /// There was never a record, so all data are this change's.
    new: bool,
    /// What listeners are asked.
    announced: Vec<Name>,
    /// Lines for the log.
    warnings: Vec<String>,
    /// Something lies already where a package is to be placed.
    occupied: bool,
}

/// What a change is about.
pub(crate) struct Facts {
    pub(crate) fskey: String,
    /// The manifest of the version before.
    pub(crate) current: Option<Manifest>,
    /// The manifest of the version after.
    pub(crate) target: Option<Manifest>,
}

impl Facts {
    pub(crate) fn of(change: &Change) -> Self {
        Self {
            fskey: change.plugin.key.to_string(),
            current: change.current.as_ref().and_then(manifest),
            target: change.target.as_ref().and_then(manifest),
        }
    }

    /// What an installation is now.
    pub(crate) fn now(installation: &Installation) -> Self {
        Self {
            fskey: installation.plugin.key.to_string(),
            current: None,
            target: manifest(&installation.current),
        }
    }

    /// What it is, after the change or, when it goes, before.
    fn manifest(&self) -> Option<&Manifest> {
        self.target.as_ref().or(self.current.as_ref())
    }

    pub(crate) fn is_theme(&self) -> bool {
        self.manifest().is_some_and(is_theme)
    }

    /// Whether nothing of it is loaded here, and so no files of it are needed.
    pub(crate) fn is_standalone(&self) -> bool {
        self.manifest().is_some_and(|it| it.is_standalone)
    }
}

pub(crate) fn is_theme(manifest: &Manifest) -> bool {
    i64::from(manifest.plugin_type) == PluginType::Theme as i64
}

/// The manifest of a version, as its inspection gave it.
pub(crate) fn manifest(version: &Version) -> Option<Manifest> {
    serde_json::from_value(version.manifest.clone()).ok()
}

/// What a change puts on besides what it says: it was off before and is on after.
pub(crate) fn enables(change: &Change) -> bool {
    change.wanted_after.is_on() && !change.wanted_before.is_on()
}

impl WebHost {
    /// The steps of a change, or why it cannot be.
    pub(crate) async fn plan(&self, change: &Change) -> Result<Plan, Problem> {
        let planned = self.planned(change).await;
        if let Err(problem) = &planned
            && change.action == Action::Enable
        {
            // An activation that cannot even begin leaves its reason too.
            let fskey = change.plugin.key.as_str();
            let reason = problem.to_string();
            self.failed(fskey, &reason, None).await?;
        }
        planned
    }

    async fn planned(&self, change: &Change) -> Result<Plan, Problem> {
        let facts = Facts::of(change);
        let connection = self.database()?.conn();
        let row = records::find(connection, &facts.fskey).await?;
        let site = Site::read(connection).await?;
        possible(change, &facts, &site)?;
        self.possible_beside(change, &facts).await?;
        let mut input = Input {
            new: row.is_none(),
            announced: announced(change, &facts),
            ..Input::default()
        };
        if let Some(version) = &change.target {
            let directory = files::version_directory(&self.0.home, &change.plugin, &version.digest);
            input.fresh = !files::is_there(&directory);
            input.occupied = self.occupied(&facts);
        }
        if let Some(target) = &facts.target
            && change.action != Action::Perform
            && change.current.as_ref().map(|it| it.digest)
                != change.target.as_ref().map(|it| it.digest)
        {
            input.warnings = self.foreign(target, &facts.fskey, &site)?;
        }
        let acts = match change.action {
            Action::Perform => self.performing(change, &facts).await?,
            _ if facts.is_standalone() => vec![Act::Begin, Act::Announce],
            Action::Install | Action::Upgrade | Action::Rollback => self.replacing(change, &facts),
            Action::Restart => self.restoring(change, &facts),
            Action::Enable => self.enabling(&facts),
            Action::Disable => self.disabling(change, &facts),
            Action::Uninstall => self.removing(change, &facts)?,
        };
        let mut steps: Vec<StepSpec> = acts.iter().map(|act| act.spec(&input)).collect();
        steps.push(Act::Record.spec(&input));
        steps.push(Act::Export.spec(&input));
        Ok(Plan { steps })
    }

    /// What to say about dependencies that nothing resolves.
    fn foreign(
        &self,
        manifest: &Manifest,
        fskey: &str,
        site: &Site,
    ) -> Result<Vec<String>, Problem> {
        let foreign = &manifest.foreign_dependencies;
        if foreign.is_empty() || self.0.settings.hooks.has(Hook::Dependencies) {
            return Ok(Vec::new());
        }
        match site.text(site::FOREIGN_DEPENDENCIES) {
            Some("ignore") => Ok(Vec::new()),
            Some("require") => Err(Problem::new(codes::E_DEPENDENCY_HOOK)
                .with("fskey", fskey)
                .with("reason", "no command resolves dependencies")),
            _ => {
                let packages: Vec<_> = foreign
                    .require
                    .keys()
                    .chain(foreign.require_dev.keys())
                    .cloned()
                    .collect();
                let warning = Problem::new(codes::W_FOREIGN_DEPENDENCIES_NOT_RESOLVED)
                    .with("fskey", fskey)
                    .with("packages", packages.join(", "));
                Ok(vec![format!("{}: {warning}", warning.code.as_str())])
            }
        }
    }

    /// To a version from nothing or from another.
    fn replacing(&self, change: &Change, facts: &Facts) -> Vec<Act> {
        let hooks = &self.0.settings.hooks;
        let (on_before, on) = (change.wanted_before.is_on(), change.wanted_after.is_on());
        let code = !facts.is_theme();
        let target = facts.target.as_ref();
        let resolves = hooks.has(Hook::Dependencies)
            && [target, facts.current.as_ref()]
                .into_iter()
                .flatten()
                .any(|it| !it.foreign_dependencies.is_empty());
        let migrates = hooks.has(Hook::Migrate) && target.is_some_and(|it| it.contents.migrations);
        let reverts = change.action == Action::Rollback
            && facts
                .current
                .as_ref()
                .is_some_and(|it| it.contents.migrations);
        let seeds = change.action != Action::Rollback
            && hooks.has(Hook::Seed)
            && target.is_some_and(|it| it.contents.seeders)
            && change.config.seed != Some(false);
        let only = |act, when: bool| when.then_some(act);
        [
            Some(Act::Begin),
            Some(Act::Announce),
            only(Act::Unload, code && on_before && self.loads(Hook::Unload)),
            Some(Act::Unpack),
            only(Act::ResolveAgain, resolves),
            only(Act::Revert, reverts && hooks.has(Hook::Migrate)),
            Some(Act::Link),
            only(Act::Resolve, resolves),
            only(Act::Mark, migrates && hooks.has(Hook::Mark) && !reverts),
            only(Act::Migrate, migrates && !reverts),
            only(Act::Seed, seeds),
            Some(Act::Publish),
            only(Act::Load, code && on && self.loads(Hook::Load)),
            only(Act::Health, code && on && !self.0.safe_mode),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The same version again, where something of it is gone.
    fn restoring(&self, _change: &Change, facts: &Facts) -> Vec<Act> {
        let load = !facts.is_theme() && self.loads(Hook::Load);
        let load = load.then_some(Act::Load);
        [Act::Begin, Act::Unpack, Act::Link, Act::Publish]
            .into_iter()
            .chain(load)
            .collect()
    }

    fn enabling(&self, _facts: &Facts) -> Vec<Act> {
        let load = self.loads(Hook::Load).then_some(Act::Load);
        [Act::Begin, Act::Check, Act::Announce]
            .into_iter()
            .chain(load)
            .collect()
    }

    fn disabling(&self, change: &Change, _facts: &Facts) -> Vec<Act> {
        let unload = change.wanted_before.is_on() && self.loads(Hook::Unload);
        [Act::Begin, Act::Announce]
            .into_iter()
            .chain(unload.then_some(Act::Unload))
            .collect()
    }

    fn removing(&self, change: &Change, facts: &Facts) -> Result<Vec<Act>, Problem> {
        let hooks = &self.0.settings.hooks;
        let current = facts.current.as_ref();
        let resolves = hooks.has(Hook::Dependencies)
            && current.is_some_and(|it| !it.foreign_dependencies.is_empty());
        let clears = !change.keep_data
            && hooks.has(Hook::Migrate)
            && current.is_some_and(|it| it.contents.migrations);
        if clears && !hooks.has(Hook::Revert) {
            return Err(Problem::new(codes::E_MIGRATION)
                .with("fskey", &facts.fskey)
                .with("hook", Hook::Revert.as_str())
                .with(
                    "reason",
                    "there is no such command, so data cannot be taken away",
                ));
        }
        let unload = change.wanted_before.is_on() && !facts.is_theme() && self.loads(Hook::Unload);
        let only = |act, when: bool| when.then_some(act);
        Ok([
            Some(Act::Begin),
            Some(Act::Announce),
            only(Act::Unload, unload),
            only(Act::Snapshot, clears && hooks.has(Hook::Snapshot)),
            only(Act::Clear, clears),
            Some(Act::Unpublish),
            only(Act::ResolveAgain, resolves),
            Some(Act::Unlink),
            only(Act::Resolve, resolves),
        ]
        .into_iter()
        .flatten()
        .collect())
    }

    /// Whether a command that runs code of plugins is to run: never in safe mode.
    fn loads(&self, hook: Hook) -> bool {
        !self.0.safe_mode && self.0.settings.hooks.has(hook)
    }
}

/// Whether the change is possible here and now, as far as other plugins have no part in it.
fn possible(change: &Change, facts: &Facts, site: &Site) -> Result<(), Problem> {
    let fskey = facts.fskey.as_str();
    let about = |problem: Problem| problem.with("fskey", fskey).about(&change.plugin);
    if matches!(change.action, Action::Enable | Action::Disable) {
        if facts.is_theme() {
            return Err(about(Problem::new(codes::E_THEME_NOT_ACTIVATABLE)));
        }
        if facts.is_standalone() {
            return Err(about(Problem::new(codes::E_STANDALONE_NOT_ACTIVATABLE)));
        }
    }
    if change.action == Action::Restart && !change.wanted_before.is_on() {
        return Err(about(Problem::new(codes::NOT_ENABLED)));
    }
    if let (Some(current), Some(target)) = (&facts.current, &facts.target) {
        going_back(change, current, target).map_err(about)?;
    }
    if let Some(target) = &facts.target {
        paths_fit(target, site)?;
    }
    if change.action == Action::Uninstall && facts.is_theme() && !change.config.force {
        let slots = site::slots_of(site, fskey);
        if !slots.is_empty() {
            let problem = Problem::new(codes::E_THEME_IN_USE).with("slots", slots.join(", "));
            return Err(about(problem));
        }
    }
    Ok(())
}

/// What listeners are asked before anything changes, in order.
fn announced(change: &Change, facts: &Facts) -> Vec<Name> {
    let theme = facts.is_theme();
    let (on_before, enables) = (change.wanted_before.is_on(), enables(change));
    let mut names = Vec::new();
    if facts.is_standalone() {
        let goes = change.action == Action::Uninstall;
        return goes.then_some(Name::Uninstalling).into_iter().collect();
    }
    match change.action {
        Action::Install | Action::Upgrade | Action::Rollback => {
            if change.action != Action::Install {
                names.push(Name::Upgrading);
            }
            names.push(if theme {
                Name::ThemeInstalling
            } else {
                Name::Installing
            });
            if enables && !theme {
                names.push(Name::Activating);
            }
        }
        Action::Enable => names.extend(enables.then_some(Name::Activating)),
        Action::Disable => names.extend(on_before.then_some(Name::Deactivating)),
        Action::Restart | Action::Perform => {}
        Action::Uninstall if theme => names.push(Name::ThemeUninstalling),
        Action::Uninstall => {
            names.push(Name::Uninstalling);
            names.extend(on_before.then_some(Name::Deactivating));
        }
    }
    names
}

/// Whether it may go to an older version.
fn going_back(change: &Change, current: &Manifest, target: &Manifest) -> Result<(), Problem> {
    let (Ok(from), Ok(to)) = (
        semver::Version::parse(&current.version),
        semver::Version::parse(&target.version),
    ) else {
        return Ok(());
    };
    if change.config.force || to.cmp_precedence(&from).is_ge() {
        return Ok(());
    }
    if change.action == Action::Upgrade {
        return Err(Problem::new(codes::E_DOWNGRADE)
            .with("from", from)
            .with("to", to));
    }
    let since = current.platform.compatible_since.as_deref();
    match since.and_then(|since| semver::Version::parse(since).ok()) {
        Some(since) if to.cmp_precedence(&since).is_lt() => {
            Err(Problem::new(codes::E_DATA_INCOMPATIBLE)
                .with("from", from)
                .with("to", to)
                .with("since", since))
        }
        _ => Ok(()),
    }
}

/// A package is the same everywhere, but how long a path may be is the site's to say.
fn paths_fit(manifest: &Manifest, site: &Site) -> Result<(), Problem> {
    let limit = site.access_path_max();
    for (field, path) in [
        ("accessPath", &manifest.access_path),
        ("settingsPath", &manifest.settings_path),
    ] {
        let (_, issues) = columns::path(path.as_deref().unwrap_or_default(), limit);
        if let Some(issue) = issues
            .into_iter()
            .find(|issue| issue.code == codes::E_ACCESS_PATH_LENGTH)
        {
            let mut problem = Problem::new(issue.code);
            problem.params = issue.params;
            return Err(problem.with("field", field).with("fskey", &manifest.fskey));
        }
    }
    Ok(())
}

/// Whether a plugin that comes now works at once: themes and what is not loaded here always, others when their
/// record says so already.
pub(crate) fn begins_enabled(version: &Version, row: Option<&Model>) -> bool {
    let manifest = manifest(version);
    let always = manifest.is_some_and(|it| it.is_standalone || is_theme(&it));
    always || row.is_some_and(|row| row.deleted_at.is_none() && row.is_enabled == 1)
}
