//! What holds of every replay.

use proptest::prelude::*;

use super::programs::{Pools, acts, capacities, finish, program_of, releases, settings};
use crate::packing::need;
use crate::program::Step;
use crate::replay::{Capacity, replay};
use crate::settings::{Backend, Settings};

const LIMITLESS: Capacity = Capacity { available: u64::MAX, total: u64::MAX };

proptest! {
    #[test]
    fn no_step_of_any_program_breaks_an_invariant(
        acts in acts(Pools::Private),
        settings in settings(),
        release in releases(),
        capacity in capacities(),
    ) {
        let program = program_of(&acts);
        let outcome = replay(&program, &settings, release, capacity, &mut ());
        prop_assert!(outcome.counters.peak_reserved <= capacity.available);
        prop_assert_eq!(&outcome, &replay(&program, &settings, release, capacity, &mut ()));
        replay(&program, &settings, release, LIMITLESS, &mut ());
        let driver = Settings { backend: Backend::CudaMallocAsync, ..settings };
        replay(&program, &driver, release, capacity, &mut ());
    }

    #[test]
    fn what_is_freed_goes_back_to_the_device(
        acts in acts(Pools::Private),
        settings in settings(),
        release in releases(),
        capacity in capacities(),
    ) {
        let mut program = program_of(&acts);
        finish(&mut program);
        let outcome = replay(&program, &settings, release, capacity, &mut ());
        if outcome.failure.is_none() {
            let counters = outcome.counters;
            prop_assert_eq!((counters.reserved, counters.active, outcome.segments), (0, 0, 0));
        }
    }

    #[test]
    fn a_larger_device_serves_the_same_bytes(
        acts in acts(Pools::DefaultOnly),
        settings in settings(),
        release in releases(),
        capacity in capacities(),
    ) {
        let program = program_of(&acts);
        let tight = replay(&program, &settings, release, capacity, &mut ());
        let roomy = replay(&program, &settings, release, LIMITLESS, &mut ());
        if tight.failure.is_none() {
            prop_assert!(roomy.failure.is_none());
            prop_assert!(roomy.counters.retries <= tight.counters.retries);
            prop_assert!(roomy.survived <= tight.survived);
            let waits = program.steps.iter().any(|step| matches!(step, Step::GiveUp { .. }));
            if !waits && tight.survived == roomy.survived {
                prop_assert_eq!(tight.counters.requested, roomy.counters.requested);
            }
        }
    }

    #[test]
    fn nothing_holds_less_than_what_is_live(
        acts in acts(Pools::Private),
        settings in settings(),
        release in releases(),
    ) {
        let mut program = program_of(&acts);
        program.steps.retain(|step| !matches!(step, Step::Failed { .. } | Step::GiveUp { .. }));
        program.events.truncate(program.steps.len());
        let need = need(&program);
        prop_assert!(need.live <= need.packed);
        let uncapped = Settings { memory_fraction: None, ..settings };
        let outcome = replay(&program, &uncapped, release, LIMITLESS, &mut ());
        prop_assert!(outcome.failure.is_none());
        prop_assert!(need.live <= outcome.counters.peak_active);
        prop_assert!(outcome.counters.peak_active <= outcome.counters.peak_reserved);
        let driver = Settings { backend: Backend::CudaMallocAsync, ..uncapped };
        let estimate = replay(&program, &driver, release, LIMITLESS, &mut ());
        prop_assert!(need.packed <= estimate.counters.peak_reserved);
    }
}
