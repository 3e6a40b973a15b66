//! Codes that only the command line meets.

super::codes! {
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
        en: ["Output cannot be written", "`{path}` cannot be written: {reason}", ""],
        zh: ["无法写入输出", "无法写入 `{path}`：{reason}", ""];
    /// Another server uses the home directory.
    HOME_IN_USE = "home_in_use", 409, Conflict,
        en: ["Home directory in use", "`{path}` is in use by another server ({holder})", "stop that server, or name another directory with `--home`"],
        zh: ["主目录正被使用", "`{path}` 正被另一个服务器使用（{holder}）", "请停止该服务器，或用 `--home` 指定其他目录"];
    /// A stream or rule route of the compatible interface answered with an error of its own.
    FLOW_REFUSED = "flow_refused", 400, Failed,
        en: ["Refused", "{message}", ""],
        zh: ["请求被拒绝", "{message}", ""];
    /// What a stream or rule command names does not exist.
    FLOW_NOT_FOUND = "flow_not_found", 404, NotFound,
        en: ["Not found", "{message}", "`plugyard stream list` and `plugyard rule list` show what is here"],
        zh: ["未找到", "{message}", "用 `plugyard stream list` 和 `plugyard rule list` 查看已有内容"];
    /// What a stream or rule command makes is already there, or what it takes away is in use.
    FLOW_CONFLICT = "flow_conflict", 409, Conflict,
        en: ["In conflict with what is there", "{message}", ""],
        zh: ["与现有内容冲突", "{message}", ""];
}
