//! Sessions in async code: a page's ten calls on one session, three ways. tokio runs them here; the
//! engine knows no runtime.
//!
//! `cargo run --example asynchronous`

use std::time::{Duration, Instant};

use cloakroom::{Access, FileStore, SessionError, SessionId, Sessions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let sessions = Sessions::new(FileStore::open(directory.path().join("sessions"))?);
    let id = SessionId::generate()?;

    let begun = Instant::now();
    ten_calls(&sessions, &id, locked_throughout).await?;
    println!("locked until the response: {:4} ms", begun.elapsed().as_millis());

    let begun = Instant::now();
    ten_calls(&sessions, &id, committed_early).await?;
    println!("committed before the work: {:4} ms", begun.elapsed().as_millis());

    let begun = Instant::now();
    ten_calls(&sessions, &id, optimistic).await?;
    println!("optimistic:                {:4} ms", begun.elapsed().as_millis());

    let calls: Option<u32> = sessions.open(&id, Access::Snapshot).await?.get("calls")?;
    println!("calls counted: {} of 30", calls.unwrap_or(0));
    if calls == Some(30) { Ok(()) } else { Err("an update was lost".into()) }
}

async fn locked_throughout(
    sessions: Sessions<FileStore>,
    id: SessionId,
) -> Result<(), SessionError> {
    let mut session = sessions.open(&id, Access::Exclusive).await?;
    session.update("calls", count)?;
    render().await;
    session.commit().await
}

async fn committed_early(sessions: Sessions<FileStore>, id: SessionId) -> Result<(), SessionError> {
    let mut session = sessions.open(&id, Access::Exclusive).await?;
    session.update("calls", count)?;
    session.commit().await?;
    render().await;
    Ok(())
}

async fn optimistic(sessions: Sessions<FileStore>, id: SessionId) -> Result<(), SessionError> {
    render().await;
    sessions.update(&id, |session| session.update("calls", count).map(drop)).await
}

async fn ten_calls<F: Future<Output = Result<(), SessionError>> + Send + 'static>(
    sessions: &Sessions<FileStore>,
    id: &SessionId,
    call: impl Fn(Sessions<FileStore>, SessionId) -> F,
) -> Result<(), Box<dyn std::error::Error>> {
    let calls: Vec<_> = (0..10).map(|_| tokio::spawn(call(sessions.clone(), id.clone()))).collect();
    for call in calls {
        call.await??;
    }
    Ok(())
}

fn count(calls: Option<u32>) -> u32 {
    calls.unwrap_or(0) + 1
}

/// Stands for a slow page.
async fn render() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}
