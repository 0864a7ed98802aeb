//! Two sets of changes to one session, brought together name by name.

use std::collections::BTreeSet;

use crate::codec::Values;

/// What both sides made of `base`, or the names that both sides changed.
///
/// Equal changes are a conflict too: two that counted from 1 to 2 must not end at 2. A clear
/// conflicts with every change of the other side. That theirs was cleared shows in that nothing
/// of the base is left; that mine was is known (`cleared`).
pub(super) fn three_way(
    base: &Values,
    mine: &Values,
    theirs: &Values,
    cleared: bool,
) -> Result<Values, Vec<String>> {
    let they_cleared = !base.is_empty() && !base.names().any(|name| theirs.contains(name));
    let names: BTreeSet<&str> = base.names().chain(mine.names()).chain(theirs.names()).collect();
    let mut merged = Values::default();
    let mut both = Vec::new();
    for name in names {
        let [before, mine, theirs] = [base, mine, theirs].map(|values| values.encoded(name));
        let (i_changed, they_changed) = (mine != before, theirs != before);
        if (i_changed && (they_changed || they_cleared)) || (they_changed && cleared) {
            both.push(name.to_owned());
        } else if let Some(value) = if i_changed { mine } else { theirs } {
            merged.insert(name, value);
        }
    }
    if both.is_empty() { Ok(merged) } else { Err(both) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, u8)]) -> Values {
        pairs.iter().map(|(name, value)| (*name, std::slice::from_ref(value))).collect()
    }

    #[test]
    fn changes_of_different_names_come_together() {
        let base = values(&[("a", 1), ("b", 1), ("c", 1)]);
        let mine = values(&[("a", 2), ("b", 1), ("c", 1), ("new", 1)]);
        let theirs = values(&[("a", 1), ("b", 2)]);
        let merged = three_way(&base, &mine, &theirs, false);
        assert_eq!(merged, Ok(values(&[("a", 2), ("b", 2), ("new", 1)])));
    }

    #[test]
    fn a_name_changed_on_both_sides_is_a_conflict_even_if_equally() {
        let base = values(&[("count", 1), ("rest", 1)]);
        let counted = values(&[("count", 2), ("rest", 1)]);
        assert_eq!(three_way(&base, &counted, &counted, false), Err(vec!["count".into()]));
    }

    #[test]
    fn a_removal_against_a_change_is_a_conflict() {
        let base = values(&[("a", 1)]);
        let removed = values(&[]);
        let changed = values(&[("a", 2)]);
        assert_eq!(three_way(&base, &removed, &changed, false), Err(vec!["a".into()]));
        assert_eq!(three_way(&base, &changed, &removed, false), Err(vec!["a".into()]));
    }

    #[test]
    fn a_clear_conflicts_with_a_value_that_is_new_on_the_other_side() {
        let theirs = values(&[("new", 1)]);
        assert_eq!(three_way(&values(&[]), &values(&[]), &theirs, true), Err(vec!["new".into()]));
    }

    #[test]
    fn a_clear_by_the_other_side_conflicts_with_a_value_that_is_new_on_this_one() {
        let mine = values(&[("count", 1), ("new", 1)]);
        let merged = three_way(&values(&[("count", 1)]), &mine, &values(&[]), false);
        assert_eq!(merged, Err(vec!["new".into()]));
    }
}
