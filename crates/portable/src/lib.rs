//! The plugin kind `portable`: processes that serve sources, sinks and functions.
//!
//! A plugin is a zip with a manifest and a program made with one of eKuiper's SDKs. It runs as a process
//! of its own in a sandbox, talks over Unix sockets in a directory that only it sees (or, where the host permits no
//! mount namespaces, in the `/tmp` of the machine), is started again when it ends, and is replaced under
//! running rules without losing a row.
//!
//! Where to look:
//!
//! * [`PortableHost`]: the entry point; gives the platform its [kind](PortableHost::kind) and rules their
//!   [catalogue](PortableHost::catalog).
//! * [`PortableHost::routes`] and [`rights`]: eKuiper's routes.
//! * [`dev`]: the test server for authors.
//! * [`package`]: what a package says and everything wrong with it; pure.
//! * [`manifest`]: the manifest in normal form.
//! * [`PortableSettings`]: the section `portable` of the configuration; [`PortableOptions`]: what is set
//!   for one installation.
//!
//! Deliberately not here: streams and rules, which use symbols through `plugyard-symbol`; and where
//! packages come from and how changes are journalled, which is the platform's.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod adopt;
mod alarm;
mod attach;
mod chore;
mod command;
mod config;
mod control;
pub mod dev;
mod environment;
mod function;
mod host;
mod http;
mod kept;
mod kind;
mod lobby;
mod logs;
pub mod manifest;
mod options;
pub mod package;
mod place;
mod plugin;
mod pool;
mod process;
mod registry;
mod relapses;
mod settings;
mod sink;
mod source;
mod tally;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod token;
mod turns;
mod versions;

pub use host::PortableHost;
pub use http::{Carried, Room, Transfer, rights};
pub use manifest::Manifest;
pub use options::PortableOptions;
pub use settings::{IsolationMode, PortableSettings, RenewGo, RestartSettings, Span};
