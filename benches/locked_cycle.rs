//! The locked cycle of `FileStore`: take a session exclusively, read, commit, release.
//!
//! Measured against the bare system calls of a cycle that opens its file each time, on the same
//! files, and against what others do to survive a crash: a lock file, and a temporary file renamed
//! over the old one. Each sample runs both sides in turns of some hundred cycles, so that what
//! disturbs one disturbs the other. Sessions are drawn uniformly. `CLOAKROOM_BENCH_SESSIONS_MAX`
//! limits how many there are.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench stops at the first thing that goes wrong"
)]

#[expect(dead_code, reason = "each bench uses a part of it")]
mod support;

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::fs::File;
use std::hint::black_box;
use std::time::{Duration, Instant};

use cloakroom::blocking::{Sessions, wait};
use cloakroom::{Access, Calling, FileStore, Hold, Key, OpenRequest, SessionId, Store, Terms};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, StatxFlags};
use support::{Progress, Report, Run, Spread, grouped};

fn main() {
    let run = Run::from_arguments();
    let mut criterion = Criterion::default().configure_from_args();
    let mut report = Report::new(run, "locked cycle", &std::env::temp_dir());
    for sessions in sizes(run) {
        let cloakroom = Cloakroom::new(sessions);
        let name = format!("{} session{}", grouped(sessions as u64), plural(sessions));
        let mut group = criterion.benchmark_group("locked cycle");
        let raw = &|session| cloakroom.raw_cycle(session);
        pace(&mut group, run, Duration::from_secs(2));

        let bytes = &|session| cloakroom.bytes_cycle(session);
        let id = BenchmarkId::new("bytes", sessions);
        let pairs = compare(&mut group, id, &cloakroom.random, TURN, bytes, raw);
        judge(&mut report, "bytes", &name, &pairs, 1.4);

        let typed = &|session| cloakroom.typed_cycle(session);
        let id = BenchmarkId::new("typed", sessions);
        let pairs = compare(&mut group, id, &cloakroom.random, TURN, typed, raw);
        judge(&mut report, "typed session", &name, &pairs, 2.0);

        if sessions <= RENAMED_MAX {
            let others = Renaming::new(&cloakroom);
            let theirs = &|session| others.cycle(session);
            // The others take the better part of each sample.
            pace(&mut group, run, Duration::from_millis(400));
            let id = BenchmarkId::new("bytes, beside rename", sessions);
            let pairs = compare(&mut group, id, &cloakroom.random, TURN, bytes, theirs);
            judge_rename(&mut report, &name, &pairs);
            others.check();
        }
        group.finish();
        cloakroom.check();
        cloakroom.remove();
    }
    criterion.final_summary();
    report.print();
}

/// How many sessions each store has.
fn sizes(run: Run) -> Vec<usize> {
    let max = std::env::var("CLOAKROOM_BENCH_SESSIONS_MAX").ok();
    let max = max.map(|max| max.parse().expect("CLOAKROOM_BENCH_SESSIONS_MAX is a number"));
    let max = max.unwrap_or(1_000_000).clamp(1, run.pick(usize::MAX, 64));
    let mut sizes =
        vec![1, 10_000, 1_000_000].into_iter().map(|size| max.min(size)).collect::<Vec<_>>();
    sizes.dedup();
    sizes
}

/// The largest store that is measured beside renames, which need as many files again.
const RENAMED_MAX: usize = 10_000;

/// So many cycles of one side, then as many of the other.
const TURN: u64 = 256;

fn pace(group: &mut BenchmarkGroup<'_, WallTime>, run: Run, measured: Duration) {
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(20)
        .measurement_time(run.pick(measured, Duration::from_millis(1)))
        .warm_up_time(run.pick(measured / 8, Duration::from_millis(1)));
}

/// What one sample took, on either side.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    cycles: u64,
    ours: Duration,
    theirs: Duration,
}

