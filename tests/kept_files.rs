//! Session files that stay open for the next request: they save an opening, and nobody notices otherwise.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod rig;

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom::{Access, FileStore, FileStoreBuilder, Hold as _, Key, OpenError};
use rig::tap::{Answer, Call, Method, Tap, Tapped};
use rig::{child, commit_and_keep, destroy, key, open, put, read, sweep, sys, try_open};

/// Counts how often a file is opened to be written.
#[derive(Default)]
struct Opens(AtomicUsize);

impl Tap for Opens {
    fn before(&self, call: &Call<'_>) -> Answer {
        if call.method == Method::Open && call.mode == Some(cloakroom::seams::OpenMode::Write) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Answer::Pass
    }
}

impl Opens {
    fn during(&self, work: impl FnOnce()) -> usize {
        let before = self.0.load(Ordering::Relaxed);
        work();
        self.0.load(Ordering::Relaxed) - before
    }
}

fn store(root: &Path, with: impl FnOnce(FileStoreBuilder) -> FileStoreBuilder) -> FileStore {
    with(FileStore::builder(root)).open().unwrap()
}

/// How many session files this process has open in a store.
fn open_files(root: &Path) -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap();
    let links = links.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let in_prefix = |path: &Path| path.components().count() == 2;
    links.filter(|link| link.strip_prefix(root).is_ok_and(in_prefix)).count()
}

#[test]
fn a_session_that_was_used_just_now_is_not_opened_again() {
    const CYCLES: usize = 100;
    let directory = rig::directory();
    for (limit, most) in [(64, CYCLES - 1), (0, usize::MAX)] {
        let opens = Arc::new(Opens::default());
        let tapped = Tapped(Arc::clone(&opens));
        let store = store(directory.path(), |with| with.open_files(limit).file_system(tapped));
        put(&store, &key("a"), b"0");
        let opened = opens.during(|| {
            for count in 0..CYCLES {
                put(&store, &key("a"), count.to_string().as_bytes());
            }
        });
        // A machine that stands still for a second has one opened anew.
        assert!(opened <= most && (limit > 0 || opened == CYCLES), "{limit}: {opened}");
    }
}

#[test]
fn no_more_files_are_kept_open_than_was_said() {
    child::alone("no_more_files_are_kept_open_than_was_said", || {
        let directory = rig::directory();
        for limit in [0, 8, 64] {
            let store = store(directory.path(), |with| with.open_files(limit));
            for index in 0..500 {
                put(&store, &key(&index.to_string()), b"data");
                assert!(open_files(directory.path()) <= limit, "{limit}");
            }
            assert_eq!(open_files(directory.path()) > 0, limit > 0);
            drop(store);
            assert_eq!(open_files(directory.path()), 0);
        }
    });
}

#[test]
fn a_kept_file_gives_way_where_no_more_can_be_opened() {
    child::alone("a_kept_file_gives_way_where_no_more_can_be_opened", || {
        let directory = rig::directory();
        let store = store(directory.path(), |with| with.open_files(4_096));
        sys::Limit::OpenFiles.set(Some(64));
        for index in 0..500 {
            put(&store, &key(&index.to_string()), b"data");
        }
        let mut holds = Vec::new();
        let error = loop {
            match try_open(&store, &key(&holds.len().to_string()), Access::Exclusive) {
                Ok(hold) => holds.push(hold),
                Err(error) => break error,
            }
        };
        // As many as without kept files: the rest is the root, standard streams and the rig's own.
        assert!(holds.len() > 48, "{error} after {}", holds.len());
        let OpenError::Io(error) = error else { panic!("{error}") };
        assert_eq!(error.source.raw_os_error(), Some(libc::EMFILE));
    });
}

/// What others do to a session between two requests of this handle, whose file it kept.
type Deed = fn(&FileStore, &Key);

#[test]
fn what_others_did_to_a_session_is_seen_though_its_file_was_kept() {
    let deeds: [(&str, Deed, Option<&[u8]>); 8] = [
        (
            "committed",
            |other, id| {
                put(other, id, b"new");
            },
            Some(b"new"),
        ),
        (
            "grown",
            |other, id| {
                put(other, id, &[7; 5_000]);
            },
            Some(&[7; 5_000]),
        ),
        ("destroyed", end, None),
        (
            "destroyed and born again",
            |other, id| {
                end(other, id);
                put(other, id, b"another life");
            },
            Some(b"another life"),
        ),
        ("removed by an outsider", |other, id| fs::remove_file(other.place(id)).unwrap(), None),
        (
            "replaced by an outsider",
            |other, id| {
                let copy = other.place(id).with_extension("copy");
                fs::copy(other.place(id), &copy).unwrap();
                put(other, id, b"overtaken by the copy");
                fs::rename(copy, other.place(id)).unwrap();
            },
            Some(b"old"),
        ),
        (
            "expired and swept",
            |other, id| {
                let mut hold = open(other, id, Access::Exclusive).unwrap();
                let past = cloakroom::Lifetime::default().absolute(Duration::from_millis(1));
                let terms = cloakroom::Terms { lifetime: past, ..cloakroom::Terms::default() };
                cloakroom::blocking::wait(hold.commit(b"short", terms)).unwrap();
                rig::until("it to expire", || {
                    sweep(other).unwrap();
                    !other.place(id).exists()
                });
            },
            None,
        ),
        (
            "damaged and moved to the quarantine",
            |other, id| {
                fs::write(other.place(id), b"garbage").unwrap();
                assert!(matches!(
                    try_open(other, id, Access::Exclusive),
                    Err(OpenError::Corrupt(corrupt)) if corrupt.quarantine.is_some()
                ));
            },
            None,
        ),
    ];
    for linked in [false, true] {
        for (what, deed, left) in deeds {
            let directory = rig::directory();
            let ours = store(directory.path(), |with| with.open_files(64));
            let others = store(directory.path(), |with| with.open_files(0));
            let id = key("a");
            put(&ours, &id, b"old");
            if linked {
                // A backup made of links: the file never loses its last name.
                let backup = directory.path().join("quarantine");
                fs::create_dir_all(&backup).unwrap();
                fs::hard_link(ours.place(&id), backup.join("link")).unwrap();
            }
            if linked && what.ends_with("by an outsider") {
                // As documented, that may be noticed late.
                continue;
            }
            deed(&others, &id);
            let seen = read(&ours, &id, Access::Exclusive).unwrap();
            assert_eq!(seen.as_deref(), left, "{what}, linked: {linked}");
            put(&ours, &id, b"the next");
            let seen = read(&others, &id, Access::Exclusive).unwrap();
            assert_eq!(seen.as_deref(), Some(&b"the next"[..]), "{what}, linked: {linked}");
        }
    }
}

