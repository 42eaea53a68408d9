//! What the model records, the model follows.

use oomscope_model::Event;
use proptest::prelude::*;

use super::programs::{Act, Pools, acts, capacities, program_of, releases, settings};
use crate::allocator::{StartBlock, StartSegment};
use crate::block::Use;
use crate::device::Device;
use crate::follow::{Followed, Setup, follow};
use crate::program::Program;
use crate::record::{Recording, record};
use crate::release::Release;
use crate::replay::{Capacity, Run, rules};
use crate::rounding::LARGEST;
use crate::settings::Settings;

fn followed(
    recording: &Recording,
    settings: &Settings,
    release: Release,
    capacity: Capacity,
    start: &[StartSegment],
) -> Followed {
    let allowed = rules(settings, release, capacity).allowed;
    follow(recording, &Setup { settings: settings.clone(), release, allowed, start })
}

proptest! {
    #[test]
    fn a_recorded_program_is_followed_to_its_end(
        acts in acts(Pools::Private),
        settings in settings(),
        release in releases(),
        capacity in capacities(),
    ) {
        let (settings, capacity) = with_unknown_total(&settings, capacity);
        let program = program_of(&told_apart(acts, &settings));
        let recording = record(&program, &settings, release, capacity);
        let followed = followed(&recording, &settings, release, capacity, &[]);
        prop_assert_eq!(followed.divergence, None, "{}", told(&recording));
        prop_assert_eq!(followed.faults.kinds, []);
        let mut expected = recording.counters;
        if settings.max_split_size.is_some() {
            // One large block given back may have been enough, or a step on the way.
            expected.retries = followed.counters.retries;
        }
        prop_assert_eq!(followed.counters, expected);
        let allowed = rules(&settings, release, capacity).allowed;
        let available = allowed.map_or(capacity.available, |it| it.min(capacity.available));
        prop_assert!(followed.limits.granted <= capacity.available);
        // The end of an expandable segment may serve a part; and a private pool gives blocks above
        // the limit back, and then does not try again.
        if !settings.expandable_segments && settings.max_split_size.is_none() {
            prop_assert!(followed.limits.refused.is_none_or(|it| it > available));
        }
    }

    #[test]
    fn a_trace_whose_head_is_lost_is_followed_from_there(
        acts in acts(Pools::DefaultOnly),
        cut in 0..100_usize,
        settings in settings(),
        capacity in capacities(),
    ) {
        // Where an expandable segment began, and how long blocks were free, is not recorded.
        let settings = Settings {
            expandable_segments: false,
            garbage_collection_threshold: None,
            ..settings
        };
        let release = Release::V2_9;
        let program = program_of(&told_apart(acts, &settings));
        let whole = record(&program, &settings, release, capacity);
        let (start, lost) = state_after(cut, &program, &settings, release, capacity);
        let tail = whole.without_head(lost);
        let followed = followed(&tail, &settings, release, capacity, &start);
        prop_assert_eq!(followed.divergence, None, "{:#?}\n{}", start, told(&tail));
        prop_assert_eq!(followed.faults.kinds, []);
        let held = |counters: &crate::counters::Counters| {
            (counters.reserved, counters.active, counters.allocated, counters.requested)
        };
        prop_assert_eq!(held(&followed.counters), held(&whole.counters));
    }
}

/// A trace does not tell the device's total, on which the ranges of expandable segments depend:
/// the same cap on a device as large as it is assumed to be then.
fn with_unknown_total(settings: &Settings, capacity: Capacity) -> (Settings, Capacity) {
    let scale = capacity.total as f64 / LARGEST as f64;
    let memory_fraction = settings.memory_fraction.map(|share| share * scale);
    (Settings { memory_fraction, ..settings.clone() }, Capacity { total: LARGEST, ..capacity })
}

/// Frees that are completed right before a request that collects garbage, or gives large blocks
/// back, could have been completed by it: the trace does not tell.
fn told_apart(mut acts: Vec<Act>, settings: &Settings) -> Vec<Act> {
    let has_limit = settings.max_split_size.is_some();
    if settings.garbage_collection_threshold.is_some() || has_limit {
        acts.retain(|act| !matches!(act, Act::Complete { .. }));
    }
    acts.retain(|act| !has_limit || !matches!(act, Act::GiveUp { .. }));
    acts
}

/// A recording for people.
fn told(recording: &Recording) -> String {
    let line = |(index, event): (usize, &Event)| {
        let Event { kind, addr, size, stream, stack, .. } = *event;
        format!("{index} {kind:?} {addr:#x} {} stream {stream} {stack:?}\n", size.0)
    };
    recording.events().iter().enumerate().map(line).collect()
}

/// What is held after the first `steps` of a program, and how many events they are.
fn state_after(
    steps: usize,
    program: &Program,
    settings: &Settings,
    release: Release,
    capacity: Capacity,
) -> (Vec<StartSegment>, usize) {
    let mut head = program.clone();
    head.steps.truncate(steps);
    let lost = record(&head, settings, release, capacity).events().len();
    let device = Device::new(capacity.available);
    let mut run = Run::new(&head, rules(settings, release, capacity), device);
    for step in &head.steps {
        if run.step(&head, *step).is_some() {
            break;
        }
    }
    let blocks = |from: u64, to: u64| {
        let all = run.allocator.blocks.iter().map(|(_, block)| block);
        let held = all.filter(|block| matches!(block.used, Use::Allocated | Use::Pending));
        let inside = held.filter(|block| from <= block.addr && block.addr < to);
        let mut inside: Vec<StartBlock> = inside
            .map(|block| StartBlock {
                addr: block.addr,
                size: block.size,
                requested: block.requested,
                is_pending: block.used == Use::Pending,
            })
            .collect();
        inside.sort_unstable_by_key(|block| block.addr);
        inside
    };
    let layout = run.allocator.layout();
    let segments = layout.into_iter().map(|segment| StartSegment {
        addr: segment.addr,
        size: segment.size,
        stream: segment.stream,
        pool: segment.pool,
        is_small: segment.is_small,
        is_expandable: segment.is_expandable,
        age: 0,
        blocks: blocks(segment.addr, segment.addr + segment.size),
    });
    (segments.collect(), lost)
}
