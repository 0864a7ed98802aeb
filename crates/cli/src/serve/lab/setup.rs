//! What the lab's page is told of stores and ways.

use axum::Json;
use serde::Serialize;

use super::About;
use super::call::{CALLS_MAX, WORK_MAX_MS};
use super::way::Way;

/// All stores and all ways.
pub fn setup(stores: impl Iterator<Item = About>) -> Json<Setup> {
    Json(Setup {
        stores: stores.map(StoreSetup::of).collect(),
        accesses: Way::ALL.map(WaySetup::of),
        calls_max: CALLS_MAX,
        handler_ms_max: WORK_MAX_MS,
    })
}

/// What there is to choose from.
#[derive(Clone, Serialize)]
pub struct Setup {
    stores: Vec<StoreSetup>,
    accesses: [WaySetup; 6],
    calls_max: u32,
    handler_ms_max: u64,
}

#[derive(Clone, Serialize)]
struct StoreSetup {
    id: &'static str,
    name: &'static str,
    about: &'static str,
    accesses: Vec<&'static str>,
}

#[derive(Clone, Serialize)]
struct WaySetup {
    id: &'static str,
    title: &'static str,
    about: &'static str,
    writes: bool,
}

impl StoreSetup {
    fn of(About { id, name, text, ways }: About) -> Self {
        Self { id, name, about: text, accesses: ways.iter().map(|way| way.id()).collect() }
    }
}

impl WaySetup {
    const fn of(way: Way) -> Self {
        Self { id: way.id(), title: way.title(), about: way.about(), writes: way.writes() }
    }
}
