//! Master keys and where they are from.
//!
//! Wherever they are, keys are text: `plugyard-key-1:` and 32 bytes in base64, several separated by white
//! space. The first is for use; the others, older ones, are known too until a rotation is done.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::{Zeroize as _, Zeroizing};
use secrecy::{ExposeSecret as _, SecretBox};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tokio::io::AsyncReadExt as _;

use super::SecretError;
use super::seal::{KEY, random_key};

const PREFIX: &str = "plugyard-key-1:";
/// More than anybody rotates through at once.
const MAX_TEXT: u64 = 4096;
/// How long an external command may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the master key is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file that nobody else can read; made at the first start. Its directory is made too (0700).
    File(PathBuf),
    /// An environment variable of the server.
    Environment(String),
    /// A program and its arguments, which writes the key to its standard output: a key service's client.
    Command(Vec<String>),
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file `{}`", path.display()),
            Self::Environment(name) => write!(f, "the environment variable `{name}`"),
            // Its arguments may be nobody's business.
            Self::Command(words) => {
                write!(
                    f,
                    "the command `{}`",
                    words.first().map_or("", String::as_str)
                )
            }
        }
    }
}

/// A name for a master key, from which the key cannot be found: 16 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyId(String);

impl KeyId {
    pub(super) fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Encrypts data keys. Wiped from memory when the last copy is dropped.
#[derive(Clone)]
pub(super) struct MasterKey {
    bytes: Arc<SecretBox<[u8; KEY]>>,
    id: KeyId,
}

impl MasterKey {
    pub(super) fn generate() -> Self {
        Self::new(random_key())
    }

    fn new(bytes: SecretBox<[u8; KEY]>) -> Self {
        let hash = Sha256::new()
            .chain_update(b"plugyard master key\0")
            .chain_update(bytes.expose_secret())
            .finalize();
        let digits = plugyard_model::Digest::from_bytes(hash.into()).to_string();
        Self {
            bytes: Arc::new(bytes),
            id: KeyId(digits[..16].to_owned()),
        }
    }

    pub(super) fn id(&self) -> &KeyId {
        &self.id
    }

    pub(super) fn bytes(&self) -> &SecretBox<[u8; KEY]> {
        &self.bytes
    }

    fn read(text: &str) -> Option<Self> {
        let mut bytes = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let key = (bytes.len() == KEY)
            .then(|| SecretBox::init_with_mut(|key: &mut [u8; KEY]| key.copy_from_slice(&bytes)));
        bytes.zeroize();
        key.map(Self::new)
    }
}

/// The key in use and those before it.
pub(super) struct KeyRing(Vec<MasterKey>);

impl KeyRing {
    pub(super) fn of(key: MasterKey) -> Self {
        Self(vec![key])
    }

    pub(super) fn with_current(mut self, key: MasterKey) -> Self {
        self.0.insert(0, key);
        self
    }

    pub(super) fn current(&self) -> &MasterKey {
        self.0.first().expect("a ring has a key")
    }

    pub(super) fn find(&self, id: &KeyId) -> Option<MasterKey> {
        self.0.iter().find(|key| key.id == *id).cloned()
    }

    pub(super) fn ids(&self) -> Vec<KeyId> {
        self.0.iter().map(|key| key.id.clone()).collect()
    }

    /// `None` when there is nothing but white space.
    fn read(text: &[u8]) -> Result<Option<Self>, &'static str> {
        let text = std::str::from_utf8(text).map_err(|_| "it is not text")?;
        let keys = text
            .split_whitespace()
            .map(MasterKey::read)
            .collect::<Option<Vec<_>>>()
            .ok_or("expected `plugyard-key-1:` and 32 bytes in base64")?;
        Ok((!keys.is_empty()).then_some(Self(keys)))
    }

    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.0.len() * 64));
        for key in &self.0 {
            let encoded = Zeroizing::new(STANDARD.encode(key.bytes.expose_secret()));
            text.push_str(PREFIX);
            text.push_str(&encoded);
            text.push('\n');
        }
        text
    }
}

