//! cloakroom's web sessions beside tower-sessions: the same app, the same client, one run.
//!
//! Each app is served by `axum::serve` in a process of its own, with tokio's default runtime; the clients
//! are threads of this process. So neither side's memory, allocator, or threads serve the other, and a
//! request crosses from one process to another as it does behind a proxy. All servers live through the
//! whole run, and those that are not asked take no processor time; nothing is pinned to a core, because
//! two cores are too few to give each side its own. The clients' processor time is the same for every app
//! and draws all ratios towards 1: it stands beside the figures, as does the server's own, which
//! it does not dilute.

mod app;
mod client;
mod logout;
mod lost;
mod options;
mod report;
mod server;
mod speed;

/// What the other binary of this package has for its reports.
#[path = "../../machine.rs"]
#[allow(dead_code, reason = "each binary takes a part of it")]
mod machine;
/// What cloakroom's own benches use.
#[path = "../../../../benches/support/mod.rs"]
#[allow(dead_code, reason = "each user takes a part of it")]
mod support;

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use machine::Machine;
use options::{Format, Options};
use report::{AppLine, Report};
use server::Server;
use support::children;

fn main() -> Result<()> {
    if let Some(words) = children::role(CHILD_LIMIT) {
        return server::serve(&words);
    }
    let mut options = Options::parse().complete()?;
    let own = tempfile::Builder::new().prefix("cloakroom-web-").tempdir_in(&options.directory);
    let own = own.with_context(|| format!("cannot use {}", options.directory.display()))?;
    options.directory = own.path().to_owned();

    let mut report = measure(&options)?;
    report.judge();
    match options.format {
        Format::Table => report.print_table(),
        Format::Json => report.print_json()?,
    }
    Ok(())
}

/// A server that lives longer has been forgotten; [`Options::complete`] allows no run that long.
const CHILD_LIMIT: Duration = Duration::from_secs(2 * 3_600);

fn measure(options: &Options) -> Result<Report> {
    let machine = Machine::look(&options.directory);
    let mut servers = Vec::new();
    for &app in &options.apps {
        servers.push(Server::start(app, &options.directory.join(app.name()))?);
    }
    let speed = speed::measure(&mut servers, options)?;
    let lost = lost::measure(&servers, options)?;
    let logout = logout::measure(&servers)?;
    for server in servers {
        server.stop();
    }
    let line = |&app: &app::Kind| AppLine { app, title: app.title() };
    let apps = options.apps.iter().map(line).collect();
    let Options { sessions, clients, increments, .. } = *options;
    let verdicts = Vec::new();
    Ok(Report { machine, apps, sessions, clients, increments, speed, lost, logout, verdicts })
}
