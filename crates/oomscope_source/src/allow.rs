//! Comments that allow findings: `# oomscope: allow[name]` for a statement,
//! `# oomscope: allow-file[name]` for a file. What they name is left out; what they name in vain
//! is reported by `unused-allow`.

use oomscope_model::{Edit, Finding, Fix, FixSafety, Held, Problem, Severity};
use ruff_python_ast::token::{TokenKind, Tokens};
use ruff_text_size::Ranged;

use crate::rules::{Group, Rule, tool};
use crate::selection::Selector;

/// What every allowing comment holds; a file without it costs one search of its text.
const MARK: &str = "oomscope:";
/// More comments in one file are not read.
const MOST: usize = 10_000;

/// One allowing comment, or one part of a comment: `# noqa  # oomscope: allow[name]` has two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// First byte, the `#`.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// 1-based line.
    pub line: u32,
    /// 1-based column of the `#`, in characters.
    pub column: u32,
    /// The names with their bytes, as written.
    pub names: Vec<AllowedName>,
    /// The findings that it speaks of.
    pub covers: Covers,
}

/// A name in an allowing comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedName {
    /// A rule's name or id, or a group.
    pub text: String,
    /// First byte in the file.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// Which findings a comment speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covers {
    /// All of the file.
    File,
    /// Those on these lines: of a simple statement, or of a header such as `for x in y:`.
    Lines(u32, u32),
    /// It is no comment that we know.
    Malformed,
}

/// Reads the allowing comments of a text whose tokens these are.
pub(crate) fn allows(text: &str, tokens: &Tokens) -> Vec<Allow> {
    if !text.contains(MARK) {
        return Vec::new();
    }
    let lines = Lines::of(text);
    let mut found: Vec<Allow> = Vec::new();
    // Comments whose statement has not ended yet, and the first line of that statement.
    let mut open = 0;
    let mut first: Option<u32> = None;
    let mut is_line_start = true;
    let mut decorates = false;
    let mut last_comment = 0;
    for token in tokens {
        match token.kind() {
            TokenKind::NonLogicalNewline
            | TokenKind::Indent
            | TokenKind::Dedent
            | TokenKind::EndOfFile => {}
            TokenKind::Comment => {
                let (line, column) = lines.position(token.start().to_usize());
                if first.is_none() && line > last_comment + 1 {
                    // Comments above a blank line belong to nothing below it.
                    open = found.len();
                }
                last_comment = line;
                let comment = text.get(token.range().to_std_range()).unwrap_or_default();
                parts(comment, token.start().to_usize(), (line, column), &mut found);
            }
            TokenKind::Newline => {
                is_line_start = true;
                if std::mem::take(&mut decorates) {
                    continue;
                }
                let last = lines.line(token.start().to_usize());
                let first = first.take().unwrap_or(last);
                for allow in found.iter_mut().skip(open) {
                    if let Covers::Lines(from, to) = &mut allow.covers {
                        (*from, *to) = (first.min(*from), last);
                    }
                }
                open = found.len();
            }
            kind => {
                if std::mem::take(&mut is_line_start) {
                    decorates = kind == TokenKind::At;
                    if first.is_none() {
                        let line = lines.line(token.start().to_usize());
                        first = Some(line);
                        if last_comment + 1 != line {
                            open = found.len();
                        }
                    }
                }
            }
        }
    }
    found
}

/// Adds the allowing parts of one comment that starts at byte `at`.
fn parts(comment: &str, at: usize, (line, mut column): (u32, u32), found: &mut Vec<Allow>) {
    let mut start = at;
    for (index, part) in comment.split('#').enumerate() {
        if index == 0 {
            continue;
        }
        let (from, length) = (start, part.len() + 1);
        let columns = u32::try_from(part.chars().count() + 1).unwrap_or(u32::MAX);
        let here = column;
        column = column.saturating_add(columns);
        start += length;
        let part = part.trim_end();
        let Some(said) = part.trim_start().strip_prefix(MARK) else { continue };
        if found.len() >= MOST {
            return;
        }
        let end = from + 1 + part.len();
        let (covers, names) =
            instruction(said, end - said.len(), line).unwrap_or((Covers::Malformed, Vec::new()));
        found.push(Allow { start: from, end, line, column: here, names, covers });
    }
}

