#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod canonical;
pub mod client;
mod document;
mod error;
mod hex;
mod keys;
pub mod legacy;
mod place;
mod release;
mod repository;
pub mod server;
mod trust;

pub use client::Transport;
pub use document::{
    PLUGIN_LIMIT, ROOT_LIMIT, Role, SNAPSHOT_LIMIT, TARGETS_LIMIT, TIMESTAMP_LIMIT, is_plugin_name,
};
pub use error::Refusal;
pub use hex::{ParseHashError, Sha256};
pub use keys::{KeyError, ParseKeyError, PublicKey, SigningKey};
pub use place::Place;
pub use release::{Channel, Offer, Release, newest};
pub use repository::{MarketSettings, Published, Repository, RepositoryError, Rotated, Ticket};
pub use trust::{Catalogue, ROOTS_MAX, Seen, Trust, Verified, Wanted};
