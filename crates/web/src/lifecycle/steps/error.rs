//! Errors of steps.

use std::io;

use plugyard_model::{Code, Params, Problem, codes};
use plugyard_platform::kind::StepError;
use plugyard_store::StoreError;

pub(super) fn params<const N: usize>(pairs: [(&str, &str); N]) -> Params {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A change that is not possible any more.
pub(super) fn refusal(problem: Problem) -> StepError {
    StepError {
        params: problem.params.clone(),
        ..failure(problem.code, problem.to_string())
    }
}

pub(super) fn failure(code: Code, text: String) -> StepError {
    StepError {
        code,
        text,
        params: Params::new(),
    }
}

pub(super) fn stored(error: StoreError) -> StepError {
    let mut text = error.to_string();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        text = format!("{text}: {source}");
        cause = source;
    }
    failure(codes::STEP_FAILED, text)
}

/// Runs what reads and writes files where it holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StepError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|error| failure(codes::STEP_FAILED, error.to_string()))
}