/// Measures `ours` with criterion, and beside it, in turns, `theirs`.
fn compare(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    random: &Random,
    turn: u64,
    ours: impl Fn(usize),
    theirs: impl Fn(usize),
) -> Vec<Pair> {
    let pairs = RefCell::new(Vec::new());
    let cycles = |count: u64, cycle: &dyn Fn(usize)| {
        let began = Instant::now();
        (0..count).for_each(|_| cycle(random.session()));
        began.elapsed()
    };
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            let mut pair = Pair { cycles: iterations, ..Pair::default() };
            let (mut left, mut we_are_first) = (iterations, true);
            while left > 0 {
                let count = left.min(turn);
                if we_are_first {
                    pair.ours += cycles(count, &ours);
                    pair.theirs += cycles(count, &theirs);
                } else {
                    pair.theirs += cycles(count, &theirs);
                    pair.ours += cycles(count, &ours);
                }
                we_are_first = !we_are_first;
                left -= count;
            }
            pairs.borrow_mut().push(pair);
            pair.ours
        });
    });
    let mut pairs = pairs.into_inner();
    // The warm-up calls differ in length, the samples do not.
    let sample = pairs.last().map_or(0, |pair| pair.cycles);
    pairs.retain(|pair| pair.cycles == sample);
    pairs
}

fn judge(report: &mut Report, what: &str, sessions: &str, pairs: &[Pair], limit: f64) {
    let ratios = pairs.iter().map(|p| p.ours.as_secs_f64() / p.theirs.as_secs_f64());
    // None when criterion was told to run something else.
    let Some(ratio) = Spread::of(ratios) else { return };
    report.verdict(
        format_args!("locked cycle, {what}, {sessions}"),
        format_args!("{} the raw system calls", ratio.text("x")),
        format_args!("<= {limit:.2}x"),
        ratio.median <= limit,
    );
    report.beside("us per cycle", sides(pairs, "raw"));
}

fn judge_rename(report: &mut Report, sessions: &str, pairs: &[Pair]) {
    let ratios = pairs.iter().map(|p| p.theirs.as_secs_f64() / p.ours.as_secs_f64());
    let Some(ratio) = Spread::of(ratios) else { return };
    report.verdict(
        format_args!("locked cycle, bytes, {sessions}"),
        format_args!("{} faster than a lock file and a temporary file renamed", ratio.text("x")),
        ">= 20x",
        ratio.median >= 20.0,
    );
    report.beside("us per cycle", sides(pairs, "renamed"));
}

fn sides(pairs: &[Pair], theirs: &str) -> String {
    let per_cycle = |side: fn(&Pair) -> Duration| {
        let times = pairs.iter().map(|p| side(p).as_secs_f64() * 1e6 / p.cycles as f64);
        Spread::of(times).map(|times| times.text("")).unwrap_or_default()
    };
    let (ours, others) = (per_cycle(|pair| pair.ours), per_cycle(|pair| pair.theirs));
    format!("ours {ours}, {theirs} {others}")
}

/// A store with its sessions. All have the same payload of 256 bytes: ten values, one of them a
/// counter that takes nine bytes whatever it counts, so that both APIs can count in it.
struct Cloakroom {
    sessions: Sessions<FileStore>,
    ids: Vec<SessionId>,
    keys: Vec<Key>,
    paths: Paths,
    payload: Vec<u8>,
    /// Where the counter stands in the payload.
    counter: usize,
    random: Random,
    /// Cycles of this engine; the raw loop writes what it read.
    acknowledged: Cell<u64>,
    root: File,
    directory: tempfile::TempDir,
}

impl Cloakroom {
    fn new(count: usize) -> Self {
        let directory = support::temp_dir();
        let root_path = directory.path().join("sessions");
        let sessions = Sessions::new(FileStore::open(&root_path).expect("the store opens"));
        let store = sessions.store();
        let id = |index: usize| SessionId::from(format!("{index:064x}"));
        let ids: Vec<_> = (0..count).map(id).collect();
        let keys: Vec<_> = ids.iter().map(|id| sessions.key(id)).collect();

        let mut first = sessions.open(&ids[0], Access::Exclusive).expect("it opens");
        first.insert("count", COUNT_START).expect("it is encoded");
        for index in 1..10 {
            let text = "x".repeat(if index == 1 { 23 } else { 19 });
            first.insert(&format!("key{index}"), text).expect("it is encoded");
        }
        first.commit().expect("it is stored");
        let first =
            wait(store.open(&keys[0], OpenRequest::new(Access::Snapshot, Calling::Blocking)));
        let payload = first.expect("it opens").payload().to_vec();
        assert_eq!(payload.len(), 256);
        let counter = payload.windows(8).position(|eight| eight == COUNT_START.to_be_bytes());

        let mut progress = Progress::new("creating sessions", count as u64);
        for key in &keys[1..] {
            let mut hold = exclusive(store, key);
            wait(hold.commit(&payload, Terms::default())).expect("it is stored");
            progress.step();
        }
        drop(progress);
        let paths = keys.iter().map(|key| {
            let place = store.place(key);
            let path = place.strip_prefix(&root_path).expect("it is in the store");
            path.to_str().expect("it is hexadecimal").to_owned()
        });
        Self {
            paths: Paths::new(paths),
            root: File::open(&root_path).expect("the store is a directory"),
            counter: counter.expect("the counter is in the payload"),
            random: Random::new(count),
            acknowledged: Cell::new(0),
            sessions,
            ids,
            keys,
            payload,
            directory,
        }
    }

