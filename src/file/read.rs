//! Reading a session file: which slot is current, and what it says.

use std::cell::Cell as ThreadCell;
use std::fs::File;
use std::io;

use super::format::{self, Cell, Header, Kind};
use super::room::{Room, Spot};
use crate::error::OpenError;
use crate::id::Key;
use crate::record::Record;
use crate::seams::{FileStat, Flock, OpenMode};

/// The current slot of a session file.
#[derive(Clone, Debug)]
pub(super) struct Current {
    pub(super) header: Header,
    /// Which of the two slots it is.
    pub(super) slot: usize,
    /// Whether the head says that this slot is on the medium.
    pub(super) synced: bool,
    /// The slot up to the end of the payload.
    bytes: Vec<u8>,
}

impl Current {
    /// The slot with these bytes.
    pub(super) const fn new(header: Header, slot: usize, synced: bool, bytes: Vec<u8>) -> Self {
        Self { header, slot, synced, bytes }
    }

    pub(super) fn record(&self) -> &Record {
        &self.header.record
    }

    pub(super) fn payload(&self) -> &[u8] {
        self.bytes.get(format::HEADER..).unwrap_or_default()
    }
}

/// What a session file says.
pub(super) enum Contents {
    /// A session, alive or retired.
    Session(Current),
    /// A session whose deadline has passed.
    Expired(Current),
    /// A destroyed session.
    Dead,
    /// A session that lives on in a larger file at the same path.
    Moved,
    /// A file that was created and never written.
    Unborn,
    /// No session can be read: damaged, or, without a lock, caught in the middle of a write.
    Invalid(&'static str),
}

/// What a look without a lock found.
pub(super) enum Seen {
    Session(Current),
    Expired(Current),
    Absent,
    /// There is a file, and no look found a whole slot in it.
    NeverWhole(&'static str),
}

/// What a look found, and in which file; `None`: there was none.
pub(super) struct Look {
    pub(super) seen: Seen,
    pub(super) file: Option<File>,
}

impl Room {
    /// Reads a session file. `ignore_moved` reads on behind the mark of a growth, for a file that
    /// the path still leads to.
    ///
    /// A file that fits into the first read is not asked for its size: it ends where the read did.
    /// Only if that makes no sense is the size asked for and the file read again.
    pub(super) fn contents(
        &self,
        at: &Spot,
        file: &File,
        ignore_moved: bool,
    ) -> Result<Contents, OpenError> {
        let mut start = START.take();
        start.clear();
        start.reserve(FIRST_READ);
        let contents = self.contents_from(at, file, &mut start, ignore_moved);
        START.set(start);
        contents.map_err(|error| self.read_error(at, file, error))
    }

    fn contents_from(
        &self,
        at: &Spot,
        file: &File,
        start: &mut Vec<u8>,
        ignore_moved: bool,
    ) -> io::Result<Contents> {
        let count = loop {
            match self.fs.read_at(file, start, 0) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                count => break count?,
            }
        };
        if count < start.capacity() {
            match self.parse(at, file, start, count as u64, ignore_moved)? {
                Contents::Unborn | Contents::Invalid(_) => {}
                contents => return Ok(contents),
            }
        }
        let stat = self.fs.stat(file)?;
        if stat.irregular.is_some() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let start = self.read(file, FIRST_READ, 0)?;
        self.parse(at, file, &start, stat.size, ignore_moved)
    }

    /// What a file of this size that starts like this says.
    fn parse(
        &self,
        at: &Spot,
        file: &File,
        start: &[u8],
        size: u64,
        ignore_moved: bool,
    ) -> io::Result<Contents> {
        if size == 0 {
            return Ok(Contents::Unborn);
        }
        let Some(capacity) = format::capacity_of(size) else {
            return Ok(Contents::Invalid("its length is not that of a session file"));
        };
        let second = match start.get(format::HEAD + capacity..) {
            Some(bytes) if bytes.len() >= format::HEADER => None,
            _ => Some(self.read(file, format::HEADER, format::slot_offset(1, capacity))?),
        };
        let header_at = |slot: usize| match (&second, slot) {
            (Some(bytes), 1) => bytes.as_slice(),
            _ => start.get(format::HEAD + slot * capacity..).unwrap_or_default(),
        };
        // The higher sequence first; what it claims is checked below.
        let sequences = [0, 1].map(|slot| format::peek_sequence(header_at(slot)));
        let slots = if sequences.is_sorted() { [1, 0] } else { [0, 1] };
        for (try_number, slot) in slots.into_iter().enumerate() {
            // Falling back is sound without a lock only on a copy made after the higher slot was
            // seen torn: in an older one the writer may since have been here, too.
            let again;
            let seen = if try_number == 0 {
                header_at(slot)
            } else {
                again = self.read(file, format::HEADER, format::slot_offset(slot, capacity))?;
                &again
            };
            let Some((header, length)) = format::peek(seen) else { continue };
            if header.capacity != capacity || (ignore_moved && header.kind == Kind::Moved) {
                continue;
            }
            let begin = format::HEAD + slot * capacity;
            let length = format::HEADER + length;
            let bytes = match start.get(begin..begin + length) {
                Some(bytes) if try_number == 0 => bytes.to_vec(),
                _ => self.read(file, length, begin as u64)?,
            };
            if let Some(header) = format::decode_slot(&at.key, &bytes) {
                return Ok(self.interpret(
                    &at.key,
                    start,
                    Current::new(header, slot, false, bytes),
                ));
            }
        }
        let head = start.get(..format::HEAD).unwrap_or_default();
        let unmarked = head.iter().all(|byte| *byte == 0);
        let never_written = header_at(1).iter().take(format::HEADER).all(|byte| *byte == 0);
        if unmarked && never_written {
            return Ok(Contents::Unborn);
        }
        Ok(Contents::Invalid("neither of its slots is whole and of this session"))
    }

