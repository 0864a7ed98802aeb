//! No bytes in the files of a map store may panic, hang, or show anything but a committed payload of
//! the session that was asked for.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod rig;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Calling, CommitError, Depth, FileStore, Inventory as _, Key, MapStore, OpenError,
    StoreError, Walk as _,
};
use rig::map::{reboot, run_directory};
use rig::{Random, child, commit, errno, key, open, put, read, renew};

const PAGE: usize = 4_096;
const SESSIONS: usize = 90;

fn id(number: usize) -> Key {
    key(&format!("session {number}"))
}

/// Names its session and its version; of many lengths.
fn payload(number: usize, version: u32) -> Vec<u8> {
    let name = format!("session {number}, version {version}. ");
    name.repeat(1 + number % 3 * 40).into_bytes()
}

/// A closed store of some hundred sessions, whose files a test damages and puts back.
struct Golden {
    root: PathBuf,
    /// The files, without the zeros at the end of each.
    files: BTreeMap<PathBuf, (u64, Vec<u8>)>,
    directory: tempfile::TempDir,
}

/// What came of a damage: how many sessions were right, absent, and refused with a typed error; or
/// the store could not be opened.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    right: usize,
    absent: usize,
    refused: usize,
    unopened: usize,
}

impl Golden {
    fn new() -> Self {
        let directory = rig::directory();
        let root = directory.path().join("sessions");
        let store = MapStore::open(&root).unwrap();
        for number in 0..SESSIONS {
            put(&store, &id(number), &payload(number, 1));
            if number % 3 == 0 {
                put(&store, &id(number), &payload(number, 2));
            }
        }
        drop(store);
        let mut files = BTreeMap::new();
        for name in rig::names(&root) {
            let Ok(mut bytes) = fs::read(root.join(&name)) else { continue };
            let length = bytes.len() as u64;
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes.truncate(used);
            files.insert(name, (length, bytes));
        }
        Self { root, files, directory }
    }

    fn restore(&self) {
        for name in rig::names(&self.root) {
            if !self.files.contains_key(&name) {
                let _ = fs::remove_file(self.root.join(name));
            }
        }
        for (name, (length, bytes)) in &self.files {
            fs::create_dir_all(self.root.join(name).parent().unwrap()).unwrap();
            let file = fs::File::create(self.root.join(name)).unwrap();
            file.set_len(*length).unwrap();
            let pages = bytes.chunks(PAGE).enumerate();
            for (number, page) in pages.filter(|(_, page)| page.iter().any(|byte| *byte != 0)) {
                file.write_all_at(page, (number * PAGE) as u64).unwrap();
            }
        }
    }

    fn name_of(&self, what: &str) -> PathBuf {
        let is = |name: &&PathBuf| name.file_name().is_some_and(|n| n.to_string_lossy() == what);
        self.files.keys().find(is).unwrap().clone()
    }

    /// Writes these bytes into a file.
    fn damage(&self, what: &str, offset: u64, bytes: &[u8]) {
        let path = self.root.join(self.name_of(what));
        let file = fs::File::options().write(true).open(path).unwrap();
        file.write_all_at(bytes, offset).unwrap();
    }

    fn cut(&self, what: &str, length: u64) {
        let path = self.root.join(self.name_of(what));
        fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
    }

