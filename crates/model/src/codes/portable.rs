//! Codes of the kind `portable`. English texts that eKuiper has are eKuiper's, letter for letter.

super::codes! {
    /// The package has no manifest at its root.
    PORTABLE_MANIFEST_MISSING = "portable_manifest_missing", 422, PackageErrors,
        en: ["Manifest missing", "missing or invalid json file {file}, found {count} files in total", "put `{file}` at the root of the package; its name is the plugin's name"],
        zh: ["缺少清单", "缺少或无效的 JSON 文件 {file}，共发现 {count} 个文件", "请在插件包根目录放置 `{file}`；文件名即插件名"];
    /// The package has what another format of plugin has.
    PORTABLE_OTHER_KIND = "portable_other_kind", 422, PackageErrors,
        en: ["Package of another kind", "This looks like a {kind} package: it has `{seen}`", "install it as what it is, with `--kind {kind}`, on a server that has this kind"],
        zh: ["其他类型的插件包", "这看起来是 {kind} 类型的插件包：其中有 `{seen}`", "请在提供该类型的服务器上以 `--kind {kind}` 安装"];
    /// The manifest names another plugin than its file or the request does.
    MANIFEST_NAME_MISMATCH = "manifest_name_mismatch", 422, PackageErrors,
        en: ["Name differs", "invalid plugin, expect name '{expected}' but got '{actual}'", "let `name` equal the manifest's file name without `.json`, or leave it out"],
        zh: ["名称不一致", "插件无效：应为名称 '{expected}'，实际为 '{actual}'", "让 `name` 与清单文件名（不含 `.json`）一致，或省略该项"];
    /// A manifest value has another type than the format says.
    MANIFEST_FIELD_TYPE = "manifest_field_type", 422, PackageErrors,
        en: ["Wrong type", "`{field}` must be {expected}", "give it a value of that type"],
        zh: ["类型错误", "`{field}` 必须是{expected}", "请为其提供该类型的值"];
    /// The manifest does not say in which language the plugin is written.
    PORTABLE_LANGUAGE_MISSING = "portable_language_missing", 422, PackageErrors,
        en: ["Language missing", "invalid plugin, missing language", "add `\"language\": \"python\"` or `\"language\": \"go\"`; `go` is any executable"],
        zh: ["缺少语言", "插件无效：缺少 language", "请加上 `\"language\": \"python\"` 或 `\"language\": \"go\"`；`go` 表示任意可执行文件"];
    /// The manifest does not say what to start.
    PORTABLE_EXECUTABLE_MISSING = "portable_executable_missing", 422, PackageErrors,
        en: ["Executable missing", "invalid plugin, missing executable", "add `executable` with the path of the program in the package"],
        zh: ["缺少可执行文件项", "插件无效：缺少 executable", "请加上 `executable`，值为包内程序的路径"];
    /// The manifest names no symbol.
    PORTABLE_NO_SYMBOLS = "portable_no_symbols", 422, PackageErrors,
        en: ["No symbols", "invalid plugin, must define at lease one source, sink or function", "list what the plugin serves in `sources`, `sinks` or `functions`"],
        zh: ["没有符号", "插件无效：必须至少定义一个 source、sink 或 function", "请在 `sources`、`sinks` 或 `functions` 中列出插件提供的符号"];
    /// A language that plugins cannot be written in.
    PORTABLE_LANGUAGE_UNSUPPORTED = "portable_language_unsupported", 422, PackageErrors,
        en: ["Language not supported", "invalid plugin, language '{language}' is not supported", "`python` runs a script with the interpreter, `go` runs any executable"],
        zh: ["不支持的语言", "插件无效：不支持语言 '{language}'", "`python` 由解释器运行脚本，`go` 直接运行可执行文件"];
    /// The executable that the manifest names is not in the package.
    PORTABLE_EXECUTABLE_ABSENT = "portable_executable_absent", 422, PackageErrors,
        en: ["Executable not in the package", "missing {path}", "write `executable` exactly as the file is called in the package, without `./`"],
        zh: ["包内缺少可执行文件", "缺少 {path}", "`executable` 必须与包内文件名完全一致，不带 `./`"];
    /// The program of a plugin that is started directly may not be executed.
    PORTABLE_EXECUTABLE_MODE = "portable_executable_mode", 422, PackageErrors,
        en: ["Executable cannot be executed", "{path} may not be executed", "`chmod +x` it before it is packed; a zip made on Windows does not keep that, so let `install.sh` do it there"],
        zh: ["可执行文件没有执行权限", "{path} 没有执行权限", "打包前请执行 `chmod +x`；在 Windows 上制作的 zip 不保留此权限，可由 `install.sh` 设置"];
    /// A source without its configuration file.
    PORTABLE_SOURCE_YAML_ABSENT = "portable_source_yaml_absent", 422, PackageErrors,
        en: ["Configuration of a source missing", "missing {path}", "add `{path}`; `default:` alone is enough"],
        zh: ["缺少数据源配置文件", "缺少 {path}", "请添加 `{path}`；仅有 `default:` 一行即可"];
    /// The configuration file of a source cannot be used.
    PORTABLE_SOURCE_YAML_INVALID = "portable_source_yaml_invalid", 422, PackageErrors,
        en: ["Configuration of a source not understood", "The configuration is not a map of maps: {reason}", "write `default:` and, indented below it, one `name: value` per line"],
        zh: ["数据源配置无法理解", "配置不是由映射组成的映射：{reason}", "请写 `default:`，并在其下缩进书写每行一个 `名称: 值`"];
    /// Metadata of a symbol that cannot be read; the plugin works without.
    PORTABLE_METADATA_INVALID = "portable_metadata_invalid", 422, PackageErrors,
        en: ["Metadata not understood", "The metadata cannot be used: {reason}", "mend it or leave the file out; the plugin works without"],
        zh: ["元数据无法理解", "元数据无法使用：{reason}", "请修正或删除该文件；插件没有它也能工作"];
    /// A plugin or symbol name that cannot be a file name, a socket and an SQL identifier at once.
    PORTABLE_NAME_INVALID = "portable_name_invalid", 422, PackageErrors,
        en: ["Name not usable", "`{name}` cannot be a name: only letters, digits, `_` and `-` are allowed, at most {limit} of them", "rename it, also in the plugin's main program"],
        zh: ["名称不可用", "`{name}` 不能作为名称：只允许字母、数字、`_` 和 `-`，最多 {limit} 个字符", "请重命名，并同步修改插件主程序"];
    /// A name for a new plugin that its symbols could not be called after.
    PORTABLE_NEW_NAME = "portable_new_name", 400, Usage,
        en: ["Name not usable for a new plugin", "`{name}` cannot be the name of a new plugin: it begins with a letter and has only letters, digits and `_`, at most {limit} of them", "its functions are called after it, and SQL takes no other characters"],
        zh: ["名称不可用于新插件", "`{name}` 不能作为新插件的名称：须以字母开头，只含字母、数字和 `_`，最多 {limit} 个字符", "其函数以它命名，而 SQL 不接受其他字符"];
    /// A symbol that its own manifest lists twice.
    PORTABLE_SYMBOL_TWICE = "portable_symbol_twice", 422, PackageErrors,
        en: ["Symbol listed twice", "`{name}` stands in `{field}` more than once", "list it once"],
        zh: ["符号重复列出", "`{name}` 在 `{field}` 中出现多次", "请只列出一次"];
    /// A symbol that another plugin serves already (HOST-1).
    PORTABLE_SYMBOL_TAKEN = "portable_symbol_taken", 409, Conflict,
        en: ["Symbol belongs to another plugin", "the {kind} `{symbol}` belongs to the plugin `{owner}` already", "uninstall `{owner}`, or rename the symbol"],
        zh: ["符号属于其他插件", "{kind} `{symbol}` 已属于插件 `{owner}`", "请卸载 `{owner}`，或重命名该符号"];
    /// A virtual environment of a type other than conda.
    PORTABLE_ENVIRONMENT_UNSUPPORTED = "portable_environment_unsupported", 422, PackageErrors,
        en: ["Environment not supported", "unsupported virtual type: {type}", "only `conda` is supported; leave `virtualEnvType` out to use the server's interpreter"],
        zh: ["不支持的虚拟环境", "不支持的虚拟环境类型：{type}", "仅支持 `conda`；省略 `virtualEnvType` 则使用服务器的解释器"];
    /// A conda environment without its name.
    PORTABLE_ENVIRONMENT_UNNAMED = "portable_environment_unnamed", 422, PackageErrors,
        en: ["Environment without a name", "`virtualEnvType` is `conda`, but `env` does not name the environment", "add `env`"],
        zh: ["未指定环境名", "`virtualEnvType` 为 `conda`，但 `env` 未给出环境名", "请添加 `env`"];
    /// A key that the block `plugyard` of a manifest does not have.
    PORTABLE_BLOCK_KEY = "portable_block_key", 422, PackageErrors,
        en: ["Unknown key", "`{key}` is not a key here; known are {known}", "correct or remove it"],
        zh: ["未知的键", "此处没有键 `{key}`；可用的键：{known}", "请更正或删除"];
    /// A value that the block `plugyard` of a manifest does not take.
    PORTABLE_BLOCK_VALUE = "portable_block_value", 422, PackageErrors,
        en: ["Value not usable", "`{field}` cannot be this: {reason}", "correct or remove it"],
        zh: ["值不可用", "`{field}` 不能取此值：{reason}", "请更正或删除"];
    /// `install.sh` of a package failed.
    PORTABLE_INSTALL_SCRIPT_FAILED = "portable_install_script_failed", 422, Failed,
        en: ["install.sh failed", "{reason}", "run the script by hand in the unpacked directory to see more"],
        zh: ["install.sh 失败", "{reason}", "请在解压目录中手动运行该脚本以查看更多信息"];
    /// A plugin's process could not be started or did not shake hands.
    PORTABLE_START_FAILED = "portable_start_failed", 422, Failed,
        en: ["Plugin did not start", "{reason}", "`plugyard logs {plugin}` shows what it wrote"],
        zh: ["插件未能启动", "{reason}", "用 `plugyard logs {plugin}` 查看其输出"];
    /// Plugins have to be kept apart by namespaces, and the host permits none.
    PORTABLE_ISOLATION_DENIED = "portable_isolation_denied", 422, Failed,
        en: ["Host permits no isolation", "This host permits no namespaces for plugins: {reason}", "permit user and mount namespaces (in a container: `CAP_SYS_ADMIN`, or a profile without a ban on `unshare`); or set `portable.isolation` to `auto` or `shared`, with which plugins are kept less apart; `plugyard doctor` says what is missing"],
        zh: ["主机不允许隔离", "该主机不允许为插件创建命名空间：{reason}", "请允许用户与挂载命名空间（容器中：`CAP_SYS_ADMIN`，或不禁止 `unshare` 的配置）；或将 `portable.isolation` 设为 `auto` 或 `shared`，此时插件之间的隔离较弱；`plugyard doctor` 会说明缺少什么"];
    /// A socket name of the SDKs that somebody else has, where plugins share `/tmp`.
    PORTABLE_SOCKET_TAKEN = "portable_socket_taken", 409, Conflict,
        en: ["Socket name in use", "`{path}` cannot be had: {holder}", "stop what uses the name, remove what was left of it, or run the servers where mount namespaces are permitted, with which each plugin has names of its own"],
        zh: ["套接字名称已被占用", "无法使用 `{path}`：{holder}", "请停止占用该名称的程序、删除其残留，或在允许挂载命名空间的环境中运行服务器（此时每个插件有各自的名称）"];
    /// A symbol in use could not be started on the new version.
    PORTABLE_SYMBOL_FAILED = "portable_symbol_failed", 422, Failed,
        en: ["Symbol did not start", "{reason}", "the new version must serve what running rules use, under the same names"],
        zh: ["符号未能启动", "{reason}", "新版本必须以相同名称提供运行中规则所用的符号"];
    /// A file of the plugin could not be written or removed.
    PORTABLE_FILES_FAILED = "portable_files_failed", 500, Failed,
        en: ["Files of the plugin", "{reason}", "look at free space and rights of the home directory"],
        zh: ["插件文件操作失败", "{reason}", "请检查主目录的剩余空间与权限"];
    /// An option of an installation that is unknown or out of its range.
    PORTABLE_OPTION_INVALID = "portable_option_invalid", 422, Usage,
        en: ["Option not usable", "The option `{option}` cannot be used: {reason}", "`plugyard set --help` lists the options"],
        zh: ["选项不可用", "选项 `{option}` 不能使用：{reason}", "`plugyard set --help` 列出所有选项"];
    /// The Python environment of a plugin cannot be made from its requirements.
    PORTABLE_ENVIRONMENT_FAILED = "portable_environment_failed", 422, Failed,
        en: ["Python environment not made", "{reason}", "the operation's log has pip's output; put the wheels into `wheels/` where there is no index, or set `PIP_INDEX_URL` for the server"],
        zh: ["未能创建 Python 环境", "{reason}", "操作日志中有 pip 的输出；没有索引时请将 wheel 放入 `wheels/`，或为服务器设置 `PIP_INDEX_URL`"];
    /// A package with `requirements.txt` that nobody reads.
    PORTABLE_REQUIREMENTS_UNUSED = "portable_requirements_unused", 422, PackageErrors,
        en: ["Requirements not read", "`requirements.txt` is not read, because {reason}", "leave it out, or install what is needed in `install.sh`"],
        zh: ["不会读取依赖文件", "不会读取 `requirements.txt`：{reason}", "请删除该文件，或在 `install.sh` 中安装所需内容"];
    /// A package with wheels that nobody asks for.
    PORTABLE_WHEELS_UNUSED = "portable_wheels_unused", 422, PackageErrors,
        en: ["Wheels not used", "There are wheels and no `requirements.txt` that asks for them", "add `requirements.txt` with the names of the packages"],
        zh: ["未使用的 wheel", "包含 wheel，但没有请求它们的 `requirements.txt`", "请添加 `requirements.txt` 并写入软件包名称"];
    /// A requirement that the package's own wheels do not meet.
    PORTABLE_WHEEL_MISSING = "portable_wheel_missing", 422, PackageErrors,
        en: ["Wheel missing", "`{name}` is asked for, but `wheels/` has no wheel of it; with that directory nothing is fetched", "run `pip download --only-binary :all: -d wheels -r requirements.txt`"],
        zh: ["缺少 wheel", "需要 `{name}`，但 `wheels/` 中没有它的 wheel；有该目录时不会下载任何内容", "请运行 `pip download --only-binary :all: -d wheels -r requirements.txt`"];
    /// A requirement that depends on where it is installed.
    PORTABLE_REQUIREMENT_ELSEWHERE = "portable_requirement_elsewhere", 422, PackageErrors,
        en: ["Requirement may not be met elsewhere", "`{line}`: {reason}", "name the package and its version, e.g. `numpy==2.1.0`"],
        zh: ["依赖在别处可能无法满足", "`{line}`：{reason}", "请写软件包名称和版本，例如 `numpy==2.1.0`"];
    /// A requirement without an exact version.
    PORTABLE_REQUIREMENT_OPEN = "portable_requirement_open", 422, PackageErrors,
        en: ["Version left open", "`{name}` is asked for without an exact version: what is installed depends on the day", "write `{name}==` and the version you tested with"],
        zh: ["未指定确切版本", "请求 `{name}` 时没有确切版本：安装结果取决于当天的索引", "请写 `{name}==` 加上测试时使用的版本"];
    /// The test server for authors cannot begin.
    PORTABLE_DEV_FAILED = "portable_dev_failed", 500, Failed,
        en: ["Test server not started", "{reason}", "one test server at a time can serve a plugin; `--listen` chooses another address"],
        zh: ["测试服务器未启动", "{reason}", "同一插件同时只能有一个测试服务器；可用 `--listen` 选择其他地址"];
}
