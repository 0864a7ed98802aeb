//! The list of all cases, and the macros that are made from it.

use super::cases;
use super::stage::Stage;
use crate::access::Access::{self, Exclusive, Optimistic, Shared, Snapshot};
use crate::inventory::Inventory;
use crate::store::Store;

/// Hands the list to a macro: its path, what to pass on, then module by module each case with the
/// accesses it is about.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases {
    (($($callback:tt)*) ($($pass_on:tt)*)) => {
        $($callback)*! {
            ($($pass_on)*)
            lives {
                opening_an_absent_session_creates_nothing [],
                the_first_commit_is_version_1_and_each_one_after_adds_1 [],
                the_birth_stays_over_commits_and_no_two_sessions_share_one [],
                a_recreated_session_has_another_birth_and_starts_at_version_1 [],
                the_second_creator_is_told_that_the_session_exists [Optimistic],
                an_optimistic_commit_after_another_is_a_conflict_that_names_both_versions [Optimistic],
                an_optimistic_commit_of_equal_bytes_still_counts_as_a_commit [Optimistic],
                a_last_write_on_the_condition_alive_wins_with_the_next_version [Optimistic],
                a_late_commit_never_raises_a_destroyed_session [Optimistic],
                a_late_commit_never_reaches_the_next_life_of_the_id [Optimistic],
                destroying_an_absent_session_or_one_twice_is_no_error [],
                two_holders_may_destroy_one_session [Optimistic],
                an_optimistic_destroy_ends_whatever_version_stands [Optimistic],
                a_hold_that_was_kept_commits_again_on_what_it_wrote [],
                a_kept_optimistic_hold_still_meets_its_conflicts [Optimistic],
            }
            accesses {
                an_access_that_is_not_offered_is_refused_with_the_alternatives [],
                an_exclusive_holder_excludes_every_other_lock [Exclusive],
                an_exclusive_holder_of_one_session_is_in_nobodys_way_elsewhere [Exclusive],
                shared_holders_are_in_together_and_exclude_a_writer [Shared],
                who_takes_no_lock_waits_for_nobody [],
                an_access_that_reads_can_neither_commit_nor_destroy_nor_renew [],
                what_was_read_stays_as_it_was_read [],
                an_optimistic_commit_waits_for_an_exclusive_holder [Exclusive Optimistic],
                a_commit_beside_an_exclusive_holder_that_writes_is_a_conflict [Exclusive Optimistic],
            }
            exits {
                a_release_frees_at_once_and_what_was_read_stays_readable [],
                nothing_is_written_after_a_release [],
                nothing_is_written_after_the_hold_ended [],
                every_way_out_frees_the_lock [Exclusive],
                a_dropped_hold_writes_nothing [],
                a_panic_with_a_hold_frees_it_and_writes_nothing [],
                a_commit_that_keeps_the_hold_keeps_the_lock [Exclusive],
                a_failed_commit_leaves_the_old_value_and_the_hold_as_it_was [],
            }
            expiry {
                an_idle_session_is_absent_from_its_deadline_on [],
                a_session_is_absent_from_its_absolute_deadline_on [],
                of_two_deadlines_the_earlier_one_counts [],
                a_session_without_limits_never_ends [],
                each_session_ends_at_its_own_deadline [],
                a_commit_moves_the_idle_deadline_and_sets_the_lifetime [],
                neither_touch_nor_commit_moves_the_absolute_deadline [],
                a_touch_moves_the_idle_deadline_and_nothing_else [],
                a_touch_beside_a_holder_waits_for_nobody_and_outlives_its_commit [],
                a_touch_raises_no_session_that_expired [],
                an_expired_session_can_be_created_anew [],
                an_optimistic_commit_does_not_raise_a_session_that_expired_since [Optimistic],
                a_session_does_not_expire_under_its_exclusive_holder [Exclusive],
            }
            waiting {
                a_lock_timeout_names_the_holder_its_label_and_since_when [Exclusive],
                a_wait_that_times_out_leaves_the_holder_and_the_queue_alone [Exclusive],
                waiters_are_served_in_the_order_they_came [Exclusive],
                a_reader_does_not_overtake_a_waiting_writer [Exclusive Shared],
                a_waiter_sees_what_was_committed_while_it_waited [Exclusive],
                a_waiter_for_a_new_session_sees_the_first_commit [Exclusive],
                everybody_who_waits_for_a_destroyed_session_is_told_that_it_is_gone [Exclusive],
                who_waits_while_a_session_is_destroyed_and_recreated_never_sees_the_old_one
                    [Exclusive Optimistic],
                the_number_of_waiters_is_bounded [Exclusive],
                a_cancelled_wait_leaves_nothing_behind [Exclusive],
                a_waiter_that_is_cancelled_after_its_grant_passes_the_lock_on [Exclusive],
                a_cancelled_commit_happens_as_a_whole_or_not_at_all [],
                a_commit_that_is_cancelled_while_it_waits_writes_nothing [Exclusive Optimistic],
            }
            renewal {
                a_renewed_session_lives_on_under_the_new_id_alone [],
                a_new_session_can_be_renewed [],
                in_its_grace_the_old_id_serves_what_was_committed_before_and_is_read_only
                    [Optimistic],
                a_grace_does_not_outlive_the_session [],
                a_retired_id_can_be_destroyed_and_the_new_one_lives_on [],
                who_waits_for_an_id_that_is_renewed_is_told_that_it_is_gone [Exclusive],
                who_waits_for_an_id_that_is_renewed_with_grace_may_read_it [Exclusive],
                a_renewal_onto_a_session_that_exists_changes_neither [],
                a_renewal_onto_a_session_that_expired_replaces_it [],
                an_optimistic_renewal_after_another_commit_is_a_conflict [Optimistic],
                of_two_renewals_of_one_session_the_second_is_refused [Optimistic],
            }
            sweeping {
                a_sweep_removes_what_expired_and_nothing_else [Snapshot],
                a_sweep_goes_as_far_as_its_budget_and_on_from_there [Snapshot],
                a_sweep_without_a_budget_does_nothing [],
                a_sweep_of_an_empty_store_is_complete [],
                a_sweep_leaves_a_session_alone_that_is_held [Exclusive],
                a_sweep_removes_what_a_grace_left [Snapshot],
                no_session_is_lost_to_a_sweep_beside_it [],
            }
            ids {
                any_bytes_are_an_id_and_different_bytes_are_different_sessions [],
                ten_thousand_ids_are_ten_thousand_keys [],
                two_namespaces_share_no_session_and_a_shared_one_is_shared [Snapshot],
                parts_of_a_key_do_not_run_together [],
            }
            atomicity {
                payloads_of_every_size_come_back_as_they_were [],
                an_empty_payload_is_a_session [],
                readers_during_a_write_storm_see_whole_versions_in_order [Snapshot],
                a_reader_beside_births_and_deaths_sees_a_whole_session_or_none [Snapshot],
            }
            races {
                no_exclusive_update_is_lost [Exclusive],
                no_optimistic_update_is_lost [Optimistic],
                no_update_is_lost_between_exclusive_and_optimistic_users [Exclusive Optimistic],
                of_many_creators_exactly_one_creates [Optimistic],
                of_many_commits_on_one_version_exactly_one_wins [Optimistic],
                of_many_renewals_of_one_session_exactly_one_wins [Optimistic],
                no_commit_that_races_a_destroy_raises_the_session [Optimistic],
            }
        }
    };
}

