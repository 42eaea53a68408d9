//! From bytes to tables: pickle, JSON and the memory viewer's HTML drive one machine.

mod assemble;
mod containers;
mod error;
mod format;
mod html;
mod json;
mod machine;
mod memo;
mod opcodes;
mod pickle;
mod records;
mod recovery;
mod stack_runs;
mod value;
mod word;

pub use error::{ReadError, ReadProblem};
pub use format::{Format, read, read_with, recognise};
