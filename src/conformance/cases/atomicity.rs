//! A reader sees a committed version, whole.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::access::Access;
use crate::conformance::stage::{Stage, key};
use crate::id::Key;
use crate::limits::UPDATE_TRIES;
use crate::store::{Hold as _, Store};

pub(in super::super) fn payloads_of_every_size_come_back_as_they_were<S: Store>(stage: &Stage<S>) {
    let sizes = [
        0,
        1,
        2,
        7,
        8,
        255,
        256,
        257,
        415,
        416,
        417,
        511,
        512,
        513,
        927,
        928,
        929,
        1_023,
        1_024,
        4_000,
        4_095,
        4_096,
        4_097,
        65_535,
        65_536,
        65_537,
        300_000,
        1 << 20,
    ];
    let payload = |size: usize| -> Vec<u8> {
        (0..size).map(|index| (index.wrapping_mul(31) >> 3).to_le_bytes()[0]).collect()
    };
    let resized = key("resized");
    for size in sizes.into_iter().chain(sizes.into_iter().rev()) {
        let payload = payload(size);
        let fresh = key(&format!("of {size} bytes"));
        for key in [&fresh, &resized] {
            stage.put(key, &payload);
            for store in stage.handles() {
                let (_, seen) = stage.seen_in(store, key).expect("it is stored");
                assert!(seen == payload, "{size} bytes come back as they were");
            }
        }
    }
}

pub(in super::super) fn an_empty_payload_is_a_session<S: Store>(stage: &Stage<S>) {
    let key = key("empty");
    let record = stage.put(&key, b"");
    assert_eq!(stage.seen(&key), Some((record, Vec::new())), "it is there, with nothing in it");
}

pub(in super::super) fn readers_during_a_write_storm_see_whole_versions_in_order<S: Store>(
    stage: &Stage<S>,
) {
    for writer in stage.writers() {
        let key = key(&format!("stormed by {writer}"));
        let done = AtomicBool::new(false);
        stage.put(&key, &payload_of(1));
        thread::scope(|scope| {
            let readers: Vec<_> = (0..)
                .zip(stage.readers().into_iter().chain([Access::Snapshot, stage.lookers()[0]]))
                .map(|(number, access)| {
                    let (key, done) = (&key, &done);
                    scope.spawn(move || read_until(stage, key, number, access, done))
                })
                .collect();
            let stored = scope.spawn(|| {
                for version in 2..=COMMITS {
                    let mut hold = stage.open(&key, writer);
                    let record = stage.commit(&mut hold, &payload_of(version));
                    let record =
                        record.unwrap_or_else(|error| panic!("nobody else writes: {error}"));
                    assert_eq!(record.version, version);
                }
            });
            let stored = stored.join();
            done.store(true, Ordering::Release);
            for reader in readers {
                reader.join().expect("a reader sees whole versions");
            }
            stored.expect("the writer goes on");
        });
    }
}

pub(in super::super) fn a_reader_beside_births_and_deaths_sees_a_whole_session_or_none<S: Store>(
    stage: &Stage<S>,
) {
    let key = key("born and dying");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers = [0, 1].map(|number| {
            let (key, done) = (&key, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Acquire) {
                    let hold = stage.open_in(stage.handle(number), key, stage.lookers()[0]);
                    match hold.record() {
                        None => assert!(hold.payload().is_empty()),
                        Some(record) => {
                            assert!(hold.payload() == payload_of(record.version), "it is whole");
                        }
                    }
                }
            })
        });
        let writer = scope.spawn(|| {
            for _ in 0..40 {
                for version in 1..=3 {
                    stage.put(&key, &payload_of(version));
                }
                stage.destroy_key(&key);
            }
        });
        let written = writer.join();
        done.store(true, Ordering::Release);
        readers.into_iter().for_each(|reader| reader.join().expect("a reader sees all or nothing"));
        written.expect("the writer goes on");
    });
}

fn read_until<S: Store>(
    stage: &Stage<S>,
    key: &Key,
    number: usize,
    access: Access,
    done: &AtomicBool,
) {
    let mut last = 0;
    for _ in 0..UPDATE_TRIES * 1_000 {
        let end = done.load(Ordering::Acquire);
        let hold = stage.open_in(stage.handle(number), key, access);
        let version = hold.record().map_or(0, |record| record.version);
        assert!(version >= last, "`{access}` saw version {version} after {last}");
        let payload = payload_of(version);
        let seen = hold.payload();
        assert!(
            seen == payload,
            "`{access}` saw version {version} torn: {} of {} bytes, the first {:?}",
            seen.len(),
            payload.len(),
            seen.first()
        );
        last = version;
        drop(hold);
        if end {
            assert_eq!(last, COMMITS, "the last commit is seen");
            return;
        }
    }
}

/// The payload that goes with a version: from 0 bytes to 100 KiB and back, each byte the version.
fn payload_of(version: u64) -> Vec<u8> {
    let step = (version - 1) % STEPS;
    let height = step.min(STEPS - step);
    let size = usize::try_from(height * (100 << 10) / (STEPS / 2)).expect("it is small");
    vec![version.to_le_bytes()[0]; size]
}

const COMMITS: u64 = 120;
const STEPS: u64 = 40;
