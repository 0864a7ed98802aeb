//! The apps: one router for each way to keep sessions, all with the same routes.

mod bare;
mod cloakroom;
mod gate;
mod tower;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::cloakroom::{FileStore, MapStore, MemoryStore};
use anyhow::Result;
use axum::routing::get;
use axum::{Extension, Router};
use clap::ValueEnum;
use serde::Serialize;

use crate::machine;
use gate::Gate;

/// What keeps the sessions of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    CloakroomFile,
    TowerSessions,
    CloakroomMemory,
    CloakroomMap,
    /// No sessions at all: what axum and the client can do.
    Bare,
}

impl Kind {
    /// In the order of a round: those to be compared next to each other.
    pub const ALL: &[Self] = &[
        Self::CloakroomFile,
        Self::TowerSessions,
        Self::CloakroomMemory,
        Self::CloakroomMap,
        Self::Bare,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::CloakroomFile => "cloakroom-file",
            Self::TowerSessions => "tower-sessions",
            Self::CloakroomMemory => "cloakroom-memory",
            Self::CloakroomMap => "cloakroom-map",
            Self::Bare => "bare",
        }
    }

    pub fn title(self) -> String {
        let axum = format!("axum {}", machine::version("axum"));
        let cloakroom = |store| format!("cloakroom, {store}, on {axum}");
        match self {
            Self::CloakroomFile => cloakroom("FileStore"),
            Self::CloakroomMemory => cloakroom("MemoryStore"),
            Self::CloakroomMap => cloakroom("MapStore"),
            Self::TowerSessions => {
                let version = machine::version("tower-sessions");
                format!("tower-sessions {version}, MemoryStore, on {axum}")
            }
            Self::Bare => format!("{axum} without sessions"),
        }
    }

    pub fn has_sessions(self) -> bool {
        self != Self::Bare
    }

    /// Whether it promises that no acknowledged update gets lost and no logout is undone.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::CloakroomFile | Self::CloakroomMemory | Self::CloakroomMap)
    }

    /// The routes by which a slow request can take its session here.
    pub fn slow_routes(self) -> &'static [&'static str] {
        match self {
            // By default the logout waits for the slow request; it does not if that is optimistic.
            Self::CloakroomFile | Self::CloakroomMemory => &["/optimistic/slow", "/slow"],
            Self::CloakroomMap | Self::TowerSessions => &["/slow"],
            Self::Bare => &[],
        }
    }

    /// The app. What it stores goes into `directory`.
    pub fn router(self, directory: &Path) -> Result<Router> {
        let gate = Arc::new(Gate::default());
        let app = match self {
            Self::TowerSessions => tower::router(),
            Self::Bare => bare::router(),
            Self::CloakroomFile => cloakroom::router(FileStore::open(directory)?)?,
            Self::CloakroomMemory => cloakroom::router(MemoryStore::new())?,
            Self::CloakroomMap => cloakroom::router(MapStore::open(directory)?)?,
        };
        // Outside the sessions' layer: who asks these has none.
        let app = app.route("/arrived", get(gate::arrived)).route("/go", get(gate::go));
        Ok(app.layer(Extension(gate)))
    }
}

/// Asks a database something, as most handlers do between reading their session and writing it: others
/// are served meanwhile.
async fn query() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Who is logged in.
const USER: &str = "alice";
