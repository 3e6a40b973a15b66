//! The one table of who may do what.
//!
//! A route names the [`Right`] it needs, an account has [`Role`]s, and [`Role::may`] is the table
//! between the two. There is no other place where a permission is decided.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// All of them, in the order of the reference.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// Reads the stable word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.as_str() == word)
            }
        }
    };
}

words! {
    /// Something that can be permitted.
    Right {
        /// Needs nobody: probes, sign-in, and the documentation.
        Public = "public",
        /// See plugins, their versions, state and logs.
        PluginRead = "plugin.read",
        /// Bring packages in, install, upgrade, roll back.
        PluginInstall = "plugin.install",
        /// Enable, disable, restart.
        PluginOperate = "plugin.operate",
        /// Uninstall.
        PluginRemove = "plugin.remove",
        /// See streams and rules, and the rows that pass.
        FlowRead = "flow.read",
        /// Create, change, start, stop and delete streams and rules.
        FlowWrite = "flow.write",
        /// Follow operations and events.
        OperationRead = "operation.read",
        /// Cancel operations.
        OperationCancel = "operation.cancel",
        /// Make, list and revoke tokens of any account.
        TokenManage = "token.manage",
        /// Read the audit log.
        AuditRead = "audit.read",
        /// Stop the server, back it up, see its inner state.
        Admin = "admin",
    }
}

words! {
    /// What an account is to the platform.
    Role {
        /// Everything.
        Owner = "owner",
        /// Runs plugins and flows.
        Operator = "operator",
        /// Brings packages in, but does not operate what others run.
        Author = "author",
        /// Looks.
        Viewer = "viewer",
        /// A plugin's own process: nothing but what concerns itself.
        Plugin = "plugin",
    }
}

impl Role {
    /// The table.
    pub const fn may(self, right: Right) -> bool {
        use Right as R;
        if matches!(right, R::Public) {
            return true;
        }
        match self {
            Self::Owner => true,
            Self::Operator => matches!(
                right,
                R::PluginRead
                    | R::PluginInstall
                    | R::PluginOperate
                    | R::PluginRemove
                    | R::FlowRead
                    | R::FlowWrite
                    | R::OperationRead
                    | R::OperationCancel
            ),
            Self::Author => {
                matches!(
                    right,
                    R::PluginRead | R::PluginInstall | R::FlowRead | R::OperationRead
                )
            }
            Self::Viewer => matches!(right, R::PluginRead | R::FlowRead | R::OperationRead),
            Self::Plugin => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_may_everything_and_a_plugin_nothing() {
        for &right in Right::ALL {
            assert!(Role::Owner.may(right), "{right:?}");
            assert_eq!(Role::Plugin.may(right), right == Right::Public, "{right:?}");
        }
    }

    #[test]
    fn who_may_less_never_may_more() {
        for &right in Right::ALL {
            assert!(
                !Role::Viewer.may(right) || Role::Author.may(right),
                "{right:?}"
            );
            assert!(
                !Role::Author.may(right) || Role::Operator.may(right),
                "{right:?}"
            );
        }
    }

    #[test]
    fn words_read_back() {
        for &right in Right::ALL {
            assert_eq!(Right::from_word(right.as_str()), Some(right));
        }
    }
}
