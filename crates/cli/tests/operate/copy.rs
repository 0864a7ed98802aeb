//! `copy`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use cloakroom::blocking::{Session, Sessions};
use cloakroom::seams::OsClock;
use cloakroom::{Access, Durability, FileStore, Layout, MapStore, SessionId};
use serde_json::Value;

use crate::common::{Ended, cloakroom, run};
use crate::store::{TestStore, TestedStore, get, keys, put, url};

/// Copies to the store of this name beside it.
fn copy(store: &TestStore, to: &str, more: &[&str]) -> Ended {
    copy_to::<FileStore, _>(store, to, more)
}

/// Copies to a store of another kind.
fn copy_to<T: TestedStore, F: TestedStore>(store: &TestStore<F>, to: &str, more: &[&str]) -> Ended {
    let url = url::<T>(&store.beside(to).0);
    run([&["copy", &store.url(), &url, "--format", "json"], more].concat())
}

fn sessions_in<S: TestedStore>(directory: &Path) -> Sessions<S> {
    Sessions::new(S::in_directory(directory, OsClock))
}

/// Makes tests of functions that copy from a new store to one of that kind or of the other.
macro_rules! over_pairs {
    ($($name:ident,)*) => {
        mod from_files_to_files {
            $(#[test] fn $name() {
                super::$name::<_, cloakroom::FileStore>(&crate::store::TestStore::new());
            })*
        }
        mod from_files_to_a_map {
            $(#[test] fn $name() {
                super::$name::<_, cloakroom::MapStore>(&crate::store::TestStore::new());
            })*
        }
        mod from_a_map_to_files {
            $(#[test] fn $name() {
                super::$name::<_, cloakroom::FileStore>(&crate::store::TestStore::of_map());
            })*
        }
    };
}
pub(crate) use over_pairs;

over_pairs! {
    every_session_is_in_the_copy_with_all_that_belongs_to_it,
    the_same_command_carries_over_what_changed_since,
    a_use_without_a_commit_is_carried_over_too,
    what_goes_on_in_the_copy_is_left_alone,
    expired_sessions_are_not_copied,
    while_the_source_serves_no_counter_goes_back_and_no_logout_is_undone,
    the_table_says_what_was_done,
}

/// The journal of a copy that is not complete; none: there is no such copy.
fn mark(directory: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(directory.join("copy")).ok()?;
    let mut paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    paths.find(|path| path.extension().is_some_and(|extension| extension == "unfinished"))
}

fn every_session_is_in_the_copy_with_all_that_belongs_to_it<F: TestedStore, T: TestedStore>(
    store: &TestStore<F>,
) {
    let keys = store.fill(120);
    put(&store.sessions_for(Duration::from_secs(7)), "s5", "more", "x".repeat(3_000));
    let directory = store.beside("copy").0;
    let url = url::<T>(&directory);
    let document = copy_to::<T, _>(store, "copy", &[]).document();
    assert_eq!(document["sessions"], 120);
    assert_eq!(document["copied"], 120);
    assert_eq!(document["verified"], 120);
    assert_eq!(document["complete"], true);
    assert_eq!(mark(&directory), None);
    for key in &keys {
        let show = |url: &str| run(["show", url, &key.to_string(), "--format", "json"]).document();
        assert_eq!(show(&store.url()), show(&url));
    }
    let verified = run(["verify", &url]);
    assert_eq!(verified.code, Some(0));
    assert!(verified.stdout.starts_with("120 sessions are sound"), "{}", verified.stdout);
    assert!(!verified.stdout.contains("foreign"), "{}", verified.stdout);
}

#[test]
fn a_new_store_is_like_the_old_one_unless_told_otherwise() {
    let layout = Layout { levels: 1, digits: 3 };
    let store = TestStore::with(|builder| builder.layout(layout).durability(Durability::Power));
    store.fill(3);
    assert_eq!(copy(&store, "copy", &[]).code, Some(0));
    let copied = FileStore::open(store.beside("copy").0).unwrap();
    assert_eq!((copied.layout(), copied.durability()), (layout, Durability::Power));
    assert_eq!(copy_to::<MapStore, _>(&store, "map", &[]).code, Some(0));
    let copied = MapStore::open(store.beside("map").0).unwrap();
    assert_eq!(copied.durability(), Durability::Power);
    let told = ["--layout", "2x1", "--durability", "process"];
    assert_eq!(copy(&store, "other", &told).code, Some(0));
    let copied = FileStore::open(store.beside("other").0).unwrap();
    assert_eq!(copied.layout(), Layout { levels: 2, digits: 1 });
    assert_eq!(copied.durability(), Durability::Process);
    // One that stands is used as it is, and cannot be asked to be another.
    assert_eq!(copy(&store, "copy", &[]).code, Some(0));
    let ended = copy(&store, "copy", &["--layout", "flat"]);
    ended.refused_with(2, &["has layout 1 level of 3 digits", "flat"]);
    let ended = copy_to::<MapStore, _>(&store, "map", &["--durability", "process"]);
    ended.refused_with(2, &["has durability power"]);
}

