//! What a copy has done so far, in a file of the store that is copied to. Its name says whether the
//! copy is complete.
//!
//! A copy that goes on after an interrupt, or catches up later, must tell three things apart that
//! look alike: a session that was not copied yet, one that was copied and then ended in TO, which
//! never comes back, and one that was copied and then ended in FROM, which ends in TO, too. So each
//! session is noted after it was stored.
//!
//! The file is a line of JSON that names FROM, and [`Line`]s that are only ever appended. A torn one
//! at the end is cut off. What was noted before a power cut may be lost in the store all the same,
//! unless the store syncs each commit or the copy had synced them all: such notes are not believed.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use cloakroom::{Key, SessionId};
use serde::{Deserialize, Serialize};

use super::believed::{Believed, Trust};
use super::entry::Entry;
use super::error::{CopyError, at};
use super::line::{Line, RECORD};

/// The journal of a copy, locked while it is open.
#[derive(Debug)]
pub struct Journal {
    file: File,
    place: PathBuf,
    entries: HashMap<Key, Entry>,
}

impl Journal {
    /// Opens the journal of copies from this store in `directory`, or begins it.
    pub fn open(directory: &Path, from: &str, trust: Trust) -> Result<Self, CopyError> {
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(at("create", directory)(error));
            }
            _ => {}
        }
        let [place, finished] = places(directory, from);
        match fs::rename(&finished, &place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at("rename", &finished)(error));
            }
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let file = options.open(&place).map_err(at("open", &place))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CopyError::UnderWay { place }),
            Err(TryLockError::Error(error)) => return Err(at("lock", &place)(error)),
        }
        // Another copy may have completed between these steps. Its journal is the one to go on with.
        let inode = |path: &Path| fs::metadata(path).ok().map(|file| file.ino());
        let this = file.metadata().ok().map(|file| file.ino());
        if finished.exists() || this != inode(&place) {
            if this == inode(&place) {
                let _ = fs::remove_file(&place);
            }
            return Err(CopyError::UnderWay { place });
        }
        let mut journal = Self { file, place, entries: HashMap::new() };
        journal.load(from, trust)?;
        Ok(journal)
    }

    /// Fails if the journal, and with it the store, was removed.
    pub fn check_presence(&self) -> Result<(), CopyError> {
        let there = fs::metadata(&self.place).map(|file| file.ino());
        let this = self.file.metadata().map(|file| file.ino());
        if matches!((there, this), (Ok(there), Ok(this)) if there == this) {
            return Ok(());
        }
        Err(CopyError::Gone { place: self.place.clone() })
    }

    /// What was done about a session.
    pub fn entry(&self, key: &Key) -> Option<Entry> {
        self.entries.get(key).copied()
    }

    /// The sessions that were copied and then not seen in this pass.
    pub fn unseen(&self, pass: u32) -> Vec<(Key, Entry)> {
        let unseen = self.entries.iter().filter(|(_, e)| e.seen != pass && !e.is_ended());
        unseen.map(|(key, entry)| (*key, *entry)).collect()
    }

    /// Notes that a session was seen in this pass.
    pub fn see(&mut self, key: &Key, pass: u32) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.seen = pass;
        }
    }

    /// Notes what was done about a session.
    pub fn note(&mut self, key: &Key, entry: Entry) -> Result<(), CopyError> {
        self.entries.insert(*key, entry);
        self.append(&Line::Note(*key, entry))
    }

    /// Brings all that was copied to the medium, and says that the copy is complete.
    pub fn finish(mut self) -> Result<(), CopyError> {
        let directory = self.place.parent().unwrap_or(Path::new(".")).to_owned();
        let opened = File::open(&directory).map_err(at("open", &directory))?;
        // One call for all files, those of the sessions included.
        rustix::fs::syncfs(&opened).map_err(|error| at("sync", &directory)(error.into()))?;
        self.append(&Line::Synced)?;
        self.file.sync_all().map_err(at("sync", &self.place))?;
        let finished = self.place.with_extension(FINISHED);
        fs::rename(&self.place, &finished).map_err(at("rename", &self.place))?;
        opened.sync_all().map_err(at("sync", &directory))
    }

    fn load(&mut self, from: &str, trust: Trust) -> Result<(), CopyError> {
        let mut reader = BufReader::new(&self.file);
        let mut head = Vec::new();
        (&mut reader)
            .take(HEAD_MAX)
            .read_until(b'\n', &mut head)
            .map_err(at("read", &self.place))?;
        if head.is_empty() {
            return self.begin(from);
        }
        check(&head).map_err(|reason| CopyError::Journal { place: self.place.clone(), reason })?;
        let (mut believed, mut length) = (Believed::new(trust), head.len() as u64);
        let mut record = [0; RECORD];
        while read_record(&mut reader, &mut record).map_err(at("read", &self.place))? {
            let Some(line) = Line::decode(&record) else { break };
            believed.add(line);
            length += RECORD as u64;
        }
        let begun = Line::Begun { boot: boot() };
        believed.add(begun);
        self.entries = believed.entries;
        self.file.set_len(length).map_err(at("truncate", &self.place))?;
        self.append(&begun)
    }

    fn begin(&mut self, from: &str) -> Result<(), CopyError> {
        let head = Head { cloakroom_copy: FORMAT, from: from.to_owned() };
        let mut text = serde_json::to_vec(&head).unwrap_or_default();
        text.push(b'\n');
        self.file.write_all(&text).map_err(at("write", &self.place))?;
        self.append(&Line::Begun { boot: boot() })?;
        self.file.sync_all().map_err(at("sync", &self.place))
    }

    fn append(&mut self, line: &Line) -> Result<(), CopyError> {
        self.file.write_all(&line.encode()).map_err(at("write", &self.place))
    }
}

