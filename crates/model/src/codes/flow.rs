//! Codes of streams and rules.

super::codes! {
    /// A statement that cannot be read.
    SQL_INVALID = "sql_invalid", 400, Failed,
        en: ["SQL not understood", "The statement cannot be read: {reason}", "the reference of streams and rules says what a statement may hold"],
        zh: ["SQL 无法理解", "语句无法读取：{reason}", "语句可包含的内容见流与规则的参考文档"];
    /// There is no stream of that name.
    STREAM_NOT_FOUND = "stream_not_found", 404, NotFound,
        en: ["Stream not found", "There is no stream `{stream}` here", "`plugyard stream list` shows what is here"],
        zh: ["未找到流", "此处没有流 `{stream}`", "用 `plugyard stream list` 查看已有的流"];
    /// A stream of that name is there already.
    STREAM_EXISTS = "stream_exists", 409, Conflict,
        en: ["Stream exists", "The stream `{stream}` exists already", "delete it first, or choose another name"],
        zh: ["流已存在", "流 `{stream}` 已存在", "请先删除，或换一个名称"];
    /// Rules read from the stream that was to be deleted.
    STREAM_IN_USE = "stream_in_use", 409, Conflict,
        en: ["Stream in use", "Rules read from the stream `{stream}`", "delete these rules first"],
        zh: ["流正在使用", "有规则正在读取流 `{stream}`", "请先删除这些规则"];
    /// There is no rule of that id.
    RULE_NOT_FOUND = "rule_not_found", 404, NotFound,
        en: ["Rule not found", "There is no rule `{rule}` here", "`plugyard rule list` shows what is here"],
        zh: ["未找到规则", "此处没有规则 `{rule}`", "用 `plugyard rule list` 查看已有的规则"];
    /// A rule of that id is there already.
    RULE_EXISTS = "rule_exists", 409, Conflict,
        en: ["Rule exists", "The rule `{rule}` exists already", "delete it first, or choose another id"],
        zh: ["规则已存在", "规则 `{rule}` 已存在", "请先删除，或换一个编号"];
    /// A stream or rule that cannot be planned: an option, a source, a sink or a shape that is not possible.
    RULE_INVALID = "rule_invalid", 400, Failed,
        en: ["Rule not possible", "The rule cannot run: {reason}", "correct the rule and create it again; `plugyard stream list` shows where rows can come from"],
        zh: ["规则不可行", "规则无法运行：{reason}", "请修正规则后重新创建；用 `plugyard stream list` 查看可用的数据来源"];
}
