//! Codes of streams and rules.

super::codes! {
    /// A statement that cannot be read.
    SQL_INVALID = "sql_invalid", 400, Failed,
        en: ["SQL not understood", "The statement cannot be read: {reason}", ""],
        zh: ["SQL 无法理解", "语句无法读取：{reason}", ""];
}