#[test]
fn a_layout_is_nothing_for_a_map_store() {
    let store = TestStore::new();
    copy_to::<MapStore, _>(&store, "copy", &["--layout", "flat"])
        .refused_with(2, &["--layout means nothing there"]);
    assert!(!store.beside("copy").0.exists(), "nothing was begun");
}

#[test]
fn a_session_that_does_not_fit_is_named_and_the_others_are_copied() {
    let store = TestStore::new();
    store.fill(9);
    let large = store.put("large", "x", "x".repeat(2_000_000)).to_string();
    let ended = copy_to::<MapStore, _>(&store, "copy", &[]);
    assert_eq!(ended.code, Some(1));
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&document["copied"], &document["complete"]), (&9.into(), &false.into()));
    assert!(ended.stderr.contains(&format!("session {large} does not fit")), "{}", ended.stderr);
    assert!(mark(&store.beside("copy").0).is_some());
}

fn the_same_command_carries_over_what_changed_since<F: TestedStore, T: TestedStore>(
    store: &TestStore<F>,
) {
    let all = store.fill(30);
    copy_to::<T, _>(store, "copy", &[]).document();
    let (directory, _) = store.beside("copy");
    store.put("s1", "counter", 100);
    store.put("new", "counter", 1);
    store.sessions().destroy(&SessionId::from("s2")).unwrap();
    let mut renewed = store.sessions().open(&SessionId::from("s3"), Access::Optimistic).unwrap();
    let new_id = renewed.renew(Duration::ZERO).unwrap().clone();
    renewed.commit().unwrap();
    let document = copy_to::<T, _>(store, "copy", &[]).document();
    assert_eq!((&document["copied"], &document["caught_up"]), (&2.into(), &1.into()));
    assert_eq!(document["ended_in_from"], 2);
    assert_eq!(get::<T>(&directory, "s1", "counter"), Some(100.into()));
    assert_eq!(get::<T>(&directory, "new", "counter"), Some(1.into()));
    assert_eq!(get::<T>(&directory, "s2", "counter"), None);
    assert_eq!(get::<T>(&directory, "s3", "counter"), None, "the old id is dead");
    assert_eq!(get::<T>(&directory, new_id.to_str().unwrap(), "counter"), Some(3.into()));
    assert_eq!(keys(&url::<T>(&directory)).len(), all.len());
    let document = copy_to::<T, _>(store, "copy", &[]).document();
    assert_eq!((&document["copied"], &document["caught_up"]), (&0.into(), &0.into()));
    assert_eq!((&document["verified"], &document["ended_in_from"]), (&30.into(), &0.into()));
}

fn a_use_without_a_commit_is_carried_over_too<F: TestedStore, T: TestedStore>(
    store: &TestStore<F>,
) {
    store.back(Duration::from_secs(3_600));
    let key = store.put("used", "x", 1).to_string();
    copy_to::<T, _>(store, "copy", &[]).document();
    store.back(Duration::ZERO);
    let mut session = store.sessions().open(&SessionId::from("used"), Access::Snapshot).unwrap();
    session.touch().unwrap();
    copy_to::<T, _>(store, "copy", &[]).document();
    let show = |url: &str| run(["show", url, &key, "--format", "json"]).document();
    assert_eq!(
        show(&store.url())["accessed_ms"],
        show(&url::<T>(&store.beside("copy").0))["accessed_ms"]
    );
}

