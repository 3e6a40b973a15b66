//! Codes of plugin configuration: what is wrong with a `config.json`, with its rule strings, and with values.
//!
//! Texts of findings mention the field they are about as `{field}`, whichever document they are sent in.

super::codes! {
    // What the file itself has wrong; checking ends there.

    /// `config.json` is no JSON.
    JSON_SYNTAX = "json_syntax", 422, PackageErrors,
        en: ["Not valid JSON", "Line {line}, column {column} is not valid JSON: {@kind}.", "JSON has no comments and no trailing commas, and needs double quotes"],
        zh: ["不是有效的 JSON", "第 {line} 行第 {column} 列不是有效的 JSON：{@kind}。", "JSON 不支持注释和末尾逗号，字符串须用双引号"];
    /// `config.json` has bytes that are not UTF-8.
    JSON_ENCODING = "json_encoding", 422, PackageErrors,
        en: ["Not UTF-8", "Line {line}, column {column}: bytes that are not UTF-8.", "save the file as UTF-8"],
        zh: ["不是 UTF-8", "第 {line} 行第 {column} 列：不是 UTF-8 编码。", "请将文件保存为 UTF-8"];
    /// `config.json` is larger than it may be.
    FILE_TOO_LARGE = "file_too_large", 422, PackageErrors,
        en: ["File too large", "The file is larger than {limit} bytes.", ""],
        zh: ["文件过大", "文件超过 {limit} 字节。", ""];
    /// The outermost value of `config.json` is no object.
    ROOT_TYPE = "root_type", 422, PackageErrors,
        en: ["Not an object", "The file must contain a JSON object, not {@actual}.", "begin with `{\"fields\": …}`"],
        zh: ["不是对象", "文件内容必须是 JSON 对象，而不是{@actual}。", "请以 `{\"fields\": …}` 开头"];

    // Structure.

    /// A key that the format does not have.
    UNKNOWN_KEY = "unknown_key", 422, PackageErrors,
        en: ["Unknown key", "Unknown key \"{key}\"[[; did you mean \"{suggestion}\"?]]", "known here: {allowed}"],
        zh: ["未知的键", "未知的键“{key}”[[，是否应为“{suggestion}”？]]", "此处可用：{allowed}"];
    /// A mandatory key is not there.
    REQUIRED_KEY_MISSING = "required_key_missing", 422, PackageErrors,
        en: ["Key missing", "The key \"{key}\" is missing here.", "add `\"{key}\"`"],
        zh: ["缺少键", "此处缺少键“{key}”。", "请添加 `\"{key}\"`"];
    /// A value of another JSON type than the format says.
    WRONG_TYPE = "wrong_type", 422, PackageErrors,
        en: ["Wrong type", "Expected {@expected}, found {@actual}.", ""],
        zh: ["类型错误", "应为{@expected}，实际为{@actual}。", ""];
    /// A label of white space only.
    BLANK = "blank", 422, PackageErrors,
        en: ["Blank text", "The text must not be blank.", ""],
        zh: ["文本为空", "文本不能为空白。", ""];
    /// A text longer than it may be.
    TOO_LONG = "too_long", 422, PackageErrors,
        en: ["Text too long", "The text has {actual} characters; at most {limit} are allowed.", ""],
        zh: ["文本过长", "文本有 {actual} 个字符，最多允许 {limit} 个。", ""];
    /// More entries than there may be.
    TOO_MANY = "too_many", 422, PackageErrors,
        en: ["Too many entries", "There are {actual} entries; at most {limit} are allowed.", ""],
        zh: ["条目过多", "共有 {actual} 个条目，最多允许 {limit} 个。", ""];
    /// A number outside the range it may have.
    OUT_OF_RANGE = "out_of_range", 422, PackageErrors,
        en: ["Number out of range", "The number must be from {min} to {max}.", ""],
        zh: ["数值超出范围", "数值必须介于 {min} 与 {max} 之间。", ""];
    /// A `version` that is not `MAJOR.MINOR.PATCH`.
    VERSION_FORMAT = "version_format", 422, PackageErrors,
        en: ["Version not understood", "The version must have the form MAJOR.MINOR.PATCH, such as 1.0.0.", ""],
        zh: ["版本格式错误", "版本号必须为“主版本.次版本.修订号”的形式，例如 1.0.0。", ""];
    /// A `last_updated` that is no date.
    DATE_FORMAT = "date_format", 422, PackageErrors,
        en: ["Date not understood", "The date must exist and have the form YYYY-MM-DD.", ""],
        zh: ["日期格式错误", "日期必须存在，且形式为 YYYY-MM-DD。", ""];
    /// An icon name with other characters than it may have.
    ICON_FORMAT = "icon_format", 422, PackageErrors,
        en: ["Icon name not usable", "An icon name has lower-case letters, digits, \"_\" and \"-\", begins with a letter, and has at most {limit} characters.", ""],
        zh: ["图标名无效", "图标名由小写字母、数字、“_”和“-”组成，以字母开头，最多 {limit} 个字符。", ""];
    /// A field key that cannot be one.
    FIELD_KEY_FORMAT = "field_key_format", 422, PackageErrors,
        en: ["Field key not usable", "\"{key}\" cannot be a field key: only ASCII letters, digits and \"_\", no digit first, at most {limit} characters.", "`API_TIMEOUT` is a good key"],
        zh: ["字段键无效", "“{key}”不能作为字段键：只允许 ASCII 字母、数字和“_”，不能以数字开头，最多 {limit} 个字符。", "例如 `API_TIMEOUT`"];
    /// A group key that cannot be one.
    GROUP_KEY_FORMAT = "group_key_format", 422, PackageErrors,
        en: ["Group key not usable", "\"{key}\" cannot be a group key: only ASCII letters, digits, \"_\" and \"-\", first a letter or \"_\", at most {limit} characters.", ""],
        zh: ["分组键无效", "“{key}”不能作为分组键：只允许 ASCII 字母、数字、“_”和“-”，以字母或“_”开头，最多 {limit} 个字符。", ""];
    /// A type that fields cannot have.
    FIELD_TYPE_UNSUPPORTED = "field_type_unsupported", 422, PackageErrors,
        en: ["Type not supported", "Field {field} has unsupported type \"{actual}\"[[; use \"{suggestion}\"]].", "types: {allowed}"],
        zh: ["类型不受支持", "字段 {field} 使用了不受支持的类型“{actual}”[[，请改用“{suggestion}”]]。", "可用类型：{allowed}"];
    /// A `validation` that is not a rule string.
    VALIDATION_TYPE = "validation_type", 422, PackageErrors,
        en: ["Rules must be a string", "The rules of field {field} must be a string, not {@actual}[[; write \"{suggestion}\"]].", "rules stand in one string, parted by `|`: `required|string|max:20`"],
        zh: ["规则必须是字符串", "字段 {field} 的规则必须是字符串，而不是{@actual}[[，请写作“{suggestion}”]]。", "规则写在一个字符串中，以 `|` 分隔：`required|string|max:20`"];
    /// A `select` without options.
    OPTIONS_MISSING = "options_missing", 422, PackageErrors,
        en: ["Options missing", "Field {field} is a select and needs options.", "add `\"options\": [{\"value\": \"a\", \"label\": \"A\"}]`"],
        zh: ["缺少选项", "字段 {field} 是 select，必须提供选项。", "请添加 `\"options\": [{\"value\": \"a\", \"label\": \"A\"}]`"];
    /// Options that are no array.
    OPTIONS_TYPE = "options_type", 422, PackageErrors,
        en: ["Options must be an array", "The options of field {field} must be an array, not {@actual}.", "write `[{\"value\": \"a\", \"label\": \"A\"}]`"],
        zh: ["选项必须是数组", "字段 {field} 的选项必须是数组，而不是{@actual}。", "请写作 `[{\"value\": \"a\", \"label\": \"A\"}]`"];
    /// An empty array of options.
    OPTIONS_EMPTY = "options_empty", 422, PackageErrors,
        en: ["No options", "Field {field} has no options to choose from.", ""],
        zh: ["没有选项", "字段 {field} 没有可选项。", ""];
    /// Options on a field that is no `select`.
    OPTIONS_NOT_ALLOWED = "options_not_allowed", 422, PackageErrors,
        en: ["Options not allowed", "Field {field} is of type {type}, which has no options.", "make it a `select`, or leave the options out"],
        zh: ["不允许选项", "字段 {field} 的类型是 {type}，不能有选项。", "请改为 `select`，或删除选项"];
    /// Two options of one field with the same value.
    OPTION_DUPLICATE = "option_duplicate", 422, PackageErrors,
        en: ["Option twice", "Field {field} has several options with the value \"{value}\".", "`1` and `\"1\"` count as the same"],
        zh: ["选项重复", "字段 {field} 有多个值为“{value}”的选项。", "`1` 与 `\"1\"` 视为相同"];
    /// A field names a group that is not defined.
    GROUP_UNDEFINED = "group_undefined", 422, PackageErrors,
        en: ["Group not defined", "Field {field} is in group \"{group}\", which is not defined[[; did you mean \"{suggestion}\"?]]", "define it in `groups`, or leave `group` out"],
        zh: ["分组未定义", "字段 {field} 所属的分组“{group}”未定义[[，是否应为“{suggestion}”？]]", "请在 `groups` 中定义，或删除 `group`"];
    /// `values` names a field that is not defined.
    VALUE_UNKNOWN_FIELD = "value_unknown_field", 422, PackageErrors,
        en: ["Value of no field", "There is no field \"{key}\" for this value[[; did you mean \"{suggestion}\"?]]", "define it in `fields`, or leave the value out"],
        zh: ["值没有对应字段", "此值没有对应的字段“{key}”[[，是否应为“{suggestion}”？]]", "请在 `fields` 中定义，或删除该值"];
    /// A default of a type that the field does not take.
    DEFAULT_TYPE = "default_type", 422, PackageErrors,
        en: ["Default of wrong type", "The default of field {field} must be {@expected}.", ""],
        zh: ["默认值类型错误", "字段 {field} 的默认值必须是{@expected}。", ""];
    /// A value of a type that the field does not take.
    VALUE_TYPE = "value_type", 422, PackageErrors,
        en: ["Value of wrong type", "The value of field {field} must be {@expected}.", ""],
        zh: ["值类型错误", "字段 {field} 的值必须是{@expected}。", ""];
    /// The default of a `select` is none of its options.
    DEFAULT_NOT_IN_OPTIONS = "default_not_in_options", 422, PackageErrors,
        en: ["Default is no option", "The default of field {field} is not one of its options.", "options: {allowed}"],
        zh: ["默认值不在选项中", "字段 {field} 的默认值不在其选项中。", "选项：{allowed}"];
    /// The preset value of a `select` is none of its options.
    VALUE_NOT_IN_OPTIONS = "value_not_in_options", 422, PackageErrors,
        en: ["Value is no option", "The value of field {field} is not one of its options.", "options: {allowed}"],
        zh: ["值不在选项中", "字段 {field} 的值不在其选项中。", "选项：{allowed}"];
    /// A default breaks a rule of its own field.
    DEFAULT_INVALID = "default_invalid", 422, PackageErrors,
        en: ["Default breaks a rule", "The default of field {field} breaks the rule \"{rule}\".", ""],
        zh: ["默认值不符合规则", "字段 {field} 的默认值不符合规则“{rule}”。", ""];
    /// A preset value breaks a rule of its field.
    VALUE_INVALID = "value_invalid", 422, PackageErrors,
        en: ["Value breaks a rule", "The value of field {field} breaks the rule \"{rule}\".", ""],
        zh: ["值不符合规则", "字段 {field} 的值不符合规则“{rule}”。", ""];
    /// There are more errors than are shown.
    TOO_MANY_ERRORS = "too_many_errors", 422, PackageErrors,
        en: ["More errors", "There are more errors; only the first {limit} are shown.", "mend these and check again"],
        zh: ["还有更多错误", "还有更多错误；只显示前 {limit} 个。", "请先修正这些错误，然后再次检查"];

    // Rule strings.

    /// No rule has that name.
    RULE_UNKNOWN = "rule_unknown", 422, PackageErrors,
        en: ["Unknown rule", "Field {field}: there is no rule \"{segment}\"[[; did you mean \"{suggestion}\"?]]", ""],
        zh: ["未知的规则", "字段 {field}：没有规则“{segment}”[[，是否应为“{suggestion}”？]]", ""];
    /// A rule of Laravel that configuration cannot have.
    RULE_UNSUPPORTED = "rule_unsupported", 422, PackageErrors,
        en: ["Rule not supported", "Field {field}: the rule \"{segment}\" cannot be used here: {@reason}.", ""],
        zh: ["规则不受支持", "字段 {field}：此处不能使用规则“{segment}”：{@reason}。", ""];
    /// A rule that cannot hold on the type of the field.
    RULE_TYPE_INCOMPATIBLE = "rule_type_incompatible", 422, PackageErrors,
        en: ["Rule does not fit the type", "Field {field}: the rule \"{segment}\" does not fit the type {type}.", ""],
        zh: ["规则与类型不符", "字段 {field}：规则“{segment}”不适用于类型 {type}。", ""];
    /// A rule with fewer parameters than it needs.
    RULE_PARAM_MISSING = "rule_param_missing", 422, PackageErrors,
        en: ["Parameter missing", "Field {field}: the rule \"{segment}\" needs more parameters.", ""],
        zh: ["缺少参数", "字段 {field}：规则“{segment}”缺少参数。", ""];
    /// A parameter that must be a number and is none.
    RULE_PARAM_NOT_NUMBER = "rule_param_not_number", 422, PackageErrors,
        en: ["Parameter is no number", "Field {field}: the rule \"{segment}\" takes plain numbers.", "units such as `3kb` are not understood"],
        zh: ["参数不是数字", "字段 {field}：规则“{segment}”的参数必须是数字。", "不支持 `3kb` 之类的单位"];
    /// A parameter that the rule does not know.
    RULE_PARAM_INVALID = "rule_param_invalid", 422, PackageErrors,
        en: ["Parameter not understood", "Field {field}: a parameter of the rule \"{segment}\" is not one it knows.", ""],
        zh: ["参数无法理解", "字段 {field}：规则“{segment}”的参数无法识别。", ""];
    /// A parameter names a field that is not defined.
    RULE_FIELD_UNKNOWN = "rule_field_unknown", 422, PackageErrors,
        en: ["Rule names no field", "Field {field}: the rule \"{segment}\" names a field that is not defined.", ""],
        zh: ["规则引用了未知字段", "字段 {field}：规则“{segment}”引用了未定义的字段。", ""];
    /// A rule compares a field with itself.
    RULE_FIELD_SELF = "rule_field_self", 422, PackageErrors,
        en: ["Rule names its own field", "Field {field}: the rule \"{segment}\" refers to the field itself.", ""],
        zh: ["规则引用了自身", "字段 {field}：规则“{segment}”引用了字段自身。", ""];
    /// A pattern that a `|` cut in two.
    RULE_REGEX_PIPE = "rule_regex_pipe", 422, PackageErrors,
        en: ["Pattern is cut by a pipe", "Field {field}: the pattern in \"{segment}\" ends at a \"|\", which always parts rules.", "use `in:a,b`, a character class such as `[ab]`, or two fields"],
        zh: ["正则被竖线截断", "字段 {field}：“{segment}”中的正则在“|”处被截断，竖线总是分隔规则。", "请改用 `in:a,b`、字符类（如 `[ab]`）或两个字段"];
    /// A pattern that is no regular expression.
    RULE_REGEX_INVALID = "rule_regex_invalid", 422, PackageErrors,
        en: ["Pattern not understood", "Field {field}: the pattern in \"{segment}\" is not a regular expression.", "a pattern stands between delimiters: `regex:/^[a-z]+$/i`"],
        zh: ["正则无法理解", "字段 {field}：“{segment}”中的正则无效。", "正则须写在定界符之间：`regex:/^[a-z]+$/i`"];
    /// A pattern that is longer than it may be.
    RULE_REGEX_UNSAFE = "rule_regex_unsafe", 422, PackageErrors,
        en: ["Pattern too long", "Field {field}: the pattern is longer than 1024 characters.", ""],
        zh: ["正则过长", "字段 {field}：正则超过 1024 个字符。", ""];

    // Warnings: they never keep a file out.

    /// An icon that the console does not have.
    ICON_UNKNOWN = "icon_unknown", 422, PackageErrors,
        en: ["Icon not known", "There is no icon \"{icon}\"; another is shown.", "icons: {known}"],
        zh: ["未知图标", "没有图标“{icon}”，将显示其他图标。", "可用图标：{known}"];
    /// A group that no field is in.
    GROUP_UNUSED = "group_unused", 422, PackageErrors,
        en: ["Group not used", "No field is in group \"{group}\".", ""],
        zh: ["分组未使用", "没有字段属于分组“{group}”。", ""];
    /// A secret is shipped in the file.
    PASSWORD_DEFAULT = "password_default", 422, PackageErrors,
        en: ["Secret in the file", "Field {field} is a secret, and the file has a value for it that every reader sees.", "leave it out and let each installation set its own"],
        zh: ["文件中含有密钥", "字段 {field} 是敏感信息，而文件中带有所有读者可见的值。", "请删除它，由各安装自行设置"];
    /// `required` is false, but the rules say otherwise.
    REQUIRED_MISMATCH = "required_mismatch", 422, PackageErrors,
        en: ["Required or not", "Field {field} says `required: false`, but its rules contain \"required\"; the rule counts.", ""],
        zh: ["必填不一致", "字段 {field} 写明 `required: false`，但规则中含有“required”；以规则为准。", ""];
    /// An option that the field's own rules refuse.
    OPTION_UNREACHABLE = "option_unreachable", 422, PackageErrors,
        en: ["Option cannot be chosen", "Field {field}: the option \"{option}\" breaks the field's own rule \"{rule}\".", ""],
        zh: ["选项无法选择", "字段 {field}：选项“{option}”不符合该字段自身的规则“{rule}”。", ""];
    /// A rule that stands twice.
    RULE_DUPLICATE = "rule_duplicate", 422, PackageErrors,
        en: ["Rule twice", "Field {field}: the rule \"{segment}\" stands there more than once.", ""],
        zh: ["规则重复", "字段 {field}：规则“{segment}”重复出现。", ""];
    /// A number with a size rule but no rule that makes the size one of numbers; `numeric` is added.
    RULE_MISSING_NUMERIC = "rule_missing_numeric", 422, PackageErrors,
        en: ["Sizes count as numbers", "Field {field} is a number with a size rule, so \"numeric\" is added to its rules.", "write `numeric` or `integer` yourself"],
        zh: ["按数值比较大小", "字段 {field} 是数字且有大小规则，因此已为其添加规则“numeric”。", "请自行写明 `numeric` 或 `integer`"];
    /// A range that nothing can be in.
    BETWEEN_EMPTY = "between_empty", 422, PackageErrors,
        en: ["Empty range", "Field {field}: the range in \"{segment}\" is empty: the smaller bound comes first.", ""],
        zh: ["区间为空", "字段 {field}：“{segment}”的区间为空：较小的界限应写在前面。", ""];
    /// No value can pass the rules.
    FIELD_NEVER_VALID = "field_never_valid", 422, PackageErrors,
        en: ["Nothing passes", "No value of field {field} can pass its rules.", ""],
        zh: ["没有值能通过", "字段 {field} 的任何值都无法通过其规则。", ""];
    /// A comparison of dates without a rule that asks for a date.
    RULE_DATE_UNGUARDED = "rule_date_unguarded", 422, PackageErrors,
        en: ["Date not asked for", "Field {field}: \"{segment}\" compares dates, but lets some texts that are no dates pass.", "add `date` or `date_format`"],
        zh: ["未要求日期", "字段 {field}：“{segment}”比较日期，但会放过某些不是日期的文本。", "请添加 `date` 或 `date_format`"];
    /// A parameter that is a date and the key of a field.
    RULE_PARAM_AMBIGUOUS = "rule_param_ambiguous", 422, PackageErrors,
        en: ["Date or field", "Field {field}: the parameter of \"{segment}\" is the key of a field and a date; the date counts.", "give the field another key"],
        zh: ["日期还是字段", "字段 {field}：“{segment}”的参数既是字段键又是日期；按日期处理。", "请更换字段键"];

    // Values that were sent.

    /// A value breaks a rule of its field.
    RULE_FAILED = "rule_failed", 422, Failed,
        en: ["Value breaks a rule", "{field} breaks the rule \"{rule}\".", ""],
        zh: ["值不符合规则", "{field}不符合规则“{rule}”。", ""];
    /// A number was expected.
    TYPE_NUMBER = "type_number", 422, Failed,
        en: ["Not a number", "{field} must be a number.", ""],
        zh: ["不是数字", "{field}必须是数字。", ""];
    /// A switch was expected.
    TYPE_CHECKBOX = "type_checkbox", 422, Failed,
        en: ["Not yes or no", "{field} must be yes or no.", ""],
        zh: ["不是布尔值", "{field}必须是布尔值。", ""];
    /// One of the options was expected.
    TYPE_SELECT = "type_select", 422, Failed,
        en: ["No option", "{field} is not one of the options.", ""],
        zh: ["不在选项中", "{field}不在可选范围内。", ""];
    /// An e-mail address was expected.
    TYPE_EMAIL = "type_email", 422, Failed,
        en: ["No e-mail address", "{field} must be a valid e-mail address.", ""],
        zh: ["不是邮箱地址", "{field}必须是有效的邮箱地址。", ""];
    /// A URL was expected.
    TYPE_URL = "type_url", 422, Failed,
        en: ["No URL", "{field} must be a valid URL.", ""],
        zh: ["不是 URL", "{field}必须是有效的 URL。", ""];
    /// Text was expected.
    TYPE_STRING = "type_string", 422, Failed,
        en: ["No text", "{field} must be text.", ""],
        zh: ["不是字符串", "{field}必须是字符串。", ""];
    /// A value larger than a value may be.
    VALUE_TOO_LARGE = "value_too_large", 422, Failed,
        en: ["Value too large", "{field} has {actual} bytes; at most {limit} are allowed.", ""],
        zh: ["值过大", "{field}有 {actual} 字节，最多允许 {limit} 字节。", ""];
    /// A NUL character in a value that is no secret.
    VALUE_NUL = "value_nul", 422, Failed,
        en: ["NUL character", "{field} must not contain NUL characters.", ""],
        zh: ["含有 NUL 字符", "{field}不能包含 NUL 字符。", ""];
    /// A secret is stored but cannot be decrypted.
    SECRET_UNREADABLE = "secret_unreadable", 500, Failed,
        en: ["Secret cannot be read", "{field} is set, but cannot be decrypted.", "set it again, or bring the server's master key back"],
        zh: ["密钥无法读取", "{field}已设置，但无法解密。", "请重新设置，或恢复服务器的主密钥"];
    /// A value was sent for a field that is not defined.
    UNKNOWN_FIELD = "unknown_field", 422, NotFound,
        en: ["Unknown field", "Unknown field {key}", "[[did you mean `{suggestion}`?]]"],
        zh: ["未知的配置项", "未知的配置项 {key}", "[[是否应为 `{suggestion}`？]]"];
    /// The body is no JSON, or not an object where one is needed.
    BAD_JSON = "bad_json", 400, Usage,
        en: ["Body is no JSON object", "The body must be a JSON object[[ (line {line}, column {column}: {@kind})]]", "each key stands once in it, texts stand in double quotes, numbers fit into a double"],
        zh: ["请求体不是 JSON 对象", "请求体必须是 JSON 对象[[（第 {line} 行第 {column} 列：{@kind}）]]", "其中每个键只出现一次，文本用双引号，数字不超出双精度范围"];

    // What became of a request.

    /// Values that were sent break the rules of their fields.
    VALIDATION_FAILED = "validation_failed", 422, Failed,
        en: ["Configuration is not valid", "Configuration is not valid", ""],
        zh: ["配置校验失败", "配置校验失败", ""];
    /// A package's `config.json` has errors; they stand in the report.
    CONFIG_INVALID = "config_invalid", 422, PackageErrors,
        en: ["config.json does not follow the specification", "config.json does not follow the specification", "`plugyard check` shows every error with its place"],
        zh: ["配置文件不符合规范", "配置文件不符合规范", "用 `plugyard check` 查看每个错误及其位置"];
    /// The plugin is known but not installed, so it has no configuration.
    PLUGIN_NOT_INSTALLED = "plugin_not_installed", 404, NotFound,
        en: ["Plugin is not installed", "Plugin is not installed", ""],
        zh: ["插件未安装", "插件未安装", ""];
    /// A change that only an installed plugin takes.
    NOT_INSTALLED = "not_installed", 409, Conflict,
        en: ["Plugin is not installed", "Plugin is not installed", "install it first"],
        zh: ["插件未安装", "插件未安装", "请先安装"];
    /// The plugin is installed already.
    ALREADY_INSTALLED = "already_installed", 409, Conflict,
        en: ["Plugin is already installed", "Plugin is already installed", "upgrade it instead"],
        zh: ["插件已安装", "插件已安装", "请改用升级"];
    /// The plugin has no configuration, or it was deleted.
    CONFIG_NOT_REGISTERED = "config_not_registered", 404, NotFound,
        en: ["No configuration registered", "No configuration registered", "an upgrade that takes over the definitions registers it again"],
        zh: ["插件没有已注册的配置", "插件没有已注册的配置", "执行更新定义的升级可重新注册"];
    /// Somebody else changed the configuration meanwhile.
    REVISION_CONFLICT = "revision_conflict", 409, Conflict,
        en: ["Configuration was changed meanwhile", "Configuration was changed meanwhile", "read it again and repeat the change"],
        zh: ["配置已被他人修改，请刷新后重试", "配置已被他人修改，请刷新后重试", "请重新读取后再修改"];
    /// The plugin is installed but disabled.
    NOT_ENABLED = "not_enabled", 409, Conflict,
        en: ["Plugin is not enabled", "Plugin is not enabled", "enable it first"],
        zh: ["插件未启用", "插件未启用", "请先启用"];
    /// The plugin has no handler for actions.
    ACTION_UNSUPPORTED = "action_unsupported", 501, Failed,
        en: ["Plugin does not support this action", "Plugin does not support this action", ""],
        zh: ["插件不支持此操作", "插件不支持此操作", ""];
    /// The new definition has a lower version than the one in force.
    DEFINITION_DOWNGRADE = "definition_downgrade", 409, Conflict,
        en: ["Definition is older", "The configuration definition {to} is older than {from}, which is in force", "repeat it with `force` if the older one is wanted"],
        zh: ["定义版本较旧", "配置定义 {to} 早于当前生效的 {from}", "如确需旧版本，请使用 `force` 重试"];
}

