//! Loading a package: on where it broke off, within an attempt and in the next one.
//!
//! What was loaded of a package stays in `downloads/` until the package is whole, also when the server is started
//! anew. It is named after the market, the plugin, the version and the hash that the catalogue says, so it is only ever continued with
//! the same package; where nothing says the hash, only with what the server vouches for to be the same
//! (`If-Range`). Whole packages are compared with the catalogue however they came together.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures::StreamExt as _;
use plugyard_market::{Refusal, Sha256};
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderValue, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use tokio::io::AsyncWriteExt as _;

use super::codes;
use super::transport::{Way, innermost, shown};

/// How often a download that broke off goes on within one attempt.
const RESUMPTIONS: usize = 5;
/// How long somebody may come back to a part.
const LIFE: Duration = Duration::from_hours(24);
/// Parts that are kept at once.
const KEPT: usize = 16;

/// What is to be loaded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) address: &'a str,
    /// Goes to the market's own host only.
    pub(super) code: Option<&'a str>,
    /// The bytes it has, where the catalogue says so.
    pub(super) size: Option<u64>,
    /// The bytes it may have.
    pub(super) limit: u64,
    /// How long all of it may take.
    pub(super) patience: Duration,
}

/// How a download ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Downloaded {
    Whole,
    /// It takes a code that was not sent or is not good.
    Forbidden,
    /// It is larger than it may be.
    TooLarge,
}

/// The parts that are being loaded.
#[derive(Debug, Default, Clone)]
pub(crate) struct Parts(Arc<Mutex<BTreeSet<String>>>);

/// A file that a package is loaded into, for this download alone.
#[derive(Debug)]
pub(super) struct Part {
    parts: Parts,
    name: String,
    file: PathBuf,
    /// Whether somebody may come back to it.
    kept: bool,
    /// Whether it had bytes of an earlier attempt.
    pub(super) continued: bool,
}

impl Parts {
    /// The file for a package; `hash` where the catalogue says one. Parts that nobody came back to, or that
    /// are more than `bytes` together, go.
    pub(super) fn open(
        &self,
        directory: &Path,
        (market, fskey, version): (&str, &str, &str),
        hash: Option<&Sha256>,
        bytes: u64,
    ) -> std::io::Result<Part> {
        fs::create_dir_all(directory)?;
        let hash = hash.map(ToString::to_string).unwrap_or_default();
        let whole = [market, fskey, version, &hash].join("\n");
        let mut name = format!("{fskey}.{}", Sha256::of(whole.as_bytes()));
        let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = !busy.contains(&name);
        if !kept {
            // Two at once do not meet in one file.
            name = format!("{name}.{}", uuid::Uuid::now_v7());
        }
        sweep(directory, Some((fskey, &name)), &busy, bytes);
        busy.insert(name.clone());
        let file = directory.join(&name);
        let continued = fs::metadata(&file).is_ok_and(|it| it.len() > 0);
        Ok(Part {
            parts: self.clone(),
            name,
            file,
            kept,
            continued,
        })
    }

    /// What earlier runs of the server left: old parts go, those that are too many or more than `bytes`
    /// together, and those to which nobody finds back.
    pub(super) fn tidy(&self, directory: &Path, bytes: u64) {
        let busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sweep(directory, None, &busy, bytes);
    }
}

impl Part {
    pub(super) fn path(&self) -> &Path {
        &self.file
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        let _ = fs::remove_file(&self.file);
        let _ = fs::remove_file(self.tag_file());
        self.continued = false;
    }

    /// Nobody comes back to it.
    pub(super) fn finish(&mut self) {
        self.kept = false;
    }

    fn tag_file(&self) -> PathBuf {
        tag_of(&self.file)
    }

    /// What the server called the bytes that are here.
    fn tag(&self) -> Option<HeaderValue> {
        let text = fs::read(self.tag_file()).ok()?;
        HeaderValue::from_bytes(&text).ok()
    }

