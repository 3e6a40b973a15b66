//! Where plugins are offered: what a usage may hold, and which usages a viewer sees.
//!
//! The table is `plugin_usages` of Fresns 2.x. [`check`] says what is wrong with a usage before it is
//! stored; [`visible`] picks and orders those of a viewer. Both are pure.

use std::collections::BTreeSet;

use plugyard_model::codes;
use serde::{Deserialize, Serialize};

use crate::columns::Issue;

/// Types that content has without a plugin.
pub const CONTENT_TYPES: [&str; 6] = ["All", "Text", "Image", "Video", "Audio", "Document"];

/// Whether a usage's `plugin_fskey` names a content type that needs no plugin.
#[must_use]
pub fn is_content_type(fskey: &str) -> bool {
    CONTENT_TYPES.contains(&fskey)
}

/// What a usage is for, as numbered in the column `usage_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum UsageType {
    /// Paying into a wallet.
    Recharge = 1,
    /// Paying out of a wallet.
    Withdraw = 2,
    /// An item of the editor.
    Editor = 3,
    /// A content type, with or without a plugin.
    ContentType = 4,
    /// An item of the manage menu.
    Manage = 5,
    /// An item on a group's page.
    Group = 6,
    /// A feature for users.
    Feature = 7,
    /// An item on a profile's page.
    Profile = 8,
    /// A top-level entry.
    Channel = 9,
}

impl UsageType {
    /// The type of a number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        const ALL: [UsageType; 9] = [
            UsageType::Recharge,
            UsageType::Withdraw,
            UsageType::Editor,
            UsageType::ContentType,
            UsageType::Manage,
            UsageType::Group,
            UsageType::Feature,
            UsageType::Profile,
            UsageType::Channel,
        ];
        ALL.into_iter().find(|kind| *kind as i64 == number)
    }

    /// The scene a plugin must have to be offered here.
    #[must_use]
    pub fn required_scene(self) -> &'static str {
        match self {
            Self::Recharge => "recharge",
            Self::Withdraw => "withdraw",
            Self::Editor => "extendEditor",
            Self::ContentType => "extendContentType",
            Self::Manage => "extendManage",
            Self::Group => "extendGroup",
            Self::Feature | Self::Profile => "extendUser",
            Self::Channel => "extendChannel",
        }
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Whether it is nobody's who is not signed in.
    fn needs_user(self) -> bool {
        matches!(self, Self::Editor | Self::Manage | Self::Feature)
    }

    fn has_roles(self) -> bool {
        !matches!(self, Self::Recharge | Self::Withdraw | Self::ContentType)
    }

    fn has_group_admins(self) -> bool {
        matches!(self, Self::Manage | Self::Group)
    }

    /// The highest number of its scenes; 0 when it has none. 1 is posts, 2 comments, 3 users.
    fn scenes(self) -> u8 {
        match self {
            Self::Editor | Self::ContentType => 2,
            Self::Manage => 3,
            _ => 0,
        }
    }
}

/// A usage as it is stored.
#[expect(
    clippy::struct_excessive_bools,
    reason = "the columns of the documented table"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Its number; never used again.
    pub id: u32,
    /// What it is for, 1 to 9; never changes.
    pub usage_type: u8,
    /// The plugin it offers, or a built-in content type.
    pub plugin_fskey: String,
    /// Its name in the site's default language, 1 to 128 characters.
    pub name: String,
    /// Which of posts (1), comments (2) and users (3) it is for, in ascending order.
    pub scene: Vec<u8>,
    /// Whether it stands in the toolbar itself and not behind "more".
    pub editor_toolbar: bool,
    /// How often it may be used in one draft, 1 to 10.
    pub editor_number: Option<u8>,
    /// Whether only those who administer the group see it; then roles do not count.
    pub is_group_admin: bool,
    /// The group on whose page it is.
    pub group_id: Option<u32>,
    /// Roles that see it; none: everyone.
    pub roles: Vec<u32>,
    /// What replaces `{parameter}` in the plugin's address.
    pub parameter: Option<String>,
    /// Sort key, lowest first.
    pub rating: u16,
    /// Whether it can be deleted.
    pub can_delete: bool,
    /// Whether it is offered at all.
    pub is_enabled: bool,
}

