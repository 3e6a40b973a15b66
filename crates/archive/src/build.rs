//! A builder of zip archives byte by byte, sound or broken in exactly one place, for tests.
//!
//! ```
//! use plugyard_archive::build::{Archive, File};
//!
//! let bytes = Archive::new()
//!     .file("mirror.json", "{}")
//!     .directory("sources")
//!     .entry(File::new("sources/random.yaml", "default:\n").streamed())
//!     .build();
//! ```

use std::io::Write;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

/// An entry to be written. Starts out sound; what the fields override is written as they say.
#[derive(Debug, Clone)]
pub struct File {
    /// The name in the central directory.
    pub name: Vec<u8>,
    /// The content, unpacked.
    pub content: Vec<u8>,
    /// The method both headers state; 8 packs the content, any other leaves it as it is.
    pub method: u16,
    /// Flags of both headers, besides those that other fields imply.
    pub flags: u16,
    /// The system that made it: 3 Unix, 0 DOS.
    pub made_by: u8,
    /// Type and permission bits as on Unix.
    pub mode: u32,
    /// The lower half of the external attributes.
    pub dos_attributes: u16,
    /// Extra area of both headers.
    pub extra: Vec<u8>,
    /// How checksum and sizes follow the content, when they do.
    pub descriptor: Option<Descriptor>,
    /// Sizes in a Zip64 extra field of both headers.
    pub zip64: bool,
    /// Another name in its own header.
    pub local_name: Option<Vec<u8>>,
    /// Another method in its own header.
    pub local_method: Option<u16>,
    /// Other flags in its own header.
    pub local_flags: Option<u16>,
    /// Another checksum in its own header.
    pub local_crc: Option<u32>,
    /// Another unpacked size in its own header.
    pub local_size: Option<u32>,
    /// Another checksum in all places.
    pub crc: Option<u32>,
    /// Another unpacked size in all places.
    pub size: Option<u32>,
    /// Other packed bytes than packing the content gives.
    pub packed: Option<Vec<u8>>,
    /// Another offset in the central directory.
    pub offset: Option<u32>,
    /// Bytes before its own header that belong to nobody.
    pub gap: Vec<u8>,
}

/// Forms of a data descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descriptor {
    /// With signature, as most write it.
    Signed,
    /// Without signature.
    Bare,
    /// With signature and 64-bit sizes.
    Wide,
    /// With a checksum that is not the content's.
    Wrong,
}

impl File {
    /// A packed regular file.
    pub fn new(name: impl Into<Vec<u8>>, content: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            content: content.into(),
            method: 8,
            flags: 0,
            made_by: 3,
            mode: 0o100_644,
            dos_attributes: 0,
            extra: Vec::new(),
            descriptor: None,
            zip64: false,
            local_name: None,
            local_method: None,
            local_flags: None,
            local_crc: None,
            local_size: None,
            crc: None,
            size: None,
            packed: None,
            offset: None,
            gap: Vec::new(),
        }
    }

    /// A directory; the name gets its slash.
    pub fn directory(name: impl Into<Vec<u8>>) -> Self {
        let mut name = name.into();
        name.push(b'/');
        Self {
            mode: 0o040_755,
            dos_attributes: 0x10,
            ..Self::new(name, "").stored()
        }
    }

    /// Not packed.
    #[must_use]
    pub fn stored(self) -> Self {
        Self { method: 0, ..self }
    }

    /// Checksum and sizes follow the content, with signature.
    #[must_use]
    pub fn streamed(self) -> Self {
        self.with(|file| file.descriptor = Some(Descriptor::Signed))
    }

    /// Changes anything in place.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// An archive to be written.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    /// The entries, in order.
    pub entries: Vec<File>,
    /// Bytes before the archive, which its offsets do not count.
    pub prefix: Vec<u8>,
    /// Bytes between the last entry and the central directory.
    pub gap: Vec<u8>,
    /// The comment of the end record.
    pub comment: Vec<u8>,
    /// Bytes behind the end record.
    pub trailing: Vec<u8>,
    /// Another count of entries in the end record.
    pub count: Option<u16>,
    /// The number of this disk in the end record.
    pub disk: u16,
    /// Whether a Zip64 end record is written, to which the narrow one leaves its values.
    pub zip64: bool,
}

impl Archive {
    /// An archive without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a packed regular file.
    #[must_use]
    pub fn file(self, name: impl Into<Vec<u8>>, content: impl Into<Vec<u8>>) -> Self {
        self.entry(File::new(name, content))
    }

    /// Adds a directory.
    #[must_use]
    pub fn directory(self, name: impl Into<Vec<u8>>) -> Self {
        self.entry(File::directory(name))
    }

    /// Adds an entry.
    #[must_use]
    pub fn entry(mut self, file: File) -> Self {
        self.entries.push(file);
        self
    }