    fn set_tag(&self, tag: Option<&HeaderValue>) {
        let strong = tag.filter(|it| it.as_bytes().starts_with(b"\"") && it.len() <= 200);
        // Without it, what is here is loaded anew the next time.
        let _ = match strong {
            Some(tag) => fs::write(self.tag_file(), tag.as_bytes()),
            None => fs::remove_file(self.tag_file()),
        };
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept {
            self.clear();
        }
        let mut busy = self.parts.0.lock().unwrap_or_else(PoisonError::into_inner);
        busy.remove(&self.name);
    }
}

/// The file with what the server calls a part's bytes.
fn tag_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".tag");
    name.into()
}

/// Removes parts: of other packages of the plugin that one is `opened` of, old ones, those that are too many or too
/// much, and those that were one attempt's own. That one cannot be removed is no harm.
fn sweep(directory: &Path, opened: Option<(&str, &str)>, busy: &BTreeSet<String>, bytes: u64) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    let mut found: Vec<(SystemTime, u64, String)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let about = entry.metadata().ok()?;
            let file = entry.file_name().into_string().ok()?;
            Some((about.modified().ok()?, about.len(), file))
        })
        .filter(|(.., file)| {
            let of_busy = |it: &String| file.starts_with(it.as_str());
            let is_tag = Path::new(file).extension().is_some_and(|it| it == "tag");
            !is_tag && opened.is_none_or(|(_, name)| file != name) && !busy.iter().any(of_busy)
        })
        .collect();
    // The youngest first.
    found.sort_by_key(|part| Reverse(part.0));
    let (mut count, mut total) = (0, 0_u64);
    for (modified, size, file) in found {
        let old = modified.elapsed().is_ok_and(|it| it > LIFE);
        let other = opened.is_some_and(|(fskey, _)| file.split('.').next() == Some(fskey));
        let alone = file.split('.').count() != 2;
        count += 1;
        total = total.saturating_add(size);
        if old || other || alone || count > KEPT || total > bytes {
            let path = directory.join(file);
            let _ = fs::remove_file(tag_of(&path));
            let _ = fs::remove_file(path);
        }
    }
}

/// What a server answers to a question for bytes from one on.
enum Answered {
    Forbidden,
    /// The bytes from there on, and how many the whole has.
    Rest(Response, Option<u64>),
    /// The whole, whatever was asked.
    Whole(Response),
    /// What is here is not the beginning of what is there.
    Other,
}

impl Way {
    /// Loads a package into a part: at most `limit` bytes, and no longer than `patience`.
    pub(super) async fn download(
        &self,
        wanted: Wanted<'_>,
        part: &mut Part,
    ) -> Result<Downloaded, Refusal> {
        tokio::time::timeout(wanted.patience, self.load_all(wanted, part))
            .await
            .unwrap_or_else(|_| Err(broken(wanted.address, "the download took too long")))
    }

