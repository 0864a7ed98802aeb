//! The queue under a model checker that tries many orders of all threads.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test --lib queue::model --target-dir target/shuttle`
//!
//! What stands behind the queue is a [`Kernel`]: one lock that is granted in any order. A lost
//! wake-up is found as a deadlock, a broken exclusion by the flag that every holder sets.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll};

use shuttle::future::block_on;
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use shuttle::sync::{Condvar, Mutex as ModelMutex};
use shuttle::{rand::Rng as _, thread};

use super::*;
use crate::access::Calling;
use crate::id::SessionId;
use crate::seams::Timestamp;

/// The lock behind the queue, and how many grants are out.
#[derive(Default)]
struct Kernel {
    taken: ModelMutex<bool>,
    freed: Condvar,
    out: AtomicUsize,
}

struct Grant(Arc<Kernel>);

impl Kernel {
    fn try_take(self: &Arc<Self>) -> Option<Grant> {
        let mut taken = self.taken.lock().unwrap();
        if std::mem::replace(&mut *taken, true) {
            return None;
        }
        self.out.fetch_add(1, Ordering::SeqCst);
        Some(Grant(Arc::clone(self)))
    }

    fn take(self: &Arc<Self>) -> Grant {
        let mut taken = self.taken.lock().unwrap();
        while *taken {
            taken = self.freed.wait(taken).unwrap();
        }
        *taken = true;
        self.out.fetch_add(1, Ordering::SeqCst);
        Grant(Arc::clone(self))
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap() = false;
        self.0.out.fetch_sub(1, Ordering::SeqCst);
        self.0.freed.notify_one();
    }
}

/// One process: its queue, and what its holders check.
struct Process {
    queue: Arc<LockQueue<Grant>>,
    kernel: Arc<Kernel>,
    inside: Arc<AtomicBool>,
    turns: AtomicUsize,
}

impl Process {
    fn new(kernel: &Arc<Kernel>, inside: &Arc<AtomicBool>) -> Arc<Self> {
        let hand_over = HandOverLimit { times: 1, span: Duration::MAX };
        Arc::new(Self {
            queue: Arc::new(LockQueue::new(16, hand_over)),
            kernel: Arc::clone(kernel),
            inside: Arc::clone(inside),
            turns: AtomicUsize::new(0),
        })
    }

    /// The way of a session's open: queue, then kernel, by a helper if that blocks. `None`: the
    /// wait was given up after so many polls.
    fn lock(self: &Arc<Self>, polls: Option<usize>) -> Option<(Held<Grant>, Grant)> {
        let mut turn = match self.queue.arrive(&key(), Mode::Exclusive, None, true) {
            Arrival::Turn(turn) => turn,
            Arrival::Wait(wait) => match poll_some(wait, polls)? {
                Outcome::Turn { turn, .. } => turn,
                Outcome::Granted { lock, held } => return Some((held, lock)),
                _ => return None,
            },
            Arrival::Busy | Arrival::Full => return None,
        };
        loop {
            if let Some(grant) = self.kernel.try_take() {
                return Some((turn.settle(), grant));
            }
            let (wait, delivery) = turn.park();
            let kernel = Arc::clone(&self.kernel);
            thread::spawn(move || delivery.grant(kernel.take()));
            match poll_some(wait, polls)? {
                Outcome::Turn { turn: again, .. } => turn = again,
                Outcome::Granted { lock, held } => return Some((held, lock)),
                _ => return None,
            }
        }
    }

    fn hold_once(self: &Arc<Self>, polls: Option<usize>) {
        if let Some((held, grant)) = self.lock(polls) {
            assert!(!self.inside.swap(true, Ordering::SeqCst), "two holders at once");
            thread::yield_now();
            self.inside.store(false, Ordering::SeqCst);
            self.turns.fetch_add(1, Ordering::SeqCst);
            held.release(grant, Timestamp::from_millis(1));
        }
    }

