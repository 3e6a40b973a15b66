//! The tables of this kind, one file for each.
#![expect(
    unreachable_pub,
    reason = "the deriving macro makes items that are public and not documented"
)]

pub(crate) mod plugin;
pub(crate) mod setting;
pub(crate) mod state;
pub(crate) mod usage;