impl KeySource {
    /// The keys that are there now; `None` when there is nothing.
    pub(super) async fn load(&self) -> Result<Option<KeyRing>, SecretError> {
        let unreadable = |source| SecretError::KeyUnreadable {
            from: self.clone(),
            source,
        };
        let text = match self {
            Self::File(path) => {
                let path = path.clone();
                let read = move || read_private(&path);
                match tokio::task::spawn_blocking(read)
                    .await
                    .map_err(|error| unreadable(io::Error::other(error)))?
                {
                    Ok(text) => text,
                    Err(FileError::Missing) => return Ok(None),
                    Err(FileError::Io(error)) => return Err(unreadable(error)),
                    Err(FileError::Exposed(path, reason)) => {
                        return Err(SecretError::KeyExposed { path, reason });
                    }
                }
            }
            Self::Environment(name) => match std::env::var_os(name) {
                Some(text) => Zeroizing::new(text.into_encoded_bytes()),
                None => return Ok(None),
            },
            Self::Command(words) => ask(words).await.map_err(unreadable)?,
        };
        if text.len() as u64 > MAX_TEXT {
            return Err(self.malformed("it is too long"));
        }
        KeyRing::read(&text).map_err(|reason| self.malformed(reason))
    }

    /// The keys that are there now, the one in use first; none when there is nothing.
    ///
    /// # Errors
    /// [`SecretError::KeyExposed`], [`SecretError::KeyUnreadable`], [`SecretError::KeyMalformed`].
    pub async fn keys(&self) -> Result<Vec<KeyId>, SecretError> {
        let ring = self.load().await?;
        Ok(ring.map(|ring| ring.ids()).unwrap_or_default())
    }

    fn malformed(&self, reason: &str) -> SecretError {
        SecretError::KeyMalformed {
            from: self.clone(),
            reason: reason.to_owned(),
        }
    }
}

enum FileError {
    Missing,
    Io(io::Error),
    Exposed(PathBuf, String),
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            Self::Missing
        } else {
            Self::Io(error)
        }
    }
}

/// Reads a file that nobody but us may read. It is asked of the open file: nobody can swap it in between.
fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let file = std::fs::File::open(path)?;
    let found = file.metadata()?;
    let exposed = |reason| Err(FileError::Exposed(path.to_owned(), reason));
    let (mode, owner) = (found.mode() & 0o7777, found.uid());
    if !found.is_file() {
        return exposed("it is not a file".to_owned());
    }
    if mode & 0o077 != 0 {
        return exposed(format!(
            "its mode is {mode:04o}, so others can read it; `chmod 600` makes it private, but if others \
             may have read it, rotate the key"
        ));
    }
    let us = rustix::process::geteuid().as_raw();
    if owner != us && owner != 0 {
        return exposed(format!("it belongs to user {owner}, not to {us}"));
    }
    let mut text = Zeroizing::new(Vec::with_capacity(1024));
    file.take(MAX_TEXT + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// Makes the key file, unless there is one by now: that one is never replaced.
pub(super) async fn create(path: &Path, ring: &KeyRing) -> Result<(), SecretError> {
    write(path, ring, false).await
}

/// Puts other keys into the key file, all or none.
pub(super) async fn replace(path: &Path, ring: &KeyRing) -> Result<(), SecretError> {
    write(path, ring, true).await
}

async fn write(path: &Path, ring: &KeyRing, over: bool) -> Result<(), SecretError> {
    let (target, text) = (path.to_owned(), ring.text());
    tokio::task::spawn_blocking(move || write_private(&target, text.as_bytes(), over))
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|source| SecretError::KeyUnreadable {
            from: KeySource::File(path.to_owned()),
            source,
        })
}

fn write_private(path: &Path, text: &[u8], over: bool) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    // Such files are 0600 from the beginning.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    if over {
        file.persist(path)?;
    } else {
        file.persist_noclobber(path)?;
    }
    std::fs::File::open(directory)?.sync_all()
}

/// What the command writes, if it ends well and in time. What it says on standard error goes to ours.
async fn ask(words: &[String]) -> io::Result<Zeroizing<Vec<u8>>> {
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no command is named"))?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the operator's own program, not a plugin"
    )]
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = child.stdout.take();
    let answer = async {
        let mut text = Zeroizing::new(Vec::with_capacity(1024));
        if let Some(output) = output {
            output.take(MAX_TEXT + 1).read_to_end(&mut text).await?;
        }
        let status = child.wait().await?;
        if status.success() {
            Ok(text)
        } else {
            Err(io::Error::other(format!("it ended with {status}")))
        }
    };
    tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