/// Reads ` allow[a, b] reason`, which starts at byte `at`.
fn instruction(said: &str, at: usize, line: u32) -> Option<(Covers, Vec<AllowedName>)> {
    let (word, rest) = said.split_once('[')?;
    let (list, _) = rest.split_once(']')?;
    let covers = match word.trim() {
        "allow" => Covers::Lines(line, line),
        "allow-file" => Covers::File,
        _ => return None,
    };
    let mut start = at + word.len() + 1;
    let mut names = Vec::new();
    for piece in list.split(',') {
        let text = piece.trim();
        let from = start + (piece.len() - piece.trim_start().len());
        if !text.is_empty() {
            names.push(AllowedName { text: text.to_owned(), start: from, end: from + text.len() });
        }
        start += piece.len() + 1;
    }
    (!names.is_empty()).then_some((covers, names))
}

/// Leaves out of `findings` what `allows` names, and adds what they name in vain. A rule that is
/// off has no findings to allow, so its name is never in vain.
pub fn suppress(
    path: &str,
    text: &str,
    allows: &[Allow],
    is_on: &dyn Fn(&Rule) -> bool,
    findings: &mut Vec<Finding>,
    problems: &mut Vec<Problem>,
) {
    if allows.is_empty() {
        return;
    }
    let meant: Vec<Vec<Option<Selector>>> = allows
        .iter()
        .map(|allow| allow.names.iter().map(|name| selector(path, allow, name, problems)).collect())
        .collect();
    let mut used: Vec<Vec<bool>> = meant.iter().map(|names| vec![false; names.len()]).collect();
    findings.retain(|finding| {
        let mut keep = true;
        for ((allow, selectors), used) in allows.iter().zip(&meant).zip(&mut used) {
            if !allow.covers.line(finding.place.line) {
                continue;
            }
            for (selector, used) in selectors.iter().zip(used) {
                if selector.as_ref().is_some_and(|selector| selector.names_id(finding.rule)) {
                    *used = true;
                    keep = false;
                }
            }
        }
        keep
    });
    let unused = tool::unused_allow();
    if !is_on(unused) {
        return;
    }
    let allowed_here = |line: u32| {
        allows.iter().zip(&meant).any(|(allow, selectors)| {
            allow.covers.line(line) && selectors.iter().flatten().any(|s| s.names_id(unused.id))
        })
    };
    for ((allow, selectors), used) in allows.iter().zip(&meant).zip(&used) {
        if allow.covers == Covers::Malformed {
            problems.push(problem(
                path,
                allow.line,
                "a comment says `oomscope:` and allows nothing".to_owned(),
                Some(
                    "write `# oomscope: allow[NAME]` or `# oomscope: allow-file[NAME]`".to_owned(),
                ),
            ));
            continue;
        }
        let in_vain: Vec<bool> = selectors
            .iter()
            .zip(used)
            .map(|(selector, used)| {
                selector.as_ref().is_some_and(|selector| {
                    let mut named = selector.rules().peekable();
                    !used
                        && named.peek().is_some()
                        && named.all(|rule| rule.group != Group::Tool && is_on(rule))
                })
            })
            .collect();
        if in_vain.contains(&true) && !allowed_here(allow.line) {
            findings.push(finding(path, text, allow, &in_vain));
        }
    }
    findings
        .sort_by(|a, b| (a.place.line, a.column, a.rule).cmp(&(b.place.line, b.column, b.rule)));
}

impl Covers {
    fn line(self, line: u32) -> bool {
        match self {
            Covers::File => true,
            Covers::Lines(first, last) => (first..=last).contains(&line),
            Covers::Malformed => false,
        }
    }
}

fn selector(
    path: &str,
    allow: &Allow,
    name: &AllowedName,
    problems: &mut Vec<Problem>,
) -> Option<Selector> {
    match Selector::parse(&name.text) {
        Ok(selector) => Some(selector),
        Err(unknown) => {
            problems.push(problem(path, allow.line, unknown.to_string(), unknown.hint()));
            None
        }
    }
}

