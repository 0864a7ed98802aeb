//! A disk whose power can be cut at any moment. A recorder at the tap writes down what is written,
//! renamed and synced; afterwards the disk as it may look after a cut at any step is built from
//! the record: what was synced is there; of the rest any part may be.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use cloakroom::Key;
use cloakroom::seams::OpenMode;
use parking_lot::Mutex;

use super::Random;
use super::tap::{Answer, Call, Method, Tap};

type State = Option<Vec<u8>>;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    Create {
        file: u64,
        path: PathBuf,
    },
    Write {
        file: u64,
        offset: usize,
        bytes: Vec<u8>,
    },
    SetSize {
        file: u64,
        size: usize,
    },
    Sync {
        file: u64,
    },
    /// The sync failed: the kernel dropped what was dirty and calls the pages clean.
    SyncFailed {
        file: u64,
    },
    MakeDirectory {
        path: PathBuf,
    },
    SyncDirectory {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Link {
        from: PathBuf,
        to: PathBuf,
    },
    Unlink {
        path: PathBuf,
    },
    /// The store was asked to bring these sessions to these states.
    Begin(Vec<(Key, State)>),
    /// It said that it has.
    Acknowledged,
    /// It said that it has not; whether a cut undoes that nobody knows.
    Refused,
}

/// A planted bug, or a fault: what becomes of a call.
pub type Plant = Box<dyn Fn(&Call<'_>) -> Answer + Send + Sync>;

pub struct Recorder {
    root: PathBuf,
    plant: Option<Plant>,
    /// Only calls after this was set meet the plant.
    pub armed: AtomicBool,
    /// A planted bug: syncs of a growing file happen after its rename.
    pub late_sync: bool,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    events: Vec<Event>,
    /// Inode number to the number of a file in the record.
    files: BTreeMap<u64, u64>,
    last: u64,
    late: Vec<u64>,
    existed: bool,
}

impl Recorder {
    pub fn new(root: &Path, plant: Option<Plant>) -> Self {
        // What is there when the recording begins is on the medium.
        let mut log = Log::default();
        for path in super::names(root) {
            let stat = fs::metadata(root.join(&path)).unwrap();
            if stat.is_dir() {
                log.events.push(Event::MakeDirectory { path: path.clone() });
            } else {
                let file = log.number(stat.ino());
                let bytes = fs::read(root.join(&path)).unwrap();
                log.events.push(Event::Create { file, path: path.clone() });
                log.events.push(Event::Write { file, offset: 0, bytes });
                log.events.push(Event::Sync { file });
            }
            let parent = path.parent().unwrap().to_owned();
            log.events.push(Event::SyncDirectory { path: parent });
        }
        Self {
            root: root.to_owned(),
            plant,
            armed: AtomicBool::new(false),
            late_sync: false,
            log: Mutex::new(log),
        }
    }

    pub fn begin(&self, states: &[(Key, State)]) {
        self.log.lock().events.push(Event::Begin(states.to_vec()));
    }

    pub fn end(&self, acknowledged: bool) {
        let event = if acknowledged { Event::Acknowledged } else { Event::Refused };
        self.log.lock().events.push(event);
    }

    pub fn events(&self) -> Vec<Event> {
        self.log.lock().events.clone()
    }
}

impl Log {
    fn number(&mut self, inode: u64) -> u64 {
        self.last += 1;
        self.files.insert(inode, self.last);
        self.last
    }

    fn file(&self, file: &File) -> u64 {
        self.files.get(&file.metadata().unwrap().ino()).copied().unwrap()
    }
}

impl Tap for Recorder {
    fn before(&self, call: &Call<'_>) -> Answer {
        let mut log = self.log.lock();
        if let (Method::Open, Some(path)) = (call.method, call.path) {
            log.existed = self.root.join(path).exists();
        }
        if self.late_sync && call.method == Method::Sync {
            let file = log.file(call.file);
            if link_of(call.file).extension().is_some_and(|extension| extension == "new") {
                log.late.push(file);
                return Answer::Pretend;
            }
        }
        let plant = self.plant.as_ref().filter(|_| self.armed.load(Ordering::Relaxed));
        let answer = plant.map_or(Answer::Pass, |plant| plant(call));
        if call.method == Method::Sync && matches!(answer, Answer::Fail(_)) {
            let file = log.file(call.file);
            log.events.push(Event::SyncFailed { file });
        }
        answer
    }

    fn after(&self, call: &Call<'_>, done: &io::Result<Option<&File>>) {
        let Ok(opened) = done else { return };
        let mut log = self.log.lock();
        let path = call.path.map(Path::to_owned).unwrap_or_default();
        let to = call.to.map(Path::to_owned).unwrap_or_default();
        let event = match call.method {
            Method::Open => {
                let creates = matches!(call.mode, Some(OpenMode::Create | OpenMode::CreateNew));
                if !creates || log.existed {
                    return;
                }
                let file = log.number(opened.unwrap().metadata().unwrap().ino());
                Event::Create { file, path }
            }
            Method::WriteAt => Event::Write {
                file: log.file(call.file),
                offset: usize::try_from(call.offset).unwrap(),
                bytes: call.bytes.to_vec(),
            },
            Method::SetSize => Event::SetSize {
                file: log.file(call.file),
                size: usize::try_from(call.offset).unwrap(),
            },
            Method::Sync => Event::Sync { file: log.file(call.file) },
            Method::SyncDirectory => {
                let path = link_of(call.file);
                Event::SyncDirectory { path: path.strip_prefix(&self.root).unwrap().to_owned() }
            }
            Method::CreateDirectory => Event::MakeDirectory { path },
            Method::Rename => Event::Rename { from: path, to },
            Method::Link => Event::Link { from: path, to },
            Method::Unlink => Event::Unlink { path },
            _ => return,
        };
        log.events.push(event);
        if call.method == Method::Rename {
            let late = std::mem::take(&mut log.late);
            log.events.extend(late.into_iter().map(|file| Event::Sync { file }));
        }
    }
}

/// Where an open file or directory is.
fn link_of(file: &File) -> PathBuf {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()
}

/// The disk as the record made it, up to some step.
#[derive(Clone, Default)]
pub struct Disk {
    files: BTreeMap<u64, Content>,
    names: BTreeMap<PathBuf, Node>,
    /// Changes of names that no sync of a directory has brought to the medium yet.
    pending: Vec<Event>,
    /// The same names as the running system sees them.
    seen: BTreeMap<PathBuf, Node>,
    pub acknowledged: BTreeMap<Key, State>,
    /// What may stand besides.
    pub attempted: BTreeMap<Key, Vec<State>>,
    begun: Vec<(Key, State)>,
}

#[derive(Clone, Default)]
struct Content {
    medium: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Bytes(usize, Vec<u8>),
    Size(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Directory,
    File(u64),
}

/// How much of what was not synced a cut leaves.
#[derive(Clone, Copy, Debug)]
pub enum Luck {
    None,
    All,
    /// Any sector of any write, and any number of changes of names.
    Some(u64),
}

impl Disk {
    pub fn step(&mut self, event: &Event) {
        match event {
            Event::Create { file, .. } => {
                self.files.insert(*file, Content::default());
                self.rename(event);
            }
            Event::Write { file, offset, bytes } => {
                self.pend(*file, Change::Bytes(*offset, bytes.clone()));
            }
            Event::SetSize { file, size } => self.pend(*file, Change::Size(*size)),
            Event::Sync { file } => {
                let content = self.files.get_mut(file).unwrap();
                for change in std::mem::take(&mut content.pending) {
                    change.apply(&mut content.medium, &mut |_| true);
                }
            }
            Event::SyncFailed { file } => {
                let pending = &mut self.files.get_mut(file).unwrap().pending;
                pending.retain(|change| matches!(change, Change::Size(_)));
            }
            Event::SyncDirectory { path } => {
                let (due, rest): (Vec<_>, Vec<_>) =
                    std::mem::take(&mut self.pending).into_iter().partition(|e| e.is_in(path));
                due.iter().for_each(|event| apply(event, &mut self.names));
                self.pending = rest;
            }
            Event::MakeDirectory { .. }
            | Event::Rename { .. }
            | Event::Link { .. }
            | Event::Unlink { .. } => self.rename(event),
            Event::Begin(states) => {
                self.begun.clone_from(states);
                for (key, state) in states {
                    self.attempted.entry(*key).or_default().push(state.clone());
                }
            }
            Event::Acknowledged => {
                for (key, state) in std::mem::take(&mut self.begun) {
                    self.attempted.remove(&key);
                    self.acknowledged.insert(key, state);
                }
            }
            Event::Refused => self.begun.clear(),
        }
    }

    fn pend(&mut self, file: u64, change: Change) {
        self.files.get_mut(&file).unwrap().pending.push(change);
    }

    fn rename(&mut self, event: &Event) {
        apply(event, &mut self.seen);
        // A name that is made is pending with the file it led to then.
        let event = match event {
            Event::Rename { from, to } => match self.seen.get(to) {
                Some(Node::File(file)) => {
                    self.pending.push(Event::Create { file: *file, path: to.clone() });
                    Event::Unlink { path: from.clone() }
                }
                _ => event.clone(),
            },
            Event::Link { to, .. } => match self.seen.get(to) {
                Some(Node::File(file)) => Event::Create { file: *file, path: to.clone() },
                _ => event.clone(),
            },
            _ => event.clone(),
        };
        self.pending.push(event);
    }

    /// Builds the disk after a cut in an empty directory.
    pub fn cut(&self, luck: Luck, root: &Path) {
        let mut random = Random(match luck {
            Luck::Some(seed) => seed,
            _ => 0,
        });
        let mut chance = |_: usize| match luck {
            Luck::None => false,
            Luck::All => true,
            Luck::Some(_) => random.below(2) == 0,
        };
        let mut names = self.names.clone();
        for event in &self.pending {
            // A journal keeps their order: some first ones are there, the others are not.
            if !chance(0) {
                break;
            }
            apply(event, &mut names);
        }
        for (path, node) in &names {
            let there = path.parent().is_none_or(|parent| root.join(parent).is_dir());
            if !there {
                continue;
            }
            match node {
                Node::Directory => fs::create_dir(root.join(path)).unwrap(),
                Node::File(file) => {
                    let content = self.files.get(file).unwrap();
                    let mut bytes = content.medium.clone();
                    // A journal keeps the order of sizes; data come in any order, and what lies
                    // beyond the size that is there is not there.
                    let (mut size, mut in_order) = (bytes.len(), true);
                    for change in &content.pending {
                        in_order &= chance(0);
                        if in_order {
                            size = change.size_after(size);
                        }
                        change.apply(&mut bytes, &mut chance);
                    }
                    bytes.resize(size, 0);
                    fs::write(root.join(path), bytes).unwrap();
                }
            }
        }
    }
}

impl Event {
    fn is_in(&self, directory: &Path) -> bool {
        let is_in = |path: &Path| path.parent() == Some(directory);
        match self {
            Self::Create { path, .. } | Self::MakeDirectory { path } | Self::Unlink { path } => {
                is_in(path)
            }
            Self::Rename { from, to } | Self::Link { from, to } => is_in(from) || is_in(to),
            _ => false,
        }
    }
}

impl Change {
    fn size_after(&self, before: usize) -> usize {
        match self {
            Self::Size(size) => *size,
            Self::Bytes(offset, bytes) => before.max(offset + bytes.len()),
        }
    }

    /// Applies those sectors that `chance` says.
    fn apply(&self, to: &mut Vec<u8>, chance: &mut impl FnMut(usize) -> bool) {
        match self {
            Self::Size(size) => {
                if chance(0) {
                    to.resize(*size, 0);
                }
            }
            Self::Bytes(offset, bytes) => {
                let mut at = *offset;
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let (sector, after) = rest.split_at(rest.len().min(512 - at % 512));
                    if chance(at) {
                        if to.len() < at + sector.len() {
                            to.resize(at + sector.len(), 0);
                        }
                        to.splice(at..at + sector.len(), sector.iter().copied());
                    }
                    at += sector.len();
                    rest = after;
                }
            }
        }
    }
}

fn apply(event: &Event, names: &mut BTreeMap<PathBuf, Node>) {
    match event {
        Event::Create { file, path } => {
            names.insert(path.clone(), Node::File(*file));
        }
        Event::MakeDirectory { path } => {
            names.insert(path.clone(), Node::Directory);
        }
        Event::Rename { from, to } => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
        Event::Link { from, to } => {
            if let Some(node) = names.get(from).copied() {
                names.insert(to.clone(), node);
            }
        }
        Event::Unlink { path } => {
            names.remove(path);
        }
        _ => {}
    }
}
