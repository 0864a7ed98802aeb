//! A server: this program again, serving one app on a port of the loopback interface.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use axum::serve::ListenerExt;
use clap::ValueEnum;
use rustix::time::{ClockId, clock_gettime};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use crate::app::Kind;
use crate::support::children::{self, Child};

/// A running server; dropped, it is killed.
pub struct Server {
    pub app: Kind,
    pub address: SocketAddr,
    process: Child,
}

impl Server {
    pub fn start(app: Kind, directory: &Path) -> Result<Self> {
        let path = directory.to_str().context("the directory's path is text")?;
        ensure!(!path.contains(' '), "the directory's path has a space in it");
        let mut process = Child::start(&[app.name(), path]);
        let [port] = process.numbers()[..] else { bail!("a server sent no port") };
        let address = (Ipv4Addr::LOCALHOST, u16::try_from(port)?).into();
        Ok(Self { app, address, process })
    }

    /// The processor time that it has taken.
    pub fn cpu(&mut self) -> Result<Duration> {
        self.process.send("cpu");
        let [nanos] = self.process.numbers()[..] else { bail!("a server sent no time") };
        Ok(Duration::from_nanos(nanos))
    }

    pub fn stop(mut self) {
        self.process.send("stop");
        self.process.finish();
    }
}

/// In a child: serves the app that the words name until told to stop.
pub fn serve(words: &[String]) -> Result<()> {
    let [app, directory] = words else { bail!("the words {words:?} name no app") };
    let app = Kind::from_str(app, false).ok().with_context(|| format!("no app is called {app}"))?;
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let entered = runtime.enter();
    let router = app.router(Path::new(directory))?;
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let port = listener.local_addr()?.port();
    // A failed setting costs speed, which shows.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    runtime.spawn(async move { axum::serve(listener, router).await });
    children::say(&port.to_string());
    while children::hear() == "cpu" {
        children::say(&cpu_here().as_nanos().to_string());
    }
    drop(entered);
    runtime.shutdown_background();
    Ok(())
}

/// The processor time that this process has taken.
pub fn cpu_here() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let part = |part: i64| u64::try_from(part).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}
