//! Reads HAR 1.2 recordings of whatever size: entries are taken one by one as they come, and what
//! is not asked for, bodies above all, is skipped unread.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{Span, Timestamp};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::error::Category;
use thiserror::Error;

use super::lenient::{Number, Present, Text};
use super::utf8::Utf8Reader;
use crate::replay::input::InputError;

/// A recording, as far as a replay needs it.
#[derive(Debug)]
pub struct Recording {
    /// The ids of its pages.
    pub pages: Vec<String>,
    /// Its requests, in the order they were sent.
    pub entries: Vec<Entry>,
}

/// A request and its response.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it was sent.
    pub started: Timestamp,
    /// How long the server took.
    pub wait: Duration,
    /// `GET` and so on.
    pub method: String,
    /// What was asked for.
    pub url: String,
    /// The type of the response, in lower case and without parameters; often empty.
    pub mime: String,
    /// The status of the response; 0 if there was none.
    pub status: u16,
    /// Whether the request carried a cookie.
    pub has_cookie: bool,
    /// Whether it is known that a script sent it.
    pub by_script: bool,
    /// Whether the browser answered it itself.
    pub from_cache: bool,
    /// The page it belongs to.
    pub page: Option<String>,
}

/// Why a recording cannot be read.
#[derive(Debug, Error)]
pub enum HarError {
    /// The file cannot be read to its end.
    #[error(transparent)]
    Input(#[from] InputError),
    /// It ends in the middle.
    #[error("the file is cut off: {0}")]
    CutOff(#[source] serde_json::Error),
    /// It is no JSON.
    #[error("not JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// It is JSON, but no recording, or a broken one.
    #[error("not a HAR recording: {0}; an access log must be in the common or combined format")]
    NotHar(#[source] serde_json::Error),
}

impl Recording {
    /// Reads the text of a recording.
    pub fn read(text: impl Read) -> Result<Self, HarError> {
        let text = BufReader::new(Utf8Reader::new(text.take(TEXT_BYTES_MAX)));
        let mut json = serde_json::Deserializer::from_reader(text);
        let file = RawFile::deserialize(&mut json).map_err(json_error)?;
        json.end().map_err(json_error)?;
        let RawLog { pages, entries } = file.log;
        let pages = pages.unwrap_or_default();
        let pages = pages.into_iter().map(|page| page.id.0.unwrap_or_default()).collect();
        let mut entries = entries.0;
        entries.sort_by_key(|entry| entry.started);
        Ok(Self { pages, entries })
    }
}

fn json_error(error: serde_json::Error) -> HarError {
    match error.classify() {
        Category::Io => HarError::Input(io::Error::from(error).into()),
        Category::Eof => HarError::CutOff(error),
        Category::Syntax => HarError::NotJson(error),
        Category::Data => HarError::NotHar(error),
    }
}

#[derive(Deserialize)]
struct RawFile {
    log: RawLog,
}

#[derive(Deserialize)]
struct RawLog {
    pages: Option<Vec<RawPage>>,
    entries: Entries,
}

#[derive(Deserialize)]
struct RawPage {
    #[serde(default)]
    id: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEntry {
    #[serde(default)]
    started_date_time: Text,
    #[serde(default)]
    pageref: Text,
    request: Option<RawRequest>,
    response: Option<RawResponse>,
    timings: Option<RawTimings>,
    #[serde(default, rename = "_fromCache", alias = "fromCache")]
    from_cache: Present,
    #[serde(default, rename = "_resourceType")]
    resource_type: Text,
}

#[derive(Deserialize)]
struct RawRequest {
    #[serde(default)]
    method: Text,
    #[serde(default)]
    url: Text,
    #[serde(default)]
    cookies: Present,
    headers: Option<Vec<RawHeader>>,
}

#[derive(Deserialize)]
struct RawHeader {
    #[serde(default)]
    name: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawResponse {
    status: Number,
    content: Option<RawContent>,
}

#[derive(Deserialize)]
struct RawContent {
    #[serde(default, rename = "mimeType")]
    mime_type: Text,
}

#[derive(Deserialize)]
struct RawTimings {
    #[serde(default)]
    wait: Number,
}

/// The entries, checked one by one so that an error can name the one it is in.
struct Entries(Vec<Entry>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of requests in log.entries")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(raw) = seq.next_element::<RawEntry>()? {
                    let number = entries.len();
                    if number == ENTRIES_MAX {
                        let text = format!("log.entries has more than {ENTRIES_MAX} requests");
                        return Err(A::Error::custom(text));
                    }
                    let entry = Entry::try_from(raw).map_err(|(field, reason)| {
                        A::Error::custom(format!("log.entries[{number}].{field} {reason}"))
                    })?;
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_seq(EntriesVisitor)
    }
}

impl TryFrom<RawEntry> for Entry {
    /// The field that is wrong, and what is wrong with it.
    type Error = (&'static str, String);

    fn try_from(raw: RawEntry) -> Result<Self, Self::Error> {
        const MISSING: &str = "is missing or no text";
        let missing = |field| move || (field, MISSING.to_owned());
        let date = raw.started_date_time.0.ok_or_else(missing("startedDateTime"))?;
        let started = parse_date(&date)
            .ok_or_else(|| ("startedDateTime", format!("is no date and time: {date:.40?}")))?;
        let request = raw.request.ok_or_else(missing("request"))?;
        let url = request.url.0.ok_or_else(missing("request.url"))?;
        let response = raw.response.unwrap_or_default();
        let mime = response.content.and_then(|content| content.mime_type.0).unwrap_or_default();
        let mime = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let headers = request.headers.unwrap_or_default();
        let has_header = |wanted: &str| {
            headers.iter().any(|header| {
                header.name.0.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(wanted))
            })
        };
        let resource_type = raw.resource_type.0.unwrap_or_default();
        Ok(Self {
            started,
            wait: wait(raw.timings),
            method: request.method.0.unwrap_or_else(|| "GET".to_owned()),
            mime,
            // A status that is no number from 0 to 65,535 is none.
            status: response.status.0.map_or(0, |status| status as u16),
            has_cookie: request.cookies.0 || has_header("cookie"),
            by_script: matches!(resource_type.as_str(), "xhr" | "fetch")
                || has_header("x-requested-with"),
            from_cache: raw.from_cache.0,
            page: raw.pageref.0,
            url,
        })
    }
}

/// Missing and negative mean that there was no waiting.
fn wait(timings: Option<RawTimings>) -> Duration {
    let ms = timings.and_then(|timings| timings.wait.0).unwrap_or(0.0);
    Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default().min(WAIT_MAX)
}

/// A date with an offset or `Z`; without either it is taken for UTC, since only differences count.
fn parse_date(text: &str) -> Option<Timestamp> {
    let date = text.trim();
    let moment = date
        .parse()
        .ok()
        .or_else(|| Offset::UTC.to_timestamp(date.parse::<DateTime>().ok()?).ok())?;
    // Far from the ends of time, so that differences never overflow.
    let year = Span::new().hours(24 * 366);
    moment.checked_sub(year).ok()?.checked_add(year).ok()
}

/// How much text is read, compressed or not: a small file can unpack without end.
const TEXT_BYTES_MAX: u64 = 4 << 30;

/// How many requests are kept in memory.
const ENTRIES_MAX: usize = 1_000_000;

/// No server takes longer.
const WAIT_MAX: Duration = Duration::from_secs(3_600);
