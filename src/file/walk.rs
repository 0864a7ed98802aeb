//! Looking through a store, session by session, while it serves.

use std::collections::VecDeque;
use std::fs::File;
use std::io;

use super::entries::{Entries, Entry};
use super::format;
use super::inspect::Rule;
use super::layout::growth_path;
use super::read::{Contents, LOOKS, Look, Seen};
use super::room::{Room, Spot, is_out_of_descriptors};
use crate::access::Calling;
use crate::error::OpenError;
use crate::inventory::{Depth, Found, Summary, Walk};
use crate::seams::{FileStat, OpenMode};
use crate::sync::{Arc, Mutex};

/// A walk over the sessions of a [`FileStore`](super::FileStore).
///
/// # Cancel safety
///
/// What was found by a call of `next` whose future was dropped comes with the next call.
pub struct FileWalk {
    room: Arc<Room>,
    calling: Calling,
    under_way: Arc<Mutex<UnderWay>>,
}

struct UnderWay {
    entries: Entries,
    /// How files should be, of a walk that looks.
    rule: Option<Rule>,
    found: VecDeque<Found>,
}

impl FileWalk {
    pub(super) async fn start(
        room: &Arc<Room>,
        depth: Depth,
        calling: Calling,
    ) -> Result<Self, OpenError> {
        room.check_process()?;
        let on_thread = Arc::clone(room);
        let begin = move || {
            on_thread.check_presence()?;
            let entries = Entries::new(&on_thread)?;
            let (rule, found) = match depth {
                Depth::Current => (None, None),
                Depth::Whole => Rule::of(&on_thread).map(|(rule, found)| (Some(rule), found))?,
            };
            let found = found.into_iter().collect();
            Ok(Arc::new(Mutex::new(UnderWay { entries, rule, found })))
        };
        let under_way: Result<_, OpenError> = room.off_thread(calling, begin).await?;
        Ok(Self { room: Arc::clone(room), calling, under_way: under_way? })
    }
}

impl Walk for FileWalk {
    async fn next(&mut self, limit: usize, found: &mut Vec<Found>) -> Result<(), OpenError> {
        self.room.check_process()?;
        let (room, under_way) = (Arc::clone(&self.room), Arc::clone(&self.under_way));
        let fill = move || under_way.lock().fill(&room, limit);
        self.room.off_thread(self.calling, fill).await??;
        let mut under_way = self.under_way.lock();
        let count = limit.min(under_way.found.len());
        found.extend(under_way.found.drain(..count));
        Ok(())
    }
}

impl UnderWay {
    /// Goes on until `limit` finds are there, or the end is.
    fn fill(&mut self, room: &Room, limit: usize) -> Result<(), OpenError> {
        while self.found.len() < limit {
            let Some(entry) = self.entries.next(room) else {
                return room.check_presence();
            };
            room.find(entry, self.rule, &mut self.found)?;
        }
        Ok(())
    }
}

impl Room {
    /// Looks at an entry.
    fn find(
        &self,
        entry: Entry<'_>,
        rule: Option<Rule>,
        found: &mut VecDeque<Found>,
    ) -> Result<(), OpenError> {
        match entry {
            Entry::Session { at, directory, .. } => {
                let looked = self.find_session(&at, directory, rule, found);
                return looked.or_else(|error| self.find_error(&at, error, found));
            }
            Entry::Growth { at } => self.find_growth(&at, found),
            Entry::Directory { path, handle } => {
                if let Some(rule) = rule {
                    found.extend(self.inspect_directory(rule, path, handle));
                }
            }
            Entry::Foreign { path, what } => {
                found.push_back(Found::Foreign { place: self.place(&path), what: what.into() });
            }
            Entry::Unlisted(error) => found.push_back(Found::Unreadable {
                place: error.place,
                reason: error.source.to_string(),
            }),
        }
        Ok(())
    }

