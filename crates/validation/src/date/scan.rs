//! PHP's reader of dates in free form: a scanner that always takes the longest thing it knows, and what
//! each of those things means.
//!
//! The forms are those of the chapter "Supported Date and Time Formats" of PHP's manual; where two take
//! equally much, the one that stands first in [`FORMS`] wins.

use std::sync::LazyLock;

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::util::pool::Pool;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};

use super::parsed::{MONTHS, Parsed, Special, Zone};
use super::reader::Reader;

/// What the scanner knows, in the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Yesterday,
    Now,
    Noon,
    Today,
    Tomorrow,
    Timestamp,
    FirstOrLastDayOf,
    BackOrFrontOf,
    WeekdayOf,
    Time12,
    MsSqlTime,
    Time24,
    GnuNoColon,
    IsoNoColon,
    American,
    IsoDate,
    YearDate,
    GnuDateShorter,
    DateFull,
    PointedDate,
    DateNoDay,
    DateNoDayReversed,
    DateTextual,
    DateNoYearReversed,
    DateNoColon,
    DateAndTime,
    DayOfYear,
    IsoWeek,
    PgText,
    PgTextReversed,
    CommonLog,
    Year,
    Ago,
    DayName,
    RelativeTextWeek,
    RelativeText,
    Month,
    Zone,
    ShortDateTime12,
    ShortDateTime24,
    Relative,
    Space,
    Unexpected,
}

/// The pattern of each form. `{name}` stands for one of [`PARTS`].
const FORMS: &[(Form, &str)] = &[
    (Form::Yesterday, "(?i:yesterday)"),
    (Form::Now, "(?i:now)"),
    (Form::Noon, "(?i:noon)"),
    (Form::Today, "(?i:midnight|today)"),
    (Form::Tomorrow, "(?i:tomorrow)"),
    (Form::Timestamp, r"@-?[0-9]+(\.[0-9]{0,6})?"),
    (Form::FirstOrLastDayOf, "(?i:(first|last) day of)"),
    (
        Form::BackOrFrontOf,
        "(?i:(back|front) of ){hour24}({space}?{meridian})?",
    ),
    (
        Form::WeekdayOf,
        "({reltextnumber}|{reltexttext}){space}({dayfulls}|{dayfull}|{dayabbr}){space}(?i:of)",
    ),
    (
        Form::Time12,
        "{hour12}([:.]{minutelz}|[:.]{minute}[:.]{secondlz})?{space}?{meridian}",
    ),
    (
        Form::MsSqlTime,
        "{hour12}:{minutelz}:{secondlz}[:.][0-9]+{meridian}",
    ),
    (
        Form::Time24,
        r"[tT]{hour24}|[tT]?{hour24}[:.]{minute}([:.]{second}(\.[0-9]+)?)?",
    ),
    (Form::GnuNoColon, "[tT]?{hour24lz}{minutelz}"),
    (Form::IsoNoColon, "[tT]?{hour24lz}{minutelz}{secondlz}"),
    (Form::American, "{month}/{day}(/{year})?"),
    (
        Form::IsoDate,
        "[+-]?{year4}-{monthlz}-{daylz}|{year4}/{monthlz}/{daylz}/?|{year4}/{month}/{day}|[+-][0-9]{5,19}-{monthlz}-{daylz}",
    ),
    (Form::YearDate, "{year2}-{monthlz}-{daylz}"),
    (Form::GnuDateShorter, "{year4}-{month}"),
    (Form::YearDate, "{year}-{month}-{day}"),
    (Form::DateFull, r"{day}[ \t.-]*{monthtext}[ \t.-]*{year}"),
    (Form::PointedDate, r"{day}[.\t-]{month}[.-]{year4}"),
    (Form::PointedDate, r"{day}[.\t]{month}\.{year2}"),
    (Form::DateNoDay, r"{monthtext}[ .\t-]*{year4}"),
    (Form::DateNoDayReversed, r"{year4}[ .\t-]*{monthtext}"),
    (
        Form::DateTextual,
        r"{monthtext}[ .\t-]*{day}[,.stndrh\t ]+{year}|{datenoyear}",
    ),
    (Form::DateNoYearReversed, r"{day}[ .\t-]*{monthtext}"),
    (Form::DateNoColon, "{year4}{monthlz}{daylz}"),
    (
        Form::DateAndTime,
        r"{year4}{monthlz}{daylz}T{hour24}:{minutelz}:{secondlz}|{year4}{monthlz}{daylz}[tT]{hour24}{minutelz}{secondlz}|{year4}-{monthlz}-{daylz}T{hour24lz}:{minutelz}:{secondlz}\.[0-9]+{tzcorrection}?|{year4}-{month}-{day}T{hour24}:{minute}:{second}|{year4}:{monthlz}:{daylz} {hour24lz}:{minutelz}:{secondlz}",
    ),
    (Form::DayOfYear, "{year4}[.-]?{dayofyear}"),
    (Form::IsoWeek, "{year4}-?W{weekofyear}(-?[0-7])?"),
    (Form::PgText, "{monthabbr}-{daylz}-{year}"),
    (Form::PgTextReversed, "{year}-{monthabbr}-{daylz}"),
    (
        Form::CommonLog,
        "{day}/{monthabbr}/{year4}:{hour24lz}:{minutelz}:{secondlz}{space}{tzcorrection}",
    ),
    (Form::Year, "{year4}"),
    (Form::Ago, "(?i:ago)"),
    (Form::DayName, "{daytext}"),
    (Form::RelativeTextWeek, "{reltexttext}{space}(?i:week)"),
    (
        Form::RelativeText,
        "({reltextnumber}|{reltexttext}){space}{reltextunit}",
    ),
    (Form::Month, "{monthfull}|{monthabbr}"),
    (Form::Zone, "{tzcorrection}|{tz}"),
    (
        Form::ShortDateTime12,
        "{datenoyear}{hour12}[:.]({minutelz}|{minute}[:.]{secondlz}){space}?{meridian}",
    ),
    (
        Form::ShortDateTime24,
        "{datenoyear}[tT]?{hour24}[:.]{minute}([:.]{second}|[:.]{secondlz}{space}?({tzcorrection}|{tz}))?",
    ),
    (
        Form::Relative,
        "{relnumber}{space}?({reltextunit}|(?i:week))",
    ),
    (Form::Space, r"[ .,\t\n\x00]|\xC2\xA0|\xE2\x80\xAF"),
    (Form::Unexpected, r"(?s-u:.)"),
];

