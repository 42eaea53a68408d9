//! Why nothing could be read, and what went wrong in a file of which something was read.

use oomscope_model::Problem;
use thiserror::Error;

/// Why a file gave nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    /// No bytes.
    #[error("the file is empty")]
    Empty,
    /// Neither a pickle, nor JSON, nor HTML of PyTorch's memory viewer.
    #[error("not an allocator snapshot: neither a pickle, JSON nor the memory viewer's HTML")]
    NotASnapshot,
    /// A pickle of protocol 0 or 1, which PyTorch never wrote.
    #[error("a pickle of protocol 0 or 1, not a snapshot as PyTorch writes it (protocol 2 to 5)")]
    TextPickle,
    /// The pickle wants to import or call something: never a snapshot, possibly an attack.
    #[error("byte {offset}: the pickle asks to run code ({name}); refused, nothing was run")]
    RefusedOpcode {
        /// The opcode's name in Python's `pickletools`.
        name: &'static str,
        /// Its place in the pickle.
        offset: u64,
    },
    /// The file was understood, but holds no segments and no trace.
    #[error("no segments and no trace found{}", because(.problem.as_ref()))]
    NoSnapshot {
        /// What stopped the reading, when something did.
        problem: Option<ReadProblem>,
    },
    /// The compact form, of a version that this program does not know.
    #[error("written by a newer oomscope: version {version} of the compact form, known is {known}")]
    NewerNative {
        /// The file's version.
        version: u16,
        /// The newest version that is read.
        known: u16,
    },
    /// The HTML holds no snapshot.
    #[error("the HTML embeds no snapshot in base64")]
    NothingEmbedded,
}

fn because(problem: Option<&ReadProblem>) -> String {
    problem.map(|problem| format!(": {}: {}", problem.at, problem.what)).unwrap_or_default()
}

/// Something wrong with a file of which the rest was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadProblem {
    /// Where, in words: `byte 1048576`.
    pub at: String,
    /// What is wrong, lower case, no full stop.
    pub what: String,
    /// What the user can do about it.
    pub hint: Option<String>,
}

impl ReadProblem {
    /// The same as a [`Problem`] of the input named `input`.
    pub fn of_input(self, input: &str) -> Problem {
        Problem { input: input.to_owned(), at: Some(self.at), what: self.what, hint: self.hint }
    }
}
