//! The files of the tables: `index.N` in the directory of this boot.

use std::io;
use std::path::PathBuf;

use super::area::Area;
use super::control::{Control, Word};
use super::index::{LOG2_MAX, LOG2_MIN};
use super::table::{self, Table};
use crate::seams::{self, OpenMode};
use crate::sync::{Arc, Ordering};

/// The tables of a store, by number.
pub(super) struct Tables {
    control: Arc<Control>,
}

impl Tables {
    pub(super) const fn new(control: Arc<Control>) -> Self {
        Self { control }
    }

    /// The number of the oldest table that may still be needed.
    pub(super) fn oldest(&self) -> u64 {
        self.control.get(Word::Generation)
    }

    /// Says that no table before this one is needed any more.
    pub(super) fn pass_on_to(&self, number: u64) {
        self.control.raise(Word::Generation, number);
    }

    /// Opens a table. `None`: there is none of this number, not yet or not any more.
    pub(super) fn open(&self, number: u64) -> io::Result<Option<Table>> {
        let Control { fs, root, .. } = &*self.control;
        let file = match fs.open(root, &self.name(number), OpenMode::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let length = fs.stat(&file)?.size;
        let header = Area::map(file.try_clone()?, table::HEADER)?;
        // Relaxed: it was whole before it had its name.
        let word = |index| header.word(index).map_or(0, |word| word.load(Ordering::Relaxed));
        let log2 = u32::try_from(word(1)).unwrap_or(u32::MAX);
        if word(0) != MAGIC || !(LOG2_MIN..=LOG2_MAX).contains(&log2) {
            return Err(self.damaged(number, "it is no index, or of another version"));
        }
        if word(2) != self.control.seed ^ number {
            return Err(self.damaged(number, "it is of another store"));
        }
        if length < (table::words(log2) * size_of::<u64>()) as u64 {
            return Err(self.damaged(number, "it was cut short"));
        }
        Ok(Some(Table::new(Area::map(file, table::words(log2))?, log2)))
    }

    /// Makes a table, whole or not at all; whoever is first decides.
    pub(super) fn create(&self, number: u64, log2: u32) -> io::Result<()> {
        let Control { fs, root, .. } = &*self.control;
        let draft = self.control.draft("index");
        let file = fs.open(root, &draft, OpenMode::CreateNew)?;
        seams::hand_over(root, &file)?;
        let length = (table::words(log2) * size_of::<u64>()) as u64;
        let made = fs.allocate(&file, 0, length).and_then(|()| {
            let area = Area::map(file, table::words(log2))?;
            for (word, value) in area.words(0, 3).unwrap_or_default().iter().zip([
                MAGIC,
                u64::from(log2),
                self.control.seed ^ number,
            ]) {
                word.store(value, Ordering::Relaxed);
            }
            Table::new(area, log2).clear();
            // A second name instead of a rename: it does not replace what another process made.
            match fs.link(root, &draft, &self.name(number)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                linked => linked,
            }
        });
        let _ = fs.unlink(root, &draft);
        made
    }

    /// Takes the name of a table away that was made too late.
    pub(super) fn withdraw(&self, number: u64) {
        // Should it fail, the next boot removes it; whoever opens it sees that it is too old.
        let _ = self.control.fs.unlink(&self.control.root, &self.name(number));
    }

    /// Gives the file of a table back that nobody needs any more. Its slots become a hole: to unlink
    /// it is not enough, while a process that is stopped has it mapped.
    pub(super) fn give_back(&self, number: u64, table: &Table) {
        let Control { fs, root, .. } = &*self.control;
        // Should either fail, the next boot removes what is left.
        let _ = fs.unlink(root, &self.name(number));
        let slots = table::first_slot(table.log2()) * size_of::<u64>();
        let length = table.slots() * size_of::<u64>();
        let _ = fs.punch(table.area().file(), slots as u64, length as u64);
    }

    pub(super) fn damaged(&self, number: u64, reason: &str) -> io::Error {
        let text =
            format!("the index {} is damaged: {reason}; {REMEDY}", self.name(number).display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    }

    fn name(&self, number: u64) -> PathBuf {
        self.control.directory.join(format!("index.{number}"))
    }
}

/// What to do about a damaged index: it holds nothing that the heap does not.
pub(super) const REMEDY: &str = "stop all programs that use the store and remove the directory of \
     the index; the next open builds it anew";

const MAGIC: u64 = u64::from_le_bytes(*b"cloakix1");
