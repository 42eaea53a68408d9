//! A number of bytes, printed the way PyTorch prints it. Never negative, never a float.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Bytes {
    /// No bytes.
    pub const ZERO: Bytes = Bytes(0);
    /// One kibibyte, 2¹⁰ bytes.
    pub const KIB: Bytes = Bytes(1 << 10);
    /// One mebibyte, 2²⁰ bytes.
    pub const MIB: Bytes = Bytes(1 << 20);
    /// One gibibyte, 2³⁰ bytes.
    pub const GIB: Bytes = Bytes(1 << 30);

    /// `count` mebibytes, saturating.
    pub const fn from_mib(count: u64) -> Bytes {
        Bytes(count.saturating_mul(Self::MIB.0))
    }

    /// `count` gibibytes, saturating.
    pub const fn from_gib(count: u64) -> Bytes {
        Bytes(count.saturating_mul(Self::GIB.0))
    }

    /// The difference, or `None` when `other` is larger: the caller faces underflow.
    pub const fn checked_sub(self, other: Bytes) -> Option<Bytes> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Bytes(rest)),
            None => None,
        }
    }

    /// The difference, or zero when `other` is larger. For sizes where a deficit means "none left".
    #[must_use]
    pub const fn saturating_sub(self, other: Bytes) -> Bytes {
        Bytes(self.0.saturating_sub(other.0))
    }

    /// `self × factor`, saturating.
    #[must_use]
    pub const fn times(self, factor: u64) -> Bytes {
        Bytes(self.0.saturating_mul(factor))
    }

    /// What part of `whole` this is, 0.0 when `whole` is empty. May exceed 1.0.
    pub fn share_of(self, whole: Bytes) -> f64 {
        if whole.0 == 0 { 0.0 } else { self.0 as f64 / whole.0 as f64 }
    }
}

impl Add for Bytes {
    type Output = Bytes;
    fn add(self, other: Bytes) -> Bytes {
        Bytes(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Bytes) {
        *self = *self + other;
    }
}

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Bytes>>(iter: I) -> Bytes {
        iter.fold(Bytes::ZERO, Add::add)
    }
}

/// As `format_size` in PyTorch's `CUDACachingAllocator.cpp` (2.9): two decimals, binary units.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0 as f64;
        let text = if self.0 <= 1024 {
            format!("{} bytes", self.0)
        } else if self.0 <= 1 << 20 {
            format!("{:.2} KiB", count / 1024.0)
        } else if self.0 <= 1 << 30 {
            format!("{:.2} MiB", count / 1_048_576.0)
        } else {
            format!("{:.2} GiB", count / 1_073_741_824.0)
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn sizes_print_as_pytorch_prints_them() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1024, "1024 bytes"),
            (1025, "1.00 KiB"),
            (20 << 20, "20.00 MiB"),
            (1 << 30, "1024.00 MiB"),
            ((1 << 30) + 1, "1.00 GiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn padding_applies_to_the_whole_figure() {
        assert_eq!(format!("{:>12}", Bytes::from_mib(2)), "    2.00 MiB");
    }
}
