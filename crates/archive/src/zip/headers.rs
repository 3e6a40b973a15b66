//! The records of the format, field by field (APPNOTE 4.3, 4.4 and 4.5).

use flate2::Crc;

/// Signature of a local header.
pub(super) const LOCAL: [u8; 4] = *b"PK\x03\x04";
/// Signature of an entry of the central directory.
pub(super) const CENTRAL: [u8; 4] = *b"PK\x01\x02";
/// Signature of a data descriptor; writers may leave it out.
pub(super) const DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";
/// Bytes of a local header without its variable parts.
pub(super) const LOCAL_SIZE: usize = 30;
/// Bytes of an entry of the central directory without its variable parts.
pub(super) const CENTRAL_SIZE: usize = 46;

/// The content is encrypted (0), strongly (6), or headers are masked (13).
pub(super) const FLAGS_ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
/// Sizes and checksum follow the content.
pub(super) const FLAG_STREAMED: u16 = 1 << 3;
/// The content is a patch for another file.
pub(super) const FLAG_PATCH: u16 = 1 << 5;
/// The name is UTF-8.
pub(super) const FLAG_UTF8: u16 = 1 << 11;

const EXTRA_ZIP64: u16 = 0x0001;
const EXTRA_UNICODE_PATH: u16 = 0x7075;

/// A 16-bit field of a record; 0 beyond its end, which callers have checked.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..at + 2)
        .map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
}

/// A 32-bit field of a record; 0 beyond its end.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

/// A 64-bit field of a record; 0 beyond its end.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// An entry as the central directory tells it.
#[derive(Debug, Clone)]
pub(super) struct Central {
    pub made_by: u8,
    pub flags: u16,
    pub method: u16,
    pub crc: u32,
    pub packed: u64,
    pub size: u64,
    pub disk: u32,
    pub external: u32,
    pub offset: u64,
    pub name: Vec<u8>,
    /// The name that the Unicode path field gives, when that is another one and was made for this name.
    pub unicode: Option<Vec<u8>>,
    /// A name that a field gives which was not made for this name: some readers would use it.
    pub other_name: Option<Vec<u8>>,
}

impl Central {
    /// Reads the record at the front of `bytes` and says how long it is; `None` when it is cut off, has
    /// another signature or a malformed Zip64 field.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        if bytes.get(..4)? != CENTRAL || bytes.len() < CENTRAL_SIZE {
            return None;
        }
        let name_len = usize::from(u16_at(bytes, 28));
        let extra_len = usize::from(u16_at(bytes, 30));
        let comment_len = usize::from(u16_at(bytes, 32));
        let name_end = CENTRAL_SIZE + name_len;
        let name = bytes.get(CENTRAL_SIZE..name_end)?;
        let extra = bytes.get(name_end..name_end + extra_len)?;
        let length = name_end + extra_len + comment_len;
        if length > bytes.len() {
            return None;
        }
        let mut central = Self {
            made_by: bytes[5],
            flags: u16_at(bytes, 8),
            method: u16_at(bytes, 10),
            crc: u32_at(bytes, 16),
            packed: u32_at(bytes, 20).into(),
            size: u32_at(bytes, 24).into(),
            disk: u16_at(bytes, 34).into(),
            external: u32_at(bytes, 38),
            offset: u32_at(bytes, 42).into(),
            name: name.to_owned(),
            unicode: None,
            other_name: None,
        };
        (central.unicode, central.other_name) = unicode_path(name, central.flags, extra);
        let mut zip64 = Zip64::of(extra);
        zip64.replace(&mut central.size)?;
        zip64.replace(&mut central.packed)?;
        zip64.replace(&mut central.offset)?;
        Some((central, length))
    }
}

/// An entry as its own header tells it.
#[derive(Debug, Clone)]
pub(super) struct Local {
    pub flags: u16,
    pub method: u16,
    pub crc: u32,
    pub packed: u64,
    pub size: u64,
    pub name: Vec<u8>,
    pub unicode: Option<Vec<u8>>,
    pub other_name: Option<Vec<u8>>,
    /// Bytes of the header with its variable parts.
    pub length: u64,
}

