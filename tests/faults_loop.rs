//! The operating system refuses the first call, the second, the third, ...: every run ends in
//! success or a typed error, no session is lost, and no refusal is swallowed but those listed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Calling, CommitError, Durability, FileStore, Hold as _, Key, Lifetime, OpenError,
    OpenRequest, Store as _, SweepBudget, Terms,
};
use rig::tap::{Answer, Call, Method, Tap, Tapped};
use rig::{SetClock, errno, key};

/// What happens to the k-th call of a method, or from it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault {
    method: Method,
    answer: Answer,
    nth: usize,
    forever: bool,
}

/// A road on which calls are counted and one of them, or all from it on, meet a fault.
#[derive(Default)]
struct Road(Mutex<Traffic>);

#[derive(Default)]
struct Traffic {
    fault: Option<Fault>,
    /// A planted bug: no write of this length and offset is made, though success is told.
    lost_writes: Option<fn(&Call<'_>) -> bool>,
    count: usize,
    operation: &'static str,
    /// Where faults were met.
    met: Vec<Site>,
}

/// A place in the engine, as seen from outside.
type Site = (&'static str, Method, &'static str);

impl Road {
    fn set(&self, fault: Option<Fault>) {
        *self.0.lock().unwrap() = Traffic { fault, ..Traffic::default() };
    }

    fn during(&self, operation: &'static str) {
        self.0.lock().unwrap().operation = operation;
    }