    /// Looks at what a growth makes, or left.
    fn find_growth(&self, at: &Spot, found: &mut VecDeque<Found>) {
        let path = growth_path(&at.path);
        let place = self.place(&path);
        found.push_back(match self.fs.stat_path(&self.root, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => Found::Unreadable { place, reason: error.to_string() },
            Ok(FileStat { irregular: Some(what), .. }) => {
                Found::Foreign { place, what: what.into() }
            }
            Ok(FileStat { size: stored, .. }) => Found::Leftover { place, stored },
        });
    }

    /// Looks at the file of a session, in its directory.
    fn find_session(
        &self,
        at: &Spot,
        directory: &File,
        rule: Option<Rule>,
        found: &mut VecDeque<Found>,
    ) -> Result<(), OpenError> {
        let open = || self.fs.open(directory, at.path.name(), OpenMode::Read);
        let Look { seen, file } = self.look_through(at, open)?;
        let (current, expired) = match seen {
            Seen::Session(current) => (current, false),
            Seen::Expired(current) => (current, true),
            Seen::Absent => {
                if file.is_some() {
                    self.find_leftover(at, found)?;
                }
                return Ok(());
            }
            Seen::NeverWhole(reason) => match self.behind_the_mark(at, file.as_ref())? {
                Some(Contents::Session(current)) => (current, false),
                Some(Contents::Expired(current)) => (current, true),
                _ => {
                    let place = self.place(&at.path);
                    found.push_back(Found::Damaged { key: at.key, place, reason: reason.into() });
                    return Ok(());
                }
            },
        };
        found.push_back(Found::Session(Summary {
            key: at.key,
            record: *current.record(),
            payload: current.payload().len() as u64,
            stored: format::file_size(current.header.capacity),
            expired,
        }));
        if let Some(rule) = rule
            && let Some(file) = file
        {
            found.extend(self.inspect(rule, at, &file, current)?);
        }
        Ok(())
    }

    /// What an error of a look says of the session.
    fn find_error(
        &self,
        at: &Spot,
        error: OpenError,
        found: &mut VecDeque<Found>,
    ) -> Result<(), OpenError> {
        found.push_back(match error {
            OpenError::NotASession { place, found } => {
                Found::Foreign { place, what: found.to_owned() }
            }
            OpenError::Io(error) => {
                let no_memory = error.source.raw_os_error() == Some(libc::ENOMEM);
                if no_memory || is_out_of_descriptors(&error.source) {
                    // It is this process that can read no more.
                    return Err(error.into());
                }
                Found::Unreadable { place: error.place, reason: error.source.to_string() }
            }
            error => Found::Unreadable { place: self.place(&at.path), reason: error.to_string() },
        });
        Ok(())
    }

    /// Finds a file without a session, if look after look finds it so: one that is born or destroyed
    /// at this moment is none.
    fn find_leftover(&self, at: &Spot, found: &mut VecDeque<Found>) -> Result<(), OpenError> {
        let mut file = None;
        for _ in 0..LOOKS {
            std::thread::yield_now();
            match self.look_through(at, || self.open(&at.path, OpenMode::Read))? {
                Look { seen: Seen::Absent, file: Some(opened) } => file = Some(opened),
                _ => return Ok(()),
            }
        }
        if let Some(file) = file {
            let stored = self.stat(at, &file)?.size;
            found.push_back(Found::Leftover { place: self.place(&at.path), stored });
        }
        Ok(())
    }

    /// What stands behind the mark of a growth that a power cut undid: the path still leads to the
    /// file, as it never does otherwise once the mark is there.
    pub(super) fn behind_the_mark(
        &self,
        at: &Spot,
        file: Option<&File>,
    ) -> Result<Option<Contents>, OpenError> {
        match file {
            Some(file) if self.leads_to(at, file)? => self.contents(at, file, true).map(Some),
            _ => Ok(None),
        }
    }
}
