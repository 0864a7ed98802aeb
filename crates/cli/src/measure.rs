//! Latencies, in histograms of three digits that can be sent to another process and added up.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How long something took, many times.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
    sum: Duration,
    max: Duration,
}

impl Latencies {
    /// None yet.
    pub fn new() -> Self {
        #[expect(clippy::expect_used, reason = "3 digits are within the histogram's bounds")]
        let histogram = Histogram::new(3).expect("a histogram takes 0 to 5 digits");
        Self { histogram, sum: Duration::ZERO, max: Duration::ZERO }
    }

    /// Adds one.
    pub fn record(&mut self, latency: Duration) {
        self.record_ns(u64::try_from(latency.as_nanos()).unwrap_or(NS_MAX), 1);
        self.sum = self.sum.saturating_add(latency);
        self.max = self.max.max(latency);
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        for (ns, count) in other.pairs() {
            self.record_ns(ns, count);
        }
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// All of them together.
    pub const fn sum(&self) -> Duration {
        self.sum
    }

    /// The longest.
    pub const fn max(&self) -> Duration {
        self.max
    }

    /// What this part of them stayed below; zero if there are none.
    pub fn quantile(&self, part: f64) -> Duration {
        // The histogram answers with the end of a bucket, which may lie past the longest.
        Duration::from_nanos(self.histogram.value_at_quantile(part)).min(self.max)
    }

    fn record_ns(&mut self, ns: u64, count: u64) {
        let ns = ns.min(NS_MAX);
        // The histogram grows to what it is given, which `NS_MAX` bounds; if it could not it
        // would still count what is too long as its longest.
        if self.histogram.record_n(ns, count).is_err() {
            self.histogram.saturating_record_n(ns, count);
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.histogram
            .iter_recorded()
            .map(|step| (step.value_iterated_to(), step.count_since_last_iteration()))
    }
}

impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let counts = self.pairs().collect();
        Sent { counts, sum_ns: ns(self.sum), max_ns: ns(self.max) }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Sent { counts, sum_ns, max_ns } = Sent::deserialize(deserializer)?;
        let (sum, max) = (Duration::from_nanos(sum_ns), Duration::from_nanos(max_ns));
        let mut latencies = Self { sum, max, ..Self::new() };
        for (ns, count) in counts {
            if ns > 2 * NS_MAX {
                return Err(D::Error::custom("a latency is out of range"));
            }
            latencies.record_ns(ns, count);
        }
        Ok(latencies)
    }
}

/// As it goes to another process and into a saved run.
#[derive(Serialize, Deserialize)]
struct Sent {
    /// A latency in nanoseconds, to three digits, and how often it was measured.
    counts: Vec<(u64, u64)>,
    sum_ns: u64,
    max_ns: u64,
}

/// A day: longer than any run.
const NS_MAX: u64 = 86_400 * 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::new();
        for us in micros {
            latencies.record(Duration::from_micros(us));
        }
        latencies
    }

    #[test]
    fn quantiles_are_exact_to_three_digits_and_the_longest_is_exact() {
        let latencies = of(1..=10_000);
        let p90 = latencies.quantile(0.9).as_secs_f64();
        assert!((p90 / 9e-3 - 1.0).abs() < 1e-3, "{p90}");
        assert_eq!(latencies.max(), Duration::from_micros(10_000));
        assert_eq!(latencies.quantile(1.0), Duration::from_micros(10_000));
        assert_eq!(latencies.sum(), Duration::from_micros(50_005_000));
    }

    #[test]
    fn nothing_measured_is_zero() {
        assert_eq!(Latencies::new().quantile(0.5), Duration::ZERO);
        assert_eq!(Latencies::new().max(), Duration::ZERO);
    }

    #[test]
    fn what_was_sent_to_another_process_adds_up_to_the_same() -> serde_json::Result<()> {
        let mut sum = of([1, 20, 300]);
        let sent = serde_json::to_string(&of([4_000, 50_000, 600_000]))?;
        sum.add(&serde_json::from_str(&sent)?);
        let whole = of([1, 20, 300, 4_000, 50_000, 600_000]);
        assert_eq!(sum.count(), 6);
        assert_eq!(sum.sum(), whole.sum());
        for part in [0.1, 0.5, 0.9, 0.999] {
            assert_eq!(sum.quantile(part), whole.quantile(part));
        }
        Ok(())
    }
}