/// Parts of patterns; later ones may use earlier ones.
const PARTS: &[(&str, &str)] = &[
    ("space", r"([ \t]|\xC2\xA0|\xE2\x80\xAF)+"),
    ("hour24lz", "([01][0-9]|2[0-4])"),
    ("hour24", "([01]?[0-9]|2[0-4])"),
    ("hour12", "(0?[1-9]|1[0-2])"),
    ("minutelz", "[0-5][0-9]"),
    ("minute", "[0-5]?[0-9]"),
    ("secondlz", "([0-5][0-9]|60)"),
    ("second", "([0-5]?[0-9]|60)"),
    ("meridian", r"[AaPp]\.?[Mm]\.?[\x00\t ]"),
    (
        "tzcorrection",
        "((GMT)?[+-]({hour24}(:?{minute})?|{hour24lz}{minutelz}{secondlz}|{hour24lz}:{minutelz}:{secondlz}))",
    ),
    ("tz", r"(\(?[A-Za-z]{1,6}\)?|[A-Z][a-z]+([_/-][A-Za-z]+)+)"),
    ("daysuf", "(st|nd|rd|th)"),
    ("monthlz", "(0[0-9]|1[0-2])"),
    ("month", "(0?[0-9]|1[0-2])"),
    ("daylz", "(0[0-9]|[1-2][0-9]|3[01])"),
    (
        "dayofyear",
        "(00[1-9]|0[1-9][0-9]|[1-2][0-9][0-9]|3[0-5][0-9]|36[0-6])",
    ),
    (
        "dayfulls",
        "(?i:sundays|mondays|tuesdays|wednesdays|thursdays|fridays|saturdays)",
    ),
    (
        "dayfull",
        "(?i:sunday|monday|tuesday|wednesday|thursday|friday|saturday)",
    ),
    ("dayabbr", "(?i:sun|mon|tue|wed|thu|fri|sat)"),
    ("daytext", "({dayfulls}|{dayfull}|{dayabbr}|(?i:weekdays?))"),
    ("day", "([0-2]?[0-9]|3[01]){daysuf}?"),
    ("year4", "[0-9]{4}"),
    ("year2", "[0-9]{2}"),
    ("year", "[0-9]{1,4}"),
    ("weekofyear", "(0[1-9]|[1-4][0-9]|5[0-3])"),
    (
        "monthfull",
        "(?i:january|february|march|april|may|june|july|august|september|october|november|december)",
    ),
    (
        "monthabbr",
        "(?i:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)",
    ),
    (
        "monthtext",
        "({monthfull}|{monthabbr}|I{1,3}|I[VX]|VI{0,3}|XI{0,2})",
    ),
    (
        "datenoyear",
        r"{monthtext}[ .\t-]*{day}([,.stndrh\t ]+|\x00)",
    ),
    (
        "reltextnumber",
        "(?i:first|second|third|fourth|fifth|sixth|seventh|eighth?|ninth|tenth|eleventh|twelfth)",
    ),
    ("reltexttext", "(?i:next|last|previous|this)"),
    (
        "reltextunit",
        r"((?i:ms|\xC2\xB5s|(msec|millisecond|\xC2\xB5s|microsecond|usec|sec|second|min|minute|hour|day|fortnight|forthnight|month|year)s?|weeks)|{daytext})",
    ),
    ("relnumber", r"[+-]*[ \t]*[0-9]{1,13}"),
];

