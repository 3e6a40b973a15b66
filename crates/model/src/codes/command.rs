//! Codes that only the command line meets.

super::codes! {
    /// A command that needs a plugin was given none, outside of a plugin's directory.
    PLUGIN_NOT_NAMED = "plugin_not_named", 400, Usage,
        en: ["No plugin named", "No plugin is named, and there is none in this directory", "name one, or run the command where its `plugin.json` is"],
        zh: ["未指定插件", "未指定插件，且当前目录中没有插件", "请指定插件，或在其 `plugin.json` 所在目录中执行"];
    /// A command that destroys something was neither confirmed nor given `--yes`.
    CONFIRMATION_NEEDED = "confirmation_needed", 400, Usage,
        en: ["Confirmation needed", "This would {what}", "repeat it with `--yes` if that is meant"],
        zh: ["需要确认", "此操作将{what}", "确认无误后请加上 `--yes` 重试"];
    /// The command stopped waiting; the change goes on.
    WAIT_ENDED = "wait_ended", 504, StillRunning,
        en: ["Still running", "Stopped watching; operation {operation} goes on", "`plugyard operation watch {operation}` follows it"],
        zh: ["仍在进行", "已停止跟踪；操作 {operation} 仍在进行", "用 `plugyard operation watch {operation}` 继续跟踪"];
    /// A file the command should write cannot be written.
    OUTPUT_UNWRITABLE = "output_unwritable", 500, Failed,
        en: ["Output cannot be written", "`{path}` cannot be written: {reason}", "is there room on the disk, and may you write there? name another place"],
        zh: ["无法写入输出", "无法写入 `{path}`：{reason}", "磁盘是否有空间，是否有写权限？也可指定其他位置"];
    /// Another server uses the home directory.
    HOME_IN_USE = "home_in_use", 409, Conflict,
        en: ["Home directory in use", "`{path}` is in use by another server ({holder})", "stop that server, or name another directory with `--home`"],
        zh: ["主目录正被使用", "`{path}` 正被另一个服务器使用（{holder}）", "请停止该服务器，或用 `--home` 指定其他目录"];
    /// A stream or rule route of the compatible interface answered with an error of its own.
    FLOW_REFUSED = "flow_refused", 400, Failed,
        en: ["Refused", "{message}", "`plugyard stream list` and `plugyard rule list` show what is here"],
        zh: ["请求被拒绝", "{message}", "用 `plugyard stream list` 和 `plugyard rule list` 查看已有内容"];
    /// What a stream or rule command names does not exist.
    FLOW_NOT_FOUND = "flow_not_found", 404, NotFound,
        en: ["Not found", "{message}", "`plugyard stream list` and `plugyard rule list` show what is here"],
        zh: ["未找到", "{message}", "用 `plugyard stream list` 和 `plugyard rule list` 查看已有内容"];
    /// What a stream or rule command makes is already there, or what it takes away is in use.
    FLOW_CONFLICT = "flow_conflict", 409, Conflict,
        en: ["In conflict with what is there", "{message}", "`plugyard stream list` and `plugyard rule list` show what is here; delete what uses it first, or choose another name"],
        zh: ["与现有内容冲突", "{message}", "用 `plugyard stream list` 和 `plugyard rule list` 查看已有内容；请先删除引用它的内容，或另选名称"];
    /// A backup cannot be written or brought back: the disk, usually.
    BACKUP_FAILED = "backup_failed", 500, Failed,
        en: ["Backup failed", "`{path}` cannot be written or read: {reason}", "is the disk full?"],
        zh: ["备份失败", "无法读写 `{path}`：{reason}", "磁盘是否已满？"];
    /// A file is no backup, was cut off, or does not agree with its own manifest.
    BACKUP_INVALID = "backup_invalid", 422, Failed,
        en: ["Not a sound backup", "`{path}` cannot be restored: {reason}; nothing was written", "copy the backup again from where it was made, or take another one"],
        zh: ["备份不完整", "无法恢复 `{path}`：{reason}；未写入任何内容", "请重新复制该备份，或使用另一个备份"];
    /// A backup was made by a newer version.
    BACKUP_NEWER = "backup_newer", 409, Conflict,
        en: ["Backup of a newer version", "`{path}` was made by a newer version ({what}); nothing was written", "restore it with the version that made it, or a later one"],
        zh: ["备份来自更新的版本", "`{path}` 由更新的版本创建（{what}）；未写入任何内容", "请使用创建它的版本或更高版本进行恢复"];
    /// A backup is restored into an empty home only.
    HOME_NOT_EMPTY = "home_not_empty", 409, Conflict,
        en: ["Home directory not empty", "`{path}` is not empty, and a backup is only restored into an empty home; nothing was written", "name another directory with `--home`"],
        zh: ["主目录非空", "`{path}` 非空，备份只能恢复到空的主目录；未写入任何内容", "请用 `--home` 指定其他目录"];
    /// A context is named that nobody logged in to.
    CONTEXT_NOT_FOUND = "context_not_found", 404, NotFound,
        en: ["Context not found", "There is no context `{context}`", "`plugyard context list` shows the contexts, `plugyard login <url>` makes one"],
        zh: ["未找到上下文", "没有上下文 `{context}`", "用 `plugyard context list` 查看，用 `plugyard login <url>` 新建"];
    /// The file of contexts cannot be read or written.
    CONTEXTS_UNUSABLE = "contexts_unusable", 500, Failed,
        en: ["Contexts cannot be used", "`{path}` cannot be used: {reason}", "correct or remove the file, then `plugyard login <url>` again"],
        zh: ["无法使用上下文", "`{path}` 无法使用：{reason}", "请修正或删除该文件，然后重新执行 `plugyard login <url>`"];
    /// A token was to be read, and nothing came.
    TOKEN_NEEDED = "token_needed", 400, Usage,
        en: ["Token needed", "No token was given", "type it when asked, or give it on standard input: `plugyard login <url> --token -`"],
        zh: ["需要令牌", "没有给出令牌", "请按提示输入，或通过标准输入给出：`plugyard login <url> --token -`"];
}
