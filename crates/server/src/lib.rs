//! The HTTP server: assembles the routes of platform, kinds and flow, each with its right.
//!
//! Entry points: [`Server`] (`new`, `bind`, `run`), [`ServerSettings`], and [`openapi`] for the
//! document alone.
//!
//! The native routes `/v1/…` live here, because they are the platform's face; a kind's own routes
//! come with its registration. What a route does is not decided here: handlers read the request,
//! ask the platform and shape the answer.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod app;
mod audit_log;
mod batch;
mod document;
mod error;
mod listen;
pub mod metrics;
mod pages;
mod peer;
mod process;
mod remembered;
mod server;
mod settings;
mod sign_in;
mod system;
mod v1;

pub use document::RIGHT_EXTENSION;
pub use error::{StartError, WiringError};
pub use server::{Bound, Routes, Server, openapi};
pub use settings::{Auth, HostReporter, HttpLimits, MetricsHook, PluginCheck, ServerSettings};