    fn bytes_cycle(&self, session: usize) {
        let mut hold = exclusive(self.sessions.store(), &self.keys[session]);
        let mut payload = [0; 256];
        payload.copy_from_slice(hold.payload());
        count_up(&mut payload, self.counter);
        wait(hold.commit(&payload, Terms::default())).expect("it is stored");
        self.acknowledged.set(self.acknowledged.get() + 1);
    }

    fn typed_cycle(&self, session: usize) {
        let opened = self.sessions.open(&self.ids[session], Access::Exclusive);
        let mut session = opened.expect("it opens");
        let count: u64 = session.get("count").expect("it is a number").unwrap_or_default();
        session.insert("count", count + 1).expect("it is encoded");
        session.commit().expect("it is stored");
        self.acknowledged.set(self.acknowledged.get() + 1);
    }

    /// The floor: what the kernel does in one cycle, on the very same file.
    fn raw_cycle(&self, session: usize) {
        let path = self.paths.at(session);
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(&self.root, path, flags, Mode::empty());
        let file = file.expect("the file is there");
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).expect("it is free");
        let wanted = StatxFlags::NLINK | StatxFlags::SIZE | StatxFlags::INO;
        let stat = rustix::fs::statx(&file, "", AtFlags::EMPTY_PATH, wanted);
        assert_eq!(stat.expect("the file is open").stx_nlink, 1);
        let mut bytes = [0; FILE];
        let count = rustix::io::pread(&file, &mut bytes, 0).expect("the file is read");
        assert_eq!(count, FILE, "the layout of the file has changed");
        // The second slot, with what stands there: the store stays as it is.
        let slot = &bytes[SLOT..SLOT + SLOT_USED];
        let written = rustix::io::pwrite(&file, slot, SLOT as u64);
        assert_eq!(written, Ok(SLOT_USED));
        rustix::fs::flock(&file, FlockOperation::Unlock).expect("it was locked");
        drop(file);
    }

    fn remove(self) {
        let mut progress = Progress::new("removing sessions", self.keys.len() as u64);
        let root = self.directory.path().join("sessions");
        for session in 0..self.keys.len() {
            let path = self.paths.at(session).to_str().expect("it is hexadecimal");
            std::fs::remove_file(root.join(path)).expect("the session is there");
            progress.step();
        }
    }

    /// Every acknowledged cycle must be in the counters.
    fn check(&self) {
        let request = OpenRequest::new(Access::Snapshot, Calling::Blocking);
        let mut counted = 0;
        let mut progress = Progress::new("counting", self.keys.len() as u64);
        for key in &self.keys {
            let hold = wait(self.sessions.store().open(key, request.clone())).expect("it opens");
            counted += count_in(hold.payload(), self.counter);
            progress.step();
        }
        assert_eq!(counted, self.acknowledged.get(), "an update was lost");
    }
}

/// Bytes of a session file with slots for a payload of 256: head, and two slots.
const FILE: usize = 3 * 512;

/// Where its second slot begins, and what a commit writes there.
const SLOT: usize = 2 * 512;
const SLOT_USED: usize = 96 + 256;

fn exclusive(store: &FileStore, key: &Key) -> impl Hold + use<> {
    let request = OpenRequest::new(Access::Exclusive, Calling::Blocking);
    wait(store.open(key, request)).expect("it opens")
}

/// MessagePack writes so large a number in eight bytes, big end first.
const COUNT_START: u64 = 1 << 40;

fn count_in(payload: &[u8], counter: usize) -> u64 {
    let bytes = payload[counter..].first_chunk().expect("the counter is there");
    u64::from_be_bytes(*bytes) - COUNT_START
}

