//! Options of a rule and the common properties of a sink: what we do, and what we refuse by name.

use plugyard_model::parse_duration;
use serde_json::{Map, Value as Json};

use super::is_neutral;
use crate::suggest::suggest;

/// Messages a queue holds when nothing else is said.
const BUFFER_LENGTH: usize = 1024;
/// Most messages that may wait for functions of plugins at once.
const MAX_CONCURRENCY: usize = 1024;
/// Most messages a queue may be told to hold.
const MAX_BUFFER_LENGTH: usize = 1024 * 1024;

/// How a rule runs.
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each option of the format"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// `concurrency`: how many messages may wait for functions of plugins at once; 1 to 1024.
    pub concurrency: usize,
    /// `ordered`, which eKuiper does not have: with `concurrency`, messages leave in the order in which
    /// they came, however long their calls took. Without it, as soon as they are done.
    pub ordered: bool,
}

impl Default for RuleOptions {
    fn default() -> Self {
        Self {
            buffer_length: BUFFER_LENGTH,
            block_when_full: false,
            send_meta: false,
            send_nil: false,
            send_error: false,
            concurrency: 1,
            ordered: true,
        }
    }
}

/// What eKuiper knows and we do not do: accepted only where it says nothing.
const NEUTRAL: &[&str] = &[
    "debug",
    "logFilename",
    "isEventTime",
    "qos",
    "cron",
    "duration",
    "cronDatetimeRange",
    "planOptimizeStrategy",
    "experiment",
    "notifySub",
    "enableSaveStateBeforeStop",
    "forceExitTimeout",
    "sendNil",
    "disableWarning",
];

/// What means nothing without the options above: checked and left alone.
const DURATIONS: &[&str] = &["lateTolerance", "checkpointInterval"];

const KNOWN: &[&str] = &[
    "bufferLength",
    "disableBufferFullDiscard",
    "sendMetaToSink",
    "sendNilField",
    "sendError",
    "concurrency",
    "ordered",
    "restartStrategy",
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
                "concurrency" => options.concurrency = concurrency(name, value)?,
                "ordered" => options.ordered = flag(name, value)?,
                "restartStrategy" => restart_strategy(value)?,
                other if DURATIONS.contains(&other) => duration(name, value)?,
                other if NEUTRAL.contains(&other) => {
                    not_negative(name, value)?;
                    if !is_neutral(value) {
                        return Err(format!("{name} is not supported"));
                    }
                }
                other => {
                    let known = KNOWN.iter().chain(NEUTRAL).chain(DURATIONS).copied();
                    return Err(format!("unknown option {other}{}", suggest(other, known)));
                }
            }
        }
        Ok(options)
    }
}

/// The properties of a sink that the rule itself acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SinkOptions {
    /// One object per message instead of a list of one.
    pub(crate) send_single: bool,
    /// Send nothing for a row without columns.
    pub(crate) omit_if_empty: bool,
    /// Which columns go out; none: all.
    pub(crate) fields: Vec<String>,
    /// Which columns stay.
    pub(crate) exclude_fields: Vec<String>,
    /// How many messages wait before the sink.
    pub(crate) buffer_length: usize,
}

/// Common properties we do not act on.
const SINK_NEUTRAL: &[&str] = &[
    "dataTemplate",
    "dataField",
    "batchSize",
    "lingerInterval",
    "compression",
    "encryption",
    "enableCache",
    "resendAlterQueue",
    "cleanCacheAtStop",
];