    async fn load_all(&self, wanted: Wanted<'_>, part: &mut Part) -> Result<Downloaded, Refusal> {
        let local =
            |error: std::io::Error| broken(wanted.address, format!("it cannot be stored: {error}"));
        let mut size = tokio::fs::metadata(part.path())
            .await
            .map_or(0, |about| about.len());
        // Without a hash to compare with, or a word of the server, nobody knows what the bytes are of.
        let unknown = wanted.size.is_none() && part.tag().is_none();
        if size > wanted.limit || size > 0 && unknown {
            part.clear();
            size = 0;
        }
        if size > 0 && wanted.size == Some(size) {
            return Ok(Downloaded::Whole);
        }
        let mut total = wanted.size;
        let mut left = RESUMPTIONS;
        loop {
            let reason = match self.ask(wanted, part, size, total).await {
                Ok(Answered::Forbidden) => return Ok(Downloaded::Forbidden),
                Ok(Answered::Other) => {
                    part.clear();
                    (size, total) = (0, wanted.size);
                    "it has become another package".to_owned()
                }
                Ok(Answered::Rest(answer, of)) => {
                    total = total.or(of);
                    match self.append(answer, wanted, part, &mut size).await? {
                        Ok(ended) => return Ok(ended),
                        Err(reason) => reason,
                    }
                }
                Ok(Answered::Whole(answer)) => {
                    part.clear();
                    part.set_tag(answer.headers().get(ETAG));
                    tokio::fs::File::create(part.path()).await.map_err(local)?;
                    size = 0;
                    let length = answer.content_length();
                    if length.is_some_and(|it| it > wanted.limit) {
                        return Ok(Downloaded::TooLarge);
                    }
                    total = total.or(length);
                    match self.append(answer, wanted, part, &mut size).await? {
                        Ok(ended) => return Ok(ended),
                        Err(reason) => reason,
                    }
                }
                Err(refusal) if size == 0 => return Err(refusal),
                Err(refusal) => refusal.to_string(),
            };
            if left == 0 {
                return Err(broken(wanted.address, reason));
            }
            left -= 1;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Appends a body; in the inner result why it broke off.
    async fn append(
        &self,
        answer: Response,
        wanted: Wanted<'_>,
        part: &Part,
        size: &mut u64,
    ) -> Result<Result<Downloaded, String>, Refusal> {
        let local =
            |error: std::io::Error| broken(wanted.address, format!("it cannot be stored: {error}"));
        let mut file = tokio::fs::OpenOptions::new()
            .append(true)
            .open(part.path())
            .await
            .map_err(local)?;
        let mut body = answer.bytes_stream();
        let mut ended = Ok(Downloaded::Whole);
        while let Some(chunk) = body.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    ended = Err(innermost(&error));
                    break;
                }
            };
            if *size + chunk.len() as u64 > wanted.limit {
                ended = Ok(Downloaded::TooLarge);
                break;
            }
            file.write_all(&chunk).await.map_err(local)?;
            *size += chunk.len() as u64;
        }
        file.flush().await.map_err(local)?;
        file.sync_all().await.map_err(local)?;
        Ok(ended)
    }

    async fn ask(
        &self,
        wanted: Wanted<'_>,
        part: &Part,
        from: u64,
        total: Option<u64>,
    ) -> Result<Answered, Refusal> {
        let mut way = self.clone();
        if let Some(mut value) = wanted.code.and_then(|it| HeaderValue::from_str(it).ok()) {
            value.set_sensitive(true);
            way.headers.insert(codes::HEADER, value);
        }
        let tag = part.tag();
        let answer = way
            .get(wanted.address, &move |request| {
                if from == 0 {
                    return request;
                }
                let request = request.header(RANGE, format!("bytes={from}-"));
                match &tag {
                    Some(tag) => request.header(IF_RANGE, tag),
                    None => request,
                }
            })
            .await?;
        let status = answer.status();
        if status == StatusCode::FORBIDDEN {
            return Ok(Answered::Forbidden);
        }
        if status == StatusCode::RANGE_NOT_SATISFIABLE && from > 0 {
            return Ok(Answered::Other);
        }
        if !status.is_success() {
            return Err(broken(wanted.address, format!("the answer is {status}")));
        }
        if status != StatusCode::PARTIAL_CONTENT {
            return Ok(Answered::Whole(answer));
        }
        if from == 0 {
            return Err(broken(wanted.address, "it answers with a part"));
        }
        let Some((begin, of)) = range(&answer) else {
            return Ok(Answered::Other);
        };
        let same = of.is_none() || total.is_none() || of == total;
        Ok(if begin == from && same {
            Answered::Rest(answer, of)
        } else {
            Answered::Other
        })
    }
}

/// Where the bytes of an answer begin, and how many the whole has.
fn range(answer: &Response) -> Option<(u64, Option<u64>)> {
    let text = answer.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (begin, rest) = text.strip_prefix("bytes ")?.split_once('-')?;
    let (_, total) = rest.split_once('/')?;
    let total = if total == "*" {
        None
    } else {
        Some(total.parse().ok()?)
    };
    Some((begin.parse().ok()?, total))
}

