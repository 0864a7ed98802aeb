//! The counter of the web.py documentation as a plain program: `/count` says 1, 2, 3, `/reset` ends
//! the session, and `/count` says 1 again.
//!
//! `cargo run --example counter`

use cloakroom::blocking::Sessions;
use cloakroom::{Access, FileStore, SessionError, SessionId};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let sessions = Sessions::builder(FileStore::open(directory.path().join("sessions"))?)
        .initializer(|session| session.insert("count", 0))
        .build();
    let browser = SessionId::generate()?;

    for (path, expected) in
        [("/count", "1"), ("/count", "2"), ("/count", "3"), ("/reset", ""), ("/count", "1")]
    {
        let answer = match path {
            "/reset" => reset(&sessions, &browser)?,
            _ => count(&sessions, &browser)?,
        };
        println!("GET {path}: {answer}");
        if answer != expected {
            return Err(format!("{path} should have said {expected:?}").into());
        }
    }
    Ok(())
}

fn count(sessions: &Sessions<FileStore>, browser: &SessionId) -> Result<String, SessionError> {
    let mut session = sessions.open(browser, Access::Exclusive)?;
    let count = session.update("count", |count: Option<u32>| count.unwrap_or(0) + 1)?;
    session.commit()?;
    Ok(count.to_string())
}

fn reset(sessions: &Sessions<FileStore>, browser: &SessionId) -> Result<String, SessionError> {
    sessions.open(browser, Access::Exclusive)?.destroy()?;
    Ok(String::new())
}
