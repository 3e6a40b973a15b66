//! The two languages of the product and the templates of its texts.

use std::collections::BTreeMap;

/// Named values that a text mentions as `{name}`; ordered, so that documents are reproducible.
pub type Params = BTreeMap<String, String>;

/// A language that every text of the platform exists in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lang {
    /// English, also the language of anything unrecognised.
    #[default]
    En,
    /// Simplified Chinese.
    ZhCn,
}

impl Lang {
    /// Chooses from an `Accept-Language` or `Content-Language` header, or a locale such as `zh_CN.UTF-8`.
    ///
    /// The first entry with the highest weight that is one of ours wins; nothing of ours gives English.
    pub fn negotiate(wanted: &str) -> Self {
        Self::negotiate_or(wanted, Self::En)
    }

    /// The same, where nothing of ours gives `fallback`.
    pub fn negotiate_or(wanted: &str, fallback: Self) -> Self {
        let mut best = (fallback, 0.0_f32);
        for entry in wanted.split(',') {
            let mut parts = entry.split(';');
            let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
            let weight = parts
                .find_map(|part| part.trim().strip_prefix("q="))
                .and_then(|weight| weight.trim().parse::<f32>().ok())
                .unwrap_or(1.0);
            let lang = if tag.starts_with("zh") {
                Self::ZhCn
            } else if tag.starts_with("en") {
                Self::En
            } else {
                continue;
            };
            if weight > best.1 {
                best = (lang, weight);
            }
        }
        best.0
    }

    /// The language tag as used in HTTP headers.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::ZhCn => "zh-CN",
        }
    }
}

/// Puts `params` into the `{name}` places of `template`; an unknown name stays as it is written.
///
/// `{@name}` is for parameters whose value is a word for programs: it becomes what people of that
/// language say for it, a phrase or the text of the code of that name. A part in `[[…]]` is left out
/// when a value that it mentions is missing or empty.
pub(crate) fn render(lang: Lang, template: &str, params: &Params) -> String {
    let mut text = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, inside, after)) = rest.split_once("[[").and_then(|(before, tail)| {
        let (inside, after) = tail.split_once("]]")?;
        Some((before, inside, after))
    }) {
        fill(lang, before, params, &mut text);
        if names(inside).all(|name| params.get(name).is_some_and(|value| !value.is_empty())) {
            fill(lang, inside, params, &mut text);
        }
        rest = after;
    }
    fill(lang, rest, params, &mut text);
    text
}

/// The names that a template mentions, without their `@`.
fn names(template: &str) -> impl Iterator<Item = &str> {
    template
        .split('{')
        .skip(1)
        .filter_map(|part| part.split_once('}'))
        .map(|(name, _)| name.trim_start_matches('@'))
}

fn fill(lang: Lang, template: &str, params: &Params, text: &mut String) {
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        let tail = &rest[open..];
        let value = tail.find('}').and_then(|close| {
            let name = &tail[1..close];
            let value = match name.strip_prefix('@') {
                // Where there is no value, as in the reference of codes, the name will do.
                Some(name) => params.get(name).map_or_else(
                    || format!("{{{name}}}"),
                    |word| crate::codes::phrase(lang, word, params),
                ),
                None => params.get(name)?.clone(),
            };
            Some((close, value))
        });
        if let Some((close, value)) = value {
            text.push_str(&value);
            rest = &tail[close + 1..];
        } else {
            text.push('{');
            rest = &tail[1..];
        }
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    #[test]
    fn the_heaviest_known_language_wins() {
        assert_eq!(Lang::negotiate("fr, en;q=0.5, zh-CN;q=0.9"), Lang::ZhCn);
        assert_eq!(Lang::negotiate("en-US,zh;q=0.9"), Lang::En);
        assert_eq!(Lang::negotiate("zh_CN.UTF-8"), Lang::ZhCn);
        assert_eq!(Lang::negotiate("fr"), Lang::En);
        assert_eq!(Lang::negotiate(""), Lang::En);
        assert_eq!(Lang::negotiate_or("fr", Lang::ZhCn), Lang::ZhCn);
        assert_eq!(Lang::negotiate_or("fr, en;q=0.1", Lang::ZhCn), Lang::En);
    }

    #[test]
    fn templates_take_values_once_and_leave_unknown_names() {
        let params = Params::from([("a".into(), "{b}".into()), ("b".into(), "x".into())]);
        let rendered = render(Lang::En, "{a}-{b}-{c}-{", &params);
        assert_eq!(rendered, "{b}-x-{c}-{");
    }

    #[test]
    fn parts_in_brackets_need_their_values() {
        let params = Params::from([("a".into(), "x".into()), ("empty".into(), String::new())]);
        let template = "1[[ {a}]][[ {b}]][[ {empty}]][[ plain]] [[";
        assert_eq!(render(Lang::En, template, &params), "1 x plain [[");
    }

    #[test]
    fn words_for_programs_are_said_in_the_readers_language() {
        let params = Params::from([
            ("type".into(), "array".into()),
            ("code".into(), "json_trailing_comma".into()),
            ("other".into(), "x".into()),
        ]);
        let template = "{@type} {@other} {@none}";
        assert_eq!(render(Lang::En, template, &params), "an array x {none}");
        assert_eq!(render(Lang::ZhCn, template, &params), "数组 x {none}");
        let nested = render(Lang::ZhCn, "{@code}", &params);
        assert_eq!(nested, codes::JSON_TRAILING_COMMA.text(Lang::ZhCn, &params));
    }
}
