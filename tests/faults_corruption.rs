//! No bytes on disk may panic, hang, or show anything but a committed payload of this session.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod rig;

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cloakroom::{Access, FileStore, Hold as _, Key, OpenError};
use rig::golden::{self, HEAD, HEADER, Slot};
use rig::tap::{Answer, Call, Method, Tap, Tapped};
use rig::{child, commit, key, put, read, sys, try_open};

/// A store with one session, whose file a test replaces with other bytes.
struct Bench {
    store: FileStore,
    key: Key,
    place: PathBuf,
    /// Payloads that were committed, the newest first.
    committed: Vec<Vec<u8>>,
    good: Vec<u8>,
    _directory: tempfile::TempDir,
}

/// What an open made of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Newest,
    Previous,
    Absent,
    Corrupt,
}

impl Bench {
    /// A session with so many commits. Each payload names its session and its version.
    fn new(commits: usize) -> Self {
        let directory = rig::directory();
        let store = FileStore::open(directory.path().join("sessions")).unwrap();
        let key = key("the golden session");
        let mut committed = Vec::new();
        for version in 1..=commits {
            let payload = format!("{key}, version {version}").into_bytes();
            put(&store, &key, &payload);
            committed.insert(0, payload);
        }
        committed.truncate(2);
        let place = store.place(&key);
        let good = fs::read(&place).unwrap();
        Self { store, key, place, committed, good, _directory: directory }
    }

    /// Puts these bytes where the session's file is, opens, and judges what came.
    fn judge(&self, bytes: &[u8], access: Access) -> Result<Seen, String> {
        fs::write(&self.place, bytes).unwrap();
        self.judge_what_stands(bytes, access)
    }

    fn judge_what_stands(&self, bytes: &[u8], access: Access) -> Result<Seen, String> {
        match try_open(&self.store, &self.key, access) {
            Ok(mut hold) if hold.record().is_some() => {
                let found = self.committed.iter().position(|p| p == hold.payload());
                let seen = match found {
                    Some(0) => Seen::Newest,
                    Some(_) => Seen::Previous,
                    None => {
                        return Err(format!("a payload nobody committed: {:?}", hold.payload()));
                    }
                };
                if access == Access::Exclusive {
                    commit(&mut hold, b"after").map_err(|e| format!("no commit after it: {e}"))?;
                }
                Ok(seen)
            }
            Ok(hold) if hold.expired() => Err("expired, which it was not".to_owned()),
            Ok(_) if golden::may_be_unborn(bytes) => Ok(Seen::Absent),
            Ok(_) => Err("absent, although it was born".to_owned()),
            Err(OpenError::Corrupt(corrupt)) => {
                if corrupt.key != self.key || corrupt.place != self.place {
                    return Err(format!("the wrong place: {corrupt:?}"));
                }
                if access == Access::Exclusive {
                    self.check_quarantine(corrupt.quarantine, bytes)?;
                }
                Ok(Seen::Corrupt)
            }
            Err(error) => Err(format!("not typed as damage: {error}")),
        }
    }

    fn check_quarantine(&self, moved: Option<PathBuf>, bytes: &[u8]) -> Result<(), String> {
        let moved = moved.ok_or("it was not moved away")?;
        let below = self.store.directory().join("quarantine");
        if moved.parent() != Some(&below) || fs::read(&moved).ok().as_deref() != Some(bytes) {
            return Err(format!("the bytes are not in {}", moved.display()));
        }
        if self.place.exists() {
            return Err("the damaged file is still in the way".to_owned());
        }
        fs::remove_file(moved).unwrap();
        let mut hold = try_open(&self.store, &self.key, Access::Exclusive)
            .map_err(|error| format!("the id is not usable again: {error}"))?;
        commit(&mut hold, b"fresh").map_err(|error| format!("no fresh session: {error}"))?;
        drop(hold);
        match read(&self.store, &self.key, Access::Snapshot) {
            Ok(Some(payload)) if payload == b"fresh" => Ok(()),
            other => Err(format!("the fresh session reads as {other:?}")),
        }
    }
}

/// Judges each of these files with each access; how often each answer came.
fn judge_all(
    bench: &Bench,
    files: impl Iterator<Item = (String, Vec<u8>)> + Clone,
    accesses: &[Access],
) -> [usize; 4] {
    let mut counts = [0; 4];
    for access in accesses {
        for (what, bytes) in files.clone() {
            match bench.judge(&bytes, *access) {
                Ok(seen) => counts[seen as usize] += 1,
                Err(reason) => panic!("{what}, {access}: {reason}"),
            }
        }
    }
    counts
}

