//! `LIKE`: `%` is any text, `_` any one character, a backslash takes the next sign as itself.

/// Whether the whole text fits the pattern. Takes time in proportion to text × pattern at worst.
pub(super) fn matches(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern = signs(pattern);
    let (mut at, mut sign) = (0, 0);
    // Where the last `%` stood and how much it has taken: the only place worth coming back to.
    let mut back: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(sign) {
            Some(Sign::Any) => {
                back = Some((sign, at));
                sign += 1;
            }
            Some(Sign::One) => {
                at += 1;
                sign += 1;
            }
            Some(Sign::Exactly(wanted)) if *wanted == text[at] => {
                at += 1;
                sign += 1;
            }
            _ => match &mut back {
                Some((any, taken)) => {
                    *taken += 1;
                    at = *taken;
                    sign = *any + 1;
                }
                None => return false,
            },
        }
    }
    pattern[sign..].iter().all(|sign| matches!(sign, Sign::Any))
}

enum Sign {
    Any,
    One,
    Exactly(char),
}

fn signs(pattern: &str) -> Vec<Sign> {
    let mut signs = Vec::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        signs.push(match c {
            '%' => Sign::Any,
            '_' => Sign::One,
            '\\' => Sign::Exactly(chars.next().unwrap_or('\\')),
            other => Sign::Exactly(other),
        });
    }
    signs
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_fit_whole_texts() {
        for (text, pattern, fits) in [
            ("sensor-1", "sensor%", true),
            ("sensor-1", "%1", true),
            ("sensor-1", "%or%", true),
            ("sensor-1", "sensor__", true),
            ("sensor-1", "sensor_", false),
            ("", "%", true),
            ("", "", true),
            ("", "_", false),
            ("温度", "_度", true),
            ("100%", "100\\%", true),
            ("1000", "100\\%", false),
            ("aXbXc", "a%X_", true),
            ("ab", "b%", false),
        ] {
            assert_eq!(matches(text, pattern), fits, "{text} LIKE {pattern}");
        }
    }
}
