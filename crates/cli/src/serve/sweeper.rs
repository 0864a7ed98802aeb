//! Removes expired sessions while the server serves.

use std::time::Duration;

use cloakroom::SweepBudget;
use tokio::time::{self, MissedTickBehavior};

use super::keeper::Sweep;
use crate::report::output::complain;

/// Sweeps these stores once a minute.
pub async fn sweep_for_ever(stores: Vec<Sweep>) {
    let mut minutes = time::interval(PAUSE);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        minutes.tick().await;
        for store in &stores {
            sweep(store).await;
        }
    }
}

/// Sweeps a store in steps, so that requests get their turn in between.
async fn sweep(store: &Sweep) {
    for _ in 0..STEPS_MAX {
        match store(STEP).await {
            Ok(Some(swept)) if !swept.complete => tokio::task::yield_now().await,
            Ok(_) => return,
            Err(error) => {
                complain(&format!("warning: failed to sweep the store: {error}; trying again"));
                return;
            }
        }
    }
}

const PAUSE: Duration = Duration::from_secs(60);

const STEP: SweepBudget = SweepBudget { sessions: 1_000 };

/// A store that grows faster than it is swept is left until the next minute.
const STEPS_MAX: usize = 10_000;
