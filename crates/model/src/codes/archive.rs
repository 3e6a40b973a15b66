//! Codes of packages as archives.

super::codes! {
    /// The bytes are not a zip archive.
    ARCHIVE_NOT_ZIP = "archive_not_zip", 422, PackageErrors,
        en: ["Not a zip archive", "This is not a zip archive: {reason}", "pack a directory with `plugyard pack <dir>`"],
        zh: ["不是 zip 归档", "这不是 zip 归档：{reason}", "用 `plugyard pack <dir>` 打包目录"];
}
