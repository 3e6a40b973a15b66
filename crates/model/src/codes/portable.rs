//! Codes of the kind `portable`.

super::codes! {
    /// The manifest names another plugin than its file or the request does.
    MANIFEST_NAME_MISMATCH = "manifest_name_mismatch", 422, PackageErrors,
        en: ["Name differs", "invalid plugin, expect name '{expected}' but got '{actual}'", "let `name` equal the manifest's file name without `.json`, or leave it out"],
        zh: ["名称不一致", "插件无效：应为名称 '{expected}'，实际为 '{actual}'", "让 `name` 与清单文件名（不含 `.json`）一致，或省略该项"];
    /// A manifest value has another type than the format says.
    MANIFEST_FIELD_TYPE = "manifest_field_type", 422, PackageErrors,
        en: ["Wrong type", "`{field}` must be {expected}", ""],
        zh: ["类型错误", "`{field}` 必须是{expected}", ""];
}
