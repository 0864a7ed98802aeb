//! Power cuts of a map store. The mapped bytes go to the medium behind the store's back: what a sync
//! brought there is there; of every page that was changed since, any version may be.
//!
//! With `Durability::Power` what was acknowledged survives, and what was logged out never comes
//! back; with `Process` each session is one of its committed versions or absent.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod rig;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use cloakroom::blocking::wait;
use cloakroom::{Access, CommitError, Durability, Hold as _, Key, Lifetime, MapStore, Terms};
use parking_lot::Mutex;
use rig::map::{MapHeld, census};
use rig::tap::{Answer, Call, Method, Tap, Tapped};
use rig::{Random, SetClock, commit, destroy, key, open, read, renew};

type State = Option<Vec<u8>>;
type States = BTreeMap<Key, BTreeSet<State>>;
/// A planted bug, or a fault: what becomes of a call.
type Plant = Box<dyn Fn(&Call<'_>) -> Answer + Send + Sync>;

const PAGE: usize = 4_096;
/// Bytes of a payload of several pages, and of one that shares its page with others.
const LARGE: usize = 9_000;
const SMALL: usize = 90;

/// The disk below a store, and what is known of its sessions.
struct Disk {
    root: PathBuf,
    plant: Option<Plant>,
    stop: Mutex<Option<Stop>>,
    syncs: AtomicUsize,
    log: Mutex<Log>,
}

/// A process that goes on no more, as far as the file system is concerned, from the n-th sync of the heap on.
#[derive(Clone, Copy, Debug)]
enum Stop {
    Before(usize),
    After(usize),
}

#[derive(Default)]
struct Log {
    /// The heap as it looked at the last sync, and at each moment since; `None`: it had no name yet
    /// that is on the medium.
    durable: Option<Arc<Vec<u8>>>,
    since: Vec<Arc<Vec<u8>>>,
    acknowledged: BTreeMap<Key, State>,
    begun: Vec<(Key, State)>,
    /// Everything that was ever begun.
    history: States,
    cuts: Vec<Cut>,
}

/// A moment at which the power is cut.
#[derive(Clone)]
struct Cut {
    durable: Option<Arc<Vec<u8>>>,
    since: Vec<Arc<Vec<u8>>>,
    may: States,
    history: States,
}

impl Disk {
    fn new(root: &Path, plant: Option<Plant>) -> Arc<Self> {
        let log = Log { durable: heap_in(root), ..Log::default() };
        let (root, syncs) = (root.to_owned(), AtomicUsize::new(0));
        Arc::new(Self { root, plant, stop: Mutex::default(), syncs, log: Mutex::new(log) })
    }

    /// Goes on no more from there, if it comes there.
    fn stop(&self, is_there: impl FnOnce(Stop) -> bool) {
        if self.stop.lock().is_some_and(is_there) {
            std::panic::panic_any("stopped");
        }
    }

    fn store(self: &Arc<Self>, durability: Durability) -> MapStore {
        let fs = Tapped(Arc::clone(self));
        MapStore::builder(&self.root).durability(durability).file_system(fs).open().unwrap()
    }

    /// Brings sessions to new states. The power may be cut before, after and at each sync.
    fn deed<T>(
        &self,
        states: &[(Key, Option<&[u8]>)],
        deed: impl FnOnce() -> Result<T, CommitError>,
    ) -> Result<T, CommitError> {
        let begun: Vec<_> = states.iter().map(|(key, s)| (*key, s.map(<[u8]>::to_vec))).collect();
        {
            let mut log = self.log.lock();
            for (key, state) in &begun {
                log.history.entry(*key).or_default().insert(state.clone());
            }
            log.begun.extend(begun.iter().cloned());
        }
        self.look();
        let done = deed();
        self.look();
        let mut log = self.log.lock();
        if done.is_ok() {
            for (key, state) in begun {
                // What failed before on these sessions is past; on others it may still come up.
                log.begun.retain(|(other, _)| *other != key);
                log.acknowledged.insert(key, state);
            }
        }
        log.cut();
        done
    }

    /// Takes down what the heap looks like now, and that the power may be cut here.
    fn look(&self) {
        let mut log = self.log.lock();
        if let Some(now) = heap_in(&self.root)
            && log.since.last().or(log.durable.as_ref()) != Some(&now)
        {
            log.since.push(now);
        }
        log.cut();
    }
}

impl Log {
    fn cut(&mut self) {
        let mut may = States::new();
        for (key, state) in self.acknowledged.iter().chain(self.begun.iter().map(|(k, s)| (k, s))) {
            may.entry(*key).or_default().insert(state.clone());
        }
        for (key, _) in &self.begun {
            if !self.acknowledged.contains_key(key) {
                may.entry(*key).or_default().insert(None);
            }
        }
        let (durable, since) = (self.durable.clone(), self.since.clone());
        self.cuts.push(Cut { durable, since, may, history: self.history.clone() });
    }
}

impl Tap for Disk {
    fn before(&self, call: &Call<'_>) -> Answer {
        if call.method == Method::Sync && is_heap(call) {
            self.look();
            let sync = self.syncs.fetch_add(1, Ordering::Relaxed) + 1;
            self.stop(|stop| matches!(stop, Stop::Before(nth) if nth == sync));
        }
        self.plant.as_ref().map_or(Answer::Pass, |plant| plant(call))
    }

    fn after(&self, call: &Call<'_>, done: &std::io::Result<Option<&fs::File>>) {
        // Nothing else is written meanwhile: what it looked like before is what was synced.
        if call.method == Method::Sync && is_heap(call) && done.is_ok() {
            let mut log = self.log.lock();
            log.durable = log.since.pop().or(log.durable.take());
            log.since.clear();
            drop(log);
            let sync = self.syncs.load(Ordering::Relaxed);
            self.stop(|stop| matches!(stop, Stop::After(nth) if nth == sync));
        }
    }
}

fn is_heap(call: &Call<'_>) -> bool {
    let link = fs::read_link(format!("/proc/self/fd/{}", call.file.as_raw_fd())).unwrap();
    link.file_name().is_some_and(|name| name == "heap")
}

fn heap_in(root: &Path) -> Option<Arc<Vec<u8>>> {
    fs::read(root.join("heap")).ok().map(Arc::new)
}

/// What a cut leaves of what was not synced.
#[derive(Clone, Copy, Debug)]
enum Luck {
    None,
    All,
    /// Any version of any page.
    Some(u64),
}

impl Cut {
    /// The heap after the cut; `None`: there is none.
    fn heap(&self, luck: Luck) -> Option<Vec<u8>> {
        let mut random = Random(if let Luck::Some(seed) = luck { seed } else { 0 });
        let empty = Arc::new(Vec::new());
        let durable = self.durable.as_ref();
        let versions: Vec<&Arc<Vec<u8>>> =
            std::iter::once(durable.unwrap_or(&empty)).chain(&self.since).collect();
        let mut draw = |limit: usize| match luck {
            Luck::None => 0,
            Luck::All => limit - 1,
            Luck::Some(_) => usize::try_from(random.below(limit as u64)).unwrap(),
        };
        // A journal keeps sizes and names in order, as of one moment.
        let at = draw(versions.len());
        if at == 0 && durable.is_none() {
            return None;
        }
        let mut heap = vec![0; versions[at].len()];
        for (number, page) in heap.chunks_mut(PAGE).enumerate() {
            let place = number * PAGE;
            let parts = versions.iter().filter_map(|version| version.get(place..place + PAGE));
            let mut parts: Vec<&[u8]> = parts.collect();
            parts.dedup();
            // Blocks that were allocated and never written read as zeros.
            if versions[0].len() <= place {
                parts.insert(0, &[0; PAGE]);
            }
            page.copy_from_slice(parts[draw(parts.len())]);
        }
        Some(heap)
    }

    /// The store after the cut, in an empty directory.
    fn build(&self, luck: Luck, description: &[u8], root: &Path) {
        fs::write(root.join("store.toml"), description).unwrap();
        if let Some(heap) = self.heap(luck) {
            let file = fs::File::create_new(root.join("heap")).unwrap();
            file.set_len(heap.len() as u64).unwrap();
            let pages = heap.chunks(PAGE).enumerate();
            for (number, page) in pages.filter(|(_, page)| page.iter().any(|byte| *byte != 0)) {
                file.write_all_at(page, (number * PAGE) as u64).unwrap();
            }
        }
    }
}

/// What is due after a cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    /// What was acknowledged, or begun since; and logged out it stays so.
    Power,
    /// Any version that was ever committed, or nothing.
    Process,
}

