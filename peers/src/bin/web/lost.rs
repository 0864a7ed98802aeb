//! How many acknowledged updates get lost: one session, which all clients use at once.
//!
//! Without a pause in the handler, only requests that are in two threads at the same moment can
//! overtake each other; with a query in it, all that are in flight can.

use std::thread;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::app::Kind;
use crate::client::{Client, Jar};
use crate::options::Options;
use crate::server::Server;

/// What came out for one route of an app, of all rounds.
#[derive(Debug, Serialize)]
pub struct Lost {
    pub app: Kind,
    pub route: &'static str,
    pub rounds: Vec<Round>,
}

/// One race for a session of its own.
#[derive(Debug, Default, Serialize)]
pub struct Round {
    /// Increments that were answered with 200.
    pub acknowledged: u64,
    /// Those that were told that another one was faster, 409. Nothing was promised to them.
    pub conflicts: u64,
    /// Those with any other answer.
    pub failed: u64,
    pub first_failure: Option<String>,
    /// Acknowledged increments that the count at the end lacks; below zero, more than was acknowledged.
    pub lost: i64,
}

pub fn measure(servers: &[Server], options: &Options) -> Result<Vec<Lost>> {
    let with_sessions = || servers.iter().filter(|server| server.app.has_sessions());
    let races = || ROUTES.iter().flat_map(|route| with_sessions().map(move |one| (one, *route)));
    let none = |(server, route): (&Server, _)| Lost { app: server.app, route, rounds: Vec::new() };
    let mut all: Vec<_> = races().map(none).collect();
    for round in 1..=options.rounds {
        eprintln!("lost updates: round {round} of {}", options.rounds);
        for ((server, route), lost) in races().zip(&mut all) {
            lost.rounds.push(race(server, route, options)?);
        }
    }
    Ok(all)
}

impl Lost {
    pub fn acknowledged(&self) -> u64 {
        self.rounds.iter().map(|round| round.acknowledged).sum()
    }

    pub fn conflicts(&self) -> u64 {
        self.rounds.iter().map(|round| round.conflicts).sum()
    }

    pub fn failed(&self) -> u64 {
        self.rounds.iter().map(|round| round.failed).sum()
    }

    /// Summed over the rounds.
    pub fn lost(&self) -> i64 {
        self.rounds.iter().map(|round| round.lost).sum()
    }

    /// Whether losses are expected here.
    pub fn is_control(&self) -> bool {
        !self.app.is_ours() && self.route == WITH_QUERY
    }

    /// Of the acknowledged ones.
    pub fn percent(&self) -> f64 {
        self.lost() as f64 * 100.0 / self.acknowledged().max(1) as f64
    }
}

fn race(server: &Server, route: &'static str, options: &Options) -> Result<Round> {
    let mut watcher = Client::connect(server.address)?;
    let mut jar = Jar::default();
    let before = count(&mut watcher, &mut jar)?;
    ensure!(!jar.is_empty(), "the first answer has no cookie");
    let mut clients = Vec::new();
    for _ in 0..options.clients {
        clients.push((Client::connect(server.address)?, jar.clone()));
    }
    let mut all = thread::scope(|scope| -> Result<Round> {
        let run =
            |(client, jar)| scope.spawn(move || increment(client, jar, route, options.increments));
        let threads: Vec<_> = clients.into_iter().map(run).collect();
        threads.into_iter().try_fold(Round::default(), |all, thread| {
            Ok(all.and(thread.join().ok().context("a client panicked")??))
        })
    })?;
    let after = count(&mut watcher, &mut jar)? - 1;
    all.lost = i64::try_from(before + all.acknowledged)? - i64::try_from(after)?;
    Ok(all)
}

/// Makes so many, without a pause, and repeats none.
fn increment(mut client: Client, mut jar: Jar, route: &str, increments: u64) -> Result<Round> {
    let mut round = Round::default();
    for _ in 0..increments {
        let answer = client.get(route, &mut jar)?;
        match answer.status {
            200 => round.acknowledged += 1,
            409 => round.conflicts += 1,
            status => {
                round.failed += 1;
                let failure = || format!("status {status}: {}", answer.text);
                round.first_failure.get_or_insert_with(failure);
            }
        }
    }
    Ok(round)
}

fn count(client: &mut Client, jar: &mut Jar) -> Result<u64> {
    let answer = client.get("/count", jar)?;
    ensure!(answer.status == 200, "status {}: {}", answer.status, answer.text);
    answer.text.parse().with_context(|| format!("{:?} is no count", answer.text))
}

impl Round {
    fn and(self, other: Self) -> Self {
        Self {
            acknowledged: self.acknowledged + other.acknowledged,
            conflicts: self.conflicts + other.conflicts,
            failed: self.failed + other.failed,
            first_failure: self.first_failure.or(other.first_failure),
            lost: self.lost + other.lost,
        }
    }
}

/// Without, and with something to wait for between reading the session and writing it.
const ROUTES: [&str; 2] = ["/count", WITH_QUERY];

pub const WITH_QUERY: &str = "/count/query";
