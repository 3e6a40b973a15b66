//! `/metrics`: what the server counts, in Prometheus' text form.
//!
//! Every metric's name is a constant of [`names`]. Labels are route templates, methods and statuses,
//! never what a client wrote, so their number is bounded.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// The names, with their units.
pub mod names {
    /// Requests answered, by `route`, `method` and `status`.
    pub const REQUESTS: &str = "plugyard_http_requests_total";
    /// Time until the answer began, by `route` and `method`: a histogram.
    pub const REQUEST_SECONDS: &str = "plugyard_http_request_duration_seconds";
    /// Requests whose answer has not begun.
    pub const REQUESTS_IN_FLIGHT: &str = "plugyard_http_requests_in_flight";
    /// Open connections, by `listener` (`tcp`, `unix`).
    pub const CONNECTIONS: &str = "plugyard_http_connections";
    /// Installed plugins, by `kind`, `wanted` and `health`.
    pub const PLUGINS: &str = "plugyard_plugins";
    /// Whether recovery is done and the server takes requests.
    pub const READY: &str = "plugyard_ready";
    /// Always 1; the version is a label.
    pub const BUILD_INFO: &str = "plugyard_build_info";
    /// Processor time of the server process.
    pub const CPU_SECONDS: &str = "process_cpu_seconds_total";
    /// Resident memory of the server process.
    pub const RESIDENT_BYTES: &str = "process_resident_memory_bytes";
    /// When the server process began, since 1970.
    pub const START_SECONDS: &str = "process_start_time_seconds";
}

/// Upper bounds of the duration histogram, in seconds.
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// The counters of one server.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(String, String), Route>>,
    in_flight: AtomicI64,
    tcp: AtomicI64,
    unix: AtomicI64,
}

#[derive(Debug, Default)]
struct Route {
    by_status: BTreeMap<u16, u64>,
    buckets: [u64; BUCKETS.len()],
    count: u64,
    seconds: f64,
}

/// Adds one for as long as it lives.
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a AtomicI64);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Counts a request while it is worked on.
    pub(crate) fn request_begins(&self) -> Held<'_> {
        hold(&self.in_flight)
    }

    /// Counts a connection while it is open.
    pub(crate) fn connection(&self, unix: bool) -> Held<'_> {
        hold(if unix { &self.unix } else { &self.tcp })
    }

    /// Counts an answer. `route` is a template, or a fixed word where no route matched.
    pub(crate) fn answered(&self, route: &str, method: &str, status: u16, took: Duration) {
        let mut requests = self.requests.lock();
        let entry = requests
            .entry((route.to_owned(), method.to_owned()))
            .or_default();
        *entry.by_status.entry(status).or_default() += 1;
        entry.count += 1;
        entry.seconds += took.as_secs_f64();
        for (bucket, bound) in entry.buckets.iter_mut().zip(BUCKETS) {
            *bucket += u64::from(took.as_secs_f64() <= bound);
        }
    }

    /// Writes the counters.
    pub(crate) fn write(&self, text: &mut Text) {
        let load = |gauge: &AtomicI64| gauge.load(Ordering::Relaxed);
        text.gauge(names::REQUESTS_IN_FLIGHT, &[], load(&self.in_flight));
        text.family(names::CONNECTIONS, "gauge");
        text.sample(names::CONNECTIONS, &[("listener", "tcp")], load(&self.tcp));
        text.sample(
            names::CONNECTIONS,
            &[("listener", "unix")],
            load(&self.unix),
        );

        let requests = self.requests.lock();
        text.family(names::REQUESTS, "counter");
        for ((route, method), entry) in &*requests {
            for (status, count) in &entry.by_status {
                let status = status.to_string();
                let labels = [("route", &**route), ("method", method), ("status", &status)];
                text.sample(names::REQUESTS, &labels, count);
            }
        }
        text.family(names::REQUEST_SECONDS, "histogram");
        let name = |part: &str| format!("{}_{part}", names::REQUEST_SECONDS);
        for ((route, method), entry) in &*requests {
            let bounds = BUCKETS.iter().map(ToString::to_string);
            let bounds = bounds.chain(["+Inf".to_owned()]);
            let counts = entry.buckets.iter().chain([&entry.count]);
            for (bound, count) in bounds.zip(counts) {
                let labels = [("route", &**route), ("method", method), ("le", &bound)];
                text.sample(&name("bucket"), &labels, count);
            }
            let labels = [("route", &**route), ("method", method)];
            text.sample(&name("sum"), &labels, entry.seconds);
            text.sample(&name("count"), &labels, entry.count);
        }
    }
}

fn hold(gauge: &AtomicI64) -> Held<'_> {
    gauge.fetch_add(1, Ordering::Relaxed);
    Held(gauge)
}

/// A document in Prometheus' text form while it is written.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// Announces a metric and its type (`counter`, `gauge`, `histogram`); its samples come next.
    pub fn family(&mut self, name: &str, kind: &str) {
        _ = writeln!(self.0, "# TYPE {name} {kind}");
    }

    /// One value.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            let text = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            _ = write!(self.0, "{open}{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        _ = writeln!(self.0, " {value}");
    }

    /// A gauge with one value.
    pub fn gauge(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.family(name, "gauge");
        self.sample(name, labels, value);
    }

    /// The document.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_written() {
        let metrics = Metrics::default();
        metrics.answered("/v1/x/{id}", "GET", 200, Duration::from_millis(3));
        metrics.answered("/v1/x/{id}", "GET", 404, Duration::from_millis(30));
        let held = metrics.connection(true);
        let written = || {
            let mut text = Text::default();
            metrics.write(&mut text);
            text.finish()
        };
        for line in [
            r#"plugyard_http_requests_total{route="/v1/x/{id}",method="GET",status="404"} 1"#,
            r#"plugyard_http_request_duration_seconds_bucket{route="/v1/x/{id}",method="GET",le="0.005"} 1"#,
            r#"plugyard_http_request_duration_seconds_bucket{route="/v1/x/{id}",method="GET",le="+Inf"} 2"#,
            r#"plugyard_http_request_duration_seconds_count{route="/v1/x/{id}",method="GET"} 2"#,
            r#"plugyard_http_connections{listener="unix"} 1"#,
        ] {
            assert!(
                written().lines().any(|l| l == line),
                "{line}\n{}",
                written()
            );
        }
        drop(held);
        assert!(written().contains(r#"plugyard_http_connections{listener="unix"} 0"#));
    }

    #[test]
    fn labels_cannot_break_out_of_their_quotes() {
        let mut text = Text::default();
        text.sample("a", &[("l", "x\"\n\\")], 1);
        assert_eq!(text.finish(), "a{l=\"x\\\"\\n\\\\\"} 1\n");
    }
}