fn what_goes_on_in_the_copy_is_left_alone<F: TestedStore, T: TestedStore>(store: &TestStore<F>) {
    store.fill(10);
    copy_to::<T, _>(store, "copy", &[]).document();
    let (directory, _) = store.beside("copy");
    let copied = sessions_in::<T>(&directory);
    put(&copied, "s1", "counter", "in TO");
    copied.destroy(&SessionId::from("s2")).unwrap();
    copied.destroy(&SessionId::from("s3")).unwrap();
    put(&copied, "s3", "counter", "begun anew");
    put(&copied, "new", "counter", "only here");
    // Meanwhile the same sessions went on in FROM, too.
    for id in ["s1", "s1", "s1", "s2", "s3"] {
        store.put(id, "counter", "in FROM");
        store.put(id, "again", 1);
    }
    for _ in 0..2 {
        let document = copy_to::<T, _>(store, "copy", &[]).document();
        assert_eq!(document["went_on_in_to"], 1);
        assert_eq!(document["ended_in_to"], 1);
        assert_eq!(document["other_in_to"], 1);
        assert_eq!(document["verified"], 7);
    }
    assert_eq!(get::<T>(&directory, "s1", "counter"), Some("in TO".into()));
    assert_eq!(get::<T>(&directory, "s2", "counter"), None, "ended, and not raised again");
    assert_eq!(get::<T>(&directory, "s3", "counter"), Some("begun anew".into()));
    assert_eq!(get::<T>(&directory, "new", "counter"), Some("only here".into()));
}

#[test]
fn a_session_that_ran_out_in_the_one_may_live_on_in_the_other() {
    let store = TestStore::new();
    let brief = store.sessions_for(Duration::from_secs(50));
    store.back(Duration::from_secs(47));
    for id in ["used here", "used there", "used here too"] {
        put(&brief, id, "x", 1);
    }
    copy(&store, "copy", &[]).document();
    let (directory, url) = store.beside("copy");
    store.back(Duration::ZERO);
    put(&sessions_in::<FileStore>(&directory), "used there", "x", 2);
    put(&brief, "used here", "x", 2);
    put(&brief, "used here too", "x", 2);
    // Where it was not used its time is over, and in FROM the sweep has been there.
    while store.tool("sweep", &["--format", "json"]).document()["removed"] != 1 {}
    while run(["sweep", &url, "--dry-run"]).stdout != "3 examined, 2 would be removed\n" {}
    let swept = sessions_in::<FileStore>(&directory).key(&SessionId::from("used here too"));
    std::fs::remove_file(FileStore::open(&directory).unwrap().place(&swept)).unwrap();
    let document = copy(&store, "copy", &[]).document();
    assert_eq!((&document["ended_in_from"], &document["ended_in_to"]), (&0.into(), &0.into()));
    for id in ["used here", "used there", "used here too"] {
        assert_eq!(get::<FileStore>(&directory, id, "x"), Some(2.into()), "{id}");
    }
}

fn expired_sessions_are_not_copied<F: TestedStore, T: TestedStore>(store: &TestStore<F>) {
    store.fill(5);
    store.expired("old");
    let document = copy_to::<T, _>(store, "copy", &[]).document();
    assert_eq!((&document["copied"], &document["expired"]), (&5.into(), &1.into()));
    assert_eq!(keys(&url::<T>(&store.beside("copy").0)).len(), 5);
}

#[test]
fn a_damaged_session_is_named_and_the_others_are_copied() {
    let store = TestStore::new();
    let keys = store.fill(20);
    let place = store.damage(&keys[4]);
    let ended = copy(&store, "copy", &[]);
    assert_eq!(ended.code, Some(1));
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&document["verified"], &document["damaged"]), (&19.into(), &1.into()));
    assert_eq!(document["complete"], true);
    assert!(ended.stderr.contains(place.to_str().unwrap()), "{}", ended.stderr);
    assert!(place.exists(), "the store that is copied is not changed");
    assert_eq!(mark(&store.beside("copy").0), None);
}

/// A copy of 120 sessions at work. It cannot complete, for this process holds one in TO that it has
/// to replace there.
struct AtWork {
    child: Child,
    held: Session<FileStore>,
}

impl AtWork {
    fn begin(store: &TestStore) -> Self {
        store.fill(1);
        copy(store, "copy", &[]).document();
        let (directory, url) = store.beside("copy");
        let held = sessions_in::<FileStore>(&directory)
            .open(&SessionId::from("s0"), Access::Exclusive)
            .unwrap();
        store.fill(120);
        store.put("s0", "more", 1);
        let child = cloakroom()
            .args(["copy", &store.url(), &url])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let noted =
            || mark(&directory).and_then(|path| path.metadata().ok()).map(|file| file.len());
        while noted().is_none_or(|length| length < 72 * 60) {
            thread::yield_now();
        }
        Self { child, held }
    }
}

