//! The plugin kind `portable`: processes that serve sources, sinks and functions.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod command;
mod config;
pub mod manifest;
pub mod package;
mod settings;
mod token;

pub use manifest::Manifest;
pub use settings::{PortableSettings, RestartSettings, Span};
