//! From a plugin's record, a usage and the site's address to the URLs people open.
//!
//! Everything here is a pure function of its inputs and gives exactly the bytes that the table
//! documentation of Fresns defines: no percent-encoding, no case changes, no normalisation.
//! The server replaces `{parameter}` and nothing else ([`usage_url`]); every other variable is the
//! client's, at the moment the user opens the page ([`expand`]).
//!
//! [`explain`] says of each piece of a URL which column it came from. [`usage_url`] and its kin
//! are the fast way to the same text.

use std::borrow::Cow;

use serde::Serialize;

use crate::variables::NAME_MAX;
pub use crate::variables::{VARIABLES, Variable, is_name, variable};

/// The token that the server replaces.
const PARAMETER: &str = "{parameter}";

/// The columns of a plugin's record, and the setting, that its URLs come from.
///
/// Empty texts count as absent, as in rows that were imported from older tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Addresses<'a> {
    /// The site's own address, for plugins that the main backend serves.
    pub system_url: Option<&'a str>,
    /// The plugin's own origin.
    pub plugin_host: Option<&'a str>,
    /// The page for end users.
    pub access_path: Option<&'a str>,
    /// The page for the operator.
    pub settings_path: Option<&'a str>,
    /// Whether `settings_path` names a theme whose settings form is rendered here, and is no path.
    pub own_form: bool,
    /// Where browsers reach this server, for such forms; the site's own address unless it is set.
    pub panel_url: Option<&'a str>,
}

/// What stands before and after a theme in the path of its settings form.
pub(crate) const FORM: [&str; 2] = ["web/themes/", "/settings"];

/// Why there is no URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NoUrl {
    /// The plugin has no page for end users.
    #[error("the plugin has no access_path")]
    NoAccessPath,
    /// The plugin has no page for the operator.
    #[error("the plugin has no settings_path")]
    NoSettingsPath,
    /// Neither the plugin nor the site says where pages are served.
    #[error("neither plugin_host nor system_url is set")]
    NoBaseUrl,
}

/// How a usage's parameter is put into the URL (`plugin_usages.parameter_encoding`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As it is stored: one parameter may be several query pairs, and may hold variables of clients.
    #[default]
    Verbatim,
    /// Percent-encoded as one component: only `A-Z a-z 0-9 - . _ ~` stay.
    Component,
}

/// What a usage adds to its plugin's page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// `None`: nothing is configured and nothing is replaced. The empty text is a value.
    pub value: Option<&'a str>,
    /// How it is put in.
    pub encoding: Encoding,
}

impl<'a> Parameter<'a> {
    /// A parameter as it is stored.
    #[must_use]
    pub fn verbatim(value: &'a str) -> Self {
        Self {
            value: Some(value),
            encoding: Encoding::Verbatim,
        }
    }
}

/// Base address and path with exactly one slash between them.
///
/// Slashes at the end of `base` and at the beginning of `path` are not doubled; nothing else changes.
#[must_use]
pub fn join(base: &str, path: &str) -> String {
    let (base, path) = (base.trim_end_matches('/'), path.trim_start_matches('/'));
    let mut url = String::with_capacity(base.len() + 1 + path.len());
    url.push_str(base);
    url.push('/');
    url.push_str(path);
    url
}

/// The page for end users, with `{parameter}` untouched: there is no usage.
///
/// # Errors
///
/// When the record has no `access_path`, or nothing says where it is served.
pub fn access_url(plugin: &Addresses<'_>) -> Result<String, NoUrl> {
    page(plugin, plugin.access_path, NoUrl::NoAccessPath)
}

/// The page for end users as one usage offers it.
///
/// First the complete address, then the replacement: every exact `{parameter}`, from left to right
/// in one pass. What is inserted is not looked at again.
///
/// # Errors
///
/// When there is no [`access_url`].
pub fn usage_url(plugin: &Addresses<'_>, parameter: Parameter<'_>) -> Result<String, NoUrl> {
    let url = access_url(plugin)?;
    Ok(match parameter.value {
        Some(value) if url.contains(PARAMETER) => {
            url.replace(PARAMETER, &encoded(value, parameter.encoding))
        }
        _ => url,
    })
}

/// The page for the operator, nothing replaced.
///
/// # Errors
///
/// When the record has no `settings_path`, or nothing says where it is served.
pub fn settings_url(plugin: &Addresses<'_>) -> Result<String, NoUrl> {
    if plugin.own_form {
        let theme = filled(plugin.settings_path).ok_or(NoUrl::NoSettingsPath)?;
        let (base, _) = panel(plugin).ok_or(NoUrl::NoBaseUrl)?;
        let [before, after] = FORM;
        return Ok(join(base, &[before, theme, after].concat()));
    }
    page(plugin, plugin.settings_path, NoUrl::NoSettingsPath)
}

