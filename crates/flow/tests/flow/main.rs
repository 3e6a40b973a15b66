//! Streams and rules as their users see them: through the routes, over symbols that the tests play.

mod builtins;
mod delivery;
mod recovery;
mod routes;
mod status;
mod support;
