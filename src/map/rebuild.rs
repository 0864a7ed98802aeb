//! Entering the directory of this boot, and building it from the heap where there is none yet.
//!
//! It is built beside and renamed as a whole. Whoever is first wins; others that built one, too, throw
//! theirs away. So nobody waits for an opener that is stopped. While one builds, others may have won
//! already and be committing: what he reads may be torn then, and is thrown away anyhow.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::area::Area;
use super::control::{self, Control, Word};
use super::format::{self, Age, Reading, Stored};
use super::heap::Heap;
use super::index::{self, Index};
use super::size::{Class, EXTENT, EXTENTS_MAX, Extent, UNIT, UNITS};
use super::tables::Tables;
use super::word::{Place, State, Use};
use crate::id::Key;
use crate::seams::{self, FileSystem, OpenMode};
use crate::sync::Arc;

/// What is needed to enter.
pub(super) struct Entrance {
    pub(super) fs: Arc<dyn FileSystem>,
    pub(super) root: File,
    pub(super) seed: u64,
    pub(super) salt: u64,
}

impl Entrance {
    /// Opens the directory of this boot; builds it if it is not there.
    pub(super) fn enter(&self) -> io::Result<(Arc<Control>, Arc<Heap>)> {
        let directory = PathBuf::from(format!("{PREFIX}{}", boot_id()?));
        for _ in 0..TRIES {
            match self.open(&directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => return opened,
            }
            if let Err(error) = self.build(&directory) {
                // Whoever was first clears the drafts of the others away.
                if self.fs.stat_path(&self.root, &directory).is_err() {
                    return Err(error);
                }
            }
        }
        Err(io::Error::other("the directory of this boot is removed again and again"))
    }

    fn open(&self, directory: &Path) -> io::Result<(Arc<Control>, Arc<Heap>)> {
        let (fs, root) = (Arc::clone(&self.fs), self.root.try_clone()?);
        let control = Control::open(fs, root, directory.to_owned(), self.seed, self.salt)?;
        let heap = self.heap(&control)?;
        let needed = u64::from(heap.extents()) * EXTENT;
        if self.fs.stat(heap.cells().file())?.size < needed {
            let text = "the heap was cut short; restore the store from a backup, or remove the \
                 directory of the index to go on with the sessions that are left";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let first = Extent(0);
        if heap.extents() > 0 && heap.is_foreign(first, self.seed) {
            return Err(foreign(first));
        }
        Ok((Arc::new(control), Arc::new(heap)))
    }

    fn heap(&self, control: &Control) -> io::Result<Heap> {
        let file = match self.fs.open(&self.root, Path::new(HEAP), OpenMode::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Several may create it at once; it is empty until it grows.
                let file = self.fs.open(&self.root, Path::new(HEAP), OpenMode::Create)?;
                seams::hand_over(&self.root, &file)?;
                self.fs.sync_directory(&self.root)?;
                file
            }
            opened => opened?,
        };
        let cells =
            Area::map(file, EXTENTS_MAX as usize * UNITS * UNIT).map_err(out_of_addresses)?;
        let extents = Arc::clone(&control.area);
        Ok(Heap::new(cells, extents, Word::Extents as usize, control::EXTENTS))
    }

    /// Builds the directory beside and puts it in its place.
    fn build(&self, directory: &Path) -> io::Result<()> {
        let draft = PathBuf::from(format!("{DRAFT}{:016x}", self.salt));
        self.remove(&draft)?;
        self.fs.create_directory(&self.root, &draft)?;
        let made = || {
            let made = self.fs.open(&self.root, &draft, OpenMode::Directory)?;
            seams::hand_over(&self.root, &made)?;
            self.fill(&draft, directory)
        };
        let published = made().and_then(|()| {
            match self.fs.rename(&self.root, &draft, directory) {
                // Somebody else was first.
                Err(error) if is_taken(&error) => self.remove(&draft),
                renamed => renamed,
            }
        });
        if published.is_err() {
            let _ = self.remove(&draft);
        }
        published?;
        self.clear_others(directory);
        Ok(())
    }

