//! Who sees which usage, by the numbers of the acceptance scenarios.

use std::collections::BTreeSet;

use plugyard_model::{Code, Severity, codes};
use plugyard_web::usage::{PluginState, Query, Usage, UsageType, Viewer, check, visible};

fn usage(id: u32, usage_type: UsageType) -> Usage {
    Usage {
        id,
        usage_type: usage_type as u8,
        plugin_fskey: "DemoPlugin".to_owned(),
        name: "Demo".to_owned(),
        scene: Vec::new(),
        editor_toolbar: false,
        editor_number: None,
        is_group_admin: false,
        group_id: None,
        roles: Vec::new(),
        parameter: None,
        rating: 9,
        can_delete: true,
        is_enabled: true,
    }
}

fn everything() -> Vec<String> {
    [
        "recharge",
        "withdraw",
        "extendEditor",
        "extendManage",
        "extendGroup",
        "extendUser",
        "extendChannel",
        "extendContentType",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn listed(
    usages: &[Usage],
    usage_type: UsageType,
    change: impl FnOnce(&mut Query<'_>),
    viewer: &Viewer,
) -> Vec<u32> {
    let scene = everything();
    let plugin = PluginState {
        scene: &scene,
        is_offered: true,
    };
    let mut query = Query {
        usage_type,
        scene: None,
        group: None,
        viewer,
    };
    change(&mut query);
    let usages = usages.iter().map(|usage| (usage, Some(plugin)));
    visible(usages, query)
        .iter()
        .map(|usage| usage.id)
        .collect()
}

fn with_roles(roles: &[u32]) -> Viewer {
    Viewer {
        roles: Some(roles.iter().copied().collect()),
        administers: BTreeSet::new(),
    }
}

fn errors(mut usage: Usage) -> Vec<Code> {
    let scene = everything();
    let issues = check(
        &mut usage,
        Some(PluginState {
            scene: &scene,
            is_offered: true,
        }),
    );
    issues
        .iter()
        .filter(|issue| issue.severity == Severity::Error)
        .map(|issue| issue.code)
        .collect()
}

#[test]
fn web_16_usages_of_a_disabled_plugin_are_not_listed() {
    let usage = usage(1, UsageType::Channel);
    let viewer = Viewer::default();
    let query = Query {
        usage_type: UsageType::Channel,
        scene: None,
        group: None,
        viewer: &viewer,
    };
    let of = |plugin| visible([(&usage, plugin)], query).len();
    assert_eq!(
        of(Some(PluginState {
            scene: &[],
            is_offered: false
        })),
        0
    );
    assert_eq!(of(None), 0);
    assert_eq!(
        of(Some(PluginState {
            scene: &[],
            is_offered: true
        })),
        1
    );
}

#[test]
fn web_19_usages_are_ordered_by_rating_then_id_over_all_of_them() {
    let mut usages: Vec<Usage> = (1..=5).map(|id| usage(id, UsageType::Channel)).collect();
    for (usage, rating) in usages.iter_mut().zip([9, 1, 5, 5, 5]) {
        usage.rating = rating;
    }
    usages[3].roles = vec![7];
    assert_eq!(
        listed(&usages, UsageType::Channel, |_| {}, &with_roles(&[7])),
        [2, 3, 4, 5, 1]
    );
}

#[test]
fn web_20_roles_are_members_of_a_set() {
    let mut usage = usage(1, UsageType::Channel);
    usage.roles = vec![3, 7];
    let seen = |viewer: &Viewer| {
        listed(
            std::slice::from_ref(&usage),
            UsageType::Channel,
            |_| {},
            viewer,
        )
        .len()
    };
    assert_eq!(seen(&with_roles(&[7])), 1);
    assert_eq!(seen(&with_roles(&[37])), 0);
    assert_eq!(seen(&Viewer::default()), 0);
}

#[test]
fn web_21_usages_for_group_administrators_have_no_roles() {
    let mut usage = usage(1, UsageType::Group);
    (usage.group_id, usage.is_group_admin, usage.roles) = (Some(5), true, vec![3]);
    let scene = everything();
    assert_eq!(
        check(
            &mut usage,
            Some(PluginState {
                scene: &scene,
                is_offered: true
            })
        ),
        []
    );
    assert_eq!(usage.roles, Vec::<u32>::new());
    let seen = |administers: &[u32], group| {
        let viewer = Viewer {
            roles: Some([3].into()),
            administers: administers.iter().copied().collect(),
        };
        listed(
            std::slice::from_ref(&usage),
            UsageType::Group,
            |query| query.group = Some(group),
            &viewer,
        )
        .len()
    };
    assert_eq!(
        (seen(&[5], 5), seen(&[], 5), seen(&[6], 5), seen(&[5], 6)),
        (1, 0, 0, 0)
    );
}

#[test]
fn web_22_columns_have_their_types_ranges_and_order() {
    assert_eq!(
        errors(usage(1, UsageType::Group)),
        [codes::E_FIELD_REQUIRED]
    );
    for number in [0, 11] {
        let editor = Usage {
            editor_number: Some(number),
            ..usage(1, UsageType::Editor)
        };
        assert_eq!(errors(editor), [codes::E_USAGE_RANGE]);
    }
    let scene = |kind, scene: &[u8]| {
        errors(Usage {
            scene: scene.to_vec(),
            ..usage(1, kind)
        })
    };
    assert_eq!(scene(UsageType::Editor, &[3]), [codes::E_USAGE_RANGE]);
    assert_eq!(scene(UsageType::Editor, &[2, 1]), [codes::E_USAGE_RANGE]);
    assert_eq!(scene(UsageType::Manage, &[1, 3]), []);
    assert_eq!(
        scene(UsageType::Channel, &[1]),
        [codes::E_USAGE_COLUMN_NOT_APPLICABLE]
    );
    let roles = Usage {
        roles: vec![1],
        ..usage(1, UsageType::Recharge)
    };
    assert_eq!(errors(roles), [codes::E_USAGE_COLUMN_NOT_APPLICABLE]);
    let none = Usage {
        usage_type: 10,
        ..usage(1, UsageType::Recharge)
    };
    assert_eq!(errors(none), [codes::E_TYPE_RANGE]);
}

#[test]
fn web_24_usages_of_one_name_are_all_listed() {
    let usages = [usage(1, UsageType::Channel), usage(2, UsageType::Channel)];
    assert_eq!(
        listed(&usages, UsageType::Channel, |_| {}, &Viewer::default()),
        [1, 2]
    );
}

#[test]
fn web_25_a_usage_needs_a_plugin_with_its_scene() {
    let mut channel = usage(1, UsageType::Channel);
    assert_eq!(check(&mut channel, None)[0].code, codes::E_PLUGIN_NOT_FOUND);
    let lacking = PluginState {
        scene: &["editor".to_owned()],
        is_offered: true,
    };
    assert_eq!(
        check(&mut channel, Some(lacking))[0].code,
        codes::E_SCENE_NOT_SUPPORTED
    );
    let mut built_in = Usage {
        plugin_fskey: "Text".to_owned(),
        ..usage(1, UsageType::ContentType)
    };
    assert_eq!(check(&mut built_in, None), []);
}

#[test]
fn some_types_are_nobodys_without_a_user_and_scenes_are_looked_for() {
    for kind in [UsageType::Editor, UsageType::Manage, UsageType::Feature] {
        assert_eq!(
            listed(&[usage(1, kind)], kind, |_| {}, &Viewer::default()),
            Vec::<u32>::new()
        );
        assert_eq!(
            listed(&[usage(1, kind)], kind, |_| {}, &with_roles(&[])),
            [1]
        );
    }
    let manage = Usage {
        scene: vec![1, 3],
        ..usage(1, UsageType::Manage)
    };
    let seen = |scene| {
        listed(
            std::slice::from_ref(&manage),
            UsageType::Manage,
            |query| query.scene = Some(scene),
            &with_roles(&[]),
        )
    };
    assert_eq!((seen(3).len(), seen(2).len()), (1, 0));
}

#[test]
fn a_parameter_that_is_no_url_is_stored_with_a_warning() {
    for (parameter, warned) in [
        ("x=1&y=2", false),
        ("{uid}", false),
        ("a%20b", false),
        ("50%", true),
        ("中", true),
        ("a b", true),
    ] {
        let mut usage = Usage {
            parameter: Some(parameter.to_owned()),
            ..usage(1, UsageType::Channel)
        };
        let scene = everything();
        let issues = check(
            &mut usage,
            Some(PluginState {
                scene: &scene,
                is_offered: true,
            }),
        );
        assert_eq!(issues.len(), usize::from(warned), "{parameter}");
        assert!(
            issues
                .iter()
                .all(|issue| issue.code == codes::W_PARAMETER_NOT_URL_SAFE)
        );
        assert_eq!(usage.parameter.as_deref(), Some(parameter));
    }
    let control = Usage {
        parameter: Some("a\nb".to_owned()),
        ..usage(1, UsageType::Channel)
    };
    assert_eq!(errors(control), [codes::E_FIELD_FORMAT]);
}
