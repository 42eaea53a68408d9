//! Made-up snapshots in the layout that PyTorch writes, for tests of this and other crates: small
//! ones by hand, and recordings of any length.

mod allocator;
mod generate;
mod program;
mod stacks;

pub use generate::{Recording, USUAL_DEPTH, write_recording};

use std::rc::Rc;

/// A Python value to be pickled as protocol 4.
#[derive(Clone, Debug)]
pub enum Node {
    /// `None`.
    None,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string.
    Text(String),
    /// A tuple of two.
    Pair(i64, i64),
    /// A list.
    List(Vec<Node>),
    /// A dict with string keys.
    Dict(Vec<(&'static str, Node)>),
    /// An object that several places refer to: written once, then referred to through the memo.
    Shared(Rc<Node>),
}

impl From<i64> for Node {
    fn from(number: i64) -> Node {
        Node::Int(number)
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Node {
        Node::Text(text.to_owned())
    }
}

/// A frame.
pub fn frame(file: &str, function: &str, line: i64) -> Node {
    Node::Dict(vec![("name", function.into()), ("filename", file.into()), ("line", line.into())])
}

/// An event of a trace.
pub fn event(action: &str, addr: i64, size: i64, frames: Node) -> Node {
    Node::Dict(vec![
        ("action", action.into()),
        (if action == "oom" { "device_free" } else { "addr" }, addr.into()),
        ("size", size.into()),
        ("stream", 0.into()),
        ("time_us", 1_700_000_000_000_000.into()),
        ("compile_context", "N/A".into()),
        ("user_metadata", "".into()),
        ("frames", frames),
    ])
}

/// A block: address, size, requested size, state.
pub fn block(addr: i64, size: i64, requested: i64, state: &str, frames: Node) -> Node {
    Node::Dict(vec![
        ("address", addr.into()),
        ("size", size.into()),
        ("requested_size", requested.into()),
        ("state", state.into()),
        ("frames", frames),
    ])
}

/// A segment of device 0 with the given blocks.
pub fn segment(addr: i64, total: i64, kind: &str, blocks: Vec<Node>) -> Node {
    Node::Dict(vec![
        ("device", 0.into()),
        ("address", addr.into()),
        ("total_size", total.into()),
        ("stream", 0.into()),
        ("segment_type", kind.into()),
        ("segment_pool_id", Node::Pair(0, 0)),
        ("is_expandable", Node::Bool(false)),
        ("frames", Node::List(Vec::new())),
        ("blocks", Node::List(blocks)),
    ])
}

/// The file: segments, and one trace a device.
pub fn snapshot(segments: Vec<Node>, traces: Vec<Vec<Node>>) -> Vec<u8> {
    let settings = Node::Dict(vec![
        ("PYTORCH_CUDA_ALLOC_CONF", "".into()),
        ("max_split_size", (-1).into()),
        ("garbage_collection_threshold", Node::Float(0.0)),
        ("expandable_segments", Node::Bool(false)),
    ]);
    pickle(&Node::Dict(vec![
        ("segments", Node::List(segments)),
        ("device_traces", Node::List(traces.into_iter().map(Node::List).collect())),
        ("allocator_settings", settings),
        ("external_annotations", Node::List(Vec::new())),
    ]))
}

/// A device with one block of 1000 bytes, allocated at `train.py:1`, and its whole trace.
pub fn one_live_block() -> Vec<u8> {
    let frames = Node::List(vec![frame("train.py", "main", 1)]);
    let frames = Node::Shared(Rc::new(frames));
    let held = block(0x1000, 1024, 1000, "active_allocated", frames.clone());
    let rest = block(0x1400, (2 << 20) - 1024, 0, "inactive", Node::List(Vec::new()));
    let trace = vec![
        event("segment_alloc", 0x1000, 2 << 20, frames.clone()),
        event("alloc", 0x1000, 1000, frames),
    ];
    snapshot(vec![segment(0x1000, 2 << 20, "small", vec![held, rest])], vec![trace])
}

/// Pickles a value as Python's C pickler does: every container and string is memoised, lists and
/// dicts fill in batches of 1000.
pub fn pickle(root: &Node) -> Vec<u8> {
    let mut writer = Writer { out: vec![0x80, 4], memo: 0, shared: Vec::new() };
    writer.node(root);
    writer.out.push(b'.');
    writer.out
}

struct Writer {
    out: Vec<u8>,
    memo: u32,
    shared: Vec<(*const Node, u32)>,
}

impl Writer {
    fn node(&mut self, node: &Node) {
        match node {
            Node::None => self.out.push(b'N'),
            Node::Bool(value) => self.out.push(if *value { 0x88 } else { 0x89 }),
            Node::Int(number) => self.int(*number),
            Node::Float(number) => {
                self.out.push(b'G');
                self.out.extend(number.to_be_bytes());
            }
            Node::Text(text) => self.text(text),
            Node::Pair(first, second) => {
                self.int(*first);
                self.int(*second);
                self.out.push(0x86);
                self.memoise();
            }
            Node::List(items) => {
                self.out.push(b']');
                self.memoise();
                for batch in items.chunks(1000) {
                    self.out.push(b'(');
                    for item in batch {
                        self.node(item);
                    }
                    self.out.push(b'e');
                }
            }
            Node::Dict(pairs) => {
                self.out.push(b'}');
                self.memoise();
                for batch in pairs.chunks(1000) {
                    self.out.push(b'(');
                    for (key, value) in batch {
                        self.text(key);
                        self.node(value);
                    }
                    self.out.push(b'u');
                }
            }
            Node::Shared(inner) => self.shared(inner),
        }
    }

    fn shared(&mut self, inner: &Rc<Node>) {
        let pointer = Rc::as_ptr(inner);
        if let Some(&(_, index)) = self.shared.iter().find(|(known, _)| *known == pointer) {
            self.out.push(b'j');
            self.out.extend(index.to_le_bytes());
            return;
        }
        // Containers are memoised before they are filled.
        self.shared.push((pointer, self.memo));
        self.node(inner);
    }

    fn int(&mut self, number: i64) {
        if let Ok(small) = i32::try_from(number) {
            self.out.push(b'J');
            self.out.extend(small.to_le_bytes());
        } else {
            self.out.extend([0x8a, 8]);
            self.out.extend(number.to_le_bytes());
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push(b'X');
        self.out.extend((text.len() as u32).to_le_bytes());
        self.out.extend(text.as_bytes());
        self.memoise();
    }

    fn memoise(&mut self) {
        self.out.push(0x94);
        self.memo += 1;
    }
}
