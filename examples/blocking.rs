//! Sessions in blocking code, in ten lines: a visit is counted, in a store of its own or in the
//! directory that is given.
//!
//! `cargo run --example blocking -- /tmp/my-sessions`

use cloakroom::blocking::Sessions;
use cloakroom::{Access, FileStore, SessionId};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let temporary = tempfile::tempdir()?;
    let given = std::env::args_os().nth(1).map(Into::into);
    let directory = given.unwrap_or_else(|| temporary.path().join("sessions"));

    let sessions = Sessions::new(FileStore::open(directory)?);
    let id = SessionId::from("a ticket that a browser brought");

    let mut session = sessions.open(&id, Access::Exclusive)?;
    let visits = session.update("visits", |visits: Option<u32>| visits.unwrap_or(0) + 1)?;
    session.commit()?;

    println!("visit {visits}");
    let stored: Option<u32> = sessions.open(&id, Access::Snapshot)?.get("visits")?;
    if stored == Some(visits) { Ok(()) } else { Err("another visitor was counted since".into()) }
}
