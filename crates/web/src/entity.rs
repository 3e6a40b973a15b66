//! The tables of this kind, one file for each.
#![expect(
    unreachable_pub,
    reason = "the deriving macro makes items that are public and not documented"
)]

pub(crate) mod app_key;
pub(crate) mod badge;
pub(crate) mod callback;
pub(crate) mod delivery;
pub(crate) mod login;
pub(crate) mod market;
pub(crate) mod offer;
pub(crate) mod plugin;
pub(crate) mod schedule;
pub(crate) mod setting;
pub(crate) mod state;
pub(crate) mod subscription;
pub(crate) mod ticket;
pub(crate) mod usage;
pub(crate) mod usage_name;
pub(crate) mod viewer;
pub(crate) mod webhook;
