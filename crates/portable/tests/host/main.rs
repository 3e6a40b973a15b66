//! The host with real processes made with the real Python SDK, without a server around it.
//!
//! They run where `PLUGYARD_TEST_PYTHON` names a Python with the SDK, and say so where it does not.

mod calls;
mod changes;
mod failures;
mod routes;
mod rows;
mod support;
