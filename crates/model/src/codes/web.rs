//! Codes of web plugins: their manifests, records and usages. Findings keep the spelling of the Fresns table
//! documentation's users (`E_…`, `W_…`).

super::codes! {
    /// What is neither an address, nor a file or directory, nor an fskey.
    E_SOURCE_UNKNOWN = "E_SOURCE_UNKNOWN", 422, Usage,
        en: ["Unknown source", "`{source}` is no address, no file or directory, and no fskey", "say which it is with `--from market`, `--from local` or `--from url`"],
        zh: ["来源未知", "`{source}` 既不是地址，也不是文件或目录，也不是 fskey", "请用 `--from market`、`--from local` 或 `--from url` 指明"];
    /// An fskey that is no word in Pascal case.
    E_FSKEY_FORMAT = "E_FSKEY_FORMAT", 422, PackageErrors,
        en: ["Malformed fskey", "`{value}` is no fskey: a capital letter, then up to 63 letters and digits", "[[use `{suggestion}`]]"],
        zh: ["fskey 格式错误", "`{value}` 不是 fskey：须以大写字母开头，后接至多 63 个字母或数字", "[[请使用 `{suggestion}`]]"];
    /// An fskey that is the main program's, a built-in content type's, or no directory name everywhere.
    E_FSKEY_RESERVED = "E_FSKEY_RESERVED", 422, PackageErrors,
        en: ["Reserved fskey", "The fskey `{value}` is reserved", "choose another fskey"],
        zh: ["fskey 已被保留", "fskey `{value}` 是保留名称", "请选择其他 fskey"];
    /// The package is of another plugin than the one it was asked for.
    E_FSKEY_MISMATCH = "E_FSKEY_MISMATCH", 422, PackageErrors,
        en: ["Another plugin's package", "The package is `{actual}`, not `{expected}`", "install it as `{actual}`"],
        zh: ["插件包与插件不符", "该插件包属于 `{actual}`，而不是 `{expected}`", "请以 `{actual}` 安装"];
    /// A `type` that is none.
    E_TYPE_RANGE = "E_TYPE_RANGE", 422, PackageErrors,
        en: ["Unknown type", "`{field}` is {value}; it is one of {allowed}", "[[a theme has a `{manifest}` instead]]"],
        zh: ["未知类型", "`{field}` 的值为 {value}，应为 {allowed} 之一", "[[主题应使用 `{manifest}`]]"];
    /// A type that does not go with `isStandalone`.
    E_TYPE_STANDALONE_MISMATCH = "E_TYPE_STANDALONE_MISMATCH", 422, PackageErrors,
        en: ["Type and isStandalone disagree", "A plugin of type {type} has `isStandalone` {expected}", "set `isStandalone` to {expected}, or leave it out"],
        zh: ["类型与 isStandalone 不符", "类型 {type} 的插件，`isStandalone` 应为 {expected}", "将 `isStandalone` 设为 {expected}，或删去该键"];
    /// A version that is not semantic.
    E_VERSION_FORMAT = "E_VERSION_FORMAT", 422, PackageErrors,
        en: ["Malformed version", "`{value}` is no version: it has the form MAJOR.MINOR.PATCH", "write it like `1.0.0`"],
        zh: ["版本格式错误", "`{value}` 不是版本号：形式应为“主版本.次版本.修订号”", "请写成 `1.0.0` 的形式"];
    /// A version longer than the column.
    E_VERSION_LENGTH = "E_VERSION_LENGTH", 422, PackageErrors,
        en: ["Version too long", "The version has {actual} characters; at most {limit} fit", "shorten the pre-release or build part"],
        zh: ["版本号过长", "版本号有 {actual} 个字符，最多 {limit} 个", "请缩短预发布或构建部分"];
    /// A `scene` that is no list of words.
    E_SCENE_FORMAT = "E_SCENE_FORMAT", 422, PackageErrors,
        en: ["Malformed scene", "`scene` is a list of at most {limit} words such as `extendEditor`", ""],
        zh: ["scene 格式错误", "`scene` 是至多 {limit} 个单词组成的列表，例如 `extendEditor`", ""];
    /// A host without `http://` or `https://` in front, in lower case.
    E_HOST_SCHEME = "E_HOST_SCHEME", 422, PackageErrors,
        en: ["Host without scheme", "`{value}` does not begin with `http://` or `https://`", "write it like `https://plugins.example.net`, the scheme in lower case"],
        zh: ["主机缺少协议", "`{value}` 不以 `http://` 或 `https://` 开头", "请写成 `https://plugins.example.net` 的形式，协议名小写"];
    /// A host that ends with a slash.
    E_HOST_TRAILING_SLASH = "E_HOST_TRAILING_SLASH", 422, PackageErrors,
        en: ["Host ends with a slash", "`{value}` ends with `/`", "remove the slash at the end"],
        zh: ["主机以斜杠结尾", "`{value}` 以 `/` 结尾", "请去掉末尾的斜杠"];
    /// A host that is no origin with an optional path in front of pages.
    E_HOST_FORMAT = "E_HOST_FORMAT", 422, PackageErrors,
        en: ["Malformed host", "`{value}` cannot be the address that pages are attached to: it has a user, a query, a fragment, braces, a space or a port that is none", "write it like `https://plugins.example.net`"],
        zh: ["主机格式错误", "`{value}` 不能作为页面的基础地址：含有用户信息、查询、片段、大括号、空格或无效端口", "请写成 `https://plugins.example.net` 的形式"];
    /// A path that begins with a scheme.
    E_PATH_ABSOLUTE = "E_PATH_ABSOLUTE", 422, PackageErrors,
        en: ["Path with a scheme", "`{value}` begins with a scheme; a path is relative to the plugin's host", "begin with `/`"],
        zh: ["路径带有协议", "`{value}` 以协议开头；路径应相对于插件主机", "请以 `/` 开头"];
    /// A path with a space, backslash or control character.
    E_PATH_CHARS = "E_PATH_CHARS", 422, PackageErrors,
        en: ["Character not allowed in a path", "The path contains {character}", "percent-encode it"],
        zh: ["路径含有不允许的字符", "路径中含有 {character}", "请使用百分号编码"];
    /// A path with `.` or `..` as a segment.
    E_PATH_DOTS = "E_PATH_DOTS", 422, PackageErrors,
        en: ["Path with dots", "`{value}` has a `.` or `..` segment", "write the path without it"],
        zh: ["路径含有点段", "`{value}` 含有 `.` 或 `..` 段", "请写出不含点段的路径"];
    /// Braces in a path that are no variable.
    E_PATH_BRACES = "E_PATH_BRACES", 422, PackageErrors,
        en: ["Braces without a variable", "The braces in `{value}` enclose no variable", "a variable is a letter, then up to 31 letters and digits, in braces"],
        zh: ["大括号中没有变量", "`{value}` 中的大括号内不是变量", "变量是放在大括号内、以字母开头、至多 32 个字母或数字的名称"];
    /// A path longer than the setting allows.
    E_ACCESS_PATH_LENGTH = "E_ACCESS_PATH_LENGTH", 422, PackageErrors,
        en: ["Path too long", "The path[[ `{field}` of `{fskey}`]] has {actual} characters; at most {limit} are allowed", "shorten it, or raise `plugins.access_path_max` (up to 255)"],
        zh: ["路径过长", "[[`{fskey}` 的 `{field}` ]]路径有 {actual} 个字符，最多允许 {limit} 个", "请缩短路径，或调高 `plugins.access_path_max`（至多 255）"];
    /// A text of a length that its column does not take.
    E_FIELD_LENGTH = "E_FIELD_LENGTH", 422, PackageErrors,
        en: ["Wrong length", "`{field}` has {actual} characters; it takes {min} to {limit}", ""],
        zh: ["长度不符", "`{field}` 有 {actual} 个字符，应为 {min} 到 {limit} 个", ""];
    /// A text, or a value of another type, that its column does not take.
    E_FIELD_FORMAT = "E_FIELD_FORMAT", 422, PackageErrors,
        en: ["Value not accepted", "`{field}` is {@expected}", ""],
        zh: ["值不被接受", "`{field}` 应为{@expected}", ""];
    /// A mandatory key that is not there.
    E_FIELD_REQUIRED = "E_FIELD_REQUIRED", 422, PackageErrors,
        en: ["Key missing", "The key `{field}` is missing", "add `\"{field}\"`"],
        zh: ["缺少键", "缺少键 `{field}`", "请添加 `\"{field}\"`"];
    /// A manifest that is no JSON.
    E_MANIFEST_SYNTAX = "E_MANIFEST_SYNTAX", 422, PackageErrors,
        en: ["Manifest is not JSON", "Line {line}, column {column} is not valid JSON: {@kind}", "JSON has no comments and no trailing commas"],
        zh: ["清单不是 JSON", "第 {line} 行第 {column} 列不是有效的 JSON：{@kind}", "JSON 不支持注释和末尾逗号"];
    /// A manifest that names a key twice.
    E_MANIFEST_DUPLICATE_KEY = "E_MANIFEST_DUPLICATE_KEY", 422, PackageErrors,
        en: ["Key named twice", "The key `{key}` is named twice", "keep one of them"],
        zh: ["键重复", "键 `{key}` 出现了两次", "请只保留一个"];
    /// No `plugin.json` or `theme.json` where one should be.
    E_PACKAGE_NO_MANIFEST = "E_PACKAGE_NO_MANIFEST", 422, PackageErrors,
        en: ["No manifest", "There is no `plugin.json` or `theme.json` at the root or in one directory around everything", "put the manifest at the root of the package"],
        zh: ["缺少清单", "在根目录或唯一的外层目录中没有 `plugin.json` 或 `theme.json`", "请将清单放在插件包的根目录"];
    /// An archive that could write elsewhere, or means two things.
    E_PACKAGE_UNSAFE = "E_PACKAGE_UNSAFE", 422, PackageErrors,
        en: ["Unsafe package", "{@cause}", "make the archive again from the plugin's own directory, with plain files and directories only"],
        zh: ["插件包不安全", "{@cause}", "请从插件自身的目录重新制作归档，只包含普通文件和目录"];
    /// An archive beyond a limit.
    E_PACKAGE_LIMIT = "E_PACKAGE_LIMIT", 422, PackageErrors,
        en: ["Package beyond a limit", "{@cause}", "leave out what is not needed at run time"],
        zh: ["插件包超出限制", "{@cause}", "请去掉运行时不需要的内容"];
    /// More than one manifest.
    E_PACKAGE_AMBIGUOUS = "E_PACKAGE_AMBIGUOUS", 422, PackageErrors,
        en: ["More than one manifest", "There is more than one manifest: {found}", "keep one: a package is a plugin or a theme"],
        zh: ["清单不唯一", "存在多个清单：{found}", "请只保留一个：插件包要么是插件，要么是主题"];
    /// No cover image where every package has one.
    W_COVER_MISSING = "W_COVER_MISSING", 422, PackageErrors,
        en: ["Cover image missing", "There is no cover image `{file}`; a market and a control panel have nothing to show", "add a square PNG there"],
        zh: ["缺少封面图", "没有封面图 `{file}`，应用市场与控制面板将无图可显示", "请在该处添加一张正方形 PNG"];
    /// A cover image that is no PNG, or not square.
    W_COVER_FORMAT = "W_COVER_FORMAT", 422, PackageErrors,
        en: ["Cover image unfit", "The cover image is {@actual}, not a square PNG", "replace it by a square PNG"],
        zh: ["封面图不合要求", "封面图为 {@actual}，而非正方形 PNG", "请换成正方形 PNG"];
    /// A standalone plugin with a page, and no host that would serve it.
    W_STANDALONE_WITHOUT_HOST = "W_STANDALONE_WITHOUT_HOST", 422, PackageErrors,
        en: ["Standalone without host", "The plugin runs elsewhere and has an `accessPath`, but no host is set for it", "`plugyard web set FSKEY --host URL` sets one"],
        zh: ["独立部署但无主机", "该插件独立部署且有 `accessPath`，但未设置主机", "用 `plugyard web set FSKEY --host URL` 设置"];
    /// A scene that enables nothing here.
    W_SCENE_UNKNOWN = "W_SCENE_UNKNOWN", 422, PackageErrors,
        en: ["Unknown scene", "The scene `{value}` enables nothing here", "[[did you mean `{suggestion}`?]]"],
        zh: ["未知场景", "场景 `{value}` 在此不启用任何功能", "[[是否应为 `{suggestion}`？]]"];
    /// A variable that no client fills.
    W_PATH_VARIABLE_UNKNOWN = "W_PATH_VARIABLE_UNKNOWN", 422, PackageErrors,
        en: ["Unknown variable", "No client fills `{value}`; it becomes empty", "[[did you mean `{suggestion}`?]]"],
        zh: ["未知变量", "没有客户端会填充 `{value}`，它将变为空", "[[是否应为 `{suggestion}`？]]"];
    /// A key that the format does not have; it is kept and has no effect.
    W_MANIFEST_UNKNOWN_KEY = "W_MANIFEST_UNKNOWN_KEY", 422, PackageErrors,
        en: ["Unknown key", "The key `{key}` has no effect", "[[did you mean `{suggestion}`?]]"],
        zh: ["未知的键", "键 `{key}` 不起作用", "[[是否应为 `{suggestion}`？]]"];
    /// A usage of a plugin that is not there.
    E_PLUGIN_NOT_FOUND = "E_NOT_FOUND", 404, NotFound,
        en: ["No such plugin", "There is no plugin `{fskey}`", "install it first"],
        zh: ["插件不存在", "没有插件 `{fskey}`", "请先安装该插件"];
    /// A plugin that does not support the place where it is to be used.
    E_SCENE_NOT_SUPPORTED = "E_SCENE_NOT_SUPPORTED", 422, PackageErrors,
        en: ["Scene not supported", "The plugin `{fskey}` cannot be used here: {@reason}", "choose an enabled plugin with the scene `{scene}`"],
        zh: ["不支持该场景", "插件 `{fskey}` 不能用于此处：{@reason}", "请选择已启用且支持场景 `{scene}` 的插件"];
    /// A usage that is part of the site.
    E_USAGE_PROTECTED = "E_USAGE_PROTECTED", 409, Conflict,
        en: ["Usage is protected", "The usage {id} belongs to the site and cannot be deleted", "disable it instead"],
        zh: ["使用关联受保护", "使用关联 {id} 属于站点，不能删除", "可以将其停用"];
    /// A column that a type of usage does not have.
    E_USAGE_COLUMN_NOT_APPLICABLE = "E_USAGE_COLUMN_NOT_APPLICABLE", 422, PackageErrors,
        en: ["Column not applicable", "Usages of type {type} have no `{field}`", "leave it out"],
        zh: ["列不适用", "类型 {type} 的使用关联没有 `{field}`", "请删去该项"];
    /// Numbers of a usage that are out of their range or order.
    E_USAGE_RANGE = "E_USAGE_RANGE", 422, PackageErrors,
        en: ["Out of range", "`{field}` takes numbers from {min} to {max}[[, {@form}]]", ""],
        zh: ["超出范围", "`{field}` 应在 {min} 到 {max} 之间[[，{@form}]]", ""];
    /// A parameter that is no part of a URL as it stands.
    W_PARAMETER_NOT_URL_SAFE = "W_PARAMETER_NOT_URL_SAFE", 422, PackageErrors,
        en: ["Parameter needs encoding", "`{value}` is inserted as it is, and is not valid in a URL", "percent-encode it, or set `plugin_usages.parameter_encoding` to `component`"],
        zh: ["参数需要编码", "`{value}` 会原样插入，但不是有效的 URL 内容", "请使用百分号编码，或将 `plugin_usages.parameter_encoding` 设为 `component`"];
}
