//! cloakroom's MapStore beside other embedded stores, with the same work in one run.

mod bed;
mod crew;
mod machine;
mod options;
mod payload;
mod peer;
mod report;
mod spike;
mod work;

/// What cloakroom's own benches use.
#[path = "../../benches/support/mod.rs"]
#[allow(dead_code, reason = "each user takes a part of it")]
mod support;

use std::time::Duration;

use anyhow::{Context, Result};
use bed::Bed;
use clap::Parser;
use crew::{Crew, Job};
use machine::Machine;
use options::{Format, Options};
use report::{Figure, Report, StoreLine};
use support::Progress;
use support::children;
use work::Draws;

fn main() -> Result<()> {
    if let Some(words) = children::role(CHILD_LIMIT) {
        return Job::parse(&words).context("the words name a job")?.serve();
    }
    let mut options = Options::parse().complete()?;
    let own = tempfile::Builder::new().prefix("cloakroom-peers-").tempdir_in(&options.directory);
    let own = own.with_context(|| format!("cannot use {}", options.directory.display()))?;
    options.directory = own.path().to_owned();

    let mut report = measure(&options)?;
    if options.check {
        println!("{} figures, every commit is there", report.figures.len());
        return Ok(());
    }
    report.judge();
    match options.format {
        Format::Table => report.print_table(),
        Format::Json => report.print_json()?,
    }
    Ok(())
}

/// A child that takes longer has failed.
const CHILD_LIMIT: Duration = Duration::from_secs(600);

/// Fills all stores, then goes through all figures once in each round.
fn measure(options: &Options) -> Result<Report> {
    let machine = Machine::look(&options.directory);
    let mut beds = Vec::new();
    for &sessions in &options.sessions {
        for &kind in &options.peers {
            beds.push(Bed::make(kind, sessions, options)?);
        }
    }
    let mut figures = figures(&beds, options);
    let draws = |sessions| -> Vec<Draws> {
        let threads = options.threads.iter().max().copied().unwrap_or(0) as u64;
        (1..=threads).map(|seed| Draws::new(sessions, seed)).collect()
    };
    let mut draws: Vec<_> = options.sessions.iter().map(|size| (*size, draws(*size))).collect();
    let mut progress = Progress::new("measuring", (figures.len() * options.rounds) as u64);
    for _ in 0..options.rounds {
        for figure in &mut figures {
            let Figure { store, sessions, op, crew, .. } = *figure;
            let is_it = |bed: &&mut Bed| bed.kind == store && bed.sessions == sessions;
            let bed = beds.iter_mut().find(is_it).context("each figure has its store")?;
            let draws = draws.iter_mut().find(|(size, _)| *size == sessions);
            let (_, draws) = draws.context("each size has its draws")?;
            let outcome = bed.measure(op, crew, draws, options)?;
            figure.rates.push(outcome.rate);
            figure.cpu_ns.push(outcome.cpu as f64 / outcome.operations as f64);
            figure.conflicts += outcome.conflicts;
            progress.step();
        }
    }
    drop(progress);
    for bed in beds {
        bed.check()?;
        let per_session = bed.space() as f64 / bed.sessions as f64;
        let of_bed =
            |figure: &&mut Figure| figure.store == bed.kind && figure.sessions == bed.sessions;
        for figure in figures.iter_mut().filter(of_bed) {
            figure.bytes_per_session = per_session;
        }
        bed.clear()?;
    }
    let line =
        |&store: &peer::Kind| StoreLine { store, title: store.title(), losses: store.losses() };
    let stores = options.peers.iter().map(line).collect();
    Ok(Report { machine, stores, figures, verdicts: Vec::new() })
}

/// Everything that is to be measured.
fn figures(beds: &[Bed], options: &Options) -> Vec<Figure> {
    let mut figures = Vec::new();
    for &sessions in &options.sessions {
        for &op in &options.ops {
            for crew in options.crews() {
                let of_size = beds.iter().filter(|bed| bed.sessions == sessions);
                let can = |kind: peer::Kind| can(kind, crew);
                for bed in of_size.filter(|bed| can(bed.kind)) {
                    figures.push(Figure {
                        store: bed.kind,
                        sessions,
                        op,
                        crew,
                        rates: Vec::new(),
                        cpu_ns: Vec::new(),
                        conflicts: 0,
                        bytes_per_session: 0.0,
                    });
                }
            }
        }
    }
    figures
}

fn can(kind: peer::Kind, crew: Crew) -> bool {
    crew.processes == 1 || kind.is_shared()
}
