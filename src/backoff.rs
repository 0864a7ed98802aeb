//! Giving way after a lost race.

use std::future::poll_fn;
use std::task::Poll;
use std::thread;

use crate::access::Calling;
use crate::limits;

/// Lets others have the processor for some turns, one after the first lost race of a row and twice as
/// many after each further one: an attempt beside many others is likely to lose, too. A turn
/// is the thread's, or the task's among those of its runtime.
pub(crate) async fn give_way(calling: Calling, lost: u32) {
    let turns = (1_u32 << lost.min(limits::BACKOFF_DOUBLINGS)) >> 1;
    for _ in 0..turns {
        match calling {
            Calling::Blocking => thread::yield_now(),
            Calling::Async => yield_task().await,
        }
    }
}

async fn yield_task() {
    let mut is_asked = false;
    poll_fn(|context| {
        if is_asked {
            return Poll::Ready(());
        }
        is_asked = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    /// How often a task gives way.
    fn turns(lost: u32) -> usize {
        let mut way = pin!(give_way(Calling::Async, lost));
        let mut context = Context::from_waker(Waker::noop());
        std::iter::from_fn(|| way.as_mut().poll(&mut context).is_pending().then_some(())).count()
    }

    #[test]
    fn each_lost_race_doubles_the_turns_up_to_a_limit() {
        assert_eq!([0, 1, 2, 3].map(turns), [0, 1, 2, 4]);
        assert_eq!(turns(u32::MAX), turns(limits::BACKOFF_DOUBLINGS));
    }
}
