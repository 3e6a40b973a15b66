//! Answers in the form of Fresns.

use axum::response::{IntoResponse, Response};
use plugyard_model::{Lang, Problem, codes};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// An answer: `code` 0 when all went well. The HTTP status is 200 either way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = WebReply)]
pub(crate) struct Reply {
    /// 0, or the number of what went wrong.
    pub(crate) code: u32,
    /// For people.
    pub(crate) message: String,
    /// What was asked for.
    pub(crate) data: Json,
}

/// What went wrong: a number that clients know, and a text where somebody else gave one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failed {
    pub(crate) code: u32,
    pub(crate) message: Option<String>,
    pub(crate) data: Json,
}

impl From<u32> for Failed {
    fn from(code: u32) -> Self {
        Self {
            code,
            message: None,
            data: Json::Null,
        }
    }
}

impl Failed {
    pub(crate) fn because(code: u32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: Some(message.into()),
            data: Json::Null,
        }
    }

    pub(crate) fn with(mut self, data: Json) -> Self {
        self.data = data;
        self
    }

    pub(crate) fn text(&self, lang: Lang) -> String {
        self.message
            .clone()
            .unwrap_or_else(|| text(self.code, lang).to_owned())
    }

    /// The same on routes of ours.
    pub(crate) fn problem(&self) -> Problem {
        Problem::new(codes::SIGNATURE_REFUSED)
            .with("code", self.code)
            .with("reason", self.text(Lang::En))
    }
}

impl Reply {
    pub(crate) fn ok(data: Json) -> Self {
        Self {
            code: 0,
            message: "ok".to_owned(),
            data,
        }
    }

    pub(crate) fn of(outcome: Result<Json, Failed>, lang: Lang) -> Self {
        match outcome {
            Ok(data) => Self::ok(data),
            Err(failed) => Self {
                code: failed.code,
                message: failed.text(lang),
                data: failed.data,
            },
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let headers = [(axum::http::header::CACHE_CONTROL, "no-store")];
        (headers, axum::Json(self)).into_response()
    }
}

/// What a number means.
fn text(code: u32, lang: Lang) -> &'static str {
    let (en, zh) = match code {
        21000 => ("No address for command words is configured", "未配置命令字"),
        21001 | 32101 => ("The plugin does not exist", "插件不存在"),
        21002 => ("The command word does not exist", "命令字不存在"),
        21004 => ("The plugin did not answer", "插件无响应"),
        21005 => (
            "The parameters of the command word are wrong",
            "命令字参数错误",
        ),
        21006 => ("The command word cannot be carried out", "命令字不可执行"),
        21007 => (
            "The answer does not have the form of one",
            "命令字返回结果格式错误",
        ),
        21008 => ("The data of the command word are wrong", "命令字数据异常"),
        21009 => ("The command word failed", "命令字执行异常"),
        21010 => ("The plugin is disabled", "插件未启用"),
        21011 => ("The address for command words is wrong", "命令字配置错误"),
        30001 => ("A parameter is missing", "缺少参数"),
        30002 => ("A parameter is wrong", "参数错误"),
        31000 => ("The request is not authorised", "未经授权"),
        31102 => ("The key is another platform's", "密钥与平台不符"),
        31301 => (
            "The key does not exist or is disabled",
            "密钥不存在或已停用",
        ),
        31302 => ("The signature is wrong", "签名错误"),
        31303 => (
            "The time of the signature is more than ten minutes off",
            "签名时间已过期",
        ),
        31304 => ("The key is none for this", "密钥不适用"),
        31501 => ("Somebody must be signed in", "请先登录账号"),
        31502 => ("The account is unknown", "账号不存在"),
        31503 => ("The account cannot be checked now", "账号暂时无法校验"),
        31504 => ("The account's token is wrong", "账号凭证错误"),
        31505 => ("The account's token is over", "账号凭证已失效"),
        31601 => ("A user must be chosen", "请先登录用户"),
        31602 => (
            "The user is unknown or not of this account",
            "用户不存在或不属于该账号",
        ),
        31603 => ("The user's token is wrong or over", "用户凭证错误或已失效"),
        32100 => ("No provider is configured", "未配置服务商"),
        32102 => ("The plugin is not enabled", "插件未启用"),
        32203 => ("The result is older than 30 minutes", "数据已过期"),
        32204 => ("The result was fetched already", "数据已被使用"),
        32206 => ("The result is empty", "数据为空"),
        32303 => ("There is no such result", "数据不存在"),
        _ => ("Something unexpected happened", "未知错误"),
    };
    match lang {
        Lang::En => en,
        Lang::ZhCn => zh,
    }
}
