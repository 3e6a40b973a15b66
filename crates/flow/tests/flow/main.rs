//! Streams and rules as their users see them: through the routes, over symbols that the tests play.
#![expect(clippy::unwrap_used, reason = "what the tests share is test code, too")]

mod builtins;
mod caching;
mod calls;
mod checkpoints;
mod delivery;
mod events;
mod explain;
mod graphs;
mod push;
mod recovery;
mod routes;
mod schedules;
mod shaping;
mod sharing;
mod status;
mod support;
mod windows;
