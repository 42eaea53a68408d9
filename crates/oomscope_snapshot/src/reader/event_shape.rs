//! The shortcut for events, of which a large file has millions: a dict of known keys whose values
//! are plain goes into its row without the stack. Anything else is left to the opcodes.

use crate::reader::containers::List;
use crate::reader::machine::{Damage, Machine};
use crate::reader::opcodes::Cursor;
use crate::reader::records::{Dict, event_kind};
use crate::reader::value::Value;
use crate::reader::word::Word;

const MEMOIZE: u8 = 0x94;
const MARK: u8 = b'(';
const TUPLE2: u8 = 0x86;
const BININT1: u8 = b'K';
const SETITEMS: u8 = b'u';

impl Machine<'_> {
    /// After an `EMPTY_DICT`: when an event follows up to its `SETITEMS`, reads it all; else leaves
    /// everything as it was and returns false.
    #[inline]
    pub(crate) fn take_event(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Damage> {
        let start = cursor.offset();
        if !self.begins_event(cursor) {
            cursor.return_to(start);
            return Ok(false);
        }
        let (lists, memoised) = (self.lists.len(), self.memo.len());
        let row = self.rows.push_blank();
        let id = self.add_dict(Dict::Event(row))?;
        self.memo.push(Value::Dict(id), self.input)?;
        if self.fill_event(row, cursor).is_none() {
            cursor.return_to(start);
            self.lists.truncate(lists);
            self.memo.truncate(memoised);
            self.dicts.truncate(id as usize);
            self.rows.truncate(row);
            return Ok(false);
        }
        self.push(Value::Dict(id))?;
        Ok(true)
    }

    /// Whether the first key is the one that tells an event. PyTorch writes it first.
    #[inline]
    fn begins_event(&self, cursor: &mut Cursor<'_>) -> bool {
        self.memo.is_dense()
            && cursor.skip(&[MEMOIZE, MARK])
            && self.reference(cursor).is_some_and(|key| key.word() == Word::Action)
    }

    /// Fills a row; the cursor stands behind the key `action`. `None` when something is not plain.
    #[inline]
    fn fill_event(&mut self, row: u32, cursor: &mut Cursor<'_>) -> Option<()> {
        let action = self.reference(cursor)?;
        event_kind(action.word())?;
        self.set_event(row as usize, Word::Action, action);
        while !cursor.skip(&[SETITEMS]) {
            let key = self.reference(cursor)?.word();
            if matches!(key, Word::Unknown | Word::Action) {
                return None;
            }
            let value = self.plain_value(cursor)?;
            self.set_event(row as usize, key, value);
        }
        Some(())
    }

    #[inline]
    fn reference(&self, cursor: &mut Cursor<'_>) -> Option<Value> {
        match cursor.u8().ok()? {
            b'h' => self.memo.get(cursor.u8().ok()?.into()),
            b'j' => self.memo.get(cursor.u32().ok()?),
            _ => None,
        }
    }

    /// A reference, a number, a text, a pool id, or a list of references to frames.
    #[inline]
    fn plain_value(&mut self, cursor: &mut Cursor<'_>) -> Option<Value> {
        let value = match cursor.peek()? {
            b'h' | b'j' => return self.reference(cursor),
            b']' => {
                cursor.return_to(cursor.offset() + 1);
                return self.plain_list(cursor);
            }
            _ => cursor.scalar()?,
        };
        let value = match value {
            Value::Int(_) if cursor.peek() == Some(BININT1) => {
                let second = cursor.scalar()?;
                cursor.skip(&[TUPLE2]).then(|| Value::of_two(value, second))?
            }
            value => value,
        };
        if cursor.skip(&[MEMOIZE]) {
            self.memo.push(value, self.input).ok()?;
        }
        Some(value)
    }

    #[inline]
    fn plain_list(&mut self, cursor: &mut Cursor<'_>) -> Option<Value> {
        let value = Value::List(u32::try_from(self.lists.len()).ok()?);
        self.lists.push(List::Empty);
        if cursor.skip(&[MEMOIZE]) {
            self.memo.push(value, self.input).ok()?;
        }
        if cursor.skip(&[MARK]) {
            let (stack, after) = self.stack_run(cursor.offset())?;
            *self.lists.last_mut()? = List::Stack(stack);
            cursor.return_to(after);
        }
        Some(value)
    }
}
