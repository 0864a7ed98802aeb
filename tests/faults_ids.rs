//! Any string is an id, and none of it reaches the disk, a path, or an error text.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom::seams::{FileSystem as _, OpenMode};
use cloakroom::{Access, Calling, FileStore, Hold as _, Key, Layout, OpenRequest, SessionId};
use rig::tap::{Answer, Call, Tap, Tapped};
use rig::{child, commit, destroy, open, read, renew, sweep, sys, try_open};

/// Writes down each path that the store goes to and that is not one of its own.
#[derive(Default)]
struct Customs {
    passed: Mutex<BTreeSet<PathBuf>>,
    stopped: Mutex<Vec<PathBuf>>,
}

impl Tap for Customs {
    fn before(&self, call: &Call<'_>) -> Answer {
        for path in [call.path, call.to].into_iter().flatten() {
            if is_own(path) {
                self.passed.lock().unwrap().insert(path.to_owned());
            } else {
                self.stopped.lock().unwrap().push(path.to_owned());
            }
        }
        Answer::Pass
    }
}

/// The only paths of a store of two digits, relative to its root:
/// `.`, `gate`, `store.toml[.PID.THREAD]`, `quarantine[/HEX64.MILLIS]`, `HH`, `HH/HEX64[.new]`.
fn is_own(path: &Path) -> bool {
    let hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let Some(text) = path.to_str() else { return false };
    match text.split('/').collect::<Vec<_>>().as_slice() {
        ["." | "gate" | "quarantine"] => true,
        [one] => hex(one, 2) || one.starts_with("store.toml"),
        ["quarantine", file] => file.split_once('.').is_some_and(|(name, time)| {
            hex(name, 64)
                && !time.is_empty()
                && time.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        }),
        [shard, file] => {
            let name = file.strip_suffix(".new").unwrap_or(file);
            hex(shard, 2) && hex(name, 64) && name.starts_with(shard)
        }
        _ => false,
    }
}

/// Ids that broke other systems, or would if they became a part of a path, a header or a log.
fn hostile_ids() -> Vec<Vec<u8>> {
    let mut ids: Vec<Vec<u8>> = [
        "",
        " ",
        ".",
        "..",
        "...",
        "/",
        "//",
        "\\",
        "../..",
        "../../etc/passwd",
        "/etc/passwd",
        "a/b",
        "a/../b",
        "./a",
        "a/",
        "a//b",
        "..\\..\\boot.ini",
        "C:\\boot.ini",
        "\\\\host\\share",
        "file:///etc/passwd",
        "~",
        "~root/.ssh/id_rsa",
        "a\0b",
        "\0",
        "a\0/../b",
        "\n",
        "a\nb",
        "a\r\nSet-Cookie: admin=1",
        "\r\n\r\n<html>",
        "a\tb",
        "\u{1b}[2J",
        "-rf",
        "--help",
        "-",
        "%2e%2e%2f",
        "%2e%2e",
        "%252e%252e%252f",
        "%00",
        "..%c0%af",
        "CON",
        "NUL",
        "con.txt",
        "aux",
        "LPT1",
        "trailing.dot.",
        "trailing space ",
        "gate",
        "store.toml",
        "quarantine",
        "session.new",
        "session.tmp",
        "session.lock",
        ".hidden",
        "*",
        "?",
        "a*b",
        "$(reboot)",
        "`reboot`",
        "; rm -rf /",
        "| cat",
        "' OR 1=1 --",
        "\"quoted\"",
        "<script>alert(1)</script>",
        "{}",
        "%s%n%d",
        "\u{feff}bom",
        "cafe\u{301}",
        "caf\u{e9}",
        "\u{202e}live",
        "zero\u{200b}width",
        "SESSION",
        "session",
        "Session",
        "\u{130}",
        "\u{1f980}\u{1f980}",
        "\u{fffd}",
    ]
    .iter()
    .map(|id| id.as_bytes().to_vec())
    .collect();
    ids.push(b"\xff\xfe\xfd not utf-8".to_vec());
    ids.push(b"\xc0\xae\xc0\xae/overlong".to_vec());
    ids.push(b"\xed\xa0\x80 surrogate".to_vec());
    ids.push((0..=255).collect());
    for length in [255, 256, 4_095, 4_096, 1 << 20] {
        ids.push(vec![b'a'; length]);
    }
    ids.push("../".repeat(2_000).into_bytes());
    // A key as an id, and what a file is called.
    ids.push(Key::new("", &SessionId::from("session")).to_string().into_bytes());
    ids
}

