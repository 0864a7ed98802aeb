//! The machine a figure was measured on. Nothing in it names the machine or its user.

use std::thread;

use serde::Serialize;

/// What a reader of the figures needs to know.
#[derive(Debug, Serialize)]
pub struct Machine {
    os: &'static str,
    arch: &'static str,
    cpus: usize,
    kernel: String,
    cloakroom: &'static str,
    build: &'static str,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        Self {
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
            cpus: thread::available_parallelism().map_or(1, usize::from),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            cloakroom: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
        }
    }

    /// One line under a table.
    pub fn line(&self) -> String {
        let Self { os, arch, cpus, kernel, cloakroom, build } = self;
        let warning =
            if *build == "debug" { "; a debug build is slow, measure with --release" } else { "" };
        format!("cloakroom {cloakroom}, {os} {kernel} {arch}, {cpus} CPUs{warning}")
    }
}
