//! The configuration that a source is started with.
//!
//! Layers, later wins: the section `default` of the package's `sources/{symbol}.yaml`, the section that
//! the stream's CONF_KEY names, what the stream itself sets, and the fixed keys that are always there.
//! Over each section of the file lies what the server's environment sets, as eKuiper has it
//! (`SYMBOL__CONFKEY__PROPERTY`), and over that what was set for it over eKuiper's interface. Names of
//! sections are found in any case, keys inside keep the author's (HOST-7).

use std::collections::BTreeMap;

use indexmap::IndexMap;
use plugyard_symbol::SymbolError;
use serde_json::{Map, Value as Json};

/// The sections of a `sources/{symbol}.yaml`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Sections(IndexMap<String, Map<String, Json>>);

impl Sections {
    /// Reads the file. An empty document and an empty section are as good as empty maps.
    ///
    /// # Errors
    /// Why it is not a map of maps, for the author.
    pub(crate) fn parse(yaml: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(yaml).map_err(|error| error.to_string())?;
        if text
            .lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
        {
            return Ok(Self::default());
        }
        let sections: Option<IndexMap<String, Option<Map<String, Json>>>> =
            serde_saphyr::from_str(text).map_err(|error| {
                error
                    .to_string()
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            })?;
        Ok(Self(
            sections
                .unwrap_or_default()
                .into_iter()
                .map(|(name, section)| (name, section.unwrap_or_default()))
                .collect(),
        ))
    }