    /// What a whole slot says, in a file with this head.
    fn interpret(&self, key: &Key, head: &[u8], mut current: Current) -> Contents {
        let header = &mut current.header;
        match header.kind {
            Kind::Tombstone => return Contents::Dead,
            Kind::Moved => return Contents::Moved,
            Kind::Live | Kind::Retired => {}
        }
        let now = self.clock.now();
        let synced = Cell::Synced.decode(key, &header.record, head);
        current.synced = synced == Some(header.sequence);
        let (touched, _) = format::last_touch(key, &header.record, head, now);
        let accessed = &mut header.record.accessed;
        // A commit by a clock that was ahead gives way to any touch.
        *accessed = touched.map_or(*accessed, |touched| {
            if *accessed > now { touched } else { touched.max(*accessed) }
        });
        if header.record.is_expired(now) {
            Contents::Expired(current)
        } else {
            Contents::Session(current)
        }
    }

    /// Reads the last committed version without a lock and without waiting. A slot torn by a
    /// writer fails its check and is read again.
    pub(super) fn look(&self, at: &Spot) -> Result<Seen, OpenError> {
        Ok(self.look_through(at, || self.open(&at.path, OpenMode::Read))?.seen)
    }

    /// The same of a file that is opened like this.
    pub(super) fn look_through(
        &self,
        at: &Spot,
        open: impl Fn() -> io::Result<File>,
    ) -> Result<Look, OpenError> {
        let mut never = Look { seen: Seen::NeverWhole(REPLACED), file: None };
        for _ in 0..LOOKS {
            let file = match open() {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Look { seen: Seen::Absent, file: None });
                }
                Err(error) => return Err(self.open_error(at, error)),
            };
            let seen = match self.contents(at, &file, false)? {
                Contents::Session(current) => Seen::Session(current),
                Contents::Expired(current) => Seen::Expired(current),
                Contents::Dead | Contents::Unborn => Seen::Absent,
                Contents::Moved => {
                    never = Look { seen: Seen::NeverWhole(REPLACED), file: Some(file) };
                    continue;
                }
                Contents::Invalid(reason) => {
                    never = Look { seen: Seen::NeverWhole(reason), file: Some(file) };
                    continue;
                }
            };
            return Ok(Look { seen, file: Some(file) });
        }
        Ok(never)
    }

    /// Decides, with the lock if it is free, about a file that no look found whole: damaged, or
    /// only very busy. A damaged one moves to the quarantine.
    pub(super) fn look_closely(&self, at: &Spot) -> Result<Seen, OpenError> {
        let open = match self.open_file(&at.path, OpenMode::Write) {
            Ok(open) => open,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Seen::Absent),
            Err(error) => return Err(self.open_error(at, error)),
        };
        if !self.fs.try_lock(&open, Flock::Exclusive).map_err(self.io_error("lock", &at.path))? {
            return Ok(Seen::NeverWhole(IN_USE));
        }
        let locked = self.locked(at, open);
        match self.contents_locked(at, &locked)? {
            Contents::Session(current) => Ok(Seen::Session(current)),
            Contents::Expired(current) => Ok(Seen::Expired(current)),
            Contents::Dead | Contents::Unborn => Ok(Seen::Absent),
            Contents::Moved => Ok(Seen::NeverWhole(REPLACED)),
            Contents::Invalid(reason) => Err(self.quarantine(at, &locked, reason).into()),
        }
    }

    /// What an open file is; an error unless it is a regular file.
    pub(super) fn stat(&self, at: &Spot, file: &File) -> Result<FileStat, OpenError> {
        let stat = self.fs.stat(file).map_err(self.io_error("stat", &at.path))?;
        match stat.irregular {
            None => Ok(stat),
            Some(found) => Err(OpenError::NotASession { place: self.place(&at.path), found }),
        }
    }

    /// The error of an open, which may be due to something else standing at the path.
    pub(super) fn open_error(&self, at: &Spot, error: io::Error) -> OpenError {
        if let Ok(stat) = self.fs.stat_path(&self.root, &at.path)
            && let Some(found) = stat.irregular
        {
            return OpenError::NotASession { place: self.place(&at.path), found };
        }
        OpenError::Io(self.io_error("open", &at.path)(error))
    }

    /// The error of a read, which may be due to the file being something else.
    fn read_error(&self, at: &Spot, file: &File, error: io::Error) -> OpenError {
        match self.stat(at, file) {
            Err(foreign @ OpenError::NotASession { .. }) => foreign,
            _ => OpenError::Io(self.io_error("read", &at.path)(error)),
        }
    }
}

/// Files up to this size are read at once.
const FIRST_READ: usize = 4_096;

thread_local! {
    /// Where the start of a file is read to; what is kept of it is copied.
    static START: ThreadCell<Vec<u8>> = const { ThreadCell::new(Vec::new()) };
}

/// Why a look found nothing whole.
const REPLACED: &str = "it was replaced each time it was looked at";
const IN_USE: &str = "somebody holds its lock";

/// How often an unlocked reader looks before it asks for the lock. Under a write storm one look in
/// ten is torn, so the lock is asked for once in 10^8 reads.
pub(super) const LOOKS: usize = 8;
