//! Codes of usages, their viewers and their URLs.

super::codes! {
    /// What was sent for a usage, a viewer or a badge has errors; nothing was stored.
    INPUT_INVALID = "input_invalid", 422, Failed,
        en: ["Values not accepted", "The request has {errors} error(s): {first}", "`findings` has all of them with their places"],
        zh: ["值不被接受", "请求有 {errors} 个错误：{first}", "`findings` 列出全部错误及位置"];
    /// There is no usage of that number.
    USAGE_NOT_FOUND = "usage_not_found", 404, NotFound,
        en: ["Usage not found", "There is no usage {id}[[ of `{fskey}`]]", "`plugyard web usage list` shows what is here"],
        zh: ["未找到使用关联", "没有使用关联 {id}[[（属于 `{fskey}`）]]", "用 `plugyard web usage list` 查看已有的使用关联"];
    /// A key that is none.
    E_FIELD_UNKNOWN = "E_FIELD_UNKNOWN", 422, PackageErrors,
        en: ["Unknown key", "There is no `{field}`", "[[did you mean `{suggestion}`?]]"],
        zh: ["未知的键", "没有 `{field}`", "[[是否应为 `{suggestion}`？]]"];
    /// Something that must be there once is there twice.
    E_FIELD_DUPLICATE = "E_FIELD_DUPLICATE", 422, PackageErrors,
        en: ["Named twice", "`{value}` stands more than once in `{field}`", "keep one of them"],
        zh: ["重复", "`{value}` 在 `{field}` 中出现多次", "请只保留一个"];
    /// The type of a usage was to be changed.
    E_USAGE_TYPE_FIXED = "E_USAGE_TYPE_FIXED", 422, PackageErrors,
        en: ["Type is fixed", "The usage {id} is of type {actual}, and stays so", "add another usage, and delete this one"],
        zh: ["类型不可更改", "使用关联 {id} 的类型为 {actual}，不能更改", "请新增使用关联，并删除此项"];
    /// Usages that are not shown together were to be put in one order.
    E_USAGE_ORDER = "E_USAGE_ORDER", 422, PackageErrors,
        en: ["Not one list", "The usage {id} is not shown together with the usage {other}", "an order is that of one type and, for type 6, of one group"],
        zh: ["不在同一列表", "使用关联 {id} 与 {other} 不在同一列表中显示", "顺序只适用于同一类型（类型 6 还须同一群组）"];
    /// The application told nothing about a viewer of that number.
    VIEWER_NOT_FOUND = "viewer_not_found", 404, NotFound,
        en: ["Viewer not found", "There is no viewer {id}", "the application tells who it is with `PUT /v1/viewers/{id}`"],
        zh: ["未找到访问者", "没有访问者 {id}", "应用须先用 `PUT /v1/viewers/{id}` 提供其信息"];
    /// A viewer's token that is malformed, expired, or signed by somebody else.
    VIEWER_TOKEN_INVALID = "viewer_token_invalid", 401, NotPermitted,
        en: ["Viewer's token not accepted", "The viewer's token is not accepted: {@reason}", "the application makes a new one"],
        zh: ["访问者令牌不被接受", "访问者令牌不被接受：{@reason}", "请由应用重新签发"];
    /// A viewer's token: its signature is not that of the application's key.
    VIEWER_TOKEN_SIGNATURE = "viewer_token_signature", 401, NotPermitted,
        en: ["Signature of another key", "the signature is not the application's", ""],
        zh: ["签名不符", "签名不属于该应用", ""];
    /// A viewer's token: its time is over, or has not begun.
    VIEWER_TOKEN_TIME = "viewer_token_time", 401, NotPermitted,
        en: ["Out of its time", "it has expired, or is not valid yet", ""],
        zh: ["不在有效期内", "令牌已过期，或尚未生效", ""];
    /// A viewer's token: its claims are not those of a viewer.
    VIEWER_TOKEN_CLAIMS = "viewer_token_claims", 401, NotPermitted,
        en: ["Claims missing", "it lacks `sub` or `exp`, or a claim has another type", ""],
        zh: ["声明缺失", "缺少 `sub` 或 `exp`，或某项声明的类型不符", ""];
    /// A viewer's token: this server has no key to check it with.
    VIEWER_TOKEN_NO_KEY = "viewer_token_no_key", 401, NotPermitted,
        en: ["No key", "this server has no key for viewers' tokens", "set `web.viewer_key_file` or `web.viewer_public_key`"],
        zh: ["没有密钥", "此服务器没有访问者令牌的密钥", "请设置 `web.viewer_key_file` 或 `web.viewer_public_key`"];

    /// A piece of a URL: the base address is the plugin's own.
    URL_BASE_PLUGIN_HOST = "url_base_plugin_host", 422, PackageErrors,
        en: ["Base address", "the base address is `plugin_host`, because it is set", ""],
        zh: ["基础地址", "已设置 `plugin_host`，以它为基础地址", ""];
    /// A piece of a URL: the base address is the site's.
    URL_BASE_SYSTEM = "url_base_system", 422, PackageErrors,
        en: ["Base address", "the base address is the setting `system_url`, because `plugin_host` is empty", ""],
        zh: ["基础地址", "`plugin_host` 为空，以设置 `system_url` 为基础地址", ""];
    /// A piece of a URL: the base address is where browsers reach this server.
    URL_BASE_PANEL = "url_base_panel", 422, PackageErrors,
        en: ["Base address", "the base address is the setting `panel_url`, where browsers reach this server", ""],
        zh: ["基础地址", "以设置 `panel_url`（浏览器访问本服务器的地址）为基础地址", ""];
    /// A piece of a URL: the path of a form that is rendered here.
    URL_FORM = "url_form", 422, PackageErrors,
        en: ["Settings form", "the settings form of a theme is rendered by this server", ""],
        zh: ["设置表单", "主题的设置表单由本服务器渲染", ""];
    /// A piece of a URL: what stands between base address and path.
    URL_JOINT = "url_joint", 422, PackageErrors,
        en: ["Joint", "exactly one slash stands between base address and path", ""],
        zh: ["连接处", "基础地址与路径之间恰有一个斜杠", ""];
    /// A piece of a URL: the plugin's path as it is stored.
    URL_PATH = "url_path", 422, PackageErrors,
        en: ["Path", "the path as it is stored", ""],
        zh: ["路径", "按存储内容的路径", ""];
    /// A piece of a URL: a whole address where newer tables have a path.
    URL_PATH_ABSOLUTE = "url_path_absolute", 422, PackageErrors,
        en: ["Absolute path", "the path is a whole address, as older tables have it, and stays as it is", ""],
        zh: ["绝对路径", "路径本身是完整地址（旧数据），原样保留", ""];
    /// A piece of a URL: the usage's parameter, as it is stored.
    URL_PARAMETER_VERBATIM = "url_parameter_verbatim", 422, PackageErrors,
        en: ["Parameter", "`{parameter}` was replaced by the usage's parameter, as it is stored", ""],
        zh: ["参数", "`{parameter}` 已替换为使用关联的参数（原样）", ""];
    /// A piece of a URL: the usage's parameter, percent-encoded.
    URL_PARAMETER_COMPONENT = "url_parameter_component", 422, PackageErrors,
        en: ["Parameter", "`{parameter}` was replaced by the usage's parameter, percent-encoded as a component", ""],
        zh: ["参数", "`{parameter}` 已替换为使用关联的参数（按组件做百分号编码）", ""];
    /// Why there is no URL: the plugin has no page for end users.
    NO_ACCESS_PATH = "no_access_path", 422, PackageErrors,
        en: ["No page", "the plugin has no `access_path`, so it has no page for end users", ""],
        zh: ["没有页面", "插件没有 `access_path`，没有面向用户的页面", ""];
    /// Why there is no URL: the plugin has no page for the operator.
    NO_SETTINGS_PATH = "no_settings_path", 422, PackageErrors,
        en: ["No settings page", "the plugin has no `settings_path`, so it has no settings page", ""],
        zh: ["没有设置页", "插件没有 `settings_path`，没有设置页", ""];
    /// Why there is no URL: nothing says where pages are served.
    NO_BASE_URL = "no_base_url", 422, PackageErrors,
        en: ["No base address", "neither `plugin_host` nor the setting `system_url` is set", "`plugyard web settings system_url=URL` sets the site's, `plugyard web set FSKEY --host URL` the plugin's"],
        zh: ["没有基础地址", "`plugin_host` 与设置 `system_url` 均未设置", "用 `plugyard web settings system_url=URL` 设置站点的地址，或用 `plugyard web set FSKEY --host URL` 设置插件的主机"];
    /// A parameter in a URL that has no place for it.
    W_PARAMETER_UNUSED = "W_PARAMETER_UNUSED", 422, PackageErrors,
        en: ["Parameter without a place", "The usage has a parameter, and the path has no place for it", "write `{parameter}` into the plugin's `accessPath`"],
        zh: ["参数没有位置", "使用关联设置了参数，但路径中没有其位置", "请在插件的 `accessPath` 中写入 `{parameter}`"];
    /// A URL that viewers are not given, because the plugin is disabled.
    W_PLUGIN_DISABLED = "W_PLUGIN_DISABLED", 422, PackageErrors,
        en: ["Plugin is disabled", "The plugin `{fskey}` is disabled; no viewer is offered this page", "activate it"],
        zh: ["插件已停用", "插件 `{fskey}` 已停用，不会向访问者提供此页面", "请启用插件"];
    /// A URL that viewers are not given, because the usage is disabled.
    W_USAGE_DISABLED = "W_USAGE_DISABLED", 422, PackageErrors,
        en: ["Usage is disabled", "The usage {id} is disabled; no viewer is offered it", "enable it"],
        zh: ["使用关联已停用", "使用关联 {id} 已停用，不会提供给访问者", "请启用"];
}
