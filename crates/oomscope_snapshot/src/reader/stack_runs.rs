//! The shortcut that makes large files fast: nearly all of their bytes are lists of references to
//! frames, and equal bytes mean equal stacks, so that such a list costs one hash of its bytes.

use std::hash::Hasher;

use oomscope_model::{FrameId, StackId};
use rustc_hash::FxHasher;

use crate::reader::containers::List;
use crate::reader::machine::Machine;
use crate::reader::value::Value;

const BINGET: u8 = b'h';
const LONG_BINGET: u8 = b'j';
const APPENDS: u8 = b'e';

/// A stretch of references in the input that stands for a stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenRun {
    start: usize,
    len: u32,
    stack: StackId,
}

impl Machine<'_> {
    /// After a `MARK` at `start - 1`: when only references to frames follow up to an `APPENDS`, and
    /// the list below the mark is empty, fills the list and says where reading goes on.
    #[inline]
    pub(crate) fn take_stack_run(&mut self, start: usize) -> Option<usize> {
        let &Value::List(list) = self.stack.last()? else { return None };
        if *self.lists.get(list as usize)? != List::Empty {
            return None;
        }
        let (stack, after) = self.stack_run(start)?;
        *self.lists.get_mut(list as usize)? = List::Stack(stack);
        Some(after)
    }

    /// The stack of the references that stand at `start`, and where the `APPENDS` after them ends.
    #[inline]
    pub(crate) fn stack_run(&mut self, start: usize) -> Option<(StackId, usize)> {
        let rest = self.input.get(start..)?;
        let len = run_length(rest)?;
        let bytes = rest.get(..len)?;
        let mut hasher = FxHasher::default();
        hasher.write(bytes);
        let hash = hasher.finish();
        let stack = match self.seen_runs.get(&hash) {
            Some(seen) if self.input.get(seen.start..seen.start + seen.len as usize)? == bytes => {
                seen.stack
            }
            _ => {
                let stack = self.stack_of_references(bytes)?;
                self.seen_runs.insert(hash, SeenRun { start, len: len as u32, stack });
                stack
            }
        };
        Some((stack, start + len + 1))
    }

    /// The stack of a stretch of references; `None` when one is not to a frame.
    fn stack_of_references(&mut self, bytes: &[u8]) -> Option<StackId> {
        let mut frames: Vec<FrameId> = Vec::with_capacity(bytes.len() / 2);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (index, after) = match *rest {
                [BINGET, index, ref after @ ..] => (u32::from(index), after),
                [LONG_BINGET, a, b, c, d, ref after @ ..] => {
                    (u32::from_le_bytes([a, b, c, d]), after)
                }
                _ => return None,
            };
            let frame = self.frame_of(self.memo.get(index)?)?;
            frames.push(self.intern_frame(frame)?);
            rest = after;
        }
        Some(self.interner.stack(frames.into_iter().rev()))
    }
}

/// The length of the references that stand before an `APPENDS`; `None` when anything else does.
#[inline]
fn run_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            LONG_BINGET => at += 5,
            BINGET => at += 2,
            APPENDS if at > 0 => return Some(at),
            _ => return None,
        }
    }
}
