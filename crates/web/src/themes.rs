//! The settings form of a theme: its fields as the manifest names them, with what is stored.

use plugyard_model::{Problem, codes};
use serde_json::{Map, Value as Json, json};

use crate::columns::{Issue, PluginType};
use crate::entity::{plugin, state};
use crate::package::{FunctionKey, Manifest};
use crate::site::Site;
use crate::usages::draft::is_language_tag;
use crate::{records, site_rules, states};

/// The fields of a theme's form. Settings that are the site's own are no theme's, whatever it says.
pub(crate) fn fields(manifest: &Manifest) -> impl Iterator<Item = &FunctionKey> {
    let keys = manifest.function_keys.iter();
    keys.filter(|key| !site_rules::is_own(&key.item_key))
}

/// The manifest of a theme that has a settings form.
pub(crate) fn with_form(row: &plugin::Model, state: &state::Model) -> Result<Manifest, Problem> {
    let not_found = || Problem::new(codes::E_THEME_NOT_FOUND).with("fskey", &row.fskey);
    if row.plugin_type != PluginType::Theme as i16 {
        return Err(not_found());
    }
    let manifest = states::manifest(state).ok_or_else(not_found)?;
    if row.settings_path.as_deref().is_none_or(str::is_empty) {
        return Err(Problem::new(codes::E_THEME_NO_FORM).with("fskey", &row.fskey));
    }
    Ok(manifest)
}

/// A form as it is shown: a value that was never stored is the empty one of its type.
pub(crate) fn document(row: &plugin::Model, manifest: &Manifest, site: &Site) -> Json {
    let stored = |key: &FunctionKey| site.0.get(&key.item_key);
    let shown = fields(manifest).map(|key| {
        json!({
            "itemKey": key.item_key,
            "itemType": key.item_type,
            "itemTag": key.item_tag,
            "isMultilingual": key.is_multilingual,
            "options": key.options,
            "value": stored(key).cloned().unwrap_or_else(|| empty(key)),
            "isSet": stored(key).is_some(),
        })
    });
    let shown: Vec<Json> = shown.collect();
    let mut languages = vec![site.default_language().to_owned()];
    for key in fields(manifest).filter(|key| key.is_multilingual) {
        let tags = stored(key).and_then(Json::as_object).map(Map::keys);
        for tag in tags.into_iter().flatten() {
            if !languages.contains(tag) {
                languages.push(tag.clone());
            }
        }
    }
    json!({
        "fskey": row.fskey,
        "name": row.name,
        "version": row.version,
        "languages": languages,
        "fields": shown,
    })
}

/// What a field holds before anybody set it.
fn empty(key: &FunctionKey) -> Json {
    match key.item_type.as_str() {
        _ if key.is_multilingual => json!({}),
        "number" => json!(0),
        "boolean" => json!(false),
        "array" | "plugins" => json!([]),
        "object" => json!({}),
        _ => json!(""),
    }
}

/// Whether a field takes a value.
pub(crate) fn check(key: &FunctionKey, value: &Json, rows: &[plugin::Model]) -> Result<(), Issue> {
    if !key.is_multilingual {
        return check_one(key, value, rows);
    }
    let tags = value
        .as_object()
        .filter(|tags| tags.keys().all(|tag| is_language_tag(tag)))
        .ok_or_else(|| wrong(key, "{\"en\": …}"))?;
    let mut values = tags.values().filter(|value| !value.is_null());
    values.try_for_each(|value| check_one(key, value, rows))
}

fn check_one(key: &FunctionKey, value: &Json, rows: &[plugin::Model]) -> Result<(), Issue> {
    let is_plugin = |value: &Json| match value.as_str() {
        Some("") => Ok(()),
        Some(fskey)
            if rows
                .iter()
                .any(|row| row.fskey == fskey && row.deleted_at.is_none()) =>
        {
            Ok(())
        }
        Some(fskey) => Err(Issue::error(codes::E_PLUGIN_NOT_FOUND).with("fskey", fskey)),
        None => Err(wrong(key, "plugin")),
    };
    let form = match key.item_type.as_str() {
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        // A file is known by its number or by its address.
        "file" => value.is_string() || value.is_u64(),
        "plugin" => return is_plugin(value),
        "plugins" => {
            let fskeys = value.as_array().ok_or_else(|| wrong(key, "plugins"))?;
            return fskeys.iter().try_for_each(is_plugin);
        }
        _ => value.is_string(),
    };
    if !form {
        return Err(wrong(key, &key.item_type));
    }
    let chosen = key.options.is_empty() || key.options.iter().any(|it| it.value == *value);
    // Nothing is chosen yet where nothing was set.
    if chosen || value.as_str() == Some("") {
        return Ok(());
    }
    let values: Vec<String> = key.options.iter().map(|it| it.value.to_string()).collect();
    Err(wrong(key, &values.join(" | ")))
}

fn wrong(key: &FunctionKey, expected: &str) -> Issue {
    Issue::error(codes::SETTING_INVALID)
        .with("key", &key.item_key)
        .with("expected", expected)
}

/// The field that a setting is of, in any theme that is here.
pub(crate) fn field_of<'s>(
    key: &str,
    rows: &[plugin::Model],
    all: &'s [state::Model],
) -> Option<(&'s state::Model, FunctionKey)> {
    all.iter().find_map(|state| {
        let here = |row: &&plugin::Model| row.fskey == state.fskey && row.deleted_at.is_none();
        rows.iter().find(here)?;
        let manifest = states::manifest(state)?;
        let field = fields(&manifest).find(|field| field.item_key == key)?;
        Some((state, field.clone()))
    })
}

/// The theme of an fskey, with its form.
pub(crate) async fn find(
    connection: &impl sea_orm::ConnectionTrait,
    fskey: &str,
) -> Result<(plugin::Model, Manifest), Problem> {
    let row = records::find_live(connection, fskey)
        .await?
        .ok_or_else(|| {
            let fskey: String = fskey.chars().take(64).collect();
            Problem::new(codes::E_THEME_NOT_FOUND).with("fskey", fskey)
        })?;
    let state = states::find(connection, fskey).await?;
    let manifest = with_form(&row, &state)?;
    Ok((row, manifest))
}
