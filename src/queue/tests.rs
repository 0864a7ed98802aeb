//! What the queue promises, without a kernel behind it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Instant;

use super::*;
use crate::access::Calling;
use crate::blocking::wait;
use crate::error::OpenError;
use crate::id::SessionId;
use crate::seams::Timestamp;

type Queue = Arc<LockQueue<Lock>>;

const LATER: Timestamp = Timestamp::from_millis(1);

/// Counts its drops: an unlock.
struct Lock(Arc<Mutex<usize>>);

impl Drop for Lock {
    fn drop(&mut self) {
        *self.0.lock() += 1;
    }
}

fn queue(times: u32) -> (Queue, Key, Arc<Mutex<usize>>) {
    let limit = HandOverLimit { times, span: Duration::MAX };
    (Arc::new(LockQueue::new(3, limit)), Key::new("", &SessionId::from("a")), Arc::default())
}

fn turn(queue: &Queue, key: &Key, mode: Mode) -> Turn<Lock> {
    match queue.arrive(key, mode, None, true) {
        Arrival::Turn(turn) => turn,
        _ => panic!("the lock is not free"),
    }
}

fn waiting(queue: &Queue, key: &Key, mode: Mode) -> Wait<Lock> {
    match queue.arrive(key, mode, None, true) {
        Arrival::Wait(wait) => wait,
        _ => panic!("there is nobody to wait for"),
    }
}

fn outcome(waiting: Wait<Lock>) -> Outcome<Lock> {
    let now = Some(Instant::now());
    wait(waiting.outcome(now, Calling::Blocking))
}

fn is_at_rest(queue: &Queue) -> bool {
    queue.shards.iter().all(|shard| shard.lock().is_empty())
}

#[test]
fn the_lock_goes_to_the_waiters_in_the_order_they_came() {
    let (queue, key, unlocks) = queue(10);
    let held = turn(&queue, &key, Mode::Exclusive).settle();
    let [first, second] = [(); 2].map(|()| waiting(&queue, &key, Mode::Exclusive));
    held.release(Lock(Arc::clone(&unlocks)), LATER);
    let Outcome::TimedOut = outcome(second) else { panic!("the second was before the first") };
    let Outcome::Granted { lock, held } = outcome(first) else { panic!("nothing was granted") };
    assert_eq!(*unlocks.lock(), 0, "the lock was let go between two waiters");
    held.release(lock, LATER);
    assert_eq!(*unlocks.lock(), 1);
    assert!(is_at_rest(&queue));
}

#[test]
fn after_so_many_hand_overs_the_lock_is_let_go_before_the_next_is_called() {
    let (queue, key, unlocks) = queue(1);
    let mut held = turn(&queue, &key, Mode::Exclusive).settle();
    let [first, second] = [(); 2].map(|()| waiting(&queue, &key, Mode::Exclusive));
    held.release(Lock(Arc::clone(&unlocks)), LATER);
    let Outcome::Granted { lock, held: next } = outcome(first) else { panic!("not granted") };
    held = next;
    held.release(lock, LATER);
    let Outcome::Turn { turn, alive_until } = outcome(second) else { panic!("not called") };
    assert_eq!(alive_until, Some(LATER));
    assert_eq!(*unlocks.lock(), 1);
    drop(turn);
    assert!(is_at_rest(&queue));
}

#[test]
fn readers_hold_together_and_none_passes_a_waiting_writer() {
    let (queue, key, unlocks) = queue(10);
    let readers = [(); 2].map(|()| turn(&queue, &key, Mode::Shared).settle());
    let writer = waiting(&queue, &key, Mode::Exclusive);
    let late = waiting(&queue, &key, Mode::Shared);
    for reader in readers {
        reader.release(Lock(Arc::clone(&unlocks)), LATER);
    }
    let Outcome::TimedOut = outcome(late) else { panic!("a reader passed the writer") };
    let Outcome::Turn { .. } = outcome(writer) else { panic!("the writer was not called") };
    assert!(is_at_rest(&queue));
}

