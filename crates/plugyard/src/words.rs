//! The few words the command line itself puts on the screen, in both languages.
//! Everything that names a problem comes from the catalogue in `plugyard-model`.

use plugyard_model::Lang;

/// A word or phrase in a language; unknown ones are shown as they are.
pub(crate) fn word(lang: Lang, english: &'static str) -> &'static str {
    if lang == Lang::En {
        return english;
    }
    TABLE
        .iter()
        .find(|(en, _)| *en == english)
        .map_or(english, |(_, zh)| zh)
}

const TABLE: &[(&str, &str)] = &[
    ("PLUGIN", "插件"),
    ("WANTED", "期望状态"),
    ("HEALTH", "健康状态"),
    ("VERSION", "版本"),
    ("REASON", "原因"),
    ("OPERATION", "操作"),
    ("ACTION", "动作"),
    ("STATE", "状态"),
    ("STARTED", "开始时间"),
    ("STEP", "步骤"),
    ("TOOK", "耗时"),
    ("NOTE", "说明"),
    ("NAME", "名称"),
    ("TYPE", "类型"),
    ("FORMAT", "格式"),
    ("ID", "标识"),
    ("STATUS", "状态"),
    ("ROLES", "角色"),
    ("EXPIRES", "到期"),
    ("DIRECTORY", "目录"),
    ("USER", "账户"),
    ("CREATED", "创建时间"),
    ("LAST USED", "最近使用"),
    ("TIME", "时间"),
    ("TARGET", "对象"),
    ("SERVER", "服务器"),
    ("KERNEL", "内核"),
    ("CHECK", "检查项"),
    ("RESULT", "结果"),
    ("DIGEST", "摘要"),
    ("CURRENT", "当前"),
    ("METRIC", "指标"),
    ("VALUE", "值"),
    ("KEY", "配置项"),
    ("LABEL", "名称"),
    ("REVISION", "修订版本"),
    ("FIELDS", "配置项"),
    ("BEFORE", "原值"),
    ("AFTER", "新值"),
    ("kind", "类型"),
    ("wanted", "期望状态"),
    ("health", "健康状态"),
    ("reason", "原因"),
    ("version", "版本"),
    ("previous", "上一版本"),
    ("versions", "版本列表"),
    ("error", "错误"),
    ("warning", "警告"),
    ("info", "提示"),
    ("hint", "提示"),
    ("continue?", "是否继续？"),
    ("nothing here yet", "暂无内容"),
    ("no errors", "没有错误"),
    ("enabled", "已启用"),
    ("disabled", "已禁用"),
    ("in use", "使用中"),
    ("ready", "就绪"),
    ("starting", "启动中"),
    ("token:", "令牌："),
    (
        "note: a home directory is named too, and wins over the context in use",
        "注意：同时指定了主目录，它优先于当前上下文",
    ),
    (
        "note: the token is forgotten here, but the server was not told; `plugyard token revoke` does that",
        "注意：本机已忘记该令牌，但未能通知服务器；请用 `plugyard token revoke` 吊销",
    ),
    (
        "Ctrl-C again cancels the operation; otherwise it goes on",
        "再按一次 Ctrl-C 取消该操作；否则它会继续进行",
    ),
    ("cancelling", "正在取消"),
    ("used by", "使用者"),
    ("PLUGIN TOKENS", "插件令牌"),
    (
        "token of the owner, shown this once:",
        "所有者令牌（仅显示一次）：",
    ),
];
