//! What came out: figures, and whether they are what MapStore promises.

use serde::Serialize;

use crate::crew::Crew;
use crate::machine::Machine;
use crate::peer::{Kind, Losses};
use crate::support::{Spread, grouped};
use crate::work::Op;

#[derive(Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub stores: Vec<StoreLine>,
    pub figures: Vec<Figure>,
    pub verdicts: Vec<Verdict>,
}

/// One store: what it is, what it loses.
#[derive(Debug, Serialize)]
pub struct StoreLine {
    pub store: Kind,
    pub title: String,
    pub losses: Option<Losses>,
}

/// One kind of work on one store.
#[derive(Debug, Serialize)]
pub struct Figure {
    pub store: Kind,
    pub sessions: u64,
    pub op: Op,
    pub crew: Crew,
    /// Operations in a second, of each round.
    pub rates: Vec<f64>,
    /// Nanoseconds of processor time for each operation, in the threads that asked for it.
    pub cpu_ns: Vec<f64>,
    pub conflicts: u64,
    /// What the store's files took at the end, for each session.
    pub bytes_per_session: f64,
}

/// One promise.
#[derive(Debug, Serialize)]
pub struct Verdict {
    pub what: String,
    pub figure: f64,
    pub target: f64,
    /// Whether the figure must not exceed the target, instead of reaching it.
    pub at_most: bool,
    pub reached: bool,
}

impl Figure {
    fn spread(&self) -> Spread {
        let none = Spread { median: 0.0, min: 0.0, max: 0.0, count: 0 };
        Spread::of(self.rates.iter().copied()).unwrap_or(none)
    }
}

impl Report {
    /// Draws the verdicts from the figures that are there.
    pub fn judge(&mut self) {
        let mut verdicts = Vec::new();
        let sizes: Vec<u64> = sorted(self.figures.iter().map(|figure| figure.sessions));
        let two_threads = Crew { processes: 1, threads: 2 };
        let one_thread = Crew { processes: 1, threads: 1 };
        let two_processes = Crew { processes: 2, threads: 1 };
        let mine = Kind::Cloakroom;
        for &sessions in &sizes {
            for (op, lmdb) in [(Op::Load, 2.0), (Op::Commit, 8.0)] {
                let rates = |kind, crew| self.rates(kind, sessions, op, crew);
                let mut judge = |what: &str, figure: Option<f64>, target: f64| {
                    let Some(figure) = figure else { return };
                    let what = format!("{}, {} sessions: {what}", op.name(), grouped(sessions));
                    let reached = figure >= target;
                    verdicts.push(Verdict { what, figure, target, at_most: false, reached });
                };
                let ours = rates(mine, two_threads);
                // Beyond the processor's caches both wait for memory or for the disk.
                let target = if sessions >= 10_000_000 { 1.0 } else { lmdb };
                judge("2 threads, over LMDB", ratio(ours, rates(Kind::Lmdb, two_threads)), target);
                let bound = rates(Kind::Dashmap, two_threads);
                judge("2 threads, over DashMap", ratio(ours, bound), 0.5);
                let processes = rates(mine, two_processes);
                judge("2 processes over 2 threads", ratio(processes, ours), 0.8);
                judge("2 threads over 1", ratio(ours, rates(mine, one_thread)), 1.7);
            }
        }
        if let (Some(&few), Some(&many)) = (sizes.first(), sizes.last())
            && few < many
        {
            for op in [Op::Load, Op::Commit] {
                let rates = |sessions| self.rates(mine, sessions, op, two_threads);
                if let Some(figure) = ratio(rates(few), rates(many)) {
                    let [few, many] = [few, many].map(grouped);
                    let what = format!("{}: cost at {many} over cost at {few}", op.name());
                    let reached = figure <= 6.0;
                    verdicts.push(Verdict { what, figure, target: 6.0, at_most: true, reached });
                }
            }
        }
        self.verdicts = verdicts;
    }

    fn rates(&self, kind: Kind, sessions: u64, op: Op, crew: Crew) -> Option<&[f64]> {
        let is_it = |figure: &&Figure| {
            figure.store == kind
                && figure.sessions == sessions
                && figure.op == op
                && figure.crew == crew
        };
        self.figures.iter().find(is_it).map(|figure| &figure.rates[..])
    }

    pub fn print_json(&self) -> anyhow::Result<()> {
        println!("{}", serde_json::to_string_pretty(self)?);
        Ok(())
    }

    pub fn print_table(&self) {
        let Machine { processor, cores, memory_gib, kernel, file_system, load } = &self.machine;
        println!("{cores} cores of {processor}, {memory_gib} GiB, Linux {kernel}, {file_system}");
        if *load > 0.5 {
            println!("NOISE: other programs are running on this machine (load {load})");
        }
        println!(
            "\nEach session: id of 64 characters, payload of 256 bytes. Millions of operations in a second,"
        );
        println!(
            "the median of the rounds and their range; files: bytes that a session takes at the end."
        );
        let mut heading = String::new();
        for figure in &self.figures {
            let Crew { processes, threads } = figure.crew;
            let crew = match (processes, threads) {
                (1, 1) => "1 thread".to_owned(),
                (1, threads) => format!("{threads} threads"),
                (processes, _) => format!("{processes} processes"),
            };
            let now =
                format!("{}, {} sessions, {crew}", figure.op.name(), grouped(figure.sessions));
            if now != heading {
                println!("\n{now}");
                heading = now;
            }
            let Spread { median, min, max, .. } = figure.spread();
            let [median, min, max] = [median, min, max].map(|rate| rate / 1e6);
            let cpu = Spread::of(figure.cpu_ns.iter().copied()).map_or(0.0, |cpu| cpu.median);
            println!(
                "  {:<14} {median:>8.3}  ({min:.3}..{max:.3})  cpu {cpu:>6.0} ns  files {:>5.0}",
                figure.store.name(),
                figure.bytes_per_session,
            );
        }
        println!("\nWhat a crash loses");
        for line in &self.stores {
            println!("  {}", line.title);
            if let Some(Losses { kill, power, source }) = line.losses {
                println!("    kill -9: {kill}");
                println!("    power cut: {power}");
                println!("    ({source})");
            }
        }
        if !self.verdicts.is_empty() {
            println!();
        }
        for Verdict { what, figure, target, at_most, reached } in &self.verdicts {
            let (sign, verdict) =
                (if *at_most { "<=" } else { ">=" }, if *reached { "reached" } else { "MISSED" });
            println!("{what}: {figure:.2} (target {sign} {target}) {verdict}");
        }
    }
}

/// The median over the rounds, each with what was measured next to it.
fn ratio(figures: Option<&[f64]>, of: Option<&[f64]>) -> Option<f64> {
    let ratios = figures?.iter().zip(of?).map(|(figure, of)| figure / of);
    Spread::of(ratios).map(|spread| spread.median)
}

fn sorted(sizes: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut sizes: Vec<u64> = sizes.collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}
