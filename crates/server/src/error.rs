//! Why a server cannot be put together or does not listen.

use std::net::SocketAddr;

use plugyard_http::RightsError;
use plugyard_model::{Problem, codes};
use plugyard_store::StoreError;

/// A mistake in the program: routes that do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// The table of rights contradicts itself.
    #[error("the table of rights contradicts itself")]
    Rights(#[from] RightsError),
    /// An operation that nobody was given the right to.
    #[error("{method} {path} has no right")]
    NoRight {
        /// The method.
        method: String,
        /// The path as in the OpenAPI document.
        path: String,
    },
    /// A right for an operation that the document does not have.
    #[error("the right of {method} {path} is for an operation that does not exist")]
    NoOperation {
        /// The method.
        method: String,
        /// The path as in the table.
        path: String,
    },
    /// Two schemas with one name.
    #[error("the schema `{name}` is declared twice, each time as something else")]
    Schema {
        /// The name.
        name: String,
    },
    /// Two operations with the same id, or one without.
    #[error("the operation id `{id}` of {method} {path} is empty or used twice")]
    OperationId {
        /// The id.
        id: String,
        /// The method.
        method: String,
        /// The path.
        path: String,
    },
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The routes do not fit together.
    #[error("the routes do not fit together")]
    Wiring(#[from] WiringError),
    /// `--auth none` with an address that others can reach.
    #[error("`--auth none` is only for loopback addresses, not {address}")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// What was interrupted cannot be recovered: the database does not answer.
    #[error("cannot recover what was interrupted")]
    Recover(#[source] StoreError),
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// A TCP address or the path of a socket.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl From<&StartError> for Problem {
    fn from(error: &StartError) -> Self {
        match error {
            StartError::Wiring(_) => Self::new(codes::INTERNAL).with("request", "none"),
            StartError::NotLoopback { address } => {
                Self::new(codes::AUTH_NONE_NOT_LOOPBACK).with("address", address)
            }
            StartError::Recover(_) => Self::new(codes::STORE_UNAVAILABLE),
            StartError::Listen { address, source } => Self::new(codes::LISTEN_FAILED)
                .with("address", address)
                .with("reason", source),
        }
    }
}
