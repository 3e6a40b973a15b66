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
        /// Set and reset what is configured of a plugin.
        PluginConfigure = "plugin.configure",
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
        /// See accounts; make, change and delete them.
        AccountManage = "account.manage",
        /// Read the audit log.
        AuditRead = "audit.read",
        /// See the servers: version, start, what their machine can enforce.
        NodeRead = "node.read",
        /// Stop the server, back it up, see its inner state.
        Admin = "admin",
        /// A plugin's own process: see and follow what concerns itself. No account has it.
        PluginSelf = "plugin.self",
    }
}

words! {
    /// What an account is to the platform.
    Role {
        /// Everything that people may.
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
            Self::Owner => !matches!(right, R::PluginSelf),
            Self::Operator => matches!(
                right,
                R::PluginRead
                    | R::PluginInstall
                    | R::PluginOperate
                    | R::PluginConfigure
                    | R::PluginRemove
                    | R::FlowRead
                    | R::FlowWrite
                    | R::OperationRead
                    | R::OperationCancel
                    | R::NodeRead
            ),
            Self::Author => {
                matches!(
                    right,
                    R::PluginRead | R::PluginInstall | R::FlowRead | R::OperationRead
                )
            }
            Self::Viewer => matches!(right, R::PluginRead | R::FlowRead | R::OperationRead),
            Self::Plugin => matches!(right, R::PluginSelf),
        }
    }

    /// Whether it may all that `other` may.
    pub fn covers(self, other: Self) -> bool {
        Right::ALL
            .iter()
            .all(|&right| self.may(right) || !other.may(right))
    }
}

/// The roles that stay of `wanted` for somebody who has `held`: never more than either, so that a
/// token is worth no more than its account is today.
pub fn narrowed(wanted: &[Role], held: &[Role]) -> Vec<Role> {
    let mut left: Vec<Role> = wanted
        .iter()
        .flat_map(|&wanted| {
            held.iter().filter_map(move |&held| {
                if held.covers(wanted) {
                    Some(wanted)
                } else {
                    wanted.covers(held).then_some(held)
                }
            })
        })
        .collect();
    left.sort_unstable();
    left.dedup();
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_may_everything_and_a_plugin_only_what_concerns_itself() {
        for &right in Right::ALL {
            let own = right == Right::PluginSelf;
            assert_eq!(Role::Owner.may(right), !own, "{right:?}");
            let plugin = own || right == Right::Public;
            assert_eq!(Role::Plugin.may(right), plugin, "{right:?}");
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

    fn may(roles: &[Role], right: Right) -> bool {
        roles.iter().any(|role| role.may(right))
    }

    #[test]
    fn roles_of_people_form_an_order_and_a_plugin_stands_beside_it() {
        let people = Role::ALL.iter().filter(|&&role| role != Role::Plugin);
        for &one in people.clone() {
            for &other in people.clone() {
                assert!(one.covers(other) || other.covers(one), "{one:?} {other:?}");
                let same = one.covers(other) && other.covers(one);
                assert_eq!(same, one == other, "{one:?} {other:?}");
            }
            assert!(Role::Owner.covers(one));
            assert!(!one.covers(Role::Plugin) && !Role::Plugin.covers(one));
        }
    }

    proptest::proptest! {
        /// Narrowing is the intersection of what both may, for whatever roles.
        #[test]
        fn what_stays_is_what_both_may(
            wanted in roles(),
            held in roles(),
        ) {
            let left = narrowed(&wanted, &held);
            // What is public needs no role at all.
            for &right in Right::ALL.iter().filter(|&&right| right != Right::Public) {
                let both = may(&wanted, right) && may(&held, right);
                proptest::prop_assert_eq!(may(&left, right), both, "{:?} of {:?}", right, left);
            }
        }

        /// Another role never takes a right away.
        #[test]
        fn more_roles_never_may_less(few in roles(), more in roles()) {
            let both = [few.clone(), more].concat();
            for &right in Right::ALL {
                proptest::prop_assert!(!may(&few, right) || may(&both, right));
            }
        }
    }

    fn roles() -> impl proptest::strategy::Strategy<Value = Vec<Role>> {
        proptest::collection::vec(proptest::sample::select(Role::ALL), 0..4)
    }

    #[test]
    fn words_read_back() {
        for &right in Right::ALL {
            assert_eq!(Right::from_word(right.as_str()), Some(right));
        }
    }
}