/// Bytes of the variable parts of the local header whose fixed part this is; `None` when it is cut off or
/// has another signature.
pub(super) fn local_variable_size(fixed: &[u8]) -> Option<usize> {
    (fixed.len() >= LOCAL_SIZE && fixed.starts_with(&LOCAL))
        .then(|| usize::from(u16_at(fixed, 26)) + usize::from(u16_at(fixed, 28)))
}

impl Local {
    /// Reads a whole header; `None` when it is cut off or its Zip64 field is malformed.
    pub(super) fn read(header: &[u8]) -> Option<Self> {
        let (fixed, variable) = header.split_at_checked(LOCAL_SIZE)?;
        let (name, extra) = variable.split_at_checked(u16_at(fixed, 26).into())?;
        let mut local = Self {
            flags: u16_at(fixed, 6),
            method: u16_at(fixed, 8),
            crc: u32_at(fixed, 14),
            packed: u32_at(fixed, 18).into(),
            size: u32_at(fixed, 22).into(),
            name: name.to_owned(),
            unicode: None,
            other_name: None,
            length: header.len() as u64,
        };
        (local.unicode, local.other_name) = unicode_path(name, local.flags, extra);
        let mut zip64 = Zip64::of(extra);
        zip64.replace(&mut local.size)?;
        zip64.replace(&mut local.packed)?;
        Some(local)
    }
}

/// Length of the data descriptor at the front of `bytes` that says exactly this; `None` when none does.
/// With and without signature, with 32-bit and 64-bit sizes: writers do all four.
pub(super) fn descriptor(bytes: &[u8], crc: u32, packed: u64, size: u64) -> Option<usize> {
    let wide = [packed.to_le_bytes(), size.to_le_bytes()].concat();
    let narrow = match (u32::try_from(packed), u32::try_from(size)) {
        (Ok(packed), Ok(size)) => Some([packed.to_le_bytes(), size.to_le_bytes()].concat()),
        _ => None,
    };
    let forms = [
        Some((&DESCRIPTOR[..], Some(&wide))),
        Some((&DESCRIPTOR[..], narrow.as_ref())),
        Some((&[][..], Some(&wide))),
        Some((&[][..], narrow.as_ref())),
    ];
    forms.into_iter().flatten().find_map(|(signature, sizes)| {
        let expected = [signature, &crc.to_le_bytes(), sizes?].concat();
        bytes.starts_with(&expected).then_some(expected.len())
    })
}

/// The values of a Zip64 extra field, taken in order by the fields that are at their maximum.
struct Zip64<'a>(Option<&'a [u8]>);

impl<'a> Zip64<'a> {
    fn of(extra: &'a [u8]) -> Self {
        Self(fields(extra).find_map(|(id, data)| (id == EXTRA_ZIP64).then_some(data)))
    }

    /// `None` when the field should be there and is cut off. Without a Zip64 field a maximum stays as it is.
    fn replace(&mut self, value: &mut u64) -> Option<()> {
        if let Some(data) = &mut self.0
            && *value == u64::from(u32::MAX)
        {
            let (number, rest) = data.split_at_checked(8)?;
            *value = u64_at(number, 0);
            *data = rest;
        }
        Some(())
    }
}

/// The Info-ZIP Unicode path, when it differs from `name`; and another one that is stale (its checksum is not the
/// name's), malformed, or contradicts a name that is UTF-8 itself.
fn unicode_path(name: &[u8], flags: u16, extra: &[u8]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (mut unicode, mut other) = (None, None);
    let of_path = fields(extra).filter(|(id, _)| *id == EXTRA_UNICODE_PATH);
    for path in of_path.filter_map(|(_, data)| data.get(5..).map(|path| (data, path))) {
        let (data, path) = path;
        if path == name {
            continue;
        }
        let mut crc = Crc::new();
        crc.update(name);
        let fits = data[0] == 1
            && u32_at(data, 1) == crc.sum()
            && flags & FLAG_UTF8 == 0
            && std::str::from_utf8(path).is_ok();
        if fits && unicode.as_deref().is_none_or(|known| known == path) {
            unicode = Some(path.to_owned());
        } else {
            other = Some(path.to_owned());
        }
    }
    (unicode, other)
}

/// The fields of an extra area; ends at the first that is cut off.
fn fields(mut extra: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let head = extra.get(..4)?;
        let end = 4 + usize::from(u16_at(head, 2));
        let data = extra.get(4..end)?;
        extra = &extra[end..];
        Some((u16_at(head, 0), data))
    })
}
