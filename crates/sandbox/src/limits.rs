//! What one plugin process, with everything it starts, may use.

use serde::{Deserialize, Serialize};

/// Limits of one process tree. `None` (written `"none"`) means no limit; a missing key means the
/// default, an unknown key is an error.
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
    #[serde(with = "or_none")]
    pub memory: Option<u64>,
    /// Processes and threads together. Default 512.
    #[serde(with = "or_none")]
    pub pids: Option<u64>,
    /// Open files of each process. Default 4096.
    #[serde(with = "or_none")]
    pub files: Option<u64>,
    /// Bytes below the writable directories. Watched, never enforced by the kernel: over it, the
    /// plugin is killed at the next look. Default 1 GiB.
    #[serde(with = "or_none")]
    pub disk: Option<u64>,
    /// Bytes of output to keep. Whoever reads standard output and error honours it; this crate
    /// only carries the figure. Default 16 MiB.
    #[serde(with = "or_none")]
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

    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        None,
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        Figure(T),
        Word(Word),
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
        Ok(match Either::<T>::deserialize(deserializer)? {
            Either::Figure(figure) => Some(figure),
            Either::Word(Word::None) => None,
        })
    }
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
}
