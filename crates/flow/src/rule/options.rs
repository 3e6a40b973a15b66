//! Options of a rule: what we do, and what we refuse by name.

mod schedule;
mod sink;

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use plugyard_model::parse_duration;
use serde_json::Value as Json;

use super::is_neutral;
use crate::suggest::suggest;
pub(crate) use schedule::Due;
pub use schedule::Schedule;
pub(crate) use sink::{CacheOptions, Compression, Format, Priority, SinkOptions};

/// Messages a queue holds when nothing else is said.
const BUFFER_LENGTH: usize = 1024;
/// Most messages that may wait for functions of plugins at once.
const MAX_CONCURRENCY: usize = 1024;
/// Most messages a queue may be told to hold.
const MAX_BUFFER_LENGTH: usize = 1024 * 1024;
/// Longest name of a log file.
const MAX_LOG_NAME: usize = 128;

/// How a rule runs.
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each option of the format"
)]
#[derive(Debug, Clone, PartialEq)]
pub struct RuleOptions {
    /// `bufferLength`: how many messages wait before a node; 1 to 1 048 576.
    pub buffer_length: usize,
    /// `disableBufferFullDiscard`: wait for room before a sink instead of dropping the oldest message.
    pub block_when_full: bool,
    /// `sendMetaToSink`: add what the source says about a message as `__meta`.
    pub send_meta: bool,
    /// `sendNilField`: keep columns that are NULL.
    pub send_nil: bool,
    /// `sendError`: send `{"error": …}` to the sinks for a message that failed.
    pub send_error: bool,
    /// `isEventTime`: rows are in the order of their own times, and windows end by them.
    pub event_time: bool,
    /// `lateTolerance`: how much later than others a row may come, by event time; 1 s unless said.
    pub late_tolerance: Duration,
    /// `qos`: what a crash costs: 0 everything that windows hold, 1 and 2 what came since the last checkpoint;
    /// with 2 no result is sent twice.
    pub qos: u8,
    /// `checkpointInterval`: how often what windows hold is saved, with `qos` above 0; 300 s unless said.
    pub checkpoint_interval: Duration,
    /// `enableSaveStateBeforeStop`: save it when the rule stops, too.
    pub save_at_stop: bool,
    /// `concurrency`: how many messages may wait for functions of plugins at once; 1 to 1024.
    pub concurrency: usize,
    /// `ordered`, which eKuiper does not have: with `concurrency`, messages leave in the order in which
    /// they came, however long their calls took. Without it, as soon as they are done.
    pub ordered: bool,
    /// `restartStrategy`: what becomes of a rule that is stopped by an error.
    pub restart: RestartStrategy,
    /// `cron`, `duration` and `cronDatetimeRange`: when the rule runs; none: always.
    pub schedule: Option<Schedule>,
    /// `debug` and `logFilename`: a log of the rule's own; none: only the server's.
    pub log: Option<RuleLogOptions>,
}

/// Starting a rule again that an error has stopped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestartStrategy {
    /// How often in a row; 0: never.
    pub attempts: u32,
    /// How long after the first failure.
    pub delay: Duration,
    /// By how much longer after each further one; above 0.
    pub multiplier: f64,
    /// The longest delay. A rule that has run so long counts its attempts anew.
    pub max_delay: Duration,
    /// Which part of the delay is added or taken away by chance; 0 up to but not including 1.
    pub jitter_factor: f64,
}

impl Default for RestartStrategy {
    fn default() -> Self {
        Self {
            attempts: 0,
            delay: Duration::from_secs(1),
            multiplier: 2.0,
            max_delay: Duration::from_secs(30),
            jitter_factor: 0.1,
        }
    }
}

impl RestartStrategy {
    /// How long after the failure that many attempts before the next one is made, in milliseconds.
    pub(crate) fn delay_after(&self, attempts: u32) -> i64 {
        let longest = self.max_delay.as_secs_f64();
        let exponent = i32::try_from(attempts).unwrap_or(i32::MAX);
        let delay = (self.delay.as_secs_f64() * self.multiplier.powi(exponent)).min(longest);
        // A hasher's keys are by chance, which is all that is needed to keep rules apart.
        let chance = RandomState::new().hash_one(attempts) % 2001;
        #[expect(clippy::cast_precision_loss, reason = "0 to 2000")]
        let part = chance as f64 / 1000.0 - 1.0;
        #[expect(clippy::cast_possible_truncation, reason = "at most a hundred years")]
        let millis = (delay * (1.0 + part * self.jitter_factor) * 1000.0) as i64;
        millis.max(0)
    }
}

/// A log of a rule's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleLogOptions {
    /// The file's name without its ending; empty: the rule's id.
    pub name: String,
    /// Also the rows that the rule gives.
    pub debug: bool,
}

