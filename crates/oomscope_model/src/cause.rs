//! The closed catalogue of causes. Names are stable: JSON, tests and `allow` comments hold them.

use std::fmt;
use std::str::FromStr;

macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why memory is held or missing; the order is the order in which causes are checked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Cause { $($(#[$doc])* $variant,)* }

        impl Cause {
            /// Every cause, in the order in which they are checked.
            pub const ALL: &[Cause] = &[$(Cause::$variant,)*];

            /// The stable name, as in `graph-retained`.
            pub const fn name(self) -> &'static str {
                match self { $(Cause::$variant => $name,)* }
            }
        }
    };
}

causes! {
    /// `.grad` of every parameter is kept or summed across steps.
    GradientsNotCleared = "gradients-not-cleared",
    /// A tensor kept across steps still carries its autograd graph.
    GraphRetained = "graph-retained",
    /// One step's activations do not fit.
    ActivationsTooLarge = "activations-too-large",
    /// Inference or validation runs with grad mode on.
    EvalRecordsGraph = "eval-records-graph",
    /// Python still refers to tensors that are no longer needed.
    ReferencesHeld = "references-held",
    /// Detached outputs are gathered on the device over a loop.
    OutputsAccumulated = "outputs-accumulated",
    /// One request is huge.
    OversizedAllocation = "oversized-allocation",
    /// The weights (with gradients and states) cannot fit this device at all.
    ModelTooLarge = "model-too-large",
    /// Optimizer states are made at the first `step()`.
    OptimizerState = "optimizer-state",
    /// Enough bytes are reserved and free, none contiguous.
    Fragmentation = "fragmentation",
    /// Someone else holds the device.
    OtherProcess = "other-process",
    /// Several ranks of this job sit on one device.
    RanksOnOneDevice = "ranks-on-one-device",
    /// Loading a checkpoint put a second copy on the device.
    CheckpointLoad = "checkpoint-load",
    /// `retain_graph=True` or `create_graph=True` keeps graphs.
    RetainedBackward = "retained-backward",
    /// Blocks freed in Python wait for another stream.
    StreamHeld = "stream-held",
    /// CUDA-graph or compile pools hold memory.
    PrivatePools = "private-pools",
    /// Context, NCCL, library workspaces or other libraries hold memory.
    NonTorchMemory = "non-torch-memory",
    /// The generation cache grows with length and batch.
    KvCache = "kv-cache",
    /// A server's own budget does not fit.
    ServingBudget = "serving-budget",
    /// A fraction, MIG slice or quota is smaller than the card.
    MemoryCap = "memory-cap",
    /// Host RAM or shared memory ran out, not the GPU's.
    HostMemory = "host-memory",
    /// Driver or platform refuses memory that it reports free.
    DriverRefusal = "driver-refusal",
    /// The message blames memory, the cause is something else.
    NotOutOfMemory = "not-out-of-memory",
    /// The evidence does not decide.
    Unknown = "unknown",
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Cause {
    type Err = ();
    fn from_str(text: &str) -> Result<Cause, ()> {
        Cause::ALL.iter().copied().find(|cause| cause.name() == text).ok_or(())
    }
}
