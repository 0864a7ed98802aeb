//! Other things than session files where session files belong, directories that may not be used,
//! and stores that are not what the caller thinks.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod rig;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloakroom::{
    Access, CommitError, Durability, FileStore, Hold as _, Layout, OpenError, StoreError,
};
use rig::child::{self, NOBODY};
use rig::{commit, destroy, errno, key, open, put, read, renew, sweep, sys, try_open};
use rustix::fs::{CWD, FileType, Mode, RenameFlags};

/// A store beside a directory that is none of its business.
struct Bench {
    directory: tempfile::TempDir,
    store: FileStore,
    before: BTreeMap<PathBuf, (u32, Vec<u8>)>,
}

impl Bench {
    fn new() -> Self {
        let directory = rig::directory();
        let store = FileStore::open(directory.path().join("sessions")).unwrap();
        let outside = directory.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("letter"), b"dear").unwrap();
        // A session file of another store, to be reached through a link.
        let other = FileStore::open(outside.join("store")).unwrap();
        put(&other, &key("planted"), b"the outsider's data");
        let before = rig::tree(&outside);
        Self { directory, store, before }
    }

    fn outside(&self) -> PathBuf {
        self.directory.path().join("outside")
    }

    /// The file of the planted session in the other store.
    fn bait(&self) -> PathBuf {
        let name = key("planted").to_string();
        self.outside().join("store").join(&name[..2]).join(name)
    }

    fn assert_outside_untouched(&self) {
        let after = rig::tree(&self.outside());
        let touched = |path: &&PathBuf| after.get(*path) != self.before.get(*path);
        let touched: Vec<_> = self.before.keys().chain(after.keys()).filter(touched).collect();
        assert!(touched.is_empty(), "outside was touched: {touched:?}");
    }
}

