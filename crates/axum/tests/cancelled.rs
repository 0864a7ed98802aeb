//! Clients that go away: 64 requests of one session at once, half of them cancelled wherever they are.
//!
//! `CLOAKROOM_ROUNDS=5000 cargo test --release -p cloakroom-axum --test cancelled` runs as many rounds as were asked for once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{env, fs};

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use cloakroom::{Calling, Inventory, OnConflict};
use cloakroom_axum::{Error, Session, SessionAccess, Settings, Snapshot};
use common::{Browser, Stage, settings};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_requests_cancelled_anywhere_each_happens_or_not_and_nothing_is_left() {
    cancel(&common::memory(), settings(), SessionAccess::exclusive()).await;
    cancel(&common::file(), settings(), SessionAccess::exclusive()).await;
    cancel(&common::map(), settings(), SessionAccess::optimistic().repeatable()).await;
}

/// That the test above can fail: without a check of commits acknowledged notes are lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "an acknowledged note is lost")]
async fn without_a_check_of_commits_notes_are_lost() {
    let unchecked = settings().on_conflict(OnConflict::LastWriteWins);
    cancel(&common::memory(), unchecked, SessionAccess::optimistic()).await;
}

async fn cancel<S>(at: &Stage<S>, settings: Settings, access: SessionAccess)
where
    S: Inventory,
{
    // What leaks, leaks from the whole process.
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _alone = ALONE.lock().await;
    let manager = at.manager(settings.clone());
    let lockable = access == SessionAccess::exclusive();
    let app = at.app_with(settings, notes(access));
    let rounds = env::var("CLOAKROOM_ROUNDS").map_or(40, |rounds| rounds.parse().unwrap());
    let mut random = Random(1);
    let mut resources = None;
    let (mut answered, mut vanished) = (0_u64, 0_u64);
    for round in 0..rounds {
        let browser = Browser::default();
        browser.post(&app, "/note/0").await.is(200, "1");
        let mut acknowledged = BTreeSet::from([0]);
        let mut requests = JoinSet::new();
        let mut victims = Vec::new();
        for number in 1..=64 {
            let (tab, app) = (browser.clone(), app.clone());
            let request = async move { tab.post(&app, &format!("/note/{number}")).await };
            // One half is dropped at a certain step of its own, if not by somebody else before.
            let steps = if number % 2 == 0 { random.below(8) } else { usize::MAX };
            let request = requests.spawn(Steps { future: Box::pin(request), left: steps, number });
            if number % 4 == 0 {
                victims.push(request);
            }
        }
        for victim in victims {
            for _ in 0..random.below(4) {
                tokio::task::yield_now().await;
            }
            victim.abort();
        }
        while let Some(request) = requests.join_next().await {
            match request {
                Ok(Some((number, answer))) if answer.status == 200 => {
                    acknowledged.insert(number);
                }
                Ok(Some((_, answer))) => assert!(!lockable && answer.status == 409, "{answer:?}"),
                Ok(None) => vanished += 1,
                Err(error) => assert!(error.is_cancelled(), "{error}"),
            }
        }
        answered += acknowledged.len() as u64;

        // The last of them is gone, and so is its lock: nobody waits here.
        let sessions = manager.sessions().unwrap();
        assert!(sessions.store().locks(Calling::Async).await.unwrap().is_empty());
        let text = browser.get(&app, "/notes").await.body;
        let (count, names) = text.split_once(':').unwrap();
        let stored: BTreeSet<u32> = names.split(',').map(|name| name.parse().unwrap()).collect();
        assert_eq!(
            count,
            stored.len().to_string(),
            "round {round}: counted, or noted, but not both"
        );
        assert!(
            acknowledged.is_subset(&stored),
            "round {round}: an acknowledged note is lost: {acknowledged:?} of {stored:?}"
        );
        assert!(stored.iter().all(|number| number % 2 == 0 || acknowledged.contains(number)));
        browser.post(&app, "/end").await.is(200, "");
        if round == rounds / 4 {
            resources = Some(Resources::settled().await);
        }
    }
    assert!(
        answered > 0 && vanished > 0,
        "{answered} answered, {vanished} dropped: both are needed"
    );
    let (before, after) = (resources.unwrap(), Resources::settled().await);
    assert_eq!((before.tasks, after.tasks), (0, 0));
    assert!(after.files <= before.files + 2, "{before:?} {after:?}");
    // A hundred bytes for each request would be more.
    let leak = (rounds - rounds / 4) * 64 * 100;
    assert!(after.memory <= before.memory + leak.max(32 << 20), "{before:?} {after:?}");
}

fn notes(access: SessionAccess) -> Router {
    async fn note(session: Session, Path(number): Path<u32>) -> Result<String, Error> {
        let count = session.update("count", |count: Option<u32>| count.unwrap_or(0) + 1)?;
        tokio::task::yield_now().await;
        session.insert(&number.to_string(), ())?;
        Ok(count.to_string())
    }
    async fn list(session: Snapshot) -> Result<String, Error> {
        let mut names = session.keys()?;
        names.retain(|name| name != "count");
        Ok(format!("{}:{}", session.get::<u32>("count")?.unwrap_or(0), names.join(",")))
    }
    async fn end(session: Session) -> Result<(), Error> {
        session.destroy().await?;
        Ok(())
    }
    Router::new()
        .route("/note/{number}", post(note).layer(access))
        .route("/notes", get(list))
        .route("/end", post(end))
}

/// A request that is dropped after so many steps.
struct Steps<F> {
    future: Pin<Box<F>>,
    left: usize,
    number: u32,
}

impl<F: Future> Future for Steps<F> {
    type Output = Option<(u32, F::Output)>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        let number = self.number;
        self.future.as_mut().poll(context).map(|output| Some((number, output)))
    }
}

/// What a leak would add to.
#[derive(Debug)]
struct Resources {
    tasks: usize,
    files: usize,
    memory: usize,
}

impl Resources {
    /// As of when the runtime has buried its tasks, as it does soon after they ended. If it never does, the test
    /// hangs: then there is a leak.
    async fn settled() -> Self {
        let tasks = tokio::runtime::Handle::current().metrics();
        while tasks.num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kilobytes: usize = resident.trim().trim_end_matches(" kB").parse().unwrap();
        Self {
            tasks: tasks.num_alive_tasks(),
            files: fs::read_dir("/proc/self/fd").unwrap().count(),
            memory: kilobytes << 10,
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % end
    }
}
