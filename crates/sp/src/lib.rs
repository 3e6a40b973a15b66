#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod address;
mod connection;
mod dial;
mod error;
pub mod frame;
mod glance;
mod listener;
mod protocol;
mod pull;
mod push;
mod rep;
mod req;
mod request;
mod stream;
mod wire;

pub use connection::{Connection, Options, PeerCredentials, pair};
pub use dial::{connect, connect_with};
pub use error::{ConnectError, HandshakeError, RecvError, RoleError, SendError};
pub use listener::Listener;
pub use protocol::{HEADER_LEN, Protocol};
pub use pull::PullConnection;
pub use push::{PushConnection, PushSender, PushWatcher};
pub use rep::{RepConnection, RepReader, RepWriter};
pub use req::ReqConnection;
pub use request::{Backtrace, Request};
pub use stream::Stream;
