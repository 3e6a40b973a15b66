//! Codes of markets: catalogues, downloads, and upgrades from there.

super::codes! {
    /// A market that does not answer, or breaks off.
    E_MARKET_UNREACHABLE = "E_MARKET_UNREACHABLE", 502, Unreachable,
        en: ["Market not reachable", "The market `{market}` could not be asked: {reason}", "look at its address, the network and the proxy; `--allow-private` of `plugyard market add` is for a market in the server's own network. What is installed is not concerned"],
        zh: ["无法访问插件市场", "无法访问插件市场 `{market}`：{reason}", "请检查其地址、网络与代理；服务器内网中的市场须用 `plugyard market add --allow-private` 添加。已安装的插件不受影响"];
    /// A market that says no.
    E_MARKET_REFUSED = "E_MARKET_REFUSED", 502, Failed,
        en: ["Market refuses", "The market `{market}` refuses: {reason}", "ask whoever runs the market; `plugyard market list` shows its address"],
        zh: ["插件市场拒绝", "插件市场 `{market}` 拒绝了请求：{reason}", "请询问该市场的负责人；用 `plugyard market list` 查看其地址"];
    /// An answer of a market that cannot be understood.
    E_MARKET_RESPONSE = "E_MARKET_RESPONSE", 502, Failed,
        en: ["Market's answer is unusable", "The answer of the market `{market}` cannot be used: {reason}", "look whether the address is that of a market of this protocol"],
        zh: ["插件市场的响应无法使用", "无法使用插件市场 `{market}` 的响应：{reason}", "请检查该地址是否为此协议的插件市场"];
    /// A catalogue that is not signed by whom one trusts.
    E_SIGNATURE_INVALID = "E_SIGNATURE_INVALID", 502, Failed,
        en: ["Signature not valid", "The market `{market}` is not signed by whom it should be: {reason}", "compare the key with the one its operator gave you; do not go on before that is clear"],
        zh: ["签名无效", "插件市场 `{market}` 的签名者不受信任：{reason}", "请与市场运营者提供的密钥核对，在查明之前不要继续"];
    /// A catalogue that is signed and too old.
    E_SIGNATURE_EXPIRED = "E_SIGNATURE_EXPIRED", 502, Failed,
        en: ["Catalogue expired", "The catalogue of the market `{market}` is too old: {reason}", "its operator has to sign it anew; check also this machine's clock"],
        zh: ["目录已过期", "插件市场 `{market}` 的目录已过期：{reason}", "请由市场运营者重新签名；同时检查本机时钟"];
    /// A catalogue older than one that was seen before.
    E_CATALOGUE_ROLLBACK = "E_CATALOGUE_ROLLBACK", 502, Failed,
        en: ["Older catalogue", "The market `{market}` shows an older catalogue than before: {reason}", "somebody may be showing you an old one; ask the market's operator"],
        zh: ["目录被回退", "插件市场 `{market}` 给出的目录比先前见过的旧：{reason}", "可能有人在重放旧目录，请询问市场运营者"];
    /// Documents of a catalogue that do not belong together.
    E_CATALOGUE_INCONSISTENT = "E_CATALOGUE_INCONSISTENT", 502, Failed,
        en: ["Catalogue does not fit together", "The documents of the market `{market}` do not belong together: {reason}", "try again; if it stays so, ask the market's operator"],
        zh: ["目录不一致", "插件市场 `{market}` 的文档彼此不符：{reason}", "请重试；如仍如此，请询问市场运营者"];
    /// A package with other bytes than its catalogue says.
    E_PACKAGE_HASH = "E_PACKAGE_HASH", 502, Failed,
        en: ["Package is not the one announced", "The package of the market `{market}` has other bytes than the catalogue says: {reason}", "nothing was installed; ask the market's operator"],
        zh: ["插件包与目录不符", "插件市场 `{market}` 的插件包与目录不符：{reason}", "没有安装任何内容；请询问市场运营者"];
    /// A package of another version than announced.
    E_VERSION_MISMATCH = "E_VERSION_MISMATCH", 422, PackageErrors,
        en: ["Another version", "The package of `{fskey}` is version {actual}, not {expected}", "ask the market's operator"],
        zh: ["版本不符", "`{fskey}` 的插件包版本为 {actual}，而不是 {expected}", "请询问市场运营者"];
    /// A package that takes an upgrade code which is not there or not good.
    E_UPGRADE_CODE = "E_UPGRADE_CODE", 403, NotPermitted,
        en: ["Upgrade code needed", "The market `{market}` gives `{fskey}` only to who has an upgrade code, and the one stored is missing or not good", "enter the code that came with the purchase: `plugyard web set {fskey} --upgrade-code -`"],
        zh: ["需要升级码", "插件市场 `{market}` 仅向持有升级码者提供 `{fskey}`，而已存的升级码缺失或无效", "请填写购买时获得的升级码：`plugyard web set {fskey} --upgrade-code -`"];
    /// An upgrade of a plugin for which none is known.
    E_NO_UPGRADE = "E_NO_UPGRADE", 409, Conflict,
        en: ["No newer version", "No market has a newer version of `{fskey}` than {version}", "`plugyard web check` asks the markets again"],
        zh: ["没有更新的版本", "没有插件市场提供比 {version} 更新的 `{fskey}`", "用 `plugyard web check` 重新查询市场"];
    /// A plugin that no market has.
    E_NOT_ON_MARKET = "E_NOT_ON_MARKET", 404, NotFound,
        en: ["Not on a market", "No market has the plugin `{fskey}`", "add the market that has it with `plugyard market add`"],
        zh: ["市场中没有该插件", "没有插件市场提供插件 `{fskey}`", "请用 `plugyard market add` 添加提供它的市场"];
    /// A market that is not there.
    E_MARKET_UNKNOWN = "E_MARKET_UNKNOWN", 404, NotFound,
        en: ["No such market", "There is no market `{market}`", "list them with `plugyard market list`"],
        zh: ["插件市场不存在", "没有插件市场 `{market}`", "可用 `plugyard market list` 列出"];
    /// A name or an address that another market has.
    E_MARKET_EXISTS = "E_MARKET_EXISTS", 409, Conflict,
        en: ["Market is there already", "There is a market `{market}` already", "remove it first, or choose another name"],
        zh: ["插件市场已存在", "插件市场 `{market}` 已存在", "请先删除它，或使用其他名称"];
    /// An address, key, proxy or name that cannot be a market's.
    E_MARKET_INVALID = "E_MARKET_INVALID", 422, Usage,
        en: ["Market not possible", "`{field}` cannot be used: {reason}", "`plugyard market --help` says what is expected"],
        zh: ["插件市场无效", "`{field}` 无法使用：{reason}", "用 `plugyard market --help` 查看要求"];
    /// A place that is no market, or something that is not published there.
    E_MARKET_NOT_THERE = "E_MARKET_NOT_THERE", 404, NotFound,
        en: ["Not there", "{reason}", "look at the name and the version; make a market with `plugyard market init`, or say with `--in` where it is"],
        zh: ["不存在", "{reason}", "请检查名称和版本；用 `plugyard market init` 创建市场，或用 `--in` 指定其位置"];
    /// A place that is a market already, or keys that are another market's.
    E_MARKET_TAKEN = "E_MARKET_TAKEN", 409, Conflict,
        en: ["Taken", "{reason}", "choose another place with `--in`, and for a bucket other keys with `--keys`"],
        zh: ["已被占用", "{reason}", "请用 `--in` 选择其他位置；对于存储桶，再用 `--keys` 选择其他密钥目录"];
    /// A version that is published with other bytes.
    E_MARKET_VERSION_TAKEN = "E_MARKET_VERSION_TAKEN", 409, Conflict,
        en: ["Published already", "{reason}", "a version is published once: raise the version"],
        zh: ["已经发布", "{reason}", "同一版本只能发布一次：请提高版本号"];
    /// A market of one's own that cannot be used as it is.
    E_MARKET_UNUSABLE = "E_MARKET_UNUSABLE", 500, Failed,
        en: ["Market not usable", "{reason}", "look at what is named there; for a bucket also at `objects.*` in the configuration and the variables `AWS_…`"],
        zh: ["市场无法使用", "{reason}", "请检查其中提到的内容；对于存储桶，还请检查配置中的 `objects.*` 与 `AWS_…` 环境变量"];
}
