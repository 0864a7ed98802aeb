//! The roads to the outside world: file system, clock, entropy.
//!
//! The engine reaches the operating system through these three traits only. A test replaces one
//! to inject a fault, to turn the clock, or to repeat a run.

mod clock;
mod entropy;
mod file_system;
mod range_lock;

pub(crate) use clock::coarse_monotonic;
pub use clock::{Clock, OsClock, Timestamp};
pub(crate) use entropy::random;
pub use entropy::{Entropy, OsEntropy};
pub use file_system::{FileStat, FileSystem, Flock, OpenMode, OsFileSystem};
pub(crate) use file_system::{hand_over, irregular, read, write_all};