#[test]
fn a_writer_that_gives_up_lets_the_readers_behind_it_go() {
    let (queue, key, _) = queue(10);
    let _reader = turn(&queue, &key, Mode::Shared).settle();
    let writer = waiting(&queue, &key, Mode::Exclusive);
    let reader = waiting(&queue, &key, Mode::Shared);
    drop(writer);
    assert!(matches!(outcome(reader), Outcome::Turn { .. }));
}

#[test]
fn a_delivery_goes_to_whoever_is_first_when_it_arrives() {
    let (queue, key, unlocks) = queue(10);
    let (impatient, delivery) = turn(&queue, &key, Mode::Exclusive).park();
    let patient = waiting(&queue, &key, Mode::Exclusive);
    drop(impatient);
    delivery.grant(Lock(Arc::clone(&unlocks)));
    assert!(matches!(outcome(patient), Outcome::Granted { .. }));
    assert!(is_at_rest(&queue));
}

#[test]
fn a_delivery_that_nobody_waits_for_is_let_go_at_once() {
    let (queue, key, unlocks) = queue(10);
    let (impatient, delivery) = turn(&queue, &key, Mode::Exclusive).park();
    drop(impatient);
    delivery.grant(Lock(Arc::clone(&unlocks)));
    assert_eq!(*unlocks.lock(), 1);
    assert!(is_at_rest(&queue));
}

#[test]
fn a_delivery_for_a_writer_is_none_for_a_reader() {
    let (queue, key, unlocks) = queue(10);
    let (writer, delivery) = turn(&queue, &key, Mode::Exclusive).park();
    let reader = waiting(&queue, &key, Mode::Shared);
    drop(writer);
    delivery.grant(Lock(Arc::clone(&unlocks)));
    assert_eq!(*unlocks.lock(), 1);
    assert!(matches!(outcome(reader), Outcome::Turn { .. }));
}

#[test]
fn a_delivery_that_never_comes_is_an_error_for_the_first_and_a_turn_for_the_next() {
    let (queue, key, _) = queue(10);
    let (first, delivery) = turn(&queue, &key, Mode::Exclusive).park();
    let second = waiting(&queue, &key, Mode::Exclusive);
    drop(delivery);
    assert!(matches!(outcome(first), Outcome::Failed(OpenError::Io(_))));
    assert!(matches!(outcome(second), Outcome::Turn { .. }));
    assert!(is_at_rest(&queue));
}

#[test]
fn a_grant_that_was_not_taken_up_is_let_go() {
    let (queue, key, unlocks) = queue(10);
    let held = turn(&queue, &key, Mode::Exclusive).settle();
    let cancelled = waiting(&queue, &key, Mode::Exclusive);
    held.release(Lock(Arc::clone(&unlocks)), LATER);
    drop(cancelled);
    assert_eq!(*unlocks.lock(), 1);
    assert!(is_at_rest(&queue));
}

#[test]
fn everybody_who_waits_hears_that_the_session_is_gone() {
    let (queue, key, _) = queue(10);
    let held = turn(&queue, &key, Mode::Exclusive).settle();
    let waiters = [(); 3].map(|()| waiting(&queue, &key, Mode::Exclusive));
    held.gone();
    for waiter in waiters {
        assert!(matches!(outcome(waiter), Outcome::Gone));
    }
    assert!(is_at_rest(&queue));
}

#[test]
fn one_more_waiter_than_may_wait_is_told_at_once() {
    let (queue, key, _) = queue(10);
    let _held = turn(&queue, &key, Mode::Exclusive).settle();
    let _waiters = [(); 3].map(|()| waiting(&queue, &key, Mode::Exclusive));
    assert!(matches!(queue.arrive(&key, Mode::Exclusive, None, true), Arrival::Full));
}

#[test]
fn the_holder_is_known_by_its_label() {
    let (queue, key, _) = queue(10);
    assert!(queue.holder(&key).is_none());
    let label = Some("GET /cart".into());
    let Arrival::Turn(turn) = queue.arrive(&key, Mode::Exclusive, label, true) else { panic!() };
    let _held = turn.settle();
    let holder = queue.holder(&key).unwrap();
    assert_eq!(holder.label.as_deref(), Some("GET /cart"));
    assert_eq!(holder.pid, std::process::id());
}
