//! What the JSON document says of an access log.

use serde::Serialize;

use super::json::Run;

/// What was read from an access log.
#[derive(Debug, Serialize)]
pub struct AccessLog {
    /// Its name.
    pub name: String,
    /// Bytes of text.
    pub bytes: u64,
    /// How long reading took.
    pub read_seconds: f64,
    /// Lines.
    pub lines: u64,
    /// Lines that were not understood and skipped.
    pub malformed: u64,
    /// The first of them.
    pub first_malformed: Vec<MalformedLine>,
    /// Lines of connections without a request.
    pub no_request: u64,
    /// Requests.
    pub requests: u64,
    /// Those that `--requests` chose.
    pub chosen: u64,
    /// Those of the chosen ones that belong to no session and are not replayed.
    pub no_session: u64,
    /// Those of the chosen ones whose lines say how long they took.
    pub timed: u64,
    /// What makes a session.
    pub session_by: String,
    /// Sessions.
    pub sessions: u32,
    /// The first date.
    pub first: Option<String>,
    /// The last date.
    pub last: Option<String>,
}

/// A line that was not understood.
#[derive(Debug, Serialize)]
pub struct MalformedLine {
    /// Its number; the first is 1.
    pub line: u64,
    /// Why.
    pub reason: String,
    /// Its beginning.
    pub excerpt: String,
}

/// The figures of one replay of a log.
#[derive(Debug, Serialize)]
pub struct LogRun {
    /// What every run has.
    #[serde(flatten)]
    pub run: Run,
    /// Whether requests were sent when they were due. If not, they were sent as soon as a client
    /// was free, and latencies suffer from coordinated omission.
    pub open_loop: bool,
    /// How late the latest request was sent.
    pub behind_ms: Option<f64>,
    /// The sessions that waited longest in all, the longest first.
    pub suffered: Vec<SufferedSession>,
}

/// What the requests of one session went through.
#[derive(Debug, Serialize)]
pub struct SufferedSession {
    /// Address and agent, or the beginning of a hash.
    pub session: String,
    /// How many requests it had.
    pub requests: u64,
    /// How long they stood waiting, together.
    pub waited_us: f64,
    /// How long the most patient one did.
    pub longest_wait_us: f64,
}
