//! `serve`: a small web application whose sessions are in a store.
//!
//! ```text
//! secret     the key that signs cookies; it survives a restart
//! keeper     the sessions of a store, whatever its type
//! site       all routes ──> pages: count, login, color, inspect
//!            │              lab: every store, every access
//! html       what pages are made of
//! server     connections, requests, the end
//! sweeper    removes expired sessions meanwhile
//! ```

mod error;
mod html;
mod keeper;
mod lab;
mod pages;
mod secret;
mod server;
mod site;
mod sweeper;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use cloakroom::MemoryStore;
use cloakroom_axum::{SessionManager, Settings};
use tokio::runtime;
use tokio::sync::Notify;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

pub use self::error::ServeError;
use self::keeper::Manage;
use self::lab::Lab;
use self::secret::Secret;
use self::site::Site;
use crate::Verdict;
use crate::args::{LogLevel, ServeArgs};
use crate::error::CliError;
use crate::interrupt;
use crate::report::output::{complain, say};
use crate::store_url::Place;

/// Serves until it is interrupted.
pub fn run(args: &ServeArgs) -> Result<Verdict, CliError> {
    // Dropped last, so that an interrupt waits for all of this.
    let _unfinished = interrupt::Unfinished::new();
    let asked_to_stop = Arc::new(Notify::new());
    let stop = Arc::clone(&asked_to_stop);
    interrupt::at_request(move || stop.notify_one());
    log(args.log);
    server::raise_file_limit();
    // First, so that a second server on one address creates nothing.
    let (listener, address) = listen(&args.addr)?;
    // So do a key and settings that make no sense.
    let given = Secret::given(args.secret_key_file.as_deref())?;
    check(args)?;
    let place = Place::open(&args.store)?;
    let secret = given.map_or_else(|| Secret::of(&place), Ok)?;
    let settings = settings(args, &secret);
    let keeper = place.with(Manage(settings.clone())).map_err(ServeError::Settings)?;
    let lab = Lab::open(&place, &settings)?;
    let inspect = args.development || address.ip().is_loopback();
    let sweeps = keeper.sweep.clone().into_iter().chain(lab.sweeps()).collect();
    let site = Site { keeper: &keeper, lab: &lab, inspect }.router();

    let runtime =
        runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Runtime)?;
    say(&format!("http://{address}/\n"))?;
    complain(&format!("note: sessions are in {}{}", args.store, whose(&place)));
    complain("note: plain HTTP, so the cookie goes without `Secure` and `__Host-`");
    complain(&format!("note: the secret key {}", secret.origin()));
    runtime.spawn(sweeper::sweep_for_ever(sweeps));
    let served = runtime.block_on(server::serve(listener, site, &asked_to_stop));
    runtime.shutdown_timeout(LEFT_BEHIND);
    served?;
    Ok(Verdict::Kept)
}

/// Binds the first address of this name that can be bound.
fn listen(address: &str) -> Result<(TcpListener, SocketAddr), ServeError> {
    let listen = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    listen().map_err(|source: io::Error| ServeError::Listen { address: address.to_owned(), source })
}

/// Refuses settings that make no sense, whatever the key.
fn check(args: &ServeArgs) -> Result<(), ServeError> {
    let settings = settings(args, &Secret::passing()?);
    SessionManager::new(MemoryStore::new(), settings).map(drop).map_err(ServeError::Settings)
}

fn settings(args: &ServeArgs, secret: &Secret) -> Settings {
    let settings = Settings::new(secret.key())
        .plain_http()
        .cookie_name(site::COOKIE)
        .timeout(Duration::from_secs(args.timeout));
    args.trusted_proxy.iter().fold(settings, |settings, proxy| settings.trusted_proxy(proxy))
}

const fn whose(place: &Place) -> &'static str {
    if place.is_temporary() { ", and go with the server" } else { "" }
}

fn log(level: LogLevel) {
    let level = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // The end of a span says how long a request waited, or held its session.
    let spans = if level >= LevelFilter::DEBUG { FmtSpan::CLOSE } else { FmtSpan::NONE };
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr);
    let log = log.with_span_events(spans);
    // It fails only if there is one already.
    let _ = log.with_ansi(false).try_init();
}

/// How long the end waits for what requests left behind on threads.
const LEFT_BEHIND: Duration = Duration::from_millis(500);
