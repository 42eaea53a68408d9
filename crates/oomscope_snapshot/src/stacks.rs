//! Frames and stacks, each kept once: stacks are a prefix tree whose root is the outermost frame.

use std::collections::HashMap;

use oomscope_model::{Frame, FrameId, StackId};
use rustc_hash::FxHashMap;

/// More nodes than any real file needs; a hostile one stops here.
const MOST_NODES: usize = 1 << 26;

/// All frames and stacks of a snapshot. Equal stacks have equal ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stacks {
    frames: Vec<Frame>,
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    /// The caller's node; [`StackId::NONE`] for the outermost frame.
    caller: StackId,
    frame: FrameId,
}

impl Stacks {
    /// A frame, or `None` when the id is of another snapshot.
    pub fn frame(&self, id: FrameId) -> Option<&Frame> {
        self.frames.get(id.0 as usize)
    }

    /// The frames of a stack, innermost first; none for [`StackId::NONE`].
    pub fn frames_of(&self, stack: StackId) -> impl Iterator<Item = &Frame> {
        self.frame_ids_of(stack).filter_map(|id| self.frame(id))
    }

    /// The ids of a stack's frames, innermost first.
    pub fn frame_ids_of(&self, stack: StackId) -> impl Iterator<Item = FrameId> {
        let mut at = stack;
        std::iter::from_fn(move || {
            let node = self.nodes.get(at.0 as usize)?;
            at = node.caller;
            Some(node.frame)
        })
    }

    /// The stack without its innermost frame; `None` at the outermost one.
    pub fn caller(&self, stack: StackId) -> Option<StackId> {
        let caller = self.nodes.get(stack.0 as usize)?.caller;
        (caller != StackId::NONE).then_some(caller)
    }

    /// Number of stacks, the prefixes that only others share included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no stack was recorded.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Number of distinct frames.
    pub fn frame_count(&self) -> usize {
        self.frames.len()
    }

    /// Every frame, by id.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Every stack, by id: its caller ([`StackId::NONE`] at the outermost frame) and its innermost
    /// frame. Callers stand before the stacks that they call.
    pub(crate) fn edges(&self) -> impl Iterator<Item = (StackId, FrameId)> {
        self.nodes.iter().map(|node| (node.caller, node.frame))
    }

    /// The same stacks, with other names for their frames.
    pub(crate) fn renamed(&self, rename: impl FnMut(&Frame) -> Frame) -> Stacks {
        Stacks { frames: self.frames.iter().map(rename).collect(), nodes: self.nodes.clone() }
    }

    /// Stacks of given frames and edges; `None` when an edge refers to what does not stand before
    /// it, so that a stack could be endless.
    pub(crate) fn from_edges(
        frames: Vec<Frame>,
        edges: impl Iterator<Item = (StackId, FrameId)>,
    ) -> Option<Stacks> {
        let mut nodes = Vec::with_capacity(edges.size_hint().0.min(MOST_NODES));
        for (caller, frame) in edges {
            let is_before = caller == StackId::NONE || (caller.0 as usize) < nodes.len();
            if !is_before || frame.0 as usize >= frames.len() || nodes.len() >= MOST_NODES {
                return None;
            }
            nodes.push(Node { caller, frame });
        }
        Some(Stacks { frames, nodes })
    }
}

/// Builds [`Stacks`].
#[derive(Debug)]
pub(crate) struct StackInterner {
    stacks: Stacks,
    /// Bytes that the texts of frames may still take: one text can be the name of many frames.
    room: usize,
    is_full: bool,
    by_edge: FxHashMap<u64, u32>,
    // Keyed with random state: the strings are the input's own.
    texts: HashMap<Box<str>, u32>,
    by_parts: FxHashMap<(u32, u32, u32), FrameId>,
}

impl StackInterner {
    /// For an input of `len` bytes. Real files spend 20 bytes or more on a frame, whose names take
    /// a few hundred.
    pub(crate) fn for_input_of(len: usize) -> StackInterner {
        StackInterner {
            stacks: Stacks::default(),
            room: len.saturating_mul(16).saturating_add(16 << 20),
            is_full: false,
            by_edge: FxHashMap::default(),
            texts: HashMap::default(),
            by_parts: FxHashMap::default(),
        }
    }

    /// The id of a frame; `None` once the names of frames outgrow the input.
    pub(crate) fn frame(&mut self, file: &str, function: &str, line: u32) -> Option<FrameId> {
        let parts = (self.text(file), self.text(function), line);
        if let Some(&known) = self.by_parts.get(&parts) {
            return Some(known);
        }
        let Some(room) = self.room.checked_sub(file.len() + function.len()) else {
            self.is_full = true;
            return None;
        };
        self.room = room;
        let next = FrameId(self.stacks.frames.len() as u32);
        let frame = Frame { file: file.to_owned(), line, function: function.to_owned() };
        self.stacks.frames.push(frame);
        self.by_parts.insert(parts, next);
        Some(next)
    }

    /// Whether a frame was refused.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// The stack of `frames`, outermost first.
    pub(crate) fn stack(&mut self, frames: impl Iterator<Item = FrameId>) -> StackId {
        let mut at = StackId::NONE;
        for frame in frames {
            let edge = u64::from(at.0) << 32 | u64::from(frame.0);
            if let Some(&known) = self.by_edge.get(&edge) {
                at = StackId(known);
                continue;
            }
            if self.stacks.nodes.len() >= MOST_NODES {
                return at;
            }
            let next = self.stacks.nodes.len() as u32;
            self.stacks.nodes.push(Node { caller: at, frame });
            self.by_edge.insert(edge, next);
            at = StackId(next);
        }
        at
    }

    pub(crate) fn stacks(&self) -> &Stacks {
        &self.stacks
    }

    pub(crate) fn finish(self) -> Stacks {
        self.stacks
    }

    fn text(&mut self, text: &str) -> u32 {
        if let Some(&id) = self.texts.get(text) {
            return id;
        }
        let next = self.texts.len() as u32;
        self.texts.insert(text.into(), next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::StackInterner;

    #[test]
    fn equal_stacks_have_equal_ids_and_share_their_callers() {
        let mut interner = StackInterner::for_input_of(0);
        let frames = [("main", 1), ("step", 2), ("loss", 3)];
        let [main, step, loss] =
            frames.map(|(name, line)| interner.frame("train.py", name, line).expect("room"));
        let one = interner.stack([main, step, loss].into_iter());
        let same = interner.stack([main, step, loss].into_iter());
        let other = interner.stack([main, step].into_iter());
        assert_eq!(one, same);
        let stacks = interner.finish();
        assert_eq!(stacks.len(), 3);
        assert_eq!(stacks.caller(one), Some(other));
        let names: Vec<&str> = stacks.frames_of(one).map(|frame| frame.function.as_str()).collect();
        assert_eq!(names, ["loss", "step", "main"]);
    }
}
