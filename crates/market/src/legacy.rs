//! The three calls of Fresns' market (`/api/open-source/v2|v3/{check,download,upgrade}`): what they answer,
//! for who asks and for who is asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Refusal;

/// The code of an answer that is good.
pub const OK: i64 = 0;
/// There is no such plugin here, or no package of it.
pub const NO_PACKAGE: i64 = 12001;
/// The package takes an upgrade code, and the one given is none of its.
pub const NOT_ENTITLED: i64 = 12002;
/// The question is malformed.
pub const BAD_QUESTION: i64 = 30002;

/// The largest answer that is read, in bytes.
pub const ANSWER_LIMIT: u64 = 1 << 20;

/// How every answer looks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer<T> {
    /// 0, or why not.
    pub code: i64,
    /// The same in words.
    #[serde(default)]
    pub message: String,
    /// What was asked for.
    #[serde(default)]
    pub data: Option<T>,
}

/// What `check` answers: the newest version of each plugin asked for, `None` for one that is not there.
pub type Versions = BTreeMap<String, Option<String>>;

/// What `download` and `upgrade` answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Package {
    /// The plugin.
    pub fskey: String,
    /// Its version.
    pub version: String,
    /// Display name.
    pub name: Option<String>,
    /// One line.
    pub description: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// The author's page.
    pub author_link: Option<String>,
    /// Where the zip is.
    pub zip_ball: Option<String>,
    /// The code that entitles to the next upgrades.
    pub upgrade_code: Option<String>,
    /// Kind of plugin; since v3.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub plugin_type: Option<u8>,
}

/// Reads an answer: what it brings, or why it brings nothing.
///
/// # Errors
/// [`Refusal::NotEntitled`], [`Refusal::Refused`] for another code that is not 0, [`Refusal::Malformed`] for what is no answer.
pub fn read<T: for<'a> Deserialize<'a>>(path: &str, bytes: &[u8]) -> Result<T, Refusal> {
    let malformed = |reason: String| Refusal::Malformed {
        document: path.to_owned(),
        reason,
    };
    // The data of a refusal may be of any shape, so the code is looked at first.
    let answer: Answer<serde_json::Value> =
        serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    if answer.code == NOT_ENTITLED {
        return Err(Refusal::NotEntitled {
            path: path.to_owned(),
        });
    }
    if answer.code != OK {
        return Err(Refusal::Refused {
            path: path.to_owned(),
            reason: format!(
                "{} {}",
                answer.code,
                crate::document::shown(&answer.message)
            ),
        });
    }
    let data = answer
        .data
        .ok_or_else(|| malformed("it has no data".to_owned()))?;
    serde_json::from_value(data).map_err(|error| malformed(error.to_string()))
}

/// Reads what `check` answers, leniently: what is no version is none.
///
/// # Errors
/// As [`read`].
pub fn read_versions(path: &str, bytes: &[u8]) -> Result<Versions, Refusal> {
    let data: BTreeMap<String, serde_json::Value> = read(path, bytes)?;
    Ok(data
        .into_iter()
        .map(|(fskey, version)| (fskey, version.as_str().map(str::to_owned)))
        .collect())
}

/// Reads what `download` and `upgrade` answer, which must say where the zip is.
///
/// # Errors
/// As [`read`].
pub fn read_package(path: &str, bytes: &[u8]) -> Result<Package, Refusal> {
    let package: Package = read(path, bytes)?;
    if package.zip_ball.as_deref().is_none_or(str::is_empty) {
        return Err(Refusal::Malformed {
            document: path.to_owned(),
            reason: "it has no `zipBall`".to_owned(),
        });
    }
    Ok(package)
}
