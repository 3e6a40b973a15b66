//! What may stand in a plugin's record, column by column.
//!
//! Each function takes what somebody wrote and gives what is stored, or what is wrong with it. The rules
//! are those of the table documentation of Fresns 2.x (`plugins`), completed where it is silent.
//! Lengths are counted in Unicode code points.

use plugyard_model::{Code, Params, Severity, codes};

use crate::url::variable;
use crate::variables::{self, VARIABLES};

/// Longest `access_path` and `settings_path` unless the setting `plugins.access_path_max` says otherwise.
pub const PATH_MAX: usize = 128;
/// What that setting can be raised to.
pub const PATH_MAX_LIMIT: usize = 255;

const SCENES_MAX: usize = 64;
const VERSION_MAX: usize = 16;
const HOST_MAX: usize = 128;

/// One thing that is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Which.
    pub code: Code,
    /// Whether it keeps the value out.
    pub severity: Severity,
    /// What its text mentions.
    pub params: Params,
}

impl Issue {
    pub(crate) fn error(code: Code) -> Self {
        Self {
            code,
            severity: Severity::Error,
            params: Params::new(),
        }
    }

    pub(crate) fn warning(code: Code) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code)
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        // An answer shows at most this much of a value somebody sent.
        let value = value.to_string().chars().take(200).collect();
        self.params.insert(name.to_owned(), value);
        self
    }
}

/// Kind of web plugin, as numbered in the column `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum PluginType {
    /// Loaded into the application.
    Extension = 1,
    /// A panel for operators.
    Panel = 2,
    /// Drives a website.
    Engine = 3,
    /// Files only; comes from `theme.json`.
    Theme = 4,
    /// An application deployed on its own.
    Standalone = 5,
}

impl PluginType {
    /// The type of a number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Some(match number {
            1 => Self::Extension,
            2 => Self::Panel,
            3 => Self::Engine,
            4 => Self::Theme,
            5 => Self::Standalone,
            _ => return None,
        })
    }
}

/// Checks an fskey: `^[A-Z][A-Za-z0-9]{0,63}$` and not reserved. Nothing is repaired silently.
pub fn fskey(text: &str) -> Result<(), Issue> {
    let bytes = text.as_bytes();
    let formed = bytes.len() <= 64
        && bytes.first().is_some_and(u8::is_ascii_uppercase)
        && bytes.iter().all(u8::is_ascii_alphanumeric);
    if !formed {
        let issue = Issue::error(codes::E_FSKEY_FORMAT).with("value", text);
        return Err(match pascal(text) {
            Some(suggestion) => issue.with("suggestion", suggestion),
            None => issue,
        });
    }
    if is_reserved(text) {
        return Err(Issue::error(codes::E_FSKEY_RESERVED).with("value", text));
    }
    Ok(())
}

/// Checks a type together with `is_standalone`; gives both as stored.
pub fn plugin_type(number: i64, standalone: Option<bool>) -> Result<(PluginType, bool), Issue> {
    let Some(kind) = PluginType::from_number(number) else {
        return Err(type_out_of_range(number));
    };
    let fixed = match kind {
        PluginType::Standalone => Some(true),
        PluginType::Theme => Some(false),
        _ => None,
    };
    match (fixed, standalone) {
        (Some(fixed), Some(given)) if fixed != given => {
            Err(Issue::error(codes::E_TYPE_STANDALONE_MISMATCH)
                .with("type", number)
                .with("expected", fixed))
        }
        (Some(fixed), _) => Ok((kind, fixed)),
        (None, given) => Ok((kind, given.unwrap_or(false))),
    }
}

/// The finding for a `type` that is no number of a type.
pub fn type_out_of_range(value: impl ToString) -> Issue {
    Issue::error(codes::E_TYPE_RANGE)
        .with("field", "type")
        .with("value", value)
        .with("allowed", "1, 2, 3, 4, 5")
}

/// A display name: 1 to 64 characters after trimming, no control characters.
pub fn name(text: &str) -> Result<String, Issue> {
    line("name", text, 1, 64)
}

/// The author: as a name.
pub fn author(text: &str) -> Result<String, Issue> {
    line("author", text, 1, 64)
}

/// One line of description, at most 255 characters; line breaks become one space.
pub fn description(text: &str) -> Result<String, Issue> {
    let folded = text.split(['\r', '\n']).filter(|part| !part.is_empty());
    line("description", &folded.collect::<Vec<_>>().join(" "), 0, 255)
}

