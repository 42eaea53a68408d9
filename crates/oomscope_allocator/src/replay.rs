//! Runs a program's requests again under other settings, another release, or on another device.

use rustc_hash::FxHashMap;

use crate::allocator::{Allocator, Request, Rules};
use crate::async_pool;
use crate::block::{Block, BlockId};
use crate::counters::Counters;
use crate::device::Device;
use crate::program::{Program, Step};
use crate::release::Release;
use crate::settings::{Backend, Settings};
use crate::world::World;

/// What the process can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes that the device has for the allocator: its total without the context and what other
    /// processes hold. `u64::MAX` for no limit.
    pub available: u64,
    /// The device's total, bytes: what memory fractions are of.
    pub total: u64,
}

/// The request that ended a run: it failed, and when it was recorded it did not, or nothing was asked
/// for after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Number of requests before it.
    pub request: u64,
    /// The event that it is in the recorded trace.
    pub event: u32,
    /// Bytes asked for, rounded to a block as an `oom` event has them.
    pub size: u64,
    /// Bytes held from the device when it failed.
    pub reserved: u64,
    /// Bytes in blocks in use when it failed.
    pub active: u64,
}

/// What came of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Counters at the end: at the failure, if there is one.
    pub counters: Counters,
    /// The request that ended the run.
    pub failure: Option<Failure>,
    /// Requests that failed, as they did when recorded, while the program went on.
    pub survived: u64,
    /// Recorded failures that would not have been any. What the program did after the first of
    /// them is no longer what it would have done.
    pub avoided: u64,
    /// Number of segments at the end.
    pub segments: usize,
}

/// Called while a replay runs, after every step: the event that the step is in the recorded trace,
/// and the counters.
pub trait Watch {
    /// After a step.
    fn step(&mut self, event: u32, counters: &Counters);
}

impl Watch for () {
    #[inline]
    fn step(&mut self, _event: u32, _counters: &Counters) {}
}

/// Runs `program` under `settings` by the rules of `release`.
pub fn replay(
    program: &Program,
    settings: &Settings,
    release: Release,
    capacity: Capacity,
    watch: &mut impl Watch,
) -> Outcome {
    if settings.backend == Backend::CudaMallocAsync {
        return async_pool::replay(program, capacity, watch);
    }
    let rules = rules(settings, release, capacity);
    // Under other settings the past would have been another, and so on a device that is too small
    // for it: what lived is then placed anew.
    let recorded = Device::holding(&program.start, capacity.available);
    let (mut run, mut failure) =
        if settings.places_like(&program.settings) && recorded.used() <= capacity.available {
            (Run::new(program, rules, recorded), None)
        } else {
            Run::anew(program, rules, Device::new(capacity.available))
        };
    let rounding = settings.rounding;
    // Without enough for the beginning there is nothing to run.
    let steps = if failure.is_some() { &[] } else { program.steps.as_slice() };
    for (step, event) in steps.iter().zip(&program.events) {
        let failed = run.step(program, *step);
        #[cfg(any(test, feature = "check"))]
        run.check(program);
        watch.step(*event, &run.allocator.counters);
        if let Some(size) = failed {
            let Counters { reserved, active, .. } = run.allocator.counters;
            let request = run.requests - 1;
            let size = rounding.block_size(size);
            failure = Some(Failure { request, event: *event, size, reserved, active });
            break;
        }
    }
    let segments = run.allocator.layout().len();
    let Run { survived, avoided, allocator, .. } = run;
    Outcome { counters: allocator.counters, failure, survived, avoided, segments }
}

pub(crate) fn rules(settings: &Settings, release: Release, capacity: Capacity) -> Rules {
    let allowed = settings.memory_fraction.map(|share| (share * capacity.total as f64) as u64);
    Rules { settings: settings.clone(), release, allowed, device_total: capacity.total }
}

/// An allocator that runs a program on a device.
pub(crate) struct Run<W> {
    pub(crate) allocator: Allocator,
    pub(crate) world: W,
    slots: Vec<BlockId>,
    /// Slots of blocks that wait for another stream: the allocator's count of flushes then.
    given_up: FxHashMap<u32, u32>,
    requests: u64,
    survived: u64,
    avoided: u64,
}