impl SinkOptions {
    /// Reads them out of an action's properties; what is none of ours is the sink's own business.
    pub(crate) fn parse(
        properties: &Map<String, Json>,
        rule: &RuleOptions,
    ) -> Result<Self, String> {
        let mut options = Self {
            send_single: false,
            omit_if_empty: false,
            fields: Vec::new(),
            exclude_fields: Vec::new(),
            buffer_length: rule.buffer_length,
        };
        for (name, value) in properties {
            if value.is_null() {
                continue;
            }
            match name.as_str() {
                "sendSingle" => options.send_single = flag(name, value)?,
                "omitIfEmpty" => options.omit_if_empty = flag(name, value)?,
                "fields" => options.fields = names(name, value)?,
                "excludeFields" => options.exclude_fields = names(name, value)?,
                "bufferLength" => options.buffer_length = buffer_length(name, value)?,
                "concurrency" => one_worker(name, value)?,
                "format" => match value.as_str() {
                    Some(format) if format.eq_ignore_ascii_case("json") || format.is_empty() => {}
                    _ => return Err(format!("format {value} is not supported; json is")),
                },
                other if SINK_NEUTRAL.contains(&other) && !is_neutral(value) => {
                    return Err(format!("property {name} is not supported"));
                }
                _ => {}
            }
        }
        if !options.fields.is_empty() && !options.exclude_fields.is_empty() {
            return Err("fields and excludeFields cannot be used together".to_owned());
        }
        Ok(options)
    }
}

fn flag(name: &str, value: &Json) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| format!("{name} must be true or false"))
}

fn names(name: &str, value: &Json) -> Result<Vec<String>, String> {
    let wrong = || format!("{name} must be a list of names");
    value
        .as_array()
        .ok_or_else(wrong)?
        .iter()
        .map(|name| name.as_str().map(str::to_owned).ok_or_else(wrong))
        .collect()
}

fn buffer_length(name: &str, value: &Json) -> Result<usize, String> {
    not_negative(name, value)?;
    match value
        .as_u64()
        .and_then(|length| usize::try_from(length).ok())
    {
        // eKuiper reads 0 as "not set".
        Some(0) => Ok(BUFFER_LENGTH),
        Some(length) if length <= MAX_BUFFER_LENGTH => Ok(length),
        _ => Err(format!(
            "{name} must be a number from 1 to {MAX_BUFFER_LENGTH}"
        )),
    }
}

fn concurrency(name: &str, value: &Json) -> Result<usize, String> {
    not_negative(name, value)?;
    let given = value.as_u64().and_then(|given| usize::try_from(given).ok());
    match given {
        // eKuiper reads 0 as "not set".
        Some(0) => Ok(1),
        Some(given) if given <= MAX_CONCURRENCY => Ok(given),
        _ => Err(format!(
            "{name} must be a number from 1 to {MAX_CONCURRENCY}"
        )),
    }
}

fn one_worker(name: &str, value: &Json) -> Result<(), String> {
    not_negative(name, value)?;
    match value.as_u64() {
        Some(0 | 1) => Ok(()),
        Some(_) => Err(format!("{name} greater than 1 is not supported")),
        None => Err(format!("{name} must be a number")),
    }
}

fn duration(name: &str, value: &Json) -> Result<(), String> {
    not_negative(name, value)?;
    let valid = match value {
        Json::Number(number) => number.as_u64().is_some(),
        Json::String(text) => text.is_empty() || parse_duration(text).is_ok(),
        _ => false,
    };
    if valid {
        Ok(())
    } else {
        Err(format!(
            "{name} must be milliseconds or a duration such as `1m30s`"
        ))
    }
}

fn not_negative(name: &str, value: &Json) -> Result<(), String> {
    let negative = match value {
        Json::Number(number) => number.as_f64().is_some_and(|number| number < 0.0),
        Json::String(text) => text.starts_with('-'),
        _ => false,
    };
    if negative {
        Err(format!("{name} must not be negative, got {value}"))
    } else {
        Ok(())
    }
}

fn restart_strategy(value: &Json) -> Result<(), String> {
    let Some(strategy) = value.as_object() else {
        return Err("restartStrategy must be an object".to_owned());
    };
    for (name, value) in strategy {
        not_negative(&format!("restartStrategy.{name}"), value)?;
        if name == "attempts" && !is_neutral(value) {
            return Err("restartStrategy.attempts greater than 0 is not supported".to_owned());
        }
    }
    Ok(())
}