/// The scanner as an automaton that is built as far as it is used.
struct Scanner {
    automaton: DFA,
    caches: Pool<
        Cache,
        Box<dyn Fn() -> Cache + Send + Sync + std::panic::RefUnwindSafe + std::panic::UnwindSafe>,
    >,
}

static SCANNER: LazyLock<Option<Scanner>> = LazyLock::new(|| {
    let mut parts: Vec<(&str, String)> = Vec::new();
    for (name, pattern) in PARTS {
        let pattern = expand(pattern, &parts);
        parts.push((name, pattern));
    }
    let patterns: Vec<String> = FORMS
        .iter()
        .map(|(_, pattern)| expand(pattern, &parts))
        .collect();
    let automaton = DFA::builder()
        .configure(
            DFA::config()
                .match_kind(MatchKind::All)
                .cache_capacity(4 << 20),
        )
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .build_many(&patterns)
        .ok()?;
    let maker = automaton.clone();
    Some(Scanner {
        automaton,
        caches: Pool::new(Box::new(move || maker.create_cache())),
    })
});

fn expand(pattern: &str, parts: &[(&str, String)]) -> String {
    let mut text = pattern.to_owned();
    for (name, part) in parts {
        let place = format!("{{{name}}}");
        if text.contains(&place) {
            text = text.replace(&place, &format!("(?:{part})"));
        }
    }
    text
}

/// The longest form at a place, and where it ends.
fn longest(bytes: &[u8], at: usize, cache: &mut Cache) -> Option<(Form, usize)> {
    let scanner = SCANNER.as_ref()?;
    let input = Input::new(bytes).range(at..).anchored(Anchored::Yes);
    let found = scanner.automaton.try_search_fwd(cache, &input).ok()??;
    let (form, _) = FORMS.get(found.pattern().as_usize())?;
    Some((*form, found.offset()))
}

