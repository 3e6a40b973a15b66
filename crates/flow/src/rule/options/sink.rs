//! The properties of a sink that the rule itself acts on.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::{
    BUFFER_LENGTH, MAX_CONCURRENCY, RuleOptions, buffer_length, count, duration, flag, is_neutral,
    not_negative, text,
};
use crate::suggest::suggest;
use crate::template::Template;

/// Most rows that may be gathered for one message.
const MAX_BATCH: usize = 65_536;
/// Longest delimiter, in bytes.
const MAX_DELIMITER: usize = 8;
/// Most messages a cache may hold in memory.
const MAX_MEMORY_CACHE: usize = 1024 * 1024;
/// Most messages a cache may hold on disk.
const MAX_DISK_CACHE: usize = 1_000_000_000;
/// Most messages of one page.
const MAX_PAGE: usize = 65_536;
/// Between two attempts to send what waits, where nothing else is said.
const RESEND: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug, Clone, PartialEq)]
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
    /// How many messages are prepared at once.
    pub(crate) concurrency: usize,
    /// What a message is made with instead of the plain encoding.
    pub(crate) template: Option<Arc<Template>>,
    /// The column whose value is sent instead of the row; empty: none.
    pub(crate) data_field: String,
    /// Rows of one message; 0: no limit but the time.
    pub(crate) batch_size: usize,
    /// How long rows are gathered for one message.
    pub(crate) linger: Duration,
    pub(crate) format: Format,
    pub(crate) compression: Option<Compression>,
    /// Messages leave encrypted with the server's key.
    pub(crate) encrypted: bool,
    pub(crate) cache: Option<CacheOptions>,
}

/// How a message is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Delimited { delimiter: String, header: bool },
}

/// How a message is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zlib,
    Flate,
}

/// How messages are kept that cannot be delivered now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CacheOptions {
    /// Messages that wait in memory besides.
    pub(crate) memory: usize,
    /// Messages that wait on disk.
    pub(crate) disk: usize,
    /// Messages of a page, which is a file.
    pub(crate) page: usize,
    /// Between two attempts.
    pub(crate) resend: Duration,
    /// Throw away what waits when the rule stops.
    pub(crate) clean_at_stop: bool,
    /// Send what waits beside what comes, instead of in order: which of both first.
    pub(crate) apart: Option<Priority>,
}

/// Which of two messages that could be sent is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    /// What comes.
    New,
    /// One of each in turn.
    Equal,
    /// What waits.
    Kept,
}

/// Common properties we do not act on.
const SINK_NEUTRAL: &[&str] = &[
    "connectionSelector",
    "resendIndicatorField",
    "resendDestination",
];