fn problem(path: &str, line: u32, what: String, hint: Option<String>) -> Problem {
    Problem { input: path.to_owned(), at: Some(format!("line {line}")), what, hint }
}

/// The finding on a comment of which these names are in vain.
fn finding(path: &str, text: &str, allow: &Allow, in_vain: &[bool]) -> Finding {
    let rule = tool::unused_allow();
    let names = |wanted: bool| -> Vec<&str> {
        let pairs = allow.names.iter().zip(in_vain);
        pairs.filter(|(_, vain)| **vain == wanted).map(|(name, _)| name.text.as_str()).collect()
    };
    let (vain, kept) = (names(true), names(false));
    let quoted: Vec<String> = vain.iter().map(|name| format!("`{name}`")).collect();
    let where_ = match allow.covers {
        Covers::File => "in this file",
        Covers::Lines(..) | Covers::Malformed => "here",
    };
    let (title, edit) = if kept.is_empty() {
        ("remove the comment".to_owned(), without(text, allow))
    } else {
        let (first, last) = (allow.names.first(), allow.names.last());
        let edit = Edit {
            start: first.map_or(allow.start, |name| name.start),
            end: last.map_or(allow.start, |name| name.end),
            text: kept.join(", "),
        };
        (format!("remove {} from it", quoted.join(", ")), edit)
    };
    let length = text.get(allow.start..allow.end).map_or(0, |comment| comment.chars().count());
    let end_column = allow.column.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
    Finding {
        rule: rule.id,
        name: rule.name,
        cause: rule.cause,
        severity: Severity::Warning,
        held: Held::Nothing,
        place: oomscope_model::Place { file: path.to_owned(), line: allow.line, function: None },
        column: allow.column,
        end: (allow.line, end_column),
        message: format!("nothing {where_} needs to be allowed as {}", quoted.join(", ")),
        path: Vec::new(),
        function_lines: (allow.line, allow.line),
        fix: Some(Fix { safety: FixSafety::Safe, title, edits: vec![edit] }),
    }
}

/// Removes a comment: its line where it stands alone, otherwise with the blanks before it.
fn without(text: &str, allow: &Allow) -> Edit {
    let before = text.get(..allow.start).unwrap_or_default();
    let after = text.get(allow.end..).unwrap_or_default();
    let code = before.trim_end_matches([' ', '\t']);
    let ends_line = after.is_empty() || after.starts_with(['\n', '\r']);
    let starts_line = code.is_empty() || code.ends_with(['\n', '\r']);
    let blanks_after = after.len() - after.trim_start_matches([' ', '\t']).len();
    let (start, end) = match (starts_line, ends_line) {
        (true, true) => {
            let newline = if after.starts_with("\r\n") { 2 } else { after.len().min(1) };
            (code.len(), allow.end + newline)
        }
        (true, false) => (allow.start, allow.end + blanks_after),
        (false, _) => (code.len(), allow.end),
    };
    Edit { start, end, text: String::new() }
}

/// Edits that write allowing comments: at the end of the statement of each line, with these names.
/// A statement that has such a comment gets the names added to it.
pub fn additions(path: &str, text: &str, wanted: &[(u32, &str)]) -> Vec<Edit> {
    let parsed = crate::parse::tokens(path, text);
    let known = allows(text, &parsed);
    let lines = Lines::of(text);
    let mut ends: Vec<(u32, u32, usize)> = Vec::new();
    let mut start = None;
    for token in &parsed {
        let line = lines.line(token.start().to_usize());
        match token.kind() {
            TokenKind::Comment
            | TokenKind::NonLogicalNewline
            | TokenKind::Indent
            | TokenKind::Dedent
            | TokenKind::EndOfFile => {}
            TokenKind::Newline => {
                ends.push((start.take().unwrap_or(line), line, token.start().to_usize()));
            }
            _ => start = start.or(Some(line)),
        }
    }
    let mut edits: Vec<Edit> = Vec::new();
    for (first, last, end) in ends {
        let mut names: Vec<&str> = wanted
            .iter()
            .filter(|(line, _)| (first..=last).contains(line))
            .map(|(_, name)| *name)
            .collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            continue;
        }
        let names = names.join(", ");
        let there = known.iter().find(|allow| allow.covers == Covers::Lines(first, last));
        edits.push(match there.and_then(|allow| allow.names.last()) {
            Some(name) => Edit { start: name.end, end: name.end, text: format!(", {names}") },
            None => Edit { start: end, end, text: format!("  # oomscope: allow[{names}]") },
        });
    }
    edits
}

