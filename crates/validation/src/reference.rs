//! The table of rules for readers, made of the same table that the engine works with.

use std::fmt::Write as _;

use crate::messages::Lang;
use crate::rule::{Fields, RuleName, UNSUPPORTED};

/// The tables of all rules in Markdown: those that there are, and those that are refused.
pub fn table(lang: Lang) -> String {
    let mut text = String::from(match lang {
        Lang::En => "| Rule | Meaning | Field types | Runs on blank values |\n",
        Lang::ZhCn => "| 规则 | 含义 | 字段类型 | 空值也执行 |\n",
    });
    text.push_str("|---|---|---|---|\n");
    for rule in RuleName::ALL {
        let form = match rule.form() {
            "" => String::new(),
            form => format!(":{form}"),
        };
        let (meaning, all, none, yes) = match lang {
            Lang::En => (rule.meaning_en(), "all", "none", "yes"),
            Lang::ZhCn => (rule.meaning_zh(), "全部", "无", "是"),
        };
        let fields = match rule.fields() {
            Fields::All => all.to_owned(),
            Fields::NeedsArray => none.to_owned(),
            Fields::These(types) => types
                .iter()
                .map(|it| format!("`{}`", it.as_str()))
                .collect::<Vec<_>>()
                .join(" "),
        };
        let implicit = if rule.is_implicit() { yes } else { "" };
        // Writing to a text cannot fail.
        let _ = writeln!(
            text,
            "| `{}{form}` | {meaning} | {fields} | {implicit} |",
            rule.snake()
        );
    }
    text.push_str(match lang {
        Lang::En => "\n| Refused rule | Reason |\n|---|---|\n",
        Lang::ZhCn => "\n| 不支持的规则 | 原因 |\n|---|---|\n",
    });
    for (_, snake, reason) in UNSUPPORTED {
        let _ = writeln!(text, "| `{snake}` | `{}` |", reason.as_str());
    }
    let _ = writeln!(text, "| `email:dns` | `needs_network` |");
    let _ = writeln!(text, "| `email:spoof` | `needs_icu` |");
    text
}
