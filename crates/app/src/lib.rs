//! The kind `app`: directories with a `config.json`, whose code the application loads itself.
//!
//! A plugin is a directory `plugins/{Name}`. Plugyard finds it, checks it, installs it (from then on the
//! directory is a link to an immutable version), keeps its configuration, and answers the routes
//! `/api/admin/plugins…`. It does not run the plugin's code: only a *handler*, where the plugin declares
//! one, for actions and data tables.
//!
//! Entry point: [`AppHost`]. Deliberately not here: values and their history (the platform keeps them for every
//! kind) and what a `config.json` may contain (`plugyard-config`). The table of this kind holds records
//! only, which stay when a plugin is uninstalled; what is installed and enabled is the platform's to say.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod discovery;
mod entity;
mod handler;
mod host;
mod http;
mod kind;
mod logs;
mod manifest;
mod name;
mod package;
mod records;
mod security;
mod settings;

pub use entity::migrations;
pub use host::AppHost;
pub use http::rights;
pub use settings::AppSettings;