/// What the listing needs to know of a usage's plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PluginState<'a> {
    /// Where it can be selected.
    pub scene: &'a [String],
    /// Whether it is there and works: neither deleted nor disabled.
    pub is_offered: bool,
}

/// Who looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Viewer {
    /// The roles held; nobody is signed in without this.
    pub roles: Option<BTreeSet<u32>>,
    /// The groups administered.
    pub administers: BTreeSet<u32>,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// Which type.
    pub usage_type: UsageType,
    /// Only those for posts (1), comments (2) or users (3).
    pub scene: Option<u8>,
    /// The group whose page it is.
    pub group: Option<u32>,
    /// For whom.
    pub viewer: &'a Viewer,
}

/// Everything wrong with a usage about to be stored; `plugin` is its plugin, when there is one.
///
/// Roles of a usage for group administrators are dropped, as the table documents.
pub fn check(usage: &mut Usage, plugin: Option<PluginState<'_>>) -> Vec<Issue> {
    let mut issues = Vec::new();
    let Some(kind) = UsageType::from_number(usage.usage_type.into()) else {
        return vec![
            Issue::error(codes::E_TYPE_RANGE)
                .with("field", "usageType")
                .with("value", usage.usage_type)
                .with("allowed", "1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ];
    };
    let built_in = kind == UsageType::ContentType && is_content_type(&usage.plugin_fskey);
    match plugin {
        _ if built_in => {}
        None => {
            let issue = Issue::error(codes::E_PLUGIN_NOT_FOUND);
            issues.push(issue.with("fskey", &usage.plugin_fskey));
        }
        Some(plugin)
            if !plugin
                .scene
                .iter()
                .any(|word| word == kind.required_scene()) =>
        {
            issues.push(
                Issue::error(codes::E_SCENE_NOT_SUPPORTED)
                    .with("fskey", &usage.plugin_fskey)
                    .with("scene", kind.required_scene())
                    .with("reason", "scene_missing"),
            );
        }
        Some(_) => {}
    }
    let length = usage.name.chars().count();
    if !(1..=128).contains(&length) {
        issues.push(
            Issue::error(codes::E_FIELD_LENGTH)
                .with("field", "name")
                .with("actual", length)
                .with("min", 1)
                .with("limit", 128),
        );
    }
    let mut not_applicable = |column: &str, given: bool| {
        if given {
            issues.push(
                Issue::error(codes::E_USAGE_COLUMN_NOT_APPLICABLE)
                    .with("field", column)
                    .with("type", usage.usage_type),
            );
        }
    };
    not_applicable("scene", kind.scenes() == 0 && !usage.scene.is_empty());
    not_applicable(
        "editorToolbar",
        kind != UsageType::Editor && usage.editor_toolbar,
    );
    not_applicable(
        "editorNumber",
        kind != UsageType::Editor && usage.editor_number.is_some(),
    );
    not_applicable(
        "isGroupAdmin",
        !kind.has_group_admins() && usage.is_group_admin,
    );
    not_applicable(
        "groupId",
        kind != UsageType::Group && usage.group_id.is_some(),
    );
    not_applicable("roles", !kind.has_roles() && !usage.roles.is_empty());
    let range = |column: &str, min: u8, max: u8| {
        Issue::error(codes::E_USAGE_RANGE)
            .with("field", column)
            .with("min", min)
            .with("max", max)
    };
    let ascending = usage.scene.windows(2).all(|pair| pair[0] < pair[1]);
    let known = usage
        .scene
        .iter()
        .all(|scene| (1..=kind.scenes()).contains(scene));
    if kind.scenes() > 0 && !(ascending && known) {
        let issue = range("scene", 1, kind.scenes());
        issues.push(issue.with("form", "ascending"));
    }
    let number = usage.editor_number.unwrap_or(1);
    if !(1..=10).contains(&number) {
        issues.push(range("editorNumber", 1, 10));
    }
    if kind == UsageType::Group && usage.group_id.is_none() {
        issues.push(Issue::error(codes::E_FIELD_REQUIRED).with("field", "groupId"));
    }
    if let Some(parameter) = &usage.parameter {
        check_parameter(parameter, &mut issues);
    }
    if usage.is_group_admin {
        usage.roles.clear();
    }
    issues
}

/// The usages that a viewer sees, in the order they are shown in: by rating, then by age, over all of them.
pub fn visible<'u, 'p>(
    usages: impl IntoIterator<Item = (&'u Usage, Option<PluginState<'p>>)>,
    query: Query<'_>,
) -> Vec<&'u Usage> {
    let seen = visible_of(
        usages.into_iter().collect(),
        |(usage, plugin)| (usage, *plugin),
        query,
    );
    seen.into_iter().map(|(usage, _)| usage).collect()
}

/// The same for rows that hold more than a usage; `parts` says which usage and plugin a row is of.
pub fn visible_of<T>(
    mut rows: Vec<T>,
    parts: impl for<'t> Fn(&'t T) -> (&'t Usage, Option<PluginState<'t>>),
    query: Query<'_>,
) -> Vec<T> {
    if query.is_nobodys() {
        return Vec::new();
    }
    rows.retain(|row| {
        let (usage, plugin) = parts(row);
        is_seen(usage, plugin, query)
    });
    rows.sort_by_key(|row| {
        let (usage, _) = parts(row);
        (usage.rating, usage.id)
    });
    rows
}

