//! What one process of a run has to do.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::workload::Workload;
use crate::args::Api;
use crate::driver::Ticket;
use crate::mode::Mode;
use crate::store_url::StoreUrl;

/// What one process of a run has to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The store, with its directory.
    pub store: StoreUrl,
    /// Through which interface.
    pub api: Api,
    /// How to take sessions.
    pub mode: Mode,
    /// Which session when.
    pub workload: Workload,
    /// The name of the run, part of the sessions' ids.
    pub run: String,
    /// How many sessions there are.
    pub sessions: u32,
    /// Which process this is, from 0.
    pub process: u32,
    /// How many processes there are.
    pub processes: u32,
    /// How many clients this one has.
    pub clients: u32,
    /// Bytes in a session that is created on the way.
    pub payload: usize,
    /// The work between reading and storing.
    pub handler: Handler,
    /// When to stop.
    pub limit: Limit,
    /// How long to run before that, unmeasured.
    pub warmup: Duration,
    /// Operations per second of all processes, whether or not earlier ones have been answered;
    /// none: each client waits for its answer first.
    pub rate: Option<f64>,
    /// How long to wait for a lock at most.
    pub lock_wait: Duration,
    /// Seed of everything random.
    pub seed: u64,
    /// How many holds each client times, to be compared with those of others.
    pub holds_timed: usize,
}

impl Plan {
    /// The sessions' tickets.
    pub fn tickets(&self) -> Vec<Ticket> {
        (0..self.sessions).map(|number| Ticket::new(&self.run, number)).collect()
    }

    /// The plans of all processes, given that of the first.
    pub fn of_processes(&self) -> Vec<Self> {
        let of_process = |process| Self {
            process,
            limit: self.limit.part(process, self.processes),
            ..self.clone()
        };
        (0..self.processes).map(of_process).collect()
    }
}

/// The work between reading and storing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Handler {
    /// Always as long.
    Fixed(Duration),
    /// A random time up to this.
    Random(Duration),
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// After this time.
    Time(Duration),
    /// After so many operations.
    Operations(u64),
}

impl Limit {
    /// The share of one process: all the time, or a fair part of the operations.
    const fn part(self, process: u32, processes: u32) -> Self {
        match self {
            Self::Time(time) => Self::Time(time),
            Self::Operations(all) => {
                let (each, more) = (all / processes as u64, all % processes as u64);
                Self::Operations(each + ((process as u64) < more) as u64)
            }
        }
    }
}

#[cfg(test)]
impl Plan {
    /// One client that takes one session so often, without a handler.
    pub fn example(operations: u64) -> Self {
        use super::workload::Blend;
        Self {
            store: StoreUrl::Memory,
            api: Api::Bytes,
            mode: Mode::Exclusive,
            workload: Workload::Steps(Blend::Hot),
            run: "example".to_owned(),
            sessions: 1,
            process: 0,
            processes: 1,
            clients: 1,
            payload: 64,
            handler: Handler::Fixed(Duration::ZERO),
            limit: Limit::Operations(operations),
            warmup: Duration::ZERO,
            rate: None,
            lock_wait: Duration::from_secs(1),
            seed: 1,
            holds_timed: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_share_all_operations() {
        for all in [1, 7, 8, 1_000] {
            let parts = (0..3).map(|process| Limit::Operations(all).part(process, 3));
            let sum: u64 = parts
                .map(|part| match part {
                    Limit::Operations(operations) => operations,
                    Limit::Time(_) => 0,
                })
                .sum();
            assert_eq!(sum, all);
        }
    }
}