/// The same for the cases of an [`Inventory`].
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_inventory_cases {
    (($($callback:tt)*) ($($pass_on:tt)*)) => {
        $($callback)*! {
            ($($pass_on)*)
            walking {
                a_walk_sees_every_session_once_with_its_record [],
                a_walk_of_an_empty_store_finds_nothing [],
                a_walk_sees_the_last_commit_and_the_last_touch [],
                a_walk_sees_no_session_that_was_destroyed [],
                a_walk_says_which_sessions_have_expired [],
                a_walk_waits_for_no_holder [Exclusive],
                a_walk_beside_commits_sees_every_session_once_and_whole [],
                a_walk_beside_births_and_deaths_misses_none_of_those_that_stay [],
                every_session_is_in_one_of_the_shards [],
            }
            adopting {
                an_adopted_session_is_as_it_was_in_the_other_store [],
                an_adopted_session_goes_on_from_its_version [],
                an_adoption_replaces_earlier_versions_of_the_same_life_alone [],
                what_goes_on_or_ends_after_an_adoption_is_not_adopted_again [],
                a_look_sees_what_was_committed_and_what_is_over [],
                an_adopted_session_ends_when_it_would_have_ended_in_the_other_store [],
                a_later_touch_is_adopted_without_a_new_version [],
                a_session_that_is_over_is_not_adopted [],
                an_adopted_session_of_a_renewed_id_is_read_only_and_stays_so [],
                payloads_of_every_size_are_adopted [],
                an_adoption_waits_for_the_holder [Exclusive],
                a_hold_from_before_an_adoption_meets_a_conflict [Optimistic],
                a_creator_is_told_of_a_session_that_was_adopted_since [Optimistic],
                of_many_adoptions_at_once_the_latest_version_stands [],
            }
            locking {
                a_sound_session_is_left_alone_by_a_repair [],
                a_session_that_nobody_holds_is_not_listed [],
                a_locked_session_is_listed_with_its_holder [Exclusive],
                readers_are_listed_as_such [Shared],
                who_waits_for_a_session_is_counted [Exclusive],
            }
        }
    };
}

/// One `#[test]` for each case, run on the stores of this factory: a
/// `Fn(&ManualClock) -> Fixture<S>`. See the [module](crate::conformance) for an example.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ($factory:expr) => {
        $crate::__conformance_cases!(
            ($crate::__conformance_test_functions)($crate::conformance::run; $factory)
        );
    };
}

/// The same for the cases of an [`Inventory`].
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_inventory_tests {
    ($factory:expr) => {
        $crate::__conformance_inventory_cases!(
            ($crate::__conformance_test_functions)($crate::conformance::inventory::run; $factory)
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_test_functions {
    (
        ($run:path; $factory:expr)
        $($module:ident { $($case:ident [$($needs:ident)*],)* })*
    ) => {
        $($(
            #[test]
            fn $case() {
                $run(stringify!($case), $factory);
            }
        )*)*
    };
}

/// What a case is about, and its body.
pub(super) type Case<S> = (&'static [Access], fn(&Stage<S>));

macro_rules! table {
    (
        ($names:ident $find:ident $contract:ident)
        $($module:ident { $($case:ident [$($needs:ident)*],)* })*
    ) => {
        pub(super) const $names: &[&str] = &[$($(stringify!($case),)*)*];

        /// The accesses that the case of this name is about, and its body.
        pub(super) fn $find<S: $contract>(name: &str) -> Option<Case<S>> {
            $($(
                if name == stringify!($case) {
                    return Some((&[$($needs),*], cases::$module::$case::<S>));
                }
            )*)*
            None
        }
    };
}

__conformance_cases!((table)(NAMES find Store));
__conformance_inventory_cases!((table)(INVENTORY_NAMES find_inventory Inventory));
