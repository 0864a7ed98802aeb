//! A walk through a file store tells apart what it meets, and goes on whatever happens.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod rig;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Calling, Depth, FileStore, Found, Inventory as _, Key, OpenError, Repaired,
};
use rig::golden::{self, HEAD, Slot};
use rig::tap::{Answer, Call, Method, Tap, Tapped};
use rig::{child, destroy, key, open, put, renew, walk};
use rustix::fs::{CWD, FileType, Mode};

struct Bench {
    store: FileStore,
    _directory: tempfile::TempDir,
}

impl Bench {
    /// A store with these sessions.
    fn new(sessions: &[&str]) -> Self {
        let directory = rig::directory();
        let store = FileStore::open(directory.path().join("sessions")).unwrap();
        for id in sessions {
            put(&store, &key(id), id.as_bytes());
        }
        Self { store, _directory: directory }
    }

    fn root(&self) -> &Path {
        self.store.directory()
    }

    fn place(&self, id: &str) -> PathBuf {
        self.store.place(&key(id))
    }

    /// Puts a file where the session of `id` would be.
    fn plant(&self, id: &str, bytes: &[u8]) {
        fs::create_dir_all(self.place(id).parent().unwrap()).unwrap();
        fs::write(self.place(id), bytes).unwrap();
        fs::set_permissions(self.place(id), Permissions::from_mode(0o600)).unwrap();
        let directory = self.place(id).parent().unwrap().to_owned();
        fs::set_permissions(directory, Permissions::from_mode(0o700)).unwrap();
    }

    /// What a walk finds beside sessions, by place; asserts that it sees these sessions.
    fn oddities(&self, depth: Depth, sessions: &[&str]) -> BTreeMap<PathBuf, String> {
        let mut odd = BTreeMap::new();
        let mut seen = Vec::new();
        for found in walk(&self.store, depth).unwrap() {
            let (place, text) = match found {
                Found::Session(summary) => {
                    seen.push(summary.key);
                    continue;
                }
                Found::Damaged { key, place, reason } => {
                    assert_eq!(self.store.place(&key), place);
                    (place, format!("damaged: {reason}"))
                }
                Found::Suspect { place, what } => (place, format!("suspect: {what}")),
                Found::Leftover { place, stored } => {
                    assert_eq!(fs::metadata(&place).unwrap().len(), stored);
                    (place, "leftover".into())
                }
                Found::Foreign { place, what } => (place, format!("foreign: {what}")),
                Found::Unreadable { place, reason } => (place, format!("unreadable: {reason}")),
                other => panic!("{other:?}"),
            };
            let before = odd.insert(place, text);
            assert_eq!(before, None, "two finds at one place");
        }
        seen.sort_unstable();
        let mut expected: Vec<Key> = sessions.iter().map(|id| key(id)).collect();
        expected.sort_unstable();
        assert_eq!(seen, expected);
        odd
    }

    /// The same store through another road to the file system.
    fn tapped(&self, tap: impl Tap) -> FileStore {
        FileStore::builder(self.root()).file_system(Tapped(Arc::new(tap))).open().unwrap()
    }
}

/// Answers every call that this says something about.
struct Answers<F>(F);

