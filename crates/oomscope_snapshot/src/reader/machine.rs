//! The machine that both readers drive: a stack, a memo, and containers that turn into rows,
//! frames, segments and blocks as they are filled. It knows no syntax and runs nothing.

use hashbrown::HashMap;
use oomscope_model::FrameId;

use crate::columns::{NumberInterner, TextInterner};
use crate::reader::containers::{List, Run};
use crate::reader::memo::Memo;
use crate::reader::records::{
    AnnotationRecord, BlockRecord, Dict, FrameRecord, FxRecord, NO_PROPERTY, Property,
    SegmentRecord, Top,
};
use crate::reader::stack_runs::SeenRun;
use crate::reader::value::Value;
use crate::snapshot::Rows;
use crate::stacks::StackInterner;

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// The input ends inside a record.
    Ends,
    /// It contradicts its own form.
    Malformed(&'static str),
    /// It wants to run code: the opcode's name.
    Refused(&'static str),
}

/// Real files nest about ten deep.
const DEEPEST: usize = 4096;
/// Real files push two thousand values before they collect them.
const MOST_VALUES: usize = 1 << 23;

/// The state of reading one input.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    pub(crate) input: &'a [u8],
    pub(crate) stack: Vec<Value>,
    pub(crate) marks: Vec<u32>,
    memo: Memo,
    /// Reference runs seen before, by hash.
    pub(crate) seen_runs: HashMap<u64, SeenRun>,
    pub(crate) lists: Vec<List>,
    pub(crate) dicts: Vec<Dict>,
    pub(crate) runs: Vec<Run>,
    pub(crate) long_stacks: Vec<Vec<FrameId>>,
    pub(crate) properties: Vec<Property>,
    pub(crate) frames: Vec<FrameRecord>,
    pub(crate) fx_nodes: Vec<FxRecord>,
    pub(crate) segments: Vec<SegmentRecord>,
    pub(crate) blocks: Vec<BlockRecord>,
    pub(crate) annotations: Vec<AnnotationRecord>,
    pub(crate) tops: Vec<Top>,
    pub(crate) rows: Rows,
    pub(crate) interner: StackInterner,
    pub(crate) streams: NumberInterner,
    pub(crate) texts: TextInterner,
    pub(crate) has_compile_context: bool,
    pub(crate) has_user_metadata: bool,
    pub(crate) unknown: Vec<(String, u64)>,
}

