//! Where plugins are offered: rows of `plugin_usages`, as operators keep them and as viewers see them.
//!
//! [`store`] reads and writes the rows, [`draft`] reads what an operator sends with everything wrong with it
//! at once, [`listing`] is what a viewer is shown. The rules themselves are in [`crate::usage`]. Nothing is
//! remembered from one request to the next: whatever changes is seen by the next one.

pub(crate) mod badges;
pub(crate) mod draft;
pub(crate) mod fields;
pub(crate) mod listing;
pub(crate) mod schema;
pub(crate) mod sources;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use crate::site::Site;

/// The language of names that stand in the tables' own columns.
pub(crate) const DEFAULT_LANGUAGE: &str = "default_language";
/// Where files lie that icons name by number: an address with `{fileId}`.
pub(crate) const FILE_URL: &str = "plugin_usages.file_url";

impl Site {
    /// The language of names that stand in the tables' own columns; `en` unless set.
    pub(crate) fn default_language(&self) -> &str {
        self.text(DEFAULT_LANGUAGE).unwrap_or("en")
    }

    /// The address of an icon: that of the file when it is known where files lie, else the one given.
    pub(crate) fn icon(&self, file: Option<i64>, url: Option<&str>) -> Option<String> {
        let file = file.and_then(|file| {
            let address = self.text(FILE_URL)?;
            Some(address.replace("{fileId}", &file.to_string()))
        });
        file.or_else(|| url.filter(|url| !url.is_empty()).map(str::to_owned))
    }
}
