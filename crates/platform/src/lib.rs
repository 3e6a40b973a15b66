//! What all kinds of plugin share: the [`Kind`] trait, packages, versions, installations, operations,
//! accounts, rights and audit.
//!
//! No kind is named in here.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod home;
pub mod kind;

pub use home::Home;
pub use kind::Kind;