    fn is_empty(&self) -> bool {
        self.queue.shards.iter().all(|shard| shard.lock().is_empty())
    }
}

/// Polls a wait to its end, or gives it up after so many polls.
fn poll_some(wait: Wait<Grant>, polls: Option<usize>) -> Option<Outcome<Grant>> {
    let Some(polls) = polls else { return Some(block_on(wait.outcome(None, Calling::Async))) };
    let mut outcome = pin!(wait.outcome(None, Calling::Async));
    for _ in 0..polls {
        match outcome.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => return Some(outcome),
            Poll::Pending => thread::yield_now(),
        }
    }
    None
}

fn key() -> Key {
    Key::new("", &SessionId::from("model"))
}

fn check(body: impl Fn() + Send + Sync + 'static) {
    let body = Arc::new(body);
    let random = Arc::clone(&body);
    shuttle::check_random(move || random(), 2_000);
    shuttle::check_pct(move || body(), 2_000, 3);
}

fn run(processes: &[&Arc<Process>], parties: &[(usize, Option<usize>)]) {
    let threads: Vec<_> = parties
        .iter()
        .map(|(process, polls)| {
            let (process, polls) = (Arc::clone(processes[*process]), *polls);
            thread::spawn(move || process.hold_once(polls))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Everything is as before: nobody has a place, and no grant is out once the helpers ended.
fn assert_at_rest(processes: &[&Arc<Process>]) {
    let kernel = &processes[0].kernel;
    drop(kernel.take());
    while kernel.out.load(Ordering::SeqCst) > 0 || !processes.iter().all(|p| p.is_empty()) {
        thread::yield_now();
    }
}

#[test]
fn three_threads_of_one_process_exclude_each_other_and_all_get_their_turn() {
    check(|| {
        let process = Process::new(&Arc::default(), &Arc::default());
        run(&[&process], &[(0, None), (0, None), (0, None)]);
        assert_eq!(process.turns.load(Ordering::SeqCst), 3);
        assert_at_rest(&[&process]);
    });
}

#[test]
fn two_processes_exclude_each_other_and_all_their_threads_get_their_turn() {
    check(|| {
        let (kernel, inside) = (Arc::default(), Arc::default());
        let [a, b] = [Process::new(&kernel, &inside), Process::new(&kernel, &inside)];
        run(&[&a, &b], &[(0, None), (1, None), (0, None), (1, None)]);
        assert_eq!(a.turns.load(Ordering::SeqCst) + b.turns.load(Ordering::SeqCst), 4);
        assert_at_rest(&[&a, &b]);
    });
}

#[test]
fn a_wait_given_up_at_any_point_leaves_nothing_behind_and_stops_nobody() {
    check(|| {
        let (kernel, inside) = (Arc::default(), Arc::default());
        let [a, b] = [Process::new(&kernel, &inside), Process::new(&kernel, &inside)];
        let polls = Some(shuttle::rand::thread_rng().gen_range(0..4));
        run(&[&a, &b], &[(0, None), (0, polls), (1, None), (0, polls)]);
        assert_at_rest(&[&a, &b]);
    });
}

#[test]
fn everybody_who_waits_for_a_destroyed_session_is_told() {
    check(|| {
        let process = Process::new(&Arc::default(), &Arc::default());
        let (held, grant) = process.lock(None).unwrap();
        let waiter = {
            let process = Arc::clone(&process);
            thread::spawn(move || drop(process.lock(None)))
        };
        drop(grant);
        held.gone();
        waiter.join().unwrap();
        assert_at_rest(&[&process]);
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_holder_that_forgets_to_call_the_next_one_is_found_out() {
    check(|| {
        let process = Process::new(&Arc::default(), &Arc::default());
        let waiter = Arc::clone(&process);
        let (held, grant) = process.lock(None).unwrap();
        let waiter = thread::spawn(move || waiter.hold_once(None));
        drop(grant);
        std::mem::forget(held);
        waiter.join().unwrap();
    });
}
