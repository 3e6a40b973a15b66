//! The seam between what provides symbols (plugin kinds, built-ins) and what uses them (flows).
//!
//! A *symbol* is a source, sink or function. [`Catalog`] finds them by name; [`SourceSymbol`],
//! [`SinkSymbol`] and [`FunctionSymbol`] bring an instance to life; [`Tuple`] and [`Value`] are
//! what passes through. Providers and users know this crate and not each other.
//!
//! No runtime, no clock and no I/O are in here: the traits are asynchronous, their work is elsewhere.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod error;
mod traits;
mod value;

pub use error::{ErrorClass, SymbolError};
pub use traits::{
    BoundFunction, CallSite, Catalog, Connection, FunctionSymbol, NodeId, Provider, SinkHandle,
    SinkObserver, SinkRequest, SinkSymbol, SourceHandle, SourceInbox, SourceRequest, SourceSymbol,
    SymbolKind,
};
pub use value::{Body, JsonText, Row, Tuple, Value};