/// Words that stand in parameters for programs, as people read them: word, English, Chinese.
pub(crate) const PHRASES: &[(&str, &str, &str)] = &[
    ("string", "text", "字符串"),
    ("task_unknown", "there is no such task", "没有这样的任务"),
    (
        "task_enabled",
        "it is enabled; deactivate it first",
        "插件已启用，请先停用",
    ),
    (
        "task_standalone",
        "nothing of it is loaded here",
        "此处不加载其任何内容",
    ),
    (
        "task_theme",
        "a theme has neither migrations nor seeds nor dependencies",
        "主题没有迁移、填充与依赖",
    ),
    (
        "task_no_command",
        "no command of the application does it (section `web.hooks`)",
        "应用没有对应的命令（配置节 `web.hooks`）",
    ),
    (
        "task_no_mark",
        "where its migrations stood before is not known",
        "不知道此前的迁移位置",
    ),
    ("no_png", "an image of another format", "其他格式的文件"),
    (
        "image_too_large",
        "larger than 16 MiB",
        "超过 16 MiB 的文件",
    ),
    ("number", "a number", "数字"),
    ("integer", "a whole number", "整数"),
    ("boolean", "true or false", "布尔值"),
    ("null", "null", "null"),
    ("no_address", "it is no address", "不是地址"),
    ("no_list", "it is no list of words", "不是单词列表"),
    (
        "no_code",
        "a code has 1 to 32 printable characters and no spaces",
        "升级码应为 1 到 32 个不含空格的可打印字符",
    ),
    (
        "not_newer",
        "it announces no version that is newer than `version`",
        "它所通告的版本并不比 `version` 新",
    ),
    (
        "scene_missing",
        "it has not the scene that is needed",
        "缺少所需的场景",
    ),
    ("plugin_missing", "it is not installed", "尚未安装"),
    ("plugin_disabled", "it is disabled", "已停用"),
    (
        "ascending",
        "several in ascending order and each once",
        "多个时按升序排列且不重复",
    ),
    (
        "relative path",
        "a path inside the plugin's directory, without `..`",
        "插件目录内的路径，不含 `..`",
    ),
    (
        "version range",
        "a range of versions such as `^2.0.0` or `>=1.4.0, <2.0.0`",
        "版本范围，例如 `^2.0.0` 或 `>=1.4.0, <2.0.0`",
    ),
    ("array", "an array", "数组"),
    ("object", "an object", "对象"),
    (
        "list of numbers",
        "a list of whole numbers, or such numbers with a comma and nothing else between them",
        "整数列表，或仅以逗号分隔的整数",
    ),
    (
        "name",
        "a text, or an object of texts by language tag",
        "文本，或以语言标签为键的文本对象",
    ),
    (
        "language tag",
        "a language tag such as `en` or `zh-Hans`",
        "语言标签，例如 `en` 或 `zh-Hans`",
    ),
    (
        "scalar",
        "text, a number, true, false or null",
        "字符串、数字、布尔值或 null",
    ),
    (
        "string or integer",
        "text or a whole number",
        "字符串或整数",
    ),
    (
        "number or numeric string",
        "a number or the text of one",
        "数字或数字字符串",
    ),
    (
        "boolean or one of 0, 1, on, off, yes, no",
        "true, false, 0, 1, or one of the texts true, false, on, off, yes, no",
        "true、false、0、1，或文本 true、false、on、off、yes、no 之一",
    ),
    ("needs_upload", "values are no files", "配置值不是文件"),
    ("needs_database", "it would need a database", "它需要数据库"),
    (
        "needs_application",
        "it exists as an object of an application only",
        "它仅作为应用程序中的对象存在",
    ),
    ("needs_network", "it would need the network", "它需要网络"),
    (
        "needs_icu",
        "it would need a library that is not there",
        "它需要此处没有的 ICU 库",
    ),
    (
        "redundant",
        "values are always UTF-8; use \"ascii\"",
        "值始终是 UTF-8，请使用“ascii”",
    ),
    ("needs_array", "values are never lists", "配置值不是列表"),
];
