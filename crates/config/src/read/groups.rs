//! Groups, and the references of fields to them.

use indexmap::IndexMap;
use plugyard_model::codes;
use plugyard_model::json::Node;
use serde_json::json;

use super::forms::{KEY_MAX, is_group_key, is_icon};
use super::path::Path;
use super::structure::{DESCRIPTION_MAX, Draft, FieldDraft, Reader};
use super::suggest;
use crate::definition::{GENERAL, Group};
use crate::report::Issue;

const GROUPS_MAX: usize = 100;

/// Icons that the console has.
const ICONS: [&str; 7] = [
    "key",
    "settings",
    "database",
    "network",
    "security",
    "notification",
    "advanced",
];

const GROUP_KEYS: &[&str] = &["label", "description", "icon", "order"];

impl Reader<'_> {
    pub(super) fn groups(&mut self, node: &Node) -> IndexMap<String, Group> {
        let path = Path::Root.key("groups");
        let mut groups = IndexMap::new();
        for member in self.members(node, &path, GROUPS_MAX) {
            let path = path.key(&member.key);
            if !is_group_key(&member.key) {
                self.error(
                    Issue::new(codes::GROUP_KEY_FORMAT, path.pointer(), member.key_at)
                        .with("key", member.key.as_str())
                        .with("limit", KEY_MAX),
                );
            }
            let group = self.group(&member.node, &path);
            groups.insert(member.key.clone(), group);
        }
        groups
    }

    fn group(&mut self, node: &Node, path: &Path<'_>) -> Group {
        let mut group = Group {
            label: String::new(),
            description: None,
            icon: None,
            order: 0,
        };
        let Some(object) = node.as_object() else {
            self.wrong_type(node, path, "object");
            return group;
        };
        self.known(object, path, GROUP_KEYS);
        self.needs(object, path, node.at, "label");
        group.label = self.label(object, path);
        group.description = self.optional_text(object, path, "description", DESCRIPTION_MAX);
        group.order = self.order(object, path);
        if let Some(node) = object.get("icon") {
            group.icon = self.icon(node, &path.key("icon"));
        }
        group
    }

    fn icon(&mut self, node: &Node, path: &Path<'_>) -> Option<String> {
        let Some(icon) = node.as_str() else {
            self.wrong_type(node, path, "string");
            return None;
        };
        if !is_icon(icon) {
            self.error(
                Issue::new(codes::ICON_FORMAT, path.pointer(), node.at).with("limit", KEY_MAX),
            );
            return None;
        }
        if !ICONS.contains(&icon) {
            self.issues.warning(
                Issue::new(codes::ICON_UNKNOWN, path.pointer(), node.at)
                    .with("icon", icon)
                    .with("known", json!(ICONS)),
            );
        }
        Some(icon.to_owned())
    }

    /// Groups that fields name, and groups that no field names.
    pub(super) fn references(&mut self, groups: Option<&Node>, draft: &mut Draft<'_>) {
        for field in &mut draft.fields {
            let Some((group, at)) = field.group else {
                continue;
            };
            if group == GENERAL || draft.groups.contains_key(group) {
                continue;
            }
            field.sound = false;
            // A group beyond the limit is defined, though nobody looked at it.
            if groups.and_then(|groups| groups.get(group)).is_some() {
                continue;
            }
            let known = draft.groups.keys().map(String::as_str);
            self.error(
                Issue::new(codes::GROUP_UNDEFINED, Path::field(field.key, "group"), at)
                    .with("group", group)
                    .with("suggestion", suggest::nearest(group, known))
                    .of_field(field.key),
            );
        }
        let Some(members) = groups.and_then(Node::as_object) else {
            return;
        };
        for member in members.members.iter().take(GROUPS_MAX) {
            let key = member.key.as_str();
            let used = |field: &FieldDraft<'_>| field.group.map_or(GENERAL, |it| it.0) == key;
            if !draft.fields.iter().any(used) {
                let path = Path::Root.key("groups").key(key).pointer();
                self.issues.warning(
                    Issue::new(codes::GROUP_UNUSED, path, member.key_at).with("group", key),
                );
            }
        }
    }
}
