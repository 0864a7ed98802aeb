//! The machine a figure was measured on. Nothing in it names the machine or its user.

use std::thread;

use serde::{Deserialize, Serialize};

/// What a reader of the figures needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    os: String,
    arch: String,
    cpus: usize,
    kernel: String,
    cloakroom: String,
    build: String,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        Self {
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            cpus: thread::available_parallelism().map_or(1, usize::from),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            cloakroom: env!("CARGO_PKG_VERSION").to_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        }
    }

    /// One line under a table.
    pub fn line(&self) -> String {
        let Self { os, arch, cpus, kernel, cloakroom, build } = self;
        let warning =
            if build == "debug" { "; a debug build is slow, measure with --release" } else { "" };
        format!("cloakroom {cloakroom}, {os} {kernel} {arch}, {cpus} CPUs{warning}")
    }
}