fn flips(good: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> + Clone {
    let good = good.to_vec();
    (0..good.len() * 8).map(move |bit| {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        (format!("bit {bit} flipped"), bytes)
    })
}

#[test]
fn a_flipped_bit_in_a_file_of_two_versions_shows_one_of_them() {
    for commits in [2, 3] {
        let bench = Bench::new(commits);
        let [newest, previous, absent, corrupt] =
            judge_all(&bench, flips(&bench.good), &Access::ALL);
        assert!(newest > 0 && previous > 0, "the flips missed a slot");
        assert_eq!((absent, corrupt), (0, 0), "one flip cannot damage both slots");
        // Each bit of the newest slot matters: all of them fall back, in each access.
        let slot = HEADER + bench.committed[0].len();
        assert_eq!(previous, slot * 8 * Access::ALL.len());
    }
}

#[test]
fn a_flipped_bit_in_a_file_of_one_version_shows_it_or_is_damage() {
    let bench = Bench::new(1);
    let [newest, previous, absent, corrupt] = judge_all(&bench, flips(&bench.good), &Access::ALL);
    assert_eq!((previous, absent), (0, 0));
    let slot = HEADER + bench.committed[0].len();
    assert_eq!(corrupt, slot * 8 * Access::ALL.len(), "each bit of the slot matters");
    assert_eq!(newest, (bench.good.len() - slot) * 8 * Access::ALL.len());
}

#[test]
fn a_file_cut_at_any_length_shows_a_version_or_is_damage() {
    for commits in [1, 2, 3] {
        let bench = Bench::new(commits);
        let cuts = (0..bench.good.len()).map(|length| {
            (format!("{commits} commits, cut at {length}"), bench.good[..length].to_vec())
        });
        let [newest, previous, absent, corrupt] = judge_all(&bench, cuts, &Access::ALL);
        assert_eq!((newest, previous), (0, 0), "no shorter file is a session file");
        assert_eq!(absent, Access::ALL.len(), "only the empty file is unborn");
        assert_eq!(corrupt, (bench.good.len() - 1) * Access::ALL.len());
    }
}

#[test]
fn a_file_with_bytes_added_is_damage() {
    let bench = Bench::new(2);
    let longer = [1, 511, 512, 1_024, 4_096].into_iter().map(|extra| {
        let mut bytes = bench.good.clone();
        bytes.resize(bytes.len() + extra, 0);
        (format!("{extra} bytes longer"), bytes)
    });
    let [.., corrupt] = judge_all(&bench, longer, &Access::ALL);
    assert_eq!(corrupt, 5 * Access::ALL.len());
}

#[test]
fn garbage_zeros_and_foreign_files_are_damage_or_unborn() {
    let bench = Bench::new(2);
    let mut random = rig::Random(1);
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for length in [1, 16, 512, 1_535, 1_536, 2_560, 4_096, 70_000] {
        let garbage = (0..length).map(|_| random.next().to_le_bytes()[0]).collect();
        files.push((format!("{length} bytes of garbage"), garbage));
        files.push((format!("{length} zero bytes"), vec![0; length]));
        files.push((format!("{length} bytes 0xff"), vec![0xff; length]));
    }
    files.push(("a pickle".into(), b"(dp0\nS'user'\np1\nS'ada'\np2\ns.".to_vec()));
    files.push(("a shared object".into(), fs::read("/proc/self/exe").unwrap()[..8_192].to_vec()));
    let [newest, previous, absent, corrupt] = judge_all(&bench, files.into_iter(), &Access::ALL);
    assert_eq!((newest, previous), (0, 0));
    // 1,536, 2,560 and 0xff.. : zeros of a session file's length are what a kill leaves of a birth.
    assert!(absent > 0 && corrupt > absent);
}

#[test]
fn a_file_copied_or_swapped_to_another_name_shows_nobody_elses_data() {
    for access in Access::ALL {
        let bench = Bench::new(2);
        let other = key("another session");
        put(&bench.store, &other, b"the other's data");
        let theirs = fs::read(bench.store.place(&other)).unwrap();
        assert_eq!(bench.judge(&theirs, access), Ok(Seen::Corrupt), "copied over, {access}");
        fs::write(&bench.place, &theirs).unwrap();
        fs::write(bench.store.place(&other), &bench.good).unwrap();
        for key in [&bench.key, &other] {
            let opened = try_open(&bench.store, key, access);
            assert!(matches!(opened, Err(OpenError::Corrupt(_))), "swapped, {access}");
        }
    }
}

#[test]
fn one_file_under_two_names_serves_its_own_session_only() {
    let bench = Bench::new(2);
    let other = key("another session");
    fs::create_dir_all(bench.store.place(&other).parent().unwrap()).unwrap();
    fs::hard_link(&bench.place, bench.store.place(&other)).unwrap();
    for access in Access::ALL {
        let opened = try_open(&bench.store, &other, access);
        let absent = opened.as_ref().is_ok_and(|hold| hold.record().is_none());
        assert!(absent || matches!(opened, Err(OpenError::Corrupt(_))), "{access}");
        drop(opened);
        let mine = read(&bench.store, &bench.key, access).unwrap();
        assert_eq!(mine.as_ref(), bench.committed.first(), "{access}");
    }
}

/// A file of one slot that says what the forger wants, with a check that is right.
fn forged(key: &Key, change: impl FnOnce(&mut Slot), payload: &[u8]) -> Vec<u8> {
    let mut slot = Slot::live(512, payload.len().try_into().unwrap());
    change(&mut slot);
    golden::file(512, [&slot.seal(key, payload), &[]])
}

#[test]
fn forged_lengths_kinds_and_formats_are_damage_even_with_a_good_check() {
    let bench = Bench::new(1);
    let key = bench.key;
    let payload = bench.committed[0].clone();
    let mut files = Vec::new();
    for length in [417, 418, 512, 1 << 16, 1 << 31, u32::MAX - 96, u32::MAX] {
        files.push((format!("length {length}"), forged(&key, |s| s.length = length, &payload)));
    }
    for capacity in [0, 1, 95, 96, 511, 513, 1_024, 1 << 31, u32::MAX] {
        let file = forged(&key, |s| s.capacity = capacity, &payload);
        files.push((format!("capacity {capacity}"), file));
    }
    for kind in [0, 5, 256, u32::MAX] {
        files.push((format!("kind {kind}"), forged(&key, |s| s.kind = kind, &payload)));
    }
    files.push(("a newer slot format".into(), forged(&key, |s| s.magic = *b"CRS2", &payload)));
    let mut newer = forged(&key, |s| s.magic = *b"CRS9", &payload);
    newer[..8].copy_from_slice(b"cloakrm9");
    files.push(("a newer file format".into(), newer));
    let count = files.len();
    let [.., corrupt] = judge_all(&bench, files.into_iter(), &Access::ALL);
    assert_eq!(corrupt, count * Access::ALL.len());
}

#[test]
fn forged_numbers_at_their_limits_do_no_harm() {
    let bench = Bench::new(1);
    let payload = bench.committed[0].clone();
    type Change = fn(&mut Slot, u64);
    let fields: [(&str, Change); 7] = [
        ("sequence", |s, n| s.sequence = n),
        ("birth", |s, n| s.birth = n),
        ("version", |s, n| s.version = n),
        ("created", |s, n| s.created = n),
        ("accessed", |s, n| s.accessed = n),
        ("idle", |s, n| s.idle = n),
        ("absolute", |s, n| s.absolute = n),
    ];
    for (field, change) in fields {
        for number in [0, 1, 1 << 31, 1 << 53, (1 << 63) - 1, u64::MAX - 1, u64::MAX] {
            for access in Access::ALL {
                let file = forged(&bench.key, |slot| change(slot, number), &payload);
                fs::write(&bench.place, file).unwrap();
                // The check is right, so this is a session; a short life may be over.
                let mut hold = try_open(&bench.store, &bench.key, access).unwrap();
                assert!(hold.record().is_some() || hold.expired(), "{field} {number}");
                if hold.record().is_some() && access.may_write() {
                    commit(&mut hold, b"next").unwrap();
                }
            }
        }
    }
}

/// The control of this file's rig: bytes that pass the check and were never committed.
#[test]
fn the_judge_catches_a_payload_that_nobody_committed() {
    let bench = Bench::new(2);
    let file = forged(&bench.key, |_| {}, b"a payload from nowhere");
    for access in Access::ALL {
        let judged = bench.judge(&file, access);
        assert!(judged.is_err_and(|reason| reason.contains("nobody committed")), "{access}");
    }
    // And one that is absent without having been unborn: a tombstone.
    let file = forged(&bench.key, |slot| slot.kind = 2, b"");
    assert!(bench.judge(&file, Access::Snapshot).is_err_and(|reason| reason.contains("absent")));
}

#[test]
fn many_random_splices_never_show_a_payload_nobody_committed() {
    let bench = Bench::new(3);
    let mut random = rig::Random(0x5eed);
    let mut counts = [0; 4];
    for round in 0..4_000_u64 {
        let mut bytes = bench.good.clone();
        let length = bytes.len() as u64;
        for _ in 0..=random.below(3) {
            let mut draw = |limit| usize::try_from(random.below(limit)).unwrap();
            let (from, to) = (draw(length), draw(length));
            let count = draw(200).min(bytes.len() - from.max(to));
            match draw(4) {
                0 => bytes.copy_within(from..from + count, to),
                1 => bytes[to..to + count].fill(0),
                2 => bytes[to..to + count].reverse(),
                _ => bytes[to..to + count].iter_mut().for_each(|b| *b = b.wrapping_add(1)),
            }
        }
        let access = Access::ALL[usize::try_from(round % 4).unwrap()];
        match bench.judge(&bytes, access) {
            Ok(seen) => counts[seen as usize] += 1,
            Err(reason) => panic!("seed 0x5eed, round {round}, {access}: {reason}"),
        }
    }
    assert!(counts[0] > 0 && counts[1] > 0 && counts[3] > 0, "too gentle: {counts:?}");
}

#[test]
fn a_sparse_file_of_a_tebibyte_is_damage_and_costs_no_memory() {
    child::alone("a_sparse_file_of_a_tebibyte_is_damage_and_costs_no_memory", || {
        let bench = Bench::new(1);
        let now = fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = now.split(' ').next().unwrap().parse().unwrap();
        // What is mapped now, and 256 MiB more: a giant allocation ends the process.
        sys::Limit::Memory.set(Some(pages * 4_096 + (256 << 20)));
        for access in Access::ALL {
            for size in [1 << 40, (1 << 40) + 512, 1 << 43] {
                fs::write(&bench.place, &bench.good).unwrap();
                let file = fs::OpenOptions::new().write(true).open(&bench.place).unwrap();
                file.set_len(size).unwrap();
                match try_open(&bench.store, &bench.key, access) {
                    Err(OpenError::Corrupt(corrupt)) => assert_eq!(corrupt.place, bench.place),
                    Err(error) => panic!("{size} bytes, {access}: {error}"),
                    Ok(_) => panic!("{size} bytes, {access}: opened"),
                }
            }
        }
    });
}

/// Adds up what is read from files.
#[derive(Default)]
struct Reads(AtomicU64);

impl Tap for Reads {
    fn before(&self, _: &Call<'_>) -> Answer {
        Answer::Pass
    }

    fn after(&self, call: &Call<'_>, done: &std::io::Result<Option<&fs::File>>) {
        if call.method == Method::ReadAt && done.is_ok() {
            let size = call.file.metadata().unwrap().len();
            let read = size.saturating_sub(call.offset).min(call.room as u64);
            self.0.fetch_add(read, Ordering::Relaxed);
        }
    }
}

/// A reader without a lock looks again when a slot is torn. On a file that is damaged for good it
/// must not read all of it a hundred times: with 64 MiB that is half a minute of one request.
#[test]
fn a_large_damaged_file_is_read_a_few_times_and_no_more() {
    let directory = rig::directory();
    let reads = Arc::new(Reads::default());
    let store = FileStore::builder(directory.path().join("sessions"))
        .file_system(Tapped(Arc::clone(&reads)))
        .open()
        .unwrap();
    let key = key("large");
    for access in Access::ALL {
        put(&store, &key, &vec![7; 1 << 20]);
        let place = store.place(&key);
        let file = fs::OpenOptions::new().write(true).open(&place).unwrap();
        file.write_all_at(b"!", (HEAD + HEADER + 500_000) as u64).unwrap();
        let size = file.metadata().unwrap().len();
        reads.0.store(0, Ordering::Relaxed);
        let opened = try_open(&store, &key, access);
        assert!(matches!(opened, Err(OpenError::Corrupt(_))), "{access}");
        let times = reads.0.load(Ordering::Relaxed) / size;
        assert!(times <= 10, "{access}: it was read {times} times over");
    }
}
