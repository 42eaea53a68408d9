//! Columns of whole numbers, packed by frame of reference: what all values of a run share (their
//! least, their low zero bits) is written once.

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// The input ends inside a record.
    Ends,
    /// It contradicts its own form.
    Malformed(&'static str),
}

/// Values in one run.
pub(super) const RUN: usize = 4096;
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
    let least = u32::from(width == Width::AtLeastAByte);
    let bytes = (64 - largest.leading_zeros()).div_ceil(8).max(least) as usize;
    put_number(out, base);
    out.extend_from_slice(&[shift as u8, bytes as u8]);
    for value in run {
        let packed = ((value - base) >> shift).to_le_bytes();
        out.extend_from_slice(packed.get(..bytes).unwrap_or_default());
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

    /// A column of `count` values; the caller has checked `count` against the input.
    pub(super) fn column(&mut self, count: usize, width: Width) -> Result<Vec<u64>, Damage> {
        let mut values = vec![0; count];
        for run in values.chunks_mut(RUN) {
            self.run(run, width)?;
        }
        Ok(values)
    }

    /// One run, of as many values as `values` has room for.
    pub(super) fn run(&mut self, values: &mut [u64], width: Width) -> Result<(), Damage> {
        let base = self.number()?;
        let (shift, bytes) = (u32::from(self.byte()?), usize::from(self.byte()?));
        if shift > 63 || bytes > 8 || width == Width::AtLeastAByte && bytes == 0 {
            return Err(Damage::Malformed("a column of impossible width"));
        }
        let packed = self.bytes(values.len() * bytes)?;
        let value = |packed: u64| base.wrapping_add(packed << shift);
        match bytes {
            0 => values.fill(base),
            1 => unpack::<1>(packed, values, value),
            2 => unpack::<2>(packed, values, value),
            3 => unpack::<3>(packed, values, value),
            4 => unpack::<4>(packed, values, value),
            5 => unpack::<5>(packed, values, value),
            6 => unpack::<6>(packed, values, value),
            7 => unpack::<7>(packed, values, value),
            _ => unpack::<8>(packed, values, value),
        }
        Ok(())
    }
}

/// Values of `N` bytes each. `N` is known to the compiler, so that a value is one load.
#[inline]
fn unpack<const N: usize>(packed: &[u8], values: &mut [u64], value: impl Fn(u64) -> u64) {
    for (cell, bytes) in values.iter_mut().zip(packed.as_chunks::<N>().0) {
        let mut word = [0; 8];
        for (to, &from) in word.iter_mut().zip(bytes) {
            *to = from;
        }
        *cell = value(u64::from_le_bytes(word));
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
