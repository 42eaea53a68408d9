//! Random programs, settings and devices.

use proptest::prelude::*;

use crate::program::{Lane, Program, Step};
use crate::release::Release;
use crate::replay::Capacity;
use crate::rounding::{LARGE_BUFFER, Rounding};
use crate::settings::Settings;

const MIB: u64 = 1 << 20;

/// Streams and pools; the first two are the default pool.
/// The pools are those of graphs: requests of a `MemPool`, which may free the cache, would ask a pool
/// again whose owner is gone.
const LANES: [Lane; 5] = [
    Lane { stream: 0, pool: (0, 0) },
    Lane { stream: 7, pool: (0, 0) },
    Lane { stream: 0, pool: (1, 0) },
    Lane { stream: 7, pool: (1, 0) },
    Lane { stream: 0, pool: (2, 0) },
];

/// What a program does next; `which` of its live blocks is counted round.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Alloc {
        lane: u16,
        size: u64,
    },
    Free {
        which: usize,
    },
    GiveUp {
        which: usize,
    },
    Complete {
        which: usize,
    },
    /// A request after whose failure the program goes on.
    Try {
        lane: u16,
        size: u64,
    },
    EmptyCache,
    Retire {
        lane: u16,
    },
}

/// Which lanes a program uses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pools {
    DefaultOnly,
    Private,
}

pub(super) fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 1..MIB,
        4 => (1..2000_u64).prop_map(|units| units * 512),
        8 => MIB..12 * MIB,
        6 => (1..100_u64).prop_map(|pages| pages * 2 * MIB),
        2 => 12 * MIB..200 * MIB,
        2 => prop::sample::select(vec![
            0, 1, 511, 512, 513, MIB - 1, MIB, MIB + 1, 10 * MIB - 1, 10 * MIB, 20 * MIB,
        ]),
    ]
}

fn tried_sizes() -> impl Strategy<Value = u64> {
    let absurd = vec![1 << 40, (1 << 40) + 1, 1 << 45, 1 << 63, u64::MAX - 511, u64::MAX];
    prop_oneof![3 => sizes(), 2 => 200 * MIB..4096 * MIB, 1 => prop::sample::select(absurd)]
}

pub(super) fn acts(pools: Pools) -> impl Strategy<Value = Vec<Act>> {
    let lanes = if pools == Pools::Private { LANES.len() as u16 } else { 2 };
    // Most requests are in the first lane, as they are in life.
    let lane = prop_oneof![3 => Just(0), 2 => 0..lanes].boxed();
    let retires = u32::from(pools == Pools::Private);
    let act = prop_oneof![
        10 => (lane.clone(), sizes()).prop_map(|(lane, size)| Act::Alloc { lane, size }),
        6 => any::<usize>().prop_map(|which| Act::Free { which }),
        2 => any::<usize>().prop_map(|which| Act::GiveUp { which }),
        2 => any::<usize>().prop_map(|which| Act::Complete { which }),
        1 => (lane.clone(), tried_sizes()).prop_map(|(lane, size)| Act::Try { lane, size }),
        1 => Just(Act::EmptyCache),
        retires => lane.prop_map(|lane| Act::Retire { lane }),
    ];
    prop::collection::vec(act, 1..120)
}

/// The program of acts; those that nothing is there for are left out.
pub(super) fn program_of(acts: &[Act]) -> Program {
    let mut program = Program { lanes: LANES.to_vec(), ..Program::default() };
    let (mut held, mut waiting): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    let mut vacant = Vec::new();
    for act in acts {
        let step = match *act {
            Act::Alloc { lane, size } => {
                program.requests += 1;
                let slot = vacant.pop().unwrap_or_else(|| {
                    program.slots += 1;
                    program.slots - 1
                });
                held.push(slot);
                Step::Alloc { slot, lane, size }
            }
            Act::Try { lane, size } => {
                program.requests += 1;
                Step::Failed { lane, size }
            }
            Act::Free { which } if !held.is_empty() => {
                let slot = held.swap_remove(which % held.len());
                vacant.push(slot);
                Step::Free { slot }
            }
            Act::GiveUp { which } if !held.is_empty() => {
                let slot = held.swap_remove(which % held.len());
                waiting.push(slot);
                Step::GiveUp { slot }
            }
            Act::Complete { which } if !waiting.is_empty() => {
                let slot = waiting.swap_remove(which % waiting.len());
                vacant.push(slot);
                Step::Complete { slot }
            }
            Act::EmptyCache => Step::EmptyCache,
            Act::Retire { lane } => Step::RetirePool { lane },
            Act::Free { .. } | Act::GiveUp { .. } | Act::Complete { .. } => continue,
        };
        program.events.push(program.steps.len() as u32);
        program.steps.push(step);
    }
    program
}

/// Frees all, retires all pools and empties the cache.
pub(super) fn finish(program: &mut Program) {
    let mut holds = vec![None; program.slots as usize];
    for step in &program.steps {
        match *step {
            Step::Alloc { slot, .. } => holds[slot as usize] = Some(Step::Free { slot }),
            Step::GiveUp { slot } => holds[slot as usize] = Some(Step::Complete { slot }),
            Step::Free { slot } | Step::Complete { slot } => holds[slot as usize] = None,
            _ => {}
        }
    }
    let retired = (0..LANES.len() as u16).map(|lane| Step::RetirePool { lane });
    let last = holds.into_iter().flatten().chain(retired).chain([Step::EmptyCache]);
    program.steps.extend(last);
    program.events = (0..program.steps.len() as u32).collect();
}

pub(super) fn releases() -> impl Strategy<Value = Release> {
    let minors = prop::sample::select(vec![4, 6, 9, 11, 12, 15]);
    minors.prop_map(|minor| Release { major: 2, minor })
}

pub(super) fn settings() -> impl Strategy<Value = Settings> {
    let split = prop::option::weighted(0.4, (21..300_u64).prop_map(|mebibytes| mebibytes * MIB));
    let divisions = prop_oneof![
        3 => Just(Rounding::default()),
        1 => prop::array::uniform16(prop::sample::select(vec![0, 1, 2, 4, 8, 64, 32768]))
            .prop_map(|divisions| Rounding { divisions }),
    ];
    let segment = prop_oneof![4 => Just(LARGE_BUFFER), 1 => (11..80_u64).prop_map(|m| m * MIB)];
    (
        any::<bool>(),
        split,
        21..200_u64,
        divisions,
        prop::option::weighted(0.3, 0.05..0.95_f64),
        segment,
        prop::option::weighted(0.5, 0.1..1.0_f64),
    )
        .prop_map(
            |(expandable_segments, max_split_size, slack, rounding, share, segment, cap)| {
                Settings {
                    expandable_segments,
                    max_split_size,
                    max_non_split_rounding: slack * MIB,
                    rounding,
                    garbage_collection_threshold: share,
                    large_segment_size: segment,
                    memory_fraction: cap,
                    ..Settings::default()
                }
            },
        )
}

/// Devices on which little fits, and those on which all does.
pub(super) fn capacities() -> impl Strategy<Value = Capacity> {
    let small = (20..2000_u64).prop_map(|mebibytes| mebibytes * MIB);
    prop_oneof![3 => small, 1 => Just(64 << 30)]
        .prop_map(|available| Capacity { available, total: available + available / 4 })
}