    fn met(&self) -> Vec<Site> {
        self.0.lock().unwrap().met.clone()
    }
}

impl Tap for Road {
    fn before(&self, call: &Call<'_>) -> Answer {
        let mut traffic = self.0.lock().unwrap();
        if call.method == Method::WriteAt && traffic.lost_writes.is_some_and(|lost| lost(call)) {
            return Answer::Pretend;
        }
        let Some(fault) = traffic.fault.filter(|fault| fault.method == call.method) else {
            return Answer::Pass;
        };
        traffic.count += 1;
        let hit = traffic.count == fault.nth || fault.forever && traffic.count > fault.nth;
        if !hit {
            return Answer::Pass;
        }
        let site = (traffic.operation, call.method, what(call));
        traffic.met.push(site);
        fault.answer
    }
}

/// What a call is about, as far as it can be seen from outside.
fn what(call: &Call<'_>) -> &'static str {
    let name = call.path.map(Path::to_string_lossy).unwrap_or_default();
    match call.method {
        Method::WriteAt if call.offset == 0 => "mark",
        Method::WriteAt if call.offset == 48 => "synced cell",
        Method::WriteAt if call.offset < 512 => "touch cell",
        Method::WriteAt if call.bytes.iter().all(|byte| *byte == 0) => "withdrawal",
        Method::WriteAt => match call.bytes.get(12) {
            Some(2) => "tombstone",
            Some(3) => "moved",
            _ => "slot",
        },
        _ if name.ends_with(".new") => "growth file",
        _ if name == "gate" => "gate",
        _ if name.starts_with("quarantine") => "quarantine",
        _ => "",
    }
}

/// What may stand under each key.
#[derive(Default)]
struct Model(BTreeMap<Key, BTreeSet<Option<Vec<u8>>>>);

impl Model {
    fn of(&mut self, key: &Key) -> &mut BTreeSet<Option<Vec<u8>>> {
        self.0.entry(*key).or_insert_with(|| BTreeSet::from([None]))
    }

    /// Something was seen: it is one of what may stand, and from now on it alone.
    fn see(&mut self, key: &Key, seen: Option<&[u8]>) -> Option<Vec<u8>> {
        let seen = seen.map(<[u8]>::to_vec);
        let possible = self.of(key);
        assert!(possible.contains(&seen), "{key}: {seen:?} was seen, possible was {possible:?}");
        *possible = BTreeSet::from([seen.clone()]);
        seen
    }

    fn set(&mut self, key: &Key, states: impl IntoIterator<Item = Option<Vec<u8>>>) {
        *self.of(key) = states.into_iter().collect();
    }
}

/// One run of the workload on a store of its own.
struct Run {
    _directory: tempfile::TempDir,
    road: Arc<Road>,
    clock: SetClock,
    store: FileStore,
    calling: Calling,
    model: Model,
    /// A refusal leaves exactly the old value. Where several meet, the withdrawal of a part may
    /// fail too: old or attempted.
    strict: bool,
    /// A renew with a grace succeeded.
    retired: bool,
    /// Operations that reported an error.
    told: Vec<(&'static str, Option<i32>, String)>,
}

const START: u64 = 1_700_000_000_000;

impl Run {
    fn new(durability: Durability, calling: Calling, strict: bool) -> Self {
        let directory = rig::directory();
        let road = Arc::new(Road::default());
        let clock = SetClock::at(START);
        // Without kept files each file is opened anew; with them, more ways lead to each call.
        let open_files = if calling == Calling::Async { 0 } else { 64 };
        let store = FileStore::builder(directory.path().join("sessions"))
            .durability(durability)
            .open_files(open_files)
            .clock(clock.clone())
            .file_system(Tapped(Arc::clone(&road)))
            .open()
            .unwrap();
        let (model, retired, told) = (Model::default(), false, Vec::new());
        Self { _directory: directory, road, clock, store, calling, model, strict, retired, told }
    }

    fn tell(&mut self, operation: &'static str, error: &(dyn Error + 'static)) {
        self.told.push((operation, errno(error), error.to_string()));
    }

    fn open(&mut self, operation: &'static str, key: &Key, access: Access) -> Option<rig::Held> {
        self.road.during(operation);
        let request = OpenRequest::new(access, self.calling).wait(Duration::ZERO);
        match wait(self.store.open(key, request)) {
            Ok(hold) => {
                self.model.see(key, hold.record().map(|_| hold.payload()));
                Some(hold)
            }
            Err(error) => {
                assert!(!matches!(error, OpenError::Corrupt(_)), "{operation}: {error}");
                self.tell(operation, &error);
                None
            }
        }
    }

    fn commit(&mut self, operation: &'static str, key: &Key, access: Access, payload: &[u8]) {
        let Some(mut hold) = self.open(operation, key, access) else { return };
        let old = hold.record().map(|_| hold.payload().to_vec());
        if hold.record().is_some_and(|record| record.retired_until.is_some()) {
            return;
        }
        match wait(hold.commit(payload, Terms::default())) {
            Ok(_) => self.model.set(key, [Some(payload.to_vec())]),
            Err(error) => {
                self.tell(operation, &error);
                let kept = hold.record().map(|_| hold.payload().to_vec());
                assert_eq!(kept, old, "{operation}: the hold shows what was not committed");
                self.refused(key, old, Some(payload.to_vec()));
            }
        }
    }

    fn refused(&mut self, key: &Key, old: Option<Vec<u8>>, attempted: Option<Vec<u8>>) {
        let attempted = (!self.strict).then_some(attempted);
        self.model.set(key, [Some(old), attempted].into_iter().flatten());
    }

    fn read(&mut self, operation: &'static str, key: &Key, access: Access) {
        self.open(operation, key, access);
    }

    fn touch(&mut self, operation: &'static str, key: &Key) {
        let Some(mut hold) = self.open(operation, key, Access::Snapshot) else { return };
        if let Err(error) = wait(hold.touch()) {
            self.tell(operation, &error);
        }
    }

    fn destroy(&mut self, operation: &'static str, key: &Key, access: Access) {
        let Some(mut hold) = self.open(operation, key, access) else { return };
        let old = hold.record().map(|_| hold.payload().to_vec());
        match wait(hold.destroy()) {
            Ok(()) => self.model.set(key, [None]),
            Err(error) => {
                self.tell(operation, &error);
                self.refused(key, old, None);
            }
        }
    }

    fn renew(&mut self, operation: &'static str, [old, new]: [&Key; 2], grace: Duration) {
        let Some(mut hold) = self.open(operation, old, Access::Exclusive) else { return };
        let before = hold.record().map(|_| hold.payload().to_vec());
        if hold.record().is_none_or(|record| record.retired_until.is_some()) {
            return;
        }
        let payload = b"renewed".to_vec();
        let after = before.clone().filter(|_| !grace.is_zero());
        match wait(hold.renew(new, &payload, Lifetime::default(), grace)) {
            Ok(_) => {
                self.retired |= !grace.is_zero();
                self.model.set(new, [Some(payload)]);
                self.model.set(old, [after]);
            }
            Err(error) => {
                self.tell(operation, &error);
                self.refused(old, before, after);
                // Nobody was told the new id. A poisoned handle writes no tombstone for it either:
                // then it stays until it expires.
                let strict = self.strict;
                self.strict &= !matches!(error, CommitError::SyncFailed(_));
                self.refused(new, None, Some(payload));
                self.strict = strict;
            }
        }
    }

    fn sweep(&mut self, operation: &'static str) {
        self.road.during(operation);
        match wait(self.store.sweep(SweepBudget { sessions: usize::MAX }, self.calling)) {
            Ok(swept) if swept.failed == 0 => assert!(swept.complete),
            Ok(swept) => self.told.push((operation, None, format!("{swept:?}"))),
            Err(error) => self.tell(operation, &error),
        }
    }

    /// Takes a file that was damaged; it moves to the quarantine, or stays and says so.
    fn quarantine(&mut self, operation: &'static str, key: &Key, access: Access) {
        self.road.during(operation);
        let place = self.store.place(key);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, b"garbage").unwrap();
        let request = OpenRequest::new(access, self.calling).wait(Duration::ZERO);
        match wait(self.store.open(key, request)) {
            Err(OpenError::Corrupt(corrupt)) if corrupt.quarantine.is_none() => {
                self.told.push((operation, None, corrupt.to_string()));
            }
            Err(OpenError::Corrupt(_)) => {}
            Err(error) => self.tell(operation, &error),
            Ok(_) => panic!("{operation}: garbage was opened"),
        }
        if place.exists() {
            fs::remove_file(place).unwrap();
        }
    }

    fn workload(&mut self) {
        let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(key);
        self.commit("birth", &a, Access::Exclusive, b"one");
        self.commit("second", &a, Access::Exclusive, b"two");
        self.commit("third", &a, Access::Exclusive, b"three");
        self.touch("touch", &a);
        self.commit("growth", &a, Access::Exclusive, &[4; 1_000]);
        self.commit("after growth", &a, Access::Optimistic, &[5; 900]);
        self.read("shared", &a, Access::Shared);
        self.read("snapshot", &a, Access::Snapshot);
        self.renew("renew with grace", [&a, &b], Duration::from_secs(60));
        self.renew("renew", [&b, &c], Duration::ZERO);
        self.commit("after renew", &c, Access::Exclusive, b"eight");
        self.commit("optimistic birth", &d, Access::Optimistic, b"ten");
        self.destroy("optimistic destroy", &d, Access::Optimistic);
        self.commit("birth again", &d, Access::Exclusive, &[9; 700]);
        self.destroy("destroy", &c, Access::Exclusive);
        self.quarantine("quarantine", &e, Access::Exclusive);
        self.quarantine("quarantine unlocked", &e, Access::Snapshot);
        // The grace of `a` is over, the rest lives.
        self.clock.set(START + 61_000);
        if self.retired {
            self.model.set(&a, [None]);
        } else if !self.strict {
            self.model.of(&a).insert(None);
        }
        self.sweep("sweep");
    }

    /// Looks at everything with a healthy store: what stands may stand, and all of it works.
    fn check(&mut self) {
        let root = self.store.directory().to_owned();
        let store = FileStore::builder(&root).clock(self.clock.clone()).open().unwrap();
        let keys: Vec<Key> = self.model.0.keys().copied().collect();
        for key in &keys {
            for access in Access::ALL {
                let hold = rig::try_open(&store, key, access).unwrap();
                self.model.see(key, hold.record().map(|_| hold.payload()));
            }
        }
        let swept = rig::sweep(&store).unwrap();
        assert!(swept.complete && swept.failed == 0 && swept.in_use == 0, "{swept:?}");
        let files: BTreeSet<PathBuf> = rig::names(&root)
            .into_iter()
            .filter(|path| root.join(path).is_file() && !path.starts_with("quarantine"))
            .collect();
        let mut due = BTreeSet::from([PathBuf::from("store.toml")]);
        for key in &keys {
            if self
                .model
                .see(key, rig::read(&store, key, Access::Snapshot).unwrap().as_deref())
                .is_some()
            {
                due.insert(store.place(key).strip_prefix(&root).unwrap().to_owned());
            }
        }
        due.extend(files.get(Path::new("gate")).cloned());
        assert_eq!(files, due, "leftovers, or a session without its file");
        for key in &keys {
            let mut hold = rig::try_open(&store, key, Access::Exclusive).unwrap();
            if hold.record().is_some_and(|record| record.retired_until.is_some()) {
                rig::destroy(&mut hold).unwrap();
                drop(hold);
                hold = rig::try_open(&store, key, Access::Exclusive).unwrap();
            }
            rig::commit(&mut hold, b"works again").unwrap();
        }
    }
}

/// The errors that each method meets in real life.
const REFUSALS: [(Method, &[i32]); 15] = [
    (Method::Open, &[libc::EMFILE, libc::EACCES, libc::EIO]),
    (Method::ReadAt, &[libc::EIO]),
    (Method::WriteAt, &[libc::ENOSPC, libc::EDQUOT, libc::EIO]),
    (Method::SetSize, &[libc::EFBIG, libc::ENOSPC, libc::EIO]),
    (Method::Sync, &[libc::EIO, libc::ENOSPC]),
    (Method::SyncDirectory, &[libc::EIO]),
    (Method::Stat, &[libc::EIO]),
    (Method::StatPath, &[libc::EIO]),
    (Method::Rename, &[libc::ENOSPC, libc::EIO]),
    (Method::Unlink, &[libc::EACCES, libc::EIO]),
    (Method::CreateDirectory, &[libc::ENOSPC, libc::EACCES]),
    (Method::List, &[libc::EIO, libc::EMFILE]),
    (Method::TryLock, &[libc::ENOLCK]),
    (Method::TryLockByte, &[libc::ENOLCK]),
    (Method::Unlock, &[libc::EIO]),
];

/// Refusals that are nobody's business, each with its reason. Everything else is reported.
fn is_ignored((operation, method, what): Site) -> bool {
    match (method, what) {
        // The close that follows unlocks.
        (Method::Unlock, _) => true,
        // The old file has no name any more; the mark is for who has it open, and a link count of
        // zero tells them the same.
        (Method::WriteAt, "moved") => true,
        // Without it the next commit syncs once more than it must.
        (Method::WriteAt, "synced cell") => true,
        // The tombstone is written, so the session is over; whoever finds it takes its name away.
        (Method::Unlink | Method::StatPath | Method::Stat, "") => {
            matches!(operation, "destroy" | "optimistic destroy" | "renew")
        }
        // A full disk must not keep a session: its name goes instead.
        (Method::WriteAt, "tombstone") => true,
        _ => false,
    }
}

/// Runs the workload with each fault at each call. How many faults there were.
fn every_call_meets(
    durability: Durability,
    calling: Calling,
    faults: &[(Method, &[i32])],
    forever: bool,
    ignored: &mut BTreeSet<Site>,
) -> usize {
    let mut faults_met = 0;
    for (method, errnos) in faults {
        for errno in *errnos {
            for nth in 1.. {
                let fault = Fault { method: *method, answer: Answer::Fail(*errno), nth, forever };
                let mut run = Run::new(durability, calling, !forever);
                run.road.set(Some(fault));
                let context = format!("{durability} {calling:?} {fault:?}");
                let done =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.workload()));
                let met = run.road.met();
                assert!(done.is_ok(), "{context}: see above; met at {met:?}");
                run.road.set(None);
                if met.is_empty() {
                    assert!(run.told.is_empty(), "{context}: {:?}", run.told);
                    break;
                }
                faults_met += met.len();
                if !forever {
                    judge_report(&context, &run, met.first().copied().unwrap(), *errno, ignored);
                }
                let told = run.told.clone();
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.check()));
                assert!(done.is_ok(), "{context}: see above; met at {met:?}, told {told:?}");
            }
        }
    }
    faults_met
}