const FORMATS: &[&str] = &["json", "delimited"];
const COMPRESSIONS: &[&str] = &["gzip", "zlib", "flate"];

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
            concurrency: 1,
            template: None,
            data_field: String::new(),
            batch_size: 0,
            linger: Duration::ZERO,
            format: Format::Json,
            compression: None,
            encrypted: false,
            cache: None,
        };
        let mut cache = CacheOptions {
            memory: BUFFER_LENGTH,
            disk: 1_024_000,
            page: 256,
            resend: RESEND,
            clean_at_stop: false,
            apart: None,
        };
        let (mut enabled, mut apart, mut priority) = (false, false, Priority::Equal);
        let (mut lines, mut delimiter, mut header) = (false, ",".to_owned(), false);
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
                "concurrency" => {
                    options.concurrency = count(name, value, MAX_CONCURRENCY)?.unwrap_or(1);
                }
                "dataTemplate" => options.template = template(name, value)?,
                "dataField" => options.data_field = text(name, value)?,
                "batchSize" => options.batch_size = count(name, value, MAX_BATCH)?.unwrap_or(0),
                "lingerInterval" => options.linger = duration(name, value)?,
                "format" => lines = format(value)?,
                // Also a property of some sinks' own, so that its type is theirs where the format is not.
                "delimiter" => value.as_str().unwrap_or(",").clone_into(&mut delimiter),
                "hasHeader" => header = value.as_bool().unwrap_or(false),
                "compression" => options.compression = compression(value)?,
                "encryption" => options.encrypted = encryption(value, properties.get("encProps"))?,
                "enableCache" => enabled = flag(name, value)?,
                "memoryCacheThreshold" => {
                    cache.memory = count(name, value, MAX_MEMORY_CACHE)?.unwrap_or(1);
                }
                "maxDiskCache" => cache.disk = count(name, value, MAX_DISK_CACHE)?.unwrap_or(0),
                "bufferPageSize" => cache.page = count(name, value, MAX_PAGE)?.unwrap_or(256),
                "resendInterval" => {
                    let interval = duration(name, value)?;
                    cache.resend = if interval.is_zero() { RESEND } else { interval };
                }
                "cleanCacheAtStop" => cache.clean_at_stop = flag(name, value)?,
                "resendAlterQueue" => apart = flag(name, value)?,
                "resendPriority" => priority = resend_priority(name, value)?,
                other if SINK_NEUTRAL.contains(&other) => {
                    not_negative(name, value)?;
                    if !is_neutral(value) {
                        return Err(format!("property {name} is not supported"));
                    }
                }
                _ => {}
            }
        }
        if !options.fields.is_empty() && !options.exclude_fields.is_empty() {
            return Err("fields and excludeFields cannot be used together".to_owned());
        }
        if lines {
            if delimiter.is_empty() {
                ",".clone_into(&mut delimiter);
            }
            if delimiter.len() > MAX_DELIMITER || delimiter.contains(['"', '\n', '\r']) {
                return Err(format!(
                    "delimiter must be up to {MAX_DELIMITER} characters without quotes and line ends"
                ));
            }
            options.format = Format::Delimited { delimiter, header };
        }
        if enabled {
            cache.apart = apart.then_some(priority);
            options.cache = Some(cache);
        }
        Ok(options)
    }

    /// Whether messages are made one by one from a row, encoded as JSON: what the pipeline does by itself.
    pub(crate) fn is_plain(&self) -> bool {
        self.template.is_none()
            && self.data_field.is_empty()
            && !self.gathers()
            && self.format == Format::Json
            && self.compression.is_none()
            && !self.encrypted
            && self.concurrency == 1
    }

    /// Whether rows are gathered before they are sent.
    pub(crate) fn gathers(&self) -> bool {
        self.batch_size > 0 || !self.linger.is_zero()
    }

    /// The nodes between the rule's last operator and the sink, each with its place, as eKuiper calls them.
    pub(crate) fn stages(&self) -> impl Iterator<Item = (usize, &'static str)> {
        [
            (self.gathers(), "batch"),
            (true, "transform"),
            (true, "encode"),
            (self.compression.is_some(), "compress"),
            (self.encrypted, "encrypt"),
            (self.cache.is_some(), "cache"),
        ]
        .into_iter()
        .filter_map(|(there, name)| there.then_some(name))
        .enumerate()
    }
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

fn template(name: &str, value: &Json) -> Result<Option<Arc<Template>>, String> {
    let text = text(name, value)?;
    if text.is_empty() {
        return Ok(None);
    }
    Template::parse(&text)
        .map(|template| Some(Arc::new(template)))
        .map_err(|error| format!("{name}: {error}"))
}

/// Whether it is the delimited one.
fn format(value: &Json) -> Result<bool, String> {
    let name = value.as_str().map(str::to_ascii_lowercase);
    match name.as_deref() {
        Some("" | "json") => Ok(false),
        Some("delimited") => Ok(true),
        other => Err(format!(
            "format {value} is not supported; json and delimited are{}",
            suggest(other.unwrap_or_default(), FORMATS.iter().copied())
        )),
    }
}

fn compression(value: &Json) -> Result<Option<Compression>, String> {
    Ok(match value.as_str() {
        Some("") => None,
        Some("gzip") => Some(Compression::Gzip),
        Some("zlib") => Some(Compression::Zlib),
        Some("flate") => Some(Compression::Flate),
        other => {
            return Err(format!(
                "compression {value} is not supported; gzip, zlib and flate are{}",
                suggest(other.unwrap_or_default(), COMPRESSIONS.iter().copied())
            ));
        }
    })
}

/// Whether messages are encrypted, in the one way that is there.
fn encryption(value: &Json, properties: Option<&Json>) -> Result<bool, String> {
    match value.as_str() {
        Some("") => return Ok(false),
        Some("aes") => {}
        other => {
            return Err(format!(
                "encryption {value} is not supported; aes is{}",
                suggest(other.unwrap_or_default(), ["aes"])
            ));
        }
    }
    let none = Map::new();
    let properties = match properties {
        None | Some(Json::Null) => &none,
        Some(Json::Object(properties)) => properties,
        Some(_) => return Err("encProps must be an object".to_owned()),
    };
    let mut mode = "cfb";
    for (name, value) in properties {
        match (name.as_str(), value) {
            (_, Json::Null) => {}
            ("mode", Json::String(text)) => mode = text,
            ("mode", _) => return Err("encProps.mode must be a text".to_owned()),
            ("iv", _) => {
                return Err(
                    "encProps.iv is not supported: with mode gcm, messages of the same iv give one another away"
                        .to_owned(),
                );
            }
            ("aad" | "tagsize", _) => return Err(format!("encProps.{name} is not supported")),
            _ => return Err(format!("unknown property encProps.{name}")),
        }
    }
    match mode {
        "gcm" => Ok(true),
        "cfb" => Err(
            "encryption aes in mode cfb, which is the default, is not supported; gcm is: \"encProps\": {\"mode\": \"gcm\"}"
                .to_owned(),
        ),
        other => Err(format!("encryption aes in mode {other} is not supported; gcm is")),
    }
}

