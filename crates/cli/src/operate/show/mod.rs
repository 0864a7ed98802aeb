//! `show`: one session, its record and its values.

use std::fmt::Write as _;
use std::time::SystemTime;

use cloakroom::blocking::wait;
use cloakroom::{Calling, Inventory, Key, Look, Timestamp, Values};
use serde::Serialize;
use serde_json::{Map, Value};

use super::failed;
use super::target;
use crate::Verdict;
use crate::args::Format;
use crate::args::operate::ShowArgs;
use crate::error::CliError;
use crate::mask::Mask;
use crate::report::json;
use crate::report::output::{complain, say};
use crate::shown;
use crate::store_url::Task;
use crate::units::{self, grouped, human_age};

/// Shows a session.
pub fn run(args: &ShowArgs) -> Result<Verdict, CliError> {
    super::open(&args.store)?.with(args)
}

impl Task for &ShowArgs {
    type Output = Result<Verdict, CliError>;

    fn run<S: Inventory + Clone>(self, store: &S) -> Self::Output {
        let named = std::slice::from_ref(&self.session);
        let Some(target) = target::all(named, &self.namespace).next().transpose()? else {
            return Err(CliError::NothingNamed);
        };
        let found = target.find(|key| {
            let looked = wait(store.look(key, Calling::Blocking));
            looked.map(|found| found.map(|look| (*key, look)))
        });
        let Some((key, look)) = found.map_err(failed("read the session"))? else {
            return Err(CliError::NoSession { name: target.name() });
        };
        let mask = if self.reveal { None } else { Some(Mask::new(&self.mask)) };
        let session = Session::new(&key, &look, mask.as_ref());
        match self.format {
            Format::Json => json::print(&session)?,
            Format::Table => say(&session.text(&look)?)?,
        }
        session.complain();
        Ok(Verdict::Kept)
    }
}

/// A session as it is shown; times are milliseconds since 1970.
#[derive(Serialize)]
struct Session {
    key: String,
    /// In hex: programs that read JSON lose digits of large numbers.
    birth: String,
    version: u64,
    created_ms: u64,
    accessed_ms: u64,
    /// None: never.
    ends_ms: Option<u64>,
    idle_limit_ms: Option<u128>,
    absolute_limit_ms: Option<u128>,
    retired_until_ms: Option<u64>,
    expired: bool,
    payload_bytes: usize,
    /// None: the payload is not a map of values.
    values: Option<Map<String, Value>>,
    /// The payload in hex where it is not a map of values.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hex: Option<String>,
    /// Names of the values that are hidden.
    masked: Vec<String>,
}

impl Session {
    fn new(key: &Key, look: &Look, mask: Option<&Mask>) -> Self {
        let record = &look.record;
        let lifetime = record.lifetime;
        let mut values = Values::decode(&look.payload).ok().map(|values| shown::all(&values));
        let mut masked = Vec::new();
        if let (Some(values), Some(mask)) = (&mut values, mask) {
            mask.hide(values, &mut masked);
        }
        // What is no map of values has no names by which to hide something.
        let raw = values.is_none() && mask.is_none();
        Self {
            key: key.to_string(),
            birth: format!("{:016x}", record.birth),
            version: record.version,
            created_ms: record.created.as_millis(),
            accessed_ms: record.accessed.as_millis(),
            ends_ms: record.deadline().map(Timestamp::as_millis),
            idle_limit_ms: lifetime.idle.map(|limit| limit.as_millis()),
            absolute_limit_ms: lifetime.absolute.map(|limit| limit.as_millis()),
            retired_until_ms: record.retired_until.map(Timestamp::as_millis),
            expired: look.expired,
            payload_bytes: look.payload.len(),
            values,
            payload_hex: raw.then(|| shown::hex(&look.payload)),
            masked,
        }
    }

    fn text(&self, look: &Look) -> Result<String, CliError> {
        let record = &look.record;
        let now = Timestamp::from(SystemTime::now());
        let ago =
            |time: Timestamp| format!("{} ({} ago)", units::date(time), human_age(now.since(time)));
        let ends = match record.deadline() {
            None => "never".to_owned(),
            Some(deadline) if look.expired => format!("{}, expired", ago(deadline)),
            Some(deadline) => {
                format!("{} (in {})", units::date(deadline), human_age(deadline.since(now)))
            }
        };
        let mut rows = vec![
            ("key", self.key.clone()),
            ("birth", self.birth.clone()),
            ("version", grouped(self.version)),
            ("created", ago(record.created)),
            ("accessed", ago(record.accessed)),
            ("ends", ends),
        ];
        if record.retired_until.is_some() {
            rows.push(("retired", "its id was renewed; it can only be read".to_owned()));
        }
        let count = self.values.as_ref().map_or(0, Map::len) as u64;
        let bytes = grouped(self.payload_bytes as u64);
        rows.push(match self.values {
            Some(_) => ("payload", format!("{bytes} bytes, {} values", grouped(count))),
            None => ("payload", format!("{bytes} bytes that are no map of values")),
        });
        let mut text = String::new();
        for (name, value) in rows {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:<9} {value}");
        }
        if let Some(values) = &self.values {
            let json = serde_json::to_string_pretty(values);
            text.push_str(&json.map_err(|error| CliError::Output(error.into()))?);
            text.push('\n');
        }
        if let Some(payload) = &self.payload_hex {
            text.push_str(payload);
            text.push('\n');
        }
        Ok(text)
    }

    /// Says what is not shown.
    fn complain(&self) {
        if !self.masked.is_empty() {
            let names = self.masked.join("`, `");
            complain(&format!("note: hidden: `{names}`; `--reveal` shows all"));
        }
        if self.values.is_none() && self.payload_hex.is_none() {
            complain("note: `--reveal` shows the bytes of the payload");
        }
    }
}
