//! Codes of what eKuiper's interface says of configuration keys, uploads and documents of everything. Texts that
//! eKuiper has are eKuiper's in both languages, letter for letter.

super::codes! {
    /// No plugin serves the source or sink whose configuration keys are asked for.
    PORTABLE_KEYS_SYMBOL_UNKNOWN = "portable_keys_symbol_unknown", 400, NotFound,
        en: ["Nothing serves that symbol", "This plugin was not found:{symbol}", "`GET /metadata/sources` and `GET /metadata/sinks` list what there is"],
        zh: ["没有插件提供该符号", "没有找到这个插件：{symbol}", "`GET /metadata/sources` 与 `GET /metadata/sinks` 列出现有符号"];
    /// A configuration key with a name that cannot be one.
    PORTABLE_KEY_NAME = "portable_key_name", 400, Usage,
        en: ["Name of a configuration key", "id '{key}' contains invalid characters: only alphanumeric, hyphens and underscores are allowed", "choose another name"],
        zh: ["配置项名称无效", "id '{key}' 含有无效字符：只允许字母、数字、连字符和下划线", "请换一个名称"];
    /// The properties of a configuration key are no JSON object.
    PORTABLE_KEY_NOT_OBJECT = "portable_key_not_object", 400, Usage,
        en: ["Properties not understood", "Type conversion failed:{symbol}.{reason}", "send a JSON object with the properties"],
        zh: ["属性无法理解", "类型转换错误：{symbol}.{reason}", "请发送由属性组成的 JSON 对象"];
    /// A property was sent as `******`, and there is no earlier value that it could stand for.
    PORTABLE_KEY_MASKED = "portable_key_masked", 400, Usage,
        en: ["Masked value", "`{property}` is masked, and its value is not known here", "send the value itself"],
        zh: ["值被遮盖", "`{property}` 的值被遮盖，此处没有它的原值", "请发送真实的值"];
    /// A symbol has as many configuration keys as it may have.
    PORTABLE_KEYS_TOO_MANY = "portable_keys_too_many", 400, Conflict,
        en: ["Too many configuration keys", "{symbol} would have more than {limit} configuration keys, which is the most", "take some away first"],
        zh: ["配置项过多", "{symbol} 的配置项将超过上限 {limit} 个", "请先删除一些"];
    /// Configuration keys could not be stored.
    PORTABLE_KEY_NOT_WRITTEN = "portable_key_not_written", 400, Failed,
        en: ["Not stored", "Failed to write data to file:{symbol}.{reason}", "look at free space and rights of the home directory"],
        zh: ["未能保存", "数据写入文件失败：{symbol}.{reason}", "请检查主目录的剩余空间与权限"];
    /// Metadata of a symbol without the block `about`, which eKuiper's interface needs.
    PORTABLE_ABOUT_MISSING = "portable_about_missing", 400, NotFound,
        en: ["Metadata without `about`", "not found about of {file}", "the author has to add `about` to the file"],
        zh: ["元数据缺少 `about`", "{file} 中没有 about", "需要作者在该文件中加入 `about`"];
}