    fn fill(&self, draft: &Path, directory: &Path) -> io::Result<()> {
        let (fs, root) = (Arc::clone(&self.fs), self.root.try_clone()?);
        let control = Control::create(fs, root, draft.to_owned(), self.seed, self.salt)?;
        let control = Arc::new(control);
        let heap = Arc::new(self.heap(&control)?);
        control.raise(Word::Extents, u64::from(self.measure(&heap)?));
        let (live, ended) = self.look_around(&heap)?;
        let tables = Tables::new(Arc::clone(&control));
        tables.create(1, index::log2_for(live))?;
        tables.pass_on_to(1);
        let index = Index::open(tables, Arc::clone(&heap))?;
        let outdated = self.lead_to_live(&index, &heap, &ended)?;
        self.give_back(&heap, &outdated, &ended.cells, directory)
    }

    /// How many extents the heap has, all of them with room on the disk.
    fn measure(&self, heap: &Heap) -> io::Result<u32> {
        let length = self.fs.stat(heap.cells().file())?.size;
        let extents = u32::try_from(length / EXTENT).unwrap_or(u32::MAX).min(EXTENTS_MAX);
        let whole = u64::from(extents) * EXTENT;
        if extents > 0 {
            // A power cut may have left holes, and to write into one may be a SIGBUS.
            self.fs.allocate(heap.cells().file(), 0, whole)?;
        }
        // A power cut may have left a part of one more, and nothing in it; a foreign file is not that.
        let rest = Extent(extents);
        if length > whole && heap.is_foreign(rest, self.seed) {
            return Err(foreign(rest));
        }
        Ok(extents)
    }

    /// Takes over what extents say of themselves. How many records are live, and which sessions ended.
    fn look_around(&self, heap: &Heap) -> io::Result<(u64, Ended)> {
        let (mut live, mut ended) = (0, Ended::default());
        for extent in (0..heap.extents()).map(Extent) {
            if heap.is_foreign(extent, self.seed) {
                return Err(foreign(extent));
            }
            let Some(class) = heap.read_head(extent, self.seed) else { continue };
            heap.assign(extent, class);
            let mut free = 0;
            for (place, state) in cells(heap, extent, class) {
                match state.usage() {
                    Use::Free => free += 1,
                    Use::Live => live += 1,
                    Use::Ended => ended.take_in(heap, place, state, self.seed),
                    Use::Owned(_) => {}
                }
            }
            heap.set_free(extent, free);
        }
        Ok((live, ended))
    }

    /// Has the index lead to the latest record of each session. The cells of all others.
    fn lead_to_live(
        &self,
        index: &Index,
        heap: &Heap,
        ended: &Ended,
    ) -> io::Result<Vec<(Place, State)>> {
        let mut outdated = Vec::new();
        for extent in (0..heap.extents()).map(Extent) {
            let Some(class) = heap.class_of(extent) else {
                // Its head never came to the medium, so nothing in it was promised.
                let cells = cells(heap, extent, Class::SMALLEST);
                outdated.extend(cells.filter(|(_, state)| state.usage() != Use::Free));
                continue;
            };
            let is_live = |cell: &(Place, State)| cell.1.usage() == Use::Live;
            for cell in cells(heap, extent, class).filter(is_live) {
                let read = format::read_any(heap, cell.0, self.seed);
                let Some((key, Reading::Whole(stored))) = read else { continue };
                outdated.extend(if ended.covers(&key, &stored) {
                    Some(cell)
                } else {
                    self.take_in(index, heap, cell, &key, &stored)?
                });
            }
        }
        Ok(outdated)
    }

    /// Gives back the cells of records that have a later one, or whose session ended. Left as they are
    /// they would come up at the next boot, when the later one is gone.
    ///
    /// Each is in the state that it was judged by, or somebody was faster and did the same.
    fn give_back(
        &self,
        heap: &Heap,
        outdated: &[(Place, State)],
        ended: &[(Place, State)],
        built: &Path,
    ) -> io::Result<()> {
        // While a directory stands sessions change, and what was seen of them means nothing.
        if self.fs.stat_path(&self.root, built).is_ok() || outdated.is_empty() && ended.is_empty() {
            return Ok(());
        }
        for (place, state) in outdated {
            heap.free(*place, *state);
        }
        self.fs.sync(heap.cells().file())?;
        for (place, state) in ended {
            heap.free(*place, *state);
        }
        Ok(())
    }

