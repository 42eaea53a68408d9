//! Values on the machine's stack and in its memo: small, `Copy`, never holding text.

use std::borrow::Cow;

use crate::reader::word::{Word, classify};

/// A value. Containers are ids, so that an object may be referred to before it is filled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(u64),
    Float(f64),
    Text(Text),
    List(u32),
    Dict(u32),
    /// A tuple of two small numbers.
    Pair(u32, u32),
    /// Anything that no key of the schema holds, negative numbers included.
    Other,
}

impl Value {
    pub(crate) fn int(self) -> Option<u64> {
        match self {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn bool(self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// Whether two values are the same object or number, not-a-number included.
    pub(crate) fn is_same(self, other: Value) -> bool {
        match (self, other) {
            (Value::Float(one), Value::Float(other)) => one.to_bits() == other.to_bits(),
            _ => self == other,
        }
    }

    /// The word that this text is; [`Word::Unknown`] for anything else.
    pub(crate) fn word(self) -> Word {
        match self {
            Value::Text(text) => text.word,
            _ => Word::Unknown,
        }
    }

    /// Two numbers as a pool id.
    pub(crate) fn of_two(first: Value, second: Value) -> Value {
        let small = |value: Value| value.int().and_then(|number| u32::try_from(number).ok());
        match (small(first), small(second)) {
            (Some(first), Some(second)) => Value::Pair(first, second),
            _ => Value::Other,
        }
    }
}

/// A string of the input, by place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Text {
    start: u64,
    len: u32,
    pub(crate) word: Word,
    escaping: Escaping,
}

/// How a string is spelt in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escaping {
    /// As it is.
    Plain,
    /// With JSON escapes.
    Json,
}

/// Longer strings are cut: the longest that matter are stack traces of graph nodes.
const LONGEST: usize = 1 << 16;

impl Text {
    pub(crate) fn new(input: &[u8], start: usize, len: usize, escaping: Escaping) -> Text {
        let len = len.min(LONGEST);
        let bytes = input.get(start..start.saturating_add(len)).unwrap_or_default();
        Text { start: start as u64, len: len as u32, word: classify(bytes), escaping }
    }

    /// Whether two texts of one input read the same.
    #[inline]
    pub(crate) fn is_same(self, other: Text, input: &[u8]) -> bool {
        let is_alike =
            (self.word, self.len, self.escaping) == (other.word, other.len, other.escaping);
        is_alike && (self.start == other.start || self.bytes(input) == other.bytes(input))
    }

    /// A number that equal texts share, from their length and ends.
    #[inline]
    pub(crate) fn slot(self, input: &[u8]) -> usize {
        let (first, last) = match *self.bytes(input) {
            [first, .., last] => (first, last),
            [only] => (only, 0),
            [] => (0, 0),
        };
        self.len as usize ^ usize::from(first) << 1 ^ usize::from(last) << 3
    }

    #[inline]
    fn bytes(self, input: &[u8]) -> &[u8] {
        let start = self.start as usize;
        input.get(start..start.saturating_add(self.len as usize)).unwrap_or_default()
    }

    /// Its first `len` bytes.
    pub(crate) fn cut_to(self, len: u32) -> Text {
        Text { len: self.len.min(len), ..self }
    }

    pub(crate) fn resolve(self, input: &[u8]) -> Cow<'_, str> {
        let bytes = self.bytes(input);
        if self.escaping == Escaping::Json {
            let quoted = [b"\"", bytes, b"\""].concat();
            if let Ok(text) = serde_json::from_slice::<String>(&quoted) {
                return Cow::Owned(text);
            }
        }
        String::from_utf8_lossy(bytes)
    }
}

const _: () = assert!(size_of::<Value>() <= 16, "the memo of a large file holds millions");

#[cfg(test)]
mod tests {
    use super::{Escaping, Text};

    #[test]
    fn json_escapes_are_undone() {
        let input = br#"x"C:\\train\u002epy"y"#;
        let text = Text::new(input, 2, input.len() - 4, Escaping::Json);
        assert_eq!(text.resolve(input), "C:\\train.py");
    }
}