impl Query<'_> {
    /// Whether nobody is shown anything, without looking at a single usage.
    #[must_use]
    pub fn is_nobodys(&self) -> bool {
        self.usage_type.needs_user() && self.viewer.roles.is_none()
    }
}

fn is_seen(usage: &Usage, plugin: Option<PluginState<'_>>, query: Query<'_>) -> bool {
    let built_in =
        query.usage_type == UsageType::ContentType && is_content_type(&usage.plugin_fskey);
    let audience = || {
        if usage.is_group_admin {
            let group = usage.group_id.or(query.group);
            return group.is_some_and(|group| query.viewer.administers.contains(&group));
        }
        let held = query.viewer.roles.as_ref();
        usage.roles.is_empty()
            || held.is_some_and(|held| usage.roles.iter().any(|role| held.contains(role)))
    };
    usage.usage_type == query.usage_type as u8
        && usage.is_enabled
        && (built_in || plugin.is_some_and(|plugin| plugin.is_offered))
        && query.scene.is_none_or(|scene| usage.scene.contains(&scene))
        && (query.usage_type != UsageType::Group || usage.group_id == query.group)
        && audience()
}

fn check_parameter(parameter: &str, issues: &mut Vec<Issue>) {
    let length = parameter.chars().count();
    if length > 128 {
        issues.push(
            Issue::error(codes::E_FIELD_LENGTH)
                .with("field", "parameter")
                .with("actual", length)
                .with("min", 0)
                .with("limit", 128),
        );
    }
    if parameter.contains(char::is_control) {
        issues.push(
            Issue::error(codes::E_FIELD_FORMAT)
                .with("field", "parameter")
                .with("expected", "string"),
        );
    }
    issues.extend(parameter_warning(parameter));
}

/// What a client should know of a parameter that is inserted as it is.
pub(crate) fn parameter_warning(parameter: &str) -> Option<Issue> {
    let bytes = parameter.as_bytes();
    let lone_percent = bytes.iter().enumerate().any(|(at, byte)| {
        let digits = bytes.get(at + 1..at + 3);
        *byte == b'%' && !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let unsafe_there =
        lone_percent || !parameter.is_ascii() || parameter.contains([' ', '"', '<', '>', '#']);
    unsafe_there.then(|| Issue::warning(codes::W_PARAMETER_NOT_URL_SAFE).with("value", parameter))
}
