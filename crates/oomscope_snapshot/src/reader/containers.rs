//! How lists and dicts fill: what their items make of them. Every step costs its own input.

use std::borrow::Cow;

use oomscope_model::{EventKind, FrameId, StackId};

use crate::reader::machine::Machine;
use crate::reader::records::{
    AnnotationRecord, BlockRecord, Dict, FrameRecord, FxRecord, Kind, Known, NO_PROPERTY, Property,
    SegmentRecord, Top, event_kind, is_fx, kind_of,
};
use crate::reader::value::{Text, Value};
use crate::reader::word::Word;
use crate::stacks::FxNode;

/// Distinct unknown words that are counted by name.
const MOST_UNKNOWN: usize = 64;
/// Bytes by which an unknown word is known.
const LONGEST_UNKNOWN: u32 = 80;

/// What a list is, by the items seen so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Empty,
    /// Frames, interned; more may follow.
    Stack(StackId),
    /// Frames that came in several parts: index into [`Machine::long_stacks`].
    LongStack(u32),
    /// Frames that came in several parts, interned and closed.
    Closed(StackId),
    /// Records or lists, as a chain of runs.
    Runs {
        first: u32,
        last: u32,
    },
    /// Two small numbers: how JSON spells a pool id.
    Pair(u32, u32),
}

/// Consecutive items of a list: all of a kind, with consecutive ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) items: Item,
    pub(crate) start: u32,
    pub(crate) len: u32,
    /// [`NO_RUN`] at the end.
    pub(crate) next: u32,
}

pub(crate) const NO_RUN: u32 = u32::MAX;

/// What a run's ids are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Event,
    Segment,
    Block,
    Annotation,
    List,
}