fn broken(address: &str, reason: impl Into<String>) -> Refusal {
    Refusal::Unreachable {
        path: shown(address),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: (&str, &str, &str) = ("own", "Mall", "1.1.0");

    fn names(directory: &Path) -> usize {
        fs::read_dir(directory).map_or(0, Iterator::count)
    }

    #[test]
    fn a_part_is_found_again_by_the_same_package_alone() {
        let home = tempfile::tempdir().unwrap();
        let parts = Parts::default();
        let hash = Sha256::of(b"it");
        let open = |package, hash| parts.open(home.path(), package, hash, 1000).unwrap();
        let part = open(PACKAGE, Some(&hash));
        assert!(!part.continued);
        fs::write(part.path(), b"half").unwrap();
        let path = part.path().to_owned();
        drop(part);
        let again = open(PACKAGE, Some(&hash));
        assert!(again.continued && again.path() == path);
        // While it is loaded, another attempt has a file of its own.
        let beside = open(PACKAGE, Some(&hash));
        assert!(!beside.continued && beside.path() != path);
        drop(beside);
        assert!(path.exists() && names(home.path()) == 1);
        drop(again);
        // Another version, other bytes under the version, another market.
        for (package, hash) in [
            (("own", "Mall", "1.2.0"), Some(&hash)),
            (PACKAGE, Some(&Sha256::of(b"other"))),
            (PACKAGE, None),
            (("other", "Mall", "1.1.0"), Some(&hash)),
        ] {
            fs::write(&path, b"half").unwrap();
            assert!(!open(package, hash).continued, "{package:?}");
            assert!(!path.exists(), "what nobody comes back to goes");
        }
    }

    #[test]
    fn parts_are_bounded_and_end() {
        let home = tempfile::tempdir().unwrap();
        let parts = Parts::default();
        for number in 0..40 {
            let fskey = format!("P{number}");
            let part = parts
                .open(home.path(), ("own", &fskey, "1.0.0"), None, 1000)
                .unwrap();
            fs::write(part.path(), [0; 10]).unwrap();
        }
        assert!(names(home.path()) <= KEPT + 1);
        let mut part = parts
            .open(home.path(), ("own", "Last", "1.0.0"), None, 25)
            .unwrap();
        assert!(names(home.path()) <= 2, "no more than 25 bytes");
        fs::write(part.path(), [0; 10]).unwrap();
        part.finish();
        let path = part.path().to_owned();
        drop(part);
        assert!(!path.exists());
    }

    #[test]
    fn only_a_strong_word_of_the_server_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let part = Parts::default()
            .open(home.path(), PACKAGE, None, 1000)
            .unwrap();
        let strong = HeaderValue::from_static("\"v1\"");
        part.set_tag(Some(&strong));
        assert_eq!(part.tag(), Some(strong));
        part.set_tag(Some(&HeaderValue::from_static("W/\"v1\"")));
        assert_eq!(part.tag(), None);
        part.set_tag(None);
        assert_eq!(part.tag(), None);
    }

    #[test]
    fn a_new_start_keeps_what_can_be_gone_on_with() {
        let home = tempfile::tempdir().unwrap();
        let part = Parts::default()
            .open(home.path(), PACKAGE, None, 1000)
            .unwrap();
        fs::write(part.path(), [0; 10]).unwrap();
        part.set_tag(Some(&HeaderValue::from_static("\"v1\"")));
        let path = part.path().to_owned();
        drop(part);
        // An attempt beside another one had a file of its own, which a crash left.
        let beside = path.with_file_name(format!(
            "{}.{}",
            path.file_name().unwrap().to_str().unwrap(),
            uuid::Uuid::now_v7()
        ));
        fs::write(&beside, [0; 10]).unwrap();
        let parts = Parts::default();
        parts.tidy(home.path(), 1000);
        assert!(path.exists() && tag_of(&path).exists() && !beside.exists());
        let again = parts.open(home.path(), PACKAGE, None, 1000).unwrap();
        assert!(again.continued && again.tag().is_some());
        drop(again);
        let old = SystemTime::now() - LIFE - Duration::from_mins(1);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(old).unwrap();
        parts.tidy(home.path(), 1000);
        assert_eq!(names(home.path()), 0, "nor its tag");
    }
}
