//! The server as its clients see it: real sockets, a real database, a kind that only pretends.
#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed unwrap is a failed test"
)]

mod batch;
mod documents;
mod life;
mod limits;
mod manners;
mod own;
mod remembered;
mod repeated;
mod sessions;
mod sign_in;
mod support;
mod walk;
