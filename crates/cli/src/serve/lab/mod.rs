//! The lab: parallel calls of one page, with every access of every store.
//!
//! Each store has sessions and a cookie of its own below `/lab/{store}`, and each way to take them is a route.

mod call;
mod runs;
mod setup;
mod way;

use axum::Router;
use axum::middleware;
use axum::routing::{MethodRouter, get, post};
use cloakroom::{Access, OnConflict};
use cloakroom_axum::{SessionAccess, SessionLayer, Settings};

use self::way::Way;
use super::error::ServeError;
use super::keeper::{Keeper, Manage, Sweep};
use super::site::{CSS, HTML, JS, asset};
use crate::error::CliError;
use crate::store_url::{Kind, Place, StoreUrl};

/// The stores of the lab.
pub struct Lab {
    benches: Vec<Bench>,
    /// Their temporary directories go with it.
    _places: Vec<Place>,
}

/// A store of the lab.
struct Bench {
    about: About,
    keeper: Keeper,
    /// The same sessions without a check for races, where that makes a difference.
    unchecked: SessionLayer,
}

/// What there is to know about a store.
#[derive(Clone, Copy)]
pub struct About {
    id: &'static str,
    name: &'static str,
    text: &'static str,
    ways: &'static [Way],
}

impl Lab {
    /// The store that was asked for, and temporary ones of the other kinds.
    pub fn open(place: &Place, settings: &Settings) -> Result<Self, CliError> {
        let (mut benches, mut places) = (Vec::new(), Vec::new());
        for (url, about) in [
            (StoreUrl::Directory(Kind::File, None), FILE),
            (StoreUrl::Directory(Kind::Map, None), MAP),
            (StoreUrl::Memory, MEMORY),
        ] {
            let settings = settings_of(settings, about.id);
            if is_of_one_kind(&place.url, &url) {
                benches.push(Bench::stored(place, about, settings)?);
            } else {
                let place = Place::open(&url)?;
                benches.push(Bench::stored(&place, about, settings)?);
                places.push(place);
            }
        }
        benches.push(Bench::sealed(COOKIE, settings_of(settings, COOKIE.id))?);
        Ok(Self { benches, _places: places })
    }

    /// What sweeps them.
    pub fn sweeps(&self) -> impl Iterator<Item = Sweep> {
        self.benches.iter().filter_map(|bench| bench.keeper.sweep.clone())
    }

    /// All of it.
    pub fn router(&self) -> Router {
        let setup = setup::setup(self.benches.iter().map(|bench| bench.about));
        let router = Router::new()
            .route("/lab", get(|| asset(HTML, include_str!("../assets/lab.html"))))
            .route("/lab/lab.css", get(|| asset(CSS, include_str!("../assets/lab.css"))))
            .route("/lab/lab.js", get(|| asset(JS, include_str!("../assets/lab.js"))))
            .route("/lab/setup", get(async move || setup));
        self.benches.iter().fold(router, |router, bench| {
            router.nest(&format!("/lab/{}", bench.about.id), bench.router())
        })
    }
}

impl Bench {
    fn stored(place: &Place, about: About, settings: Settings) -> Result<Self, ServeError> {
        let unchecked =
            settings.clone().on_conflict(OnConflict::LastWriteWins).access(Access::Optimistic);
        let keeper = place.with(Manage(settings)).map_err(ServeError::Settings)?;
        let unchecked = place.with(Manage(unchecked)).map_err(ServeError::Settings)?.layer;
        Ok(Self { about, keeper, unchecked })
    }

    fn sealed(about: About, settings: Settings) -> Result<Self, ServeError> {
        let keeper = Keeper::sealed(settings).map_err(ServeError::Settings)?;
        // Cookies know no races: the last response wins.
        let unchecked = keeper.layer.clone();
        Ok(Self { about, keeper, unchecked })
    }

    fn router(&self) -> Router {
        let begin = match self.keeper.access {
            Access::Optimistic => post(call::begin).layer(SessionAccess::optimistic().repeatable()),
            _ => post(call::begin),
        };
        let checked = Router::new().route("/begin", begin).route("/count", get(call::count));
        let add = |router: Router, way: &Way| router.route(&format!("/{}", way.id()), route(*way));
        let (with_check, without): (Vec<_>, Vec<_>) =
            self.about.ways.iter().partition(|way| **way != Way::LastWriteWins);
        let checked = with_check.into_iter().fold(checked, add).layer(self.keeper.layer.clone());
        let unchecked = without.into_iter().fold(Router::new(), add).layer(self.unchecked.clone());
        checked.merge(unchecked)
    }
}

/// The route that takes the session in this way.
fn route(way: Way) -> MethodRouter {
    let handler = move |runs, session, query| call::call(way, runs, session, query);
    let method = if way.writes() { post(handler) } else { get(handler) };
    // Outside of what runs a handler again, so that it sees all runs.
    method.layer(way.access()).layer(middleware::from_fn(runs::count))
}

fn settings_of(settings: &Settings, id: &str) -> Settings {
    settings
        .clone()
        .cookie_name(format!("lab_{id}"))
        .cookie_path(format!("/lab/{id}"))
        .namespace("lab")
}

const fn is_of_one_kind(a: &StoreUrl, b: &StoreUrl) -> bool {
    use StoreUrl::{Directory, Memory};
    matches!(
        (a, b),
        (Memory, Memory)
            | (Directory(Kind::File, _), Directory(Kind::File, _))
            | (Directory(Kind::Map, _), Directory(Kind::Map, _))
    )
}

const LOCKING: &[Way] = &[
    Way::Exclusive,
    Way::Released,
    Way::Shared,
    Way::Snapshot,
    Way::Optimistic,
    Way::LastWriteWins,
];

const FILE: About = About {
    id: "file",
    name: "FileStore",
    text: "A file for each session, with a lock that processes share",
    ways: LOCKING,
};

const MAP: About = About {
    id: "map",
    name: "MapStore",
    text: "All sessions in mapped files, without locks",
    ways: &[Way::Snapshot, Way::Optimistic, Way::LastWriteWins],
};

const MEMORY: About = About {
    id: "memory",
    name: "MemoryStore",
    text: "In the memory of the server, with a lock for each session",
    ways: LOCKING,
};

const COOKIE: About = About {
    id: "cookie",
    name: "CookieStore",
    text: "Sealed in the browser's cookie; the server keeps nothing",
    ways: &[Way::Snapshot, Way::LastWriteWins],
};
