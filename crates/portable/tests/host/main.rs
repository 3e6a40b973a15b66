//! The host with real processes made with the real Python SDK, without a server around it.
//!
//! They run where `PLUGYARD_TEST_PYTHON` names a Python with the SDK, and say so where it does not.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod endurance;
#[cfg(test)]
mod environments;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod options;
#[cfg(test)]
mod pools;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod shared;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod support;
