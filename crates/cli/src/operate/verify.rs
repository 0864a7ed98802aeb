//! `verify`: reads every byte of a store, and says what is not as it should be.

use std::path::PathBuf;

use cloakroom::blocking::wait;
use cloakroom::{Calling, Depth, Found, Inventory, Key, Repaired};
use serde::Serialize;

use super::trouble::{self, Trouble};
use super::{copy, failed, walk};
use crate::Verdict;
use crate::args::Format;
use crate::args::operate::VerifyArgs;
use crate::error::CliError;
use crate::report::json;
use crate::report::output::{Lines, say};
use crate::store_url::Task;
use crate::units::{counted, grouped, human_bytes};

/// Verifies the store.
pub fn run(args: &VerifyArgs) -> Result<Verdict, CliError> {
    let place = super::open(&args.store)?;
    place.with(Verify { args, unfinished: copy::unfinished(&place) })
}

struct Verify<'a> {
    args: &'a VerifyArgs,
    /// The stores of which this one is an unfinished copy.
    unfinished: Vec<String>,
}

impl Task for Verify<'_> {
    type Output = Result<Verdict, CliError>;

    fn run<S: Inventory + Clone>(self, store: &S) -> Self::Output {
        let Self { args, unfinished } = self;
        let mut report = Report { unfinished_copy_of: unfinished, ..Report::default() };
        report.trouble.suspect = Some(0);
        walk::watched("verify", store, Depth::Whole, |page| {
            // Not kept from page to page: it holds standard output.
            let mut lines = (args.format == Format::Table).then(Lines::new);
            for found in page {
                let repair = match found {
                    Found::Damaged { key, .. } if args.repair => Some(Repair::of(store, key)?),
                    _ => None,
                };
                let line = report.add(found, repair);
                if let (Some(line), Some(lines)) = (line, &mut lines) {
                    lines.write(|out| std::io::Write::write_all(out, line.as_bytes()))?;
                }
            }
            lines.map_or(Ok(()), |mut lines| lines.end())
        })?;
        match args.format {
            Format::Json => json::print(&report)?,
            Format::Table => say(&report.summary(&args.store.to_string()))?,
        }
        let is_whole = report.in_service() + report.trouble.unreadable == 0;
        Ok(Verdict::of(is_whole && report.unfinished_copy_of.is_empty()))
    }
}

/// What was found.
#[derive(Default, Serialize)]
struct Report {
    /// The stores of which this one is a copy that was not finished.
    unfinished_copy_of: Vec<String>,
    sessions: u64,
    expired: u64,
    payload_bytes: u64,
    stored_bytes: u64,
    #[serde(flatten)]
    trouble: Trouble,
    /// Damaged sessions that were taken out of service.
    quarantined: u64,
    /// Damaged sessions that turned out to be sound, or are gone.
    turned_out_sound: u64,
    /// All but the sessions.
    finds: Vec<Find>,
}

/// Something that is not as it should be.
#[derive(Serialize)]
struct Find {
    kind: &'static str,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<Repair>,
}

/// What was done about a damaged session.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Repair {
    Quarantined(PathBuf),
    InUse,
    Sound,
}

impl Repair {
    fn of<S: Inventory>(store: &S, key: &Key) -> Result<Self, CliError> {
        let repaired = wait(store.repair(key, Calling::Blocking));
        Ok(match repaired.map_err(failed("repair the store"))? {
            Repaired::Sound => Self::Sound,
            Repaired::InUse => Self::InUse,
            Repaired::Quarantined(corrupt) => {
                Self::Quarantined(corrupt.quarantine.unwrap_or(corrupt.place))
            }
        })
    }

    fn text(&self) -> String {
        match self {
            Self::Quarantined(place) => format!("moved to {}", place.display()),
            Self::InUse => "left in service: somebody holds it; try again".to_owned(),
            Self::Sound => "sound or gone by now".to_owned(),
        }
    }
}

impl Report {
    /// Adds a find, and says it in a line if it is not a session.
    fn add(&mut self, found: &Found, repair: Option<Repair>) -> Option<String> {
        self.trouble.count(found);
        if let Found::Session(session) = found {
            self.sessions += 1;
            self.expired += u64::from(session.expired);
            self.payload_bytes += session.payload;
            self.stored_bytes += session.stored;
        }
        let text = trouble::line(found)?;
        self.quarantined += u64::from(matches!(repair, Some(Repair::Quarantined(_))));
        self.turned_out_sound += u64::from(matches!(repair, Some(Repair::Sound)));
        let done = repair.as_ref().map(|repair| format!("; {}", repair.text())).unwrap_or_default();
        let line = format!("{text}{done}\n");
        let key = match found {
            Found::Damaged { key, .. } => Some(key.to_string()),
            _ => None,
        };
        self.finds.push(Find { kind: trouble::kind(found), text, key, repair });
        Some(line)
    }

    /// Damaged sessions that are still in service.
    const fn in_service(&self) -> u64 {
        self.trouble.damaged - self.quarantined - self.turned_out_sound
    }

    fn summary(&self, url: &str) -> String {
        let Trouble { unreadable, suspect, leftovers, foreign, .. } = self.trouble;
        let mut text = format!(
            "{} sound, {} of payload in {}",
            counted(self.sessions, "session is", "sessions are"),
            human_bytes(self.payload_bytes),
            human_bytes(self.stored_bytes)
        );
        for (count, what) in [
            (self.expired, "expired"),
            (self.in_service(), "damaged"),
            (self.quarantined, "moved to the quarantine"),
            (unreadable, "unreadable"),
            (suspect.unwrap_or(0), "suspect"),
            (leftovers, "left over"),
            (foreign, "foreign"),
        ] {
            if count > 0 {
                text.push_str(&format!("; {} {what}", grouped(count)));
            }
        }
        text.push('\n');
        for from in &self.unfinished_copy_of {
            text.push_str(&format!(
                "This is an UNFINISHED COPY of {from}: sessions are missing.\n"
            ));
        }
        if self.in_service() > 0 {
            text.push_str(&format!(
                "`cloakroom verify --repair {url}` takes damaged sessions out of service.\n"
            ));
        }
        text
    }
}
