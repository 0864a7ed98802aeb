//! The power of a real file system is cut while processes use a map store on it: ext4 on a loop device, and
//! the call that shuts it down without a word to its medium. Needs root.
//!
//! By default a few cuts; `CLOAKROOM_CUTS=50` asks for so many times as many.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use cloakroom::{Access, Durability, MapStore};
use rig::map::{census, reboot, run_directory};
use rig::tap::{Answer, Call, Method, Tap, Tapped};
use rig::worker::{self, Diary, HOT, Ledger, Line, Own, hot_key, hot_payload, own_key};
use rig::{Random, child, destroy, open, put, sys, until};

const WORKERS: u64 = 3;

/// A file system on a loop device.
struct LoopDisk {
    image: PathBuf,
    place: PathBuf,
    _directory: tempfile::TempDir,
}

impl LoopDisk {
    /// `None`, and why is said: there cannot be one here.
    fn new() -> Option<Self> {
        if !child::is_root() {
            println!("skipped: to mount a file system needs root");
            return None;
        }
        sys::private_mounts();
        let directory = rig::directory();
        let (image, place) = (directory.path().join("image"), directory.path().join("place"));
        fs::create_dir(&place).unwrap();
        fs::File::create_new(&image).unwrap().set_len(256 << 20).unwrap();
        let made = run(Command::new("mkfs.ext4").arg("-q").arg(&image));
        let disk = Self { image, place, _directory: directory };
        if let Err(reason) = made.and_then(|()| disk.mount()) {
            println!("skipped: no ext4 on a loop device here: {reason}");
            return None;
        }
        Some(disk)
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).args([&self.image, &self.place]))
    }

    /// Cuts the power, ends those that are at work, and starts the machine anew.
    fn cut(&self, workers: &[i32]) {
        sys::cut_power(&self.place);
        for worker in workers {
            sys::send(*worker, libc::SIGKILL);
            sys::wait_for(*worker);
        }
        run(Command::new("umount").arg(&self.place)).unwrap();
        self.mount().unwrap();
        if run_directory(&self.root()).exists() {
            reboot(&self.root());
        }
    }

    fn root(&self) -> PathBuf {
        self.place.join("sessions")
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {said}")) }
}

/// A planted bug: no sync is ever made.
struct NoSync;

impl Tap for NoSync {
    fn before(&self, call: &Call<'_>) -> Answer {
        if call.method == Method::Sync { Answer::Pretend } else { Answer::Pass }
    }
}

fn store(root: &Path, syncs: bool) -> MapStore {
    let builder = MapStore::builder(root);
    let builder = if syncs { builder } else { builder.file_system(Tapped(Arc::new(NoSync))) };
    builder.open().unwrap()
}

/// Cuts the power so many times. Why a session is not what it must be, if one is not.
fn cuts(disk: &LoopDisk, durability: Durability, cuts: u64, syncs: bool) -> Result<(), String> {
    let root = disk.root();
    let _ = fs::remove_dir_all(&root);
    let first = MapStore::builder(&root).durability(durability).open().unwrap();
    for hot in 0..HOT {
        put(&first, &hot_key(hot), &hot_payload(0));
    }
    drop(first);
    let diaries = rig::directory();
    let (mut ledger, mut random) = (Ledger::default(), Random(cuts));
    let mut acknowledged = 0;
    for cut in 1..=cuts {
        let diary = |worker: u64| diaries.path().join(format!("{cut} {worker}"));
        let workers: Vec<(i32, u64)> = (cut * WORKERS..(cut + 1) * WORKERS)
            .map(|worker| {
                let diary = Diary::new(&diary(worker));
                let work = || worker::work_until_killed(&store(&root, syncs), worker, diary);
                let pid = sys::fork(|| {
                    work();
                    0
                });
                (pid, worker)
            })
            .collect();
        let lines = 50 + random.below(400);
        let said = || -> Vec<usize> {
            workers.iter().map(|(_, worker)| Diary::read(&diary(*worker)).len()).collect()
        };
        until("the workers to work", || said().iter().sum::<usize>() as u64 > lines);
        let before = said();
        disk.cut(&workers.iter().map(|(pid, _)| *pid).collect::<Vec<_>>());
        for ((_, worker), before) in workers.iter().zip(before) {
            let mut lines = Diary::read(&diary(*worker));
            // Where there is no power nothing is acknowledged: a sync that the cut overtakes may say that it
            // was made.
            let mut number = 0;
            lines.retain(|line| {
                number += 1;
                number <= before || matches!(line, Line::Makes(..) | Line::Counts(_))
            });
            ledger.take_in(*worker, &lines);
        }
        acknowledged += lines;
        let due = |ledger: &Ledger, store: &MapStore| match durability {
            Durability::Power => {
                ledger.check(store, ledger.owned.keys())?;
                ledger.check_counts(store)
            }
            // Any version that it ever had, or none; and so it stays.
            _ => {
                let any = Ledger { owned: ledger.ever.clone(), ..Ledger::default() };
                any.check(store, any.owned.keys())
            }
        };
        let there = store(&root, true);
        due(&ledger, &there).map_err(|lost| format!("cut {cut}: {lost}"))?;
        assert_eq!(census(&there).wrong, Vec::<String>::new(), "cut {cut}");
        if durability == Durability::Process {
            // What Process may have lost counts from here on.
            for hot in 0..HOT {
                put(&there, &hot_key(hot), &hot_payload(0));
            }
            continue;
        }
        // Some log out, and the power goes at once.
        let leaving: Vec<Own> =
            ledger.owned.keys().filter(|(_, number)| number % 2 == 0).copied().collect();
        for own in leaving {
            let mut hold = open(&there, &own_key(own), Access::Optimistic).unwrap();
            destroy(&mut hold).unwrap();
            ledger.owned.insert(own, [0].into());
        }
        drop(there);
        disk.cut(&[]);
        let there = store(&root, true);
        due(&ledger, &there).map_err(|lost| format!("after the logouts of cut {cut}: {lost}"))?;
    }
    println!("{durability}: {cuts} cuts, {acknowledged} lines in the diaries");
    Ok(())
}

fn times() -> u64 {
    let times = std::env::var("CLOAKROOM_CUTS").ok().and_then(|times| times.parse().ok());
    times.unwrap_or(1)
}

#[test]
fn what_was_acknowledged_in_power_survives_the_cut_of_a_real_file_system() {
    child::alone("what_was_acknowledged_in_power_survives_the_cut_of_a_real_file_system", || {
        if let Some(disk) = LoopDisk::new() {
            cuts(&disk, Durability::Power, 4 * times(), true).unwrap();
        }
    });
}

#[test]
fn in_process_a_cut_of_a_real_file_system_leaves_versions_or_nothing() {
    child::alone("in_process_a_cut_of_a_real_file_system_leaves_versions_or_nothing", || {
        if let Some(disk) = LoopDisk::new() {
            cuts(&disk, Durability::Process, 4 * times(), true).unwrap();
        }
    });
}

/// The control: without a sync the same cuts lose what was acknowledged.
#[test]
fn the_cut_of_a_real_file_system_catches_syncs_that_are_not_made() {
    child::alone("the_cut_of_a_real_file_system_catches_syncs_that_are_not_made", || {
        if let Some(disk) = LoopDisk::new() {
            let lost = cuts(&disk, Durability::Power, 20, false).unwrap_err();
            println!("{lost}");
        }
    });
}
