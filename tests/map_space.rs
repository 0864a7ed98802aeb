//! The space of a map store whose sessions change their sizes: extents of which little is left are
//! emptied and serve other sizes, while others commit, and whoever is killed at it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod rig;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use cloakroom::{Access, CommitError, Durability, Hold as _, Key, MapStore};
use rig::map::{census, heap_length, reboot, run_directory};
use rig::{Random, child, commit, key, open, put, read, sys};

const SESSIONS: u64 = 1_000;

/// In each the sessions are larger than before, so that the cells of the old ones are of no use to them.
const PHASES: u64 = 6;

fn id(number: u64) -> Key {
    key(&format!("session {number}"))
}

/// Names its session and phase, in more and more bytes.
fn payload(number: u64, phase: u64) -> Vec<u8> {
    let mut payload = number.to_le_bytes().to_vec();
    payload.extend(phase.to_le_bytes());
    payload.resize(usize::try_from(1_600 + phase * 1_600).unwrap(), payload[0] ^ payload[8]);
    payload
}

/// Whether the session stays as it is in this phase. Few do, and in each extent.
fn stays(number: u64, phase: u64) -> bool {
    phase > 0 && Random(number << 8 | phase).below(8) == 0
}

/// The last phase that the session took part in.
fn phase_of(number: u64, phase: u64) -> u64 {
    (0..=phase).rev().find(|phase| !stays(number, *phase)).unwrap()
}

/// The most that the heap may take: each phase leaves at most an extent that is not full, of the others
/// no more than a quarter is free, and while one is emptied others may be taken.
fn bound() -> u64 {
    let due = |number| payload(number, phase_of(number, PHASES - 1));
    // A cell may be a quarter larger than its record.
    let used: usize = (0..SESSIONS).map(|number| due(number).len() * 5 / 4).sum();
    used as u64 * 4 / 3 + (PHASES + 2) * (2 << 20)
}

/// What must be at the end: each session as its last phase left it, and nothing else.
fn check(store: &MapStore) {
    for number in 0..SESSIONS {
        let found = read(store, &id(number), Access::Snapshot).unwrap();
        assert!(found == Some(payload(number, phase_of(number, PHASES - 1))), "session {number}");
    }
    let census = census(store);
    assert_eq!((census.wrong, census.leftovers), (Vec::new(), 0));
}

#[test]
fn sessions_that_change_their_size_leave_no_extents_behind() {
    for durability in [Durability::Process, Durability::Power] {
        let directory = rig::directory();
        let store = MapStore::builder(directory.path()).durability(durability).open().unwrap();
        for phase in 0..PHASES {
            for number in (0..SESSIONS).filter(|number| !stays(*number, phase)) {
                put(&store, &id(number), &payload(number, phase));
            }
        }
        drop(store);
        let length = heap_length(directory.path());
        println!("{durability}: {} MiB, bound {} MiB", length >> 20, bound() >> 20);
        assert!(length <= bound(), "{length} bytes, bound {}", bound());
        reboot(directory.path());
        check(&MapStore::open(directory.path()).unwrap());
    }
}

/// Two processes change all sessions at the same time, while both move them.
#[test]
fn what_is_moved_while_others_commit_is_what_they_know() {
    const NAME: &str = "what_is_moved_while_others_commit_is_what_they_know";
    child::alone(NAME, || {
        let directory = rig::directory();
        let root = directory.path();
        drop(MapStore::open(root).unwrap());
        let control = File::open(run_directory(root).join("control")).unwrap();
        let workers = [1, 2].map(|worker| {
            sys::fork(|| {
                let store = MapStore::open(root).unwrap();
                for phase in 0..PHASES {
                    let mut random = Random(worker);
                    for _ in 0..SESSIONS {
                        let number = random.below(SESSIONS);
                        if !stays(number, phase) {
                            count(&store, number, phase);
                        }
                    }
                }
                0
            })
        });
        rig::until("records are moved", || is_moving(&control));
        for worker in workers {
            assert_eq!(sys::wait_for(worker), sys::End::Exit(0));
        }
        let mut due = vec![0; usize::try_from(SESSIONS).unwrap()];
        for (worker, phase) in [1, 2].into_iter().flat_map(|w| (0..PHASES).map(move |p| (w, p))) {
            let mut random = Random(worker);
            for number in (0..SESSIONS).map(|_| random.below(SESSIONS)) {
                due[usize::try_from(number).unwrap()] += u64::from(!stays(number, phase));
            }
        }
        let store = MapStore::open(root).unwrap();
        let counted: Vec<_> = (0..SESSIONS).map(|number| counted(&store, number)).collect();
        assert!(counted == due, "{counted:?}, due {due:?}");
        assert_eq!(census(&store).wrong, Vec::<String>::new());
    });
}

