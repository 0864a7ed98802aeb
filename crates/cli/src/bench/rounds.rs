//! A figure that was measured several times.

/// A figure, once per round.
#[derive(Clone, Debug)]
pub struct Figure(Vec<f64>);

impl Figure {
    /// The figure of these rounds.
    pub fn of(rounds: impl IntoIterator<Item = f64>) -> Self {
        let mut rounds: Vec<_> = rounds.into_iter().collect();
        rounds.sort_unstable_by(f64::total_cmp);
        Self(rounds)
    }

    /// Half of the rounds have less, half have more; 0 without rounds.
    pub fn median(&self) -> f64 {
        let middle = |place: usize| self.0.get(place).copied().unwrap_or(0.0);
        let half = self.0.len() / 2;
        if self.0.len().is_multiple_of(2) {
            (middle(half.saturating_sub(1)) + middle(half)) / 2.0
        } else {
            middle(half)
        }
    }

    /// The least.
    pub fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(0.0)
    }

    /// The most.
    pub fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(0.0)
    }

    /// How far apart the rounds are, as a part of the median; none of a single round.
    pub fn spread(&self) -> Option<f64> {
        let median = self.median();
        (self.0.len() > 1 && median > 0.0).then(|| (self.max() - self.min()) / median)
    }

    /// How many rounds there were.
    pub fn rounds(&self) -> usize {
        self.0.len()
    }
}

/// Rounds that are further apart than this part of their median are noisy.
pub const NOISY: f64 = 0.2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_the_spread_covers_all() {
        let figure = Figure::of([30.0, 10.0, 20.0]);
        assert_eq!((figure.median(), figure.min(), figure.max()), (20.0, 10.0, 30.0));
        assert_eq!(figure.spread(), Some(1.0));
        assert_eq!(Figure::of([10.0, 40.0, 20.0, 30.0]).median(), 25.0);
    }

    #[test]
    fn one_round_says_nothing_about_noise() {
        assert_eq!(Figure::of([5.0]).spread(), None);
        assert_eq!(Figure::of([5.0]).median(), 5.0);
        assert_eq!(Figure::of([]).median(), 0.0);
        assert_eq!(Figure::of([0.0, 0.0]).spread(), None);
    }
}
