//! Two runs of the same settings, side by side: is one faster, or is that noise?

use std::time::Duration;

use super::rounds::{Figure, NOISY};
use super::saved::{Saved, SavedRun};
use crate::report::json::{Compared, Difference, Round};
use crate::report::table::{Figures, wrapped};
use crate::units::{grouped, human, percent};

/// Compares every run that both have.
pub fn compare(old: &Saved, new: &Saved) -> Vec<Compared> {
    old.runs
        .iter()
        .filter_map(|run| Some((run, counterpart(run, new)?)))
        .flat_map(|(old, new)| FIGURES.iter().map(move |figure| compared(old, new, figure)))
        .collect()
}

/// The comparison for people.
pub fn text(old: &Saved, new: &Saved, comparison: &[Compared]) -> String {
    let mut text = wrapped(&format!(
        "bench {}: medians of {} earlier and {} later round(s)",
        new.command.join(" "),
        rounds(old),
        rounds(new),
    ));
    text.push('\n');
    let stores = new.runs.iter().any(|run| new.runs.iter().any(|other| run.store != other.store));
    let header = ["pattern", "access", "", "old", "new", "ratio", "noise", ""];
    let mut table = Figures::new(3, &header);
    for row in comparison {
        let Compared { pattern, access, store, figure, .. } = row;
        let pattern = if stores { format!("{pattern}\n{store}") } else { pattern.clone() };
        let first = *figure == "operations_per_second";
        let once = |name: String| if first { name } else { String::new() };
        table.row(vec![
            once(pattern),
            once(access.to_string()),
            title(figure).to_owned(),
            shown(figure, row.old),
            shown(figure, row.new),
            row.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}x")),
            percent(row.noise),
            words(row.verdict).to_owned(),
        ]);
    }
    text.push_str(&table.text());
    for note in notes(old, new) {
        text.push_str(&wrapped(&note));
    }
    text
}

/// What must be said of the comparison.
pub fn notes(old: &Saved, new: &Saved) -> Vec<String> {
    let mut notes = Vec::new();
    if rounds(old) < ROUNDS_WANTED || rounds(new) < ROUNDS_WANTED {
        notes.push(format!(
            "Fewer than {ROUNDS_WANTED} rounds do not show their noise, so {} is assumed; measure \
             both runs with --rounds 5.",
            percent(NOISY),
        ));
    }
    if old.machine != new.machine {
        notes.push(format!(
            "The machines differ. Earlier: {}. Later: {}.",
            old.machine.line(),
            new.machine.line()
        ));
    }
    let missing = |these: &Saved, those: &Saved, when: &str| {
        let alone = these.runs.iter().filter(|run| counterpart(run, those).is_none());
        let names: Vec<_> =
            alone.map(|run| format!("{} {} {}", run.pattern, run.access, run.store)).collect();
        (!names.is_empty()).then(|| format!("Measured only {when}: {}.", names.join(", ")))
    };
    notes.extend(missing(old, new, "earlier"));
    notes.extend(missing(new, old, "later"));
    notes
}

fn counterpart<'a>(run: &SavedRun, saved: &'a Saved) -> Option<&'a SavedRun> {
    let same = |other: &&SavedRun| {
        (&run.pattern, &run.store, run.access) == (&other.pattern, &other.store, other.access)
    };
    saved.runs.iter().find(same)
}

fn compared(run: &SavedRun, later: &SavedRun, figure: &Kind) -> Compared {
    let of = |run: &SavedRun| Figure::of(run.rounds.iter().map(figure.of));
    let (old, new) = (of(run), of(later));
    let noise = noise(&old).max(noise(&new));
    let ratio = (old.median() > 0.0).then(|| new.median() / old.median());
    let verdict = match ratio {
        Some(ratio) if ratio > 1.0 + noise => Some(ratio),
        Some(ratio) if ratio < 1.0 / (1.0 + noise) => Some(ratio),
        _ => None,
    };
    let verdict = match verdict {
        None => Difference::WithinNoise,
        Some(ratio) if (ratio > 1.0) == figure.more_is_better => Difference::Faster,
        Some(_) => Difference::Slower,
    };
    Compared {
        pattern: run.pattern.clone(),
        store: run.store.clone(),
        access: run.access,
        figure: figure.name,
        old: old.median(),
        new: new.median(),
        ratio,
        noise,
        verdict,
    }
}

/// A figure that is compared.
struct Kind {
    name: &'static str,
    of: fn(&Round) -> f64,
    more_is_better: bool,
}

const FIGURES: [Kind; 3] = [
    Kind {
        name: "operations_per_second",
        of: |round| round.operations_per_second,
        more_is_better: true,
    },
    Kind { name: "p50_us", of: |round| round.p50_us, more_is_better: false },
    Kind { name: "p99_us", of: |round| round.p99_us, more_is_better: false },
];

/// How far apart rounds of one run are: a difference between runs must be larger.
fn noise(figure: &Figure) -> f64 {
    let shown = figure.spread().unwrap_or(0.0);
    if figure.rounds() < ROUNDS_WANTED { shown.max(NOISY) } else { shown.max(NOISE_MIN) }
}

