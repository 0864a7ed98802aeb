//! `copy`: all sessions of a store to another one, while both serve.
//!
//! A few threads go through FROM ([`pass`]) and deal with one session after the other ([`carry`]);
//! what was done is in the [`journal`]. Passes are repeated until one finds little to do; the last one
//! compares every session with its copy. Which of two states gives way is decided in TO under the
//! session's lock by [`Inventory::adopt`]: a copy is replaced only as long as it stands as this command
//! left it, so what goes on in TO is never overwritten.

mod believed;
mod carry;
mod entry;
mod error;
mod journal;
mod line;
mod pass;
mod report;

use std::path::{Path, PathBuf};

use cloakroom::{Durability, Inventory};

use self::believed::Trust;
pub use self::error::CopyError;
use self::journal::Journal;
use self::pass::Copier;
use self::report::Report;
use crate::Verdict;
use crate::args::operate::CopyArgs;
use crate::error::CliError;
use crate::interrupt;
use crate::report::output::complain;
use crate::store_url::{Kind, Place, StoreUrl, Task};

/// Copies the sessions.
pub fn run(args: &CopyArgs) -> Result<Verdict, CliError> {
    let source = check_apart(&args.from, &args.to).map_err(CliError::Copy)?;
    if args.layout.is_some() && matches!(args.to, StoreUrl::Directory(Kind::Map, _)) {
        return Err(CliError::Copy(CopyError::NoLayout { to: args.to.to_string() }));
    }
    let from = Place::open_existing(&args.from)?;
    if let Some(of) = unfinished(&from).into_iter().next() {
        return Err(CliError::Copy(CopyError::Unfinished { from: args.from.to_string(), of }));
    }
    let to = Place::open_or_create(&args.to, args.layout, args.durability, &from)?;
    from.with(Copy { args, source: &source, to: &to })
}

/// The stores from which a copy into this one is unfinished.
pub fn unfinished(place: &Place) -> Vec<String> {
    place.copies().map_or_else(Vec::new, |directory| journal::unfinished(&directory))
}

/// Says of a store that copies into it are unfinished.
pub fn warn(place: &Place) {
    let to = &place.url;
    for from in unfinished(place) {
        complain(&format!(
            "note: {to} is an unfinished copy; `cloakroom copy {from} {to}` goes on with it"
        ));
    }
}

/// A copy from a store of any kind.
struct Copy<'a> {
    args: &'a CopyArgs,
    /// FROM by a name that is the same for every way of writing its URL.
    source: &'a StoreUrl,
    to: &'a Place,
}

impl Task for Copy<'_> {
    type Output = Result<Verdict, CliError>;

    fn run<F: Inventory + Clone>(self, from: &F) -> Self::Output {
        self.to.with(CopyFrom { from, copy: self })
    }
}

/// A copy from this store to one of any kind.
struct CopyFrom<'a, F> {
    from: &'a F,
    copy: Copy<'a>,
}

impl<F: Inventory> Task for CopyFrom<'_, F> {
    type Output = Result<Verdict, CliError>;

    fn run<T: Inventory + Clone>(self, to: &T) -> Self::Output {
        let Self { from, copy: Copy { args, source, to: place } } = self;
        let Some(directory) = place.copies() else { return Ok(Verdict::Kept) };
        let trust = match place.durability() {
            Some(Durability::Power) => Trust::Always,
            _ => Trust::Synced,
        };
        let journal =
            Journal::open(&directory, &source.to_string(), trust).map_err(CliError::Copy)?;
        let unfinished = format!(
            "note: the copy is unfinished, and marked so; `cloakroom copy {} {}` goes on with it",
            args.from, args.to
        );
        interrupt::at_end_say(&unfinished);
        let copier = Copier::new(from, to, journal);
        let report = Report::of(args, |report| repeat(&copier, args.passes, report));
        let report = match report {
            Ok(report) if report.is_complete() => {
                copier.into_journal().finish().map_err(CliError::Copy)?;
                report
            }
            Ok(report) => {
                complain(&unfinished);
                report
            }
            Err(error) => {
                complain(&unfinished);
                return Err(error);
            }
        };
        report.print(args.format)?;
        Ok(Verdict::of(report.is_complete() && report.is_whole()))
    }
}

/// Goes through FROM until little has changed since the last time, and then once more to compare.
fn repeat<F: Inventory, T: Inventory>(
    copier: &Copier<'_, F, T>,
    passes_max: u32,
    report: &mut Report,
) -> Result<(), CliError> {
    let mut before = u64::MAX;
    for pass in 1..=passes_max {
        let tally = copier.pass(pass, false)?;
        let (seen, carried) = (tally.seen, tally.carried());
        report.add(tally);
        // Where FROM changes faster than that, one more pass would find as much again.
        if carried <= seen / 100 || carried > before / 4 * 3 {
            break;
        }
        before = carried;
    }
    report.add(copier.pass(report.passes() + 1, true)?);
    Ok(())
}

/// Refuses to copy a store into itself, through whatever links. Returns the name of FROM that is the
/// same for every way of writing it.
fn check_apart(from: &StoreUrl, to: &StoreUrl) -> Result<StoreUrl, CopyError> {
    let (StoreUrl::Directory(kind, Some(a)), StoreUrl::Directory(_, Some(b))) = (from, to) else {
        return Ok(from.clone());
    };
    let (a, b) = (real(a), real(b));
    if a.starts_with(&b) || b.starts_with(&a) {
        return Err(CopyError::SamePlace { from: from.to_string(), to: to.to_string() });
    }
    Ok(StoreUrl::Directory(*kind, Some(a)))
}

/// The path without links, also of a directory that is not there yet.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for above in path.ancestors() {
        if let (Ok(real), Ok(below)) = (above.canonicalize(), path.strip_prefix(above)) {
            // Joined with nothing a path gets a slash at its end.
            let is_there = below.as_os_str().is_empty();
            return if is_there { real } else { real.join(below) };
        }
    }
    path
}
