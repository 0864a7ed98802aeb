//! What the benches share: how they were started, figures with their spread, the rows at the end.

pub mod children;
pub mod clock;

use std::fmt;
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

/// How far a bench goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// `cargo bench`: as long as the figures need.
    Full,
    /// `cargo test --benches`, `cargo bench -- --test`: once through, to see that it works.
    Short,
}

impl Run {
    /// From the arguments, with the meaning that criterion gives them.
    pub fn from_arguments() -> Self {
        let given = |flag: &str| std::env::args().any(|argument| argument == flag);
        if given("--list") {
            // What nextest asks before it runs a bench as one test.
            if !given("--ignored") {
                println!("short: test");
            }
            std::process::exit(0);
        }
        let run = if given("--bench") && !given("--test") { Self::Full } else { Self::Short };
        // Nothing here may hang, least of all where nobody looks.
        let limit = run.pick(Duration::from_secs(3_600), Duration::from_secs(120));
        std::thread::spawn(move || {
            std::thread::sleep(limit);
            eprintln!("the bench took longer than {limit:?}");
            std::process::exit(1);
        });
        run
    }

    /// One of two, by how far the bench goes.
    pub fn pick<T>(self, full: T, short: T) -> T {
        match self {
            Self::Full => full,
            Self::Short => short,
        }
    }
}

/// The median of some figures and how far they lie apart.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    pub count: usize,
}

impl Spread {
    /// `None` of no figures.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            median: *sorted.get(sorted.len() / 2)?,
            min: *sorted.first()?,
            max: *sorted.last()?,
            count: sorted.len(),
        })
    }

    /// With this unit, as it stands in a row.
    pub fn text(&self, unit: &str) -> String {
        let Self { median, min, max, count } = self;
        if *count == 1 {
            return format!("{median:.2}{unit}");
        }
        let noisy = if max - min > median / 3.0 { ", NOISY" } else { "" };
        format!("{median:.2}{unit} ({min:.2}..{max:.2} in {count} rounds{noisy})")
    }
}

/// The value that so much of the figures (0 to 1) does not exceed.
pub fn quantile(figures: &mut [Duration], part: f64) -> Duration {
    figures.sort_unstable();
    let last = figures.len().saturating_sub(1);
    let index = (figures.len() as f64 * part) as usize;
    figures.get(index.min(last)).copied().unwrap_or_default()
}

pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// `1000000` as `1,000,000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The rows of a bench, printed together at its end.
pub struct Report {
    run: Run,
    rows: Vec<String>,
}

impl Report {
    /// Says what is measured where, and whether the machine is busy with something else.
    pub fn new(run: Run, name: &str, directory: &Path) -> Self {
        if run == Run::Full {
            let cores = std::thread::available_parallelism().map_or(0, usize::from);
            println!(
                "{name}: {cores} cores, {} {}, {}, load {:.2} before",
                std::env::consts::OS,
                read("/proc/sys/kernel/osrelease"),
                file_system(directory),
                load()
            );
            if load() > 0.5 {
                println!("NOISE: other programs are running on this machine");
            }
        }
        Self { run, rows: Vec::new() }
    }

    /// A figure that must reach a target.
    pub fn verdict(
        &mut self,
        what: impl fmt::Display,
        figure: impl fmt::Display,
        target: impl fmt::Display,
        reached: bool,
    ) {
        let verdict = if reached { "reached" } else { "MISSED" };
        self.rows.push(format!("{what}: {figure} (target {target}) {verdict}"));
    }

    /// A figure to compare with: a floor, a control.
    pub fn beside(&mut self, what: impl fmt::Display, figure: impl fmt::Display) {
        self.rows.push(format!("  beside it, {what}: {figure}"));
    }

    /// Prints the rows. A short run proves that the bench works; its figures mean nothing.
    pub fn print(self) {
        if self.run == Run::Short {
            println!("short run, {} rows, all counters right", self.rows.len());
            return;
        }
        println!();
        for row in self.rows {
            println!("{row}");
        }
        println!("load {:.2} after, this bench included", load());
    }
}

/// Tells the person at the terminal how far something is; a log gets the beginning and the end.
pub struct Progress {
    what: String,
    total: u64,
    done: u64,
    began: Instant,
    shown: Instant,
}

impl Progress {
    pub fn new(what: impl Into<String>, total: u64) -> Self {
        let (what, now) = (what.into(), Instant::now());
        if total > QUIET {
            eprintln!("{what}: {} to do", grouped(total));
        }
        Self { what, total, done: 0, began: now, shown: now }
    }

    pub fn step(&mut self) {
        self.done += 1;
        let show = self.done.is_multiple_of(1_000)
            && self.shown.elapsed() > Duration::from_millis(200)
            && std::io::stderr().is_terminal();
        if show {
            self.shown = Instant::now();
            eprint!("\r{}: {} of {} ", self.what, grouped(self.done), grouped(self.total));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.total > QUIET {
            let line = if std::io::stderr().is_terminal() { "\r" } else { "" };
            let took = self.began.elapsed();
            eprintln!("{line}{}: {} done in {took:.1?}", self.what, grouped(self.done));
        }
    }
}

/// Fewer are done before anybody wonders.
const QUIET: u64 = 20_000;

/// A directory for this run, where `std::env::temp_dir` says.
pub fn temp_dir() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("cloakroom-bench-")
        .tempdir()
        .expect("a temporary directory can be made")
}

/// The kind of file system that a directory is on.
pub fn file_system(directory: &Path) -> String {
    match rustix::fs::statfs(directory).map(|stat| stat.f_type) {
        Ok(0xef53) => "ext4".into(),
        Ok(0x0102_1994) => "tmpfs".into(),
        Ok(0x5846_5342) => "xfs".into(),
        Ok(0x9123_683e) => "btrfs".into(),
        Ok(0x794c_7630) => "overlayfs".into(),
        Ok(other) => format!("file system {other:#x}"),
        Err(error) => format!("file system unknown ({error})"),
    }
}

/// The mean number of programs that wanted to run in the last minute.
fn load() -> f64 {
    let text = read("/proc/loadavg");
    let first = text.split(' ').next();
    first.and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}
