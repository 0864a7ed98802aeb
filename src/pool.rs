//! Threads of the engine for what would block a thread of the caller's runtime: syncs, and waiting
//! for kernel locks. They start on demand, are bounded in number, and end when idle.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::sync::{Arc, Mutex};

type Job = Box<dyn FnOnce() + Send>;

/// A bounded set of threads.
pub(crate) struct Pool {
    name: &'static str,
    threads_max: usize,
    jobs: Sender<Job>,
    queue: Receiver<Job>,
    load: Arc<Mutex<Load>>,
}

#[derive(Default)]
struct Load {
    threads: usize,
    /// Jobs that were given out and are not done: never more than these need a thread.
    jobs: usize,
}

impl Pool {
    pub(crate) fn new(name: &'static str, threads_max: usize) -> Self {
        let (jobs, queue) = unbounded();
        Self { name, threads_max, jobs, queue, load: Arc::default() }
    }

    /// Runs `job` on one of the threads. When none can be started at all, `job` is dropped.
    pub(crate) fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        let mut load = self.load.lock();
        load.jobs += 1;
        if load.jobs > load.threads && load.threads < self.threads_max {
            let (queue, shared) = (self.queue.clone(), Arc::clone(&self.load));
            let started = thread::Builder::new()
                .name(self.name.into())
                .stack_size(STACK)
                .spawn(move || work(&queue, &shared));
            if started.is_ok() {
                load.threads += 1;
            } else if load.threads == 0 {
                load.jobs -= 1;
                return;
            }
        }
        drop(load);
        // The pool holds a receiver itself, so the channel is open.
        let _ = self.jobs.send(Box::new(job));
    }

    /// Runs `job` on one of the threads; the future is its result, or `None` if it did not run to
    /// its end. The job does, even when the future is dropped.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Option<T>> + Send {
        let (sender, receiver) = oneshot();
        self.spawn(move || sender.send(job()));
        receiver
    }
}

fn work(queue: &Receiver<Job>, load: &Mutex<Load>) {
    loop {
        let Ok(job) = queue.recv_timeout(IDLE) else {
            let mut load = load.lock();
            // A job may have been counted on this thread just now.
            if load.jobs < load.threads {
                load.threads -= 1;
                return;
            }
            continue;
        };
        let done = Done(load);
        // A panic ends the job, not the thread; whoever waits for it is told by the drop.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        drop(done);
    }
}

struct Done<'a>(&'a Mutex<Load>);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.lock().jobs -= 1;
    }
}

/// One value from one thread to one future; `None` if the sender was dropped.
fn oneshot<T>() -> (OneSender<T>, OneReceiver<T>) {
    let cell = Arc::new(Mutex::new(Cell { value: None, waker: None, closed: false }));
    (OneSender(Arc::clone(&cell)), OneReceiver(cell))
}

struct Cell<T> {
    value: Option<T>,
    waker: Option<Waker>,
    closed: bool,
}

struct OneSender<T>(Arc<Mutex<Cell<T>>>);
struct OneReceiver<T>(Arc<Mutex<Cell<T>>>);

impl<T> OneSender<T> {
    fn send(self, value: T) {
        self.0.lock().value = Some(value);
    }
}

impl<T> Drop for OneSender<T> {
    fn drop(&mut self) {
        let mut cell = self.0.lock();
        cell.closed = true;
        let waker = cell.waker.take();
        drop(cell);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for OneReceiver<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut cell = self.0.lock();
        if let Some(value) = cell.value.take() {
            return Poll::Ready(Some(value));
        }
        if cell.closed {
            return Poll::Ready(None);
        }
        cell.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// How long a thread waits for another job before it ends.
const IDLE: Duration = Duration::from_secs(10);

/// Enough for a system call and what surrounds it.
const STACK: usize = 256 << 10;