/// Judges what one cut left, and what another one leaves while the store is opened. Then logs every
/// session out, beside others that come and stay, and cuts once more.
fn judge(cut: &Cut, luck: Luck, description: &[u8], due: Due) -> Result<(), String> {
    let directory = rig::directory();
    let root = directory.path();
    cut.build(luck, description, root);
    let disk = Disk::new(root, None);
    let store = MapStore::builder(root).file_system(Tapped(Arc::clone(&disk))).open();
    let store = store.map_err(|error| error.to_string())?;
    disk.look();
    let again = disk.log.lock().cuts.clone();
    let states = if due == Due::Power { &cut.may } else { &cut.history };
    let check = |store: &MapStore| {
        for (key, may) in states {
            let seen = read(store, key, Access::Snapshot).map_err(|error| error.to_string())?;
            if !may.contains(&seen) && (due == Due::Power || seen.is_some()) {
                return Err(format!("{key} is {}, due is {}", short(&seen), shorts(may)));
            }
        }
        Ok(())
    };
    check(&store)?;
    let census = census(&store);
    if let Some(wrong) = census.wrong.first() {
        return Err(wrong.clone());
    }
    if let Some(stranger) = census.sessions.keys().find(|key| !cut.history.contains_key(key)) {
        return Err(format!("{stranger} is nobody's"));
    }
    if due == Due::Process {
        return Ok(());
    }
    let seed = if let Luck::Some(seed) = luck { seed } else { 0 };
    let second = &again[usize::try_from(seed).unwrap() % again.len()];
    reopen(second, Luck::Some(seed), description, |store| {
        check(store).map_err(|lost| format!("cut again while it was opened: {lost}"))
    })?;
    let newcomers = |number: usize| [key(&format!("new {number}")), key(&format!("late {number}"))];
    let come = |key: Key| rig::put(&store, &key, &payload("new", 1, LARGE));
    // Some are logged out as they are, others after one more commit.
    for (number, key) in states.keys().enumerate() {
        let [new, late] = newcomers(number);
        come(new);
        let mut hold = open(&store, key, Access::Optimistic).map_err(|error| error.to_string())?;
        if hold.record().is_none() {
            continue;
        }
        if number % 2 == 0 && hold.record().is_some_and(|record| record.retired_until.is_none()) {
            commit(&mut hold, b"once more").map_err(|error| error.to_string())?;
            hold = open(&store, key, Access::Optimistic).map_err(|error| error.to_string())?;
        }
        destroy(&mut hold).map_err(|error| error.to_string())?;
        come(late);
    }
    disk.look();
    let last = disk.log.lock().cuts.pop().unwrap();
    let stayed: Vec<Key> = (0..states.len())
        .flat_map(newcomers)
        .filter(|key| read(&store, key, Access::Snapshot).unwrap().is_some())
        .collect();
    if stayed.len() < states.len() {
        return Err("a new session is gone".to_owned());
    }
    for luck in [Luck::None, Luck::All, Luck::Some(seed)] {
        reopen(&last, luck, description, |store| {
            for key in states.keys() {
                let seen = read(store, key, Access::Snapshot).map_err(|error| error.to_string())?;
                if seen.is_some() {
                    return Err(format!("{key} was logged out and came back as {}", short(&seen)));
                }
            }
            for key in &stayed {
                let seen = read(store, key, Access::Snapshot).map_err(|error| error.to_string())?;
                if seen != Some(payload("new", 1, LARGE)) {
                    return Err(format!("{key} was new and is {}", short(&seen)));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Opens what a cut left in a directory of its own.
fn reopen(
    cut: &Cut,
    luck: Luck,
    description: &[u8],
    check: impl FnOnce(&MapStore) -> Result<(), String>,
) -> Result<(), String> {
    let directory = rig::directory();
    cut.build(luck, description, directory.path());
    check(&MapStore::open(directory.path()).map_err(|error| error.to_string())?)
}

fn short(state: &State) -> String {
    let Some(payload) = state else { return "absent".to_owned() };
    format!(
        "{}.. of {} bytes",
        String::from_utf8_lossy(&payload[..payload.len().min(20)]),
        payload.len()
    )
}

fn shorts(states: &BTreeSet<State>) -> String {
    states.iter().map(short).collect::<Vec<_>>().join(" or ")
}

/// How many times as much as usual is asked for.
fn times() -> usize {
    let times = std::env::var("CLOAKROOM_CUTS").ok().and_then(|times| times.parse().ok());
    times.unwrap_or(1)
}

/// Judges so many disks out of all that the cuts of a record can leave, or
/// `CLOAKROOM_CUTS` times as many. How many there were.
fn cut_everywhere(disk: &Disk, disks: usize, due: Due) -> Result<usize, String> {
    let disks = disks * times();
    let description = fs::read(disk.root.join("store.toml")).unwrap();
    let cuts = std::mem::take(&mut disk.log.lock().cuts);
    for number in 0..disks {
        // Each cut in turn, from the last one on, with other luck each time around.
        let cut = cuts.len() - 1 - number * cuts.len() / disks.min(cuts.len()) % cuts.len();
        let luck = match number % 5 {
            0 if number % 2 == 0 => Luck::None,
            0 => Luck::All,
            _ => Luck::Some(number as u64),
        };
        let judged = judge(&cuts[cut], luck, &description, due);
        judged.map_err(|lost| format!("cut {cut} of {}, {luck:?}: {lost}", cuts.len()))?;
    }
    Ok(disks)
}

/// The sessions of a test, and short names for what is done to them. Payloads name their session and
/// version, and many of them take several pages.
struct Bench {
    disk: Arc<Disk>,
    store: MapStore,
    durability: Durability,
    _directory: tempfile::TempDir,
}

fn payload(id: &str, version: u32, length: usize) -> Vec<u8> {
    let name = format!("{id} {version}. ");
    name.bytes().cycle().take(length.max(name.len())).collect()
}

impl Bench {
    fn new(durability: Durability, plant: Option<Plant>) -> Self {
        let directory = rig::directory();
        let root = directory.path().join("sessions");
        fs::create_dir(&root).unwrap();
        let disk = Disk::new(&root, plant);
        let store = disk.store(durability);
        Self { disk, store, durability, _directory: directory }
    }

    /// Goes on with another handle, as another process does; the first stays where it is, stopped.
    fn another(&mut self) {
        let next = self.disk.store(self.durability);
        std::mem::forget(std::mem::replace(&mut self.store, next));
    }

    fn commit(&self, id: &str, version: u32, length: usize) -> Result<(), CommitError> {
        let (key, payload) = (key(id), payload(id, version, length));
        self.disk.deed(&[(key, Some(&payload))], || {
            commit(&mut open(&self.store, &key, Access::Optimistic)?, &payload).map(drop)
        })
    }

    fn destroy(&self, id: &str) -> Result<(), CommitError> {
        let key = key(id);
        self.disk
            .deed(&[(key, None)], || destroy(&mut open(&self.store, &key, Access::Optimistic)?))
    }

    fn renew(&self, old: &str, new: &str, grace: Duration) -> Result<(), CommitError> {
        let (old, new_key, renewed) = (key(old), key(new), payload(new, 1, SMALL));
        let mut hold = open(&self.store, &old, Access::Optimistic)?;
        let before = hold.payload().to_vec();
        let states =
            [(new_key, Some(&renewed[..])), (old, (!grace.is_zero()).then_some(&before[..]))];
        self.disk.deed(&states, || renew(&mut hold, &new_key, &renewed, grace).map(drop))
    }

    fn workload(&mut self) -> Result<(), CommitError> {
        for (version, length) in [(1, SMALL), (2, LARGE), (3, LARGE), (4, SMALL)] {
            self.commit("a", version, length)?;
            self.commit("b", version, LARGE)?;
        }
        self.another();
        self.commit("a", 5, LARGE)?;
        self.commit("c", 1, LARGE)?;
        self.destroy("b")?;
        self.commit("d", 1, LARGE)?;
        self.commit("b", 5, LARGE)?;
        self.renew("a", "e", Duration::ZERO)?;
        self.commit("e", 2, LARGE)?;
        self.renew("c", "f", Duration::from_secs(600))?;
        self.destroy("f")?;
        self.commit("d", 2, LARGE)?;
        self.destroy("d")?;
        self.destroy("b")?;
        rig::sweep(&self.store)?;
        self.commit("e", 3, SMALL)
    }
}

#[test]
fn what_was_acknowledged_in_power_survives_any_mixture_of_pages() {
    let mut bench = Bench::new(Durability::Power, None);
    bench.workload().unwrap();
    let disks = cut_everywhere(&bench.disk, 90, Due::Power).unwrap();
    println!("{disks} disks");
}

#[test]
fn in_process_each_session_is_one_of_its_versions_or_absent() {
    let mut bench = Bench::new(Durability::Process, None);
    bench.workload().unwrap();
    let disks = cut_everywhere(&bench.disk, 90, Due::Process).unwrap();
    println!("{disks} disks");
}

/// What others do first when a process was stopped.
#[derive(Clone, Copy, Debug)]
struct Others {
    sweep: bool,
    commit: bool,
}

/// A process is stopped or killed before or after any of its syncs; others build on what they find in the
/// page cache.
#[test]
fn what_builds_on_a_commit_that_was_never_synced_survives_a_power_cut() {
    let mut stops = 0;
    for nth in 1.. {
        let mut reached = 0;
        for stop in [Stop::Before(nth), Stop::After(nth)] {
            for others in 0..4 {
                if others == (nth + 2) % 4 || times() > 1 {
                    let others = Others { sweep: others % 2 == 0, commit: others / 2 == 0 };
                    reached += usize::from(build_on(stop, others));
                }
            }
        }
        if reached == 0 {
            break;
        }
        stops += reached;
    }
    println!("{stops} stops");
    assert!(stops > 40, "{stops}");
}

/// Whether the process came so far.
fn build_on(stop: Stop, others: Others) -> bool {
    let mut bench = Bench::new(Durability::Power, None);
    *bench.disk.stop.lock() = Some(stop);
    if catch_unwind(AssertUnwindSafe(|| bench.workload())).is_ok() {
        return false;
    }
    bench.disk.look();
    bench.another();
    if others.sweep {
        rig::sweep(&bench.store).unwrap();
    }
    // The neighbours take the space that gets free.
    let neighbours = |version| {
        for (id, length) in [("w", SMALL), ("x", LARGE), ("y", LARGE), ("z", SMALL)] {
            bench.commit(id, version, length).unwrap();
        }
    };
    neighbours(10);
    if others.commit {
        for version in 10..13 {
            for id in ["a", "b", "d", "e"] {
                let length = if id == "b" { SMALL } else { LARGE };
                bench.commit(id, version, length).unwrap();
            }
            neighbours(version + 1);
        }
    }
    for id in ["a", "b", "d", "e"] {
        bench.destroy(id).unwrap();
    }
    neighbours(20);
    cut_everywhere(&bench.disk, 4, Due::Power)
        .unwrap_or_else(|lost| panic!("{stop:?}, {others:?}: {lost}"));
    true
}

/// The same of one session, step by step: after each of the last ones many cuts.
#[test]
fn no_version_before_comes_up_though_its_successors_were_stopped() {
    for stops in 1..=2 {
        for steps in ["destroy", "commit destroy", "sweep", "sweep destroy", "commit sweep destroy"]
        {
            let mut bench = Bench::new(Durability::Power, None);
            bench.commit("w", 1, LARGE).unwrap();
            bench.commit("a", 1, LARGE).unwrap();
            for stop in 1..=stops {
                let next = bench.disk.syncs.load(Ordering::Relaxed) + 1;
                *bench.disk.stop.lock() = Some(Stop::Before(next));
                let commit = AssertUnwindSafe(|| bench.commit("a", 1 + stop, LARGE));
                assert!(catch_unwind(commit).is_err());
                *bench.disk.stop.lock() = None;
                bench.disk.look();
                bench.another();
            }
            for step in steps.split(' ') {
                bench.disk.log.lock().cuts.clear();
                match step {
                    "destroy" => bench.destroy("a").unwrap(),
                    "commit" => bench.commit("a", 9, LARGE).unwrap(),
                    _ => drop(rig::sweep(&bench.store).unwrap()),
                }
                bench.commit("w", 2, LARGE).unwrap();
                cut_everywhere(&bench.disk, 8, Due::Power)
                    .unwrap_or_else(|lost| panic!("{stops} stops, {step} of {steps}: {lost}"));
            }
        }
    }
}

/// One sync fails: its commit is withdrawn, and the handle says no more.
#[test]
fn a_failed_sync_and_a_power_cut_lose_nothing_acknowledged() {
    for nth in 1.. {
        let syncs = AtomicUsize::new(0);
        let plant: Plant = Box::new(move |call| {
            let fails = call.method == Method::Sync
                && is_heap(call)
                && syncs.fetch_add(1, Ordering::Relaxed) + 1 == nth;
            if fails { Answer::Fail(libc::EIO) } else { Answer::Pass }
        });
        let mut bench = Bench::new(Durability::Power, Some(plant));
        match bench.workload() {
            Ok(()) => {
                assert!(nth > 20, "{nth}");
                break;
            }
            Err(CommitError::SyncFailed(_)) => {}
            Err(error) => panic!("sync {nth}: {error}"),
        }
        let error = bench.commit("z", 1, 10).unwrap_err();
        assert!(matches!(error, CommitError::Poisoned), "{error}");
        bench.another();
        for id in ["a", "b", "d", "z"] {
            bench.commit(id, 20, LARGE).unwrap();
            bench.commit(id, 21, LARGE).unwrap();
        }
        bench.destroy("a").unwrap();
        bench.destroy("b").unwrap();
        cut_everywhere(&bench.disk, 4, Due::Power)
            .unwrap_or_else(|lost| panic!("sync {nth} failed: {lost}"));
    }
}

/// One sync of the heap fails.
struct OneFailure {
    /// How many syncs come before it.
    before: AtomicUsize,
    /// Those that commit on what they see meanwhile.
    others: Option<MapStore>,
}

impl Tap for OneFailure {
    fn before(&self, call: &Call<'_>) -> Answer {
        if call.method != Method::Sync || !is_heap(call) {
            return Answer::Pass;
        }
        if self.before.fetch_sub(1, Ordering::Relaxed) != 0 {
            return Answer::Pass;
        }
        if let Some(others) = &self.others {
            rig::put(others, &key("a"), b"theirs");
        }
        Answer::Fail(libc::EIO)
    }
}

/// Every operation meets a sync that fails: it says that it was withdrawn, and what was there stands for
/// everybody; or that it stands, if others went on from it meanwhile.
#[test]
fn a_failed_sync_says_what_became_of_the_session() {
    type Deed = fn(&mut MapHeld) -> Result<(), CommitError>;
    const COMMIT: Deed = |hold| commit(hold, b"new").map(drop);
    const TOUCH: Deed = |hold| wait(hold.touch());
    const RENEW: Deed = |hold| renew(hold, &key("new"), b"", Duration::ZERO).map(drop);
    const RETIRE: Deed = |hold| renew(hold, &key("new"), b"", Duration::from_secs(9)).map(drop);
    // How many syncs come before, whether others go on meanwhile, and whether it is withdrawn.
    let deeds: [(Deed, usize, bool, bool); 9] = [
        (COMMIT, 0, false, true),
        (TOUCH, 0, false, true),
        (destroy, 0, false, true),
        (RENEW, 0, false, true),
        (RENEW, 1, false, true),
        (RETIRE, 1, false, true),
        (COMMIT, 0, true, false),
        (TOUCH, 0, true, false),
        (destroy, 0, true, true),
    ];
    for (number, (deed, before, goes_on, is_withdrawn)) in deeds.into_iter().enumerate() {
        let directory = rig::directory();
        let builder = || MapStore::builder(directory.path());
        let others = builder().durability(Durability::Power).open().unwrap();
        let id = key("a");
        rig::put(&others, &id, b"old");
        let there = *open(&others, &id, Access::Snapshot).unwrap().record().unwrap();
        let before = AtomicUsize::new(before);
        let failure = OneFailure { before, others: goes_on.then(|| others.clone()) };
        let road = Tapped(Arc::new(failure));
        let store = builder().file_system(road).open().unwrap();
        let mut hold = open(&store, &id, Access::Optimistic).unwrap();
        match deed(&mut hold) {
            Err(CommitError::SyncFailed(_)) if is_withdrawn => {}
            Err(CommitError::Unsynced(_)) if !is_withdrawn => {}
            done => panic!("deed {number}: {done:?}"),
        }
        for store in [&store, &others] {
            let seen = open(store, &id, Access::Snapshot).unwrap();
            if goes_on {
                assert_eq!(seen.payload(), b"theirs", "deed {number}");
            } else {
                assert_eq!(
                    (seen.record(), seen.payload()),
                    (Some(&there), &b"old"[..]),
                    "{number}"
                );
            }
        }
        let mut hold = open(&store, &id, Access::Optimistic).unwrap();
        let refused = commit(&mut hold, b"more").unwrap_err();
        assert!(matches!(refused, CommitError::Poisoned), "deed {number}: {refused}");
        // Others go on, and nothing is left behind.
        rig::put(&others, &id, b"more");
        destroy(&mut open(&others, &id, Access::Optimistic).unwrap()).unwrap();
        drop((hold, store));
        rig::sweep(&others).unwrap();
        let census = census(&others);
        assert_eq!((census.leftovers, census.wrong), (0, Vec::new()), "deed {number}");
    }
}

/// A sweep ends many expired sessions with one sync, and none of them comes back as a version before it
/// that would still be alive.
#[test]
fn a_sweep_syncs_once_for_many_sessions_and_raises_no_version_before() {
    let mut bench = Bench::new(Durability::Power, None);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let clock = SetClock::at(u64::try_from(now.as_millis()).unwrap() - 60_000);
    let fs = Tapped(Arc::clone(&bench.disk));
    let builder = MapStore::builder(&bench.disk.root).clock(clock.clone());
    bench.store = builder.file_system(fs).open().unwrap();
    let names: Vec<String> = (0..40).map(|number| format!("session {number}")).collect();
    let short = Lifetime { idle: Some(Duration::from_secs(1)), absolute: None };
    for name in &names {
        bench.commit(name, 1, SMALL).unwrap();
        let mut hold = open(&bench.store, &key(name), Access::Optimistic).unwrap();
        wait(hold.commit(b"short", Terms { lifetime: short, ..Terms::default() })).unwrap();
        bench.disk.log.lock().acknowledged.insert(key(name), Some(b"short".to_vec()));
    }
    clock.set(clock.millis() + 2_000);
    let before = bench.disk.syncs.load(Ordering::Relaxed);
    let gone: Vec<_> = names.iter().map(|name| (key(name), None)).collect();
    bench.disk.log.lock().cuts.clear();
    let swept = bench.disk.deed(&gone, || Ok(rig::sweep(&bench.store)?)).unwrap();
    assert_eq!((swept.removed, swept.failed), (40, 0));
    assert_eq!(bench.disk.syncs.load(Ordering::Relaxed) - before, 1);
    // They are expired by the clock of the judge, too; their first versions are not.
    for cut in &mut bench.disk.log.lock().cuts {
        cut.may.values_mut().for_each(|may| *may = BTreeSet::from([None]));
    }
    cut_everywhere(&bench.disk, 8, Due::Power).unwrap();
}

/// A birth that was seen and then withdrawn is gone when a destroy of it says so.
#[test]
fn a_withdrawn_birth_that_was_logged_out_stays_away() {
    let others = Arc::new(OnceLock::<MapStore>::new());
    let seen = Arc::new(Mutex::new(None));
    let (theirs, sees, syncs) = (Arc::clone(&others), Arc::clone(&seen), AtomicUsize::new(0));
    let plant: Plant = Box::new(move |call| {
        let is_first = call.method == Method::Sync
            && is_heap(call)
            && syncs.fetch_add(1, Ordering::Relaxed) == 0;
        if !is_first {
            return Answer::Pass;
        }
        *sees.lock() = open(theirs.get().unwrap(), &key("a"), Access::Optimistic).ok();
        Answer::Fail(libc::EIO)
    });
    let bench = Bench::new(Durability::Power, Some(plant));
    others.get_or_init(|| bench.disk.store(Durability::Power));
    let refused = bench.commit("a", 1, SMALL).unwrap_err();
    assert!(matches!(refused, CommitError::SyncFailed(_)), "{refused}");
    let mut hold = seen.lock().take().unwrap();
    assert!(hold.record().is_some());
    bench.disk.deed(&[(key("a"), None)], || destroy(&mut hold)).unwrap();
    let mut log = bench.disk.log.lock();
    log.cuts = log.cuts.pop().into_iter().collect();
    drop(log);
    cut_everywhere(&bench.disk, 20, Due::Power).unwrap();
}

/// The controls: a store that does not sync, or not always, loses something, and the rig sees it.
#[test]
fn the_power_cut_catches_lost_syncs() {
    fn pretend(which: impl Fn(usize) -> bool + Send + Sync + 'static) -> Plant {
        let syncs = AtomicUsize::new(0);
        Box::new(move |call| {
            let lost = call.method == Method::Sync
                && is_heap(call)
                && which(syncs.fetch_add(1, Ordering::Relaxed));
            if lost { Answer::Pretend } else { Answer::Pass }
        })
    }
    for (bug, plant) in [
        ("nothing is ever synced", pretend(|_| true)),
        ("every other sync is skipped", pretend(|sync| sync % 2 == 1)),
        ("the first ten syncs only", pretend(|sync| sync > 10)),
    ] {
        let mut bench = Bench::new(Durability::Power, Some(plant));
        bench.workload().unwrap();
        let cut = cut_everywhere(&bench.disk, 400, Due::Power);
        println!("{bug}: {cut:?}");
        assert!(cut.is_err(), "not caught: {bug}");
    }
    // What Process promises is less: the same cuts do lose what was acknowledged.
    let mut bench = Bench::new(Durability::Process, None);
    bench.workload().unwrap();
    assert!(cut_everywhere(&bench.disk, 400, Due::Power).is_err());
    // And a version that nobody committed is seen in `Process`, too.
    let bench = Bench::new(Durability::Process, None);
    bench.commit("a", 1, 100).unwrap();
    bench.disk.log.lock().cuts.iter_mut().for_each(|cut| {
        cut.history.insert(key("a"), BTreeSet::from([Some(b"another".to_vec())]));
    });
    assert!(cut_everywhere(&bench.disk, 400, Due::Process).is_err());
}
