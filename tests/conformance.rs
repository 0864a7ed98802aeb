//! The conformance suite over our stores and a third party's, and over stores that are wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cloakroom::conformance::{self, Fixture, ManualClock};
use cloakroom::seams::OsEntropy;
use cloakroom::{Durability, FileStore, Layout, MapStore, MemoryStore};
use common::cabinet::Cabinet;
use common::wrong::{Bug, Wrong};

mod memory_store {
    cloakroom::conformance::tests!(super::memory);
    cloakroom::conformance::inventory::tests!(super::memory);
}

mod file_store {
    cloakroom::conformance::tests!(|clock| super::file(clock, None, Durability::Process));
    cloakroom::conformance::inventory::tests!(|clock| super::file(
        clock,
        None,
        Durability::Process
    ));

    use super::Durability;
}

mod file_store_in_one_directory {
    cloakroom::conformance::tests!(|clock| {
        super::file(clock, Some(Layout::FLAT), Durability::Process)
    });
    cloakroom::conformance::inventory::tests!(|clock| {
        super::file(clock, Some(Layout::FLAT), Durability::Process)
    });

    use super::{Durability, Layout};
}

mod file_store_of_three_levels {
    cloakroom::conformance::tests!(|clock| {
        super::file(clock, Some(Layout { levels: 3, digits: 1 }), Durability::Process)
    });
    cloakroom::conformance::inventory::tests!(|clock| {
        super::file(clock, Some(Layout { levels: 3, digits: 1 }), Durability::Process)
    });

    use super::{Durability, Layout};
}

mod file_store_that_survives_a_power_cut {
    cloakroom::conformance::tests!(|clock| super::file(clock, None, Durability::Power));
    cloakroom::conformance::inventory::tests!(|clock| super::file(clock, None, Durability::Power));

    use super::Durability;
}

mod map_store {
    cloakroom::conformance::tests!(|clock| super::map(clock, Durability::Process));
    cloakroom::conformance::inventory::tests!(|clock| super::map(clock, Durability::Process));

    use super::Durability;
}

mod map_store_that_survives_a_power_cut {
    cloakroom::conformance::tests!(|clock| super::map(clock, Durability::Power));
    cloakroom::conformance::inventory::tests!(|clock| super::map(clock, Durability::Power));

    use super::Durability;
}

mod third_party_store {
    cloakroom::conformance::tests!(super::cabinet);
    cloakroom::conformance::inventory::tests!(super::cabinet);
}

fn memory(clock: &ManualClock) -> Fixture<MemoryStore> {
    let store = MemoryStore::with(clock.clone(), OsEntropy);
    Fixture::new(store.clone()).second_handle(store)
}

fn file(clock: &ManualClock, layout: Option<Layout>, durability: Durability) -> Fixture<FileStore> {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let builder = FileStore::builder(directory.path()).clock(clock.clone());
        let builder = layout.map_or(builder.clone(), |layout| builder.layout(layout));
        builder.durability(durability).open().unwrap()
    };
    // Two opens share nothing but the directory, as two processes do.
    Fixture::new(open()).second_handle(open()).keep(directory)
}

fn map(clock: &ManualClock, durability: Durability) -> Fixture<MapStore> {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let builder = MapStore::builder(directory.path()).clock(clock.clone());
        builder.durability(durability).open().unwrap()
    };
    Fixture::new(open()).second_handle(open()).keep(directory)
}

fn cabinet(clock: &ManualClock) -> Fixture<Cabinet> {
    let store = Cabinet::new(clock.clone());
    Fixture::new(store.clone()).second_handle(store)
}

/// Asserts that the suite finds the bug: that this case fails on a store that has it.
fn assert_found(bug: Bug, case: &str) {
    let wrong = |clock: &ManualClock| {
        let store = Wrong::new(bug, clock);
        Fixture::new(store.clone()).second_handle(store)
    };
    let of_inventory = conformance::inventory::CASES.contains(&case);
    assert!(of_inventory || conformance::CASES.contains(&case), "there is no case {case}");
    let ran = catch_unwind(AssertUnwindSafe(|| {
        if of_inventory {
            conformance::inventory::run(case, wrong);
        } else {
            conformance::run(case, wrong);
        }
    }));
    assert!(ran.is_err(), "{case} passes on a store with {bug:?}");
}

/// One `#[test]` for each bug and the case that must find it.
macro_rules! bugs {
    ($($name:ident: $bug:ident $case:literal,)*) => {$(
        #[test]
        fn $name() {
            assert_found(Bug::$bug, $case);
        }
    )*};
}