/// The stores from which a copy into this directory's store is unfinished.
pub fn unfinished(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let journals = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == UNFINISHED));
    journals.map(|path| source(&path).unwrap_or_else(|| "another store".to_owned())).collect()
}

fn source(journal: &Path) -> Option<String> {
    let mut head = Vec::new();
    let file = File::open(journal).ok()?;
    BufReader::new(file).take(HEAD_MAX).read_until(b'\n', &mut head).ok()?;
    serde_json::from_slice::<Head>(&head).ok().map(|head| head.from)
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    /// The format of the file.
    cloakroom_copy: u32,
    /// The URL of FROM.
    from: String,
}

fn check(head: &[u8]) -> Result<(), String> {
    match serde_json::from_slice(head) {
        Ok(Head { cloakroom_copy: FORMAT, .. }) => Ok(()),
        Ok(Head { cloakroom_copy, .. }) => Err(format!(
            "has format {cloakroom_copy}, this version reads {FORMAT}; use the version that wrote it"
        )),
        Err(_) => Err("is damaged; remove it to copy afresh".to_owned()),
    }
}

/// Reads a record; false: no whole one is left.
fn read_record(reader: &mut impl Read, record: &mut [u8; RECORD]) -> io::Result<bool> {
    match reader.read_exact(record) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

/// The unfinished and the finished journal of copies from this store.
fn places(directory: &Path, from: &str) -> [PathBuf; 2] {
    // A key has the digits of a hash, which is all that is wanted of it here.
    let digits = format!("{:.16}", Key::new("copy", &SessionId::from(from)));
    [UNFINISHED, FINISHED].map(|extension| directory.join(format!("{digits}.{extension}")))
}

/// A number that is another after each start of the machine.
fn boot() -> u64 {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).unwrap_or(0)
}

const UNFINISHED: &str = "unfinished";
const FINISHED: &str = "finished";

const FORMAT: u32 = 1;
/// A path has 4,096 bytes at most, and each takes 6 in JSON at most.
const HEAD_MAX: u64 = 32_768;
