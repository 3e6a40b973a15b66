//! What plugins need of each other and of the application.

use std::collections::{BTreeMap, BTreeSet};

use plugyard_model::{Problem, codes};
use plugyard_platform::kind::{Action, Change};
use semver::{Version, VersionReq};

use super::promises::Promise;
use super::{Facts, enables};
use crate::entity::{plugin, state};
use crate::package::{Manifest, Platform};
use crate::states;

/// One plugin that is here.
#[derive(Debug, Clone)]
pub(super) struct Here {
    pub(super) version: Option<Version>,
    pub(super) enabled: bool,
    pub(super) manifest: Option<Manifest>,
}

/// All plugins that are here.
pub(super) struct World<'a> {
    plugins: BTreeMap<&'a str, Here>,
    core: Option<&'a Version>,
}

impl<'a> World<'a> {
    pub(super) fn new(
        rows: &'a [plugin::Model],
        all: &[state::Model],
        core: Option<&'a Version>,
    ) -> Self {
        let mut manifests: BTreeMap<&str, Manifest> = all
            .iter()
            .filter_map(|state| Some((state.fskey.as_str(), states::manifest(state)?)))
            .collect();
        let plugins = rows
            .iter()
            .filter(|row| row.deleted_at.is_none())
            .map(|row| {
                let here = Here {
                    version: Version::parse(&row.version).ok(),
                    enabled: row.is_enabled == 1,
                    manifest: manifests.remove(row.fskey.as_str()),
                };
                (row.fskey.as_str(), here)
            })
            .collect();
        Self { plugins, core }
    }

    /// Whether the change leaves everybody with what they need, whatever becomes of these changes that are
    /// under way. What plugins need of each other is a matter of two, so each is looked at by itself.
    pub(super) fn check_beside(
        &mut self,
        others: &'a [Promise],
        change: &Change,
        facts: &Facts,
    ) -> Result<(), Problem> {
        self.check(change, facts)?;
        for other in others {
            let before = self.put(&other.fskey, other.after.clone());
            let checked = self.check(change, facts);
            self.put(&other.fskey, before);
            checked?;
        }
        Ok(())
    }

    fn put(&mut self, fskey: &'a str, here: Option<Here>) -> Option<Here> {
        match here {
            Some(here) => self.plugins.insert(fskey, here),
            None => self.plugins.remove(fskey),
        }
    }

    /// Whether the change leaves everybody with what they need.
    fn check(&self, change: &Change, facts: &Facts) -> Result<(), Problem> {
        let fskey = facts.fskey.as_str();
        let comes = matches!(
            change.action,
            Action::Install | Action::Upgrade | Action::Rollback
        );
        if let Some(target) = &facts.target
            && (comes || enables(change))
        {
            let on = change.wanted_after.is_on();
            let missing = self.missing(fskey, &target.version, &target.platform, on);
            if !missing.is_empty() {
                return Err(Problem::new(codes::E_REQUIREMENTS).with("missing", missing.join(", ")));
            }
        }
        let goes = match change.action {
            Action::Disable | Action::Uninstall => change.wanted_before.is_on(),
            _ => false,
        };
        let version = facts
            .target
            .as_ref()
            .filter(|_| comes)
            .and_then(|it| Version::parse(&it.version).ok());
        let users = self.dependants(fskey, |range| {
            goes || version.as_ref().is_some_and(|it| !fits(range, it))
        });
        if users.is_empty() {
            return Ok(());
        }
        Err(Problem::new(codes::E_REQUIRED_BY).with("dependants", listed(&users)))
    }

    /// What a plugin needs and is not here, in brackets what is.
    fn missing(&self, fskey: &str, version: &str, platform: &Platform, on: bool) -> Vec<String> {
        let mut missing = Vec::new();
        if let (Some(core), Some(range)) = (self.core, &platform.core)
            && !fits(range, core)
        {
            missing.push(format!("core {range} ({core})"));
        }
        for (name, range) in &platform.dependencies {
            let here = self.plugins.get(name.as_str());
            let version = here.and_then(|it| it.version.as_ref());
            let works = here.is_some_and(|it| it.enabled || !on);
            if !version.is_some_and(|it| fits(range, it)) || !works {
                let here = match version {
                    None => "-".to_owned(),
                    Some(version) if works => version.to_string(),
                    Some(version) => format!("{version}, disabled"),
                };
                missing.push(format!("`{name}` {range} ({here})"));
            }
        }
        for (name, range) in &platform.conflicts {
            if let Some(version) = self
                .plugins
                .get(name.as_str())
                .and_then(|it| it.version.as_ref())
                && fits(range, version)
            {
                missing.push(format!("no `{name}` {range} ({version})"));
            }
        }
        let own = Version::parse(version).ok();
        for (name, here) in self.plugins.iter().filter(|(name, _)| **name != fskey) {
            let range = here
                .manifest
                .as_ref()
                .and_then(|it| it.platform.conflicts.get(fskey));
            if let (Some(range), Some(own)) = (range, &own)
                && fits(range, own)
            {
                missing.push(format!("no `{name}`, which excludes `{fskey}` {range}"));
            }
        }
        missing
    }

    /// Enabled plugins that depend on this one, of those whose range satisfies the condition.
    fn dependants(&self, fskey: &str, matters: impl Fn(&str) -> bool) -> Vec<&str> {
        self.plugins
            .iter()
            .filter(|(name, here)| {
                let range = here
                    .manifest
                    .as_ref()
                    .and_then(|it| it.platform.dependencies.get(fskey));
                **name != fskey && here.enabled && range.is_some_and(|range| matters(range))
            })
            .map(|(name, _)| *name)
            .collect()
    }
}

/// What a version of a plugin that is not here yet would need and not find.
pub(crate) fn missing_for(
    rows: &[plugin::Model],
    all: &[state::Model],
    core: Option<&Version>,
    (fskey, version): (&str, &str),
    platform: &Platform,
) -> Vec<String> {
    let world = World::new(rows, all, core);
    let on = world.plugins.get(fskey).is_some_and(|it| it.enabled);
    world.missing(fskey, version, platform, on)
}

/// Enabled plugins that depend on this one directly, and those that will by one of these changes under way.
pub(crate) fn dependants(
    rows: &[plugin::Model],
    all: &[state::Model],
    others: &[Promise],
    fskey: &str,
) -> Vec<String> {
    let mut world = World::new(rows, all, None);
    let owned = |found: Vec<&str>| found.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let mut found = owned(world.dependants(fskey, |_| true));
    for other in others {
        let before = world.put(&other.fskey, other.after.clone());
        found.extend(owned(world.dependants(fskey, |_| true)));
        world.put(&other.fskey, before);
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Enabled plugins that depend on this one, directly or not, those first that nothing depends on.
pub(crate) fn dependants_in_order(
    rows: &[plugin::Model],
    all: &[state::Model],
    fskey: &str,
) -> Vec<String> {
    fn visit<'a>(
        world: &'a World<'_>,
        fskey: &str,
        seen: &mut BTreeSet<&'a str>,
        order: &mut Vec<String>,
    ) {
        for name in world.dependants(fskey, |_| true) {
            if let Some((name, _)) = world.plugins.get_key_value(name)
                && seen.insert(name)
            {
                visit(world, name, seen, order);
                order.push((*name).to_owned());
            }
        }
    }
    let world = World::new(rows, all, None);
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    visit(&world, fskey, &mut seen, &mut order);
    order.retain(|name| name != fskey);
    order
}

pub(crate) fn listed(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn fits(range: &str, version: &Version) -> bool {
    VersionReq::parse(range).is_ok_and(|range| range.matches(version))
}