impl<F: Fn(&Call<'_>) -> Option<Answer> + Send + Sync + 'static> Tap for Answers<F> {
    fn before(&self, call: &Call<'_>) -> Answer {
        (self.0)(call).unwrap_or(Answer::Pass)
    }
}

#[test]
fn a_store_as_it_should_be_has_sessions_only() {
    let bench = Bench::new(&["a", "b", "c"]);
    put(&bench.store, &key("b"), &[b'x'; 20_000]);
    destroy(&mut open(&bench.store, &key("c"), Access::Exclusive).unwrap()).unwrap();
    let mut hold = open(&bench.store, &key("a"), Access::Exclusive).unwrap();
    renew(&mut hold, &key("d"), b"renewed", Duration::from_secs(60)).unwrap();
    drop(hold);
    // The gate, and something in the quarantine, are no finds.
    drop(open(&bench.store, &key("b"), Access::Shared).unwrap());
    bench.plant("damaged", b"garbage");
    let damaged = key("damaged");
    wait(bench.store.repair(&damaged, Calling::Blocking)).unwrap();
    assert!(bench.root().join("gate").exists() && bench.root().join("quarantine").exists());
    for depth in [Depth::Current, Depth::Whole] {
        assert_eq!(bench.oddities(depth, &["a", "b", "d"]), BTreeMap::new());
    }
}

#[test]
fn what_is_no_session_is_named_for_what_it_is() {
    let bench = Bench::new(&["a", "b"]);
    let root = bench.root();
    let elsewhere = |name: &str| {
        let other = bench.place("a").parent().unwrap().to_owned();
        other.join(bench.place(name).file_name().unwrap())
    };
    let mut expected = BTreeMap::new();
    let mut expect = |place: PathBuf, what: &str| {
        expected.insert(place, what.to_owned());
    };
    fs::write(root.join("README"), b"hello").unwrap();
    expect(root.join("README"), "foreign: a file that is no session");
    fs::create_dir(root.join("lost+found")).unwrap();
    expect(root.join("lost+found"), "foreign: a directory");
    fs::create_dir(root.join("AB")).unwrap();
    expect(root.join("AB"), "foreign: a directory");
    // A session of another layout, and one in another session's directory.
    fs::copy(bench.place("b"), root.join(bench.place("b").file_name().unwrap())).unwrap();
    expect(
        root.join(bench.place("b").file_name().unwrap()),
        "foreign: a session file in another one's directory",
    );
    fs::copy(bench.place("b"), elsewhere("b")).unwrap();
    expect(elsewhere("b"), "foreign: a session file in another one's directory");
    // What only bears the name of a session, or of a directory.
    let planted = ["pipe", "link", "dangling", "directory"].map(|id| bench.place(id));
    for place in &planted {
        fs::create_dir_all(place.parent().unwrap()).unwrap();
    }
    rustix::fs::mknodat(CWD, &planted[0], FileType::Fifo, Mode::RUSR, 0).unwrap();
    symlink(bench.place("a"), &planted[1]).unwrap();
    symlink("nowhere", &planted[2]).unwrap();
    fs::create_dir(&planted[3]).unwrap();
    let whats = ["a named pipe", "a symbolic link", "a symbolic link", "a directory"];
    for (place, what) in planted.into_iter().zip(whats) {
        expect(place, &format!("foreign: {what}"));
    }
    let free = (0_u8..=255).map(|byte| root.join(format!("{byte:02x}")));
    let mut free = free.filter(|directory| !directory.exists());
    let (link, file) = (free.next().unwrap(), free.next().unwrap());
    symlink(bench.place("a").parent().unwrap(), &link).unwrap();
    expect(link, "foreign: a symbolic link");
    fs::write(&file, b"").unwrap();
    expect(file, "foreign: a file that is no session");
    let growth = bench.place("a").with_extension("new");
    symlink("nowhere", &growth).unwrap();
    expect(growth, "foreign: a symbolic link");
    let before = rig::tree(root);
    assert_eq!(bench.oddities(Depth::Current, &["a", "b"]), expected);
    assert!(rig::tree(root) == before, "a walk changes nothing");
}

#[test]
fn a_name_that_is_no_text_is_foreign() {
    use std::os::unix::ffi::OsStrExt as _;
    let bench = Bench::new(&["a"]);
    fs::write(bench.root().join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), b"").unwrap();
    let odd = bench.oddities(Depth::Whole, &["a"]);
    assert_eq!(odd.len(), 1);
    assert_eq!(odd.values().next().unwrap(), "foreign: a name that this store does not give");
}