fn rounds(saved: &Saved) -> usize {
    saved.runs.iter().map(|run| run.rounds.len()).min().unwrap_or(0)
}

fn title(figure: &str) -> &'static str {
    match figure {
        "p50_us" => "p50",
        "p99_us" => "p99",
        _ => "per second",
    }
}

fn shown(figure: &str, value: f64) -> String {
    match figure {
        "operations_per_second" => grouped(value.round() as u64),
        _ => human(Duration::from_nanos((value * 1e3).round() as u64)),
    }
}

const fn words(verdict: Difference) -> &'static str {
    match verdict {
        Difference::Faster => "faster",
        Difference::Slower => "slower",
        Difference::WithinNoise => "within noise",
    }
}

/// Two rounds may agree by chance.
const ROUNDS_WANTED: usize = 3;

/// Whole runs differ by more than their rounds do.
const NOISE_MIN: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::super::suite::Suite;
    use super::super::summary::Finished;
    use super::super::tally::Tally;
    use super::*;
    use crate::args::Pattern;
    use crate::error::CliError;
    use crate::mode::Mode;

    /// A saved run of `hot`, each round with a thousand latencies around so many microseconds.
    fn saved(rounds: &[u64]) -> Result<Saved, CliError> {
        let in_memory = |error: super::super::SavedError| error.in_file("memory".as_ref());
        let suite = Suite::of_saved(&["hot".to_owned()]).map_err(in_memory)?;
        let round = |us: &u64| {
            let mut tally = Tally::new();
            for step in 0..1_000 {
                let latency = Duration::from_nanos(us * (900 + step / 5));
                tally.latency.record(latency);
                tally.elapsed += latency;
            }
            (tally, 0)
        };
        let setting = suite.setting(Pattern::Hot);
        let rounds = rounds.iter().map(round);
        let finished = Finished::new("file:".to_owned(), Mode::Exclusive, &setting, rounds);
        // By way of a file: what is compared is what was saved.
        let text = serde_json::to_vec(&Saved::of(&suite, &[finished]));
        Saved::parse(&text.unwrap_or_default()).map_err(in_memory)
    }

    fn verdicts(old: &[u64], new: &[u64]) -> Result<Vec<Difference>, CliError> {
        let rows = compare(&saved(old)?, &saved(new)?);
        Ok(rows.iter().map(|row| row.verdict).collect())
    }

    #[test]
    fn twice_as_slow_is_seen_in_every_figure_and_so_is_twice_as_fast() -> Result<(), CliError> {
        let (once, twice) = ([100, 101, 102], [200, 202, 204]);
        assert_eq!(verdicts(&once, &twice)?, [Difference::Slower; 3]);
        assert_eq!(verdicts(&twice, &once)?, [Difference::Faster; 3]);
        let rows = compare(&saved(&once)?, &saved(&twice)?);
        let ratios: Vec<_> = rows.iter().filter_map(|row| row.ratio).collect();
        for (ratio, expected) in ratios.iter().zip([0.5, 2.0, 2.0]) {
            assert!((ratio / expected - 1.0).abs() < 0.01, "{ratios:?}");
        }
        Ok(())
    }

    #[test]
    fn a_difference_within_the_noise_is_none() -> Result<(), CliError> {
        assert_eq!(verdicts(&[100, 101, 102], &[105, 106, 107])?, [Difference::WithinNoise; 3]);
        let noisy = [80, 100, 140];
        assert_eq!(verdicts(&noisy, &[130, 131, 132])?, [Difference::WithinNoise; 3]);
        assert_eq!(verdicts(&[99, 100, 101], &[130, 131, 132])?, [Difference::Slower; 3]);
        Ok(())
    }

    #[test]
    fn single_rounds_are_trusted_less() -> Result<(), CliError> {
        assert_eq!(verdicts(&[100], &[115])?, [Difference::WithinNoise; 3]);
        assert_eq!(verdicts(&[100, 100, 100], &[115, 115, 115])?, [Difference::Slower; 3]);
        assert_eq!(verdicts(&[100], &[200])?, [Difference::Slower; 3]);
        let notes = notes(&saved(&[100])?, &saved(&[200])?);
        assert!(notes.concat().contains("--rounds 5"), "{notes:?}");
        Ok(())
    }

    #[test]
    fn what_only_one_of_them_measured_and_another_machine_are_named() -> Result<(), CliError> {
        let (mut old, new) = (saved(&[1, 1, 1])?, saved(&[1, 1, 1])?);
        assert_eq!(notes(&old, &new), Vec::<String>::new());
        for run in &mut old.runs {
            run.access = Mode::Shared;
        }
        assert!(compare(&old, &new).is_empty());
        let told = notes(&old, &new).concat();
        assert!(told.contains("only earlier: hot shared"), "{told}");
        assert!(told.contains("only later: hot exclusive"), "{told}");
        Ok(())
    }
}
