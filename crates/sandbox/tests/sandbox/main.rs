//! What a user of this crate sees: real processes, real namespaces, real limits.
//!
//! The test binary is also the shim, a plugin that misbehaves on demand, and a server to kill: see
//! `support::become_another`.

#[cfg(test)]
mod isolation;
#[cfg(test)]
mod leftovers;
#[cfg(test)]
mod life;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod support;
