//! What a walk finds beside sessions.

use cloakroom::Found;
use serde::Serialize;

use crate::report::output::complain;
use crate::store_url::StoreUrl;
use crate::units::grouped;

/// How much of it there is.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Trouble {
    /// Sessions that cannot be read.
    pub damaged: u64,
    /// What the operating system would not let be read.
    pub unreadable: u64,
    /// Sessions that serve but are not as the store makes them; `None`: nobody looked for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspect: Option<u64>,
    /// What killed processes left.
    pub leftovers: u64,
    /// What is not of the store.
    pub foreign: u64,
}

impl Trouble {
    /// Counts a find.
    pub fn count(&mut self, found: &Found) {
        match found {
            Found::Damaged { .. } => self.damaged += 1,
            Found::Unreadable { .. } => self.unreadable += 1,
            Found::Suspect { .. } => *self.suspect.get_or_insert(0) += 1,
            Found::Leftover { .. } => self.leftovers += 1,
            Found::Foreign { .. } => self.foreign += 1,
            _ => {}
        }
    }

    /// The same, and names the first few that hide sessions.
    pub fn name(&mut self, found: &Found) {
        self.count(found);
        if self.hidden() <= NAMED
            && let Found::Damaged { .. } | Found::Unreadable { .. } = found
            && let Some(line) = line(found)
        {
            complain(&format!("note: {line}"));
        }
    }

    /// How much there is that hides sessions.
    pub const fn hidden(&self) -> u64 {
        self.damaged + self.unreadable
    }

    /// Says in the end what is not in the figures.
    pub fn complain(&self, url: &StoreUrl) {
        let Self { damaged, unreadable, .. } = *self;
        if damaged > 0 {
            complain(&format!(
                "note: damaged, and left out here: {}; `cloakroom verify --repair {url}` takes such \
                 sessions out of service",
                grouped(damaged)
            ));
        }
        if unreadable > 0 {
            complain(&format!("note: unreadable, and left out here: {}", grouped(unreadable)));
        }
    }
}

/// What kind of find it is.
pub const fn kind(found: &Found) -> &'static str {
    match found {
        Found::Session(_) => "session",
        Found::Damaged { .. } => "damaged",
        Found::Unreadable { .. } => "unreadable",
        Found::Suspect { .. } => "suspect",
        Found::Foreign { .. } => "foreign",
        Found::Leftover { .. } => "leftover",
        _ => "other",
    }
}

/// A find in a line; none for a session.
pub fn line(found: &Found) -> Option<String> {
    Some(match found {
        Found::Damaged { place, reason, .. } => format!("damaged: {}: {reason}", place.display()),
        Found::Unreadable { place, reason } => format!("unreadable: {}: {reason}", place.display()),
        Found::Suspect { place, what } => format!("suspect: {}: {what}", place.display()),
        Found::Foreign { place, what } => format!("foreign: {} is {what}", place.display()),
        Found::Leftover { place, .. } => format!("leftover: {}", place.display()),
        _ => return None,
    })
}

/// More than so many are only counted.
const NAMED: u64 = 3;
