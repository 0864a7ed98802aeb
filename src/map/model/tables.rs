//! Tables that are no files. What the kernel does in one step here is one step under a lock.

use std::io;

use super::area::Area;
use super::table::{self, Table};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

/// The tables that all processes share, by number.
#[derive(Clone)]
pub(super) struct Tables {
    files: Arc<Mutex<Vec<File>>>,
    oldest: Arc<AtomicU64>,
}

struct File {
    number: u64,
    area: Area,
    log2: u32,
}

impl Tables {
    pub(super) fn new() -> Self {
        Self { files: Arc::new(Mutex::new(Vec::new())), oldest: Arc::new(AtomicU64::new(0)) }
    }

    pub(super) fn oldest(&self) -> u64 {
        self.oldest.load(Ordering::Acquire)
    }

    pub(super) fn pass_on_to(&self, number: u64) {
        self.oldest.fetch_max(number, Ordering::AcqRel);
    }

    pub(super) fn open(&self, number: u64) -> io::Result<Option<Table>> {
        let files = self.files.lock();
        let file = files.iter().find(|file| file.number == number);
        Ok(file.map(|file| Table::new(file.area.clone(), file.log2)))
    }

    pub(super) fn create(&self, number: u64, log2: u32) -> io::Result<()> {
        let area = Area::new(table::words(log2));
        Table::new(area.clone(), log2).clear();
        let mut files = self.files.lock();
        if !files.iter().any(|file| file.number == number) {
            files.push(File { number, area, log2 });
        }
        Ok(())
    }

    pub(super) fn withdraw(&self, number: u64) {
        self.files.lock().retain(|file| file.number != number);
    }

    pub(super) fn give_back(&self, number: u64, table: &Table) {
        self.files.lock().retain(|file| file.number != number);
        let slots = table.area().words(table::first_slot(table.log2()), table.slots());
        for slot in slots.unwrap_or_default() {
            slot.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn damaged(&self, number: u64, reason: &str) -> io::Error {
        io::Error::other(format!("table {number}: {reason}"))
    }
}
