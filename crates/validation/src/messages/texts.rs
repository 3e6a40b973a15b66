//! The sentences: `{a}` is the field, `{o}` the other field, `{n}` and `{m}` the first parameters,
//! `{values}` all of them.

use super::Lang;
use crate::evaluate::SizeKind;
use crate::rule::RuleName as N;

/// The sentence of a rule, which may depend on what is measured and on how many parameters there are.
pub(super) fn template(rule: N, kind: SizeKind, parameters: usize, lang: Lang) -> &'static str {
    let (en, zh) = if rule.is_size() {
        size(rule, kind)
    } else {
        other(rule, parameters)
    };
    match lang {
        Lang::En => en,
        Lang::ZhCn => zh,
    }
}

fn size(rule: N, kind: SizeKind) -> (&'static str, &'static str) {
    use SizeKind::{Array, Numeric, Text};
    match (rule, kind) {
        (N::Min, Numeric) => ("{a} must be {n} or more.", "{a}不能小于{n}。"),
        (N::Min, Text) => (
            "{a} must have {n} or more characters.",
            "{a}至少{n}个字符。",
        ),
        (N::Min, Array) => ("{a} must have {n} or more items.", "{a}至少{n}项。"),
        (N::Max, Numeric) => ("{a} must be {n} or less.", "{a}不能大于{n}。"),
        (N::Max, Text) => (
            "{a} must have at most {n} characters.",
            "{a}最多{n}个字符。",
        ),
        (N::Max, Array) => ("{a} must have at most {n} items.", "{a}最多{n}项。"),
        (N::Size, Numeric) => ("{a} must be exactly {n}.", "{a}必须等于{n}。"),
        (N::Size, Text) => (
            "{a} must have exactly {n} characters.",
            "{a}必须为{n}个字符。",
        ),
        (N::Size, Array) => ("{a} must have exactly {n} items.", "{a}必须有{n}项。"),
        (N::Between, Numeric) => ("{a} must be from {n} to {m}.", "{a}必须介于{n}与{m}之间。"),
        (N::Between, Text) => (
            "{a} must have {n} to {m} characters.",
            "{a}必须为{n}到{m}个字符。",
        ),
        (N::Between, Array) => ("{a} must have {n} to {m} items.", "{a}必须有{n}到{m}项。"),
        (N::Gt, Numeric) => ("{a} must be above {o}.", "{a}必须大于{o}。"),
        (N::Gt, Text) => (
            "{a} must have more characters than {o}.",
            "{a}的字符数必须大于{o}。",
        ),
        (N::Gt, Array) => (
            "{a} must have more items than {o}.",
            "{a}的项数必须大于{o}。",
        ),
        (N::Gte, Numeric) => ("{a} must be at least {o}.", "{a}必须不小于{o}。"),
        (N::Gte, Text) => (
            "{a} must have at least as many characters as {o}.",
            "{a}的字符数不能小于{o}。",
        ),
        (N::Gte, Array) => (
            "{a} must have at least as many items as {o}.",
            "{a}的项数不能小于{o}。",
        ),
        (N::Lt, Numeric) => ("{a} must be below {o}.", "{a}必须小于{o}。"),
        (N::Lt, Text) => (
            "{a} must have fewer characters than {o}.",
            "{a}的字符数必须小于{o}。",
        ),
        (N::Lt, Array) => (
            "{a} must have fewer items than {o}.",
            "{a}的项数必须小于{o}。",
        ),
        (_, Numeric) => ("{a} must be at most {o}.", "{a}必须不大于{o}。"),
        (_, Text) => (
            "{a} must have at most as many characters as {o}.",
            "{a}的字符数不能大于{o}。",
        ),
        (_, Array) => (
            "{a} must have at most as many items as {o}.",
            "{a}的项数不能大于{o}。",
        ),
    }
}

