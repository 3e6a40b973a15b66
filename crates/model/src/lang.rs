//! The two languages of the product and the templates of its texts.

use std::collections::BTreeMap;

/// Named values that a text mentions as `{name}`; ordered, so that documents are reproducible.
pub type Params = BTreeMap<String, String>;

/// A language that every text of the platform exists in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
        let mut best = (Self::En, 0.0_f32);
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
pub(crate) fn render(template: &str, params: &Params) -> String {
    let mut text = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        let tail = &rest[open..];
        match tail
            .find('}')
            .and_then(|close| Some((close, params.get(&tail[1..close])?)))
        {
            Some((close, value)) => {
                text.push_str(value);
                rest = &tail[close + 1..];
            }
            None => {
                text.push('{');
                rest = &tail[1..];
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_known_language_wins() {
        assert_eq!(Lang::negotiate("fr, en;q=0.5, zh-CN;q=0.9"), Lang::ZhCn);
        assert_eq!(Lang::negotiate("en-US,zh;q=0.9"), Lang::En);
        assert_eq!(Lang::negotiate("zh_CN.UTF-8"), Lang::ZhCn);
        assert_eq!(Lang::negotiate("fr"), Lang::En);
        assert_eq!(Lang::negotiate(""), Lang::En);
    }

    #[test]
    fn templates_take_values_once_and_leave_unknown_names() {
        let params = Params::from([("a".into(), "{b}".into()), ("b".into(), "x".into())]);
        assert_eq!(render("{a}-{b}-{c}-{", &params), "{b}-x-{c}-{");
    }
}
