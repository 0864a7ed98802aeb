//! The smallest executor: one thread, a queue of tasks, wakers that put a task back. What runs on
//! it needs no runtime.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tasks of one thread.
pub struct Executor {
    ready: Sender<Arc<Task>>,
    queue: Receiver<Arc<Task>>,
}

struct Task {
    work: Mutex<Option<Work>>,
    ready: Sender<Arc<Task>>,
}

impl Executor {
    pub fn new() -> Self {
        let (ready, queue) = channel();
        Self { ready, queue }
    }

    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let work = Mutex::new(Some(Box::pin(work) as Work));
        Arc::new(Task { work, ready: self.ready.clone() }).wake();
    }

    /// Runs what is ready until `enough` says so, asked after each task that was polled.
    pub fn run_until(&self, mut enough: impl FnMut() -> bool) {
        while !enough() {
            let task = self.queue.recv().unwrap();
            let waker = Waker::from(Arc::clone(&task));
            let mut work = task.work.lock().unwrap();
            let poll =
                work.as_mut().map(|work| work.as_mut().poll(&mut Context::from_waker(&waker)));
            if poll == Some(Poll::Ready(())) {
                *work = None;
            }
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        // The executor may be gone; then nobody waits for this task.
        let ready = self.ready.clone();
        let _ = ready.send(self);
    }
}