#[test]
fn what_a_killed_process_left_is_a_leftover_and_swept() {
    let bench = Bench::new(&["a", "gone"]);
    // A growth, a birth without its first slot, and a destroy without its unlink.
    fs::write(bench.place("a").with_extension("new"), [0; 5_000]).unwrap();
    bench.plant("unborn", b"");
    bench.plant("unwritten", &[0; 1_536]);
    let no_unlink = bench.tapped(Answers(|call: &Call<'_>| {
        (call.method == Method::Unlink).then_some(Answer::Fail(libc::EIO))
    }));
    destroy(&mut open(&no_unlink, &key("gone"), Access::Exclusive).unwrap()).unwrap();
    assert!(bench.place("gone").exists());
    let leftovers = [
        bench.place("a").with_extension("new"),
        bench.place("unborn"),
        bench.place("unwritten"),
        bench.place("gone"),
    ];
    for depth in [Depth::Current, Depth::Whole] {
        let odd = bench.oddities(depth, &["a"]);
        assert_eq!(odd, leftovers.iter().map(|place| (place.clone(), "leftover".into())).collect());
    }
    assert_eq!(rig::sweep(&bench.store).unwrap().removed, 4);
    assert_eq!(bench.oddities(Depth::Whole, &["a"]), BTreeMap::new());
}

#[test]
fn a_damaged_session_is_found_with_the_reason_until_it_is_repaired() {
    let bench = Bench::new(&["sound", "other", "short", "garbage", "empty slots", "swapped"]);
    let cut = fs::read(bench.place("short")).unwrap();
    fs::write(bench.place("short"), &cut[..1_000]).unwrap();
    fs::write(bench.place("garbage"), [b'g'; 1_536]).unwrap();
    let file = fs::File::options().write(true).open(bench.place("empty slots")).unwrap();
    file.write_all_at(&[0; 1_024], HEAD as u64).unwrap();
    fs::copy(bench.place("other"), bench.place("swapped")).unwrap();
    let damaged = ["short", "garbage", "empty slots", "swapped"];
    for depth in [Depth::Current, Depth::Whole] {
        let odd = bench.oddities(depth, &["sound", "other"]);
        assert_eq!(odd.len(), 4);
        assert_eq!(odd[&bench.place("short")], "damaged: its length is not that of a session file");
        for id in &damaged[1..] {
            let reason = "damaged: neither of its slots is whole and of this session";
            assert_eq!(odd[&bench.place(id)], reason, "{id}");
        }
    }
    for id in damaged {
        let repaired = wait(bench.store.repair(&key(id), Calling::Blocking)).unwrap();
        let Repaired::Quarantined(corrupt) = repaired else { panic!("{id}: {repaired:?}") };
        assert_eq!((corrupt.key, &corrupt.place), (key(id), &bench.place(id)));
        assert!(corrupt.quarantine.unwrap().exists() && !corrupt.place.exists(), "{id}");
    }
    assert_eq!(bench.oddities(Depth::Whole, &["sound", "other"]), BTreeMap::new());
}

#[test]
fn a_repair_leaves_alone_what_is_in_use_and_what_it_cannot_move() {
    let bench = Bench::new(&[]);
    bench.plant("damaged", b"garbage");
    let repair = |store: &FileStore| wait(store.repair(&key("damaged"), Calling::Blocking));
    let holder = fs::File::open(bench.place("damaged")).unwrap();
    holder.lock_shared().unwrap();
    assert!(matches!(repair(&bench.store), Ok(Repaired::InUse)));
    holder.unlock().unwrap();
    let no_rename = bench.tapped(Answers(|call: &Call<'_>| {
        (call.method == Method::Rename).then_some(Answer::Fail(libc::EACCES))
    }));
    match repair(&no_rename) {
        Err(OpenError::Corrupt(corrupt)) => assert_eq!(corrupt.quarantine, None),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(bench.place("damaged")).unwrap(), b"garbage");
    fs::remove_file(bench.place("damaged")).unwrap();
    fs::create_dir(bench.place("damaged")).unwrap();
    assert!(matches!(repair(&bench.store), Err(OpenError::NotASession { .. })));
}