/// One fault was met: it was reported once, with its number, by the operation that met it; or it
/// is one of those that are ignored.
fn judge_report(context: &str, run: &Run, met: Site, errno: i32, ignored: &mut BTreeSet<Site>) {
    let Some((operation, told_errno, text)) = run.told.first() else {
        // Files that were kept open gave way, and the second try succeeded.
        let gave_way =
            run.calling == Calling::Blocking && (met.1, errno) == (Method::Open, libc::EMFILE);
        assert!(gave_way || is_ignored(met), "{context}: nobody was told of {met:?}");
        ignored.insert(met);
        return;
    };
    assert_eq!(*operation, met.0, "{context}: {met:?} was told by another: {text}");
    let counted = operation.starts_with("quarantine") || *operation == "sweep";
    assert!(*told_errno == Some(errno) || counted, "{context}: not the number: {text}");
    let full = matches!(errno, libc::ENOSPC | libc::EDQUOT | libc::EFBIG);
    if full && met.1 != Method::Sync && !counted {
        assert!(text.starts_with("no space left"), "{context}: {met:?}: {text}");
    }
    let poisoned = |text: &String| *text == CommitError::Poisoned.to_string();
    let others = run.told.iter().skip(1).filter(|(.., text)| !poisoned(text)).count();
    // Where a birth failed, the next commits of the workload bear it; nothing else may fail.
    assert_eq!(others, 0, "{context}: one fault, told more than once: {:?}", run.told);
}

