//! Writing what a dump holds, in one transaction, and saying what became of each row.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use plugyard_model::{Finding, FindingDocument, Lang, codes};
use plugyard_store::{Database, StoreError};
use sea_orm::{ActiveModelTrait as _, ConnectionTrait, EntityTrait, NotSet, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rows::{self, Judge};
use super::{Dump, Row, Table};
use crate::columns::Issue;
use crate::entity::{plugin, usage};
use crate::host::now;
use crate::records;
use crate::site::Site;
use crate::usage::{PluginState, is_content_type};
use crate::usages::store;

/// What becomes of a plugin that is here already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebImportExisting)]
pub(crate) enum Existing {
    /// It stays as it is.
    #[default]
    Keep,
    /// Its columns become those of the dump; its number stays.
    Replace,
}

/// What became of a table's rows.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = WebImportCounts)]
pub(crate) struct Counts {
    /// Rows in the dump that could be read.
    pub(crate) read: usize,
    /// New here.
    pub(crate) added: usize,
    /// Were here, and hold now what the dump says.
    pub(crate) replaced: usize,
    /// Were here already and stay as they are.
    pub(crate) kept: usize,
    /// Left out: the findings say why.
    pub(crate) refused: usize,
}

/// What became of a dump.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WebImportReport)]
pub(crate) struct Report {
    /// Whether nothing was written because nothing was to be.
    pub(crate) dry_run: bool,
    /// Rows of `plugins`, or of `apps`.
    pub(crate) plugins: Counts,
    /// Rows of `plugin_usages`, or of `app_usages`.
    pub(crate) usages: Counts,
    /// Rows that could not even be read.
    pub(crate) unreadable: usize,
    /// Other tables of the dump, with how often something was put into them.
    pub(crate) ignored: BTreeMap<String, usize>,
    /// Everything to be known about single rows.
    #[schema(value_type = Vec<serde_json::Value>)]
    pub(crate) findings: Vec<FindingDocument>,
}

/// The same before its texts are in a language.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    dry_run: bool,
    plugins: Counts,
    usages: Counts,
    unreadable: usize,
    ignored: BTreeMap<String, usize>,
    findings: Vec<Finding>,
}

impl Applied {
    pub(crate) fn report(self, lang: Lang) -> Report {
        let documents = self.findings.iter().map(|finding| finding.document(lang));
        Report {
            dry_run: self.dry_run,
            plugins: self.plugins,
            usages: self.usages,
            unreadable: self.unreadable,
            ignored: self.ignored,
            findings: documents.collect(),
        }
    }
}

/// A plugin that usages can point at: one of here, or one of the dump.
struct Known {
    scene: Vec<String>,
    is_offered: bool,
}

/// Writes the sound rows of a dump, all or (when the database fails) none. With `dry_run` everything is done but
/// the last word of the transaction. `packaged` are the plugins of here whose packages are installed.
pub(crate) async fn apply(
    database: &Database,
    dump: Dump,
    file: &str,
    existing: Existing,
    packaged: &BTreeSet<String>,
    dry_run: bool,
) -> Result<Applied, StoreError> {
    let transaction = database.begin().await?;
    let mut applied = Applied {
        dry_run,
        unreadable: dump.unreadable,
        ignored: dump.ignored,
        findings: dump.findings,
        ..Applied::default()
    };
    let of = |table: Table| dump.rows.iter().filter(move |row| row.table == table);
    let known = plugins(
        &*transaction,
        of(Table::Plugins),
        file,
        (existing, packaged),
        &mut applied,
    )
    .await?;
    let names = rows::translations(of(Table::Languages));
    let of_usages = of(Table::Usages);
    usages(&*transaction, of_usages, file, &known, &names, &mut applied).await?;
    if !dry_run {
        transaction.commit().await?;
    }
    Ok(applied)
}

