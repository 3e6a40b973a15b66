//! What answers say, in both languages. Problems have their texts in the catalogue; here is what goes well,
//! and where the specification has a wording of its own for a problem that others know too.

use plugyard_model::{Code, Lang, Problem, codes};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    List,
    Installed,
    Upgraded,
    UpgradePlanned,
    Uninstalled,
    Enabled,
    Disabled,
    Checked,
    Config,
    Values,
    Saved,
    Reset,
    Deleted,
    Acted,
    Table,
    Discovered,
    Status,
    Rescanned,
}

impl Done {
    pub(super) const fn text(self, lang: Lang) -> &'static str {
        let (zh, en) = match self {
            Self::List => ("获取插件列表成功", "Plugins"),
            Self::Installed => ("插件安装成功", "Plugin installed"),
            Self::Upgraded => ("插件升级成功", "Plugin upgraded"),
            Self::UpgradePlanned => ("获取升级计划成功", "Upgrade plan"),
            Self::Uninstalled => ("插件卸载成功", "Plugin uninstalled"),
            Self::Enabled => ("插件已启用", "Plugin enabled"),
            Self::Disabled => ("插件已禁用", "Plugin disabled"),
            Self::Checked => ("安全检查完成", "Security check done"),
            Self::Config => ("获取插件配置成功", "Plugin configuration"),
            Self::Values => ("获取插件配置值成功", "Configuration values"),
            Self::Saved => ("插件配置更新成功", "Configuration saved"),
            Self::Reset => ("插件配置已重置", "Configuration reset"),
            Self::Deleted => ("插件配置已删除", "Configuration deleted"),
            Self::Acted => ("操作执行完成", "Action carried out"),
            Self::Table => ("获取数据表成功", "Data table"),
            Self::Discovered => ("插件发现完成", "Discovery done"),
            Self::Status => ("获取插件发现状态成功", "Discovery status"),
            Self::Rescanned => ("插件重新扫描完成", "Rescan done"),
        };
        match lang {
            Lang::ZhCn => zh,
            Lang::En => en,
        }
    }
}

/// The text of a problem on these routes.
pub(super) fn problem(problem: &Problem, lang: Lang) -> String {
    let own: &[(Code, &str, &str)] = &[
        (codes::PLUGIN_NOT_FOUND, "插件不存在", "Plugin not found"),
        (
            codes::SECRET_STORE_UNAVAILABLE,
            "未配置加密密钥，无法保存敏感信息",
            "No encryption key configured",
        ),
    ];
    own.iter()
        .find(|(code, ..)| *code == problem.code)
        .map_or_else(
            || problem.detail(lang),
            |(_, zh, en)| match lang {
                Lang::ZhCn => (*zh).to_owned(),
                Lang::En => (*en).to_owned(),
            },
        )
}

/// A field of a request that must be there.
pub(super) fn required(field: &str, lang: Lang) -> String {
    match lang {
        Lang::ZhCn => format!("{field}为必填项。"),
        Lang::En => format!("{field} is required."),
    }
}

/// A field of a request that no such request has.
pub(super) fn unknown(field: &str, lang: Lang) -> String {
    match lang {
        Lang::ZhCn => format!("未知的字段 {field}"),
        Lang::En => format!("Unknown field {field}"),
    }
}

/// A field of a request that is of another type.
pub(super) fn wrong_type(field: &str, expected: Expected, lang: Lang) -> String {
    let (zh, en) = match expected {
        Expected::Text => ("字符串", "text"),
        Expected::Bool => ("布尔值", "true or false"),
        Expected::Object => ("对象", "an object"),
        Expected::Texts => ("字符串数组", "a list of texts"),
        Expected::Whole => ("非负整数", "a whole number"),
    };
    match lang {
        Lang::ZhCn => format!("{field}必须是{zh}。"),
        Lang::En => format!("{field} must be {en}."),
    }
}

/// What a field of a request must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Text,
    Bool,
    Object,
    Texts,
    Whole,
}
