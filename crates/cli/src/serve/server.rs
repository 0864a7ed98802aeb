//! Connections and their requests, until the end.

use std::io;
use std::net::{SocketAddr, TcpListener as BlockingListener};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time;
use tower_layer::Layer as _;

use super::error::ServeError;
use crate::report::output::complain;

/// Serves the site until `stop` is told; then lets running requests end.
pub async fn serve(
    listener: BlockingListener,
    site: Router,
    stop: &Notify,
) -> Result<(), ServeError> {
    let listener = TcpListener::from_std(listener).map_err(ServeError::Runtime)?;
    let connections = Connections::new(site);
    let stopped = stop.notified();
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => break,
            (stream, peer, room) = connections.next(&listener) => {
                connections.serve(stream, peer, room);
            }
        }
    }
    // Nobody is kept waiting for a server that answers no more.
    drop(listener);
    connections.end().await;
    Ok(())
}

/// The connections of a server.
struct Connections {
    site: Router,
    http: Builder<TokioExecutor>,
    room: Arc<Semaphore>,
    open: GracefulShutdown,
}

impl Connections {
    fn new(site: Router) -> Self {
        let mut http = Builder::new(TokioExecutor::new()).http1_only();
        // Who sends half a head, or nothing any more, is in nobody's way for long.
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WAIT)
            .max_buf_size(HEAD_MAX)
            .keep_alive(true);
        let room = Arc::new(Semaphore::new(connections_max()));
        Self { site, http, room, open: GracefulShutdown::new() }
    }

    /// The next one, once there is room for it.
    async fn next(&self, listener: &TcpListener) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        loop {
            // The semaphore is never closed.
            let Ok(room) = Arc::clone(&self.room).acquire_owned().await else { continue };
            match listener.accept().await {
                Ok((stream, peer)) => return (stream, peer, room),
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    complain(&format!("warning: failed to accept a connection: {error}"));
                    // What it lacks, files mostly, comes back when other connections end.
                    time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, room: OwnedSemaphorePermit) {
        // An answer goes out at once. Where that cannot be set it is only slower.
        let _ = stream.set_nodelay(true);
        let service = Extension(ConnectInfo(peer)).layer(self.site.clone());
        let service = TowerToHyperService::new(service);
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        let connection = self.open.watch(connection.into_owned());
        tokio::spawn(async move {
            // Its errors are those of the client, who knows them.
            let _ = connection.await;
            drop(room);
        });
    }

    /// Lets running requests end.
    async fn end(self) {
        if time::timeout(GRACE, self.open.shutdown()).await.is_err() {
            complain("warning: some requests did not end in time; what they had not saved is lost");
        }
    }
}

/// Whether a connection that was accepted was broken already, and the next may be sound.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Allows as many open files as the system does.
pub fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Where it cannot be raised there are fewer connections.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// Half of the files that may be open are left for the store.
fn connections_max() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files / 2).unwrap_or(CONNECTIONS_MAX).clamp(1, CONNECTIONS_MAX)
}

const CONNECTIONS_MAX: usize = 16_384;

/// How long a head may take, from its first byte or the end of the answer before.
const HEAD_WAIT: Duration = Duration::from_secs(10);

const HEAD_MAX: usize = 64 << 10;

/// Within the time that an interrupt allows for.
const GRACE: Duration = Duration::from_secs(9);

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
