//! What one plugin process, with everything it starts, may use.

use plugyard_model::ByteSize;
use serde::{Deserialize, Deserializer, Serialize};

/// Limits of one process tree. `None` (written `"none"`) means no limit; a missing key means the
/// default, an unknown key is an error. Amounts of bytes may be written as `256MiB` or `1GB`.
///
/// Which of them the kernel enforces depends on the host: [`crate::Process::enforcement`] and
/// [`crate::Launcher::host`] say so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Processor time per wall time, in cores (`0.5` is half a core). At least 0.01. Default 2.
    #[serde(with = "or_none")]
    pub cpu: Option<f64>,
    /// Memory of all processes together, in bytes. Default 512 MiB.
    #[serde(
        serialize_with = "or_none::serialize",
        deserialize_with = "or_none::bytes"
    )]
    pub memory: Option<u64>,
    /// Processes and threads together. Default 512.
    #[serde(with = "or_none")]
    pub pids: Option<u64>,
    /// Open files of each process. Default 4096.
    #[serde(with = "or_none")]
    pub files: Option<u64>,
    /// Bytes below the writable directories. Watched, never enforced by the kernel: over it, the
    /// plugin is killed at the next look. Default 1 GiB.
    #[serde(
        serialize_with = "or_none::serialize",
        deserialize_with = "or_none::bytes"
    )]
    pub disk: Option<u64>,
    /// Bytes of output to keep. Whoever reads standard output and error honours it; this crate
    /// only carries the figure. Default 16 MiB.
    #[serde(
        serialize_with = "or_none::serialize",
        deserialize_with = "or_none::bytes"
    )]
    pub log: Option<u64>,
}

impl Limits {
    /// No limit at all.
    pub const NONE: Self = Self {
        cpu: None,
        memory: None,
        pids: None,
        files: None,
        disk: None,
        log: None,
    };
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            cpu: Some(2.0),
            memory: Some(512 * MIB),
            pids: Some(512),
            files: Some(4096),
            disk: Some(1024 * MIB),
            log: Some(16 * MIB),
        }
    }
}

/// Some of the [`Limits`], to be put over others: what is missing stays as it is, `"none"` takes the
/// limit away. Written as `{"memory": "256MiB", "cpu": 0.5}`; an unknown key is an error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PartialLimits {
    /// [`Limits::cpu`].
    #[serde(with = "or_none::said", skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Option<f64>>,
    /// [`Limits::memory`].
    #[serde(with = "or_none::said_bytes", skip_serializing_if = "Option::is_none")]
    pub memory: Option<Option<u64>>,
    /// [`Limits::pids`].
    #[serde(with = "or_none::said", skip_serializing_if = "Option::is_none")]
    pub pids: Option<Option<u64>>,
    /// [`Limits::files`].
    #[serde(with = "or_none::said", skip_serializing_if = "Option::is_none")]
    pub files: Option<Option<u64>>,
    /// [`Limits::disk`].
    #[serde(with = "or_none::said_bytes", skip_serializing_if = "Option::is_none")]
    pub disk: Option<Option<u64>>,
    /// [`Limits::log`].
    #[serde(with = "or_none::said_bytes", skip_serializing_if = "Option::is_none")]
    pub log: Option<Option<u64>>,
}