/// Reads a text; `None` when PHP finds errors in it.
pub(super) fn scan(text: &str) -> Option<Parsed> {
    let space = |it: char| matches!(it, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c');
    let trimmed = text.trim_matches(space);
    if text.is_empty() {
        return None;
    }
    // Of nothing but space one character stays.
    let mut bytes = if trimmed.is_empty() { " " } else { trimmed }
        .as_bytes()
        .to_vec();
    let end = bytes.len();
    bytes.push(0);
    let scanner = SCANNER.as_ref()?;
    let mut cache = scanner.caches.get();
    let mut parsed = Parsed::default();
    let mut at = 0;
    while at <= end {
        let (form, after) = longest(&bytes, at, &mut cache)?;
        if form != Form::Space {
            apply(form, &bytes[at..after], &mut parsed)?;
        }
        at = after;
    }
    Some(parsed)
}

/// Takes over what a form says; `None` for an error.
#[expect(clippy::too_many_lines, reason = "one arm for each form")]
fn apply(form: Form, token: &[u8], parsed: &mut Parsed) -> Option<()> {
    let mut reader = Reader::new(token);
    match form {
        Form::Space | Form::Now => {}
        Form::Unexpected => return None,
        Form::Yesterday | Form::Tomorrow | Form::Today => {
            parsed.drop_time();
            parsed.relative.days = match form {
                Form::Yesterday => -1,
                Form::Tomorrow => 1,
                _ => parsed.relative.days,
            };
        }
        Form::Noon => {
            parsed.drop_time();
            parsed.have_time()?;
            parsed.hour = Some(12);
        }
        Form::Timestamp => timestamp(&mut reader, parsed)?,
        Form::FirstOrLastDayOf => {
            parsed.relative.last_day_of = Some(reader.starts_with_any(b"lL"));
        }
        Form::BackOrFrontOf => {
            parsed.drop_time();
            parsed.have_time()?;
            let back = reader.starts_with_any(b"bB");
            let hour = reader.number(2)?;
            parsed.hour = Some(if back { hour } else { hour - 1 });
            parsed.minute = Some(if back { 15 } else { 45 });
            if !reader.is_done() {
                let hour = parsed.hour.unwrap_or(0);
                parsed.hour = Some(hour + reader.meridian(hour));
            }
        }
        Form::WeekdayOf => {
            let (amount, behavior) = reader.relative_text()?;
            if amount > 0 {
                parsed.relative.special = Some(Special::DayOfWeekInMonth);
                reader.set_relative(amount, 1, parsed, true)?;
            } else {
                parsed.relative.special = Some(Special::LastDayOfWeekInMonth);
                reader.set_relative(amount, behavior, parsed, true)?;
            }
        }
        Form::Time12 | Form::MsSqlTime => {
            parsed.have_time()?;
            reader.time(parsed)?;
            let hour = parsed.hour.unwrap_or(0);
            parsed.hour = Some(hour + reader.meridian(hour));
        }
        Form::Time24 => {
            parsed.have_time()?;
            reader.time(parsed)?;
        }
        Form::GnuNoColon => {
            match parsed.times {
                0 => {
                    parsed.hour = Some(reader.number(2)?);
                    parsed.minute = Some(reader.number(2)?);
                    parsed.second = Some(0);
                }
                1 => parsed.year = Some(reader.number(4)?),
                _ => return None,
            }
            parsed.times += 1;
        }
        Form::IsoNoColon => {
            parsed.have_time()?;
            parsed.hour = Some(reader.number(2)?);
            parsed.minute = Some(reader.number(2)?);
            parsed.second = Some(reader.number(2)?);
        }
        Form::Ago => parsed.relative.negate(),
        Form::DayName => {
            parsed.drop_time();
            parsed.relative.weekday = Some(reader.weekday()?);
            if parsed.relative.behavior != 2 {
                parsed.relative.behavior = 1;
            }
        }
        Form::RelativeTextWeek => {
            let (amount, behavior) = reader.relative_text()?;
            reader.set_relative(amount, behavior, parsed, true)?;
            parsed.relative.behavior = 2;
            parsed.relative.weekday.get_or_insert(1);
        }
        Form::RelativeText => {
            let (amount, behavior) = reader.relative_text()?;
            reader.set_relative(amount, behavior, parsed, true)?;
        }
        Form::Relative => {
            let amount = reader.signed()?;
            reader.set_relative(amount, 1, parsed, false)?;
        }
        Form::Zone => {
            if parsed.have_zone()? {
                parsed.zone = Some(reader.zone()?);
            }
        }
        _ => date(form, &mut reader, parsed)?,
    }
    Some(())
}

/// Forms that name a date, some with a time.
#[expect(clippy::too_many_lines, reason = "one arm for each form")]
fn date(form: Form, reader: &mut Reader<'_>, parsed: &mut Parsed) -> Option<()> {
    if form == Form::Year {
        parsed.year = Some(reader.number(4)?);
        return Some(());
    }
    if matches!(form, Form::DateAndTime | Form::CommonLog) {
        parsed.have_time()?;
    }
    parsed.have_date()?;
    match form {
        Form::American => {
            parsed.month = Some(reader.number(2)?);
            parsed.day = Some(reader.number(2)?);
            if reader.peek() == Some(b'/') {
                parsed.year = Some(reader.short_year(4)?);
            }
        }
        Form::IsoDate => {
            parsed.year = Some(reader.signed_year()?);
            parsed.month = Some(reader.number(2)?);
            parsed.day = Some(reader.number(2)?);
        }
        Form::YearDate => {
            parsed.year = Some(reader.short_year(4)?);
            parsed.month = Some(reader.number(2)?);
            parsed.day = Some(reader.number(2)?);
        }
        Form::GnuDateShorter => {
            parsed.year = Some(reader.short_year(4)?);
            parsed.month = Some(reader.number(2)?);
            parsed.day = Some(1);
        }
        Form::DateFull => {
            parsed.day = Some(reader.number(2)?);
            reader.skip_suffix();
            parsed.month = Some(reader.month()?);
            parsed.year = Some(reader.short_year(4)?);
        }
        Form::PointedDate => {
            parsed.day = Some(reader.number(2)?);
            parsed.month = Some(reader.number(2)?);
            parsed.year = Some(reader.short_year(4)?);
        }
        Form::DateNoDay => {
            parsed.month = Some(reader.month()?);
            parsed.year = Some(reader.short_year(4)?);
            parsed.day = Some(1);
        }
        Form::DateNoDayReversed => {
            parsed.year = Some(reader.short_year(4)?);
            parsed.month = Some(reader.month()?);
            parsed.day = Some(1);
        }
        Form::DateTextual | Form::PgText => {
            parsed.month = Some(reader.month()?);
            parsed.day = Some(reader.number(2)?);
            parsed.year = reader.short_year(4);
        }
        Form::DateNoYearReversed => {
            parsed.day = Some(reader.number(2)?);
            reader.skip_suffix();
            parsed.month = Some(reader.month()?);
        }
        Form::DateNoColon => {
            parsed.year = Some(reader.number(4)?);
            parsed.month = Some(reader.number(2)?);
            parsed.day = Some(reader.number(2)?);
        }
        Form::DateAndTime => {
            parsed.year = Some(reader.number(4)?);
            parsed.month = Some(reader.number(2)?);
            parsed.day = Some(reader.number(2)?);
            parsed.hour = Some(reader.number(2)?);
            parsed.minute = Some(reader.number(2)?);
            parsed.second = Some(reader.number(2)?);
            if reader.peek() == Some(b'.') {
                parsed.micros = Some(reader.fraction());
                if !reader.is_done() {
                    parsed.zone = Some(reader.zone()?);
                }
            }
        }
        Form::DayOfYear => {
            parsed.year = Some(reader.short_year(4)?);
            parsed.day = Some(reader.number(3)?);
            parsed.month = Some(1);
        }
        Form::IsoWeek => {
            let year = reader.number(4)?;
            let week = reader.number(2)?;
            let day = reader.number(1).unwrap_or(1);
            parsed.year = Some(year);
            parsed.month = Some(1);
            parsed.day = Some(1);
            parsed.relative.days = super::civil::day_of_week_date(year, week, day);
        }
        Form::PgTextReversed => {
            parsed.year = Some(reader.short_year(4)?);
            parsed.month = Some(reader.month()?);
            parsed.day = Some(reader.number(2)?);
        }
        Form::CommonLog => {
            parsed.day = Some(reader.number(2)?);
            // `5th/Jan` is taken for a date without a month.
            parsed.month = Some(reader.month().unwrap_or(0));
            parsed.year = Some(reader.number(4)?);
            parsed.hour = Some(reader.number(2)?);
            parsed.minute = Some(reader.number(2)?);
            parsed.second = Some(reader.number(2)?);
            parsed.zone = Some(reader.zone()?);
        }
        Form::Month => parsed.month = Some(reader.month()?),
        Form::ShortDateTime12 | Form::ShortDateTime24 => {
            parsed.month = Some(reader.month()?);
            parsed.day = Some(reader.number(2)?);
            parsed.have_time()?;
            reader.time(parsed)?;
            if form == Form::ShortDateTime12 {
                let hour = parsed.hour.unwrap_or(0);
                parsed.hour = Some(hour + reader.meridian(hour));
            } else if !reader.is_done() {
                parsed.zone = Some(reader.zone()?);
            }
        }
        _ => return None,
    }
    Some(())
}

fn timestamp(reader: &mut Reader<'_>, parsed: &mut Parsed) -> Option<()> {
    parsed.dates = 0;
    parsed.year = Some(0);
    parsed.month = Some(0);
    parsed.day = Some(0);
    parsed.drop_time();
    if !parsed.have_zone()? {
        return Some(());
    }
    let seconds = reader.signed()?;
    let micros = if reader.peek() == Some(b'.') {
        let after = reader.position();
        let micros = reader.fraction();
        if reader.position() == after + 1 {
            return None;
        }
        micros
    } else {
        0
    };
    let negative = reader.is_negative();
    parsed.year = Some(1970);
    parsed.month = Some(1);
    parsed.day = Some(1);
    parsed.hour = Some(0);
    parsed.minute = Some(0);
    parsed.second = Some(0);
    parsed.relative.seconds = parsed.relative.seconds.checked_add(seconds)?;
    parsed.relative.micros += if negative { -micros } else { micros };
    parsed.zone = Some(Zone::Offset(0));
    Some(())
}

/// The number of a month by its name.
pub(super) fn month(name: &str) -> Option<i64> {
    let lower = name.to_ascii_lowercase();
    MONTHS
        .iter()
        .find(|(word, _)| *word == lower)
        .map(|(_, number)| *number)
}