async fn plugins<'r>(
    connection: &impl ConnectionTrait,
    rows: impl Iterator<Item = &'r Row>,
    file: &str,
    (existing, packaged): (Existing, &BTreeSet<String>),
    applied: &mut Applied,
) -> Result<HashMap<String, Known>, StoreError> {
    let here = records::all(connection).await?;
    let mut known: HashMap<String, Known> = HashMap::new();
    let mut by_lower: HashMap<String, plugin::Model> = HashMap::new();
    for row in here {
        let scene = records::scene(&row);
        let is_offered = records::is_offered(&row);
        known.insert(row.fskey.clone(), Known { scene, is_offered });
        by_lower.insert(row.fskey.to_ascii_lowercase(), row);
    }
    let mut met: HashMap<String, String> = HashMap::new();
    let mut has_room = false;
    let now = records::time(now());
    for row in rows {
        applied.plugins.read += 1;
        let mut judge = Judge::new(file, row);
        let sound = rows::plugin(&mut judge, now).filter(|sound| {
            let lower = sound.fskey.to_ascii_lowercase();
            let here = by_lower.get(&lower).map(|row| &row.fskey);
            // Somebody else's, here or earlier in the dump.
            let taken = here.filter(|here| **here != sound.fskey);
            let taken = taken.or(met.get(&lower));
            if let Some(existing) = taken {
                let issue = Issue::error(codes::E_FSKEY_DUPLICATE).with("existing", existing);
                judge.note("fskey", issue);
                return false;
            }
            met.insert(lower, sound.fskey.clone());
            true
        });
        let Some(mut sound) = sound else {
            applied.plugins.refused += 1;
            applied.findings.append(&mut judge.findings);
            continue;
        };
        let here = by_lower.get(&sound.fskey.to_ascii_lowercase());
        if here.is_some() && existing == Existing::Keep {
            let issue = Issue::warning(codes::W_IMPORT_EXISTS).with("fskey", &sound.fskey);
            judge.findings.clear();
            judge.note("fskey", issue);
            applied.plugins.kept += 1;
            applied.findings.append(&mut judge.findings);
            continue;
        }
        if let Some(row) =
            here.filter(|row| row.deleted_at.is_none() && packaged.contains(&row.fskey))
        {
            // What its package says, and whether it works, is not the dump's to say.
            let columns = plugin::ActiveModel {
                id: Set(row.id),
                plugin_host: sound.row.plugin_host,
                upgrade_code: sound.row.upgrade_code,
                updated_at: Set(now),
                ..Default::default()
            };
            columns.update(connection).await?;
            let issue = Issue::warning(codes::W_IMPORT_PACKAGED).with("fskey", &sound.fskey);
            judge
                .findings
                .retain(|it| it.place.pointer == "/plugin_host");
            judge.note("fskey", issue);
            applied.plugins.replaced += 1;
            applied.findings.append(&mut judge.findings);
            continue;
        }
        if sound.is_long && !has_room {
            records::make_room_for_paths(connection).await?;
            has_room = true;
        }
        if let Some(row) = here {
            sound.row.id = Set(row.id);
            sound.row.created_at = NotSet;
            sound.row.update(connection).await?;
            applied.plugins.replaced += 1;
        } else {
            plugin::Entity::insert(sound.row)
                .exec_without_returning(connection)
                .await?;
            applied.plugins.added += 1;
        }
        applied.findings.append(&mut judge.findings);
        let (scene, is_offered) = (sound.scene, sound.is_offered);
        known.insert(sound.fskey, Known { scene, is_offered });
    }
    Ok(known)
}

async fn usages<'r>(
    connection: &impl ConnectionTrait,
    rows: impl Iterator<Item = &'r Row>,
    file: &str,
    known: &HashMap<String, Known>,
    names: &BTreeMap<i64, BTreeMap<String, String>>,
    applied: &mut Applied,
) -> Result<(), StoreError> {
    let site = Site::read(connection).await?;
    let language = site.default_language();
    // Taking a dump over twice has the effect of doing it once.
    let mut here: HashMap<Identity, usize> = HashMap::new();
    for row in usage::Entity::find().all(connection).await? {
        *here.entry(identity(&row.into())).or_default() += 1;
    }
    let mut rows: Vec<_> = rows
        .map(|row| {
            let judge = Judge::new(file, row);
            let body = rows::usage(&judge, language);
            (body, judge)
        })
        .collect();
    // Usages of one rating are shown by their numbers, which are given anew here in the same order.
    rows.sort_by_key(|(body, _)| body.old_id);
    let now = records::time(now());
    for (body, mut judge) in rows {
        applied.usages.read += 1;
        let plugin = known.get(&body.fskey).map(|known| PluginState {
            scene: &known.scene,
            is_offered: known.is_offered,
        });
        let mut draft = rows::draft(&mut judge, &body, plugin, language);
        if let Some(names) = body.old_id.and_then(|id| names.get(&id)) {
            let others = names.iter().filter(|(tag, _)| *tag != language);
            draft
                .names
                .extend(others.map(|(tag, name)| (tag.clone(), name.clone())));
            if let Some(own) = names.get(language) {
                draft.usage.name.clone_from(own);
            }
        }
        let is_sound = judge.is_sound();
        applied.findings.append(&mut judge.findings);
        if !is_sound {
            applied.usages.refused += 1;
            continue;
        }
        let row = usage::ActiveModel {
            id: NotSet,
            usage_type: Set(i16::from(draft.usage.usage_type)),
            created_at: Set(body.created_at.unwrap_or(now)),
            updated_at: Set(body.updated_at.or(body.created_at)),
            deleted_at: Set(body.deleted_at),
            ..store::columns(&draft)
        };
        // As many of one look as the dump has: one may be deleted and made anew, or be for others.
        if let Some(left) = here.get_mut(&identity(&row))
            && (*left > 0 || is_content_type(&body.fskey))
        {
            *left = left.saturating_sub(1);
            applied.usages.kept += 1;
            continue;
        }
        let row = row.insert(connection).await?;
        store::put_names(connection, row.id, &draft.names).await?;
        applied.usages.added += 1;
    }
    Ok(())
}

/// What makes a usage the same one: type, plugin, and for those that are no content type of the application's own
/// also group, parameter and name.
type Identity = (i16, String, Option<(Option<i64>, Option<String>, String)>);

fn identity(row: &usage::ActiveModel) -> Identity {
    let (usage_type, fskey) = (*row.usage_type.as_ref(), row.plugin_fskey.as_ref().clone());
    let built_in = usage_type == 4 && is_content_type(&fskey);
    let rest = (!built_in).then(|| {
        (
            *row.group_id.as_ref(),
            row.parameter.as_ref().clone(),
            row.name.as_ref().clone(),
        )
    });
    (usage_type, fskey, rest)
}