impl PartialLimits {
    /// The words, in the order of [`Limits`].
    pub const NAMES: [&'static str; 6] = ["cpu", "memory", "pids", "files", "disk", "log"];

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// `base` with what is said here instead.
    pub fn over(&self, base: &Limits) -> Limits {
        Limits {
            cpu: self.cpu.unwrap_or(base.cpu),
            memory: self.memory.unwrap_or(base.memory),
            pids: self.pids.unwrap_or(base.pids),
            files: self.files.unwrap_or(base.files),
            disk: self.disk.unwrap_or(base.disk),
            log: self.log.unwrap_or(base.log),
        }
    }

    /// `base` with what is stricter here instead: nothing gets more by this than `base` gives.
    pub fn within(&self, base: &Limits) -> Limits {
        #[expect(
            clippy::option_option,
            reason = "not said, said to be none, said to be so much"
        )]
        fn stricter<T: PartialOrd + Copy>(said: Option<Option<T>>, base: Option<T>) -> Option<T> {
            match (said.flatten(), base) {
                (Some(said), Some(base)) if said < base => Some(said),
                (Some(said), None) => Some(said),
                (_, base) => base,
            }
        }
        Limits {
            cpu: stricter(self.cpu, base.cpu),
            memory: stricter(self.memory, base.memory),
            pids: stricter(self.pids, base.pids),
            files: stricter(self.files, base.files),
            disk: stricter(self.disk, base.disk),
            log: stricter(self.log, base.log),
        }
    }

    /// What no process could live with, as the name of the limit and what it has to be.
    pub fn unusable(&self) -> Option<(&'static str, &'static str)> {
        const MIB: u64 = 1024 * 1024;
        let below =
            |limit: Option<Option<u64>>, least| limit.flatten().is_some_and(|it| it < least);
        if self
            .cpu
            .flatten()
            .is_some_and(|cores| !(0.01..=4096.0).contains(&cores))
        {
            return Some(("cpu", "cores between 0.01 and 4096"));
        }
        [
            (below(self.memory, 4 * MIB), "memory", "at least 4MiB"),
            (below(self.pids, 1), "pids", "at least 1"),
            (below(self.files, 16), "files", "at least 16"),
            (below(self.disk, 1), "disk", "at least 1 byte"),
            (below(self.log, 4096), "log", "at least 4KiB"),
        ]
        .into_iter()
        .find_map(|(wrong, name, least)| wrong.then_some((name, least)))
    }
}

/// One of the things that [`Limits`] limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Processes and threads.
    Pids,
    /// Open files.
    Files,
    /// Bytes on disk.
    Disk,
    /// Bytes of output kept.
    Log,
}

/// Who keeps one limit of one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforced {
    /// How strictly.
    pub how: How,
    /// By what (`cgroup v1`, `RLIMIT_NOFILE`, `every second`), or why not.
    pub by: String,
}

/// How strictly a limit is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The kernel refuses what goes over it.
    Kernel,
    /// Looked at every second; what goes over it is killed, but may go over it for a moment.
    Sampled,
    /// Nobody keeps it.
    NotEnforced,
    /// There is no limit to keep.
    Unlimited,
}

/// Who keeps which limit of one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforcement {
    /// [`Limits::cpu`].
    pub cpu: Enforced,
    /// [`Limits::memory`].
    pub memory: Enforced,
    /// [`Limits::pids`].
    pub pids: Enforced,
    /// [`Limits::files`].
    pub files: Enforced,
    /// [`Limits::disk`].
    pub disk: Enforced,
    /// [`Limits::log`].
    pub log: Enforced,
}

impl Enforced {
    pub(crate) fn new(how: How, by: impl Into<String>) -> Self {
        Self { how, by: by.into() }
    }

    pub(crate) fn unlimited() -> Self {
        Self::new(How::Unlimited, "no limit set")
    }
}

/// A figure, or the word `none`.
mod or_none {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{ByteSize, bounded};

    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        None,
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        Word(Word),
        Figure(T),
    }

    impl<T> Either<T> {
        fn figure(self) -> Option<T> {
            match self {
                Self::Figure(figure) => Some(figure),
                Self::Word(Word::None) => None,
            }
        }
    }

    #[expect(clippy::ref_option, reason = "the signature that serde asks for")]
    pub(super) fn serialize<T: Serialize, S: Serializer>(
        limit: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match limit {
            Some(figure) => figure.serialize(serializer),
            None => serializer.serialize_str("none"),
        }
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        Ok(Either::<T>::deserialize(deserializer)?.figure())
    }

    pub(super) fn bytes<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<u64>, D::Error> {
        let size =
            bounded::<Either<ByteSize>, D>(deserializer, "a size such as `256MiB`, or `none`")?;
        Ok(size.figure().map(|size| size.0))
    }

    /// A limit that may not be said at all: a number.
    #[expect(
        clippy::ref_option,
        clippy::option_option,
        reason = "the signature that serde asks for; not said, said to be none, said to be so much"
    )]
    pub(super) mod said {
        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        use super::{Either, bounded};

        pub(in super::super) fn serialize<T: Serialize, S: Serializer>(
            limit: &Option<Option<T>>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match limit {
                Some(limit) => super::serialize(limit, serializer),
                None => serializer.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Option<T>>, D::Error> {
            let figure = bounded::<Either<T>, D>(deserializer, "a number, or `none`")?;
            Ok(Some(figure.figure()))
        }
    }

    /// The same of bytes.
    #[expect(
        clippy::option_option,
        reason = "not said, said to be none, said to be so much"
    )]
    pub(super) mod said_bytes {
        use serde::Deserializer;

        pub(in super::super) use super::said::serialize;

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Option<u64>>, D::Error> {
            super::bytes(deserializer).map(Some)
        }
    }
}

