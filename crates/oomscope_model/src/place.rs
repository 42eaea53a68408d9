//! A line of somebody's code.

use std::fmt;

/// A line of source, as a traceback, a recorded stack or the analyser names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Path as the evidence spells it: of the machine that ran, or as given on the command line.
    pub file: String,
    /// 1-based line.
    pub line: u32,
    /// The function around it, where known.
    pub function: Option<String>,
}

impl Place {
    /// The last component of the path.
    pub fn file_name(&self) -> &str {
        self.file.rsplit(['/', '\\']).next().unwrap_or(&self.file)
    }

    /// Whether both name the same line, when one path may lie on another machine: the shorter
    /// path must be a suffix of the other, component by component.
    pub fn is_same_line(&self, other: &Place) -> bool {
        self.line == other.line && paths_match(&self.file, &other.file)
    }
}

/// Whether two paths name the same file though their roots differ (recorded on another machine):
/// equal file names, and the shorter one's folders do not contradict when it has only a name.
pub(crate) fn shared_suffix_components(left: &str, right: &str) -> usize {
    let parts = |path: &str| {
        path.split(['/', '\\'])
            .filter(|part| !part.is_empty() && *part != ".")
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (left, right) = (parts(left), parts(right));
    left.iter().rev().zip(right.iter().rev()).take_while(|(a, b)| a == b).count()
}

fn paths_match(left: &str, right: &str) -> bool {
    shared_suffix_components(left, right) >= 1
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
