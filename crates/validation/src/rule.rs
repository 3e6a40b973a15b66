//! The table of rules: names, which run on blank values, how many parameters they need, and on which
//! field types a rule makes sense.

use crate::field::FieldType as F;

/// On which field types a rule may be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fields {
    /// On all types.
    All,
    /// On these types only.
    These(&'static [F]),
    /// Never, because fields hold scalars; the engine itself has the rule.
    NeedsArray,
}

/// Why a rule of Laravel's is never accepted, not even by the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsupported {
    /// It judges uploaded files.
    NeedsUpload,
    /// It asks a database.
    NeedsDatabase,
    /// It is an object of the application, without a form as text.
    NeedsApplication,
    /// It asks the network, so its answer would depend on the day.
    NeedsNetwork,
    /// It needs tables of look-alike characters.
    NeedsIcu,
    /// It says nothing that is not always so.
    Redundant,
    /// It judges arrays, which no field holds.
    NeedsArray,
}

impl Unsupported {
    /// The stable word of the reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeedsUpload => "needs_upload",
            Self::NeedsDatabase => "needs_database",
            Self::NeedsApplication => "needs_application",
            Self::NeedsNetwork => "needs_network",
            Self::NeedsIcu => "needs_icu",
            Self::Redundant => "redundant",
            Self::NeedsArray => "needs_array",
        }
    }
}

const ALL: Fields = Fields::All;
const TEXTS: Fields = Fields::These(&[
    F::Text,
    F::Password,
    F::Textarea,
    F::Email,
    F::Url,
    F::Select,
]);
const NOT_NUMBER: Fields = Fields::These(&[
    F::Text,
    F::Password,
    F::Textarea,
    F::Email,
    F::Url,
    F::Select,
    F::Checkbox,
]);
const NOT_CHECKBOX: Fields = Fields::These(&[
    F::Text,
    F::Password,
    F::Textarea,
    F::Email,
    F::Url,
    F::Select,
    F::Number,
]);
const ARRAY: Fields = Fields::NeedsArray;

/// What stands in a rule's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Nothing, or nothing that matters.
    None,
    /// Plain values.
    Values,
    /// Words out of a fixed list.
    Words,
    /// Decimal numbers.
    Numbers,
    /// Whole numbers from 0.
    Counts,
    /// A number or the name of a field.
    NumberOrField,
    /// Names of fields.
    Fields,
    /// The name of a field, then values of it.
    FieldThenValues,
    /// A regular expression.
    Regex,
    /// Date formats in PHP's letters.
    DateFormats,
    /// A date or the name of a field.
    DateOrField,
}

