//! Codes of packages as archives, and of the JSON documents in them.

super::codes! {
    /// The bytes are not a zip archive.
    ARCHIVE_NOT_ZIP = "archive_not_zip", 422, PackageErrors,
        en: ["Not a zip archive", "This is not a zip archive", "pack a directory with `plugyard pack <dir>`"],
        zh: ["不是 zip 归档", "这不是 zip 归档", "用 `plugyard pack <dir>` 打包目录"];
    /// A zip archive of which a part is missing or cannot be read.
    ARCHIVE_DAMAGED = "archive_damaged", 422, PackageErrors,
        en: ["Archive damaged", "The archive is damaged or cut off: the {part} at byte {offset} cannot be read", "make the archive again, and check that it was transferred whole"],
        zh: ["归档损坏", "归档已损坏或被截断：无法读取字节 {offset} 处的 {part}", "请重新制作归档，并检查是否完整传输"];
    /// More than one record could be the end of the archive: readers would not agree on what is in it.
    ARCHIVE_END_AMBIGUOUS = "archive_end_ambiguous", 422, PackageErrors,
        en: ["Archive end is ambiguous", "More than one record could be the end of the archive, so programs would not agree on what is in it", "make the archive again, without a comment"],
        zh: ["归档结尾不唯一", "有多个记录可被视为归档结尾，不同程序读出的内容会不一致", "请重新制作归档，且不要带注释"];
    /// The archive is a part of a set on several disks.
    ARCHIVE_MULTI_DISK = "archive_multi_disk", 422, PackageErrors,
        en: ["Archive of several parts", "The archive is one part of a split archive", "make one archive that is not split"],
        zh: ["分卷归档", "此归档是分卷归档的一部分", "请制作不分卷的单个归档"];
    /// Bytes stand before the first entry.
    ARCHIVE_PREFIX_DATA = "archive_prefix_data", 422, PackageErrors,
        en: ["Data before the archive", "{bytes} bytes stand before the first entry", "make the archive again: nothing may stand before it"],
        zh: ["归档前有多余数据", "第一个条目之前有 {bytes} 个字节", "请重新制作归档：其前面不得有任何内容"];
    /// Bytes stand behind the end of the archive.
    ARCHIVE_TRAILING_DATA = "archive_trailing_data", 422, PackageErrors,
        en: ["Data behind the archive", "{bytes} bytes stand behind the end of the archive", "make the archive again: nothing may stand behind it"],
        zh: ["归档后有多余数据", "归档结尾之后有 {bytes} 个字节", "请重新制作归档：其后面不得有任何内容"];
    /// Bytes between entries that belong to none of them.
    ARCHIVE_STRAY_BYTES = "archive_stray_bytes", 422, PackageErrors,
        en: ["Hidden data in the archive", "{bytes} bytes at byte {offset} belong to no entry", "make the archive again instead of editing it"],
        zh: ["归档中有隐藏数据", "字节 {offset} 处的 {bytes} 个字节不属于任何条目", "请重新制作归档，不要在原归档上修改"];
    /// Two entries share bytes of the archive.
    ARCHIVE_OVERLAP = "archive_overlap", 422, PackageErrors,
        en: ["Entries overlap", "The entry shares bytes of the archive with `{other}`", "make the archive again"],
        zh: ["条目重叠", "该条目与 `{other}` 占用归档中的相同字节", "请重新制作归档"];
    /// The central directory and the entry's own header say different things.
    ARCHIVE_HEADER_MISMATCH = "archive_header_mismatch", 422, PackageErrors,
        en: ["Headers disagree", "The archive's directory and the entry itself disagree: {field} is {central} in one and {local} in the other", "make the archive again"],
        zh: ["头信息不一致", "归档目录与条目自身的头信息不一致：{field} 在目录中为 {central}，在条目中为 {local}", "请重新制作归档"];
    /// A name that begins at the root of a file system.
    ARCHIVE_NAME_ABSOLUTE = "archive_name_absolute", 422, PackageErrors,
        en: ["Absolute name", "The name is absolute: path escapes from parent", "pack with names relative to the plugin's directory"],
        zh: ["绝对路径", "名称是绝对路径（path escapes from parent）", "打包时请使用相对于插件目录的名称"];
    /// A name that begins with a drive letter.
    ARCHIVE_NAME_DRIVE = "archive_name_drive", 422, PackageErrors,
        en: ["Drive letter in the name", "The name begins with a drive letter: path escapes from parent", "pack with names relative to the plugin's directory"],
        zh: ["名称含盘符", "名称以盘符开头（path escapes from parent）", "打包时请使用相对于插件目录的名称"];
    /// A name with `..` in it, wherever it would lead.
    ARCHIVE_NAME_TRAVERSAL = "archive_name_traversal", 422, PackageErrors,
        en: ["Name leads upwards", "The name has a `..` in it: path escapes from parent", "pack with names relative to the plugin's directory"],
        zh: ["名称指向上级目录", "名称中含有 `..`（path escapes from parent）", "打包时请使用相对于插件目录的名称"];
    /// A backslash in a name.
    ARCHIVE_NAME_BACKSLASH = "archive_name_backslash", 422, PackageErrors,
        en: ["Backslash in the name", "The name has a backslash in it", "make the archive again with `/` between directories"],
        zh: ["名称含反斜杠", "名称中含有反斜杠", "请重新制作归档，并以 `/` 分隔目录"];
    /// NUL or another control character in a name.
    ARCHIVE_NAME_CONTROL = "archive_name_control", 422, PackageErrors,
        en: ["Control character in the name", "The name has the control character {character} in it", "rename the file"],
        zh: ["名称含控制字符", "名称中含有控制字符 {character}", "请重命名该文件"];
    /// A name that is not UTF-8.
    ARCHIVE_NAME_ENCODING = "archive_name_encoding", 422, PackageErrors,
        en: ["Name is not UTF-8", "The name is not written in UTF-8", "make the archive again with UTF-8 names; old Windows programs write them in the local code page, such as GBK"],
        zh: ["名称不是 UTF-8", "名称不是 UTF-8 编码", "请以 UTF-8 名称重新制作归档；旧的 Windows 程序会使用本地代码页（如 GBK）"];
    /// Names in a code page that the archive does not tell and that only one fits.
    ARCHIVE_NAME_DECODED = "archive_name_decoded", 422, PackageErrors,
        en: ["Name read in a code page", "The archive does not say how its names are written; {count} of them were read as {encoding} and are kept in UTF-8", "make the archive again with UTF-8 names"],
        zh: ["名称按代码页读取", "归档未说明名称的编码；其中 {count} 个按 {encoding} 读取，并以 UTF-8 保存", "请以 UTF-8 名称重新制作归档"];
    /// Names in a code page that the archive does not tell and that may be one of two.
    ARCHIVE_NAME_AMBIGUOUS = "archive_name_ambiguous", 422, PackageErrors,
        en: ["Name read perhaps wrongly", "The archive does not say how its names are written; {count} of them were read as {encoding} and are kept in UTF-8; as {other_encoding} this one would be `{other}`", "compare the names, or make the archive again with UTF-8 names"],
        zh: ["名称可能读错", "归档未说明名称的编码；其中 {count} 个按 {encoding} 读取，并以 UTF-8 保存；若按 {other_encoding} 读取，此名称为 `{other}`", "请核对名称，或以 UTF-8 名称重新制作归档"];
    /// An empty name.
    ARCHIVE_NAME_EMPTY = "archive_name_empty", 422, PackageErrors,
        en: ["Empty name", "The entry {index} has no name", "make the archive again"],
        zh: ["名称为空", "第 {index} 个条目没有名称", "请重新制作归档"];
    /// A name, or one directory in it, that is too long.
    ARCHIVE_NAME_TOO_LONG = "archive_name_too_long", 422, PackageErrors,
        en: ["Name too long", "The name has a part of {length} bytes where {limit} are allowed", "shorten the name"],
        zh: ["名称过长", "名称中有一部分长 {length} 字节，上限为 {limit}", "请缩短名称"];
    /// Too many directories inside each other.
    ARCHIVE_NAME_TOO_DEEP = "archive_name_too_deep", 422, PackageErrors,
        en: ["Directories too deep", "The name is {depth} levels deep where {limit} are allowed", "move the file further up"],
        zh: ["目录层级过深", "名称有 {depth} 层，上限为 {limit}", "请将文件移到更浅的目录"];
    /// A symbolic or hard link.
    ARCHIVE_LINK = "archive_link", 422, PackageErrors,
        en: ["Link in the package", "The entry is a link; packages hold only files and directories", "put the file itself in its place, as `zip -r` without `-y` does"],
        zh: ["包内含链接", "该条目是链接；插件包只能包含文件和目录", "请放入文件本身，例如用不带 `-y` 的 `zip -r`"];
    /// A device, pipe, socket or another entry that is neither file nor directory.
    ARCHIVE_SPECIAL_FILE = "archive_special_file", 422, PackageErrors,
        en: ["Special file in the package", "The entry is neither a file nor a directory", "leave it out of the package"],
        zh: ["包内含特殊文件", "该条目既不是文件也不是目录", "请勿将其放入插件包"];
    /// An entry that is a file by one mark and a directory by another, or a directory with content.
    ARCHIVE_TYPE_CONFLICT = "archive_type_conflict", 422, PackageErrors,
        en: ["File or directory unclear", "The entry is a directory by one mark and a file by another", "make the archive again"],
        zh: ["文件与目录标记矛盾", "该条目按一处标记是目录，按另一处标记是文件", "请重新制作归档"];
    /// Two entries of the same name.
    ARCHIVE_DUPLICATE = "archive_duplicate", 422, PackageErrors,
        en: ["Name occurs twice", "The name occurs more than once in the archive", "make the archive again with each name once"],
        zh: ["名称重复", "该名称在归档中出现多次", "请重新制作归档，每个名称只出现一次"];
    /// Two names that are the same text in different Unicode forms.
    ARCHIVE_DUPLICATE_UNICODE = "archive_duplicate_unicode", 422, PackageErrors,
        en: ["Names are the same text", "The name is the same text as `{other}` in another Unicode form", "rename one of them"],
        zh: ["名称实为同一文本", "该名称与 `{other}` 是同一文本的不同 Unicode 形式", "请重命名其中之一"];
    /// Two names that differ only in upper and lower case.
    ARCHIVE_CASE_COLLISION = "archive_case_collision", 422, PackageErrors,
        en: ["Names differ only in case", "The name differs from `{other}` only in upper and lower case", "rename one of them: some file systems cannot hold both"],
        zh: ["名称仅大小写不同", "该名称与 `{other}` 仅大小写不同", "请重命名其中之一：某些文件系统无法同时保存两者"];
    /// A file stands where another entry needs a directory.
    ARCHIVE_FILE_AS_DIRECTORY = "archive_file_as_directory", 422, PackageErrors,
        en: ["File in place of a directory", "The entry would lie below `{other}`, which is a file", "make the archive again"],
        zh: ["文件占用目录位置", "该条目位于 `{other}` 之下，而后者是文件", "请重新制作归档"];
    /// An encrypted entry.
    ARCHIVE_ENCRYPTED = "archive_encrypted", 422, PackageErrors,
        en: ["Entry is encrypted", "The entry is encrypted", "make the archive without a password"],
        zh: ["条目已加密", "该条目已加密", "请制作不带密码的归档"];
    /// A compression method other than stored and deflate.
    ARCHIVE_METHOD_UNSUPPORTED = "archive_method_unsupported", 422, PackageErrors,
        en: ["Compression not supported", "The entry is compressed by method {method}; only stored (0) and deflate (8) are read", "make the archive with deflate, the default of most programs"],
        zh: ["不支持的压缩方法", "该条目使用压缩方法 {method}；仅支持 stored (0) 与 deflate (8)", "请用 deflate 制作归档（多数程序的默认方法）"];
    /// The content has another size than declared.
    ARCHIVE_SIZE_MISMATCH = "archive_size_mismatch", 422, PackageErrors,
        en: ["Size disagrees", "The content is not of the declared {size} bytes", "make the archive again"],
        zh: ["大小不符", "内容大小与声明的 {size} 字节不符", "请重新制作归档"];
    /// The content has another checksum than declared.
    ARCHIVE_CHECKSUM_MISMATCH = "archive_checksum_mismatch", 422, PackageErrors,
        en: ["Checksum disagrees", "The content's checksum is {actual} instead of {declared}", "the archive was damaged: make or fetch it again"],
        zh: ["校验和不符", "内容的校验和为 {actual}，而声明为 {declared}", "归档已损坏：请重新制作或下载"];
    /// Compressed data that cannot be expanded.
    ARCHIVE_DATA_CORRUPT = "archive_data_corrupt", 422, PackageErrors,
        en: ["Content cannot be expanded", "The compressed content cannot be expanded", "the archive was damaged: make or fetch it again"],
        zh: ["内容无法解压", "压缩内容无法解压", "归档已损坏：请重新制作或下载"];
    /// More entries than allowed.
    ARCHIVE_TOO_MANY_ENTRIES = "archive_too_many_entries", 422, PackageErrors,
        en: ["Too many entries", "The package has {count} entries where {limit} are allowed", "leave out what is not needed at run time"],
        zh: ["条目过多", "插件包有 {count} 个条目，上限为 {limit}", "请去掉运行时不需要的文件"];
    /// The archive's directory is larger than allowed.
    ARCHIVE_DIRECTORY_TOO_LARGE = "archive_directory_too_large", 422, PackageErrors,
        en: ["Archive directory too large", "The archive's directory takes {size} bytes where {limit} are allowed", "leave out what is not needed at run time, and comments"],
        zh: ["归档目录过大", "归档目录占 {size} 字节，上限为 {limit}", "请去掉运行时不需要的文件和注释"];
    /// All entries together are larger than allowed.
    ARCHIVE_TOTAL_TOO_LARGE = "archive_total_too_large", 422, PackageErrors,
        en: ["Package too large", "The package unpacks to {size} bytes where {limit} are allowed", "leave out what is not needed at run time"],
        zh: ["插件包过大", "插件包解压后为 {size} 字节，上限为 {limit}", "请去掉运行时不需要的文件"];
    /// One entry is larger than allowed.
    ARCHIVE_ENTRY_TOO_LARGE = "archive_entry_too_large", 422, PackageErrors,
        en: ["File too large", "The file has {size} bytes where {limit} are allowed", "leave it out, or let the plugin fetch it"],
        zh: ["文件过大", "文件有 {size} 字节，上限为 {limit}", "请去掉该文件，或由插件自行获取"];
    /// Compressed more than honest content is: an archive that grows out of proportion.
    ARCHIVE_RATIO = "archive_ratio", 422, PackageErrors,
        en: ["Compressed out of proportion", "The content expands more than {limit} times, from {packed} to {size} bytes", "leave out files that are nearly all the same byte"],
        zh: ["压缩比异常", "内容解压后扩大超过 {limit} 倍，从 {packed} 字节变为 {size} 字节", "请去掉内容几乎全为同一字节的文件"];
    /// There are more findings of one code than are shown.
    ARCHIVE_FINDINGS_OMITTED = "archive_findings_omitted", 422, PackageErrors,
        en: ["More of the same", "{count} more findings of `{code}` are not shown", "mend those that are shown, and check again"],
        zh: ["还有同类问题", "另有 {count} 个 `{code}` 类问题未显示", "请先修复已显示的问题，再次检查"];
    /// The package, or a part of it, cannot be read from disk.
    ARCHIVE_UNREADABLE = "archive_unreadable", 422, PackageErrors,
        en: ["Package cannot be read", "It cannot be read: {reason}", "is the file there and readable, and was it copied whole?"],
        zh: ["无法读取插件包", "无法读取：{reason}", "文件是否存在、可读且复制完整？"];
    /// An entry that is asked for and does not exist as a file.
    ARCHIVE_ENTRY_NOT_FOUND = "archive_entry_not_found", 422, PackageErrors,
        en: ["No such file in the package", "The package has no file of this name", "add it, or correct its name: case counts"],
        zh: ["包内没有该文件", "插件包中没有此名称的文件", "请添加该文件，或更正名称：区分大小写"];
    /// A JSON document without content.
    JSON_EMPTY = "json_empty", 422, PackageErrors,
        en: ["JSON document is empty", "The JSON document is empty", "write a JSON object into it, or leave the file out"],
        zh: ["JSON 文档为空", "JSON 文档为空", "请写入一个 JSON 对象，或去掉该文件"];
    /// A JSON document that ends inside a value.
    JSON_UNEXPECTED_END = "json_unexpected_end", 422, PackageErrors,
        en: ["JSON ends too early", "The JSON document ends here, inside a value", "look for a missing `\"`, `]` or `}`"],
        zh: ["JSON 提前结束", "JSON 文档在值内部结束", "请检查是否缺少 `\"`、`]` 或 `}`"];
    /// A character that cannot stand where it does.
    JSON_UNEXPECTED_CHARACTER = "json_unexpected_character", 422, PackageErrors,
        en: ["JSON not understood", "`{found}` cannot stand here", "look for a missing comma, colon or `\"` before it; names and texts stand in `\"`"],
        zh: ["JSON 无法理解", "此处不能出现 `{found}`", "请检查其前是否缺少逗号、冒号或 `\"`；名称和文本须用 `\"` 括起"];
    /// A comma before a closing bracket.
    JSON_TRAILING_COMMA = "json_trailing_comma", 422, PackageErrors,
        en: ["Comma before a bracket", "A comma stands before the closing bracket", "remove the comma"],
        zh: ["括号前有多余逗号", "右括号前有多余的逗号", "请删除该逗号"];
    /// Something follows the end of a JSON document.
    JSON_TRAILING_DATA = "json_trailing_data", 422, PackageErrors,
        en: ["Text behind the JSON document", "The JSON document is over here, and something follows", "remove what follows"],
        zh: ["JSON 文档后有多余内容", "JSON 文档到此结束，但其后还有内容", "请删除多余内容"];
    /// A comment in a JSON document.
    JSON_COMMENT = "json_comment", 422, PackageErrors,
        en: ["Comment in JSON", "JSON has no comments", "remove the comment"],
        zh: ["JSON 中有注释", "JSON 不支持注释", "请删除注释"];
    /// A raw control character in a JSON string.
    JSON_CONTROL_CHARACTER = "json_control_character", 422, PackageErrors,
        en: ["Control character in a text", "A line break, tab or other control character stands inside a text", "write `\\n` for a line break and `\\t` for a tab; look for a missing `\"`"],
        zh: ["文本含控制字符", "文本中有换行、制表符或其他控制字符", "换行写作 `\\n`，制表符写作 `\\t`；并检查是否缺少 `\"`"];
    /// A backslash sequence that JSON does not have.
    JSON_BAD_ESCAPE = "json_bad_escape", 422, PackageErrors,
        en: ["Unknown escape in a text", "This backslash sequence does not exist in JSON", "write `\\\\` for a backslash"],
        zh: ["未知的转义序列", "JSON 中没有此反斜杠转义序列", "反斜杠请写作 `\\\\`"];
    /// Half of a UTF-16 surrogate pair in a JSON string.
    JSON_LONE_SURROGATE = "json_lone_surrogate", 422, PackageErrors,
        en: ["Half a character", "This escape is one half of a surrogate pair", "write the character itself, in UTF-8"],
        zh: ["不完整的字符", "此转义只是代理对的一半", "请直接以 UTF-8 书写该字符"];
    /// A number that JSON cannot have, such as `01`, `1.` or `+1`.
    JSON_BAD_NUMBER = "json_bad_number", 422, PackageErrors,
        en: ["Malformed number", "This is not a number as JSON writes them", "no leading zeros or plus signs; digits on both sides of the point"],
        zh: ["数字格式错误", "这不是符合 JSON 写法的数字", "不能有前导零或加号；小数点两侧都要有数字"];
    /// A number beyond the range of double precision.
    JSON_NUMBER_RANGE = "json_number_range", 422, PackageErrors,
        en: ["Number out of range", "The number is beyond the range of double precision", "write a number that a double can hold, or a text"],
        zh: ["数字超出范围", "该数字超出双精度范围", "请写入双精度可表示的数值，或使用文本"];
    /// A JSON document that is not UTF-8.
    JSON_NOT_UTF8 = "json_not_utf8", 422, PackageErrors,
        en: ["Not UTF-8", "The document is not UTF-8 from here on", "save the file as UTF-8"],
        zh: ["不是 UTF-8", "文档从此处起不是 UTF-8", "请将文件保存为 UTF-8"];
    /// A JSON document nested deeper than allowed.
    JSON_TOO_DEEP = "json_too_deep", 422, PackageErrors,
        en: ["JSON nested too deep", "The document is nested deeper than {limit} levels", "nest it less deeply"],
        zh: ["JSON 嵌套过深", "文档嵌套超过 {limit} 层", "请减少嵌套层数"];
    /// A JSON document larger than allowed.
    JSON_TOO_LARGE = "json_too_large", 422, PackageErrors,
        en: ["JSON document too large", "The document is larger than {limit} bytes", "make it smaller; nothing a plugin declares needs that much"],
        zh: ["JSON 文档过大", "文档超过 {limit} 字节", "请缩小该文件；插件声明不需要这么多内容"];
    /// A key that an object has twice.
    JSON_DUPLICATE_KEY = "json_duplicate_key", 422, PackageErrors,
        en: ["Key occurs twice", "The key `{key}` stands here again; it is in line {line} already", "keep one of them"],
        zh: ["键重复", "键 `{key}` 在此重复出现；第 {line} 行已有", "请只保留一个"];
    /// A byte order mark before a JSON document.
    JSON_BOM = "json_bom", 422, PackageErrors,
        en: ["Byte order mark", "The document begins with a byte order mark", "save the file as UTF-8 without one"],
        zh: ["字节序标记", "文档以字节序标记开头", "请将文件保存为不带该标记的 UTF-8"];
}