    /// With what variables of an environment set: `SYMBOL__CONFKEY__PROPERTY`, in any case. Only sections of the
    /// file can be changed, so that no variable that merely looks like one makes a section.
    pub(crate) fn with_variables(
        mut self,
        symbol: &str,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Self {
        let prefix = format!("{symbol}__").to_lowercase();
        for (name, value) in variables {
            let name = name.to_lowercase();
            let parts = name.strip_prefix(&prefix).map(|it| it.split_once("__"));
            let Some(Some((section, property))) = parts else {
                continue;
            };
            let found = self.0.iter_mut().find(|it| it.0.to_lowercase() == section);
            if let Some((_, section)) = found {
                let known = section.keys().find(|it| it.to_lowercase() == property);
                let property = known.cloned().unwrap_or_else(|| property.to_owned());
                section.insert(property, variable(&value));
            }
        }
        self
    }

    /// Keys of the same name in any case are laid over a section's; others are sections of their own.
    pub(crate) fn with(mut self, keys: BTreeMap<String, Map<String, Json>>) -> Self {
        for (name, properties) in keys {
            let lower = name.to_lowercase();
            let found = self.0.keys().find(|key| key.to_lowercase() == lower);
            let section = found.cloned().unwrap_or(name);
            self.0.entry(section).or_default().extend(properties);
        }
        self
    }

    /// What a sink's `resourceId` names.
    pub(crate) fn section(&self, name: &str) -> Option<&Map<String, Json>> {
        self.get(name)
    }

    fn get(&self, name: &str) -> Option<&Map<String, Json>> {
        self.0.get(name).or_else(|| {
            self.0
                .iter()
                .find(|(key, _)| key.to_lowercase() == name.to_lowercase())
                .map(|it| it.1)
        })
    }

    /// `default`, then the section named by `conf_key`.
    fn compose(&self, conf_key: Option<&str>) -> Map<String, Json> {
        let mut config = self.get("default").cloned().unwrap_or_default();
        let named = conf_key
            .filter(|key| !key.is_empty())
            .and_then(|key| self.get(key));
        for (key, value) in named.into_iter().flatten() {
            config.insert(key.clone(), value.clone());
        }
        config
    }
}

impl IntoIterator for Sections {
    type Item = (String, Map<String, Json>);
    type IntoIter = indexmap::map::IntoIter<String, Map<String, Json>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A variable's value as eKuiper reads it: a whole number, a truth, a number, a list in brackets, or text.
fn variable(text: &str) -> Json {
    if let Ok(number) = text.parse::<i64>() {
        return number.into();
    }
    if let Ok(truth) = text.parse::<bool>() {
        return truth.into();
    }
    if let Some(number) = text.parse().ok().and_then(serde_json::Number::from_f64) {
        return number.into();
    }
    match text.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        Some(list) => list.split(',').map(|item| variable(item.trim())).collect(),
        None => text.into(),
    }
}

/// Everything a source is started with.
///
/// `stream` is what the stream sets on top; the fixed keys are added when it does not have them.
pub(crate) fn source_config(
    sections: &Sections,
    conf_key: Option<&str>,
    stream: &Map<String, Json>,
    datasource: &str,
) -> Map<String, Json> {
    let mut config = sections.compose(conf_key);
    for (key, value) in stream {
        config.insert(key.clone(), value.clone());
    }
    let empty = || Json::from("");
    let format = stream
        .get("format")
        .and_then(Json::as_str)
        .filter(|format| !format.is_empty())
        .map_or_else(|| "json".to_owned(), str::to_lowercase);
    config.insert("format".into(), format.into());
    config.insert("datasource".into(), datasource.into());
    for (key, value) in [
        ("key", empty()),
        ("schemaId", empty()),
        ("delimiter", empty()),
        ("retainSize", 0.into()),
        ("strictValidation", false.into()),
        ("timestamp", empty()),
        ("timestampFormat", empty()),
    ] {
        // Of these the stream's own options count, not what a section of the file happens to hold.
        config.insert(key.into(), stream.get(key).cloned().unwrap_or(value));
    }
    config
}

/// Connections, from which eKuiper takes further properties, are not kept here, so that a symbol that wants one is
/// refused rather than configured without them.
///
/// # Errors
/// Where `connectionSelector` names one.
pub(crate) fn refuse_connection(
    word: &str,
    symbol: &str,
    properties: &Map<String, Json>,
) -> Result<(), SymbolError> {
    match properties.get("connectionSelector") {
        None | Some(Json::Null) => Ok(()),
        Some(Json::String(none)) if none.is_empty() => Ok(()),
        Some(_) => Err(SymbolError::refused(format!(
            "{word} {symbol}: property connectionSelector is not supported"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Map<String, Json> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn host_07_sections_are_found_in_any_case_and_keys_keep_theirs() {
        let sections =
            Sections::parse(b"default:\n  interval: 1000\n  maxRows: 5\nFast:\n  interval: 100\n")
                .unwrap();
        let config = source_config(&sections, Some("fast"), &map(r#"{"maxRows":6}"#), "topic");
        assert_eq!(config["interval"], 100);
        assert_eq!(config["maxRows"], 6);
        assert_eq!(config["format"], "json");
        assert_eq!(config["datasource"], "topic");
        assert_eq!(config["strictValidation"], false);
        let plain = source_config(&sections, None, &Map::new(), "");
        assert_eq!(
            (&plain["interval"], &plain["maxRows"]),
            (&1000.into(), &5.into())
        );
        assert_eq!(
            source_config(&sections, Some("nosuch"), &Map::new(), "")["interval"],
            1000
        );
    }

    #[test]
    fn variables_lie_over_the_sections_of_the_file() {
        let sections =
            Sections::parse(b"default:\n  maxRows: 5\n  name: a\nFast:\n  a: 1\n").unwrap();
        let variables = [
            ("MY_SOURCE__DEFAULT__MAXROWS", "7"),
            ("MY_SOURCE__FAST__RATIO", "0.5"),
            ("MY_SOURCE__FAST__LIST", "[1, x,true]"),
            ("MY_SOURCE__NOSUCH__A", "1"),
            ("MY_SOURCE__DEFAULT", "1"),
            ("OTHER__DEFAULT__MAXROWS", "9"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let sections = sections.with_variables("my_source", variables.into_iter());
        let sections: Json = sections
            .0
            .into_iter()
            .map(|(name, it)| (name, Json::from(it)))
            .collect();
        assert_eq!(
            sections,
            serde_json::json!({
                "default": {"maxRows": 7, "name": "a"},
                "Fast": {"a": 1, "ratio": 0.5, "list": [1, "x", true]},
            })
        );
    }

    #[test]
    fn an_almost_empty_file_is_fine() {
        for yaml in [
            "",
            "default:\n",
            "# nothing\n",
            "default: {}\n",
            "---\ndefault:\n",
        ] {
            assert!(Sections::parse(yaml.as_bytes()).is_ok(), "{yaml:?}");
        }
        for yaml in [
            "default: 5\n",
            "- a\n",
            "a: [",
            "default:\n  - 1\n",
            "\u{1}",
        ] {
            assert!(Sections::parse(yaml.as_bytes()).is_err(), "{yaml:?}");
        }
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut yaml = String::from("default:\n  a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for n in 1..12 {
            use std::fmt::Write as _;
            let before = format!("*a{}", n - 1);
            let list = vec![before; 9].join(",");
            writeln!(yaml, "  a{n}: &a{n} [{list}]").unwrap();
        }
        assert!(Sections::parse(yaml.as_bytes()).is_err());
    }
}
