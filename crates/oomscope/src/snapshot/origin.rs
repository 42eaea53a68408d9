//! What blocks are summed by where two moments or a stretch of time are looked at: what a block
//! carries with itself, unlike its age or the segment that it lies in at one moment.

use clap::ValueEnum;
use oomscope_snapshot::views::GroupBy;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Origin {
    /// The innermost line of the user's code.
    Line,
    /// The innermost function of the user's code.
    Function,
    /// The file of that function.
    File,
    /// The innermost module whose `forward` is on the stack.
    Module,
    /// The whole stack.
    Stack,
    /// Parameters, gradients, optimizer state, activations, ...
    Category,
    /// Forward, backward, optimizer step, ...
    Phase,
    /// The size's power of two.
    Size,
    /// The CUDA stream.
    Stream,
}

impl Origin {
    pub(crate) fn group_by(self) -> GroupBy {
        match self {
            Origin::Line => GroupBy::Line,
            Origin::Function => GroupBy::Function,
            Origin::File => GroupBy::File,
            Origin::Module => GroupBy::Module,
            Origin::Stack => GroupBy::Stack,
            Origin::Category => GroupBy::Category,
            Origin::Phase => GroupBy::Phase,
            Origin::Size => GroupBy::Size,
            Origin::Stream => GroupBy::Stream,
        }
    }
}
