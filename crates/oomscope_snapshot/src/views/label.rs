//! The module and the phase of a stack: what `--by module` and `annotations` both say.

use oomscope_model::{Frame, FrameOrigin, Phase, Place, StackId};

use crate::LiveBlock;
use crate::analysis::Recording;

impl Recording<'_> {
    /// The graph node or the innermost module whose `forward` is on the stack: the program's own
    /// or a model library's rather than PyTorch's layers below it.
    pub(super) fn module_label(&self, stack: StackId) -> Option<String> {
        self.module(stack).map(|(label, _)| label)
    }

    /// The same with the line of its `forward` that ran.
    pub(super) fn module(&self, stack: StackId) -> Option<(String, Option<Place>)> {
        let stacks = &self.snapshot().stacks;
        let node = stacks.frame_ids_of(stack).find_map(|frame| stacks.fx_node(frame));
        if let Some(node) = node {
            let name = node.name.as_deref().or(node.op.as_deref()).unwrap_or("node");
            let target = node.target.as_deref().map(|target| format!(" ({target})"));
            return Some((format!("{name}{}", target.unwrap_or_default()), None));
        }
        let is_forward = |frame: &&Frame| {
            frame.origin() != FrameOrigin::Native
                && frame.function.rsplit('.').next() == Some("forward")
        };
        let is_of_torch = |frame: &Frame| {
            let file = frame.file.replace('\\', "/");
            file.contains("/site-packages/torch/")
                || file.contains("/dist-packages/torch/")
                || file.contains("/torch/nn/")
        };
        let forwards = || stacks.frames_of(stack).filter(is_forward);
        let frame = forwards().find(|frame| !is_of_torch(frame)).or_else(|| forwards().next())?;
        let label = format!("{} ({}:{})", frame.function, frame.file, frame.line);
        Some((label, Some(frame.place())))
    }

    /// The phase of what a stack made in the trace. Where stacks are recorded, an event without one
    /// comes from the backward thread.
    pub(super) fn phase_label(&self, stack: StackId) -> String {
        let phase = match self.stack_summary(stack).phase {
            Phase::Unknown if stack == StackId::NONE && self.has_stacks() => Phase::Backward,
            phase => phase,
        };
        phase.name().to_owned()
    }

    /// The phase that made a block; `None` when its birth is older than the trace and the dump does
    /// not say who made it.
    pub(super) fn phase_label_of(&self, block: &LiveBlock) -> Option<String> {
        let is_known = block.allocated_at.is_some() || block.stack != StackId::NONE;
        is_known.then(|| self.phase_label(block.stack))
    }
}