fn resend_priority(name: &str, value: &Json) -> Result<Priority, String> {
    match value.as_i64() {
        Some(-1) => Ok(Priority::New),
        Some(0) => Ok(Priority::Equal),
        Some(1) => Ok(Priority::Kept),
        _ => Err(format!("{name} must be -1, 0 or 1")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(properties: Json) -> Result<SinkOptions, String> {
        SinkOptions::parse(properties.as_object().unwrap(), &RuleOptions::default())
    }

    #[test]
    fn a_sink_without_properties_is_plain_and_each_property_is_a_stage() {
        let plain = read(json!({"path": "x", "bufferLength": 5})).unwrap();
        assert!(plain.is_plain());
        let names: Vec<_> = plain.stages().collect();
        assert_eq!(names, [(0, "transform"), (1, "encode")]);
        let all = read(json!({"lingerInterval": "1s", "compression": "gzip", "encryption": "aes", "encProps": {"mode": "gcm"}, "enableCache": true}))
            .unwrap();
        let names: Vec<_> = all.stages().map(|(_, name)| name).collect();
        assert_eq!(
            names,
            [
                "batch",
                "transform",
                "encode",
                "compress",
                "encrypt",
                "cache"
            ]
        );
        assert!(!all.is_plain());
    }

    #[test]
    fn a_cache_has_ekuiper_s_defaults() {
        let cache = read(json!({"enableCache": true, "resendInterval": 0}))
            .unwrap()
            .cache
            .unwrap();
        assert_eq!(
            (cache.memory, cache.disk, cache.page),
            (1024, 1_024_000, 256)
        );
        assert_eq!(cache.resend, Duration::from_millis(100));
        assert_eq!(cache.apart, None);
        let cache =
            read(json!({"enableCache": true, "resendAlterQueue": true, "resendPriority": -1}))
                .unwrap()
                .cache
                .unwrap();
        assert_eq!(cache.apart, Some(Priority::New));
        assert_eq!(read(json!({"maxDiskCache": 5})).unwrap().cache, None);
    }

    #[test]
    fn what_we_do_not_do_is_refused_by_name() {
        for (properties, reason) in [
            (
                json!({"encryption": "aes"}),
                "encryption aes in mode cfb, which is the default, is not supported; gcm is: \"encProps\": {\"mode\": \"gcm\"}",
            ),
            (
                json!({"encryption": "aes", "encProps": {"mode": "gcm", "iv": "AAAA"}}),
                "encProps.iv is not supported: with mode gcm, messages of the same iv give one another away",
            ),
            (
                json!({"encryption": "aes", "encProps": {"mode": "gcm", "aad": "AAAA"}}),
                "encProps.aad is not supported",
            ),
            (
                json!({"encryption": "aes", "encProps": {"mode": "ecb"}}),
                "encryption aes in mode ecb is not supported; gcm is",
            ),
            (
                json!({"encryption": "des"}),
                "encryption \"des\" is not supported; aes is, did you mean `aes`?",
            ),
            (
                json!({"connectionSelector": "mqtt.one"}),
                "property connectionSelector is not supported",
            ),
            (
                json!({"resendIndicatorField": "again"}),
                "property resendIndicatorField is not supported",
            ),
            (
                json!({"compression": "zstd"}),
                "compression \"zstd\" is not supported; gzip, zlib and flate are",
            ),
            (
                json!({"format": "protobuf"}),
                "format \"protobuf\" is not supported; json and delimited are",
            ),
            (
                json!({"fields": ["a"], "excludeFields": ["b"]}),
                "fields and excludeFields cannot be used together",
            ),
            (
                json!({"batchSize": -1}),
                "batchSize must not be negative, got -1",
            ),
            (
                json!({"resendPriority": 2}),
                "resendPriority must be -1, 0 or 1",
            ),
            (
                json!({"dataTemplate": "{{template \"x\"}}"}),
                "dataTemplate: action template is not supported at Line: 1, Column: 3",
            ),
        ] {
            assert_eq!(read(properties).unwrap_err(), reason);
        }
    }
}
