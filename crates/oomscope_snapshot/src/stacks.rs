//! Frames and stacks, each kept once: stacks are a prefix tree whose root is the outermost frame.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use oomscope_model::{Frame, FrameId, StackId};

/// More nodes than any real file needs; a hostile one stops here.
const MOST_NODES: usize = 1 << 26;

/// All frames and stacks of a snapshot. Equal stacks have equal ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stacks {
    frames: Vec<Frame>,
    nodes: Vec<Node>,
    /// By frame.
    fx_nodes: Vec<(FrameId, FxNode)>,
}

/// The graph node whose generated code a frame runs: what
/// `_dump_snapshot(augment_with_fx_traces=True)` of PyTorch 2.9 or later adds to frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FxNode {
    /// The node's kind, as `call_function`.
    pub op: Option<String>,
    /// The node's name in the graph, as `relu_1`.
    pub name: Option<String>,
    /// What it calls.
    pub target: Option<String>,
    /// The stack of the model's own source that the node was traced from.
    pub original_trace: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    /// The caller's node; [`StackId::NONE`] for the outermost frame.
    caller: StackId,
    frame: FrameId,
}

impl Node {
    fn edge(self) -> u64 {
        u64::from(self.caller.0) << 32 | u64::from(self.frame.0)
    }
}

impl Stacks {
    /// A frame, or `None` when the id is of another snapshot.
    pub fn frame(&self, id: FrameId) -> Option<&Frame> {
        self.frames.get(id.0 as usize)
    }

    /// The graph node of a frame of generated code, where the file has it.
    pub fn fx_node(&self, id: FrameId) -> Option<&FxNode> {
        let at = self.fx_nodes.binary_search_by_key(&id, |&(frame, _)| frame).ok()?;
        self.fx_nodes.get(at).map(|(_, node)| node)
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

    /// Each stack as its caller and innermost frame, by id: callers precede what they call.
    pub fn edges(&self) -> impl Iterator<Item = (StackId, FrameId)> {
        self.nodes.iter().map(|node| (node.caller, node.frame))
    }

    /// Number of distinct frames.
    pub fn frame_count(&self) -> usize {
        self.frames.len()
    }

    /// The frames that have a graph node, by id.
    pub(crate) fn fx_nodes(&self) -> &[(FrameId, FxNode)] {
        &self.fx_nodes
    }

    /// Every frame, by id.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// The same stacks, with other names for their frames and graph nodes.
    pub(crate) fn renamed(
        &self,
        rename: impl FnMut(&Frame) -> Frame,
        mut rename_node: impl FnMut(&FxNode) -> FxNode,
    ) -> Stacks {
        let fx_nodes = self.fx_nodes.iter().map(|(frame, node)| (*frame, rename_node(node)));
        Stacks {
            frames: self.frames.iter().map(rename).collect(),
            nodes: self.nodes.clone(),
            fx_nodes: fx_nodes.collect(),
        }
    }

    /// Stacks of given frames, graph nodes by frame, and edges; `None` when an edge refers to what does not stand before
    /// it, so that a stack could be endless.
    pub(crate) fn from_edges(
        frames: Vec<Frame>,
        fx_nodes: Vec<(FrameId, FxNode)>,
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
        Some(Stacks { frames, nodes, fx_nodes })
    }
}

/// Builds [`Stacks`]. Its tables hold numbers only, and are keyed with random state: what they
/// compare is the input's own.
#[derive(Debug)]
pub(crate) struct StackInterner {
    stacks: Stacks,
    /// Bytes that the texts of frames may still take: one text can be the name of many frames.
    room: usize,
    is_full: bool,
    nodes: HashTable<u32>,
    frames: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl StackInterner {
    /// For an input of `len` bytes. Real files spend 20 bytes or more on a frame, whose names take
    /// a few hundred.
    pub(crate) fn for_input_of(len: usize) -> StackInterner {
        StackInterner {
            stacks: Stacks::default(),
            room: len.saturating_mul(16).saturating_add(16 << 20),
            is_full: false,
            nodes: HashTable::new(),
            frames: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// The id of a frame; `None` once the names of frames outgrow the input.
    pub(crate) fn frame(&mut self, file: &str, function: &str, line: u32) -> Option<FrameId> {
        let hash = self.hasher.hash_one((file, function, line));
        let frames = &self.stacks.frames;
        let known = self.frames.find(hash, |&id| {
            frames.get(id as usize).is_some_and(|frame| {
                frame.line == line && frame.file == file && frame.function == function
            })
        });
        if let Some(&id) = known {
            return Some(FrameId(id));
        }
        self.take_room(file.len() + function.len())?;
        let next = self.stacks.frames.len() as u32;
        let frame = Frame { file: file.to_owned(), line, function: function.to_owned() };
        self.stacks.frames.push(frame);
        let (frames, hasher) = (&self.stacks.frames, &self.hasher);
        self.frames.insert_unique(hash, next, |&id| {
            let frame = frames.get(id as usize);
            frame.map_or(0, |it| hasher.hash_one((it.file.as_str(), it.function.as_str(), it.line)))
        });
        Some(FrameId(next))
    }

    /// Keeps the graph node of the newest frame.
    pub(crate) fn keep_fx_node(&mut self, frame: FrameId, node: FxNode) {
        let parts = [&node.op, &node.name, &node.target, &node.original_trace];
        let len = parts.into_iter().flatten().map(String::len).sum();
        let is_newest = self.stacks.fx_nodes.last().is_none_or(|&(last, _)| last < frame);
        if is_newest && self.take_room(len).is_some() {
            self.stacks.fx_nodes.push((frame, node));
        }
    }

    fn take_room(&mut self, len: usize) -> Option<()> {
        let Some(room) = self.room.checked_sub(len) else {
            self.is_full = true;
            return None;
        };
        self.room = room;
        Some(())
    }

    /// Whether a frame was refused.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// The stack of `frames`, outermost first.
    pub(crate) fn stack(&mut self, frames: impl Iterator<Item = FrameId>) -> StackId {
        let mut at = StackId::NONE;
        for frame in frames {
            let node = Node { caller: at, frame };
            let hash = self.hasher.hash_one(node.edge());
            let nodes = &self.stacks.nodes;
            if let Some(&known) = self.nodes.find(hash, |&id| nodes.get(id as usize) == Some(&node))
            {
                at = StackId(known);
                continue;
            }
            if self.stacks.nodes.len() >= MOST_NODES {
                return at;
            }
            let next = self.stacks.nodes.len() as u32;
            self.stacks.nodes.push(node);
            let (nodes, hasher) = (&self.stacks.nodes, &self.hasher);
            let hash_of =
                |&id: &u32| nodes.get(id as usize).map_or(0, |it| hasher.hash_one(it.edge()));
            self.nodes.insert_unique(hash, next, hash_of);
            at = StackId(next);
        }
        at
    }

    /// Frees what only finds equal frames and stacks again.
    pub(crate) fn forget_keys(&mut self) {
        self.nodes = HashTable::new();
        self.frames = HashTable::new();
    }

    pub(crate) fn stacks(&self) -> &Stacks {
        &self.stacks
    }

    pub(crate) fn finish(self) -> Stacks {
        self.stacks
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
