//! Reading one entry's content, held to what its headers declare.

use std::io::{self, Write};

use flate2::Crc;
use plugyard_model::Finding;
use zlib_rs::{Inflate, InflateFlush, Status};

use crate::{ReadAt, ReadError};

/// Bytes read, and bytes inflated, at a time.
const BUFFER: usize = 64 << 10;
/// Of the window, as the format has it: 32 KiB.
const WINDOW_BITS: u8 = 15;

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

/// Buffers and inflating state, for as many entries as one likes: making them costs more than a small entry.
pub(super) struct Scratch {
    inflate: Inflate,
    input: Box<[u8]>,
    output: Box<[u8]>,
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self {
            inflate: Inflate::new(false, WINDOW_BITS),
            input: vec![0; BUFFER].into(),
            output: vec![0; BUFFER].into(),
        }
    }
}

/// Copies the content to `out`; never more than its declared size.
pub(super) fn copy(
    source: &dyn ReadAt,
    path: &str,
    located: &Located,
    limit: u64,
    out: &mut dyn Write,
    scratch: &mut Scratch,
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
    let mut sink = Sink {
        out,
        crc: Crc::new(),
        left: size,
    };
    let copied = match located.method {
        Method::Stored => copy_stored(source, located, &mut scratch.input, &mut sink),
        Method::Deflate => inflate(source, located, scratch, &mut sink),
    };
    match copied {
        Ok(()) if sink.left > 0 => Err(ReadError::SizeMismatch { path: path(), size }),
        Ok(()) if sink.crc.sum() == located.crc => Ok(size),
        Ok(()) => Err(ReadError::ChecksumMismatch {
            path: path(),
            declared: located.crc,
            actual: sink.crc.sum(),
        }),
        Err(Stop::Size) => Err(ReadError::SizeMismatch { path: path(), size }),
        Err(Stop::Corrupt) => Err(ReadError::Corrupt { path: path() }),
        Err(Stop::Input(source)) => Err(ReadError::Input {
            path: path(),
            source,
        }),
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
    Input(io::Error),
    Output(io::Error),
}

/// Where unpacked bytes go: counted and summed up, and not one more than declared.
struct Sink<'a> {
    out: &'a mut dyn Write,
    crc: Crc,
    left: u64,
}

impl Sink<'_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or(Stop::Size)?;
        self.crc.update(bytes);
        self.out.write_all(bytes).map_err(Stop::Output)
    }
}

fn copy_stored(
    source: &dyn ReadAt,
    located: &Located,
    buffer: &mut [u8],
    sink: &mut Sink<'_>,
) -> Result<(), Stop> {
    let mut done = 0;
    while done < located.packed {
        let read = fill(source, located, done, buffer)?;
        sink.take(&buffer[..read])?;
        done += read as u64;
    }
    Ok(())
}

fn inflate(
    source: &dyn ReadAt,
    located: &Located,
    scratch: &mut Scratch,
    sink: &mut Sink<'_>,
) -> Result<(), Stop> {
    let Scratch {
        inflate,
        input,
        output,
    } = scratch;
    inflate.reset(false);
    let mut filled = 0..0;
    loop {
        let used = inflate.total_in();
        if filled.is_empty() && used < located.packed {
            filled = 0..fill(source, located, used, input)?;
        }
        let before = inflate.total_out();
        let status = inflate
            .decompress(&input[filled.clone()], output, InflateFlush::NoFlush)
            .map_err(|_| Stop::Corrupt)?;
        let consumed = usize::try_from(inflate.total_in() - used).map_err(|_| Stop::Corrupt)?;
        let produced = usize::try_from(inflate.total_out() - before).map_err(|_| Stop::Corrupt)?;
        filled.start += consumed;
        sink.take(&output[..produced])?;
        if status == Status::StreamEnd {
            // Bytes behind the end of the compressed stream are data that other readers may see.
            let whole = inflate.total_in() == located.packed;
            return if whole { Ok(()) } else { Err(Stop::Corrupt) };
        }
        if consumed == 0 && produced == 0 {
            // Neither input nor output is short, so the stream ends before its end.
            return Err(Stop::Corrupt);
        }
    }
}

/// Reads packed bytes from `done` on, at most to their end.
fn fill(
    source: &dyn ReadAt,
    located: &Located,
    done: u64,
    buffer: &mut [u8],
) -> Result<usize, Stop> {
    let left = located.packed - done;
    let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
    let buffer = &mut buffer[..most];
    source
        .read_exact_at(located.start + done, buffer)
        .map_err(Stop::Input)?;
    Ok(most)
}
