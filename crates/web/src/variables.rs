//! The variables of plugin pages: who replaces them, since when, and what they mean.
//!
//! The names are those of Fresns 2.x and 3.x. The server replaces `{parameter}` only.

/// One variable that clients know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// The name between the braces; case matters.
    pub name: &'static str,
    /// Whether its value comes percent-encoded already and is put in as it is.
    pub encoded: bool,
    /// What it stands for.
    pub meaning: &'static str,
}

const fn plain(name: &'static str, meaning: &'static str) -> Variable {
    Variable {
        name,
        encoded: false,
        meaning,
    }
}

const fn encoded(name: &'static str, meaning: &'static str) -> Variable {
    Variable {
        name,
        encoded: true,
        meaning,
    }
}

/// All of them.
pub const VARIABLES: &[Variable] = &[
    plain("parameter", "the usage's own parameter"),
    encoded("sign", "signed credential (2.0, 2.1)"),
    plain("langTag", "language tag (2.0, 2.1)"),
    encoded("authorization", "credential (2.2 and later)"),
    encoded("accessToken", "credential (3.x)"),
    plain("type", "where the user came from"),
    plain("scene", "which entry was used"),
    plain(
        "postMessageKey",
        "name under which the client expects the page's message",
    ),
    plain("callbackUlid", "id under which the result can be fetched"),
    encoded("redirectUrl", "address to return to"),
    plain("connectPlatformId", "provider of a third-party account"),
    plain("aid", "account id"),
    plain("uid", "user id"),
    plain("rid", "role id"),
    plain("gid", "group id"),
    plain("pid", "post id"),
    plain("cid", "comment id"),
    plain("fid", "file id"),
    plain("eid", "content extension id"),
    plain("plid", "post log id (2.x)"),
    plain("clid", "comment log id (2.x)"),
    plain("hpid", "post history id (3.x)"),
    plain("hcid", "comment history id (3.x)"),
    plain("did", "draft id (3.x)"),
    plain("htid", "hashtag id (3.x)"),
    plain("gtid", "geotag id (3.x)"),
    plain("viewType", "kind of view (3.x)"),
    plain("draftType", "kind of draft (3.x)"),
    plain("draftOptions", "options of the draft (3.x)"),
    encoded("uploadInfo", "upload context"),
    plain("locationInfo", "position on a map (2.x)"),
    plain("mapInfo", "position on a map (3.x)"),
];

/// The variable of this name, if clients know it.
#[must_use]
pub fn variable(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|variable| variable.name == name)
}

/// Longest name of a variable.
pub(crate) const NAME_MAX: usize = 32;

/// Whether a text can be a variable's name: a letter, then up to 31 letters and digits.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= NAME_MAX
        && bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.iter().all(u8::is_ascii_alphanumeric)
}
