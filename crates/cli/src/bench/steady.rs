//! Every client on its own, one operation after another: all patterns but `ajax`.

use std::sync::atomic::AtomicU64;
use std::sync::{OnceLock, RwLock};
use std::thread;

use super::churn::{self, Lives};
use super::client::{Client, Meter};
use super::pace::{Clock, OsClock, Pace};
use super::plan::Plan;
use super::tally::Tally;
use super::workload::{Blend, Bursts, Steps};
use crate::driver::{Driver, Ticket};
use crate::error::CliError;

/// Runs the clients of this process; `done` counts their operations while they run.
pub fn run(
    driver: &dyn Driver,
    plan: &Plan,
    blend: Blend,
    tickets: &[Ticket],
    done: &AtomicU64,
) -> Result<Tally, CliError> {
    let start = RwLock::new(());
    let pace = OnceLock::new();
    let bursts = Bursts::new();
    let client = |number| {
        let client = Client::new(driver, plan, tickets, &OsClock, number);
        let steps = Steps::new(blend, plan.sessions, &bursts);
        // Everybody waits here until the last thread is there.
        drop(start.read());
        match pace.get() {
            Some(pace) => serve(client, &steps, pace, Meter::new(done)),
            None => client.finish(),
        }
    };
    let client = &client;
    let (mut tally, lives) = thread::scope(|scope| {
        let gate = start.write();
        let clients: Vec<_> = (0..plan.clients)
            .map(|number| thread::Builder::new().spawn_scoped(scope, move || client(number)))
            .collect::<Result<_, _>>()
            .map_err(CliError::Thread)?;
        let pace = pace.get_or_init(|| Pace::begin(plan, 1, &OsClock));
        drop(gate);
        let (mut tally, mut all_lives) = (Tally::new(), Vec::new());
        for client in clients {
            let joined = client.join();
            let (of_client, lives) =
                joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            tally.add(of_client);
            all_lives.push(lives);
        }
        tally.elapsed = pace.elapsed();
        Ok::<_, CliError>((tally, all_lives))
    })?;
    churn::close(driver, lives, &mut tally);
    Ok(tally)
}

fn serve<C: Clock>(
    mut client: Client<'_, C>,
    steps: &Steps<'_>,
    pace: &Pace<'_, C>,
    mut meter: Meter<'_>,
) -> (Tally, Lives) {
    loop {
        let step = steps.draw(client.rng());
        let Some(start) = pace.next(1) else {
            break;
        };
        if !client.operate(step, start) {
            break;
        }
        meter.count(1, start.at);
    }
    client.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use cloakroom::{Access, Swept};

    use super::super::pace::tests::ManualClock;
    use super::super::plan::Limit;
    use super::*;
    use crate::driver::{Ending, Operated, OperationError};
    use crate::mode::Mode;

    /// A store that takes some time for each operation.
    struct Slow<'a, F> {
        clock: &'a ManualClock,
        served: AtomicU64,
        takes: F,
    }

    impl<F: Fn(u64) -> Duration + Send + Sync> Driver for Slow<'_, F> {
        fn accesses(&self) -> &'static [Access] {
            &[Access::Exclusive]
        }

        fn create(&self, _: &Ticket, _: usize) -> Result<(), OperationError> {
            Ok(())
        }

        fn counter(&self, _: &Ticket) -> Result<u64, OperationError> {
            Ok(self.served.load(Ordering::Relaxed))
        }

        fn operate(&self, _: &Ticket, _: Mode, _: &mut dyn FnMut()) -> Operated {
            self.clock.pass((self.takes)(self.served.fetch_add(1, Ordering::Relaxed)));
            Operated { waited: Duration::ZERO, conflicts: 0, outcome: Ok(true) }
        }

        fn read(&self, ticket: &Ticket, mode: Mode, work: &mut dyn FnMut()) -> Operated {
            self.operate(ticket, mode, work)
        }

        fn destroy(&self, _: &Ticket) -> Result<(), OperationError> {
            Ok(())
        }

        fn end(&self, ticket: &Ticket, _: Ending) -> Result<u64, OperationError> {
            self.counter(ticket)
        }

        fn sweep(&self, _: usize) -> Result<Swept, OperationError> {
            Ok(Swept { complete: true, ..Swept::default() })
        }

        fn keeps(&self, _: &Ticket) -> Result<bool, OperationError> {
            Ok(false)
        }
    }

    fn run_on(plan: &Plan, takes: impl Fn(u64) -> Duration + Send + Sync) -> Tally {
        let clock = ManualClock::new();
        let driver = Slow { clock: &clock, served: AtomicU64::new(0), takes };
        let (tickets, bursts, done) = (plan.tickets(), Bursts::new(), AtomicU64::new(0));
        let client = Client::new(&driver, plan, &tickets, &clock, 0);
        let steps = Steps::new(Blend::Hot, plan.sessions, &bursts);
        let pace = Pace::begin(plan, 1, &clock);
        let (mut tally, _) = serve(client, &steps, &pace, Meter::new(&done));
        tally.elapsed = pace.elapsed();
        tally
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_stall_is_counted_by_all_who_arrive_in_it_and_a_closed_loop_hides_it() {
        let stall = |number| if number == 100 { 1_000 * MS } else { Duration::ZERO };
        let closed = run_on(&Plan::example(2_000), stall);
        assert_eq!(closed.latency.quantile(0.999), Duration::ZERO, "one operation saw it");
        assert_eq!(closed.latency.max(), 1_000 * MS);
        let open = run_on(&Plan { rate: Some(1_000.0), ..Plan::example(2_000) }, stall);
        assert_eq!((open.operations, open.latency.max()), (2_000, 1_000 * MS));
        // About a thousand arrived during the second of the stall, and waited half of it.
        assert!(open.latency.quantile(0.6) > 100 * MS);
        let waited = open.latency.sum().as_secs_f64();
        assert!((400.0..600.0).contains(&waited), "{waited} s");
    }

    #[test]
    fn a_queue_that_only_grows_makes_latency_grow_with_it() {
        let limit = Limit::Time(1_000 * MS);
        let plan = Plan { rate: Some(1_000.0), limit, ..Plan::example(0) };
        let tally = run_on(&plan, |_| 5 * MS);
        assert_eq!(tally.operations, 200);
        assert!(tally.behind > 700 * MS, "{:?}", tally.behind);
        assert!(tally.latency.max() >= tally.behind + 5 * MS);
        let enough = run_on(&Plan { rate: Some(100.0), ..plan }, |_| 5 * MS);
        assert!(enough.behind < 50 * MS, "{:?}", enough.behind);
    }

    #[test]
    fn a_warm_up_is_in_the_books_but_not_in_the_figures() {
        let plan = Plan { warmup: 10 * MS, ..Plan::example(5) };
        let tally = run_on(&plan, |number| if number < 10 { MS } else { 2 * MS });
        assert_eq!((tally.operations, tally.acknowledged), (5, 15));
        assert_eq!((tally.latency.count(), tally.latency.sum()), (5, 10 * MS));
        assert_eq!(tally.elapsed, 10 * MS);
    }
}
