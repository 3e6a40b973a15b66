//! Codes of what happens to web plugins: install, upgrade, activation, removal, and the site's settings.

super::codes! {
    /// An fskey that a record has already, deleted ones and other cases of letters included.
    E_FSKEY_DUPLICATE = "E_FSKEY_DUPLICATE", 409, Conflict,
        en: ["fskey exists already", "There is `{existing}` already, and letters of another case make no other plugin", "choose another fskey, or install the package of `{existing}` again"],
        zh: ["fskey 已存在", "已存在 `{existing}`，仅大小写不同不能构成另一个插件", "请选择其他 fskey，或重新安装 `{existing}`"];
    /// A column that is written by something else.
    E_FIELD_READ_ONLY = "E_FIELD_READ_ONLY", 422, PackageErrors,
        en: ["Not written here", "`{field}` is not written here", "{how}"],
        zh: ["此处不可写", "`{field}` 不能在此处写入", "{how}"];
    /// A package older than the version in force.
    E_DOWNGRADE = "E_DOWNGRADE", 409, Conflict,
        en: ["Older version", "`{fskey}` is {from}; the package is {to}, which is older", "say `force` (`--force`) to go to it all the same"],
        zh: ["版本较旧", "`{fskey}` 当前为 {from}，插件包为较旧的 {to}", "如确需安装，请使用 `force`（`--force`）"];
    /// A version that cannot hand back the data of the one in force.
    E_DATA_INCOMPATIBLE = "E_DATA_INCOMPATIBLE", 409, Conflict,
        en: ["Data would not fit", "{from} can hand its data back to {since} and later, not to {to}", "say `force` to go back all the same"],
        zh: ["数据不兼容", "{from} 的数据只能交还给 {since} 及以后的版本，不能交还给 {to}", "如确需回退，请使用 `force`"];
    /// What a plugin needs is not there, or what it cannot be beside is.
    E_REQUIREMENTS = "E_REQUIREMENTS", 409, Conflict,
        en: ["Requirements not met", "`{fskey}` cannot be used here: {missing}", "install or enable what is missing first"],
        zh: ["不满足要求", "`{fskey}` 无法在此使用：{missing}", "请先安装或启用所缺内容"];
    /// Enabled plugins depend on it.
    E_REQUIRED_BY = "E_REQUIRED_BY", 409, Conflict,
        en: ["Required by others", "`{fskey}` is required by {dependants}", "disable them first, or say `cascade`"],
        zh: ["被其他插件依赖", "{dependants} 依赖 `{fskey}`", "请先停用它们，或使用 `cascade`"];
    /// A listener refused what was about to happen.
    E_VETO = "E_VETO", 409, Conflict,
        en: ["Refused by a listener", "`{event}` was refused: {reason}", "ask whoever runs the webhook that refused; `plugyard webhook list` shows them"],
        zh: ["被监听方拒绝", "`{event}` 被拒绝：{reason}", "请询问作出拒绝的 Webhook 的负责人；用 `plugyard webhook list` 查看"];
    /// The files of a plugin are not what was installed.
    E_FILES = "E_FILES", 409, Conflict,
        en: ["Files missing or changed", "The files of `{fskey}` are not those that were installed: {reason}", "`plugyard restart web:{fskey}` brings them back"],
        zh: ["文件缺失或被更改", "`{fskey}` 的文件与安装时不符：{reason}", "`plugyard restart web:{fskey}` 可以恢复"];
    /// A migration or seed failed.
    E_MIGRATION = "E_MIGRATION", 422, Failed,
        en: ["Migration failed", "The command `{hook}` for `{fskey}` failed: {reason}", "the operation's log has its output"],
        zh: ["迁移失败", "`{fskey}` 的命令 `{hook}` 失败：{reason}", "操作日志中有其输出"];
    /// The command that resolves dependencies failed, or there is none and one is required.
    E_DEPENDENCY_HOOK = "E_DEPENDENCY_HOOK", 422, Failed,
        en: ["Dependencies not resolved", "What `{fskey}` requires in `composer.json` was not resolved: {reason}", "see `web.hooks.dependencies` and the operation's log"],
        zh: ["依赖未解决", "`{fskey}` 在 `composer.json` 中的依赖未解决：{reason}", "参见 `web.hooks.dependencies` 与操作日志"];
    /// Another command of the application failed.
    E_HOOK = "E_HOOK", 422, Failed,
        en: ["Command failed", "The command `{hook}` for `{fskey}` failed: {reason}", "the operation's log has its output"],
        zh: ["命令失败", "`{fskey}` 的命令 `{hook}` 失败：{reason}", "操作日志中有其输出"];
    /// The application does not answer that the plugin works.
    E_HEALTH = "E_HEALTH", 422, Failed,
        en: ["Plugin is not healthy", "`{fskey}` {version} does not work: {reason}", "the former version is back; try again when the cause is gone"],
        zh: ["插件不健康", "`{fskey}` {version} 无法工作：{reason}", "已恢复为先前版本；请排除原因后重试"];
    /// A single step of the lifecycle that is not possible here and now.
    E_TASK_REFUSED = "E_TASK_REFUSED", 409, Conflict,
        en: ["Not possible now", "`{task}` of `{fskey}` is not possible: {@reason}", "`plugyard web show {fskey}` shows its state"],
        zh: ["目前无法执行", "无法对 `{fskey}` 执行 `{task}`：{@reason}", "用 `plugyard web show {fskey}` 查看其状态"];
    /// Themes are not activated.
    E_THEME_NOT_ACTIVATABLE = "E_THEME_NOT_ACTIVATABLE", 409, Conflict,
        en: ["Themes are not activated", "`{fskey}` is a theme; it is always enabled and is used by an engine's slot", "set a slot of an engine to it, such as `FresnsEngine_Desktop`"],
        zh: ["主题不能启用或停用", "`{fskey}` 是主题，始终启用，由引擎的槽位使用", "请将引擎的槽位（如 `FresnsEngine_Desktop`）设为它"];
    /// An application that is deployed on its own is not loaded here.
    E_STANDALONE_NOT_ACTIVATABLE = "E_STANDALONE_NOT_ACTIVATABLE", 409, Conflict,
        en: ["Nothing to load", "`{fskey}` is deployed on its own: nothing of it is loaded here", "`plugyard web set {fskey} --enabled` or `--disabled` offers it or not"],
        zh: ["无可加载内容", "`{fskey}` 独立部署，此处不加载其任何内容", "用 `plugyard web set {fskey} --enabled` 或 `--disabled` 决定是否提供"];
    /// No theme of that fskey is here.
    E_THEME_NOT_FOUND = "E_THEME_NOT_FOUND", 404, NotFound,
        en: ["No such theme", "There is no theme `{fskey}`", "install it first"],
        zh: ["主题不存在", "没有主题 `{fskey}`", "请先安装该主题"];
    /// A theme without a settings form.
    E_THEME_NO_FORM = "E_THEME_NO_FORM", 404, NotFound,
        en: ["No settings form", "The theme `{fskey}` has no settings form", "only a theme with `functions: true` in its `theme.json` has one"],
        zh: ["没有设置表单", "主题 `{fskey}` 没有设置表单", "只有 `theme.json` 中 `functions` 为 `true` 的主题才有"];
    /// A theme that a slot of an engine uses.
    E_THEME_IN_USE = "E_THEME_IN_USE", 409, Conflict,
        en: ["Theme is in use", "`{fskey}` is the theme of {slots}", "choose another theme there, or say `force` to empty the slots"],
        zh: ["主题正在使用", "`{fskey}` 是 {slots} 的主题", "请先更换主题，或使用 `force` 清空槽位"];
    /// A record that cannot be forgotten yet.
    E_PURGE_REFUSED = "E_PURGE_REFUSED", 409, Conflict,
        en: ["Not everything is gone", "The record of `{fskey}` cannot be purged: {remains}", "uninstall the plugin and remove what is left first"],
        zh: ["尚有残留", "`{fskey}` 的记录无法清除：{remains}", "请先卸载插件并清除剩余内容"];
    /// A setting that nothing reads.
    SETTING_UNKNOWN = "setting_unknown", 422, PackageErrors,
        en: ["Unknown setting", "There is no setting `{key}`", "[[did you mean `{suggestion}`?]]"],
        zh: ["未知设置", "没有设置 `{key}`", "[[是否应为 `{suggestion}`？]]"];
    /// A value that a setting does not take.
    SETTING_INVALID = "setting_invalid", 422, PackageErrors,
        en: ["Value not accepted", "`{key}` is {expected}", "`GET /v1/web/settings` shows what is set"],
        zh: ["值不被接受", "`{key}` 应为：{expected}", "用 `GET /v1/web/settings` 查看当前设置"];
    /// Nothing resolves what a plugin requires of PHP.
    W_FOREIGN_DEPENDENCIES_NOT_RESOLVED = "W_FOREIGN_DEPENDENCIES_NOT_RESOLVED", 422, PackageErrors,
        en: ["Dependencies not resolved", "`composer.json` of `{fskey}` requires {packages}, and no command resolves it", "set `web.hooks.dependencies`, or see to it in the application"],
        zh: ["依赖未解决", "`{fskey}` 的 `composer.json` 需要 {packages}，但没有命令处理", "请设置 `web.hooks.dependencies`，或在应用中自行处理"];
    /// Migrations stay although the version they came with is gone.
    W_DATA_NOT_REVERTED = "W_DATA_NOT_REVERTED", 422, PackageErrors,
        en: ["Data not reverted", "The data of `{fskey}` stays as {from} left it: {reason}", "look after the data by hand, or go forward again"],
        zh: ["数据未还原", "`{fskey}` 的数据保持 {from} 留下的状态：{reason}", "请手工处理数据，或重新升级"];
}