    /// Opens the store as it is and uses it for everything. What it shows must be right, absent, or a
    /// typed error.
    fn judge(&self) -> Result<Outcome, String> {
        let mut outcome = Outcome::default();
        let store = match MapStore::open(&self.root) {
            Ok(store) => store,
            Err(error) => {
                has_remedy(&error.to_string())?;
                outcome.unopened = 1;
                return Ok(outcome);
            }
        };
        for number in 0..SESSIONS {
            let current = if number % 3 == 0 { 2 } else { 1 };
            match read(&store, &id(number), Access::Snapshot) {
                Ok(Some(seen)) if seen == payload(number, current) => outcome.right += 1,
                Ok(Some(seen)) => {
                    let seen = String::from_utf8_lossy(&seen[..seen.len().min(40)]).into_owned();
                    return Err(format!("session {number} is {seen}"));
                }
                Ok(None) => outcome.absent += 1,
                Err(OpenError::Corrupt(corrupt)) if corrupt.key == id(number) => {
                    outcome.refused += 1;
                }
                Err(OpenError::Io(error)) => {
                    has_remedy(&error.to_string())?;
                    outcome.refused += 1;
                }
                Err(error) => return Err(format!("session {number}: {error}")),
            }
        }
        // Whatever it does now, it ends; and what it shows then is somebody's own.
        let mut written = BTreeMap::new();
        for number in (0..SESSIONS).step_by(17).chain(SESSIONS..SESSIONS + 12) {
            let Ok(mut hold) = open(&store, &id(number), Access::Optimistic) else { continue };
            match commit(&mut hold, &payload(number, 3)) {
                Ok(_) => drop(written.insert(number, ())),
                Err(CommitError::TooLarge { .. }) => return Err("too large".to_owned()),
                Err(_) => {}
            }
        }
        let _ = rig::sweep(&store);
        if let Ok(mut walk) = wait(store.walk(Depth::Whole, Calling::Blocking)) {
            let mut found = Vec::new();
            while wait(walk.next(1_000, &mut found)).is_ok() && !found.is_empty() {
                found.clear();
            }
        }
        for number in 0..SESSIONS + 12 {
            if let Ok(Some(seen)) = read(&store, &id(number), Access::Snapshot)
                && !(1..=3).any(|version| seen == payload(number, version))
            {
                return Err(format!("session {number} is another one after all was used"));
            }
        }
        Ok(outcome)
    }
}

/// An error about files names a way out.
fn has_remedy(text: &str) -> Result<(), String> {
    let remedies =
        ["remove", "restore", "use the version", "empty or a new directory", "kind", "missing"];
    if remedies.iter().any(|remedy| text.contains(remedy)) || text.contains("store.toml") {
        Ok(())
    } else {
        Err(format!("no remedy in: {text}"))
    }
}

/// Ends the process with what was at work if nothing is heard for too long.
fn watchdog() -> Sender<String> {
    let (tell, told) = channel::<String>();
    std::thread::spawn(move || {
        let mut last = String::new();
        loop {
            match told.recv_timeout(Duration::from_secs(20)) {
                Ok(what) => last = what,
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    eprintln!("it hangs: {last}");
                    std::process::exit(3);
                }
            }
        }
    });
    tell
}

/// Judges each of these damages: file, offset, bytes.
fn judge_all(golden: &Golden, damages: &[(&str, u64, Vec<u8>)], rebuild: bool) -> Outcome {
    let watchdog = watchdog();
    let mut total = Outcome::default();
    for (file, offset, bytes) in damages {
        let what = format!("{file} at {offset}: {bytes:x?}, rebuild: {rebuild}");
        watchdog.send(what.clone()).unwrap();
        golden.restore();
        golden.damage(file, *offset, bytes);
        if rebuild {
            reboot(&golden.root);
        }
        let outcome = golden.judge().unwrap_or_else(|error| panic!("{what}: {error}"));
        total.right += outcome.right;
        total.absent += outcome.absent;
        total.refused += outcome.refused;
        total.unopened += outcome.unopened;
    }
    println!("{} damages, rebuild: {rebuild}: {total:?}", damages.len());
    total
}

/// Flips of single bits, in words of a file that mean something, and in some that do not.
fn flips(
    golden: &Golden,
    file: &'static str,
    count: usize,
    seed: u64,
) -> Vec<(&'static str, u64, Vec<u8>)> {
    let (_, bytes) = &golden.files[&golden.name_of(file)];
    // Most words of an index are empty slots, which are a one.
    let empty = 1_u64.to_le_bytes();
    let is_used = |at: &usize| bytes[*at] != 0 && bytes.chunks(8).nth(at / 8) != Some(&empty[..]);
    let used: Vec<usize> = (0..bytes.len()).filter(is_used).collect();
    let mut random = Random(seed);
    (0..count)
        .map(|number| {
            let at = match number % 4 {
                0 => usize::try_from(random.below(bytes.len() as u64)).unwrap(),
                _ => used[usize::try_from(random.below(used.len() as u64)).unwrap()],
            };
            (file, at as u64, vec![bytes[at] ^ 1 << random.below(8)])
        })
        .collect()
}

/// Each of so many damages is tried; with `CLOAKROOM_FLIPS=1` all of them.
fn every() -> usize {
    let asked = std::env::var("CLOAKROOM_FLIPS").ok().and_then(|every| every.parse().ok());
    asked.unwrap_or(7)
}