#[expect(clippy::too_many_lines, reason = "one line for each rule")]
fn other(rule: N, parameters: usize) -> (&'static str, &'static str) {
    match rule {
        N::Required => ("{a} is required.", "{a}为必填项。"),
        N::Filled => ("{a} must not be left blank.", "{a}不能为空。"),
        N::Present => ("{a} must be submitted.", "必须提交{a}。"),
        N::RequiredIf => (
            "{a} is required when {o} is {values}.",
            "当{o}为{values}时，{a}为必填项。",
        ),
        N::RequiredUnless => (
            "{a} is required unless {o} is one of {values}.",
            "除非{o}为{values}，否则{a}为必填项。",
        ),
        N::RequiredIfAccepted => (
            "{a} is required when {o} is switched on.",
            "当{o}已开启时，{a}为必填项。",
        ),
        N::RequiredIfDeclined => (
            "{a} is required when {o} is switched off.",
            "当{o}已关闭时，{a}为必填项。",
        ),
        N::RequiredWith => (
            "{a} is required when {values} is filled in.",
            "填写了{values}时，{a}为必填项。",
        ),
        N::RequiredWithAll => (
            "{a} is required when {values} are all filled in.",
            "{values}均已填写时，{a}为必填项。",
        ),
        N::RequiredWithout => (
            "{a} is required when {values} is not filled in.",
            "未填写{values}时，{a}为必填项。",
        ),
        N::RequiredWithoutAll => (
            "{a} is required when none of {values} is filled in.",
            "{values}均未填写时，{a}为必填项。",
        ),
        N::PresentIf => (
            "{a} must be submitted when {o} is {values}.",
            "当{o}为{values}时必须提交{a}。",
        ),
        N::PresentUnless => (
            "{a} must be submitted unless {o} is {values}.",
            "除非{o}为{values}，否则必须提交{a}。",
        ),
        N::PresentWith => (
            "{a} must be submitted when {values} is submitted.",
            "提交了{values}时必须提交{a}。",
        ),
        N::PresentWithAll => (
            "{a} must be submitted when {values} are all submitted.",
            "{values}均已提交时必须提交{a}。",
        ),
        N::Missing => ("{a} must not be submitted.", "不得提交{a}。"),
        N::MissingIf => (
            "{a} must not be submitted when {o} is {values}.",
            "当{o}为{values}时不得提交{a}。",
        ),
        N::MissingUnless => (
            "{a} must not be submitted unless {o} is {values}.",
            "除非{o}为{values}，否则不得提交{a}。",
        ),
        N::MissingWith => (
            "{a} must not be submitted when {values} is submitted.",
            "提交了{values}时不得提交{a}。",
        ),
        N::MissingWithAll => (
            "{a} must not be submitted when {values} are all submitted.",
            "{values}均已提交时不得提交{a}。",
        ),
        N::Prohibited => ("{a} must be left empty.", "{a}必须留空。"),
        N::ProhibitedIf => (
            "{a} must be left empty when {o} is {values}.",
            "当{o}为{values}时{a}必须留空。",
        ),
        N::ProhibitedUnless => (
            "{a} must be left empty unless {o} is {values}.",
            "除非{o}为{values}，否则{a}必须留空。",
        ),
        N::ProhibitedIfAccepted => (
            "{a} must be left empty when {o} is switched on.",
            "当{o}已开启时{a}必须留空。",
        ),
        N::ProhibitedIfDeclined => (
            "{a} must be left empty when {o} is switched off.",
            "当{o}已关闭时{a}必须留空。",
        ),
        N::Prohibits => (
            "{values} must be empty when {a} is filled in.",
            "填写{a}后，{values}必须留空。",
        ),
        N::Exclude => ("{a} is left out of the result.", "{a}不计入结果。"),
        N::ExcludeIf => (
            "{a} is left out when {o} is {values}.",
            "当{o}为{values}时{a}不计入结果。",
        ),
        N::ExcludeUnless => (
            "{a} is left out unless {o} is {values}.",
            "除非{o}为{values}，否则{a}不计入结果。",
        ),
        N::ExcludeWith => (
            "{a} is left out when {o} is submitted.",
            "提交了{o}时{a}不计入结果。",
        ),
        N::ExcludeWithout => (
            "{a} is left out when {values} is not filled in.",
            "未填写{values}时{a}不计入结果。",
        ),
        N::Nullable => ("{a} may be null.", "{a}可以为 null。"),
        N::Sometimes => (
            "{a} is only checked when it is submitted.",
            "仅在提交时检查{a}。",
        ),
        N::Bail => (
            "The check stops at the first failure.",
            "检查在第一次失败后停止。",
        ),
        N::Accepted => ("{a} must be switched on.", "必须开启{a}。"),
        N::AcceptedIf => (
            "{a} must be switched on when {o} is {values}.",
            "当{o}为{values}时必须开启{a}。",
        ),
        N::Declined => ("{a} must be switched off.", "必须关闭{a}。"),
        N::DeclinedIf => (
            "{a} must be switched off when {o} is {values}.",
            "当{o}为{values}时必须关闭{a}。",
        ),
        N::String => ("{a} must be text.", "{a}必须是字符串。"),
        N::Integer => ("{a} must be a whole number.", "{a}必须是整数。"),
        N::Numeric => ("{a} must be a number.", "{a}必须是数字。"),
        N::Decimal if parameters > 1 => (
            "{a} must have between {n} and {m} decimal places.",
            "{a}必须包含{n}到{m}位小数。",
        ),
        N::Decimal => (
            "{a} must have {n} decimal places.",
            "{a}必须包含{n}位小数。",
        ),
        N::Boolean => ("{a} must be yes or no.", "{a}必须是布尔值。"),
        N::Array if parameters > 0 => (
            "{a} must be a list of values with no keys but {values}.",
            "{a}必须是只含键{values}的数组。",
        ),
        N::Array => ("{a} must be a list of values.", "{a}必须是数组。"),
        N::List => ("{a} must be a plain list.", "{a}必须是列表。"),
        N::ArrayKeys => (
            "{a} must have no keys but {values}.",
            "{a}只能包含键{values}。",
        ),
        N::RequiredArrayKeys => (
            "{a} must have the keys {values}.",
            "{a}必须包含键{values}。",
        ),
        N::InArrayKeys => (
            "{a} must have one of the keys {values}.",
            "{a}至少包含键{values}之一。",
        ),
        N::Contains => ("{a} must contain {values}.", "{a}必须包含{values}。"),
        N::DoesntContain => ("{a} must not contain {values}.", "{a}不能包含{values}。"),
        N::Distinct => ("{a} has a repeated value.", "{a}存在重复值。"),
        N::Json => ("{a} must be valid JSON.", "{a}必须是有效的 JSON。"),
        N::Digits => ("{a} must be {n} digits.", "{a}必须是{n}位数字。"),
        N::DigitsBetween => (
            "{a} must be {n} to {m} digits.",
            "{a}必须是{n}到{m}位数字。",
        ),
        N::MinDigits => ("{a} must have at least {n} digits.", "{a}至少{n}位数字。"),
        N::MaxDigits => ("{a} must have at most {n} digits.", "{a}最多{n}位数字。"),
        N::MultipleOf => ("{a} must be a multiple of {n}.", "{a}必须是{n}的倍数。"),
        N::In => (
            "{a} is not one of the allowed values.",
            "{a}不在允许的取值范围内。",
        ),
        N::NotIn => (
            "{a} has a value that is not allowed.",
            "{a}的取值不被允许。",
        ),
        N::InArray => (
            "{a} must be one of the values of {o}.",
            "{a}必须存在于{o}中。",
        ),
        N::Same => ("{a} must be the same as {o}.", "{a}必须与{o}一致。"),
        N::Different => ("{a} must differ from {values}.", "{a}不能与{values}相同。"),
        N::Confirmed => (
            "{a} does not match its confirmation.",
            "{a}两次输入不一致。",
        ),
        N::Alpha => ("{a} may contain letters only.", "{a}只能包含字母。"),
        N::AlphaNum => (
            "{a} may contain letters and digits only.",
            "{a}只能包含字母和数字。",
        ),
        N::AlphaDash => (
            "{a} may contain letters, digits, \"-\" and \"_\" only.",
            "{a}只能包含字母、数字、短横线和下划线。",
        ),
        N::Ascii => ("{a} must be plain ASCII.", "{a}只能包含 ASCII 字符。"),
        N::Lowercase => ("{a} must be lower case.", "{a}必须全部小写。"),
        N::Uppercase => ("{a} must be upper case.", "{a}必须全部大写。"),
        N::StartsWith => ("{a} must start with {values}.", "{a}必须以{values}开头。"),
        N::EndsWith => ("{a} must end with {values}.", "{a}必须以{values}结尾。"),
        N::DoesntStartWith => (
            "{a} must not start with {values}.",
            "{a}不能以{values}开头。",
        ),
        N::DoesntEndWith => ("{a} must not end with {values}.", "{a}不能以{values}结尾。"),
        N::Regex | N::NotRegex => ("{a} has an invalid format.", "{a}格式不正确。"),
        N::HexColor => (
            "{a} must be a hex colour such as #1a2b3c.",
            "{a}必须是十六进制颜色值。",
        ),
        N::MacAddress => ("{a} must be a MAC address.", "{a}必须是 MAC 地址。"),
        N::Base64 => ("{a} must be Base64 text.", "{a}必须是 Base64 文本。"),
        N::Uuid if parameters == 1 => (
            "{a} must be a version {n} UUID.",
            "{a}必须是版本{n}的 UUID。",
        ),
        N::Uuid => ("{a} must be a UUID.", "{a}必须是 UUID。"),
        N::Ulid => ("{a} must be a ULID.", "{a}必须是 ULID。"),
        N::Ip => ("{a} must be an IP address.", "{a}必须是 IP 地址。"),
        N::Ipv4 => ("{a} must be an IPv4 address.", "{a}必须是 IPv4 地址。"),
        N::Ipv6 => ("{a} must be an IPv6 address.", "{a}必须是 IPv6 地址。"),
        N::Url => ("{a} must be a valid URL.", "{a}必须是有效的 URL。"),
        N::Email => (
            "{a} must be a valid e-mail address.",
            "{a}必须是有效的邮箱地址。",
        ),
        N::Date => ("{a} must be a date.", "{a}必须是有效日期。"),
        N::DateFormat => ("{a} must look like {values}.", "{a}必须符合格式{values}。"),
        N::After => ("{a} must be after {o}.", "{a}必须晚于{o}。"),
        N::AfterOrEqual => ("{a} must not be before {o}.", "{a}必须不早于{o}。"),
        N::Before => ("{a} must be before {o}.", "{a}必须早于{o}。"),
        N::BeforeOrEqual => ("{a} must not be after {o}.", "{a}必须不晚于{o}。"),
        N::DateEquals => ("{a} must be on {o}.", "{a}必须等于{o}。"),
        N::Timezone => ("{a} must be a time zone name.", "{a}必须是有效时区。"),
        // Measured rules have sentences of their own.
        N::Min | N::Max | N::Size | N::Between | N::Gt | N::Gte | N::Lt | N::Lte => {
            size(rule, SizeKind::Text)
        }
    }
}
