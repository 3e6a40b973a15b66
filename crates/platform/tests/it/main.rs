//! The platform with a kind that leaves traces on disk, on every database there is.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on ends; helpers of tests are tests, too"
)]

mod accounts;
mod answers;
mod catalogue;
mod changes;
mod configuration;
mod crash;
mod events;
mod fetching;
mod full;
mod intake;
mod sequences;
mod support;