/// Line starts, for positions of bytes.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Lines<'t> {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(at, byte)| {
            **byte == b'\n' || **byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')
        });
        Lines { text, starts: std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect() }
    }

    /// 1-based line of a byte.
    fn line(&self, byte: usize) -> u32 {
        u32::try_from(self.starts.partition_point(|start| *start <= byte)).unwrap_or(u32::MAX)
    }

    /// 1-based line and column, in characters, of a byte.
    fn position(&self, byte: usize) -> (u32, u32) {
        let line = self.starts.partition_point(|start| *start <= byte);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(start..byte).map_or(0, |text| text.chars().count()) + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::{Covers, additions};
    use crate::parse::{parse, tokens};
    use crate::{InputFile, apply};

    fn covers(text: &str) -> Vec<(Covers, Vec<String>)> {
        let file = InputFile { path: "a.py".to_owned(), text: text.to_owned() };
        let allows = parse(file).allows;
        allows
            .into_iter()
            .map(|allow| (allow.covers, allow.names.into_iter().map(|n| n.text).collect()))
            .collect()
    }

    #[test]
    fn a_comment_speaks_of_its_statement() {
        for (text, expected) in [
            ("x = 1  # oomscope: allow[a]\n", Covers::Lines(1, 1)),
            ("x = f(\n    1,  # oomscope: allow[a]\n)\n", Covers::Lines(1, 3)),
            ("# oomscope: allow[a]\nx = f(\n    1,\n)\n", Covers::Lines(1, 4)),
            ("# oomscope: allow[a]\n# why\nx = 1\n", Covers::Lines(1, 3)),
            ("# oomscope: allow[a]\n\nx = 1\n", Covers::Lines(1, 1)),
            ("for x in y:  # oomscope: allow[a]\n    z = 1\n", Covers::Lines(1, 1)),
            ("# oomscope: allow[a]\n@d\ndef f():\n    pass\n", Covers::Lines(1, 3)),
            ("if x:\n    # oomscope: allow[a]\n    z = 1\n", Covers::Lines(2, 3)),
            ("x = 1  # oomscope: allow-file[a] it is small\n", Covers::File),
            ("x = 1  # oomscope: alow[a]\n", Covers::Malformed),
        ] {
            let found = covers(text);
            assert_eq!(found.first().map(|(covers, _)| *covers), Some(expected), "{text}");
        }
    }

    #[test]
    fn only_comments_are_read_and_each_part_of_one() {
        assert_eq!(covers("x = '# oomscope: allow[a]'\ny = f'''\n# oomscope: allow[a]\n'''\n"), []);
        let found = covers("x = 1  # noqa: E501  # oomscope: allow[a, OOM101] # type: ignore\n");
        assert_eq!(found, [(Covers::Lines(1, 1), vec!["a".to_owned(), "OOM101".to_owned()])]);
    }

    #[test]
    fn written_comments_are_read_again() {
        let text = "for x in f(\n    y,\n):\n    z = 1\n    w = 2  # oomscope: allow[a]\n";
        let edits = additions("a.py", text, &[(1, "b"), (4, "c"), (5, "d")]);
        let text = apply::apply(text, &edits).expect("they fit");
        assert!(tokens("a.py", &text).len() > 1);
        assert_eq!(
            text,
            "for x in f(\n    y,\n):  # oomscope: allow[b]\n    z = 1  # oomscope: allow[c]\n    \
             w = 2  # oomscope: allow[a, d]\n"
        );
    }
}