#[test]
fn each_call_may_fail_once() {
    let mut ignored = BTreeSet::new();
    let faults =
        every_call_meets(Durability::Process, Calling::Blocking, &REFUSALS, false, &mut ignored);
    println!("{faults} faults, ignored at {ignored:#?}");
    assert!(faults > 200, "{faults}");
}

#[test]
fn each_call_may_fail_once_with_power_durability() {
    let mut ignored = BTreeSet::new();
    let power = Durability::Power;
    let faults = every_call_meets(power, Calling::Blocking, &REFUSALS, false, &mut ignored);
    println!("{faults} faults, ignored at {ignored:#?}");
    assert!(faults > 200, "{faults}");
}

#[test]
fn each_call_may_fail_once_in_async_code() {
    let mut ignored = BTreeSet::new();
    for durability in [Durability::Process, Durability::Power] {
        let faults = every_call_meets(durability, Calling::Async, &REFUSALS, false, &mut ignored);
        assert!(faults > 200, "{faults}");
    }
}

#[test]
fn each_call_may_fail_and_all_that_follow() {
    for durability in [Durability::Process, Durability::Power] {
        let mut ignored = BTreeSet::new();
        let faults = every_call_meets(durability, Calling::Blocking, &REFUSALS, true, &mut ignored);
        assert!(faults > 1_000, "{faults}");
    }
}