/// Counts in a session, which has the size of this phase then.
fn count(store: &MapStore, number: u64, phase: u64) {
    loop {
        let mut hold = open(store, &id(number), Access::Optimistic).unwrap();
        let before = hold.record().map_or(0, |record| record.version);
        let mut payload = payload(number, phase);
        payload.extend((before + 1).to_le_bytes());
        match commit(&mut hold, &payload) {
            Ok(_) => return,
            Err(CommitError::Conflict(_) | CommitError::AlreadyExists { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// How often a session was counted: its version, which its payload must know.
fn counted(store: &MapStore, number: u64) -> u64 {
    let hold = open(store, &id(number), Access::Snapshot).unwrap();
    let version = hold.record().map_or(0, |record| record.version);
    let said = hold.payload().last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    assert_eq!(said, version, "session {number}");
    version
}

/// Processes are killed while records are moved; others go on, and nothing is lost.
#[test]
fn kills_while_records_are_moved_lose_nothing() {
    const KILLS: u64 = 10;
    child::alone("kills_while_records_are_moved_lose_nothing", || {
        let (mut kills, mut random) = (0, Random(3));
        while kills < KILLS {
            let directory = rig::directory();
            let root = directory.path().join("sessions");
            drop(MapStore::open(&root).unwrap());
            let control = File::open(run_directory(&root).join("control")).unwrap();
            let mut workers: [Migrant; 2] = [0, 1].map(|half| Migrant::new(directory.path(), half));
            workers.iter_mut().for_each(|worker| worker.start(&root));
            while workers.iter().any(|worker| !worker.is_done()) {
                rig::until("records are moved, or all is done", || {
                    is_moving(&control) || workers.iter().all(Migrant::is_done)
                });
                for _ in 0..random.below(1_000_000) {
                    std::hint::spin_loop();
                }
                let worker = &mut workers[usize::try_from(random.below(2)).unwrap()];
                let is_moving = is_moving(&control);
                if worker.kill() {
                    kills += u64::from(is_moving);
                }
                worker.check(&MapStore::open(&root).unwrap());
                worker.start(&root);
            }
            for worker in workers {
                assert_eq!(sys::wait_for(worker.pid), sys::End::Exit(0));
            }
            let store = MapStore::open(&root).unwrap();
            rig::sweep(&store).unwrap();
            check(&store);
        }
        println!("{kills} kills while records were moved");
    });
}

/// Whether a round through the extents is under way: the sixth word of the control file says where it is.
fn is_moving(control: &File) -> bool {
    let mut word = [0; 8];
    control.read_exact_at(&mut word, 5 * 8).unwrap();
    word != [0; 8]
}

/// A process that brings half of the sessions from phase to phase, and a file that knows how far it is.
struct Migrant {
    half: u64,
    steps: File,
    pid: i32,
}

impl Migrant {
    fn new(directory: &Path, half: u64) -> Self {
        let mut options = File::options();
        let options = options.create_new(true).read(true).write(true);
        let steps = options.open(directory.join(format!("steps of {half}"))).unwrap();
        steps.write_all_at(&[0; 16], 0).unwrap();
        Self { half, steps, pid: 0 }
    }

    /// What is to be done in this step: a session, and its phase.
    fn task(&self, step: u64) -> (u64, u64) {
        let half = SESSIONS / 2;
        (step % half * 2 + self.half, step / half)
    }

    const STEPS: u64 = SESSIONS / 2 * PHASES;

    /// How many steps were begun, and how many are done.
    fn steps(&self) -> (u64, u64) {
        let mut bytes = [0; 16];
        self.steps.read_exact_at(&mut bytes, 0).unwrap();
        let [begun, done] = [0, 8].map(|at| *bytes[at..].first_chunk().unwrap());
        (u64::from_le_bytes(begun), u64::from_le_bytes(done))
    }

    fn is_done(&self) -> bool {
        self.steps().1 == Self::STEPS
    }

    /// Goes on where the one before was killed.
    fn start(&mut self, root: &Path) {
        self.pid = sys::fork(|| {
            let store = MapStore::open(root).unwrap();
            for step in self.steps().1..Self::STEPS {
                let (number, phase) = self.task(step);
                if !stays(number, phase) {
                    self.steps.write_all_at(&(step + 1).to_le_bytes(), 0).unwrap();
                    put(&store, &id(number), &payload(number, phase));
                }
                self.steps.write_all_at(&(step + 1).to_le_bytes(), 8).unwrap();
            }
            0
        });
    }

    /// Whether it was at work.
    fn kill(&self) -> bool {
        sys::send(self.pid, libc::SIGKILL);
        sys::wait_for(self.pid) == sys::End::Signal(libc::SIGKILL)
    }

    /// Each of its sessions is what was acknowledged last, or what was begun.
    fn check(&self, store: &MapStore) {
        let (begun, done) = self.steps();
        for place in 0..SESSIONS / 2 {
            let last = |steps: u64| {
                let tasks = (0..PHASES).map(|phase| phase * (SESSIONS / 2) + place);
                let mut tasks = tasks.filter(|step| *step < steps).map(|step| self.task(step));
                tasks.rfind(|(number, phase)| !stays(*number, *phase))
            };
            let (number, _) = self.task(place);
            let found = read(store, &id(number), Access::Snapshot).unwrap();
            let is = |task: Option<(u64, u64)>| {
                found == task.map(|(number, phase)| payload(number, phase))
            };
            assert!(is(last(done)) || is(last(begun)), "session {number}");
        }
    }
}
