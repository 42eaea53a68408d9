//! What one device of an allocator snapshot says, summed up for the diagnosis.

use crate::{AllocatorSettings, Bytes, DeviceId, EventIndex, Frame, GradMode, Phase, Place};

/// The moment whose state is described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Rewound to an `oom` event of the trace.
    Oom {
        /// The event.
        event: EventIndex,
        /// Bytes that were asked for, before rounding.
        requested: Bytes,
        /// Bytes that the driver reported free.
        device_free: Bytes,
    },
    /// No failure in the trace: the event with the most allocated bytes.
    Peak {
        /// The event.
        event: EventIndex,
    },
    /// No trace: the state at the dump.
    End,
}

/// The allocator's counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryState {
    /// Reserved from the device.
    pub reserved: Bytes,
    /// In blocks held by tensors.
    pub allocated: Bytes,
    /// Allocated plus blocks that wait for a stream.
    pub active: Bytes,
    /// Asked for by the live blocks, before rounding, where known.
    pub requested: Option<Bytes>,
    /// Reserved by private pools.
    pub private_pools: Bytes,
    /// Waiting for another stream.
    pub pending_free: Bytes,
    /// The largest cached block, where the layout is known at this moment.
    pub largest_free_block: Option<Bytes>,
    /// Free bytes inside segments that are partly in use: what fragmentation can strand.
    pub inactive_split: Option<Bytes>,
}

/// What a block most likely is, told from its stack and lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Weights and buffers.
    Parameters,
    /// `.grad`.
    Gradients,
    /// Moments and other per-parameter states.
    OptimizerState,
    /// Made by a forward pass; saved for backward or kept.
    Activations,
    /// Made by a backward pass, not a parameter's gradient.
    BackwardTemporaries,
    /// Batches moved to the device.
    Inputs,
    /// Library workspaces.
    Workspace,
    /// Freed soon, by the forward pass, optimizer step or loading that made it.
    Temporaries,
    /// Buffers of collective operations and of the wrappers that shard a model.
    Collectives,
    /// No stack, or nothing that tells.
    Unknown,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 10] = [
        Role::Parameters,
        Role::Gradients,
        Role::OptimizerState,
        Role::Activations,
        Role::BackwardTemporaries,
        Role::Inputs,
        Role::Workspace,
        Role::Temporaries,
        Role::Collectives,
        Role::Unknown,
    ];

    /// In words, for reports and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Parameters => "parameters",
            Role::Gradients => "gradients",
            Role::OptimizerState => "optimizer state",
            Role::Activations => "activations",
            Role::BackwardTemporaries => "backward temporaries",
            Role::Inputs => "inputs",
            Role::Workspace => "workspaces",
            Role::Temporaries => "temporaries",
            Role::Collectives => "collectives",
            Role::Unknown => "unknown",
        }
    }
}

/// Live blocks of one user line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The user's line; `None` when no user frame was recorded.
    pub place: Option<Place>,
    /// The library call right below it, as in `F.cross_entropy`.
    pub library_call: Option<String>,
    /// What the blocks are.
    pub role: Role,
    /// When they were made.
    pub phase: Phase,
    /// Off when a `no_grad` or `inference_mode` decorator is on the stack; else unknown.
    pub grad_mode: GradMode,
    /// Bytes after rounding.
    pub bytes: Bytes,
    /// Number of blocks.
    pub blocks: u64,
    /// Event of the oldest block; `None` when older than the trace.
    pub oldest: Option<EventIndex>,
    /// Event of the youngest block; `None` when older than the trace.
    pub youngest: Option<EventIndex>,
    /// The user's lines above it, innermost first, as most of its blocks have them.
    pub callers: Vec<Place>,
}

/// One request, with who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The whole stack, innermost first.
    pub stack: Vec<Frame>,
    /// The innermost user frame.
    pub place: Option<Place>,
    /// The library call right below it.
    pub library_call: Option<String>,
    /// What the program was doing.
    pub phase: Phase,
    /// Bytes asked for.
    pub requested: Bytes,
}

/// Memory that survives step after step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// How many periods (steps) the trace shows up to the moment.
    pub periods: u32,
    /// In how many of them something was left behind.
    pub growing_periods: u32,
    /// Left behind in a period, the median; `None` where the recording shows no whole periods.
    pub per_period: Option<Bytes>,
    /// All that was left behind up to the moment, older periods included.
    pub total: Bytes,
    /// By user line, most bytes first.
    pub lines: Vec<Holder>,
    /// How many distinct stacks leave something behind in a period: one or two for a kept
    /// output, many for a kept graph.
    pub stacks_per_period: u32,
    /// Of what the calls made that left something behind, the percentage that they kept: about 40
    /// for a graph, less for single outputs; `None` where it cannot be told.
    pub call_kept_percent: Option<u8>,
    /// Whether the blocks themselves get larger from period to period (a concatenation).
    pub blocks_get_larger: bool,
    /// Whether backward ran in the periods that left something behind.
    pub backward_ran: bool,
}

