//! What plugin pages and plugins get of the platform beside their URL: who opened a page, how its result comes
//! back, and words by which plugins, the main program and the application call each other.
//!
//! There is no user directory here. The application knows its accounts and users; it tells us their tokens
//! ([`logins`]) or is asked about them at an address of its own, and a launch ticket says no more than what
//! the application put in.
//!
//! Answers have the form that clients of Fresns know: `{"code":0,"message":"ok","data":…}` ([`Reply`]).

pub(crate) mod bridge;
pub(crate) mod callbacks;
pub(crate) mod frames;
pub(crate) mod identity;
pub(crate) mod items;
pub(crate) mod keys;
pub(crate) mod logins;
mod reply;
pub(crate) mod schema;
pub(crate) mod service;
pub(crate) mod settings;
pub(crate) mod tickets;
pub(crate) mod words;

pub(crate) use reply::{Failed, Reply};
pub use words::MarketWords;