/// Reads a value and says what was expected where it is something else, which serde does not do of
/// alternatives.
fn bounded<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
) -> Result<T, D::Error> {
    T::deserialize(deserializer)
        .map_err(|_| serde::de::Error::custom(format!("expected {expected}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_is_the_default_and_none_is_none() {
        let limits: Limits = serde_json::from_str(r#"{"memory":"none","cpu":0.5}"#).unwrap();
        assert_eq!(
            limits,
            Limits {
                memory: None,
                cpu: Some(0.5),
                ..Limits::default()
            }
        );
        let back: Limits = serde_json::from_str(&serde_json::to_string(&limits).unwrap()).unwrap();
        assert_eq!(back, limits);
    }

    #[test]
    fn an_unknown_key_and_an_unknown_word_are_errors() {
        assert!(serde_json::from_str::<Limits>(r#"{"memmory":1}"#).is_err());
        assert!(serde_json::from_str::<Limits>(r#"{"memory":"much"}"#).is_err());
    }

    #[test]
    fn sizes_are_written_as_people_do() {
        let limits: Limits = serde_json::from_str(r#"{"memory":"256MiB","disk":5}"#).unwrap();
        assert_eq!((limits.memory, limits.disk), (Some(256 << 20), Some(5)));
    }

    fn some(text: &str) -> PartialLimits {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_not_said_stays_and_none_is_no_limit() {
        let base = Limits::default();
        let over = some(r#"{"memory":"1GiB","cpu":"none"}"#).over(&base);
        assert_eq!((over.memory, over.cpu), (Some(1 << 30), None));
        assert_eq!(over.pids, base.pids);
        assert!(some("{}").is_empty());
        let back = serde_json::to_string(&some(r#"{"cpu":"none","pids":7}"#)).unwrap();
        assert_eq!(back, r#"{"cpu":"none","pids":7}"#);
    }

    #[test]
    fn a_request_for_more_gets_no_more() {
        let base = Limits::default();
        let within = some(r#"{"memory":"1TiB","cpu":"none","pids":3}"#).within(&base);
        assert_eq!((within.memory, within.cpu), (base.memory, base.cpu));
        assert_eq!(within.pids, Some(3));
    }

    #[test]
    fn what_nothing_can_live_with_is_named() {
        for (text, name) in [
            (r#"{"cpu":0}"#, "cpu"),
            (r#"{"cpu":-1}"#, "cpu"),
            (r#"{"memory":"1k"}"#, "memory"),
            (r#"{"pids":0}"#, "pids"),
            (r#"{"files":3}"#, "files"),
            (r#"{"log":1}"#, "log"),
        ] {
            assert_eq!(some(text).unusable().map(|it| it.0), Some(name), "{text}");
        }
        assert_eq!(some(r#"{"memory":"64MiB","cpu":0.5}"#).unusable(), None);
        for text in [r#"{"memory":"much"}"#, r#"{"ram":1}"#, r#"{"pids":1.5}"#] {
            assert!(
                serde_json::from_str::<PartialLimits>(text).is_err(),
                "{text}"
            );
        }
    }
}
