//! One call of the lab's page.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use cloakroom_axum::{Error, LazySession, Session, Snapshot};
use serde::Serialize;
use tokio::time;

use super::runs::Runs;
use super::way::Way;

/// Sets the counter to 0, and stores the session: parallel calls must find one.
pub async fn begin(session: Session) -> Result<Json<Count>, Error> {
    session.insert(COUNT, 0_u64)?;
    session.ensure_saved().await?;
    Ok(Json(Count { count: 0 }))
}

/// The counter as it is now.
pub async fn count(session: Snapshot) -> Result<Json<Count>, Error> {
    Ok(Json(Count { count: session.get(COUNT)?.unwrap_or(0) }))
}

/// Reads the counter, works, and adds one to what was read. What waits, what is done twice and what gets lost
/// is up to the way.
pub async fn call(
    way: Way,
    Extension(runs): Extension<Runs>,
    session: LazySession,
    Query(parameters): Query<HashMap<String, String>>,
) -> Result<Response, Error> {
    let Parameters { work, call } = match Parameters::parse(&parameters) {
        Ok(parameters) => parameters,
        Err(sentence) => return Ok((StatusCode::BAD_REQUEST, sentence).into_response()),
    };
    let (tries, redone) = runs.begin();
    let asked = Instant::now();
    let session = session.open().await?;
    let waited = asked.elapsed();
    let count = session.get::<u64>(COUNT)?.unwrap_or(0);
    let next = count.saturating_add(1);
    let (count, worked) = match way {
        Way::Shared | Way::Snapshot => (count, work_for(work).await),
        Way::Released => {
            session.insert(COUNT, next)?;
            session.commit().await?;
            (next, work_for(work).await)
        }
        Way::Exclusive | Way::Optimistic | Way::LastWriteWins => {
            let worked = work_for(work).await;
            session.insert(COUNT, next)?;
            (next, worked)
        }
    };
    let (waited_ms, worked_ms, redone_ms) = (millis(waited), millis(worked), millis(redone));
    Ok(Json(Called { call, count, waited_ms, worked_ms, tries, redone_ms }).into_response())
}

async fn work_for(time: Duration) -> Duration {
    let began = Instant::now();
    if !time.is_zero() {
        time::sleep(time).await;
    }
    began.elapsed()
}

struct Parameters {
    work: Duration,
    call: u32,
}

impl Parameters {
    fn parse(given: &HashMap<String, String>) -> Result<Self, String> {
        let number = |name: &str, most: u64| match given.get(name).map(|text| text.parse()) {
            None => Ok(0),
            Some(Ok(number)) if number <= most => Ok(number),
            Some(_) => Err(format!("`{name}` must be a whole number from 0 to {most}.\n")),
        };
        let work = Duration::from_millis(number("ms", WORK_MAX_MS)?);
        let call = number("call", CALLS_MAX.into())?;
        Ok(Self { work, call: u32::try_from(call).unwrap_or(CALLS_MAX) })
    }
}

/// The counter.
#[derive(Serialize)]
pub struct Count {
    count: u64,
}

/// What a call did.
#[derive(Serialize)]
struct Called {
    call: u32,
    count: u64,
    waited_ms: f64,
    worked_ms: f64,
    tries: u32,
    redone_ms: f64,
}

/// Milliseconds with three decimals, which is what clocks are good for.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Calls of one page.
pub const CALLS_MAX: u32 = 40;

/// The longest work of a call.
pub const WORK_MAX_MS: u64 = 5_000;

const COUNT: &str = "count";
