//! Reading one entry's content, held to what its headers declare.

use std::io::{self, Read, Write};

use flate2::Crc;
use flate2::read::DeflateDecoder;
use plugyard_model::Finding;

use crate::{ReadAt, ReadError};

/// The two methods that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Stored,
    Deflate,
}

/// Where an entry's content is, as its compared headers say.
#[derive(Debug, Clone)]
pub(super) struct Located {
    pub start: u64,
    pub packed: u64,
    pub size: u64,
    pub crc: u32,
    pub method: Method,
    /// Why it may not be read.
    pub refused: Option<Box<Finding>>,
}

/// Copies the content to `out`; never more than its declared size.
pub(super) fn copy(
    source: &dyn ReadAt,
    path: &str,
    located: &Located,
    limit: u64,
    out: &mut dyn Write,
) -> Result<u64, ReadError> {
    let path = || path.to_owned();
    if let Some(finding) = &located.refused {
        return Err(ReadError::Refused {
            path: path(),
            finding: finding.clone(),
        });
    }
    let size = located.size;
    if size > limit {
        return Err(ReadError::TooLarge {
            path: path(),
            size,
            limit,
        });
    }
    let mut packed = Packed {
        source,
        offset: located.start,
        left: located.packed,
        failed: None,
    };
    let mut crc = Crc::new();
    let copied = match located.method {
        Method::Stored => pump(&mut packed, size, &mut crc, out),
        Method::Deflate => {
            let mut inflate = DeflateDecoder::new(&mut packed);
            let copied = pump(&mut inflate, size, &mut crc, out);
            // Bytes behind the end of the compressed stream are data that other readers may see.
            copied.and_then(|count| match inflate.total_in() {
                used if used == located.packed => Ok(count),
                _ => Err(Stop::Corrupt),
            })
        }
    };
    if let Some(source) = packed.failed {
        return Err(ReadError::Input {
            path: path(),
            source,
        });
    }
    match copied {
        Ok(count) if count == size && crc.sum() == located.crc => Ok(count),
        Ok(count) if count == size => Err(ReadError::ChecksumMismatch {
            path: path(),
            declared: located.crc,
            actual: crc.sum(),
        }),
        Ok(_) | Err(Stop::Size) => Err(ReadError::SizeMismatch { path: path(), size }),
        Err(Stop::Corrupt) => Err(ReadError::Corrupt { path: path() }),
        Err(Stop::Output(source)) => Err(ReadError::Output {
            path: path(),
            source,
        }),
    }
}

/// Why the copying stopped.
enum Stop {
    Size,
    Corrupt,
    Output(io::Error),
}

/// Copies until the end of `input`, or until it gives more than `size`.
fn pump(input: &mut dyn Read, size: u64, crc: &mut Crc, out: &mut dyn Write) -> Result<u64, Stop> {
    let mut buffer =
        vec![0; usize::try_from(size.saturating_add(1)).map_or(64 << 10, |n| n.min(64 << 10))];
    let mut count = 0;
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(count),
            Ok(read) => {
                count += read as u64;
                if count > size {
                    return Err(Stop::Size);
                }
                crc.update(&buffer[..read]);
                out.write_all(&buffer[..read]).map_err(Stop::Output)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Stop::Corrupt),
        }
    }
}

/// The packed bytes of one entry. Remembers why the source failed, which is not the package's fault.
struct Packed<'a> {
    source: &'a dyn ReadAt,
    offset: u64,
    left: u64,
    failed: Option<io::Error>,
}

impl Read for Packed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most == 0 {
            return Ok(0);
        }
        match self.source.read_at(self.offset, &mut buffer[..most]) {
            Ok(0) => {
                self.failed = Some(io::ErrorKind::UnexpectedEof.into());
                Ok(0)
            }
            Ok(read) => {
                self.offset += read as u64;
                self.left -= read as u64;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}