impl<'a> Machine<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Machine<'a> {
        Machine {
            input,
            stack: Vec::with_capacity(4096),
            marks: Vec::new(),
            memo: Memo::new(),
            seen_runs: HashMap::new(),
            lists: Vec::new(),
            dicts: Vec::new(),
            runs: Vec::new(),
            long_stacks: Vec::new(),
            properties: Vec::new(),
            frames: Vec::new(),
            fx_nodes: Vec::new(),
            segments: Vec::new(),
            blocks: Vec::new(),
            annotations: Vec::new(),
            tops: Vec::new(),
            rows: Rows::default(),
            interner: StackInterner::for_input_of(input.len()),
            streams: NumberInterner::default(),
            texts: TextInterner::default(),
            has_compile_context: false,
            has_user_metadata: false,
            unknown: Vec::new(),
        }
    }

    /// Frees what the tables do not refer to, before they are made.
    pub(crate) fn forget_what_only_reading_needs(&mut self) {
        self.memo = Memo::new();
        self.seen_runs = HashMap::new();
        self.interner.forget_keys();
    }

    #[inline]
    pub(crate) fn push(&mut self, value: Value) -> Result<(), Damage> {
        if self.stack.len() >= MOST_VALUES {
            return Err(Damage::Malformed("millions of values are pushed and not collected"));
        }
        self.stack.push(value);
        Ok(())
    }

    pub(crate) fn pop(&mut self) -> Result<Value, Damage> {
        self.above_mark(1)?;
        self.stack.pop().ok_or(Damage::Malformed("a value is missing"))
    }

    pub(crate) fn top(&self) -> Result<Value, Damage> {
        self.stack.last().copied().ok_or(Damage::Malformed("a value is missing"))
    }

    pub(crate) fn mark(&mut self) -> Result<(), Damage> {
        if self.marks.len() >= DEEPEST {
            return Err(Damage::Malformed("records are nested thousands deep"));
        }
        self.marks.push(self.stack.len() as u32);
        Ok(())
    }

    /// Ends the innermost mark: where its values begin.
    pub(crate) fn take_mark(&mut self) -> Result<usize, Damage> {
        self.marks
            .pop()
            .map(|mark| mark as usize)
            .ok_or(Damage::Malformed("a collection ends that never began"))
    }

    pub(crate) fn new_list(&mut self) -> Result<(), Damage> {
        let id = next_id(self.lists.len())?;
        self.lists.push(List::Empty);
        self.push(Value::List(id))
    }

    pub(crate) fn new_dict(&mut self) -> Result<(), Damage> {
        let id = next_id(self.dicts.len())?;
        self.dicts.push(Dict::Loose(NO_PROPERTY));
        self.push(Value::Dict(id))
    }

    /// `MEMOIZE`: the top of the stack gets the next memo index.
    #[inline]
    pub(crate) fn memoise(&mut self) -> Result<(), Damage> {
        self.memo.push(self.top()?, self.input)
    }

    pub(crate) fn put(&mut self, index: u32) -> Result<(), Damage> {
        if self.memo.put(index, self.top()?, self.input)? {
            // What a stretch of references means has changed.
            self.seen_runs = HashMap::new();
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn fetch(&self, index: u32) -> Result<Value, Damage> {
        self.memo.get(index)
    }

    /// `APPENDS`: the values from the innermost mark on join the list below it.
    pub(crate) fn append_all(&mut self) -> Result<(), Damage> {
        let base = self.take_mark()?;
        let below = base.checked_sub(1).and_then(|at| self.stack.get(at)).copied();
        let below = below.ok_or(Damage::Malformed("a value is missing"))?;
        if let Value::List(list) = below {
            self.extend_list(list, base);
        }
        self.stack.truncate(base);
        Ok(())
    }

    /// `APPEND`: the top joins the list below it.
    pub(crate) fn append_one(&mut self) -> Result<(), Damage> {
        let base = self.above_mark(2)? + 1;
        if let Some(&Value::List(list)) = self.stack.get(base - 1) {
            self.extend_list(list, base);
        }
        self.stack.truncate(base);
        Ok(())
    }

    /// `SETITEM`: the pair on top joins the dict below it.
    pub(crate) fn set_one(&mut self) -> Result<(), Damage> {
        let base = self.above_mark(3)? + 1;
        if let Some(&Value::Dict(dict)) = self.stack.get(base - 1) {
            self.extend_dict(dict, base);
        }
        self.stack.truncate(base);
        Ok(())
    }

    /// Where the topmost `count` values begin, all above the innermost mark.
    fn above_mark(&self, count: usize) -> Result<usize, Damage> {
        let floor = self.marks.last().map_or(0, |&mark| mark as usize);
        let start = self.stack.len().checked_sub(count).filter(|&start| start >= floor);
        start.ok_or(Damage::Malformed("a value is missing"))
    }

    /// `SETITEMS`: the pairs from the innermost mark on join the dict below it.
    pub(crate) fn set_all(&mut self) -> Result<(), Damage> {
        let base = self.take_mark()?;
        let below = base.checked_sub(1).and_then(|at| self.stack.get(at)).copied();
        let below = below.ok_or(Damage::Malformed("a value is missing"))?;
        if let Value::Dict(dict) = below {
            self.extend_dict(dict, base);
        }
        self.stack.truncate(base);
        Ok(())
    }
}

fn next_id(len: usize) -> Result<u32, Damage> {
    let id = u32::try_from(len).ok().filter(|&id| id < u32::MAX - 1);
    id.ok_or(Damage::Malformed("more than four billion objects"))
}
