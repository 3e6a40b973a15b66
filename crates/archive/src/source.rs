//! Bytes that can be read at any place, without a shared position.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Where a zip's bytes come from.
pub trait ReadAt: Send + Sync {
    /// All bytes there are.
    ///
    /// # Errors
    ///
    /// What asking the file system gives.
    fn size(&self) -> io::Result<u64>;

    /// Reads some bytes at `offset`; 0 only at the end.
    ///
    /// # Errors
    ///
    /// What reading gives.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] when there are not as many bytes.
    fn read_exact_at(&self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(offset, buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = &mut buffer[read..];
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(self.len());
        let count = buffer.len().min(self.len() - start);
        buffer[..count].copy_from_slice(&self[start..start + count]);
        Ok(count)
    }
}

/// Small reads that mostly go forward, served from one larger read: headers stand close together.
pub(crate) struct Window<'a> {
    source: &'a dyn ReadAt,
    size: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    /// Bytes read at a time; a larger request is read as a whole.
    const SIZE: usize = 16 << 10;

    /// A window on the first `size` bytes of `source`.
    pub(crate) fn new(source: &'a dyn ReadAt, size: u64) -> Self {
        Self {
            source,
            size,
            start: 0,
            bytes: Vec::new(),
        }
    }

    /// `length` bytes at `offset`; fewer only where the window's source ends.
    pub(crate) fn get(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = length.min(left);
        let skip = offset
            .checked_sub(self.start)
            .and_then(|skip| usize::try_from(skip).ok())
            .filter(|skip| {
                skip.checked_add(length)
                    .is_some_and(|end| end <= self.bytes.len())
            });
        let skip = match skip {
            Some(skip) => skip,
            None => {
                self.bytes.resize(length.max(Self::SIZE).min(left), 0);
                self.start = offset;
                if let Err(error) = self.source.read_exact_at(offset, &mut self.bytes) {
                    self.bytes.clear();
                    return Err(error);
                }
                0
            }
        };
        Ok(&self.bytes[skip..skip + length])
    }
}
