//! What a market's answer means for a plugin: pure.

use plugyard_market::Channel;
use semver::Version;

use crate::columns;

/// What a market answers about a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It does not know the plugin, or says no version.
    Unknown,
    /// It knows the plugin, and has nothing that may be offered to this site.
    Nothing,
    /// Its newest version for this site.
    Newest(String),
}

/// What becomes of `is_upgrade` and `upgrade_version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They stay, because of the reason.
    Leave(&'static str),
    /// There is nothing newer: no flag.
    Clear,
    /// There is this version.
    Flag(String),
}

/// Compares what is here with what a market has. Order is that of semantic versions; build metadata makes no
/// version newer.
pub(super) fn decide(installed: &str, answer: &Answer, channel: Channel) -> Verdict {
    let offered = match answer {
        Answer::Unknown => return Verdict::Leave("unknown"),
        Answer::Nothing => return Verdict::Clear,
        Answer::Newest(text) => text,
    };
    let Ok(version) = columns::version(offered) else {
        return Verdict::Leave("version");
    };
    let Ok(installed) = Version::parse(installed) else {
        // A row that somebody else wrote.
        return Verdict::Leave("installed_version");
    };
    let newer = version.cmp_precedence(&installed).is_gt();
    if newer && channel.offers(&version, Some(&installed)) {
        Verdict::Flag(offered.clone())
    } else {
        Verdict::Clear
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(installed: &str, offered: &str, channel: Channel, expect: Option<&str>) {
        let verdict = decide(installed, &Answer::Newest(offered.to_owned()), channel);
        let expected = expect.map_or(Verdict::Clear, |version| Verdict::Flag(version.to_owned()));
        assert_eq!(verdict, expected, "{installed} → {offered}");
    }

    #[test]
    fn web_38_only_a_greater_version_is_an_upgrade() {
        let stable = Channel::Stable;
        check("1.9.0", "1.10.0", stable, Some("1.10.0"));
        check("1.9.0", "1.8.0", stable, None);
        check("1.9.0", "1.9.0", stable, None);
        check("1.9.0", "1.9.0+b2", stable, None);
        check("1.9.0+b2", "1.9.0", stable, None);
    }

    #[test]
    fn web_39_pre_releases_are_for_who_has_one_or_asks_for_them() {
        check("2.0.0-rc.1", "2.0.0", Channel::Stable, Some("2.0.0"));
        check("2.0.0", "2.1.0-beta.1", Channel::Stable, None);
        check("2.0.0", "2.1.0-beta.1", Channel::Beta, Some("2.1.0-beta.1"));
        check(
            "2.1.0-alpha",
            "2.1.0-beta",
            Channel::Stable,
            Some("2.1.0-beta"),
        );
    }

    #[test]
    fn what_is_no_version_changes_nothing() {
        for (installed, offered) in [
            ("1.0.0", "1.1"),
            ("1.0.0", ""),
            ("1.0.0", "1.0.0-alpha.beta1"),
            ("new", "1.0.0"),
        ] {
            let answer = Answer::Newest(offered.to_owned());
            let verdict = decide(installed, &answer, Channel::Stable);
            assert!(
                matches!(verdict, Verdict::Leave(_)),
                "{installed} {offered}"
            );
        }
        let unknown = decide("1.0.0", &Answer::Unknown, Channel::Stable);
        assert_eq!(unknown, Verdict::Leave("unknown"));
        assert_eq!(
            decide("1.0.0", &Answer::Nothing, Channel::Stable),
            Verdict::Clear
        );
    }
}
