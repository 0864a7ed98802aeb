//! A server, a driver, and as many browsers as a test asks for. Everything ends with the `Rig`, also
//! when the test fails.

mod browser;
mod devtools;
mod driver;
mod echo;
mod process;
mod server;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use browser::{Browser, until};
pub use echo::Echo;
pub use server::{Server, cloakroom, target};

use driver::Driver;

/// What a test works with.
pub struct Rig {
    driver: Driver,
    pub server: Server,
    // After the driver: its browsers write into it until they end.
    profiles: TempDir,
    // The last field: the next test begins when the processes of this one are gone.
    _turn: SemaphorePermit<'static>,
}

impl Rig {
    /// Beside one other test at most.
    pub async fn start() -> Self {
        Self::take(1).await
    }

    /// Beside no other test, for what is measured.
    pub async fn alone() -> Self {
        Self::take(TURNS).await
    }

    async fn take(turns: u32) -> Self {
        static ALL: Semaphore = Semaphore::const_new(TURNS as usize);
        let turn = ALL.acquire_many(turns).await.expect("nobody closes it");
        let profiles = TempDir::new().expect("a temporary directory");
        Self { driver: Driver::start(), server: Server::start(), profiles, _turn: turn }
    }

    /// A browser of its own: nothing in it, no cookie shared with another.
    pub async fn browser(&self) -> Browser {
        static BROWSERS: AtomicUsize = AtomicUsize::new(0);
        let number = BROWSERS.fetch_add(1, Relaxed).to_string();
        let directory = self.profiles.path().join(number);
        Browser::open(self.driver.url(), self.server.url(), directory).await
    }
}

/// More browsers at once would only wait for each other on a small machine.
const TURNS: u32 = 2;
