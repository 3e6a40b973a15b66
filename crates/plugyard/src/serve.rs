//! The wiring of the whole server.
use crate::cli::Serve;
use crate::commands::Context;
use crate::failure::Failure;
use plugyard_model::ExitCode;
pub(crate) fn run(_: &Serve, _: &Context) -> Result<ExitCode, Failure> { Ok(ExitCode::Done) }
pub(crate) fn openapi() -> String { String::new() }
