//! In which ways an input contradicts its own form.

use std::fmt;

/// A contradiction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    NeverOpened,
    NeverStored,
    NoIndex,
    NoMark,
    NoValue,
    NotJson,
    TooDeep,
    TooManyObjects,
    TooManyValues,
    UnknownOpcode,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Fault::NeverOpened => "a bracket that was never opened",
            Fault::NeverStored => "a reference to an object that was never stored",
            Fault::NoIndex => "a memo index that is no number",
            Fault::NoMark => "a collection ends that never began",
            Fault::NoValue => "a value is missing",
            Fault::NotJson => "not JSON",
            Fault::TooDeep => "records are nested thousands deep",
            Fault::TooManyObjects => "more than half a billion objects",
            Fault::TooManyValues => "millions of values are pushed and not collected",
            Fault::UnknownOpcode => "an unknown opcode",
        })
    }
}
