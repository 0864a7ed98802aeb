//! Mutual exclusion, from time stamps: two holds of one lock must not overlap.

/// How many of these holds began before an earlier one had ended. Sorts them.
pub fn overlaps(holds: &mut [(u64, u64)]) -> u64 {
    holds.sort_unstable();
    let mut latest_leave = 0;
    let mut overlaps = 0;
    for (enter, leave) in holds {
        overlaps += u64::from(*enter < latest_leave);
        latest_leave = latest_leave.max(*leave);
    }
    overlaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_that_follow_each_other_do_not_overlap() {
        assert_eq!(overlaps(&mut [(30, 40), (10, 20), (20, 30)]), 0);
        assert_eq!(overlaps(&mut []), 0);
    }

    #[test]
    fn holds_that_overlap_are_seen_in_whatever_order_they_come() {
        assert_eq!(overlaps(&mut [(10, 20), (19, 30)]), 1);
        assert_eq!(overlaps(&mut [(19, 30), (10, 20)]), 1);
        assert_eq!(overlaps(&mut [(10, 100), (20, 30), (40, 50)]), 2, "two inside a long one");
        assert_eq!(overlaps(&mut [(10, 20), (10, 20)]), 1, "two at the very same time");
    }
}