/// The bits of these words, one after the other.
fn all_flips(
    golden: &Golden,
    file: &'static str,
    words: &[u64],
) -> Vec<(&'static str, u64, Vec<u8>)> {
    let (_, bytes) = &golden.files[&golden.name_of(file)];
    let bits = words.iter().flat_map(|word| (0..64).map(move |bit| (word * 8 + bit / 8, bit % 8)));
    let bits = bits.enumerate().filter(|(number, _)| number % every() == 0).map(|(_, bit)| bit);
    let byte = |at: u64| bytes.get(usize::try_from(at).unwrap()).copied().unwrap_or(0);
    bits.map(|(at, bit)| (file, at, vec![byte(at) ^ 1 << bit])).collect()
}

#[test]
fn a_flipped_bit_shows_the_session_or_nothing_or_damage() {
    child::alone("a_flipped_bit_shows_the_session_or_nothing_or_damage", || {
        let golden = Golden::new();
        let heap = judge_all(&golden, &flips(&golden, "heap", 80, 1), false);
        assert!(heap.refused > 10, "the flips missed the records");
        let heap = judge_all(&golden, &flips(&golden, "heap", 60, 2), true);
        assert!(heap.right > 0);
        let index = judge_all(&golden, &flips(&golden, "index.1", 80, 3), false);
        assert!(index.absent + index.refused > 10, "the flips missed the entries");
        judge_all(&golden, &flips(&golden, "control", 60, 4), false);
        judge_all(&golden, &flips(&golden, "store.toml", 60, 5), false);
    });
}

/// The few words on which everything turns.
#[test]
fn a_flipped_bit_in_a_head_is_survived() {
    child::alone("a_flipped_bit_in_a_head_is_survived", || {
        let golden = Golden::new();
        let extents = 512 + 4_096;
        // The mark, the store's number, the generation, the count of extents, the first extents.
        judge_all(&golden, &all_flips(&golden, "control", &[0, 1]), false);
        let counts = all_flips(&golden, "control", &[3, 4, extents, extents + 1]);
        judge_all(&golden, &counts, false);
        // Mark, size, number; and the counters of the table.
        judge_all(&golden, &all_flips(&golden, "index.1", &[0, 1, 2]), false);
        judge_all(&golden, &all_flips(&golden, "index.1", &[8, 16, 24, 32]), false);
        // The head of the first extent, and the state and the head of its first record.
        judge_all(&golden, &all_flips(&golden, "heap", &[1, 2, 3, 4]), true);
        judge_all(&golden, &all_flips(&golden, "heap", &[16, 17, 28]), true);
    });
}

#[test]
fn pages_of_garbage_show_nobody_elses_data() {
    child::alone("pages_of_garbage_show_nobody_elses_data", || {
        let golden = Golden::new();
        let mut random = Random(9);
        let mut damages = Vec::new();
        for file in ["heap", "index.1", "control"] {
            let used = golden.files[&golden.name_of(file)].1.len() as u64;
            for round in 0..6 {
                let at = random.below(used.div_ceil(4_096)) * 4_096;
                let bytes = match round % 3 {
                    0 => vec![0; 4_096],
                    1 => vec![0xff; 4_096],
                    _ => (0..4_096).map(|_| random.next().to_le_bytes()[0]).collect(),
                };
                damages.push((file, at, bytes));
            }
        }
        // Not one message of 4,096 numbers each.
        for (file, at, bytes) in &damages {
            for rebuild in [false, true] {
                golden.restore();
                golden.damage(file, *at, bytes);
                if rebuild {
                    reboot(&golden.root);
                }
                let judged = golden.judge();
                judged.unwrap_or_else(|error| panic!("{file} at {at}, byte {}: {error}", bytes[0]));
            }
        }
    });
}