#[test]
fn calls_that_are_cut_short_or_interrupted_are_made_again() {
    let absorbed: [(Method, Answer); 5] = [
        (Method::WriteAt, Answer::Short(1)),
        (Method::WriteAt, Answer::Short(511)),
        (Method::ReadAt, Answer::Short(1)),
        (Method::ReadAt, Answer::Fail(libc::EINTR)),
        (Method::WriteAt, Answer::Fail(libc::EINTR)),
    ];
    for durability in [Durability::Process, Durability::Power] {
        for (method, answer) in absorbed {
            for nth in 1.. {
                let mut run = Run::new(durability, Calling::Blocking, true);
                run.road.set(Some(Fault { method, answer, nth, forever: false }));
                run.workload();
                if run.road.met().is_empty() {
                    assert!(nth > 10);
                    break;
                }
                assert_eq!(run.told, [], "{method:?} {answer:?} {nth}");
                run.road.set(None);
                run.check();
            }
            if matches!(answer, Answer::Short(_)) {
                let mut run = Run::new(durability, Calling::Blocking, true);
                run.road.set(Some(Fault { method, answer, nth: 1, forever: true }));
                run.workload();
                assert_eq!(run.told, [], "every {method:?} {answer:?}");
                run.road.set(None);
                run.check();
            }
        }
    }
}

