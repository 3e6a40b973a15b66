//! Codes of the kind `app`: names and directories, the security check, and handlers.

super::codes! {
    /// A name that the routes or the layout of `plugins/` need for themselves.
    PLUGIN_NAME_RESERVED = "plugin_name_reserved", 422, PackageErrors,
        en: ["Name reserved", "No plugin can be called `{name}`: the name has a meaning of its own", "rename the directory"],
        zh: ["名称已保留", "插件不能命名为 `{name}`：该名称另有用途", "请重命名目录"];
    /// Two directories whose names differ by case only.
    PLUGIN_NAME_CONFLICT = "plugin_name_conflict", 422, PackageErrors,
        en: ["Names differ by case only", "`{name}` and `{other}` differ by case only", "rename or remove one of the two"],
        zh: ["名称仅大小写不同", "`{name}` 与 `{other}` 仅大小写不同", "请重命名或移除其中之一"];
    /// A directory's name that no plugin can have.
    APP_NAME_INVALID = "app_name_invalid", 422, PackageErrors,
        en: ["Name not usable", "`{name}` cannot be a plugin's name: a letter, then at most 63 letters, digits, `_` and `-`", "rename the directory"],
        zh: ["名称不可用", "`{name}` 不能作为插件名：须以字母开头，其后最多 63 个字母、数字、`_` 或 `-`", "请重命名目录"];
    /// What `plugyard.app.json` names is not in the package.
    APP_FILE_ABSENT = "app_file_absent", 422, PackageErrors,
        en: ["File not in the package", "`{path}`, which the manifest names, is not in the package", "add the file, or correct the manifest"],
        zh: ["包内缺少文件", "清单中的 `{path}` 不在插件包内", "请添加该文件或更正清单"];
    /// A value of `plugyard.app.json` that cannot be used.
    APP_VALUE_INVALID = "app_value_invalid", 422, PackageErrors,
        en: ["Value not usable", "`{field}` cannot be used: {reason}", "`/docs` says what the route takes"],
        zh: ["值不可用", "`{field}` 不可用：{reason}", "此路由接受的内容见 `/docs`"];

    // Handlers.

    /// The data table that was asked for is none of the plugin's.
    TABLE_UNKNOWN = "table_unknown", 404, NotFound,
        en: ["No such table", "The plugin has no data table `{table}`", "the plugin's own documentation names its tables"],
        zh: ["数据表不存在", "插件没有数据表 `{table}`", "该插件的数据表见其自身文档"];
    /// The plugin's handler did not answer as it should.
    HANDLER_FAILED = "handler_failed", 502, Failed,
        en: ["Handler failed", "The plugin's handler failed: {reason}", "`plugyard logs` shows what it wrote"],
        zh: ["处理程序失败", "插件的处理程序失败：{reason}", "用 `plugyard logs` 查看其输出"];
    /// The plugin's handler took too long.
    HANDLER_TIMEOUT = "handler_timeout", 504, Failed,
        en: ["Handler too slow", "The plugin's handler did not answer within {seconds} s", "`plugyard logs` shows what it wrote"],
        zh: ["处理程序超时", "插件的处理程序未在 {seconds} 秒内响应", "用 `plugyard logs` 查看其输出"];

    // The security check: integrity of files.

    /// A file that belongs to the plugin is not there.
    SECURITY_FILE_MISSING = "security_file_missing", 422, Failed,
        en: ["File missing", "`{file}` is missing", "put the file back, or install the plugin anew"],
        zh: ["缺少文件", "缺少 `{file}`", "请恢复该文件，或重新安装插件"];
    /// A file is not what it was when the plugin was installed, or not what the manifest says.
    SECURITY_HASH_MISMATCH = "security_hash_mismatch", 422, Failed,
        en: ["File changed", "`{file}` is not the file that belongs to the plugin", "upgrade to take the change over, or install the plugin anew"],
        zh: ["文件已改动", "`{file}` 与插件应有的文件不一致", "请通过升级接受改动，或重新安装插件"];
    /// A file that does not belong to the plugin.
    SECURITY_FILE_UNLISTED = "security_file_unlisted", 422, Failed,
        en: ["Foreign file", "`{file}` does not belong to the plugin", "remove it, or upgrade to take it over"],
        zh: ["多余文件", "`{file}` 不属于该插件", "请移除该文件，或通过升级接受"];
    /// A link that leads out of the plugin's directory.
    SECURITY_LINK_ESCAPES = "security_link_escapes", 422, Failed,
        en: ["Link out of the directory", "`{file}` is a link that leads out of the plugin's directory", "replace it by what it points to"],
        zh: ["链接指向目录之外", "`{file}` 是指向插件目录之外的链接", "请替换为其所指内容"];
    /// A directory or file that cannot be read.
    SECURITY_UNREADABLE = "security_unreadable", 422, Failed,
        en: ["Not readable", "`{file}` cannot be read: {reason}", "check the file's permissions, and pack the plugin again"],
        zh: ["无法读取", "`{file}` 无法读取：{reason}", "请检查该文件的权限，并重新打包插件"];
    /// A name that is no UTF-8 or could leave the directory.
    SECURITY_NAME_UNSAFE = "security_name_unsafe", 422, Failed,
        en: ["Unsafe name", "`{file}` is not a name that a plugin's file may have", "rename it"],
        zh: ["文件名不安全", "`{file}` 不能作为插件文件名", "请重命名"];
    /// A program that the manifest does not name.
    SECURITY_PROGRAM_UNDECLARED = "security_program_undeclared", 422, Failed,
        en: ["Program not declared", "`{file}` is a program that the manifest does not name as entry point", "name it in the manifest, or leave it out of the package"],
        zh: ["未声明的可执行文件", "`{file}` 是清单未声明为入口的可执行文件", "请在清单中声明它，或从插件包中去掉"];
    /// A file above 10 MiB.
    SECURITY_FILE_LARGE = "security_file_large", 422, Failed,
        en: ["Large file", "`{file}` has {size} bytes", "leave out what the plugin does not need"],
        zh: ["文件较大", "`{file}` 有 {size} 字节", "请去掉插件不需要的内容"];
    /// There is nothing to compare the files with.
    SECURITY_MANIFEST_ABSENT = "security_manifest_absent", 422, Failed,
        en: ["Nothing to compare with", "The plugin is not installed and lists no files, so there is nothing to compare its files with", "install it, or list `files` in `plugyard.app.json`"],
        zh: ["没有可供比对的清单", "插件未安装且未列出文件，无法比对其文件", "请安装插件，或在 `plugyard.app.json` 中列出 `files`"];
    /// A hidden file.
    SECURITY_FILE_HIDDEN = "security_file_hidden", 422, Failed,
        en: ["Hidden file", "`{file}` is hidden", "leave it out of the package, or give it a name without a dot in front"],
        zh: ["隐藏文件", "`{file}` 是隐藏文件", "请从插件包中去掉它，或改用不以点开头的名称"];

    // Code.

    /// Source code that starts other programs.
    SECURITY_PROCESS_EXECUTION = "security_process_execution", 422, Failed,
        en: ["Starts other programs", "`{call}` starts another program", "remove it"],
        zh: ["执行外部程序", "`{call}` 会执行外部程序", "请移除"];
    /// Source code that makes code of texts.
    SECURITY_DYNAMIC_EVALUATION = "security_dynamic_evaluation", 422, Failed,
        en: ["Runs text as code", "`{call}` runs text as code", "remove it"],
        zh: ["将文本作为代码执行", "`{call}` 会将文本作为代码执行", "请移除"];
    /// Source code that reads the whole environment.
    SECURITY_ENVIRONMENT_DUMP = "security_environment_dump", 422, Failed,
        en: ["Reads the whole environment", "`{call}` gives the whole environment, secrets of others included", "read single variables by name"],
        zh: ["读取全部环境变量", "`{call}` 会取得全部环境变量，包括他人的机密", "请按名称读取单个变量"];
    /// A file that is known to be malicious.
    SECURITY_KNOWN_BAD = "security_known_bad", 422, Failed,
        en: ["Known to be malicious", "`{file}` is known to be malicious", "remove the plugin"],
        zh: ["已知恶意文件", "`{file}` 是已知的恶意文件", "请移除该插件"];
    /// Source code that decodes a text and runs it.
    SECURITY_DECODE_AND_RUN = "security_decode_and_run", 422, Failed,
        en: ["Decodes and runs", "`{call}` runs what `{inner}` decoded", "write the code out"],
        zh: ["解码后执行", "`{call}` 会执行 `{inner}` 解码的内容", "请直接写出代码"];
    /// Source code that calls what a variable names.
    SECURITY_VARIABLE_CALL = "security_variable_call", 422, Failed,
        en: ["Calls what a variable names", "`{call}` calls whatever the variable names", "call what is meant by its name"],
        zh: ["调用变量所指函数", "`{call}` 会调用变量所指的函数", "请直接以名称调用目标"];
    /// Source code that reaches the network without the permission for it.
    SECURITY_NETWORK_UNDECLARED = "security_network_undeclared", 422, Failed,
        en: ["Network not declared", "`{call}` reaches the network, for which the manifest declares no permission", "add `network` to `permissions`"],
        zh: ["未声明网络权限", "`{call}` 会访问网络，但清单未声明该权限", "请在 `permissions` 中加入 `network`"];
    /// A source file above 1 MiB, which is not looked into.
    SECURITY_SOURCE_LARGE = "security_source_large", 422, Failed,
        en: ["Very large source file", "`{file}` has {size} bytes of source code", "split it; it was not looked into"],
        zh: ["源文件过大", "`{file}` 有 {size} 字节源代码", "请拆分；该文件未被检查"];
    /// Source code with a secret in it.
    SECURITY_SECRET_WRITTEN = "security_secret_written", 422, Failed,
        en: ["Secret in the code", "`{name}` looks like a secret that is written into the code", "make it a field of type `password`"],
        zh: ["代码中含有机密", "`{name}` 看起来是写入代码的机密", "请改为 `password` 类型的字段"];
    /// The check took too long and is not complete.
    SECURITY_TIME_OUT = "security_time_out", 422, Failed,
        en: ["Check not complete", "The check was ended after {seconds} s, before `{file}`", "remove what does not belong to the plugin"],
        zh: ["检查未完成", "检查在 {seconds} 秒后终止，未检查 `{file}`", "请移除不属于插件的内容"];
    /// Source code that cannot be parsed.
    SECURITY_SYNTAX = "security_syntax", 422, Failed,
        en: ["Syntax error", "`{file}` cannot be parsed as {language} from here on", "correct the file; what cannot be parsed cannot be checked"],
        zh: ["语法错误", "`{file}` 从此处起无法按 {language} 解析", "请修正该文件；无法解析的内容无法检查"];

    // Permissions.

    /// A file that everybody on the machine may write.
    SECURITY_WORLD_WRITABLE = "security_world_writable", 422, Failed,
        en: ["Writable by everybody", "`{file}` can be changed by everybody on this machine", "`chmod o-w` it"],
        zh: ["所有人可写", "本机任何人都能修改 `{file}`", "请执行 `chmod o-w`"];
    /// A file that runs as its owner or group.
    SECURITY_SET_ID = "security_set_id", 422, Failed,
        en: ["Runs as its owner", "`{file}` has the set-user or set-group bit", "`chmod ug-s` it"],
        zh: ["以所有者身份运行", "`{file}` 设置了 set-uid 或 set-gid 位", "请执行 `chmod ug-s`"];
    /// A name that the operator does not let in.
    SECURITY_NAME_DENIED = "security_name_denied", 422, Failed,
        en: ["Name not let in", "The name `{name}` is on the operator's list of names that are not let in", "rename the plugin, or ask the operator to take the name off the list"],
        zh: ["名称被禁止", "名称 `{name}` 在运营者的禁止列表中", "请更换插件名，或请运维人员将该名称移出名单"];
    /// A permission that does not exist.
    SECURITY_PERMISSION_UNKNOWN = "security_permission_unknown", 422, Failed,
        en: ["Unknown permission", "There is no permission `{permission}`", "known are {known}"],
        zh: ["未知权限", "没有权限 `{permission}`", "可用的权限：{known}"];
    /// A permission that the operator does not give.
    SECURITY_PERMISSION_DENIED = "security_permission_denied", 422, Failed,
        en: ["Permission not given", "The operator does not give the permission `{permission}`", "`app.permissions` lists those that are given"],
        zh: ["权限未授予", "运营者未授予权限 `{permission}`", "`app.permissions` 列出已授予的权限"];
    /// A permission that nothing in the code needs.
    SECURITY_PERMISSION_UNUSED = "security_permission_unused", 422, Failed,
        en: ["Permission not used", "Nothing in the code needs the declared permission `{permission}`", "leave it out"],
        zh: ["权限未使用", "代码中没有任何内容需要已声明的权限 `{permission}`", "请移除"];
    /// A description above 1000 characters.
    SECURITY_DESCRIPTION_LONG = "security_description_long", 422, Failed,
        en: ["Long description", "The description has {actual} characters", "1000 are enough"],
        zh: ["描述过长", "描述有 {actual} 个字符", "请控制在 1000 个字符以内"];
}
