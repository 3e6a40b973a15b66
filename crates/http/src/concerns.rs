//! What a request was about, said by its answer.

use plugyard_model::PluginName;

/// Rides on a response: the plugin that the request concerned, so that the audit log can be asked for it.
/// Handlers whose path does not name the plugin put it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concerns(pub PluginName);

/// Rides on a response that refuses something in another form than a problem: its stable word, for the audit
/// log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(pub &'static str);