#[test]
fn a_file_that_was_cut_is_told_at_the_open() {
    child::alone("a_file_that_was_cut_is_told_at_the_open", || {
        let golden = Golden::new();
        for (file, lengths) in [
            ("heap", &[0, 1, 4_096, (2 << 20) - 1, 2 << 20][..]),
            ("control", &[0, 8, 4_096, 65_536]),
            ("index.1", &[0, 8, 4_095, 8_192, 40_000]),
            ("store.toml", &[0, 1, 30]),
        ] {
            for length in lengths {
                golden.restore();
                golden.cut(file, *length);
                let outcome = golden.judge().unwrap_or_else(|e| panic!("{file}, {length}: {e}"));
                assert_eq!(outcome.unopened, 1, "{file} cut to {length}");
            }
        }
        for file in ["heap", "control", "index.1"] {
            golden.restore();
            fs::remove_file(golden.root.join(golden.name_of(file))).unwrap();
            let outcome = golden.judge().unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(outcome.unopened == 1 || outcome.right == SESSIONS, "{file}: {outcome:?}");
        }
        // As the message says: without the directory of the index, with what is left of the heap.
        golden.restore();
        golden.cut("heap", 2 << 20);
        fs::remove_dir_all(run_directory(&golden.root)).unwrap();
        let outcome = golden.judge().unwrap();
        assert!(outcome.right > 0 && outcome.right + outcome.absent == SESSIONS, "{outcome:?}");
        // And without anything missing.
        golden.restore();
        fs::remove_dir_all(run_directory(&golden.root)).unwrap();
        assert_eq!(golden.judge().unwrap().right, SESSIONS);
    });
}

/// A whole copy of a store, file by file into another: each keeps its own.
#[test]
fn files_of_another_store_show_nobody_elses_data() {
    child::alone("files_of_another_store_show_nobody_elses_data", || {
        let golden = Golden::new();
        // The same ids, other data.
        let other = golden.directory.path().join("other");
        let store = MapStore::open(&other).unwrap();
        for number in 0..SESSIONS {
            put(&store, &id(number), b"the data of another site");
        }
        drop(store);
        for file in ["heap", "control", "index.1", "store.toml"] {
            for rebuild in [false, true] {
                golden.restore();
                let name = golden.name_of(file);
                fs::copy(other.join(&name), golden.root.join(&name)).unwrap();
                if rebuild {
                    reboot(&golden.root);
                }
                let outcome = golden.judge().unwrap_or_else(|error| panic!("{file}: {error}"));
                println!("{file} of another store, rebuild: {rebuild}: {outcome:?}");
                let told = outcome.unopened == 1 || rebuild && outcome.right == SESSIONS;
                assert!(told, "{file} of another store, rebuild: {rebuild}: {outcome:?}");
            }
        }
    });
}

/// Two files of one store in each other's place, and two parts of its heap.
#[test]
fn what_was_swapped_shows_nobody_elses_data() {
    child::alone("what_was_swapped_shows_nobody_elses_data", || {
        let golden = Golden::new();
        for swapped in [
            ["heap", "index.1"],
            ["heap", "control"],
            ["control", "index.1"],
            ["heap", "store.toml"],
        ] {
            let [one, other] = swapped.map(|file| golden.root.join(golden.name_of(file)));
            let between = golden.directory.path().join("between");
            for rebuild in [false, true] {
                golden.restore();
                fs::rename(&one, &between).unwrap();
                fs::rename(&other, &one).unwrap();
                fs::rename(&between, &other).unwrap();
                if rebuild {
                    reboot(&golden.root);
                }
                let outcome = golden.judge().unwrap_or_else(|error| panic!("{swapped:?}: {error}"));
                let told = outcome.unopened == 1 || rebuild && outcome.right == SESSIONS;
                assert!(told, "{swapped:?}, rebuild: {rebuild}: {outcome:?}");
            }
        }
        let (_, heap) = &golden.files[&golden.name_of("heap")];
        let part = |at: usize, length: usize| heap[at..at + length].to_vec();
        let mut random = Random(11);
        // Units, pages, extents.
        for (length, rounds) in [(128, 12), (PAGE, 8), (2 << 20, 2)] {
            let count = (heap.len() / length) as u64;
            for _ in 0..rounds {
                let [one, other] =
                    [(); 2].map(|()| usize::try_from(random.below(count)).unwrap() * length);
                for rebuild in [false, true] {
                    golden.restore();
                    golden.damage("heap", one as u64, &part(other, length));
                    golden.damage("heap", other as u64, &part(one, length));
                    if rebuild {
                        reboot(&golden.root);
                    }
                    let judged = golden.judge();
                    judged.unwrap_or_else(|e| panic!("{length} at {one} and {other}: {e}"));
                }
            }
        }
    });
}

