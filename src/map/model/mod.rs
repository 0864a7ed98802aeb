//! The lock-free part of the store under model checkers: the same source, with the checker's own memory
//! for the mapped files ([`area`]) and tables that are no files ([`tables`]).
//!
//! | checker | what it tries | command |
//! |---|---|---|
//! | loom | all orders of two or three threads, up to a few switches, and stale reads that the memory orderings allow | `RUSTFLAGS='--cfg model="loom"' cargo test --release --lib map_model --target-dir target/loom` |
//! | shuttle | thousands of random orders of more threads, without stale reads | `RUSTFLAGS='--cfg shuttle' cargo test --release --lib map_model --target-dir target/shuttle` |
//!
//! Each thread of a model is a [`Process`](process::Process) of its own: it has nothing in common with the
//! others but heap and tables. It may stop for good at any of its [`steps`].
//!
//! That the models can fail is shown by [`weaken`]: with any one of the orderings in [`order`] or one of its rules
//! left out, a model fails.

#![allow(dead_code, reason = "the models do not use all of it")]

#[path = "../area.rs"]
mod area;
#[path = "../heap.rs"]
mod heap;
#[path = "../index.rs"]
mod index;
#[path = "../order.rs"]
mod order;
#[path = "../size.rs"]
mod size;
#[path = "../table.rs"]
mod table;
#[path = "../word.rs"]
mod word;

mod format;
mod process;
mod seats;
mod steps;
mod tables;

mod commit;
#[cfg(shuttle)]
mod crowd;
mod recycle;
mod rewrite;
mod stop;
mod walk;
mod weaken;

use std::sync::Arc;
#[cfg(model = "loom")]
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(model = "loom")]
use loom::thread;
#[cfg(shuttle)]
use shuttle::thread;

/// Which of two threads of a model is there first. Loom tries all orders of two writes, but of what one
/// thread reads before another one reads and then writes it sees only one: so each is first once.
#[derive(Clone, Copy)]
enum First {
    A,
    B,
}

impl First {
    /// Runs two threads side by side.
    fn run<A: Send + 'static, B: Send + 'static>(
        self,
        a: impl FnOnce() -> A + Send + 'static,
        b: impl FnOnce() -> B + Send + 'static,
    ) -> (A, B) {
        match self {
            Self::A => {
                let b = thread::spawn(b);
                let a = a();
                (a, b.join().unwrap())
            }
            Self::B => {
                let a = thread::spawn(a);
                let b = b();
                (a.join().unwrap(), b)
            }
        }
    }
}

/// Runs a model in many orders of its threads.
#[cfg(model = "loom")]
fn check(body: impl Fn(First) + Send + Sync + 'static) {
    check_with(PREEMPTIONS, body);
}

/// The same with another number of preemptions.
#[cfg(model = "loom")]
fn check_with(preemptions: usize, body: impl Fn(First) + Send + Sync + 'static) {
    let body = Arc::new(body);
    for first in [First::A, First::B] {
        let mut checker = loom::model::Builder::new();
        checker.preemption_bound = checker.preemption_bound.or(Some(preemptions));
        checker.max_branches = 100_000;
        let orders = Arc::new(AtomicUsize::new(0));
        let (body, count) = (Arc::clone(&body), Arc::clone(&orders));
        checker.check(move || {
            count.fetch_add(1, Ordering::Relaxed);
            body(first);
        });
        println!("{} orders", orders.load(Ordering::Relaxed));
    }
}

/// Runs a model of one thread.
#[cfg(model = "loom")]
fn check_alone(body: impl Fn() + Send + Sync + 'static) {
    let mut checker = loom::model::Builder::new();
    checker.max_branches = 100_000;
    checker.check(body);
}

#[cfg(shuttle)]
fn check(body: impl Fn(First) + Send + Sync + 'static) {
    check_times(RUNS, body);
}

/// The same in so many orders of each kind.
#[cfg(shuttle)]
fn check_times(runs: usize, body: impl Fn(First) + Send + Sync + 'static) {
    let body = Arc::new(body);
    let random = Arc::clone(&body);
    shuttle::check_random(move || random(First::A), runs);
    shuttle::check_pct(move || body(First::A), runs, 3);
}

#[cfg(shuttle)]
fn check_alone(body: impl Fn() + Send + Sync + 'static) {
    shuttle::check_random(body, 1);
}

/// How often loom takes the turn away from a thread that could go on; `LOOM_MAX_PREEMPTIONS` overrides
/// it.
#[cfg(model = "loom")]
const PREEMPTIONS: usize = 2;

/// How many orders shuttle tries of each kind.
#[cfg(shuttle)]
const RUNS: usize = 2_000;