impl Default for RuleOptions {
    fn default() -> Self {
        Self {
            buffer_length: BUFFER_LENGTH,
            block_when_full: false,
            send_meta: false,
            send_nil: false,
            send_error: false,
            event_time: false,
            late_tolerance: Duration::from_secs(1),
            qos: 0,
            checkpoint_interval: Duration::from_mins(5),
            save_at_stop: false,
            concurrency: 1,
            ordered: true,
            restart: RestartStrategy::default(),
            schedule: None,
            log: None,
        }
    }
}

/// What eKuiper knows and we do not do: accepted only where it says nothing.
const NEUTRAL: &[&str] = &["notifySub", "sendNil"];

/// Hints that change no result, or say how to end what is never there: checked for their shape alone.
const HINTS: &[(&str, Shape)] = &[
    ("planOptimizeStrategy", Shape::Object),
    ("experiment", Shape::Object),
    ("forceExitTimeout", Shape::Duration),
    ("disableWarning", Shape::Flag),
];

#[derive(Clone, Copy)]
enum Shape {
    Object,
    Flag,
    Duration,
}

const KNOWN: &[&str] = &[
    "bufferLength",
    "disableBufferFullDiscard",
    "sendMetaToSink",
    "sendNilField",
    "sendError",
    "isEventTime",
    "lateTolerance",
    "qos",
    "checkpointInterval",
    "enableSaveStateBeforeStop",
    "concurrency",
    "ordered",
    "restartStrategy",
    "cron",
    "duration",
    "cronDatetimeRange",
    "debug",
    "logFilename",
];

impl RuleOptions {
    /// Reads `options`.
    pub(super) fn parse(json: Option<&Json>) -> Result<Self, String> {
        let mut options = Self::default();
        let given = match json {
            None | Some(Json::Null) => return Ok(options),
            Some(Json::Object(given)) => given,
            Some(_) => return Err("`options` must be an object".to_owned()),
        };
        let mut schedule = schedule::Given::default();
        let (mut debug, mut log_name) = (false, String::new());
        for (name, value) in given {
            if value.is_null() {
                continue;
            }
            match name.as_str() {
                "bufferLength" => options.buffer_length = buffer_length(name, value)?,
                "disableBufferFullDiscard" => options.block_when_full = flag(name, value)?,
                "sendMetaToSink" => options.send_meta = flag(name, value)?,
                "sendNilField" => options.send_nil = flag(name, value)?,
                "sendError" => options.send_error = flag(name, value)?,
                "isEventTime" => options.event_time = flag(name, value)?,
                "lateTolerance" => options.late_tolerance = duration(name, value)?,
                "qos" => options.qos = qos(value)?,
                "checkpointInterval" => {
                    let interval = duration(name, value)?;
                    // eKuiper's interfaces send 0 for what is not set.
                    if !interval.is_zero() {
                        options.checkpoint_interval = interval;
                    }
                }
                "enableSaveStateBeforeStop" => options.save_at_stop = flag(name, value)?,
                "concurrency" => options.concurrency = concurrency(name, value)?,
                "ordered" => options.ordered = flag(name, value)?,
                "restartStrategy" => options.restart = restart_strategy(value)?,
                "cron" => schedule.cron = text(name, value)?,
                "duration" => schedule.duration = duration(name, value)?,
                "cronDatetimeRange" => schedule.ranges = schedule::ranges(value)?,
                "debug" => debug = flag(name, value)?,
                "logFilename" => log_name = log_file(name, value)?,
                other if NEUTRAL.contains(&other) => {
                    not_negative(name, value)?;
                    if !is_neutral(value) {
                        return Err(format!("{name} is not supported"));
                    }
                }
                other => match HINTS.iter().find(|(hint, _)| *hint == other) {
                    Some((_, shape)) => shape.check(name, value)?,
                    None => {
                        let hints = HINTS.iter().map(|(hint, _)| *hint);
                        let known = KNOWN.iter().chain(NEUTRAL).copied().chain(hints);
                        return Err(format!("unknown option {other}{}", suggest(other, known)));
                    }
                },
            }
        }
        options.schedule = schedule.read()?;
        options.log = (debug || !log_name.is_empty()).then_some(RuleLogOptions {
            name: log_name,
            debug,
        });
        Ok(options)
    }
}

impl Shape {
    fn check(self, name: &str, value: &Json) -> Result<(), String> {
        match self {
            Self::Object if value.is_object() => Ok(()),
            Self::Object => Err(format!("{name} must be an object")),
            Self::Flag => flag(name, value).map(drop),
            Self::Duration => duration(name, value).map(drop),
        }
    }
}

/// Part of the name of a file in one directory.
fn log_file(name: &str, value: &Json) -> Result<String, String> {
    let file = text(name, value)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let stem = file.strip_suffix(".log").unwrap_or(&file);
    if stem.len() > MAX_LOG_NAME || !stem.bytes().all(plain) || stem.starts_with('.') {
        return Err(format!(
            "{name} must be the name of a file of letters, digits, `_`, `-` and `.`, without a directory"
        ));
    }
    Ok(stem.to_owned())
}

