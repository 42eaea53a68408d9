//! One file, parsed once: text, tree, lines. Notebooks become their code cells, joined.

use std::sync::OnceLock;

use oomscope_model::{Place, Problem};
use ruff_notebook::Notebook;
use ruff_python_ast::token::Tokens;
use ruff_python_ast::{PySourceType, Stmt};
use ruff_python_parser::parse_unchecked_source;
use ruff_source_file::LineIndex;
use ruff_text_size::{Ranged, TextRange, TextSize};

use crate::InputFile;
use crate::allow::{Allow, allows};
use crate::nesting::absurd_nesting;

/// A parsed file. The tree is what the parser recovered where the syntax is wrong.
pub(crate) struct Parsed {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) body: Vec<Stmt>,
    /// Made when the first line is asked for: most files have no finding.
    lines: OnceLock<LineIndex>,
    /// Its allowing comments.
    pub(crate) allows: Vec<Allow>,
    /// Set where something could not be read.
    pub(crate) problem: Option<Problem>,
}

/// Larger texts than the parser's 32-bit offsets are refused.
const LARGEST_TEXT: usize = 256 << 20;

/// Parses one file; never fails, a file that cannot be read has an empty body and a problem.
pub(crate) fn parse(file: InputFile) -> Parsed {
    let InputFile { path, text } = file;
    let mut kind = PySourceType::Python;
    let mut problem = None;
    let mut text = text;
    if is_notebook(&path) {
        kind = PySourceType::Ipynb;
        match Notebook::from_source_code(&text) {
            Ok(notebook) if notebook.is_python_notebook() => {
                notebook.source_code().clone_into(&mut text);
            }
            Ok(_) => {
                problem = Some(("the notebook's language is not Python".to_owned(), None));
                text = String::new();
            }
            Err(error) => {
                problem = Some((format!("not a notebook: {error}"), None));
                text = String::new();
            }
        }
    }
    if text.len() > LARGEST_TEXT {
        problem = Some(("the file is too large to parse".to_owned(), None));
        text = String::new();
    }
    let mut body = Vec::new();
    let mut allowed = Vec::new();
    if let Some(line) = absurd_nesting(&text) {
        problem = Some(("nested too deeply to parse".to_owned(), Some(line)));
    } else {
        let parsed = parse_unchecked_source(&text, kind);
        if let Some(error) = parsed.errors().first() {
            let line = LineIndex::from_source_text(&text).line_index(error.location.start()).get();
            problem = Some((format!("syntax error: {}", error.error), Some(line)));
        }
        allowed = allows(&text, parsed.tokens());
        body = parsed.into_syntax().body.into_iter().collect();
    }
    let problem = problem.map(|(what, line)| Problem {
        input: path.clone(),
        at: line.map(|line| format!("line {line}")),
        what,
        hint: (!text.is_empty()).then(|| "what could be parsed was analysed".to_owned()),
    });
    Parsed { path, text, body, lines: OnceLock::new(), allows: allowed, problem }
}

impl Parsed {
    /// The source text of a node.
    pub(crate) fn slice(&self, node: &impl Ranged) -> &str {
        self.text.get(node.range().to_std_range()).unwrap_or_default()
    }

    /// The 1-based line of an offset.
    pub(crate) fn line(&self, offset: TextSize) -> u32 {
        let lines = self.lines.get_or_init(|| LineIndex::from_source_text(&self.text));
        u32::try_from(lines.line_index(offset).get()).unwrap_or(u32::MAX)
    }

    /// The 1-based column of an offset, in characters.
    pub(crate) fn column(&self, offset: TextSize) -> u32 {
        let start = self.line_start(offset);
        let chars = self.text.get(start..offset.to_usize()).map_or(0, |t| t.chars().count());
        u32::try_from(chars).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// First and last line of a range.
    pub(crate) fn line_span(&self, range: TextRange) -> (u32, u32) {
        (self.line(range.start()), self.line(range.end()))
    }

    /// The byte at which the line of an offset starts.
    pub(crate) fn line_start(&self, offset: TextSize) -> usize {
        let before = self.text.get(..offset.to_usize()).unwrap_or_default();
        before.rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// The white space before the first statement on the line of an offset.
    pub(crate) fn indentation(&self, offset: TextSize) -> &str {
        let line = self.text.get(self.line_start(offset)..).unwrap_or_default();
        let width = line.len() - line.trim_start_matches([' ', '\t']).len();
        line.get(..width).unwrap_or_default()
    }

    /// A place in this file.
    pub(crate) fn place(&self, offset: TextSize, function: Option<&str>) -> Place {
        Place {
            file: self.path.clone(),
            line: self.line(offset),
            function: function.map(str::to_owned),
        }
    }

    /// The last part of what an `import` names: `unet` of `models/unet.py`, `models` of
    /// `models/__init__.py`.
    pub(crate) fn module_name(&self) -> &str {
        let path = self.module_path();
        path.rsplit(['/', '\\']).next().unwrap_or(path)
    }

    /// The path without the extension, or the package's folder.
    pub(crate) fn module_path(&self) -> &str {
        module_path(&self.path)
    }
}

/// Whether a file holds unit tests, by its name or a folder of its path.
///
/// What they keep, they keep for a moment: a search of folders for defects leaves them out.
pub fn holds_unit_tests(path: &str) -> bool {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    path.split(['/', '\\']).any(|folder| folder == "testing")
        || (name.starts_with("test_") || name.ends_with("_test.py"))
        || name == "conftest.py"
}

/// A file's path without its extension; the folder, where the file is a package's own.
pub(crate) fn module_path(path: &str) -> &str {
    let name_start = path.rfind(['/', '\\']).map_or(0, |separator| separator + 1);
    let name = path.get(name_start..).unwrap_or(path);
    if name.starts_with("__init__.") {
        return path.get(..name_start.saturating_sub(1)).unwrap_or_default();
    }
    let stem = name.find('.').unwrap_or(name.len());
    path.get(..name_start + stem).unwrap_or(path)
}

/// How many syntax errors a text (of a notebook: its code) has; absurd nesting is one.
pub(crate) fn syntax_errors(path: &str, text: &str) -> usize {
    if absurd_nesting(text).is_some() || text.len() > LARGEST_TEXT {
        return 1;
    }
    parse_unchecked_source(text, kind_of(path)).errors().len()
}

/// The tokens of a text (of a notebook: its code); none where it is nested absurdly.
pub(crate) fn tokens(path: &str, text: &str) -> Tokens {
    let text = if absurd_nesting(text).is_some() || text.len() > LARGEST_TEXT { "" } else { text };
    parse_unchecked_source(text, kind_of(path)).tokens().clone()
}

fn kind_of(path: &str) -> PySourceType {
    if is_notebook(path) { PySourceType::Ipynb } else { PySourceType::Python }
}

/// Whether a path names a notebook.
pub(crate) fn is_notebook(path: &str) -> bool {
    has_extension(path, "ipynb")
}

fn has_extension(path: &str, extension: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case(extension))
}
