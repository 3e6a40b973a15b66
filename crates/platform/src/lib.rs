//! What all kinds of plugin share: the [`Kind`] trait, packages, versions, installations, operations,
//! accounts, audit and events.
//!
//! [`Platform`] is the entry point: it takes packages in ([`Platform::take_in`]), carries out changes
//! ([`Platform::change`]) and tells what there is. Every change is an operation: one at a time for each
//! plugin, planned whole, journalled step by step, taken back when it fails and brought to one of its
//! two ends after a crash ([`operations`]).
//!
//! No kind is named in here, and nothing here is about HTTP: refusals are
//! [`Problem`](plugyard_model::Problem)s, and `plugyard-server` decides how they look.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod access;
pub mod accounts;
mod answers;
pub mod audit;
pub mod backup;
mod clock;
pub mod config;
mod dependents;
mod entity;
pub mod events;
mod expected;
#[cfg(feature = "failpoints")]
pub mod failpoint;
#[cfg(not(feature = "failpoints"))]
mod failpoint;
pub mod files;
mod health;
pub mod home;
pub mod installations;
pub mod intake;
pub mod kind;
mod migrations;
mod moment;
mod objects;
pub mod operations;
mod packages;
mod platform;
mod registration;
pub mod rescan;
mod secrets;
mod sessions;
mod settings;
pub mod tokens;
pub mod versions;

pub use access::{Pass, PluginAccess, PluginToken};
pub use answers::StoredAnswers;
pub use clock::Clock;
pub use dependents::{Dependent, Dependents};
pub use expected::Expected;
pub use home::Home;
pub use installations::InstallationView;
pub use intake::{Considered, Intake, Source, TakeIn, inspect, open_directory, open_zip};
pub use kind::Kind;
pub use migrations::migrations;
pub use moment::Moment;
pub use operations::{ChangeRequest, OperationView, Outcome};
pub use packages::PackageView;
pub use platform::{Platform, PlatformError};
pub use registration::Registration;
pub use sessions::SignedIn;
pub use settings::Settings;
