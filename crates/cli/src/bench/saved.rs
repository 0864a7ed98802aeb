//! Saved runs: what was measured, on which machine, and its histograms.
//!
//! The settings are kept as the command line that asks for them, so that people can read and
//! repeat it, and so that what a file says is checked like what is typed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::suite::Suite;
use super::summary::Finished;
use crate::error::CliError;
use crate::interrupt;
use crate::machine::Machine;
use crate::measure::Latencies;
use crate::mode::Mode;
use crate::report::json::Round;

/// A saved run of `bench`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Saved {
    /// The format of the file.
    cloakroom_bench: u32,
    /// Where it was measured.
    pub machine: Machine,
    /// The arguments that asked for it.
    pub command: Vec<String>,
    /// What was measured.
    pub runs: Vec<SavedRun>,
}

/// One pattern with one access on one store.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedRun {
    /// The pattern.
    pub pattern: String,
    /// The URL of the store.
    pub store: String,
    /// The access.
    pub access: Mode,
    /// Acknowledged increments that were gone.
    pub lost_updates: u64,
    /// Operations that failed.
    pub errors: u64,
    /// The rounds.
    pub rounds: Vec<Round>,
    /// Of operations that ended well, in all rounds.
    pub latency: Latencies,
    /// How long they waited for their session.
    pub lock_wait: Latencies,
    /// How long pages took.
    pub page_load: Latencies,
}

/// Why a saved run cannot be used.
#[derive(Debug, Error)]
pub enum SavedError {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// It ends in the middle.
    #[error("the file is cut off; measure again with --save")]
    CutOff,
    /// It is something else.
    #[error("not JSON ({0}); `cloakroom bench PATTERN --save FILE` writes what is read here")]
    NotJson(#[source] serde_json::Error),
    /// It is JSON of something else.
    #[error("no saved run; `cloakroom bench PATTERN --save FILE` writes one")]
    Foreign,
    /// It is what goes to standard output.
    #[error("this is the output of --format json, which has no histograms; use --save FILE")]
    Document,
    /// It is far too long.
    #[error("too long for a saved run; `cloakroom bench PATTERN --save FILE` writes one")]
    TooLong,
    /// It was written by another version.
    #[error(
        "saved in format {0}, and this version reads format {FORMAT}; measure again with --save"
    )]
    Format(u32),
    /// Its parts are not what they should be.
    #[error("the saved run is damaged: {0}; measure again with --save")]
    Damaged(#[source] serde_json::Error),
    /// Its settings are not what this command could have asked for.
    #[error("the saved run's command is not understood: {0}; measure again with --save")]
    Command(String),
    /// Nothing was measured.
    #[error("the saved run holds no measurement; measure again with --save")]
    Empty,
    /// It measured something else.
    #[error(
        "the saved run has `{saved}` where this one has `{asked}`, so they cannot be compared; \
         leave that out, or save a run with it"
    )]
    OtherSettings {
        /// In the file.
        saved: String,
        /// On the command line, or in the other file.
        asked: String,
    },
    /// It cannot be written there.
    #[error("nothing can be saved there: {0}; name a file in a directory that exists")]
    Nowhere(#[source] io::Error),
}

impl Saved {
    /// What this suite has shown.
    pub fn of(suite: &Suite, finished: &[Finished]) -> Self {
        Self {
            cloakroom_bench: FORMAT,
            machine: Machine::here(),
            command: suite.command(),
            runs: finished.iter().map(saved_run).collect(),
        }
    }

    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, CliError> {
        read(path).and_then(|text| Self::parse(&text)).map_err(|error| error.in_file(path))
    }