/// Fills a client's variables in: the second half of a URL's way, at the moment a page is opened.
///
/// One pass from left to right over `{name}` tokens. Known and present values are put in, those of
/// variables that are encoded already (`authorization`, `redirectUrl`, …) as they are, others
/// percent-encoded as one component. Unknown and absent ones are replaced by nothing, so that no
/// braces remain. Inserted text is never looked at again.
pub fn expand<'v>(url: &str, mut value: impl FnMut(&str) -> Option<Cow<'v, str>>) -> String {
    let mut expanded = String::with_capacity(url.len());
    for piece in pieces(url) {
        match piece {
            Piece::Text(text) => expanded.push_str(text),
            Piece::Variable(name) => {
                let Some(value) = value(name) else { continue };
                if variable(name).is_some_and(|known| known.encoded) {
                    expanded.push_str(&value);
                } else {
                    expanded.push_str(&component(&value));
                }
            }
        }
    }
    expanded
}

/// [`expand`] with values as JSON has them: texts, numbers and truth values; `null` is absent.
///
/// Numbers are written as JavaScript writes them, so that a browser and the server give the same address.
///
/// # Errors
///
/// The names of the values that are lists or objects, in order.
pub fn expand_json<'v>(
    url: &str,
    values: &'v serde_json::Map<String, serde_json::Value>,
) -> Result<String, Vec<&'v str>> {
    use serde_json::Value;
    let mut structured: Vec<&str> = values
        .iter()
        .filter(|(_, value)| value.is_array() || value.is_object())
        .map(|(name, _)| name.as_str())
        .collect();
    if !structured.is_empty() {
        structured.sort_unstable();
        return Err(structured);
    }
    Ok(expand(url, |name| match values.get(name)? {
        Value::String(text) => Some(Cow::Borrowed(text.as_str())),
        Value::Bool(it) => Some(Cow::Borrowed(if *it { "true" } else { "false" })),
        Value::Number(number) => Some(Cow::Owned(number_text(number))),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }))
}

/// Where a piece of a URL came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The column `plugin_host`.
    PluginHost,
    /// The setting `system_url`.
    SystemUrl,
    /// The slash between base address and path.
    Joint,
    /// The column `access_path`.
    AccessPath,
    /// The column `settings_path`.
    SettingsPath,
    /// The setting `panel_url`.
    PanelUrl,
    /// The path of the forms that are rendered here.
    Form,
    /// The usage's `parameter`.
    Parameter,
}

/// A piece of a URL and its origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The text, as it stands in the URL.
    pub text: String,
    /// Where it came from.
    pub from: Origin,
}

/// A variable that the client still has to fill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Open {
    /// Its name, without braces.
    pub name: String,
    /// Whether clients know it; others fill unknown ones with nothing.
    pub known: bool,
}

/// How a URL came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The pieces in order; their texts one after the other are the URL.
    pub parts: Vec<Part>,
    /// What the client still has to fill, each once, in order of appearance.
    pub variables: Vec<Open>,
    /// Whether the parameter stands in a URL that has no place for it, and so has no effect.
    pub parameter_unused: bool,
}

impl Explanation {
    /// The URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.parts.iter().map(|part| part.text.as_str()).collect()
    }
}

/// Which of a plugin's pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page<'a> {
    /// For end users, as a usage offers it or, without a parameter, as the plugin itself has it.
    Access(Parameter<'a>),
    /// For the operator.
    Settings,
}