#[test]
fn what_others_may_do_with_a_session_is_suspect() {
    let bench = Bench::new(&["open", "linked", "owned", "sound"]);
    fs::set_permissions(bench.place("open"), Permissions::from_mode(0o644)).unwrap();
    fs::hard_link(bench.place("linked"), bench.root().with_file_name("backup")).unwrap();
    let directory = bench.place("sound").parent().unwrap().to_owned();
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(bench.root(), Permissions::from_mode(0o777)).unwrap();
    let mut expected = BTreeMap::from([
        (
            bench.place("open"),
            "suspect: its permissions are 0644 and not 0600; set them with chmod".to_owned(),
        ),
        (
            bench.place("linked"),
            "suspect: it has 2 names, which lead to the same bytes; remove the others".to_owned(),
        ),
        (
            directory,
            "suspect: its permissions are 0755 and not 0700; set them with chmod".to_owned(),
        ),
        (
            bench.root().to_owned(),
            "suspect: its permissions are 0777, so that others may put files into it; take that \
             right away with chmod"
                .to_owned(),
        ),
    ]);
    if child::is_root() {
        std::os::unix::fs::chown(bench.place("owned"), Some(child::NOBODY), None).unwrap();
        expected.insert(
            bench.place("owned"),
            "suspect: it belongs to user 65534 and the store to user 0; set it with chown".into(),
        );
    }
    let sessions = ["open", "linked", "owned", "sound"];
    assert_eq!(bench.oddities(Depth::Whole, &sessions), expected);
    // It serves, so a walk that only wants sessions does not ask.
    assert_eq!(bench.oddities(Depth::Current, &sessions), BTreeMap::new());
}

#[test]
fn bytes_around_the_current_version_are_suspect_only_where_no_commit_left_them() {
    let bench = Bench::new(&["a"]);
    put(&bench.store, &key("a"), b"second");
    let good = fs::read(bench.place("a")).unwrap();
    let slot = |index: usize| HEAD + index * 512;
    let odd = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        fs::write(bench.place("a"), bytes).unwrap();
        bench.oddities(Depth::Whole, &["a"]).into_values().collect::<Vec<_>>()
    };
    // The first version is in slot 0, the second one in slot 1.
    assert_eq!(odd(&|_| {}), [""; 0]);
    assert_eq!(odd(&|bytes| bytes[slot(0)..slot(1)].fill(0)), [""; 0], "never written");
    assert_eq!(odd(&|bytes| bytes[slot(0) + 20] ^= 1), [""; 0], "torn");
    assert_eq!(odd(&|bytes| bytes[slot(1) - 1] = 7), [""; 0], "of a longer version before");
    assert_eq!(odd(&|bytes| bytes[20] = 7), [""; 0], "a torn touch");
    assert_eq!(odd(&|bytes| bytes[..8].fill(0)), [""; 0], "killed before the mark");
    let head = ["suspect: its head has bytes that the store does not write"];
    for index in [0, 7, 8, 15, 64, 511] {
        assert_eq!(odd(&|bytes| bytes[index] ^= 1), head, "byte {index}");
    }
    let spare = ["suspect: its spare slot is of no earlier version"];
    let current = Slot { sequence: 5, version: 5, ..Slot::live(512, 3) };
    let beside = |spare: Slot| {
        let slots = [spare, current].map(|slot| slot.seal(&key("a"), b"old"));
        let forged = golden::file(512, [&slots[0], &slots[1]]);
        odd(&|bytes| bytes.clone_from(&forged))
    };
    let earlier = Slot { sequence: 4, version: 4, ..current };
    assert_eq!(beside(earlier), [""; 0]);
    assert_eq!(beside(Slot { sequence: 1, version: 1, ..current }), [""; 0], "others withdrawn");
    assert_eq!(beside(Slot { version: 5, ..earlier }), [""; 0], "retired, or touched and adopted");
    assert_eq!(beside(Slot { birth: 8, ..earlier }), spare);
    assert_eq!(beside(Slot { version: 6, ..earlier }), spare);
    assert_eq!(beside(Slot { sequence: 5, ..earlier }), spare);
    assert_eq!(beside(Slot { kind: 2, ..earlier }), spare, "raised from the dead");
}

