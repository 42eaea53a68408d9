//! How sure a verdict is: whole percent, so that equal evidence gives equal output everywhere.

use std::fmt;

/// Confidence in percent, 0 to 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Confidence(u8);

impl Confidence {
    /// Nothing speaks for it.
    pub const NONE: Confidence = Confidence(0);
    /// From here on a verdict is a claim; below, it is a possibility that is listed and no more.
    pub const CLAIM: Confidence = Confidence(50);

    /// `percent`, at most 100.
    pub const fn percent(percent: u8) -> Confidence {
        Confidence(if percent > 100 { 100 } else { percent })
    }

    /// The percentage, 0 to 100.
    pub const fn as_percent(self) -> u8 {
        self.0
    }

    /// As a fraction, 0.0 to 1.0.
    pub fn as_fraction(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// Whether a reader should act on it.
    pub fn is_claim(self) -> bool {
        self >= Self::CLAIM
    }

    /// `high`, `medium`, `low` or `none`, for people.
    pub const fn word(self) -> &'static str {
        match self.0 {
            80.. => "high",
            50..80 => "medium",
            1..50 => "low",
            0 => "none",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}%", self.0))
    }
}
