//! A few sessions take most of the requests: Zipf's law, by rejection-inversion (Hörmann and
//! Derflinger, 1996). It needs no table, so ten million sessions cost no more than ten.
//!
//! The weight of rank k is `k^-skew`. The area below the curve `x^-skew` from k - 1/2 to k + 1/2
//! is at least that weight, so a point below the curve, drawn through the inverse of the area, is
//! rounded to a rank and turned down where the area exceeds the weight: seldom.

use crate::rng::Rng;

/// Ranks from 0, each less likely than the one before.
#[derive(Clone, Copy, Debug)]
pub struct Zipf {
    ranks: f64,
    skew: f64,
    /// The area left of the first rank's bar, which is cut to the rank's exact weight.
    first: f64,
    /// The area left of the end of the last rank's bar.
    last: f64,
    /// So far left of its rank a point needs no second look.
    sure: f64,
}

impl Zipf {
    /// So many ranks, at least one. A skew of 0 makes them equally likely.
    pub fn new(ranks: u32, skew: f64) -> Self {
        let ranks = f64::from(ranks.max(1));
        let mut zipf = Self { ranks, skew, first: 0.0, last: 0.0, sure: 0.0 };
        zipf.first = zipf.area(1.5) - 1.0;
        zipf.last = zipf.area(ranks + 0.5);
        zipf.sure = 2.0 - zipf.area_inverse(zipf.area(2.5) - zipf.weight(2.0));
        zipf
    }

    /// A rank from 0.
    pub fn draw(&self, rng: &mut Rng) -> u32 {
        loop {
            let area = self.last + rng.unit() * (self.first - self.last);
            let point = self.area_inverse(area);
            let rank = point.round().clamp(1.0, self.ranks);
            if rank - point <= self.sure || area >= self.area(rank + 0.5) - self.weight(rank) {
                // At most `ranks`, so it fits.
                return rank as u32 - 1;
            }
        }
    }

    fn weight(&self, rank: f64) -> f64 {
        rank.powf(-self.skew)
    }

    /// The area below the curve from 1 to `x`: `(x^(1 - skew) - 1) / (1 - skew)`, or `ln x`.
    fn area(&self, x: f64) -> f64 {
        let ln = x.ln();
        let power = (1.0 - self.skew) * ln;
        // Written so that nothing cancels out near a skew of 1.
        if power.abs() < TINY { ln * (1.0 + power / 2.0) } else { ln * (power.exp_m1() / power) }
    }

    fn area_inverse(&self, area: f64) -> f64 {
        // Rounding must not lead below the curve's end.
        let power = ((1.0 - self.skew) * area).max(-1.0);
        let ln = if power.abs() < TINY { 1.0 - power / 2.0 } else { power.ln_1p() / power } * area;
        ln.exp()
    }
}

/// Below it two terms of the series are exact.
const TINY: f64 = 1e-8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_as_likely_as_the_law_says() {
        for skew in [0.0, 0.5, 0.99, 1.0, 1.01, 2.5] {
            for ranks in [1, 2, 10, 1_000] {
                let draws = 200_000;
                let mut counts = vec![0_u32; ranks as usize];
                let zipf = Zipf::new(ranks, skew);
                let mut rng = Rng::new(1, 0, 0);
                for _ in 0..draws {
                    if let Some(count) = counts.get_mut(zipf.draw(&mut rng) as usize) {
                        *count += 1;
                    }
                }
                assert_eq!(counts.iter().sum::<u32>(), draws, "{skew} {ranks}: out of range");
                let weight = |rank: usize| (rank as f64 + 1.0).powf(-skew);
                let all: f64 = (0..counts.len()).map(weight).sum();
                for (rank, count) in counts.iter().enumerate() {
                    let expected = f64::from(draws) * weight(rank) / all;
                    // 5 standard deviations; the seed is fixed, so this holds always or never.
                    let allowed = 5.0 * expected.sqrt().max(1.0);
                    let off = (f64::from(*count) - expected).abs();
                    assert!(off <= allowed, "{skew} {ranks}: {count} of {rank}, not {expected}");
                }
            }
        }
    }

    #[test]
    fn extremes_end_and_stay_in_range() {
        for skew in [0.0, 1e-12, 0.999_999_999, 1.000_000_001, 10.0] {
            for ranks in [1, 2, 10_000_000] {
                let zipf = Zipf::new(ranks, skew);
                let mut rng = Rng::new(7, 0, 0);
                assert!((0..1_000).all(|_| zipf.draw(&mut rng) < ranks), "{skew} {ranks}");
            }
        }
    }
}
