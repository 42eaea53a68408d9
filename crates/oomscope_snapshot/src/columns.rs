//! Columns of a trace whose values repeat: kept by stretch, or as numbers into a table.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

/// A column that seldom changes: where each stretch of equal values begins. Rows that were never
/// set hold the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stretches<T> {
    starts: Vec<(u32, T)>,
    /// Rows from here on were never set.
    end: u32,
}

impl<T: Copy + Default + PartialEq> Stretches<T> {
    /// The value of a row.
    pub(crate) fn get(&self, row: u32) -> T {
        if row >= self.end {
            return T::default();
        }
        let after = self.starts.partition_point(|&(start, _)| start <= row);
        let stretch = after.checked_sub(1).and_then(|at| self.starts.get(at));
        stretch.map_or_else(T::default, |&(_, value)| value)
    }

    /// Sets a row. Rows before the last one that was set stay as they are.
    #[inline]
    pub(crate) fn set(&mut self, row: u32, value: T) {
        if row.checked_add(1) == Some(self.end) {
            let was_new = self.starts.last().is_some_and(|&(start, _)| start == row);
            if was_new {
                self.starts.pop();
            }
            self.begin(row, value);
        } else if row >= self.end {
            if row > self.end {
                self.begin(self.end, T::default());
            }
            self.begin(row, value);
            self.end = row.saturating_add(1);
        }
    }

    #[inline]
    fn begin(&mut self, row: u32, value: T) {
        let current = self.starts.last().map_or_else(T::default, |&(_, value)| value);
        if current != value {
            self.starts.push((row, value));
        }
    }

    /// Keeps the first `len` rows.
    pub(crate) fn truncate(&mut self, len: u32) {
        self.end = self.end.min(len);
        self.starts.truncate(self.starts.partition_point(|&(start, _)| start < len));
    }

    /// Appends the rows `start..end` of another column as rows from `first` on.
    pub(crate) fn append(&mut self, first: u32, from: &Stretches<T>, start: u32, end: u32) {
        let end = end.min(from.end);
        if start >= end {
            return;
        }
        self.set(first, from.get(start));
        let next = from.starts.partition_point(|&(at, _)| at <= start);
        for &(at, value) in from.starts.get(next..).unwrap_or_default() {
            if at >= end {
                break;
            }
            // The rows between hold the value before.
            self.end = first.saturating_add(at - start);
            self.set(self.end, value);
        }
        self.end = first.saturating_add(end - start);
    }
}

/// Distinct texts, one after another; number 0 is no text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    /// A text by its number.
    pub(crate) fn get(&self, number: u32) -> Option<&str> {
        let at = (number as usize).checked_sub(1)?;
        let start = at.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.all.get(start..*self.ends.get(at)?)
    }
}

/// Gives equal texts equal numbers.
#[derive(Debug, Default)]
pub(crate) struct TextInterner {
    pub(crate) texts: Texts,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl TextInterner {
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        let texts = &self.texts;
        let is_known = |&number: &u32| texts.get(number) == Some(text);
        if let Some(&number) = self.numbers.find(hash, is_known) {
            return number;
        }
        self.texts.all.push_str(text);
        self.texts.ends.push(self.texts.all.len());
        let number = self.texts.ends.len() as u32;
        let (texts, hasher) = (&self.texts, &self.hasher);
        let hash_of = |&number: &u32| hasher.hash_one(texts.get(number).unwrap_or_default());
        self.numbers.insert_unique(hash, number, hash_of);
        number
    }
}

/// Gives equal numbers equal small ones; 0 stands for 0.
#[derive(Debug)]
pub(crate) struct NumberInterner {
    pub(crate) values: Vec<u64>,
    numbers: HashMap<u64, u32>,
    last: u32,
}

impl Default for NumberInterner {
    fn default() -> NumberInterner {
        NumberInterner { values: vec![0], numbers: HashMap::from_iter([(0, 0)]), last: 0 }
    }
}

impl NumberInterner {
    #[inline]
    pub(crate) fn number(&mut self, value: u64) -> u32 {
        if self.values.get(self.last as usize) != Some(&value) {
            let next = self.values.len() as u32;
            self.last = *self.numbers.entry(value).or_insert(next);
            if self.last == next {
                self.values.push(value);
            }
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{NumberInterner, Stretches, TextInterner};

    #[test]
    fn equal_texts_and_numbers_are_kept_once() {
        let mut texts = TextInterner::default();
        let numbers = ["step 1", "", "step 2", "step 1", ""].map(|text| texts.number(text));
        assert_eq!(numbers, [1, 2, 3, 1, 2]);
        assert_eq!(
            numbers.map(|number| texts.texts.get(number).expect("known").len()),
            [6, 0, 6, 6, 0]
        );
        assert_eq!((texts.texts.get(0), texts.texts.get(4)), (None, None));
        let mut streams = NumberInterner::default();
        assert_eq!([0, 7, 7, 0, 9].map(|stream| streams.number(stream)), [0, 1, 1, 0, 2]);
        assert_eq!(streams.values, [0, 7, 9]);
    }

    proptest! {
        #[test]
        fn a_column_of_stretches_is_a_column(
            values in prop::collection::vec(prop::option::of(0_u8..3), 0..40),
            start in 0_usize..40,
            len in 0_usize..40,
            before in 0_u32..5,
        ) {
            let mut column = Stretches::default();
            for (row, value) in (0..).zip(&values) {
                if let Some(value) = *value {
                    column.set(row, 9);
                    column.set(row, value);
                }
            }
            let expected = |row: usize| values.get(row).copied().flatten().unwrap_or(0);
            for row in 0..50 {
                prop_assert_eq!(column.get(row), expected(row as usize));
            }
            let mut copy = Stretches::default();
            copy.set(0, 1);
            let end = (start + len) as u32;
            copy.append(1 + before, &column, start as u32, end);
            for row in 0..len {
                prop_assert_eq!(copy.get(1 + before + row as u32), expected(start + row));
            }
            column.truncate(start as u32);
            for row in 0..50 {
                prop_assert_eq!(column.get(row), if (row as usize) < start { expected(row as usize) } else { 0 });
            }
        }
    }
}