#[test]
fn a_thing_that_is_no_file_is_named_and_left_where_it_is() {
    let plant_node = |place: &Path, kind| {
        rustix::fs::mknodat(CWD, place, kind, Mode::from_raw_mode(0o600), 0).unwrap();
    };
    type Plant<'a> = &'a dyn Fn(&Bench, &Path);
    let device = |_: &Bench, place: &Path| {
        // `/dev/null`; only root can plant it.
        let null = rustix::fs::makedev(1, 3);
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(CWD, place, FileType::CharacterDevice, mode, null).unwrap();
    };
    let things: [(&str, Plant<'_>); 7] = [
        ("a device", &device),
        ("a directory", &|_, place| fs::create_dir(place).unwrap()),
        ("a named pipe", &|_, place| plant_node(place, FileType::Fifo)),
        ("a socket", &|_, place| plant_node(place, FileType::Socket)),
        ("a symbolic link", &|bench, place| symlink(bench.bait(), place).unwrap()),
        ("a symbolic link", &|_, place| symlink("nowhere", place).unwrap()),
        ("a symbolic link", &|bench, place| {
            // To a session of the same store.
            put(&bench.store, &key("neighbour"), b"the neighbour's data");
            symlink(bench.store.place(&key("neighbour")), place).unwrap();
        }),
    ];
    for (what, plant) in things.into_iter().skip(usize::from(!child::is_root())) {
        let bench = Bench::new();
        let planted = key("planted");
        let place = bench.store.place(&planted);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        plant(&bench, &place);
        let before = rig::tree(bench.store.directory());
        for access in Access::ALL {
            match try_open(&bench.store, &planted, access) {
                Err(OpenError::NotASession { place: named, found }) => {
                    assert_eq!((&named, found), (&place, what), "{access}");
                }
                Err(error) => panic!("{what}, {access}: {error}"),
                Ok(_) => panic!("{what}, {access}: opened"),
            }
        }
        // As the new id of a renew.
        let id = key("renewed");
        put(&bench.store, &id, b"old");
        let mut hold = open(&bench.store, &id, Access::Exclusive).unwrap();
        let renewed = renew(&mut hold, &planted, b"new", Duration::ZERO);
        let error = renewed.unwrap_err();
        assert!(
            matches!(error, CommitError::Open(OpenError::NotASession { .. })),
            "renew to {what}: {error}"
        );
        drop(hold);
        assert_eq!(read(&bench.store, &id, Access::Exclusive).unwrap().unwrap(), b"old");
        destroy(&mut open(&bench.store, &id, Access::Exclusive).unwrap()).unwrap();
        // The sweep counts it and goes on.
        let swept = sweep(&bench.store).unwrap();
        assert!(swept.complete && swept.failed == 1 && swept.removed == 0, "{what}: {swept:?}");
        let after = rig::tree(bench.store.directory());
        assert!(before.iter().all(|(path, there)| after[path] == *there), "{what} was touched");
        bench.assert_outside_untouched();
    }
}

/// The control: a link that is followed would show the outsider's data, for it leads to a session
/// file with the same key.
#[test]
fn the_bait_outside_is_a_session_that_would_open() {
    let bench = Bench::new();
    let place = bench.store.place(&key("planted"));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::copy(bench.bait(), place).unwrap();
    let seen = read(&bench.store, &key("planted"), Access::Exclusive).unwrap();
    assert_eq!(seen.unwrap(), b"the outsider's data");
}

#[test]
fn a_linked_shard_directory_is_not_entered() {
    let bench = Bench::new();
    let planted = key("planted");
    let shard = bench.store.place(&planted).parent().unwrap().to_owned();
    symlink(bench.bait().parent().unwrap(), &shard).unwrap();
    for access in Access::ALL {
        let error = try_open(&bench.store, &planted, access).map(drop).unwrap_err();
        assert!(!matches!(error, OpenError::Corrupt(_)), "{access}: {error}");
    }
    // As the new id of a renew, and for the sweep.
    put(&bench.store, &key("renewed"), b"old");
    let mut hold = open(&bench.store, &key("renewed"), Access::Exclusive).unwrap();
    renew(&mut hold, &planted, b"new", Duration::ZERO).unwrap_err();
    drop(hold);
    let swept = sweep(&bench.store).unwrap();
    assert!(swept.complete && swept.removed == 0, "{swept:?}");
    bench.assert_outside_untouched();
}

#[test]
fn a_linked_quarantine_does_not_take_a_file_outside() {
    let bench = Bench::new();
    put(&bench.store, &key("damaged"), b"data");
    let place = bench.store.place(&key("damaged"));
    fs::write(&place, b"garbage").unwrap();
    symlink(bench.outside(), bench.store.directory().join("quarantine")).unwrap();
    for access in Access::ALL {
        match try_open(&bench.store, &key("damaged"), access) {
            Err(OpenError::Corrupt(corrupt)) => assert_eq!(corrupt.quarantine, None, "{access}"),
            other => panic!("{access}: {:?}", other.map(drop)),
        }
        bench.assert_outside_untouched();
        assert_eq!(fs::read(&place).unwrap(), b"garbage", "{access}");
    }
}

#[test]
fn things_planted_at_the_gate_and_at_the_growth_name_do_no_harm() {
    type Plant<'a> = &'a dyn Fn(&Bench, &Path);
    let things: [Plant<'_>; 4] = [
        &|bench, place| symlink(bench.outside().join("letter"), place).unwrap(),
        &|bench, place| symlink(bench.outside().join("created"), place).unwrap(),
        &|_, place| fs::create_dir(place).unwrap(),
        &|_, place| {
            rustix::fs::mknodat(CWD, place, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        },
    ];
    for plant in things {
        let bench = Bench::new();
        let grown = key("grown");
        put(&bench.store, &grown, b"small");
        let mut name = bench.store.place(&grown).into_os_string();
        name.push(".new");
        plant(&bench, Path::new(&name));
        let mut hold = open(&bench.store, &grown, Access::Exclusive).unwrap();
        let done = commit(&mut hold, &[1; 2_000]);
        drop(hold);
        let stands = read(&bench.store, &grown, Access::Exclusive).unwrap().unwrap();
        assert_eq!(stands.len(), if done.is_ok() { 2_000 } else { 5 });
        plant(&bench, &bench.store.directory().join("gate"));
        // A shared open goes through the gate; one that cannot says why.
        if let Err(error) = try_open(&bench.store, &grown, Access::Shared) {
            assert!(matches!(error, OpenError::Io(_)), "{error}");
        }
        // Nobody else needs it.
        assert!(read(&bench.store, &grown, Access::Exclusive).unwrap().is_some());
        bench.assert_outside_untouched();
    }
}

/// Whoever may write to the store's directory exchanges a prefix directory for a link and back
/// while requests are at work: nothing behind the link is touched.
#[test]
fn a_shard_directory_swapped_for_a_link_at_work_leads_nobody_outside() {
    const ROUNDS: u64 = 2_000;
    let bench = Bench::new();
    let planted = key("planted");
    put(&bench.store, &planted, b"0");
    let shard = bench.store.place(&planted).parent().unwrap().to_owned();
    let link = bench.directory.path().join("link");
    let bait = bench.bait();
    fs::copy(&bait, bait.with_extension("new")).unwrap();
    let bench = Bench { before: rig::tree(&bench.outside()), ..bench };
    symlink(bait.parent().unwrap(), &link).unwrap();
    let done = AtomicBool::new(false);
    let mut committed = 0;
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let mut rounds = 0;
            while rounds < ROUNDS || !done.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, &shard, CWD, &link, RenameFlags::EXCHANGE).unwrap();
                rounds += 1;
            }
        });
        let mut random = rig::Random(9);
        for round in 0.. {
            if round >= ROUNDS && committed >= 100 || swapper.is_finished() {
                break;
            }
            let Ok(mut hold) = try_open(&bench.store, &planted, Access::Exclusive) else {
                continue;
            };
            assert!(!hold.payload().starts_with(b"the outsider"), "read through the link");
            let payload = vec![b'0'; usize::try_from(random.below(4_000)).unwrap()];
            // Failures are due; what counts is what they leave outside.
            committed += u64::from(commit(&mut hold, &payload).is_ok());
            if random.below(4) == 0
                && let Ok(mut hold) = try_open(&bench.store, &planted, Access::Exclusive)
            {
                let _ = destroy(&mut hold);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(committed > 0, "the link was in the way all the time");
    bench.assert_outside_untouched();
}

#[test]
fn without_permission_every_answer_says_so_and_the_rest_still_works() {
    let name = "without_permission_every_answer_says_so_and_the_rest_still_works";
    let directory = rig::directory();
    let root = directory.path().join("sessions");
    let barred = directory.path().join("barred");
    let in_test = std::env::var("CLOAKROOM_RIG").is_err();
    if in_test {
        // Root prepares; the child without rights finds it through its working directory.
        let store = FileStore::open(&root).unwrap();
        for id in ["mine", "read-only", "foreign", "lent"] {
            put(&store, &key(id), id.as_bytes());
        }
        fs::create_dir(&barred).unwrap();
        fs::set_permissions(&barred, fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(store.place(&key("read-only")), fs::Permissions::from_mode(0o400))
            .unwrap();
        if child::is_root() {
            for path in rig::names(&root) {
                chown(root.join(path), Some(NOBODY), Some(NOBODY)).unwrap();
            }
            chown(&root, Some(NOBODY), Some(NOBODY)).unwrap();
            chown(directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            chown(store.place(&key("foreign")), Some(0), Some(0)).unwrap();
            let lent = store.place(&key("lent"));
            chown(&lent, Some(0), Some(0)).unwrap();
            fs::set_permissions(lent, fs::Permissions::from_mode(0o666)).unwrap();
        }
    }
    let work = directory.path().to_owned();
    child::alone_as(
        name,
        |command| {
            use std::os::unix::process::CommandExt as _;
            if child::is_root() {
                command.uid(NOBODY).gid(NOBODY);
            }
            command.current_dir(work);
        },
        || {
            assert!(!child::is_root(), "the rights were not dropped; this proves nothing");
            let denied = |error: &(dyn std::error::Error + 'static)| {
                assert_eq!(errno(error), Some(libc::EACCES), "{error}");
                assert!(error.to_string().contains("must be writable"), "no advice: {error}");
            };
            denied(&FileStore::open("barred").unwrap_err());
            denied(&FileStore::open("barred/below").unwrap_err());
            // A file that is open already asks for no permission.
            let store = FileStore::builder("sessions").open_files(0).open().unwrap();
            put(&store, &key("mine"), b"changed");
            // A file of somebody else that anybody may use: its time of access is not ours to leave alone.
            assert_eq!(read(&store, &key("lent"), Access::Snapshot).unwrap().unwrap(), b"lent");
            put(&store, &key("lent"), b"changed, too");
            // A file that may only be read.
            let id = key("read-only");
            assert_eq!(read(&store, &id, Access::Snapshot).unwrap().unwrap(), b"read-only");
            assert_eq!(read(&store, &id, Access::Shared).unwrap().unwrap(), b"read-only");
            denied(&try_open(&store, &id, Access::Exclusive).map(drop).unwrap_err());
            let mut hold = try_open(&store, &id, Access::Optimistic).unwrap();
            denied(&commit(&mut hold, b"x").unwrap_err());
            // A file of somebody else.
            for access in Access::ALL {
                if rig_has_foreign(&store) {
                    denied(&try_open(&store, &key("foreign"), access).map(drop).unwrap_err());
                }
            }
            // A directory that may only be read: what is there can be changed, nothing created.
            let new = key("new");
            for path in [store.directory(), store.place(&id).parent().unwrap()] {
                fs::set_permissions(path, fs::Permissions::from_mode(0o500)).unwrap();
            }
            let mut hold = try_open(&store, &new, Access::Exclusive).unwrap();
            denied(&commit(&mut hold, b"x").unwrap_err());
            drop(hold);
            put(&store, &key("mine"), b"again");
            FileStore::open("sessions").unwrap();
            assert_eq!(read(&store, &key("mine"), Access::Shared).unwrap().unwrap(), b"again");
            // A store that cannot even be searched.
            fs::set_permissions("sessions", fs::Permissions::from_mode(0o000)).unwrap();
            denied(&FileStore::open("sessions").unwrap_err());
            for access in [Access::Exclusive, Access::Snapshot, Access::Optimistic] {
                denied(&try_open(&store, &key("mine"), access).map(drop).unwrap_err());
            }
            fs::set_permissions("sessions", fs::Permissions::from_mode(0o700)).unwrap();
        },
    );
    if in_test {
        fs::set_permissions(&barred, fs::Permissions::from_mode(0o700)).unwrap();
    }
}

/// Only root can plant the file of another user.
fn rig_has_foreign(store: &FileStore) -> bool {
    fs::metadata(store.place(&key("foreign"))).unwrap().uid() == 0
}

#[test]
fn a_store_with_another_layout_or_durability_says_what_it_has() {
    let directory = rig::directory();
    let root = directory.path().join("sessions");
    let layout = Layout { levels: 2, digits: 1 };
    FileStore::builder(&root).layout(layout).durability(Durability::Power).open().unwrap();
    let before = rig::tree(&root);
    for other in [Layout::FLAT, Layout::default(), Layout { levels: 2, digits: 2 }] {
        match FileStore::builder(&root).layout(other).open() {
            Err(StoreError::Mismatch { place, setting, found, asked }) => {
                assert_eq!((place, setting), (root.clone(), "layout"));
                assert_eq!((found, asked), (layout.to_string(), other.to_string()));
            }
            opened => panic!("{opened:?}"),
        }
    }
    match FileStore::builder(&root).durability(Durability::Process).open() {
        Err(StoreError::Mismatch { setting: "durability", found, asked, .. }) => {
            assert_eq!((found.as_str(), asked.as_str()), ("power", "process"));
        }
        opened => panic!("{opened:?}"),
    }
    let store = FileStore::open(&root).unwrap();
    assert_eq!((store.layout(), store.durability()), (layout, Durability::Power));
    assert!(rig::tree(&root) == before, "a refused open changed the store");
}

#[test]
fn a_description_that_is_damaged_empty_or_newer_is_refused_and_kept() {
    let good = {
        let directory = rig::directory();
        FileStore::open(directory.path()).unwrap();
        fs::read(directory.path().join("store.toml")).unwrap()
    };
    let text = String::from_utf8(good.clone()).unwrap();
    let mut files: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"garbage".to_vec(),
        vec![0; 100],
        vec![0xff; 100],
        vec![b'a'; 100_000],
        text.replace("format = 1", "format = 2").into(),
        text.replace("format = 1", "format = -1").into(),
        text.replace("format = 1", "format = 99999999999999999999").into(),
        text.replace("levels = 1", "levels = 4").into(),
        text.replace("digits = 2", "digits = 0").into(),
        text.replace("process", "hope").into(),
    ];
    // Cut anywhere before its last setting is whole.
    let whole = text.trim_end().len();
    files.extend((0..whole).map(|length| good[..length].to_vec()));
    for bytes in files {
        let directory = rig::directory();
        let place = directory.path().join("store.toml");
        fs::write(&place, &bytes).unwrap();
        match FileStore::open(directory.path()) {
            Err(StoreError::Description { place: named, reason }) => {
                assert_eq!(named, place);
                assert!(!reason.is_empty());
            }
            opened => panic!("{:?}: {opened:?}", String::from_utf8_lossy(&bytes)),
        }
        assert_eq!(fs::read(&place).unwrap(), bytes);
        assert_eq!(rig::names(directory.path()).len(), 1);
    }
    // The control: the text that was bent above is good as it was.
    let directory = rig::directory();
    fs::write(directory.path().join("store.toml"), good).unwrap();
    FileStore::open(directory.path()).unwrap();
}

#[test]
fn a_description_that_is_no_file_is_an_error_and_no_hang() {
    type Plant<'a> = &'a dyn Fn(&Path);
    let things: [Plant<'_>; 4] = [
        &|place| fs::create_dir(place).unwrap(),
        &|place| symlink("/etc/passwd", place).unwrap(),
        &|place| symlink("nowhere", place).unwrap(),
        &|place| {
            rustix::fs::mknodat(CWD, place, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        },
    ];
    for plant in things {
        let directory = rig::directory();
        plant(&directory.path().join("store.toml"));
        let before = rig::tree(directory.path());
        FileStore::open(directory.path()).unwrap_err();
        assert!(rig::tree(directory.path()) == before);
    }
}

#[test]
fn a_directory_of_other_things_is_not_made_a_store() {
    let directory = rig::directory();
    fs::write(directory.path().join("letter"), b"dear").unwrap();
    let before = rig::tree(directory.path());
    match FileStore::open(directory.path()) {
        Err(StoreError::NotAStore { place }) => assert_eq!(place, directory.path()),
        opened => panic!("{opened:?}"),
    }
    assert!(rig::tree(directory.path()) == before);
    match FileStore::open(directory.path().join("letter")) {
        Err(StoreError::Io(error)) => assert_eq!(error.place, directory.path().join("letter")),
        opened => panic!("{opened:?}"),
    }
    match FileStore::open(directory.path().join("letter/below")) {
        Err(StoreError::Io(_)) => {}
        opened => panic!("{opened:?}"),
    }
    match FileStore::open("") {
        Err(StoreError::Io(_)) => {}
        opened => panic!("{opened:?}"),
    }
}

#[test]
fn a_store_that_is_deleted_while_open_answers_with_errors() {
    for layout in [Layout::FLAT, Layout::default(), Layout { levels: 3, digits: 1 }] {
        let directory = rig::directory();
        let root = directory.path().join("sessions");
        let store = FileStore::builder(&root).layout(layout).open().unwrap();
        put(&store, &key("old"), b"data");
        let mut holder = open(&store, &key("old"), Access::Exclusive).unwrap();
        let mut optimist = open(&store, &key("old"), Access::Optimistic).unwrap();
        fs::remove_dir_all(&root).unwrap();
        rig::a_tick_later();
        let error = commit(&mut holder, b"more").unwrap_err();
        assert!(matches!(error, CommitError::Gone { .. }), "{layout}: {error}");
        drop(holder);
        let error = commit(&mut optimist, b"more").unwrap_err();
        assert!(matches!(error, CommitError::Gone { .. }), "{layout}: {error}");
        for access in [Access::Exclusive, Access::Optimistic] {
            let mut hold = try_open(&store, &key("new"), access).unwrap();
            assert!(hold.record().is_none());
            let error = commit(&mut hold, b"data").unwrap_err();
            assert_eq!(errno(&error), Some(libc::ENOENT), "{layout}, {access}: {error}");
        }
        // The names are gone; nothing is to be read, and nothing comes back.
        assert_eq!(read(&store, &key("old"), Access::Snapshot).unwrap(), None);
        assert!(!root.exists());
    }
}

#[test]
fn two_that_open_a_new_store_at_once_open_the_same_store() {
    for round in 0..64 {
        let directory = rig::directory();
        let root = directory.path().join("deep/er/sessions");
        let start = std::sync::Barrier::new(4);
        let stores = std::thread::scope(|scope| {
            let open = || {
                start.wait();
                FileStore::open(&root)
            };
            let threads = [(); 4].map(|()| scope.spawn(open));
            threads.map(|thread| thread.join().unwrap())
        });
        for store in stores {
            let store = store.unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert_eq!(store.layout(), Layout::default());
        }
        assert_eq!(rig::names(&root), [PathBuf::from("store.toml")], "round {round}");
    }
}

#[test]
fn two_processes_that_open_a_new_store_at_once_open_the_same_store() {
    child::alone("two_processes_that_open_a_new_store_at_once_open_the_same_store", || {
        for round in 0..64 {
            let directory = rig::directory();
            let root = directory.path().join("sessions");
            let (mut gun, mut trigger) = std::io::pipe().unwrap();
            let mut children = Vec::new();
            for index in 0..2 {
                children.push(sys::fork(|| {
                    // The parent fires when both are there.
                    gun.read_exact(&mut [0]).unwrap();
                    let store = FileStore::open(&root).unwrap();
                    put(&store, &key(&format!("of {index}")), b"data");
                    7
                }));
            }
            trigger.write_all(&[0, 0]).unwrap();
            for pid in children {
                assert_eq!(sys::wait_for(pid), sys::End::Exit(7), "round {round}");
            }
            let leftover = |path: &PathBuf| {
                let name = path.to_string_lossy();
                name.starts_with("store.toml") && name != "store.toml"
            };
            assert!(!rig::names(&root).iter().any(leftover), "round {round}");
            let store = FileStore::open(&root).unwrap();
            for index in 0..2 {
                let seen = read(&store, &key(&format!("of {index}")), Access::Snapshot).unwrap();
                assert_eq!(seen.unwrap(), b"data");
            }
        }
    });
}

/// A program may be killed while it creates a store, and the next one may have its number: in a
/// container every start is process 1. Its leftover must not end up in the new description.
#[test]
fn what_a_killed_creation_left_does_not_spoil_the_next_one() {
    let directory = rig::directory();
    let root = directory.path().join("sessions");
    fs::create_dir(&root).unwrap();
    let thread = std::thread::current().id();
    let draft = format!("store.toml.{}.{thread:?}", std::process::id());
    fs::write(root.join(draft), vec![b'x'; 2_000]).unwrap();
    let store = FileStore::builder(&root).durability(Durability::Power).open().unwrap();
    assert_eq!(store.durability(), Durability::Power);
    assert_eq!(rig::names(&root), [PathBuf::from("store.toml")]);
}
