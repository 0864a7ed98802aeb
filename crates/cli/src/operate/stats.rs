//! `stats`: how many sessions there are, how large, how old, and how evenly they are spread.

mod distribution;
mod fill;

use std::time::{Duration, SystemTime};

use cloakroom::{Depth, Found, Inventory, Summary, Timestamp};
use serde::Serialize;

use super::trouble::Trouble;
use super::{copy, walk};
use crate::Verdict;
use crate::args::Format;
use crate::args::operate::StatsArgs;
use crate::error::CliError;
use crate::report::json;
use crate::report::output::say;
use crate::report::table::Figures;
use crate::store_url::Task;
use crate::units::{counted, grouped, human_age, human_bytes};
use distribution::Distribution;
use fill::Fill;

/// Counts and measures the sessions.
pub fn run(args: &StatsArgs) -> Result<Verdict, CliError> {
    let place = super::open(&args.store)?;
    place.with(Measure { args, unfinished: copy::unfinished(&place) })
}

struct Measure<'a> {
    args: &'a StatsArgs,
    /// The stores of which this one is an unfinished copy.
    unfinished: Vec<String>,
}

impl Task for Measure<'_> {
    type Output = Result<Verdict, CliError>;

    fn run<S: Inventory + Clone>(self, store: &S) -> Self::Output {
        let now = Timestamp::from(SystemTime::now());
        let Self { args, unfinished } = self;
        let mut stats = Stats { unfinished_copy_of: unfinished, ..Stats::default() };
        let mut fill = Fill::default();
        walk::watched("stats", store, Depth::Current, |page| {
            for found in page {
                if let Found::Session(session) = found {
                    stats.add(session, now);
                    fill.add(store.shard(&session.key));
                }
                stats.trouble.name(found);
            }
            Ok(())
        })?;
        stats.shards = Some(fill.summary(store.shards()));
        match args.format {
            Format::Json => json::print(&stats)?,
            Format::Table => say(&stats.text())?,
        }
        stats.trouble.complain(&args.store);
        Ok(Verdict::of(stats.trouble.hidden() == 0 && stats.unfinished_copy_of.is_empty()))
    }
}

/// The figures.
#[derive(Default, Serialize)]
struct Stats {
    /// The stores of which this one is a copy that was not finished.
    unfinished_copy_of: Vec<String>,
    sessions: Counts,
    trouble: Trouble,
    payload_bytes: Distribution,
    stored_bytes: Distribution,
    age_s: Distribution,
    idle_s: Distribution,
    version: Distribution,
    shards: Option<fill::Summary>,
}

#[derive(Default, Serialize)]
struct Counts {
    total: u64,
    live: u64,
    /// Of those that live: what serves until the grace of a renewed id ends.
    retired: u64,
    expired: u64,
}

impl Stats {
    fn add(&mut self, session: &Summary, now: Timestamp) {
        let record = &session.record;
        self.sessions.total += 1;
        self.sessions.live += u64::from(!session.expired);
        self.sessions.expired += u64::from(session.expired);
        self.sessions.retired += u64::from(!session.expired && record.retired_until.is_some());
        self.payload_bytes.add(session.payload);
        self.stored_bytes.add(session.stored);
        self.age_s.add(now.since(record.created).as_secs());
        self.idle_s.add(now.since(record.accessed).as_secs());
        self.version.add(record.version);
    }

    fn text(&self) -> String {
        let Counts { total, live, retired, expired } = self.sessions;
        let Trouble { damaged, unreadable, leftovers, foreign, .. } = self.trouble;
        let mut text = counted(total, "session", "sessions");
        text.push_str(&format!(": {} live", grouped(live)));
        for (count, what) in [
            (retired, "of them retired"),
            (expired, "expired"),
            (damaged, "damaged"),
            (unreadable, "unreadable"),
            (leftovers, "left over"),
            (foreign, "foreign"),
        ] {
            if count > 0 {
                text.push_str(&format!(", {} {what}", grouped(count)));
            }
        }
        text.push('\n');
        if total > 0 {
            text.push_str(&self.table());
        }
        if let Some(shards) = &self.shards {
            text.push_str(&shards.text());
        }
        text
    }

    fn table(&self) -> String {
        let mut table = Figures::new(1, &["", "p50", "p90", "p99", "most", "sum"]);
        let age = |seconds| human_age(Duration::from_secs(seconds));
        let mut row = |name: &str, of: &Distribution, unit: &dyn Fn(u64) -> String, sum: bool| {
            let [p50, p90, p99] = of.quantiles().map(unit);
            let sum = if sum { unit(of.sum()) } else { String::new() };
            table.row(vec![name.to_owned(), p50, p90, p99, unit(of.max()), sum]);
        };
        row("payload", &self.payload_bytes, &human_bytes, true);
        row("stored", &self.stored_bytes, &human_bytes, true);
        row("age", &self.age_s, &age, false);
        row("idle", &self.idle_s, &age, false);
        row("version", &self.version, &grouped, false);
        table.text()
    }
}