fn flag(name: &str, value: &Json) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| format!("{name} must be true or false"))
}

fn text(name: &str, value: &Json) -> Result<String, String> {
    let text = value.as_str();
    text.map(str::to_owned)
        .ok_or_else(|| format!("{name} must be a text"))
}

fn buffer_length(name: &str, value: &Json) -> Result<usize, String> {
    // eKuiper reads 0 as "not set".
    count(name, value, MAX_BUFFER_LENGTH).map(|length| length.unwrap_or(BUFFER_LENGTH))
}

fn qos(value: &Json) -> Result<u8, String> {
    match value.as_u64() {
        Some(qos @ 0..=2) => Ok(u8::try_from(qos).unwrap_or_default()),
        _ => Err("qos must be 0 (at most once), 1 (at least once) or 2 (exactly once)".to_owned()),
    }
}

fn concurrency(name: &str, value: &Json) -> Result<usize, String> {
    count(name, value, MAX_CONCURRENCY).map(|count| count.unwrap_or(1))
}

/// A number up to `most`; none for 0.
fn count(name: &str, value: &Json, most: usize) -> Result<Option<usize>, String> {
    not_negative(name, value)?;
    match value.as_u64().and_then(|count| usize::try_from(count).ok()) {
        Some(0) => Ok(None),
        Some(count) if count <= most => Ok(Some(count)),
        _ => Err(format!("{name} must be a number from 1 to {most}")),
    }
}

/// Milliseconds or a duration in Go's form; an empty text is none at all.
fn duration(name: &str, value: &Json) -> Result<Duration, String> {
    not_negative(name, value)?;
    let duration = match value {
        Json::Number(number) => number
            .as_u64()
            .and_then(|millis| parse_duration(&millis.to_string()).ok()),
        Json::String(text) if text.is_empty() => Some(Duration::ZERO),
        Json::String(text) => parse_duration(text).ok(),
        _ => None,
    };
    duration.ok_or_else(|| format!("{name} must be milliseconds or a duration such as `1m30s`"))
}

/// Says no in eKuiper's words, where it has some.
fn not_negative(name: &str, value: &Json) -> Result<(), String> {
    let negative = match value {
        Json::Number(number) => number.as_f64().is_some_and(|number| number < 0.0),
        Json::String(text) => text.starts_with('-'),
        _ => false,
    };
    if !negative {
        return Ok(());
    }
    Err(match name {
        "bufferLength" => "invalidBufferLength:bufferLength must be greater than 0".to_owned(),
        "concurrency" => "invalidConcurrency:concurrency must be greater than 0".to_owned(),
        "lateTolerance" => "invalidLateTol:lateTol must be greater than 0".to_owned(),
        "checkpointInterval" => {
            "invalidCheckpointInterval:checkpointInterval must be greater than 0".to_owned()
        }
        _ => format!("{name} must not be negative, got {value}"),
    })
}

fn restart_strategy(value: &Json) -> Result<RestartStrategy, String> {
    let Some(given) = value.as_object() else {
        return Err("restartStrategy must be an object".to_owned());
    };
    let mut strategy = RestartStrategy::default();
    let invalid = |part: &str, text: &str| Err(format!("invalidRestart{part}:restart {text}"));
    for (name, value) in given {
        if value.is_null() {
            continue;
        }
        let full = format!("restartStrategy.{name}");
        let negative = not_negative(&full, value).is_err();
        let zero = is_neutral(value);
        match name.as_str() {
            "attempts" if negative => {
                return invalid("Attempts", "attempts must be greater than 0");
            }
            "attempts" => {
                strategy.attempts = value
                    .as_u64()
                    .and_then(|attempts| u32::try_from(attempts).ok())
                    .ok_or_else(|| format!("{full} must be a number"))?;
            }
            "delay" if negative || zero => return invalid("Delay", "delay must be greater than 0"),
            "delay" => strategy.delay = duration(&full, value)?,
            "maxDelay" if negative || zero => {
                return invalid("MaxDelay", "maxDelay must be greater than 0");
            }
            "maxDelay" => strategy.max_delay = duration(&full, value)?,
            "multiplier" => match value.as_f64() {
                Some(multiplier) if multiplier > 0.0 && multiplier <= 1e6 => {
                    strategy.multiplier = multiplier;
                }
                _ => return invalid("Multiplier", "multiplier must be greater than 0"),
            },
            "jitterFactor" => match value.as_f64() {
                Some(factor) if (0.0..1.0).contains(&factor) => strategy.jitter_factor = factor,
                _ => return invalid("JitterFactor", "jitterFactor must between [0, 1)"),
            },
            _ => {
                const PARTS: [&str; 5] = [
                    "attempts",
                    "delay",
                    "multiplier",
                    "maxDelay",
                    "jitterFactor",
                ];
                return Err(format!("unknown option {full}{}", suggest(name, PARTS)));
            }
        }
    }
    Ok(strategy)
}
