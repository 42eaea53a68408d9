//! The memo: every object of a pickle that may be referred to again. A large file holds millions
//! of them, so that a cell is four bytes; what does not fit stands in a table of its own.

use hashbrown::HashMap;

use crate::reader::machine::Damage;
use crate::reader::value::{Text, Value};

/// A tag in the top bits, an id in the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell(u32);

const ID_BITS: u32 = 29;
const ID_MASK: u32 = (1 << ID_BITS) - 1;
const LIST: u32 = 0;
const DICT: u32 = 1;
const TEXT: u32 = 2;
const PAIR: u32 = 3;
const ODD: u32 = 4;
/// Of each number of a pair: the ids of pools are small.
const PAIR_BITS: u32 = 14;
/// Texts that are looked at for an equal one.
const RECENT: usize = 256;

/// What was stored, by index.
#[derive(Debug)]
pub(crate) struct Memo {
    cells: Vec<Cell>,
    texts: Vec<Text>,
    /// Indexes into `texts`, by a hash of the text: a file repeats few texts, often.
    recent: Vec<u32>,
    odd: Vec<Value>,
    /// Entries that are not next in line. Hostile indexes end here and cost their own size.
    sparse: HashMap<u32, Value>,
}

impl Memo {
    pub(crate) fn new() -> Memo {
        Memo {
            cells: Vec::new(),
            texts: Vec::new(),
            recent: vec![u32::MAX; RECENT],
            odd: Vec::new(),
            sparse: HashMap::new(),
        }
    }

    /// Stores at the next index.
    #[inline]
    pub(crate) fn push(&mut self, value: Value, input: &[u8]) -> Result<(), Damage> {
        if self.sparse.is_empty() {
            let cell = self.cell(value, input)?;
            self.cells.push(cell);
        } else {
            self.put((self.cells.len() + self.sparse.len()) as u32, value, input)?;
        }
        Ok(())
    }

    /// Stores at any index; true when something else stood there.
    pub(crate) fn put(&mut self, at: u32, value: Value, input: &[u8]) -> Result<bool, Damage> {
        if (at as usize) < self.cells.len() {
            let cell = self.cell(value, input)?;
            if let Some(known) = self.cells.get_mut(at as usize) {
                *known = cell;
            }
            return Ok(true);
        }
        if self.cells.len() == at as usize && !self.sparse.contains_key(&at) {
            let cell = self.cell(value, input)?;
            self.cells.push(cell);
            return Ok(false);
        }
        Ok(self.sparse.insert(at, value).is_some())
    }

    #[inline]
    pub(crate) fn get(&self, at: u32) -> Result<Value, Damage> {
        let value = match self.cells.get(at as usize) {
            Some(&cell) => self.value(cell),
            None => self.sparse.get(&at).copied(),
        };
        value.ok_or(Damage::Malformed("a reference to an object that was never stored"))
    }

    #[inline]
    fn value(&self, Cell(cell): Cell) -> Option<Value> {
        let id = cell & ID_MASK;
        match cell >> ID_BITS {
            LIST => Some(Value::List(id)),
            DICT => Some(Value::Dict(id)),
            TEXT => self.texts.get(id as usize).map(|&text| Value::Text(text)),
            PAIR => Some(Value::Pair(id >> PAIR_BITS, id & ((1 << PAIR_BITS) - 1))),
            _ => self.odd.get(id as usize).copied(),
        }
    }

    #[inline]
    fn cell(&mut self, value: Value, input: &[u8]) -> Result<Cell, Damage> {
        let is_small = |number: u32| number < 1 << PAIR_BITS;
        let (tag, id) = match value {
            Value::List(id) if id <= ID_MASK => (LIST, id),
            Value::Dict(id) if id <= ID_MASK => (DICT, id),
            Value::Pair(first, second) if is_small(first) && is_small(second) => {
                (PAIR, first << PAIR_BITS | second)
            }
            Value::Text(text) => (TEXT, self.text_id(text, input)),
            other => (ODD, self.odd_id(other)),
        };
        if id > ID_MASK {
            return Err(Damage::Malformed("more than half a billion objects"));
        }
        Ok(Cell(tag << ID_BITS | id))
    }

    fn text_id(&mut self, text: Text, input: &[u8]) -> u32 {
        let next = self.texts.len() as u32;
        let Some(recent) = self.recent.get_mut(text.slot(input) % RECENT) else { return next };
        if let Some(known) = self.texts.get(*recent as usize)
            && known.is_same(text, input)
        {
            return *recent;
        }
        *recent = next;
        self.texts.push(text);
        next
    }

    fn odd_id(&mut self, value: Value) -> u32 {
        let last = (self.odd.len() as u32).wrapping_sub(1);
        if self.odd.last().is_some_and(|known| known.is_same(value)) {
            return last;
        }
        self.odd.push(value);
        last.wrapping_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::Memo;
    use crate::reader::value::{Escaping, Text, Value};

    #[test]
    fn what_is_stored_is_what_is_fetched() {
        let input = b"N/AN/Ax";
        let text = |start, len| Value::Text(Text::new(input, start, len, Escaping::Plain));
        let values = [
            Value::List(7),
            Value::Dict(ID_TOO_LARGE),
            text(0, 3),
            text(6, 1),
            Value::Pair(3, 9),
            Value::Pair(1 << 20, 9),
            Value::Int(u64::MAX),
            Value::Float(f64::NAN),
            Value::Other,
        ];
        let mut memo = Memo::new();
        for value in values {
            memo.push(value, input).expect("room");
        }
        for (at, value) in (0..).zip(values) {
            assert!(memo.get(at).expect("stored").is_same(value), "{value:?}");
        }
        assert!(memo.get(99).is_err());
        assert_eq!(memo.put(1, Value::None, input), Ok(true));
        assert_eq!(memo.put(99, Value::None, input), Ok(false));
        assert_eq!(memo.get(99), Ok(Value::None));
    }

    const ID_TOO_LARGE: u32 = 1 << 30;

    #[test]
    fn equal_texts_and_repeated_numbers_are_stored_once() {
        let input = b"N/AN/A";
        let mut memo = Memo::new();
        for start in [0, 3, 0, 3] {
            let text = Value::Text(Text::new(input, start, 3, Escaping::Plain));
            memo.push(text, input).expect("room");
            memo.push(Value::Float(f64::NAN), input).expect("room");
        }
        assert_eq!((memo.texts.len(), memo.odd.len()), (1, 1));
    }
}
