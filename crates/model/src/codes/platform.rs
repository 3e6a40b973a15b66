//! Codes of the platform itself: requests, rights, plugins, operations.

super::codes! {
    /// A fault of ours; the cause is in the server's log under the request's id.
    INTERNAL = "internal", 500, Failed,
        en: ["Internal error", "The server failed while handling this request (request {request})", "look for the request id in the server's log, and report what you find"],
        zh: ["内部错误", "服务器处理此请求时出错（请求 {request}）", "请在服务器日志中查找该请求号，并反馈所见内容"];
    /// The request is not what the route takes.
    REQUEST_INVALID = "request_invalid", 400, Usage,
        en: ["Request not understood", "The request cannot be read: {reason}", "see `/docs` for what this route takes"],
        zh: ["请求无法理解", "请求无法读取：{reason}", "此路由接受的内容见 `/docs`"];
    /// A part of the address is not of the form that the route takes there, such as an id that is no UUID.
    PATH_INVALID = "path_invalid", 400, Usage,
        en: ["Address not understood", "`{value}` cannot be the `{name}` of this address", "take it from a list, such as `plugyard operation list`; `/docs` says what it looks like"],
        zh: ["地址无法理解", "`{value}` 不能作为此地址中的 `{name}`", "请从列表中获取，例如 `plugyard operation list`；其形式见 `/docs`"];
    /// The request's body is over the limit.
    REQUEST_TOO_LARGE = "request_too_large", 413, Usage,
        en: ["Request too large", "The request's body is larger than the {limit} allowed here", "send less at once; packages go to `POST /v1/packages`, whose limit is `packages.max_size`"],
        zh: ["请求过大", "请求体超过此处允许的 {limit}", "请减少单次发送的内容；插件包请发送至 `POST /v1/packages`，其上限为 `packages.max_size`"];
    /// There is no such route.
    ROUTE_NOT_FOUND = "route_not_found", 404, NotFound,
        en: ["No such address", "There is nothing at `{path}`", "see `/docs` for what is there"],
        zh: ["地址不存在", "`{path}` 处没有内容", "可用地址见 `/docs`"];
    /// The route exists, but not for this method.
    METHOD_NOT_ALLOWED = "method_not_allowed", 405, Usage,
        en: ["Method not allowed", "`{path}` does not answer {method}", "see `/docs` for what it answers"],
        zh: ["方法不允许", "`{path}` 不支持 {method}", "支持的方法见 `/docs`"];
    /// The route exists in the program but nobody was given the right to use it: a mistake of ours.
    ROUTE_CLOSED = "route_closed", 403, NotPermitted,
        en: ["Address closed", "This address has no right assigned, so nobody may use it", "report this: it is a mistake in the program"],
        zh: ["地址未开放", "此地址未分配权限，任何人都不能使用", "请反馈：这是程序错误"];
    /// The body has a media type that the route does not take.
    MEDIA_TYPE_UNSUPPORTED = "media_type_unsupported", 415, Usage,
        en: ["Media type not taken", "This route takes {expected}, not {given}", "set the header `Content-Type`"],
        zh: ["不支持的媒体类型", "此路由接受 {expected}，而不是 {given}", "请设置 `Content-Type` 请求头"];
    /// The answer did not begin within the server's deadline; what the request began may go on.
    DEADLINE_EXCEEDED = "deadline_exceeded", 503, Failed,
        en: ["Took too long", "The answer was not ready within {seconds} s", "`plugyard operation list` shows whether something was begun; then try again"],
        zh: ["处理超时", "{seconds} 秒内未能给出响应", "用 `plugyard operation list` 查看是否已开始，然后重试"];
    /// The server works on as many requests as it may.
    SERVER_BUSY = "server_busy", 503, Failed,
        en: ["Server busy", "The server is working on as many requests as it may", "try again in a moment"],
        zh: ["服务器繁忙", "服务器正在处理的请求已达上限", "请稍后重试"];
    /// The server has begun but is still recovering what was interrupted.
    SERVER_STARTING = "server_starting", 503, Unreachable,
        en: ["Server starting", "The server is still bringing back what was interrupted", "try again in a moment; `/readyz` says when it is ready"],
        zh: ["服务器正在启动", "服务器正在恢复先前中断的操作", "请稍后重试；`/readyz` 会说明何时就绪"];
    /// A path on the server's disk was named over the network.
    PATH_NOT_LOCAL = "path_not_local", 403, NotPermitted,
        en: ["Path not taken", "A path on the server's own disk can only be named over its local socket", "send the package's bytes, or use the command line on the server's machine"],
        zh: ["不接受路径", "服务器磁盘上的路径只能通过其本地套接字给出", "请直接发送插件包内容，或在服务器本机使用命令行"];
    /// The first request with this `Idempotency-Key` is still being worked on.
    IDEMPOTENCY_KEY_PENDING = "idempotency_key_pending", 409, Conflict,
        en: ["First request still under way", "The first request with this `Idempotency-Key` is still being worked on", "send it again in a moment: it gets the first one's answer"],
        zh: ["首个请求仍在处理", "使用此 `Idempotency-Key` 的首个请求仍在处理", "请稍后重发：会得到首个请求的应答"];
    /// The server ended while it worked on the first request with this `Idempotency-Key`.
    IDEMPOTENCY_KEY_UNSETTLED = "idempotency_key_unsettled", 409, Conflict,
        en: ["Outcome not known", "The server ended while it worked on the first request with this `Idempotency-Key`, so nobody knows whether it had an effect", "look at what is there (`plugyard operation list`), then send the request with a new key if it is still needed"],
        zh: ["结果未知", "服务器在处理使用此 `Idempotency-Key` 的首个请求时结束，无法得知其是否生效", "请先查看现状（`plugyard operation list`），如仍需要，请用新的键重新发送"];
    /// The first request with an `Idempotency-Key` had its effect, and its answer told a secret, which nobody keeps.
    IDEMPOTENCY_ANSWER_TOLD = "idempotency_answer_told", 409, Conflict,
        en: ["Done before", "The first request with this `Idempotency-Key` was carried out; its answer held a secret, which is told only once", "if the secret is lost, take back what was made and make another with a new key"],
        zh: ["此前已完成", "使用此 `Idempotency-Key` 的首个请求已执行；其响应包含只告知一次的机密", "如机密已丢失，请撤销所创建的内容，并用新的键重新创建"];
    /// An `Idempotency-Key` that stands for another request.
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused", 409, Conflict,
        en: ["Idempotency key in use", "The request's `Idempotency-Key` cannot be used: {reason}", "send a new key with a new request"],
        zh: ["幂等键已被使用", "请求的 `Idempotency-Key` 不可用：{reason}", "新的请求请使用新的键"];
    /// No valid credentials came with the request.
    NOT_SIGNED_IN = "not_signed_in", 401, NotPermitted,
        en: ["Not signed in", "This needs a valid token", "send `Authorization: Bearer <token>`, or use the command line on the server's own machine"],
        zh: ["未登录", "此操作需要有效令牌", "请发送 `Authorization: Bearer <token>`，或在服务器本机使用命令行"];
    /// The caller is known but lacks the right.
    NOT_PERMITTED = "not_permitted", 403, NotPermitted,
        en: ["Not permitted", "This needs the right `{right}`, which {who} does not have", "ask an owner for a role that has it"],
        zh: ["没有权限", "此操作需要权限 `{right}`，而 {who} 没有", "请向所有者申请具备该权限的角色"];
    /// A request without sign-in came under a host or origin that is not this server.
    ORIGIN_REFUSED = "origin_refused", 403, NotPermitted,
        en: ["Origin refused", "Without sign-in, only requests to this machine from this machine's own pages are taken (got `{origin}`)", "start the server with sign-in"],
        zh: ["来源被拒绝", "未启用登录时，仅接受本机页面对本机的请求（收到 `{origin}`）", "请启用登录后启动服务器"];
    /// A plugin's process tried what only people and their tools may do.
    PLUGIN_REFUSED = "plugin_refused", 403, NotPermitted,
        en: ["Refused to a plugin", "The caller is a plugin's process and may not use this socket", "a plugin uses `PLUGYARD_API` with `PLUGYARD_TOKEN`"],
        zh: ["拒绝插件访问", "调用方是插件进程，不得使用此套接字", "插件请使用 `PLUGYARD_API` 与 `PLUGYARD_TOKEN`"];
    /// No plugin of that name is installed.
    PLUGIN_NOT_FOUND = "plugin_not_found", 404, NotFound,
        en: ["Plugin not found", "There is no plugin `{plugin}` here", "`plugyard list` shows what is here"],
        zh: ["未找到插件", "此处没有插件 `{plugin}`", "用 `plugyard list` 查看已有插件"];
    /// A bare key that plugins of several kinds have.
    PLUGIN_AMBIGUOUS = "plugin_ambiguous", 409, Usage,
        en: ["Plugin name is ambiguous", "`{plugin}` could be any of {candidates}", "write the kind before the key, as in `portable:{plugin}`"],
        zh: ["插件名不唯一", "`{plugin}` 可能是 {candidates} 中的任何一个", "请在键名前写出类型，如 `portable:{plugin}`"];
    /// A plugin of that name is already installed.
    PLUGIN_EXISTS = "plugin_exists", 409, Conflict,
        en: ["Plugin already installed", "`{plugin}` is already installed", "`plugyard upgrade {plugin} <package>` replaces its version"],
        zh: ["插件已安装", "`{plugin}` 已经安装", "用 `plugyard upgrade {plugin} <package>` 更换版本"];
    /// A name that cannot be a plugin's.
    PLUGIN_NAME_INVALID = "plugin_name_invalid", 400, Usage,
        en: ["Plugin name invalid", "`{name}` cannot be a plugin's name: {reason}", "letters, digits, `_` and `-` are allowed"],
        zh: ["插件名无效", "`{name}` 不能作为插件名：{reason}", "允许使用字母、数字、`_` 和 `-`"];
    /// The package that came is for another plugin than the one named.
    PLUGIN_MISMATCH = "plugin_mismatch", 409, Conflict,
        en: ["Package is of another plugin", "The package is `{actual}`, not `{plugin}`", "give the package of `{plugin}`, or install this one under its own name"],
        zh: ["插件包属于其他插件", "该插件包是 `{actual}`，而不是 `{plugin}`", "请提供 `{plugin}` 的插件包，或以其自身名称安装"];
    /// There is no version to go back to.
    NO_PREVIOUS_VERSION = "no_previous_version", 409, Conflict,
        en: ["No version to go back to", "`{plugin}` has no earlier version here", "`plugyard show {plugin}` lists its versions"],
        zh: ["没有可回退的版本", "`{plugin}` 在此没有更早的版本", "用 `plugyard show {plugin}` 查看其版本"];
    /// The version named does not exist.
    VERSION_NOT_FOUND = "version_not_found", 404, NotFound,
        en: ["Version not found", "`{plugin}` has no version `{version}`", "`plugyard show {plugin}` lists its versions"],
        zh: ["未找到版本", "`{plugin}` 没有版本 `{version}`", "用 `plugyard show {plugin}` 查看其版本"];
    /// Another change of the same plugin is under way.
    OPERATION_IN_PROGRESS = "operation_in_progress", 409, Conflict,
        en: ["Another change is under way", "`{plugin}` is being changed by operation {operation}", "`plugyard operation watch {operation}` follows it"],
        zh: ["另一变更进行中", "操作 {operation} 正在变更 `{plugin}`", "用 `plugyard operation watch {operation}` 跟踪"];
    /// No operation of that id.
    OPERATION_NOT_FOUND = "operation_not_found", 404, NotFound,
        en: ["Operation not found", "There is no operation {operation}", "`plugyard operation list` shows the latest"],
        zh: ["未找到操作", "没有操作 {operation}", "用 `plugyard operation list` 查看最近的操作"];
    /// A step of a change failed; nothing changed.
    STEP_FAILED = "step_failed", 422, Failed,
        en: ["A step failed", "`{plugin}`: the step {step} failed: {reason}", "`plugyard logs {plugin}` shows what the plugin said"],
        zh: ["步骤失败", "`{plugin}`：步骤 {step} 失败：{reason}", "用 `plugyard logs {plugin}` 查看插件输出"];
    /// A change failed and the previous version is running again.
    ROLLED_BACK = "rolled_back", 422, RolledBack,
        en: ["Failed, previous version runs", "`{plugin}`: the step {step} failed: {reason}. The previous version {previous} is running", "`plugyard operation show {operation}` has the steps and their output"],
        zh: ["失败，旧版本运行中", "`{plugin}`：步骤 {step} 失败：{reason}。旧版本 {previous} 正在运行", "用 `plugyard operation show {operation}` 查看各步骤及输出"];
    /// A change failed, and a step could not be undone.
    UNDO_FAILED = "undo_failed", 500, UndoFailed,
        en: ["Failed, and the way back failed", "`{plugin}`: the step {step} failed: {reason}. Undoing it failed too: {undo}", "restart the server: recovery tries again; `plugyard operation show {operation}` has the details"],
        zh: ["失败且回退失败", "`{plugin}`：步骤 {step} 失败：{reason}。撤销也失败：{undo}", "请重启服务器以再次恢复；详情见 `plugyard operation show {operation}`"];
    /// The operator cancelled a change before its commit.
    OPERATION_CANCELLED = "operation_cancelled", 409, Failed,
        en: ["Change cancelled", "`{plugin}`: the change was cancelled before it took effect", "nothing changed; begin it again when it is wanted"],
        zh: ["变更已取消", "`{plugin}`：变更在生效前被取消", "没有任何更改；需要时可重新开始"];
    /// The package has errors; they stand in `findings`.
    PACKAGE_INVALID = "package_invalid", 422, PackageErrors,
        en: ["Package has errors", "The package has {errors} error(s): {first}", "`plugyard check <package>` shows all of them with their places"],
        zh: ["插件包有错误", "插件包有 {errors} 个错误：{first}", "用 `plugyard check <package>` 查看全部错误及位置"];
    /// No kind recognises the package.
    KIND_UNKNOWN = "kind_unknown", 422, PackageErrors,
        en: ["Format not recognised", "This is no plugin package of a known kind; it contains {seen}", "at its root a portable plugin has `<name>.json`, an app `config.json` or `plugyard.app.json`, a web plugin `plugin.json` or `theme.json`; `--kind` says which kind is meant"],
        zh: ["无法识别的格式", "这不是已知类型的插件包；其中包含 {seen}", "根目录中，portable 插件应有 `<name>.json`，app 插件应有 `config.json` 或 `plugyard.app.json`，web 插件应有 `plugin.json` 或 `theme.json`；可用 `--kind` 指定类型"];
    /// The package looks like one of a kind that is not here.
    KIND_ABSENT = "kind_absent", 422, PackageErrors,
        en: ["Package of another kind", "This looks like a package of the kind `{kind}`, for it has {sign}; there is no such kind here, there are {known}", "a package of the kind `{kind}` cannot be installed here; if it is one of a kind that is here, say so with `--kind`"],
        zh: ["其他类型的插件包", "这看起来是 `{kind}` 类型的插件包（其中有 {sign}）；此处没有该类型，现有类型：{known}", "此处无法安装 `{kind}` 类型的插件包；若它属于现有类型，请用 `--kind` 指明"];
    /// A kind that this server does not know.
    KIND_NOT_SERVED = "kind_not_served", 400, Usage,
        en: ["Kind not known", "There is no kind of plugin `{kind}`; this server knows {known}", "name one of these kinds"],
        zh: ["未知类型", "没有插件类型 `{kind}`；此服务器支持 {known}", "请指定上述类型之一"];
    /// The package cannot be fetched from the address given.
    PACKAGE_FETCH_FAILED = "package_fetch_failed", 422, Failed,
        en: ["Package cannot be fetched", "`{uri}` cannot be fetched: {reason}", "try the address with another program from the server's machine; `packages.allow_private_urls` admits addresses inside"],
        zh: ["无法获取插件包", "无法获取 `{uri}`：{reason}", "请在服务器所在机器上用其他程序尝试该地址；`packages.allow_private_urls` 可允许内网地址"];
    /// A file or directory given on the command line cannot be read.
    INPUT_UNREADABLE = "input_unreadable", 400, NotFound,
        en: ["Input cannot be read", "`{path}` cannot be read: {reason}", "is the path right, and may you read what is there?"],
        zh: ["无法读取输入", "无法读取 `{path}`：{reason}", "路径是否正确，是否有读取权限？"];
    /// The server does not answer.
    SERVER_UNREACHABLE = "server_unreachable", 503, Unreachable,
        en: ["Server not reachable", "No Plugyard server answers at {address}: {reason}", "`plugyard serve` starts one; `--server` or `--home` say which is meant"],
        zh: ["无法连接服务器", "{address} 处没有 Plugyard 服务器响应：{reason}", "用 `plugyard serve` 启动；用 `--server` 或 `--home` 指定"];
    /// The database does not answer or refuses.
    STORE_UNAVAILABLE = "store_unavailable", 503, Failed,
        en: ["Database not available", "The database does not answer", "the server's log has the cause; try again when it is back"],
        zh: ["数据库不可用", "数据库没有响应", "原因见服务器日志；恢复后请重试"];
    /// The disk that the database is on has no room left; nothing was written.
    STORE_FULL = "store_full", 507, Failed,
        en: ["Disk of the database full", "The disk of the database is full, so nothing can be changed", "make room on it, then try again; what was under way comes to its end by itself"],
        zh: ["数据库磁盘已满", "数据库所在磁盘已满，无法进行任何更改", "请清理该磁盘后重试；进行中的操作会自行完成"];
    /// A package does not fit on the disk of the home; nothing of it was kept.
    HOME_FULL = "home_full", 507, Failed,
        en: ["Disk full", "The package cannot be kept, the disk of `{path}` is full: {reason}", "make room on that disk, then give the package again"],
        zh: ["磁盘已满", "无法保存插件包，`{path}` 所在磁盘已满：{reason}", "请清理该磁盘后重新提交插件包"];
    /// A step of a change found no room on a disk; nothing changed.
    STEP_DISK_FULL = "step_disk_full", 507, Failed,
        en: ["Disk full", "`{plugin}`: the step {step} found no room on the disk: {reason}", "make room on the disk of the home, then try again"],
        zh: ["磁盘已满", "`{plugin}`：步骤 {step} 磁盘空间不足：{reason}", "请清理主目录所在磁盘后重试"];
    /// A step of a change cannot be recorded, because the disk of the database has no room left.
    STEP_STORE_FULL = "step_store_full", 507, Failed,
        en: ["Disk of the database full", "`{plugin}`: the step {step} cannot be recorded: the disk of the database is full", "make room on it: operation {operation} then comes to its end by itself, and `plugyard operation watch {operation}` shows how"],
        zh: ["数据库磁盘已满", "`{plugin}`：步骤 {step} 无法记录：数据库所在磁盘已满", "请清理该磁盘：操作 {operation} 随后会自行结束，用 `plugyard operation watch {operation}` 查看结果"];
    /// Another server works on the same database.
    STORE_IN_USE = "store_in_use", 503, Conflict,
        en: ["Database in use", "The database {address} belongs to another server that is running: {owner}", "stop that server, or give this one a database of its own (`database.url`)"],
        zh: ["数据库被占用", "数据库 {address} 正由另一台运行中的服务器使用：{owner}", "请停止该服务器，或为本服务器配置独立的数据库（`database.url`）"];
    /// The thing is no longer as the caller last saw it.
    PRECONDITION_FAILED = "precondition_failed", 412, Conflict,
        en: ["Changed meanwhile", "It is no longer as you last saw it", "read it again, then repeat your change"],
        zh: ["期间已被更改", "内容已与您上次所见不同", "请重新读取后再修改"];
    /// The home directory cannot be used.
    HOME_UNUSABLE = "home_unusable", 500, Failed,
        en: ["Home directory cannot be used", "`{path}` cannot be Plugyard's home: {reason}", "`--home` names another directory"],
        zh: ["主目录不可用", "`{path}` 不能作为 Plugyard 主目录：{reason}", "可用 `--home` 指定其他目录"];
    /// The configuration has a mistake.
    CONFIGURATION_INVALID = "configuration_invalid", 500, Usage,
        en: ["Configuration invalid", "The configuration is invalid: {reason}", "`docs/configuration.md` lists every key"],
        zh: ["配置无效", "配置无效：{reason}", "`docs/configuration.md` 列出所有配置项"];
    /// An address to listen on that is taken or not ours.
    LISTEN_FAILED = "listen_failed", 500, Failed,
        en: ["Cannot listen", "Cannot listen on {address}: {reason}", "`--listen 127.0.0.1:0` takes any free port"],
        zh: ["无法监听", "无法监听 {address}：{reason}", "用 `--listen 127.0.0.1:0` 选择任意空闲端口"];
    /// `--auth none` with a listener that others can reach.
    AUTH_NONE_NOT_LOOPBACK = "auth_none_not_loopback", 500, Usage,
        en: ["Refusing to serve without sign-in", "`--auth none` is only for loopback addresses, not {address}", "leave out `--auth none`, or listen on 127.0.0.1"],
        zh: ["拒绝无登录服务", "`--auth none` 仅适用于回环地址，不适用于 {address}", "请去掉 `--auth none`，或监听 127.0.0.1"];
    /// Several plugins' answers, or an answer that is not ours, could not be read.
    ANSWER_UNREADABLE = "answer_unreadable", 502, Failed,
        en: ["Answer not understood", "The server's answer cannot be read: {reason}", "is there a Plugyard server at this address, of the same version?"],
        zh: ["无法理解响应", "无法读取服务器响应：{reason}", "该地址是否为同版本的 Plugyard 服务器？"];
    /// The database was written by a newer version of the program.
    STORE_NEWER = "store_newer", 500, Failed,
        en: ["Database of a newer version", "The database is of a newer version than this server: `{migration}` is not known here; it was not touched", "start the newer version, or restore a backup made with this one"],
        zh: ["数据库版本较新", "数据库版本高于此服务器：此处不认识 `{migration}`；数据库未被改动", "请启动较新版本，或恢复由当前版本制作的备份"];
    /// The store of packages does not answer or refuses.
    OBJECTS_UNAVAILABLE = "objects_unavailable", 503, Failed,
        en: ["Package store not available", "The store of packages cannot be used", "is the disk full, or the store of `objects.url` not to be reached? The server's log has the cause"],
        zh: ["插件包存储不可用", "无法使用插件包存储", "磁盘是否已满，或 `objects.url` 指向的存储无法访问？原因见服务器日志"];
    /// The place for packages was marked by another installation.
    OBJECTS_FOREIGN = "objects_foreign", 500, Usage,
        en: ["Package store of another server", "The store of packages at {address} belongs to another Plugyard ({owner}); nothing was changed", "give each installation a prefix of its own in `objects.url`, e.g. `s3://bucket/production`"],
        zh: ["插件包存储属于另一服务器", "位于 {address} 的插件包存储属于另一个 Plugyard（{owner}）；未做任何更改", "请在 `objects.url` 中为每个安装设置各自的前缀，例如 `s3://bucket/production`"];
    /// The master key of the secrets is missing, unreadable, or readable for others.
    MASTER_KEY_UNUSABLE = "master_key_unusable", 500, Failed,
        en: ["Master key cannot be used", "The master key of the secrets cannot be used: {reason}; nothing was changed", "restore the key from where you keep it; without it the secrets in the database cannot be read"],
        zh: ["主密钥不可用", "无法使用加密机密的主密钥：{reason}；未做任何更改", "请从备份恢复该密钥；没有它就无法读取数据库中的机密"];
    /// A revision of a configuration that is forgotten, or never was.
    CONFIG_REVISION_NOT_FOUND = "config_revision_not_found", 404, NotFound,
        en: ["Revision not found", "The revision {revision} of the configuration of `{plugin}` is not remembered", "`plugyard config history {plugin}` lists those that are"],
        zh: ["未找到修订版本", "`{plugin}` 的配置没有保留修订版本 {revision}", "用 `plugyard config history {plugin}` 查看保留的修订版本"];
    /// A document that is no export of values, or whose secrets are for somebody else.
    CONFIG_EXPORT_INVALID = "config_export_invalid", 400, Usage,
        en: ["Export not usable", "The exported values cannot be used: {reason}; nothing was changed", "export again with `--recipient` as `plugyard secrets recipient` prints it on this server"],
        zh: ["导出内容不可用", "无法使用导出的配置值：{reason}；未做任何更改", "请在导出时用 `--recipient` 指定本服务器上 `plugyard secrets recipient` 打印的内容"];
    /// A secret cannot be kept or read, because the master key is not to be had.
    SECRET_STORE_UNAVAILABLE = "secret_store_unavailable", 503, Failed,
        en: ["No encryption key", "No encryption key is to be had, so secrets can be neither read nor set: {reason}", "`plugyard doctor` says where the key is looked for; nothing was changed"],
        zh: ["没有加密密钥", "未配置加密密钥，无法读取或保存敏感信息：{reason}", "`plugyard doctor` 会说明在何处查找密钥；未做任何更改"];
    /// The master key is not the one that the secrets in the database were encrypted with.
    MASTER_KEY_WRONG = "master_key_wrong", 500, Failed,
        en: ["Wrong master key", "The secrets need the master key {expected}, which is not what {source} has[[: {found}]]; nothing was changed", "restore the key {expected}, or the database that belongs to the key you have"],
        zh: ["主密钥不符", "机密需要主密钥 {expected}，而 {source} 中没有它[[，有的是 {found}]]；未做任何更改", "请恢复密钥 {expected}，或恢复与现有密钥对应的数据库"];
    /// A stored secret was altered or moved to another place.
    SECRET_DAMAGED = "secret_damaged", 500, Failed,
        en: ["Secret damaged", "The secret `{name}` of {owner} cannot be decrypted: its row was altered or moved", "set it anew, or restore the database from a backup"],
        zh: ["机密已损坏", "无法解密 {owner} 的机密 `{name}`：该记录被修改或移动过", "请重新设置，或从备份恢复数据库"];
    /// A package is over the limit while it comes in.
    PACKAGE_TOO_LARGE = "package_too_large", 413, PackageErrors,
        en: ["Package too large", "The package has more than the {limit} allowed here", "leave out what the plugin does not need, or raise `packages.max_size`"],
        zh: ["插件包过大", "插件包超过此处允许的 {limit}", "请去掉插件不需要的内容，或调高 `packages.max_size`"];
    /// An address that leads into the server's own network.
    PACKAGE_URL_REFUSED = "package_url_refused", 422, Failed,
        en: ["Address refused", "`{uri}` is not fetched: {reason}", "download the package yourself and upload it, or set `packages.allow_private_urls`"],
        zh: ["地址被拒绝", "不会获取 `{uri}`：{reason}", "请自行下载后上传，或设置 `packages.allow_private_urls`"];
    /// Everything in the package stands in one directory.
    PACKAGE_WRAPPED = "package_wrapped", 422, PackageErrors,
        en: ["Package is wrapped in a directory", "Everything stands in the directory `{directory}`, where it is not found", "pack what is in `{directory}`, not the directory itself"],
        zh: ["插件包多了一层目录", "所有内容都在目录 `{directory}` 中，因此无法找到", "请打包 `{directory}` 中的内容，而不是该目录本身"];
    /// No package of that digest was taken in.
    PACKAGE_NOT_FOUND = "package_not_found", 404, NotFound,
        en: ["Package not found", "There is no package {digest} here", "upload it first"],
        zh: ["未找到插件包", "此处没有插件包 {digest}", "请先上传"];
    /// A change that cannot be cancelled any more.
    OPERATION_PAST_COMMIT = "operation_past_commit", 409, Conflict,
        en: ["Too late to cancel", "Operation {operation} can no longer be cancelled: it {reason}", "undo it with another change, such as `plugyard rollback {plugin}`"],
        zh: ["已无法取消", "操作 {operation} 已无法取消：{reason}", "可用其他变更撤销，例如 `plugyard rollback {plugin}`"];
    /// The server is ending and begins no more changes.
    SHUTTING_DOWN = "shutting_down", 503, Unreachable,
        en: ["Server is stopping", "The server is stopping and begins nothing new", "try again when it is back"],
        zh: ["服务器正在停止", "服务器正在停止，不再开始新的变更", "请在其恢复后重试"];
    /// No account has that name.
    ACCOUNT_NOT_FOUND = "account_not_found", 404, NotFound,
        en: ["Account not found", "There is no account `{account}`", "`plugyard user list` shows the accounts"],
        zh: ["未找到账户", "没有账户 `{account}`", "用 `plugyard user list` 查看账户"];
    /// An account has that name already.
    ACCOUNT_EXISTS = "account_exists", 409, Conflict,
        en: ["Account exists already", "There is an account `{account}` already", "`plugyard user role {account} <role>` changes what it may"],
        zh: ["账户已存在", "账户 `{account}` 已经存在", "用 `plugyard user role {account} <role>` 更改其权限"];
    /// The change would leave nobody who may everything.
    LAST_OWNER = "last_owner", 409, Conflict,
        en: ["Last owner", "`{account}` is the last enabled owner, and there must be one", "give another account the role first: `plugyard user role <name> owner`"],
        zh: ["最后一个所有者", "`{account}` 是最后一个启用的所有者，必须至少保留一个", "请先将该角色授予其他账户：`plugyard user role <name> owner`"];
    /// A token was asked for with a role that its account does not have.
    ROLE_NOT_HELD = "role_not_held", 409, Conflict,
        en: ["Role not held", "`{account}` does not have the role `{role}`, so no token of it can", "`plugyard user role {account} {role}` gives it the role"],
        zh: ["不具备该角色", "`{account}` 没有角色 `{role}`，因此其令牌也不能拥有", "用 `plugyard user role {account} {role}` 授予该角色"];
    /// No token of that id.
    TOKEN_NOT_FOUND = "token_not_found", 404, NotFound,
        en: ["Token not found", "There is no token {token}", "`plugyard token list` shows all of them"],
        zh: ["未找到令牌", "没有令牌 {token}", "`plugyard token list` 可列出所有令牌"];
}