#[test]
fn no_id_reaches_a_path_a_file_or_an_error_text() {
    child::alone("no_id_reaches_a_path_a_file_or_an_error_text", || {
        sys::umask(0);
        let directory = rig::directory();
        let top = directory.path();
        fs::write(top.join("letter"), b"dear").unwrap();
        let root = top.join("one/two/sessions");
        let customs = Arc::new(Customs::default());
        let store =
            FileStore::builder(&root).file_system(Tapped(Arc::clone(&customs))).open().unwrap();
        let ids = hostile_ids();
        assert!(ids.len() >= 60);
        let mut keys = BTreeSet::new();
        for id in &ids {
            let said = live_through_everything(&store, id);
            assert!(keys.insert(Key::new("", &SessionId::from(id.as_slice()))), "two ids, one key");
            for text in said {
                assert!(!contains(text.as_bytes(), id), "{text} tells the id");
            }
        }
        assert_eq!(*customs.stopped.lock().unwrap(), Vec::<PathBuf>::new());
        assert!(customs.passed.lock().unwrap().len() > ids.len());

        let files = rig::tree(top);
        for (path, (mode, bytes)) in &files {
            let Ok(below) = path.strip_prefix("one/two/sessions") else {
                // Beside the store there is what was there, and the directories above it.
                assert!(path == Path::new("letter") || Path::new("one/two").starts_with(path));
                continue;
            };
            assert!(below == Path::new("") || is_own(below), "{}", below.display());
            let wanted = if mode & libc::S_IFMT == libc::S_IFDIR { 0o700 } else { 0o600 };
            assert_eq!(mode & 0o7777, wanted, "{}", path.display());
            for id in &ids {
                assert!(!contains(path.as_os_str().as_encoded_bytes(), id), "a name tells the id");
                assert!(!contains(bytes, id), "{} tells the id", path.display());
            }
        }
        assert!(files.keys().any(|path| path.starts_with("one/two/sessions/quarantine")));
    });
}

/// Every operation of a store with this id; what it said meanwhile.
fn live_through_everything(store: &FileStore, id: &[u8]) -> Vec<String> {
    let id = SessionId::from(id);
    let key = Key::new("", &id);
    let mut said =
        vec![format!("{id:?}"), format!("{key:?}"), format!("{key}"), format!("{store:?}")];
    let mut note = |error: &dyn std::error::Error| said.push(format!("{error} {error:?}"));
    let mut hold = open(store, &key, Access::Exclusive).unwrap();
    assert!(hold.record().is_none());
    rig::commit_and_keep(&mut hold, b"first").unwrap();
    note(&try_open(store, &key, Access::Shared).map(drop).unwrap_err());
    commit(&mut hold, &[3; 1_500]).unwrap();
    note(&commit(&mut hold, b"late").unwrap_err());
    let mut late = open(store, &key, Access::Optimistic).unwrap();
    for access in Access::ALL {
        assert_eq!(read(store, &key, access).unwrap().unwrap(), [3; 1_500], "{access}");
    }
    cloakroom::blocking::wait(late.touch()).unwrap();
    commit(&mut open(store, &key, Access::Optimistic).unwrap(), b"faster").unwrap();
    note(&commit(&mut late, b"slower").unwrap_err());
    // Renewed to an id that is as bad, and destroyed there.
    let new = Key::new("", &SessionId::from([id.as_bytes(), b"/../renewed"].concat().as_slice()));
    let mut hold = open(store, &key, Access::Exclusive).unwrap();
    renew(&mut hold, &new, b"renewed", Duration::ZERO).unwrap();
    note(&commit(&mut late, b"too late").unwrap_err());
    destroy(&mut open(store, &new, Access::Exclusive).unwrap()).unwrap();
    // Damaged.
    rig::put(store, &key, b"damaged");
    fs::write(store.place(&key), b"garbage").unwrap();
    note(&try_open(store, &key, Access::Exclusive).map(drop).unwrap_err());
    rig::put(store, &key, b"left behind");
    sweep(store).unwrap();
    let request = OpenRequest::new(Access::Shared, Calling::Blocking);
    said.push(format!("{request:?}"));
    said
}