mod a_store_is_found_wrong_that {
    use super::{Bug, assert_found};

    bugs! {
        creates_on_open: CreatesOnOpen
            "opening_an_absent_session_creates_nothing",
        never_bumps_the_version: NeverBumpsTheVersion
            "the_first_commit_is_version_1_and_each_one_after_adds_1",
        gives_one_birth_to_all: OneBirthForAll
            "the_birth_stays_over_commits_and_no_two_sessions_share_one",
        drops_the_condition_check: DropsTheConditionCheck
            "an_optimistic_commit_after_another_is_a_conflict_that_names_both_versions",
        loses_updates: DropsTheConditionCheck
            "of_many_commits_on_one_version_exactly_one_wins",
        overwrites_the_first_creator: OverwritesTheFirstCreator
            "the_second_creator_is_told_that_the_session_exists",
        raises_the_dead: ResurrectsAfterDestroy
            "a_late_commit_never_raises_a_destroyed_session",
        raises_the_dead_in_a_race: ResurrectsAfterDestroy
            "no_commit_that_races_a_destroy_raises_the_session",
        only_empties_what_it_shall_destroy: DestroyOnlyEmpties
            "a_recreated_session_has_another_birth_and_starts_at_version_1",
        does_not_tell_waiters_that_it_is_gone: WaitersAreNotTold
            "everybody_who_waits_for_a_destroyed_session_is_told_that_it_is_gone",
        tears_payloads: TornPayload
            "readers_during_a_write_storm_see_whole_versions_in_order",
        cuts_long_payloads: CutsLongPayloads
            "payloads_of_every_size_come_back_as_they_were",
        ignores_expiry: IgnoresExpiry
            "an_idle_session_is_absent_from_its_deadline_on",
        ignores_a_touch: TouchDoesNothing
            "a_touch_moves_the_idle_deadline_and_nothing_else",
        counts_a_touch_as_a_version: TouchIsACommit
            "a_touch_moves_the_idle_deadline_and_nothing_else",
        does_not_exclude: ExclusiveIsNotExclusive
            "an_exclusive_holder_excludes_every_other_lock",
        lets_two_in_at_once: ExclusiveIsNotExclusive
            "no_exclusive_update_is_lost",
        does_not_share: SharedIsExclusive
            "shared_holders_are_in_together_and_exclude_a_writer",
        waits_for_a_snapshot: SnapshotWaits
            "who_takes_no_lock_waits_for_nobody",
        lets_readers_commit: ReadersMayCommit
            "an_access_that_reads_can_neither_commit_nor_destroy_nor_renew",
        writes_after_a_release: WritesAfterRelease
            "nothing_is_written_after_a_release",
        keeps_the_lock_after_a_release: ReleaseKeepsTheLock
            "a_release_frees_at_once_and_what_was_read_stays_readable",
        releases_what_shall_be_kept: KeepReleases
            "a_commit_that_keeps_the_hold_keeps_the_lock",
        commits_what_is_dropped: DropCommits
            "a_dropped_hold_writes_nothing",
        keeps_cancelled_waits_in_the_queue: CancelledWaitsStay
            "a_waiter_that_is_cancelled_after_its_grant_passes_the_lock_on",
        says_nothing_of_the_holder: TimeoutNamesNobody
            "a_lock_timeout_names_the_holder_its_label_and_since_when",
        leaves_the_old_id_alive: RenewLeavesTheOldId
            "a_renewed_session_lives_on_under_the_new_id_alone",
        forgets_when_a_renewed_session_was_created: RenewForgetsCreated
            "a_renewed_session_lives_on_under_the_new_id_alone",
        shows_the_new_payload_under_the_old_id: GraceShowsTheNewPayload
            "in_its_grace_the_old_id_serves_what_was_committed_before_and_is_read_only",
        renews_over_another_session: RenewReplacesAnother
            "a_renewal_onto_a_session_that_exists_changes_neither",
        sweeps_what_is_held: SweepsWhatIsHeld
            "a_sweep_leaves_a_session_alone_that_is_held",
        sweeps_beyond_its_budget: SweepIgnoresItsBudget
            "a_sweep_goes_as_far_as_its_budget_and_on_from_there",
        sweeps_nothing: SweepDoesNothing
            "a_sweep_removes_what_expired_and_nothing_else",
        mixes_up_ids: KeysCollide
            "ten_thousand_ids_are_ten_thousand_keys",
        misses_sessions_on_a_walk: WalkMissesSome
            "a_walk_sees_every_session_once_with_its_record",
        misses_sessions_on_a_walk_beside_births: WalkMissesSome
            "a_walk_beside_births_and_deaths_misses_none_of_those_that_stay",
        sees_a_session_twice_on_a_walk: WalkSeesOneTwice
            "a_walk_sees_every_session_once_with_its_record",
        walks_further_than_it_is_asked: WalkIgnoresItsLimit
            "a_walk_sees_every_session_once_with_its_record",
        finds_what_was_destroyed: DestroyOnlyEmpties
            "a_walk_sees_no_session_that_was_destroyed",
        mixes_versions_on_a_walk: WalkTearsVersions
            "a_walk_beside_commits_sees_every_session_once_and_whole",
        shows_no_touches_on_a_walk: WalkForgetsTouches
            "a_walk_sees_the_last_commit_and_the_last_touch",
        hides_expiry_on_a_walk: WalkHidesExpiry
            "a_walk_says_which_sessions_have_expired",
        waits_for_holders_on_a_walk: WalkWaits
            "a_walk_waits_for_no_holder",
        miscounts_its_shards: ShardsAreMiscounted
            "every_session_is_in_one_of_the_shards",
        repairs_what_is_sound: RepairDestroys
            "a_sound_session_is_left_alone_by_a_repair",
        adopts_without_the_version: AdoptStartsAnew
            "an_adopted_session_is_as_it_was_in_the_other_store",
        adopts_as_another_life: AdoptMakesAnotherLife
            "an_adopted_session_goes_on_from_its_version",
        adopts_over_later_versions: AdoptReplacesAnything
            "an_adoption_replaces_earlier_versions_of_the_same_life_alone",
        adopts_over_another_life: AdoptReplacesOtherLives
            "an_adoption_replaces_earlier_versions_of_the_same_life_alone",
        adopts_only_what_is_new: AdoptReplacesNothing
            "of_many_adoptions_at_once_the_latest_version_stands",
        adopts_whatever_is_known: AdoptForgetsWhatIsKnown
            "what_goes_on_or_ends_after_an_adoption_is_not_adopted_again",
        looks_away_from_what_has_expired: LookHidesTheExpired
            "a_look_sees_what_was_committed_and_what_is_over",
        adopts_no_touches: AdoptForgetsTouches
            "a_later_touch_is_adopted_without_a_new_version",
        extends_what_it_adopts: AdoptIsATouch
            "an_adopted_session_ends_when_it_would_have_ended_in_the_other_store",
        adopts_what_is_over: AdoptIsATouch
            "a_session_that_is_over_is_not_adopted",
        forgets_the_grace_of_what_it_adopts: AdoptForgetsTheGrace
            "an_adopted_session_of_a_renewed_id_is_read_only_and_stays_so",
        raises_a_renewed_id: AdoptRaisesRetired
            "an_adopted_session_of_a_renewed_id_is_read_only_and_stays_so",
        adopts_under_a_holder: ExclusiveIsNotExclusive
            "an_adoption_waits_for_the_holder",
        commits_over_an_adoption: DropsTheConditionCheck
            "a_hold_from_before_an_adoption_meets_a_conflict",
        creates_over_an_adoption: OverwritesTheFirstCreator
            "a_creator_is_told_of_a_session_that_was_adopted_since",
        cuts_what_it_adopts: CutsLongPayloads
            "payloads_of_every_size_are_adopted",
        lists_no_locks: LocksAreNotListed
            "a_locked_session_is_listed_with_its_holder",
        names_no_holders: LocksNameNobody
            "a_locked_session_is_listed_with_its_holder",
        lists_what_was_released: ReleaseKeepsTheLock
            "a_locked_session_is_listed_with_its_holder",
        locks_for_a_snapshot: SnapshotWaits
            "a_session_that_nobody_holds_is_not_listed",
        lists_readers_as_writers: LocksCallReadersWriters
            "readers_are_listed_as_such",
        counts_no_waiters: LocksForgetWaiters
            "who_waits_for_a_session_is_counted",
        grants_what_it_does_not_offer: GrantsWhatItDoesNotOffer
            "an_access_that_is_not_offered_is_refused_with_the_alternatives",
    }
}

#[test]
fn all_cases_at_once_name_those_that_fail() {
    let ran = catch_unwind(AssertUnwindSafe(|| {
        conformance::run_all(|clock| Fixture::new(Wrong::new(Bug::CutsLongPayloads, clock)));
    }));
    let message = *ran.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("payloads_of_every_size_come_back_as_they_were"), "{message}");
}
