//! All that one command measures: its settings, with the defaults filled in.

use std::time::Duration;

use clap::ValueEnum as _;

use super::plan::Limit;
use super::summary::Setting;
use super::workload::{Blend, Workload};
use crate::args::{Api, BenchArgs, Pattern, Patterns};
use crate::mode::Mode;
use crate::store_url::StoreUrl;

/// All that one command measures.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The stores.
    pub stores: Vec<StoreUrl>,
    /// Processes on each.
    pub processes: u32,
    /// When a measurement ends.
    pub limit: Limit,
    /// How often everything is measured.
    pub rounds: u32,
    pub(super) patterns: Patterns,
    /// Empty: those that suit the pattern.
    pub(super) modes: Vec<Mode>,
    pub(super) clients: u32,
    pub(super) sessions: Option<u32>,
    pub(super) payload: usize,
    pub(super) handler: Duration,
    pub(super) skew: f64,
    pub(super) writes: f64,
    pub(super) rate: Option<f64>,
    pub(super) warmup: Duration,
    pub(super) api: Api,
}

impl Suite {
    /// What these arguments ask for.
    pub fn of(args: &BenchArgs) -> Self {
        let patterns = args.pattern.unwrap_or(Patterns::All);
        let (seconds, warmup, rounds) = match patterns {
            Patterns::One(_) => (Duration::from_secs(2), Duration::ZERO, 1),
            Patterns::All => (Duration::from_secs(1), Duration::from_millis(200), 3),
        };
        let stores = match args.store.as_slice() {
            [] => vec![StoreUrl::TEMPORARY],
            stores => stores.to_vec(),
        };
        Self {
            patterns,
            stores,
            modes: args.access.clone(),
            processes: args.processes.unwrap_or(1),
            clients: args.clients.unwrap_or(4),
            sessions: args.sessions,
            payload: args.payload.unwrap_or(256),
            handler: args.handler.unwrap_or(Duration::ZERO),
            skew: args.skew.unwrap_or(0.99),
            writes: args.writes.unwrap_or(10.0),
            rate: args.rate,
            warmup: args.warmup.unwrap_or(warmup),
            limit: args
                .operations
                .map_or_else(|| Limit::Time(args.seconds.unwrap_or(seconds)), Limit::Operations),
            rounds: args.rounds.unwrap_or(rounds),
            api: args.api.unwrap_or(Api::Session),
        }
    }

    /// The patterns.
    pub fn patterns(&self) -> Vec<Pattern> {
        match self.patterns {
            Patterns::One(pattern) => vec![pattern],
            Patterns::All => Pattern::value_variants().to_vec(),
        }
    }

    /// How sessions of this store are taken in this pattern.
    pub fn modes(&self, pattern: Pattern, store: &StoreUrl) -> Vec<Mode> {
        if !self.modes.is_empty() {
            return self.modes.clone();
        }
        store.offered(match pattern {
            Pattern::Hot | Pattern::Spread | Pattern::Zipf | Pattern::Ajax => {
                &[Mode::Exclusive, Mode::Released, Mode::Optimistic, Mode::LastWriteWins]
            }
            Pattern::ReadMostly | Pattern::Mixed => &[
                Mode::Exclusive,
                Mode::Released,
                Mode::Shared,
                Mode::Snapshot,
                Mode::Optimistic,
                Mode::LastWriteWins,
            ],
            // Nobody shares a session there.
            Pattern::Churn => &[Mode::Exclusive, Mode::Optimistic],
        })
    }

    /// The same, if it is the same in all stores, as a command line says it; else none.
    pub fn common_modes(&self, pattern: Pattern) -> Vec<Mode> {
        let mut of_stores = self.stores.iter().map(|store| self.modes(pattern, store));
        let first = of_stores.next().unwrap_or_default();
        if of_stores.all(|modes| modes == first) { first } else { Vec::new() }
    }

    /// What all runs of this pattern have in common.
    pub fn setting(&self, pattern: Pattern) -> Setting {
        let sessions = match pattern {
            Pattern::Hot => 1,
            Pattern::Ajax => self.sessions.unwrap_or(100),
            _ => self.sessions.unwrap_or(1_000),
        };
        let popular = matches!(pattern, Pattern::Zipf | Pattern::ReadMostly | Pattern::Mixed);
        let mostly = matches!(pattern, Pattern::ReadMostly | Pattern::Mixed);
        Setting {
            pattern: pattern.name(),
            processes: self.processes,
            clients: self.clients,
            sessions,
            payload: self.payload,
            handler: self.handler,
            skew: popular.then_some(self.skew),
            writes: mostly.then_some(self.writes),
            rate: self.rate,
            warmup: self.warmup,
            api: self.api,
        }
    }

    /// What the clients do in this pattern.
    pub fn workload(&self, pattern: Pattern) -> Workload {
        let Self { skew, writes, .. } = *self;
        Workload::Steps(match pattern {
            Pattern::Hot => Blend::Hot,
            Pattern::Spread => Blend::Spread,
            Pattern::Zipf => Blend::Zipf { skew },
            Pattern::ReadMostly => Blend::ReadMostly { skew, writes },
            Pattern::Churn => Blend::Churn,
            Pattern::Mixed => Blend::Mixed { skew, writes },
            Pattern::Ajax => return Workload::Pages,
        })
    }

    /// How many measurements there are in all.
    pub fn measurements(&self) -> usize {
        let patterns = self.patterns().into_iter();
        let of_pattern =
            |pattern| self.stores.iter().map(move |store| self.modes(pattern, store).len());
        patterns.flat_map(of_pattern).sum::<usize>() * self.rounds as usize
    }
}