    /// Puts a record into the index, unless there is a later one of its session. Which of two is
    /// outdated.
    fn take_in(
        &self,
        index: &Index,
        heap: &Heap,
        (place, state): (Place, State),
        key: &Key,
        stored: &Stored,
    ) -> io::Result<Option<(Place, State)>> {
        let hash = format::hash(key);
        let read = |place| {
            let state = heap.state(place)?;
            Some((format::read(heap, place, key, self.seed)?, (place, state)))
        };
        match index.find(hash, read)? {
            Some((_, (Reading::Whole(there), _))) if there.age() >= stored.age() => {
                Ok(Some((place, state)))
            }
            Some((spot, (_, there))) => {
                index.replace(spot, place);
                Ok(Some(there))
            }
            None => {
                index.insert(hash, place, read)?;
                Ok(None)
            }
        }
    }

    /// Removes the directories of other boots, and what was built and not used.
    fn clear_others(&self, directory: &Path) {
        let Ok(root) = self.fs.open(&self.root, Path::new("."), OpenMode::Directory) else {
            return;
        };
        let Ok(entries) = self.fs.list(&root) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy();
            let is_run = name.starts_with(PREFIX) && Path::new(&*name) != directory;
            if is_run || name.starts_with(DRAFT) {
                let _ = self.remove(Path::new(&*name));
            }
        }
    }

    /// Removes a directory and the files in it.
    fn remove(&self, directory: &Path) -> io::Result<()> {
        let opened = match self.fs.open(&self.root, directory, OpenMode::Directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        for entry in self.fs.list(&opened)?.flatten() {
            let name = entry.file_name().to_string_lossy();
            if name != "." && name != ".." {
                self.fs.unlink(&self.root, &directory.join(&*name))?;
            }
        }
        self.fs.remove_directory(&self.root, directory)
    }
}

/// Sessions that ended shortly before the power was cut.
#[derive(Default)]
struct Ended {
    /// Their last records, by key and birth.
    lives: HashMap<(Key, u64), Age>,
    cells: Vec<(Place, State)>,
}

impl Ended {
    fn take_in(&mut self, heap: &Heap, place: Place, state: State, seed: u64) {
        self.cells.push((place, state));
        if let Some((key, Reading::Whole(stored))) = format::read_any(heap, place, seed) {
            let last = self.lives.entry((key, stored.record.birth)).or_insert_with(|| stored.age());
            *last = stored.age().max(*last);
        }
    }

    /// Whether this record's session ended with or after it.
    fn covers(&self, key: &Key, stored: &Stored) -> bool {
        let last = self.lives.get(&(*key, stored.record.birth));
        last.is_some_and(|last| stored.age() <= *last)
    }
}

/// The cells of an extent and their states.
fn cells(heap: &Heap, extent: Extent, class: Class) -> impl Iterator<Item = (Place, State)> {
    extent.places(class).filter_map(|place| Some((place, heap.state(place)?)))
}

fn foreign(extent: Extent) -> io::Error {
    let text = format!(
        "part {} of the heap is damaged, or of another store, or of a newer version; restore the store \
         from a backup, or use the version that wrote it",
        extent.0
    );
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Says what is missing, which is not memory.
fn out_of_addresses(error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::OutOfMemory {
        return error;
    }
    let gib = (u64::from(EXTENTS_MAX) * EXTENT) >> 30;
    let text = format!(
        "the heap needs {gib} GiB of address space, not of memory; raise the limit (`ulimit -v`, RLIMIT_AS)"
    );
    io::Error::new(io::ErrorKind::OutOfMemory, text)
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists)
}

/// What the kernel calls the time since it was started.
fn boot_id() -> io::Result<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(id.trim().to_owned())
}

/// The file of all records.
pub(super) const HEAP: &str = "heap";
const PREFIX: &str = "run.";
const DRAFT: &str = "draft.";

/// How often the directory may vanish between being seen and being opened.
const TRIES: usize = 16;
