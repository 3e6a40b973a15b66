//! What an operator sets for one installation.

use serde::{Deserialize, Serialize};

use crate::settings::Span;

/// What is set for one installation, beside what the section `portable` of the configuration says for
/// all. An unknown key is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PortableOptions {
    /// Processes of the plugin that share the calls of its functions, 1 to [`Self::MAX_WORKERS`].
    /// Sources and sinks run in the first. Each process has a state of its own, so this is for
    /// functions whose result depends on nothing but their arguments. Default 1.
    pub workers: usize,
    /// Channels that each process has for one function, 1 to [`Self::MAX_CHANNELS`]; each carries one
    /// call at a time. Only the Python SDK opens more than one, each with a thread of its own that uses
    /// the same function object. Default 1.
    pub function_channels: usize,
    /// Messages that a sink with `requireAck` may have been sent before their acknowledgements have
    /// come, 1 to [`Self::MAX_ACKS_UNDER_WAY`]; acknowledgements belong to messages in order
    /// (HOST-27). Default 1: each message waits for the acknowledgement of the one before.
    pub acks_under_way: usize,
    /// One call of a function, where it shall not be what `portable.recv_timeout` says (HOST-32).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_timeout: Option<Span>,
}

impl PortableOptions {
    /// Most processes of one plugin.
    pub const MAX_WORKERS: usize = 64;
    /// Most channels of one function in one process.
    pub const MAX_CHANNELS: usize = 16;
    /// Most messages of one sink whose acknowledgements have not come.
    pub const MAX_ACKS_UNDER_WAY: usize = 1024;
}

impl Default for PortableOptions {
    fn default() -> Self {
        Self {
            workers: 1,
            function_channels: 1,
            acks_under_way: 1,
            call_timeout: None,
        }
    }
}