/// The author's page: an absolute `http` or `https` URL of at most 128 characters; empty means none.
pub fn author_link(text: &str) -> Result<Option<String>, Issue> {
    if text.is_empty() {
        return Ok(None);
    }
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
        return Err(Issue::error(codes::E_HOST_SCHEME).with("value", text));
    }
    if text.contains(char::is_whitespace) {
        return Err(Issue::error(codes::E_HOST_FORMAT).with("value", text));
    }
    line("authorLink", text, 1, 128).map(Some)
}

/// A semantic version of at most 16 characters.
pub fn version(text: &str) -> Result<semver::Version, Issue> {
    let version = semver::Version::parse(text)
        .map_err(|_| Issue::error(codes::E_VERSION_FORMAT).with("value", text))?;
    let length = text.chars().count();
    if length > VERSION_MAX {
        return Err(Issue::error(codes::E_VERSION_LENGTH)
            .with("actual", length)
            .with("limit", VERSION_MAX));
    }
    Ok(version)
}

/// A list of scenes as stored: each once, in order, in today's spelling; and a warning for each unknown one.
pub fn scene<'a>(
    words: impl IntoIterator<Item = &'a str>,
) -> Result<(Vec<String>, Vec<Issue>), Issue> {
    let mut stored: Vec<String> = Vec::new();
    let mut warnings = Vec::new();
    for word in words {
        let bytes = word.as_bytes();
        let formed = bytes.len() <= 32
            && bytes.first().is_some_and(u8::is_ascii_lowercase)
            && bytes.iter().all(u8::is_ascii_alphanumeric);
        if !formed || stored.len() == SCENES_MAX {
            return Err(scene_malformed());
        }
        let word = today(word);
        if stored.iter().any(|known| known == word) {
            continue;
        }
        if !SCENES.contains(&word) {
            let warning = Issue::warning(codes::W_SCENE_UNKNOWN).with("value", word);
            warnings.push(match closest(word, SCENES.iter().copied()) {
                Some(suggestion) => warning.with("suggestion", suggestion),
                None => warning,
            });
        }
        stored.push(word.to_owned());
    }
    Ok((stored, warnings))
}

/// The finding for a `scene` of another form.
pub fn scene_malformed() -> Issue {
    Issue::error(codes::E_SCENE_FORMAT).with("limit", SCENES_MAX)
}

/// A plugin's own origin, with an optional path in front of its pages; empty means none.
pub fn plugin_host(text: &str) -> Result<Option<String>, Issue> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.ends_with('/') {
        return Err(if has_scheme(text) {
            Issue::error(codes::E_HOST_TRAILING_SLASH).with("value", text)
        } else {
            Issue::error(codes::E_HOST_SCHEME).with("value", text)
        });
    }
    base(text).map(Some)
}

/// The site's own address: as a host, but slashes at its end are dropped; empty means none.
pub fn system_url(text: &str) -> Result<Option<String>, Issue> {
    match text.trim_end_matches('/') {
        "" => Ok(None),
        text => base(text).map(Some),
    }
}

/// A path below the base address with variables in it, of at most `limit` characters; empty means none.
/// The list of issues may hold warnings with a path that is taken.
pub fn path(text: &str, limit: usize) -> (Option<String>, Vec<Issue>) {
    if text.is_empty() {
        return (None, Vec::new());
    }
    let mut issues = Vec::new();
    let length = text.chars().count();
    if length > limit {
        issues.push(
            Issue::error(codes::E_ACCESS_PATH_LENGTH)
                .with("actual", length)
                .with("limit", limit),
        );
    }
    if begins_with_scheme(text) {
        issues.push(Issue::error(codes::E_PATH_ABSOLUTE).with("value", text));
    }
    if let Some(found) = text
        .chars()
        .find(|&c| c == ' ' || c == '\\' || c.is_control())
    {
        let shown: String = match found {
            ' ' => "` `".to_owned(),
            other => format!("`{}`", other.escape_default()),
        };
        issues.push(Issue::error(codes::E_PATH_CHARS).with("character", shown));
    }
    let before_query = text.split(['?', '#']).next().unwrap_or_default();
    if before_query
        .split('/')
        .any(|segment| segment == "." || segment == "..")
    {
        issues.push(Issue::error(codes::E_PATH_DOTS).with("value", text));
    }
    match names(text) {
        None => issues.push(Issue::error(codes::E_PATH_BRACES).with("value", text)),
        Some(names) => {
            let unknown = names.into_iter().filter(|name| variable(name).is_none());
            issues.extend(unknown.map(|name| {
                let warning = Issue::warning(codes::W_PATH_VARIABLE_UNKNOWN)
                    .with("value", format_args!("{{{name}}}"));
                match closest(name, VARIABLES.iter().map(|variable| variable.name)) {
                    Some(suggestion) => {
                        warning.with("suggestion", format_args!("{{{suggestion}}}"))
                    }
                    None => warning,
                }
            }));
        }
    }
    let taken = issues.iter().all(|issue| issue.severity != Severity::Error);
    (taken.then(|| text.to_owned()), issues)
}

