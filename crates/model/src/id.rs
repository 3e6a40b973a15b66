//! Identifiers that cannot be swapped for one another.
//!
//! All are UUIDs of version 7 where they are made (by the caller, who has the clock), so that rows
//! sort by age.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    )*};
}

ids! {
    /// A plugin made available here.
    InstallationId;
    /// One accepted package of a plugin.
    VersionId;
    /// One change to an installation.
    OperationId;
    /// Somebody, or something, that can sign in.
    AccountId;
    /// A bearer token (not its secret).
    TokenId;
}
