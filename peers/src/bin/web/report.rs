//! What came out: figures, and whether they are what cloakroom promises.

use serde::Serialize;

use crate::app::Kind;
use crate::logout::Logout;
use crate::lost::{Lost, WITH_QUERY};
use crate::machine::Machine;
use crate::speed::Speed;
use crate::support::{Spread, grouped};

#[derive(Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub apps: Vec<AppLine>,
    pub sessions: usize,
    pub clients: usize,
    pub increments: u64,
    pub speed: Vec<Speed>,
    pub lost: Vec<Lost>,
    pub logout: Vec<Logout>,
    pub verdicts: Vec<Verdict>,
}

/// One app: what it is.
#[derive(Debug, Serialize)]
pub struct AppLine {
    pub app: Kind,
    pub title: String,
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

impl Report {
    /// Draws the verdicts from the figures that are there.
    pub fn judge(&mut self) {
        let mut verdicts = Vec::new();
        let mut judge = |what: String, figure: f64, target: f64, at_most: bool| {
            let reached = if at_most { figure <= target } else { figure >= target };
            verdicts.push(Verdict { what, figure, target, at_most, reached });
        };
        let theirs = Kind::TowerSessions;
        if let Some(figure) = self.ratio(Kind::CloakroomFile, theirs) {
            let what = "speed: cloakroom on FileStore over tower-sessions on MemoryStore";
            judge(what.to_owned(), figure, 0.8, false);
        }
        let faults: u64 = self.speed.iter().map(|speed| speed.wrong + speed.refused).sum();
        judge("speed: wrong answers of all apps".to_owned(), faults as f64, 0.0, true);
        // A rig that shows no loss where there are some shows nothing.
        for lost in self.lost.iter().filter(|lost| lost.is_control()) {
            let what = format!("percent of updates lost by {}, with a query", lost.app.name());
            judge(what, lost.percent(), 10.0, false);
        }
        let ours = || self.lost.iter().filter(|lost| lost.app.is_ours());
        if ours().next().is_some() {
            let lost: i64 = ours().map(|ours| ours.lost().max(0)).sum();
            judge("updates lost by cloakroom".to_owned(), lost as f64, 0.0, true);
            // Not a loss, but neither done nor a conflict.
            let failed: u64 = ours().map(Lost::failed).sum();
            judge("updates failed on cloakroom".to_owned(), failed as f64, 0.0, true);
            let ours = self.logout.iter().filter(|logout| logout.app.is_ours());
            let undone = ours.filter(|logout| logout.logged_in).count();
            judge("logouts undone on cloakroom".to_owned(), undone as f64, 0.0, true);
        }
        self.verdicts = verdicts;
    }

    /// The median over the rounds, each with what was measured next to it.
    fn ratio(&self, app: Kind, of: Kind) -> Option<f64> {
        let rates = |kind| self.speed.iter().find(|speed| speed.app == kind);
        let pairs = rates(app)?.rates.iter().zip(&rates(of)?.rates);
        median(pairs.map(|(figure, of)| figure / of))
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
        println!();
        for AppLine { app, title } in &self.apps {
            println!("  {:<16} {title}", app.name());
        }
        self.print_speed();
        self.print_lost();
        self.print_logout();
        println!();
        for Verdict { what, figure, target, at_most, reached } in &self.verdicts {
            let (sign, verdict) =
                (if *at_most { "<=" } else { ">=" }, if *reached { "reached" } else { "MISSED" });
            println!("{what}: {figure:.2} (target {sign} {target}) {verdict}");
        }
    }

    fn print_speed(&self) {
        println!(
            "\nGET /count in {} sessions, {} clients, HTTP/1.1 kept alive over loopback. Requests in a second,",
            grouped(self.sessions as u64),
            self.clients
        );
        println!(
            "the median of the rounds and their range; microseconds of processor time for a request."
        );
        for speed in &self.speed {
            let Some(Spread { median: rate, min, max, .. }) =
                Spread::of(speed.rates.iter().copied())
            else {
                continue;
            };
            let cpu = |of: &[f64]| median(of.iter().copied()).unwrap_or(f64::NAN);
            let over = self.ratio(speed.app, Kind::TowerSessions);
            let over = over.map(|over| format!("  {over:.2} x tower-sessions")).unwrap_or_default();
            println!(
                "  {:<16} {rate:>7.0}  ({min:.0}..{max:.0})  server {:>5.1}  clients {:>5.1}{over}",
                speed.app.name(),
                cpu(&speed.server_us),
                cpu(&speed.client_us),
            );
            if let Some(fault) = &speed.first_fault {
                let Speed { wrong, refused, .. } = speed;
                println!("    {wrong} answers WRONG, {refused} REFUSED; the first: {fault}");
            }
        }
    }

    fn print_lost(&self) {
        println!(
            "\nLost updates: {} clients, each with {} increments, on one session of each round;",
            self.clients, self.increments
        );
        println!("{WITH_QUERY} waits a millisecond between reading the session and writing it");
        for lost in &self.lost {
            let (conflicts, failed) = (lost.conflicts(), lost.failed());
            println!(
                "  {:<16} {:<12} acknowledged {:>6}  lost {:>6} ({:>4.1} %)  conflicts {conflicts}  failed {failed}",
                lost.app.name(),
                lost.route,
                lost.acknowledged(),
                lost.lost(),
                lost.percent(),
            );
            if let Some(failure) = lost.rounds.iter().find_map(|round| round.first_failure.as_ref())
            {
                println!("    the first failure: {failure}");
            }
        }
    }

    fn print_logout(&self) {
        println!(
            "\nLogout while a slow request is between reading its session and writing it; at the end the user is"
        );
        for Logout { app, slow, waited, slow_status, logged_in } in &self.logout {
            let end = if *logged_in { "LOGGED IN AGAIN" } else { "logged out" };
            let logout =
                if *waited { "waited for the slow request" } else { "was answered before" };
            println!(
                "  {:<16} {slow:<16} {end}; the logout {logout}; status of the slow request {slow_status}",
                app.name()
            );
        }
    }
}

fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    Spread::of(figures).map(|spread| spread.median)
}