    /// Changes anything in place.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The bytes of the archive.
    pub fn build(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut directory = Vec::new();
        for file in &self.entries {
            file.write(&mut out, &mut directory);
        }
        out.extend(&self.gap);
        let start = out.len() as u64;
        let size = directory.len() as u64;
        out.extend(directory);
        let count = self
            .count
            .unwrap_or(u16::try_from(self.entries.len()).unwrap_or(u16::MAX));
        if self.zip64 {
            let record = out.len() as u64 + self.prefix.len() as u64;
            out.extend(b"PK\x06\x06");
            out.extend(44_u64.to_le_bytes());
            out.extend([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            for value in [count.into(), count.into(), size, start] {
                out.extend(value.to_le_bytes());
            }
            out.extend(b"PK\x06\x07\0\0\0\0");
            out.extend(record.to_le_bytes());
            out.extend(1_u32.to_le_bytes());
        }
        out.extend(b"PK\x05\x06");
        let (narrow_count, narrow_size, narrow_start) = if self.zip64 {
            (u16::MAX, u32::MAX, u32::MAX)
        } else {
            (count, low(size), low(start))
        };
        for value in [self.disk, 0, narrow_count, narrow_count] {
            out.extend(value.to_le_bytes());
        }
        for value in [narrow_size, narrow_start] {
            out.extend(value.to_le_bytes());
        }
        out.extend(
            u16::try_from(self.comment.len())
                .unwrap_or(u16::MAX)
                .to_le_bytes(),
        );
        out.extend(&self.comment);
        out.extend(&self.trailing);
        [&self.prefix[..], &out].concat()
    }
}

impl File {
    fn write(&self, out: &mut Vec<u8>, directory: &mut Vec<u8>) {
        let packed = self.packed.clone().unwrap_or_else(|| match self.method {
            8 => deflate(&self.content),
            _ => self.content.clone(),
        });
        let mut crc = Crc::new();
        crc.update(&self.content);
        let crc = self.crc.unwrap_or(crc.sum());
        let size = self.size.map_or(self.content.len() as u64, u64::from);
        let packed_size = packed.len() as u64;
        let streamed = self.descriptor.is_some();
        let flags = self.flags | if streamed { 1 << 3 } else { 0 };

        out.extend(&self.gap);
        let offset = low(out.len() as u64);
        let name = self.local_name.as_ref().unwrap_or(&self.name);
        let local = |value: u64| if streamed { 0 } else { value };
        let extra = self.extra(local(size), local(packed_size));
        out.extend(b"PK\x03\x04\x14\0");
        out.extend(self.local_flags.unwrap_or(flags).to_le_bytes());
        out.extend(self.local_method.unwrap_or(self.method).to_le_bytes());
        out.extend([0, 0, 0x21, 0]);
        let local_crc = self.local_crc.unwrap_or(if streamed { 0 } else { crc });
        let local_size = self.local_size.unwrap_or(self.narrow(local(size)));
        for value in [local_crc, self.narrow(local(packed_size)), local_size] {
            out.extend(value.to_le_bytes());
        }
        out.extend(length(name).to_le_bytes());
        out.extend(length(&extra).to_le_bytes());
        out.extend(name);
        out.extend(extra);
        out.extend(packed);
        if let Some(form) = self.descriptor {
            write_descriptor(out, form, crc, packed_size, size);
        }

        let extra = self.extra(size, packed_size);
        directory.extend(b"PK\x01\x02\x14");
        directory.extend([self.made_by, 0x14, 0]);
        directory.extend(flags.to_le_bytes());
        directory.extend(self.method.to_le_bytes());
        directory.extend([0, 0, 0x21, 0]);
        for value in [crc, self.narrow(packed_size), self.narrow(size)] {
            directory.extend(value.to_le_bytes());
        }
        directory.extend(length(&self.name).to_le_bytes());
        directory.extend(length(&extra).to_le_bytes());
        directory.extend([0; 6]);
        let external = self.mode << 16 | u32::from(self.dos_attributes);
        directory.extend(external.to_le_bytes());
        directory.extend(self.offset.unwrap_or(offset).to_le_bytes());
        directory.extend(&self.name);
        directory.extend(extra);
    }

    fn narrow(&self, value: u64) -> u32 {
        if self.zip64 { u32::MAX } else { low(value) }
    }

    fn extra(&self, size: u64, packed: u64) -> Vec<u8> {
        let mut extra = self.extra.clone();
        if self.zip64 {
            extra.extend([1, 0, 16, 0]);
            extra.extend(size.to_le_bytes());
            extra.extend(packed.to_le_bytes());
        }
        extra
    }
}

fn write_descriptor(out: &mut Vec<u8>, form: Descriptor, crc: u32, packed: u64, size: u64) {
    if form != Descriptor::Bare {
        out.extend(b"PK\x07\x08");
    }
    let crc = if form == Descriptor::Wrong { !crc } else { crc };
    out.extend(crc.to_le_bytes());
    for value in [packed, size] {
        if form == Descriptor::Wide {
            out.extend(value.to_le_bytes());
        } else {
            out.extend(low(value).to_le_bytes());
        }
    }
}

fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
    encoder
        .write_all(content)
        .and_then(|()| encoder.finish())
        .expect("a vector takes everything")
}

fn low(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn length(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}
