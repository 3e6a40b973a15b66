//! The kind `web`: plugins of a web application, the places where they are offered, and their URLs.
//!
//! The data model is that of Fresns 2.x. Pure parts, which do no I/O: [`package`] reads manifests,
//! [`columns`] knows what a record takes, [`usage`] who sees what, [`url`] makes the documented URLs and
//! says how each came about, [`signature`] checks signed requests.
//!
//! Entry point: [`WebHost`]. The application loads the plugins itself; this crate brings their files, their
//! records and their assets to where it finds them, runs its commands for what only it can do, and asks
//! it whether they work.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod assets;
pub mod columns;
pub mod composer;
mod doctor;
mod entity;
pub mod events;
mod health;
mod hooks;
mod host;
mod http;
mod import;
mod kind;
mod lifecycle;
mod market;
mod migrations;
pub mod package;
mod pages;
mod records;
mod settings;
pub mod signature;
mod site;
mod site_rules;
mod states;
mod status_file;
mod themes;
pub mod url;
pub mod usage;
mod usages;
mod variables;
mod viewers;
mod webhooks;
mod wrapped;

pub use host::WebHost;
pub use http::rights;
pub use migrations::migrations;
pub use pages::MarketWords;
pub use settings::{Hooks, WebSettings};
pub use webhooks::WebhookSettings;
