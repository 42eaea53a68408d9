//! Columns of whole numbers, packed by frame of reference: what all values of a run share (their
//! least, their low zero bits) is written once.

use crate::reader::Damage;

/// Values in one run.
pub(super) const RUN: usize = 4096;
/// Bytes that a load may reach beyond the packed values.
const SLACK: usize = 8;

/// Whether a column counts its rows: then a value takes a byte or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Any,
    AtLeastAByte,
}

pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends one column, in runs.
pub(super) fn put_column(out: &mut Vec<u8>, values: &[u64], width: Width) {
    for run in values.chunks(RUN) {
        put_run(out, run, width);
    }
}

fn put_run(out: &mut Vec<u8>, run: &[u64], width: Width) {
    let base = run.iter().copied().min().unwrap_or(0);
    let used = run.iter().fold(0, |used, value| used | (value - base));
    let shift = if used == 0 { 0 } else { used.trailing_zeros() };
    let largest = run.iter().map(|value| (value - base) >> shift).max().unwrap_or(0);
    let least = if width == Width::AtLeastAByte { 8 } else { 0 };
    let bits = (64 - largest.leading_zeros()).max(least);
    // A load of eight bytes holds no wider value at every bit offset.
    let bits = if bits > 57 { 64 } else { bits };
    put_number(out, base);
    out.extend_from_slice(&[shift as u8, bits as u8]);
    let (mut pending, mut filled) = (0_u128, 0);
    for value in run {
        pending |= u128::from((value - base) >> shift) << filled;
        filled += bits;
        while filled >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(pending as u8);
    }
}

/// A place in the input.
#[derive(Clone, Debug)]
pub(super) struct Source<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(input: &'a [u8], at: usize) -> Source<'a> {
        Source { input, at }
    }

    pub(super) fn offset(&self) -> usize {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.input.len().saturating_sub(self.at)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Damage> {
        let end = self.at.checked_add(len).ok_or(Damage::Ends)?;
        let bytes = self.input.get(self.at..end).ok_or(Damage::Ends)?;
        self.at = end;
        Ok(bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Damage> {
        let byte = *self.input.get(self.at).ok_or(Damage::Ends)?;
        self.at += 1;
        Ok(byte)
    }

    pub(super) fn number(&mut self) -> Result<u64, Damage> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damage::Malformed("a number is too long"))
    }

    /// The number of rows of a table: never more than bytes are left.
    pub(super) fn count(&mut self) -> Result<usize, Damage> {
        let count = self.number()?;
        let count = usize::try_from(count).ok().filter(|&count| count <= self.left());
        count.ok_or(Damage::Ends)
    }

    /// A column of `count` values.
    pub(super) fn column(&mut self, count: usize, width: Width) -> Result<Vec<u64>, Damage> {
        // All columns but the counting ones may pack many values into a byte; the caller has
        // checked `count` against the input.
        let mut values = Vec::with_capacity(count);
        while values.len() < count {
            let len = RUN.min(count - values.len());
            self.run(len, width, |value| values.push(value))?;
        }
        Ok(values)
    }

    /// One run of `count` values, each handed to `take`.
    #[inline]
    pub(super) fn run(
        &mut self,
        count: usize,
        width: Width,
        mut take: impl FnMut(u64),
    ) -> Result<(), Damage> {
        let base = self.number()?;
        let (shift, bits) = (u32::from(self.byte()?), usize::from(self.byte()?));
        if shift > 63 || bits > 57 && bits != 64 || width == Width::AtLeastAByte && bits < 8 {
            return Err(Damage::Malformed("a column of impossible width"));
        }
        let start = self.at;
        let packed = self.bytes((count * bits).div_ceil(8))?;
        if bits == 0 {
            (0..count).for_each(|_| take(base));
            return Ok(());
        }
        if bits == 64 {
            for value in packed.as_chunks::<8>().0 {
                take(base.wrapping_add(u64::from_le_bytes(*value) << shift));
            }
            return Ok(());
        }
        let mask = (1_u64 << bits) - 1;
        // Near the end of the file the loads need zeros to run into.
        let copy: Vec<u8>;
        let reach = packed.len() + SLACK;
        let packed = match self.input.get(start..start + reach) {
            Some(bytes) => bytes,
            None => {
                copy = [packed, &[0; SLACK]].concat();
                &copy
            }
        };
        for index in 0..count {
            let bit = index * bits;
            let Some(word) = packed.get(bit >> 3..).and_then(|rest| rest.first_chunk::<8>()) else {
                return Err(Damage::Ends);
            };
            let value = u64::from_le_bytes(*word) >> (bit & 7) & mask;
            take(base.wrapping_add(value << shift));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Source, Width, put_column};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_column_comes_back_as_it_went(
            values in proptest::collection::vec(any::<u64>(), 0..50),
            shift in 0..64_u32,
            times in 1..200_usize,
        ) {
            let values: Vec<u64> = values.iter().map(|value| value >> shift).collect();
            let values = values.repeat(times);
            for width in [Width::Any, Width::AtLeastAByte] {
                let mut bytes = Vec::new();
                put_column(&mut bytes, &values, width);
                let mut source = Source::new(&bytes, 0);
                let read = source.column(values.len(), width).expect("it is whole");
                prop_assert_eq!(&read, &values);
                prop_assert_eq!(source.left(), 0);
            }
        }
    }
}
