//! The dialling side.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;

use crate::address::Address;
use crate::{ConnectError, Connection, Options, Protocol};

/// Between two attempts to get into a full queue.
const RETRY: Duration = Duration::from_millis(10);

/// Connects to the listener on `path` and exchanges headers, with default [`Options`].
///
/// The path may be longer than the 107 bytes the kernel takes.
///
/// # Errors
///
/// Each [`ConnectError`]; nothing is tried again, except while the listener's queue is full.
pub async fn connect(
    path: impl AsRef<Path>,
    protocol: Protocol,
) -> Result<Connection, ConnectError> {
    connect_with(path, protocol, Options::default()).await
}

/// As [`connect`], with limits and deadline of one's own. The deadline holds for getting in and
/// again for the exchange of headers.
///
/// # Errors
///
/// Each [`ConnectError`].
pub async fn connect_with(
    path: impl AsRef<Path>,
    protocol: Protocol,
    options: Options,
) -> Result<Connection, ConnectError> {
    let path = path.as_ref();
    let after = options.handshake_timeout;
    let stream = tokio::time::timeout(after, connect_socket(path))
        .await
        .map_err(|_| ConnectError::Busy {
            path: path.to_owned(),
            after,
        })?
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ConnectError::NobodyListens {
                    path: path.to_owned(),
                    source,
                }
            }
            _ => ConnectError::Io {
                path: path.to_owned(),
                source,
            },
        })?;
    Connection::establish(stream, protocol, options)
        .await
        .map_err(|source| ConnectError::Handshake {
            path: path.to_owned(),
            source,
        })
}

async fn connect_socket(path: &Path) -> io::Result<UnixStream> {
    let address = Address::of_existing(path)?;
    loop {
        match UnixStream::connect(address.as_path()).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(RETRY).await;
            }
            outcome => return outcome,
        }
    }
}