/// A part of a write is made and then the disk is full. Whatever the slot held before, the part
/// must not count.
#[test]
fn a_write_that_fails_after_a_part_is_no_commit() {
    /// Writes all but the last byte, then has no space; afterwards it is healthy.
    #[derive(Default)]
    struct AllButOne(Mutex<Option<u8>>);
    impl Tap for AllButOne {
        fn before(&self, call: &Call<'_>) -> Answer {
            let mut step = self.0.lock().unwrap();
            if call.method != Method::WriteAt || call.offset < 512 {
                return Answer::Pass;
            }
            match *step {
                Some(0) => {
                    *step = Some(1);
                    Answer::Short(call.bytes.len() - 1)
                }
                Some(1) => {
                    *step = None;
                    Answer::Fail(libc::ENOSPC)
                }
                _ => Answer::Pass,
            }
        }
    }
    let directory = rig::directory();
    let tap = Arc::new(AllButOne::default());
    let store = FileStore::builder(directory.path().join("sessions"))
        .file_system(Tapped(Arc::clone(&tap)))
        .open()
        .unwrap();
    let id = key("a");
    for access in [Access::Exclusive, Access::Optimistic] {
        // The last byte is the same in all, so that the part and what was there make a whole.
        for payload in [b"one.", b"two.", b"six."] {
            rig::put(&store, &id, payload);
        }
        *tap.0.lock().unwrap() = Some(0);
        let mut hold = rig::try_open(&store, &id, access).unwrap();
        let error = rig::commit(&mut hold, b"ten.").unwrap_err();
        assert!(matches!(error, CommitError::OutOfSpace(_)), "{error}");
        assert_eq!(*tap.0.lock().unwrap(), None);
        let seen = rig::read(&store, &id, Access::Snapshot).unwrap();
        assert_eq!(seen.unwrap(), b"six.", "{access}");
    }
    // The same at a birth.
    *tap.0.lock().unwrap() = Some(0);
    let mut hold = rig::try_open(&store, &key("b"), Access::Exclusive).unwrap();
    rig::commit(&mut hold, b"new\0").unwrap_err();
    assert_eq!(rig::read(&store, &key("b"), Access::Snapshot).unwrap(), None);
}

/// The waiting calls happen where there is contention, so not in the workload above. (A wait for
/// one byte is made again below the road that is disturbed here.)
#[test]
fn a_refused_or_interrupted_wait_is_told_or_made_again() {
    for (method, errno, absorbed) in [
        (Method::Lock, libc::EINTR, true),
        (Method::Lock, libc::ENOLCK, false),
        (Method::LockByte, libc::ENOLCK, false),
    ] {
        let directory = rig::directory();
        let root = directory.path().join("sessions");
        let road = Arc::new(Road::default());
        let ours = FileStore::builder(&root).file_system(Tapped(Arc::clone(&road))).open().unwrap();
        // Another handle is to the lock what another process is.
        let theirs = FileStore::open(&root).unwrap();
        let id = key("a");
        rig::put(&theirs, &id, b"data");
        let holder = rig::open(&theirs, &id, Access::Exclusive).unwrap();
        let answer = Answer::Fail(errno);
        road.set(Some(Fault { method, answer, nth: 1, forever: false }));
        let opened = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| rig::read(&ours, &id, Access::Exclusive));
            rig::until("the fault", || !road.met().is_empty());
            drop(holder);
            waiter.join().unwrap()
        });
        match opened {
            Ok(seen) => assert!(absorbed && seen.unwrap() == b"data", "{method:?}"),
            Err(error) => {
                assert!(!absorbed, "{method:?}: {error}");
                assert_eq!(rig::errno(&error), Some(errno), "{error}");
            }
        }
        assert_eq!(rig::read(&ours, &id, Access::Exclusive).unwrap().unwrap(), b"data");
        assert_eq!(rig::read(&theirs, &id, Access::Exclusive).unwrap().unwrap(), b"data");
    }
}

/// The controls: engines that swallow a fault or lose what they acknowledged would be caught.
#[test]
fn the_loop_catches_a_lost_write_and_a_swallowed_fault() {
    type Plant = fn(&Call<'_>) -> bool;
    let bugs: [(&str, Plant); 2] = [
        ("a commit whose slot is never written", |call| {
            what(call) == "slot" && call.offset == 1_024
        }),
        ("a first slot never written", |call| what(call) == "slot" && call.offset == 512),
    ];
    for (bug, lost) in bugs {
        let mut run = Run::new(Durability::Process, Calling::Blocking, true);
        run.road.0.lock().unwrap().lost_writes = Some(lost);
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run.workload();
            run.road.set(None);
            run.check();
        }));
        assert!(done.is_err(), "not caught: {bug}");
    }
    // A fault that is met and of which nobody is told.
    let met = ("second", Method::WriteAt, "slot");
    let run = Run::new(Durability::Process, Calling::Blocking, true);
    let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        judge_report("planted", &run, met, libc::EIO, &mut BTreeSet::new());
    }));
    assert!(judged.is_err());
}
