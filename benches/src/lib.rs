//! What `cargo xtask bench` measures with: the same plugin processes, driven once by the product and
//! once by a loop that does only what cannot be left out.
//!
//! * [`app`]: the configuration of plugins over HTTP, with few and many installed.
//! * [`frames`]: what the loop and the bare plugin read and write.
//! * [`minimal`]: that loop, the limit that ours is compared to.
//! * [`ours`]: the product's own host and rules, as a library.
//! * [`plugins`]: the plugins, one made with the Python SDK and one that speaks the protocol bare.
//! * [`spine`]: packages, lists of installations and the API, whatever the kind.
//! * [`under_load`]: swaps, kills, pools and bursts while rows flow.
//! * [`validation`]: Laravel rules, beside what Laravel itself was recorded with.
//! * [`web`]: URLs of web plugins' usages, and their listing for a viewer.
//! * [`works`]: the pieces of work and how each is measured on both sides.
//!
//! The binary `plugyard-bench` measures and prints JSON, `plugyard-bench-peer` is the bare plugin.
//! Timings are for reading; no test depends on one.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod app;
pub mod frames;
pub mod minimal;
pub mod ours;
pub mod plugins;
pub mod spine;
pub mod under_load;
pub mod validation;
pub mod web;
pub mod works;
