//! Tables that are no files. What the kernel does in one step is one step here.

use std::io;
use std::sync::Mutex;

use super::area::Area;
use super::order;
use super::steps::Steps;
use super::table::{self, Table};
use crate::sync::{Arc, AtomicU64, Ordering};

/// The tables that all processes share, by number.
#[derive(Clone)]
pub(super) struct Tables {
    disk: Arc<Disk>,
    steps: Steps,
}

struct Disk {
    /// All that were ever made. No checker sees this lock, so it brings nothing along.
    files: Mutex<Vec<File>>,
    /// By number, which file has that name: one more than its place in `files`, or 0.
    names: Vec<AtomicU64>,
    oldest: AtomicU64,
}

#[derive(Clone)]
struct File {
    area: Area,
    log2: u32,
}

impl Tables {
    pub(super) fn new() -> Self {
        let names = (0..NAMES).map(|_| AtomicU64::new(0)).collect();
        let disk = Disk { files: Mutex::default(), names, oldest: AtomicU64::new(0) };
        Self { disk: Arc::new(disk), steps: Steps::default() }
    }

    /// The same, used by a process that may stop.
    pub(super) fn with(&self, steps: &Steps) -> Self {
        Self { steps: steps.clone(), ..self.clone() }
    }

    pub(super) fn oldest(&self) -> u64 {
        self.steps.take();
        self.disk.oldest.load(order::see_oldest())
    }

    pub(super) fn pass_on_to(&self, number: u64) {
        self.steps.take();
        self.disk.oldest.fetch_max(number, order::pass_on());
    }

    pub(super) fn open(&self, number: u64) -> io::Result<Option<Table>> {
        let file = self.name(number).load(Ordering::Acquire);
        let files = self.disk.files.lock().unwrap();
        let file = file.checked_sub(1).map(|file| &files[file as usize]);
        Ok(file.map(|File { area, log2 }| Table::new(area.with(&self.steps), *log2)))
    }

    pub(super) fn create(&self, number: u64, log2: u32) -> io::Result<()> {
        let area = Area::new(table::words(log2));
        Table::new(area.clone(), log2).clear();
        let mut files = self.disk.files.lock().unwrap();
        files.push(File { area, log2 });
        let file = files.len() as u64;
        drop(files);
        let _ = self.name(number).compare_exchange(0, file, Ordering::AcqRel, Ordering::Acquire);
        Ok(())
    }

    pub(super) fn withdraw(&self, number: u64) {
        self.name(number).swap(0, Ordering::AcqRel);
    }

    pub(super) fn give_back(&self, number: u64, table: &Table) {
        self.withdraw(number);
        let slots = table.area().words(table::first_slot(table.log2()), table.slots());
        for slot in slots.unwrap_or_default() {
            // The kernel takes the page from all who have it mapped, and they must ask it for another.
            slot.store(0, Ordering::Release);
        }
    }

    pub(super) fn damaged(&self, number: u64, reason: &str) -> io::Error {
        io::Error::other(format!("table {number}: {reason}"))
    }

    fn name(&self, number: u64) -> &AtomicU64 {
        self.steps.take();
        self.disk.names.get(number as usize).expect("the model has names enough")
    }
}

/// As many as the longest model makes tables.
const NAMES: usize = if cfg!(shuttle) { 300 } else { 8 };
