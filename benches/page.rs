//! A page of twelve calls that share one session, each with a handler that takes 50 ms.
//!
//! With every call holding the session exclusively for all of its handler, the calls queue: the
//! best that any lock can do is twelve handlers, one behind the other. With an early commit they
//! run side by side. Beside each: the same calls with a mutex of the standard library (tasks: one
//! behind the other in one task), and with no lock at all.

#![expect(clippy::expect_used, reason = "a bench stops at the first thing that goes wrong")]

#[expect(dead_code, reason = "each bench uses a part of it")]
mod support;

use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use cloakroom::blocking::Sessions;
use cloakroom::{Access, FileStore, SessionId};
use support::{Report, Run, Spread, millis};

fn main() {
    let run = Run::from_arguments();
    let page =
        Page { calls: 12, handler: run.pick(Duration::from_millis(50), Duration::from_millis(1)) };
    let directory = support::temp_dir();
    let mut report = Report::new(run, "page", directory.path());
    let store = FileStore::open(directory.path()).expect("the store opens");
    let desk = Desk {
        sessions: Sessions::new(store.clone()),
        tasks: cloakroom::Sessions::new(store),
        id: SessionId::from("the page's cookie"),
        mutex: Mutex::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime can be made");

    let mut threads = [const { Vec::new() }; 4];
    let mut tasks = [const { Vec::new() }; 4];
    for _ in 0..run.pick(7, 1) {
        for (way, times) in Way::ALL.into_iter().zip(&mut threads) {
            times.push(page.load(&desk, way));
        }
        for (way, times) in Way::ALL.into_iter().zip(&mut tasks) {
            times.push(runtime.block_on(page.load_async(&desk, way)));
        }
    }
    let pages = run.pick(7, 1) * 2 * 2;
    let session = desk.sessions.open(&desk.id, Access::Snapshot);
    let counted = session.expect("it opens").get("calls").expect("a number");
    assert_eq!(counted, Some(pages * page.calls), "an update was lost");

    let ways = [
        (&threads, "threads", "the same with a mutex"),
        (&tasks, "tokio tasks", "the handlers one behind the other"),
    ];
    for (times, caller, behind) in ways {
        let [exclusive, released, locked, unlocked] = times;
        let all = page.handler * page.calls;
        let one = page.handler;
        judge(&mut report, caller, "all exclusive", exclusive, all, 3);
        beside(&mut report, behind, locked);
        judge(&mut report, caller, "released", released, one, 10);
        beside(&mut report, "the same without a lock", unlocked);
    }
    report.print();
}

fn judge(
    report: &mut Report,
    caller: &str,
    way: &str,
    times: &[Duration],
    ideal: Duration,
    percent: u32,
) {
    let times = spread(times);
    let limit = millis(ideal + ideal * percent / 100);
    report.verdict(
        format_args!("page of 12 calls x 50 ms, {way}, {caller}"),
        times.text(" ms"),
        format_args!("{:.0} ms + {percent} %", millis(ideal)),
        times.median <= limit,
    );
}

fn beside(report: &mut Report, what: &str, times: &[Duration]) {
    report.beside(what, spread(times).text(" ms"));
}

fn spread(times: &[Duration]) -> Spread {
    Spread::of(times.iter().copied().map(millis)).expect("there are rounds")
}

/// How the calls share their session.
#[derive(Clone, Copy)]
enum Way {
    Exclusive,
    Released,
    Mutex,
    Nothing,
}

impl Way {
    const ALL: [Self; 4] = [Self::Exclusive, Self::Released, Self::Mutex, Self::Nothing];
}

/// What the calls share.
struct Desk {
    sessions: Sessions<FileStore>,
    tasks: cloakroom::Sessions<FileStore>,
    id: SessionId,
    mutex: Mutex<u32>,
}

struct Page {
    calls: u32,
    handler: Duration,
}

impl Page {
    /// The time from the first call to the last answer, every call on its own thread.
    fn load(&self, desk: &Desk, way: Way) -> Duration {
        let start = Barrier::new(self.calls as usize + 1);
        thread::scope(|scope| {
            let call = || {
                start.wait();
                self.call(desk, way);
            };
            let calls: Vec<_> = (0..self.calls).map(|_| scope.spawn(call)).collect();
            start.wait();
            let began = Instant::now();
            for call in calls {
                call.join().expect("the call ends");
            }
            began.elapsed()
        })
    }

    fn call(&self, desk: &Desk, way: Way) {
        let open = || desk.sessions.open(&desk.id, Access::Exclusive).expect("it opens");
        let one_more = |calls: Option<u32>| calls.unwrap_or(0) + 1;
        match way {
            Way::Exclusive => {
                let mut session = open();
                thread::sleep(self.handler);
                session.update("calls", one_more).expect("a number");
                session.commit().expect("it is stored");
            }
            Way::Released => {
                let mut session = open();
                session.update("calls", one_more).expect("a number");
                session.commit().expect("it is stored");
                thread::sleep(self.handler);
            }
            Way::Mutex => {
                let mut calls = desk.mutex.lock().expect("no call panics");
                thread::sleep(self.handler);
                *calls += 1;
            }
            Way::Nothing => thread::sleep(self.handler),
        }
    }

    /// The same, every call a task. The runtime's timer counts whole milliseconds. It has no mutex
    /// here: instead one task does all the work.
    async fn load_async(&self, desk: &Desk, way: Way) -> Duration {
        let (handler, began) = (self.handler, Instant::now());
        if let Way::Mutex = way {
            for _ in 0..self.calls {
                tokio::time::sleep(handler).await;
            }
            return began.elapsed();
        }
        let call = |_| {
            let (sessions, id) = (desk.tasks.clone(), desk.id.clone());
            tokio::spawn(call_async(sessions, id, way, handler))
        };
        let calls: Vec<_> = (0..self.calls).map(call).collect();
        for call in calls {
            call.await.expect("the call ends");
        }
        began.elapsed()
    }
}

async fn call_async(
    sessions: cloakroom::Sessions<FileStore>,
    id: SessionId,
    way: Way,
    handler: Duration,
) {
    if let Way::Nothing = way {
        return tokio::time::sleep(handler).await;
    }
    let mut session = sessions.open(&id, Access::Exclusive).await.expect("it opens");
    if let Way::Exclusive = way {
        tokio::time::sleep(handler).await;
    }
    let one_more = |calls: Option<u32>| calls.unwrap_or(0) + 1;
    session.update("calls", one_more).expect("a number");
    session.commit().await.expect("it is stored");
    if let Way::Released = way {
        tokio::time::sleep(handler).await;
    }
}
