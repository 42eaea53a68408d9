//! What could not be read, where, and what to do next. A problem never stops the diagnosis.

use std::fmt;

/// Something wrong with an input that was read as far as possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The input, as the user named it.
    pub input: String,
    /// Where in it, in words: `byte 1048576`, `line 12`, `event 40211`.
    pub at: Option<String>,
    /// What is wrong, lower case, no full stop.
    pub what: String,
    /// What the user can do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.input)?;
        if let Some(at) = &self.at {
            write!(f, ": {at}")?;
        }
        write!(f, ": {}", self.what)
    }
}
