//! What MapStore promises that needs no other store beside it (those are in `peers/`): what more
//! threads, more processes and more sessions do to it, one session that all want, space, and how
//! fast it opens.
//!
//! `cargo bench --bench lock_free -- hot space` measures only these parts. The parts are
//! uniform, hot, space, memory and large; the last one takes 5 GB. The stores are made where
//! TMPDIR says.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench stops at the first thing that goes wrong"
)]

mod hot;
mod large;
mod memory;
mod space;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "each bench uses a part of it")]
mod support;
mod uniform;

use std::path::Path;
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{Access, Calling, Hold, Key, MapStore, OpenRequest, SessionId, Store, Terms};
use support::children;
use support::{Progress, Report, Run};

/// A part of the bench: how long to run, where, and what it adds to.
type Part = fn(Run, &Path, &mut Report);

fn main() {
    if let Some(role) = children::role(CHILD_LIMIT) {
        return match role[0].as_str() {
            "hot" => hot::serve(&role[1..]),
            "open" => large::serve(&role[1..]),
            _ => uniform::serve(&role[1..]),
        };
    }
    let run = Run::from_arguments();
    let directory = support::temp_dir();
    let mut report = Report::new(run, "lock-free", directory.path());
    let parts: [(&str, Part); 5] = [
        ("uniform", uniform::measure),
        ("hot", hot::measure),
        ("space", space::measure),
        ("memory", memory::measure),
        ("large", large::measure),
    ];
    let is_named = |part: &str| std::env::args().any(|argument| argument == part);
    let is_any_named = parts.iter().any(|(part, _)| is_named(part));
    for (part, measure) in parts {
        if is_named(part) || !is_any_named {
            let directory = directory.path().join(part);
            std::fs::create_dir(&directory).expect("a directory can be made");
            measure(run, &directory, &mut report);
            std::fs::remove_dir_all(&directory).expect("it can be removed");
        }
    }
    report.print();
}

/// A child that takes longer has failed.
const CHILD_LIMIT: Duration = Duration::from_secs(1_800);

/// Bytes of a payload.
const PAYLOAD: usize = 256;

fn open(directory: &Path) -> MapStore {
    MapStore::open(directory).expect("the store opens")
}

/// The id of a session: 64 characters, as the engine's own.
fn id(number: u64) -> SessionId {
    SessionId::from(format!("{number:064x}"))
}

fn key(number: u64) -> Key {
    Key::new("", &id(number))
}

fn take(store: &MapStore, key: &Key, access: Access) -> <MapStore as Store>::Hold {
    wait(store.open(key, OpenRequest::new(access, Calling::Blocking))).expect("the session opens")
}

/// The payload of a session: how often it was committed, and which one it is.
fn payload(count: u64, number: u64) -> [u8; PAYLOAD] {
    let mut payload = [0x5a; PAYLOAD];
    payload[..8].copy_from_slice(&count.to_le_bytes());
    payload[8..16].copy_from_slice(&number.to_le_bytes());
    payload
}

/// How often the session was committed; fails if it is another one.
fn count(payload: &[u8], number: u64) -> u64 {
    let word = |index: usize| {
        let bytes = payload.get(index * 8..).and_then(|bytes| bytes.first_chunk());
        u64::from_le_bytes(*bytes.expect("the session is there, and whole"))
    };
    assert_eq!(word(1), number, "a session has another's payload");
    word(0)
}

/// Creates the sessions from `from` to `to`.
fn fill(store: &MapStore, from: u64, to: u64) {
    let mut progress = Progress::new("filling the store", to - from);
    for number in from..to {
        let mut session = take(store, &key(number), Access::Optimistic);
        let committed = wait(session.commit(&payload(0, number), Terms::default()));
        committed.expect("the session is stored");
        progress.step();
    }
}

/// Numbers below a limit, at random, the same in each run.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * u128::from(limit)) >> 64) as u64
    }
}