impl Run<Device> {
    /// Before the first step, with what lived then placed by these rules, by address; with the
    /// end of the run where the device has not enough for it.
    fn anew(program: &Program, rules: Rules, device: Device) -> (Run<Device>, Option<Failure>) {
        let nothing = Program { slots: program.slots, ..Program::default() };
        let mut run = Run::new(&nothing, rules, device);
        let held = program
            .start
            .iter()
            .flat_map(|segment| segment.blocks.iter().map(move |block| (segment, block)));
        for ((segment, block), slot) in held.zip(0_u32..) {
            let size = block.asked();
            let request = Request { size, stream: segment.stream, pool: segment.pool };
            let Some(id) = run.allocator.malloc(request, &mut run.world) else {
                let Counters { reserved, active, .. } = run.allocator.counters;
                return (run, Some(Failure { request: 0, event: 0, size, reserved, active }));
            };
            if let Some(place) = run.slots.get_mut(slot as usize) {
                *place = id;
            }
            if block.is_pending {
                run.allocator.give_up(id);
                run.given_up.insert(slot, run.allocator.flushes);
            }
        }
        (run, None)
    }
}

impl<W: World> Run<W> {
    /// Before the first step, on a device that has what the program starts with.
    pub(crate) fn new(program: &Program, rules: Rules, world: W) -> Run<W> {
        let mut allocator = Allocator::new(rules);
        let mut slots = vec![BlockId::NONE; program.slots as usize];
        let mut given_up = FxHashMap::default();
        let mut next = 0_u32;
        allocator.import(&program.start, |held, block| {
            if let Some(slot) = slots.get_mut(next as usize) {
                *slot = block;
            }
            if held.is_pending {
                given_up.insert(next, 0);
            }
            next += 1;
        });
        Run { allocator, world, slots, given_up, requests: 0, survived: 0, avoided: 0 }
    }

    /// Runs a step; the size of a request that failed.
    #[inline]
    pub(crate) fn step(&mut self, program: &Program, step: Step) -> Option<u64> {
        match step {
            Step::Alloc { slot, lane, size } => {
                self.requests += 1;
                let Some(block) = self.ask(program, lane, size) else { return Some(size) };
                if let Some(place) = self.slots.get_mut(slot as usize) {
                    *place = block;
                }
            }
            Step::Free { slot } => {
                if let Some(block) = self.take(slot) {
                    self.free(block);
                }
            }
            Step::GiveUp { slot } => {
                if let Some(block) = self.slots.get(slot as usize).and_then(|block| block.some()) {
                    let Block { addr, requested, .. } = self.allocator.blocks[block];
                    self.world.gave_up(addr, requested);
                    self.allocator.give_up(block);
                    self.given_up.insert(slot, self.allocator.flushes);
                }
            }
            Step::Complete { slot } => {
                let flushes = self.given_up.remove(&slot);
                if let Some(block) = self.take(slot)
                    && flushes == Some(self.allocator.flushes)
                {
                    let Block { addr, requested, .. } = self.allocator.blocks[block];
                    self.world.completed(addr, requested);
                    self.allocator.complete(block);
                }
            }
            Step::EmptyCache => self.allocator.release_cached(&mut self.world),
            Step::RetirePool { lane } => {
                if let Some(lane) = program.lanes.get(lane as usize) {
                    self.allocator.retire_pool(lane.pool);
                }
            }
            Step::Failed { lane, size } => {
                self.requests += 1;
                match self.ask(program, lane, size) {
                    // The recorded program went on without it.
                    Some(block) => {
                        self.avoided += 1;
                        self.free(block);
                    }
                    None if self.requests == program.requests => return Some(size),
                    None => self.survived += 1,
                }
            }
            Step::Nothing => {}
        }
        None
    }

    #[inline]
    fn ask(&mut self, program: &Program, lane: u16, size: u64) -> Option<BlockId> {
        let lane = *program.lanes.get(lane as usize)?;
        let request = Request { size, stream: lane.stream, pool: lane.pool };
        let block = self.allocator.malloc(request, &mut self.world);
        match block {
            Some(block) => self.world.served(self.allocator.blocks[block].addr, size, lane),
            None => self.world.failed(size, lane),
        }
        block
    }

    #[inline]
    fn free(&mut self, block: BlockId) {
        let Block { addr, requested, .. } = self.allocator.blocks[block];
        self.world.gave_up(addr, requested);
        self.world.completed(addr, requested);
        self.allocator.free(block);
    }

    #[inline]
    fn take(&mut self, slot: u32) -> Option<BlockId> {
        let place = self.slots.get_mut(slot as usize)?;
        std::mem::replace(place, BlockId::NONE).some()
    }
}

#[cfg(any(test, feature = "check"))]
impl Run<Device> {
    /// Panics where the model contradicts itself or the device.
    fn check(&self, program: &Program) {
        self.allocator.check();
        assert_eq!(self.world.used(), self.allocator.counters.reserved, "bytes of the device");
        if program.start.is_empty() {
            self.allocator.check_addresses();
        }
    }
}