#[test]
fn a_copy_that_was_killed_is_marked_and_goes_on_where_it_stopped() {
    let store = TestStore::new();
    let AtWork { mut child, held } = AtWork::begin(&store);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "it was at work");
    drop(held);
    let (directory, url) = store.beside("copy");
    for (tool, code) in [("ls", 0), ("stats", 1), ("verify", 1), ("sweep", 0)] {
        let ended = run([tool, &url]);
        assert!(ended.stderr.contains("is an unfinished copy; `cloakroom copy file:"), "{tool}");
        assert_eq!(ended.code, Some(code), "{}{}", ended.stdout, ended.stderr);
    }
    for tool in ["stats", "verify"] {
        let ended = run([tool, &url, "--format", "json"]);
        let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(document["unfinished_copy_of"][0], store.url(), "{tool}");
    }
    let (next, next_url) = store.beside("copy of the copy");
    run(["copy", &url, &next_url]).refused_with(2, &["is an unfinished copy of", "finishes it"]);
    assert!(!next.exists(), "nothing was begun");

    // The kill may have torn the last record; and meanwhile a user has logged out.
    let journal = mark(&directory).unwrap();
    let mut bytes = std::fs::read(&journal).unwrap();
    let head = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let notes: Vec<&[u8]> = bytes[head..].chunks(72).map(|record| &record[..32]).collect();
    let noted = notes.iter().filter(|key| **key != [0; 32]).count() as u64;
    let logged_out = cloakroom::Key::from_bytes(notes[20].try_into().unwrap()).to_string();
    assert_eq!(run(["rm", &url, &logged_out]).code, Some(0));
    bytes.extend([7; 30]);
    std::fs::write(&journal, bytes).unwrap();

    let document = copy(&store, "copy", &[]).document();
    let copied = document["copied"].as_u64().unwrap();
    // The first session was noted when it was copied alone.
    assert!(copied <= 119 - (noted - 1), "it goes on and does not begin again: {copied}");
    assert_eq!(document["caught_up"], 1, "what was held is free now");
    assert_eq!((&document["verified"], &document["ended_in_to"]), (&119.into(), &1.into()));
    assert_eq!(mark(&directory), None);
    assert_eq!(keys(&url).len(), 119);
    assert_eq!(run(["verify", &url]).stderr, "");
}

#[test]
fn an_interrupted_copy_says_how_to_go_on() {
    let store = TestStore::new();
    let AtWork { mut child, held } = AtWork::begin(&store);
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(signal.unwrap().success());
    let mut messages = String::new();
    child.stderr.take().unwrap().read_to_string(&mut messages).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(held);
    let (directory, url) = store.beside("copy");
    assert!(messages.contains("the copy is unfinished, and marked so"), "{messages}");
    assert!(messages.contains(&format!("cloakroom copy {} {url}", store.url())), "{messages}");
    assert!(mark(&directory).is_some());
    assert_eq!(copy(&store, "copy", &[]).document()["verified"], 120);
}

#[test]
fn a_second_copy_at_the_same_time_is_refused() {
    let store = TestStore::new();
    let AtWork { mut child, held } = AtWork::begin(&store);
    copy(&store, "copy", &[]).refused_with(1, &["another copy between these stores is at work"]);
    drop(held);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(copy(&store, "copy", &[]).document()["verified"], 120);
}

fn while_the_source_serves_no_counter_goes_back_and_no_logout_is_undone<
    F: TestedStore,
    T: TestedStore,
