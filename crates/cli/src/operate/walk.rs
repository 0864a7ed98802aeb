//! Going through a store, with a bar that shows how far it is.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use cloakroom::blocking::wait;
use cloakroom::{Calling, Depth, Found, Inventory, Walk};

use super::failed;
use crate::error::CliError;
use crate::progress;

/// Hands all that a walk finds to `each`, a page at a time, until it breaks off.
pub fn pages<S: Inventory>(
    store: &S,
    depth: Depth,
    mut each: impl FnMut(&[Found]) -> Result<ControlFlow<()>, CliError>,
) -> Result<(), CliError> {
    let mut walk = wait(store.walk(depth, Calling::Blocking)).map_err(failed(READ))?;
    let mut page = Vec::with_capacity(PAGE);
    // The first page is small, so that people see something at once.
    let mut limit = FIRST_PAGE;
    loop {
        page.clear();
        wait(walk.next(limit, &mut page)).map_err(failed(READ))?;
        if page.is_empty() || each(&page)?.is_break() {
            return Ok(());
        }
        limit = PAGE;
    }
}

/// The same to the end, with a progress bar.
pub fn watched<S: Inventory>(
    label: &str,
    store: &S,
    depth: Depth,
    mut each: impl FnMut(&[Found]) -> Result<(), CliError> + Send,
) -> Result<(), CliError> {
    let gauge = Gauge::new(store);
    gauge.during(label, || {
        pages(store, depth, |page| {
            gauge.pass(store, page);
            each(page)?;
            Ok(ControlFlow::Continue(()))
        })
    })
}

/// How far a walk is: it goes shard by shard, and their number is known. Where they are few, the
/// sessions are counted.
pub struct Gauge {
    shards: u64,
    last: AtomicU64,
    done: AtomicU64,
}

impl Gauge {
    /// Nothing is done yet.
    pub fn new<S: Inventory>(store: &S) -> Self {
        let shards = Some(store.shards()).filter(|shards| *shards >= SHARDS_MIN);
        Self {
            shards: shards.unwrap_or(0),
            last: AtomicU64::new(u64::MAX),
            done: AtomicU64::new(0),
        }
    }

    /// Does `work` while a bar shows how far it is.
    pub fn during<T>(&self, label: &str, work: impl FnOnce() -> T) -> T {
        progress::during(label, self.shards, || self.done.load(Ordering::Relaxed), work)
    }

    /// Notes what was passed.
    pub fn pass<S: Inventory>(&self, store: &S, page: &[Found]) {
        for found in page {
            let Found::Session(session) = found else { continue };
            let place = if self.shards == 0 { u64::MAX } else { store.shard(&session.key) };
            if self.shards == 0 || self.last.swap(place, Ordering::Relaxed) != place {
                self.done.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

const READ: &str = "read the store";

const FIRST_PAGE: usize = 16;
const PAGE: usize = 512;

/// With fewer a bar would stand still too long.
const SHARDS_MIN: u64 = 16;