impl Machine<'_> {
    /// The stack's values from `base` on join a list.
    pub(crate) fn extend_list(&mut self, id: u32, base: usize) {
        let Some(&list) = self.lists.get(id as usize) else { return };
        let grown = match list {
            List::Empty => self.first_items(base),
            List::Stack(stack) => self.long_stack(stack, base),
            List::LongStack(index) => {
                let frames = self.frame_ids(base);
                if let Some(long) = self.long_stacks.get_mut(index as usize) {
                    long.extend(frames);
                }
                list
            }
            List::Closed(_) | List::Pair(..) => list,
            List::Runs { last, .. } => self.extend_runs(list, last, base),
        };
        if let Some(list) = self.lists.get_mut(id as usize) {
            *list = grown;
        }
    }

    fn first_items(&mut self, base: usize) -> List {
        let items = self.stack.get(base..).unwrap_or_default();
        if let &[first, second] = items
            && let Value::Pair(first, second) = Value::of_two(first, second)
        {
            return List::Pair(first, second);
        }
        if items.first().is_some_and(|&item| self.frame_of(item).is_some()) {
            let frames = self.frame_ids(base);
            return List::Stack(self.interner.stack(frames.into_iter().rev()));
        }
        self.extend_runs(List::Empty, NO_RUN, base)
    }

    fn long_stack(&mut self, stack: StackId, base: usize) -> List {
        let mut frames: Vec<FrameId> = self.interner.stacks().frame_ids_of(stack).collect();
        frames.extend(self.frame_ids(base));
        self.long_stacks.push(frames);
        List::LongStack(self.long_stacks.len() as u32 - 1)
    }

    /// The stack's values from `base` on as frames; others are left out.
    fn frame_ids(&mut self, base: usize) -> Vec<FrameId> {
        (base..self.stack.len())
            .filter_map(|at| {
                let item = *self.stack.get(at)?;
                self.frame_of(item).and_then(|frame| self.intern_frame(frame))
            })
            .collect()
    }

    /// The index of the frame record that a value is.
    pub(crate) fn frame_of(&self, value: Value) -> Option<u32> {
        let Value::Dict(dict) = value else { return None };
        match *self.dicts.get(dict as usize)? {
            Dict::Frame(frame) => Some(frame),
            _ => None,
        }
    }

    pub(crate) fn intern_frame(&mut self, index: u32) -> Option<FrameId> {
        let frame = self.frames.get_mut(index as usize)?;
        if frame.interned.is_none() && !self.interner.is_full() {
            let text = |text: Option<Text>| text.map(|text| text.resolve(self.input));
            let (file, function) = (text(frame.file), text(frame.function));
            let (file, function) = (file.unwrap_or_default(), function.unwrap_or_default());
            frame.interned = self.interner.frame(&file, &function, frame.line);
            let node = (frame.fx_node as usize).checked_sub(1).and_then(|at| self.fx_nodes.get(at));
            if let (Some(id), Some(node)) = (frame.interned, node) {
                let owned = |part: Option<Text>| text(part).map(Cow::into_owned);
                let node = FxNode {
                    op: owned(node.op),
                    name: owned(node.name),
                    target: owned(node.target),
                    original_trace: owned(node.original_trace),
                };
                self.interner.keep_fx_node(id, node);
            }
        }
        frame.interned
    }

    fn extend_runs(&mut self, mut list: List, mut last: u32, base: usize) -> List {
        for at in base..self.stack.len() {
            let Some((items, id)) = self.stack.get(at).and_then(|&value| self.item(value)) else {
                continue;
            };
            match self.runs.get_mut(last as usize) {
                Some(run) if run.items == items && run.start.wrapping_add(run.len) == id => {
                    run.len += 1;
                    continue;
                }
                _ => {}
            }
            let next = self.runs.len() as u32;
            if let Some(run) = self.runs.get_mut(last as usize) {
                run.next = next;
            }
            self.runs.push(Run { items, start: id, len: 1, next: NO_RUN });
            last = next;
            list = match list {
                List::Runs { first, .. } => List::Runs { first, last },
                _ => List::Runs { first: next, last },
            };
        }
        list
    }

    fn item(&self, value: Value) -> Option<(Item, u32)> {
        match value {
            Value::List(list) => Some((Item::List, list)),
            Value::Dict(dict) => match *self.dicts.get(dict as usize)? {
                Dict::Event(row) => Some((Item::Event, row)),
                Dict::Segment(segment) => Some((Item::Segment, segment)),
                Dict::Block(block) => Some((Item::Block, block)),
                Dict::Annotation(annotation) => Some((Item::Annotation, annotation)),
                Dict::Frame(_) | Dict::Loose(_) | Dict::Top(_) => None,
            },
            _ => None,
        }
    }

    /// The stack that a list of frames stands for.
    pub(crate) fn stack_of(&mut self, value: Value) -> StackId {
        let Value::List(id) = value else { return StackId::NONE };
        match self.lists.get(id as usize) {
            Some(&(List::Stack(stack) | List::Closed(stack))) => stack,
            Some(&List::LongStack(index)) => {
                let long = self.long_stacks.get_mut(index as usize).map(std::mem::take);
                let frames = long.unwrap_or_default();
                let stack = self.interner.stack(frames.into_iter().rev());
                if let Some(list) = self.lists.get_mut(id as usize) {
                    *list = List::Closed(stack);
                }
                stack
            }
            _ => StackId::NONE,
        }
    }

    /// The stack's pairs from `base` on join a dict.
    pub(crate) fn extend_dict(&mut self, id: u32, base: usize) {
        let Some(&dict) = self.dicts.get(id as usize) else { return };
        let dict = match dict {
            Dict::Loose(newest) => self.settle(id, newest, base),
            settled => settled,
        };
        let mut at = base;
        while let Some(&[key, value]) = self.stack.get(at..at + 2) {
            at += 2;
            let Value::Text(key) = key else { continue };
            if let Dict::Loose(_) = dict {
                self.keep_property(id, key.word, value);
            } else if self.set(dict, key.word, value) == Known::No {
                self.count_unknown(key);
            }
        }
    }

    /// Decides what a dict is, if the keys from `base` on tell.
    fn settle(&mut self, id: u32, newest: u32, base: usize) -> Dict {
        let keys = self.stack.get(base..).unwrap_or_default().iter().step_by(2);
        let Some(kind) = keys.copied().find_map(|key| kind_of(key.word())) else {
            return Dict::Loose(newest);
        };
        let dict = match kind {
            Kind::Event => Dict::Event(self.rows.push_blank()),
            Kind::Frame => Dict::Frame(push(&mut self.frames, FrameRecord::default())),
            Kind::Segment => Dict::Segment(push(&mut self.segments, SegmentRecord::default())),
            Kind::Block => Dict::Block(push(&mut self.blocks, BlockRecord::default())),
            Kind::Annotation => {
                Dict::Annotation(push(&mut self.annotations, AnnotationRecord::default()))
            }
            Kind::Top => Dict::Top(push(&mut self.tops, Top::default())),
        };
        if let Some(slot) = self.dicts.get_mut(id as usize) {
            *slot = dict;
        }
        let mut next = newest;
        while let Some(&property) = self.properties.get(next as usize) {
            self.set(dict, property.key, property.value);
            next = property.older;
        }
        dict
    }

    fn keep_property(&mut self, id: u32, key: Word, value: Value) {
        if matches!(key, Word::Unknown | Word::Skipped | Word::Empty) {
            return;
        }
        let newest = self.properties.len() as u32;
        if let Some(Dict::Loose(older)) = self.dicts.get_mut(id as usize)
            && newest != NO_PROPERTY
        {
            self.properties.push(Property { key, value, older: *older });
            *older = newest;
        }
    }

    #[inline]
    fn set(&mut self, dict: Dict, key: Word, value: Value) -> Known {
        match dict {
            Dict::Event(row) => return self.set_event(row as usize, key, value),
            Dict::Frame(index) if is_fx(key) => self.set_fx_node(index, key, value),
            Dict::Frame(index) => {
                if let Some(frame) = self.frames.get_mut(index as usize) {
                    return frame.set(key, value);
                }
            }
            Dict::Segment(index) => {
                let stack = self.stack_if(key, value);
                let value = self.list_as_pair(key, value);
                if let Some(segment) = self.segments.get_mut(index as usize) {
                    return segment.set(key, value, stack);
                }
            }
            Dict::Block(index) => {
                let stack = self.stack_if(key, value);
                if let Some(block) = self.blocks.get_mut(index as usize) {
                    return block.set(key, value, stack);
                }
            }
            Dict::Annotation(index) => {
                if let Some(annotation) = self.annotations.get_mut(index as usize) {
                    return annotation.set(key, value);
                }
            }
            Dict::Top(index) => {
                if let Some(top) = self.tops.get_mut(index as usize) {
                    return top.set(key, value);
                }
            }
            Dict::Loose(_) => {}
        }
        Known::Yes
    }

    fn set_event(&mut self, row: usize, key: Word, value: Value) -> Known {
        let put = |column: &mut Vec<u64>| {
            if let (Some(cell), Value::Int(number)) = (column.get_mut(row), value) {
                *cell = number;
            }
        };
        match key {
            Word::Action => {
                let kind = event_kind(value.word());
                if let (None, Value::Text(action)) = (kind, value) {
                    self.count_unknown(action);
                }
                if let Some(cell) = self.rows.kind.get_mut(row) {
                    *cell = kind.unwrap_or(EventKind::Other);
                }
            }
            Word::Address | Word::DeviceFree => put(&mut self.rows.addr),
            Word::Size => put(&mut self.rows.size),
            Word::Stream => {
                if let (Some(cell), Value::Int(stream)) = (self.rows.stream.get_mut(row), value) {
                    *cell = self.streams.number(stream);
                }
            }
            Word::TimeUs => put(&mut self.rows.time_us),
            Word::Frames => {
                let stack = self.stack_of(value);
                if let Some(cell) = self.rows.stack.get_mut(row) {
                    *cell = stack;
                }
            }
            Word::PoolId => {
                if let Value::Pair(owner, id) = self.list_as_pair(key, value) {
                    self.rows.pool_id.set(row as u32, (owner, id));
                }
            }
            Word::CompileContext => {
                self.has_compile_context = true;
                let number = self.text_number(value);
                self.rows.compile_context.set(row as u32, number);
            }
            Word::UserMetadata => {
                self.has_user_metadata = true;
                let number = self.text_number(value);
                self.rows.user_metadata.set(row as u32, number);
            }
            Word::Unknown => return Known::No,
            _ => {}
        }
        Known::Yes
    }

    /// The number of a text that the trace keeps; 0 for none.
    #[inline]
    fn text_number(&mut self, value: Value) -> u32 {
        match value {
            Value::Text(text) if !matches!(text.word, Word::Empty | Word::NotApplicable) => {
                self.texts.number(&text.resolve(self.input))
            }
            _ => 0,
        }
    }

    fn set_fx_node(&mut self, frame: u32, key: Word, value: Value) {
        let Some(frame) = self.frames.get_mut(frame as usize) else { return };
        if frame.fx_node == 0 {
            self.fx_nodes.push(FxRecord::default());
            frame.fx_node = self.fx_nodes.len() as u32;
        }
        if let Some(node) = self.fx_nodes.get_mut(frame.fx_node as usize - 1) {
            node.set(key, value);
        }
    }

    fn stack_if(&mut self, key: Word, value: Value) -> StackId {
        if key == Word::Frames { self.stack_of(value) } else { StackId::NONE }
    }

    fn list_as_pair(&self, key: Word, value: Value) -> Value {
        match value {
            Value::List(id) if key == Word::PoolId => match self.lists.get(id as usize) {
                Some(&List::Pair(first, second)) => Value::Pair(first, second),
                _ => value,
            },
            _ => value,
        }
    }

    fn count_unknown(&mut self, word: Text) {
        let text = word.cut_to(LONGEST_UNKNOWN).resolve(self.input);
        if let Some((_, count)) = self.unknown.iter_mut().find(|(known, _)| *known == text) {
            *count += 1;
        } else if self.unknown.len() < MOST_UNKNOWN {
            self.unknown.push((text.into_owned(), 1));
        }
    }
}

fn push<T>(records: &mut Vec<T>, record: T) -> u32 {
    records.push(record);
    records.len() as u32 - 1
}
