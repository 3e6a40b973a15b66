//! A directory as a zip: the same bytes on every machine.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ::zip::result::ZipError;
use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, DateTime, System, ZipWriter};
use plugyard_model::{Digest, Finding};

use crate::zip::inspect;
use crate::{Contents, Directory, PackageReader, Policy, ReadAt, ReadError, digest, notes};

/// What was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackReport {
    /// SHA-256 of the archive.
    pub digest: Digest,
    /// Bytes of the archive.
    pub size: u64,
    /// Entries in it, directories included.
    pub entries: u64,
}

/// Why a directory was not packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The directory, or the archive made of it, has errors: no server would take it.
    #[error("the directory has {} error(s)", findings.len())]
    Refused {
        /// The errors.
        findings: Vec<Finding>,
    },
    /// A file cannot be read, or changed while it was packed.
    #[error("cannot pack a file")]
    Content(#[source] ReadError),
    /// The archive cannot be written.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
    /// The archive cannot be put in its place.
    #[error("cannot write the archive `{}`", path.display())]
    File {
        /// Where it should be.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl PackError {
    /// What is wrong with the directory; empty when it is the disk that failed.
    pub fn findings(&self) -> Vec<Finding> {
        match self {
            Self::Refused { findings } => findings.clone(),
            Self::Content(ReadError::Output { .. }) | Self::Write(_) | Self::File { .. } => {
                Vec::new()
            }
            Self::Content(error) => vec![error.to_finding()],
        }
    }
}

/// Packs a directory into `out`, which must be empty, and be readable too (the digest is taken from it).
///
/// The archive depends on names, contents and the owner's executable bit alone: entries are sorted, with
/// directories before what is in them; times are fixed to 1980; modes are 0644, or 0755 for
/// directories and executables. [`JUNK`](crate::JUNK) is left out, everything else is packed.
///
/// # Errors
///
/// [`PackError::Refused`] with everything that opening the archive would refuse; the others say what they mean.
pub fn pack(
    directory: impl AsRef<Path>,
    out: impl Read + Write + Seek + Send,
    policy: &Policy,
) -> Result<PackReport, PackError> {
    pack_package(&Directory::open(directory, policy), out, policy)
}

fn pack_package(
    package: &Directory,
    mut out: impl Read + Write + Seek + Send,
    policy: &Policy,
) -> Result<PackReport, PackError> {
    refuse(package.findings())?;
    write(package, &mut out)?;
    out.seek(SeekFrom::Start(0)).map_err(PackError::Write)?;
    let (digest, size) = digest::digest(&mut out).map_err(PackError::Write)?;

    // The ratio of compression shows only now. Contents need no second look.
    let written = Written {
        size,
        out: Mutex::new(&mut out),
    };
    let quick = Policy {
        contents: Contents::WhenRead,
        ..*policy
    };
    let inspected = inspect(&written, &quick);
    refuse(&inspected.findings)?;
    Ok(PackReport {
        digest,
        size,
        entries: inspected.listing.entries.len() as u64,
    })
}

/// Packs a directory into the file `target`, which appears, or is replaced, only when it is complete and on disk.
/// An earlier archive of that name inside of the directory is left out, so packing twice gives the same bytes.
///
/// # Errors
///
/// As [`pack()`], and [`PackError::File`].
pub fn pack_to_file(
    directory: impl AsRef<Path>,
    target: impl AsRef<Path>,
    policy: &Policy,
) -> Result<PackReport, PackError> {
    let (directory, target) = (directory.as_ref(), target.as_ref());
    // Looked at before anything is written, which may be in the directory itself.
    let mut package = Directory::open(directory, policy);
    if let Some(path) = path_inside(directory, target) {
        package.leave_out(&path);
    }
    let failed = |source| PackError::File {
        path: target.to_owned(),
        source,
    };
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let temporary = target.with_file_name(name);
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&temporary)
        .map_err(failed)?;
    let packed = pack_package(&package, &file, policy).and_then(|report| {
        file.sync_all().map_err(failed)?;
        std::fs::rename(&temporary, target).map_err(failed)?;
        Ok(report)
    });
    if packed.is_err() {
        // The failure is told; that the remains cannot be removed would not help anybody.
        let _ = std::fs::remove_file(&temporary);
    }
    packed
}

/// The path that a file has within a directory, where it lies there.
fn path_inside(directory: &Path, file: &Path) -> Option<String> {
    let parent = match file.parent()? {
        parent if parent.as_os_str().is_empty() => Path::new("."),
        parent => parent,
    };
    let file = parent.canonicalize().ok()?.join(file.file_name()?);
    let inside = file.strip_prefix(directory.canonicalize().ok()?).ok()?;
    inside.to_str().map(str::to_owned)
}

fn refuse(findings: &[Finding]) -> Result<(), PackError> {
    let errors = notes::errors(findings);
    if errors.is_empty() {
        Ok(())
    } else {
        Err(PackError::Refused { findings: errors })
    }
}

fn write(package: &Directory, out: &mut (impl Write + Seek)) -> Result<(), PackError> {
    let failed = |error: ZipError| PackError::Write(error.into());
    let mut zip = ZipWriter::new(out);
    for entry in &package.listing().entries {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(6))
            .last_modified_time(DateTime::DEFAULT)
            .unix_permissions(entry.mode)
            .system(System::Unix);
        if entry.is_file() {
            zip.start_file(&*entry.path, options).map_err(failed)?;
            package
                .copy_to(&entry.path, entry.size, &mut zip)
                .map_err(PackError::Content)?;
        } else {
            zip.add_directory(&*entry.path, options).map_err(failed)?;
        }
    }
    zip.finish().map_err(failed)?;
    Ok(())
}

/// The archive just written, for the reader.
struct Written<'a, T> {
    size: u64,
    out: Mutex<&'a mut T>,
}

impl<T: Read + Seek + Send> ReadAt for Written<'_, T> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.seek(SeekFrom::Start(offset))?;
        out.read(buffer)
    }
}
