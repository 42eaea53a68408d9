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

    /// Whether both name the same line of the same file, one of them perhaps on another machine.
    pub fn is_same_line(&self, other: &Place) -> bool {
        self.line == other.line && self.shared_tail(&other.file) >= 1
    }

    /// How many trailing path components this place's file shares with `path`: files of one
    /// program are recognised by their tail when their roots lie on different machines.
    pub fn shared_tail(&self, path: &str) -> usize {
        components(&self.file).zip(components(path)).take_while(|(a, b)| a == b).count()
    }
}

/// Path components, last first.
fn components(path: &str) -> impl Iterator<Item = &str> {
    path.rsplit(['/', '\\']).filter(|part| !part.is_empty() && *part != ".")
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn files_are_recognised_by_their_tail() {
        let place = Place { file: "/workspace/run/models/gpt.py".into(), line: 3, function: None };
        assert_eq!(place.shared_tail("src/models/gpt.py"), 2);
        assert_eq!(place.shared_tail("gpt.py"), 1);
        assert_eq!(place.shared_tail("C:\\code\\models\\gpt.py"), 2);
        assert_eq!(place.shared_tail("src/models/gpt2.py"), 0);
    }
}