fn count_up(payload: &mut [u8], counter: usize) {
    let next = COUNT_START + count_in(payload, counter) + 1;
    payload[counter..counter + 8].copy_from_slice(&next.to_be_bytes());
}

/// How others survive a crash: the lock on a file of its own, the new value in a temporary file
/// that is renamed over the old one. No syncs, as in the engine's default.
struct Renaming<'a> {
    cloakroom: &'a Cloakroom,
    locks: Paths,
    drafts: Paths,
    acknowledged: Cell<u64>,
    root: File,
    /// Removed at the end.
    directory: tempfile::TempDir,
}

impl<'a> Renaming<'a> {
    fn new(cloakroom: &'a Cloakroom) -> Self {
        let directory = support::temp_dir();
        let beside = |suffix: &str| {
            let all = 0..cloakroom.keys.len();
            Paths::new(all.map(|session| {
                let path = cloakroom.paths.at(session).to_str();
                format!("{}{suffix}", path.expect("it is hexadecimal"))
            }))
        };
        let root = File::open(directory.path()).expect("it is a directory");
        for session in 0..cloakroom.keys.len() {
            let path = cloakroom.paths.at(session).to_str().expect("it is hexadecimal");
            let path = directory.path().join(path);
            let above = path.parent().expect("it is in a directory");
            std::fs::create_dir_all(above).expect("a directory can be made");
            std::fs::write(&path, &cloakroom.payload).expect("a file can be written");
        }
        Self {
            cloakroom,
            locks: beside(".lock"),
            drafts: beside(".new"),
            acknowledged: Cell::new(0),
            root,
            directory,
        }
    }

    fn cycle(&self, session: usize) {
        let open = |path, flags: OFlags| {
            let mode = Mode::RUSR | Mode::WUSR;
            let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            rustix::fs::openat(&self.root, path, flags, mode).expect("the file opens")
        };
        let path = self.cloakroom.paths.at(session);
        let lock = open(self.locks.at(session), OFlags::RDWR | OFlags::CREATE);
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).expect("it is free");

        let mut payload = [0; 256];
        let old = open(path, OFlags::RDONLY);
        let count = rustix::io::read(&old, &mut payload).expect("the file is read");
        assert_eq!(count, payload.len());
        drop(old);
        count_up(&mut payload, self.cloakroom.counter);

        let draft_path = self.drafts.at(session);
        let draft = open(draft_path, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC);
        assert_eq!(rustix::io::write(&draft, &payload), Ok(payload.len()));
        drop(draft);
        rustix::fs::renameat(&self.root, draft_path, &self.root, path).expect("it is renamed");

        rustix::fs::flock(&lock, FlockOperation::Unlock).expect("it was locked");
        drop(lock);
        self.acknowledged.set(self.acknowledged.get() + 1);
    }

    fn check(&self) {
        let mut counted = 0;
        for session in 0..self.cloakroom.keys.len() {
            let path = self.cloakroom.paths.at(session).to_str();
            let path = self.directory.path().join(path.expect("it is hexadecimal"));
            let payload = std::fs::read(path).expect("the file is read");
            counted += count_in(&payload, self.cloakroom.counter);
        }
        assert_eq!(counted, self.acknowledged.get(), "an update was lost");
    }
}

/// Paths ready for system calls, one behind the other: a million small strings would be a
/// million places in memory.
struct Paths {
    bytes: Vec<u8>,
    stride: usize,
}

impl Paths {
    fn new(paths: impl Iterator<Item = String>) -> Self {
        let (mut bytes, mut stride) = (Vec::new(), 0);
        for path in paths {
            bytes.extend_from_slice(path.as_bytes());
            bytes.push(0);
            stride = path.len() + 1;
        }
        Self { bytes, stride }
    }

    fn at(&self, index: usize) -> &CStr {
        let begin = index * self.stride;
        let path = &self.bytes[begin..begin + self.stride];
        CStr::from_bytes_with_nul(path).expect("it ends with a zero")
    }
}

/// Sessions drawn uniformly (xorshift), the same in every run.
struct Random {
    state: Cell<u64>,
    sessions: u64,
}

impl Random {
    fn new(sessions: usize) -> Self {
        Self { state: Cell::new(0x9e37_79b9_7f4a_7c15), sessions: sessions as u64 }
    }

    fn session(&self) -> usize {
        let mut x = self.state.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.state.set(x);
        black_box((x % self.sessions) as usize)
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
