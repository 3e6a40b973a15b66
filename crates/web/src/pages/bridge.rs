//! The script by which pages and clients exchange messages, as it is served.
//!
//! Its source is `clients/typescript/src/bridge.ts`; `cargo xtask bridge` builds the file embedded here.

/// The script, without the origins of clients.
const BRIDGE: &str = include_str!("../../assets/bridge.js");
/// Where they go.
const PLACE: &str = "[ /*client-origins*/]";

/// The client's side of the test page.
pub(crate) const TEST: &str = include_str!("../../assets/bridge-test.html");
/// The plugin's side of the test page.
pub(crate) const TEST_PAGE: &str = include_str!("../../assets/bridge-test-page.html");
/// What both do.
pub(crate) const TEST_SCRIPT: &str = include_str!("../../assets/bridge-test.js");

/// The script, with the origins of clients that pages send to.
pub(crate) fn script(origins: &[String]) -> String {
    let list = serde_json::to_string(origins).unwrap_or_else(|_| "[]".to_owned());
    BRIDGE.replacen(PLACE, &list, 1)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_embedded_script_is_built_from_its_source() {
        let source = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../clients/typescript/src/bridge.ts"
        );
        let source = std::fs::read(source).unwrap();
        let hash = plugyard_model::Digest::from_bytes(Sha256::digest(source).into()).to_string();
        let built = BRIDGE.lines().next().unwrap();
        assert!(built.contains(&hash), "run `cargo xtask bridge`: {built}");
    }

    #[test]
    fn origins_are_filled_in() {
        let script = script(&["https://a.example".to_owned()]);
        assert!(script.contains(r#"const CLIENT_ORIGINS = ["https://a.example"];"#));
        assert!(super::script(&[]).contains("const CLIENT_ORIGINS = [];"));
    }
}