#[test]
fn files_of_a_newer_format_and_of_no_format_are_told_at_the_open() {
    child::alone("files_of_a_newer_format_and_of_no_format_are_told_at_the_open", || {
        let golden = Golden::new();
        for (file, offset, newer) in [
            ("control", 0, &b"cloakct2"[..]),
            ("index.1", 0, b"cloakix2"),
            ("heap", 8, b"cloakhp2"),
        ] {
            golden.restore();
            golden.damage(file, offset, newer);
            if file == "heap" {
                reboot(&golden.root);
            }
            let outcome = golden.judge().unwrap();
            assert_eq!(outcome.unopened, 1, "a newer {file}: {outcome:?}");
        }
        let description = fs::read_to_string(golden.root.join("store.toml")).unwrap();
        for (from, to, says) in [
            ("format = 1", "format = 2", "use the version that wrote it"),
            ("number = \"", "number = \"no", "`number`"),
            ("kind = \"map\"", "kind = \"tree\"", "`tree` store"),
        ] {
            golden.restore();
            fs::write(golden.root.join("store.toml"), description.replace(from, to)).unwrap();
            let error = MapStore::open(&golden.root).unwrap_err();
            assert!(matches!(error, StoreError::Description { .. }), "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
        for bytes in [&b"a letter to a friend"[..], &[0xff; 70_000], &[0; 1 << 21]] {
            for file in ["heap", "control", "index.1", "store.toml"] {
                golden.restore();
                fs::write(golden.root.join(golden.name_of(file)), bytes).unwrap();
                let outcome = golden.judge().unwrap_or_else(|error| panic!("{file}: {error}"));
                let told = outcome.unopened == 1 || outcome.right == 0;
                assert!(told, "{file} of {} bytes {}: {outcome:?}", bytes.len(), bytes[0]);
            }
        }
    });
}

#[test]
fn a_store_of_another_kind_is_told_by_its_name() {
    let directory = rig::directory();
    let (file, map) = (directory.path().join("file"), directory.path().join("map"));
    put(&FileStore::open(&file).unwrap(), &key("a"), b"data");
    put(&MapStore::open(&map).unwrap(), &key("a"), b"data");
    let errors = [MapStore::open(&file).unwrap_err(), FileStore::open(&map).unwrap_err()];
    for (error, kind) in errors.iter().zip(["`file` store", "`map` store"]) {
        assert!(matches!(error, StoreError::Description { .. }), "{error}");
        assert!(error.to_string().contains(kind), "{error}");
    }
    fs::write(directory.path().join("letter"), b"dear friend").unwrap();
    let error = MapStore::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
    let names = |root: &Path| rig::names(root).len();
    assert_eq!((names(&file), names(&map)), (names(&file), 5), "something was added");
}

/// The largest payload that the documentation names.
const LARGEST: usize = 1_965_848;

#[test]
fn the_largest_record_fits_and_a_larger_one_is_told_the_limit() {
    let directory = rig::directory();
    let store = MapStore::open(directory.path()).unwrap();
    let largest: Vec<u8> =
        (0..LARGEST).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect();
    put(&store, &key("a"), &largest);
    assert!(read(&store, &key("a"), Access::Snapshot).unwrap().unwrap() == largest);
    let mut hold = open(&store, &key("a"), Access::Optimistic).unwrap();
    for larger in [LARGEST + 1, LARGEST + 8, 2 << 20, 5 << 20] {
        match commit(&mut hold, &vec![1; larger]) {
            Err(CommitError::TooLarge { bytes, limit }) => {
                assert_eq!((bytes, limit), (larger, LARGEST))
            }
            other => panic!("{larger}: {:?}", other.map(drop)),
        }
    }
    // The one that was refused changed nothing; retired, the largest is even a little larger.
    renew(&mut hold, &key("b"), &largest, Duration::from_secs(60)).unwrap();
    for id in ["a", "b"] {
        assert!(read(&store, &key(id), Access::Snapshot).unwrap().unwrap() == largest, "{id}");
    }
}

/// The control: a record that passes its check and is another's is seen.
#[test]
fn the_judge_catches_a_payload_that_is_not_the_sessions_own() {
    let golden = Golden::new();
    let store = MapStore::open(&golden.root).unwrap();
    put(&store, &id(5), &payload(6, 1));
    drop(store);
    assert!(golden.judge().is_err_and(|error| error.contains("session 5 is session 6")));
    assert!(has_remedy("it is damaged").is_err());
    assert!(errno(&std::io::Error::from_raw_os_error(5)).is_some());
}