/// The same URL as [`usage_url`] or [`settings_url`], piece by piece.
///
/// # Errors
///
/// When there is no URL.
pub fn explain(plugin: &Addresses<'_>, page: Page<'_>) -> Result<Explanation, NoUrl> {
    let (path, path_origin, parameter) = match page {
        Page::Access(parameter) => {
            let path = filled(plugin.access_path).ok_or(NoUrl::NoAccessPath)?;
            (path, Origin::AccessPath, parameter)
        }
        Page::Settings => {
            let path = filled(plugin.settings_path).ok_or(NoUrl::NoSettingsPath)?;
            (path, Origin::SettingsPath, Parameter::default())
        }
    };
    let mut parts = Vec::new();
    if plugin.own_form && page == Page::Settings {
        let (base, origin) = panel(plugin).ok_or(NoUrl::NoBaseUrl)?;
        let [before, after] = FORM;
        parts = [
            (base.trim_end_matches('/'), origin),
            ("/", Origin::Joint),
            (before, Origin::Form),
            (path, path_origin),
            (after, Origin::Form),
        ]
        .map(|(text, from)| Part {
            text: text.to_owned(),
            from,
        })
        .to_vec();
    } else if is_absolute(path) {
        split(path, path_origin, parameter, &mut parts);
    } else {
        let (base, base_origin) = base(plugin).ok_or(NoUrl::NoBaseUrl)?;
        let base = base.trim_end_matches('/');
        split(base, base_origin, parameter, &mut parts);
        parts.push(Part {
            text: "/".to_owned(),
            from: Origin::Joint,
        });
        split(
            path.trim_start_matches('/'),
            path_origin,
            parameter,
            &mut parts,
        );
    }
    let parameter_unused =
        parameter.value.is_some() && !parts.iter().any(|part| part.from == Origin::Parameter);
    let mut explanation = Explanation {
        parts,
        variables: Vec::new(),
        parameter_unused,
    };
    for piece in pieces(&explanation.url()) {
        if let Piece::Variable(name) = piece
            && !explanation.variables.iter().any(|open| open.name == name)
        {
            explanation.variables.push(Open {
                name: name.to_owned(),
                known: variable(name).is_some(),
            });
        }
    }
    Ok(explanation)
}

/// Percent-encodes all but `A-Z a-z 0-9 - . _ ~`.
#[must_use]
pub fn component(text: &str) -> Cow<'_, str> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if plain(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Cow::Owned(encoded)
}

fn page(plugin: &Addresses<'_>, path: Option<&str>, without: NoUrl) -> Result<String, NoUrl> {
    let path = filled(path).ok_or(without)?;
    if is_absolute(path) {
        return Ok(path.to_owned());
    }
    let (base, _) = base(plugin).ok_or(NoUrl::NoBaseUrl)?;
    Ok(join(base, path))
}

fn base<'a>(plugin: &Addresses<'a>) -> Option<(&'a str, Origin)> {
    let host = filled(plugin.plugin_host).map(|host| (host, Origin::PluginHost));
    host.or_else(|| filled(plugin.system_url).map(|url| (url, Origin::SystemUrl)))
}

/// Where forms that are rendered here are reached.
fn panel<'a>(plugin: &Addresses<'a>) -> Option<(&'a str, Origin)> {
    let panel = filled(plugin.panel_url).map(|url| (url, Origin::PanelUrl));
    panel.or_else(|| filled(plugin.system_url).map(|url| (url, Origin::SystemUrl)))
}

/// New rows cannot hold one; rows from older tables do, and their pages went on working.
fn is_absolute(path: &str) -> bool {
    path.starts_with("http://") || path.starts_with("https://")
}

fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

fn encoded(value: &str, encoding: Encoding) -> Cow<'_, str> {
    match encoding {
        Encoding::Verbatim => Cow::Borrowed(value),
        Encoding::Component => component(value),
    }
}

/// One text of one origin, with the parameter put in.
fn split(text: &str, from: Origin, parameter: Parameter<'_>, parts: &mut Vec<Part>) {
    let mut push = |text: &str, from| {
        if !text.is_empty() || from == Origin::Parameter {
            parts.push(Part {
                text: text.to_owned(),
                from,
            });
        }
    };
    let Some(value) = parameter.value else {
        return push(text, from);
    };
    let value = encoded(value, parameter.encoding);
    for (index, piece) in text.split(PARAMETER).enumerate() {
        if index > 0 {
            push(&value, Origin::Parameter);
        }
        push(piece, from);
    }
}

/// A number as JavaScript's `String` has it.
fn number_text(number: &serde_json::Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
        return number.to_string();
    };
    let size = float.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if (1e-6..1e21).contains(&size) {
        return float.to_string();
    }
    // The exponent of a large number has a sign there.
    let text = format!("{float:e}");
    if text.contains("e-") {
        text
    } else {
        text.replace('e', "e+")
    }
}

enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// A URL as text and variables; braces around what can be no name are text.
fn pieces(url: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = url;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut from = 0;
        while let Some(open) = rest[from..].find('{').map(|at| at + from) {
            let inside = &rest[open + 1..];
            // No name is longer, so a text full of braces takes no longer than its length.
            let named = inside
                .bytes()
                .take(NAME_MAX + 1)
                .position(|byte| byte == b'}')
                .map(|end| &inside[..end])
                .filter(|name| is_name(name));
            match named {
                Some(name) if open == 0 => {
                    rest = &inside[name.len() + 1..];
                    return Some(Piece::Variable(name));
                }
                Some(_) => {
                    let text = &rest[..open];
                    rest = &rest[open..];
                    return Some(Piece::Text(text));
                }
                None => from = open + 1,
            }
        }
        Some(Piece::Text(std::mem::take(&mut rest)))
    })
}