>(
    store: &TestStore<F>,
) {
    const SESSIONS: u32 = 60;
    store.fill(0);
    let ids: Vec<SessionId> = (0..SESSIONS).map(|n| SessionId::from(format!("c{n}"))).collect();
    let add = |sessions: &Sessions<F>, id: &SessionId| {
        sessions.update(id, |session| {
            session.update("counter", |counter: Option<u64>| counter.unwrap_or(0) + 1)
        })
    };
    let directory = store.beside("copy").0;
    let url = url::<T>(&directory);
    let in_from = || counters::<F>(&store.directory, SESSIONS);
    let in_to = || counters::<T>(&directory, SESSIONS);
    let sessions = store.sessions();
    for id in &ids {
        add(&sessions, id).unwrap();
    }
    let served = AtomicBool::new(true);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut logged_out = 0;
            while served.load(Ordering::Relaxed) {
                for id in &ids {
                    add(&sessions, id).unwrap();
                }
                // And one comes and goes.
                let id = SessionId::from(format!("gone{logged_out}"));
                add(&sessions, &id).unwrap();
                sessions.destroy(&id).unwrap();
                logged_out += 1;
            }
        });
        let mut before = vec![0; ids.len()];
        for _ in 0..3 {
            let at_start = in_from();
            let document = copy_to::<T, _>(store, "copy", &["--passes", "3"]).document();
            assert_eq!(document["complete"], true);
            assert_eq!(document["different"], 0);
            let copied = in_to();
            let at_end = in_from();
            for place in 0..ids.len() {
                let least = at_start[place].max(before[place]);
                assert!((least..=at_end[place]).contains(&copied[place]), "{place}: {copied:?}");
            }
            before = copied;
        }
        served.store(false, Ordering::Relaxed);
    });
    // With FROM at rest one more run makes them alike.
    copy_to::<T, _>(store, "copy", &[]).document();
    assert_eq!(in_to(), in_from());
    assert_eq!(keys(&url), store.keys());
    assert_eq!(run(["verify", &url]).code, Some(0));
}

/// What the counters of so many sessions stand at. The store is opened once for all.
fn counters<S: TestedStore>(directory: &Path, count: u32) -> Vec<u64> {
    let sessions = sessions_in::<S>(directory);
    let counter = |n| {
        let session = sessions.open(&SessionId::from(format!("c{n}")), Access::Snapshot).unwrap();
        session.get("counter").unwrap().unwrap_or(0)
    };
    (0..count).map(counter).collect()
}

#[test]
fn a_bench_on_the_source_does_not_disturb_the_copy() {
    let store = TestStore::new();
    store.fill(200);
    let mut bench = cloakroom()
        .args(["bench", "spread", "--store", &store.url(), "--sessions", "50"])
        .args(["--seconds", "600", "--access", "exclusive"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let has_begun = || {
        let lines = crate::store::json_lines(&store.tool("ls", &["--format", "json"]));
        lines.iter().filter(|line| line["version"].as_u64() > Some(3)).count() > 40
    };
    while !has_begun() {}
    let document = copy(&store, "copy", &["--passes", "3"]).document();
    assert_eq!((&document["complete"], &document["different"]), (&true.into(), &0.into()));
    assert!(document["verified"].as_u64() >= Some(200), "{document}");
    bench.kill().unwrap();
    bench.wait().unwrap();
}

#[test]
fn a_store_is_not_copied_into_itself() {
    let store = TestStore::new();
    store.fill(1);
    let before = store.bytes();
    let inside = format!("{}/copy-of-it", store.url());
    let (link, link_url) = store.beside("link");
    std::os::unix::fs::symlink(&store.directory, &link).unwrap();
    let around = format!("{}/..", store.url());
    for to in [&store.url(), &inside, &link_url, &around, &format!("{link_url}/deep/in/it")] {
        run(["copy", &store.url(), to])
            .refused_with(2, &["same store, or one is inside the other"]);
    }
    assert!(store.bytes() == before);
}

#[test]
fn a_journal_that_makes_no_sense_is_refused_with_the_remedy() {
    let store = TestStore::new();
    store.fill(3);
    copy(&store, "copy", &[]).document();
    let (directory, _) = store.beside("copy");
    let journal = || {
        let entry = std::fs::read_dir(directory.join("copy")).unwrap().next().unwrap();
        entry.unwrap().path()
    };
    let good = std::fs::read(journal()).unwrap();
    for (bad, words) in [
        (b"nonsense\n".to_vec(), "is damaged; remove it to copy afresh"),
        (vec![0; 100_000], "is damaged; remove it to copy afresh"),
        (b"{\"cloakroom_copy\":2,\"from\":\"x\"}\n".to_vec(), "has format 2, this version reads 1"),
    ] {
        std::fs::write(journal(), bad).unwrap();
        copy(&store, "copy", &[]).refused_with(1, &[words]);
    }
    std::fs::write(journal(), good).unwrap();
    copy(&store, "copy", &[]).document();
}

fn the_table_says_what_was_done<F: TestedStore, T: TestedStore>(store: &TestStore<F>) {
    store.fill(12);
    let url = url::<T>(&store.beside("copy").0);
    let ended = run(["copy", &store.url(), &url]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    for words in ["12 copied", "12 compared: as they were copied", "The copy is complete"] {
        assert!(ended.stdout.contains(words), "{}", ended.stdout);
    }
}
