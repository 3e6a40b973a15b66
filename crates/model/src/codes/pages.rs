//! Codes of plugin pages and webhooks: keys, tickets, endpoints.

super::codes! {
    /// A field of a request about keys, tickets, callbacks, schedules or webhooks that cannot be used.
    WEB_FIELD_INVALID = "web_field_invalid", 422, Usage,
        en: ["Field not usable", "`{field}` cannot be used: {reason}", "`/docs` says what the route takes"],
        zh: ["字段不可用", "`{field}` 不可用：{reason}", "此路由接受的内容见 `/docs`"];
    /// No application key has that id.
    WEB_KEY_NOT_FOUND = "web_key_not_found", 404, NotFound,
        en: ["No such key", "There is no application key `{key}`", "`GET /v1/web/keys` lists the keys"],
        zh: ["密钥不存在", "没有应用密钥 `{key}`", "用 `GET /v1/web/keys` 查看已有密钥"];
    /// An application key has that id already.
    WEB_KEY_EXISTS = "web_key_exists", 409, Conflict,
        en: ["Key exists", "There is an application key `{key}` already", "choose another `appId`, or leave it out"],
        zh: ["密钥已存在", "应用密钥 `{key}` 已存在", "请使用其他 `appId`，或不填该字段"];
    /// A signed request was refused; the number is the one clients know.
    SIGNATURE_REFUSED = "signature_refused", 401, NotPermitted,
        en: ["Signed request refused", "The signed request is refused ({code}): {reason}", "check key, time and the order of the signed parts"],
        zh: ["签名请求被拒绝", "签名请求被拒绝（{code}）：{reason}", "请检查密钥、时间以及签名内容的顺序"];
    /// A launch ticket that is unknown, used, over, or another plugin's or origin's; which of them is not said.
    TICKET_REFUSED = "ticket_refused", 403, NotPermitted,
        en: ["Ticket refused", "The ticket was used, is over, or is not for this plugin and origin", "let the user open the page again"],
        zh: ["票据被拒绝", "票据已使用、已过期，或不属于该插件与来源", "请让用户重新打开页面"];
    /// A result with that id was stored already.
    CALLBACK_EXISTS = "callback_exists", 409, Conflict,
        en: ["Result exists", "A result is stored under `{ulid}` already", "make a new ULID for each result"],
        zh: ["回调数据已存在", "`{ulid}` 下已有回调数据", "请为每个结果生成新的 ULID"];
    /// No webhook has that id or name.
    WEBHOOK_NOT_FOUND = "webhook_not_found", 404, NotFound,
        en: ["No such webhook", "There is no webhook `{webhook}`", "`plugyard webhook list` shows all"],
        zh: ["Webhook 不存在", "没有 Webhook `{webhook}`", "用 `plugyard webhook list` 查看全部"];
    /// A webhook has that name already.
    WEBHOOK_EXISTS = "webhook_exists", 409, Conflict,
        en: ["Webhook exists", "There is a webhook `{webhook}` already", "choose another name"],
        zh: ["Webhook 已存在", "Webhook `{webhook}` 已存在", "请使用其他名称"];
    /// No delivery has that id.
    DELIVERY_NOT_FOUND = "delivery_not_found", 404, NotFound,
        en: ["No such delivery", "There is no delivery `{delivery}`", "`plugyard webhook deliveries` shows them"],
        zh: ["投递记录不存在", "没有投递记录 `{delivery}`", "用 `plugyard webhook deliveries` 查看"];
    /// A delivery that waits or was taken is not delivered again.
    DELIVERY_NOT_DEAD = "delivery_not_dead", 409, Conflict,
        en: ["Not a dead letter", "The delivery `{delivery}` is {state}; only dead letters are delivered again", "wait until it was tried often enough, or follow it with `GET /v1/webhooks`"],
        zh: ["不是死信", "投递 `{delivery}` 的状态为 {state}，只有死信可以重新投递", "请等待其达到重试次数，或用 `GET /v1/webhooks` 跟踪"];
}
