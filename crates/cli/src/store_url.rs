//! Stores by URL.

mod place;

use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum as _;
use cloakroom::Access;
use serde::{Deserialize, Serialize};

pub use self::place::{Place, Task};
use crate::error::CliError;
use crate::mode::Mode;

/// Where sessions live, as given on the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreUrl {
    /// `file:DIR` or `map:DIR`; without a directory a temporary one.
    Directory(Kind, Option<PathBuf>),
    /// `memory:`
    Memory,
}

/// The stores that live in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A file for each session, with a lock.
    File,
    /// All sessions in mapped files, without locks.
    Map,
}

impl StoreUrl {
    /// The store of a command that was not told another one.
    pub const TEMPORARY: Self = Self::Directory(Kind::File, None);

    /// Reads `file:DIR`, `map:DIR`, `file:`, `map:` or `memory:`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or_default();
        let kind = match kind {
            "file" => Kind::File,
            "map" => Kind::Map,
            "memory" if rest.is_empty() => return Ok(Self::Memory),
            "memory" => return Err("`memory:` takes nothing after the colon".to_owned()),
            _ => {
                return Err("no such store; write `file:DIR`, `map:DIR`, `file:`, `map:` or \
                            `memory:`"
                    .to_owned());
            }
        };
        Ok(Self::Directory(kind, (!rest.is_empty()).then(|| rest.into())))
    }

    /// Reads the URL of a store that is there before and after the command: `file:DIR` or `map:DIR`.
    pub fn parse_lasting(text: &str) -> Result<Self, String> {
        match Self::parse(text) {
            Ok(Self::Memory) => Err("`memory:` goes with its process, nobody else sees it; write \
                                     `file:DIR` or `map:DIR`"
                .to_owned()),
            Ok(Self::Directory(kind, None)) => {
                Err(format!("the directory is missing; write `{kind}:DIR`"))
            }
            Err(_) if !text.contains(':') && !text.is_empty() => Err(format!(
                "a store is named by its URL; write `file:{text}`, or `map:{text}` for a map store"
            )),
            Err(_) => Err("no such store; write `file:DIR` or `map:DIR`".to_owned()),
            lasting => lasting,
        }
    }

    /// Refuses a number of processes that cannot share this store.
    pub const fn check_processes(&self, processes: u32) -> Result<(), CliError> {
        match self {
            Self::Memory if processes > 1 => Err(CliError::MemoryHasOneProcess { processes }),
            _ => Ok(()),
        }
    }

    /// The accesses that the store offers. They are known before it is opened, so that wrong use
    /// creates nothing.
    const fn accesses(&self) -> &'static [Access] {
        match self {
            Self::Directory(Kind::Map, _) => &[Access::Snapshot, Access::Optimistic],
            Self::Directory(Kind::File, _) | Self::Memory => {
                &[Access::Exclusive, Access::Shared, Access::Snapshot, Access::Optimistic]
            }
        }
    }

    /// Whether sessions can be taken this way there.
    pub fn offers(&self, mode: Mode) -> bool {
        mode.access().is_none_or(|access| self.accesses().contains(&access))
    }

    /// Those of `modes` that the store offers.
    pub fn offered(&self, modes: &[Mode]) -> Vec<Mode> {
        modes.iter().copied().filter(|mode| self.offers(*mode)).collect()
    }

    /// Refuses modes that the store does not offer.
    pub fn check_offered(&self, modes: &[Mode]) -> Result<(), CliError> {
        let Some(mode) = modes.iter().copied().find(|mode| !self.offers(*mode)) else {
            return Ok(());
        };
        let offered = self.offered(Mode::value_variants());
        let offered: Vec<_> = offered.iter().map(|mode| format!("`{mode}`")).collect();
        let offered = offered.join(", ");
        Err(CliError::NotOffered { url: self.to_string(), mode, offered })
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(kind, None) => write!(f, "{kind}:"),
            Self::Directory(kind, Some(directory)) => write!(f, "{kind}:{}", directory.display()),
            Self::Memory => f.write_str("memory:"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Map => "map",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::args::Api;

    const KINDS: [&str; 3] = ["file:", "map:", "memory:"];

    #[test]
    fn urls_are_read_as_they_are_written() {
        for text in KINDS.into_iter().chain(["file:/srv/a:b", "map:/srv/a:b"]) {
            assert_eq!(StoreUrl::parse(text).map(|url| url.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "file", "map", "/srv/sessions", "memory:x", "redis://host", "maps:/srv"] {
            assert!(StoreUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_store_offers_what_its_url_says() {
        for text in KINDS {
            let offered = StoreUrl::parse(text).ok().and_then(|url| {
                let driver = Place::open(&url).ok()?.driver(Api::Bytes, Duration::ZERO);
                Some((url.accesses(), driver.accesses()))
            });
            assert!(offered.is_some_and(|(said, offered)| said == offered), "{text}: {offered:?}");
        }
    }
}