macro_rules! rules {
    ($($variant:ident $snake:literal $implicit:literal $fields:expr, $needs:literal $shape:ident $form:literal
        $en:literal $zh:literal;)*) => {
        /// A rule of Laravel's that the engine has.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum RuleName {
            $(#[doc = concat!("`", $snake, "`: ", $en)] $variant,)*
        }

        impl RuleName {
            /// All of them, by name.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name as Laravel reports failures, e.g. `RequiredIf`.
            pub const fn studly(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),* }
            }

            /// The name as it is written in rule strings, e.g. `required_if`.
            pub const fn snake(self) -> &'static str {
                match self { $(Self::$variant => $snake),* }
            }

            /// Whether it also runs on absent and blank values, and ends the list when it fails.
            pub const fn is_implicit(self) -> bool {
                match self { $(Self::$variant => $implicit),* }
            }

            /// On which field types it may be registered.
            pub const fn fields(self) -> Fields {
                match self { $(Self::$variant => $fields),* }
            }

            /// How many parameters it cannot do without.
            pub const fn needs(self) -> usize {
                match self { $(Self::$variant => $needs),* }
            }

            /// What stands in its parameters.
            pub const fn shape(self) -> Shape {
                match self { $(Self::$variant => Shape::$shape),* }
            }

            /// How its parameters are written, e.g. `n,m`.
            pub const fn form(self) -> &'static str {
                match self { $(Self::$variant => $form),* }
            }

            /// What it means, in English.
            pub const fn meaning_en(self) -> &'static str {
                match self { $(Self::$variant => $en),* }
            }

            /// What it means, in Chinese.
            pub const fn meaning_zh(self) -> &'static str {
                match self { $(Self::$variant => $zh),* }
            }

            /// The rule of this name in StudlyCase.
            pub(crate) fn from_studly(name: &str) -> Option<Self> {
                match name { $(stringify!($variant) => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

rules! {
    Accepted "accepted" true ALL, 0 None "" "is `yes`, `on`, `1` or `true`" "值为 `yes`、`on`、`1` 或 `true`";
    AcceptedIf "accepted_if" true ALL, 2 FieldThenValues "field,value,…" "as `accepted`, when the field has one of the values" "当该字段为所列值之一时，同 `accepted`";
    After "after" false TEXTS, 1 DateOrField "date" "a date later than the given date or field" "晚于给定日期或字段的日期";
    AfterOrEqual "after_or_equal" false TEXTS, 1 DateOrField "date" "a date not earlier than the given date or field" "不早于给定日期或字段的日期";
    Alpha "alpha" false TEXTS, 0 Words "ascii?" "letters and marks only; with `ascii` only A–Z and a–z" "只含字母与附加符号；带 `ascii` 时只含英文字母";
    AlphaDash "alpha_dash" false NOT_CHECKBOX, 0 Words "ascii?" "letters, marks, digits, `-` and `_` only" "只含字母、附加符号、数字、`-` 与 `_`";
    AlphaNum "alpha_num" false NOT_CHECKBOX, 0 Words "ascii?" "letters, marks and digits only" "只含字母、附加符号与数字";
    Array "array" false ARRAY, 0 Values "key,…?" "an array, with no keys but the given ones" "数组；给出键名时不得有其他键";
    ArrayKeys "array_keys" false ARRAY, 0 Values "key,…" "an array with no keys but the given ones" "只含所列键的数组";
    Ascii "ascii" false TEXTS, 0 None "" "text of 7-bit characters" "只含 ASCII 字符的文本";
    Bail "bail" false ALL, 0 None "" "stop at the first rule that fails" "第一条规则失败后即停止";
    Base64 "base64" false TEXTS, 0 None "" "canonical Base64 text with padding" "带填充的规范 Base64 文本";
    Before "before" false TEXTS, 1 DateOrField "date" "a date earlier than the given date or field" "早于给定日期或字段的日期";
    BeforeOrEqual "before_or_equal" false TEXTS, 1 DateOrField "date" "a date not later than the given date or field" "不晚于给定日期或字段的日期";
    Between "between" false NOT_CHECKBOX, 2 Numbers "n,m" "size from n to m, both included" "大小在 n 与 m 之间（含两端）";
    Boolean "boolean" false Fields::These(&[F::Checkbox, F::Number, F::Text, F::Password, F::Textarea, F::Email, F::Url, F::Select]), 0 Words "strict?" "one of true, false, 0, 1, `\"0\"`, `\"1\"`; with `strict` true or false" "true、false、0、1、`\"0\"`、`\"1\"` 之一；带 `strict` 时只能是 true 或 false";
    Confirmed "confirmed" false ALL, 0 Fields "field?" "the same as the field, or as `<this field>_confirmation`" "与所给字段或 `<本字段>_confirmation` 相同";
    Contains "contains" false ARRAY, 0 Values "value,…" "an array that has all of the values" "包含所有所列值的数组";
    Date "date" false TEXTS, 0 None "" "a date that PHP understands and that names year, month and day" "PHP 能识别且给出年、月、日的日期";
    DateEquals "date_equals" false TEXTS, 1 DateOrField "date" "the same instant as the given date or field" "与给定日期或字段为同一时刻";
    DateFormat "date_format" false NOT_CHECKBOX, 1 DateFormats "format,…" "a date written in one of the formats (letters of PHP's `date`)" "按所列格式之一书写的日期（PHP `date` 的字母）";
    Decimal "decimal" false NOT_CHECKBOX, 1 Counts "n,m?" "a number with n, or n to m, decimal places" "有 n 位（或 n 至 m 位）小数的数字";
    Declined "declined" true ALL, 0 None "" "is `no`, `off`, `0` or `false`" "值为 `no`、`off`、`0` 或 `false`";
    DeclinedIf "declined_if" true ALL, 2 FieldThenValues "field,value,…" "as `declined`, when the field has one of the values" "当该字段为所列值之一时，同 `declined`";
    Different "different" false ALL, 1 Fields "field,…" "differs from each of the fields" "与每个所列字段都不同";
    Digits "digits" false NOT_CHECKBOX, 1 Counts "n" "exactly n digits" "恰好 n 位数字";
    DigitsBetween "digits_between" false NOT_CHECKBOX, 2 Counts "n,m" "n to m digits" "n 至 m 位数字";
    Distinct "distinct" false ARRAY, 0 Words "strict?,ignore_case?" "no value twice among the entries of a list" "列表各项的值互不重复";
    DoesntContain "doesnt_contain" false ARRAY, 0 Values "value,…" "an array that has none of the values" "不含任何所列值的数组";
    DoesntEndWith "doesnt_end_with" false NOT_CHECKBOX, 0 Values "text,…" "ends with none of the texts" "不以任一所列文本结尾";
    DoesntStartWith "doesnt_start_with" false NOT_CHECKBOX, 0 Values "text,…" "starts with none of the texts" "不以任一所列文本开头";
    Email "email" false TEXTS, 0 Words "mode,…?" "an e-mail address; modes `rfc`, `strict`, `filter`, `filter_unicode` must all agree" "邮箱地址；`rfc`、`strict`、`filter`、`filter_unicode` 各模式须全部通过";
    EndsWith "ends_with" false NOT_CHECKBOX, 0 Values "text,…" "ends with one of the texts" "以所列文本之一结尾";
    Exclude "exclude" false ALL, 0 None "" "left out of the result" "从结果中排除";
    ExcludeIf "exclude_if" false ALL, 2 FieldThenValues "field,value,…" "left out when the field has one of the values" "当该字段为所列值之一时排除";
    ExcludeUnless "exclude_unless" false ALL, 2 FieldThenValues "field,value,…" "left out unless the field has one of the values" "除非该字段为所列值之一，否则排除";
    ExcludeWith "exclude_with" false ALL, 1 Fields "field" "left out when the field is present" "当该字段存在时排除";
    ExcludeWithout "exclude_without" false ALL, 1 Fields "field,…" "left out when one of the fields is empty" "当任一所列字段为空时排除";
    Filled "filled" true ALL, 0 None "" "not empty, when it is present" "存在时不得为空";
    Gt "gt" false NOT_CHECKBOX, 1 NumberOrField "n or field" "greater than the number or the field" "大于给定数字或字段";
    Gte "gte" false NOT_CHECKBOX, 1 NumberOrField "n or field" "not less than the number or the field" "不小于给定数字或字段";
    HexColor "hex_color" false TEXTS, 0 None "" "`#` and 3, 4, 6 or 8 hexadecimal digits" "`#` 加 3、4、6 或 8 位十六进制数字";
    In "in" false ALL, 0 Values "value,…" "one of the values" "所列值之一";
    InArray "in_array" false ALL, 1 Fields "field" "equal to the field, or to one of the entries of `field.*`" "等于该字段，或等于 `field.*` 的某一项";
    InArrayKeys "in_array_keys" false ARRAY, 0 Values "key,…" "an array with one of the keys" "至少含所列键之一的数组";
    Integer "integer" false Fields::These(&[F::Number, F::Checkbox, F::Text, F::Password, F::Textarea, F::Email, F::Url, F::Select]), 0 Words "strict?" "a whole number of 64 bits; with `strict` no text" "64 位整数；带 `strict` 时不接受文本";
    Ip "ip" false TEXTS, 0 None "" "an IPv4 or IPv6 address" "IPv4 或 IPv6 地址";
    Ipv4 "ipv4" false TEXTS, 0 None "" "an IPv4 address" "IPv4 地址";
    Ipv6 "ipv6" false TEXTS, 0 None "" "an IPv6 address" "IPv6 地址";
    Json "json" false TEXTS, 0 None "" "valid JSON text" "有效的 JSON 文本";
    List "list" false ARRAY, 0 None "" "an array with the keys 0, 1, 2 …" "键为 0、1、2……的数组";
    Lowercase "lowercase" false TEXTS, 0 None "" "text without upper-case letters" "不含大写字母的文本";
    Lt "lt" false NOT_CHECKBOX, 1 NumberOrField "n or field" "less than the number or the field" "小于给定数字或字段";
    Lte "lte" false NOT_CHECKBOX, 1 NumberOrField "n or field" "not greater than the number or the field" "不大于给定数字或字段";
    MacAddress "mac_address" false TEXTS, 0 None "" "a MAC address with `:`, `-` or `.`" "以 `:`、`-` 或 `.` 分隔的 MAC 地址";
    Max "max" false NOT_CHECKBOX, 1 Numbers "n" "size at most n" "大小不超过 n";
    MaxDigits "max_digits" false NOT_CHECKBOX, 1 Counts "n" "at most n digits" "最多 n 位数字";
    Min "min" false NOT_CHECKBOX, 1 Numbers "n" "size at least n" "大小至少为 n";
    MinDigits "min_digits" false NOT_CHECKBOX, 1 Counts "n" "at least n digits" "至少 n 位数字";
    Missing "missing" true ALL, 0 None "" "not submitted at all" "根本不得提交";
    MissingIf "missing_if" true ALL, 2 FieldThenValues "field,value,…" "not submitted when the field has one of the values" "当该字段为所列值之一时不得提交";
    MissingUnless "missing_unless" true ALL, 2 FieldThenValues "field,value,…" "not submitted unless the field has one of the values" "除非该字段为所列值之一，否则不得提交";
    MissingWith "missing_with" true ALL, 1 Fields "field,…" "not submitted when one of the fields is present" "当任一所列字段存在时不得提交";
    MissingWithAll "missing_with_all" true ALL, 1 Fields "field,…" "not submitted when all of the fields are present" "当所列字段全部存在时不得提交";
    MultipleOf "multiple_of" false NOT_CHECKBOX, 1 Numbers "n" "a multiple of n, exactly" "n 的整数倍（精确计算）";
    NotIn "not_in" false ALL, 0 Values "value,…" "none of the values" "不是任何所列值";
    NotRegex "not_regex" false NOT_CHECKBOX, 1 Regex "/pattern/" "does not match the pattern" "不匹配该正则表达式";
    Nullable "nullable" false ALL, 0 None "" "null passes the rules that do not ask for a value" "允许 null";
    Numeric "numeric" false NOT_CHECKBOX, 0 Words "strict?" "a number; with `strict` no text" "数字；带 `strict` 时不接受文本";
    Present "present" true ALL, 0 None "" "submitted, be it null or empty" "必须提交（可为 null 或空）";
    PresentIf "present_if" true ALL, 2 FieldThenValues "field,value,…" "submitted when the field has one of the values" "当该字段为所列值之一时必须提交";
    PresentUnless "present_unless" true ALL, 2 FieldThenValues "field,value,…" "submitted unless the field has one of the values" "除非该字段为所列值之一，否则必须提交";
    PresentWith "present_with" true ALL, 1 Fields "field,…" "submitted when one of the fields is present" "当任一所列字段存在时必须提交";
    PresentWithAll "present_with_all" true ALL, 1 Fields "field,…" "submitted when all of the fields are present" "当所列字段全部存在时必须提交";
    Prohibited "prohibited" false ALL, 0 None "" "empty or absent" "必须为空或不存在";
    ProhibitedIf "prohibited_if" false ALL, 2 FieldThenValues "field,value,…" "empty when the field has one of the values" "当该字段为所列值之一时必须为空";
    ProhibitedIfAccepted "prohibited_if_accepted" false ALL, 1 Fields "field" "empty when the field is accepted" "当该字段为开启时必须为空";
    ProhibitedIfDeclined "prohibited_if_declined" false ALL, 1 Fields "field" "empty when the field is declined" "当该字段为关闭时必须为空";
    ProhibitedUnless "prohibited_unless" false ALL, 2 FieldThenValues "field,value,…" "empty unless the field has one of the values" "除非该字段为所列值之一，否则必须为空";
    Prohibits "prohibits" false ALL, 0 Fields "field,…" "when it is filled in, the fields are empty" "填写后所列字段必须为空";
    Regex "regex" false NOT_CHECKBOX, 1 Regex "/pattern/" "matches the pattern (PCRE)" "匹配该正则表达式（PCRE）";
    Required "required" true ALL, 0 None "" "not empty" "不得为空";
    RequiredArrayKeys "required_array_keys" false ARRAY, 0 Values "key,…" "an array with all of the keys" "含全部所列键的数组";
    RequiredIf "required_if" true ALL, 2 FieldThenValues "field,value,…" "not empty when the field has one of the values" "当该字段为所列值之一时不得为空";
    RequiredIfAccepted "required_if_accepted" true ALL, 1 Fields "field" "not empty when the field is accepted" "当该字段为开启时不得为空";
    RequiredIfDeclined "required_if_declined" true ALL, 1 Fields "field" "not empty when the field is declined" "当该字段为关闭时不得为空";
    RequiredUnless "required_unless" true ALL, 2 FieldThenValues "field,value,…" "not empty unless the field has one of the values" "除非该字段为所列值之一，否则不得为空";
    RequiredWith "required_with" true ALL, 0 Fields "field,…" "not empty when one of the fields is filled in" "当任一所列字段已填写时不得为空";
    RequiredWithAll "required_with_all" true ALL, 0 Fields "field,…" "not empty when all of the fields are filled in" "当所列字段均已填写时不得为空";
    RequiredWithout "required_without" true ALL, 0 Fields "field,…" "not empty when one of the fields is empty" "当任一所列字段为空时不得为空";
    RequiredWithoutAll "required_without_all" true ALL, 0 Fields "field,…" "not empty when all of the fields are empty" "当所列字段均为空时不得为空";
    Same "same" false ALL, 1 Fields "field" "the same as the field" "与该字段相同";
    Size "size" false NOT_CHECKBOX, 1 Numbers "n" "size exactly n" "大小恰为 n";
    Sometimes "sometimes" false ALL, 0 None "" "the rules run only when it is present" "仅在存在时执行规则";
    StartsWith "starts_with" false NOT_CHECKBOX, 0 Values "text,…" "starts with one of the texts" "以所列文本之一开头";
    String "string" false NOT_NUMBER, 0 None "" "text" "字符串";
    Timezone "timezone" false TEXTS, 0 Words "group?" "a name of the time zone database; groups `all`, `all_with_bc`, `per_country,CC` or a region" "时区数据库中的名称；分组 `all`、`all_with_bc`、`per_country,CC` 或地区";
    Ulid "ulid" false TEXTS, 0 None "" "a ULID" "ULID";
    Uppercase "uppercase" false TEXTS, 0 None "" "text without lower-case letters" "不含小写字母的文本";
    Url "url" false TEXTS, 0 Words "scheme,…?" "a URL, with one of the schemes" "URL；给出协议时须为其中之一";
    Uuid "uuid" false TEXTS, 0 Words "version?" "a UUID, of version 0–8 or `max`" "UUID；可指定版本 0–8 或 `max`";
}

/// Rules of Laravel's that nothing here can judge, with the reason.
pub const UNSUPPORTED: &[(&str, &str, Unsupported)] = &[
    ("ActiveUrl", "active_url", Unsupported::NeedsNetwork),
    ("AnyOf", "any_of", Unsupported::NeedsApplication),
    ("Can", "can", Unsupported::NeedsApplication),
    (
        "CurrentPassword",
        "current_password",
        Unsupported::NeedsApplication,
    ),
    ("Dimensions", "dimensions", Unsupported::NeedsUpload),
    ("Encoding", "encoding", Unsupported::Redundant),
    ("Enum", "enum", Unsupported::NeedsApplication),
    ("Exists", "exists", Unsupported::NeedsDatabase),
    ("Extensions", "extensions", Unsupported::NeedsUpload),
    ("File", "file", Unsupported::NeedsUpload),
    ("Image", "image", Unsupported::NeedsUpload),
    ("Mimes", "mimes", Unsupported::NeedsUpload),
    ("Mimetypes", "mimetypes", Unsupported::NeedsUpload),
    ("Password", "password", Unsupported::NeedsApplication),
    ("Unique", "unique", Unsupported::NeedsDatabase),
    ("Uploaded", "uploaded", Unsupported::NeedsUpload),
];

impl RuleName {
    /// Whether it decides on the whole attribute rather than on its value.
    pub(crate) const fn is_exclusion(self) -> bool {
        matches!(
            self,
            Self::Exclude
                | Self::ExcludeIf
                | Self::ExcludeUnless
                | Self::ExcludeWith
                | Self::ExcludeWithout
        )
    }

    /// Whether it only steers the evaluation and never fails.
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Bail | Self::Nullable | Self::Sometimes)
    }

    /// Whether it makes the attribute a number for the rules that measure.
    pub(crate) const fn is_numeric(self) -> bool {
        matches!(self, Self::Numeric | Self::Integer | Self::Decimal)
    }

    /// Whether it measures the size of a value.
    pub(crate) const fn is_size(self) -> bool {
        matches!(
            self,
            Self::Min
                | Self::Max
                | Self::Size
                | Self::Between
                | Self::Gt
                | Self::Gte
                | Self::Lt
                | Self::Lte
        )
    }

    /// Whether it compares dates.
    pub(crate) const fn is_date_comparison(self) -> bool {
        matches!(
            self,
            Self::After
                | Self::AfterOrEqual
                | Self::Before
                | Self::BeforeOrEqual
                | Self::DateEquals
        )
    }
}