/// Scenes that switch something on.
pub const SCENES: &[&str] = &[
    "accountCenter",
    "accountLogin",
    "apiKey",
    "appNotifications",
    "connect",
    "documentPreview",
    "editor",
    "extendChannel",
    "extendContentType",
    "extendData",
    "extendEditor",
    "extendGroup",
    "extendIp",
    "extendManage",
    "extendMap",
    "extendNotification",
    "extendReview",
    "extendSearch",
    "extendUser",
    "followGroup",
    "join",
    "multiUser",
    "realName",
    "recharge",
    "register",
    "sendEmail",
    "sendSms",
    "storage",
    "withdraw",
];

/// Spellings of other generations.
fn today(word: &str) -> &str {
    match word {
        "appNotification" => "appNotifications",
        "accountRegister" => "register",
        "accountConnect" => "connect",
        "accountKyc" => "realName",
        "accountUsers" => "multiUser",
        "walletRecharge" => "recharge",
        "walletWithdraw" => "withdraw",
        other => other,
    }
}

/// The word of `known` that was probably meant.
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(word, known), known))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

pub(crate) fn line(field: &str, text: &str, min: usize, limit: usize) -> Result<String, Issue> {
    let text = text.trim();
    if text.contains(char::is_control) {
        return Err(Issue::error(codes::E_FIELD_FORMAT)
            .with("field", field)
            .with("expected", "string"));
    }
    let actual = text.chars().count();
    if !(min..=limit).contains(&actual) {
        return Err(Issue::error(codes::E_FIELD_LENGTH)
            .with("field", field)
            .with("actual", actual)
            .with("min", min)
            .with("limit", limit));
    }
    Ok(text.to_owned())
}

fn is_reserved(text: &str) -> bool {
    const EXACTLY: [&str; 8] = [
        "Fresns",
        "MarketManager",
        "All",
        "Text",
        "Image",
        "Video",
        "Audio",
        "Document",
    ];
    // Names of devices, which no directory can have on some systems.
    let lower = text.to_ascii_lowercase();
    let device = matches!(lower.as_str(), "con" | "prn" | "aux" | "nul")
        || (lower.len() == 4
            && (lower.starts_with("com") || lower.starts_with("lpt"))
            && matches!(lower.as_bytes()[3], b'1'..=b'9'));
    device || EXACTLY.contains(&text)
}

/// The Pascal case of a text, when that is an fskey.
fn pascal(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let joined: String = words
        .filter(|word| !word.is_empty())
        .map(|word| word[..1].to_ascii_uppercase() + &word[1..])
        .collect();
    (text.is_ascii() && !text.contains(['/', '.']) && fskey_formed(&joined)).then_some(joined)
}

fn fskey_formed(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.starts_with(|c: char| c.is_ascii_uppercase())
}

fn has_scheme(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

fn begins_with_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else {
        return false;
    };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-'))
}

fn base(text: &str) -> Result<String, Issue> {
    if !has_scheme(text) {
        return Err(Issue::error(codes::E_HOST_SCHEME).with("value", text));
    }
    let malformed = || Issue::error(codes::E_HOST_FORMAT).with("value", text);
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let forbidden = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '\\' | '{' | '}' | '?' | '#' | '@')
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.strip_prefix('[') {
        Some(inside) => {
            let (address, port) = inside.split_once(']').ok_or_else(malformed)?;
            address
                .parse::<std::net::Ipv6Addr>()
                .map_err(|_| malformed())?;
            (
                address,
                port.strip_prefix(':').or((!port.is_empty()).then_some("")),
            )
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port_is_none = port.is_some_and(|port| {
        !port.bytes().all(|byte| byte.is_ascii_digit())
            || port.parse::<u16>().map_or(true, |port| port == 0)
    });
    if host.is_empty() || port_is_none || rest.contains(forbidden) {
        return Err(malformed());
    }
    let length = text.chars().count();
    if length > HOST_MAX {
        return Err(Issue::error(codes::E_FIELD_LENGTH)
            .with("field", "pluginHost")
            .with("actual", length)
            .with("min", 1)
            .with("limit", HOST_MAX));
    }
    Ok(text.to_owned())
}

/// The variables of a path; `None` when its braces do not enclose names.
fn names(text: &str) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let inside = rest[at..].strip_prefix('{')?;
        let (name, after) = inside.split_once('}')?;
        if !variables::is_name(name) {
            return None;
        }
        if !names.contains(&name) {
            names.push(name);
        }
        rest = after;
    }
    Some(names)
}
