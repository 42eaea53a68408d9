//! The reasons of verdicts, in words.

/// Why a block is taken to be what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Why {
    Rule(u32),
    LibraryCall,
    WorkspaceSize,
    Collective,
    MovesABatch,
    LoadedInAStep,
    Loaded,
    FreedInLoading,
    FreedInForward,
    FreedBeforeBackward,
    HeldToTheEnd,
    FreedInBackward,
    OutlivesItsStep,
    LivesOn,
    StillLive,
    PeersFreed,
    PeersSaved,
    Recomputed,
    FreedInItsBackward,
    OutlivesBackward,
    ParameterSized,
    FreedInOptimizer,
    OutlivesOptimizer,
    OptimizerInit,
    OptimizerBuilt,
    HasGradient,
    MadeBeforeForward,
    FreedBeforeNext,
    MainLine,
    AsEarlierOnes,
    OlderByStack,
    OlderThanTrace,
    NoPython,
    NoStack,
}

impl Why {
    /// What the block's life says, to follow `made in ...`.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Why::Rule(_) => "a rule of the configuration names it",
            Why::LibraryCall => "a library asked for its workspace",
            Why::WorkspaceSize => "has the size of a cuBLAS workspace and is never freed",
            Why::Collective => "serves a collective or a sharding wrapper",
            Why::MovesABatch => "the function moves batches",
            Why::LoadedInAStep => "loaded between steps and given up again",
            Why::Loaded => "made while the model was built, lives on",
            Why::FreedInLoading => "freed before the model ran",
            Why::FreedInForward => "freed before its forward pass ended",
            Why::FreedBeforeBackward => "freed before backward began",
            Why::HeldToTheEnd => "held until its forward pass had ended",
            Why::FreedInBackward => "held by the forward pass, freed in the backward of its step",
            Why::OutlivesItsStep => "made by the forward pass, outlives its step",
            Why::LivesOn => "made by the forward pass, lives on to the dump",
            Why::StillLive => "still live where the recording ends or fails",
            Why::PeersFreed => "others of its line were freed by the pass that made them",
            Why::PeersSaved => "older than any of its line that its own pass freed",
            Why::Recomputed => "made again in backward by a checkpointed segment",
            Why::FreedInItsBackward => "freed by the backward that made it",
            Why::OutlivesBackward => "outlives the backward that made it",
            Why::ParameterSized => "made in backward, of a parameter's size",
            Why::FreedInOptimizer => "freed in the optimizer step that made it",
            Why::OutlivesOptimizer => "made in an optimizer step, lives on",
            Why::OptimizerInit => "made where the optimizer sets up its state",
            Why::OptimizerBuilt => "made when the optimizer was built",
            Why::HasGradient => {
                "lives on from before the first step, and has gradients of its size"
            }
            Why::MadeBeforeForward => "made before a forward pass and lives through its start",
            Why::FreedBeforeNext => "freed before the next pass began",
            Why::MainLine => "made by the program outside of every pass, kept",
            Why::AsEarlierOnes => "as earlier ones of its line",
            Why::OlderByStack => "older than the trace, told by the stack that made it",
            Why::OlderThanTrace => "older than the trace, its stack is not known",
            Why::NoPython => "no Python line and no known function made it",
            Why::NoStack => "no stack was recorded",
        }
    }
}