/// Any byte may go bad. Nothing panics, nothing is shown that was not committed, and what is not the
/// version committed last is said to be damaged or is the one before.
#[test]
fn no_flipped_bit_of_a_session_is_taken_for_another_session() {
    let bench = Bench::new(&["a"]);
    let first = fs::read(bench.place("a")).unwrap();
    let once = walk(&bench.store, Depth::Current).unwrap();
    let mut damaged = 0;
    for index in 0..first.len() {
        for bit in [0, 3, 7] {
            let mut bytes = first.clone();
            bytes[index] ^= 1 << bit;
            fs::write(bench.place("a"), bytes).unwrap();
            let found = walk(&bench.store, Depth::Whole).unwrap();
            match &found[0] {
                Found::Damaged { .. } => damaged += 1,
                found => assert_eq!(found, &once[0], "byte {index}, bit {bit}"),
            }
        }
    }
    // Every bit of the only version that there is.
    assert_eq!(damaged, 3 * (golden::HEADER + "a".len()));
}

/// A power cut may bring the file from before a growth back, with the mark of the growth in it.
#[test]
fn a_session_of_which_the_growth_was_undone_is_found() {
    let bench = Bench::new(&["a"]);
    let backup = bench.root().with_file_name("backup");
    fs::hard_link(bench.place("a"), &backup).unwrap();
    let before = walk(&bench.store, Depth::Current).unwrap();
    put(&bench.store, &key("a"), &[b'x'; 5_000]);
    fs::rename(&backup, bench.place("a")).unwrap();
    assert_eq!(walk(&bench.store, Depth::Whole).unwrap(), before);
}

#[test]
fn what_may_not_be_read_is_named_and_the_walk_goes_on() {
    child::alone_as_nobody("what_may_not_be_read_is_named_and_the_walk_goes_on", || {
        let bench = Bench::new(&["a", "file", "directory"]);
        let directory = bench.place("directory").parent().unwrap().to_owned();
        assert_ne!(bench.place("a").parent(), Some(&*directory));
        fs::set_permissions(bench.place("file"), Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o000)).unwrap();
        let odd = bench.oddities(Depth::Current, &["a"]);
        let denied = "unreadable: Permission denied (os error 13)";
        let places = [bench.place("file"), directory.clone()];
        assert_eq!(odd, places.map(|place| (place, denied.to_owned())).into());
        fs::set_permissions(&directory, Permissions::from_mode(0o700)).unwrap();
    });
}

#[test]
fn an_error_of_one_file_is_a_find_and_one_of_this_process_is_an_error() {
    let bench = Bench::new(&["a", "b"]);
    let broken = |method, errno| {
        let name = key("b").to_string();
        bench.tapped(Answers(move |call: &Call<'_>| {
            let of_b = call.path.is_some_and(|path| path.to_string_lossy().ends_with(&name));
            (call.method == method && of_b).then_some(Answer::Fail(errno))
        }))
    };
    let found = walk(&broken(Method::Open, libc::EIO), Depth::Whole).unwrap();
    assert_eq!(found.len(), 2);
    let reason = "Input/output error (os error 5)".to_owned();
    assert!(found.contains(&Found::Unreadable { place: bench.place("b"), reason }), "{found:?}");
    for errno in [libc::EMFILE, libc::ENFILE, libc::ENOMEM] {
        let error = walk(&broken(Method::Open, errno), Depth::Current).unwrap_err();
        assert_eq!(rig::errno(&error), Some(errno), "{error}");
    }
}