/// How much of a forward pass is still held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardPass {
    /// Bytes that it made and that are held.
    pub kept: Bytes,
    /// Bytes that it made.
    pub made: Bytes,
    /// What is held of its older half, in percent: about 40 when a graph is recorded, near 0 when
    /// each layer frees the one before.
    pub older_kept_percent: u8,
}

/// What the recording cannot show, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// The ring buffer wrapped: the oldest events are lost.
    RingWrapped,
    /// Recording began after memory had been allocated.
    RecordingBeganLate,
    /// The file ends inside its trace: the last events are lost.
    TailLost,
    /// Nothing was recorded: only the state at the dump is known.
    NoTrace,
    /// Events have no stacks.
    NoStacks,
    /// Some live blocks have no user frame (backward threads, C++).
    SomeWithoutFrames,
    /// The trace and the segments disagree.
    Inconsistent,
}

impl Limit {
    /// What it means, in a sentence part.
    pub const fn meaning(self) -> &'static str {
        match self {
            Limit::RingWrapped => "the recorder's ring wrapped: the oldest events are lost",
            Limit::RecordingBeganLate => {
                "recording began when memory was already allocated: what is older has no history"
            }
            Limit::TailLost => {
                "the file is cut: the last events are lost, and the state where they begin is rebuilt from the ones before"
            }
            Limit::NoTrace => "no history was recorded: only the state at the dump is known",
            Limit::NoStacks => "no stacks were recorded: bytes cannot be tied to lines",
            Limit::SomeWithoutFrames => {
                "some live blocks have no Python frame (made by the backward thread or C++)"
            }
            Limit::Inconsistent => "the trace and the segments disagree in places",
        }
    }
}

/// What one device of a snapshot says at the moment that matters.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotEvidence {
    /// The input, as the user named it.
    pub input: String,
    /// The device.
    pub device: DeviceId,
    /// The PyTorch releases that write such a file, in words.
    pub torch_version: Option<String>,
    /// The allocator's settings.
    pub settings: AllocatorSettings,
    /// The moment that is described.
    pub moment: Moment,
    /// The counters then.
    pub state: MemoryState,
    /// The counters at the dump.
    pub end: MemoryState,
    /// The most that was allocated in the trace.
    pub peak_allocated: Bytes,
    /// Entries of the device's trace.
    pub events: u64,
    /// The request that failed (or, without a failure, the one that made the peak).
    pub request: Option<Request>,
    /// Live bytes by user line, most first; complete: the sum is `state.allocated`.
    pub holders: Vec<Holder>,
    /// Live bytes by role, most first.
    pub roles: Vec<(Role, Bytes)>,
    /// Memory that survives step after step, where found.
    pub growth: Option<Growth>,
    /// The forward pass that was running, where the trace shows enough of it.
    pub forward: Option<ForwardPass>,
    /// Live bytes of activations that are older than the trace: of which step they are is unknown.
    pub untraced_activations: Bytes,
    /// How many steps of the program the trace shows before the moment; 0 when it shows none.
    pub steps_seen: u32,
    /// How many `backward()` runs the trace shows before the moment.
    pub backward_runs: u32,
    /// How many optimizer steps the trace shows before the moment.
    pub optimizer_steps: u32,
    /// How many failures the trace shows, this one included.
    pub oom_events: u32,
    /// What the recording cannot show.
    pub limits: Vec<Limit>,
    /// What a replay of the trace by the allocator model says, where it was done.
    pub replay: Option<ReplayEvidence>,
}

/// What the allocator model says of a trace, from its begin up to the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayEvidence {
    /// Events that were replayed.
    pub events: u64,
    /// The first event at which the model decides otherwise than the trace; `None`: it agrees.
    pub divergence: Option<EventIndex>,
    /// What the process could hold, as far as the trace shows it.
    pub capacity: Option<Bytes>,
    /// The most that was live at once, the failing request included: no setting needs less.
    pub live: Bytes,
    /// What the same blocks take when they are packed into one address space: an estimate.
    pub packed: Bytes,
    /// The most that is held from the device under the recorded settings, were it without limit.
    pub needed: Bytes,
    /// Other settings.
    pub trials: Vec<ReplayTrial>,
}

/// A trace replayed under other settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayTrial {
    /// The settings, as the value of `PYTORCH_CUDA_ALLOC_CONF`.
    pub conf: String,
    /// The most that is held from the device, were it without limit.
    pub peak_reserved: Bytes,
    /// Whether every request is served on the device that the trace shows; `None` where it does
    /// not show how much the process could hold.
    pub serves: Option<bool>,
}
