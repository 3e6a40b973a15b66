//! The tables of this crate. Times are milliseconds since 1970.
#![expect(
    unreachable_pub,
    reason = "the deriving macro makes items that are public and not documented"
)]

pub(crate) mod rule;
pub(crate) mod stream;
