//! The chosen requests of a log on a common clock, in 16 bytes each.

use std::time::Duration;

/// A request to be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it came in, in microseconds: until the traffic is complete since 1970, then since the
    /// first one.
    at_us: i64,
    /// The number of its session.
    pub session: u32,
    /// How long its handler works in microseconds; the highest bit: it only reads.
    work: u32,
}

const _: () = assert!(size_of::<Request>() == 16, "a log may have 100 million");

impl Request {
    /// A request with the date of its line.
    pub fn new(at_us: i64, session: u32, work: Duration, only_reads: bool) -> Self {
        let work = u32::try_from(work.as_micros()).unwrap_or(WORK_US_MAX).min(WORK_US_MAX);
        Self { at_us, session, work: work | if only_reads { ONLY_READS } else { 0 } }
    }

    /// When it comes in, if time runs so many times faster.
    pub fn start(self, speed: f64) -> Duration {
        Duration::from_micros(self.at_us.max(0).unsigned_abs()).div_f64(speed)
    }

    /// How long its handler works, if time runs so many times faster.
    pub fn work(self, speed: f64) -> Duration {
        self.worked().div_f64(speed)
    }

    /// Whether it only reads, as far as its method tells.
    pub const fn only_reads(self) -> bool {
        self.work & ONLY_READS != 0
    }

    const fn worked(self) -> Duration {
        Duration::from_micros((self.work & WORK_US_MAX) as u64)
    }
}

/// Requests in the order in which they came in.
#[derive(Debug)]
pub struct Traffic {
    /// All of them.
    pub requests: Vec<Request>,
}

impl Traffic {
    /// Puts requests in order.
    ///
    /// Dates of whole seconds say nothing about the order within a second; requests of the same
    /// second are spread evenly over it, in the order of their lines.
    pub fn new(mut requests: Vec<Request>, dated_at_end: bool) -> Self {
        requests.sort_by_key(|request| request.at_us);
        if requests.iter().all(|request| request.at_us % SECOND_US == 0) {
            for same_second in requests.chunk_by_mut(|a, b| a.at_us == b.at_us) {
                let step = SECOND_US as f64 / same_second.len() as f64;
                for (place, request) in same_second.iter_mut().enumerate() {
                    request.at_us += (place as f64 * step) as i64;
                }
            }
        }
        if dated_at_end {
            for request in &mut requests {
                request.at_us -= i64::from(request.work & WORK_US_MAX);
            }
            requests.sort_by_key(|request| request.at_us);
        }
        let first = requests.first().map_or(0, |request| request.at_us);
        for request in &mut requests {
            request.at_us -= first;
        }
        Self { requests }
    }

    /// From the start of the first to the end of the last, if nobody waits.
    pub fn span(&self, speed: f64) -> Duration {
        let end = |request: &Request| request.start(speed) + request.work(speed);
        self.requests.iter().map(end).max().unwrap_or_default()
    }

    /// How long all handlers work together.
    pub fn work(&self, speed: f64) -> Duration {
        self.requests.iter().map(|request| request.worked()).sum::<Duration>().div_f64(speed)
    }

    /// How long the slowest handler works.
    pub fn longest_work(&self, speed: f64) -> Duration {
        self.requests.iter().map(|request| request.work(speed)).max().unwrap_or_default()
    }
}

const SECOND_US: i64 = 1_000_000;

const ONLY_READS: u32 = 1 << 31;

/// 35 minutes; what takes longer is taken for that.
const WORK_US_MAX: u32 = ONLY_READS - 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(requests: &[(i64, u64)], dated_at_end: bool) -> Vec<(u32, u128)> {
        let request = |(number, (at_ms, work_ms)): (u32, &(i64, u64))| {
            Request::new(at_ms * 1_000, number, Duration::from_millis(*work_ms), false)
        };
        let requests = (0..).zip(requests).map(request).collect();
        let traffic = Traffic::new(requests, dated_at_end);
        let start = |request: &Request| (request.session, request.start(1.0).as_millis());
        traffic.requests.iter().map(start).collect()
    }

    #[test]
    fn requests_of_a_second_are_spread_over_it_in_the_order_of_their_lines() {
        let requests = [(7_000, 0), (8_000, 0), (7_000, 0), (9_000, 0), (7_000, 0), (7_000, 0)];
        assert_eq!(
            traffic(&requests, false),
            [(0, 0), (2, 250), (4, 500), (5, 750), (1, 1_000), (3, 2_000)],
        );
    }

    #[test]
    fn dates_with_fractions_are_kept() {
        assert_eq!(traffic(&[(5_000, 0), (5_000, 0), (4_999, 0)], false), [(2, 0), (0, 1), (1, 1)]);
    }

    #[test]
    fn what_is_dated_at_its_end_came_in_earlier() {
        let requests = [(5_000, 0), (6_000, 2_500), (7_000, 1_000)];
        assert_eq!(traffic(&requests, true), [(1, 0), (0, 1_500), (2, 2_500)]);
        assert_eq!(traffic(&requests, false), [(0, 0), (1, 1_000), (2, 2_000)]);
    }

    #[test]
    fn speed_compresses_arrival_and_work_alike() {
        let hour = Duration::from_secs(3_600);
        let requests = vec![
            Request::new(0, 0, Duration::ZERO, true),
            Request::new(3_600 * SECOND_US, 1, hour / 2, false),
        ];
        let traffic = Traffic::new(requests, false);
        assert_eq!(traffic.span(1.0), hour + hour / 2);
        assert_eq!(traffic.span(3_600.0), Duration::from_millis(1_500));
        assert_eq!(traffic.span(f64::INFINITY), Duration::ZERO);
        assert_eq!(traffic.work(0.5), hour);
        assert_eq!(traffic.longest_work(1.0), hour / 2);
        assert_eq!(
            traffic.requests.iter().map(|r| r.only_reads()).collect::<Vec<_>>(),
            [true, false]
        );
    }

    #[test]
    fn dates_from_both_ends_of_time_do_no_harm() {
        let year = 366 * 86_400 * SECOND_US;
        let requests = [-year, 9_999 * year].map(|at| Request::new(at, 0, Duration::MAX, false));
        let traffic = Traffic::new(requests.to_vec(), true);
        assert!(traffic.span(1.0) > Duration::from_secs(9_000 * 365 * 86_400));
        assert!(traffic.span(0.01) > traffic.span(1.0));
        assert_eq!(Traffic::new(Vec::new(), true).span(1.0), Duration::ZERO);
    }
}
