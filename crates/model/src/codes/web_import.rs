//! Codes of taking over an existing plugin table.

super::codes! {
    /// A dump whose form its name does not tell.
    DUMP_FORMAT_UNKNOWN = "dump_format_unknown", 400, Usage,
        en: ["Form of the dump unknown", "What `{path}` is cannot be told from its name", "say `--dump-format sql`, `csv` or `json`"],
        zh: ["无法判断导出格式", "无法从名称判断 `{path}` 的格式", "请指定 `--dump-format sql`、`csv` 或 `json`"];
    /// A dump that is no text in UTF-8.
    E_IMPORT_ENCODING = "E_IMPORT_ENCODING", 422, PackageErrors,
        en: ["Not UTF-8", "The dump is not UTF-8 from here on", "export it again in UTF-8 (`utf8mb4`)"],
        zh: ["不是 UTF-8", "该导出文件从此处起不是 UTF-8", "请以 UTF-8（`utf8mb4`）重新导出"];
    /// A dump in JSON that is none.
    E_IMPORT_SYNTAX = "E_IMPORT_SYNTAX", 422, PackageErrors,
        en: ["Not JSON", "The dump is not JSON: {reason}", "export the tables again, or say with `--dump-format` what the file is"],
        zh: ["不是 JSON", "该导出文件不是 JSON：{reason}", "请重新导出数据表，或用 `--dump-format` 说明文件格式"];
    /// Rows whose columns are those of no table that is taken over.
    E_IMPORT_TABLE = "E_IMPORT_TABLE", 422, PackageErrors,
        en: ["No known table", "These are not the columns of `plugins` or `plugin_usages`", "the first line of a CSV file names the columns; JSON is `{\"plugins\": […], \"plugin_usages\": […]}`"],
        zh: ["无法识别的表", "这些不是 `plugins` 或 `plugin_usages` 的列", "CSV 首行须为列名；JSON 形如 `{\"plugins\": […], \"plugin_usages\": […]}`"];
    /// A row that cannot be read.
    E_IMPORT_ROW = "E_IMPORT_ROW", 422, PackageErrors,
        en: ["Unreadable row", "This row of `{table}` cannot be read; it is left out", "correct the row and import again; rows that are here stay"],
        zh: ["无法读取的行", "无法读取 `{table}` 的这一行，已跳过", "请修正该行后重新导入；已有的行保持不变"];
    /// A row with more or fewer values than columns.
    E_IMPORT_COLUMNS = "E_IMPORT_COLUMNS", 422, PackageErrors,
        en: ["Values and columns disagree", "This row of `{table}` has {actual} values for {expected} columns; it is left out", "a dump whose `INSERT` names no columns needs its `CREATE TABLE` too"],
        zh: ["值与列数量不符", "`{table}` 的这一行有 {actual} 个值，而列有 {expected} 个，已跳过", "若 `INSERT` 未写列名，导出文件还须包含 `CREATE TABLE`"];
    /// A plugin that is here already and stays as it is.
    W_IMPORT_EXISTS = "W_IMPORT_EXISTS", 422, PackageErrors,
        en: ["Already here", "`{fskey}` is here already and stays as it is", "replace it with `--existing replace`"],
        zh: ["已存在", "`{fskey}` 已存在，保持不变", "如需替换，请使用 `--existing replace`"];
    /// A plugin whose package is installed here: what its manifest says stays.
    W_IMPORT_PACKAGED = "W_IMPORT_PACKAGED", 422, PackageErrors,
        en: ["Installed here", "`{fskey}` is installed here as a package: only its host and upgrade code were taken over", "`plugyard upgrade` brings another version, `plugyard web activate` enables it"],
        zh: ["已在此安装", "`{fskey}` 已作为插件包安装于此：仅接管其主机与升级码", "更换版本请用 `plugyard upgrade`，启用请用 `plugyard web activate`"];
    /// A dump without a single row of the tables that are taken over.
    E_IMPORT_EMPTY = "E_IMPORT_EMPTY", 422, PackageErrors,
        en: ["Nothing to take over", "The dump has no row of `plugins`, `plugin_usages`, `apps` or `app_usages`[[; its tables are {tables}]]", "is it the right file, and were these tables exported with their rows?"],
        zh: ["没有可接管的内容", "转储中没有 `plugins`、`plugin_usages`、`apps` 或 `app_usages` 的任何行[[；其中的表为 {tables}]]", "文件是否正确？这些表是否连同数据一起导出？"];
    /// A column that could not be kept.
    W_IMPORT_DROPPED = "W_IMPORT_DROPPED", 422, PackageErrors,
        en: ["Value left out", "`{field}` of `{fskey}` is left out: {@reason}", "set it by hand afterwards, if it is still needed"],
        zh: ["值已舍弃", "`{fskey}` 的 `{field}` 已舍弃：{@reason}", "如仍需要，请在导入后手工设置"];
}