    /// Makes sure that a run can be saved there, before it takes its time.
    pub fn check_savable(path: &Path) -> Result<(), CliError> {
        let refused = |error| Err(SavedError::Nowhere(error).in_file(path));
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => refused(io::ErrorKind::IsADirectory.into()),
            Ok(_) => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => refused(error),
            Err(_) => match fs::metadata(directory_of(path)) {
                Ok(found) if !found.is_dir() => refused(io::ErrorKind::NotADirectory.into()),
                Ok(_) => Ok(()),
                Err(error) => refused(error),
            },
        }
    }

    /// Writes the file: as a whole, or not at all.
    pub fn save(&self, path: &Path) -> Result<(), CliError> {
        let failed = |source| CliError::Save { file: path.to_owned(), source };
        let mut text = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        interrupt::undisturbed(|| write(path, &text)).map_err(failed)
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, SavedError> {
        let Head { cloakroom_bench, schema } =
            serde_json::from_slice(text).map_err(|error| match error.classify() {
                serde_json::error::Category::Eof => SavedError::CutOff,
                serde_json::error::Category::Data => SavedError::Foreign,
                _ => SavedError::NotJson(error),
            })?;
        match (cloakroom_bench, schema) {
            (Some(FORMAT), _) => {}
            (Some(format), _) => return Err(SavedError::Format(format)),
            (None, Some(_)) => return Err(SavedError::Document),
            (None, None) => return Err(SavedError::Foreign),
        }
        let saved: Self = serde_json::from_slice(text).map_err(SavedError::Damaged)?;
        if saved.runs.is_empty() || saved.runs.iter().any(|run| run.rounds.is_empty()) {
            return Err(SavedError::Empty);
        }
        Ok(saved)
    }
}

impl SavedError {
    /// The error that names the file, too.
    pub fn in_file(self, path: &Path) -> CliError {
        CliError::Saved { file: path.to_owned(), reason: self }
    }
}

/// What tells a saved run from other files.
#[derive(Deserialize)]
struct Head {
    cloakroom_bench: Option<u32>,
    schema: Option<IgnoredAny>,
}

fn saved_run(finished: &Finished) -> SavedRun {
    let tally = &finished.tally;
    SavedRun {
        pattern: finished.setting.pattern.to_owned(),
        store: finished.store.clone(),
        access: finished.mode,
        lost_updates: finished.lost,
        errors: tally.errors,
        rounds: finished.figures(),
        latency: tally.latency.clone(),
        lock_wait: tally.lock_wait.clone(),
        page_load: tally.pages.clone(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SavedError> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(SavedError::Io)?;
    file.take(LENGTH_MAX + 1).read_to_end(&mut text).map_err(SavedError::Io)?;
    if text.len() as u64 > LENGTH_MAX { Err(SavedError::TooLong) } else { Ok(text) }
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    // A link keeps leading to the file; a device or a pipe is written, not replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
        return fs::write(&path, text);
    }
    let mut file =
        tempfile::Builder::new().permissions(readable()).tempfile_in(directory_of(&path))?;
    file.write_all(text)?;
    file.persist(&path)?;
    Ok(())
}

/// The permissions of any new file, as far as the user's mask allows.
fn readable() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(0o666)
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

/// Fields may be added to it; a change of others is another format.
const FORMAT: u32 = 1;

/// A hundred times what `bench all` saves.
const LENGTH_MAX: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        match Saved::parse(text.as_bytes()) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_no_saved_run_is_told_apart() {
        for (text, words) in [
            ("", "cut off"),
            ("{\"cloakroom_bench\": 1, \"runs\": [", "cut off"),
            ("PK\u{3}\u{4}", "not JSON"),
            ("[]", "no saved run"),
            ("{}", "no saved run"),
            ("{\"log\": {\"entries\": []}}", "no saved run"),
            ("{\"schema\": 1, \"runs\": []}", "output of --format json"),
            ("{\"cloakroom_bench\": 2}", "format 2"),
            ("{\"cloakroom_bench\": 1}", "damaged: missing field"),
            ("{\"cloakroom_bench\": 1, \"runs\": 5}", "damaged"),
            ("{\"cloakroom_bench\": -1}", "no saved run"),
        ] {
            let refusal = refusal(text);
            assert!(refusal.contains(words), "{text}: {refusal}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let refusal = refusal(&format!("{{\"cloakroom_bench\": 1, \"runs\": {deep}}}"));
        assert!(refusal.contains("damaged"), "{refusal}");
    }
}