/// Short ids are in everything by chance.
fn contains(text: &[u8], id: &[u8]) -> bool {
    id.len() >= 7 && id != b"session" && !is_word_of_the_store(id) && {
        text.windows(id.len()).any(|window| window == id)
    }
}

/// An id may be what a store calls its own things; and the key that is an id here is another's key.
fn is_word_of_the_store(id: &[u8]) -> bool {
    matches!(id, b"store.toml" | b"quarantine" | b"SESSION" | b"Session") || id.len() == 64
}

#[test]
fn ids_that_look_alike_are_different_sessions() {
    let ids = hostile_ids();
    let keys: BTreeSet<Key> =
        ids.iter().map(|id| Key::new("", &SessionId::from(id.as_slice()))).collect();
    assert_eq!(keys.len(), ids.len());
    // Namespace and id do not run together.
    let split = |namespace: &str, id: &str| Key::new(namespace, &SessionId::from(id));
    let pairs = [("", "ab"), ("a", "b"), ("ab", ""), ("a", "\0b"), ("a\0", "b")];
    let keys: BTreeSet<Key> = pairs.iter().map(|(name, id)| split(name, id)).collect();
    assert_eq!(keys.len(), pairs.len());
}

#[test]
fn the_layout_of_every_shape_stays_below_the_root() {
    for levels in 0..=3 {
        for digits in 1..=4 {
            let directory = rig::directory();
            let store = FileStore::builder(directory.path().join("sessions"))
                .layout(Layout { levels, digits })
                .open()
                .unwrap();
            for id in hostile_ids().iter().step_by(7) {
                let key = Key::new("", &SessionId::from(id.as_slice()));
                rig::put(&store, &key, b"data");
                let place = store.place(&key);
                let below = place.strip_prefix(store.directory()).unwrap();
                assert!(below.components().all(|part| matches!(part, Component::Normal(_))));
                assert_eq!(below.file_name(), Some(OsStr::new(&key.to_string())));
                assert_eq!(below.components().count(), usize::from(levels) + 1);
                assert!(place.is_file());
            }
        }
    }
}

/// The control: a store that went anywhere else would be stopped.
#[test]
fn the_customs_stop_every_path_that_is_not_the_stores_own() {
    let hex = "0123456789abcdef".repeat(4);
    for path in [
        "..",
        "../x",
        "/etc/passwd",
        "01/../..",
        "01/",
        "",
        "01/02",
        "gate/x",
        "quarantine/x",
        "quarantine/../x",
        "a/b/c",
        "GG",
        "session",
        "./gate",
    ] {
        assert!(!is_own(Path::new(path)), "{path}");
    }
    for path in [
        format!("02/{hex}"),
        format!("01/{hex}.tmp"),
        format!("01/{}", hex.to_uppercase()),
        format!("01/{hex}/x"),
        format!("quarantine/{hex}"),
        format!("quarantine/{hex}.x"),
    ] {
        assert!(!is_own(Path::new(&path)), "{path}");
    }
    assert!(is_own(Path::new(&format!("01/{hex}"))));
    // A planted bug: a store that opens by id instead of by key.
    let directory = rig::directory();
    let root = fs::File::open(directory.path()).unwrap();
    let customs = Arc::new(Customs::default());
    for id in hostile_ids() {
        if let Ok(name) = std::str::from_utf8(&id) {
            drop(Tapped(Arc::clone(&customs)).open(&root, Path::new(name), OpenMode::Read));
        }
    }
    assert!(customs.stopped.lock().unwrap().len() > 60);
}
