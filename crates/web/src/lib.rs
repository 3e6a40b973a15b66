//! The kind `web`: plugins of a web application, the places where they are offered, and their URLs.
//!
//! The data model is that of Fresns 2.x. What stands so far are the pure parts, which do no I/O:
//! [`package`] reads manifests, [`columns`] knows what a record takes, [`usage`] who sees what, [`url`]
//! makes the documented URLs and says how each came about, [`signature`] checks signed requests.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod columns;
pub mod package;
pub mod signature;
pub mod url;
pub mod usage;
mod variables;
