//! Assets: what a plugin publishes, at `assets/{fskey}` in the home.
//!
//! Publishing replaces: `assets/{fskey}` is a link to the directory of assets in the version in force, which
//! is read-only. So it changes at once, holds nothing of an older version, and cannot differ from what was
//! installed.

use std::io;
use std::path::{Path, PathBuf};

use plugyard_model::{Digest, PluginName};
use plugyard_platform::{Home, files};

use crate::package::asset_directory;

/// Where they are found.
pub(crate) fn shown(home: &Home, fskey: &str) -> PathBuf {
    home.assets().join(fskey)
}

/// Where the link leads, relative to `assets/`.
pub(crate) fn target(plugin: &PluginName, digest: &Digest, is_theme: bool) -> PathBuf {
    Path::new("../versions")
        .join(plugin.kind.as_str())
        .join(plugin.key.as_str())
        .join(digest.to_string())
        .join(asset_directory(is_theme))
}

/// How a directory that stood there before is kept.
fn kept(fskey: &str) -> String {
    format!("{fskey}.assets")
}

/// Lets people see these assets, whatever they saw before.
pub(crate) fn publish(
    home: &Home,
    plugin: &PluginName,
    digest: &Digest,
    is_theme: bool,
) -> io::Result<()> {
    let fskey = plugin.key.as_str();
    let target = target(plugin, digest, is_theme);
    files::link_to(home, &shown(home, fskey), &target, &kept(fskey))
}

/// Takes the link away and brings back what somebody had put there before. What is no link stays: it is not ours.
pub(crate) fn unpublish(home: &Home, fskey: &str) -> io::Result<()> {
    files::unlink(home, &shown(home, fskey), &kept(fskey))
}

/// Where the link leads now.
pub(crate) fn published(home: &Home, fskey: &str) -> Option<PathBuf> {
    std::fs::read_link(shown(home, fskey)).ok()
}

/// The file of a path below `/assets/`, when it is one that may be served: its real place is inside the
/// plugin's assets.
pub(crate) fn file(home: &Home, path: &str) -> Option<PathBuf> {
    // Both spellings: `{fskey}/…`, and `plugins/{fskey}/…` of older applications.
    let path = path.strip_prefix("plugins/").unwrap_or(path);
    let (fskey, rest) = path.split_once('/')?;
    let sound = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']) && part != ".."
    };
    if crate::columns::fskey(fskey).is_err() || !rest.split('/').all(sound) {
        return None;
    }
    let root = std::fs::canonicalize(shown(home, fskey)).ok()?;
    let file = std::fs::canonicalize(root.join(rest)).ok()?;
    (file.starts_with(&root) && file.is_file()).then_some(file)
}

/// The type a file is served with. What could act in the site's name as a document is served as text or as a
/// download.
pub(crate) fn content_type(path: &Path) -> &'static str {
    let extension = path
        .extension()
        .and_then(|it| it.to_str())
        .map(str::to_ascii_lowercase);
    match extension.as_deref().unwrap_or_default() {
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "txt" | "md" => "text/plain; charset=utf-8",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "svg" => "image/svg+xml",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_files_inside_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        let root = shown(&home, "DemoPlugin");
        std::fs::create_dir_all(root.join("css")).unwrap();
        std::fs::write(root.join("css/a.css"), "").unwrap();
        std::fs::write(root.join(".secret"), "").unwrap();
        std::fs::write(directory.path().join("outside"), "").unwrap();
        symlink(directory.path().join("outside"), root.join("link")).unwrap();
        for found in ["DemoPlugin/css/a.css", "plugins/DemoPlugin/css/a.css"] {
            assert!(file(&home, found).is_some(), "{found}");
        }
        for lost in [
            "DemoPlugin",
            "DemoPlugin/",
            "DemoPlugin/css",
            "DemoPlugin/css/../css/a.css",
            "DemoPlugin/../../outside",
            "DemoPlugin//css/a.css",
            "DemoPlugin/.secret",
            "DemoPlugin/link",
            "DemoPlugin\\css\\a.css",
            "../outside",
            "Other/css/a.css",
        ] {
            assert!(file(&home, lost).is_none(), "{lost}");
        }
    }
}
