//! What a request was about, said by its answer or by its handler.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use plugyard_model::PluginName;

/// Rides on a response: the plugin that the request concerned, so that the audit log can be asked for it.
/// Handlers whose path does not name the plugin put it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concerns(pub PluginName);

/// Rides on a response that refuses something in another form than a problem: its stable word, for the audit
/// log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(pub &'static str);

/// Extractor of handlers that learn only from the body, or from a path of another product's, which plugin
/// a request concerns: said here, the audit log knows it also when the request fails.
#[derive(Debug, Clone, Default)]
pub struct About(Arc<OnceLock<PluginName>>);

impl About {
    /// It concerns this plugin. Only the first one counts.
    pub fn plugin(&self, plugin: &PluginName) {
        // Fails when one was named before.
        let _ = self.0.set(plugin.clone());
    }

    /// What was said.
    pub fn named(&self) -> Option<&PluginName> {
        self.0.get()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for About {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}
