//! What entries are called: the bytes of their names as UTF-8, the Unicode path beside them, or (where the
//! archive does not say that its names are UTF-8) read in the code page that fits all of them.
//!
//! Old programs for Windows write names in the machine's code page and do not say which. A reading that was
//! guessed is always told, with the other one where there are two.

use std::borrow::Cow;

use encoding_rs::{BIG5, Encoding, GBK};
use plugyard_model::{Finding, Place, Severity, codes};

use super::headers::{Central, FLAG_UTF8};
use crate::name::shown;
use crate::notes::Notes;

/// A code page that names are read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CodePage {
    /// Simplified Chinese.
    Gbk,
    /// Traditional Chinese.
    Big5,
}

impl CodePage {
    /// In the order in which they are preferred when nothing else decides.
    const ALL: [Self; 2] = [Self::Gbk, Self::Big5];

    const fn word(self) -> &'static str {
        match self {
            Self::Gbk => "GBK",
            Self::Big5 => "Big5",
        }
    }

    fn encoding(self) -> &'static Encoding {
        match self {
            Self::Gbk => GBK,
            Self::Big5 => BIG5,
        }
    }

    /// The text of a name; `None` when it is not written in this code page. Stricter than what browsers do:
    /// pairs only (no GB 18030), and no characters for private use.
    fn read(self, name: &[u8]) -> Option<String> {
        if !pairs(name).all(|pair| pair.is_some()) {
            return None;
        }
        let text = self
            .encoding()
            .decode_without_bom_handling_and_without_replacement(name)?;
        let private = |c: char| ('\u{e000}'..='\u{f8ff}').contains(&c);
        (!text.contains(private)).then(|| text.into_owned())
    }

    /// Characters of a name that are rare in texts of this code page: behind its first level (GB 2312, Big5).
    fn rare(self, name: &[u8]) -> usize {
        let common = |(lead, trail): (u8, u8)| match self {
            Self::Gbk => matches!(lead, 0xa1..=0xa3 | 0xb0..=0xd7) && trail >= 0xa1,
            Self::Big5 => matches!(lead, 0xa1..=0xc6),
        };
        pairs(name).flatten().filter(|pair| !common(*pair)).count()
    }
}

/// The characters of two bytes of a name; `None` for bytes that are no such character.
fn pairs(name: &[u8]) -> impl Iterator<Item = Option<(u8, u8)>> {
    let mut rest = name;
    std::iter::from_fn(move || {
        loop {
            let (&lead, after) = rest.split_first()?;
            rest = after;
            if lead < 0x80 {
                continue;
            }
            let Some((&trail, after)) = rest.split_first() else {
                return Some(None);
            };
            rest = after;
            let is_pair = matches!(lead, 0x81..=0xfe) && matches!(trail, 0x40..=0x7e | 0x80..=0xfe);
            return Some(is_pair.then_some((lead, trail)));
        }
    })
}

/// How the names of an archive are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading(Option<CodePage>);

impl Reading {
    /// Finds the code page that fits all names that need one: one program wrote them all. Notes what it is.
    pub(super) fn of(entries: &[Central], notes: &mut Notes) -> Self {
        let legacy: Vec<&[u8]> = entries
            .iter()
            .filter(|central| is_legacy(central))
            .map(|central| central.name.as_slice())
            .collect();
        let Some(first) = legacy.first() else {
            return Self(None);
        };
        let fits = |page: &CodePage| legacy.iter().all(|name| page.read(name).is_some());
        let mut fitting: Vec<CodePage> = CodePage::ALL.into_iter().filter(fits).collect();
        let rare = |page: CodePage| legacy.iter().map(|name| page.rare(name)).sum::<usize>();
        // Where both fit, the one with fewer rare characters; the sort keeps their order otherwise.
        fitting.sort_by_key(|page| rare(*page));
        let Some(&page) = fitting.first() else {
            return Self(None);
        };
        let text = |page: CodePage| page.read(first).unwrap_or_default();
        let other = fitting.get(1).copied();
        // Common characters throughout on one side only is no doubt worth the name.
        let other = other.filter(|other| {
            let clear = rare(page) == 0 && rare(*other) > 0;
            !clear
                && legacy
                    .iter()
                    .any(|name| page.read(name) != other.read(name))
        });
        let code = match other {
            None => codes::ARCHIVE_NAME_DECODED,
            Some(_) => codes::ARCHIVE_NAME_AMBIGUOUS,
        };
        let mut finding = Finding::error(code, Place::file(shown(text(page).as_bytes())))
            .with("count", legacy.len())
            .with("encoding", page.word());
        if let Some(other) = other {
            finding = finding
                .with("other", shown(text(other).as_bytes()))
                .with("other_encoding", other.word());
        }
        finding.severity = Severity::Warning;
        notes.push(finding);
        Self(Some(page))
    }

    /// The name of an entry; not UTF-8 when it is in no encoding that is known.
    pub(super) fn name(self, central: &Central) -> Cow<'_, [u8]> {
        if let Some(unicode) = &central.unicode {
            return Cow::Borrowed(unicode);
        }
        let page = self.0.filter(|_| is_legacy(central));
        match page.and_then(|page| page.read(&central.name)) {
            Some(text) => Cow::Owned(text.into_bytes()),
            None => Cow::Borrowed(&central.name),
        }
    }
}

/// Whether a name is written in an encoding that the archive does not tell.
fn is_legacy(central: &Central) -> bool {
    central.unicode.is_none()
        && central.flags & FLAG_UTF8 == 0
        && std::str::from_utf8(&central.name).is_err()
}