fn end(store: &FileStore, id: &Key) {
    destroy(&mut open(store, id, Access::Exclusive).unwrap()).unwrap();
}

#[test]
fn two_handles_that_keep_a_file_open_keep_it_from_each_other_while_they_hold() {
    let directory = rig::directory();
    let stores = [(); 2].map(|()| store(directory.path(), |with| with.open_files(64)));
    for _ in 0..20 {
        for [holder, stranger] in [[0, 1], [1, 0]] {
            let mut hold = open(&stores[holder], &key("a"), Access::Exclusive).unwrap();
            commit_and_keep(&mut hold, b"data").unwrap();
            for access in [Access::Exclusive, Access::Shared] {
                let refused = try_open(&stores[stranger], &key("a"), access).map(drop);
                assert!(matches!(refused, Err(OpenError::LockTimeout(_))), "{refused:?}");
            }
        }
    }
}

/// A child that lives on has what was open when it was forked. A lock that its parent took before the fork lasts
/// until the child ends, if the parent is killed; one that it took after that must not.
#[test]
fn a_lock_that_a_killed_parent_took_after_a_fork_is_free_at_once() {
    child::alone("a_lock_that_a_killed_parent_took_after_a_fork_is_free_at_once", || {
        let directory = rig::directory();
        let stranger = store(directory.path(), |with| with.open_files(0));
        for before_the_fork in [false, true] {
            let (mut ended, end) = std::io::pipe().unwrap();
            let (mut gun, trigger) = std::io::pipe().unwrap();
            let mut trigger = Some(trigger);
            let parent = sys::fork(|| {
                let store = store(directory.path(), |with| with.open_files(64));
                put(&store, &key("a"), b"data");
                assert_eq!(open_files(directory.path()), 1, "the file was not kept");
                let hold = || open(&store, &key("a"), Access::Exclusive).unwrap();
                let held = before_the_fork.then(hold);
                sys::fork(|| {
                    // Until the test drops the other end.
                    drop(trigger.take());
                    let _ = gun.read(&mut [0]);
                    std::hint::black_box((&end, &held));
                    0
                });
                let _held = held.unwrap_or_else(hold);
                sys::die()
            });
            drop(end);
            assert_eq!(sys::wait_for(parent), sys::End::Signal(libc::SIGKILL));
            let refused = try_open(&stranger, &key("a"), Access::Exclusive).map(drop);
            assert_eq!(refused.is_err(), before_the_fork, "{refused:?}");
            drop(trigger);
            assert_eq!(ended.read(&mut [0]).unwrap(), 0);
        }
    });
}

/// Forks a child in the middle of an opening, when the file is open and nobody knows of it yet. The child lives as
/// long as this does.
struct Forks {
    due: AtomicBool,
    gun: std::io::PipeReader,
    trigger: Mutex<Option<std::io::PipeWriter>>,
}

impl Tap for Forks {
    fn before(&self, _: &Call<'_>) -> Answer {
        Answer::Pass
    }

    fn after(&self, call: &Call<'_>, _: &std::io::Result<Option<&fs::File>>) {
        if call.method == Method::Open && self.due.swap(false, Ordering::Relaxed) {
            sys::fork(|| {
                drop(self.trigger.lock().unwrap().take());
                let _ = (&self.gun).read(&mut [0]);
                0
            });
        }
    }
}

#[test]
fn a_file_that_was_open_for_a_moment_before_a_fork_is_not_kept() {
    child::alone("a_file_that_was_open_for_a_moment_before_a_fork_is_not_kept", || {
        let directory = rig::directory();
        let stranger = store(directory.path(), |with| with.open_files(0));
        put(&stranger, &key("a"), b"data");
        for kept in [64, 0] {
            let (gun, trigger) = std::io::pipe().unwrap();
            let forks = Arc::new(Forks {
                due: AtomicBool::new(false),
                gun,
                trigger: Mutex::new(Some(trigger)),
            });
            let parent = sys::fork(|| {
                let tapped = Tapped(Arc::clone(&forks));
                let store =
                    store(directory.path(), |with| with.open_files(kept).file_system(tapped));
                forks.due.store(true, Ordering::Relaxed);
                put(&store, &key("a"), b"data");
                assert!(!forks.due.load(Ordering::Relaxed), "nothing was opened");
                let _held = open(&store, &key("a"), Access::Exclusive).unwrap();
                sys::die()
            });
            assert_eq!(sys::wait_for(parent), sys::End::Signal(libc::SIGKILL));
            try_open(&stranger, &key("a"), Access::Exclusive).map(drop).unwrap();
        }
    });
}
