//! What the fault tests of the map store share.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cloakroom::blocking::wait;
use cloakroom::{Calling, Depth, Found, Inventory, Key, MapStore, Record, Walk as _};

/// An open session of a map store.
pub type MapHeld = <MapStore as cloakroom::Store>::Hold;

/// What an operator sees of a whole store.
#[derive(Debug, Default)]
pub struct Census {
    pub sessions: BTreeMap<Key, Record>,
    /// What is damaged or does not belong there, in words.
    pub wrong: Vec<String>,
    /// Cells that a sweep would give back.
    pub leftovers: usize,
}

/// Walks through all of a store, as `verify` does.
pub fn census(store: &impl Inventory) -> Census {
    let mut census = Census::default();
    let mut walk = wait(store.walk(Depth::Whole, Calling::Blocking)).unwrap();
    loop {
        let mut found = Vec::new();
        wait(walk.next(1_000, &mut found)).unwrap();
        if found.is_empty() {
            return census;
        }
        for found in found {
            match found {
                Found::Session(summary) => {
                    let before = census.sessions.insert(summary.key, summary.record);
                    assert!(before.is_none(), "{} was found twice", summary.key);
                }
                Found::Leftover { .. } => census.leftovers += 1,
                other => census.wrong.push(format!("{other:?}")),
            }
        }
    }
}

/// The directory of this boot.
pub fn run_directory(root: &Path) -> PathBuf {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    root.join(format!("run.{}", boot.trim()))
}

/// Has the machine be started anew, as far as the store can tell: what stands was made under another
/// boot id.
pub fn reboot(root: &Path) {
    let before = root.join("run.00000000-0000-0000-0000-000000000000");
    // Killed before it could remove that.
    let _ = fs::remove_dir_all(&before);
    fs::rename(run_directory(root), before).unwrap();
}

/// The length of the heap.
pub fn heap_length(root: &Path) -> u64 {
    fs::metadata(root.join("heap")).unwrap().len()
}
